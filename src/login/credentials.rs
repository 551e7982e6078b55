//! The first step of every login: whose password is it?

use std::net::IpAddr;

use super::guesses::{self, Standing};
use super::password::{Password, Share, needs_rehash};
use super::throttle::{RetryAfter, ThrottleKey};
use super::{LoginError, LoginRequest, LoginServices};
use crate::gate::DenyReason;
use crate::store::{Guess, LoginName, NetworkId, SessionsToEnd, StoreError, User};

/// Somebody's attempt to be somebody.
pub(super) struct PasswordAttempt<'a> {
    pub(super) request: &'a LoginRequest<'a>,
    /// Whose users are meant.
    pub(super) place: Place<'a>,
    /// What was typed, in each form that it may have: as a username, as an email address. Empty if it is no name.
    pub(super) names: &'a [LoginName],
    pub(super) password: &'a Password,
}

/// Where an attempt wants to log in.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A realm to which the request was admitted.
    Realm(&'a str),
    /// A tenant that does not exist, or to whose realm the request was not admitted, as the client names it. It takes as long
    /// to say, and waits as long after failures, but nothing of it counts for any realm's users.
    Stranger(&'a str),
}

/// A user who may be meant.
struct Candidate {
    user: Option<User>,
    standing: Standing,
}

/// The user whose password it is, as of this moment. `None` if the user was changed meanwhile: what was checked may be
/// wrong now, so it is to be asked again.
///
/// The failures of a user who has to answer a challenge yet are not forgotten: else whoever knows the password could
/// guess at the second factor without end.
///
/// Who has to wait is told so before any work, except at networks from which some user has signed in: there a user whose
/// own network it is must not wait for what others did, and so the work is done for all names alike. Only the right
/// password of such a user makes a difference then.
///
/// # Errors
/// [`DenyReason::Credentials`] for a wrong password, an unknown, a disabled or a locked user: one answer, after the same work
/// (SECURITY.md, R31). [`DenyReason::Throttled`] for those who have to wait.
pub(super) async fn authenticate(
    attempt: &PasswordAttempt<'_>,
    services: &LoginServices,
) -> Result<Option<User>, LoginError> {
    let (client, now_ms) = (attempt.request.client, attempt.request.now_ms);
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
    forget_what_was_reset(&candidates, &subjects, client, services);
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
        // Read again: others may have guessed meanwhile, at other gates too.
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
    // Nothing is forgotten of another user, whose name was typed as well.
    let is_other = |subject: &&ThrottleKey<'_>| matches!(subject, ThrottleKey::User(_, id) if *id != user.id);
    let subjects: Vec<_> = subjects.iter().filter(|subject| !is_other(subject)).copied().collect();
    match (has_challenge(user), standing.is_known()) {
        (true, true) => services.throttle.check(&at, now_ms)?,
        (true, false) => services.throttle.check(&subjects, now_ms)?,
        (false, true) => services.throttle.record_success_at(&subjects, &at, now_ms)?,
        (false, false) => services.throttle.record_success(&subjects, &at, now_ms)?,
    }
    if !has_challenge(user) {
        standing.signed_in(&user.realm, &user.id, services, now_ms).await?;
    }
    Ok(rehashed(user, share, attempt.password, services).await)
}

impl PasswordAttempt<'_> {
    /// The realm in whose share it is hashed, and where guesses at no user are counted.
    fn home(&self) -> &str {
        match self.place {
            Place::Realm(realm) => realm,
            Place::Stranger(_) => self.request.realm.name(),
        }
    }
}

/// Whether the right password is good for anything.
fn is_let_in(
    user: &User,
    standing: &Standing,
    waits: Option<RetryAfter>,
    attempt: &PasswordAttempt<'_>,
    services: &LoginServices,
) -> bool {
    let request = attempt.request;
    let waits = if standing.is_known() {
        services.throttle.check(&at(user, request.client), request.now_ms).is_err()
    } else {
        waits.is_some()
    };
    let locked = standing.is_locked(Guess::Password);
    if locked {
        tracing::info!(realm = user.realm, user = user.id, client = %request.client, "the account is locked: the password was right, and does not count (tollgate user unlock)");
    }
    !waits && !locked
}

