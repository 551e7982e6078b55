//! The servers of one upstream, prepared once, and which of them to try next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pingora::{Error, ErrorType};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::server::UpstreamServer;
use crate::config::{LoadBalancing, Upstream};

/// The servers of one or several routes. When names resolve to other addresses, another pool replaces this one and
/// keeps the servers that are the same.
#[derive(Debug)]
pub struct ServerPool {
    upstream: Upstream,
    servers: Vec<Arc<UpstreamServer>>,
    turn: AtomicUsize,
    /// The zero point of the ejection times, in milliseconds.
    epoch: Instant,
    /// Notified when a server is unreachable: its name may have other addresses.
    unreachable: Arc<Notify>,
}

/// A request that is with a server, until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    pool: Arc<ServerPool>,
    index: usize,
}

/// The servers that a request has tried, one bit each: a configuration with more than 64 for a route is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TriedServers(u64);

/// The reason that there is no server to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// All servers that this request has not tried are unavailable.
    AllTried,
    /// Every server is unhealthy or ejected.
    AllAway,
}

impl ServerPool {
    /// Pools with the same servers have the same `epoch`.
    pub(super) fn new(
        upstream: &Upstream,
        servers: Vec<Arc<UpstreamServer>>,
        epoch: Instant,
        unreachable: Arc<Notify>,
    ) -> Self {
        Self { servers, turn: AtomicUsize::new(0), epoch, unreachable, upstream: upstream.clone() }
    }

    /// The upstream settings.
    #[must_use]
    pub const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// In the order of the configuration.
    #[must_use]
    pub fn servers(&self) -> &[Arc<UpstreamServer>] {
        &self.servers
    }

    /// Picks a server that was not tried, is healthy and is not ejected. A single server is never ejected.
    pub(super) fn pick(self: &Arc<Self>, tried: TriedServers) -> Result<InFlight, NoServer> {
        let (now, count) = (self.elapsed(), self.servers.len());
        // A retry takes no turn: otherwise, with two servers, every request would try the bad one first.
        let turn = if tried == TriedServers::default() {
            self.turn.fetch_add(1, Ordering::Relaxed)
        } else {
            self.turn.load(Ordering::Relaxed)
        };
        let then = now.saturating_add(millis(self.upstream.eject_for));
        let mut order = (0..count).map(|step| turn.wrapping_add(step) % count).filter(|index| !tried.contains(*index));
        let found = match self.upstream.balance {
            LoadBalancing::RoundRobin => order.find(|index| self.servers[*index].admits(now, then)),
            LoadBalancing::LeastConnections => {
                let mut skipped = tried;
                loop {
                    let untried = order.clone().filter(|index| !skipped.contains(*index));
                    let awake = untried.filter(|index| self.servers[*index].may_be_retried(now));
                    // Of several, the first in turn.
                    let Some(index) = awake.min_by_key(|index| self.servers[*index].in_flight()) else { break None };
                    if self.servers[index].admits(now, then) {
                        break Some(index);
                    }
                    skipped.add(index);
                }
            }
        };
        match found {
            Some(index) => Ok(self.enter(index)),
            None if tried == TriedServers::default() => Err(NoServer::AllAway),
            None => Err(NoServer::AllTried),
        }
    }

    /// A request for the server at this place.
    pub(super) fn enter(self: &Arc<Self>, index: usize) -> InFlight {
        self.servers[index].enter();
        InFlight { pool: self.clone(), index }
    }

    /// Closes connections that were idle for longer than `idle_timeout`.
    pub(in crate::proxy) fn close_idle(&self) {
        self.servers.iter().for_each(|server| server.idle.close_older_than(self.upstream.idle_timeout));
    }

    /// Returns whether [`ServerPool::pick`] would find one.
    pub(super) fn has_another(&self, tried: TriedServers) -> bool {
        let now = self.elapsed();
        let mut servers = self.servers.iter().enumerate();
        servers.any(|(index, server)| !tried.contains(index) && server.may_be_retried(now))
    }

    pub(super) const fn retries(&self) -> usize {
        self.upstream.retries
    }

    /// Counts a failed connection. A server that can't be reached is ejected even if no other server is left.
    pub(super) fn failed_to_connect(&self, index: usize, error: &Error) {
        self.unreachable.notify_one();
        let failures = self.servers[index].failed_to_connect();
        if self.is_too_much(failures) {
            self.eject(index, failures, error);
        }
    }

    /// Records a missing response. The request can be the cause. The last server in use is not ejected for it:
    /// otherwise a path that crashes the application would make all of it unavailable.
    pub(super) fn failed_to_answer(&self, index: usize, error: &Error) {
        let failures = self.servers[index].failed_to_answer();
        let mut others = self.servers.iter().enumerate().filter(|(other, _)| *other != index);
        if self.is_too_much(failures) && others.any(|(_, server)| server.is_in_use()) {
            self.eject(index, failures, error);
        }
    }

    pub(super) fn connected(&self, index: usize) {
        let server = &self.servers[index];
        if !self.is_too_much(server.connected()) && server.restore() {
            info!(server = %server.address(), "server is back: it takes connections");
        }
    }

    pub(super) fn answered(&self, index: usize) {
        let server = &self.servers[index];
        if server.reset_failures() {
            info!(server = %server.address(), "server is back: it answers");
        }
    }

    fn is_too_much(&self, failures: u32) -> bool {
        let limit = self.upstream.eject_after;
        limit > 0 && failures >= limit && self.servers.len() > 1
    }

    fn eject(&self, index: usize, failures: u32, error: &Error) {
        let server = &self.servers[index];
        if server.eject(self.elapsed().saturating_add(millis(self.upstream.eject_for))) {
            let error = reason(error);
            warn!(server = %server.address(), failures, error, "server ejected: it failed several times in a row");
        }
    }

    fn elapsed(&self) -> u64 {
        // From 1 on, because 0 means none.
        millis(self.epoch.elapsed()).saturating_add(1)
    }
}

impl InFlight {
    pub(super) const fn pool(&self) -> &Arc<ServerPool> {
        &self.pool
    }

    pub(super) const fn index(&self) -> usize {
        self.index
    }

    pub(super) fn server(&self) -> &UpstreamServer {
        &self.pool.servers[self.index]
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.server().leave();
    }
}

impl TriedServers {
    pub(super) const fn add(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    const fn contains(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }
}

/// Returns the cause for the log. For TLS with pingora's context, which names the fault and contains nothing of the
/// request; other contexts can quote it.
#[must_use]
pub fn reason(error: &Error) -> String {
    match (&error.etype, &error.context) {
        (ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert, Some(context)) => context.as_str().into(),
        (etype, _) => etype.as_str().into(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
