//! Users, and the names under which they are found.

use sqlx::Row as _;
use sqlx::query::Query;

use super::revocation::{end_sessions, refuse_ended};
use super::{Connection, Driver, Row, guesses, refresh};
use crate::store::name::looks;
use crate::store::{LoginName, PasswordHash, Revocation, SecondFactor, SessionsToEnd, StoreError, User};
use crate::token::TokenId;

macro_rules! columns {
    () => {
        "users.realm, users.id, users.username, users.email, users.password, users.data, users.roles, users.disabled, \
         users.temporary, users.totp_secret, users.totp_used, users.recovery, users.vouched, users.email_verified, \
         users.created_at, users.updated_at, users.version"
    };
}
pub(super) use columns;

/// Adds these users, all of them within a transaction or none.
pub(in crate::store) async fn create(connection: &mut Connection, users: &[User]) -> Result<(), StoreError> {
    for user in users {
        let keys = NameKeys::from_user(user)?;
        let insert = sqlx::query(
            "INSERT INTO users (realm, id, username, username_key, email, email_key, password, data, roles, disabled, \
             temporary, totp_secret, totp_used, recovery, vouched, email_verified, updated_at, version, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        );
        bind(insert, user, &keys)?.bind(user.created_at).execute(&mut *connection).await?;
        refuse_names_in_use(connection, user, &keys).await?;
        add_looks(connection, (&user.realm, &user.id), user.username.as_deref(), user.email.as_deref()).await?;
    }
    Ok(())
}

/// Adds a user if no other user's name looks like its username. The caller holds the lock against all writers of names.
pub(in crate::store) async fn register(connection: &mut Connection, user: &User) -> Result<(), StoreError> {
    refuse_look_alike(connection, user).await?;
    create(connection, std::slice::from_ref(user)).await
}

/// The user of this id.
pub(in crate::store) async fn by_id(
    connection: &mut Connection,
    realm: &str,
    id: &str,
) -> Result<Option<User>, StoreError> {
    let query = sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE realm = $1 AND id = $2"));
    query.bind(realm).bind(id).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// The user of this name.
pub(in crate::store) async fn by_name(
    connection: &mut Connection,
    realm: &str,
    name: &LoginName,
) -> Result<Option<User>, StoreError> {
    let query = sqlx::query(match name {
        LoginName::Username(_) => concat!("SELECT ", columns!(), " FROM users WHERE realm = $1 AND username_key = $2"),
        LoginName::Email(_) => concat!("SELECT ", columns!(), " FROM users WHERE realm = $1 AND email_key = $2"),
    });
    query.bind(realm).bind(name.as_str()).fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Up to `limit` users in the order of their ids.
pub(in crate::store) async fn page(
    connection: &mut Connection,
    realm: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let query =
        sqlx::query(concat!("SELECT ", columns!(), " FROM users WHERE realm = $1 AND id > $2 ORDER BY id LIMIT $3"));
    // No id is empty, and every text sorts after the empty one.
    let query = query.bind(realm).bind(after.unwrap_or_default()).bind(i64::from(limit));
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// Replaces a user, and ends sessions.
pub(in crate::store) async fn update(
    connection: &mut Connection,
    user: &User,
    ended: SessionsToEnd,
    by: Option<TokenId>,
) -> Result<(User, Vec<Revocation>), StoreError> {
    let keys = NameKeys::from_user(user)?;
    refuse_ended(connection, by, &user.realm, &user.id).await?;
    let before = by_id(connection, &user.realm, &user.id).await?;
    let update = sqlx::query(concat!(
        "UPDATE users SET username = $3, username_key = $4, email = $5, email_key = $6, password = $7, data = $8, \
         roles = $9, disabled = $10, temporary = $11, totp_secret = $12, totp_used = $13, recovery = $14, vouched = $15, \
         email_verified = $16, updated_at = $17, version = version + 1 \
         WHERE realm = $1 AND id = $2 AND version = $18 RETURNING ",
        columns!()
    ));
    let updated = bind(update, user, &keys)?.fetch_optional(&mut *connection).await?;
    let stored = read(&updated.ok_or(StoreError::VersionConflict)?)?;
    refuse_names_in_use(connection, user, &keys).await?;
    let revoked = match ended {
        SessionsToEnd::Nothing => Vec::new(),
        SessionsToEnd::All => end_sessions(connection, &user.realm, &user.id, None).await?,
        SessionsToEnd::AllBut(token) => end_sessions(connection, &user.realm, &user.id, Some(token)).await?,
    };
    if let Some(before) = before {
        refresh::keep_names(connection, &before, &stored).await?;
        if (&before.username, &before.email) != (&user.username, &user.email) {
            // The operator can create two names that look alike.
            if by.is_some() && before.username != user.username {
                refuse_look_alike(connection, user).await?;
            }
            let delete = sqlx::query("DELETE FROM looks WHERE realm = $1 AND user_id = $2");
            delete.bind(&user.realm).bind(&user.id).execute(&mut *connection).await?;
            add_looks(connection, (&user.realm, &user.id), user.username.as_deref(), user.email.as_deref()).await?;
        }
    }
    Ok((stored, revoked))
}

/// Returns the number of reserved name pairs of a user: names in its sessions that it no longer has.
pub(in crate::store) async fn names_held(
    connection: &mut Connection,
    realm: &str,
    id: &str,
) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "SELECT count(*) FROM (SELECT DISTINCT sessions.username_key, sessions.email_key FROM sessions \
         JOIN users ON users.realm = sessions.realm AND users.id = sessions.user_id \
         WHERE sessions.realm = $1 AND sessions.user_id = $2 \
         AND (sessions.username_key IS NOT NULL OR sessions.email_key IS NOT NULL) \
         AND (sessions.username_key IS DISTINCT FROM users.username_key \
         OR sessions.email_key IS DISTINCT FROM users.email_key)) AS held",
    );
    let held: i64 = query.bind(realm).bind(id).fetch_one(connection).await?.try_get(0)?;
    Ok(held.unsigned_abs())
}

/// Adds the skeletons for the names of users from before skeletons were stored.
pub(in crate::store) async fn add_missing_looks(connection: &mut Connection) -> Result<(), StoreError> {
    let mut after = (String::new(), String::new());
    loop {
        let query = sqlx::query(
            "SELECT realm, id, username, email FROM users WHERE (realm, id) > ($1, $2) ORDER BY realm, id LIMIT 1000",
        );
        let rows = query.bind(&after.0).bind(&after.1).fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = (last.try_get("realm")?, last.try_get("id")?);
        for row in rows {
            let (realm, id): (String, String) = (row.try_get("realm")?, row.try_get("id")?);
            add_looks(connection, (&realm, &id), row.try_get("username")?, row.try_get("email")?).await?;
        }
    }
}

async fn add_looks(
    connection: &mut Connection,
    (realm, id): (&str, &str),
    username: Option<&str>,
    email: Option<&str>,
) -> Result<(), StoreError> {
    let of_username = username.and_then(|written| Some(looks(written, &LoginName::username(written)?)));
    let of_email = email.and_then(|written| Some(looks(written, &LoginName::email(written)?)));
    for look in of_username.into_iter().chain(of_email).flatten() {
        let insert = sqlx::query("INSERT INTO looks (realm, user_id, look) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        insert.bind(realm).bind(id).bind(look).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Refuses a username that looks like another user's name. Email addresses are not compared: a user can't choose
/// another address for that, and unverified addresses are not sent to applications.
async fn refuse_look_alike(connection: &mut Connection, user: &User) -> Result<(), StoreError> {
    let Some(written) = user.username.as_deref() else { return Ok(()) };
    let [canonical, written] = looks(written, &LoginName::username(written).ok_or(StoreError::MissingName)?);
    let query =
        sqlx::query("SELECT EXISTS (SELECT 1 FROM looks WHERE realm = $1 AND look IN ($2, $3) AND user_id <> $4)");
    let query = query.bind(&user.realm).bind(canonical).bind(written).bind(&user.id);
    if query.fetch_one(connection).await?.try_get(0)? { Err(StoreError::NameTaken) } else { Ok(()) }
}

/// Deletes a user, and ends its sessions.
pub(in crate::store) async fn delete(
    connection: &mut Connection,
    realm: &str,
    id: &str,
    by: Option<TokenId>,
) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
    refuse_ended(connection, by, realm, id).await?;
    // Sessions first: they refer to the user.
    let revoked = end_sessions(connection, realm, id, None).await?;
    let delete = sqlx::query(concat!("DELETE FROM users WHERE realm = $1 AND id = $2 RETURNING ", columns!()));
    let row = delete.bind(realm).bind(id).fetch_optional(&mut *connection).await?;
    let user = row.as_ref().map(read).transpose()?;
    guesses::forget(connection, realm, id).await?;
    Ok(user.map(|user| (user, revoked)))
}

type Statement = Query<'static, Driver, <Driver as sqlx::Database>::Arguments>;

/// `$1` to `$18`, of an insert and of an update.
fn bind(statement: Statement, user: &User, keys: &NameKeys) -> Result<Statement, StoreError> {
    let second = user.second_factor.as_ref();
    Ok(statement
        .bind(user.realm.clone())
        .bind(user.id.clone())
        .bind(user.username.clone())
        .bind(keys.username.clone())
        .bind(user.email.clone())
        .bind(keys.email.clone())
        .bind(user.password.0.clone())
        .bind(to_json(&user.data)?)
        .bind(to_json(&user.roles)?)
        .bind(user.disabled)
        .bind(user.temporary)
        .bind(second.map(|factor| factor.secret.clone()))
        .bind(second.map(|factor| factor.used))
        .bind(second.map(|factor| factor.recovery.concat()))
        .bind(user.vouched)
        .bind(user.email_verified)
        .bind(user.updated_at)
        .bind(user.version))
}

/// The canonical names of a user, under which they are unique.
#[derive(PartialEq, Eq)]
pub(super) struct NameKeys {
    pub(super) username: Option<String>,
    pub(super) email: Option<String>,
}

impl NameKeys {
    pub(super) fn from_user(user: &User) -> Result<Self, StoreError> {
        let key = |written: Option<&String>, parse: fn(&str) -> Option<LoginName>| match written.map(|text| parse(text))
        {
            None => Ok(None),
            Some(Some(name)) => Ok(Some(name.as_str().to_owned())),
            Some(None) => Err(StoreError::MissingName),
        };
        let keys = Self {
            username: key(user.username.as_ref(), LoginName::username)?,
            email: key(user.email.as_ref(), LoginName::email)?,
        };
        if keys.username.is_none() && keys.email.is_none() {
            return Err(StoreError::MissingName);
        }
        Ok(keys)
    }
}

/// UNIQUE protects the names themselves. This is for names in valid tokens, and for ids: tokens of a user without a
/// username use the id. Checked after the name was written: a user that gives up a name at this moment blocks this
/// write until it is done, and only then is it known which of its tokens carry the name.
async fn refuse_names_in_use(connection: &mut Connection, user: &User, keys: &NameKeys) -> Result<(), StoreError> {
    let query = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM sessions WHERE realm = $1 AND username_key = $2 AND user_id <> $4) \
         OR EXISTS (SELECT 1 FROM sessions WHERE realm = $1 AND email_key = $3 AND user_id <> $4) \
         OR EXISTS (SELECT 1 FROM users WHERE realm = $1 AND id = $2 AND id <> $4)",
    );
    let query = query.bind(&user.realm).bind(&keys.username).bind(&keys.email).bind(&user.id);
    if query.fetch_one(connection).await?.try_get(0)? { Err(StoreError::NameTaken) } else { Ok(()) }
}

pub(super) fn read(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        realm: row.try_get("realm")?,
        id: row.try_get("id")?,
        username: row.try_get("username")?,
        email: row.try_get("email")?,
        password: PasswordHash(row.try_get("password")?),
        data: from_json(row.try_get("data")?)?,
        roles: from_json(row.try_get("roles")?)?,
        disabled: row.try_get("disabled")?,
        temporary: row.try_get("temporary")?,
        second_factor: match row.try_get("totp_secret")? {
            None => None,
            Some(secret) => Some(SecondFactor {
                secret,
                used: row.try_get("totp_used")?,
                recovery: row.try_get::<&[u8], _>("recovery")?.as_chunks().0.to_vec(),
            }),
        },
        vouched: row.try_get("vouched")?,
        email_verified: row.try_get("email_verified")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        version: row.try_get("version")?,
    })
}

fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    // The text of the error could quote the user's data.
    serde_json::from_str(text).map_err(|_| StoreError::Failed("a user's data or roles are not JSON".into()))
}
