//! The decision about a request from its head, in the order of docs/request-order.md.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use http::header::HeaderMap;

use super::DenyReason;
use super::admit::LoginCandidate;
use super::api_key::{self, Carried, Wanted};
use super::client::ClientInfo;
use super::decision::{Decision, Denial, Pending};
use super::explanation::{self, Explanation};
use super::grant::RouteCandidate;
use super::limits::{AddressLimiters, RequestPermits};
use super::message::Message;
use super::preflight;
use super::request_origin::RequestOrigin;
use super::token_cache::TokenCache;
use crate::config::{CorsBy, Origin, Policy, Proxies, Realm, RouteMatch};
use crate::token::{RevocationKeys, Revocations, TokenError};

/// The inputs of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Authorizer<'a> {
    /// One generation of the policy.
    pub policy: &'a Policy,
    /// The revoked tokens.
    pub revoked: &'a Revocations,
    /// The trusted proxies, and the headers that they set.
    pub proxies: &'a Proxies,
    /// The tokens that were verified under this policy.
    pub known: &'a TokenCache,
    /// The use of the limits by each client.
    pub usage: &'a AddressLimiters,
    /// The time of a monotonic clock, for the limits.
    pub uptime: Duration,
    /// The generation of the policy: a cached token is valid under its generation only.
    pub generation: u64,
    /// Whether [`Decision::Wait`] is allowed.
    pub may_wait: bool,
    /// The record of each step, for `tollgate explain`.
    pub trace: Option<&'a Explanation>,
}

/// The request head, and properties of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub method: &'a Method,
    /// The target as it stood in the request line, or `:path`.
    pub target: &'a [u8],
    /// `:authority`, where the protocol has it.
    pub authority: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// The size in bytes: of the request line and headers as sent, or as HTTP/2 counts them.
    pub size: usize,
    /// Content-Length came together with Transfer-Encoding.
    pub ambiguous_length: bool,
    pub has_body: bool,
    /// It requests an upgrade.
    pub upgrade: bool,
    /// The peer of the socket.
    pub peer: IpAddr,
    /// The connection uses TLS.
    pub tls: bool,
}

/// A request with a valid head.
pub(super) struct Request<'a> {
    pub(super) head: &'a Head<'a>,
    pub(super) message: Message<'a>,
    pub(super) client: ClientInfo,
    /// Unix seconds.
    pub(super) now: i64,
}

