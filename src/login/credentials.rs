//! The first step of every login: whose password is it?

use std::net::IpAddr;

use super::password::{Password, Share, needs_rehash};
use super::throttle::Subject;
use super::{Desk, Refusal, Trail};
use crate::gate::Deny;
use crate::store::{Ended, Name, StoreError, User};

/// Somebody's attempt to be somebody.
pub(super) struct Attempt<'a> {
    /// The realm whose users are meant; `None` if there is no such realm, which takes as long to say.
    pub(super) realm: Option<&'a str>,
    /// What failures are counted by where there is no such realm: the realm, as the client names it.
    pub(super) place: &'a str,
    /// In whose share it is hashed.
    pub(super) share: Share<'a>,
    /// What was typed, in each form that it may have: as a username, as an email address. Empty if it is no name.
    pub(super) names: &'a [Name],
    pub(super) password: &'a Password,
    pub(super) client: IpAddr,
    pub(super) trail: &'a Trail,
    /// Unix milliseconds.
    pub(super) now_ms: i64,
}

/// The user whose password it is, as of this moment. `None` if the user was changed meanwhile: what was checked may be
/// wrong now, so it is to be asked again.
///
/// The failures of a user who has to answer a challenge yet are not forgotten: else whoever knows the password could
/// guess at the second factor without end.
///
/// # Errors
/// [`Deny::Credentials`] for a wrong password, an unknown or a disabled user: one answer, after the same work
/// (`threats.md` R31).
pub(super) async fn user_of(attempt: &Attempt<'_>, desk: &Desk) -> Result<Option<User>, Refusal> {
    let address = Subject::Address(attempt.client);
    desk.throttle.admit(&[address], attempt.now_ms)?;
    let candidates = candidates(attempt, desk).await?;
    let found: Vec<_> = candidates.iter().flatten().collect();
    let mut names = Vec::new();
    attempt.names.iter().for_each(|name| add_forms(name.as_str(), &mut names));
    found.iter().for_each(|user| add_names(user, &mut names));
    let users = found.iter().map(|user| Subject::User(&user.realm, &user.id));
    let place = attempt.realm.unwrap_or(attempt.place);
    let names = names.iter().map(|name| Subject::Name(place, name));
    let mut subjects: Vec<_> = users.chain(names).chain([address]).collect();
    desk.throttle.admit(&subjects, attempt.now_ms)?;
    let mut proven = None;
    for user in &candidates {
        let right = desk.passwords.verify(attempt.share, attempt.password, user.as_ref().map(|user| &user.password)).await?;
        proven = user.as_ref().filter(|user| right && !user.disabled);
        if proven.is_some() {
            break;
        }
    }
    let Some(user) = proven else {
        desk.throttle.fail(&subjects, attempt.now_ms)?;
        let user = found.first().map(|user| &user.id);
        user.into_iter().for_each(|id| attempt.trail.user(id, None));
        tracing::info!(realm = attempt.realm, user, client = %attempt.client, "login failed");
        return Err(Deny::Credentials.into());
    };
    attempt.trail.user(&user.id, None);
    // Nothing is forgotten of another user, whose name was typed as well.
    subjects.retain(|subject| !matches!(subject, Subject::User(_, id) if *id != user.id));
    if has_challenge(user) {
        desk.throttle.admit(&subjects, attempt.now_ms)?;
    } else {
        desk.throttle.succeed(&subjects, attempt.now_ms)?;
    }
    Ok(rehashed(user, attempt, desk).await)
}

/// Whether more than the password is asked of this user.
pub(super) const fn has_challenge(user: &User) -> bool {
    user.temporary || user.second_factor.is_some()
}

/// What failures for a user are counted by, beside the user: each name, in each form that it may have. A name that nobody
/// has is counted by its forms alone, so that it waits wherever one that somebody has would: at every login, and under
/// every name that a tenant has.
pub(super) fn add_names(user: &User, names: &mut Vec<Name>) {
    [&user.username, &user.email].into_iter().flatten().for_each(|text| add_forms(text, names));
}

fn add_forms(text: &str, names: &mut Vec<Name>) {
    for name in [Name::username(text), Name::email(text)].into_iter().flatten() {
        // Twice would count twice.
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Whoever may be meant, in each form of the name, so that the work is the same whether they exist. What is one user's
/// username may be another's email address: whose password it is decides. If it were the name, whoever registers with
/// somebody else's would keep that one out.
async fn candidates(attempt: &Attempt<'_>, desk: &Desk) -> Result<Vec<Option<User>>, StoreError> {
    let mut candidates = Vec::with_capacity(attempt.names.len());
    for name in attempt.names {
        // No realm has the empty name.
        candidates.push(desk.store.user_by_name(attempt.realm.unwrap_or_default(), name).await?);
    }
    if candidates.is_empty() {
        candidates.push(None);
    }
    Ok(candidates)
}

/// The user with a hash of today's strength. `None` if the user was changed meanwhile. Any other failure is no reason to
/// turn the user away.
async fn rehashed(user: &User, attempt: &Attempt<'_>, desk: &Desk) -> Option<User> {
    if !needs_rehash(&user.password) {
        return Some(user.clone());
    }
    let Ok(hash) = desk.passwords.hash(attempt.share, attempt.password).await else { return Some(user.clone()) };
    match desk.store.update_user(&User { password: hash, ..user.clone() }, Ended::Nothing, None).await {
        Ok((user, _)) => Some(user),
        Err(StoreError::Stale) => None,
        Err(error) => {
            tracing::warn!(realm = user.realm, user = user.id, %error, "an imported password hash could not be replaced");
            Some(user.clone())
        }
    }
}

/// How often to begin again when a record changes between reading and writing.
pub(super) const ATTEMPTS: usize = 5;
