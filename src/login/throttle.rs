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

mod table;

use std::net::IpAddr;

use self::table::{Backoff, Key, SECOND, Table};
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

const fn wait(seconds: u32) -> Result<(), RetryAfter> {
    Err(RetryAfter(seconds))
}

const FREE_FOR_ACCOUNT: u32 = 5;
const FREE_FOR_ADDRESS: u32 = 50;
const PASSWORDS: Backoff = Backoff { longest: 900 * SECOND, quiet: 900 * SECOND };
/// One code in 333,333 is valid at any moment: 24 guesses a day.
const CODES: Backoff = Backoff { longest: 3600 * SECOND, quiet: 86_400 * SECOND };
/// Per table: about 4 MiB.
const CAPACITY: usize = 1 << 16;

#[cfg(test)]
mod tests;
