//! The whole decision, rule by rule, without sockets.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::config::{self, LoginOperation, Mode, Policy};
use crate::token::{Claims, Revocations, TokenError, TokenId};

const NOW: i64 = 1_800_000_000;
const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[store]
url = "sqlite://x.db"

[[realm]]
name = "main"
issuer = "i"
cookie = "t"
require_key = true
origins = ["https://app.example", "null"]
[[realm.key]]
id = "web"
secret = "0123456789abcdef"
[[realm.key]]
id = "off"
secret = "0123456789abcdef-off"
disabled = true
[[realm.key]]
id = "old"
secret = "0123456789abcdef-old"
expires = 2020-01-01T00:00:00Z
[realm.master_key]
sha256 = "0a8363b3bad871b85ae52da4cc33db4a62c245c48e67271274edf5f93037fb5c"

[[realm]]
name = "open"
issuer = "i2"
cookie = "o"
require_key = false

[[realm]]
name = "strict"
issuer = "i3"
cookie = "s"
require_key = false
require_origin = true

[[login]]
dialect = "project"
path = "/auth"
realm = "main"
[[login]]
dialect = "project"
path = "/open/auth"
realm = "open"
[[login]]
dialect = "tenant"
path = "/Login"
realm = "open"

[[route]]
path = "/user"
realm = "main"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/admin"
realm = "main"
access = "user"
roles = ["admin"]
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/mfa"
realm = "open"
access = "user"
require_mfa = true
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/key"
realm = "main"
access = "key"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/public"
realm = "open"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/open"
realm = "open"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/strict"
realm = "strict"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/read"
methods = ["GET"]
realm = "open"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/files"
realm = "open"
access = "public"
encoded_slash = "pass"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/files/locked"
realm = "open"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "only.example"
path = "/hosted"
realm = "open"
access = "public"
upstream = ["http://127.0.0.1:1"]
"#;

pub(super) struct Bench {
    policy: Policy,
    revoked: Revocations,
    known: TokenCache,
    usage: AddressLimiters,
}

impl Bench {
    fn new() -> Self {
        Self::of(CONFIG)
    }

    fn with_limits(limits: &str) -> Self {
        Self::of(&format!("{CONFIG}\n[limits]\n{limits}\n"))
    }

    pub(super) fn of(text: &str) -> Self {
        let config = config::parse(text, Path::new("test.toml"), Mode::Start).unwrap();
        Self {
            policy: config.policy,
            revoked: Revocations::new(),
            known: TokenCache::new(1 << 20),
            usage: AddressLimiters::new(),
        }
    }

    pub(super) fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Decision {
        self.ask_with(line, headers, |head| head)
    }

    fn ask_with(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        change: impl for<'a> FnOnce(Head<'a>) -> Head<'a>,
    ) -> Decision {
        self.judge_with(line, headers, |gate, head| {
            let head = change(*head);
            let mut permits = RequestPermits::default();
            let mut judge = || gate.decide(&head, NOW, &mut permits);
            let (first, again) = (judge(), judge());
            assert_eq!(told(&first), told(&again), "a token that is known by now changes nothing");
            again
        })
    }

    fn judge_with<T>(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        judge: impl FnOnce(Authorizer<'_>, &Head<'_>) -> T,
    ) -> T {
        let (method, target) = line.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut map = HeaderMap::new();
        if !headers.iter().any(|(name, _)| *name == "host") {
            map.insert("host", HeaderValue::from_static("gate.example"));
        }
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        }
        let head = Head {
            method: &method,
            target: target.as_bytes(),
            authority: None,
            headers: &map,
            size: 100,
            ambiguous_length: false,
            has_body: false,
            upgrade: map.contains_key("upgrade"),
            peer: "192.0.2.7".parse().unwrap(),
            tls: true,
        };
        judge(self.gate(), &head)
    }

    /// Returns the result of one request, with live permits.
    fn once(&self, line: &str, headers: &[(&str, &str)]) -> (Decision, RequestPermits) {
        self.judge_with(line, headers, |gate, head| {
            let mut permits = RequestPermits::default();
            (gate.decide(head, NOW, &mut permits), permits)
        })
    }

    /// Returns how many of ten such requests are 429.
    fn refused_of_ten(&self, line: &str, headers: &[(&str, &str)]) -> usize {
        let is_limited = |verdict: &Decision| matches!(verdict, Decision::Refusal(Denial { deny, .. }) if matches!(deny, DenyReason::RateLimited(_)));
        (0..10).filter(|_| is_limited(&self.once(line, headers).0)).count()
    }

    fn gate(&self) -> Authorizer<'_> {
        Authorizer {
            policy: &self.policy,
            revoked: &self.revoked,
            proxies: &config::NO_PROXIES,
            known: &self.known,
            usage: &self.usage,
            uptime: Duration::from_secs(100),
            generation: 1,
            may_wait: true,
            trace: None,
        }
    }

    /// `Ok` with the forwarded target, or why not.
    pub(super) fn outcome(&self, line: &str, headers: &[(&str, &str)]) -> Result<String, DenyReason> {
        match self.ask(line, headers) {
            Decision::Grant(grant) => Ok(String::from_utf8_lossy(grant.target()).into_owned()),
            Decision::Login(_) => Ok("login".into()),
            Decision::Preflight(_) => Ok("preflight".into()),
            Decision::Jwks(_) => Ok("key set".into()),
            Decision::Refusal(refusal) => Err(refusal.deny),
            Decision::Wait(_) => panic!("no issuer here is fetched"),
        }
    }

    pub(super) fn token(&self, realm: &str, roles: &[&str]) -> String {
        let claims = Claims {
            token_id: TokenId(7),
            subject: "u".into(),
            username: Some("alice".into()),
            email: None,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            session: None,
            mfa: false,
            issued_at: NOW,
            expires_at: NOW + 60,
        };
        self.policy.realm(realm).unwrap().tokens().mint(&claims).unwrap()
    }

    pub(super) fn bearer(&self, realm: &str, roles: &[&str]) -> String {
        format!("Bearer {}", self.token(realm, roles))
    }
}

/// Returns the part of a request that an application would see.
fn told(verdict: &Decision) -> String {
    match verdict {
        Decision::Grant(grant) => format!("{:?} {:?}", grant.target(), grant.identity()),
        Decision::Login(admitted) => format!("{:?}", admitted.token),
        Decision::Preflight(preflight) => format!("{preflight:?}"),
        Decision::Refusal(refusal) => format!("{:?}", refusal.deny),
        Decision::Jwks(keys) => format!("{keys:?}"),
        Decision::Wait(_) => "wait".into(),
    }
}

const K: &str = "key=0123456789abcdef";

#[test]
fn the_order_of_the_checks() {
    let bench = Bench::new();
    let evil = ("origin", "https://evil.example");
    let bad_token = ("authorization", "Bearer x");
    for (line, headers, deny) in [
        ("GET /user//x?key=bad", &[evil, bad_token][..], DenyReason::Target),
        ("GET /nowhere?key=bad", &[evil, bad_token], DenyReason::NotFound),
        ("GET /user", &[evil, bad_token], DenyReason::KeyMissing),
        ("GET /user?key=bad", &[evil, bad_token], DenyReason::KeyUnknown),
        ("GET /user?key=0123456789abcdef-off", &[evil, bad_token], DenyReason::KeyDisabled),
        ("GET /user?key=0123456789abcdef-old", &[evil, bad_token], DenyReason::KeyExpired),
        ("GET /user?key=0123456789abcdef", &[evil, bad_token], DenyReason::OriginDenied),
        ("GET /user?key=0123456789abcdef", &[bad_token], DenyReason::Token(TokenError::Malformed)),
        ("GET /user?key=0123456789abcdef", &[], DenyReason::TokenMissing),
    ] {
        assert_eq!(bench.outcome(line, headers), Err(deny), "{line}");
    }
    let plain = bench.bearer("main", &["user"]);
    assert_eq!(bench.outcome(&format!("GET /admin?{K}"), &[("authorization", &plain)]), Err(DenyReason::RoleMissing));
    let admin = bench.bearer("main", &["user", "admin"]);
    assert_eq!(bench.outcome(&format!("GET /admin?{K}&a=1"), &[("authorization", &admin)]), Ok("/admin?a=1".into()));
}

#[test]
fn r26_every_credential_that_is_there_but_garbage_is_refused() {
    let bench = Bench::new();
    let line = format!("GET /user?{K}");
    let other_realm = bench.bearer("open", &[]);
    for headers in [
        &[("authorization", "")][..],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic dTpw")],
        &[("authorization", "Bearer a.b.c")],
        &[("authorization", &other_realm)],
        &[("cookie", "t=")],
        &[("cookie", "t=garbage")],
    ] {
        let deny = bench.outcome(&line, headers).unwrap_err();
        assert!(matches!(deny, DenyReason::Token(_) | DenyReason::TokenMissing), "{headers:?}: {deny:?}");
    }
    let good = bench.token("main", &[]);
    let bearer = format!("Bearer {good}");
    let cookie = format!("t={good}");
    assert!(bench.outcome(&line, &[("authorization", &bearer)]).is_ok());
    assert!(bench.outcome(&line, &[("cookie", &cookie)]).is_ok());
    let forged = format!("{bearer}x");
    let both = [("authorization", forged.as_str()), ("cookie", cookie.as_str())];
    assert_eq!(
        bench.outcome(&line, &both),
        Err(DenyReason::Token(TokenError::Signature)),
        "no fall-back to the cookie"
    );
    bench.revoked.extend([(TokenId(7), NOW + 60)]);
    assert_eq!(bench.outcome(&line, &[("authorization", &bearer)]), Err(DenyReason::Token(TokenError::Revoked)));
    assert_eq!(bench.outcome(&line, &[("cookie", &cookie)]), Err(DenyReason::Token(TokenError::Revoked)));
}

