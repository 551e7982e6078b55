//! Revocations: one table for those of tokens and sessions and those of accounts, in one sequence.

use sqlx::Row as _;

use super::{Connection, Row};
use crate::store::{Revocation, RevocationEntry, StoreError, SubjectRevocation, TokenExpiry};
use crate::token::{AccountId, TokenId};

/// Fails if the session is not the user's or was revoked. A stolen signing key can make a token of any user, but no
/// session: with a new password it would open a session that outlives the key.
pub(super) async fn refuse_ended(
    connection: &mut Connection,
    by: Option<TokenId>,
    realm: &str,
    id: &str,
) -> Result<(), StoreError> {
    let Some(token) = by else { return Ok(()) };
    let query = sqlx::query(
        "SELECT 1 FROM sessions WHERE token = $1 AND realm = $2 AND user_id = $3 \
         AND NOT EXISTS (SELECT 1 FROM revocations WHERE token = $1)",
    );
    let query = query.bind(bytes(token.0)).bind(realm).bind(id);
    if query.fetch_optional(connection).await?.is_some() { Ok(()) } else { Err(StoreError::Revoked) }
}

/// Ends one session, or the session that a token would have had. Uses its own expiry, if known. Replaces an existing
/// revocation that ends sooner: another issuer may give two tokens one id, and the later one must not become valid
/// again.
pub(in crate::store) async fn end_session(
    connection: &mut Connection,
    token: TokenId,
    ends: TokenExpiry,
) -> Result<Revocation, StoreError> {
    let token = bytes(token.0);
    let (TokenExpiry::At(expires_at) | TokenExpiry::AtMost(expires_at)) = ends;
    if let TokenExpiry::At(_) = ends {
        let sooner = sqlx::query(
            "DELETE FROM revocations WHERE token = $1 \
             AND expires_at < coalesce((SELECT expires_at FROM sessions WHERE token = $1), $2)",
        );
        sooner.bind(&token).bind(expires_at).execute(&mut *connection).await?;
    }
    let insert = sqlx::query(
        "INSERT INTO revocations (token, expires_at) \
         VALUES ($1, coalesce((SELECT expires_at FROM sessions WHERE token = $1), $2)) ON CONFLICT (token) DO NOTHING",
    );
    insert.bind(&token).bind(expires_at).execute(&mut *connection).await?;
    let query = sqlx::query("SELECT sequence, token, expires_at FROM revocations WHERE token = $1").bind(&token);
    let revocation = read_revocation(&query.fetch_one(&mut *connection).await?)?;
    sqlx::query("DELETE FROM sessions WHERE token = $1").bind(&token).execute(connection).await?;
    Ok(revocation)
}

/// The two statements that end the sessions for which a condition holds: one revokes and returns the revocations, one
/// deletes.
macro_rules! end_where {
    ($($condition:tt)*) => {
        [
            concat!(
                "INSERT INTO revocations (token, expires_at) SELECT token, expires_at FROM sessions WHERE ",
                $($condition)*,
                " ON CONFLICT (token) DO NOTHING RETURNING sequence, token, expires_at"
            ),
            concat!("DELETE FROM sessions WHERE ", $($condition)*),
        ]
    };
}
pub(super) use end_where;

/// Ends all sessions of a user but `kept` and, if that is a sign-in session, its family.
pub(super) async fn end_sessions(
    connection: &mut Connection,
    realm: &str,
    id: &str,
    kept: Option<TokenId>,
) -> Result<Vec<Revocation>, StoreError> {
    // Every token is distinct from NULL, and NULL has no family.
    let [revoke, delete] = end_where!(
        "realm = $1 AND user_id = $2 AND token IS DISTINCT FROM $3 AND token NOT IN \
         (SELECT session FROM sign_ins WHERE family = (SELECT family FROM sign_ins WHERE session = $3))"
    );
    let kept = kept.map(|token| bytes(token.0));
    let bound = |statement| sqlx::query(statement).bind(realm).bind(id).bind(&kept);
    let revoked = bound(revoke).fetch_all(&mut *connection).await?;
    bound(delete).execute(connection).await?;
    read_revocations(&revoked)
}

