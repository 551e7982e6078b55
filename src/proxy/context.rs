//! What one request carries from hook to hook, and what becomes of it on its way to an app.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use data_encoding::HEXLOWER;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tracing::warn;

use super::forwarded::{self, AddedHeaders, Body};
use super::raw_target::Hidden;
use super::record::RequestRecord;
use super::upstream::{Attempts, BoundConnection, BoundConnections, RetryContext, Sending, ServerPool, reason};
use super::{RequestId, Snapshot};
use crate::gate::{DenyReason, Grant, RequestPermits};

/// What one request carries from hook to hook.
#[derive(Debug)]
pub struct RequestContext {
    pub(super) request_id: RequestId,
    pub(super) record: RequestRecord,
    pub(super) granted: Option<(Arc<Snapshot>, Box<Grant>)>,
    pub(super) denied: Option<DenyReason>,
    pub(super) attempts: Attempts,
    /// What of its target pingora does not show.
    pub(super) hidden: Option<Hidden>,
    /// A body is announced.
    pub(super) has_body: bool,
    /// It asks for the upgrade to a WebSocket.
    pub(super) upgrade: bool,
    /// When the first piece of its body came, over HTTP/2.
    pub(super) body_began: Option<Instant>,
    /// What it was let in by, until it ends, however it does.
    pub(super) permits: RequestPermits,
    /// Connections to apps that are the client's own. Behind a lock, as pingora shows who takes them a shared context.
    pub(super) bound: Mutex<BoundConnections>,
}

impl RequestContext {
    /// Of a request that has just come.
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
            body_began: None,
            permits: RequestPermits::default(),
            bound: Mutex::default(),
        }
    }

    /// The servers that the request may go to, and the place of the next one, with the client's own connection to it, if
    /// there is one.
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

    /// Keeps a connection to the server of this place for the client's next request.
    pub(super) fn bind(&mut self, pool: Arc<ServerPool>, index: usize, stream: Stream) {
        let Some((snapshot, grant)) = &self.granted else { return };
        let bound = self.bound.get_mut().unwrap_or_else(PoisonError::into_inner);
        bound.put(snapshot.pool(grant.route()), BoundConnection { pool, index, stream }, grant);
    }

    /// There is a new connection to the server.
    pub(super) fn connected(&self) {
        self.attempts.connected();
    }

    /// There is none. The error then says whether another server is to be asked.
    pub(super) fn not_connected(&mut self, mut error: Box<Error>) -> Box<Error> {
        let again = self.attempts.not_connected(&error);
        self.tell_of_attempt(&error, again);
        error.set_retry(again);
        error
    }

    /// An attempt went wrong. The error then says whether there is to be another.
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

    /// What is sent to the app, and how its body is.
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

    /// Of the last one `fail_to_proxy` tells.
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

/// There is nobody to ask.
fn no_server(denied: &mut Option<DenyReason>, deny: DenyReason) -> Box<Error> {
    *denied = Some(deny);
    Error::new_up(ErrorType::ConnectError)
}
