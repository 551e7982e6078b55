//! The use of limits per client, and the permits of a request.
//!
//! Addresses are kept in memory of a bounded size, in shards, so that a flood of addresses fills no memory and blocks
//! no other request. An address with a request in flight is not evicted.

use std::net::IpAddr;
use std::sync::Arc;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};

use super::DenyReason;
use crate::config::ApiKey;
use crate::quota::{Exceeded, InFlightPermit, Quota, RateLimiter};

/// The use per address.
#[derive(Debug)]
pub struct AddressLimiters {
    addresses: Cache<AddressPrefix, Arc<RateLimiter>, UnitWeighter, DefaultHashBuilder, Busy>,
}

/// The permits of a request. It is in flight while they live.
#[derive(Debug, Default)]
pub struct RequestPermits {
    address: Option<InFlightPermit>,
    key: Option<InFlightPermit>,
}

/// The key of an address: for IPv6 the first 64 bits, because one client usually has all addresses of such a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressPrefix {
    /// An address of IPv4.
    V4(u32),
    /// The first half of one of IPv6.
    V6(u64),
}

impl AddressLimiters {
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(addresses: usize) -> Self {
        let weight = addresses as u64;
        Self { addresses: Cache::with(addresses, weight, UnitWeighter, DefaultHashBuilder::default(), Busy) }
    }

    /// Number of addresses.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.addresses.len()
    }

    fn admit(&self, address: IpAddr, quota: &Quota, at: u64) -> Result<InFlightPermit, Exceeded> {
        let mut first = None;
        // TRAP: counted before it is inserted. Without room, an entry that is not in flight is evicted at once.
        let new = || {
            let meter = Arc::<RateLimiter>::default();
            first = Some(meter.try_acquire(quota, at));
            Ok::<_, ()>(meter)
        };
        // Creating a limiter does not fail. The fallback would be a limiter that is not kept.
        let meter = self.addresses.get_or_insert_with(&AddressPrefix::from_address(address), new).unwrap_or_default();
        first.unwrap_or_else(|| meter.try_acquire(quota, at))
    }
}

impl Default for AddressLimiters {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestPermits {
    /// Counts a request of `address`, if there is a limit, and once however often the request is judged. `at`: see
    /// [`RateLimiter::try_acquire`].
    pub(super) fn take_address(
        &mut self,
        usage: &AddressLimiters,
        quota: &Quota,
        address: IpAddr,
        at: u64,
    ) -> Result<(), DenyReason> {
        if self.address.is_none() && !quota.is_unlimited() {
            self.address = Some(usage.admit(address, quota, at)?);
        }
        Ok(())
    }

    /// Counts a request with `key` in the same way. Without a limit, too: it is one atomic number, and a reload that
    /// adds a limit then knows the requests in flight.
    pub(super) fn take_key(&mut self, key: &ApiKey, at: u64) -> Result<(), DenyReason> {
        if self.key.is_none() {
            self.key = Some(key.limiter.try_acquire(&key.quota, at)?);
        }
        Ok(())
    }
}

impl From<Exceeded> for DenyReason {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Rate(seconds) => Self::RateLimited(seconds),
            Exceeded::Concurrent => Self::ConcurrencyLimited,
        }
    }
}

impl AddressPrefix {
    /// Returns the network of an address, for IPv4-mapped addresses too.
    #[must_use]
    pub fn from_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// Keeps entries with requests in flight: without them, the address could have as many again.
#[derive(Clone, Debug)]
struct Busy;

impl Lifecycle<AddressPrefix, Arc<RateLimiter>> for Busy {
    type RequestState = ();

    fn is_pinned(&self, _: &AddressPrefix, meter: &Arc<RateLimiter>) -> bool {
        meter.in_flight() > 0
    }
}

/// Some 16 MiB when all of them are taken.
const CAPACITY: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use crate::quota::Rate;

    const T: u64 = 1_000_000_000_000;

    fn two_at_once() -> Quota {
        Quota { rate: None, concurrent: NonZero::new(2) }
    }

