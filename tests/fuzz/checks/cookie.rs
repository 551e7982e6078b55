//! Any bytes as the credentials of a request: no request passes without the one valid token.
//!
//! Each line is a header: `c` and a Cookie, `a` and an Authorization, `k` and an X-API-Key. The byte 1 stands for the
//! realm's token, 2 for its API key, since neither could be guessed.

use std::path::Path;
use std::sync::LazyLock;

use http::Method;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use tollgate::config::{self, Mode, Policy};
use tollgate::gate::{
    AddressLimiters, Authorizer, Decision, Head, RemainingCookies, RequestPermits, TokenCache, cookies,
};
use tollgate::token::{Claims, Revocations, TokenId};

const NOW: i64 = 1_800_000_000;
const KEY: &str = "0123456789abcdef0123456789abcdef";
const COOKIE_NAME: &str = "__Secure-t";

struct Setup {
    policy: Policy,
    revoked: Revocations,
    known: TokenCache,
    usage: AddressLimiters,
    token: String,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n\
         [[realm]]\nname = \"r\"\nissuer = \"https://gate.example\"\ncookie = \"{COOKIE_NAME}\"\n\
         any_origin_credentials = true\nrequire_key = true\n\
         [[realm.key]]\nid = \"k\"\nsecret = \"{KEY}\"\n\
         [[route]]\npath = \"/\"\nrealm = \"r\"\naccess = \"user\"\nupstream = [\"http://127.0.0.1:1\"]\n"
    );
    let policy = config::parse(&text, Path::new("fuzz.toml"), Mode::Start).expect("a policy").policy;
    let claims = Claims {
        token_id: TokenId(1),
        subject: "u".into(),
        username: None,
        email: None,
        roles: Vec::new(),
        session: None,
        mfa: false,
        issued_at: NOW,
        expires_at: NOW + 60,
    };
    let token = policy.realm("r").expect("the realm").tokens.mint(&claims).expect("a token");
    Setup { policy, revoked: Revocations::new(), known: TokenCache::new(1 << 20), usage: AddressLimiters::new(), token }
});

/// Whether the request passed.
pub fn check(data: &[u8]) -> bool {
    let Some(headers) = headers(data) else { return false };
    stripped(&headers);
    judged(&headers)
}

fn headers(data: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.append("host", HeaderValue::from_static("gate.example"));
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let (kind, value) = line.split_first()?;
        let name = match kind {
            b'c' => COOKIE,
            b'a' => AUTHORIZATION,
            b'k' => HeaderName::from_static("x-api-key"),
            _ => return None,
        };
        let mut bytes = Vec::new();
        for byte in value {
            match byte {
                1 => bytes.extend(SETUP.token.bytes()),
                2 => bytes.extend(KEY.bytes()),
                other => bytes.push(*other),
            }
        }
        headers.append(name, HeaderValue::from_bytes(&bytes).ok()?);
    }
    Some(headers)
}

fn judged(headers: &HeaderMap) -> bool {
    let setup = &*SETUP;
    let gate = Authorizer {
        policy: &setup.policy,
        revoked: &setup.revoked,
        proxies: &config::NO_PROXIES,
        known: &setup.known,
        usage: &setup.usage,
        uptime: std::time::Duration::ZERO,
        generation: 1,
        may_wait: false,
        trace: None,
    };
    let head = Head {
        method: &Method::GET,
        target: b"/x",
        authority: None,
        headers,
        size: 0,
        ambiguous_length: false,
        has_body: false,
        upgrade: false,
        peer: [127, 0, 0, 1].into(),
        tls: false,
    };
    let Decision::Grant(grant) = gate.decide(&head, NOW, &mut RequestPermits::default()) else { return false };
    // What the fuzzer was given stands in the header that counts, whole, and once or always the same.
    let own = |value: &[u8]| value == setup.token.as_bytes();
    let authorizations: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
    let is_bearer =
        |one: &HeaderValue| one.as_bytes().trim_ascii().split(|byte| *byte == b' ').next_back().is_some_and(own);
    match authorizations[..] {
        [one] if is_bearer(one) => {}
        // There is none, or they are the application's, beside the cookie.
        _ => {
            let ours: Vec<_> = cookies(headers).filter(|(name, _)| *name == COOKIE_NAME.as_bytes()).collect();
            assert!(!ours.is_empty() && ours.iter().all(|(_, value)| own(value)), "{headers:?}");
            assert!(authorizations.is_empty() || grant.keeps_authorization(), "{headers:?}");
        }
    }
    let keys: Vec<_> = headers.get_all("x-api-key").iter().filter(|value| !value.is_empty()).collect();
    assert!(!keys.is_empty() && keys.iter().all(|key| *key == KEY), "{headers:?}");
    assert!(grant.identity().is_some());
    true
}

/// The cookies for an application: none of the realms, and all others unchanged.
fn stripped(headers: &HeaderMap) {
    let names = [COOKIE_NAME.to_owned()];
    let ours = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii() == COOKIE_NAME.as_bytes()
    };
    let pairs = |values: &[&[u8]]| -> Vec<Vec<u8>> {
        let pairs = values.iter().flat_map(|value| value.split(|byte| *byte == b';'));
        pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let came: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let others: Vec<_> = pairs(&came).into_iter().filter(|pair| !ours(pair)).collect();
    match RemainingCookies::from_headers(headers, &names) {
        RemainingCookies::Unchanged => {
            assert!(came.len() < 2, "split over headers: {came:?}");
            // A name without a value is no cookie: it carries no token.
            assert!(pairs(&came).iter().all(|pair| !ours(pair) || !pair.contains(&b'=')), "{came:?}");
        }
        RemainingCookies::None => assert!(others.is_empty(), "{came:?}"),
        RemainingCookies::Joined(value) => assert_eq!(pairs(&[value.as_bytes()]), others),
    }
}
