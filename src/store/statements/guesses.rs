//! Wrong guesses at accounts, and the networks from which accounts have signed in.

use sqlx::Row as _;

use super::{Connection, Row};
use crate::store::{Guess, Guesses, NetworkId, StoreError};

/// The counts for an account at a network.
pub(in crate::store) async fn read(
    connection: &mut Connection,
    realm: &str,
    user_id: &str,
    network: NetworkId,
) -> Result<Guesses, StoreError> {
    let query = sqlx::query(
        "SELECT network, passwords, codes, used_at FROM sign_in_networks \
         WHERE realm = $1 AND user_id = $2 AND (network = $3 OR network = $4)",
    );
    let query = query.bind(realm).bind(user_id).bind(&network.0[..]).bind(ALL_OTHERS);
    let mut guesses = Guesses::default();
    for row in query.fetch_all(connection).await? {
        let (passwords, codes, used_at) = (count(&row, "passwords")?, count(&row, "codes")?, row.try_get("used_at")?);
        let of_others = row.try_get::<&[u8], _>("network")? == ALL_OTHERS;
        if of_others {
            let is_guess = user_id.starts_with(POOL) && (count(&row, "passwords")?, count(&row, "codes")?) != (0, 0);
            guesses.reset_at = if is_guess { 0 } else { used_at };
        } else {
            (guesses.known, guesses.used_at) = (true, used_at);
        }
        if guesses.known != of_others {
            (guesses.passwords, guesses.codes) = (passwords, codes);
        }
    }
    Ok(guesses)
}

/// Counts one more wrong guess, in one statement for all cases: the time must not differ.
pub(in crate::store) async fn count_one(
    connection: &mut Connection,
    realm: &str,
    user_id: &str,
    network: NetworkId,
    guess: Guess,
    now_ms: i64,
) -> Result<u32, StoreError> {
    let query = sqlx::query(
        "INSERT INTO sign_in_networks (realm, user_id, network, passwords, codes, used_at) \
         SELECT $1, $2, CASE WHEN EXISTS (SELECT 1 FROM sign_in_networks \
         WHERE realm = $1 AND user_id = $2 AND network = $3) THEN $3 ELSE $4 END, $5, $6, $7 WHERE 1 = 1 \
         ON CONFLICT (realm, user_id, network) DO UPDATE SET \
         passwords = sign_in_networks.passwords + excluded.passwords, codes = sign_in_networks.codes + excluded.codes, \
         used_at = CASE WHEN sign_in_networks.network = $4 AND $7 > 0 THEN $7 ELSE sign_in_networks.used_at END \
         RETURNING passwords, codes",
    );
    let (column, passwords, codes) = match guess {
        Guess::Password => ("passwords", 1_i64, 0_i64),
        Guess::Code => ("codes", 0, 1),
    };
    let query = query.bind(realm).bind(user_id).bind(&network.0[..]).bind(ALL_OTHERS).bind(passwords).bind(codes);
    // The time when the row of a user pool's account can be deleted. For other accounts it would be a reset.
    let query = query.bind(if user_id.starts_with(POOL) { now_ms } else { 0 });
    count(&query.fetch_one(connection).await?, column)
}

/// The account signed in from this network.
pub(in crate::store) async fn signed_in(
    connection: &mut Connection,
    realm: &str,
    user_id: &str,
    network: NetworkId,
    now_ms: i64,
) -> Result<(), StoreError> {
    let again = sqlx::query(
        "UPDATE sign_in_networks SET passwords = 0, codes = 0, used_at = $4 \
         WHERE realm = $1 AND user_id = $2 AND network = $3",
    );
    let again = again.bind(realm).bind(user_id).bind(&network.0[..]).bind(now_ms).execute(&mut *connection).await?;
    if again.rows_affected() > 0 {
        return Ok(());
    }
    // The count of new networks, of which this was one.
    let others = sqlx::query(
        "UPDATE sign_in_networks SET passwords = 0, codes = 0 WHERE realm = $1 AND user_id = $2 AND network = $3",
    );
    others.bind(realm).bind(user_id).bind(ALL_OTHERS).execute(&mut *connection).await?;
    let insert = sqlx::query(
        "INSERT INTO sign_in_networks (realm, user_id, network, passwords, codes, used_at) \
         SELECT $1, $2, $3, 0, 0, $4 WHERE $5 OR EXISTS (SELECT 1 FROM users WHERE realm = $1 AND id = $2) \
         ON CONFLICT (realm, user_id, network) DO UPDATE SET passwords = 0, codes = 0, used_at = excluded.used_at",
    );
    let insert = insert.bind(realm).bind(user_id).bind(&network.0[..]).bind(now_ms).bind(user_id.starts_with(POOL));
    insert.execute(&mut *connection).await?;
    let oldest = sqlx::query(
        "DELETE FROM sign_in_networks WHERE realm = $1 AND user_id = $2 AND network <> $3 AND network NOT IN \
         (SELECT network FROM sign_in_networks WHERE realm = $1 AND user_id = $2 AND network <> $3 \
         ORDER BY used_at DESC, network LIMIT $4)",
    );
    oldest.bind(realm).bind(user_id).bind(ALL_OTHERS).bind(NETWORKS_KEPT).execute(connection).await?;
    Ok(())
}

