//! Login throttling: delays between password guesses.
//!
//! Failures are counted for each account, in every spelling of its names, and for each client address (SECURITY.md
//! R32). Some are free; after these, every failure doubles the time in which no attempt is made. A guess in progress
//! when its account is throttled is checked again when its result is known ([`Throttle::record_failure`], [`Throttle::record_success`]):
//! it gets the response of a later guess, right or wrong, so that a thousand concurrent guesses reveal no more than a
//! few in a row.
//!
//! The failures of a user at one address are counted separately as well. At an address from which the user has logged
//! in, only these delay the user ([`Throttle::record_success_at`]), so that guesses from elsewhere lock no user out
//! (SECURITY.md R63). After a success they no longer count for the address: a user who mistypes a password is not
//! guessing, and many users can share an address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::LoginName;

/// Counts failures, in memory of a bounded size. Times are Unix milliseconds; a clock that is set back ends no wait,
/// and extends none beyond 15 minutes.
#[derive(Debug)]
pub struct Throttle {
    users: Table,
    names: Table,
    strangers: Table,
    addresses: Table,
    codes: Table,
    users_at: Table,
    codes_at: Table,
}

/// The key under which failures are counted.
#[derive(Clone, Copy, Debug)]
pub enum ThrottleKey<'a> {
    /// A user, by realm and id: one count for all its names.
    User(&'a str, &'a str),
    /// A name in a realm, with or without a user.
    Name(&'a str, &'a LoginName),
    /// A name in a tenant that the request is not allowed to use, existing or not: the realm of the login, the tenant's
    /// name as the client sent it, and the user's. It shares no counter with a realm: without a realm's API key, no
    /// request touches the counters of its users.
    Stranger(&'a str, &'a str, &'a LoginName),
    /// A user with a proven password and a pending code, by realm and id. A client with the password could guess for
    /// months, so these failures are kept for a day, and the wait is up to an hour.
    Code(&'a str, &'a str),
    /// A client's address at the logins of a realm; for IPv6 the first 64 bits, because one client usually has all
    /// addresses of such a network.
    Address(&'a str, IpAddr),
    /// A user at a client's address, by realm and id.
    UserAt(&'a str, &'a str, IpAddr),
    /// The same for the second factor.
    CodeAt(&'a str, &'a str, IpAddr),
}

/// The seconds to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u32);

impl Throttle {
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        // An attacker can invent names without a user: in a table of their own they can't evict a user's count.
        Self {
            users: Table::new(FREE_FOR_ACCOUNT, PASSWORDS, capacity),
            names: Table::new(FREE_FOR_ACCOUNT, PASSWORDS, capacity),
            strangers: Table::new(FREE_FOR_ACCOUNT, PASSWORDS, capacity),
            addresses: Table::new(FREE_FOR_ADDRESS, PASSWORDS, capacity),
            codes: Table::new(FREE_FOR_ACCOUNT, CODES, capacity),
            users_at: Table::new(FREE_FOR_ACCOUNT, PASSWORDS, capacity),
            codes_at: Table::new(FREE_FOR_ACCOUNT, CODES, capacity),
        }
    }

    /// Checks whether an attempt is allowed for every one of `subjects`.
    ///
    /// # Errors
    /// The longest wait.
    pub fn check(&self, subjects: &[ThrottleKey<'_>], now: i64) -> Result<(), RetryAfter> {
        let waits = subjects.iter().filter_map(|subject| self.table(subject).wait(subject.key(), now));
        waits.max().map_or(Ok(()), wait)
    }

    /// Counts a failure for every one of `subjects`.
    ///
    /// # Errors
    /// The result of [`Throttle::check`] just before: the response must not reveal that the attempt failed.
    pub fn record_failure(&self, subjects: &[ThrottleKey<'_>], now: i64) -> Result<(), RetryAfter> {
        subjects.iter().try_for_each(|subject| self.table(subject).fail(subject.key(), now).map_or(Ok(()), wait))
    }

    /// Counts a failure of a user at the client's address. `shared`: [`Throttle::record_failure`] counted it for others, too, and
    /// a success takes it back.
    ///
    /// # Errors
    /// The result of [`Throttle::check`] just before.
    pub fn fail_at(&self, at: &[ThrottleKey<'_>], shared: bool, now: i64) -> Result<(), RetryAfter> {
        self.record_failure(at, now)?;
        for subject in at.iter().filter(|_| shared) {
            if let Some(entry) = self.table(subject).lock().get_mut(&subject.key()) {
                entry.shared = entry.shared.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Resets the failures of the accounts among `subjects`. For an address, the failures that are not of `at` stay: an
    /// attacker could succeed with an account of its own. `at`: the user at the client's address.
    ///
    /// # Errors
    /// The result of [`Throttle::check`] for `subjects`: the response must not reveal the success, and nothing is
    /// reset.
    pub fn record_success(
        &self,
        subjects: &[ThrottleKey<'_>],
        at: &[ThrottleKey<'_>],
        now: i64,
    ) -> Result<(), RetryAfter> {
        self.check(subjects, now)?;
        self.forget(subjects, at);
        Ok(())
    }

    /// The same at an address from which the user has logged in: only the failures of `at` delay the user.
    ///
    /// # Errors
    /// The result of [`Throttle::check`] for `at`.
    pub fn record_success_at(
        &self,
        subjects: &[ThrottleKey<'_>],
        at: &[ThrottleKey<'_>],
        now: i64,
    ) -> Result<(), RetryAfter> {
        self.check(at, now)?;
        self.forget(subjects, at);
        Ok(())
    }

    fn forget(&self, subjects: &[ThrottleKey<'_>], at: &[ThrottleKey<'_>]) {
        let own = self.take(at);
        for subject in subjects {
            match subject {
                ThrottleKey::Address(..) => self.table(subject).forgive(subject.key(), own),
                _ => drop(self.table(subject).lock().remove(&subject.key())),
            }
        }
    }

    /// Forgets the failures of `subjects` up to `time` (Unix milliseconds), when the operator reset the account.
    pub fn forget_until(&self, subjects: &[ThrottleKey<'_>], time: i64) {
        for subject in subjects {
            let mut failures = self.table(subject).lock();
            if failures.get(&subject.key()).is_some_and(|entry| entry.last <= time) {
                failures.remove(&subject.key());
            }
        }
    }

    /// Forgets these. Returns how many of their failures others share.
    fn take(&self, at: &[ThrottleKey<'_>]) -> u32 {
        let entries = at.iter().map(|subject| self.table(subject).lock().remove(&subject.key()));
        entries.map(|entry| entry.map_or(0, |entry| entry.shared)).max().unwrap_or(0)
    }

    const fn table(&self, subject: &ThrottleKey<'_>) -> &Table {
        match subject {
            ThrottleKey::User(..) => &self.users,
            ThrottleKey::Name(..) => &self.names,
            ThrottleKey::Stranger(..) => &self.strangers,
            ThrottleKey::Address(..) => &self.addresses,
            ThrottleKey::Code(..) => &self.codes,
            ThrottleKey::UserAt(..) => &self.users_at,
            ThrottleKey::CodeAt(..) => &self.codes_at,
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl ThrottleKey<'_> {
    /// A hash, so that a long name takes no more memory than a short one; each part with its length, so that two keys
    /// never have the same bytes (SECURITY.md R28).
    fn key(&self) -> Key {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        match self {
            Self::User(realm, id) | Self::Code(realm, id) | Self::UserAt(realm, id, _) | Self::CodeAt(realm, id, _) => {
                [realm, id].into_iter().for_each(|text| part(text.as_bytes()));
            }
            Self::Name(realm, name) => {
                [*realm, kind(name), name.as_str()].into_iter().for_each(|text| part(text.as_bytes()));
            }
            Self::Stranger(realm, tenant, name) => {
                [*realm, *tenant, kind(name), name.as_str()].into_iter().for_each(|text| part(text.as_bytes()));
            }
            Self::Address(realm, _) => part(realm.as_bytes()),
        }
        if let Self::Address(_, address) | Self::UserAt(_, _, address) | Self::CodeAt(_, _, address) = self {
            match address.to_canonical() {
                IpAddr::V4(address) => part(&address.octets()),
                IpAddr::V6(address) => part(&address.octets()[..8]),
            }
        }
        let mut key = [0; 16];
        key.copy_from_slice(&context.finish().as_ref()[..16]);
        key
    }
}

const fn kind(name: &LoginName) -> &'static str {
    match name {
        LoginName::Username(_) => "username",
        LoginName::Email(_) => "email",
    }
}

type Key = [u8; 16];

/// The failures of one kind of key.
#[derive(Debug)]
struct Table {
    free: u32,
    patience: Backoff,
    capacity: usize,
    failures: Mutex<HashMap<Key, Failures>>,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    /// The longest time to wait.
    longest: i64,
    /// The time without a failure after which the earlier ones are forgotten.
    quiet: i64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: i64,
    /// For a user at an address: the number that is included in the counts of others.
    shared: u32,
}

impl Table {
    fn new(free: u32, patience: Backoff, capacity: usize) -> Self {
        Self { free, patience, capacity, failures: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, key: Key, now: i64) -> Option<u32> {
        self.wait_in(&mut self.lock(), key, now)
    }

    /// Counts a failure, unless a wait is in force. Under one lock, so that two failures can't both be the last free
    /// one.
    fn fail(&self, key: Key, now: i64) -> Option<u32> {
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
    fn forgive(&self, key: Key, count: u32) {
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

const fn wait(seconds: u32) -> Result<(), RetryAfter> {
    Err(RetryAfter(seconds))
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

const FREE_FOR_ACCOUNT: u32 = 5;
const FREE_FOR_ADDRESS: u32 = 50;
/// In milliseconds.
const SECOND: i64 = 1000;
const PASSWORDS: Backoff = Backoff { longest: 900 * SECOND, quiet: 900 * SECOND };
/// One code in 333,333 is valid at any moment: 24 guesses a day.
const CODES: Backoff = Backoff { longest: 3600 * SECOND, quiet: 86_400 * SECOND };
/// Per table: about 4 MiB.
const CAPACITY: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;
    const ALICE: ThrottleKey<'_> = ThrottleKey::User("realm", "alice");

    fn fail_times(throttle: &Throttle, subject: ThrottleKey<'_>, times: usize, now: i64) {
        for _ in 0..times {
            assert_eq!(throttle.record_failure(&[subject], now), Ok(()));
        }
    }

    /// After so many failures, each in its time.
    fn failed(throttle: &Throttle, subject: ThrottleKey<'_>, count: u32, last: i64) {
        throttle.table(&subject).lock().insert(subject.key(), Failures { count, last, shared: 0 });
    }

    fn address(text: &str) -> ThrottleKey<'static> {
        ThrottleKey::Address("realm", text.parse().unwrap())
    }

    fn at_home() -> ThrottleKey<'static> {
        ThrottleKey::UserAt("realm", "alice", "192.0.2.1".parse().unwrap())
    }

    #[test]
    fn five_failures_are_free_and_then_the_wait_doubles() {
        let throttle = Throttle::new();
        for _ in 0..5 {
            assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
            assert_eq!(throttle.record_failure(&[ALICE], NOW), Ok(()));
        }
        let mut now = NOW;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
            assert_eq!(throttle.check(&[ALICE], now), Err(RetryAfter(seconds)));
            now += i64::from(seconds) * SECOND;
            assert_eq!(throttle.check(&[ALICE], now - SECOND), Err(RetryAfter(1)));
            assert_eq!(throttle.check(&[ALICE], now - 1), Err(RetryAfter(1)));
            assert_eq!(throttle.record_failure(&[ALICE], now), Ok(()), "its time has come");
        }
        for _ in 0..100 {
            assert_eq!(throttle.record_failure(&[ALICE], now), Err(RetryAfter(900)));
        }
        assert_eq!(throttle.check(&[ALICE], now + 899 * SECOND), Err(RetryAfter(1)));
        assert_eq!(throttle.check(&[ALICE], now + 900 * SECOND), Ok(()));
        assert_eq!(throttle.record_failure(&[ALICE], now + 900 * SECOND), Ok(()));
        assert_eq!(throttle.check(&[ALICE], now + 900 * SECOND), Ok(()), "forgotten after quiet minutes");
    }

    #[test]
    fn guesses_at_codes_are_remembered_for_a_day() {
        let (throttle, code) = (Throttle::new(), ThrottleKey::Code("realm", "alice"));
        let mut now = NOW;
        for _ in 0..40 {
            while let Err(RetryAfter(seconds)) = throttle.check(&[code], now) {
                now += i64::from(seconds) * SECOND;
            }
            assert_eq!(throttle.record_failure(&[code], now), Ok(()));
        }
        assert_eq!(throttle.check(&[code], now), Err(RetryAfter(3600)));
        assert!(now - NOW > 23 * 3600 * SECOND, "40 guesses take about a day");
        assert_eq!(throttle.check(&[ALICE], now), Ok(()), "the password is another matter");
        assert_eq!(throttle.record_success(&[code], &[], now + 3600 * SECOND), Ok(()));
        assert_eq!(throttle.check(&[code], now + 3600 * SECOND), Ok(()));
    }

    #[test]
    fn attempts_that_wait_do_not_prolong_it() {
        let throttle = Throttle::new();
        failed(&throttle, ALICE, 8, NOW);
        for now in (NOW..NOW + 8 * SECOND).step_by(100) {
            assert!(throttle.check(&[ALICE], now).is_err());
        }
        assert_eq!(throttle.check(&[ALICE], NOW + 8 * SECOND), Ok(()));
    }

    #[test]
    fn r32_parallel_guesses_learn_no_more_than_guesses_in_a_row() {
        let throttle = Throttle::new();
        for _ in 0..100 {
            assert_eq!(throttle.check(&[ALICE], NOW), Ok(()), "all of them are on their way before the first fails");
        }
        let told = (0..99).filter(|_| throttle.record_failure(&[ALICE], NOW).is_ok()).count();
        assert_eq!(told, 5);
        assert_eq!(
            throttle.record_success(&[ALICE], &[], NOW),
            Err(RetryAfter(1)),
            "the right guess among them is not told"
        );
        assert_eq!(throttle.check(&[ALICE], NOW), Err(RetryAfter(1)), "and opens nothing");
        assert_eq!(throttle.record_success(&[ALICE], &[], NOW + SECOND), Ok(()), "but locks nobody out for longer");

        // The same for one guess at each of many accounts.
        let (client, ids) = (address("192.0.2.1"), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
        let told = ids
            .iter()
            .filter(|id| throttle.record_failure(&[ThrottleKey::User("realm", id), client], NOW).is_ok())
            .count();
        assert_eq!(told, 50);
        assert_eq!(throttle.record_success(&[ThrottleKey::User("realm", "bob"), client], &[], NOW), Err(RetryAfter(1)));
    }

    #[test]
    fn a_success_forgets_the_account_and_not_the_address() {
        let (throttle, client) = (Throttle::new(), address("192.0.2.1"));
        for _ in 0..10 {
            for _ in 0..4 {
                assert_eq!(throttle.record_failure(&[ALICE, client], NOW), Ok(()));
            }
            assert_eq!(throttle.record_success(&[ALICE, client], &[], NOW), Ok(()));
        }
        fail_times(&throttle, client, 9, NOW);
        assert_eq!(throttle.check(&[client], NOW), Ok(()));
        fail_times(&throttle, client, 1, NOW);
        assert_eq!(throttle.check(&[client], NOW), Err(RetryAfter(1)));
        assert_eq!(throttle.check(&[ALICE, client], NOW), Err(RetryAfter(1)));
        assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
    }

    #[test]
    fn r63_at_an_address_of_its_own_a_user_waits_for_its_own_failures_only() {
        let (throttle, home, at) = (Throttle::new(), address("192.0.2.1"), [at_home()]);
        failed(&throttle, ALICE, 60, NOW);
        failed(&throttle, home, 60, NOW);
        assert_eq!(
            throttle.record_success(&[ALICE, home], &at, NOW),
            Err(RetryAfter(900)),
            "elsewhere, and at a new address"
        );
        for _ in 0..4 {
            assert_eq!(throttle.fail_at(&at, false, NOW), Ok(()));
        }
        assert_eq!(throttle.record_success_at(&[ALICE, home], &at, NOW), Ok(()));
        assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
        assert_eq!(throttle.check(&[home], NOW), Err(RetryAfter(900)), "what others at the address did stays");
        for _ in 0..5 {
            assert_eq!(throttle.fail_at(&at, false, NOW), Ok(()));
        }
        assert_eq!(throttle.fail_at(&at, false, NOW), Err(RetryAfter(1)));
        assert_eq!(
            throttle.record_success_at(&[ALICE, home], &at, NOW),
            Err(RetryAfter(1)),
            "but its own count there too"
        );
        assert_eq!(throttle.check(&[ThrottleKey::UserAt("realm", "alice", "192.0.2.2".parse().unwrap())], NOW), Ok(()));
    }

    #[test]
    fn who_mistypes_and_then_signs_in_makes_no_one_else_wait() {
        let (throttle, office, at) = (Throttle::new(), address("192.0.2.1"), [at_home()]);
        for known in [false, true].into_iter().cycle().take(100) {
            for _ in 0..3 {
                let told = throttle.record_failure(&[ALICE, office], NOW).is_ok();
                assert_eq!((told, throttle.fail_at(&at, told, NOW)), (true, Ok(())));
            }
            let succeed = if known { Throttle::record_success_at } else { Throttle::record_success };
            assert_eq!(succeed(&throttle, &[ALICE, office], &at, NOW), Ok(()));
        }
        assert!(throttle.addresses.lock().is_empty() && throttle.users.lock().is_empty());
        // A failure that was not counted for the address is not taken back from it.
        failed(&throttle, office, 53, NOW);
        for _ in 0..4 {
            assert_eq!(throttle.fail_at(&at, throttle.record_failure(&[office], NOW).is_ok(), NOW), Ok(()));
        }
        assert_eq!(throttle.record_success_at(&[ALICE, office], &at, NOW), Ok(()));
        assert_eq!(throttle.addresses.lock()[&office.key()].count, 53);
    }

    #[test]
    fn what_the_operator_reset_is_forgotten_and_what_came_later_is_not() {
        let throttle = Throttle::new();
        failed(&throttle, ALICE, 20, NOW);
        throttle.forget_until(&[ALICE], NOW - 1);
        assert_eq!(throttle.check(&[ALICE], NOW), Err(RetryAfter(900)));
        throttle.forget_until(&[ALICE], NOW);
        assert_eq!(throttle.check(&[ALICE], NOW), Ok(()));
    }

    #[test]
    fn subjects_are_apart_and_spellings_are_not() {
        let name = |written: &str| LoginName::username(written).unwrap();
        let (alice, same, email) = (name("alice"), name("ＡLICE"), LoginName::email("alice@a").unwrap());
        let written = name("alice@a");
        let subjects = [
            ALICE,
            ThrottleKey::User("realma", "lice"),
            ThrottleKey::Name("realm", &alice),
            ThrottleKey::Name("realm2", &alice),
            ThrottleKey::Name("realm", &email),
            ThrottleKey::Name("realm", &written),
            ThrottleKey::Stranger("realm", "realm", &alice),
            ThrottleKey::Stranger("realm", "realm2", &alice),
            at_home(),
            ThrottleKey::CodeAt("realm", "alice", "192.0.2.1".parse().unwrap()),
            ThrottleKey::UserAt("realm", "alice", "192.0.2.2".parse().unwrap()),
            address("192.0.2.1"),
            ThrottleKey::Address("realm2", "192.0.2.1".parse().unwrap()),
            address("192.0.2.2"),
            address("2001:db8::1"),
            address("2001:db8:0:1::1"),
        ];
        for subject in subjects {
            let throttle = Throttle::new();
            failed(&throttle, subject, 60, NOW);
            for other in subjects {
                let same = format!("{other:?}") == format!("{subject:?}");
                assert_eq!(throttle.check(&[other], NOW).is_err(), same, "{subject:?} and {other:?}");
            }
        }
        for (one, other) in [
            (ThrottleKey::Name("realm", &alice), ThrottleKey::Name("realm", &same)),
            (address("2001:db8::1"), address("2001:db8::ffff:1:2:3")),
            (address("192.0.2.1"), address("::ffff:192.0.2.1")),
        ] {
            assert_eq!(one.key(), other.key());
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go_first() {
        let throttle = Throttle::with_capacity(100);
        let ids: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
        for (at, id) in ids.iter().enumerate() {
            let now = NOW + i64::try_from(at).unwrap() * SECOND / 10;
            fail_times(&throttle, ThrottleKey::User("realm", id), 5, now);
            assert!(throttle.users.lock().len() <= 100);
            assert!(throttle.check(&[ThrottleKey::User("realm", id)], now).is_err());
        }
        let now = NOW + 99 * SECOND;
        assert!(throttle.check(&[ThrottleKey::User("realm", &ids[950])], now).is_ok(), "its second is over");
        fail_times(&throttle, ThrottleKey::User("realm", &ids[950]), 1, now);
        assert_eq!(
            throttle.check(&[ThrottleKey::User("realm", &ids[950])], now),
            Err(RetryAfter(2)),
            "but it was remembered"
        );
        // Names that an attacker makes up do not push out a user's failures.
        for id in &ids {
            let name = LoginName::username(id).unwrap();
            fail_times(&throttle, ThrottleKey::Name("realm", &name), 5, now);
        }
        assert_eq!(throttle.check(&[ThrottleKey::User("realm", &ids[950])], now), Err(RetryAfter(2)));
        // Quiet ones make room at once.
        fail_times(&throttle, ALICE, 5, now + 10_000 * SECOND);
        assert!(throttle.names.lock().len() <= 100);
    }

    #[test]
    fn a_clock_that_is_set_back_neither_opens_nor_closes_for_good() {
        let throttle = Throttle::new();
        failed(&throttle, ALICE, 7, NOW);
        assert_eq!(throttle.check(&[ALICE], NOW - 86_400 * SECOND), Err(RetryAfter(4)));
        assert_eq!(throttle.check(&[ALICE], NOW - (86_400 - 4) * SECOND), Ok(()));
        assert_eq!(throttle.check(&[ALICE], i64::MAX), Ok(()));
        fail_times(&throttle, ALICE, 1, i64::MIN);
        assert_eq!(throttle.check(&[ALICE], i64::MIN), Ok(()));
    }
}
