//! The embedded store: one SQLite file in WAL mode, shared by Tollgate and the command line.
//!
//! SQLite has one writer at a time. Writes of this process queue for the one writing connection, so that they wait for
//! each other here and not in SQLite's busy loop, which is left for other processes. Every write is a `BEGIN IMMEDIATE`
//! transaction: it can't fail half-way for a lock. `synchronous=FULL` syncs the WAL before a commit returns.

// A write transaction of SQLite has no other beside it.
macro_rules! skip_locked {
    () => {
        ""
    };
}

mod file;
mod schema;
mod sign_in;
#[path = "statements/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "each backend compiles it with its own types of sqlx")]
mod statements;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow as Row, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, Sqlite as Driver, SqliteConnection as Connection, SqlitePool, Transaction,
};

use super::{
    Epoch, EpochStore, Followed, Guess, GuessStore, Guesses, Listed, LoginName, Missing, NetworkId, OneTimeId,
    RefreshAttempt, RefreshResult, RefreshableSession, Revocation, RevocationEntry, RevocationStore, Session,
    SessionStore, SessionsToEnd, Store, StoreError, SubjectRevocation, TokenExpiry, User, UserStore,
};
use crate::token::{AccountId, TokenId};
pub(super) use file::examine;
use file::{create_file, failed_at, is_there};
use schema::prepare;
use statements::{epochs, guesses, refresh, revocation, sessions, users};

/// A store in one file.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the file. If it is not there, it is made, with mode 0600, or that is the error; SQLite gives `-wal` and `-shm`
    /// its mode, and its owner if root opens it.
    pub(super) async fn open(path: &Path, missing: Missing) -> Result<Self, StoreError> {
        if missing == Missing::Refused {
            is_there(path)?;
        }
        create_file(path).map_err(|error| failed_at(path, error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            // Statements contain no values, but their log lines are useless.
            .disable_statement_logging();
        prepare(&options).await.map_err(|error| match error {
            StoreError::Failed(reason) => failed_at(path, reason),
            other => other,
        })?;
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(BUSY_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                // A local file needs no ping, and without one a cancelled `acquire` drops no connection.
                .test_before_acquire(false)
        };
        let writer = pool(1);
        // TRAP: on a full disk SQLite rolls back by itself. sqlx's own rollback then fails, and the connection would
        // seem to be inside a transaction from then on. The ping waits until that rollback was tried.
        let writer = writer.before_acquire(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        });
        let writer = writer.connect_with(options.clone()).await.map_err(|error| failed_at(path, error))?;
        let readers = pool(READERS).connect_with(options.pragma("query_only", "ON"));
        Ok(Self { writer, readers: readers.await.map_err(|error| failed_at(path, error))? })
    }

    /// Opens the file as it is, and writes nothing.
    pub(super) async fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        is_there(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(BUSY_TIMEOUT);
        let pool = pool.connect_with(options).await.map_err(|error| failed_at(path, error))?;
        Ok(Self { writer: pool.clone(), readers: pool })
    }

    async fn begin(&self) -> Result<Transaction<'static, Driver>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Runs statements in a transaction that writes.
macro_rules! transact {
    ($store:ident, |$transaction:ident| $statements:expr) => {{
        let mut transaction = $store.begin().await?;
        let $transaction = &mut *transaction;
        let done = $statements.await?;
        transaction.commit().await?;
        Ok::<_, StoreError>(done)
    }};
}
use transact;

#[async_trait]
impl UserStore for Sqlite {
    async fn create_users(&self, users: &[User]) -> Result<(), StoreError> {
        transact!(self, |transaction| users::create(transaction, users))
    }

    async fn register(&self, user: &User) -> Result<(), StoreError> {
        transact!(self, |transaction| users::register(transaction, user))
    }

    async fn names_held(&self, realm: &str, id: &str) -> Result<u64, StoreError> {
        users::names_held(&mut *self.readers.acquire().await?, realm, id).await
    }

    async fn user(&self, realm: &str, id: &str) -> Result<Option<User>, StoreError> {
        users::by_id(&mut *self.readers.acquire().await?, realm, id).await
    }

    async fn user_by_name(&self, realm: &str, name: &LoginName) -> Result<Option<User>, StoreError> {
        users::by_name(&mut *self.readers.acquire().await?, realm, name).await
    }

    async fn users(&self, realm: &str, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
        users::page(&mut *self.readers.acquire().await?, realm, after, limit).await
    }

    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError> {
        transact!(self, |transaction| users::update(transaction, user, ended, by))
    }

    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        by: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        transact!(self, |transaction| users::delete(transaction, realm, id, by))
    }
}

#[async_trait]
impl SessionStore for Sqlite {
    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError> {
        transact!(self, |transaction| sessions::create(transaction, session, version))
    }

    async fn create_session_once(&self, once: OneTimeId, session: &Session, version: i64) -> Result<bool, StoreError> {
        transact!(self, |transaction| sessions::create_once(transaction, once, session, version))
    }

