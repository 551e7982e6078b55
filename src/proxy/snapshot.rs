//! One generation of the configuration: the policy, its metrics and the servers of its routes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::metrics::Metrics;
use super::upstream::ResolvedPool;
use crate::config::{Policy, Route, Upstream};

/// One generation of the configuration: the policy, its metrics, and the servers of each route.
#[derive(Debug)]
pub struct Snapshot {
    /// The number of the generation, from 1.
    pub generation: u64,
    /// When the policy came into force, in Unix seconds.
    pub loaded_at: i64,
    /// The rules that Tollgate enforces.
    pub policy: Policy,
    /// Metrics of this generation.
    pub meters: Metrics,
    /// By the indexes of the routes.
    pub(super) pools: Vec<Arc<ResolvedPool>>,
    /// The longest `write_timeout` of any route: a connection does not know to which route its answer belongs.
    pub(super) write_timeout: Duration,
}

impl Snapshot {
    /// Prepares the upstreams of `policy`. Routes with equal upstreams share one. An upstream of `previous` is kept with its
    /// connections and the state of its servers, and so are all counters.
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
        let pools = policy.routing.routes.iter().map(|route| pool_of(&route.upstream)).collect();
        let timeouts = policy.routing.routes.iter().map(|route| route.upstream.write_timeout);
        let write_timeout = timeouts.max().unwrap_or(WRITE_TIMEOUT);
        Self { generation, loaded_at, policy, meters, pools, write_timeout }
    }

    /// Returns each upstream once, with its routes, in the order of the file.
    #[must_use]
    pub fn upstreams(&self) -> Vec<(&Arc<ResolvedPool>, Vec<&Route>)> {
        let mut upstreams: Vec<(&Arc<ResolvedPool>, Vec<&Route>)> = Vec::new();
        let mut places = HashMap::new();
        for route in &self.policy.routing.routes {
            let pool = self.pool(route);
            let place = *places.entry(Arc::as_ptr(pool)).or_insert(upstreams.len());
            if place == upstreams.len() {
                upstreams.push((pool, Vec::new()));
            }
            upstreams[place].1.push(route);
        }
        upstreams
    }

    /// Closes connections to applications that were idle for longer than `idle_timeout`. The maintenance task calls it
    /// every second.
    pub fn close_idle(&self) {
        self.pools.iter().for_each(|pool| pool.pool().close_idle());
    }

    /// Returns the upstream of a route of this policy.
    pub(super) fn pool(&self, route: &Route) -> &Arc<ResolvedPool> {
        &self.pools[route.index]
    }
}

/// The default of `write_timeout`, for a configuration without a route.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
