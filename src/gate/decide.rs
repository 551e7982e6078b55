//! The judgement: from a request's head to what becomes of it, in the order of contract 4.1.

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
use super::decision::{Decision, Denial, ErrorFormat, Preflight, RouteId};
use super::explanation::{self, Explanation};
use super::grant::ToRoute;
use super::limits::{AddressLimiters, RequestPermits};
use super::request_origin::RequestOrigin;
use super::target::{Path, Target, innermost};
use super::token_cache::TokenCache;
use crate::config::{
    Access, Authority, Authorization, CorsBy, EncodedSlash, Host, LoginEndpoint, Origin, PathRules, Policy, Proxies,
    Realm, RouteMatch,
};
use crate::token::{IssuerKeys, RevocationKeys, Revocations, TokenError};

/// What a request is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Authorizer<'a> {
    /// One generation of the policy.
    pub policy: &'a Policy,
    /// The tokens that count no more.
    pub revoked: &'a Revocations,
    /// Whose word about the client counts, and which of their words.
    pub proxies: &'a Proxies,
    /// The tokens that were verified under this policy.
    pub known: &'a TokenCache,
    /// What the clients have used of what they may.
    pub usage: &'a AddressLimiters,
    /// By a clock that nobody sets, for that: since some moment.
    pub uptime: Duration,
    /// Of the policy: tells what was verified under it from what was verified under another.
    pub generation: u64,
    /// Whether [`Decision::Wait`] is an answer.
    pub may_wait: bool,
    /// Where it is written down what was found, if anybody wants to know.
    pub trace: Option<&'a Explanation>,
}

/// The head of a request, and what the connection knows.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target as it stood in the request line, or `:path`.
    pub target: &'a [u8],
    /// `:authority`, where the protocol has it.
    pub authority: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// How long it is, in bytes: request line and headers as they came, or what HTTP/2 counts for them.
    pub size: usize,
    /// Content-Length came together with Transfer-Encoding.
    pub ambiguous_length: bool,
    /// A body is announced.
    pub has_body: bool,
    /// It asks for an upgrade.
    pub upgrade: bool,
    /// The peer of the socket.
    pub peer: IpAddr,
    /// The connection is TLS.
    pub tls: bool,
}

