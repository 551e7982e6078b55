//! State of one request between the hooks of pingora, and the attempts to forward it.

use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tracing::warn;

use super::body_clock::BodyClock;
use super::forwarded::{self, AddedHeaders, Body};
use super::raw_target::Hidden;
use super::record::RequestRecord;
use super::upstream::{Attempts, BoundConnection, BoundConnections, RetryContext, Sending, ServerPool, reason};
use super::{RequestId, Snapshot};
use crate::gate::{DenyReason, Grant, RequestPermits};

/// State of one request between the hooks of pingora.
#[derive(Debug)]
pub struct RequestContext {
    pub(super) request_id: RequestId,
    pub(super) record: RequestRecord,
    pub(super) granted: Option<(Arc<Snapshot>, Box<Grant>)>,
    pub(super) denied: Option<DenyReason>,
    pub(super) attempts: Attempts,
    /// The bytes of its target that pingora does not show.
    pub(super) hidden: Option<Hidden>,
    /// The head announces a body.
    pub(super) has_body: bool,
    /// The request asks for the upgrade to a WebSocket.
    pub(super) upgrade: bool,
    /// The rate of its body, over HTTP/2.
    pub(super) body_clock: BodyClock,
    /// Concurrency limits that count the request until it ends.
    pub(super) permits: RequestPermits,
    /// Connections to applications that belong to this client's connection. Behind a lock, since
    /// `persist_connection_context` gets a shared reference.
    pub(super) bound: Mutex<BoundConnections>,
}

impl RequestContext {
    /// Makes the context of a new request.
    pub(super) fn new(request_id: RequestId) -> Self {
        Self {
            request_id,
            record: RequestRecord::begin(),
            granted: None,
            denied: None,
            attempts: Attempts::default(),
            hidden: None,
            has_body: false,
            upgrade: false,
            body_clock: BodyClock::default(),
            permits: RequestPermits::default(),
            bound: Mutex::default(),
        }
    }

    /// Chooses the next server: its pool, its index, and the client's own connection to it, if there is one.
    pub(super) fn choose_server(&mut self) -> pingora::Result<(Arc<ServerPool>, usize, Option<Stream>)> {
        let Some((snapshot, grant)) = &self.granted else { return Err(Error::new(ErrorType::InternalError)) };
        let upstream = snapshot.pool(grant.route());
        let bound = self.bound.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(BoundConnection { pool, index, stream }) = bound.take(upstream, grant) {
            self.attempts.choose_bound(&pool, index);
            return Ok((pool, index, Some(stream)));
        }
        let chosen = self.attempts.choose(|| upstream.pool());
        let (pool, index) = chosen.map_err(|deny| no_server(&mut self.denied, deny))?;
        Ok((pool, index, None))
    }

    /// Keeps a connection to the server at this index for the next request of the client.
    pub(super) fn bind(&mut self, pool: Arc<ServerPool>, index: usize, stream: Stream) {
        let Some((snapshot, grant)) = &self.granted else { return };
        let bound = self.bound.get_mut().unwrap_or_else(PoisonError::into_inner);
        bound.put(snapshot.pool(grant.route()), BoundConnection { pool, index, stream }, grant);
    }

    /// Counts a new connection to the server.
    pub(super) fn connected(&self) {
        self.attempts.connected();
    }

    /// Counts a failed connection. `retry` of the returned error says whether another server is to be tried.
    pub(super) fn not_connected(&mut self, mut error: Box<Error>) -> Box<Error> {
        let again = self.attempts.not_connected(&error);
        self.tell_of_attempt(&error, again);
        error.set_retry(again);
        error
    }

    /// Counts a failed attempt. `retry` of the returned error says whether there is to be another.
    pub(super) fn attempt_failed(&mut self, session: &Session, mut error: Box<Error>, reused: bool) -> Box<Error> {
        let sent = RetryContext {
            method: &session.req_header().method,
            body_is_kept: !session.as_ref().retry_buffer_truncated(),
            answer_begun: session.response_written().is_some(),
            on_reused_connection: reused,
        };
        let again = self.attempts.attempt_failed(&error, &sent);
        self.tell_of_attempt(&error, again);
        error.set_retry(again);
        error
    }

    /// Makes the head for the application, and the framing of its body.
    pub(super) fn forward(&self, session: &Session, has_body: bool) -> pingora::Result<(RequestHeader, Sending)> {
        let Some((snapshot, grant)) = &self.granted else { return Err(Error::new(ErrorType::InternalError)) };
        let digest = session.digest().and_then(|digest| digest.ssl_digest.as_ref()).map(|digest| &digest.cert_digest);
        let certificate = digest.filter(|digest| !digest.is_empty()).map(|digest| HEXLOWER.encode(digest));
        let span = self.record.span.as_ref();
        let added = AddedHeaders { request_id: &self.request_id.0, certificate: certificate.as_deref(), span };
        let body = if self.upgrade {
            Body::Tunnel
        } else if has_body {
            Body::Some
        } else {
            Body::None
        };
        forwarded::request(session.req_header(), body, grant, &snapshot.policy, &added)
    }

    /// Logs a failed attempt. `fail_to_proxy` logs the last one.
    fn tell_of_attempt(&self, error: &Error, again: bool) {
        if again {
            let server = self.attempts.server().map(tracing::field::display);
            let client = self.record.client.map(tracing::field::display);
            warn!(
                request = self.request_id.as_str(),
                client,
                server,
                error = reason(error),
                "attempt failed, trying again"
            );
        }
    }
}

/// The error when no server can be tried.
fn no_server(denied: &mut Option<DenyReason>, deny: DenyReason) -> Box<Error> {
    *denied = Some(deny);
    Error::new_up(ErrorType::ConnectError)
}
