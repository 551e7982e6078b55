//! The decision about a request from its head, in the order of docs/request-order.md.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN};
use http::{Method, header};

use super::DenyReason;
use super::admit::LoginCandidate;
use super::api_key::{self, Wanted};
use super::client::ClientInfo;
use super::credential::has_cookie;
use super::decision::{Decision, Denial, Pending, Preflight, RouteId};
use super::explanation::{self, Explanation};
use super::grant::ToRoute;
use super::limits::{AddressLimiters, RequestPermits};
use super::request_origin::RequestOrigin;
use super::target::{Path, Target, innermost};
use super::token_cache::TokenCache;
use crate::config::{
    Access, Authority, Authorization, CorsBy, EncodedSlash, Host, LoginMatch, Origin, PathRules, Policy, Proxies,
    Realm, RouteMatch,
};
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

impl Authorizer<'_> {
    /// Judges a request at `now` (Unix seconds). `permits` belong to the request and start empty: a request that is
    /// judged again counts once, and is in flight while they live.
    #[must_use]
    pub fn decide(&self, head: &Head<'_>, now: i64, permits: &mut RequestPermits) -> Decision {
        let mut refusal = Denial::new(DenyReason::Internal);
        match self.judge(head, now, permits, &mut refusal) {
            Ok(verdict) => verdict,
            Err(EarlyExit::Deny(deny)) => {
                if refusal.realm.is_none() && refusal.login.is_none() {
                    refusal.login = self.login_of_invalid(head);
                }
                Decision::Refusal(Denial { deny, ..refusal })
            }
            Err(EarlyExit::Wait(pending)) => Decision::Wait(pending),
        }
    }

    /// Returns the login of a request that is denied before the routing: a client of a login knows the errors of its API only.
    fn login_of_invalid(&self, head: &Head<'_>) -> Option<LoginMatch> {
        let path = head.target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        let target = Target::parse(path).ok()?;
        let path = &target.canonical()?.path;
        let routing = self.policy.routing();
        let first = routing.logins().iter().find_map(|login| login.endpoint(path, head.method))?;
        match authority(head) {
            Ok((authority, _)) => routing.login_at(&authority.host, path, head.method),
            // The host is unknown.
            Err(_) => Some(first),
        }
    }

    /// `refusal` gets the facts for an error response as they become known.
    fn judge(
        &self,
        head: &Head<'_>,
        now: i64,
        permits: &mut RequestPermits,
        refusal: &mut Denial,
    ) -> Result<Decision, EarlyExit> {
        let limits = self.policy.limits();
        if head.size as u64 > limits.head_size() {
            return Err(DenyReason::HeadTooLarge.into());
        }
        if head.ambiguous_length || !is_plainly_chunked(head.headers) || !has_plain_length(head.headers) {
            return Err(DenyReason::Framing.into());
        }
        if head.upgrade && head.has_body {
            return Err(DenyReason::Upgrade.into());
        }
        let (authority, host_header) = authority(head)?;
        let target = Target::parse(head.target)?;
        self.record_step("path", || explanation::path(&target));
        if let Some(keys) = self.key_set(&target)? {
            let read = matches!(*head.method, Method::GET | Method::HEAD);
            return if read { Ok(Decision::Jwks(keys.clone())) } else { Err(DenyReason::KeySetMethod.into()) };
        }

        let preflight_method = preflight_method(head);
        let method = preflight_method.as_ref().unwrap_or(head.method);
        let found = self.find(&authority.host, &target, method);
        match &found {
            Ok(RouteMatch::Login(found) | RouteMatch::UnknownEndpoint(found)) => {
                refusal.place = RouteId::Login(found.login().index());
                refusal.login = Some(found.clone());
            }
            Ok(RouteMatch::Route(route)) => {
                refusal.place = RouteId::Route(route.index());
                (refusal.takes_key, refusal.takes_basic) = (route.access().takes_key(), route.takes_basic());
            }
            _ => {}
        }
        let found = found?;
        self.record_step("rule", || explanation::rule(&found));
        let client = ClientInfo::from_request(head.peer, head.tls, head.headers, self.proxies);
        self.record_step("client", || explanation::client(&client));
        self.record_step("limits", || explanation::quota(limits.per_address()));
        // Nanoseconds of 584 years.
        let at = u64::try_from(self.uptime.as_nanos()).unwrap_or(u64::MAX);
        let mut count = || permits.take_address(self.usage, limits.per_address(), client.address, at);
        let (served, key_needed) = match &found {
            RouteMatch::Login(found) | RouteMatch::UnknownEndpoint(found) => {
                let realm = found.login().realm();
                (realm, realm.requires_key() && found.endpoint().needs_key)
            }
            RouteMatch::Route(route) => (route.realm(), route.realm().requires_key() || route.access() == Access::Key),
            RouteMatch::NotFound => return Err(count().err().unwrap_or(DenyReason::NotFound).into()),
            RouteMatch::UnknownHost => return Err(count().err().unwrap_or(DenyReason::WrongHost).into()),
        };
        refusal.realm = Some(served.clone());

        let scheme = if client.secure { "https" } else { "http" };
        let own = || Origin::new(scheme, &authority);
        let mut caller = RequestOrigin::classify(served, head.headers, own);
        if let Ok(caller) = &caller {
            refusal.cors.clone_from(&caller.cors);
        }
        let cors_is_the_apps = matches!(&found, RouteMatch::Route(route) if route.cors() == CorsBy::App);
        if cors_is_the_apps {
            caller = caller.or_else(RequestOrigin::left_to_the_app);
        } else if preflight_method.is_some() {
            self.record_step("origin", || explanation::origin(&caller));
            return Ok(preflight(head, &found, caller?, refusal.place)?);
        }

        // Before any secret is checked, so that guesses count like other requests.
        count()?;
        let wanted = key_wanted(&found, head.headers, key_needed);
        let key = api_key::find(served, head.headers, target.query, wanted, now)?;
        self.record_step("key", || explanation::key(served, key.as_ref(), wanted));
        if let Some(carried) = &key {
            refusal.key = Some(carried.key.clone());
            permits.take_key(&carried.key, at)?;
        }
        self.record_step("origin", || explanation::origin(&caller));
        match found {
            RouteMatch::Login(login) => {
                let to = LoginCandidate { head, login, query: target.query, client, now };
                self.admit_login(to, caller, own)
            }
            RouteMatch::Route(route) => {
                let caller = caller?;
                let to = ToRoute {
                    head,
                    route,
                    target: &target,
                    caller,
                    client,
                    key,
                    key_needed,
                    authority: host_header,
                    now,
                };
                self.grant(to, refusal)
            }
            RouteMatch::UnknownEndpoint(_) => Err(DenyReason::EndpointUnknown.into()),
            RouteMatch::NotFound | RouteMatch::UnknownHost => Err(DenyReason::NotFound.into()),
        }
    }

    /// Returns the JWKS of this path. A path that only some readers take for such a path is refused.
    fn key_set(&self, target: &Target<'_>) -> Result<Option<&Bytes>, DenyReason> {
        match &target.path {
            Path::Canonical(canonical) => {
                let is_meant = |reading: &String| self.policy.jwks_at(reading).is_some();
                let elsewhere = canonical.other_readings.iter().any(is_meant);
                if elsewhere { Err(DenyReason::Target) } else { Ok(self.policy.jwks_at(&canonical.path)) }
            }
            Path::Other(read) if self.policy.key_set_may_be_meant(read) => Err(DenyReason::Target),
            Path::Other(_) => Ok(None),
        }
    }

    /// Finds the login or route. A path that applications read in several ways must lead to the same one in each
    /// reading, or a route could be reached under the rules of another.
    fn find(&self, host: &Host, target: &Target<'_>, method: &Method) -> Result<RouteMatch, DenyReason> {
        let routing = self.policy.routing();
        let Some(canonical) = target.canonical() else {
            let route = routing.find_opaque(host, target.wire_path, method);
            self.record_step("path_rules", || explanation::path_rules(routing, host, route.as_ref()));
            return route.map(RouteMatch::Route).ok_or(DenyReason::Target);
        };
        let found = routing.find(host, &canonical.path, method);
        let RouteMatch::Route(route) = &found else {
            return if canonical.has_encoded_slash { Err(DenyReason::Target) } else { Ok(found) };
        };
        self.record_step("path_rules", || explanation::path_rules(routing, host, Some(route)));
        if canonical.has_escape && routing.path_rules(host, route).0 == PathRules::Opaque {
            // Readings beyond the strict rules must not leave the route either.
            return innermost(target.wire_path).map(|_| found);
        }
        if canonical.has_encoded_slash && route.encoded_slash() == EncodedSlash::Reject {
            return Err(DenyReason::Target);
        }
        let is_same = |other| matches!(other, RouteMatch::Route(other) if Arc::ptr_eq(route, &other));
        if canonical.other_readings.iter().all(|reading| is_same(routing.find(host, reading, method))) {
            Ok(found)
        } else {
            Err(DenyReason::Target)
        }
    }

    /// A key that is not there may come by being fetched.
    pub(super) fn wait_or_deny(&self, realm: &Realm, token: &str, reject: TokenError, now: i64) -> EarlyExit {
        if self.may_wait
            && let Some(issuer) = realm.tokens().issuer_to_refresh(token, reject)
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

/// Returns the requirements for the API key.
fn key_wanted(found: &RouteMatch, headers: &HeaderMap, needed: bool) -> Wanted {
    let RouteMatch::Route(route) = found else { return Wanted { needed, ..Wanted::default() } };
    let cookie = route.realm().cookie().name();
    let authorization_is_ours = match route.authorization() {
        Authorization::Gate => true,
        Authorization::App => false,
        Authorization::Auto => route.takes_basic() && !has_cookie(headers, cookie),
    };
    Wanted { needed, takes_basic: route.takes_basic(), authorization_is_ours }
}

/// The reason that judging stops early.
pub(super) enum EarlyExit {
    Deny(DenyReason),
    Wait(Pending),
}

impl From<DenyReason> for EarlyExit {
    fn from(deny: DenyReason) -> Self {
        Self::Deny(deny)
    }
}

/// Returns whether there is no Transfer-Encoding, or exactly one `chunked` (SECURITY.md R14). Legitimate clients send
/// no other, and readers disagree about what is left of it after the first hop.
fn is_plainly_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = values.next().is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && values.next().is_none()
}

