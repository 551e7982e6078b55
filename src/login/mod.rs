//! Requests that Tollgate answers itself: from a request with its body to a response.

pub mod allowance;
mod body;
mod cookie;
mod credentials;
mod dialect;
mod exchange;
mod fair_queue;
pub(crate) mod guesses;
mod login_event;
pub mod password;
mod project;
pub mod session;
pub mod strength;
mod tenant;
pub mod throttle;
pub mod totp;
pub(crate) mod user_record;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};

use crate::config::Realm;
use crate::gate::{AdmittedLogin, DenyReason};
use crate::store::{Epoch, Revocation, Store, StoreError};
use crate::token::{KeyError, Revocations, TokenError};
use allowance::Allowances;
pub use dialect::{ErrorResponse, LoginDialect, dialect};
pub use login_event::{EventSubject as TrailSubject, LoginEvent, LoginEventRecorder};
use password::{HashPool, HashUnavailable, Share};
use strength::Weak;
use throttle::{RetryAfter, Throttle, ThrottleKey};

/// A request to a login that Tollgate admitted, with its body.
///
/// No `Debug`: the query, the headers and the body contain secrets.
pub struct LoginRequest<'a> {
    /// What Tollgate found.
    pub admitted: &'a AdmittedLogin,
    /// One that the endpoint allows.
    pub method: &'a Method,
    /// As received.
    pub headers: &'a HeaderMap,
    /// At most 64 KiB; empty if there was none.
    pub body: Bytes,
    /// Unix milliseconds.
    pub now_ms: i64,
    /// For metrics and the audit log.
    pub event: &'a LoginEventRecorder,
}

impl<'a> LoginRequest<'a> {
    /// Returns the realm of the login, from the policy that admitted the request.
    fn realm(&self) -> &'a Arc<Realm> {
        self.admitted.realm()
    }

    /// Returns the client's address, for limits.
    const fn client(&self) -> IpAddr {
        self.admitted.client.address
    }

    /// Returns the throttle key of the address, beside that of an account. By the realm of the login, whichever tenant the body
    /// names: what happens in another realm delays no client, and does not show which tenants exist.
    fn address(&self) -> ThrottleKey<'_> {
        ThrottleKey::Address(&self.realm().name, self.client())
    }

    /// Returns the share of the hash pool, for passwords of the login's own realm.
    fn share(&self) -> Share<'_> {
        Share { realm: &self.realm().name, client: self.client() }
    }

    /// Returns the time in Unix seconds.
    const fn now(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }
}

/// A query member that may be given once.
fn one<'a>(query: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Twice> {
    let mut values = query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Twice),
    }
}

struct Twice;

/// The response if a token could not be signed.
#[allow(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn unsigned(error: KeyError) -> DenyReason {
    tracing::error!(%error, "a token could not be signed");
    DenyReason::Internal
}

/// The answer, without CORS headers, `Content-Length` and `Vary`, which the proxy adds to every answer alike.
pub type LoginResponse = Response<Bytes>;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginError {
    /// The response for the client.
    pub deny: DenyReason,
    /// `Set-Cookie` of the response: it clears an invalid cookie (SECURITY.md R33).
    pub set_cookie: Option<HeaderValue>,
}

/// Services of all logins, for the lifetime of the process.
pub struct LoginServices {
    pub store: Arc<dyn Store>,
    pub passwords: HashPool,
    pub throttle: Throttle,
    /// The limits for registrations and renames.
    pub allowances: Allowances,
    /// The revocations that every request checks.
    pub revocations: Arc<Revocations>,
    /// When this process began, Unix milliseconds.
    pub started_ms: i64,
}

impl LoginServices {
    /// Returns the session epoch of a realm, with the seal for tokens between two steps of a login.
    async fn epoch(&self, realm: &Realm) -> Result<Epoch, StoreError> {
        let none = || StoreError::Failed(format!("the realm {} has no session epoch yet", realm.name));
        self.store.epoch(&realm.name).await?.ok_or_else(none)
    }

    /// Adds revocations of the store to memory. The store comes first, because an acknowledged revocation must survive
    /// a crash.
    fn refuse(&self, revoked: &[Revocation]) {
        self.revocations.extend(revoked.iter().map(|revocation| (revocation.token, revocation.expires_at)));
    }
}

impl From<DenyReason> for LoginError {
    fn from(deny: DenyReason) -> Self {
        Self { deny, set_cookie: None }
    }
}

impl From<HashUnavailable> for LoginError {
    fn from(_: HashUnavailable) -> Self {
        DenyReason::Busy.into()
    }
}

impl From<RetryAfter> for LoginError {
    fn from(RetryAfter(seconds): RetryAfter) -> Self {
        DenyReason::Throttled(seconds).into()
    }
}

impl From<Weak> for LoginError {
    fn from(weak: Weak) -> Self {
        DenyReason::from(weak).into()
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        let deny = match error {
            StoreError::NameTaken | StoreError::AccountTaken => DenyReason::UserExists,
            StoreError::MissingName => DenyReason::NameInvalid,
            StoreError::Revoked => DenyReason::Token(TokenError::Revoked),
            // Changed by other processes repeatedly.
            StoreError::VersionConflict => DenyReason::Busy,
            StoreError::Failed(_) => {
                // Its text goes to the log only.
                tracing::error!(%error, "a login could not be answered");
                DenyReason::Store
            }
        };
        deny.into()
    }
}
