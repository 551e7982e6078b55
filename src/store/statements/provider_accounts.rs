//! Accounts at OpenID Connect providers.

use sqlx::Row as _;

use super::revocation::refuse_ended;
use super::{Connection, Row, users};
use crate::store::{ProviderAccount, StoreError, User};
use crate::token::TokenId;

/// Links an account to its user.
pub(in crate::store) async fn link(
    connection: &mut Connection,
    account: &ProviderAccount,
    by: Option<TokenId>,
) -> Result<(), StoreError> {
    refuse_ended(connection, by, &account.realm, &account.user_id).await?;
    let insert = sqlx::query(
        "INSERT INTO provider_accounts (realm, issuer, subject, provider, user_id, linked_at) \
         SELECT users.realm, $2, $3, $4, users.id, $6 FROM users WHERE users.realm = $1 AND users.id = $5 \
         ON CONFLICT (realm, issuer, subject) DO UPDATE SET provider = excluded.provider \
         WHERE provider_accounts.user_id = excluded.user_id",
    );
    let insert = insert.bind(&account.realm).bind(&account.issuer).bind(&account.subject).bind(&account.provider);
    let linked = insert.bind(&account.user_id).bind(account.linked_at).execute(&mut *connection).await?;
    if linked.rows_affected() > 0 {
        return Ok(());
    }
    let is_there = users::by_id(connection, &account.realm, &account.user_id).await?.is_some();
    Err(if is_there { StoreError::AccountTaken } else { StoreError::VersionConflict })
}

/// Adds a user together with its account. The caller holds the lock against all writers of names.
pub(in crate::store) async fn create_user(
    connection: &mut Connection,
    user: &User,
    account: &ProviderAccount,
) -> Result<(), StoreError> {
    // First, since a second sign-in of the same person at the same time finds its own name taken.
    if of_account(connection, &account.realm, &account.issuer, &account.subject).await?.is_some() {
        return Err(StoreError::AccountTaken);
    }
    users::register(connection, user).await?;
    link(connection, account, None).await
}

/// Removes a link. Returns whether there was one.
pub(in crate::store) async fn unlink(
    connection: &mut Connection,
    account: &ProviderAccount,
    by: Option<TokenId>,
) -> Result<bool, StoreError> {
    refuse_ended(connection, by, &account.realm, &account.user_id).await?;
    let delete =
        sqlx::query("DELETE FROM provider_accounts WHERE realm = $1 AND issuer = $2 AND subject = $3 AND user_id = $4");
    let delete = delete.bind(&account.realm).bind(&account.issuer).bind(&account.subject).bind(&account.user_id);
    Ok(delete.execute(connection).await?.rows_affected() > 0)
}

pub(in crate::store) const USER: &str = concat!(
    "SELECT ",
    users::columns!(),
    " FROM provider_accounts \
     JOIN users ON users.realm = provider_accounts.realm AND users.id = provider_accounts.user_id \
     WHERE provider_accounts.realm = $1 AND issuer = $2 AND subject = $3"
);

/// The user to whom an account belongs.
pub(in crate::store) async fn of_account(
    connection: &mut Connection,
    realm: &str,
    issuer: &str,
    subject: &str,
) -> Result<Option<User>, StoreError> {
    let query = sqlx::query(USER).bind(realm).bind(issuer).bind(subject);
    query.fetch_optional(connection).await?.as_ref().map(users::read).transpose()
}

/// The accounts of a user.
pub(in crate::store) async fn of_user(
    connection: &mut Connection,
    realm: &str,
    user_id: &str,
) -> Result<Vec<ProviderAccount>, StoreError> {
    let query = sqlx::query(
        "SELECT realm, issuer, subject, provider, user_id, linked_at FROM provider_accounts \
         WHERE realm = $1 AND user_id = $2 ORDER BY linked_at, issuer, subject",
    );
    query.bind(realm).bind(user_id).fetch_all(connection).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ProviderAccount, StoreError> {
    Ok(ProviderAccount {
        realm: row.try_get("realm")?,
        user_id: row.try_get("user_id")?,
        provider: row.try_get("provider")?,
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        linked_at: row.try_get("linked_at")?,
    })
}
