//! Sessions, as a login opens them and as they are listed.

use async_trait::async_trait;

use super::{EpochId, NewRefreshState, RefreshAttempt, RefreshResult, RefreshableSession, StoreError};
use crate::token::TokenId;

/// Sessions and their refresh tokens. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Opens a session for the user, if the user still has the `version` whose password was checked, is not disabled,
    /// and the realm's epoch is still `session.epoch` (if set).
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`] otherwise.
    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError>;

    /// Opens a session with an id that can be used once. Returns whether this was the first use, also among concurrent
    /// calls. If the session can't be opened, the id stays unused.
    ///
    /// # Errors
    /// As [`SessionStore::create_session`].
    async fn create_session_once(&self, once: OneTimeId, session: &Session, version: i64) -> Result<bool, StoreError>;

    /// Returns the session if its refresh tokens are valid at `now` (Unix seconds) and its epoch has not ended.
    ///
    /// # Errors
    /// The database failed.
    async fn refreshable_session(&self, session: TokenId, now: i64) -> Result<Option<RefreshableSession>, StoreError>;

    /// Uses a refresh token. Of concurrent calls, one succeeds.
    ///
    /// # Errors
    /// The database failed.
    async fn rotate_refresh_token(&self, presented: &RefreshAttempt) -> Result<RefreshResult, StoreError>;

    /// The sessions of a user that have not expired at `now` (Unix seconds), the oldest first. Those that a cut-off has ended
    /// are among them; sign-in sessions that ended by themselves are not.
    ///
    /// # Errors
    /// The database failed.
    async fn sessions(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<Listed>, StoreError>;

    /// The session of this id.
    ///
    /// # Errors
    /// The database failed.
    async fn session(&self, id: TokenId) -> Result<Option<Listed>, StoreError>;
}

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
    /// All but the one with this token; if it is a sign-in session, all but its family.
    AllBut(TokenId),
}
