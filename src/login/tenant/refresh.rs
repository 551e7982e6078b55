//! Sessions that go on: how they begin, are refreshed, and end.

use serde_json::{Map, Value};

use super::super::body::{self, ok};
use super::super::{Answer, Desk, Refusal, Request, session};
use super::refresh_token::RefreshToken;
use super::text;
use super::tokens::Issue;
use crate::config::{MAX_ACCESS_TTL, MAX_LEEWAY, Realm, Tenant};
use crate::gate::Deny;
use crate::json;
use crate::store::{Ends, EpochId, Presented, Refresh, RefreshOf, Rotated, Session, User};
use crate::token::{Accepted, AccountId, Marks, TokenId};

/// A session to be, as of `now` (Unix seconds), and its first refresh token. It begins in this epoch, if one is given.
pub(super) fn begin(
    realm: &Realm,
    user: &User,
    mfa: bool,
    tenant: &Tenant,
    (epoch, now): (Option<EpochId>, i64),
) -> Result<(Session, String), Deny> {
    let (token, key) = RefreshToken::first(TokenId::random()).ok_or(Deny::Internal)?;
    let expires_at = now.saturating_add_unsigned(tenant.refresh_ttl().as_secs());
    let session = Session {
        realm: realm.name().to_owned(),
        user_id: user.id.clone(),
        token: token.session,
        created_at: now,
        // When the last token has expired that the last refresh token gave.
        expires_at: expires_at.saturating_add_unsigned(MAX_ACCESS_TTL.as_secs() + MAX_LEEWAY.as_secs()),
        refresh: Some(Refresh {
            key,
            first: token.hash(),
            authenticated_at: now,
            mfa,
            expires_at,
            issued_for: realm.tokens().everyone(),
        }),
        epoch,
    };
    Ok((session, token.text()))
}

/// New tokens for a refresh token, which is used up by it. The user's roles and names are those of now (R39).
pub(super) async fn refresh(request: &Request<'_>, tenant: &Tenant, desk: &Desk) -> Result<Answer, Refusal> {
    let body = body::object(request)?;
    let token = text(&body, "RefreshToken", REFRESH_MEMBERS)?;
    let (token, of) = genuine(token, request, desk).await?.ok_or(Deny::RefreshToken)?;
    let realm = request.realms.iter().find(|realm| realm.name() == of.realm).ok_or(Deny::RefreshToken)?;
    request.trail.realm(&of.realm);
    request.trail.user(&of.user_id, Some(token.session));
    let everyone = realm.tokens().everyone();
    // R62: of an epoch that has ended, or of the realm under another issuer or audience.
    if !of.is_current || of.issued_for != Some(everyone) {
        return Err(Deny::RefreshToken.into());
    }
    // What an account was issued until some second may count no more, though nobody knew of the session.
    let account = AccountId::of(&realm.tokens().issuer, &of.user_id);
    let marks = Marks { token: token.session, session: None, account, everyone, issued_at: of.authenticated_at };
    if desk.revocations.contain(&marks) {
        return Err(Deny::RefreshToken.into());
    }
    // Whoever disables or deletes a user ends the sessions in the same transaction. This is for who does it otherwise (R45).
    let user = desk.store.user(&of.realm, &of.user_id).await?.filter(|user| !user.disabled);
    let user = user.ok_or(Deny::RefreshToken)?;
    let next = token.next(&of.key);
    let presented = Presented {
        session: token.session,
        generation: token.generation.into(),
        hash: token.hash(),
        next: next.hash(),
        now_ms: request.now_ms,
        grace_ms: i64::try_from(tenant.refresh_grace().as_millis()).unwrap_or(i64::MAX),
        started_ms: desk.started_ms,
    };
    match desk.store.rotate(&presented).await? {
        Rotated::Next | Rotated::Again => {}
        Rotated::Unknown => return Err(Deny::RefreshToken.into()),
        Rotated::Reused(revocation) => {
            desk.refuse(&[revocation]);
            request.trail.ended(1);
            tracing::warn!(
                realm = of.realm,
                user = of.user_id,
                client = %request.client,
                session = %token.session,
                "a refresh token was used twice: its session has ended"
            );
            return Err(Deny::RefreshReused.into());
        }
    }
    tracing::debug!(realm = of.realm, user = of.user_id, session = %token.session, "refreshed");
    let issue = Issue {
        realm,
        tenant,
        user: &user,
        session: token.session,
        authenticated_at: of.authenticated_at,
        mfa: of.mfa,
        now: request.now(),
    };
    Ok(issue.answer(&next.text())?)
}

/// Ends the sessions of the tokens that came. Succeeds whatever came (RFC 7009, 2.2), but not if the store can't keep what
/// was asked for.
pub(super) async fn log_out(request: &Request<'_>, desk: &Desk) -> Result<Answer, Refusal> {
    for accepted in &request.tokens {
        end_own(accepted, request, desk).await?;
    }
    let body = json::object(&request.body).unwrap_or_default();
    let token = body.get("RefreshToken").and_then(Value::as_str);
    if let Some(token) = token
        && let Some((token, of)) = genuine(token, request, desk).await?
    {
        end((Some(&of.user_id), token.session), Ends::At(of.expires_at), request, desk).await?;
    }
    Ok(ok(&Value::Object(Map::new())))
}

/// Ends the session of a token, if it goes on.
pub(super) async fn end_own(accepted: &Accepted, request: &Request<'_>, desk: &Desk) -> Result<(), Refusal> {
    let Accepted { claims, marks, issuer, .. } = accepted;
    if issuer.is_none() && desk.revocations.contain(marks) {
        return Ok(());
    }
    let expired = session::end(claims) < request.now();
    if expired && desk.store.refresh_of(claims.session_id(), request.now()).await?.is_none() {
        return Ok(());
    }
    end((Some(&claims.subject), claims.session_id()), Ends::At(session::end(claims)), request, desk).await
}

pub(super) async fn end(
    (user, session): (Option<&str>, TokenId),
    ends: Ends,
    request: &Request<'_>,
    desk: &Desk,
) -> Result<(), Refusal> {
    let revocation = desk.store.revoke(session, ends).await?;
    desk.refuse(&[revocation]);
    request.trail.left(user, session);
    tracing::info!(client = %request.client, %session, "logged out");
    Ok(())
}

/// A refresh token that we made, of whichever generation, and the session that it is of, if that goes on.
async fn genuine(text: &str, request: &Request<'_>, desk: &Desk) -> Result<Option<(RefreshToken, RefreshOf)>, Refusal> {
    let Some(token) = RefreshToken::parse(text) else { return Ok(None) };
    let of = desk.store.refresh_of(token.session, request.now()).await?;
    Ok(of.filter(|of| token.is_genuine(&of.key)).map(|of| (token, of)))
}

pub(super) const REFRESH_MEMBERS: &str = "The body needs RefreshToken, as a non-empty string.";
