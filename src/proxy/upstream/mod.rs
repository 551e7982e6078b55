//! Upstream servers: the choice for a request, and the handling of failures.

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

/// The attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    made: usize,
    /// The servers of the first attempt, because `tried` has their indexes.
    pool: Option<Arc<ServerPool>>,
    tried: TriedServers,
    current: Option<InFlight>,
    /// The head of a response has arrived: there is no further attempt.
    answered: bool,
}

/// The facts that decide whether a request can be sent again.
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
    /// Returns the index of the next server, and its pool: the first attempt asks for the `servers`.
    pub(super) fn choose(
        &mut self,
        servers: impl FnOnce() -> Arc<ServerPool>,
    ) -> Result<(Arc<ServerPool>, usize), DenyReason> {
        // First, so that the previous server does not count as busy.
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

    /// Records a failed connection. Returns whether to try another server: nothing was sent, so every method can be
    /// retried.
    pub(super) fn not_connected(&mut self, error: &Error) -> bool {
        let Some(current) = &self.current else { return false };
        // Out of ports, descriptors or memory: not the server's fault, and no server can be reached.
        if error.etype == ErrorType::InternalError {
            return false;
        }
        current.pool().failed_to_connect(current.index(), error);
        self.tried.add(current.index());
        self.made <= current.pool().retries() && current.pool().has_another(self.tried)
    }

    /// Records a new connection to the server.
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

    /// Records a request that failed after it was sent in whole or in part. Returns whether to send it again.
    pub(super) fn attempt_failed(&mut self, error: &Error, sent: &RetryContext<'_>) -> bool {
        let Some(current) = &self.current else { return false };
        if *error.esource() != ErrorSource::Upstream || self.answered || sent.answer_begun {
            return false;
        }
        let closed = matches!(error.etype, ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError);
        // An application can close an idle connection at the moment at which it is used. This is not a failure of the
        // server, and the same server can be tried again.
        let was_idle = closed && sent.on_reused_connection;
        if !was_idle {
            current.pool().failed_to_answer(current.index(), error);
            self.tried.add(current.index());
        }
        // After a timeout the application may still be working, and a response that is not HTTP is a response. A method
        // that is not idempotent may have had its effect (RFC 9110, 9.2.2).
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
