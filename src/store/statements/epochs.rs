//! Session epochs: one per realm.

use sqlx::Row as _;

use super::revocation::{bytes, cut_off};
use super::{Connection, Row};
use crate::store::{Epoch, EpochId, Followed, StoreError};
use crate::token::{AccountId, Seal};

/// Every realm's, in the order of their names.
pub(in crate::store) async fn all(connection: &mut Connection) -> Result<Vec<Epoch>, StoreError> {
    let query = sqlx::query("SELECT realm, id, secret, issued_for, keys, since FROM epochs ORDER BY realm");
    query.fetch_all(connection).await?.iter().map(read).collect()
}

pub(in crate::store) async fn select(connection: &mut Connection, realm: &str) -> Result<Option<Epoch>, StoreError> {
    let query = sqlx::query("SELECT realm, id, secret, issued_for, keys, since FROM epochs WHERE realm = $1");
    query.bind(realm).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Begins this epoch if there is a reason. Of two processes with the same reason, one begins an epoch, where the writer
/// has the exclusive lock.
pub(in crate::store) async fn follow(connection: &mut Connection, next: &Epoch) -> Result<Followed, StoreError> {
    let present = select(connection, &next.realm).await?;
    let followed = next.follows(present.as_ref());
    match followed {
        Followed::Same => {}
        Followed::OtherKeys => {
            let update = sqlx::query("UPDATE epochs SET keys = $2 WHERE realm = $1");
            update.bind(&next.realm).bind(to_json(&next.keys)?).execute(connection).await?;
        }
        Followed::First | Followed::IssuerChanged | Followed::KeysGone => begin(connection, next).await?,
    }
    Ok(followed)
}

/// Begins this one, whatever there is.
pub(in crate::store) async fn begin(connection: &mut Connection, next: &Epoch) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO epochs (realm, id, secret, issued_for, keys, since) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (realm) DO UPDATE SET id = excluded.id, secret = excluded.secret, \
         issued_for = excluded.issued_for, keys = excluded.keys, since = excluded.since",
    )
    .bind(&next.realm)
    .bind(bytes(next.id.0))
    .bind(next.seal.secret().to_vec())
    .bind(bytes(next.issued_for.0))
    .bind(to_json(&next.keys)?)
    .bind(next.since)
    .execute(connection)
    .await?;
    Ok(())
}

/// The same, and all tokens of the realm issued up to the second `until` are refused, and later tokens of sessions from
/// before. Revocations are kept until `expires_at`.
pub(in crate::store) async fn end(
    connection: &mut Connection,
    next: &Epoch,
    until: i64,
    expires_at: i64,
) -> Result<(), StoreError> {
    cut_off(connection, next.issued_for, until, expires_at).await?;
    // Tokens have whole seconds, and the clock of the process that issued them may be ahead.
    macro_rules! late {
        () => {
            "realm = $1 AND (created_at > $2 OR token IN (SELECT session FROM refresh_tokens WHERE rotated_at > $3))"
        };
    }
    let reissued = until.saturating_mul(1000).saturating_sub(REISSUED_MS);
    for statement in [
        concat!(
            "INSERT INTO revocations (token, expires_at) SELECT token, expires_at FROM sessions WHERE ",
            late!(),
            " ON CONFLICT (token) DO NOTHING"
        ),
        concat!("DELETE FROM sessions WHERE ", late!()),
    ] {
        sqlx::query(statement).bind(&next.realm).bind(until).bind(reissued).execute(&mut *connection).await?;
    }
    begin(connection, next).await
}

fn read(row: &Row) -> Result<Epoch, StoreError> {
    let id = |column: &str| {
        let bytes: &[u8] = row.try_get(column)?;
        let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| damaged())?;
        Ok::<_, StoreError>(u128::from_be_bytes(bytes))
    };
    let secret: &[u8] = row.try_get("secret")?;
    Ok(Epoch {
        realm: row.try_get("realm")?,
        id: EpochId(id("id")?),
        seal: Seal::new(secret.try_into().map_err(|_| damaged())?),
        issued_for: AccountId(id("issued_for")?),
        keys: serde_json::from_str(row.try_get("keys")?).map_err(|_| damaged())?,
        since: row.try_get("since")?,
    })
}

fn damaged() -> StoreError {
    StoreError::Failed("a session epoch is not as it was written".into())
}

fn to_json(keys: &[String]) -> Result<String, StoreError> {
    serde_json::to_string(keys).map_err(|error| StoreError::Failed(error.to_string()))
}

/// The time after its use in which a refresh token can give another access token, plus the maximum clock difference
/// between processes: a token that was used so long ago may have given one in this second.
const REISSUED_MS: i64 = 15 * 60 * 1000;
