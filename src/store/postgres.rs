//! PostgreSQL, for several Tollgate processes.
//!
//! PostgreSQL allows concurrent writers, SQLite one. The statements rely on one advisory lock of the database. Every
//! write except the registration of a user takes it first and holds it until the commit is visible:
//!
//! - A writer that opens a session or uses a refresh token takes it **shared**: a row of its own decides each of these
//!   writes.
//! - A writer that changes or deletes a user, or revokes, takes it **exclusive**. So no session begins with a name or
//!   password that is being changed, and no token changes anything while it is being revoked.
//! - TRAP: a sequence number is assigned when a row is written, and the row is visible after the commit. With two such
//!   transactions at once, the later number could be visible first, and a process that polls in between would miss the
//!   earlier revocation. With the exclusive lock, rows become visible in the order of their numbers.
//!
//! A hanging server must not block Tollgate: getting a connection and each call have a time limit, and a connection
//! that exceeds it is closed. A hanging Tollgate process must not block the others: the server ends transactions that
//! wait, or make others wait, for longer than the same limit.

macro_rules! skip_locked {
    () => {
        " FOR UPDATE SKIP LOCKED"
    };
}

mod connection;
mod schema;
#[path = "statements/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "each backend compiles it with its own types of sqlx")]
mod statements;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgPoolOptions, PgRow as Row};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection as Connection, PgPool, Postgres as Driver};

use super::{
    Epoch, EpochStore, Followed, Guess, GuessStore, Guesses, Listed, LoginName, NetworkId, OneTimeId, RefreshAttempt,
    RefreshResult, RefreshableSession, Revocation, RevocationEntry, RevocationStore, Session, SessionStore,
    SessionsToEnd, Store, StoreError, SubjectRevocation, TokenExpiry, User, UserStore,
};
use crate::config;
use crate::token::{AccountId, TokenId};
use connection::{ANSWER_LIMIT, CONNECT_LIMIT, PooledConnection, failed_at, in_time, options};
pub(super) use schema::examine;
use schema::prepare;
use statements::{epochs, guesses, refresh, revocation, sessions, users};

/// A store in a database.
#[derive(Debug)]
pub(super) struct Postgres {
    pool: PgPool,
}

impl Postgres {
    /// Connects, and creates or migrates the tables.
    pub(super) async fn open(server: &config::PostgresSettings) -> Result<Self, StoreError> {
        let options = options(server);
        prepare(&options).await.map_err(|error| failed_at(server, error))?;
        let pool = PgPoolOptions::new().max_connections(server.connections).acquire_timeout(CONNECT_LIMIT);
        Ok(Self { pool: pool.connect_lazy_with(options) })
    }

