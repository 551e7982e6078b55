//! The servers of an upstream, with names that are resolved while Tollgate runs.
//!
//! A name that does not resolve is no error of the configuration: the start and the reload succeed, the last known
//! addresses stay in use, and requests that find no server are answered with 503. `ops::resolve` resolves: this module
//! has the names, the times at which they are due, and the results.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pingora::protocols::tls::CaType;
use tokio::sync::{Notify, watch};

use super::peer::{authorities, peer};
use super::pool::ServerPool;
use super::server::UpstreamServer;
use crate::config::{Host, Upstream};

/// The servers of an upstream: one [`ServerPool`] at a time.
pub struct ResolvedPool {
    upstream: Upstream,
    authorities: Option<Arc<CaType>>,
    pool: ArcSwap<ServerPool>,
    epoch: Instant,
    names: Mutex<Vec<ResolvedName>>,
    /// Each name was resolved once.
    answered: watch::Sender<bool>,
    unreachable: Arc<Notify>,
}

/// A name of an upstream, with its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedName {
    pub host: Host,
    /// The port of its servers.
    pub port: u16,
    /// Its last known addresses, sorted.
    pub addresses: Vec<SocketAddr>,
    /// Unix seconds of the last successful resolution.
    pub resolved_at: Option<i64>,
    /// The error of the last resolution.
    pub error: Option<String>,
    answered: bool,
}

/// The changes by a resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// The name has other addresses than before, or resolves again.
    Addresses,
    /// The name does not resolve any more, or for another reason.
    Error,
}

impl ResolvedPool {
    /// Creates the servers of `upstream`, and keeps what `previous` knows of its names.
    pub(in crate::proxy) fn new<'p>(
        upstream: &Upstream,
        previous: &(impl Iterator<Item = &'p Arc<Self>> + Clone),
    ) -> Self {
        let mut names: Vec<ResolvedName> = Vec::new();
        for server in upstream.servers.iter().filter(|server| server.address().is_none()) {
            let is_this = |name: &ResolvedName| name.host == server.host && name.port == server.port;
            if names.iter().any(is_this) {
                continue;
            }
            let known = previous
                .clone()
                .find_map(|pool| pool.lock().iter().find(|name| is_this(name) && name.resolved_at.is_some()).cloned());
            names.push(known.unwrap_or_else(|| ResolvedName {
                host: server.host.clone(),
                port: server.port,
                addresses: Vec::new(),
                resolved_at: None,
                error: None,
                answered: false,
            }));
        }
        let answered = names.iter().all(|name| name.answered);
        let (epoch, unreachable) = (Instant::now(), Arc::new(Notify::new()));
        let authorities = authorities(upstream);
        let servers = servers(upstream, &names, authorities.as_ref(), &[]);
        Self {
            pool: ArcSwap::from_pointee(ServerPool::new(upstream, servers, epoch, unreachable.clone())),
            upstream: upstream.clone(),
            authorities,
            epoch,
            names: Mutex::new(names),
            answered: watch::Sender::new(answered),
            unreachable,
        }
    }

    /// The upstream settings.
    #[must_use]
    pub const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The servers at this moment.
    #[must_use]
    pub fn pool(&self) -> Arc<ServerPool> {
        self.pool.load_full()
    }

    /// The names, in the order of the configuration.
    #[must_use]
    pub fn names(&self) -> Vec<ResolvedName> {
        self.lock().clone()
    }

    /// Waits until every name was looked up once, with whatever result.
    pub async fn answered(&self) {
        let mut answered = self.answered.subscribe();
        let _ = answered.wait_for(|answered| *answered).await;
    }

    /// Waits until names are to be resolved again: the interval has passed, or a server could not be reached.
    pub async fn due(&self) {
        tokio::time::sleep(MIN_INTERVAL).await;
        tokio::select! {
            () = tokio::time::sleep(self.upstream.resolve.saturating_sub(MIN_INTERVAL)) => {}
            () = self.unreachable.notified() => {}
        }
    }

    /// Applies the result of a resolution at `now` (Unix seconds). Servers at removed addresses get no new requests,
    /// and finish theirs.
    pub fn install(&self, host: &Host, port: u16, found: Result<Vec<SocketAddr>, String>, now: i64) -> Change {
        let mut names = self.lock();
        let Some(name) = names.iter_mut().find(|name| name.host == *host && name.port == port) else {
            return Change::None;
        };
        name.answered = true;
        let change = match found {
            Ok(mut addresses) => {
                // Resolvers give them in another order each time.
                addresses.sort_unstable();
                addresses.dedup();
                let is_other = name.addresses != addresses || name.error.is_some();
                (name.addresses, name.resolved_at, name.error) = (addresses, Some(now), None);
                if is_other { Change::Addresses } else { Change::None }
            }
            Err(error) if name.error.as_ref() == Some(&error) => Change::None,
            Err(error) => {
                name.error = Some(error);
                Change::Error
            }
        };
        if change == Change::Addresses {
            let servers = servers(&self.upstream, &names, self.authorities.as_ref(), self.pool.load().servers());
            let pool = ServerPool::new(&self.upstream, servers, self.epoch, self.unreachable.clone());
            self.pool.store(Arc::new(pool));
        }
        if names.iter().all(|name| name.answered) {
            self.answered.send_replace(true);
        }
        change
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ResolvedName>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ResolvedPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ResolvedPool").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Every server at every address that is known, once; those that are there already are taken over.
fn servers(
    upstream: &Upstream,
    names: &[ResolvedName],
    authorities: Option<&Arc<CaType>>,
    there: &[Arc<UpstreamServer>],
) -> Vec<Arc<UpstreamServer>> {
    let mut servers: Vec<Arc<UpstreamServer>> = Vec::new();
    for server in &upstream.servers {
        let of_name = |name: &&ResolvedName| name.host == server.host && name.port == server.port;
        let named = names.iter().filter(of_name).flat_map(|name| name.addresses.iter().copied());
        for address in server.address().into_iter().chain(named) {
            let is_there = |other: &Arc<UpstreamServer>| other.is_at(address, server);
            if servers.len() < Upstream::MAX_SERVERS && !servers.iter().any(is_there) {
                let known = there.iter().find(|other| other.is(address, server)).cloned();
                servers.push(known.unwrap_or_else(|| {
                    let peer = peer(server, address, upstream, authorities.cloned());
                    Arc::new(UpstreamServer::new(address, server, peer))
                }));
            }
        }
    }
    servers
}

/// Minimum interval between two resolutions of one name, however many requests fail to reach its servers.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
