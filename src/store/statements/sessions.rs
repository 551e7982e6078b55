//! Sessions that begin, and what is forgotten once it has expired.

use super::revocation::bytes;
use super::{Connection, refresh};
use crate::store::{Once, Session, StoreError};

/// Opens a session, if its user is still this version and not disabled.
pub(in crate::store) async fn create(
    connection: &mut Connection,
    session: &Session,
    version: i64,
) -> Result<(), StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO sessions (token, realm, user_id, username_key, email_key, expires_at) \
         SELECT $1, realm, id, username_key, email_key, $2 FROM users \
         WHERE realm = $3 AND id = $4 AND version = $5 AND NOT disabled",
    )
    .bind(bytes(session.token.0))
    .bind(session.expires_at)
    .bind(&session.realm)
    .bind(&session.user_id)
    .bind(version)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::Stale);
    }
    match &session.refresh {
        Some(first) => refresh::insert(connection, session.token, first).await,
        None => Ok(()),
    }
}

/// The same, unless `once` was used before.
pub(in crate::store) async fn create_once(
    connection: &mut Connection,
    once: Once,
    session: &Session,
    version: i64,
) -> Result<bool, StoreError> {
    let insert = sqlx::query("INSERT INTO used_once (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");
    let inserted = insert.bind(bytes(once.id.0)).bind(once.expires_at).execute(&mut *connection).await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    create(connection, session, version).await?;
    Ok(true)
}

/// What deletes some rows that have expired. Not all at once: whoever else writes would have to wait for all of them.
pub(in crate::store) const PURGES: [&str; 3] = [
    "DELETE FROM sessions WHERE token IN (SELECT token FROM sessions WHERE expires_at < $1 LIMIT $2)",
    "DELETE FROM revocations WHERE token IN (SELECT token FROM revocations WHERE expires_at < $1 LIMIT $2)",
    "DELETE FROM used_once WHERE id IN (SELECT id FROM used_once WHERE expires_at < $1 LIMIT $2)",
];

/// Runs one of [`PURGES`]. Returns how many rows went, and whether there may be more.
pub(in crate::store) async fn purge(
    connection: &mut Connection,
    statement: &'static str,
    now: i64,
) -> Result<(u64, bool), StoreError> {
    let done = sqlx::query(statement).bind(now).bind(PURGED_AT_ONCE).execute(connection).await?;
    Ok((done.rows_affected(), done.rows_affected() >= PURGED_AT_ONCE.unsigned_abs()))
}

const PURGED_AT_ONCE: i64 = 2000;