impl Authorizer<'_> {
    /// Judges a request at `now` (Unix seconds). `permits` belong to the request and start empty: a request that is
    /// judged again counts once, and is in flight while they live.
    #[must_use]
    pub fn decide(&self, head: &Head<'_>, now: i64, permits: &mut RequestPermits) -> Decision {
        let mut facts = Denial::new(DenyReason::Internal);
        match self.judge(head, now, permits, &mut facts) {
            Ok(decision) => decision,
            Err(EarlyExit::Invalid(deny)) => {
                Decision::Refusal(Denial { deny, login: self.login_of_invalid(head), ..facts })
            }
            Err(EarlyExit::Deny(deny)) => Decision::Refusal(Denial { deny, ..facts }),
            Err(EarlyExit::Wait(pending)) => Decision::Wait(pending),
        }
    }

    /// The steps 2 to 11 of docs/request-order.md. `facts` gets the facts for an error response as they become known.
    fn judge(
        &self,
        head: &Head<'_>,
        now: i64,
        permits: &mut RequestPermits,
        facts: &mut Denial,
    ) -> Result<Decision, EarlyExit> {
        // 2. The message and its target
        let message = Message::parse(head, self.policy.limits.head_size).map_err(EarlyExit::Invalid)?;
        self.record_step("path", || explanation::path(&message.target));

        // 3. JWKS
        if let Some(jwks) = self.jwks(head.method, &message.target).map_err(EarlyExit::Invalid)? {
            return Ok(jwks);
        }

        // 4. The login or the route
        let requested_method = preflight::requested_method(head);
        let method = requested_method.as_ref().unwrap_or(head.method);
        let found = self.find(&message, method, facts).map_err(EarlyExit::Invalid)?;
        let request = self.request(head, message, now);
        let found = match found {
            Ok(found) => found,
            Err(none) => {
                self.count(&request, permits)?;
                return Err(DenyReason::from(none).into());
            }
        };
        facts.realm = Some(found.realm().clone());

        // 5. CORS preflight
        let origin = request.origin(&found);
        facts.cors = origin.as_ref().ok().and_then(|origin| origin.cors.clone());
        if requested_method.is_some() && found.cors() == CorsBy::Gate {
            self.record_step("origin", || explanation::origin(&origin));
            return Ok(preflight::response(head, &found, origin?, facts.place)?);
        }

        // 6. Limits of the address: before any secret is checked, so that guesses count like other requests.
        self.count(&request, permits)?;

        // 7. The API key
        let key = self.api_key(&request, &found, permits, facts)?;

        // 8. The origin, and 9. to 11.
        self.record_step("origin", || explanation::origin(&origin));
        match found {
            RouteMatch::Login(login) => self.admit_login(LoginCandidate { request, login, origin }),
            RouteMatch::Route(route) => self.grant(RouteCandidate { request, route, origin: origin?, key }, facts),
            RouteMatch::UnknownEndpoint(_) => Err(DenyReason::EndpointUnknown.into()),
        }
    }

    fn request<'a>(&self, head: &'a Head<'a>, message: Message<'a>, now: i64) -> Request<'a> {
        let client = ClientInfo::from_request(head.peer, head.tls, head.headers, self.proxies);
        self.record_step("client", || explanation::client(&client));
        self.record_step("limits", || explanation::quota(&self.policy.limits.per_address));
        Request { head, message, client, now }
    }

    /// Counts the request against the limits of its address.
    fn count(&self, request: &Request<'_>, permits: &mut RequestPermits) -> Result<(), DenyReason> {
        let quota = self.policy.limits.per_address;
        permits.take_address(self.usage, &quota, request.client.address, self.uptime_ns())
    }

    /// Nanoseconds of 584 years.
    fn uptime_ns(&self) -> u64 {
        u64::try_from(self.uptime.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns the valid API key of the request, and counts the request against the limits of the key.
    fn api_key(
        &self,
        request: &Request<'_>,
        found: &RouteMatch,
        permits: &mut RequestPermits,
        facts: &mut Denial,
    ) -> Result<Option<Carried>, DenyReason> {
        let (realm, headers) = (found.realm(), request.head.headers);
        let wanted = Wanted::of(found, headers);
        let key = api_key::find(realm, headers, request.message.target.query, wanted, request.now)?;
        self.record_step("key", || explanation::key(realm, key.as_ref(), wanted));
        if let Some(carried) = &key {
            facts.key = Some(carried.key.clone());
            permits.take_key(&carried.key, self.uptime_ns())?;
        }
        Ok(key)
    }

    /// A key that is not there may come by being fetched.
    pub(super) fn wait_or_deny(&self, realm: &Realm, token: &str, reject: TokenError, now: i64) -> EarlyExit {
        if self.may_wait
            && let Some(issuer) = realm.tokens.issuer_to_refresh(token, reject)
            && issuer.keys.request_refresh(now)
        {
            return EarlyExit::Wait(Pending::Keys(issuer.keys.clone()));
        }
        DenyReason::Token(reject).into()
    }

    pub(super) fn is_not_revoked(&self, marks: &RevocationKeys) -> Result<(), DenyReason> {
        if self.revoked.contains(marks) { Err(DenyReason::Token(TokenError::Revoked)) } else { Ok(()) }
    }
}

impl Request<'_> {
    /// Returns the origin of the request by the rules of the realm.
    fn origin(&self, found: &RouteMatch) -> Result<RequestOrigin, DenyReason> {
        let origin = RequestOrigin::classify(found.realm(), self.head.headers, || self.own_origin());
        match found.cors() {
            CorsBy::Gate => origin,
            CorsBy::App => origin.or_else(RequestOrigin::left_to_the_app),
        }
    }

    /// Returns the origin of the request's own target.
    pub(super) fn own_origin(&self) -> Origin {
        Origin::new(if self.client.secure { "https" } else { "http" }, &self.message.authority)
    }

    /// Returns whether the request can change something.
    pub(super) fn is_unsafe(&self) -> bool {
        self.head.upgrade || !is_safe(self.head.method)
    }
}

/// The reason that judging stops early.
pub(super) enum EarlyExit {
    /// Denied before the login or route was found.
    Invalid(DenyReason),
    Deny(DenyReason),
    Wait(Pending),
}

impl From<DenyReason> for EarlyExit {
    fn from(deny: DenyReason) -> Self {
        Self::Deny(deny)
    }
}

/// RFC 9110, 9.2.1. TRACE is safe by definition, but legitimate clients do not send it.
pub(super) const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests;
