//! The only glue to pingora: connections in, the gate's verdict, and what it says done.

mod answer;
pub mod audit;
mod client_stream;
mod closing;
mod connection_state;
mod connections;
mod context;
mod exchange;
mod forwarded;
mod framing;
mod gateway;
mod http2;
mod http2_path;
mod http2_session;
mod listener;
mod login;
pub mod metrics;
mod raw_target;
mod record;
mod redact;
mod redirect;
mod response_framing;
mod trace;
mod tunnel;
mod untrusted;
mod upstream;
mod websocket;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use rustls::ServerConfig;

use crate::config::{Limits, Policy, Route, ServerSettings, Upstream};
use crate::gate::{AddressLimiters, DenyReason, RouteId, TokenCache};
use crate::log_output::LogWriter;
use crate::login::LoginServices;
pub use connections::Connections;
pub use forwarded::preview_headers;
pub use gateway::Gateway;
pub use listener::{BoundListeners, RunningListeners};
use metrics::Metrics;
use redirect::Redirect;
pub use trace::Exporter;
pub use tunnel::Tunnels;
pub use untrusted::Untrusted;
pub use upstream::{Change, ResolvedName, ResolvedPool, ServerPool, ServerState, UpstreamServer, reason};

/// Everything that requests share.
pub struct SharedState {
    /// What judges the requests that come now. A reload stores another one; a request keeps the one that it began with.
    pub snapshot: ArcSwap<Snapshot>,
    /// What changes only with a restart.
    pub server: ServerSettings,
    /// The tokens that were verified under it.
    pub known: TokenCache,
    /// What the clients have used of what they may.
    pub usage: AddressLimiters,
    /// Where logins are answered.
    pub services: LoginServices,
    /// The tunnels that are open for a token.
    pub tunnels: Arc<Tunnels>,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// For request ids.
    pub request_ids: RequestIds,
    /// What is written down.
    pub journal: Arc<LogWriter>,
    /// Where spans go.
    pub exporter: Arc<Exporter>,
    /// Whether operators were told of headers that are not believed.
    pub untrusted: Untrusted,
}

/// Where connections come in, and what holds for them.
pub trait ListenerPolicy: Send + Sync + 'static {
    /// What they may take up.
    fn limits(&self) -> Limits;
    /// How they are encrypted, if they are.
    fn tls(&self) -> Option<Arc<ServerConfig>>;
    /// Whether this address is a proxy's, which speaks for many clients.
    fn trusts(&self, address: IpAddr) -> bool;
    /// How long a client may take nothing of what is for it.
    fn write_timeout(&self) -> Duration;
    /// A request was refused before it was one. Nobody else counts it.
    fn refused(&self, _deny: DenyReason) {}
}

impl SharedState {
    /// How many connections of clients may be open at this moment.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.limits().connections().unwrap_or(*listener::DEFAULT_MAX_CONNECTIONS)
    }
}

impl ListenerPolicy for SharedState {
    fn limits(&self) -> Limits {
        self.snapshot.load().policy.limits().clone()
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.snapshot.load().policy.tls().map(|tls| tls.config().clone())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.server.proxies().trusts(address.to_canonical())
    }

    fn write_timeout(&self) -> Duration {
        self.snapshot.load().write_timeout
    }

    fn refused(&self, deny: DenyReason) {
        let row = deny.response();
        let snapshot = self.snapshot.load();
        // It took the gate no time, however long it was waited for.
        snapshot.meters.at(RouteId::None).count(
            metrics::RequestOutcome::Denied,
            row.reason,
            Some(row.status),
            Duration::ZERO,
        );
    }
}

/// That of the operators: no file's limits hold, so that they can look when the gate is full.
#[derive(Debug)]
pub struct DefaultListenerPolicy;

impl ListenerPolicy for DefaultListenerPolicy {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        None
    }

    fn trusts(&self, _: IpAddr) -> bool {
        true
    }

    fn write_timeout(&self) -> Duration {
        WRITE_TIMEOUT
    }
}

