//! One server and its state. Requests and health checks read and write the state without a lock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use pingora::protocols::Stream;
use pingora::upstreams::peer::HttpPeer;

use super::idle::IdleConnections;
use crate::config::ServerAddress;

/// One server of an upstream.
#[derive(Debug)]
pub struct UpstreamServer {
    address: SocketAddr,
    authority: String,
    /// The name in its certificate, with TLS.
    name: Option<Arc<str>>,
    pub(super) peer: HttpPeer,
    pub(super) idle: IdleConnections,
    in_flight: AtomicUsize,
    /// The result of the active health checks.
    healthy: AtomicBool,
    /// Consecutive.
    failed_connections: AtomicU32,
    /// Consecutive.
    failed_answers: AtomicU32,
    /// In total.
    failures: AtomicU64,
    /// 0: not ejected. Otherwise ejected until this time of its pool, and on trial after that.
    rests_until: AtomicU64,
}

/// The state of a server at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerState {
    pub address: SocketAddr,
    /// The result of the active health checks; true without checks.
    pub healthy: bool,
    /// It failed too often in a row, without a success since.
    pub ejected: bool,
    /// The requests that are with it, tunnels included.
    pub in_flight: usize,
    /// Connections that could not be made and requests that got no answer, since its pool began.
    pub failures: u64,
}

impl UpstreamServer {
    pub(super) fn new(address: SocketAddr, server: &ServerAddress, peer: HttpPeer) -> Self {
        Self {
            address,
            authority: server.authority.as_str().into(),
            name: server.name.clone(),
            peer,
            idle: IdleConnections::default(),
            in_flight: AtomicUsize::new(0),
            healthy: AtomicBool::new(true),
            failed_connections: AtomicU32::new(0),
            failed_answers: AtomicU32::new(0),
            failures: AtomicU64::new(0),
            rests_until: AtomicU64::new(0),
        }
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port, as the configuration has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns whether requests for `server` at this address would go to this one, under any name.
    pub(super) fn is_at(&self, address: SocketAddr, server: &ServerAddress) -> bool {
        self.address == address && self.name.as_ref() == server.name.as_ref()
    }

    /// Returns whether it is `server` at this address.
    pub(super) fn is(&self, address: SocketAddr, server: &ServerAddress) -> bool {
        self.is_at(address, server) && self.authority == server.authority
    }

    /// The peer for pingora.
    #[must_use]
    pub const fn peer(&self) -> &HttpPeer {
        &self.peer
    }

    /// A connection to it that waits for a request.
    pub(in crate::proxy) fn take_idle(&self) -> Option<Stream> {
        self.idle.take()
    }

    /// Keeps a connection for another request.
    pub(in crate::proxy) fn park(&self, stream: Stream) {
        // A time of 0 means that none is kept.
        if self.peer.options.idle_timeout.is_some_and(|patience| !patience.is_zero()) {
            self.idle.put_back(stream);
        }
    }

    #[must_use]
    pub fn state(&self) -> ServerState {
        ServerState {
            address: self.address,
            healthy: self.is_healthy(),
            ejected: self.rests_until.load(Ordering::Relaxed) != 0,
            in_flight: self.in_flight(),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Returns the result of the active health checks.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Sets the health. A server that becomes healthy is no longer ejected.
    pub fn set_healthy(&self, healthy: bool) {
        if healthy && !self.is_healthy() {
            self.reset_failures();
        }
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns whether it is in use, and not on trial.
    pub(super) fn is_in_use(&self) -> bool {
        self.is_healthy() && self.rests_until.load(Ordering::Relaxed) == 0
    }

    /// Returns whether it is in use, or due for a trial.
    pub(super) fn may_be_retried(&self, now: u64) -> bool {
        self.is_healthy() && self.rests_until.load(Ordering::Relaxed) <= now
    }

    /// Returns whether it gets a request. A server after its ejection gets a single trial request, and stays ejected
    /// meanwhile until `then`.
    pub(super) fn admits(&self, now: u64, then: u64) -> bool {
        let until = self.rests_until.load(Ordering::Relaxed);
        if !self.is_healthy() || until > now {
            return false;
        }
        until == 0 || self.rests_until.compare_exchange(until, then, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Returns how often in a row.
    pub(super) fn failed_to_connect(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.failed_connections.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Returns how often in a row.
    pub(super) fn failed_to_answer(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.failed_answers.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Records a connection. It says nothing about responses: returns the number of consecutive missing responses.
    pub(super) fn connected(&self) -> u32 {
        // Looked at first: every request would take the line of memory away from the other threads otherwise.
        if self.failed_connections.load(Ordering::Relaxed) != 0 {
            self.failed_connections.store(0, Ordering::Relaxed);
        }
        self.failed_answers.load(Ordering::Relaxed)
    }

    /// Ejects it. Returns whether it was in use until now.
    pub(super) fn eject(&self, until: u64) -> bool {
        self.rests_until.swap(until.max(1), Ordering::Relaxed) == 0
    }

    /// Ends its ejection. Returns whether it was ejected.
    pub(super) fn restore(&self) -> bool {
        self.rests_until.load(Ordering::Relaxed) != 0 && self.rests_until.swap(0, Ordering::Relaxed) != 0
    }

    /// Forgets that it failed. Returns whether it was ejected.
    pub(super) fn reset_failures(&self) -> bool {
        if self.connected() != 0 {
            self.failed_answers.store(0, Ordering::Relaxed);
        }
        self.restore()
    }
}