impl Authorizer<'_> {
    /// Judges a request at `now` (Unix seconds). `permits` are the request's own, none at first: a request that is judged
    /// again counts once, and is in flight for as long as they live.
    #[must_use]
    pub fn decide(&self, head: &Head<'_>, now: i64, permits: &mut RequestPermits) -> Decision {
        let mut refusal = Denial::new(DenyReason::Internal);
        match self.judge(head, now, permits, &mut refusal) {
            Ok(verdict) => verdict,
            Err(EarlyExit::Deny(deny)) => {
                if refusal.realm.is_none() && refusal.form == ErrorFormat::Problem {
                    refusal.form = self.form(head);
                }
                Decision::Refusal(Denial { deny, ..refusal })
            }
            Err(EarlyExit::Wait(keys)) => Decision::Wait(keys),
        }
    }

    /// How to refuse a request that is too broken to be judged: who calls a login knows the form of that one only.
    fn form(&self, head: &Head<'_>) -> ErrorFormat {
        let path = head.target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        let Ok(target) = Target::parse(path) else { return ErrorFormat::Problem };
        let routing = self.policy.routing();
        let at = |path: &str| {
            let first = routing.logins().iter().find_map(|login| Some((login, login.endpoint(path)?)))?;
            match authority(head) {
                Ok((authority, _)) => routing.login_at(&authority.host, path),
                // Which host it is for is not known.
                Err(_) => Some(first),
            }
        };
        let login = target.canonical().and_then(|canonical| at(&canonical.path));
        login.map_or(ErrorFormat::Problem, |(login, endpoint)| ErrorFormat::for_endpoint(login, endpoint))
    }

    /// `refusal`: what an answer to the request needs to know if it is refused, as soon as that is known.
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
            Ok(RouteMatch::Login(login, endpoint)) => {
                (refusal.form, refusal.place) =
                    (ErrorFormat::for_endpoint(login, *endpoint), RouteId::Login(login.index()));
            }
            Ok(RouteMatch::UnknownEndpoint(login)) => {
                (refusal.form, refusal.place) =
                    (ErrorFormat::for_endpoint(login, LoginEndpoint::Login), RouteId::Login(login.index()));
            }
            Ok(RouteMatch::Route(route)) => {
                refusal.place = RouteId::Route(route.index());
                (refusal.takes_key, refusal.takes_basic) = (route.access().takes_key(), route.takes_basic());
            }
            _ => {}
        }
        let found = found?;
        self.record_step("rule", || explanation::rule(self.policy, &found));
        let client = ClientInfo::from_request(head.peer, head.tls, head.headers, self.proxies);
        self.record_step("client", || explanation::client(&client));
        self.record_step("limits", || explanation::quota(limits.per_address()));
        // Nanoseconds of 584 years.
        let at = u64::try_from(self.uptime.as_nanos()).unwrap_or(u64::MAX);
        let mut count = || permits.take_address(self.usage, limits.per_address(), client.address, at);
        let (served, access) = match &found {
            RouteMatch::Login(login, _) | RouteMatch::UnknownEndpoint(login) => (login.realm(), Access::User),
            RouteMatch::Route(route) => (route.realm(), route.access()),
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

        // Before anything secret is looked at, so that to guess counts like anything else.
        count()?;
        // A browser that was sent there brings what it was given, and nothing more.
        let callback = matches!(found, RouteMatch::Login(_, LoginEndpoint::Callback));
        let key_needed = (served.requires_key() && !callback) || access == Access::Key;
        let wanted = key_wanted(&found, head.headers, key_needed);
        let key = api_key::find(served, head.headers, target.query, wanted, now)?;
        self.record_step("key", || explanation::key(served, key.as_ref(), wanted));
        if let Some(carried) = &key {
            refusal.key = Some(carried.key.clone());
            permits.take_key(&carried.key, at)?;
        }
        self.record_step("origin", || explanation::origin(&caller));
        match found {
            RouteMatch::Login(login, endpoint) => {
                let to = LoginCandidate { head, login, endpoint, query: target.query, client, now };
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

    /// The key set that is published at this path. A path that only some readers take for one of these is nobody's.
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

    /// Looks up who answers. A path that some apps read as another one must lead to the same place under every reading,
    /// else a route could be reached under the rules of its neighbour.
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
            // What no strict rule foresees must not lead out of the route either.
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
            return EarlyExit::Wait(issuer.keys.clone());
        }
        DenyReason::Token(reject).into()
    }

    pub(super) fn is_not_revoked(&self, marks: &RevocationKeys) -> Result<(), DenyReason> {
        if self.revoked.contains(marks) { Err(DenyReason::Token(TokenError::Revoked)) } else { Ok(()) }
    }
}

/// What API key a request must have, and where it may be.
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

/// Why a judgement ends before its time.
pub(super) enum EarlyExit {
    Deny(DenyReason),
    Wait(Arc<IssuerKeys>),
}

impl From<DenyReason> for EarlyExit {
    fn from(deny: DenyReason) -> Self {
        Self::Deny(deny)
    }
}

/// No Transfer-Encoding, or exactly `chunked`, once (`threats.md` R14): nobody sends another in good faith, and readers
/// disagree about what is left of it after the first hop.
fn is_plainly_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = values.next().is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && values.next().is_none()
}

/// No Content-Length, or one number, once (`threats.md` R15). Pingora reads `5, 5` and two equal headers as 5, as RFC 9112
/// lets it, and forwards them as they came: not every app behind us reads them so. Nor does every app read `010` as 10, or
/// what is too long for 63 bits at all.
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

/// The method that a preflight asks about; `None` for any other request (`threats.md` R50).
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

/// RFC 9110, 9.2.1. TRACE is safe by the letter, but nobody sends it in good faith.
pub(super) const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// As many as fit into 63 bits, whatever they are.
const MAX_LENGTH_DIGITS: usize = 18;
