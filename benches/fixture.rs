//! What is judged where a judgement is measured: a policy of any size, and requests to it. Of benches/ and tests/project/cost.rs.

#![allow(dead_code, unreachable_pub, reason = "everyone who measures takes a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what can't be set up has nothing to say")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollgate::config::{self, Mode, Policy, Realm};
use tollgate::gate::{AddressLimiters, Authorizer, Decision, DenyReason, Head, RequestPermits, TokenCache};
use tollgate::token::{Algorithm, Claims, Revocations, TokenError, TokenId};

pub const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

/// How much there is to look among.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// A third of them each for users, for keys and for everybody. No fewer than three.
    pub routes: usize,
    pub api_keys: usize,
    pub origins: usize,
    pub revoked: usize,
}

impl Size {
    pub const SMALL: Self = Self { routes: 10, api_keys: 10, origins: 10, revoked: 0 };
}

/// Everything that a request is judged by.
pub struct Place {
    pub policy: Policy,
    revoked: Revocations,
    known: TokenCache,
    usage: AddressLimiters,
    size: Size,
}

/// A request, by who sends it and what becomes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A page that everybody may see.
    Public,
    /// With an API key, to what takes keys.
    Key,
    /// With an API key, an origin, and a token that was verified before.
    Known,
    /// The same, with the token in a cookie.
    KnownCookie,
    /// The same as [`Case::Known`] with a token that was never seen.
    New,
    /// A known token that was revoked since.
    Revoked,
    /// A token whose time has passed.
    Expired,
    /// A token with another's signature.
    Forged,
    /// No token where one is needed.
    NoToken,
    /// An API key that nobody has.
    WrongKey,
    /// An origin that is not listed.
    WrongOrigin,
    /// Nothing is there.
    NoRoute,
    /// A browser asks before it sends one.
    Preflight,
}

impl Case {
    pub const ALL: [Self; 13] = [
        Self::Public,
        Self::Key,
        Self::Known,
        Self::KnownCookie,
        Self::New,
        Self::Revoked,
        Self::Expired,
        Self::Forged,
        Self::NoToken,
        Self::WrongKey,
        Self::WrongOrigin,
        Self::NoRoute,
        Self::Preflight,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Key => "API key",
            Self::Known => "known token",
            Self::KnownCookie => "known token in a cookie",
            Self::New => "new token",
            Self::Revoked => "revoked token",
            Self::Expired => "expired token",
            Self::Forged => "forged token",
            Self::NoToken => "no token",
            Self::WrongKey => "wrong API key",
            Self::WrongOrigin => "wrong origin",
            Self::NoRoute => "no route",
            Self::Preflight => "preflight",
        }
    }

    /// Why it is refused, if it is.
    const fn refused(self) -> Option<DenyReason> {
        match self {
            Self::Public | Self::Key | Self::Known | Self::KnownCookie | Self::New | Self::Preflight => None,
            Self::Revoked => Some(DenyReason::Token(TokenError::Revoked)),
            Self::Expired => Some(DenyReason::Token(TokenError::Expired)),
            Self::Forged => Some(DenyReason::Token(TokenError::Signature)),
            Self::NoToken => Some(DenyReason::TokenMissing),
            Self::WrongKey => Some(DenyReason::KeyUnknown),
            Self::WrongOrigin => Some(DenyReason::OriginDenied),
            Self::NoRoute => Some(DenyReason::NotFound),
        }
    }
}

/// A request as it came.
pub struct Request {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    /// Of the policy, as far as the token is concerned: another one each time makes a known token a new one.
    pub generation: u64,
}

impl Request {
    pub fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            target: self.target.as_bytes(),
            authority: None,
            headers: &self.headers,
            size: 1000,
            ambiguous_length: false,
            has_body: false,
            upgrade: false,
            peer: [192, 0, 2, 1].into(),
            tls: false,
        }
    }

    pub fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
}

impl Place {
    /// Tokens are signed with `algorithm`.
    pub fn new(algorithm: Algorithm, size: Size) -> Self {
        let policy = config::parse(&text(algorithm, size), Path::new("bench.toml"), Mode::Start).unwrap().policy;
        let revoked = Revocations::new();
        revoked.extend((0..size.revoked).map(|_| (TokenId::random(), NOW + HOUR)));
        Self { policy, revoked, known: TokenCache::new(64 << 20), usage: AddressLimiters::new(), size }
    }

    pub fn realm(&self) -> &Realm {
        self.policy.realm("app").unwrap()
    }

