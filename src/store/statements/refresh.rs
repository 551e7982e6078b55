//! Refresh tokens: one for each session that has any, another one after each use.

use sqlx::Row as _;

use super::Connection;
use super::revocation::{bytes, end_session};
use super::users::NameKeys;
use crate::config::MAX_ACCESS_TTL;
use crate::store::{NewRefreshState, RefreshAttempt, RefreshResult, RefreshableSession, StoreError, TokenExpiry, User};
use crate::token::MAX_LEEWAY;
use crate::token::{AccountId, TokenId};

/// The first refresh token of a new session.
pub(super) async fn insert(
    connection: &mut Connection,
    session: TokenId,
    refresh: &NewRefreshState,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO refresh_tokens (session, key, generation, current, rotated_at, authenticated_at, mfa, \
         expires_at, issued_for) VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8)",
    )
    .bind(bytes(session.0))
    .bind(refresh.key.to_vec())
    .bind(refresh.first.to_vec())
    .bind(refresh.authenticated_at * 1000)
    .bind(refresh.authenticated_at)
    .bind(refresh.mfa)
    .bind(refresh.expires_at)
    .bind(bytes(refresh.issued_for.0))
    .execute(connection)
    .await?;
    Ok(())
}

/// The session, and the key of its refresh tokens.
pub(in crate::store) async fn select(
    connection: &mut Connection,
    session: TokenId,
    now: i64,
) -> Result<Option<RefreshableSession>, StoreError> {
    let query = sqlx::query(
        "SELECT sessions.realm, user_id, key, authenticated_at, mfa, refresh_tokens.expires_at, \
         refresh_tokens.issued_for, epochs.id IS NOT NULL AS is_current FROM refresh_tokens \
         JOIN sessions ON sessions.token = refresh_tokens.session \
         LEFT JOIN epochs ON epochs.realm = sessions.realm AND epochs.id = sessions.epoch \
         WHERE refresh_tokens.session = $1 AND refresh_tokens.expires_at > $2",
    );
    let row = query.bind(bytes(session.0)).bind(now).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(RefreshableSession {
        realm: row.try_get("realm")?,
        user_id: row.try_get("user_id")?,
        key: hash(row.try_get("key")?)?,
        authenticated_at: row.try_get("authenticated_at")?,
        mfa: row.try_get("mfa")?,
        expires_at: row.try_get("expires_at")?,
        issued_for: row.try_get::<Option<&[u8]>, _>("issued_for")?.map(account).transpose()?,
        is_current: row.try_get("is_current")?,
    }))
}

/// The result of a refresh, or that the token was used before and its session must end.
pub(in crate::store) enum Attempt {
    Settled(RefreshResult),
    Reused(TokenExpiry),
}

/// Uses the presented token. One statement reads and writes, so that of two concurrent calls the later one finds the
/// token used, independent of the lock.
pub(in crate::store) async fn attempt(
    connection: &mut Connection,
    presented: &RefreshAttempt,
) -> Result<Attempt, StoreError> {
    let session = bytes(presented.session.0);
    let update = sqlx::query(
        "UPDATE refresh_tokens SET generation = generation + 1, previous = current, current = $1, rotated_at = $2 \
         WHERE session = $3 AND generation = $4 AND current = $5 AND expires_at * 1000 > $2 \
         AND EXISTS (SELECT 1 FROM sessions JOIN epochs ON epochs.realm = sessions.realm AND epochs.id = sessions.epoch \
         WHERE sessions.token = $3)",
    )
    .bind(presented.next.to_vec())
    .bind(presented.now_ms)
    .bind(&session)
    .bind(presented.generation)
    .bind(presented.hash.to_vec());
    if update.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(Attempt::Settled(RefreshResult::Next));
    }
    let query = sqlx::query(
        "SELECT generation, previous, rotated_at, sessions.expires_at AS session_ends FROM refresh_tokens \
         JOIN sessions ON sessions.token = refresh_tokens.session \
         JOIN epochs ON epochs.realm = sessions.realm AND epochs.id = sessions.epoch \
         WHERE refresh_tokens.session = $1 AND refresh_tokens.expires_at * 1000 > $2",
    );
    let row = query.bind(&session).bind(presented.now_ms).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(Attempt::Settled(RefreshResult::Unknown)) };
    let (generation, rotated): (i64, i64) = (row.try_get("generation")?, row.try_get("rotated_at")?);
    let previous: Option<&[u8]> = row.try_get("previous")?;
    let since =
        if (rotated..=rotated + RESTART_MS).contains(&presented.started_ms) { presented.started_ms } else { rotated };
    let is_previous = presented.generation + 1 == generation && previous.is_some_and(|hash| *hash == presented.hash);
    // A use in the future is by another process with a clock ahead. If a clock was set back by days, it says nothing
    // about the last moments.
    if is_previous && (-SKEW_MS..=presented.grace_ms).contains(&(presented.now_ms - since)) {
        return Ok(Attempt::Settled(RefreshResult::Again));
    }
    Ok(Attempt::Reused(TokenExpiry::At(row.try_get("session_ends")?)))
}

/// Uses up the token that was presented, or ends its session. Writes a revocation then.
pub(in crate::store) async fn rotate(
    connection: &mut Connection,
    presented: &RefreshAttempt,
) -> Result<RefreshResult, StoreError> {
    match attempt(connection, presented).await? {
        Attempt::Settled(rotated) => Ok(rotated),
        Attempt::Reused(ends) => Ok(RefreshResult::Reused(end_session(connection, presented.session, ends).await?)),
    }
}

/// Keeps the names that a user gives up from others while tokens may carry them: a session keeps those that it began with,
/// but refreshed tokens have those of their own moment, and a process knows the user of a sign-in session as of its last
/// check. Under the name of a session that has no token.
pub(super) async fn keep_names(connection: &mut Connection, before: &User, now: &User) -> Result<(), StoreError> {
    let (old, new) = (NameKeys::from_user(before)?, NameKeys::from_user(now)?);
    if old == new {
        return Ok(());
    }
    let ends = (now.updated_at / 1000).saturating_add_unsigned(MAX_ACCESS_TTL.as_secs() + MAX_LEEWAY.as_secs());
    sqlx::query(
        "INSERT INTO sessions (token, realm, user_id, username_key, email_key, expires_at, created_at) \
         SELECT $1, $2, $3, $4, $5, $6, -1 WHERE EXISTS (SELECT 1 FROM sessions \
         JOIN refresh_tokens ON refresh_tokens.session = sessions.token WHERE realm = $2 AND user_id = $3) \
         OR EXISTS (SELECT 1 FROM sessions \
         JOIN sign_ins ON sign_ins.session = sessions.token WHERE realm = $2 AND user_id = $3)",
    )
    .bind(bytes(TokenId::random().0))
    .bind(&now.realm)
    .bind(&now.id)
    .bind(old.username)
    .bind(old.email)
    .bind(ends)
    .execute(connection)
    .await?;
    Ok(())
}

fn account(stored: &[u8]) -> Result<AccountId, StoreError> {
    let bytes = stored.try_into().map_err(|_| StoreError::Failed("an account is not 16 bytes long".into()))?;
    Ok(AccountId(u128::from_be_bytes(bytes)))
}

fn hash(stored: &[u8]) -> Result<[u8; 32], StoreError> {
    stored.try_into().map_err(|_| StoreError::Failed("a hash is not 32 bytes long".into()))
}

/// Maximum clock difference between two processes.
const SKEW_MS: i64 = 5 * 60 * 1000;
/// The time for which a process can be away while its clients still get the responses that they lost.
const RESTART_MS: i64 = 5 * 60 * 1000;
