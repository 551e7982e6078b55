//! The exchange dialect ("API Palace"): an access token of Auth0 in, a URL out that carries a token of ours, which is good
//! for one session.

mod email;
mod error;
mod subject;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::body::{self, ok};
use super::{Answer, Desk, Operation, Refusal, Request, cookie, one, session, unsigned};
use crate::config::{Attribute, Endpoint, Exchange, MAX_LEEWAY, Revision};
use crate::gate::{Deny, bearer};
use crate::store::{Once, Session, StoreError, User};
use crate::token::{Callback, Claims, Reject, TokenId, peek};
pub use error::error;
use subject::Caller;

/// Answers a request to a login of this dialect.
///
/// # Errors
/// What the client is told instead, in the form of [`error`].
pub async fn answer(
    request: Request<'_>,
    exchange: &Exchange,
    endpoint: Endpoint,
    desk: &Desk,
) -> Result<Answer, Refusal> {
    request.trail.operation(match endpoint {
        Endpoint::Callback => Operation::Callback,
        Endpoint::Redeem => Operation::Redeem,
        _ => Operation::Exchange,
    });
    match endpoint {
        Endpoint::Login => log_in(&request, exchange, desk).await,
        Endpoint::Callback => callback(&request, exchange, desk).await,
        Endpoint::Redeem => redeem(&request, exchange, desk).await,
        // Another dialect's.
        Endpoint::Challenge | Endpoint::Refresh | Endpoint::Logout => Err(Deny::EndpointUnknown.into()),
    }
}

/// A callback token for whom the caller names, if it may name that one.
async fn log_in(request: &Request<'_>, exchange: &Exchange, desk: &Desk) -> Result<Answer, Refusal> {
    let accepted = request.tokens.first().ok_or(Deny::TokenMissing)?;
    let claims = request.headers.get(header::AUTHORIZATION).and_then(|value| peek(bearer(value.to_str().ok()?)?));
    let (_, claims) = claims.ok_or(Deny::TokenMissing)?;
    let caller = Caller::read(&claims, exchange)?;
    request.trail.actor(caller.client);
    let body = body::object(request).map_err(|_| Deny::EmailMissing)?;
    let email = email::read(&body)?;
    request.trail.username(email.as_str());
    let redirect = match body.get("redirect_url") {
        None => None,
        Some(Value::String(url)) if exchange.allows_redirect(url) => Some(url),
        Some(_) => return Err(Deny::RedirectUnknown.into()),
    };
    // Before the user is looked up: a token that may not name anybody else learns of nobody else.
    let user =
        if caller.may_log_in(&email) { desk.store.user_by_name(request.realm.name(), &email).await? } else { None };
    let user = user.filter(|user| !user.disabled && user.vouched).ok_or(Deny::EmailUnknown);
    let user = user.inspect_err(|_| {
        refused(request, &caller, "no such user, none that the operator vouches for, or another than its own");
    })?;
    request.trail.user(&user.id, None);
    has_all(&user, exchange).inspect_err(|_| refused(request, &caller, "an attribute is missing"))?;
    let now = request.now();
    let callback = Callback {
        token_id: TokenId::random(),
        subject: user.id.clone(),
        actor: caller.client.to_owned(),
        mfa: caller.user.is_some() && accepted.claims.mfa,
        issued_at: now,
        expires_at: now.saturating_add(LIFE_SECONDS),
    };
    let seal = desk.epoch(request.realm).await?.seal;
    let token = request.realm.tokens().mint_callback(&callback, &seal, now).map_err(unsigned)?;
    tracing::info!(
        realm = request.realm.name(),
        user = user.id,
        actor = caller.client,
        subject = accepted.claims.subject,
        client = %request.client,
        token = %callback.token_id,
        "exchanged a token"
    );
    let mut url = format!("{}?token={token}", exchange.callback_url());
    if let Some(redirect) = redirect {
        url.push_str("&redirect_url=");
        url.extend(utf8_percent_encode(redirect, NON_ALPHANUMERIC));
    }
    let mut answer = json!({"status": "success", "url": url, "message": "User logged in"});
    if exchange.answer() == Revision::Of2024 {
        answer["token"] = token.into();
        // Absolute, unlike OAuth's of the same name.
        answer["expires_in"] = callback.expires_at.into();
    }
    Ok(ok(&answer))
}

