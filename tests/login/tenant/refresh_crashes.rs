//! Refresh tokens across kill -9: what was given out works, and a client that never got its answer is no thief.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;

/// Sends a refresh and goes away before the answer; returns once the store has it.
fn refresh_unread(gate: &Gate, token: &str) {
    let generations = || gate.sql("SELECT max(generation) FROM refresh_tokens", &json!([]))[0][0].as_i64().unwrap();
    let before = generations();
    let mut conn = gate.conn();
    conn.write(refresh(token).bytes("gate.example.com"));
    until_true(PATIENCE, "the rotation is stored", || generations() == before + 1);
    drop(conn);
}

#[test]
fn sessions_survive_a_crash() {
    let (_app, mut gate) = gate();
    gate.register("alice");
    let first = gate.tokens("alice");
    gate.crash_and_restart();
    gate.visit(&first.access).expect(200);
    let second = gate.refreshed(&first.refresh);
    gate.crash_and_restart();
    gate.visit(&first.access).expect(200);
    gate.visit(&second.access).expect(200);
    let third = gate.refreshed(&second.refresh);
    gate.send(&log_out(&third.access)).expect(200);
    gate.crash_and_restart();
    for tokens in [&first, &second, &third] {
        gate.visit(&tokens.access).refused(401, "token_revoked");
        refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    }
}

#[test]
fn an_answer_that_was_lost_in_a_crash_is_given_again() {
    let app = App::start();
    // Tollgate is away for longer than the grace is, but not for good.
    for away in ["0", "60000", "240000"] {
        let mut gate = conf(&app, "refresh_grace = \"10s\"").start();
        gate.register("alice");
        let first = gate.tokens("alice");
        refresh_unread(&gate, &first.refresh);
        gate.crash();
        gate.sql(&format!("UPDATE refresh_tokens SET rotated_at = rotated_at - {away}"), &json!([]));
        gate.start_again();
        let second = gate.refreshed(&first.refresh);
        assert_eq!(gate.refreshed(&first.refresh).refresh, second.refresh, "away for {away} ms");
        let third = gate.refreshed(&second.refresh);
        for tokens in [&first, &second, &third] {
            gate.visit(&tokens.access).expect(200);
        }
    }
}

#[test]
fn a_restart_does_not_make_an_old_token_good_for_ever() {
    let app = App::start();
    let mut gate = conf(&app, "refresh_grace = \"1s\"").start();
    gate.register("alice");
    gate.register("bob");
    let (alice, bob) = (gate.tokens("alice"), gate.tokens("bob"));
    gate.refreshed(&alice.refresh);
    gate.refreshed(&bob.refresh);
    gate.crash();
    // An hour ago, by a clock that does not move: no client waits for a response for so long.
    let id = claims(&alice.access)["sub"].clone();
    gate.sql(
        "UPDATE refresh_tokens SET rotated_at = rotated_at - 3600000 WHERE session IN \
         (SELECT token FROM sessions WHERE user_id = ?)",
        &json!([id]),
    );
    gate.start_again();
    refused(gate.send(&refresh(&alice.refresh)), 401, "RefreshTokenReuseException");
    gate.visit(&alice.access).refused(401, "token_revoked");
    let answer = until(PATIENCE, "the grace after the start is over", || {
        Some(gate.send(&refresh(&bob.refresh))).filter(|answer| answer.status != 200)
    });
    refused(answer, 401, "RefreshTokenReuseException");
}

/// Round after round: clients refresh, each with the token of the last response that it read; Tollgate is killed
/// meanwhile. No session ends, and no response that was read is taken back.
#[test]
fn kill_9_in_a_loop_ends_no_session() {
    let app = App::start();
    let mut gate = conf(&app, "refresh_grace = \"10s\"").server("threads", "2").start();
    gate.register("alice");
    let held: Vec<_> = (0..4).map(|_| Mutex::new(gate.tokens("alice"))).collect();
    let done = AtomicUsize::new(0);
    for round in 0..8 {
        let before = done.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            let addr = gate.addr;
            for held in &held {
                let done = &done;
                scope.spawn(move || {
                    let mut held = held.lock().unwrap();
                    // Until Tollgate is gone: a broken connection is no answer.
                    while let Ok(answer) = refresh(&held.refresh).try_send(addr) {
                        *held = Tokens::of(answer);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            until_true(PATIENCE, "some work is done", || done.load(Ordering::SeqCst) >= before + 4 + round);
            gate.crash();
        });
        gate.start_again();
        for held in &held {
            gate.visit(&held.lock().unwrap().access).expect(200);
        }
    }
    for held in held {
        gate.refreshed(&held.into_inner().unwrap().refresh);
    }
}