#[test]
fn r09_routes_match_by_whole_segments_and_decoded() {
    let bench = Bench::new();
    for (line, expected) in [
        ("GET /public", Ok("/public")),
        ("GET /public/", Ok("/public/")),
        ("GET /public/x?y", Ok("/public/x?y")),
        ("GET /%70ublic/x", Ok("/%70ublic/x")),
        ("GET /publicx", Err(DenyReason::NotFound)),
        ("GET /Public", Err(DenyReason::NotFound)),
        ("GET /", Err(DenyReason::NotFound)),
        ("GET /x?/public", Err(DenyReason::NotFound)),
        ("GET /%75ser", Err(DenyReason::KeyMissing)),
        ("GET /public/%2fuser", Err(DenyReason::Target)),
        ("GET /files/a%2Fb", Ok("/files/a%2Fb")),
        ("GET /files/a;x%2Fb", Ok("/files/a;x%2Fb")),
        ("GET /files/locked", Err(DenyReason::TokenMissing)),
        ("GET /files/locked%2Fb", Err(DenyReason::Target)),
        ("GET /files/locked;x%2Fb", Err(DenyReason::Target)),
        ("GET /files/locked%2Fb;x", Err(DenyReason::Target)),
        ("GET /files/a;%2F..;%2Flocked", Err(DenyReason::Target)),
        ("GET /public;x/y", Err(DenyReason::NotFound)),
        ("GET /public/a;b=c", Ok("/public/a;b=c")),
        ("GET /open;x/auth", Err(DenyReason::NotFound)),
        ("GET /open/auth;x", Err(DenyReason::Target)),
        ("DELETE /read", Err(DenyReason::NotFound)),
        ("HEAD /read", Ok("/read")),
        ("TRACE /public", Ok("/public")),
        ("TRACE /user", Err(DenyReason::KeyMissing)),
        ("OPTIONS /user", Err(DenyReason::KeyMissing)),
    ] {
        assert_eq!(bench.outcome(line, &[]), expected.map(str::to_owned), "{line}");
    }
}

#[test]
fn key_sets_are_for_everybody() {
    let bench = Bench::new();
    let evil = ("origin", "https://evil.example");
    for path in ["/.well-known/jwks.json", "/strict/.well-known/jwks.json", "/main/.well-known/jwks.json?x=%zz"] {
        for (method, expected) in [
            ("GET", Ok("key set".to_owned())),
            ("HEAD", Ok("key set".into())),
            ("POST", Err(DenyReason::KeySetMethod)),
            ("OPTIONS", Err(DenyReason::KeySetMethod)),
        ] {
            let line = format!("{method} {path}");
            assert_eq!(bench.outcome(&line, &[evil, ("host", "nobody.example")]), expected, "{line}");
        }
    }
    assert_eq!(bench.outcome("GET /.well-known/jwks.json", &[("host", "a b")]), Err(DenyReason::Host));
    assert_eq!(bench.outcome("GET /x/../.well-known/jwks.json", &[]), Err(DenyReason::Target));
    for path in [
        "/nobody/.well-known/jwks.json",
        "/.well-known/jwks.json/",
        "/.well-known/jwks",
        "/main%2f.well-known/jwks.json",
    ] {
        assert!(bench.outcome(&format!("GET {path}"), &[]).is_err(), "{path}");
    }
}

#[test]
fn r10_r11_hosts() {
    let bench = Bench::new();
    for (host, expected) in [
        ("only.example", Ok(())),
        ("ONLY.example.:8443", Ok(())),
        ("other.example", Err(DenyReason::NotFound)),
        ("", Err(DenyReason::Host)),
        ("a b", Err(DenyReason::Host)),
        ("user@only.example", Err(DenyReason::Host)),
    ] {
        assert_eq!(bench.outcome("GET /hosted", &[("host", host)]).map(drop), expected, "{host}");
    }
    assert_eq!(bench.outcome("GET /hosted", &[("host", "only.example"), ("host", "x")]), Err(DenyReason::Host));
    let differs = |head: Head<'_>| -> DenyReason {
        let gate = bench.gate();
        let Decision::Refusal(refusal) = gate.decide(&head, NOW, &mut RequestPermits::default()) else {
            panic!("must be refused")
        };
        refusal.deny
    };
    let headers: HeaderMap = [(http::header::HOST, HeaderValue::from_static("a.example"))].into_iter().collect();
    let head = Head {
        method: &Method::GET,
        target: b"/public",
        authority: Some("b.example"),
        headers: &headers,
        size: 100,
        ambiguous_length: false,
        has_body: false,
        upgrade: false,
        peer: "192.0.2.7".parse().unwrap(),
        tls: true,
    };
    assert_eq!(differs(head), DenyReason::Host);
    assert_eq!(differs(Head { authority: None, headers: &HeaderMap::new(), ..head }), DenyReason::Host);
    assert_eq!(differs(Head { authority: None, ambiguous_length: true, ..head }), DenyReason::Framing);
    assert_eq!(differs(Head { authority: None, upgrade: true, has_body: true, ..head }), DenyReason::Upgrade);
}

#[test]
fn r48_origins() {
    let bench = Bench::new();
    let line = format!("GET /key?{K}");
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://APP.example:443", true),
        ("null", true),
        ("https://gate.example", true),
        ("http://gate.example", false),
        ("http://app.example", false),
        ("https://app.example:8443", false),
        ("https://app.example.evil.example", false),
        ("https://evilapp.example", false),
        ("https://app.example/", false),
        ("https://user@app.example", false),
        ("*", false),
        ("", false),
    ] {
        assert_eq!(bench.outcome(&line, &[("origin", origin)]).is_ok(), allowed, "{origin}");
    }
    let twice = [("origin", "https://app.example"), ("origin", "https://app.example")];
    assert_eq!(bench.outcome(&line, &twice), Err(DenyReason::OriginDenied));
    assert_eq!(bench.outcome("GET /strict", &[]), Err(DenyReason::OriginMissing));
    // The same host over http, where it is listed over https, is another site.
    let downgraded = [("host", "app.example"), ("origin", "http://app.example")];
    let plain = bench.ask_with(&line, &downgraded, |head| Head { tls: false, ..head });
    assert!(matches!(plain, Decision::Refusal(Denial { deny: DenyReason::OriginDenied, .. })));
}

#[test]
fn a_realm_without_origins_lets_any_call_but_without_credentials() {
    let bench = Bench::new();
    let cookie = format!("o={}", bench.token("open", &[]));
    let foreign = ("origin", "https://evil.example");
    let Decision::Grant(grant) = bench.ask("GET /public", &[foreign]) else { panic!() };
    assert_eq!(
        *grant.cors().unwrap(),
        Cors { origin: HeaderValue::from_static("https://evil.example"), credentials: false }
    );
    assert_eq!(bench.outcome("GET /open", &[foreign, ("cookie", &cookie)]), Err(DenyReason::TokenMissing));
    assert_eq!(bench.outcome("POST /open", &[foreign, ("cookie", &cookie)]), Err(DenyReason::OriginDenied));
    let own = ("origin", "https://gate.example");
    assert!(bench.outcome("POST /open", &[own, ("cookie", &cookie)]).is_ok());
    let Decision::Grant(grant) = bench.ask("POST /public", &[foreign, ("cookie", &cookie)]) else { panic!() };
    assert_eq!(grant.identity(), None, "a public route forwards it, but as nobody's");
}

#[test]
fn r47_r49_a_cookie_changes_something_only_for_its_own_site() {
    let bench = Bench::new();
    let cookie = format!("t={}", bench.token("main", &[]));
    let bearer = bench.bearer("main", &[]);
    let post = format!("POST /user?{K}");
    let get = format!("GET /user?{K}");
    let upgrade = ("upgrade", "websocket");
    let cookie = ("cookie", cookie.as_str());
    let listed = ("origin", "https://app.example");
    let site = |value| ("sec-fetch-site", value);
    for (line, headers, expected) in [
        (&post, &[cookie, listed][..], Ok(())),
        (&post, &[cookie, site("same-origin")], Ok(())),
        (&post, &[cookie], Err(DenyReason::OriginMissing)),
        (&post, &[cookie, site("cross-site")], Err(DenyReason::OriginDenied)),
        (&post, &[cookie, site("same-site")], Err(DenyReason::OriginDenied)),
        (&post, &[cookie, site("none")], Err(DenyReason::OriginDenied)),
        (&post, &[cookie, ("origin", "https://evil.example")], Err(DenyReason::OriginDenied)),
        (&get, &[cookie], Ok(())),
        (&get, &[cookie, site("same-site")], Ok(())),
        (&get, &[cookie, site("none")], Ok(())),
        (&get, &[cookie, site("cross-site")], Err(DenyReason::TokenMissing)),
        (&get, &[cookie, upgrade], Err(DenyReason::OriginMissing)),
        (&get, &[cookie, upgrade, site("cross-site")], Err(DenyReason::OriginDenied)),
        (&get, &[cookie, upgrade, listed], Ok(())),
        (&post, &[("authorization", bearer.as_str())], Ok(())),
        (&get, &[("authorization", bearer.as_str()), upgrade], Ok(())),
        (&post, &[("authorization", bearer.as_str()), site("cross-site")], Ok(())),
    ] {
        assert_eq!(bench.outcome(line, headers).map(drop), expected, "{line} {headers:?}");
    }
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
        assert_eq!(
            bench.outcome(&format!("{method} /user?{K}"), &[cookie]),
            Err(DenyReason::OriginMissing),
            "{method}"
        );
    }
}

