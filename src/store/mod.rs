//! Users, sessions and revocations, kept so that what was acknowledged survives `kill -9`.
//!
//! A backend implements [`Store`] and passes its contract tests (see `conformance`); SQL stays inside this module.

#[cfg(test)]
mod conformance;
mod epoch;
mod error;
mod guess;
mod name;
mod network;
mod postgres;
mod refresh;
mod revocation;
mod session;
mod sqlite;
mod user;

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::Database;
use crate::token::{AccountId, TokenId};
pub use epoch::{Epoch, EpochId, Followed};
pub use error::{Problem, StoreError};
pub use guess::{Guess, Guesses};
pub use name::LoginName;
pub use network::NetworkId;
pub use refresh::{NewRefreshState, RefreshAttempt, RefreshResult, RefreshableSession};
pub use revocation::{Revocation, RevocationEntry, SubjectRevocation, TokenExpiry, load_revocations};
pub use session::{Listed, ListedRefresh, OneTimeId, Session, SessionsToEnd};
pub use user::{PasswordHash, SecondFactor, User};

/// Where users, sessions and revocations are kept. Every write is durable when its call returns, and happens whole or
/// not at all. All times are the caller's, so that tests need no clock.
#[async_trait]
pub trait Store: Send + Sync {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if its username or email is taken in the realm, whatever its spelling. A name that its
    /// user gave up is taken as long as a session of that time lives: its token still carries the name, and an app
    /// would take the one user for the other.
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.create_users(std::slice::from_ref(user)).await
    }

    /// Adds a user who chose its names. As [`Store::create_user`], and a username that looks like a name of another user's
    /// (Unicode TR39) is taken, too.
    ///
    /// # Errors
    /// As [`Store::create_user`].
    async fn register(&self, user: &User) -> Result<(), StoreError>;

    /// Adds all of these users, or none.
    ///
    /// # Errors
    /// As [`Store::create_user`], for any of them.
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

    /// Replaces the user of `user.id`, whose stored version must be `user.version`, and ends sessions, in one
    /// transaction. Returns the user as stored, with its new version, and what was revoked. `by` is the session that asked
    /// for it, if one did: what was revoked while its request was on the way must not change a password, nor what only a
    /// signing key vouches for; and a username that its user chose looks like no name of another user's, as at
    /// [`Store::register`].
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] as for [`Store::create_user`]; [`StoreError::VersionConflict`] if the version differs or the user is
    /// gone; [`StoreError::Revoked`] if `by` is.
    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError>;

    /// Deletes the user and ends its sessions. Returns the user as it was, and what was revoked; `None` if there is no
    /// such user. `by` as for [`Store::update_user`].
    ///
    /// # Errors
    /// [`StoreError::Revoked`] as for [`Store::update_user`].
    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        by: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError>;

    /// How many names a user holds back from others: those that it gave up, and that tokens of its sessions may carry.
    ///
    /// # Errors
    /// The database failed.
    async fn names_held(&self, realm: &str, id: &str) -> Result<u64, StoreError>;

    /// Opens a session for the user, if it is still the `version` whose password was checked, and not disabled, and if the
    /// realm's epoch is still `session.epoch`, where that is one.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`] if it is not.
    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError>;

    /// The same for what may open one session only. Returns whether it was the first time, among all who try at the same
    /// moment; if the session can't be opened, it was not used.
    ///
    /// # Errors
    /// As [`Store::create_session`].
    async fn create_session_once(&self, once: OneTimeId, session: &Session, version: i64) -> Result<bool, StoreError>;

    /// The session whose refresh tokens count at `now` (Unix seconds), if its epoch has not ended.
    ///
    /// # Errors
    /// The database failed.
    async fn refreshable_session(&self, session: TokenId, now: i64) -> Result<Option<RefreshableSession>, StoreError>;

    /// Uses up a refresh token, once among all who try at the same moment.
    ///
    /// # Errors
    /// The database failed.
    async fn rotate_refresh_token(&self, presented: &RefreshAttempt) -> Result<RefreshResult, StoreError>;

    /// Every realm's epoch, in the order of their names.
    ///
    /// # Errors
    /// The database failed.
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError>;

    /// The epoch of this realm.
    ///
    /// # Errors
    /// The database failed.
    async fn epoch(&self, realm: &str) -> Result<Option<Epoch>, StoreError>;

    /// Begins `next`, if its realm has none, or one of another issuer or audience, or of which all keys are gone. Of many
    /// who see the same reason, one begins one.
    ///
    /// # Errors
    /// The database failed.
    async fn follow_epoch(&self, next: &Epoch) -> Result<Followed, StoreError>;

    /// Begins `next`, whatever there is.
    ///
    /// # Errors
    /// The database failed.
    async fn begin_epoch(&self, next: &Epoch) -> Result<(), StoreError>;

    /// Begins `next`, and ends all sessions of its realm: nothing counts any more that anybody was issued until the second
    /// `until`, that one included, nor what was issued later in a session of before. The revocations may be forgotten after
    /// `expires_at`. Who has read revocations already reads these.
    ///
    /// # Errors
    /// The database failed.
    async fn end_realm(&self, next: &Epoch, until: i64, expires_at: i64) -> Result<(), StoreError>;

    /// The same for every realm that has an epoch, and for those of `next`, since the database was put back: who reads its
    /// revocations may have read later ones than it has, and yet reads these.
    ///
    /// # Errors
    /// The database failed. Some realms may be done.
    async fn restored(&self, next: &[Epoch], until: i64, expires_at: i64) -> Result<(), StoreError>;

    /// The sessions of a user that have not expired at `now` (Unix seconds), the oldest first. Those that a cut-off has ended
    /// are among them.
    ///
    /// # Errors
    /// The database failed.
    async fn sessions(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<Listed>, StoreError>;

    /// The session of this id.
    ///
    /// # Errors
    /// The database failed.
    async fn session(&self, id: TokenId) -> Result<Option<Listed>, StoreError>;

    /// The last second of which nothing counts any more that the account was issued, if there is one.
    ///
    /// # Errors
    /// The database failed.
    async fn cut_off_of(&self, account: AccountId) -> Result<Option<i64>, StoreError>;

    /// Ends one session. Revokes the token though no session is known for it; if one is, its own expiry counts. A token
    /// that was revoked already, and for as long, is left as it is.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError>;

    /// Revokes what the account was issued up to the second `until`, that one included. The later of two cut-offs of one
    /// account counts, and the later of their expiries. Leaves sessions as they are.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError>;

    /// Up to `limit` revocations that still matter at `now`, with a sequence above `after`, in order. What appears later
    /// has a higher sequence than all that were ever returned.
    ///
    /// # Errors
    /// The database failed.
    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<RevocationEntry>, StoreError>;

    /// Deletes sessions, revocations and what was used once whose tokens have expired at `now`. Returns how many rows went.
    ///
    /// # Errors
    /// The database failed.
    async fn purge_expired(&self, now: i64) -> Result<u64, StoreError>;

    /// The wrong guesses at an account from this network. `user_id` need not be a user's.
    ///
    /// # Errors
    /// The database failed.
    async fn guesses(&self, realm: &str, user_id: &str, network: NetworkId) -> Result<Guesses, StoreError>;

    /// Counts a wrong guess at an account. Returns how many there are now in a row. An id that is no user's has a count too,
    /// so that the time of this says nothing of who exists: the caller makes such ids of a small number of values, or by
    /// [`LoginName::pool_account`], of which [`Store::purge_expired`] forgets old ones.
    ///
    /// # Errors
    /// The database failed.
    async fn count_guess(
        &self,
        realm: &str,
        user_id: &str,
        network: NetworkId,
        guess: Guess,
        now_ms: i64,
    ) -> Result<u32, StoreError>;

    /// Notes that an account signed in from this network, and forgets the wrong guesses that counted there. Of the networks
    /// of an account, the 10 that were used last are kept.
    ///
    /// # Errors
    /// The database failed.
    async fn signed_in(&self, realm: &str, user_id: &str, network: NetworkId, now_ms: i64) -> Result<(), StoreError>;

    /// Forgets the wrong guesses at a user, from wherever they came. The networks stay.
    ///
    /// # Errors
    /// The database failed.
    async fn reset_guesses(&self, realm: &str, user_id: &str, now_ms: i64) -> Result<(), StoreError>;

    /// The ids of the realm's users with so many wrong guesses in a row, at the password or at codes, from networks from which
    /// they have not signed in.
    ///
    /// # Errors
    /// The database failed.
    async fn guessed_at(&self, realm: &str, times: u32) -> Result<Vec<String>, StoreError>;

    /// Whether any account has signed in from this network.
    ///
    /// # Errors
    /// The database failed.
    async fn is_known(&self, network: NetworkId) -> Result<bool, StoreError>;

    /// Whether the store answers.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Lets go of the database, once what is under way is done. Every later call fails.
    async fn close(&self);
}

