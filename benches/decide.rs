//! What judging a request costs, without the proxy around it: `cargo bench`.

#![allow(missing_docs, reason = "criterion's macros make functions that nobody calls")]
#![allow(clippy::unwrap_used, reason = "a benchmark that can't be set up has nothing to say")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollgate::config::{self, Mode, Policy};
use tollgate::gate::{Gate, Head, KnownTokens, Permits, Usage};
use tollgate::token::{Claims, Revocations, TokenId};

const NOW: i64 = 1_800_000_000;

fn policy(api_keys: usize, routes: usize) -> Policy {
    let mut text = String::from(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n\
         [[realm]]\nname = \"r\"\nissuer = \"https://gate.example\"\norigins = [\"https://app.example\"]\n",
    );
    for number in 0..api_keys {
        text += &format!("[[realm.key]]\nid = \"k{number}\"\nsecret = \"0123456789abcdef{number}\"\n");
    }
    for number in 0..routes {
        text += &format!(
            "[[route]]\npath = \"/api/{number}\"\nrealm = \"r\"\naccess = \"user\"\nupstream = [\"http://127.0.0.1:1\"]\n"
        );
    }
    config::parse(&text, Path::new("bench.toml"), Mode::Check).unwrap().policy
}

fn decide(criterion: &mut Criterion) {
    for (api_keys, routes) in [(1, 1), (1_000, 1_000)] {
        let policy = policy(api_keys, routes);
        let revoked = Revocations::new();
        let claims = Claims {
            token_id: TokenId::random(),
            subject: "0123456789abcdef0123456789abcdef".into(),
            username: Some("alice".into()),
            email: Some("alice@example.com".into()),
            roles: vec!["user".into()],
            session: None,
            mfa: false,
            issued_at: NOW,
            expires_at: NOW + 3600,
        };
        let rules = policy.realm("r").unwrap().tokens();
        let token = rules.mint(&claims).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "gate.example"),
            ("origin", "https://app.example"),
            ("x-api-key", "0123456789abcdef0"),
            ("authorization", &format!("Bearer {token}")),
        ] {
            headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let (known, unknown) = (KnownTokens::new(64 << 20), KnownTokens::new(0));
        let usage = Usage::new();
        let gate = |known| Gate {
            policy: &policy,
            revoked: &revoked,
            trusted_proxies: &[],
            known,
            usage: &usage,
            uptime: Duration::from_secs(100),
            generation: 1,
            may_wait: true,
            trace: None,
        };
        let head = Head {
            method: &Method::GET,
            target: b"/api/0/users?page=2",
            authority: None,
            headers: &headers,
            size: 200,
            ambiguous_length: false,
            has_body: false,
            upgrade: false,
            peer: [127, 0, 0, 1].into(),
            tls: false,
        };
        for (cache, what) in [(&known, "known token"), (&unknown, "new token")] {
            criterion.bench_function(&format!("decide, {what}, {api_keys} keys, {routes} routes"), |bencher| {
                bencher.iter(|| gate(cache).decide(black_box(&head), NOW, &mut Permits::default()));
            });
        }
        criterion.bench_function(&format!("verify HS256, {api_keys} keys, {routes} routes"), |bencher| {
            bencher.iter(|| rules.verify(black_box(&token), NOW));
        });
    }
}

criterion_group!(benches, decide);
criterion_main!(benches);