/// The revocations in these rows, in their order.
pub(super) fn read_revocations(rows: &[Row]) -> Result<Vec<Revocation>, StoreError> {
    let mut revoked: Vec<_> = rows.iter().map(read_revocation).collect::<Result<_, _>>()?;
    // RETURNING promises no order.
    revoked.sort_unstable_by_key(|revocation| revocation.sequence);
    Ok(revoked)
}

/// Replaces the account's cut-off by a later one, never by an earlier one. The new row has a new sequence, so that
/// processes that loaded the old one load it.
pub(in crate::store) async fn cut_off(
    connection: &mut Connection,
    account: AccountId,
    until: i64,
    expires_at: i64,
) -> Result<SubjectRevocation, StoreError> {
    let token = bytes(account.0);
    let before =
        sqlx::query("DELETE FROM revocations WHERE token = $1 RETURNING expires_at, issued_until").bind(&token);
    let (mut expires_at, mut until) = (expires_at, until);
    if let Some(before) = before.fetch_optional(&mut *connection).await? {
        expires_at = expires_at.max(before.try_get("expires_at")?);
        until = before.try_get::<Option<i64>, _>("issued_until")?.map_or(until, |before| until.max(before));
    }
    let insert = sqlx::query(
        "INSERT INTO revocations (token, expires_at, issued_until) VALUES ($1, $2, $3) \
         RETURNING sequence, token, expires_at, issued_until",
    );
    let row = insert.bind(&token).bind(expires_at).bind(until).fetch_one(connection).await?;
    match read(&row)? {
        RevocationEntry::Account(cut_off) => Ok(cut_off),
        RevocationEntry::Id(_) => Err(StoreError::Failed("a cut-off was not stored as one".into())),
    }
}

/// Returns the second up to which all tokens of the account are refused.
pub(in crate::store) async fn cut_off_of(
    connection: &mut Connection,
    account: AccountId,
) -> Result<Option<i64>, StoreError> {
    let query = sqlx::query("SELECT issued_until FROM revocations WHERE token = $1").bind(bytes(account.0));
    let row = query.fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get("issued_until")).transpose()?.flatten())
}

/// Up to `limit` revocations after this sequence, in order.
pub(in crate::store) async fn after(
    connection: &mut Connection,
    after: i64,
    now: i64,
    limit: u32,
) -> Result<Vec<RevocationEntry>, StoreError> {
    // The `+` keeps SQLite from the index on expiry, by which it would have to sort a million rows for every page.
    let query = sqlx::query(
        "SELECT sequence, token, expires_at, issued_until FROM revocations \
         WHERE sequence > $1 AND +expires_at >= $2 ORDER BY sequence LIMIT $3",
    );
    // Row by row: a page of the driver's rows takes far more memory than its data.
    let rows = query.bind(after).bind(now).bind(i64::from(limit)).try_map(|row: Row| Ok(read(&row)));
    rows.fetch_all(connection).await?.into_iter().collect()
}

fn read(row: &Row) -> Result<RevocationEntry, StoreError> {
    let Revocation { sequence, token, expires_at } = read_revocation(row)?;
    Ok(match row.try_get("issued_until")? {
        None => RevocationEntry::Id(Revocation { sequence, token, expires_at }),
        Some(until) => {
            RevocationEntry::Account(SubjectRevocation { sequence, account: AccountId(token.0), until, expires_at })
        }
    })
}

fn read_revocation(row: &Row) -> Result<Revocation, StoreError> {
    let token: &[u8] = row.try_get("token")?;
    let token = <[u8; 16]>::try_from(token).map_err(|_| StoreError::Failed("an id is not 16 bytes long".into()))?;
    Ok(Revocation {
        sequence: row.try_get("sequence")?,
        token: TokenId(u128::from_be_bytes(token)),
        expires_at: row.try_get("expires_at")?,
    })
}

/// As ids are stored.
pub(super) fn bytes(id: u128) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}
