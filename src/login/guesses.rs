//! Limits for consecutive wrong guesses at an account.
//!
//! After 100 (NIST SP 800-63B-4, 3.2.2) no guess is accepted until the operator unlocks the account or resets its
//! password. Each further guess gets the response to a wrong one, which reveals neither the lock nor the account. The
//! counts are in the store: they outlive a restart and hold for all processes that share it.
//!
//! Guesses from a network from which the account has logged in are counted separately, 100 for each such network. So
//! others can't lock a user out of its usual networks (SECURITY.md R63).

use std::net::IpAddr;

use super::throttle::{RetryAfter, ThrottleKey};
use super::{LoginRequest, LoginServices};
use crate::store::{Guess, Guesses, NetworkId, StoreError, User};

/// The guesses at one account from one client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) network: NetworkId,
    pub(super) guesses: Guesses,
}

impl Standing {
    /// Reads the counts of a user. Without a user it reads, too, so that it takes the same time.
    pub(super) async fn read(
        realm: &str,
        user: Option<&User>,
        client: IpAddr,
        services: &LoginServices,
    ) -> Result<Self, StoreError> {
        Self::of_account(realm, user.map_or("", |user| &user.id), client, services).await
    }

    /// Reads the counts of an account, by its id or by [`LoginName::pool_account`](crate::store::LoginName::pool_account).
    pub(super) async fn of_account(
        realm: &str,
        id: &str,
        client: IpAddr,
        services: &LoginServices,
    ) -> Result<Self, StoreError> {
        let network = NetworkId::from_address(client);
        Ok(Self { network, guesses: services.store.guesses(realm, id, network).await? })
    }

    /// Without a guess and without a login.
    pub(super) fn new(client: IpAddr) -> Self {
        Self { network: NetworkId::from_address(client), guesses: Guesses::default() }
    }

    /// Returns whether the account has logged in from this network.
    pub(super) const fn is_known(&self) -> bool {
        self.guesses.known
    }

    /// Returns whether no further guess of this kind is accepted.
    pub(super) const fn is_locked(&self, guess: Guess) -> bool {
        let count = match guess {
            Guess::Password => self.guesses.passwords,
            Guess::Code => self.guesses.codes,
        };
        count >= MOST_GUESSES
    }

    /// Checks whether the client must wait. At a network from which the account has logged in, only the failures of `at`, the
    /// account at the client's address, count.
    pub(super) fn check(
        &self,
        subjects: &[ThrottleKey<'_>],
        at: &[ThrottleKey<'_>],
        services: &LoginServices,
        now_ms: i64,
    ) -> Result<(), RetryAfter> {
        services.throttle.check(if self.is_known() { at } else { subjects }, now_ms)
    }

    /// Resets the failures after a login. Fails as [`Self::check`] does.
    pub(super) fn record_success(
        &self,
        subjects: &[ThrottleKey<'_>],
        at: &[ThrottleKey<'_>],
        services: &LoginServices,
        now_ms: i64,
    ) -> Result<(), RetryAfter> {
        if self.is_known() {
            services.throttle.record_success_at(subjects, at, now_ms)
        } else {
            services.throttle.record_success(subjects, at, now_ms)
        }
    }

    /// Counts a failure at the client's address. `told`: the result of [`super::throttle::Throttle::record_failure`]. Fails for a
    /// throttled client: it learns nothing, so it was not a guess.
    pub(super) fn record_failure_at(
        &self,
        at: &[ThrottleKey<'_>],
        told: Result<(), RetryAfter>,
        services: &LoginServices,
        now_ms: i64,
    ) -> Result<(), RetryAfter> {
        let here = services.throttle.fail_at(at, told.is_ok(), now_ms);
        if self.is_known() { here } else { told }
    }

    /// Resets in memory what the operator reset: for the account, not for the address.
    pub(super) fn forget_what_was_reset(
        &self,
        subjects: &[ThrottleKey<'_>],
        at: &[ThrottleKey<'_>],
        services: &LoginServices,
    ) {
        if self.guesses.reset_at > 0 {
            let account = subjects.iter().filter(|subject| !matches!(subject, ThrottleKey::Address(..)));
            let account: Vec<_> = account.chain(at).copied().collect();
            services.throttle.forget_until(&account, self.guesses.reset_at);
        }
    }

    /// Notes that the user signed in, if there is anything new in it: most logins write nothing here.
    pub(super) async fn signed_in(
        &self,
        realm: &str,
        id: &str,
        services: &LoginServices,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let Guesses { known, passwords, codes, used_at, .. } = self.guesses;
        if known && passwords == 0 && codes == 0 && now_ms.saturating_sub(used_at) < AGE_MS {
            return Ok(());
        }
        services.store.signed_in(realm, id, self.network, now_ms).await
    }
}

/// Counts a wrong guess at a user. Reports the guess that locks the account to the operator.
pub(super) async fn count(
    request: &LoginRequest<'_>,
    user: &User,
    guess: Guess,
    services: &LoginServices,
) -> Result<(), StoreError> {
    count_at(request, (&user.realm, &user.id), &user.id, guess, services).await
}

/// The same for an account by its realm and id. `user`: the operator's name for it.
pub(super) async fn count_at(
    request: &LoginRequest<'_>,
    (realm, id): (&str, &str),
    user: &str,
    guess: Guess,
    services: &LoginServices,
) -> Result<(), StoreError> {
    let network = NetworkId::from_address(request.client());
    if services.store.count_guess(realm, id, network, guess, request.now_ms).await? == MOST_GUESSES {
        request.event.locked(user);
        let client = request.client();
        tracing::warn!(
            realm,
            user,
            %client,
            ?guess,
            "{MOST_GUESSES} wrong guesses in a row: the account is locked, but for networks from which it has signed in \
             (tollgate user unlock)"
        );
    }
    Ok(())
}

/// Makes the same write as [`count`], for a guess that counts for no user.
pub(super) async fn count_nothing(
    request: &LoginRequest<'_>,
    name: &str,
    services: &LoginServices,
) -> Result<(), StoreError> {
    // One of 256 rows, so that concurrent guesses do not all wait for one row, and their number stays bounded.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let id = format!("-{:02x}", digest.as_ref()[0]);
    services
        .store
        .count_guess(
            &request.realm().name,
            &id,
            NetworkId::from_address(request.client()),
            Guess::Password,
            request.now_ms,
        )
        .await?;
    Ok(())
}

/// NIST SP 800-63B-4, 3.2.2.
pub(crate) const MOST_GUESSES: u32 = 100;
/// After a day it is written again that a network is in use: which ones were used last decides which are kept.
const AGE_MS: i64 = 24 * 3600 * 1000;
