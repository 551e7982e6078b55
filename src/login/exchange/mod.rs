//! The exchange dialect ("API Palace"): returns a URL with a callback token for an access token of Auth0. The callback
//! token opens one session.

mod email;
mod error;
mod subject;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::body::{self, ok};
use super::{
    ErrorResponse, LoginDialect, LoginError, LoginRequest, LoginResponse, LoginServices, cookie, one, session, unsigned,
};
use crate::config::{AnswerVersion, ExchangeLogin, LoginOperation, RequiredAttribute};
use crate::gate::{DenyReason, bearer};
use crate::store::{OneTimeId, Session, StoreError, User};
use crate::token::MAX_LEEWAY;
use crate::token::{CallbackToken, Claims, TokenError, TokenId, decode_unverified};
use subject::ExchangeClient;

#[async_trait]
impl LoginDialect for ExchangeLogin {
    async fn handle(&self, request: LoginRequest<'_>, services: &LoginServices) -> Result<LoginResponse, LoginError> {
        let operation = request.admitted.endpoint().operation;
        request.event.operation(operation);
        match operation {
            LoginOperation::Exchange => log_in(&request, self, services).await,
            LoginOperation::Callback => callback(&request, self, services).await,
            LoginOperation::Redeem => redeem(&request, self, services).await,
            _ => Err(DenyReason::EndpointUnknown.into()),
        }
    }

    fn refuse(&self, deny: DenyReason) -> Option<ErrorResponse> {
        Some(error::response(deny))
    }
}

/// Returns a callback token for the named user, if the client is allowed to name it.
async fn log_in(
    request: &LoginRequest<'_>,
    exchange: &ExchangeLogin,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let accepted = request.admitted.tokens.first().ok_or(DenyReason::TokenMissing)?;
    let claims =
        request.headers.get(header::AUTHORIZATION).and_then(|value| decode_unverified(bearer(value.to_str().ok()?)?));
    let (_, claims) = claims.ok_or(DenyReason::TokenMissing)?;
    let caller = ExchangeClient::read(&claims, exchange)?;
    request.event.actor(caller.client);
    let body = body::object(request).map_err(|_| DenyReason::EmailMissing)?;
    let email = email::read(&body)?;
    request.event.username(email.as_str());
    let redirect = match body.get("redirect_url") {
        None => None,
        Some(Value::String(url)) if exchange.allows_redirect(url) => Some(url),
        Some(_) => return Err(DenyReason::RedirectUnknown.into()),
    };
    // Before the user is looked up: a token that must not name another user learns nothing about others.
    let user = if caller.may_log_in(&email) {
        services.store.user_by_name(&request.realm().name, &email).await?
    } else {
        None
    };
    let user = user.filter(|user| !user.disabled && user.vouched).ok_or(DenyReason::EmailUnknown);
    let user = user.inspect_err(|_| {
        refused(request, &caller, "no such user, none that the operator vouches for, or another than its own");
    })?;
    request.event.user(&user.id, None);
    has_all(&user, exchange).inspect_err(|_| refused(request, &caller, "an attribute is missing"))?;
    let now = request.now();
    let callback = CallbackToken {
        token_id: TokenId::random(),
        subject: user.id.clone(),
        actor: caller.client.to_owned(),
        mfa: caller.user.is_some() && accepted.claims.mfa,
        issued_at: now,
        expires_at: now.saturating_add(LIFE_SECONDS),
    };
    let seal = services.epoch(request.realm()).await?.seal;
    let token = request.realm().tokens.mint_callback(&callback, &seal, now).map_err(unsigned)?;
    tracing::info!(
        realm = request.realm().name,
        user = user.id,
        actor = caller.client,
        subject = accepted.claims.subject,
        client = %request.client(),
        token = %callback.token_id,
        "exchanged a token"
    );
    let mut url = format!("{}?token={token}", exchange.callback_url);
    if let Some(redirect) = redirect {
        url.push_str("&redirect_url=");
        url.extend(utf8_percent_encode(redirect, NON_ALPHANUMERIC));
    }
    let mut answer = json!({"status": "success", "url": url, "message": "User logged in"});
    if exchange.answer == AnswerVersion::Of2024 {
        answer["token"] = token.into();
        // Absolute, unlike OAuth's of the same name.
        answer["expires_in"] = callback.expires_at.into();
    }
    Ok(ok(&answer))
}

