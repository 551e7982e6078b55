//! Policies and requests for the tests of the gate.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::config::{self, Mode, Policy};
use crate::token::{Claims, Revocations, TokenId};

pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const CONFIG: &str = r#"
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
    pub(super) policy: Policy,
    pub(super) revoked: Revocations,
    pub(super) known: TokenCache,
    pub(super) usage: AddressLimiters,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::of(CONFIG)
    }

    pub(super) fn with_limits(limits: &str) -> Self {
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

    pub(super) fn ask_with(
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

    pub(super) fn judge_with<T>(
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
    pub(super) fn once(&self, line: &str, headers: &[(&str, &str)]) -> (Decision, RequestPermits) {
        self.judge_with(line, headers, |gate, head| {
            let mut permits = RequestPermits::default();
            (gate.decide(head, NOW, &mut permits), permits)
        })
    }

    /// Returns how many of ten such requests are 429.
    pub(super) fn refused_of_ten(&self, line: &str, headers: &[(&str, &str)]) -> usize {
        let is_limited = |verdict: &Decision| matches!(verdict, Decision::Refusal(Denial { deny, .. }) if matches!(deny, DenyReason::RateLimited(_)));
        (0..10).filter(|_| is_limited(&self.once(line, headers).0)).count()
    }

    pub(super) fn gate(&self) -> Authorizer<'_> {
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
        self.policy.realm(realm).unwrap().tokens.mint(&claims).unwrap()
    }

    pub(super) fn bearer(&self, realm: &str, roles: &[&str]) -> String {
        format!("Bearer {}", self.token(realm, roles))
    }
}

/// Returns the part of a request that an application would see.
pub(super) fn told(verdict: &Decision) -> String {
    match verdict {
        Decision::Grant(grant) => format!("{:?} {:?}", grant.target(), grant.identity()),
        Decision::Login(admitted) => format!("{:?}", admitted.token),
        Decision::Preflight(preflight) => format!("{preflight:?}"),
        Decision::Refusal(refusal) => format!("{:?}", refusal.deny),
        Decision::Jwks(keys) => format!("{keys:?}"),
        Decision::Wait(_) => "wait".into(),
    }
}

pub(super) const K: &str = "key=0123456789abcdef";

pub(super) fn shown(token: &str) -> (&str, &str) {
    ("authorization", token)
}

pub(super) const EXCHANGE: &str = r#"
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
pub(super) fn foreign(bench: &Bench, issuer: &str, installed: bool) -> String {
    let pair = Ed25519KeyPair::generate().unwrap();
    if installed {
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string();
        let rules = &bench.policy.realm("x").unwrap().tokens;
        rules.trusted_issuer(issuer).unwrap().keys.install(set.as_bytes(), NOW).unwrap();
    }
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let header = encode(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k"}));
    let payload = json!({"iss": issuer, "aud": "api", "sub": "s", "jti": "j", "exp": NOW + 60, "iat": NOW});
    let signed = format!("{header}.{}", encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    format!("Bearer {signed}.{signature}")
}

/// Returns the API that the format of the error response belongs to.
pub(super) fn format_of(denial: &Denial) -> &'static str {
    match denial.login.as_ref().map(|found| found.login.dialect.name()) {
        None | Some("project") => "problem",
        Some(dialect) => dialect,
    }
}

pub(super) fn refused(bench: &Bench, line: &str, headers: &[(&str, &str)]) -> Denial {
    match bench.ask(line, headers) {
        Decision::Refusal(refusal) => refusal,
        other => panic!("{line}: {other:?}"),
    }
}

pub(super) const HOSTS: &str = r#"
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