#[test]
fn r52_another_sites_page_gets_nothing_by_cookie_that_it_does_not_go_to() {
    let bench = Bench::new();
    let (main, open) = (format!("t={}", bench.token("main", &[])), format!("o={}", bench.token("open", &[])));
    let (main, open) = (("cookie", main.as_str()), ("cookie", open.as_str()));
    let bearer = bench.bearer("main", &[]);
    let fetched = |mode, dest| [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
    let get = format!("GET /user?{K}");
    let ask = |headers: &[(&str, &str)]| bench.outcome(&get, headers).map(drop);
    let visit = fetched("navigate", "document");
    assert_eq!(ask(&[&visit[..], &[main]].concat()), Ok(()), "a link");
    for (mode, dest) in [
        ("no-cors", "image"),
        ("no-cors", "script"),
        ("no-cors", "empty"),
        ("no-cors", "document"),
        ("navigate", "iframe"),
        ("navigate", "frame"),
        ("navigate", "embed"),
        ("navigate", "object"),
        ("navigate", ""),
        ("", "document"),
        ("cors", "empty"),
    ] {
        let headers = fetched(mode, dest);
        assert_eq!(ask(&[&headers[..], &[main]].concat()), Err(DenyReason::TokenMissing), "{mode} {dest}");
        let by_itself = [&headers[..], &[("authorization", bearer.as_str())]].concat();
        assert_eq!(
            ask(&by_itself),
            Ok(()),
            "{mode} {dest}: no page of another site can send a token that it does not have"
        );
        let allowed = [&headers[..], &[main, ("origin", "https://app.example")]].concat();
        assert_eq!(ask(&allowed), Ok(()), "{mode} {dest}, allowed");
        let Decision::Grant(grant) = bench.ask("GET /public", &[&headers[..], &[open]].concat()) else { panic!() };
        assert_eq!(grant.identity(), None, "{mode} {dest}: a public route forwards it, but as nobody's");
    }
    for early in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        assert_eq!(ask(&[&visit[..], &[main, early]].concat()), Err(DenyReason::TokenMissing), "{early:?}");
    }
    for odd in ["", "Cross-Site", "same-origin, cross-site", "same_site"] {
        assert_eq!(ask(&[main, ("sec-fetch-site", odd)]), Err(DenyReason::TokenMissing), "{odd:?}");
    }
    let twice = [main, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")];
    assert_eq!(ask(&twice), Err(DenyReason::TokenMissing));
    // A login reveals who is logged in, too.
    let who = |headers: &[(&str, &str)]| match bench.ask(&format!("GET /auth?{K}"), headers) {
        Decision::Login(admitted) => admitted.token.map(drop),
        other => panic!("{other:?}"),
    };
    assert_eq!(who(&[&fetched("no-cors", "script")[..], &[main]].concat()), Err(DenyReason::TokenMissing));
    assert_eq!(who(&[&visit[..], &[main]].concat()), Ok(()));
}

#[test]
fn r50_only_a_preflight_that_may_be_answered_is() {
    let bench = Bench::new();
    let listed = ("origin", "https://app.example");
    let asks = ("access-control-request-method", "PUT");
    let line = "OPTIONS /user";
    assert_eq!(bench.outcome(line, &[listed, asks]), Ok("preflight".into()), "without key and token");
    assert_eq!(bench.outcome("OPTIONS /auth", &[listed, asks]), Ok("preflight".into()));
    assert_eq!(bench.outcome(line, &[("origin", "https://evil.example"), asks]), Err(DenyReason::OriginDenied));
    assert_eq!(bench.outcome(line, &[listed]), Err(DenyReason::KeyMissing));
    assert_eq!(bench.outcome(line, &[asks]), Err(DenyReason::KeyMissing));
    assert_eq!(bench.outcome("GET /user", &[listed, asks]), Err(DenyReason::KeyMissing));
    assert_eq!(bench.outcome("OPTIONS /nowhere", &[listed, asks]), Err(DenyReason::NotFound));
    assert_eq!(bench.outcome("OPTIONS /read", &[listed, asks]), Err(DenyReason::NotFound), "it does not take PUT");
    let Decision::Grant(_) = bench.ask("OPTIONS /public", &[]) else { panic!("no preflight, so judged as any") };
}

#[test]
fn logins_are_admitted_with_what_they_need() {
    let bench = Bench::new();
    let evil = ("origin", "https://evil.example");
    for (line, headers, deny) in [
        ("POST /auth", &[][..], DenyReason::KeyMissing),
        ("POST /auth?key=bad", &[evil], DenyReason::KeyUnknown),
        ("GET /auth/x", &[], DenyReason::KeyMissing),
        ("GET /auth/x?key=0123456789abcdef", &[], DenyReason::EndpointUnknown),
        ("POST /auth?key=0123456789abcdef", &[evil], DenyReason::OriginDenied),
        ("PATCH /auth?key=0123456789abcdef", &[], DenyReason::Method),
        ("POST /auth?key=0123456789abcdef&masterKey=master-secret", &[evil], DenyReason::OriginDenied),
        ("GET /auth?key=0123456789abcdef&masterKey=wrong", &[evil], DenyReason::OriginDenied),
        ("GET /auth?key=0123456789abcdef&masterKey=wrong", &[], DenyReason::MasterKeyUnknown),
    ] {
        assert_eq!(bench.outcome(line, headers), Err(deny), "{line}");
    }
    let admitted = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => *admitted,
        other => panic!("{line}: {other:?}"),
    };
    let master = admitted(&format!("GET /auth?{K}&masterKey=master-secret"), &[evil]);
    assert!(master.master);
    assert_eq!(master.token, Err(DenyReason::TokenMissing));

    let token = bench.token("main", &[]);
    let (bearer, cookie) = (format!("Bearer {token}"), format!("t={token}"));
    let put = format!("PUT /auth?{K}");
    assert!(admitted(&put, &[("cookie", &cookie)]).token.is_ok(), "its clients need not be browsers");
    assert_eq!(
        admitted(&put, &[("authorization", &format!("{bearer}x")), ("cookie", &cookie)]).token,
        Err(DenyReason::Token(TokenError::Signature))
    );
    assert!(admitted(&put, &[("authorization", "Bearer x"), ("cookie", &cookie)]).token.is_ok(), "an app's own header");
    let logout = format!("POST /auth?{K}&logout=true");
    let both = admitted(&logout, &[("authorization", &bearer), ("authorization", "Bearer x"), ("cookie", &cookie)]);
    assert_eq!((both.token, both.tokens.len()), (Err(DenyReason::CredentialConflict), 1));
    let cross = [("origin", "https://evil.example"), ("cookie", cookie.as_str())];
    let open = format!("o={}", bench.token("open", &[]));
    let elsewhere = admitted("POST /open/auth?logout=true", &[cross[0], ("cookie", &open)]);
    assert!(elsewhere.tokens.is_empty(), "not for another site");
}

#[test]
fn a_tenant_login_is_told_which_realms_would_let_the_request_in() {
    let bench = Bench::new();
    let admitted = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => *admitted,
        other => panic!("{line}: {other:?}"),
    };
    let realms = |line: &str, headers: &[(&str, &str)]| {
        admitted(line, headers).realms.iter().map(|realm| realm.name().to_owned()).collect::<Vec<_>>()
    };
    let listed = ("origin", "https://app.example");
    assert_eq!(realms("POST /login", &[]), ["open"], "one wants a key, one an origin");
    assert_eq!(realms(&format!("POST /login?{K}"), &[]), ["main", "open"]);
    assert_eq!(realms(&format!("POST /LOGIN/refresh?{K}"), &[listed]), ["main", "open", "strict"]);
    assert_eq!(realms("POST /login?key=0123456789abcdef-off", &[listed]), ["open", "strict"]);
    assert_eq!(
        realms(&format!("POST /login?{K}"), &[("origin", "https://evil.example")]),
        ["open", "strict"],
        "where no origin is listed, any may call"
    );
    for (line, endpoint) in [
        ("POST /Login", LoginOperation::Login),
        ("POST /Login/Challenge", LoginOperation::Challenge),
        ("POST /Login/Refresh", LoginOperation::Refresh),
        ("POST /logout", LoginOperation::Logout),
    ] {
        assert_eq!(admitted(line, &[]).endpoint().operation, endpoint, "{line}");
    }
    for (line, deny) in [
        ("GET /Login", DenyReason::Method),
        ("PUT /logout", DenyReason::Method),
        ("POST /Login/x", DenyReason::EndpointUnknown),
    ] {
        let Decision::Refusal(refusal) = bench.ask(line, &[]) else { panic!("{line}") };
        assert_eq!((refusal.deny, format_of(&refusal)), (deny, "tenant"), "{line}");
    }
    let Decision::Refusal(refusal) = bench.ask("POST /auth", &[]) else { panic!() };
    assert_eq!(format_of(&refusal), "problem");
}

