//! The tables of the store and their migrations, and whether a database can be used.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection as Connection, Row as _};

use super::connection::{ANSWER_LIMIT, CONNECT_LIMIT, in_time, options, place};
use super::statements::users;
use crate::config;
use crate::store::{Problem, StoreError};

/// Reads the state of the database without a change.
pub(in crate::store) async fn examine(server: &config::PostgresSettings) -> Result<(), Problem> {
    let options = options(server).options([("default_transaction_read_only", "on")]);
    let looked = in_time(CONNECT_LIMIT + ANSWER_LIMIT, async { Ok(look(&options).await) }).await;
    let (problem, is_final) = match looked {
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(problem))) => (problem, true),
        // PostgreSQL, Appendix A: classes of errors. Out of connections, shutting down and starting up go by.
        Ok(Err(error)) => {
            let code = error.as_database_error().and_then(|error| Some(error.code()?.into_owned()));
            let goes_by =
                code.as_ref().is_none_or(|code| ["08", "53", "57"].iter().any(|class| code.starts_with(class)));
            (error.to_string(), !goes_by)
        }
        Err(error) => (error.to_string(), false),
    };
    let sentence = format!("{}: {problem}", place(server));
    Err(if is_final { Problem::Unusable(sentence) } else { Problem::Unreachable(sentence) })
}

/// Returns the reason that the database can't be used, if it answers.
async fn look(options: &PgConnectOptions) -> Result<Option<String>, sqlx::Error> {
    let mut connection = options.connect().await?;
    let found = "SELECT current_setting('server_encoding'), to_regclass('tollgate_version') IS NOT NULL, \
                 to_regclass('users') IS NOT NULL";
    let row = sqlx::query(found).fetch_one(&mut connection).await?;
    let (encoding, ours, used): (String, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let version: i32 = if ours {
        sqlx::query("SELECT version FROM tollgate_version").fetch_one(&mut connection).await?.try_get(0)?
    } else {
        0
    };
    connection.close().await?;
    Ok(if encoding != "UTF8" {
        Some(format!("its encoding is {encoding} instead of UTF8"))
    } else if used && !ours {
        Some("it has tables of another program".into())
    } else if usize::try_from(version).map_or(true, |version| version > MIGRATIONS.len()) {
        Some("it was written by a newer version of tollgate".into())
    } else {
        None
    })
}

/// Migrates the tables.
pub(super) async fn prepare(options: &PgConnectOptions) -> Result<(), StoreError> {
    let mut connection = in_time(CONNECT_LIMIT, async { Ok(options.connect().await?) }).await?;
    let settings = sqlx::query("SELECT current_setting('server_encoding'), current_setting('synchronous_commit')");
    let row = in_time(ANSWER_LIMIT, async { Ok(settings.fetch_one(&mut connection).await?) }).await?;
    let (encoding, synchronous): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if encoding != "UTF8" {
        let message = format!("its encoding is {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0");
        return Err(StoreError::Failed(message));
    }
    if synchronous == "off" {
        tracing::warn!("synchronous_commit is off: a crash of the database loses logins and revocations");
    }
    in_time(MIGRATION_LIMIT, migrate(&mut connection)).await?;
    Ok(connection.close().await?)
}

/// Several processes may start at the same moment: one makes the tables, the others wait for it.
async fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(BEGIN_MIGRATION).await?;
    let tables = "SELECT to_regclass('tollgate_version') IS NOT NULL, \
                  coalesce(to_regclass('users'), to_regclass('sessions'), to_regclass('revocations'), \
                  to_regclass('refresh_tokens'), to_regclass('used_once'), to_regclass('looks'), \
                  to_regclass('epochs'), to_regclass('sign_ins'), to_regclass('flows'), to_regclass('tickets'), \
                  to_regclass('provider_accounts')) IS NOT NULL";
    let row = sqlx::query(tables).fetch_one(&mut *transaction).await?;
    let (ours, used): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    let version: i32 = if ours {
        sqlx::query("SELECT version FROM tollgate_version").fetch_one(&mut *transaction).await?.try_get(0)?
    } else if used {
        return Err(StoreError::Failed("it has tables of another program: give tollgate a database of its own".into()));
    } else {
        0
    };
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
    let done = done.ok_or_else(|| StoreError::Failed("it was written by a newer version of tollgate".into()))?;
    for migration in &MIGRATIONS[done..] {
        // Each ends by setting the version, within the transaction.
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    if done < LOOKS {
        users::add_missing_looks(&mut transaction).await?;
    }
    Ok(transaction.commit().await?)
}

pub(super) const MIGRATIONS: [&str; 5] = [
    include_str!("../migrations/postgres/0001_users_sessions_revocations.sql"),
    include_str!("../migrations/postgres/0002_looks_verified.sql"),
    include_str!("../migrations/postgres/0003_sign_in_networks.sql"),
    include_str!("../migrations/postgres/0004_epochs.sql"),
    include_str!("../migrations/postgres/0005_sign_in.sql"),
];
/// The migration that created `looks`.
const LOOKS: usize = 2;
const BEGIN_MIGRATION: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock(6084200834447537254)";
const MIGRATION_LIMIT: Duration = Duration::from_secs(60);
