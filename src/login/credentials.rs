//! The first step of every login: finding the user of a password.

use std::net::IpAddr;

use super::guesses::{self, Standing};
use super::password::{Password, Share, needs_rehash};
use super::throttle::{RetryAfter, ThrottleKey};
use super::{LoginError, LoginRequest, LoginServices};
use crate::gate::DenyReason;
use crate::store::{Guess, LoginName, NetworkId, SessionsToEnd, StoreError, User};

/// A login attempt with a password.
pub(super) struct PasswordAttempt<'a> {
    pub(super) request: &'a LoginRequest<'a>,
    pub(super) place: Place<'a>,
    /// The typed name in each form: as a username, as an email address. Empty if it is not a valid name.
    pub(super) names: &'a [LoginName],
    pub(super) password: &'a Password,
}

/// The target of an attempt.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A realm to which the request was admitted.
    Realm(&'a str),
    /// A tenant that does not exist, or with a realm that the request is not allowed to use, with the client's spelling. The
    /// response takes the same time, and the same throttling applies, but nothing counts for users of a realm.
    Stranger(&'a str),
}

impl<'a> Place<'a> {
    /// Returns the throttle key of a name, for all its spellings.
    pub(super) fn throttle_key(self, request: &'a LoginRequest<'a>, name: &'a LoginName) -> ThrottleKey<'a> {
        match self {
            Self::Realm(realm) => ThrottleKey::Name(realm, name),
            Self::Stranger(tenant) => ThrottleKey::Stranger(&request.realm().name, tenant, name),
        }
    }
}

/// A user that the name can mean.
struct Candidate {
    user: Option<User>,
    standing: Standing,
}

/// Returns the present user with this password. `None` if the user was changed meanwhile: the check may be outdated and
/// must be repeated.
///
/// The failures of a user with a pending challenge are kept: otherwise a client that knows the password could guess the
/// second factor without limit.
///
/// A throttled client is rejected before any work, except at networks from which some user has logged in: there a user
/// in its own network must not wait for the failures of others, so the work is done for all names. Only the correct
/// password of such a user makes a difference then.
///
/// # Errors
/// [`DenyReason::Credentials`] for a wrong password and an unknown, disabled or locked user: one response, after the same
/// work (SECURITY.md R31). [`DenyReason::Throttled`] for a throttled client.
pub(super) async fn authenticate(
    attempt: &PasswordAttempt<'_>,
    services: &LoginServices,
) -> Result<Option<User>, LoginError> {
    let (client, now_ms) = (attempt.request.client(), attempt.request.now_ms);
    let address = attempt.request.address();
    let mut network_is_known = None;
    if let Err(wait) = services.throttle.check(&[address], now_ms)
        && !*network_is_known.insert(services.store.is_known(NetworkId::from_address(client)).await?)
    {
        return Err(wait.into());
    }
    let candidates = candidates(attempt, services).await?;
    let mut names = Vec::new();
    attempt.names.iter().for_each(|name| add_forms(name.as_str(), &mut names));
    candidates.iter().filter_map(|candidate| candidate.user.as_ref()).for_each(|user| add_names(user, &mut names));
    let subjects = subjects(attempt, &candidates, &names);
    for Candidate { user, standing } in &candidates {
        if let Some(user) = user {
            standing.forget_what_was_reset(&subjects, &at(user, client), services);
        }
    }
    let waits = services.throttle.check(&subjects, now_ms).err();
    if let (Some(wait), None) = (waits, network_is_known)
        && !services.store.is_known(NetworkId::from_address(client)).await?
    {
        return Err(wait.into());
    }
    let share = Share { realm: attempt.home(), client };
    let mut proven = None;
    for Candidate { user, .. } in &candidates {
        let right =
            services.passwords.verify(share, attempt.password, user.as_ref().map(|user| &user.password)).await?;
        let Some(user) = user.as_ref().filter(|user| right && !user.disabled) else { continue };
        // Read again: others may have guessed meanwhile, at other processes too.
        let standing = Standing::read(&user.realm, Some(user), client, services).await?;
        if is_let_in(user, &standing, waits, attempt, services) {
            proven = Some((user, standing));
            break;
        }
    }
    let Some((user, standing)) = proven else {
        return Err(failed(attempt, &candidates, &subjects, waits, services).await?);
    };
    attempt.request.event.user(&user.id, None);
    let at = at(user, client);
    // Failures of another user with the same typed name are kept.
    let is_other = |subject: &&ThrottleKey<'_>| matches!(subject, ThrottleKey::User(_, id) if *id != user.id);
    let subjects: Vec<_> = subjects.iter().filter(|subject| !is_other(subject)).copied().collect();
    if has_challenge(user) {
        standing.check(&subjects, &at, services, now_ms)?;
    } else {
        standing.record_success(&subjects, &at, services, now_ms)?;
        standing.signed_in(&user.realm, &user.id, services, now_ms).await?;
    }
    Ok(rehashed(user, share, attempt.password, services).await)
}

impl PasswordAttempt<'_> {
    /// Returns the realm that pays for the hash in the fair queue. Guesses at unknown users are counted there.
    fn home(&self) -> &str {
        match self.place {
            Place::Realm(realm) => realm,
            Place::Stranger(_) => &self.request.realm().name,
        }
    }
}

/// Returns whether the correct password is accepted.
fn is_let_in(
    user: &User,
    standing: &Standing,
    waits: Option<RetryAfter>,
    attempt: &PasswordAttempt<'_>,
    services: &LoginServices,
) -> bool {
    let request = attempt.request;
    let waits = if standing.is_known() {
        services.throttle.check(&at(user, request.client()), request.now_ms).is_err()
    } else {
        waits.is_some()
    };
    let locked = standing.is_locked(Guess::Password);
    if locked {
        tracing::info!(realm = user.realm, user = user.id, client = %request.client(), "the account is locked: the password was correct and is refused (tollgate user unlock)");
    }
    !waits && !locked
}

/// Counts a failure. Returns the response for the client.
async fn failed(
    attempt: &PasswordAttempt<'_>,
    candidates: &[Candidate],
    subjects: &[ThrottleKey<'_>],
    waits: Option<RetryAfter>,
    services: &LoginServices,
) -> Result<LoginError, StoreError> {
    let (client, now_ms) = (attempt.request.client(), attempt.request.now_ms);
    let told = waits.map_or_else(|| services.throttle.record_failure(subjects, now_ms), Err);
    for Candidate { user, standing } in candidates {
        let is_guess = |user: &&User| standing.record_failure_at(&at(user, client), told, services, now_ms).is_ok();
        let counted = user.as_ref().filter(is_guess);
        match counted {
            Some(user) => guesses::count(attempt.request, user, Guess::Password, services).await?,
            None => {
                let name = attempt.names.first().map_or("", LoginName::as_str);
                guesses::count_nothing(attempt.request, name, services).await?;
            }
        }
    }
    if let Err(wait) = told {
        return Ok(wait.into());
    }
    let user = candidates.iter().find_map(|candidate| candidate.user.as_ref()).map(|user| &user.id);
    user.into_iter().for_each(|id| attempt.request.event.user(id, None));
    tracing::info!(realm = attempt.home(), user, %client, "login failed");
    Ok(DenyReason::Credentials.into())
}

fn at(user: &User, client: IpAddr) -> [ThrottleKey<'_>; 1] {
    [ThrottleKey::UserAt(&user.realm, &user.id, client)]
}

/// Returns the throttle keys of an attempt.
fn subjects<'a>(
    attempt: &PasswordAttempt<'a>,
    candidates: &'a [Candidate],
    names: &'a [LoginName],
) -> Vec<ThrottleKey<'a>> {
    let users = candidates.iter().filter_map(|candidate| candidate.user.as_ref());
    let users = users.map(|user| ThrottleKey::User(&user.realm, &user.id));
    let names = names.iter().map(|name| attempt.place.throttle_key(attempt.request, name));
    users.chain(names).chain([attempt.request.address()]).collect()
}

