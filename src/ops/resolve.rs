//! Resolves the names of upstreams in the background, so that neither a start nor a reload depends on the network.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tracing::{info, warn};

use super::health::HealthChecker;
use crate::clock::now;
use crate::config::{Host, ServerSettings};
use crate::proxy::{Change, ResolvedPool, Snapshot};

/// A task for each upstream that has names.
pub(super) struct Resolver {
    tasks: Mutex<Vec<(Arc<ResolvedPool>, AbortHandle)>>,
    server: ServerSettings,
    checker: Arc<HealthChecker>,
}

impl Resolver {
    /// `server`: names with a listen address of Tollgate are refused. `checker` checks new servers.
    pub(super) fn new(server: ServerSettings, checker: Arc<HealthChecker>) -> Self {
        Self { tasks: Mutex::default(), server, checker }
    }

    /// Resolves the names of the first snapshot, and checks the servers that they lead to. Returns once each name was looked
    /// up, or after [`WAIT_AT_START`]: the other names are resolved while requests are served.
    pub(super) async fn begin(&self, snapshot: &Snapshot) {
        self.update(snapshot, WAIT_AT_START).await;
    }

    /// The same for the next snapshot, with [`WAIT_AT_RELOAD`].
    pub(super) async fn follow(&self, snapshot: &Snapshot) {
        self.update(snapshot, WAIT_AT_RELOAD).await;
    }

    async fn update(&self, snapshot: &Snapshot, wait: Duration) {
        let named = snapshot.upstreams().into_iter().map(|(pool, _)| pool.clone());
        let named: Vec<_> = named.filter(|pool| !pool.names().is_empty()).collect();
        {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.retain(|(pool, task)| {
                let stays = named.iter().any(|wanted| Arc::ptr_eq(wanted, pool));
                if !stays {
                    task.abort();
                }
                stays
            });
            for pool in &named {
                if !tasks.iter().any(|(known, _)| Arc::ptr_eq(known, pool)) {
                    let task = run(pool.clone(), self.server.clone(), self.checker.clone());
                    tasks.push((pool.clone(), tokio::spawn(task).abort_handle()));
                }
            }
        }
        let all = async {
            for pool in &named {
                pool.answered().await;
            }
        };
        let _ = tokio::time::timeout(wait, all).await;
        self.checker.update(snapshot);
    }
}

async fn run(pool: Arc<ResolvedPool>, server: ServerSettings, checker: Arc<HealthChecker>) {
    loop {
        // Each name in a task of its own: a resolver that hangs must not delay the other names.
        let mut lookups = JoinSet::new();
        for name in pool.names() {
            lookups.spawn(resolve(pool.clone(), (name.host, name.port), server.clone(), checker.clone()));
        }
        lookups.join_all().await;
        pool.due().await;
    }
}

/// Resolves a name once. One resolution of a name runs at a time, however long it takes.
async fn resolve(
    pool: Arc<ResolvedPool>,
    (host, port): (Host, u16),
    server: ServerSettings,
    checker: Arc<HealthChecker>,
) {
    let name = host.as_str().to_owned();
    let mut lookup = tokio::task::spawn_blocking(move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    let found = match tokio::time::timeout(LATE, &mut lookup).await {
        Ok(found) => found,
        Err(_) => {
            install(&pool, &checker, (&host, port), Err(format!("the resolver has not answered within {LATE:?}")));
            lookup.await
        }
    };
    // A panic of the library, or the end of the process.
    let Ok(found) = found else { return };
    install(&pool, &checker, (&host, port), usable(found.map_err(|error| error.to_string()), &server));
}

/// Addresses to which requests can go.
fn usable(found: Result<Vec<SocketAddr>, String>, server: &ServerSettings) -> Result<Vec<SocketAddr>, String> {
    let found = found?;
    if let Some(own) = found.iter().find(|address| server.is_at(**address)) {
        return Err(format!("{own} is a listen address of Tollgate (proxy loop)"));
    }
    if found.is_empty() { Err("it has no address".into()) } else { Ok(found) }
}

fn install(
    pool: &ResolvedPool,
    checker: &HealthChecker,
    (host, port): (&Host, u16),
    found: Result<Vec<SocketAddr>, String>,
) {
    let told = found.clone();
    match (pool.install(host, port, found, now()), told) {
        (Change::Addresses, Ok(addresses)) => {
            info!(%host, port, ?addresses, "addresses of an upstream");
            checker.follow_pool(pool);
        }
        (Change::Error, Err(error)) => {
            let addresses = pool.names().into_iter().find(|name| name.host == *host && name.port == port);
            let last_known = addresses.map(|name| name.addresses).unwrap_or_default();
            let then = if last_known.is_empty() {
                "requests for it are answered with 503 until it does"
            } else {
                "the last known addresses stay in use"
            };
            warn!(%host, port, error, ?last_known, "an upstream name does not resolve: {then}");
        }
        _ => {}
    }
}

/// How long a start waits for the names of its upstreams.
const WAIT_AT_START: Duration = Duration::from_secs(2);
/// How long a reload does: the next policy may take away access, so it does not wait long.
const WAIT_AT_RELOAD: Duration = Duration::from_millis(300);
/// Time after which a look-up counts as failed. Its result is still used when it comes.
const LATE: Duration = Duration::from_secs(5);
