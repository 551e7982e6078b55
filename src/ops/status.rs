//! State for `/status` and `/readyz`: the last reload, and whether the store answers.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The last reload, if there was one.
#[derive(Clone, Debug, Default)]
pub(super) struct ReloadResult {
    /// Unix seconds.
    pub(super) at: i64,
    /// Why the reload was rejected; empty: the new policy is in force.
    pub(super) errors: Vec<String>,
}

/// State that the tasks write and the admin listener reads.
#[derive(Debug, Default)]
pub(super) struct Status {
    reload: Mutex<Option<ReloadResult>>,
    cold_changes: Mutex<Vec<String>>,
    store_fails: AtomicBool,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
}

impl Status {
    pub(super) fn last_reload(&self) -> Option<ReloadResult> {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn reload_failed(&self) -> bool {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|last| !last.errors.is_empty())
    }

    /// Returns how many reloads succeeded, and how many failed.
    pub(super) fn reloads(&self) -> (u64, u64) {
        (self.reloads.load(Ordering::Relaxed), self.failed_reloads.load(Ordering::Relaxed))
    }

    pub(super) fn set_last_reload(&self, reload: ReloadResult) {
        let counter = if reload.errors.is_empty() { &self.reloads } else { &self.failed_reloads };
        counter.fetch_add(1, Ordering::Relaxed);
        *self.reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(reload);
    }

    /// Returns the keys of `[server]` and `[store]` with a new value in the file, which needs a restart.
    pub(super) fn cold_changes(&self) -> Vec<String> {
        self.cold_changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_cold_changes(&self, keys: Vec<String>) {
        *self.cold_changes.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    pub(super) fn store_fails(&self) -> bool {
        self.store_fails.load(Ordering::Relaxed)
    }

    /// Returns the value before.
    pub(super) fn set_store_fails(&self, fails: bool) -> bool {
        self.store_fails.swap(fails, Ordering::Relaxed)
    }
}
