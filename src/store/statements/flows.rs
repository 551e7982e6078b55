//! Flows, and the tickets of a portal.

use sqlx::Row as _;

use super::revocation::bytes;
use super::{Connection, Row};
use crate::store::{Flow, FlowLimits, NewTicket, ProviderRequest, SecretHash, StoreError, TicketUse};
use crate::token::TokenId;

macro_rules! columns {
    () => {
        "id, cookie, realm, host, target, created_at, expires_at, tries, parent, provider, nonce, verifier"
    };
}

/// Deletes some flows beyond the latest `$2`. Another process that deletes the same ones is not waited for.
macro_rules! trim {
    ($condition:literal) => {
        concat!(
            "DELETE FROM flows WHERE id IN (SELECT id FROM flows WHERE id IN (SELECT id FROM flows WHERE ",
            $condition,
            " ORDER BY created_at DESC LIMIT 1000 OFFSET $2)",
            skip_locked!(),
            ")"
        )
    };
}

pub(in crate::store) const OF_COOKIE: &str = trim!("cookie = $1");
pub(in crate::store) const OF_REALM: &str = trim!("realm = $1");

/// Stores a flow, and deletes the oldest ones beyond the limits.
pub(in crate::store) async fn begin(
    connection: &mut Connection,
    flow: &Flow,
    limits: FlowLimits,
) -> Result<(), StoreError> {
    let provider = flow.provider.as_ref();
    sqlx::query(concat!(
        "INSERT INTO flows (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    ))
    .bind(flow.id.bytes().to_vec())
    .bind(flow.cookie.bytes().to_vec())
    .bind(&flow.realm)
    .bind(&flow.host)
    .bind(&flow.target)
    .bind(flow.created_at)
    .bind(flow.expires_at)
    .bind(i64::from(flow.tries))
    .bind(flow.parent.map(|parent| parent.bytes().to_vec()))
    .bind(provider.map(|provider| &provider.provider))
    .bind(provider.map(|provider| provider.nonce.bytes().to_vec()))
    .bind(provider.map(|provider| &provider.sealed_verifier))
    .execute(&mut *connection)
    .await?;
    let of_cookie = sqlx::query(OF_COOKIE).bind(flow.cookie.bytes().to_vec()).bind(i64::from(limits.per_cookie));
    of_cookie.execute(&mut *connection).await?;
    sqlx::query(OF_REALM).bind(&flow.realm).bind(i64::from(limits.per_realm)).execute(connection).await?;
    Ok(())
}

pub(in crate::store) const SELECT: &str =
    concat!("SELECT ", columns!(), " FROM flows WHERE id = $1 AND expires_at > $2");

/// The flow of this id.
pub(in crate::store) async fn select(
    connection: &mut Connection,
    id: SecretHash,
    now: i64,
) -> Result<Option<Flow>, StoreError> {
    let query = sqlx::query(SELECT).bind(id.bytes().to_vec()).bind(now);
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Ends the flow of this id and cookie. One statement reads and deletes, so that of two concurrent calls one gets it.
pub(in crate::store) async fn take(
    connection: &mut Connection,
    id: SecretHash,
    cookie: SecretHash,
    now: i64,
) -> Result<Option<Flow>, StoreError> {
    let query = sqlx::query(concat!(
        "DELETE FROM flows WHERE id = $1 AND cookie = $2 AND expires_at > $3 RETURNING ",
        columns!()
    ));
    let query = query.bind(id.bytes().to_vec()).bind(cookie.bytes().to_vec()).bind(now);
    query.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// Stores a ticket in place of the flow's earlier one, if flow and session are there.
pub(in crate::store) async fn issue(connection: &mut Connection, ticket: &NewTicket) -> Result<bool, StoreError> {
    let insert = sqlx::query(
        "INSERT INTO tickets (ticket, flow, session, expires_at) SELECT $1, flows.id, sign_ins.session, $4 FROM flows \
         JOIN sessions ON sessions.realm = flows.realm JOIN sign_ins ON sign_ins.session = sessions.token \
         WHERE flows.id = $2 AND flows.expires_at > $5 AND sessions.token = $3 \
         ON CONFLICT (flow) DO UPDATE SET ticket = excluded.ticket, session = excluded.session, \
         expires_at = excluded.expires_at",
    );
    let insert = insert.bind(ticket.ticket.bytes().to_vec()).bind(ticket.flow.bytes().to_vec());
    let insert = insert.bind(bytes(ticket.session.0)).bind(ticket.expires_at).bind(ticket.now);
    Ok(insert.execute(connection).await?.rows_affected() > 0)
}

pub(in crate::store) const REDEEM: &str = concat!(
    "DELETE FROM flows WHERE id = (SELECT flow FROM tickets WHERE ticket = $1 AND expires_at > $2) \
     AND cookie = $3 AND host = $4 AND realm = $5 AND expires_at > $2 RETURNING ",
    columns!()
);

/// Uses a ticket. Deletes its flow, and with the flow the ticket: of two concurrent calls one finds the flow.
pub(in crate::store) async fn redeem(
    connection: &mut Connection,
    presented: &TicketUse<'_>,
) -> Result<Option<(Flow, TokenId)>, StoreError> {
    let ticket = presented.ticket.bytes().to_vec();
    let query = sqlx::query("SELECT session FROM tickets WHERE ticket = $1").bind(ticket.clone());
    let Some(row) = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let session: &[u8] = row.try_get("session")?;
    let session = TokenId(u128::from_be_bytes(session.try_into().map_err(|_| damaged())?));
    let delete = sqlx::query(REDEEM).bind(ticket).bind(presented.now).bind(presented.cookie.bytes().to_vec());
    let flow = delete.bind(presented.host).bind(presented.realm).fetch_optional(connection).await?;
    Ok(flow.as_ref().map(read).transpose()?.map(|flow| (flow, session)))
}

fn read(row: &Row) -> Result<Flow, StoreError> {
    let hash = |stored: &[u8]| Ok::<_, StoreError>(SecretHash::stored(stored.try_into().map_err(|_| damaged())?));
    let nonce: Option<&[u8]> = row.try_get("nonce")?;
    let provider = match (row.try_get("provider")?, nonce, row.try_get("verifier")?) {
        (Some(provider), Some(nonce), Some(sealed_verifier)) => {
            Some(ProviderRequest { provider, nonce: hash(nonce)?, sealed_verifier })
        }
        _ => None,
    };
    Ok(Flow {
        id: hash(row.try_get("id")?)?,
        cookie: hash(row.try_get("cookie")?)?,
        realm: row.try_get("realm")?,
        host: row.try_get("host")?,
        target: row.try_get("target")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).map_err(|_| damaged())?,
        parent: row.try_get::<Option<&[u8]>, _>("parent")?.map(hash).transpose()?,
        provider,
    })
}

fn damaged() -> StoreError {
    StoreError::Failed("a flow is not as it was written".into())
}
