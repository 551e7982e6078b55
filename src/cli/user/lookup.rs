//! Finds a user by id, username or email address, and changes it.

use crate::exit::{self, Failure};
use crate::store::{LoginName, SessionsToEnd, Store, StoreError, User};

/// Returns a user of the operator, with an id only.
pub(in crate::cli) fn new_user(realm: &str, now_ms: i64) -> User {
    User { vouched: true, ..User::new(realm, now_ms) }
}

/// Returns the user of this id, username or email address. A text that is the username of one user and the address of
/// another finds no user: the wrong one could be deleted.
pub(in crate::cli) async fn find(store: &dyn Store, realm: &str, text: &str) -> Result<User, Failure> {
    if let Some(user) = store.user(realm, text).await? {
        return Ok(user);
    }
    let mut found: Option<User> = None;
    for name in [LoginName::username(text), LoginName::email(text)].into_iter().flatten() {
        let Some(user) = store.user_by_name(realm, &name).await? else { continue };
        if found.as_ref().is_some_and(|other| other.id != user.id) {
            let line = format!("{text} is ambiguous (username of one user, email address of another): use the user id");
            return Err(Failure::new(exit::DATA, line));
        }
        found = Some(user);
    }
    found.ok_or_else(|| unknown(text))
}

/// Changes a user with `set`, or not at all if it refuses; repeats if another process changes the user meanwhile.
/// Returns the user and the number of ended sessions.
pub(in crate::cli) async fn change(
    store: &dyn Store,
    realm: &str,
    text: &str,
    ended: SessionsToEnd,
    set: impl Fn(User) -> Result<User, Failure>,
) -> Result<(User, usize), Failure> {
    for _ in 0..ATTEMPTS {
        let user = find(store, realm, text).await?;
        match store.update_user(&set(user)?, ended, None).await {
            Err(StoreError::VersionConflict) => {}
            updated => {
                let (user, ended) = updated?;
                return Ok((user, ended.len()));
            }
        }
    }
    Err(StoreError::VersionConflict.into())
}

pub(super) fn unknown(text: &str) -> Failure {
    Failure::new(exit::DATA, format!("there is no user {text}"))
}

const ATTEMPTS: usize = 5;
