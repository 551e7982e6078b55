//! A user of a realm, with its password and second factor.

use serde_json::{Map, Value};

/// A user of a realm.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Whose user.
    pub realm: String,
    /// 32 lower-case hex digits; never reused.
    pub id: String,
    /// As the user wrote it. Unique in the realm in its canonical form ([`super::LoginName`]).
    pub username: Option<String>,
    /// As the user wrote it. Unique in the realm in its canonical form.
    pub email: Option<String>,
    /// A PHC string, or an imported hash in its own form.
    pub password: PasswordHash,
    /// The members that the user registered with, `username` and `email` among them, the password never.
    pub data: Map<String, Value>,
    /// For `roles` in the user's tokens.
    pub roles: Vec<String>,
    /// No token, no login.
    pub disabled: bool,
    /// The password was chosen by somebody else: it is good for choosing another, and for nothing more.
    pub temporary: bool,
    /// Whoever runs the realm stands by the email address and the data: the user has not written them, nor changed what an
    /// exchange login goes by.
    pub vouched: bool,
    /// The email address is the user's: whoever runs the realm gave it or stands by it. Apps and tokens are told of no other.
    pub email_verified: bool,
    /// What a login asks for beside the password.
    pub second_factor: Option<SecondFactor>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Goes up with every change: what was read before one can't overwrite it, nor open a session.
    pub version: i64,
}

/// A stored password. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl User {
    /// The email address, if it is the user's as far as whoever runs the realm knows: whatever says to others whom they deal
    /// with says this one or none (SECURITY.md R60).
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
    /// What the app and we share.
    pub secret: Vec<u8>,
    /// The last time step of which a code was used: no code of it or of an earlier one counts again.
    pub used: i64,
    /// SHA-256 of each recovery code that is left.
    pub recovery: Vec<[u8; 32]>,
}

impl std::fmt::Debug for SecondFactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecondFactor(…)")
    }
}
