//! What has to be done again and again: learn of revocations that others wrote, end tunnels, forget what has expired.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::epochs::Epochs;
use super::status::Status;
use crate::clock::{now, rfc3339};
use crate::config::EXPIRES_SOON;
use crate::proxy::{SharedState, audit};
use crate::store::{self, StoreError};

/// Brings the revoked tokens into memory, and keeps them there.
pub(super) struct Maintenance {
    state: Arc<SharedState>,
    status: Arc<Status>,
    epochs: Arc<Epochs>,
    /// The last revocation that was seen.
    sequence: i64,
}

impl Maintenance {
    /// Reads every revocation that counts; before the first request, so that none passes that was revoked before a
    /// restart.
    pub(super) async fn begin(
        state: Arc<SharedState>,
        status: Arc<Status>,
        epochs: Arc<Epochs>,
    ) -> Result<Self, StoreError> {
        let mut upkeep = Self { state, status, epochs, sequence: 0 };
        upkeep.poll_revocations().await?;
        Ok(upkeep)
    }

    /// For ever.
    pub(super) async fn run(mut self) {
        let state = self.state.clone();
        let learning = async {
            let mut tick = every(POLL_INTERVAL);
            loop {
                tick.tick().await;
                let before = self.state.services.revocations.len();
                let result = self.poll_revocations().await;
                let learned = self.state.services.revocations.len().saturating_sub(before);
                if learned > 0 {
                    // Those of this gate were in memory before: these are of `tollgate token revoke`, or another gate's.
                    let line = audit::event("revocation", "success", "").number("count", learned);
                    self.state.journal.audit(line);
                }
                self.report(&result);
            }
        };
        // Apart: a store that hangs must not keep a tunnel open whose token has expired.
        let sweeping = async {
            let mut tick = every(POLL_INTERVAL);
            loop {
                tick.tick().await;
                state.tunnels.close_invalid(&state.services.revocations, &state.snapshot.load().policy, now());
            }
        };
        let closing = async {
            let mut tick = every(CLOSE_INTERVAL);
            loop {
                tick.tick().await;
                state.snapshot.load().close_idle();
            }
        };
        tokio::join!(learning, sweeping, closing);
    }

    /// Forgets what has expired, for ever. Apart from [`Maintenance::run`], which must not wait for whoever writes to the
    /// store.
    pub(super) async fn purge_expired(state: Arc<SharedState>) {
        let mut tick = interval(SWEEP_INTERVAL);
        let mut told = None;
        loop {
            tick.tick().await;
            state.services.revocations.purge_expired(now());
            tell_of_expiry(&state, &mut told);
            if let Err(error) = state.services.store.purge_expired(now()).await {
                error!("expired sessions stay for now: {error}");
            }
        }
    }

    async fn poll_revocations(&mut self) -> Result<(), StoreError> {
        let services = &self.state.services;
        self.sequence = store::load_revocations(&*services.store, &services.revocations, self.sequence, now()).await?;
        self.epochs.catch_up(&self.state.snapshot.load_full()).await
    }

    /// Says it once when the store goes away, and once when it is back.
    fn report(&self, result: &Result<(), StoreError>) {
        let before = self.status.set_store_fails(result.is_err());
        match result {
            Err(error) if !before => error!("the store does not answer, logins fail: {error}"),
            Ok(()) if before => info!("the store answers again"),
            _ => {}
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Warns of a certificate that soon expires, or has: once for each of the two. Whoever renews it may have forgotten to.
fn tell_of_expiry(state: &SharedState, told: &mut Option<(i64, bool)>) {
    let snapshot = state.snapshot.load();
    let Some(expires_at) = snapshot.policy.tls().map(|tls| tls.expires_at()) else { return };
    let left = expires_at - now();
    let news = Some((expires_at, left <= 0));
    if left < EXPIRES_SOON && *told != news {
        let verb = if left > 0 { "soon expires" } else { "has expired" };
        warn!(at = rfc3339(expires_at), "a certificate of [server.tls] {verb}: its clients will not go on");
        *told = news;
    }
}

/// Contract 5: a revocation by another process counts within a second. Tunnels end in the same rhythm.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// A connection to an app may be kept for so much too long.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);
