//! A new policy while requests run: on SIGHUP, and when a file changes that the policy was read from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::epochs::Epochs;
use super::jwks::JwksFetcher;
use super::logging;
use super::notify;
use super::prepare;
use super::resolve::Resolver;
use super::status::{ReloadResult, Status};
use super::watch::FileWatcher;
use crate::clock::now;
use crate::config::{Config, Mode};
use crate::proxy::{SharedState, Snapshot, audit};

/// Reloads the policy when the file changes.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) state: Arc<SharedState>,
    pub(super) status: Arc<Status>,
    pub(super) fetcher: Arc<JwksFetcher>,
    pub(super) epochs: Arc<Epochs>,
    pub(super) resolver: Resolver,
    /// The configuration from the start of the process; only its restart-only part is used.
    pub(super) started: Config,
    pub(super) watch: FileWatcher,
    /// Called with every new policy.
    pub(super) reloaded: Arc<Notify>,
}

impl Reloader {
    /// Reloads on every trigger. Does not return.
    pub(super) async fn run(self, mut hangup: Signal) {
        loop {
            // The cause can disappear without a changed file, as with a full file system.
            let wait = if self.status.reload_failed() { RETRY } else { Duration::MAX };
            let reason = tokio::select! {
                _ = hangup.recv() => SIGHUP,
                () = self.watch.changed() => "file change",
                () = tokio::time::sleep(wait) => ANOTHER_TRY,
            };
            if reason == SIGHUP {
                self.state.journal.reopen();
            }
            notify::reloading();
            self.reload(reason).await;
            notify::ready(&self.state, &self.status);
        }
    }

    async fn reload(&self, reason: &'static str) {
        let path = self.path.clone();
        // Reads files: not on a thread that serves requests.
        let current = self.state.snapshot.load_full();
        let loaded = tokio::task::spawn_blocking(move || prepare::load(&path, Mode::Reload(&current.policy))).await;
        let at = now();
        // A journal that can't be written as wanted is an error like the others.
        let loaded = loaded.map(|loaded| {
            loaded
                .map_err(|errors| (errors.iter().map(ToString::to_string).collect(), errors.inputs.to_vec()))
                .and_then(|config| match logging::follow(&config.policy.log, &self.state.journal) {
                    Ok(()) => Ok(config),
                    Err(error) => Err((vec![error], config.inputs)),
                })
        });
        match loaded {
            Ok(Ok(config)) => {
                logging::warnings(&config.warnings);
                let cold = self.started.cold_changes(&config);
                if !cold.is_empty() {
                    warn!(keys = cold.join(", "), "these changes require a restart");
                }
                self.status.set_cold_changes(cold.into_iter().map(str::to_owned).collect());
                self.watch.set_inputs(&config.inputs);
                let previous = self.state.snapshot.load_full();
                let generation = previous.generation + 1;
                let next = Arc::new(Snapshot::new(config.policy, generation, at, Some(&previous)));
                self.epochs.precede(&next).await;
                self.resolver.follow(&next).await;
                self.state.snapshot.store(next);
                self.state.known.clear();
                self.fetcher.update(&self.state.snapshot.load().policy);
                self.reloaded.notify_one();
                self.status.set_last_reload(ReloadResult { at, errors: Vec::new() });
                let line = audit::event("reload", "success", "").number("generation", generation);
                self.state.journal.audit(line.text("cause", reason));
                info!(generation, reason, "new configuration in force");
            }
            Ok(Err((errors, inputs))) => {
                self.watch.set_inputs(&inputs);
                let errors: Vec<String> = errors;
                let line = audit::event("reload", "failure", "config_invalid").text("cause", reason);
                let told = self.status.last_reload().is_some_and(|last| last.errors == errors);
                for line in errors.iter().filter(|_| !told || reason != ANOTHER_TRY) {
                    error!(reason, "reload rejected, previous configuration stays in force: {line}");
                }
                let count = errors.len();
                self.status.set_last_reload(ReloadResult { at, errors });
                if !told || reason != ANOTHER_TRY {
                    self.state.journal.audit(line.number("errors", count));
                }
            }
            Err(panic) => {
                error!(reason, "reload rejected, previous configuration stays in force: loading failed: {panic}");
                self.status.set_last_reload(ReloadResult { at, errors: vec![panic.to_string()] });
            }
        }
    }
}

const SIGHUP: &str = "SIGHUP";
const ANOTHER_TRY: &str = "another try";
const RETRY: Duration = Duration::from_secs(30);
