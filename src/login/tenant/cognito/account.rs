//! Tollgate's own counts for a name in a user pool: wrong guesses, and the networks from which the name logged in.
//!
//! The pool's users have no row in the store, so the client's name is counted, in its canonical form. The pool counts
//! by itself, too. While the store is unavailable, only the throttle's counts in memory apply.

use crate::gate::DenyReason;
use crate::login::credentials::Place;
use crate::login::guesses::{self, Standing};
use crate::login::throttle::{RetryAfter, ThrottleKey};
use crate::login::{LoginError, LoginRequest, LoginServices};
use crate::store::{Guess, LoginName, NetworkId};

pub(super) struct Account<'a> {
    request: &'a LoginRequest<'a>,
    services: &'a LoginServices,
    /// The realm, the store's id, and the name. `None` for an unknown tenant, and for an invalid name.
    known_as: Option<(&'a str, String, &'a LoginName)>,
    /// One throttle key for all spellings of the name, and one for the address.
    subjects: Vec<ThrottleKey<'a>>,
    standing: Standing,
    waits: Option<RetryAfter>,
}

impl<'a> Account<'a> {
    /// # Errors
    /// It has to wait, whatever the password is.
    pub(super) async fn read(
        place: Place<'a>,
        name: Option<&'a LoginName>,
        request: &'a LoginRequest<'a>,
        services: &'a LoginServices,
    ) -> Result<Self, LoginError> {
        let subject = name.map(|name| place.throttle_key(request, name));
        let subjects: Vec<_> = subject.into_iter().chain([request.address()]).collect();
        let known_as = match (place, name) {
            (Place::Realm(realm), Some(name)) => Some((realm, name.pool_account(), name)),
            _ => None,
        };
        // For an unknown tenant too, so that it takes the same time.
        let (realm, id) =
            known_as.as_ref().map_or_else(|| (request.realm().name.as_str(), ""), |(realm, id, _)| (*realm, id));
        let standing = read(realm, id, request, services).await;
        let mut account = Self { request, services, known_as, subjects, standing, waits: None };
        account.standing.forget_what_was_reset(&account.subjects, &account.at(), services);
        account.waits = services.throttle.check(&account.subjects, request.now_ms).err();
        if let Some(wait) = account.waits
            && !services.store.is_known(NetworkId::from_address(request.client())).await.unwrap_or(false)
        {
            return Err(wait.into());
        }
        Ok(account)
    }

    /// Returns whether the pool can be asked about it: a valid name that does not have to wait at this network.
    pub(super) fn may_be_asked(&self) -> bool {
        self.known_as.is_some() && (self.waits.is_none() || self.standing.is_known() && self.admit().is_ok())
    }

    /// The same for the second step, with a session of the pool.
    ///
    /// # Errors
    /// It has to wait.
    pub(super) fn admit(&self) -> Result<(), RetryAfter> {
        self.standing.check(&self.subjects, &self.at(), self.services, self.request.now_ms)
    }

    /// Returns whether no further guess of this kind is accepted. Read again: there may have been other guesses
    /// meanwhile, in other processes too.
    pub(super) async fn is_locked(&self, guess: Guess) -> bool {
        let Some((realm, id, _)) = &self.known_as else { return false };
        let locked = read(realm, id, self.request, self.services).await.is_locked(guess);
        if locked {
            tracing::info!(realm, client = %self.request.client(), ?guess, "the account is locked: what was right does not count (tollgate user unlock)");
        }
        locked
    }

    /// Counts a failure with the response `deny`. `guess`: the pool reported a wrong one.
    pub(super) async fn fail(&self, guess: Option<Guess>, deny: DenyReason) -> LoginError {
        let now_ms = self.request.now_ms;
        let told = self.waits.map_or_else(|| self.services.throttle.record_failure(&self.subjects, now_ms), Err);
        let is_guess = self.standing.record_failure_at(&self.at(), told, self.services, now_ms).is_ok();
        let counted = match (&self.known_as, guess) {
            (_, None) => Ok(()),
            (Some((realm, id, name)), Some(guess)) if is_guess => {
                guesses::count_at(self.request, (realm, id), name.as_str(), guess, self.services).await
            }
            (known_as, _) => {
                let name = known_as.as_ref().map_or("", |(_, _, name)| name.as_str());
                guesses::count_nothing(self.request, name, self.services).await
            }
        };
        if let Err(error) = counted {
            tracing::warn!(realm = self.request.realm().name, %error, "a wrong guess is counted in memory only");
        }
        told.map_or_else(LoginError::from, |()| deny.into())
    }

    /// Resets the failures of an account after a login.
    ///
    /// # Errors
    /// It has to wait.
    pub(super) async fn succeed(&self) -> Result<(), LoginError> {
        let now_ms = self.request.now_ms;
        self.standing.record_success(&self.subjects, &self.at(), self.services, now_ms)?;
        if let Some((realm, id, _)) = &self.known_as
            && let Err(error) = self.standing.signed_in(realm, id, self.services, now_ms).await
        {
            tracing::warn!(realm, %error, "the network of a sign-in could not be noted");
        }
        Ok(())
    }

    /// The account at the client's address.
    fn at(&self) -> Vec<ThrottleKey<'_>> {
        self.known_as.iter().map(|(realm, id, _)| ThrottleKey::UserAt(realm, id, self.request.client())).collect()
    }
}

async fn read(realm: &str, id: &str, request: &LoginRequest<'_>, services: &LoginServices) -> Standing {
    Standing::of_account(realm, id, request.client(), services).await.unwrap_or_else(|error| {
        tracing::warn!(realm, %error, "the wrong guesses at an account can't be read");
        Standing::new(request.client())
    })
}
