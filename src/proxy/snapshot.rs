//! One generation of the configuration: the policy, its metrics and the servers of its routes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::metrics::Metrics;
use super::upstream::ResolvedPool;
use crate::config::{Policy, Route, Upstream};

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
    pub(super) pools: Vec<Arc<ResolvedPool>>,
    /// The longest of any route: whose answer it is, a connection does not know.
    pub(super) write_timeout: Duration,
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
    pub(super) fn pool(&self, route: &Route) -> &Arc<ResolvedPool> {
        &self.pools[route.index()]
    }
}

/// Where no route says so: the default of theirs.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
