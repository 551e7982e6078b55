//! Periodic work: reads revocations of other processes, ends tunnels, and deletes what has expired.

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

/// Keeps the revocations in memory current.
pub(super) struct Maintenance {
    state: Arc<SharedState>,
    status: Arc<Status>,
    epochs: Arc<Epochs>,
    /// The sequence number of the last revocation that was read.
    sequence: i64,
}

impl Maintenance {
    /// Reads every revocation in force. Must run before the first request, so that a token that was revoked before a restart is
    /// refused.
    pub(super) async fn begin(
        state: Arc<SharedState>,
        status: Arc<Status>,
        epochs: Arc<Epochs>,
    ) -> Result<Self, StoreError> {
        let mut upkeep = Self { state, status, epochs, sequence: 0 };
        upkeep.poll_revocations().await?;
        Ok(upkeep)
    }

    /// Runs until the process ends.
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
                    // Revocations of this process were in memory before: these come from `tollgate token revoke` or another gate.
                    let line = audit::event("revocation", "success", "").number("count", learned);
                    self.state.journal.audit(line);
                }
                self.report(&result);
            }
        };
        // In a future of its own: a store that hangs must not keep a tunnel with an expired token open.
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

    /// Deletes what has expired, until the process ends. Not part of [`Maintenance::run`], which must not wait for writes to the
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

    /// Logs once that the store does not answer, and once that it answers again.
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

/// Warns about a certificate that expires within two weeks, and about an expired one: once each.
fn tell_of_expiry(state: &SharedState, told: &mut Option<(i64, bool)>) {
    let snapshot = state.snapshot.load();
    let Some(expires_at) = snapshot.policy.tls.as_ref().map(|tls| tls.expires_at) else { return };
    let left = expires_at - now();
    let news = Some((expires_at, left <= 0));
    if left < EXPIRES_SOON && *told != news {
        let verb = if left > 0 { "soon expires" } else { "has expired" };
        warn!(at = rfc3339(expires_at), "a certificate of [server.tls] {verb}: clients reject an expired certificate");
        *told = news;
    }
}

/// A revocation by another process is in force within a second. Tunnels end in the same interval.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum time for which an idle connection to an application stays open after `idle_timeout`.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);