/// Counts a failure. Returns what the client is told.
async fn failed(
    attempt: &PasswordAttempt<'_>,
    candidates: &[Candidate],
    subjects: &[ThrottleKey<'_>],
    waits: Option<RetryAfter>,
    services: &LoginServices,
) -> Result<LoginError, StoreError> {
    let (client, now_ms) = (attempt.request.client, attempt.request.now_ms);
    let told = waits.map_or_else(|| services.throttle.record_failure(subjects, now_ms), Err);
    for Candidate { user, standing } in candidates {
        let counted = user.as_ref().filter(|user| {
            let here = services.throttle.fail_at(&at(user, client), told.is_ok(), now_ms);
            // Elsewhere, who has to wait learns nothing, so that it was no guess.
            if standing.is_known() { here.is_ok() } else { told.is_ok() }
        });
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

/// What the operator reset is forgotten in memory, too: of the account, not of the address.
fn forget_what_was_reset(
    candidates: &[Candidate],
    subjects: &[ThrottleKey<'_>],
    client: IpAddr,
    services: &LoginServices,
) {
    for Candidate { user, standing } in candidates {
        if let (Some(user), reset_at @ 1..) = (user, standing.guesses.reset_at) {
            let account = subjects.iter().filter(|subject| !matches!(subject, ThrottleKey::Address(..)));
            let account: Vec<_> = account.copied().chain(at(user, client)).collect();
            services.throttle.forget_until(&account, reset_at);
        }
    }
}

fn at(user: &User, client: IpAddr) -> [ThrottleKey<'_>; 1] {
    [ThrottleKey::UserAt(&user.realm, &user.id, client)]
}

/// What the failures of an attempt count for.
fn subjects<'a>(
    attempt: &PasswordAttempt<'a>,
    candidates: &'a [Candidate],
    names: &'a [LoginName],
) -> Vec<ThrottleKey<'a>> {
    let users = candidates.iter().filter_map(|candidate| candidate.user.as_ref());
    let users = users.map(|user| ThrottleKey::User(&user.realm, &user.id));
    let names = names.iter().map(|name| match attempt.place {
        Place::Realm(realm) => ThrottleKey::Name(realm, name),
        Place::Stranger(tenant) => ThrottleKey::Stranger(attempt.request.realm.name(), tenant, name),
    });
    users.chain(names).chain([attempt.request.address()]).collect()
}

/// Whether more than the password is asked of this user.
pub(super) const fn has_challenge(user: &User) -> bool {
    user.temporary || user.second_factor.is_some()
}

/// What failures for a user are counted by, beside the user: each name, in each form that it may have. A name that nobody
/// has is counted by its forms alone, so that it waits wherever one that somebody has would: at every login, and under
/// every name that a tenant has.
pub(super) fn add_names(user: &User, names: &mut Vec<LoginName>) {
    [&user.username, &user.email].into_iter().flatten().for_each(|text| add_forms(text, names));
}

fn add_forms(text: &str, names: &mut Vec<LoginName>) {
    for name in [LoginName::username(text), LoginName::email(text)].into_iter().flatten() {
        // Twice would count twice.
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Whoever may be meant, in each form of the name, so that the work is the same whether they exist. What is one user's
/// username may be another's email address: whose password it is decides. If it were the name, whoever registers with
/// somebody else's would keep that one out.
async fn candidates(attempt: &PasswordAttempt<'_>, services: &LoginServices) -> Result<Vec<Candidate>, StoreError> {
    // No realm has the empty name.
    let realm = if let Place::Realm(realm) = attempt.place { realm } else { "" };
    let mut candidates = Vec::with_capacity(attempt.names.len());
    for name in attempt.names {
        let user = services.store.user_by_name(realm, name).await?;
        let standing = Standing::read(realm, user.as_ref(), attempt.request.client, services).await?;
        candidates.push(Candidate { user, standing });
    }
    if candidates.is_empty() {
        let standing = Standing::read(realm, None, attempt.request.client, services).await?;
        candidates.push(Candidate { user: None, standing });
    }
    Ok(candidates)
}

/// The user with a hash of today's strength. `None` if the user was changed meanwhile. Any other failure is no reason to
/// turn the user away.
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

/// How often to begin again when a record changes between reading and writing.
pub(super) const ATTEMPTS: usize = 5;
