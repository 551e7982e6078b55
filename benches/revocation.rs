//! What the question to the revoked tokens costs with none and with a million of them, and what memory those take.

use std::cell::LazyCell;

use criterion::Criterion;
use tollgate::token::{AccountId, RevocationKeys, Revocations, TokenId};
use tollgate_counting::during;

use crate::fixture::NOW;
use crate::timing::Group;

pub(crate) fn asked(criterion: &mut Criterion) {
    let misses: Vec<_> = (0..ASKED).map(|_| random_marks()).collect();
    for (name, ids, accounts) in [
        ("none", 0, 0),
        ("1,000,000 ids", MILLION, 0),
        ("1,000,000 accounts", 0, MILLION),
        ("500,000 of both", MILLION / 2, MILLION / 2),
    ] {
        let set = LazyCell::new(|| filled(ids, accounts));
        let mut group = Group::new(criterion, format!("revoked, {name}"));
        group.measure("misses", || in_turns(&set.0, &misses));
        if ids > 0 {
            group.measure("hits", || in_turns(&set.0, &set.1));
        }
        // One token again and again, as a client sends it.
        group.measure("one token, a miss", || in_turns(&set.0, &misses[..1]));
    }
}

pub(crate) fn changed(criterion: &mut Criterion) {
    let set = LazyCell::new(|| filled(MILLION, 0));
    let mut group = Group::new(criterion, "revoked, 1,000,000");
    group.measure("one more", || || set.0.extend([(TokenId::random(), NOW + 3600)]));
    group.measure("a sweep that finds nothing", || || set.0.purge_expired(NOW));
}

fn in_turns<'m>(revoked: &'m Revocations, marks: &'m [RevocationKeys]) -> impl FnMut() -> bool + 'm {
    let mut turn = marks.iter().cycle();
    move || revoked.contains(turn.next().unwrap())
}

/// All tokens are of one realm.
const EVERYONE: u128 = 7 << 64;

fn random_marks() -> RevocationKeys {
    let (session, account) = (Some(TokenId::random()), AccountId(TokenId::random().0));
    RevocationKeys { token: TokenId::random(), session, account, everyone: AccountId(EVERYONE), issued_at: NOW }
}

/// A set of this many ids, and the marks of `ASKED` tokens that are in it.
fn filled(ids: usize, accounts: usize) -> (Revocations, Vec<RevocationKeys>) {
    let mut hits = Vec::with_capacity(ASKED);
    let (revoked, asked) = during(|| {
        let revoked = Revocations::new();
        for _ in 0..ids / PAGE {
            let page: Vec<_> = (0..PAGE).map(|_| (TokenId::random(), NOW + 3600)).collect();
            let sample = page.iter().step_by(ids.div_ceil(ASKED));
            hits.extend(sample.map(|(token, _)| RevocationKeys { token: *token, ..random_marks() }));
            revoked.extend(page);
        }
        for _ in 0..accounts / PAGE {
            revoked.revoke_subject((0..PAGE).map(|_| (AccountId(TokenId::random().0), NOW, NOW + 3600)));
        }
        revoked
    });
    eprintln!("{ids} ids and {accounts} accounts take {:.1} MB", (asked.bytes - asked.freed) as f64 / 1e6);
    (revoked, hits)
}

const MILLION: usize = 1_000_000;
/// As many as the gate reads from the store at once.
const PAGE: usize = 50_000;
/// Different tokens that are asked for in turns: what is asked for again and again would be in the nearest cache.
const ASKED: usize = 16_384;
