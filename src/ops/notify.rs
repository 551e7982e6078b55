//! Messages to systemd (sd_notify(3)). Without systemd, they have no effect.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

use super::status::Status;
use crate::clock::rfc3339;
use crate::proxy::SharedState;

/// Reports that connections are accepted, after the start and after a reload.
pub(super) fn ready(state: &SharedState, status: &Status) {
    send(&[NotifyState::Ready, NotifyState::Status(&status_text(state, status))]);
}

/// Reports that a reload begins. [`ready`] ends it, with or without a new policy.
pub(super) fn reloading() {
    // systemd needs the time to tell two reloads apart.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// Reports that Tollgate stops.
pub(super) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping: requests in flight may finish")]);
}

/// Reports that another process is the service from now on.
pub(super) fn handed_over(pid: u32) {
    // systemd ignored the messages of that process before it was the main process: this restarts its watchdog time.
    send(&[NotifyState::MainPid(pid), NotifyState::Watchdog]);
}

/// Reports periodically that requests are served, if `WatchdogSec=` is set, and the status: systemd ignores the messages of a
/// successor before it is the service.
pub(super) async fn send_watchdog(state: Arc<SharedState>, status: Arc<Status>) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    // As sd_watchdog_enabled(3) recommends.
    let mut tick = tokio::time::interval((every / 2).max(Duration::from_millis(1)));
    loop {
        tick.tick().await;
        send(&[NotifyState::Watchdog, NotifyState::Status(&status_text(&state, &status))]);
    }
}

fn status_text(state: &SharedState, status: &Status) -> String {
    let snapshot = state.snapshot.load();
    let since = rfc3339(snapshot.loaded_at);
    let begin = format!("policy generation {}, in force since {since}", snapshot.generation);
    match status.last_reload() {
        Some(reload) if !reload.errors.is_empty() => {
            let more = if reload.errors.len() > 1 { ", …" } else { "" };
            format!("{begin}; the last reload failed: {}{more}", reload.errors[0])
        }
        _ => begin,
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("can't tell systemd: {error}");
    }
}
