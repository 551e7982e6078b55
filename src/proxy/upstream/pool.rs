//! The servers of one upstream, prepared once, and which of them to try next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pingora::{Error, ErrorType};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::server::UpstreamServer;
use crate::config::{LoadBalancing, Upstream};

/// Servers that share the requests of one or several routes. Where names have other addresses, another pool takes the place of
/// this one, with the same servers as far as they are the same.
#[derive(Debug)]
pub struct ServerPool {
    upstream: Upstream,
    servers: Vec<Arc<UpstreamServer>>,
    turn: AtomicUsize,
    /// What the resting times of the servers count from, in milliseconds.
    epoch: Instant,
    /// To be told when a server can't be reached: its name may have other addresses by now.
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

/// Why there is no server to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// Those that this request has not tried are away.
    AllTried,
    /// Every one is unhealthy or rests.
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

    /// What the configuration says of them.
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
        // Another attempt takes no turn: else, of two servers, every request would come to the bad one first.
        let turn = if tried == TriedServers::default() {
            self.turn.fetch_add(1, Ordering::Relaxed)
        } else {
            self.turn.load(Ordering::Relaxed)
        };
        let then = now.saturating_add(millis(self.upstream.eject_for()));
        let mut order = (0..count).map(|step| turn.wrapping_add(step) % count).filter(|index| !tried.contains(*index));
        let found = match self.upstream.balance() {
            LoadBalancing::RoundRobin => order.find(|index| self.servers[*index].admits(now, then)),
            LoadBalancing::LeastConnections => {
                let mut skipped = tried;
                loop {
                    let untried = order.clone().filter(|index| !skipped.contains(*index));
                    let awake = untried.filter(|index| self.servers[*index].may_be_retried(now));
                    // Of several the first in turn.
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
        self.servers.iter().for_each(|server| server.idle.close_older_than(self.upstream.idle_timeout()));
    }

    /// Whether [`ServerPool::pick`] would find one.
    pub(super) fn has_another(&self, tried: TriedServers) -> bool {
        let now = self.elapsed();
        let mut servers = self.servers.iter().enumerate();
        servers.any(|(index, server)| !tried.contains(index) && server.may_be_retried(now))
    }

    pub(super) const fn retries(&self) -> usize {
        self.upstream.retries()
    }

    /// Counts a failed connection. A server that can't be reached is ejected even if no other server is left.
    pub(super) fn failed_to_connect(&self, index: usize, error: &Error) {
        self.unreachable.notify_one();
        let failures = self.servers[index].failed_to_connect();
        if self.is_too_much(failures) {
            self.eject(index, failures, error);
        }
    }

    /// That may lie in the request as well as in the server. The last server left is not ejected over it: else a path that
    /// breaks the app would take all of it away.
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
        let limit = self.upstream.eject_after();
        limit > 0 && failures >= limit && self.servers.len() > 1
    }

    fn eject(&self, index: usize, failures: u32, error: &Error) {
        let server = &self.servers[index];
        if server.eject(self.elapsed().saturating_add(millis(self.upstream.eject_for()))) {
            let error = reason(error);
            warn!(server = %server.address(), failures, error, "server ejected: it failed several times in a row");
        }
    }

    fn elapsed(&self) -> u64 {
        // From 1 on, as 0 stands for no time at all.
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

/// What went wrong, for the log. Of TLS with what pingora tells besides, which names the fault and holds nothing of the
/// request; else that may quote it.
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