#[test]
fn a_tenant_logout_is_told_every_session_that_it_ends_and_no_cookie() {
    let bench = Bench::new();
    let (main, open) = (bench.bearer("main", &[]), bench.bearer("open", &[]));
    let cookie = format!("o={}", bench.token("open", &[]));
    let ended = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => admitted.tokens.len(),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(ended("POST /logout", &[("authorization", &open), ("authorization", "Bearer x")]), 1);
    assert_eq!(ended("POST /logout", &[("authorization", &main)]), 0, "its realm does not let the request in");
    assert_eq!(ended(&format!("POST /logout?{K}"), &[("authorization", &main), ("authorization", &open)]), 2);
    assert_eq!(ended("POST /logout", &[("cookie", &cookie)]), 0);
    assert_eq!(ended("POST /login", &[("authorization", &open)]), 0, "nobody logs out there");
    let head = |path: &str| format!("POST {path}");
    let many: Vec<_> = std::iter::repeat_n(("authorization", open.as_str()), 100).collect();
    assert!(ended(&head("/logout"), &many) <= 4, "a signature each");
}

#[test]
fn r36_a_route_may_want_a_second_factor() {
    let bench = Bench::new();
    assert_eq!(bench.outcome("GET /mfa", &[]), Err(DenyReason::TokenMissing));
    let without = bench.bearer("open", &[]);
    assert_eq!(bench.outcome("GET /mfa", &[("authorization", &without)]), Err(DenyReason::MfaRequired));
    assert_eq!(bench.outcome("GET /open", &[("authorization", &without)]), Ok("/open".into()));
    let rules = bench.policy.realm("open").unwrap().tokens();
    let claims = Claims { mfa: true, ..rules.verify(&bench.token("open", &[]), NOW).unwrap().claims };
    let with = format!("Bearer {}", rules.mint(&claims).unwrap());
    assert_eq!(bench.outcome("GET /mfa", &[("authorization", &with)]), Ok("/mfa".into()));
}

#[test]
fn keys_open_key_routes_and_name_nobody() {
    let bench = Bench::new();
    let Decision::Grant(grant) = bench.ask("GET /key", &[("x-api-key", "0123456789abcdef")]) else { panic!() };
    let names: Vec<_> = grant.identity().unwrap().headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-auth-realm"]);
    assert_eq!(grant.key().unwrap().id(), "web", "for as long as it is good");
    assert_eq!(bench.outcome("GET /key", &[]), Err(DenyReason::KeyMissing));
}

#[test]
fn every_row_of_the_table_is_a_documented_answer() {
    let rows =
        [DenyReason::Framing, DenyReason::Token(TokenError::Expired), DenyReason::Throttled(3), DenyReason::Internal]
            .map(DenyReason::response);
    assert_eq!(rows.map(|row| row.status.as_u16()), [400, 401, 429, 500]);
}

#[test]
fn what_counts_against_an_address_and_what_does_not() {
    let token = Bench::new().bearer("main", &[]);
    let asks = ("access-control-request-method", "GET");
    let origin = ("origin", "https://app.example");
    for (line, headers, refused) in [
        (format!("GET /user?{K}"), &[("authorization", token.as_str())][..], 7),
        (format!("GET /user?{K}"), &[("authorization", "Bearer bad")], 7),
        (format!("GET /user?{K}"), &[("origin", "https://evil.example")], 7),
        ("GET /user?key=guess".into(), &[], 7),
        ("GET /nowhere".into(), &[], 7),
        ("GET /public".into(), &[], 7),
        (format!("POST /auth?{K}"), &[], 7),
        ("POST /Login".into(), &[], 7),
        ("POST /Login/nothing".into(), &[], 7),
        (format!("OPTIONS /user?{K}"), &[origin], 7),
        ("OPTIONS /user".into(), &[origin, asks], 0),
        ("GET /.well-known/jwks.json".into(), &[], 0),
        ("GET /user//x".into(), &[], 0),
        ("GET /user?a=%".into(), &[], 7),
        ("GET /user?a=\u{7f}".into(), &[], 0),
    ] {
        let bench = Bench::with_limits("rate = 0.001\nburst = 2");
        assert_eq!(bench.refused_of_ten(&line, headers), refused, "{line} {headers:?}");
    }
}

#[test]
fn who_sends_too_much_is_told_in_the_form_that_is_expected() {
    let bench = Bench::with_limits("rate = 0.001\nburst = 0");
    bench.once("GET /public", &[]);
    let refused = |line: &str, headers: &[(&str, &str)]| match bench.once(line, headers).0 {
        Decision::Refusal(refusal) => refusal,
        other => panic!("{line}: {other:?}"),
    };
    let refusal = refused("GET /user", &[("origin", "https://app.example")]);
    assert_eq!((refusal.deny, format_of(&refusal)), (DenyReason::RateLimited(1000), "problem"), "before the key");
    assert_eq!(refusal.realm.unwrap().name(), "main");
    assert_eq!(refusal.cors.unwrap().origin, "https://app.example");
    assert_eq!(format_of(&refused("POST /Login", &[])), "tenant");
    assert_eq!(refused("POST /nowhere", &[]).deny, DenyReason::RateLimited(1000));
    // A client behind an untrusted proxy can't choose its address.
    assert_eq!(refused("GET /public", &[("x-forwarded-for", "192.0.2.99")]).deny, DenyReason::RateLimited(1000));
}

#[test]
fn a_trusted_proxys_clients_are_apart() {
    let bench = Bench::with_limits("rate = 0.001\nburst = 0");
    let trusted =
        config::Proxies::new(vec!["192.0.2.0/24".parse().unwrap()], config::ForwardedFamily::XForwarded, false);
    let ask = |forwarded: &str| {
        bench.judge_with("GET /public", &[("x-forwarded-for", forwarded)], |gate, head| {
            let gate = Authorizer { proxies: &trusted, ..gate };
            matches!(gate.decide(head, NOW, &mut RequestPermits::default()), Decision::Grant(_))
        })
    };
    assert!(ask("198.51.100.1") && ask("198.51.100.2"));
    assert!(!ask("198.51.100.1"));
    assert!(!ask("6.6.6.6, 198.51.100.1"), "what stands left of it was said by the client itself");
}

#[test]
fn as_many_at_once_as_live() {
    let bench = Bench::with_limits("concurrent = 2");
    let (first, second) = (bench.once("GET /public", &[]), bench.once("GET /nowhere", &[]));
    let (third, _) = bench.once("GET /public", &[]);
    assert!(matches!(third, Decision::Refusal(Denial { deny: DenyReason::ConcurrencyLimited, .. })), "{third:?}");
    drop(second);
    assert!(matches!(bench.once("GET /public", &[]).0, Decision::Grant(_)));
    drop(first);
}

#[test]
fn a_keys_quota_is_the_keys_own_and_only_good_ones_count() {
    let text = CONFIG
        .replacen("secret = \"0123456789abcdef\"", "secret = \"0123456789abcdef\"\nrate = 0.001\nburst = 1", 1)
        .replacen(
            "[realm.master_key]",
            "[[realm.key]]\nid = \"other\"\nsecret = \"0123456789abcdef-other\"\n[realm.master_key]",
            1,
        );
    let bench = Bench::of(&text);
    let bad = [("authorization", "Bearer bad")];
    assert_eq!(bench.refused_of_ten("GET /user?key=0123456789abcdef-off", &[]), 0);
    assert_eq!(bench.refused_of_ten("GET /user?key=guess", &[]), 0);
    assert_eq!(bench.refused_of_ten(&format!("GET /user?{K}"), &bad), 8, "whatever comes of the request");
    assert_eq!(bench.refused_of_ten(&format!("POST /auth?{K}"), &[]), 10, "at logins too");
    assert_eq!(bench.refused_of_ten("GET /user?key=0123456789abcdef-other", &bad), 0);
}

#[test]
fn heads_and_bodies_have_a_largest_size() {
    let bench = Bench::with_limits("head_size = \"1KiB\"\nbody_size = \"1KiB\"");
    let sized = |line: &str, headers: &[(&str, &str)], size| match bench
        .ask_with(line, headers, |head| Head { size, ..head })
    {
        Decision::Grant(grant) => Ok(grant.body_size()),
        Decision::Refusal(refusal) => Err(refusal.deny),
        other => panic!("{other:?}"),
    };
    assert_eq!(sized("GET /public", &[], 1024), Ok(Some(1024)));
    assert_eq!(
        sized("GET /public//", &[("transfer-encoding", "x")], 1025),
        Err(DenyReason::HeadTooLarge),
        "before anything"
    );
    let length = |text: &'static str| [("content-length", text)];
    assert_eq!(sized("POST /public", &length("1024"), 100), Ok(Some(1024)));
    assert_eq!(sized("POST /public", &length("1025"), 100), Err(DenyReason::RequestTooLarge));
    assert_eq!(sized("POST /public", &length("999999999999999999"), 100), Err(DenyReason::RequestTooLarge));
    for other in ["010", "00", "+5", "", "0x5", "1000000000000000000", "99999999999999999999999"] {
        assert_eq!(sized("POST /public", &length(other), 100), Err(DenyReason::Framing), "{other}");
    }
    assert_eq!(
        sized("POST /open", &length("1025"), 100),
        Err(DenyReason::TokenMissing),
        "whoever may not pass learns no limit"
    );
}

