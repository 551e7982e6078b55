//! What systemd is told (sd_notify(3)). Without systemd, nobody is.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

use super::status::Status;
use crate::clock::rfc3339;
use crate::proxy::SharedState;

/// Connections are accepted, under the policy in force: after the start, and after a reload.
pub(super) fn ready(state: &SharedState, status: &Status) {
    send(&[NotifyState::Ready, NotifyState::Status(&status_text(state, status))]);
}

/// A reload begins. [`ready`] ends it, whether or not it brought a new policy.
pub(super) fn reloading() {
    // systemd wants to know which of two reloads it hears of.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(_) => send(&[NotifyState::Reloading]),
    }
}

/// The gate stops.
pub(super) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping: requests in flight may finish")]);
}

/// Another process is the service from now on.
pub(super) fn handed_over(pid: u32) {
    // What that one has said so far was not heard, as it was nobody: with this, its watchdog has all of its time.
    send(&[NotifyState::MainPid(pid), NotifyState::Watchdog]);
}

/// Says again and again that requests are served, if systemd wants to hear it (`WatchdogSec=`), and how: what a successor says
/// before it is the service is not heard.
pub(super) async fn send_watchdog(state: Arc<SharedState>, status: Arc<Status>) {
    let Some(every) = sd_notify::watchdog_enabled() else { return };
    // As sd_watchdog_enabled(3) advises.
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
