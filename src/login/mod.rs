//! Requests that Tollgate answers itself: from a request with its body to a response.

pub mod allowance;
mod body;
mod cookie;
mod credentials;
pub mod exchange;
mod fair_queue;
pub(crate) mod guesses;
mod login_event;
pub mod password;
pub mod project;
pub mod session;
pub mod strength;
pub mod tenant;
pub mod throttle;
pub mod totp;
pub(crate) mod user_record;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};

use crate::config::Realm;
use crate::gate::DenyReason;
use crate::store::{Epoch, Revocation, Store, StoreError};
use crate::token::{Claims, KeyError, Revocations, TokenError, VerifiedToken};
use allowance::Allowances;
pub use login_event::{EventSubject as TrailSubject, LoginEvent, LoginEventRecorder, LoginOperation};
use password::{HashPool, HashUnavailable, Share};
use strength::Weak;
use throttle::{RetryAfter, Throttle, ThrottleKey};

/// A request to a login path that passed the checks of `gate`: its target is canonical, its API key valid, its origin
/// allowed.
///
/// No `Debug`: the query, the headers and the body contain secrets.
pub struct LoginRequest<'a> {
    /// The realm, of the policy that judged the request.
    pub realm: &'a Arc<Realm>,
    /// For a tenant login: the realms that the request is allowed to use.
    pub realms: &'a [Arc<Realm>],
    /// GET, HEAD, POST, PUT or DELETE.
    pub method: &'a Method,
    /// The query's members, percent-decoded, in order, `key` and `masterKey` too.
    pub query: &'a [(String, String)],
    pub headers: &'a HeaderMap,
    /// At most 64 KiB; empty if there was none.
    pub body: Bytes,
    /// The client's address for throttling.
    pub client: IpAddr,
    /// The request carries the realm's master key. With a wrong master key, `token` is an error.
    pub master: bool,
    /// The claims of the request's token, with a valid signature, in its lifetime and not revoked; or the reason that
    /// there is none.
    pub token: Result<Claims, DenyReason>,
    /// The tokens that a logout ends: valid, and not sent by another site.
    pub tokens: Vec<VerifiedToken>,
    /// Unix milliseconds.
    pub now_ms: i64,
    /// Records the event of the request.
    pub event: &'a LoginEventRecorder,
}

impl LoginRequest<'_> {
    /// The throttle key of the client's address. Always in the realm of the login, for every tenant: failures in
    /// another realm delay no user, and do not reveal which tenants exist.
    fn address(&self) -> ThrottleKey<'_> {
        ThrottleKey::Address(self.realm.name(), self.client)
    }

    /// The share for hashing passwords of the login's own realm.
    fn share(&self) -> Share<'_> {
        Share { realm: self.realm.name(), client: self.client }
    }

    /// Unix seconds.
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
        let none = || StoreError::Failed(format!("the realm {} has no session epoch yet", realm.name()));
        self.store.epoch(realm.name()).await?.ok_or_else(none)
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
            StoreError::NameTaken => DenyReason::UserExists,
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
