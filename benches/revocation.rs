//! What the question to the revoked tokens costs with none and with a million of them, and what memory those take:
//! `cargo bench --bench revocation`.

#![allow(missing_docs, reason = "criterion's macros make functions that nobody calls")]
#![allow(clippy::unwrap_used, reason = "a benchmark that can't be set up has nothing to say")]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tollgate::config::{self, Mode};
use tollgate::token::{AccountId, Claims, Marks, Revocations, TokenId};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: i64 = 1_800_000_000;
const MILLION: usize = 1_000_000;
/// As many as the gate reads from the store at once.
const PAGE: usize = 50_000;
/// Different tokens that are asked for in turns: what is asked for again and again would be in the nearest cache.
const ASKED: usize = 16_384;

fn random_marks() -> Marks {
    let (session, account) = (Some(TokenId::random()), AccountId(TokenId::random().0));
    Marks { token: TokenId::random(), session, account, issued_at: NOW }
}

/// Megabytes of this process that are in memory.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
}

/// A set of this many ids, and the marks of `ASKED` tokens that are in it.
fn filled(ids: usize, accounts: usize) -> (Revocations, Vec<Marks>) {
    let revoked = Revocations::new();
    let mut hits = Vec::with_capacity(ASKED);
    let before = resident();
    for _ in 0..ids / PAGE {
        let page: Vec<_> = (0..PAGE).map(|_| (TokenId::random(), NOW + 3600)).collect();
        let new = page.iter().step_by(ids.div_ceil(ASKED)).map(|(token, _)| Marks { token: *token, ..random_marks() });
        hits.extend(new);
        revoked.extend(page);
    }
    for _ in 0..accounts / PAGE {
        revoked.cut_off((0..PAGE).map(|_| (AccountId(TokenId::random().0), NOW, NOW + 3600)));
    }
    if ids + accounts > 0 {
        eprintln!("{ids} ids and {accounts} accounts: {:.1} MB more resident", resident() - before);
    }
    (revoked, hits)
}

fn contain(criterion: &mut Criterion) {
    let misses: Vec<_> = (0..ASKED).map(|_| random_marks()).collect();
    let mut group = criterion.benchmark_group("contain");
    group.throughput(Throughput::Elements(1));
    for (name, ids, accounts) in [
        ("none", 0, 0),
        ("1,000,000 ids", MILLION, 0),
        ("1,000,000 accounts", 0, MILLION),
        ("500,000 of both", MILLION / 2, MILLION / 2),
    ] {
        let (revoked, hits) = filled(ids, accounts);
        for (asked, marks) in [("misses", &misses), ("hits", &hits)] {
            if marks.is_empty() {
                continue;
            }
            let mut turn = marks.iter().cycle();
            group.bench_function(BenchmarkId::new(asked, name), |bencher| {
                bencher.iter(|| revoked.contain(black_box(turn.next().unwrap())));
            });
        }
        // One token again and again, as a client sends it.
        group.bench_function(BenchmarkId::new("one token, a miss", name), |bencher| {
            bencher.iter(|| revoked.contain(black_box(&misses[0])));
        });
    }
    group.finish();
    beside_a_signature(criterion);

    let (revoked, _) = filled(MILLION, 0);
    criterion.bench_function("one more revocation beside 1,000,000", |bencher| {
        bencher.iter(|| revoked.extend([(TokenId::random(), NOW + 3600)]));
    });
    criterion.bench_function("a sweep of 1,000,000 that finds nothing", |bencher| {
        bencher.iter(|| revoked.sweep(black_box(NOW)));
    });
}

/// As a request has it: the signature first, with the least costly algorithm.
fn beside_a_signature(criterion: &mut Criterion) {
    let text = "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n[[realm]]\nname = \"r\"\n\
                issuer = \"https://gate.example\"\nrequire_key = false\n\
                [[login]]\ndialect = \"project\"\npath = \"/l\"\nrealm = \"r\"\n";
    let config = config::parse(text, Path::new("bench.toml"), Mode::Check).unwrap();
    let rules = config.policy.realm("r").unwrap().tokens();
    let tokens: Vec<_> = (0..1024)
        .map(|_| {
            let claims = Claims {
                token_id: TokenId::random(),
                subject: format!("{:032x}", TokenId::random().0),
                username: Some("alice".into()),
                email: None,
                roles: vec!["user".into()],
                session: None,
                mfa: false,
                issued_at: NOW,
                expires_at: NOW + 3600,
            };
            rules.mint(&claims).unwrap()
        })
        .collect();
    for (name, ids) in [("none", 0), ("1,000,000", MILLION)] {
        let (revoked, _) = filled(ids, 0);
        let mut turn = tokens.iter().cycle();
        criterion.bench_function(&format!("verify HS256 and ask, {name} revoked"), |bencher| {
            bencher.iter(|| {
                let claims = rules.verify(black_box(turn.next().unwrap()), NOW).unwrap();
                revoked.contain(&claims.marks)
            });
        });
    }
}

criterion_group!(benches, contain);
criterion_main!(benches);
