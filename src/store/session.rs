//! Sessions, as a login opens them and as they are listed.

use super::{EpochId, NewRefreshState};
use crate::token::TokenId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub realm: String,
    pub user_id: String,
    pub token: TokenId,
    /// Unix seconds of the token's `iat`.
    pub created_at: i64,
    /// Unix seconds after which the token is invalid everywhere, clock skew included.
    pub expires_at: i64,
    /// If it can be refreshed: then it is the session of many tokens, and `token` none's own id.
    pub refresh: Option<NewRefreshState>,
    /// The epoch in which it was proven that it may begin; `None`: whichever there is. It begins in no other.
    pub epoch: Option<EpochId>,
}

/// An id that can be used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTimeId {
    pub id: TokenId,
    /// Unix seconds after which it is invalid anyway.
    pub expires_at: i64,
}

/// A session, for a list of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub token: TokenId,
    pub realm: String,
    pub user_id: String,
    /// Unix seconds of the login; 0 if unknown.
    pub created_at: i64,
    /// Unix seconds after which all of its tokens are invalid everywhere, clock skew included.
    pub expires_at: i64,
    /// Set if the session can be refreshed.
    pub refresh: Option<ListedRefresh>,
}

/// The state of a session's refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedRefresh {
    /// Unix milliseconds of the last use, or of the login.
    pub used_at: i64,
    /// Unix seconds from which the refresh token is invalid.
    pub expires_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// The session's epoch has not ended.
    pub is_current: bool,
}

/// Selects the sessions of a user to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsToEnd {
    Nothing,
    All,
    /// All but the one with this token.
    AllBut(TokenId),
}
