//! The servers behind the routes: which of them a request goes to, and what becomes of it when one fails.

mod bound;
mod connection;
mod head;
mod idle;
mod peer;
mod pool;
mod resolved;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;
use pingora::{Error, ErrorSource, ErrorType};

pub(super) use bound::{BoundConnection, BoundConnections};
pub(super) use connection::{Afterwards, Connection, Event, Sending};
pub(super) use head::Head;
use pool::{InFlight, NoServer, TriedServers};
pub use pool::{ServerPool, reason};
pub use resolved::{Change, ResolvedName, ResolvedPool};
pub use server::{ServerState, UpstreamServer};

use crate::gate::DenyReason;

/// What one request has tried.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    made: usize,
    /// The servers to choose from: those of the first attempt, since `tried` counts by their places.
    pool: Option<Arc<ServerPool>>,
    tried: TriedServers,
    current: Option<InFlight>,
    /// There is the head of an answer: from then on there is no other attempt.
    answered: bool,
}

/// What the question whether a request may be sent again depends on.
pub(super) struct RetryContext<'r> {
    pub(super) method: &'r Method,
    /// All of its body that was read so far is still there.
    pub(super) body_is_kept: bool,
    /// Something went to the client.
    pub(super) answer_begun: bool,
    /// The connection had carried another request before.
    pub(super) on_reused_connection: bool,
}

impl Attempts {
    /// The place of the next server to be tried, and the pool that it is in: the first attempt asks for the `servers`.
    pub(super) fn choose(
        &mut self,
        servers: impl FnOnce() -> Arc<ServerPool>,
    ) -> Result<(Arc<ServerPool>, usize), DenyReason> {
        // First of all, so that the one before does not count as busy.
        self.current = None;
        let pool = self.pool.get_or_insert_with(servers);
        let chosen = pool.pick(self.tried).map_err(|none| match none {
            NoServer::AllTried => DenyReason::UpstreamFailed,
            NoServer::AllAway => DenyReason::UpstreamUnavailable,
        })?;
        self.made += 1;
        let found = (pool.clone(), chosen.index());
        self.current = Some(chosen);
        Ok(found)
    }

    /// Tries the server of `pool` at this index, regardless of the turn: the client has a connection of its own to it.
    pub(super) fn choose_bound(&mut self, pool: &Arc<ServerPool>, index: usize) {
        self.current = None;
        self.made += 1;
        self.current = Some(pool.enter(index));
    }

    /// There is no connection to the server. Says whether another one is to be asked: nothing was sent yet, so that it may
    /// be, whatever the method.
    pub(super) fn not_connected(&mut self, error: &Error) -> bool {
        let Some(current) = &self.current else { return false };
        // Out of ports, descriptors or memory: no server's fault, and none can be reached.
        if error.etype == ErrorType::InternalError {
            return false;
        }
        current.pool().failed_to_connect(current.index(), error);
        self.tried.add(current.index());
        self.made <= current.pool().retries() && current.pool().has_another(self.tried)
    }

    /// There is a new connection to the server.
    pub(super) fn connected(&self) {
        if let Some(current) = &self.current {
            current.pool().connected(current.index());
        }
    }

    /// The head of an answer is there, of whatever status.
    pub(super) fn answered(&mut self) {
        if self.answered {
            return;
        }
        self.answered = true;
        if let Some(current) = &self.current {
            current.pool().answered(current.index());
        }
    }

    /// The request was sent, as a whole or in part, and went wrong. Says whether it is to be sent again.
    pub(super) fn attempt_failed(&mut self, error: &Error, sent: &RetryContext<'_>) -> bool {
        let Some(current) = &self.current else { return false };
        if *error.esource() != ErrorSource::Upstream || self.answered || sent.answer_begun {
            return false;
        }
        let closed = matches!(error.etype, ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError);
        // An app can close an idle connection at the moment at which it is used. This is not a failure of the server, and the
        // same server can be tried again.
        let was_idle = closed && sent.on_reused_connection;
        if !was_idle {
            current.pool().failed_to_answer(current.index(), error);
            self.tried.add(current.index());
        }
        // After a time-out the app may be at it still, and what is no HTTP is an answer, too. A method that is not idempotent
        // may have done its work (RFC 9110, 9.2.2).
        closed
            && sent.method.is_idempotent()
            && sent.body_is_kept
            && self.made <= current.pool().retries()
            && current.pool().has_another(self.tried)
    }

    /// The server that was tried last.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        self.current.as_ref().map(|current| current.server().address())
    }
}

#[cfg(test)]
mod tests;
