//! The claims of a new token, and the session in the store.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::store::{Session, User};
use crate::token::MAX_LEEWAY;
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

/// Additional claims for other verifiers of the realm's tokens: a token has an address only if it is verified, and
/// `email_verified` says so.
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

/// Unix seconds after which this token is invalid everywhere, with any clock skew.
#[must_use]
pub fn max_expiry(claims: &Claims) -> i64 {
    claims.expires_at.saturating_add_unsigned(MAX_LEEWAY.as_secs())
}
