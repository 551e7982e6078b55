//! Begins another session epoch in a realm after a change of its configuration: a new issuer or audience, or only new signing keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::clock::now;
use crate::proxy::Snapshot;
use crate::store::{Epoch, Followed, Store, StoreError};

/// Keeps the epochs in the store in line with the policy.
pub(super) struct Epochs {
    store: Arc<dyn Store>,
    /// The policy that the epochs were last compared with.
    last: Mutex<Arc<Snapshot>>,
}

impl Epochs {
    /// Before the first request: a login needs the epoch of its realm.
    pub(super) async fn begin(store: Arc<dyn Store>, first: Arc<Snapshot>) -> Result<Self, StoreError> {
        follow(&*store, &first, None).await?;
        Ok(Self { store, last: Mutex::new(first) })
    }

    /// Called before `next` comes into force, so that no login under `next` begins in an old epoch. If the store does
    /// not answer, `next` comes into force all the same, and [`Epochs::catch_up`] finishes the work later.
    pub(super) async fn precede(&self, next: &Arc<Snapshot>) {
        let failed = match timeout(PATIENCE, self.catch_up(next)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        error!("the new configuration can't end the earlier sessions yet, and tries again: {failed}");
    }

    /// The same for a policy that may be in force. Does nothing if it was done.
    pub(super) async fn catch_up(&self, snapshot: &Arc<Snapshot>) -> Result<(), StoreError> {
        let mut last = self.last.lock().await;
        if last.generation < snapshot.generation {
            follow(&*self.store, snapshot, Some(&last)).await?;
            *last = snapshot.clone();
        }
        Ok(())
    }
}

async fn follow(store: &dyn Store, snapshot: &Snapshot, last: Option<&Snapshot>) -> Result<(), StoreError> {
    let mut changed = Vec::new();
    for realm in &snapshot.policy.realms {
        let next = Epoch::next(realm, now()).map_err(|error| StoreError::Failed(error.to_string()))?;
        let before = last.and_then(|last| last.policy.realm(&realm.name));
        let before = before.map(|realm| Epoch::next(realm, now())).transpose();
        let before = before.map_err(|error| StoreError::Failed(error.to_string()))?;
        if next.follows(before.as_ref()) != Followed::Same {
            changed.push((next, before));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let present = store.epochs().await?;
    for (next, before) in changed {
        let present = present.iter().find(|epoch| epoch.realm == next.realm);
        let followed = next.follows(present);
        // Another process with another configuration uses the same database, and each would end the other's sessions.
        let is_theirs =
            followed == Followed::IssuerChanged && before.is_some_and(|before| before.issued_for == next.issued_for);
        if followed != Followed::Same && !is_theirs {
            tell(&next.realm, store.follow_epoch(&next).await?);
        }
    }
    Ok(())
}

fn tell(realm: &str, followed: Followed) {
    match followed {
        Followed::Same | Followed::OtherKeys => {}
        Followed::First => info!(realm, "the realm's first session epoch begins"),
        Followed::IssuerChanged => {
            warn!(realm, "issuer or audience changed: earlier sessions and unfinished logins have ended");
        }
        Followed::KeysGone => {
            warn!(realm, "all signing keys are new: earlier sessions and unfinished logins have ended");
        }
    }
}

/// Longer than the store usually takes. A policy may have to come into force at once.
const PATIENCE: Duration = Duration::from_secs(1);
