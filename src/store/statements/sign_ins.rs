//! Sign-in sessions.

use sqlx::Row as _;

use super::revocation::{bytes, end_sessions, end_where, read_revocations};
use super::{Connection, Row, WRITES_IN_WITH, sessions, users};
use crate::store::sign_in::bounded_agent;
use crate::store::{
    CheckedSignIn, NewSignIn, ProviderLogout, ProviderSession, ProviderSessions, Revocation, Session, SignIn,
    SignInCheck, SignInsToEnd, StoreError,
};
use crate::token::{MAX_LEEWAY, TokenId};

/// The result of an attempt to open a session.
pub(in crate::store) enum Opening {
    Done,
    /// The user has as many sessions as are allowed.
    Full,
}

/// Opens a session, if the user has fewer than the limit.
pub(in crate::store) async fn open(
    connection: &mut Connection,
    new: &NewSignIn,
    version: i64,
) -> Result<Opening, StoreError> {
    let sign_in = &new.sign_in;
    let count = sqlx::query(
        "SELECT count(*) FROM sessions JOIN sign_ins ON sign_ins.session = sessions.token \
         WHERE realm = $1 AND user_id = $2",
    );
    let count = count.bind(&sign_in.realm).bind(&sign_in.user_id).fetch_one(&mut *connection).await?;
    if count.try_get::<i64, _>(0)? >= i64::from(new.limit.max(1)) {
        return Ok(Opening::Full);
    }
    insert(connection, new, version).await?;
    Ok(Opening::Done)
}

/// Opens a session, and ends the oldest ones beyond the limit. Writes revocations then.
pub(in crate::store) async fn open_and_end_oldest(
    connection: &mut Connection,
    new: &NewSignIn,
    version: i64,
) -> Result<Vec<Revocation>, StoreError> {
    let [revoke, delete] = end_where!(
        "token IN (SELECT token FROM sessions JOIN sign_ins ON sign_ins.session = sessions.token \
         WHERE realm = $1 AND user_id = $2 \
         ORDER BY CASE WHEN idle > 0 AND last_seen + idle < $3 THEN 1 ELSE 0 END, created_at DESC, token \
         LIMIT 1000000 OFFSET $4)"
    );
    let sign_in = &new.sign_in;
    let others = i64::from(new.limit.max(1)) - 1;
    let bound = |statement| {
        sqlx::query(statement).bind(&sign_in.realm).bind(&sign_in.user_id).bind(sign_in.created_at).bind(others)
    };
    let revoked = bound(revoke).fetch_all(&mut *connection).await?;
    bound(delete).execute(&mut *connection).await?;
    insert(connection, new, version).await?;
    read_revocations(&revoked)
}

