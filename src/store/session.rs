//! Sessions, as a login opens them and as they are listed.

use super::{EpochId, NewRefreshState};
use crate::token::TokenId;

/// One login: one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose user.
    pub realm: String,
    /// The user's id.
    pub user_id: String,
    /// The token's id.
    pub token: TokenId,
    /// Unix seconds of the token's `iat`.
    pub created_at: i64,
    /// Unix seconds after which no one accepts the token, leeway included.
    pub expires_at: i64,
    /// If it can be refreshed: then it is the session of many tokens, and `token` none's own id.
    pub refresh: Option<NewRefreshState>,
    /// The epoch in which it was proven that it may begin; `None`: whichever there is. It begins in no other.
    pub epoch: Option<EpochId>,
}

/// What may be used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTimeId {
    /// Its name.
    pub id: TokenId,
    /// Unix seconds after which no one accepts it anyway.
    pub expires_at: i64,
}

/// A session, for who wants to know which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub token: TokenId,
    /// Whose realm's.
    pub realm: String,
    /// Whose.
    pub user_id: String,
    /// Unix seconds of the login; 0 if nobody knows.
    pub created_at: i64,
    /// Unix seconds after which no one accepts any of its tokens, leeway included.
    pub expires_at: i64,
    /// If it began as one that can be refreshed.
    pub refresh: Option<ListedRefresh>,
}

/// What is known of a session's refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedRefresh {
    /// Unix milliseconds of the last use, or of the login.
    pub used_at: i64,
    /// Unix seconds from which it does not count.
    pub expires_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// Its epoch has not ended.
    pub is_current: bool,
}

/// Which of a user's sessions to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsToEnd {
    /// None.
    Nothing,
    /// All of them.
    All,
    /// All but the one with this token.
    AllBut(TokenId),
}
