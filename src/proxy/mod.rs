//! The only glue to pingora: connections in, the gate's verdict, and what it says done.

mod answer;
mod gateway;
mod listener;
mod login;
mod tunnel;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::config::{Policy, Server};
use crate::gate::KnownTokens;
use crate::login::Desk;
pub use gateway::Gateway;
pub use listener::{Bound, Listening, bind};
pub use tunnel::Tunnels;
use upstream::Pool;

/// Everything that requests share.
pub struct State {
    /// What judges the requests that come now. A reload stores another one; a request keeps the one that it began with.
    pub snapshot: ArcSwap<Snapshot>,
    /// What changes only with a restart.
    pub server: Server,
    /// The tokens that were verified under it.
    pub known: KnownTokens,
    /// Where logins are answered.
    pub desk: Desk,
    /// The tunnels that are open for a token.
    pub tunnels: Arc<Tunnels>,
    /// For request ids.
    pub request_ids: RequestIds,
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
    pools: Vec<Pool>,
}

impl Snapshot {
    /// Prepares the upstreams of `policy`.
    #[must_use]
    pub fn new(policy: Policy, generation: u64, loaded_at: i64) -> Self {
        let pools = policy.routing().routes().iter().map(|route| Pool::new(route.upstream())).collect();
        Self { generation, loaded_at, policy, pools }
    }
}

/// Names requests: a random number for the process, and a counter.
#[derive(Debug)]
pub struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// For this process.
    #[must_use]
    pub fn new() -> Self {
        let random = uuid::Uuid::new_v4().as_u64_pair();
        Self { process: random.0, next: AtomicU64::new(random.1 >> 32) }
    }

    /// The next one: 32 hex digits.
    fn next(&self) -> String {
        format!("{:016x}{:016x}", self.process, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}