async fn insert(connection: &mut Connection, new: &NewSignIn, version: i64) -> Result<(), StoreError> {
    let sign_in = &new.sign_in;
    if sign_in.family != sign_in.session {
        let query = sqlx::query(
            "SELECT 1 FROM sign_ins JOIN sessions ON sessions.token = sign_ins.session \
             WHERE session = $1 AND family = $1 AND realm = $2 AND user_id = $3",
        );
        let query = query.bind(bytes(sign_in.family.0)).bind(&sign_in.realm).bind(&sign_in.user_id);
        if query.fetch_optional(&mut *connection).await?.is_none() {
            return Err(StoreError::Revoked);
        }
    }
    let session = Session {
        realm: sign_in.realm.clone(),
        user_id: sign_in.user_id.clone(),
        token: sign_in.session,
        created_at: sign_in.created_at,
        expires_at: sign_in.ends_at.saturating_add_unsigned(MAX_LEEWAY.as_secs()),
        refresh: None,
        epoch: Some(new.epoch),
    };
    sessions::create_without_names(connection, &session, version).await?;
    let amr = serde_json::to_string(&sign_in.amr).map_err(|error| StoreError::Failed(error.to_string()))?;
    let provider = sign_in.provider.as_ref();
    sqlx::query(
        "INSERT INTO sign_ins (session, family, host, agent, address, last_seen, ends_at, idle, remember, amr, \
         auth_time, provider, issuer, subject, sid, provider_token) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(bytes(sign_in.session.0))
    .bind(bytes(sign_in.family.0))
    .bind(&sign_in.host)
    .bind(bounded_agent(&sign_in.agent))
    .bind(sign_in.address.to_string())
    .bind(sign_in.last_seen)
    .bind(sign_in.ends_at)
    .bind(i64::from(sign_in.idle))
    .bind(sign_in.remember)
    .bind(amr)
    .bind(sign_in.auth_time)
    .bind(provider.map(|provider| &provider.provider))
    .bind(provider.map(|provider| &provider.issuer))
    .bind(provider.map(|provider| &provider.subject))
    .bind(provider.and_then(|provider| provider.sid.as_ref()))
    .bind(provider.and_then(|provider| provider.sealed_token.as_ref()))
    .execute(connection)
    .await?;
    Ok(())
}

macro_rules! columns {
    () => {
        "sign_ins.session, family, sessions.user_id, host, agent, address, sessions.created_at AS opened_at, last_seen, \
         ends_at, idle, remember, amr, auth_time, provider, issuer, subject, sid, provider_token"
    };
}

/// A session at `$2` that was used at `$3` at least has not ended by itself.
macro_rules! in_time {
    () => {
        "ends_at > $2 AND (idle = 0 OR last_seen + idle >= $2 OR $3 + idle >= $2)"
    };
}

/// The session `$1`, if it has not ended, and its user.
macro_rules! live {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            ", ",
            users::columns!(),
            " FROM sign_ins JOIN sessions ON sessions.token = sign_ins.session \
             JOIN epochs ON epochs.realm = sessions.realm AND epochs.id = sessions.epoch \
             JOIN users ON users.realm = sessions.realm AND users.id = sessions.user_id \
             WHERE sign_ins.session = $1 AND NOT users.disabled AND ",
            in_time!()
        )
    };
}

/// Stores `$2` as the time of the last request of the session in `live`, and of the root of its family.
macro_rules! touch {
    () => {
        concat!(
            "UPDATE sign_ins SET last_seen = $2 WHERE session IN (SELECT session FROM sign_ins \
             WHERE session IN (SELECT session FROM live UNION ALL SELECT family FROM live) AND last_seen < $2 AND ",
            in_time!(),
            skip_locked!(),
            ")"
        )
    };
}

pub(in crate::store) const CHECK: &str = live!();
pub(in crate::store) const TOUCH: &str = concat!("WITH live AS (", live!(), ") ", touch!());
/// `live` names its columns.
const CHECK_AND_TOUCH: &str =
    concat!("WITH live AS (", live!(), "), touched AS (", touch!(), " RETURNING session) SELECT * FROM live");

/// Reads a session that has not ended, and its user. Writes the time of the request if asked to.
pub(in crate::store) async fn check(
    connection: &mut Connection,
    check: &SignInCheck,
) -> Result<Option<CheckedSignIn>, StoreError> {
    let bound = |statement| {
        sqlx::query(statement).bind(bytes(check.session.0)).bind(check.now).bind(check.seen.unwrap_or(i64::MIN / 2))
    };
    let statement = if check.touch && WRITES_IN_WITH { CHECK_AND_TOUCH } else { CHECK };
    let Some(row) = bound(statement).fetch_optional(&mut *connection).await? else { return Ok(None) };
    let checked = CheckedSignIn { sign_in: read(&row)?, user: users::read(&row)? };
    if check.touch && !WRITES_IN_WITH {
        bound(TOUCH).execute(connection).await?;
    }
    Ok(Some(checked))
}

/// The user's sessions that have not ended, the one with the latest request first.
pub(in crate::store) async fn of_user(
    connection: &mut Connection,
    realm: &str,
    user_id: &str,
    now: i64,
) -> Result<Vec<SignIn>, StoreError> {
    let query = sqlx::query(concat!(
        "SELECT sessions.realm, ",
        columns!(),
        " FROM sessions JOIN sign_ins ON sign_ins.session = sessions.token \
         JOIN epochs ON epochs.realm = sessions.realm AND epochs.id = sessions.epoch \
         JOIN users ON users.realm = sessions.realm AND users.id = sessions.user_id \
         WHERE sessions.realm = $1 AND sessions.user_id = $4 AND NOT users.disabled AND ",
        in_time!(),
        " ORDER BY last_seen DESC, sessions.created_at DESC, session"
    ));
    let query = query.bind(realm).bind(now).bind(i64::MIN / 2).bind(user_id);
    query.fetch_all(connection).await?.iter().map(read).collect()
}

