//! Counters by a fixed code, of which few occur.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts by `K`, in the order of first use. In practice there are a few, so a search costs less than a table, and an
/// unused code has no sample.
#[derive(Debug)]
pub struct CodeCounters<K> {
    slots: Box<[Slot<K>]>,
}

#[derive(Debug)]
struct Slot<K> {
    key: OnceLock<K>,
    count: AtomicU64,
}

impl<K: Copy + PartialEq> CodeCounters<K> {
    /// With these at 0, so that the first of them is seen as an increase.
    pub fn new(expected: impl IntoIterator<Item = K>) -> Self {
        let slots = (0..MAX_CODES).map(|_| Slot { key: OnceLock::new(), count: AtomicU64::new(0) });
        let tally = Self { slots: slots.collect() };
        expected.into_iter().for_each(|key| tally.add(key, 0));
        tally
    }

    pub fn count(&self, key: K) {
        self.add(key, 1);
    }

    /// Returns every code that occurred.
    pub fn counts(&self) -> impl Iterator<Item = (K, u64)> {
        self.slots.iter().map_while(|slot| Some((*slot.key.get()?, slot.count.load(Ordering::Relaxed))))
    }

    fn add(&self, key: K, count: u64) {
        // Slots are taken in order, so two concurrent callers with one code meet at the same slot.
        let slot = self.slots.iter().find(|slot| *slot.key.get_or_init(|| key) == key);
        if let Some(slot) = slot {
            slot.count.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// More than there are reasons.
const MAX_CODES: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_code_in_the_order_of_their_coming() {
        let tally = CodeCounters::new(["c"]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| ["a", "b"].into_iter().for_each(|key| tally.count(key))));
            }
        });
        tally.count("c");
        assert_eq!(tally.counts().collect::<Vec<_>>(), [("c", 1), ("a", 4000), ("b", 4000)]);
    }
}
