//! What the checks share: one policy with something of everything, and the few secrets that open something in it.
//!
//! No fuzzer could guess a token or a key, so each has a control byte that stands for it ([`expand`]).

use std::path::Path;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use tollgate::config::{self, Mode, Policy};
use tollgate::gate::{AddressLimiters, TokenCache};
use tollgate::token::{CallbackToken, ChallengeToken, Claims, Revocations, Seal, TokenId};

pub const NOW: i64 = 1_800_000_000;
pub const KEY: &str = "0123456789abcdef0123456789abcdef";
pub const OFF: &str = "fedcba9876543210fedcba9876543210";
pub const MASTER: &str = "a-master-key-of-many-letters";
pub const PASSWORD: &str = "correct horse battery staple";
pub const ISSUER: &str = "https://issuer.example/";
pub const ALICE: &str = "0000000000000000000000000000000a";
pub const BOB: &str = "0000000000000000000000000000000b";
pub const CAROL: &str = "0000000000000000000000000000000c";

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[store]
url = "sqlite://x.db"

[[realm]]
name = "main"
issuer = "https://gate.example"
cookie = "__Secure-t"
origins = ["https://app.example", "null"]
registration = "open"
require_key = true
[[realm.key]]
id = "web"
secret = "0123456789abcdef0123456789abcdef"
[[realm.key]]
id = "off"
secret = "fedcba9876543210fedcba9876543210"
disabled = true
[realm.master_key]
sha256 = "MASTER"

[[realm]]
name = "open"
issuer = "https://open.example"
algorithm = "EdDSA"
cookie = "o"
require_key = false
[[realm.trusted_issuer]]
issuer = "https://issuer.example/"
audience = ["api"]
algorithms = ["EdDSA"]
jwks_url = "https://issuer.example/jwks"

[[realm]]
name = "strict"
issuer = "https://strict.example"
cookie = "s"
require_key = false
require_origin = true
origins = ["https://app.example"]

[[login]]
dialect = "project"
path = "/auth"
realm = "main"
[[login]]
dialect = "tenant"
path = "/Login"
realm = "open"
tenants = { "Acme" = "open" }
[[login]]
dialect = "exchange"
path = "/api/login"
realm = "open"
allowed_clients = ["backend"]
callback_url = "https://app.example/site/callback"
redirect_urls = ["https://app.example/welcome"]

[[route]]
path = "/user"
realm = "main"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/admin"
realm = "open"
access = "user"
roles = ["admin"]
require_mfa = true
assertion = "app"
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
path = "/public/closed"
realm = "open"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/strict"
realm = "strict"
access = "user"
forward_token = true
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
encoded_slash = "pass"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "root.example"
path = "/"
realm = "open"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
host = "root.example"
path = "/inner"
realm = "main"
access = "user"
upstream = ["http://127.0.0.1:1"]
"#;

pub struct Setup {
    pub policy: Policy,
    pub revoked: Arc<Revocations>,
    pub known: TokenCache,
    pub unknown: TokenCache,
    pub usage: AddressLimiters,
    /// Every token that opens a route, and what it says.
    pub good: Vec<Good>,
    /// What stands for which text.
    pub words: Vec<(u8, String)>,
}

/// A token that counts.
pub struct Good {
    pub text: String,
    pub realm: &'static str,
    pub subject: &'static str,
    pub roles: &'static [&'static str],
    pub mfa: bool,
}

