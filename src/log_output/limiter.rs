//! A limit for lines of one kind about one client, so that a client does not control the size of the log (SECURITY.md
//! R69).

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts lines by their kind and the network of their client, per minute.
///
/// The memory is fixed. Two networks with the same slot share its limit; the hash is keyed, so that a client can't
/// choose another's slot.
pub(super) struct Limiter {
    /// The minute in the upper half, the number of lines in the lower half.
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
    refused: AtomicU64,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            refused: AtomicU64::new(0),
        }
    }

    /// Returns `None` if the line must be omitted, else the number of omitted lines of its kind since the last one.
    pub(super) fn admit(&self, kind: impl Hash, client: Option<IpAddr>, now_ms: i64) -> Option<u64> {
        let hash = self.hasher.hash_one((kind, client.map(network)));
        let slot = &self.slots[usize::try_from(hash % SLOTS).unwrap_or(0)];
        let minute = (now_ms / 60_000).cast_unsigned() & COUNT;
        let next = |slot: u64| match (slot >> 32 == minute, slot & COUNT) {
            (true, COUNT) => slot,
            (true, _) => slot + 1,
            (false, _) => minute << 32 | 1,
        };
        let mut before = slot.load(Ordering::Relaxed);
        while let Err(other) = slot.compare_exchange_weak(before, next(before), Ordering::Relaxed, Ordering::Relaxed) {
            before = other;
        }
        if before >> 32 != minute {
            return Some((before & COUNT).saturating_sub(MOST));
        }
        if before & COUNT < MOST {
            return Some(0);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Returns the number of omitted lines.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Limiter").field("refused", &self.refused()).finish_non_exhaustive()
    }
}

/// An IPv4 address, or the first 56 bits of an IPv6 address, as most providers assign them to one customer (RIPE-690,
/// 4.2).
fn network(client: IpAddr) -> u128 {
    match client.to_canonical() {
        // No IPv6 network is among the addresses that stand for IPv4.
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & V6_MASK,
    }
}

const V6_MASK: u128 = u128::MAX << (128 - 56);
const COUNT: u64 = u32::MAX as u64;
/// 16 KiB.
const SLOTS: u64 = 2048;
/// Lines a minute.
const MOST: u64 = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r69_lines_of_a_kind_are_limited_for_a_network_and_a_minute() {
        let limiter = Limiter::new();
        let admit = |kind: &str, client: &str, second: i64| {
            limiter.admit(kind, (!client.is_empty()).then(|| client.parse().unwrap()), second * 1000)
        };
        for second in [0, 59] {
            for _ in 0..300 {
                assert_eq!(admit("a", "2001:db8::1", second), Some(0));
            }
        }
        // The same network in another spelling.
        for _ in 0..7 {
            assert_eq!(admit("a", "2001:db8:0:ff::2", 59), None);
        }
        // Others have slots of their own, except a few in two thousand.
        let others = ["192.0.2.1", "192.0.2.2", "2001:db8:0:100::1", ""].map(|client| admit("a", client, 59));
        let kinds = ["b", "c", "d", "e"].map(|kind| admit(kind, "2001:db8::1", 59));
        assert!(others.iter().chain(&kinds).filter(|admitted| **admitted == Some(0)).count() >= 5);
        assert!(limiter.refused() >= 7);
        assert!(admit("a", "2001:db8::1", 60).is_some_and(|left_out| left_out >= 7));
        assert_eq!(admit("a", "2001:db8::1", 61), Some(0));
        // A clock that was set back.
        assert_eq!(admit("a", "2001:db8::1", 30), Some(0));
    }

    #[test]
    fn r69_whoever_comes_from_everywhere_is_limited_too() {
        let limiter = Limiter::new();
        let written =
            (0..3_000_000_u32).filter(|number| limiter.admit("a", Some(IpAddr::V4((*number).into())), 0).is_some());
        assert!(written.count() as u64 <= SLOTS * MOST);
    }
}
