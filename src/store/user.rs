//! A user of a realm, with its password and second factor.

use serde_json::{Map, Value};

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
