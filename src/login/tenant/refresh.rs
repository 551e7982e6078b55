//! Sessions that go on: how they begin, are refreshed, and end.

use serde_json::{Map, Value};

use super::super::body::{self, ok};
use super::super::{LoginError, LoginRequest, LoginResponse, LoginServices, session};
use super::refresh_token::RefreshToken;
use super::text;
use super::tokens::TokenIssue;
use crate::config::{MAX_ACCESS_TTL, Realm, TenantLogin};
use crate::gate::DenyReason;
use crate::json;
use crate::store::{
    EpochId, NewRefreshState, RefreshAttempt, RefreshResult, RefreshableSession, Session, TokenExpiry, User,
};
use crate::token::MAX_LEEWAY;
use crate::token::{AccountId, RevocationKeys, TokenId, VerifiedToken};

/// A session to be, as of `now` (Unix seconds), and its first refresh token. It begins in this epoch, if one is given.
pub(super) fn new_refresh_state(
    realm: &Realm,
    user: &User,
    mfa: bool,
    tenant: &TenantLogin,
    (epoch, now): (Option<EpochId>, i64),
) -> Result<(Session, String), DenyReason> {
    let (token, key) = RefreshToken::first(TokenId::random()).ok_or(DenyReason::Internal)?;
    let expires_at = now.saturating_add_unsigned(tenant.refresh_ttl.as_secs());
    let session = Session {
        realm: realm.name.to_owned(),
        user_id: user.id.clone(),
        token: token.session,
        created_at: now,
        // When the last token has expired that the last refresh token gave.
        expires_at: expires_at.saturating_add_unsigned(MAX_ACCESS_TTL.as_secs() + MAX_LEEWAY.as_secs()),
        refresh: Some(NewRefreshState {
            key,
            first: token.hash(),
            authenticated_at: now,
            mfa,
            expires_at,
            issued_for: realm.tokens.everyone(),
        }),
        epoch,
    };
    Ok((session, token.text()))
}

/// New tokens for a refresh token, which is used up by it. The user's roles and names are those of now (R39).
pub(super) async fn refresh(
    request: &LoginRequest<'_>,
    tenant: &TenantLogin,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let body = body::object(request)?;
    let token = text(&body, "RefreshToken", REFRESH_MEMBERS)?;
    let (token, of) = genuine(token, request, services).await?.ok_or(DenyReason::RefreshToken)?;
    let realm = request.admitted.realms.iter().find(|realm| realm.name == of.realm).ok_or(DenyReason::RefreshToken)?;
    request.event.realm(&of.realm);
    request.event.user(&of.user_id, Some(token.session));
    let everyone = realm.tokens.everyone();
    // R62: of an epoch that has ended, or of the realm under another issuer or audience.
    if !of.is_current || of.issued_for != Some(everyone) {
        return Err(DenyReason::RefreshToken.into());
    }
    // A revocation of the account can include this session although it was unknown then.
    let account = AccountId::new(&realm.tokens.issuer, &of.user_id);
    let marks =
        RevocationKeys { token: token.session, session: None, account, everyone, issued_at: of.authenticated_at };
    if services.revocations.contains(&marks) {
        return Err(DenyReason::RefreshToken.into());
    }
    // Disabling and deleting a user ends the sessions in the same transaction. This is for other writers (R45).
    let user = services.store.user(&of.realm, &of.user_id).await?.filter(|user| !user.disabled);
    let user = user.ok_or(DenyReason::RefreshToken)?;
    let next = token.next(&of.key);
    let presented = RefreshAttempt {
        session: token.session,
        generation: token.generation.into(),
        hash: token.hash(),
        next: next.hash(),
        now_ms: request.now_ms,
        grace_ms: i64::try_from(tenant.refresh_grace.as_millis()).unwrap_or(i64::MAX),
        started_ms: services.started_ms,
    };
    match services.store.rotate_refresh_token(&presented).await? {
        RefreshResult::Next | RefreshResult::Again => {}
        RefreshResult::Unknown => return Err(DenyReason::RefreshToken.into()),
        RefreshResult::Reused(revocation) => {
            services.refuse(&[revocation]);
            request.event.ended(1);
            tracing::warn!(
                realm = of.realm,
                user = of.user_id,
                client = %request.client(),
                session = %token.session,
                "a refresh token was used twice: its session has ended"
            );
            return Err(DenyReason::RefreshReused.into());
        }
    }
    tracing::debug!(realm = of.realm, user = of.user_id, session = %token.session, "refreshed");
    let issue = TokenIssue {
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

/// Ends the sessions of the request's tokens. Succeeds for every request (RFC 7009, 2.2), unless the store can't keep a
/// revocation.
pub(super) async fn log_out(request: &LoginRequest<'_>, services: &LoginServices) -> Result<LoginResponse, LoginError> {
    for accepted in &request.admitted.tokens {
        end_token_session(accepted, request, services).await?;
    }
    let body = json::object(&request.body).unwrap_or_default();
    let token = body.get("RefreshToken").and_then(Value::as_str);
    if let Some(token) = token
        && let Some((token, of)) = genuine(token, request, services).await?
    {
        end_session((Some(&of.user_id), token.session), TokenExpiry::At(of.expires_at), request, services).await?;
    }
    Ok(ok(&Value::Object(Map::new())))
}

/// Ends the session of a token, if it goes on.
pub(super) async fn end_token_session(
    accepted: &VerifiedToken,
    request: &LoginRequest<'_>,
    services: &LoginServices,
) -> Result<(), LoginError> {
    let VerifiedToken { claims, marks, issuer, .. } = accepted;
    if issuer.is_none() && services.revocations.contains(marks) {
        return Ok(());
    }
    let expired = session::max_expiry(claims) < request.now();
    if expired && services.store.refreshable_session(claims.session_id(), request.now()).await?.is_none() {
        return Ok(());
    }
    end_session(
        (Some(&claims.subject), claims.session_id()),
        TokenExpiry::At(session::max_expiry(claims)),
        request,
        services,
    )
    .await
}

pub(super) async fn end_session(
    (user, session): (Option<&str>, TokenId),
    ends: TokenExpiry,
    request: &LoginRequest<'_>,
    services: &LoginServices,
) -> Result<(), LoginError> {
    let revocation = services.store.revoke(session, ends).await?;
    services.refuse(&[revocation]);
    request.event.left(user, session);
    tracing::info!(client = %request.client(), %session, "logged out");
    Ok(())
}

/// Returns a refresh token of Tollgate, of any generation, and its session, if it goes on.
async fn genuine(
    text: &str,
    request: &LoginRequest<'_>,
    services: &LoginServices,
) -> Result<Option<(RefreshToken, RefreshableSession)>, LoginError> {
    let Some(token) = RefreshToken::parse(text) else { return Ok(None) };
    let of = services.store.refreshable_session(token.session, request.now()).await?;
    Ok(of.filter(|of| token.is_genuine(&of.key)).map(|of| (token, of)))
}

pub(super) const REFRESH_MEMBERS: &str = "The body needs RefreshToken, as a non-empty string.";
