//! Opening and listing sessions, and deleting expired rows.

use sqlx::Row as _;

use super::revocation::bytes;
use super::{Connection, Row, refresh};
use crate::store::{Listed, ListedRefresh, OneTimeId, Session, StoreError};
use crate::token::TokenId;

macro_rules! insert_session {
    ($names:literal) => {
        concat!(
            "INSERT INTO sessions (token, realm, user_id, username_key, email_key, expires_at, created_at, epoch) \
             SELECT $1, users.realm, users.id, ",
            $names,
            ", $2, $6, epochs.id FROM users LEFT JOIN epochs ON epochs.realm = users.realm \
             WHERE users.realm = $3 AND users.id = $4 AND version = $5 AND NOT disabled \
             AND ($7 IS NULL OR epochs.id = $7)"
        )
    };
}

/// Opens a session, if its user still has this version and is not disabled, and the realm's epoch is still the expected
/// one.
pub(in crate::store) async fn create(
    connection: &mut Connection,
    session: &Session,
    version: i64,
) -> Result<(), StoreError> {
    insert(connection, session, version, insert_session!("username_key, email_key")).await
}

/// The same for a session without tokens that contain the user's names.
pub(super) async fn create_without_names(
    connection: &mut Connection,
    session: &Session,
    version: i64,
) -> Result<(), StoreError> {
    insert(connection, session, version, insert_session!("NULL, NULL")).await
}

async fn insert(
    connection: &mut Connection,
    session: &Session,
    version: i64,
    statement: &'static str,
) -> Result<(), StoreError> {
    let inserted = sqlx::query(statement)
        .bind(bytes(session.token.0))
        .bind(session.expires_at)
        .bind(&session.realm)
        .bind(&session.user_id)
        .bind(version)
        .bind(session.created_at)
        .bind(session.epoch.map(|epoch| bytes(epoch.0)))
        .execute(&mut *connection)
        .await?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::VersionConflict);
    }
    match &session.refresh {
        Some(first) => refresh::insert(connection, session.token, first).await,
        None => Ok(()),
    }
}

/// The same, unless `once` was used before.
pub(in crate::store) async fn create_once(
    connection: &mut Connection,
    once: OneTimeId,
    session: &Session,
    version: i64,
) -> Result<bool, StoreError> {
    if !use_once(connection, once).await? {
        return Ok(false);
    }
    create(connection, session, version).await?;
    Ok(true)
}

/// Uses an id. Returns whether this was the first use.
pub(super) async fn use_once(connection: &mut Connection, once: OneTimeId) -> Result<bool, StoreError> {
    let insert = sqlx::query("INSERT INTO used_once (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING");
    let inserted = insert.bind(bytes(once.id.0)).bind(once.expires_at).execute(connection).await?;
    Ok(inserted.rows_affected() > 0)
}

macro_rules! listed {
    () => {
        "SELECT token, sessions.realm, user_id, created_at, sessions.expires_at, rotated_at, mfa, \
         refresh_tokens.expires_at AS refreshable_until, epochs.id IS NOT NULL AS is_current FROM sessions \
         LEFT JOIN refresh_tokens ON refresh_tokens.session = sessions.token \
         LEFT JOIN epochs ON epochs.realm = sessions.realm AND epochs.id = sessions.epoch \
         LEFT JOIN sign_ins ON sign_ins.session = sessions.token WHERE created_at >= 0 AND "
    };
}

/// The user's sessions that have not expired, the oldest first.
pub(in crate::store) async fn of_user(
    connection: &mut Connection,
    realm: &str,
    user_id: &str,
    now: i64,
) -> Result<Vec<Listed>, StoreError> {
    let query = sqlx::query(concat!(
        listed!(),
        "sessions.realm = $1 AND user_id = $2 AND sessions.expires_at >= $3 AND (sign_ins.session IS NULL \
         OR epochs.id IS NOT NULL AND ends_at > $3 AND (idle = 0 OR last_seen + idle >= $3)) \
         ORDER BY created_at, token"
    ));
    query.bind(realm).bind(user_id).bind(now).fetch_all(connection).await?.iter().map(read).collect()
}

/// The one of this id.
pub(in crate::store) async fn of_id(connection: &mut Connection, id: TokenId) -> Result<Option<Listed>, StoreError> {
    let query = sqlx::query(concat!(listed!(), "token = $1")).bind(bytes(id.0));
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Listed, StoreError> {
    let token: &[u8] = row.try_get("token")?;
    let token = token.try_into().map_err(|_| StoreError::Failed("an id is not 16 bytes long".into()))?;
    let refresh = match row.try_get::<Option<i64>, _>("refreshable_until")? {
        None => None,
        Some(expires_at) => Some(ListedRefresh {
            used_at: row.try_get("rotated_at")?,
            expires_at,
            mfa: row.try_get("mfa")?,
            is_current: row.try_get("is_current")?,
        }),
    };
    Ok(Listed {
        token: TokenId(u128::from_be_bytes(token)),
        realm: row.try_get("realm")?,
        user_id: row.try_get("user_id")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        refresh,
    })
}

/// Deletes some expired rows. Not all at once: other writers would have to wait.
pub(in crate::store) const PURGES: [&str; 5] = [
    "DELETE FROM sessions WHERE token IN (SELECT token FROM sessions WHERE expires_at < $1 LIMIT $2)",
    // Another process may know of a later request, and its clock may be behind.
    "DELETE FROM sessions WHERE token IN \
     (SELECT session FROM sign_ins WHERE idle > 0 AND last_seen + idle < $1 - 600 LIMIT $2)",
    "DELETE FROM flows WHERE id IN (SELECT id FROM flows WHERE expires_at < $1 LIMIT $2)",
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