    /// Connects without a write.
    pub(super) async fn open_read_only(server: &config::PostgresSettings) -> Result<Self, StoreError> {
        let options = options(server).options([("default_transaction_read_only", "on")]);
        // A pool would not return the cause of a failed connection.
        let connection = in_time(CONNECT_LIMIT, async { Ok(options.connect().await?) }).await;
        connection.map_err(|error| failed_at(server, error))?.close().await?;
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_LIMIT);
        Ok(Self { pool: pool.connect_lazy_with(options) })
    }

    async fn acquire(&self) -> Result<PooledConnection, StoreError> {
        match self.pool.acquire().await {
            Ok(connection) => Ok(PooledConnection { connection, whole: false }),
            Err(sqlx::Error::PoolTimedOut) => {
                Err(StoreError::Failed(format!("the database gave no connection within {CONNECT_LIMIT:?}")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Runs statements on a connection of the pool.
macro_rules! read {
    ($store:ident, |$connection:ident| $statements:expr) => {{
        let mut lent = $store.acquire().await?;
        let $connection = &mut *lent;
        let result = in_time(ANSWER_LIMIT, $statements).await;
        lent.release(result)
    }};
}

/// The same in a transaction that begins with `$begin`.
macro_rules! transact {
    ($store:ident, $begin:expr, |$transaction:ident| $statements:expr) => {
        transact!($store, $begin, ANSWER_LIMIT, |$transaction| $statements)
    };
    ($store:ident, $begin:expr, $limit:expr, |$transaction:ident| $statements:expr) => {{
        let mut lent = $store.acquire().await?;
        let work = async {
            let mut transaction = lent.begin_with($begin).await?;
            let $transaction = &mut *transaction;
            let done = $statements.await?;
            transaction.commit().await?;
            Ok(done)
        };
        let result = in_time($limit, work).await;
        lent.release(result)
    }};
}

#[async_trait]
impl UserStore for Postgres {
    async fn create_users(&self, users: &[User]) -> Result<(), StoreError> {
        let limit = users.iter().fold(ANSWER_LIMIT, |limit, _| limit + LIMIT_A_USER);
        transact!(self, BEGIN, limit, |transaction| users::create(transaction, users))
    }

    async fn register(&self, user: &User) -> Result<(), StoreError> {
        // Exclusive: of two names that look alike, the later one must find the earlier one.
        transact!(self, BEGIN_ALONE, |transaction| users::register(transaction, user))
    }

    async fn names_held(&self, realm: &str, id: &str) -> Result<u64, StoreError> {
        read!(self, |connection| users::names_held(connection, realm, id))
    }

    async fn user(&self, realm: &str, id: &str) -> Result<Option<User>, StoreError> {
        if id.contains('\0') {
            // PostgreSQL texts can't contain it.
            return Ok(None);
        }
        read!(self, |connection| users::by_id(connection, realm, id))
    }

    async fn user_by_name(&self, realm: &str, name: &LoginName) -> Result<Option<User>, StoreError> {
        read!(self, |connection| users::by_name(connection, realm, name))
    }

    async fn users(&self, realm: &str, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
        read!(self, |connection| users::page(connection, realm, after, limit))
    }

    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| users::update(transaction, user, ended, by))
    }

    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        by: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| users::delete(transaction, realm, id, by))
    }
}

#[async_trait]
impl SessionStore for Postgres {
    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError> {
        transact!(self, BEGIN_SHARED, |transaction| sessions::create(transaction, session, version))
    }

    async fn create_session_once(&self, once: OneTimeId, session: &Session, version: i64) -> Result<bool, StoreError> {
        transact!(self, BEGIN_SHARED, |transaction| sessions::create_once(transaction, once, session, version))
    }

    async fn refreshable_session(&self, session: TokenId, now: i64) -> Result<Option<RefreshableSession>, StoreError> {
        read!(self, |connection| refresh::select(connection, session, now))
    }

    async fn rotate_refresh_token(&self, presented: &RefreshAttempt) -> Result<RefreshResult, StoreError> {
        match transact!(self, BEGIN_SHARED, |transaction| refresh::attempt(transaction, presented))? {
            refresh::Attempt::Settled(rotated) => Ok(rotated),
            // Ending the session requires the exclusive lock, for which a holder of the shared lock can't wait: decide
            // again.
            refresh::Attempt::Reused(_) => {
                transact!(self, BEGIN_ALONE, |transaction| refresh::rotate(transaction, presented))
            }
        }
    }

    async fn sessions(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<Listed>, StoreError> {
        read!(self, |connection| sessions::of_user(connection, realm, user_id, now))
    }

    async fn session(&self, id: TokenId) -> Result<Option<Listed>, StoreError> {
        read!(self, |connection| sessions::of_id(connection, id))
    }
}

#[async_trait]
impl EpochStore for Postgres {
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        read!(self, |connection| epochs::all(connection))
    }

    async fn epoch(&self, realm: &str) -> Result<Option<Epoch>, StoreError> {
        read!(self, |connection| epochs::select(connection, realm))
    }

    async fn follow_epoch(&self, next: &Epoch) -> Result<Followed, StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| epochs::follow(transaction, next))
    }

    async fn begin_epoch(&self, next: &Epoch) -> Result<(), StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| epochs::begin(transaction, next))
    }

    async fn end_realm(&self, next: &Epoch, until: i64, expires_at: i64) -> Result<(), StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| epochs::end(transaction, next, until, expires_at))
    }

    async fn restored(&self, next: &[Epoch], until: i64, expires_at: i64) -> Result<(), StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| async {
            sqlx::query(LEAP).execute(transaction).await?;
            Ok::<_, StoreError>(())
        })?;
        for epoch in Epoch::all_again(next, self.epochs().await?)? {
            self.end_realm(&epoch, until, expires_at).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl RevocationStore for Postgres {
    async fn cut_off_of(&self, account: AccountId) -> Result<Option<i64>, StoreError> {
        read!(self, |connection| revocation::cut_off_of(connection, account))
    }

    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| revocation::end_session(transaction, token, ends))
    }

    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| revocation::cut_off(transaction, account, until, expires_at))
    }

    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<RevocationEntry>, StoreError> {
        read!(self, |connection| revocation::after(connection, after, now, limit))
    }
}