pub static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let master = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, MASTER.as_bytes());
    let master: String = master.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = CONFIG.replace("MASTER", &master);
    let policy = config::parse(&text, Path::new("/nonexistent/fuzz.toml"), Mode::Start).expect("a policy").policy;
    let issuer = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let public = URL_SAFE_NO_PAD.encode(issuer.public_key().as_ref());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": public}]});
    let trusted = &policy.realm("open").expect("the realm").tokens.trusted[0];
    trusted.keys.install(set.to_string().as_bytes(), NOW).expect("a key set");

    let revoked = Arc::new(Revocations::new());
    revoked.extend([(TokenId(9), NOW + 1000)]);
    let claims = |subject: &str, id: u128, roles: &[&str], mfa: bool, expires_at: i64| Claims {
        token_id: TokenId(id),
        subject: subject.into(),
        username: Some("Zoë".into()),
        email: None,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        session: None,
        mfa,
        issued_at: NOW - 100,
        expires_at,
    };
    let rules = |realm: &str| &policy.realm(realm).expect("the realm").tokens;
    let mint = |realm: &str, claims: &Claims| rules(realm).mint(claims).expect("a token");
    let foreign = |payload: &Value| {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"1"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    };
    let machine = foreign(&json!({
        "iss": ISSUER, "aud": "api", "sub": "backend@clients", "azp": "backend", "gty": "client-credentials",
        "iat": NOW - 100, "exp": NOW + 1000, "jti": "machine",
    }));
    let good = vec![
        Good {
            text: mint("main", &claims(ALICE, 1, &["reader"], false, NOW + 1000)),
            realm: "main",
            subject: ALICE,
            roles: &["reader"],
            mfa: false,
        },
        Good {
            text: mint("open", &claims(ALICE, 2, &["admin", "reader"], true, NOW + 1000)),
            realm: "open",
            subject: ALICE,
            roles: &["admin", "reader"],
            mfa: true,
        },
        Good {
            text: mint("strict", &claims(ALICE, 3, &[], false, NOW + 1000)),
            realm: "strict",
            subject: ALICE,
            roles: &[],
            mfa: false,
        },
        Good { text: machine, realm: "open", subject: "backend@clients", roles: &[], mfa: false },
        Good {
            text: mint("open", &claims(BOB, 4, &["admin"], false, NOW + 1000)),
            realm: "open",
            subject: BOB,
            roles: &["admin"],
            mfa: false,
        },
    ];
    let callback = CallbackToken {
        token_id: TokenId(20),
        subject: ALICE.into(),
        actor: "backend".into(),
        mfa: false,
        issued_at: NOW - 10,
        expires_at: NOW + 50,
    };
    let challenge = |subject: &str, name: &str| {
        let challenge = ChallengeToken { subject: subject.into(), version: 1, name: name.into(), mfa: false };
        rules("open").mint_challenge(&challenge, &seal(), NOW).expect("a challenge")
    };
    let id = json!({"sub": ALICE, "aud": "open", "token_use": "id", "iat": NOW - 100, "exp": NOW + 1000});
    let Value::Object(id): Value = id else { unreachable!() };
    let id = rules("open").mint_id(Map::from_iter(id), NOW).expect("an ID token");
    let words = vec![
        (0x01, good[0].text.clone()),
        (0x02, KEY.into()),
        (0x03, good[1].text.clone()),
        (0x04, good[3].text.clone()),
        (0x05, mint("main", &claims(ALICE, 5, &[], false, NOW - 50))),
        (0x06, MASTER.into()),
        (0x07, good[2].text.clone()),
        (0x08, rules("open").mint_callback(&callback, &seal(), NOW).expect("a callback")),
        (0x0f, challenge(BOB, "SOFTWARE_TOKEN_MFA")),
        (0x10, challenge(CAROL, "NEW_PASSWORD_REQUIRED")),
        (0x12, ALICE.into()),
        (0x13, PASSWORD.into()),
        (0x14, mint("main", &claims(ALICE, 9, &["reader"], true, NOW + 1000))),
        (0x15, id),
        (0x16, OFF.into()),
        (0x17, good[4].text.clone()),
        (0x18, STANDARD.encode("alice@example.com")),
    ];
    Setup {
        policy,
        revoked,
        known: TokenCache::new(1 << 20),
        unknown: TokenCache::new(0),
        usage: AddressLimiters::new(),
        good,
        words,
    }
});

/// That of every realm's session epoch.
pub fn seal() -> Seal {
    Seal::new([5; 32])
}

/// `data` with every byte that stands for something replaced by that.
pub fn expand(data: &[u8], more: &[(u8, String)]) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(data.len() + 1024);
    for byte in data {
        match SETUP.words.iter().chain(more).find(|(stands, _)| stands == byte) {
            Some((_, word)) => expanded.extend(word.bytes()),
            None => expanded.push(*byte),
        }
    }
    expanded
}

/// None of what opens something stands in this text.
pub fn is_free_of_secrets(text: &str) -> bool {
    let secrets = SETUP.words.iter().filter(|(byte, _)| !matches!(byte, 0x12 | 0x18)).map(|(_, word)| word.as_str());
    secrets.chain(SETUP.good.iter().map(|good| good.text.as_str())).all(|secret| !text.contains(secret))
}
