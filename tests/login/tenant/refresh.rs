//! `POST /Login/Refresh`: every token works once, and what happens when one comes again.

use std::collections::BTreeSet;
use std::sync::Barrier;

use serde_json::json;

use super::*;

#[test]
fn a_refresh_gives_three_new_tokens_and_ends_none_that_was_given_out() {
    let (_app, gate) = gate();
    gate.register("alice");
    let mut all = vec![gate.tokens("alice")];
    for _ in 0..5 {
        let next = gate.refreshed(&all.last().unwrap().refresh);
        all.push(next);
    }
    let distinct: BTreeSet<_> = all.iter().flat_map(|tokens| [&tokens.access, &tokens.id, &tokens.refresh]).collect();
    assert_eq!(distinct.len(), 18);
    for tokens in &all {
        gate.visit(&tokens.access).expect(200);
    }
}

#[test]
fn a_client_that_lost_the_answer_gets_the_same_next_token_again() {
    let app = App::start();
    let gate = conf(&app, "refresh_grace = \"1m\"").start();
    gate.register("alice");
    let first = gate.tokens("alice");
    let second = gate.refreshed(&first.refresh);
    for _ in 0..3 {
        let again = gate.refreshed(&first.refresh);
        assert_eq!(again.refresh, second.refresh);
        gate.visit(&again.access).expect(200);
    }
    let third = gate.refreshed(&second.refresh);
    assert_eq!(gate.refreshed(&second.refresh).refresh, third.refresh);
}

/// Ends the family: what was given out before, and what would come next.
#[track_caller]
fn assert_ended(gate: &Gate, tokens: &[&Tokens]) {
    for tokens in tokens {
        gate.visit(&tokens.access).refused(401, "token_revoked");
        let answer = refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
        assert_eq!(answer.json()["message"], "Invalid Refresh Token.");
    }
}

#[test]
fn a_token_that_comes_again_after_the_grace_ends_its_family() {
    let app = App::start();
    for grace in ["0s", "1s"] {
        let gate = conf(&app, &format!("refresh_grace = \"{grace}\"")).start();
        gate.register("alice");
        let other = gate.tokens("alice");
        let first = gate.tokens("alice");
        let second = gate.refreshed(&first.refresh);
        let third = gate.refreshed(&second.refresh);
        let answer = until(PATIENCE, "the grace is over", || {
            let answer = gate.send(&refresh(&second.refresh));
            if answer.status == 200 {
                assert_eq!(Tokens::of(answer).refresh, third.refresh);
                return None;
            }
            Some(answer)
        });
        refused(answer, 401, "RefreshTokenReuseException");
        assert_ended(&gate, &[&first, &second, &third]);
        gate.visit(&other.access).expect(200);
        gate.refreshed(&other.refresh);
    }
}

#[test]
fn a_token_from_before_the_last_one_ends_its_family_whatever_the_grace() {
    let app = App::start();
    let gate = conf(&app, "refresh_grace = \"1m\"").start();
    gate.register("alice");
    let first = gate.tokens("alice");
    let second = gate.refreshed(&first.refresh);
    let third = gate.refreshed(&second.refresh);
    refused(gate.send(&refresh(&first.refresh)), 401, "RefreshTokenReuseException");
    assert_ended(&gate, &[&first, &second, &third]);
    // A new login is another family.
    gate.visit(&gate.tokens("alice").access).expect(200);
}

#[test]
fn a_hundred_refreshes_at_once_are_one() {
    let app = App::start();
    let gate = conf(&app, "refresh_grace = \"1m\"").server("threads", "2").start();
    gate.register("alice");
    let first = gate.tokens("alice");
    let barrier = Barrier::new(100);
    let all: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = gate.conn();
                    barrier.wait();
                    Tokens::of(conn.ask(&refresh(&first.refresh)))
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let next: BTreeSet<_> = all.iter().map(|tokens| &tokens.refresh).collect();
    assert_eq!(next.len(), 1, "one of them, or else the family forks");
    let access: BTreeSet<_> = all.iter().map(|tokens| &tokens.access).collect();
    assert_eq!(access.len(), 100);
    for token in access {
        gate.visit(token).expect(200);
    }
    gate.refreshed(next.first().unwrap());
}

