//! The tables of the store, and their migrations.

use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection as Connection};

use super::BUSY_TIMEOUT;
use super::statements::users;
use crate::store::StoreError;

/// Switches the file to WAL and migrates its tables.
pub(super) async fn prepare(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    let mut connection = loop {
        // The switch needs the file alone, and SQLite does not wait for that, whatever the busy timeout.
        match options.clone().journal_mode(SqliteJournalMode::Wal).connect().await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => tokio::time::sleep(RETRY).await,
            other => break other?,
        }
    };
    let mode: String = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await?.try_get(0)?;
    if mode != "wal" {
        return Err(StoreError::Failed("the file system does not support SQLite's WAL mode".into()));
    }
    migrate(&mut connection).await?;
    Ok(connection.close().await?)
}

/// A lock of Tollgate, because sqlx's migration lock is a no-op on SQLite: two processes that open a new file at once
/// would both create the tables.
async fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let pragmas = "SELECT (SELECT user_version FROM pragma_user_version), \
                   (SELECT application_id FROM pragma_application_id), EXISTS (SELECT 1 FROM sqlite_schema)";
    let row = sqlx::query(pragmas).fetch_one(&mut *transaction).await?;
    let (version, application, used): (i64, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if application != APPLICATION_ID && (used || version != 0) {
        return Err(StoreError::Failed(FOREIGN.into()));
    }
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
    let done = done.ok_or_else(|| StoreError::Failed(NEWER.into()))?;
    for migration in &MIGRATIONS[done..] {
        // Each ends by setting `user_version`, within the transaction.
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    if done < LOOKS {
        users::add_missing_looks(&mut transaction).await?;
    }
    Ok(transaction.commit().await?)
}

fn is_busy(error: &sqlx::Error) -> bool {
    // The low byte of an extended code is the primary code.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

pub(super) const MIGRATIONS: [&str; 8] = [
    include_str!("../migrations/sqlite/0001_users_sessions_revocations.sql"),
    include_str!("../migrations/sqlite/0002_cut_offs.sql"),
    include_str!("../migrations/sqlite/0003_refresh_tokens_second_factors.sql"),
    include_str!("../migrations/sqlite/0004_used_once_vouched.sql"),
    include_str!("../migrations/sqlite/0005_looks_verified.sql"),
    include_str!("../migrations/sqlite/0006_sign_in_networks.sql"),
    include_str!("../migrations/sqlite/0007_epochs.sql"),
    include_str!("../migrations/sqlite/0008_sign_in.sql"),
];
/// The migration that created `looks`.
pub(super) const LOOKS: usize = 5;
pub(super) const APPLICATION_ID: i64 = 0x546f_6c6c;
pub(super) const FOREIGN: &str = "the file is a database of another program";
pub(super) const NEWER: &str = "the file was written by a newer version of tollgate";
const SQLITE_BUSY: u32 = 5;
const RETRY: Duration = Duration::from_millis(20);
