//! The judgement: from a request's head to what becomes of it, in the order of contract 4.1.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN};
use http::{Method, header};

use super::Deny;
use super::admit::ToLogin;
use super::api_key::{self, Wanted};
use super::caller::Caller;
use super::client::Client;
use super::credential::has_cookie;
use super::grant::ToRoute;
use super::known::KnownTokens;
use super::limits::{Permits, Usage};
use super::target::{Path, Target, innermost};
use super::trace::{self, Trace};
use super::verdict::{Form, Place, Preflight, Refusal, Verdict};
use crate::config::{
    Access, Authority, Authorization, CorsBy, EncodedSlash, Endpoint, Found, Host, Origin, PathRules, Policy, Proxies,
    Realm,
};
use crate::token::{Marks, Reject, Revocations, TrustedKeys};

/// What a request is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// One generation of the policy.
    pub policy: &'a Policy,
    /// The tokens that count no more.
    pub revoked: &'a Revocations,
    /// Whose word about the client counts, and which of their words.
    pub proxies: &'a Proxies,
    /// The tokens that were verified under this policy.
    pub known: &'a KnownTokens,
    /// What the clients have used of what they may.
    pub usage: &'a Usage,
    /// By a clock that nobody sets, for that: since some moment.
    pub uptime: Duration,
    /// Of the policy: tells what was verified under it from what was verified under another.
    pub generation: u64,
    /// Whether [`Verdict::Wait`] is an answer.
    pub may_wait: bool,
    /// Where it is written down what was found, if anybody wants to know.
    pub trace: Option<&'a Trace>,
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

