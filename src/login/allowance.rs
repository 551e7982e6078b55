//! Limits for registrations and renames.
//!
//! Both reveal whether a name is taken, reserve it, and cost a hash or a write. So both are counted together for the
//! client's network, and a rename for its user as well (SECURITY.md R61).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::gate::{AddressPrefix, DenyReason};

/// The used quota, in memory of a bounded size. Times are Unix milliseconds.
#[derive(Debug, Default)]
pub struct Allowances {
    networks: Table<AddressPrefix>,
    /// By realm and id.
    users: Table<(String, String)>,
}

impl Allowances {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a registration or a rename of a client, of which `per_hour` are allowed.
    ///
    /// # Errors
    /// [`DenyReason::RateLimited`]; a rejected one does not count.
    pub fn take(&self, client: IpAddr, per_hour: u32, now: i64) -> Result<(), DenyReason> {
        self.networks.take(AddressPrefix::from_address(client), HOUR, per_hour, now)
    }

    /// Counts a rename for its user.
    ///
    /// # Errors
    /// As [`Allowances::take`].
    pub fn take_rename(&self, realm: &str, id: &str, now: i64) -> Result<(), DenyReason> {
        self.users.take((realm.to_owned(), id.to_owned()), DAY, RENAMES_A_DAY, now)
    }
}

/// The time at which the next one would be due at an even rate (generic cell rate algorithm, ITU-T I.371, annex A).
#[derive(Debug)]
struct Table<K>(Mutex<HashMap<K, i64>>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Table<K> {
    /// `many` in `period`, all of them at once if none was used for so long.
    fn take(&self, key: K, period: i64, many: u32, now: i64) -> Result<(), DenyReason> {
        let interval = (period / i64::from(many.max(1))).max(1);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back blocks a client for at most one period.
        let due = table.get(&key).map_or(now, |due| (*due).clamp(now, now.saturating_add(period)));
        let wait = due.saturating_sub(now).saturating_sub(period - interval);
        if wait > 0 {
            let seconds = u32::try_from(wait.unsigned_abs().div_ceil(1000)).unwrap_or(u32::MAX);
            return Err(DenyReason::RateLimited(seconds));
        }
        if table.len() >= CAPACITY && !table.contains_key(&key) {
            make_room(&mut table, now);
        }
        table.insert(key, due.saturating_add(interval));
        Ok(())
    }
}

/// Removes entries without a remaining effect, and if these are too few, the quarter with the least use.
fn make_room<K: Eq + Hash>(table: &mut HashMap<K, i64>, now: i64) {
    table.retain(|_, due| *due > now);
    if table.len() <= CAPACITY - CAPACITY / 4 {
        return;
    }
    let mut dues: Vec<i64> = table.values().copied().collect();
    let (_, most, _) = dues.select_nth_unstable(CAPACITY / 4);
    let most = *most;
    table.retain(|_, due| *due > most);
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const RENAMES_A_DAY: u32 = 5;
/// Per table: about 4 MiB.
const CAPACITY: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn r61_an_hours_worth_at_once_and_then_evenly() {
        let (allowances, one, ten) = (Allowances::new(), client("192.0.2.1"), 10);
        let taken = |now: i64| (0..100).filter(|_| allowances.take(one, ten, now).is_ok()).count();
        assert_eq!(taken(NOW), 10);
        assert_eq!(allowances.take(one, ten, NOW), Err(DenyReason::RateLimited(360)));
        assert_eq!(allowances.take(one, ten, NOW + 1500), Err(DenyReason::RateLimited(359)));
        assert_eq!(taken(NOW + 360_000), 1);
        assert_eq!(taken(NOW + 3 * 360_000), 2);
        assert_eq!(taken(NOW + 100 * HOUR), 10, "no more than that is saved");
        assert_eq!(allowances.take(one, ten, NOW), Err(DenyReason::RateLimited(360)), "a clock that was set back");
        assert_eq!(allowances.take(client("192.0.2.2"), ten, NOW), Ok(()), "another address");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (allowances, one) = (Allowances::new(), 1);
        allowances.take(client("2001:db8::1"), one, NOW).unwrap();
        assert!(allowances.take(client("2001:db8::ffff:1"), one, NOW).is_err());
        assert!(allowances.take(client("2001:db8:0:1::1"), one, NOW).is_ok());
    }

    #[test]
    fn r61_a_user_takes_a_few_names_a_day() {
        let allowances = Allowances::new();
        let taken = |id: &str, now| (0..10).filter(|_| allowances.take_rename("realm", id, now).is_ok()).count();
        assert_eq!(taken("alice", NOW), 5);
        assert_eq!(taken("bob", NOW), 5);
        assert_eq!(taken("alice", NOW + DAY / 5), 1);
    }

    #[test]
    fn memory_is_bounded_and_who_used_most_is_remembered() {
        let (allowances, ten) = (Allowances::new(), 10);
        let greedy = client("2001:db8::");
        while allowances.take(greedy, ten, NOW).is_ok() {}
        for number in 0..200_000_u32 {
            allowances.take(IpAddr::V4(number.into()), ten, NOW).unwrap();
        }
        assert!(allowances.networks.0.lock().unwrap().len() <= CAPACITY);
        assert!(allowances.take(greedy, ten, NOW).is_err());
    }
}