/// Forgets all guesses at a user, as of this moment.
pub(in crate::store) async fn reset(
    connection: &mut Connection,
    realm: &str,
    user_id: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let insert = sqlx::query(
        "INSERT INTO sign_in_networks (realm, user_id, network, passwords, codes, used_at) \
         SELECT $1, $2, $3, 0, 0, $4 WHERE $5 OR EXISTS (SELECT 1 FROM users WHERE realm = $1 AND id = $2) \
         ON CONFLICT (realm, user_id, network) DO UPDATE SET used_at = excluded.used_at",
    );
    let insert = insert.bind(realm).bind(user_id).bind(ALL_OTHERS).bind(now_ms).bind(user_id.starts_with(POOL));
    insert.execute(&mut *connection).await?;
    let update = sqlx::query("UPDATE sign_in_networks SET passwords = 0, codes = 0 WHERE realm = $1 AND user_id = $2");
    update.bind(realm).bind(user_id).execute(connection).await?;
    Ok(())
}

/// Deletes rows of accounts of user pools: counts of guesses that are older than the time, the oldest beyond the
/// maximum number, and networks that were unused for long. A locked account stays locked.
pub(in crate::store) const PURGES: [Purge; 3] = [
    Purge {
        statement: "DELETE FROM sign_in_networks WHERE network = $1 AND (realm, user_id) IN \
            (SELECT realm, user_id FROM sign_in_networks WHERE network = $1 AND user_id LIKE '@%' \
            AND passwords < 100 AND codes < 100 AND used_at < $2 LIMIT $3)",
        age_ms: 90 * DAY_MS,
        kept: 0,
    },
    Purge {
        statement: "DELETE FROM sign_in_networks WHERE network <> $1 AND (realm, user_id, network) IN \
            (SELECT realm, user_id, network FROM sign_in_networks WHERE network <> $1 AND user_id LIKE '@%' \
            AND passwords < 100 AND codes < 100 AND used_at < $2 LIMIT $3)",
        age_ms: 400 * DAY_MS,
        kept: 0,
    },
    Purge {
        statement: "DELETE FROM sign_in_networks WHERE network = $1 AND (realm, user_id) IN \
            (SELECT realm, user_id FROM sign_in_networks WHERE network = $1 AND user_id LIKE '@%' \
            AND passwords < 100 AND codes < 100 AND used_at < $2 ORDER BY used_at DESC LIMIT $3 OFFSET $4)",
        age_ms: 0,
        kept: 100_000,
    },
];

/// One of [`PURGES`].
#[derive(Clone, Copy)]
pub(in crate::store) struct Purge {
    statement: &'static str,
    age_ms: i64,
    /// Number of rows that stay; the statement has the parameter if it is set.
    kept: i64,
}

/// Runs one of [`PURGES`] at `now` (Unix seconds). Returns the number of rows, and whether there may be more.
pub(in crate::store) async fn purge(
    connection: &mut Connection,
    purge: Purge,
    now: i64,
) -> Result<(u64, bool), StoreError> {
    let before = now.saturating_mul(1000).saturating_sub(purge.age_ms);
    let mut query = sqlx::query(purge.statement).bind(ALL_OTHERS).bind(before).bind(PURGED_AT_ONCE);
    if purge.kept > 0 {
        query = query.bind(purge.kept);
    }
    let rows = query.execute(connection).await?.rows_affected();
    Ok((rows, rows >= PURGED_AT_ONCE.unsigned_abs()))
}

/// Returns the ids of the users with `times` or more consecutive wrong guesses, from networks from which they have not
/// logged in.
pub(in crate::store) async fn guessed_at(
    connection: &mut Connection,
    realm: &str,
    times: u32,
) -> Result<Vec<String>, StoreError> {
    let query = sqlx::query(
        "SELECT user_id FROM sign_in_networks WHERE realm = $1 AND network = $2 AND (passwords >= $3 OR codes >= $3) \
         AND EXISTS (SELECT 1 FROM users WHERE users.realm = $1 AND users.id = sign_in_networks.user_id)",
    );
    let rows = query.bind(realm).bind(ALL_OTHERS).bind(i64::from(times)).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(row.try_get("user_id")?)).collect()
}

pub(super) async fn forget(connection: &mut Connection, realm: &str, user_id: &str) -> Result<(), StoreError> {
    let delete = sqlx::query("DELETE FROM sign_in_networks WHERE realm = $1 AND user_id = $2");
    delete.bind(realm).bind(user_id).execute(connection).await?;
    Ok(())
}

/// Returns whether any account has logged in from this network.
pub(in crate::store) async fn is_known(connection: &mut Connection, network: NetworkId) -> Result<bool, StoreError> {
    let query = sqlx::query("SELECT EXISTS (SELECT 1 FROM sign_in_networks WHERE network = $1)");
    Ok(query.bind(&network.0[..]).fetch_one(connection).await?.try_get(0)?)
}

fn count(row: &Row, column: &str) -> Result<u32, StoreError> {
    Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
}

/// Stands for all networks from which an account has not logged in.
const ALL_OTHERS: &[u8] = b"";
const NETWORKS_KEPT: i64 = 10;
/// Prefix of the ids of user pool accounts.
const POOL: char = '@';
const DAY_MS: i64 = 24 * 3600 * 1000;
const PURGED_AT_ONCE: i64 = 2000;