impl Gate<'_> {
    /// Judges a request at `now` (Unix seconds). `permits` are the request's own, none at first: a request that is judged
    /// again counts once, and is in flight for as long as they live.
    #[must_use]
    pub fn decide(&self, head: &Head<'_>, now: i64, permits: &mut Permits) -> Verdict {
        let mut refusal = Refusal::of(Deny::Internal);
        match self.judge(head, now, permits, &mut refusal) {
            Ok(verdict) => verdict,
            Err(Stop::Deny(deny)) => {
                if refusal.realm.is_none() && refusal.form == Form::Problem {
                    refusal.form = self.form(head);
                }
                Verdict::Refusal(Refusal { deny, ..refusal })
            }
            Err(Stop::Wait(keys)) => Verdict::Wait(keys),
        }
    }

    /// How to refuse a request that is too broken to be judged: who calls a login knows the form of that one only.
    fn form(&self, head: &Head<'_>) -> Form {
        let path = head.target.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
        let Ok(target) = Target::parse(path) else { return Form::Problem };
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
        login.map_or(Form::Problem, |(login, endpoint)| Form::of(login, endpoint))
    }

    /// `refusal`: what an answer to the request needs to know if it is refused, as soon as that is known.
    fn judge(&self, head: &Head<'_>, now: i64, permits: &mut Permits, refusal: &mut Refusal) -> Result<Verdict, Stop> {
        let limits = self.policy.limits();
        if head.size as u64 > limits.head_size() {
            return Err(Deny::HeadTooLarge.into());
        }
        if head.ambiguous_length || !is_plainly_chunked(head.headers) || !has_plain_length(head.headers) {
            return Err(Deny::Framing.into());
        }
        if head.upgrade && head.has_body {
            return Err(Deny::Upgrade.into());
        }
        let (authority, host_header) = authority(head)?;
        let target = Target::parse(head.target)?;
        self.note("path", || trace::path(&target));
        if let Some(keys) = self.key_set(&target)? {
            let read = matches!(*head.method, Method::GET | Method::HEAD);
            return if read { Ok(Verdict::KeySet(keys.clone())) } else { Err(Deny::KeySetMethod.into()) };
        }

        let preflight_method = preflight_method(head);
        let method = preflight_method.as_ref().unwrap_or(head.method);
        let found = self.find(&authority.host, &target, method);
        match &found {
            Ok(Found::Login(login, endpoint)) => {
                (refusal.form, refusal.place) = (Form::of(login, *endpoint), Place::Login(login.index()));
            }
            Ok(Found::BelowLogin(login)) => {
                (refusal.form, refusal.place) = (Form::of(login, Endpoint::Login), Place::Login(login.index()));
            }
            Ok(Found::Route(route)) => {
                refusal.place = Place::Route(route.index());
                (refusal.takes_key, refusal.takes_basic) = (route.access().takes_key(), route.takes_basic());
            }
            _ => {}
        }
        let found = found?;
        self.note("rule", || trace::rule(self.policy, &found));
        let client = Client::of(head.peer, head.tls, head.headers, self.proxies);
        self.note("client", || trace::client(&client));
        self.note("limits", || trace::quota(limits.per_address()));
        // Nanoseconds of 584 years.
        let at = u64::try_from(self.uptime.as_nanos()).unwrap_or(u64::MAX);
        let mut count = || permits.take_address(self.usage, limits.per_address(), client.address, at);
        let (served, access) = match &found {
            Found::Login(login, _) | Found::BelowLogin(login) => (login.realm(), Access::User),
            Found::Route(route) => (route.realm(), route.access()),
            Found::Nothing => return Err(count().err().unwrap_or(Deny::NotFound).into()),
            Found::WrongHost => return Err(count().err().unwrap_or(Deny::WrongHost).into()),
        };
        refusal.realm = Some(served.clone());

        let scheme = if client.secure { "https" } else { "http" };
        let own = || Origin::new(scheme, &authority);
        let mut caller = Caller::judge(served, head.headers, own);
        if let Ok(caller) = &caller {
            refusal.cors.clone_from(&caller.cors);
        }
        let cors_is_the_apps = matches!(&found, Found::Route(route) if route.cors() == CorsBy::App);
        if cors_is_the_apps {
            caller = caller.or_else(Caller::left_to_the_app);
        } else if preflight_method.is_some() {
            self.note("origin", || trace::origin(&caller));
            return Ok(preflight(head, &found, caller?, refusal.place)?);
        }

        // Before anything secret is looked at, so that to guess counts like anything else.
        count()?;
        // A browser that was sent there brings what it was given, and nothing more.
        let callback = matches!(found, Found::Login(_, Endpoint::Callback));
        let key_needed = (served.requires_key() && !callback) || access == Access::Key;
        let wanted = key_wanted(&found, head.headers, key_needed);
        let key = api_key::find(served, head.headers, target.query, wanted, now)?;
        self.note("key", || trace::key(served, key.as_ref(), wanted));
        if let Some(carried) = &key {
            refusal.key = Some(carried.key.clone());
            permits.take_key(&carried.key, at)?;
        }
        self.note("origin", || trace::origin(&caller));
        match found {
            Found::Login(login, endpoint) => {
                let to = ToLogin { head, login, endpoint, query: target.query, client, now };
                self.admit(to, caller, own)
            }
            Found::Route(route) => {
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
            Found::BelowLogin(_) => Err(Deny::EndpointUnknown.into()),
            Found::Nothing | Found::WrongHost => Err(Deny::NotFound.into()),
        }
    }

    /// The key set that is published at this path. A path that only some readers take for one of these is nobody's.
    fn key_set(&self, target: &Target<'_>) -> Result<Option<&Bytes>, Deny> {
        match &target.path {
            Path::Canonical(canonical) => {
                let is_meant = |reading: &String| self.policy.key_set(reading).is_some();
                let elsewhere = canonical.other_readings.iter().any(is_meant);
                if elsewhere { Err(Deny::Target) } else { Ok(self.policy.key_set(&canonical.path)) }
            }
            Path::Other(read) if self.policy.key_set_may_be_meant(read) => Err(Deny::Target),
            Path::Other(_) => Ok(None),
        }
    }

    /// Looks up who answers. A path that some apps read as another one must lead to the same place under every reading,
    /// else a route could be reached under the rules of its neighbour.
    fn find(&self, host: &Host, target: &Target<'_>, method: &Method) -> Result<Found, Deny> {
        let routing = self.policy.routing();
        let Some(canonical) = target.canonical() else {
            let route = routing.find_opaque(host, target.wire_path, method);
            self.note("path_rules", || trace::path_rules(routing, host, route.as_ref()));
            return route.map(Found::Route).ok_or(Deny::Target);
        };
        let found = routing.find(host, &canonical.path, method);
        let Found::Route(route) = &found else {
            return if canonical.has_encoded_slash { Err(Deny::Target) } else { Ok(found) };
        };
        self.note("path_rules", || trace::path_rules(routing, host, Some(route)));
        if canonical.has_escape && routing.path_rules(host, route).0 == PathRules::Opaque {
            // What no strict rule foresees must not lead out of the route either.
            return innermost(target.wire_path).map(|_| found);
        }
        if canonical.has_encoded_slash && route.encoded_slash() == EncodedSlash::Reject {
            return Err(Deny::Target);
        }
        let is_same = |other| matches!(other, Found::Route(other) if Arc::ptr_eq(route, &other));
        if canonical.other_readings.iter().all(|reading| is_same(routing.find(host, reading, method))) {
            Ok(found)
        } else {
            Err(Deny::Target)
        }
    }

    /// A key that is not there may come by being fetched.
    pub(super) fn wait_or_deny(&self, realm: &Realm, token: &str, reject: Reject, now: i64) -> Stop {
        if self.may_wait
            && let Some(issuer) = realm.tokens().outdated(token, reject)
            && issuer.keys.ask(now)
        {
            return Stop::Wait(issuer.keys.clone());
        }
        Deny::Token(reject).into()
    }

    pub(super) fn is_not_revoked(&self, marks: &Marks) -> Result<(), Deny> {
        if self.revoked.contain(marks) { Err(Deny::Token(Reject::Revoked)) } else { Ok(()) }
    }
}

