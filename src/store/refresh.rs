//! Refresh tokens: the state of a session that can be refreshed, and the result of an attempt.

use super::Revocation;
use crate::token::{AccountId, TokenId};

/// How a session begins that can be refreshed.
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
    /// Unix seconds from which no refresh token of the session counts.
    pub expires_at: i64,
    /// The realm's issuer and audience ([`crate::token::TokenSettings::everyone`]): under others it counts no more.
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
    /// Whose user.
    pub realm: String,
    /// The user's id.
    pub user_id: String,
    /// As it began.
    pub key: [u8; 32],
    /// Unix seconds of the login.
    pub authenticated_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// Unix seconds from which no refresh token of the session counts.
    pub expires_at: i64,
    /// The issuer and audience of the realm in which it began; nobody knows of one from before a version that asked.
    pub issued_for: Option<AccountId>,
    /// The realm's epoch is still the one in which it began. If not, it can be ended and nothing more.
    pub is_current: bool,
}

/// A refresh token that somebody wants to use, and the one that would follow it. Its tag was right.
#[derive(Clone, Copy)]
pub struct RefreshAttempt {
    /// The session.
    pub session: TokenId,
    /// How many came before it.
    pub generation: i64,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// SHA-256 of the next one.
    pub next: [u8; 32],
    /// Unix milliseconds.
    pub now_ms: i64,
    /// For how long after its use it may come again, from a client that lost the answer.
    pub grace_ms: i64,
    /// Since when this process runs, Unix milliseconds: what was used shortly before may have lost its answer with the
    /// process before this one, and its client can't have come again sooner.
    pub started_ms: i64,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshResult {
    /// It was the one that counts: now the next one is.
    Next,
    /// It was used a moment ago, and the next one still counts.
    Again,
    /// It was used before: somebody has it who should not, and so the session has ended (RFC 9700, 4.14.2).
    Reused(Revocation),
    /// There is no such session any more.
    Unknown,
}