/// Returns whether there is no Content-Length, or exactly one plain number (SECURITY.md R15). Pingora reads `5, 5` and
/// two equal headers as 5, as RFC 9112 allows, and forwards them unchanged: not every application reads them so. Nor
/// does every application read `010` as 10, or a number beyond 63 bits.
fn has_plain_length(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let plain = values.next().is_none_or(|value| match value.as_bytes() {
        b"0" => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < MAX_LENGTH_DIGITS && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    });
    plain && values.next().is_none()
}

fn authority(head: &Head<'_>) -> Result<(Authority, HeaderValue), DenyReason> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let field = hosts.next();
    let host = field.map(|value| value.to_str().map_err(|_| DenyReason::Host)).transpose()?;
    let text = match (host, head.authority) {
        (Some(host), Some(authority)) if host != authority => return Err(DenyReason::Host),
        (Some(text), _) | (None, Some(text)) if hosts.next().is_none() => text,
        _ => return Err(DenyReason::Host),
    };
    let authority = Authority::parse(text).ok_or(DenyReason::Host)?;
    let value =
        field.map_or_else(|| HeaderValue::from_str(text).map_err(|_| DenyReason::Host), |field| Ok(field.clone()))?;
    Ok((authority, value))
}

/// Returns the requested method of a preflight; `None` for any other request (SECURITY.md R50).
fn preflight_method(head: &Head<'_>) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

fn preflight(
    head: &Head<'_>,
    found: &RouteMatch,
    caller: RequestOrigin,
    place: RouteId,
) -> Result<Decision, DenyReason> {
    if matches!(found, RouteMatch::UnknownEndpoint(_)) {
        return Err(DenyReason::NotFound);
    }
    let cors = caller.cors.ok_or(DenyReason::OriginMissing)?;
    let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD).cloned().ok_or(DenyReason::OriginMissing)?;
    let headers = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    Ok(Decision::Preflight(Preflight { place, cors, method, headers }))
}

/// RFC 9110, 9.2.1. TRACE is safe by definition, but legitimate clients do not send it.
pub(super) const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// All numbers with so many digits fit into 63 bits.
const MAX_LENGTH_DIGITS: usize = 18;