/// One generation: the policy, and for each of its routes the servers behind it.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up from 1 with every policy that came into force.
    pub generation: u64,
    /// When it did, Unix seconds.
    pub loaded_at: i64,
    /// What the gate enforces.
    pub policy: Policy,
    /// What is counted under it.
    pub meters: Metrics,
    /// By the routes' places.
    pools: Vec<Arc<ResolvedPool>>,
    /// The longest of any route: whose answer it is, a connection does not know.
    write_timeout: Duration,
}

impl Snapshot {
    /// Prepares the upstreams of `policy`. Routes that say the same of theirs share one, and what `previous` has is kept:
    /// with its connections, all that is known of the servers, and the counters of every place.
    #[must_use]
    pub fn new(policy: Policy, generation: u64, loaded_at: i64, previous: Option<&Self>) -> Self {
        let meters = Metrics::new(&policy, previous.map(|previous| &previous.meters));
        let there = previous.iter().flat_map(|previous| &previous.pools);
        let mut pools: HashMap<Upstream, Arc<ResolvedPool>> =
            there.clone().map(|pool| (pool.upstream().clone(), pool.clone())).collect();
        let mut pool_of = |upstream: &Upstream| {
            let new = || Arc::new(ResolvedPool::new(upstream, &there));
            pools.entry(upstream.clone()).or_insert_with(new).clone()
        };
        let pools = policy.routing().routes().iter().map(|route| pool_of(route.upstream())).collect();
        let timeouts = policy.routing().routes().iter().map(|route| route.upstream().write_timeout());
        let write_timeout = timeouts.max().unwrap_or(WRITE_TIMEOUT);
        Self { generation, loaded_at, policy, meters, pools, write_timeout }
    }

    /// Every upstream once, with the routes that lead to it, in the order of the file.
    #[must_use]
    pub fn upstreams(&self) -> Vec<(&Arc<ResolvedPool>, Vec<&Route>)> {
        let mut upstreams: Vec<(&Arc<ResolvedPool>, Vec<&Route>)> = Vec::new();
        let mut places = HashMap::new();
        for route in self.policy.routing().routes() {
            let pool = self.pool(route);
            let place = *places.entry(Arc::as_ptr(pool)).or_insert(upstreams.len());
            if place == upstreams.len() {
                upstreams.push((pool, Vec::new()));
            }
            upstreams[place].1.push(route);
        }
        upstreams
    }

    /// Closes the connections to apps that nobody has used for too long. To be called every now and then.
    pub fn close_idle(&self) {
        self.pools.iter().for_each(|pool| pool.pool().close_idle());
    }

    /// Where a route of this policy leads.
    fn pool(&self, route: &Route) -> &Arc<ResolvedPool> {
        &self.pools[route.index()]
    }
}

/// Names requests: a counter under a keyed hash, so that an id tells neither how many requests there were nor the next id.
#[derive(Debug)]
pub struct RequestIds {
    /// SipHash with a random key of 128 bits.
    key: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    /// For this process.
    #[must_use]
    pub fn new() -> Self {
        Self { key: RandomState::new(), next: AtomicU64::new(0) }
    }

    fn next(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 32];
        for (half, text) in text.chunks_exact_mut(16).enumerate() {
            HEXLOWER.encode_mut(&self.key.hash_one((number, half)).to_be_bytes(), text);
        }
        RequestId(text)
    }
}

/// The name of a request: 32 hex digits.
#[derive(Clone, Copy)]
struct RequestId([u8; 32]);

impl RequestId {
    fn as_str(&self) -> &str {
        // Digits are text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// Where no route says so: the default of theirs.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn request_ids_tell_neither_their_number_nor_the_next_one() {
        let (ids, others) = (RequestIds::new(), RequestIds::new());
        let made: Vec<_> = (0..1000).map(|_| ids.next().as_str().to_owned()).collect();
        let mut parts = HashSet::new();
        for id in &made {
            assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
            // No half of an id stays, or counts up.
            assert!(parts.insert(id[..16].to_owned()) && parts.insert(id[16..].to_owned()), "{id}");
        }
        assert!(!made.is_sorted() && !made.iter().rev().is_sorted());
        assert_ne!(others.next().as_str(), made[0], "of another process");
    }
}