#[test]
fn a_cookie_speaks_at_a_login_as_it_does_elsewhere_and_without_an_origin_too() {
    let bench = Bench::new();
    let token = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => admitted.token.map(drop),
        other => panic!("{line}: {other:?}"),
    };
    let foreign = ("origin", "https://evil.example");
    let open = format!("o={}", bench.token("open", &[]));
    let open = ("cookie", open.as_str());
    assert_eq!(token("GET /open/auth", &[open]), Ok(()));
    assert_eq!(token("GET /open/auth", &[open, foreign]), Err(DenyReason::TokenMissing), "read without credentials");
    assert_eq!(token("PUT /open/auth", &[open, foreign]), Err(DenyReason::OriginDenied));
    assert_eq!(token("PUT /open/auth", &[open, ("sec-fetch-site", "cross-site")]), Err(DenyReason::OriginDenied));
    assert_eq!(token("PUT /open/auth", &[open]), Ok(()));
    // The master key lifts the origin rules, and not for the cookie.
    let main = format!("t={}", bench.token("main", &[]));
    let line = format!("GET /auth?{K}&masterKey=master-secret");
    assert_eq!(token(&line, &[("cookie", &main), foreign]), Err(DenyReason::TokenMissing));
    assert_eq!(token(&line, &[("cookie", &main)]), Ok(()));
    let bearer = bench.bearer("main", &[]);
    assert_eq!(token(&line, &[("authorization", &bearer), foreign]), Ok(()));
    bench.revoked.extend([(TokenId(7), NOW + 60)]);
    assert_eq!(token(&line, &[("authorization", &bearer)]), Err(DenyReason::Token(TokenError::Revoked)));
}

#[test]
fn logout_ends_what_looks_like_a_token_up_to_a_number() {
    let bench = Bench::new();
    let tokens = |headers: &[(&str, &str)]| match bench.ask("POST /open/auth?logout=true", headers) {
        Decision::Login(admitted) => admitted.tokens.len(),
        other => panic!("{other:?}"),
    };
    let rules = bench.policy.realm("open").unwrap().tokens();
    let claims = rules.verify(&bench.token("open", &[]), NOW).unwrap().claims;
    let minted: Vec<_> = (0..6)
        .map(|id| format!("Bearer {}", rules.mint(&Claims { token_id: TokenId(id), ..claims.clone() }).unwrap()))
        .collect();
    assert_eq!(tokens(&minted.iter().map(|text| shown(text)).collect::<Vec<_>>()), 4);
    assert_eq!(tokens(&[shown(&minted[0]), shown(&minted[0]), shown(&minted[1])]), 2, "each once");
    let cookie = format!("a=b; o={}; t=x", minted[2].trim_start_matches("Bearer "));
    assert_eq!(tokens(&[("cookie", &cookie)]), 1);
    assert_eq!(tokens(&[("cookie", &cookie.replace("o=", "O="))]), 0, "another name");
    assert_eq!(tokens(&[("cookie", &cookie), ("sec-fetch-site", "cross-site")]), 0);
    // A value that is not a token displaces none, and only a limited number of candidates is checked.
    let mut planted = vec![shown("Bearer x"); 40];
    planted.push(shown(&minted[3]));
    assert_eq!(tokens(&planted), 1);
    let mut forged = vec![shown("Bearer a.b.c"); 31];
    forged.push(shown(&minted[3]));
    assert_eq!(tokens(&forged), 1);
    forged.insert(0, shown("Bearer a.b.c"));
    assert_eq!(tokens(&forged), 0);
}

fn shown(token: &str) -> (&str, &str) {
    ("authorization", token)
}

const EXCHANGE: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[store]
url = "sqlite://x.db"
[[realm]]
name = "x"
issuer = "i"
require_key = true
algorithm = "ES256"
cookie = "x"
require_origin = true
origins = ["https://app.example"]
[[realm.key]]
id = "web"
secret = "0123456789abcdef"
[[realm.trusted_issuer]]
issuer = "https://idp.example/"
audience = ["api"]
algorithms = ["EdDSA"]
jwks_url = "https://idp.example/jwks"
[[realm.trusted_issuer]]
issuer = "https://other.example/"
audience = ["api"]
algorithms = ["EdDSA"]
jwks_url = "https://other.example/jwks"
[[login]]
dialect = "exchange"
path = "/api/login"
realm = "x"
issuer = "https://idp.example/"
allowed_clients = ["backend"]
callback_url = "https://gate.example/callback"
[[route]]
path = "/user"
realm = "x"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/key"
realm = "x"
access = "key"
assertion = "app"
upstream = ["http://127.0.0.1:1"]
"#;