/// Clients that race after the grace period: all but one seem to be thieves, and the session ends.
#[test]
fn a_hundred_uses_of_an_old_token_at_once_end_the_family_once() {
    let (_app, gate) = gate();
    gate.register("alice");
    let first = gate.tokens("alice");
    let second = gate.refreshed(&first.refresh);
    let third = gate.refreshed(&second.refresh);
    let barrier = Barrier::new(30);
    let kinds: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..30)
            .map(|number| {
                let token = if number % 3 == 0 { &third.refresh } else { &first.refresh };
                let (barrier, gate) = (&barrier, &gate);
                scope.spawn(move || {
                    barrier.wait();
                    gate.send(&refresh(token))
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let reused = |answer: &&Response| answer.text().contains("RefreshTokenReuseException");
    assert_eq!(kinds.iter().filter(reused).count(), 1, "the first to come");
    assert!(kinds.iter().all(|answer| matches!(answer.status, 200 | 401)));
    for tokens in [&first, &second, &third] {
        gate.visit(&tokens.access).refused(401, "token_revoked");
    }
    for answer in kinds.into_iter().filter(|answer| answer.status == 200) {
        let tokens = Tokens::of(answer);
        gate.visit(&tokens.access).refused(401, "token_revoked");
        refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    }
}

#[test]
fn a_token_that_was_made_up_or_changed_ends_nothing() {
    let (_app, gate) = gate();
    gate.register("alice");
    gate.register("bob");
    let first = gate.tokens("alice");
    let tokens = gate.refreshed(&first.refresh);
    let bob = gate.tokens("bob");
    let mut conn = gate.conn();
    let mut refuse = |token: &str| {
        let answer = refused(conn.ask(&refresh(token)), 401, "NotAuthorizedException");
        assert_eq!(answer.json()["message"], "Invalid Refresh Token.", "{token}");
    };
    // Every character of both the old one and the one that counts: the session's name, the number, secret and tag.
    for token in [&first.refresh, &tokens.refresh] {
        for at in 0..token.len() {
            for with in ["A", "b", "9", "-", "_", "=", "+", "/", ".", " ", "\u{0}", "é", ""] {
                let changed = format!("{}{with}{}", &token[..at], &token[at + 1..]);
                if changed != *token {
                    refuse(&changed);
                }
            }
        }
    }
    let halves = format!("{}{}", &tokens.refresh[..45], &bob.refresh[45..]);
    let twice = tokens.refresh.repeat(2);
    let long = "A".repeat(60_000);
    let pair = format!("{} ", tokens.refresh);
    for token in ["x", "null", &halves, &twice, &long, &pair, &tokens.access, &tokens.id] {
        refuse(token);
    }
    gate.visit(&first.access).expect(200);
    gate.visit(&tokens.access).expect(200);
    let next = gate.refreshed(&tokens.refresh);
    assert_eq!(claims(&next.access)["username"], "alice");
    assert_eq!(claims(&gate.refreshed(&bob.refresh).access)["username"], "bob");
}

#[test]
fn a_token_of_another_gate_is_none() {
    let (_app, one) = gate();
    let (_other_app, other) = gate();
    for gate in [&one, &other] {
        gate.register("alice");
    }
    let tokens = one.tokens("alice");
    refused(other.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    other.send(&post("/Logout").json(&json!({"RefreshToken": tokens.refresh}))).expect(200);
    one.refreshed(&tokens.refresh);
}

#[test]
fn two_gates_on_one_store_know_one_family() {
    let dir = tempfile::tempdir().unwrap();
    gates_know_one_family(&format!("sqlite://{}/tollgate.db", dir.path().display()));
}

/// Two processes on one store, as two machines behind one address would be.
pub fn gates_know_one_family(store: &str) {
    let app = App::start();
    let keys = "refresh_grace = \"1m\"";
    let one = conf(&app, keys).store(store).start();
    let path = |name: &str| one.dir.path().join(name).to_str().unwrap().to_owned();
    let other = conf(&app, keys).store(store).realm("keys_dir", &format!("\"{}\"", path("keys/examples"))).start();
    one.register("alice");
    let first = one.tokens("alice");
    other.visit(&first.access).expect(200);
    let second = one.refreshed(&first.refresh);
    assert_eq!(other.refreshed(&first.refresh).refresh, second.refresh, "the answer that was lost");
    let third = other.refreshed(&second.refresh);
    assert_eq!(one.refreshed(&second.refresh).refresh, third.refresh);
    // Whichever gate hears of the theft: it refuses at once, the other within a second.
    refused(other.send(&refresh(&first.refresh)), 401, "RefreshTokenReuseException");
    other.visit(&third.access).refused(401, "token_revoked");
    until_true(SOON, "the other gate refuses it", || one.visit(&third.access).status == 401);
    assert_ended(&one, &[&first, &second, &third]);

    let tokens = one.tokens("alice");
    let next = other.refreshed(&tokens.refresh);
    other.visit(&next.access).expect(200);
    assert_eq!(one.send(&log_out(&next.access)).expect(200).text(), "{}");
    one.visit(&tokens.access).refused(401, "token_revoked");
    until_true(SOON, "the other gate refuses it", || other.visit(&tokens.access).status == 401);
    assert_ended(&other, &[&tokens, &next]);
}

/// A realm whose rules the request does not meet has no refresh tokens for it.
#[test]
fn a_refresh_keeps_the_rules_of_the_tokens_realm() {
    let app = App::start();
    let more = "[[realm]]\nname = \"shy\"\nissuer = \"https://gate.example.com\"\ncookie = \"shy\"\n\
                require_key = false\nrequire_origin = true\norigins = [\"https://shy.example.com\"]\n\
                registration = \"open\"\n\
                [[login]]\ndialect = \"project\"\npath = \"/shy\"\nrealm = \"shy\"\n";
    let gate = conf(&app, "").realm("origins", "[\"https://app.example.com\", \"https://shy.example.com\"]").more(more);
    let gate = gate.start();
    let shy = "https://shy.example.com";
    let body = json!({"username": "alice", "password": PASSWORD});
    gate.send(&post("/shy").origin(shy).json(&body)).expect(200);
    let tokens = Tokens::of(gate.send(&log_in_at("shy", "alice", PASSWORD).origin(shy)));
    for request in [refresh(&tokens.refresh), refresh(&tokens.refresh).origin(ORIGIN)] {
        refused(gate.send(&request), 401, "NotAuthorizedException");
    }
    Tokens::of(gate.send(&refresh(&tokens.refresh).origin(shy)));
}
