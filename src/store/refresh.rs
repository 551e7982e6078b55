//! Refresh tokens: the state of a session that can be refreshed, and the result of an attempt.

use super::Revocation;
use crate::token::{AccountId, TokenId};

/// The refresh state of a new session.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRefreshState {
    /// Random: tags the session's refresh tokens, and makes each from the one before.
    pub key: [u8; 32],
    /// SHA-256 of the first one.
    pub first: [u8; 32],
    /// Unix seconds of the login.
    pub authenticated_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// Unix seconds from which the session's refresh tokens are invalid.
    pub expires_at: i64,
    /// A hash of the realm's issuer and audience ([`crate::token::TokenSettings::everyone`]). With others, the refresh token is
    /// invalid.
    pub issued_for: AccountId,
}

impl std::fmt::Debug for NewRefreshState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Refresh").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A session that can be refreshed.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshableSession {
    pub realm: String,
    pub user_id: String,
    pub key: [u8; 32],
    /// Unix seconds of the login.
    pub authenticated_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// Unix seconds from which the session's refresh tokens are invalid.
    pub expires_at: i64,
    /// A hash of the issuer and audience of the realm when the session began; unknown for sessions from older versions.
    pub issued_for: Option<AccountId>,
    /// The realm's epoch is still the one in which it began. If not, it can be ended and nothing more.
    pub is_current: bool,
}

/// A refresh token that a client presents, and the next one. Its tag is valid.
#[derive(Clone, Copy)]
pub struct RefreshAttempt {
    pub session: TokenId,
    /// The number of refresh tokens before it.
    pub generation: i64,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// SHA-256 of the next one.
    pub next: [u8; 32],
    /// Unix milliseconds.
    pub now_ms: i64,
    /// The time after its use in which it can come again, from a client that lost the response.
    pub grace_ms: i64,
    /// The start of this process in Unix milliseconds. A token that was used shortly before may have lost its response
    /// with the previous process, and its client could not repeat it sooner.
    pub started_ms: i64,
}

/// The result of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshResult {
    /// The token was current; the next one is current now.
    Next,
    /// The token was used within the grace period, and the next one is still current.
    Again,
    /// Refresh token reuse: the session has ended (RFC 9700, 4.14.2).
    Reused(Revocation),
    /// There is no such session, or it has ended.
    Unknown,
}