#[async_trait]
impl GuessStore for Postgres {
    async fn guesses(&self, realm: &str, user_id: &str, network: NetworkId) -> Result<Guesses, StoreError> {
        read!(self, |connection| guesses::read(connection, realm, user_id, network))
    }

    async fn count_guess(
        &self,
        realm: &str,
        user_id: &str,
        network: NetworkId,
        guess: Guess,
        now_ms: i64,
    ) -> Result<u32, StoreError> {
        transact!(self, BEGIN, |transaction| guesses::count_one(transaction, realm, user_id, network, guess, now_ms))
    }

    async fn signed_in(&self, realm: &str, user_id: &str, network: NetworkId, now_ms: i64) -> Result<(), StoreError> {
        transact!(self, BEGIN, |transaction| guesses::signed_in(transaction, realm, user_id, network, now_ms))
    }

    async fn reset_guesses(&self, realm: &str, user_id: &str, now_ms: i64) -> Result<(), StoreError> {
        transact!(self, BEGIN, |transaction| guesses::reset(transaction, realm, user_id, now_ms))
    }

    async fn guessed_at(&self, realm: &str, times: u32) -> Result<Vec<String>, StoreError> {
        read!(self, |connection| guesses::guessed_at(connection, realm, times))
    }

    async fn is_known(&self, network: NetworkId) -> Result<bool, StoreError> {
        read!(self, |connection| guesses::is_known(connection, network))
    }
}

#[async_trait]
impl Store for Postgres {
    async fn purge_expired(&self, now: i64) -> Result<u64, StoreError> {
        let mut purged = 0;
        for statement in sessions::PURGES {
            let mut more = true;
            while more {
                let rows;
                // Alone, since two processes that delete the same rows in another order would wait for each other.
                (rows, more) =
                    transact!(self, BEGIN_ALONE, |transaction| sessions::purge(transaction, statement, now))?;
                purged += rows;
            }
        }
        for purge in guesses::PURGES {
            let mut more = true;
            while more {
                let rows;
                (rows, more) = transact!(self, BEGIN_ALONE, |transaction| guesses::purge(transaction, purge, now))?;
                purged += rows;
            }
        }
        Ok(purged)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read!(self, |connection| async {
            sqlx::query("SELECT 1 FROM users LIMIT 1").fetch_optional(connection).await?;
            Ok(())
        })
    }

    async fn close(&self) {
        // Waits for the callers that still hold a connection. None holds it for longer.
        let _ = tokio::time::timeout(CONNECT_LIMIT + ANSWER_LIMIT, self.pool.close()).await;
    }
}

mod sign_in;

/// Further than any database was ahead of its backup.
const LEAP: &str = "SELECT setval(pg_get_serial_sequence('revocations', 'sequence'), \
                    nextval(pg_get_serial_sequence('revocations', 'sequence')) + 1000000000000)";

/// Starts a transaction in one message. Each statement sees what was committed before it, so the first one after a lock
/// sees all that the lock waited for. A stricter isolation level, which the database can have as its default, does not
/// have this property.
macro_rules! begin {
    ($($lock:literal),*) => {
        concat!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '5s'; ",
            "SET LOCAL statement_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '3s'",
            $("; SELECT ", $lock),*
        )
    };
}
const BEGIN: &str = begin!();
// "Tollgate" in ASCII; and one more, for the tables themselves.
const BEGIN_SHARED: &str = begin!("pg_advisory_xact_lock_shared(6084200834447537253)");
const BEGIN_ALONE: &str = begin!("pg_advisory_xact_lock(6084200834447537253)");

const WRITES_IN_WITH: bool = true;

const LIMIT_A_USER: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
