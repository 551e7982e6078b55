//! A user of a realm, with its password and second factor.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{LoginName, Revocation, SessionsToEnd, StoreError};
use crate::token::TokenId;

/// Users. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if its username or email is taken in the realm, whatever its spelling. A name that its
    /// user gave up is taken as long as a session of that time lives: its token still carries the name, and an
    /// application would take the one user for the other.
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.create_users(std::slice::from_ref(user)).await
    }

    /// Adds a user with self-chosen names. Like [`UserStore::create_user`], but also refuses a username that looks like
    /// another user's name (Unicode TR39).
    ///
    /// # Errors
    /// As [`UserStore::create_user`].
    async fn register(&self, user: &User) -> Result<(), StoreError>;

    /// Adds all of these users, or none.
    ///
    /// # Errors
    /// As [`UserStore::create_user`], for any of them.
    async fn create_users(&self, users: &[User]) -> Result<(), StoreError>;

    /// The user of this id.
    ///
    /// # Errors
    /// The database failed.
    async fn user(&self, realm: &str, id: &str) -> Result<Option<User>, StoreError>;

    /// The user of this name.
    ///
    /// # Errors
    /// The database failed.
    async fn user_by_name(&self, realm: &str, name: &LoginName) -> Result<Option<User>, StoreError>;

    /// Up to `limit` users of the realm in the order of their ids, beginning after `after`.
    ///
    /// # Errors
    /// The database failed.
    async fn users(&self, realm: &str, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Replaces the user with the id `user.id`, whose stored version must be `user.version`, and ends sessions, in one
    /// transaction. Returns the stored user with its new version, and the revocations. `by` is the session that
    /// requested the change, if any: if it was revoked meanwhile, or no login opened it (a stolen signing key), it must
    /// not change the user. A username that the user chose must not look like another user's name, as in
    /// [`UserStore::register`].
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] as for [`UserStore::create_user`]; [`StoreError::VersionConflict`] if the version differs or the user
    /// is deleted; [`StoreError::Revoked`] if `by` is revoked.
    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError>;

    /// Deletes the user and ends its sessions. Returns the user as it was, and the revocations; `None` if the user does
    /// not exist. `by` as for [`UserStore::update_user`].
    ///
    /// # Errors
    /// [`StoreError::Revoked`] as for [`UserStore::update_user`].
    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        by: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError>;

    /// Returns the number of reserved names of a user: names that it gave up and that tokens of its sessions can carry.
    ///
    /// # Errors
    /// The database failed.
    async fn names_held(&self, realm: &str, id: &str) -> Result<u64, StoreError>;
}

/// A user of a realm.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub realm: String,
    /// 32 lower-case hex digits; never reused.
    pub id: String,
    /// In the user's spelling. Unique in the realm in its canonical form ([`super::LoginName`]).
    pub username: Option<String>,
    /// In the user's spelling. Unique in the realm in its canonical form.
    pub email: Option<String>,
    /// A PHC string, or an imported hash in its own form.
    pub password: PasswordHash,
    /// The members that the user registered with, `username` and `email` among them, the password never.
    pub data: Map<String, Value>,
    /// The `roles` of the user's tokens.
    pub roles: Vec<String>,
    pub disabled: bool,
    /// Another person chose the password: it is only for setting a new one.
    pub temporary: bool,
    /// The operator verified the email address and the data: the user did not write them, and did not change what an
    /// exchange login depends on.
    pub vouched: bool,
    /// The operator gave or verified the email address. Applications and tokens get no other address.
    pub email_verified: bool,
    /// The second factor that a login requires.
    pub second_factor: Option<SecondFactor>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Increases with every change: a writer that read an older version can't overwrite the row or open a session.
    pub version: i64,
}

/// A stored password. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl User {
    /// Returns a user with a new id, and without names, password, data, roles or verification. `now_ms`: the time of creation.
    #[must_use]
    pub fn new(realm: &str, now_ms: i64) -> Self {
        Self {
            realm: realm.to_owned(),
            id: uuid::Uuid::new_v4().simple().to_string(),
            username: None,
            email: None,
            password: PasswordHash(String::new()),
            data: Map::new(),
            roles: Vec::new(),
            disabled: false,
            temporary: false,
            vouched: false,
            email_verified: false,
            second_factor: None,
            created_at: now_ms,
            updated_at: now_ms,
            version: 1,
        }
    }

    /// Returns the email address if it is verified. Only this address is sent to others (SECURITY.md R60).
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

/// An authenticator app that makes one-time codes (RFC 6238), and the codes for when it is lost.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// The shared secret of the authenticator app.
    pub secret: Vec<u8>,
    /// The last time step with a used code. A code of this step or an earlier one is refused.
    pub used: i64,
    /// SHA-256 of each recovery code that is left.
    pub recovery: Vec<[u8; 32]>,
}

impl std::fmt::Debug for SecondFactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecondFactor(…)")
    }
}