/// Opens the store, and makes its file or its tables if they are not there.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator: a directory that does not exist, a file that can't be opened, a
/// server that can't be reached or lets us not in, what is another program's, or what a newer version wrote.
pub async fn open(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    open_or(database, Missing::Made).await
}

/// Opens the store to change what is there: a file that is not there is not made.
///
/// # Errors
/// As [`open`].
pub async fn open_existing(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    open_or(database, Missing::Refused).await
}

async fn open_or(database: &Database, missing: Missing) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(sqlite::Sqlite::open(path, missing).await?),
        Database::Postgres(server) => Arc::new(postgres::Postgres::open(server).await?),
    })
}

/// What becomes of a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

/// Opens the store to look at what is there: nothing is made, brought up to date or written.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator.
pub async fn open_read_only(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(sqlite::Sqlite::open_read_only(path).await?),
        Database::Postgres(server) => Arc::new(postgres::Postgres::open_read_only(server).await?),
    })
}

/// Looks at a store without opening it for good: nothing is made, brought up to date or written.
///
/// # Errors
/// Why [`open`] would fail.
pub async fn examine(database: &Database) -> Result<(), Problem> {
    match database {
        Database::Sqlite(path) => sqlite::examine(path).map_err(Problem::Unusable),
        Database::Postgres(server) => postgres::examine(server).await,
    }
}
