//! Users, sessions and revocations. Data that was acknowledged survives `kill -9`.
//!
//! A backend implements [`Store`] and passes the tests in `conformance`. SQL stays inside this module.

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

/// Users, sessions and revocations. Every write is durable when its call returns, and is atomic. The caller passes all
/// times, so that tests need no clock.
#[async_trait]
pub trait Store: Send + Sync {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if its username or email is taken in the realm, whatever its spelling. A name that its
    /// user gave up is taken as long as a session of that time lives: its token still carries the name, and an
    /// application would take the one user for the other.
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.create_users(std::slice::from_ref(user)).await
    }

    /// Adds a user with self-chosen names. Like [`Store::create_user`], but also refuses a username that looks like
    /// another user's name (Unicode TR39).
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

    /// Replaces the user with the id `user.id`, whose stored version must be `user.version`, and ends sessions, in one
    /// transaction. Returns the stored user with its new version, and the revocations. `by` is the session that
    /// requested the change, if any: if it was revoked meanwhile, or no login opened it (a stolen signing key), it must
    /// not change the user. A username that the user chose must not look like another user's name, as in
    /// [`Store::register`].
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] as for [`Store::create_user`]; [`StoreError::VersionConflict`] if the version differs or the user
    /// is deleted; [`StoreError::Revoked`] if `by` is revoked.
    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError>;

    /// Deletes the user and ends its sessions. Returns the user as it was, and the revocations; `None` if the user does
    /// not exist. `by` as for [`Store::update_user`].
    ///
    /// # Errors
    /// [`StoreError::Revoked`] as for [`Store::update_user`].
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
    /// As [`Store::create_session`].
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

    /// Begins `next` if its realm has no epoch, or one with another issuer or audience, or one without a key that is
    /// left. Of concurrent calls, one begins an epoch.
    ///
    /// # Errors
    /// The database failed.
    async fn follow_epoch(&self, next: &Epoch) -> Result<Followed, StoreError>;

    /// Begins `next`, whatever there is.
    ///
    /// # Errors
    /// The database failed.
    async fn begin_epoch(&self, next: &Epoch) -> Result<(), StoreError>;

    /// Begins `next` and ends all sessions of its realm: all tokens issued up to and including the second `until` are
    /// refused, and later tokens of sessions from before. The revocations can be deleted after `expires_at`. Processes
    /// that poll revocations load these.
    ///
    /// # Errors
    /// The database failed.
    async fn end_realm(&self, next: &Epoch, until: i64, expires_at: i64) -> Result<(), StoreError>;

    /// The same for every realm that has an epoch and for those of `next`, after the database was restored. A process
    /// that has loaded later sequences than the restored database has loads these entries as well.
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

    /// Returns the last second up to which all tokens of the account are refused, if there is one.
    ///
    /// # Errors
    /// The database failed.
    async fn cut_off_of(&self, account: AccountId) -> Result<Option<i64>, StoreError>;

    /// Ends one session. Revokes the token even if no session is known for it; if one is, its own expiry is used. An
    /// existing revocation that lasts as long stays unchanged.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError>;

    /// Revokes all tokens of the account issued up to and including the second `until`. Of two such revocations of one
    /// account the later one is kept, and the later expiry. Does not end sessions.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError>;

    /// Returns up to `limit` revocations that are in force at `now` with a sequence above `after`, in order.
    /// Revocations that appear later have a higher sequence than all that were ever returned.
    ///
    /// # Errors
    /// The database failed.
    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<RevocationEntry>, StoreError>;

    /// Deletes sessions, revocations and used ids whose tokens have expired at `now`. Returns the number of rows.
    ///
    /// # Errors
    /// The database failed.
    async fn purge_expired(&self, now: i64) -> Result<u64, StoreError>;

    /// The wrong guesses at an account from this network. `user_id` need not be a user's.
    ///
    /// # Errors
    /// The database failed.
    async fn guesses(&self, realm: &str, user_id: &str, network: NetworkId) -> Result<Guesses, StoreError>;

    /// Counts a wrong guess at an account. Returns the number of guesses in a row. An id without a user has a count
    /// too, so that the time does not reveal whether a user exists. The caller uses a small number of such ids, or ids
    /// by [`LoginName::pool_account`], of which [`Store::purge_expired`] deletes old ones.
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

    /// Returns the ids of the realm's users with so many consecutive wrong guesses, at the password or at codes, from
    /// networks from which they have not logged in.
    ///
    /// # Errors
    /// The database failed.
    async fn guessed_at(&self, realm: &str, times: u32) -> Result<Vec<String>, StoreError>;

    /// Returns whether any account has logged in from this network.
    ///
    /// # Errors
    /// The database failed.
    async fn is_known(&self, network: NetworkId) -> Result<bool, StoreError>;

    /// Checks that the store answers.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes the database after the calls in progress. Every later call fails.
    async fn close(&self);
}

/// Opens the store. Creates its file or its tables if they are missing.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator: the directory does not exist, the file can't be opened, the
/// server is unreachable or refuses the login, or another program or a newer version wrote the database.
pub async fn open(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    open_or(database, Missing::Made).await
}

/// Opens the store for changes. Does not create a file.
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

/// What to do if the file does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

/// Opens the store for reading: it creates, migrates and writes nothing.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator.
pub async fn open_read_only(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(sqlite::Sqlite::open_read_only(path).await?),
        Database::Postgres(server) => Arc::new(postgres::Postgres::open_read_only(server).await?),
    })
}

/// Checks a store: it creates, migrates and writes nothing.
///
/// # Errors
/// The error that [`open`] would return.
pub async fn examine(database: &Database) -> Result<(), Problem> {
    match database {
        Database::Sqlite(path) => sqlite::examine(path).map_err(Problem::Unusable),
        Database::Postgres(server) => postgres::examine(server).await,
    }
}