    async fn refreshable_session(&self, session: TokenId, now: i64) -> Result<Option<RefreshableSession>, StoreError> {
        refresh::select(&mut *self.readers.acquire().await?, session, now).await
    }

    async fn rotate_refresh_token(&self, presented: &RefreshAttempt) -> Result<RefreshResult, StoreError> {
        transact!(self, |transaction| refresh::rotate(transaction, presented))
    }

    async fn sessions(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<Listed>, StoreError> {
        sessions::of_user(&mut *self.readers.acquire().await?, realm, user_id, now).await
    }

    async fn session(&self, id: TokenId) -> Result<Option<Listed>, StoreError> {
        sessions::of_id(&mut *self.readers.acquire().await?, id).await
    }
}

#[async_trait]
impl EpochStore for Sqlite {
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        epochs::all(&mut *self.readers.acquire().await?).await
    }

    async fn epoch(&self, realm: &str) -> Result<Option<Epoch>, StoreError> {
        epochs::select(&mut *self.readers.acquire().await?, realm).await
    }

    async fn follow_epoch(&self, next: &Epoch) -> Result<Followed, StoreError> {
        transact!(self, |transaction| epochs::follow(transaction, next))
    }

    async fn begin_epoch(&self, next: &Epoch) -> Result<(), StoreError> {
        transact!(self, |transaction| epochs::begin(transaction, next))
    }

    async fn end_realm(&self, next: &Epoch, until: i64, expires_at: i64) -> Result<(), StoreError> {
        transact!(self, |transaction| epochs::end(transaction, next, until, expires_at))
    }

    async fn restored(&self, next: &[Epoch], until: i64, expires_at: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(LEAP).execute(&mut *transaction).await?;
        transaction.commit().await?;
        for epoch in Epoch::all_again(next, self.epochs().await?)? {
            self.end_realm(&epoch, until, expires_at).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl RevocationStore for Sqlite {
    async fn cut_off_of(&self, account: AccountId) -> Result<Option<i64>, StoreError> {
        revocation::cut_off_of(&mut *self.readers.acquire().await?, account).await
    }

    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError> {
        transact!(self, |transaction| revocation::end_session(transaction, token, ends))
    }

    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError> {
        transact!(self, |transaction| revocation::cut_off(transaction, account, until, expires_at))
    }

    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<RevocationEntry>, StoreError> {
        revocation::after(&mut *self.readers.acquire().await?, after, now, limit).await
    }
}

#[async_trait]
impl GuessStore for Sqlite {
    async fn guesses(&self, realm: &str, user_id: &str, network: NetworkId) -> Result<Guesses, StoreError> {
        guesses::read(&mut *self.readers.acquire().await?, realm, user_id, network).await
    }

    async fn count_guess(
        &self,
        realm: &str,
        user_id: &str,
        network: NetworkId,
        guess: Guess,
        now_ms: i64,
    ) -> Result<u32, StoreError> {
        transact!(self, |transaction| guesses::count_one(transaction, realm, user_id, network, guess, now_ms))
    }

    async fn signed_in(&self, realm: &str, user_id: &str, network: NetworkId, now_ms: i64) -> Result<(), StoreError> {
        transact!(self, |transaction| guesses::signed_in(transaction, realm, user_id, network, now_ms))
    }

    async fn reset_guesses(&self, realm: &str, user_id: &str, now_ms: i64) -> Result<(), StoreError> {
        transact!(self, |transaction| guesses::reset(transaction, realm, user_id, now_ms))
    }

    async fn guessed_at(&self, realm: &str, times: u32) -> Result<Vec<String>, StoreError> {
        guesses::guessed_at(&mut *self.readers.acquire().await?, realm, times).await
    }

    async fn is_known(&self, network: NetworkId) -> Result<bool, StoreError> {
        guesses::is_known(&mut *self.readers.acquire().await?, network).await
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn purge_expired(&self, now: i64) -> Result<u64, StoreError> {
        let mut purged = 0;
        for statement in sessions::PURGES {
            let mut more = true;
            while more {
                let rows;
                (rows, more) = transact!(self, |transaction| sessions::purge(transaction, statement, now))?;
                purged += rows;
            }
        }
        for purge in guesses::PURGES {
            let mut more = true;
            while more {
                let rows;
                (rows, more) = transact!(self, |transaction| guesses::purge(transaction, purge, now))?;
                purged += rows;
            }
        }
        Ok(purged)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM users LIMIT 1").fetch_optional(&self.readers).await?;
        Ok(())
    }

    async fn close(&self) {
        // The writer last: closing the last connection moves the WAL into the file, which readers can't write.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Further than any database was ahead of its backup.
const LEAP: &str = "UPDATE sqlite_sequence SET seq = seq + 1000000000000 WHERE name = 'revocations'";

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const READERS: u32 = 4;

const WRITES_IN_WITH: bool = false;

#[cfg(test)]
mod tests;