/// What API key a request must have, and where it may be.
fn key_wanted(found: &Found, headers: &HeaderMap, needed: bool) -> Wanted {
    let Found::Route(route) = found else { return Wanted { needed, ..Wanted::default() } };
    let cookie = route.realm().cookie().name();
    let authorization_is_ours = match route.authorization() {
        Authorization::Gate => true,
        Authorization::App => false,
        Authorization::Auto => route.takes_basic() && !has_cookie(headers, cookie),
    };
    Wanted { needed, takes_basic: route.takes_basic(), authorization_is_ours }
}

/// Why a judgement ends before its time.
pub(super) enum Stop {
    Deny(Deny),
    Wait(Arc<TrustedKeys>),
}

impl From<Deny> for Stop {
    fn from(deny: Deny) -> Self {
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

fn authority(head: &Head<'_>) -> Result<(Authority, HeaderValue), Deny> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let field = hosts.next();
    let host = field.map(|value| value.to_str().map_err(|_| Deny::Host)).transpose()?;
    let text = match (host, head.authority) {
        (Some(host), Some(authority)) if host != authority => return Err(Deny::Host),
        (Some(text), _) | (None, Some(text)) if hosts.next().is_none() => text,
        _ => return Err(Deny::Host),
    };
    let authority = Authority::parse(text).ok_or(Deny::Host)?;
    let value = field.map_or_else(|| HeaderValue::from_str(text).map_err(|_| Deny::Host), |field| Ok(field.clone()))?;
    Ok((authority, value))
}

/// The method that a preflight asks about; `None` for any other request (`threats.md` R50).
fn preflight_method(head: &Head<'_>) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

fn preflight(head: &Head<'_>, found: &Found, caller: Caller, place: Place) -> Result<Verdict, Deny> {
    if matches!(found, Found::BelowLogin(_)) {
        return Err(Deny::NotFound);
    }
    let cors = caller.cors.ok_or(Deny::OriginMissing)?;
    let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD).cloned().ok_or(Deny::OriginMissing)?;
    let headers = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    Ok(Verdict::Preflight(Preflight { place, cors, method, headers }))
}

/// RFC 9110, 9.2.1. TRACE is safe by the letter, but nobody sends it in good faith.
pub(super) const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// As many as fit into 63 bits, whatever they are.
const MAX_LENGTH_DIGITS: usize = 18;
