//! What a login makes: the claims of a token, and the session that the store remembers it by.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::MAX_LEEWAY;
use crate::store::{Session, User};
use crate::token::{Claims, TokenId};

/// The claims of a new token for this user, as of `now` (Unix seconds).
#[must_use]
pub fn new_claims(user: &User, ttl: Duration, now: i64) -> Claims {
    Claims {
        token_id: TokenId::random(),
        subject: user.id.clone(),
        username: user.username.clone(),
        email: user.verified_email().map(str::to_owned),
        roles: user.roles.clone(),
        session: None,
        mfa: false,
        issued_at: now,
        expires_at: now.saturating_add_unsigned(ttl.as_secs()),
    }
}

/// What a token says of its user besides, for others who trust the realm's tokens: an address stands in a token only if it is
/// verified, and those who ask for that are told so.
#[must_use]
pub fn extra_claims(user: &User) -> Map<String, Value> {
    let verified = user.verified_email().map(|_| ("email_verified".to_owned(), true.into()));
    verified.into_iter().collect()
}

/// The session of a token of the realm.
#[must_use]
pub fn new_session(realm: &str, claims: &Claims) -> Session {
    Session {
        realm: realm.to_owned(),
        user_id: claims.subject.clone(),
        token: claims.token_id,
        created_at: claims.issued_at,
        expires_at: max_expiry(claims),
        refresh: None,
        epoch: None,
    }
}

/// Unix seconds after which no one accepts this token, whatever the leeway.
#[must_use]
pub fn max_expiry(claims: &Claims) -> i64 {
    claims.expires_at.saturating_add_unsigned(MAX_LEEWAY.as_secs())
}
