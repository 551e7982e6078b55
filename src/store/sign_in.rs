//! Sign-in sessions: a person signed in with a browser at one host.
//!
//! A sign-in session is a row of `sessions`, as every session is, and a row of `sign_ins` that refers to it. So it ends as
//! every session ends: by a revocation that all processes load, when its user is deleted or gets a new password, by
//! `session end`, or with the realm's epoch. Deleting the row of `sessions` deletes the other one.
//!
//! It differs from a session of tokens in three ways:
//!
//! - Its cookie contains no names. The user is read again with each [`SignInStore::check_sign_in`], so the session
//!   reserves no names. After a rename, processes know the old name until their next check; the store reserves it for
//!   the longest lifetime of an access token. The interval between two checks must not be longer.
//! - It can end without a revocation: when it was idle for too long, at its absolute end, with its epoch, or when its
//!   user is disabled. [`SignInStore::check_sign_in`] is the judge of that.
//! - It belongs to a family. The session at the portal is the root of a family, and the sessions that the portal opened at
//!   other hosts have its id as their family. A session without a portal is a family of its own. Requests in a session
//!   count as requests in the root too, so that the portal knows a person who works with one application for hours.
//!
//! The statements of the hot path find one row by its primary key: the check of a session, and writing the time of its
//! last request. A check with that write is one round trip. The write does not wait for another process that writes the
//! same row, because that process writes a time of the same moment.

use std::net::IpAddr;

use async_trait::async_trait;

use super::{EpochId, OneTimeId, Revocation, StoreError, User};
use crate::token::TokenId;

/// Sign-in sessions. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait SignInStore: Send + Sync {
    /// Opens a sign-in session for the user, if the user still has the `version` whose proof was checked, is not
    /// disabled, and the realm's epoch is still `new.epoch`. If the user then has more than `new.limit` sign-in sessions,
    /// the oldest end; those that are idle for too long end first. Returns their revocations. Concurrent calls can exceed
    /// the limit; the next call ends the surplus.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`] if one of the conditions is not met. [`StoreError::Revoked`] if the session has a
    /// family of another session, and that session has ended, is another user's or is not the root of a family.
    async fn open_sign_in(&self, new: &NewSignIn, version: i64) -> Result<Vec<Revocation>, StoreError>;

    /// Returns the session and its user if the session has not ended. With `check.touch`, stores `check.now` as the time
    /// of the last request, of this session and of the root of its family.
    ///
    /// # Errors
    /// The database failed.
    async fn check_sign_in(&self, check: &SignInCheck) -> Result<Option<CheckedSignIn>, StoreError>;

    /// The user's sign-in sessions that have not ended at `now` (Unix seconds), the one with the latest request first.
    ///
    /// # Errors
    /// The database failed.
    async fn sign_ins(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<SignIn>, StoreError>;

    /// Ends sessions, and returns their revocations. To end one session, use
    /// [`revoke`](super::RevocationStore::revoke).
    ///
    /// # Errors
    /// [`StoreError::Revoked`] if the session of [`SignInsToEnd::AllBut`] has ended.
    async fn end_sign_ins(&self, ended: SignInsToEnd) -> Result<Vec<Revocation>, StoreError>;

    /// Ends the families with a session that a provider reports as logged out. Returns their revocations; `None` if the
    /// id of the logout token was used before. If the call fails, the id stays unused, so that the provider can repeat
    /// its request.
    ///
    /// # Errors
    /// The database failed.
    async fn provider_logout(&self, logout: &ProviderLogout) -> Result<Option<Vec<Revocation>>, StoreError>;
}

/// A sign-in session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    pub session: TokenId,
    /// The root of its family; its own id if it is the root.
    pub family: TokenId,
    pub realm: String,
    pub user_id: String,
    /// The only host at which it is valid.
    pub host: String,
    /// The browser, as its `User-Agent` says. The store keeps the first [`MAX_AGENT`] bytes, without control characters.
    pub agent: String,
    /// The client's address when the session was opened.
    pub address: IpAddr,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds of the last request that the store knows of.
    pub last_seen: i64,
    /// Unix seconds from which it has ended.
    pub ends_at: i64,
    /// It ends when there was no request for more than so many seconds; 0: never.
    pub idle: u32,
    /// The person asked to stay signed in.
    pub remember: bool,
    /// How the person proved who they are (RFC 8176).
    pub amr: Vec<String>,
    /// Unix seconds of that proof.
    pub auth_time: i64,
    /// The provider at which the person signed in, if any.
    pub provider: Option<ProviderSession>,
}

/// The session at an OpenID Connect provider that a sign-in session depends on.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderSession {
    /// The provider's id in the configuration.
    pub provider: String,
    /// `iss` of the ID token.
    pub issuer: String,
    /// `sub` of the ID token.
    pub subject: String,
    /// `sid` of the ID token, if it has one.
    pub sid: Option<String>,
    /// The provider's refresh token. The caller encrypts it.
    pub sealed_token: Option<Vec<u8>>,
}

impl std::fmt::Debug for ProviderSession {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("ProviderSession");
        shown.field("provider", &self.provider).field("issuer", &self.issuer).field("subject", &self.subject);
        shown.finish_non_exhaustive()
    }
}

/// A sign-in session that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSignIn {
    pub sign_in: SignIn,
    /// The epoch in which the person proved who they are. The session begins in no other.
    pub epoch: EpochId,
    /// Maximum number of sign-in sessions of the user, with this one; at least 1.
    pub limit: u32,
}

/// A question about one sign-in session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInCheck {
    pub session: TokenId,
    /// Unix seconds.
    pub now: i64,
    /// Unix seconds of the last request that the caller accepted in the session, if it remembers one. The session counts
    /// as used then, although the store may not know of this request.
    pub seen: Option<i64>,
    /// The caller asks for a request, which counts as a use of the session.
    pub touch: bool,
}

/// A sign-in session that has not ended, and its user.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedSignIn {
    /// As it was before [`SignInCheck::touch`].
    pub sign_in: SignIn,
    pub user: User,
}

/// Selects sessions to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInsToEnd {
    /// The family of this session.
    Family(TokenId),
    /// All sessions of the user of this session, those of tokens too, but the family of this session.
    AllBut(TokenId),
}

/// A logout that a provider reports (OpenID Connect Back-Channel Logout 1.0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLogout {
    pub realm: String,
    pub issuer: String,
    pub ended: ProviderSessions,
    /// The id of the logout token (`jti`), which is valid once.
    pub once: OneTimeId,
}

/// Selects sessions at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderSessions {
    /// All of this subject.
    Of(String),
    /// The one of this `sid`, if it is the subject's where the logout token names one.
    One { sid: String, subject: Option<String> },
}

/// Bytes of [`SignIn::agent`] that are stored.
pub const MAX_AGENT: usize = 256;

/// Returns the text that is stored of a `User-Agent`.
pub(super) fn bounded_agent(agent: &str) -> String {
    let mut text: String = agent.chars().filter(|char| !char.is_control()).take(MAX_AGENT).collect();
    text.truncate(text.floor_char_boundary(MAX_AGENT));
    text
}