/// The browser's way: the token in the URL becomes the realm's cookie.
async fn callback(request: &Request<'_>, exchange: &Exchange, desk: &Desk) -> Result<Answer, Refusal> {
    let redeemed = match one(request.query, "token") {
        Ok(Some(token)) => use_up(token, request, exchange, desk).await,
        _ => Err(Deny::CallbackToken.into()),
    };
    let mut answer = Answer::new(Bytes::new());
    let location = match redeemed {
        Ok(token) => {
            let value = cookie::set(request.realm, &token).ok_or(Deny::Internal)?;
            answer.headers_mut().insert(header::SET_COOKIE, value);
            exchange.after_login()
        }
        // Where whoever asked for the token wants its users then, if the list has it (`threats.md` R34).
        Err(refusal) if refusal.deny == Deny::CallbackToken => {
            let asked = one(request.query, "redirect_url").ok().flatten().filter(|url| exchange.allows_redirect(url));
            request.trail.refused(refusal.deny);
            asked.ok_or(refusal)?
        }
        Err(refusal) => return Err(refusal),
    };
    *answer.status_mut() = StatusCode::SEE_OTHER;
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::try_from(location).map_err(|_| Deny::Internal)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The URL of this page has the token in it.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

/// The app's way: it gets the session's token itself.
async fn redeem(request: &Request<'_>, exchange: &Exchange, desk: &Desk) -> Result<Answer, Refusal> {
    let body = body::object(request)?;
    let token = body.get("token").and_then(Value::as_str).ok_or(Deny::CallbackToken)?;
    let token = use_up(token, request, exchange, desk).await?;
    let expires_in = request.realm.token_ttl().as_secs();
    Ok(ok(&json!({"status": "success", "token": token, "token_type": "Bearer", "expires_in": expires_in})))
}

/// The access token of a new session, for a callback token that was not used before.
async fn use_up(token: &str, request: &Request<'_>, exchange: &Exchange, desk: &Desk) -> Result<String, Refusal> {
    let (realm, now) = (request.realm, request.now());
    let refused = |reject: Reject| {
        tracing::info!(realm = realm.name(), client = %request.client, reason = reject.code(), "a callback token was refused");
        Deny::CallbackToken
    };
    let sealed = realm.tokens().verify_callback(token, now).map_err(refused)?;
    // R62: of what a signing key makes, this is the half that the key alone does not.
    let epoch = desk.epoch(realm).await?;
    let callback = sealed.open(&epoch.seal).map_err(refused)?;
    request.trail.user(&callback.subject, None);
    request.trail.actor(&callback.actor);
    // What it would open counts from now on, and so would outlive what takes back all that its user was issued until now.
    if desk.revocations.contain(&callback.marks(realm.tokens())) {
        tracing::info!(realm = realm.name(), user = callback.subject, client = %request.client, token = %callback.token_id, "a callback token was revoked");
        return Err(Deny::CallbackToken.into());
    }
    let user = desk.store.user(realm.name(), &callback.subject).await?.filter(|user| !user.disabled && user.vouched);
    let user = user.ok_or(Deny::CallbackToken)?;
    has_all(&user, exchange)?;
    let claims = Claims { mfa: callback.mfa, ..session::claims(&user, realm.token_ttl(), now) };
    let expires_at = callback.expires_at.saturating_add_unsigned(MAX_LEEWAY.as_secs());
    let once = Once { id: callback.token_id, expires_at };
    let session = Session { epoch: Some(epoch.id), ..session::of(realm.name(), &claims) };
    match desk.store.create_session_once(once, &session, user.version).await {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(realm = realm.name(), user = user.id, client = %request.client, token = %callback.token_id, "a callback token came a second time");
            return Err(Deny::CallbackToken.into());
        }
        Err(StoreError::Stale) => return Err(Deny::CallbackToken.into()),
        Err(error) => return Err(error.into()),
    }
    request.trail.user(&user.id, Some(claims.token_id));
    tracing::info!(
        realm = realm.name(),
        user = user.id,
        actor = callback.actor,
        client = %request.client,
        token = %claims.token_id,
        "logged in"
    );
    let mut more = session::more(&user);
    more.insert("act".into(), json!({"sub": callback.actor}));
    Ok(realm.tokens().mint_with(&claims, more).map_err(unsigned)?)
}

/// Whether the user has what is asked for: a member of its data that says something.
fn has_all(user: &User, exchange: &Exchange) -> Result<(), Deny> {
    let has = |attribute: &Attribute| match user.data.get(attribute.name()) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(has)) => *has,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
    };
    match exchange.required_attributes().iter().find(|attribute| !has(attribute)) {
        None => Ok(()),
        Some(Attribute::Licence) => Err(Deny::NoLicence),
        Some(Attribute::Profile) => Err(Deny::NoProfile),
    }
}

fn refused(request: &Request<'_>, caller: &Caller<'_>, why: &str) {
    tracing::info!(realm = request.realm.name(), actor = caller.client, client = %request.client, why, "an exchange was refused");
}

/// From the answer to the browser's next request: as long as a slow one takes.
const LIFE_SECONDS: i64 = 60;