    /// The `turn`th request of its kind: of another user, with another key, from another origin, to another route, as far as
    /// there are so many. Judged once already, and found to be what it should be.
    pub fn request(&self, case: Case, turn: usize) -> Request {
        let mut request = self.anonymous(case, turn);
        if !matches!(case, Case::Public | Case::Key) {
            request.set("origin", &origin(turn % self.size.origins));
        }
        if case != Case::Public {
            request.set("x-api-key", &secret(turn % self.size.api_keys));
        }
        match case {
            Case::Public | Case::Key | Case::NoToken | Case::Preflight => {}
            Case::KnownCookie => {
                let (name, token) = (&self.realm().cookie.name, self.token(case, turn, NOW));
                request.set("cookie", &format!("_ga=GA1.1.1187239875.1799990000; {name}={token}; theme=dark"));
            }
            Case::Expired => {
                request.set("authorization", &format!("Bearer {}", self.token(case, turn, NOW - 2 * HOUR)));
            }
            Case::Forged => {
                let (token, other) = (self.token(case, turn, NOW), self.token(case, turn + 1, NOW));
                let (signed, signature) = (token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
                request.set("authorization", &format!("Bearer {signed}.{signature}"));
            }
            _ => request.set("authorization", &format!("Bearer {}", self.token(case, turn, NOW))),
        }
        match case {
            Case::WrongKey => request.set("x-api-key", "a secret that nobody has"),
            Case::WrongOrigin => request.set("origin", "https://elsewhere.example"),
            Case::Preflight => {
                request.method = Method::OPTIONS;
                request.set("access-control-request-method", "PUT");
                request.set("access-control-request-headers", "authorization, content-type, x-api-key");
                request.headers.remove("x-api-key");
            }
            Case::Revoked => {
                let _known = self.decide(&request);
                let token = request.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
                let accepted = self.realm().tokens.verify(token, NOW).unwrap();
                self.revoked.extend([(accepted.claims.token_id, NOW + HOUR)]);
            }
            _ => {}
        }
        self.check(case, &request);
        request
    }

    /// As a browser sends it, without anything that says who sends it.
    fn anonymous(&self, case: Case, turn: usize) -> Request {
        let kind = match case {
            Case::Public => 2,
            Case::Key => 1,
            _ => 0,
        };
        let path = path(turn * 3 % (self.size.routes / 3 * 3) + kind);
        let path = if case == Case::NoRoute { "/nowhere".into() } else { path };
        let target = format!("{path}/orders/{turn}?page=2&sort=date");
        let mut request = Request { method: Method::GET, target, headers: HeaderMap::new(), generation: 1 };
        for (name, value) in [
            ("host", "gate.example"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
            ("accept", "application/json, text/plain, */*"),
            ("accept-language", "en-US,en;q=0.5"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("referer", "https://app0.example/"),
        ] {
            request.set(name, value);
        }
        request
    }

    /// Of one user each `turn`, issued at `issued_at`, good for an hour.
    pub fn token(&self, case: Case, turn: usize, issued_at: i64) -> String {
        let claims = Claims {
            // Not random: one that begins with a zero is written in two pieces, which is one allocation more.
            token_id: TokenId(u128::MAX / 3 + ((case as u128) << 64) + turn as u128),
            subject: format!("{turn:032x}"),
            username: Some("alice".into()),
            email: Some("alice@example.com".into()),
            roles: vec!["user".into()],
            session: None,
            mfa: false,
            issued_at,
            expires_at: issued_at + HOUR,
        };
        self.realm().tokens.mint(&claims).unwrap()
    }

    /// The whole of what a request costs here: the judgement, and to let go of what it came to.
    pub fn decide(&self, request: &Request) -> Decision {
        let gate = Authorizer {
            policy: &self.policy,
            revoked: &self.revoked,
            proxies: &config::NO_PROXIES,
            known: &self.known,
            usage: &self.usage,
            uptime: Duration::from_secs(100),
            generation: request.generation,
            may_wait: true,
            trace: None,
        };
        gate.decide(&request.head(), NOW, &mut RequestPermits::default())
    }

    /// That what is measured is what it is said to be.
    fn check(&self, case: Case, request: &Request) {
        let verdict = self.decide(request);
        match (&verdict, case.refused()) {
            (Decision::Refusal(refusal), Some(deny)) => assert_eq!(refusal.deny, deny, "{case:?}"),
            (Decision::Preflight(_), None) => assert_eq!(case, Case::Preflight),
            (Decision::Grant(grant), None) => {
                assert_eq!(grant.principal().is_some(), !matches!(case, Case::Public | Case::Key), "{case:?}");
            }
            _ => panic!("{case:?}: {verdict:?}"),
        }
    }
}

/// Judges one of many such requests each time: one alone would be in the nearest cache, and all that it needs with it.
pub fn in_turns(place: &Place, case: Case) -> impl FnMut() -> Decision + '_ {
    let mut requests: Vec<_> = (0..TURNS).map(|turn| place.request(case, turn)).collect();
    let mut turn = 0;
    move || {
        turn = (turn + 1) % TURNS;
        let request = &mut requests[turn];
        if case == Case::New {
            request.generation += 1;
        }
        place.decide(black_box(request))
    }
}

const TURNS: usize = 512;

fn text(algorithm: Algorithm, size: Size) -> String {
    let mut text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n\
         [[realm]]\nname = \"open\"\nissuer = \"https://open.example\"\nrequire_key = false\n\
         [[realm]]\nname = \"app\"\nissuer = \"https://gate.example\"\nrequire_key = true\nalgorithm = \"{}\"\n",
        algorithm.name()
    );
    let origins: Vec<_> = (0..size.origins).map(origin).collect();
    text += &format!("origins = {origins:?}\n");
    for number in 0..size.api_keys {
        text += &format!("[[realm.key]]\nid = \"k{number}\"\nsecret = \"{}\"\n", secret(number));
    }
    for number in 0..size.routes {
        let (realm, access) = [("app", "user"), ("app", "key"), ("open", "public")][number % 3];
        text += &format!(
            "[[route]]\npath = \"{}\"\nrealm = \"{realm}\"\naccess = \"{access}\"\nupstream = [\"http://127.0.0.1:1\"]\n",
            path(number)
        );
    }
    text
}

fn path(number: usize) -> String {
    format!("/{}/{number}", ["api", "feeds", "pages"][number % 3])
}

fn origin(number: usize) -> String {
    format!("https://app{number}.example")
}

fn secret(number: usize) -> String {
    format!("tk_0123456789abcdefghijklmnopqr{number:08}")
}