/// The browser's way: the token in the URL becomes the realm's cookie.
async fn callback(
    request: &LoginRequest<'_>,
    exchange: &ExchangeLogin,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let redeemed = match one(&request.admitted.query, "token") {
        Ok(Some(token)) => use_up(token, request, exchange, services).await,
        _ => Err(DenyReason::CallbackToken.into()),
    };
    let mut answer = LoginResponse::new(Bytes::new());
    let location = match redeemed {
        Ok(token) => {
            let value = cookie::set(request.realm(), &token).ok_or(DenyReason::Internal)?;
            answer.headers_mut().insert(header::SET_COOKIE, value);
            &exchange.after_login
        }
        // The redirect URL of the client that requested the token, if it is listed (SECURITY.md R34).
        Err(refusal) if refusal.deny == DenyReason::CallbackToken => {
            let asked =
                one(&request.admitted.query, "redirect_url").ok().flatten().filter(|url| exchange.allows_redirect(url));
            request.event.refused(refusal.deny);
            asked.ok_or(refusal)?
        }
        Err(refusal) => return Err(refusal),
    };
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::try_from(location).map_err(|_| DenyReason::Internal)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The URL of this page has the token in it.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

/// The application's way: it gets the session's token itself.
async fn redeem(
    request: &LoginRequest<'_>,
    exchange: &ExchangeLogin,
    services: &LoginServices,
) -> Result<LoginResponse, LoginError> {
    let body = body::object(request)?;
    let token = body.get("token").and_then(Value::as_str).ok_or(DenyReason::CallbackToken)?;
    let token = use_up(token, request, exchange, services).await?;
    let expires_in = request.realm().token_ttl.as_secs();
    Ok(ok(&json!({"status": "success", "token": token, "token_type": "Bearer", "expires_in": expires_in})))
}

/// The access token of a new session, for a callback token that was not used before.
async fn use_up(
    token: &str,
    request: &LoginRequest<'_>,
    exchange: &ExchangeLogin,
    services: &LoginServices,
) -> Result<String, LoginError> {
    let (realm, now) = (request.realm(), request.now());
    let refused = |reject: TokenError| {
        tracing::info!(realm = realm.name, client = %request.client(), reason = reject.code(), "a callback token was refused");
        DenyReason::CallbackToken
    };
    let sealed = realm.tokens.verify_callback(token, now).map_err(refused)?;
    // R62: a signing key alone can't make this half of the token.
    let epoch = services.epoch(realm).await?;
    let callback = sealed.open(&epoch.seal).map_err(refused)?;
    request.event.user(&callback.subject, None);
    request.event.actor(&callback.actor);
    // The new session would begin now, and so outlive a revocation of everything issued until now.
    if services.revocations.contains(&callback.marks(&realm.tokens)) {
        tracing::info!(realm = realm.name, user = callback.subject, client = %request.client(), token = %callback.token_id, "a callback token was revoked");
        return Err(DenyReason::CallbackToken.into());
    }
    let user = services.store.user(&realm.name, &callback.subject).await?.filter(|user| !user.disabled && user.vouched);
    let user = user.ok_or(DenyReason::CallbackToken)?;
    has_all(&user, exchange)?;
    let claims = Claims { mfa: callback.mfa, ..session::new_claims(&user, realm.token_ttl, now) };
    let expires_at = callback.expires_at.saturating_add_unsigned(MAX_LEEWAY.as_secs());
    let once = OneTimeId { id: callback.token_id, expires_at };
    let session = Session { epoch: Some(epoch.id), ..session::new_session(&realm.name, &claims) };
    match services.store.create_session_once(once, &session, user.version).await {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(realm = realm.name, user = user.id, client = %request.client(), token = %callback.token_id, "a callback token came a second time");
            return Err(DenyReason::CallbackToken.into());
        }
        Err(StoreError::VersionConflict) => return Err(DenyReason::CallbackToken.into()),
        Err(error) => return Err(error.into()),
    }
    request.event.user(&user.id, Some(claims.token_id));
    tracing::info!(
        realm = realm.name,
        user = user.id,
        actor = callback.actor,
        client = %request.client(),
        token = %claims.token_id,
        "logged in"
    );
    let mut more = session::extra_claims(&user);
    more.insert("act".into(), json!({"sub": callback.actor}));
    Ok(realm.tokens.mint_with(&claims, more).map_err(unsigned)?)
}

/// Checks the required attributes: members of the user's data with a value.
fn has_all(user: &User, exchange: &ExchangeLogin) -> Result<(), DenyReason> {
    let has = |attribute: &RequiredAttribute| match user.data.get(attribute.name()) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(has)) => *has,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
    };
    match exchange.required_attributes.iter().find(|attribute| !has(attribute)) {
        None => Ok(()),
        Some(RequiredAttribute::Licence) => Err(DenyReason::NoLicence),
        Some(RequiredAttribute::Profile) => Err(DenyReason::NoProfile),
    }
}

fn refused(request: &LoginRequest<'_>, caller: &ExchangeClient<'_>, why: &str) {
    tracing::info!(realm = request.realm().name, actor = caller.client, client = %request.client(), why, "an exchange was refused");
}

/// From the response to the browser's next request, on a slow connection.
const LIFE_SECONDS: i64 = 60;