    fn one_in_a_while() -> Quota {
        Quota { rate: Rate::new(0.001, Some(0)), concurrent: None }
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn take(usage: &AddressLimiters, quota: &Quota, address: IpAddr) -> Result<RequestPermits, DenyReason> {
        let mut permits = RequestPermits::default();
        permits.take_address(usage, quota, address, T).map(|()| permits)
    }

    #[test]
    fn addresses_are_apart_and_networks_are_not() {
        let usage = AddressLimiters::new();
        for (address, free) in [
            ("192.0.2.1", true),
            ("192.0.2.2", true),
            ("::ffff:192.0.2.2", false),
            ("2001:db8::1", true),
            ("2001:db8::ffff:1:2:3", false),
            ("2001:db8:0:1::1", true),
            // The bits of 192.0.2.1 at the place of a network's.
            ("0:0:c000:201::", true),
        ] {
            let taken = take(&usage, &one_in_a_while(), address.parse().unwrap());
            assert_eq!(taken.is_ok(), free, "{address}");
            assert!(free || matches!(taken, Err(DenyReason::RateLimited(1000))));
        }
        assert_eq!(usage.addresses(), 5);
    }

    #[test]
    fn a_request_is_counted_once_however_often_it_is_judged() {
        let (usage, quota) = (AddressLimiters::new(), Quota { concurrent: NonZero::new(1), ..one_in_a_while() });
        let mut permits = RequestPermits::default();
        for _ in 0..3 {
            assert_eq!(permits.take_address(&usage, &quota, v4(1), T), Ok(()));
        }
        assert!(matches!(take(&usage, &quota, v4(1)), Err(DenyReason::ConcurrencyLimited)));
        drop(permits);
        assert!(matches!(take(&usage, &quota, v4(1)), Err(DenyReason::RateLimited(_))));
    }

    #[test]
    fn nobody_is_looked_up_without_a_limit() {
        let usage = AddressLimiters::new();
        take(&usage, &Quota::default(), v4(1)).unwrap();
        assert_eq!(usage.addresses(), 0);
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory_and_frees_nobody_who_is_in_flight() {
        let usage = AddressLimiters::with_capacity(1000);
        let busy: Vec<_> = (0..100).map(|at| take(&usage, &two_at_once(), v4(at)).unwrap()).collect();
        for at in 1000..200_000 {
            drop(take(&usage, &two_at_once(), v4(at)));
            assert!(usage.addresses() <= 1200, "{}", usage.addresses());
        }
        for at in 0..100 {
            let _second = take(&usage, &two_at_once(), v4(at)).unwrap();
            assert!(matches!(take(&usage, &two_at_once(), v4(at)), Err(DenyReason::ConcurrencyLimited)), "{at}");
        }
        drop(busy);
        for at in 1000..200_000 {
            drop(take(&usage, &two_at_once(), v4(at)));
        }
        assert!(usage.addresses() <= 1000, "{}", usage.addresses());
    }

    #[test]
    fn a_thousand_addresses_are_remembered() {
        let usage = AddressLimiters::new();
        for at in 0..1000 {
            take(&usage, &one_in_a_while(), v4(at)).unwrap();
        }
        assert_eq!(usage.addresses(), 1000);
        assert!((0..1000).all(|at| take(&usage, &one_in_a_while(), v4(at)).is_err()));
        assert_eq!(AddressLimiters::default().addresses(), 0);
    }

    #[test]
    fn whoever_comes_when_there_is_no_room_is_not_forgotten_in_flight_either() {
        let usage = AddressLimiters::with_capacity(1000);
        // The oldest entries are evicted last.
        for at in (10_000..12_000).chain(10_000..12_000) {
            drop(take(&usage, &two_at_once(), v4(at)));
        }
        let _first: Vec<_> = (0..100).map(|at| take(&usage, &two_at_once(), v4(at)).unwrap()).collect();
        for at in 20_000..60_000 {
            drop(take(&usage, &two_at_once(), v4(at)));
        }
        for at in 0..100 {
            let _second = take(&usage, &two_at_once(), v4(at)).unwrap();
            assert!(matches!(take(&usage, &two_at_once(), v4(at)), Err(DenyReason::ConcurrencyLimited)), "{at}");
        }
    }
}
