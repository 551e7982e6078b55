//! The requests that the gate answers itself: a request with its body in, a response out.

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

/// A request to a login path that the guard let through: its target is canonical, its API key good, its origin allowed.
///
/// No `Debug`: the query, the headers and the body all carry secrets.
pub struct LoginRequest<'a> {
    /// The realm, of the policy that judged the request.
    pub realm: &'a Arc<Realm>,
    /// Of a tenant login, the realms into which the request may log in.
    pub realms: &'a [Arc<Realm>],
    /// GET, HEAD, POST, PUT or DELETE.
    pub method: &'a Method,
    /// The query's members, percent-decoded, in order, `key` and `masterKey` too.
    pub query: &'a [(String, String)],
    /// As they came.
    pub headers: &'a HeaderMap,
    /// At most 64 KiB; empty if there was none.
    pub body: Bytes,
    /// Whom to throttle: the client's address, as far as it is believed.
    pub client: IpAddr,
    /// The master key was sent, and is the realm's. One that was sent and is not makes `token` an error.
    pub master: bool,
    /// What the request's token says, checked for its signature, its time and its revocation, or why there is none that
    /// counts.
    pub token: Result<Claims, DenyReason>,
    /// What each token says that logout ends: whole, in force, and not another site's doing.
    pub tokens: Vec<VerifiedToken>,
    /// Unix milliseconds.
    pub now_ms: i64,
    /// Where it is noted what becomes of it.
    pub event: &'a LoginEventRecorder,
}

impl LoginRequest<'_> {
    /// Whom failures count for beside an account. By the realm of the login, whichever tenant the body names: what happens in
    /// another realm makes no one wait, and it says nothing of which tenants exist.
    fn address(&self) -> ThrottleKey<'_> {
        ThrottleKey::Address(self.realm.name(), self.client)
    }

    /// In whose share passwords are hashed for it, where it is about the login's own realm.
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

/// What a client is told whose token could not be signed.
#[allow(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
fn unsigned(error: KeyError) -> DenyReason {
    tracing::error!(%error, "a token could not be signed");
    DenyReason::Internal
}

/// The answer, without CORS headers, `Content-Length` and `Vary`, which the proxy adds to every answer alike.
pub type LoginResponse = Response<Bytes>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginError {
    /// What the client is told.
    pub deny: DenyReason,
    /// `Set-Cookie` to go with it: it clears a cookie that is of no use any more (`threats.md` R33).
    pub set_cookie: Option<HeaderValue>,
}

/// What all logins share, from start to end of the process.
pub struct LoginServices {
    /// Users, sessions and revocations.
    pub store: Arc<dyn Store>,
    /// Where passwords are hashed.
    pub passwords: HashPool,
    /// Who must wait.
    pub throttle: Throttle,
    /// Who has registered or taken another name often enough.
    pub allowances: Allowances,
    /// What the guard asks on every request.
    pub revocations: Arc<Revocations>,
    /// When this process began, Unix milliseconds.
    pub started_ms: i64,
}

impl LoginServices {
    /// The session epoch of a realm, with the seal of what stands between two steps of a login.
    async fn epoch(&self, realm: &Realm) -> Result<Epoch, StoreError> {
        let none = || StoreError::Failed(format!("the realm {} has no session epoch yet", realm.name()));
        self.store.epoch(realm.name()).await?.ok_or_else(none)
    }

    /// Makes the guard refuse tokens which the store has revoked already. In this order, since what is answered must
    /// survive a crash.
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
            // Changed under our hands again and again.
            StoreError::VersionConflict => DenyReason::Busy,
            StoreError::Failed(_) => {
                // Its text goes nowhere else.
                tracing::error!(%error, "a login could not be answered");
                DenyReason::Store
            }
        };
        deny.into()
    }
}
