//! The failures of one kind of key, in memory of a bounded size.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) type Key = [u8; 16];

/// The failures of one kind of key.
#[derive(Debug)]
pub(super) struct Table {
    free: u32,
    patience: Backoff,
    capacity: usize,
    failures: Mutex<HashMap<Key, Failures>>,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// The longest time to wait.
    pub(super) longest: i64,
    /// The time without a failure after which the earlier ones are forgotten.
    pub(super) quiet: i64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) last: i64,
    /// For a user at an address: the number that is included in the counts of others.
    pub(super) shared: u32,
}

impl Table {
    pub(super) fn new(free: u32, patience: Backoff, capacity: usize) -> Self {
        Self { free, patience, capacity, failures: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait(&self, key: Key, now: i64) -> Option<u32> {
        self.wait_in(&mut self.lock(), key, now)
    }

    /// Counts a failure, unless a wait is in force. Under one lock, so that two failures can't both be the last free
    /// one.
    pub(super) fn fail(&self, key: Key, now: i64) -> Option<u32> {
        let mut failures = self.lock();
        let wait = self.wait_in(&mut failures, key, now);
        if wait.is_some() {
            return wait;
        }
        if failures.len() >= self.capacity && !failures.contains_key(&key) {
            evict(&mut failures, self.patience.quiet, now);
        }
        let entry = failures.entry(key).or_insert(Failures { count: 0, last: now, shared: 0 });
        *entry = Failures { count: entry.count.saturating_add(1), last: now, ..*entry };
        None
    }

    /// Takes back `count` failures that were not guesses.
    pub(super) fn forgive(&self, key: Key, count: u32) {
        let mut failures = self.lock();
        if let Some(entry) = failures.get_mut(&key) {
            entry.count = entry.count.saturating_sub(count);
            if entry.count == 0 {
                failures.remove(&key);
            }
        }
    }

    /// The seconds until the next attempt, if there are any.
    fn wait_in(&self, failures: &mut HashMap<Key, Failures>, key: Key, now: i64) -> Option<u32> {
        let entry = failures.get_mut(&key)?;
        // The clock was set back: use the present time, or the wait would last until then.
        entry.last = entry.last.min(now);
        if is_quiet(*entry, self.patience.quiet, now) {
            failures.remove(&key);
            return None;
        }
        let doublings = entry.count.checked_sub(self.free)?;
        // From 2^20 on it is the maximum anyway; a shift by 63 would be negative.
        let penalty = (SECOND << doublings.min(20)).min(self.patience.longest);
        let rest = u64::try_from(entry.last.saturating_add(penalty).saturating_sub(now)).ok()?;
        u32::try_from(rest.div_ceil(1000)).ok().filter(|seconds| *seconds > 0)
    }
}

const fn is_quiet(failures: Failures, quiet: i64, now: i64) -> bool {
    now.saturating_sub(failures.last) >= quiet
}

/// Makes room: removes old entries, and if these are too few, the quarter with the oldest failures. A quarter, so that
/// a flood does not pay for this at every failure.
fn evict(failures: &mut HashMap<Key, Failures>, quiet: i64, now: i64) {
    let before = failures.len();
    failures.retain(|_, entry| !is_quiet(*entry, quiet, now));
    let quarter = before / 4;
    if failures.len() + quarter <= before {
        return;
    }
    let mut times: Vec<(i64, Key)> = failures.iter().map(|(key, entry)| (entry.last, *key)).collect();
    times.select_nth_unstable(quarter);
    for (_, key) in &times[..=quarter] {
        failures.remove(key);
    }
}

/// In milliseconds.
pub(super) const SECOND: i64 = 1000;
