//! The decision about a request, for each way on which a request can come: forwarding and `tollgate explain`.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use http::header::{HeaderMap, TRANSFER_ENCODING};

use super::framing::MAX_FIELDS;
use crate::clock::now;
use crate::gate::{Authorizer, Decision, Denial, DenyReason, Explanation, Head, Pending, RequestPermits, wire};
use crate::token::KeySource;

/// The head of a request as a protocol delivers it.
pub struct Arrival<'a> {
    pub method: &'a Method,
    /// As received.
    pub headers: &'a HeaderMap,
    /// The rest of the head.
    pub protocol: Protocol<'a>,
    pub has_body: bool,
    /// The client requests an upgrade to WebSocket.
    pub upgrade: bool,
    /// The peer of the socket. `None`: it is not an IP socket.
    pub peer: Option<IpAddr>,
    /// The connection uses TLS.
    pub tls: bool,
}

/// The parts of a request head that depend on the protocol.
pub enum Protocol<'a> {
    /// HTTP/1.
    Http1 {
        /// The bytes of the head. TRAP: pingora cuts off fragments, and removes Content-Length beside Transfer-Encoding
        /// (pingora-core 0.9.1, src/protocols/http/v1/server.rs), so the parsed header does not show them.
        raw: &'a [u8],
        /// The target, if it is not the one in `raw`.
        target: Option<Vec<u8>>,
        /// The authority of a target in absolute form (RFC 9112, 3.2.2).
        authority: Option<&'a str>,
    },
    /// HTTP/2: the pseudo-header fields (RFC 9113, 8.3.1).
    Http2 {
        /// `:path`, as received.
        path: &'a [u8],
        /// `:scheme`, or empty.
        scheme: &'a str,
        /// `:authority`.
        authority: Option<&'a str>,
    },
}

/// Loads what a decision needs. It is called once for a request.
pub trait Loader: Send {
    /// Ends when it is loaded, or can't be.
    fn load(&mut self, pending: &Pending) -> impl Future<Output = ()> + Send;
}

/// Waits for the task that fetches keys in the background.
pub(super) struct BackgroundFetch;

impl Loader for BackgroundFetch {
    async fn load(&mut self, Pending::Keys(keys): &Pending) {
        // A fetch has a timeout of its own. This one is for a task that a reload ended.
        if let KeySource::Remote(remote) = keys.source() {
            let _ = tokio::time::timeout(remote.timeout + Duration::from_secs(1), keys.fetch_ended()).await;
        }
    }
}

/// Decides about a request. If something must be loaded first, it is loaded and the request is decided again, once.
pub async fn decide(
    authorizer: Authorizer<'_>,
    arrival: &Arrival<'_>,
    permits: &mut RequestPermits,
    loader: &mut impl Loader,
) -> Decision {
    let head = match arrival.head() {
        Ok(head) => head,
        Err(deny) => return Decision::Refusal(Denial::new(deny)),
    };
    match authorizer.decide(&head, now(), permits) {
        Decision::Wait(pending) => {
            loader.load(&pending).await;
            authorizer.trace.into_iter().for_each(Explanation::clear);
            Authorizer { may_wait: false, ..authorizer }.decide(&head, now(), permits)
        }
        decision => decision,
    }
}

impl Arrival<'_> {
    fn head(&self) -> Result<Head<'_>, DenyReason> {
        let headers = self.headers;
        let (target, authority, ambiguous_length, size) = match &self.protocol {
            Protocol::Http1 { raw, target, authority } => (
                target.as_deref().or_else(|| wire::target(raw)).unwrap_or_default(),
                *authority,
                self.has_body && headers.contains_key(TRANSFER_ENCODING) && wire::names_content_length(raw),
                raw.len(),
            ),
            Protocol::Http2 { path, scheme, authority } => {
                // TRAP: h2 passes both.
                if scheme.is_empty() || !wire::names_are_tokens(headers) {
                    return Err(DenyReason::Header);
                }
                // The limit of HTTP/1.
                if headers.len() > MAX_FIELDS {
                    return Err(DenyReason::HeadTooLarge);
                }
                (*path, *authority, false, wire::field_list_size(self.method, scheme, *authority, path, headers))
            }
        };
        // Tollgate does not listen on Unix sockets.
        let peer = self.peer.ok_or(DenyReason::Internal)?;
        Ok(Head {
            method: self.method,
            target,
            authority,
            headers,
            size,
            ambiguous_length,
            has_body: self.has_body,
            upgrade: self.upgrade,
            peer,
            tls: self.tls,
        })
    }
}