/// A token of this issuer, and the bench with its keys.
fn foreign(bench: &Bench, issuer: &str, installed: bool) -> String {
    let pair = Ed25519KeyPair::generate().unwrap();
    if installed {
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string();
        let rules = bench.policy.realm("x").unwrap().tokens();
        rules.trusted_issuer(issuer).unwrap().keys.install(set.as_bytes(), NOW).unwrap();
    }
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = encode(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k"}));
    let payload = json!({"iss": issuer, "aud": "api", "sub": "s", "jti": "j", "exp": NOW + 60, "iat": NOW});
    let signed = format!("{header}.{}", encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    format!("Bearer {signed}.{signature}")
}

#[test]
fn an_exchange_takes_the_tokens_of_its_one_issuer() {
    let bench = Bench::of(EXCHANGE);
    let (good, other) =
        (foreign(&bench, "https://idp.example/", true), foreign(&bench, "https://other.example/", true));
    let (origin, line) = (("origin", "https://app.example"), format!("POST /api/login?{K}"));
    let tokens = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => Ok((admitted.endpoint().operation, admitted.tokens.len())),
        Decision::Refusal(refusal) => Err(refusal.deny),
        other => panic!("{line}: {other:?}"),
    };
    let own = bench.bearer("x", &[]);
    assert_eq!(tokens(&line, &[origin, shown(&good)]), Ok((LoginOperation::Exchange, 1)));
    // Not a navigation, and prefetches.
    assert_eq!(tokens(&line, &[origin, shown(&good), ("sec-fetch-mode", "cors")]), Ok((LoginOperation::Exchange, 1)));
    assert_eq!(tokens(&line, &[origin, shown(&good), ("sec-purpose", "prefetch")]), Ok((LoginOperation::Exchange, 1)));
    for (headers, deny) in [
        (&[origin][..], DenyReason::TokenMissing),
        (&[origin, shown("Basic x")], DenyReason::TokenMissing),
        (&[origin, shown(&good), shown(&good)], DenyReason::TokenMissing),
        (&[origin, shown(&other)], DenyReason::Token(TokenError::Issuer)),
        (&[origin, shown(&own)], DenyReason::Token(TokenError::Issuer)),
        (&[shown(&good)], DenyReason::OriginMissing),
    ] {
        assert_eq!(tokens(&line, headers), Err(deny), "{headers:?}");
    }
    assert_eq!(format_of(&refused(&bench, &line, &[origin])), "exchange");
    assert_eq!(tokens(&line.replace("POST", "GET"), &[origin, shown(&good)]), Err(DenyReason::Method));
    assert_eq!(tokens("POST /api/login", &[origin, shown(&good)]), Err(DenyReason::KeyMissing));
    assert_eq!(tokens(&format!("POST /api/login/redeem?{K}"), &[origin]), Ok((LoginOperation::Redeem, 0)));
    let claims = bench.policy.realm("x").unwrap().tokens().verify(&good[7..], NOW).unwrap().claims;
    bench.revoked.extend([(claims.token_id, NOW + 60)]);
    assert_eq!(tokens(&line, &[origin, shown(&good)]), Err(DenyReason::Token(TokenError::Revoked)));
}

#[test]
fn a_callback_is_gone_to_by_a_browser_that_brings_nothing() {
    let bench = Bench::of(EXCHANGE);
    let line = "GET /callback?token=x";
    assert_eq!(bench.outcome(line, &[]), Ok("login".into()), "no key, no origin");
    assert_eq!(bench.outcome(&format!("{line}&{K}"), &[]), Ok("login".into()));
    assert_eq!(bench.outcome(&format!("{line}&key=bad"), &[]), Ok("login".into()), "none is needed there");
    assert_eq!(bench.outcome(line, &[("sec-fetch-mode", "navigate")]), Ok("login".into()));
    for (line, headers, deny) in [
        (line, &[("sec-fetch-mode", "no-cors")][..], DenyReason::OriginDenied),
        (line, &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")], DenyReason::OriginDenied),
        (line, &[("origin", "https://evil.example")], DenyReason::OriginDenied),
        ("HEAD /callback?token=x", &[], DenyReason::Method),
        ("POST /callback?token=x", &[], DenyReason::Method),
    ] {
        let Decision::Refusal(refusal) = bench.ask(line, headers) else { panic!("{line} {headers:?}") };
        assert_eq!((refusal.deny, format_of(&refusal)), (deny, "exchange"), "{line} {headers:?}");
    }
}

#[test]
fn a_token_whose_key_may_be_fetched_waits_for_it_once() {
    let bench = Bench::of(EXCHANGE);
    let token = foreign(&bench, "https://idp.example/", false);
    let (origin, bearer) = (("origin", "https://app.example"), ("authorization", token.as_str()));
    let line = format!("GET /user?{K}");
    let waits = |line: &str, may_wait| {
        bench.judge_with(line, &[origin, bearer], |gate, head| {
            match (Authorizer { may_wait, ..gate }).decide(head, NOW, &mut RequestPermits::default()) {
                Decision::Wait(_) => Ok(true),
                Decision::Refusal(refusal) => Err(refusal.deny),
                _ => Ok(false),
            }
        })
    };
    assert_eq!(waits(&line, false), Err(DenyReason::Token(TokenError::NoKeys)));
    assert_eq!(waits(&line, true), Ok(true));
    assert_eq!(waits(&format!("POST /api/login?{K}"), true), Ok(true));
    // Where no token is required it waits all the same, because the token may give an identity.
    assert_eq!(waits(&format!("GET /key?{K}"), true), Ok(true));
    assert_eq!(waits(&format!("GET /key?{K}"), false), Ok(false));
    let keys = &bench.policy.realm("x").unwrap().tokens().trusted[0].keys;
    keys.fetch_succeeded();
    assert_eq!(waits(&line, true), Err(DenyReason::Token(TokenError::NoKeys)), "asked a moment ago");
}

/// Whose errors the client gets.
fn format_of(denial: &Denial) -> &'static str {
    match denial.login.as_ref().map(|found| found.login().dialect().name()) {
        None | Some("project") => "problem",
        Some(dialect) => dialect,
    }
}

fn refused(bench: &Bench, line: &str, headers: &[(&str, &str)]) -> Denial {
    match bench.ask(line, headers) {
        Decision::Refusal(refusal) => refusal,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_refusal_knows_where_it_was_and_how_it_is_written() {
    let bench = Bench::new();
    for (line, headers, form, place) in [
        ("GET /user", &[][..], "problem", RouteId::Route(0)),
        ("GET /nowhere", &[], "problem", RouteId::None),
        ("POST /auth", &[], "problem", RouteId::Login(0)),
        ("GET /auth/x", &[], "problem", RouteId::Login(0)),
        ("GET /Login", &[], "tenant", RouteId::Login(2)),
        ("POST /Login?login=%", &[], "tenant", RouteId::Login(2)),
        ("POST /Login/x?a=%", &[], "tenant", RouteId::Login(2)),
        // Can't be judged, and gets the error format of the login all the same.
        ("POST /login/refresh", &[("host", "a b")], "tenant", RouteId::None),
        ("POST /Login#x", &[], "tenant", RouteId::None),
        ("GET /user", &[("host", "a b")], "problem", RouteId::None),
    ] {
        let refusal = refused(&bench, line, headers);
        assert_eq!((format_of(&refusal), refusal.place), (form, place), "{line} {headers:?}");
    }
}

#[test]
fn r14_r15_lengths_that_readers_disagree_about() {
    let bench = Bench::new();
    for (headers, fits) in [
        (&[("transfer-encoding", "chunked")][..], true),
        (&[("transfer-encoding", "CHUNKED")], true),
        (&[("transfer-encoding", "gzip")], false),
        (&[("transfer-encoding", "gzip, chunked")], false),
        (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
        (&[("content-length", "5")], true),
        (&[("content-length", "0")], true),
        (&[("content-length", "00")], false),
        (&[("content-length", "1a")], false),
        (&[("content-length", "5, 5")], false),
        (&[("content-length", "+5")], false),
        (&[("content-length", "5"), ("content-length", "5")], false),
    ] {
        let expected = if fits { Ok("/public".into()) } else { Err(DenyReason::Framing) };
        assert_eq!(bench.outcome("POST /public", headers), expected, "{headers:?}");
    }
}

#[test]
fn who_may_pass_without_a_token_is_somebody_with_one() {
    let bench = Bench::new();
    let (bearer, cookie) = (bench.bearer("open", &[]), format!("o={}", bench.token("open", &[])));
    for (line, headers, known) in [
        ("POST /public", &[("authorization", bearer.as_str())][..], true),
        ("GET /public", &[("cookie", cookie.as_str())], true),
        ("POST /public", &[("cookie", cookie.as_str())], false),
        ("POST /public", &[("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")], true),
        ("GET /public", &[("cookie", cookie.as_str()), ("upgrade", "websocket")], false),
        ("GET /public", &[("authorization", "Bearer x")], false),
        ("GET /public", &[("cookie", "o=a; o=b")], false),
    ] {
        match bench.ask(line, headers) {
            Decision::Grant(grant) => assert_eq!(grant.speaker().is_some(), known, "{line} {headers:?}"),
            Decision::Refusal(refusal) => {
                assert_eq!(refusal.deny, DenyReason::CredentialConflict, "{line} {headers:?}");
                assert!(headers[0].1.contains("o=a; o=b"));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The steps that are recorded for `explain`.
fn findings(bench: &Bench, line: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let trace = Explanation::default();
    bench.judge_with(line, headers, |gate, head| {
        let _ = Authorizer { trace: Some(&trace), ..gate }.decide(head, NOW, &mut RequestPermits::default());
    });
    trace.findings().into_iter().map(|finding| format!("{}: {}", finding.step, finding.found)).collect()
}

#[test]
fn what_was_found_is_told_in_order_and_without_a_secret() {
    let bench = Bench::with_limits("rate = 5.0\nconcurrent = 3");
    let bearer = bench.bearer("main", &["admin"]);
    let token = ("authorization", bearer.as_str());
    let found = findings(&bench, &format!("GET /admin?{K}"), &[token]);
    let rate = bench.policy.limits().per_address().rate.unwrap();
    assert_eq!(
        found,
        [
            "path: /admin, in its canonical form".to_owned(),
            "path_rules: strict, since the route does not decide about a whole host".into(),
            "rule: route[1], path /admin, access user, realm main".into(),
            "client: 192.0.2.7, over TLS".into(),
            format!("limits: {rate}, 3 at once"),
            "key: \"web\", good; its limit: none".into(),
            "origin: none: no browser says where it comes from".into(),
            "credential: Authorization: Bearer".into(),
            "token: good until 2027-01-15T08:01:00Z, signed by the realm: subject \"u\", roles \"admin\"".into(),
            "roles: one of admin is needed".into(),
        ]
    );
    let bench = Bench::new();
    let of = |line: &str, headers: &[(&str, &str)], step: &str| {
        let found = findings(&bench, line, headers);
        found.iter().find_map(|found| found.strip_prefix(&format!("{step}: "))).map(str::to_owned)
    };
    let open = bench.bearer("open", &[]);
    let open = ("authorization", open.as_str());
    for (line, headers, step, expected) in [
        ("GET /open", &[open][..], "roles", None),
        ("GET /files/a%2Fb", &[], "path", Some("/files/a%2Fb, in its canonical form")),
        ("GET /nowhere", &[], "rule", Some("no login and no route takes this method and path")),
        (
            "GET /hosted",
            &[("host", "only.example")],
            "rule",
            Some("route[10], host only.example, path /hosted, access public, realm open"),
        ),
        ("GET /key", &[], "rule", Some("route[3], path /key, access key, realm main")),
        ("POST /auth", &[], "rule", Some("login[0], dialect project, path /auth, realm main: the login itself")),
        (
            "POST /open/auth",
            &[],
            "rule",
            Some("login[1], dialect project, path /open/auth, realm open: the login itself"),
        ),
        (
            "POST /login/challenge",
            &[],
            "rule",
            Some("login[2], dialect tenant, path /Login, realm open: answers to challenges"),
        ),
        ("POST /login/refresh", &[], "rule", Some("login[2], dialect tenant, path /Login, realm open: refreshing")),
        ("POST /logout", &[], "rule", Some("login[2], dialect tenant, path /Login, realm open: logging out")),
        ("POST /login/x", &[], "rule", Some("below the login at /Login, which has no such endpoint")),
        ("GET /user", &[], "key", None),
        ("GET /public", &[], "key", Some("none is looked for, since the realm has none")),
        (
            "GET /strict",
            &[],
            "origin",
            Some(
                "The request needs an Origin header that is allowed. A client that is not a browser sends its token as Authorization: Bearer instead of the cookie.",
            ),
        ),
        (
            "GET /public",
            &[("origin", "https://evil.example")],
            "origin",
            Some("https://evil.example: one of any, which call without credentials"),
        ),
        (
            "GET /public",
            &[("sec-fetch-site", "same-origin")],
            "origin",
            Some("none: the request's own, as Sec-Fetch-Site says"),
        ),
        ("GET /public", &[("sec-fetch-site", "none")], "origin", Some("none: another one, as Sec-Fetch-Site says")),
        (
            "GET /public",
            &[("origin", "https://gate.example")],
            "origin",
            Some("https://gate.example: allowed, with credentials"),
        ),
        ("GET /public", &[("cookie", "o=x")], "credential", Some("the realm's cookie")),
        ("GET /public", &[], "credential", Some("none")),
        (
            "GET /public",
            &[("cookie", "o=x; o=y")],
            "credential",
            Some("The request carries two credentials of one kind."),
        ),
        ("GET /public", &[], "token", Some("none, and none is needed")),
        (
            "GET /public",
            &[("authorization", "Bearer x")],
            "token",
            Some("token_malformed, and none is needed: it goes on without an identity"),
        ),
        ("POST /public", &[("cookie", "o=x")], "token", Some("a cookie does not count from there")),
    ] {
        assert_eq!(of(line, headers, step).as_deref(), expected, "{line} {headers:?}: {step}");
    }
    let exchange = Bench::of(EXCHANGE);
    for (line, expected) in [
        ("POST /api/login", "login[0], dialect exchange, path /api/login, realm x: the login itself"),
        ("POST /api/login/redeem", "login[0], dialect exchange, path /api/login, realm x: redeeming callback tokens"),
        ("GET /callback", "login[0], dialect exchange, path /api/login, realm x: the callback"),
    ] {
        assert!(findings(&exchange, line, &[]).contains(&format!("rule: {expected}")), "{line}");
    }
    let other = foreign(&exchange, "https://idp.example/", true);
    let told =
        findings(&exchange, &format!("GET /user?{K}"), &[("origin", "https://app.example"), ("authorization", &other)]);
    assert!(told.iter().any(|found| found.contains("signed by \"https://idp.example/\": subject \"s\"")), "{told:?}");
    assert!(bench.gate().trace.is_none());
    let trace = Explanation::default();
    bench.gate().record_step("a", || "b".into());
    Authorizer { trace: Some(&trace), ..bench.gate() }.record_step("a", || "b".into());
    assert_eq!(trace.findings().len(), 1);
    trace.clear();
    assert!(trace.findings().is_empty());
}

#[test]
fn an_app_that_wants_the_realms_word_gets_it_for_whoever_has_a_token() {
    let bench = Bench::of(EXCHANGE);
    let (origin, bearer) = (("origin", "https://app.example"), bench.bearer("x", &[]));
    let assertion = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Grant(grant) => grant.assertion().cloned(),
        other => panic!("{line}: {other:?}"),
    };
    let key = format!("GET /key?{K}");
    let word = assertion(&key, &[origin, shown(&bearer)]).unwrap();
    assert!(word.is_sensitive());
    let (header, payload) = crate::token::decode_unverified(word.to_str().unwrap()).unwrap();
    assert_eq!(
        (&header["typ"], &payload["aud"], &payload["sub"]),
        (&json!("assertion+jwt"), &json!("app"), &json!("u"))
    );
    assert_eq!(assertion(&key, &[origin]), None, "nobody to speak of");
    assert_eq!(assertion(&format!("GET /user?{K}"), &[origin, shown(&bearer)]), None, "it asks for none");
}

#[test]
fn r11_a_host_may_be_named_twice_if_it_is_the_same() {
    let bench = Bench::new();
    let ask = |host: Option<&'static str>, authority| {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert("host", HeaderValue::from_static(host));
        }
        bench.judge_with("GET /hosted", &[], |gate, head| {
            let head = Head { authority, headers: &headers, ..*head };
            match gate.decide(&head, NOW, &mut RequestPermits::default()) {
                Decision::Grant(grant) => Ok(grant.authority().clone()),
                Decision::Refusal(refusal) => Err(refusal.deny),
                other => panic!("{other:?}"),
            }
        })
    };
    assert_eq!(ask(Some("only.example"), Some("only.example")).unwrap(), "only.example");
    assert_eq!(ask(None, Some("only.example")).unwrap(), "only.example");
    assert_eq!(ask(Some("only.example"), None).unwrap(), "only.example");
    for (host, authority) in
        [(Some("only.example"), Some("only.example:443")), (Some("a.example"), Some("only.example")), (None, None)]
    {
        assert_eq!(ask(host, authority), Err(DenyReason::Host), "{host:?} {authority:?}");
    }
}

#[test]
fn a_speaker_is_trusted_as_long_as_a_policy_knows_its_key() {
    let (bench, other) = (Bench::new(), Bench::new());
    let bearer = bench.bearer("open", &["a"]);
    let Decision::Grant(grant) = bench.ask("GET /open", &[shown(&bearer)]) else { panic!() };
    let speaker = grant.speaker().unwrap();
    assert!(speaker.is_key_trusted(&bench.policy, "open", NOW));
    assert!(!speaker.is_key_trusted(&bench.policy, "main", NOW), "keys of another realm");
    assert!(
        !speaker.is_key_trusted(&bench.policy, "nobody", NOW) && !speaker.is_key_trusted(&other.policy, "open", NOW)
    );
    assert_eq!((speaker.issuer(), speaker.marks().token), (None, TokenId(7)));
    assert_eq!((grant.body_size(), grant.route().path()), (None, "/open"));
    assert_eq!(
        (grant.client().address.to_string(), grant.authority()),
        ("192.0.2.7".into(), &HeaderValue::from_static("gate.example"))
    );
    let exchange = Bench::of(EXCHANGE);
    let foreign = foreign(&exchange, "https://idp.example/", true);
    let headers = [("origin", "https://app.example"), shown(&foreign)];
    let Decision::Grant(grant) = exchange.ask(&format!("GET /user?{K}"), &headers) else { panic!() };
    assert_eq!(grant.speaker().unwrap().issuer(), Some("https://idp.example/"));
    let names: Vec<_> = grant.identity().unwrap().headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-auth-subject", "x-auth-realm", "x-auth-token-id", "x-auth-issuer"]);
}

const HOSTS: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[store]
url = "sqlite://x.db"
[[realm]]
name = "open"
issuer = "i"
cookie = "o"
require_key = false
[[realm]]
name = "listed"
issuer = "i2"
cookie = "l"
require_key = false
origins = ["https://app.example", "capacitor://localhost"]
[[login]]
dialect = "project"
host = "login.example"
path = "/auth"
realm = "open"
[[login]]
dialect = "tenant"
host = "other.example"
path = "/Auth"
realm = "listed"
[[route]]
host = "solo.example"
path = "/"
realm = "open"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "two.example"
path = "/"
realm = "open"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "two.example"
path = "/admin"
realm = "open"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "opaque.example"
path = "/app"
realm = "open"
access = "public"
path_rules = "opaque"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "opaque.example"
path = "/other"
realm = "open"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "strict.example"
path = "/"
realm = "listed"
access = "public"
path_rules = "strict"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "read.example"
path = "/"
methods = ["GET"]
realm = "open"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "pass.example"
path = "/"
realm = "open"
access = "public"
encoded_slash = "pass"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "pass.example"
path = "/admin"
realm = "open"
access = "user"
encoded_slash = "pass"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "login.example"
path = "/"
realm = "open"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "app.example"
path = "/"
realm = "listed"
access = "public"
cors = "app"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "user.example"
path = "/"
realm = "listed"
access = "user"
upstream = ["http://127.0.0.1:1"]
"#;

/// Paths with several readings, none of which leaves the route.
const ODD: [&str; 14] = [
    "//",
    "//a",
    "/a//b",
    "/a///",
    "/a/%2f/b",
    "/%2f",
    "/a%2Fb",
    "/a%5cb%5C",
    "/a%252f%2520",
    "/%ff%FE",
    "/100%/%zz",
    "/file%2Etxt",
    "/;/;x",
    "/caf\u{e9}/..b/...",
];

#[test]
fn r59_where_one_route_decides_about_a_host_any_reading_will_do() {
    let bench = Bench::of(HOSTS);
    let bearer = bench.bearer("open", &[]);
    for path in ODD {
        let line = format!("GET {path}?q=%FC//");
        let ask = |host: &str| bench.outcome(&line, &[("host", host)]);
        let solo = bench.outcome(&line, &[("host", "Solo.Example.:443"), ("authorization", &bearer)]);
        assert_eq!(solo, Ok(format!("{path}?q=%FC//")), "byte for byte");
        assert_eq!(ask("solo.example"), Err(DenyReason::TokenMissing), "{path}");
        for host in ["two.example", "strict.example", "read.example", "login.example", "opaque.example"] {
            assert_eq!(ask(host), Err(DenyReason::Target), "{host} {path}");
        }
        assert!(ask("nobody.example").is_err(), "{path}");
    }
    for path in [
        "/a/../b",
        "/%2e%2e/a",
        "/a%2f..%2fb",
        "/a/.%2e;x",
        "/a%5c..%5cb",
        "/a%00",
        "/a//%0a",
        "/a%252f%252e%252e%252fb",
    ] {
        let told = bench.outcome(&format!("GET {path}"), &[("host", "solo.example"), ("authorization", &bearer)]);
        assert_eq!(told, Err(DenyReason::Target), "{path}");
    }
}

#[test]
fn r59_below_an_opaque_route_any_reading_will_do_and_beside_it_none() {
    let bench = Bench::of(HOSTS);
    for (path, passes) in [
        ("/app", true),
        ("/app/x", true),
        ("/app//x", true),
        ("/app/", true),
        ("/app/%2fother/x", true),
        ("/app/%5cother", true),
        ("/app/a%252fb/%ff", true),
        ("/%61pp/x", true),
        ("/app/;/x", true),
        ("/%61pp//x", false),
        ("//app/x", false),
        ("/app%2fx", false),
        ("/app%2f%2fx", false),
        ("/app%5cx", false),
        ("/app;x//y", false),
        ("/appx//y", false),
        ("/other//x", false),
        ("/app/%2e%2e//other", false),
        ("/app//..%2fother", false),
        ("/app//%c0%ae%c0%ae/other", false),
    ] {
        let told = bench.outcome(&format!("GET {path}"), &[("host", "opaque.example")]);
        assert_eq!(told, if passes { Ok(path.to_owned()) } else { Err(DenyReason::Target) }, "{path}");
    }
}

#[test]
fn r59_an_encoded_slash_passes_in_any_place_that_leads_to_the_same_route() {
    let bench = Bench::of(HOSTS);
    for (path, passes) in [
        ("/api/vhosts/%2F/permissions", true),
        ("/api/queues/%2f", true),
        ("/%2f/x", true),
        ("/%2F", true),
        ("/a%2f%2Fb", true),
        ("/fetch/https%3A%2F%2Fexample.com%2Fa", true),
        ("/fetch/https:%2F%2Fexample.com", true),
        ("/admi%2fn", true),
        ("/%2fadmin", false),
        ("/%2F%2fadmin/x", false),
        ("/%2f/admin", false),
        ("/%2fhost/admin", false),
        ("/%2fhost%2f%2fadmin", false),
        ("/admin%2fx;/y", false),
        ("/a%2f..%2fadmin", false),
        ("/%2f.", false),
        ("//a%2fb", false),
        ("/a//%2fb", false),
    ] {
        let told = bench.outcome(&format!("GET {path}"), &[("host", "pass.example")]);
        let expected = if passes { Ok(path.to_owned()) } else { Err(DenyReason::Target) };
        assert_eq!(told, expected, "{path}");
    }
    assert_eq!(bench.outcome("GET /admin/%2fx", &[("host", "pass.example")]), Err(DenyReason::TokenMissing));
}

#[test]
fn r59_no_reading_leads_to_a_path_of_the_gates_own() {
    let bench = Bench::of(HOSTS);
    let bearer = bench.bearer("open", &[]);
    let ask =
        |path: &str| bench.outcome(&format!("GET {path}"), &[("host", "solo.example"), ("authorization", &bearer)]);
    for path in ["/.well-known/jwks.json", "/open/.well-known/jwks.json", "/%6fpen/.well-known/jwks.json"] {
        assert_eq!(ask(path), Ok("key set".into()), "{path}");
    }
    for path in [
        "//.well-known/jwks.json",
        "/.well-known//jwks.json",
        "/.well-known%2fjwks.json",
        "/.well-known%2Fjwks.json;x",
        "/%2e%77ell-known/jwks.json",
        "/.well-known/jwks%2ejson",
        "/.well-known/jwks.json;x",
        "/.well-known;x/jwks.json",
        "/.well-known%5cjwks.json",
        "/open//.well-known/jwks.json",
        "/%2fhost/.well-known/jwks.json",
        "/.well-known/jwks.json%252f",
        "/.well-known;%2fx/jwks.json",
    ] {
        assert_eq!(ask(path), Err(DenyReason::Target), "{path}");
    }
    assert!(ask("//.well-known/openid-configuration").is_ok());
}

#[test]
fn logins_are_found_by_their_host() {
    let bench = Bench::of(HOSTS);
    let ask = |line: &str, host: &str| bench.outcome(line, &[("host", host)]);
    assert_eq!(ask("POST /auth", "login.example"), Ok("login".into()));
    assert_eq!(ask("POST /auth", "LOGIN.example:8443"), Ok("login".into()));
    assert_eq!(ask("POST /auth/x", "login.example"), Ok("/auth/x".into()));
    assert_eq!(ask("POST /auth", "two.example"), Ok("/auth".into()), "an ordinary path of the app there");
    assert_eq!(ask("POST /auth", "nobody.example"), Err(DenyReason::WrongHost));
    assert_eq!(ask("POST /auth", "other.example"), Ok("login".into()));
    assert_eq!(ask("POST /AUTH/Refresh", "other.example"), Ok("login".into()));
    assert_eq!(ask("POST /auth/x", "other.example"), Err(DenyReason::EndpointUnknown));
    assert_eq!(ask("POST /x", "other.example"), Err(DenyReason::NotFound), "a host that a login names");
    let form = |line: &str, host: &str| format_of(&refused(&bench, line, &[("host", host)]));
    assert_eq!(form("POST /auth#x", "other.example"), "tenant");
    assert_eq!(form("POST /auth#x", "login.example"), "problem");
}

#[test]
fn r48_null_of_the_requests_own_page_counts_as_its_own() {
    let bench = Bench::of(HOSTS);
    let cookie = format!("l={}", bench.token("listed", &[]));
    let own = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    let ask = |more: &[(&str, &str)]| {
        let headers: Vec<_> =
            [("host", "user.example"), ("cookie", cookie.as_str())].into_iter().chain(more.iter().copied()).collect();
        ["GET /x", "POST /x"].map(|line| bench.outcome(line, &headers).map(drop))
    };
    assert_eq!(ask(&own), [Ok(()), Ok(())]);
    for site in ["cross-site", "same-site", "none", "Same-Origin", "same-origin, cross-site", ""] {
        assert_eq!(ask(&[own[0], ("sec-fetch-site", site)]), [Err(DenyReason::OriginDenied); 2], "{site}");
    }
    assert_eq!(ask(&own[..1]), [Err(DenyReason::OriginDenied); 2]);
    assert_eq!(ask(&[own[0], own[1], own[1]]), [Err(DenyReason::OriginDenied); 2]);
    assert_eq!(ask(&[("origin", "https://evil.example"), own[1]]), [Err(DenyReason::OriginDenied); 2]);
    assert_eq!(ask(&[own[0], own[0], own[1]]), [Err(DenyReason::OriginDenied); 2]);
}

#[test]
fn r48_origins_of_apps_and_extensions_are_compared_byte_for_byte() {
    let bench = Bench::of(HOSTS);
    let ask = |origin: &str| bench.outcome("GET /x", &[("host", "strict.example"), ("origin", origin)]).is_ok();
    assert!(ask("capacitor://localhost"));
    for origin in [
        "Capacitor://localhost",
        "capacitor://localhost:80",
        "capacitor://localhost/",
        "capacitor://LOCALHOST",
        "tauri://localhost",
        "file://",
    ] {
        assert!(!ask(origin), "{origin}");
    }
    // Without listed origins any origin is allowed, without credentials.
    let bearer = bench.bearer("open", &[]);
    let cookie = format!("o={}", bench.token("open", &[]));
    for origin in
        ["capacitor://localhost", "chrome-extension://abcdefghijklmnop", "null", "https://evil.example", "file://"]
    {
        let headers = [("host", "solo.example"), ("origin", origin)];
        let Decision::Grant(grant) = bench.ask("POST /", &[headers[0], headers[1], ("authorization", &bearer)]) else {
            panic!("{origin}")
        };
        assert_eq!(grant.cors().map(|cors| (cors.origin.to_str().unwrap(), cors.credentials)), Some((origin, false)));
        assert_eq!(
            bench.outcome("GET /", &[headers[0], headers[1], ("cookie", &cookie)]),
            Err(DenyReason::TokenMissing)
        );
        assert_eq!(
            bench.outcome("POST /", &[headers[0], headers[1], ("cookie", &cookie)]),
            Err(DenyReason::OriginDenied)
        );
    }
    for origin in ["capacitor://localhost, null", "capacitor://", "x", "", "a b://c"] {
        let told = bench.outcome("GET /", &[("host", "solo.example"), ("origin", origin), ("authorization", &bearer)]);
        assert_eq!(told.is_ok(), origin == "capacitor://", "{origin}");
    }
}

#[test]
fn a_route_may_leave_cors_to_its_app() {
    let bench = Bench::of(HOSTS);
    let asks = ("access-control-request-method", "PUT");
    let evil = ("origin", "https://evil.example");
    // A realm that lists origins, and one that lists none.
    for host in ["app.example", "two.example"] {
        let host = ("host", host);
        assert_eq!(bench.outcome("OPTIONS /x", &[host, evil, asks]), Ok("/x".into()), "the app answers it");
        assert_eq!(bench.outcome("PUT /x", &[host, evil]), Ok("/x".into()));
    }
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "strict.example"), evil, asks]), Err(DenyReason::OriginDenied));
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "solo.example"), evil, asks]), Ok("preflight".into()));
    let (bearer, cookie) = (bench.bearer("listed", &[]), format!("l={}", bench.token("listed", &[])));
    let speaker = |credential: (&str, &str), origin: (&str, &str)| match bench
        .ask("POST /x", &[("host", "app.example"), credential, origin])
    {
        Decision::Grant(grant) => grant.speaker().is_some(),
        other => panic!("{other:?}"),
    };
    assert!(speaker(("authorization", &bearer), evil), "which no page has by itself");
    assert!(!speaker(("cookie", &cookie), evil) && speaker(("cookie", &cookie), ("origin", "https://app.example")));
    // The requested method decides about a preflight, and the request's own method otherwise.
    assert_eq!(
        bench.outcome("OPTIONS /x", &[("host", "read.example"), evil, ("access-control-request-method", "GET")]),
        Ok("/x".into())
    );
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "read.example"), evil, asks]), Err(DenyReason::NotFound));
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "read.example")]), Err(DenyReason::NotFound));
}
