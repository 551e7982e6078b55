//! Creates the next signing keys by schedule, and deletes those that are no longer needed. A reload follows, as after any change
//! of a file that the policy was read from.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::clock::{now, rfc3339};
use crate::keystore::{KeyChange, KeyState, KeysDir, maintain_keys};
use crate::proxy::SharedState;

/// The task that maintains the directories of signing keys.
pub(super) struct KeyMaintenance {
    pub(super) state: Arc<SharedState>,
    /// Notified when a policy comes into force.
    pub(super) reloaded: Arc<Notify>,
    /// The directories that failed at the last attempt: each failure is logged once.
    pub(super) failing: HashSet<PathBuf>,
}

impl KeyMaintenance {
    /// Runs until the process ends.
    pub(super) async fn run(mut self) {
        loop {
            self.tend().await;
            // After a reload too: a new `token_ttl` must be noted before a key is deleted.
            let _ = timeout(INTERVAL, self.reloaded.notified()).await;
        }
    }

    async fn tend(&mut self) {
        let snapshot = self.state.snapshot.load_full();
        // Reads and writes files, and may make an RSA key: not on a thread that serves requests.
        let tended = tokio::task::spawn_blocking(move || {
            let mut dirs: BTreeMap<PathBuf, (Vec<&KeysDir>, Vec<&str>)> = BTreeMap::new();
            let at = now();
            for (dir, keys) in snapshot.policy.realms.iter().flat_map(|realm| realm.keys_dirs()) {
                // Two spellings of one directory are one.
                let path = dir.path().canonicalize().unwrap_or_else(|_| dir.path().to_owned());
                let (uses, in_force) = dirs.entry(path).or_default();
                uses.push(dir);
                in_force.push(keys.active_key(at).kid());
            }
            dirs.into_iter()
                .map(|(path, (uses, in_force))| (path, maintain_keys(&uses, &in_force, at)))
                .collect::<Vec<_>>()
        });
        match tended.await {
            Ok(tended) => tended.into_iter().for_each(|(path, result)| self.log_change(path, result)),
            Err(panic) => error!("maintenance of the signing keys failed: {panic}"),
        }
    }

    fn log_change(&mut self, dir: PathBuf, result: Result<Vec<KeyChange>, String>) {
        match result {
            Ok(changes) => {
                self.failing.remove(&dir);
                changes.iter().for_each(tell);
            }
            Err(message) => {
                if self.failing.insert(dir) {
                    warn!("signing keys can't be created or deleted at the moment: {message}");
                }
            }
        }
    }
}

fn tell(change: &KeyChange) {
    match change {
        KeyChange::Made(key) => {
            let from = if let KeyState::Pending(from) = key.state { from } else { key.made_at };
            info!(
                kid = key.kid,
                algorithm = key.algorithm.name(),
                from = rfc3339(from),
                "created the next signing key"
            );
        }
        KeyChange::Retired(key) => {
            info!(kid = key.kid, "deleted a signing key: every token that it signed has expired");
        }
    }
}

const INTERVAL: Duration = Duration::from_secs(60);