/// Returns whether the user has a challenge after the password.
pub(super) const fn has_challenge(user: &User) -> bool {
    user.temporary || user.second_factor.is_some()
}

/// Adds the throttle keys of a user besides its id: each name in each form. A name without a user has its forms only,
/// so that it is throttled like a name with a user: at every login, and under every name of a tenant.
pub(super) fn add_names(user: &User, names: &mut Vec<LoginName>) {
    [&user.username, &user.email].into_iter().flatten().for_each(|text| add_forms(text, names));
}

fn add_forms(text: &str, names: &mut Vec<LoginName>) {
    for name in [LoginName::username(text), LoginName::email(text)].into_iter().flatten() {
        // A duplicate would count twice.
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Returns every user that the name can mean, in each form, so that the work is the same whether they exist. The
/// username of one user can be the email address of another: the password decides. Otherwise a user who registers with
/// another user's address would lock that user out.
async fn candidates(attempt: &PasswordAttempt<'_>, services: &LoginServices) -> Result<Vec<Candidate>, StoreError> {
    // No realm has the empty name.
    let realm = if let Place::Realm(realm) = attempt.place { realm } else { "" };
    let mut candidates = Vec::with_capacity(attempt.names.len());
    for name in attempt.names {
        let user = services.store.user_by_name(realm, name).await?;
        let standing = Standing::read(realm, user.as_ref(), attempt.request.client(), services).await?;
        candidates.push(Candidate { user, standing });
    }
    if candidates.is_empty() {
        let standing = Standing::read(realm, None, attempt.request.client(), services).await?;
        candidates.push(Candidate { user: None, standing });
    }
    Ok(candidates)
}

/// Returns the user with a hash of the present parameters. `None` if the user was changed meanwhile. Any other failure
/// does not fail the login.
async fn rehashed(user: &User, share: Share<'_>, password: &Password, services: &LoginServices) -> Option<User> {
    if !needs_rehash(&user.password) {
        return Some(user.clone());
    }
    let Ok(hash) = services.passwords.hash(share, password).await else { return Some(user.clone()) };
    match services.store.update_user(&User { password: hash, ..user.clone() }, SessionsToEnd::Nothing, None).await {
        Ok((user, _)) => Some(user),
        Err(StoreError::VersionConflict) => None,
        Err(error) => {
            tracing::warn!(realm = user.realm, user = user.id, %error, "an imported password hash could not be replaced");
            Some(user.clone())
        }
    }
}

/// Number of attempts if a record changes between reading and writing.
pub(super) const ATTEMPTS: usize = 5;