/// Ends sessions.
pub(in crate::store) async fn end(
    connection: &mut Connection,
    ended: SignInsToEnd,
) -> Result<Vec<Revocation>, StoreError> {
    match ended {
        SignInsToEnd::Family(session) => {
            let [revoke, delete] = end_where!(
                "token IN (SELECT session FROM sign_ins WHERE family = \
                 (SELECT family FROM sign_ins WHERE session = $1))"
            );
            let revoked = sqlx::query(revoke).bind(bytes(session.0)).fetch_all(&mut *connection).await?;
            sqlx::query(delete).bind(bytes(session.0)).execute(connection).await?;
            read_revocations(&revoked)
        }
        SignInsToEnd::AllBut(session) => {
            let query = sqlx::query("SELECT realm, user_id FROM sessions WHERE token = $1").bind(bytes(session.0));
            let row = query.fetch_optional(&mut *connection).await?.ok_or(StoreError::Revoked)?;
            end_sessions(connection, row.try_get("realm")?, row.try_get("user_id")?, Some(session)).await
        }
    }
}

macro_rules! families_of_provider {
    ($condition:literal) => {
        end_where!(concat!(
            "token IN (SELECT session FROM sign_ins WHERE family IN (SELECT family FROM sign_ins \
             JOIN sessions ON sessions.token = sign_ins.session WHERE realm = $1 AND issuer = $2 AND ",
            $condition,
            "))"
        ))
    };
}

/// Ends the families that a provider logged out, unless the logout token was used before.
pub(in crate::store) async fn log_out(
    connection: &mut Connection,
    logout: &ProviderLogout,
) -> Result<Option<Vec<Revocation>>, StoreError> {
    if !sessions::use_once(connection, logout.once).await? {
        return Ok(None);
    }
    let ([revoke, delete], names) = match &logout.ended {
        ProviderSessions::Of(subject) => (families_of_provider!("subject = $3"), (subject, None)),
        ProviderSessions::One { sid, subject: None } => (families_of_provider!("sid = $3"), (sid, None)),
        ProviderSessions::One { sid, subject: Some(subject) } => {
            (families_of_provider!("sid = $3 AND subject = $4"), (sid, Some(subject)))
        }
    };
    let bound = |statement| {
        let query = sqlx::query(statement).bind(&logout.realm).bind(&logout.issuer).bind(names.0);
        if let Some(subject) = names.1 { query.bind(subject) } else { query }
    };
    let revoked = bound(revoke).fetch_all(&mut *connection).await?;
    bound(delete).execute(connection).await?;
    read_revocations(&revoked).map(Some)
}

fn read(row: &Row) -> Result<SignIn, StoreError> {
    let damaged = || StoreError::Failed("a sign-in session is not as it was written".into());
    let id = |column: &str| {
        let bytes: &[u8] = row.try_get(column)?;
        let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| damaged())?;
        Ok::<_, StoreError>(TokenId(u128::from_be_bytes(bytes)))
    };
    let provider = match (row.try_get("provider")?, row.try_get("issuer")?, row.try_get("subject")?) {
        (Some(provider), Some(issuer), Some(subject)) => Some(ProviderSession {
            provider,
            issuer,
            subject,
            sid: row.try_get("sid")?,
            sealed_token: row.try_get("provider_token")?,
        }),
        _ => None,
    };
    Ok(SignIn {
        session: id("session")?,
        family: id("family")?,
        realm: row.try_get("realm")?,
        user_id: row.try_get("user_id")?,
        host: row.try_get("host")?,
        agent: row.try_get("agent")?,
        address: row.try_get::<&str, _>("address")?.parse().map_err(|_| damaged())?,
        created_at: row.try_get("opened_at")?,
        last_seen: row.try_get("last_seen")?,
        ends_at: row.try_get("ends_at")?,
        idle: u32::try_from(row.try_get::<i64, _>("idle")?).map_err(|_| damaged())?,
        remember: row.try_get("remember")?,
        amr: serde_json::from_str(row.try_get("amr")?).map_err(|_| damaged())?,
        auth_time: row.try_get("auth_time")?,
        provider,
    })
}
