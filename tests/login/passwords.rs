//! Hashing and throttling: SECURITY.md R31–R33, R41, R42.

use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

fn log_in(name: &str, password: &str) -> Request {
    post(auth("login=true&noATCookie=true")).json(&json!({"username": name, "password": password}))
}

/// A login from another address of this machine.
fn log_in_from(gate: &Gate, last: u8, name: &str, password: &str) -> Response {
    Conn::open_from(Ipv4Addr::new(127, 0, 1, last), gate.addr).ask(&log_in(name, password))
}

#[test]
fn r31_unknown_wrong_and_disabled_take_the_same_time() {
    let (_app, gate) = gate();
    gate.register("known");
    gate.register("disabled");
    tollgate(&["user", "disable", "-c", &gate.config_arg(), "--realm", "examples", "disabled"], "").ok();
    let mut best = [Duration::MAX; 4];
    // The quickest of several, by turns: that is the work itself, without what else this machine does. Few enough for
    // the throttle, each from an address of its own.
    for round in 0..5 {
        for (kind, (name, password)) in [
            ("known".to_owned(), "wrong"),
            (format!("unknown{round}"), "wrong"),
            ("disabled".to_owned(), PASSWORD),
            ("known".to_owned(), PASSWORD),
        ]
        .iter()
        .enumerate()
        {
            let start = Instant::now();
            let status = log_in_from(&gate, round * 4 + u8::try_from(kind).unwrap() + 1, name, password).status;
            best[kind] = best[kind].min(start.elapsed());
            assert_eq!(status, if kind == 3 { 200 } else { 401 });
        }
    }
    let mut conn = gate.conn();
    let no_hash = (0..10).map(|_| {
        let start = Instant::now();
        conn.ask(&get(auth(""))).expect(401);
        start.elapsed()
    });
    let no_hash = no_hash.min().unwrap();
    for (kind, took) in best.iter().enumerate() {
        assert!(*took > no_hash * 3, "kind {kind} hashed nothing: {best:?}, without a hash {no_hash:?}");
    }
}

#[test]
fn r31_the_stored_hash_is_argon2id_of_at_least_the_documented_cost() {
    let (_app, mut gate) = gate();
    gate.register("alice");
    gate.stop();
    let mut bytes = std::fs::read(gate.database()).unwrap();
    bytes.extend(std::fs::read(gate.database().with_extension("db-wal")).unwrap_or_default());
    let text = String::from_utf8_lossy(&bytes);
    let at = text.find("$argon2id$v=19$").expect("a PHC string of argon2id");
    let parameters = text[at..].split('$').nth(3).unwrap();
    let number = |name: &str| {
        let value =
            parameters.split(',').find_map(|part| part.strip_prefix(name)).unwrap_or_else(|| panic!("{parameters}"));
        value.parse::<u32>().unwrap()
    };
    assert!(number("m=") >= 19_456 && number("t=") >= 2 && number("p=") >= 1, "{parameters}");
    assert!(!text.contains(PASSWORD));
}

#[test]
fn r32_failures_count_per_account_whatever_its_spelling() {
    let (_app, gate) = gate();
    gate.register("alice");
    let spellings = ["alice", "ALICE", "Alice", "\u{ff41}lice", "aLiCe"];
    for (at, spelling) in spellings.iter().enumerate() {
        log_in_from(&gate, u8::try_from(at).unwrap() + 1, spelling, "wrong").refused(401, "credentials_invalid");
    }
    // Another address, another spelling, the right password: the account waits.
    let answer = log_in_from(&gate, 99, "ALICE", PASSWORD).refused(429, "throttled");
    let seconds: u32 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(gate.try_log_in("bob", "wrong").status, 401, "others do not");
    until_true(PATIENCE, "the wait is over", || log_in_from(&gate, 99, "alice", PASSWORD).status == 200);
    // A success forgets the failures.
    for _ in 0..5 {
        log_in_from(&gate, 98, "alice", "wrong").refused(401, "credentials_invalid");
    }
}

#[test]
fn r32_the_wait_doubles() {
    let (_app, gate) = gate();
    let wait = |last: u8| -> Option<u32> {
        let answer = log_in_from(&gate, last, "nobody", "wrong");
        answer.header("retry-after").map(|seconds| seconds.parse().unwrap())
    };
    for round in 0..5 {
        assert_eq!(wait(round + 1), None);
    }
    let mut longest = 0;
    until_true(Duration::from_secs(30), "a wait of four seconds", || {
        longest = longest.max(wait(9).unwrap_or(0));
        longest >= 4
    });
    assert!(longest <= 4, "{longest}: it doubles, it does not jump");
}

#[test]
fn r32_known_and_unknown_names_are_throttled_alike() {
    let (_app, gate) = gate();
    gate.register("known");
    let trace = |name: &str| -> Vec<_> {
        (0..8_u8)
            .map(|round| {
                let answer = log_in_from(&gate, round + 1, name, "wrong");
                (answer.status, answer.text(), answer.header("retry-after").is_some())
            })
            .collect()
    };
    let known = trace("known");
    assert_eq!(known.iter().filter(|(status, ..)| *status == 401).count(), 5, "{known:?}");
    assert_eq!(trace("unknown"), known);
}

#[test]
fn r32_failures_count_per_address_too() {
    let (_app, gate) = gate();
    gate.register("alice");
    let mut throttled = None;
    for round in 0..60 {
        let answer = log_in_from(&gate, 1, &format!("name{round}"), "wrong");
        if answer.status == 429 {
            throttled = Some(round);
            answer.refused(429, "throttled").header("retry-after").expect("Retry-After");
            break;
        }
        answer.refused(401, "credentials_invalid");
    }
    assert_eq!(throttled, Some(50), "fifty are free");
    assert_eq!(log_in_from(&gate, 1, "alice", PASSWORD).status, 429);
    log_in_from(&gate, 2, "alice", PASSWORD).expect(200);
}

#[test]
fn r32_a_throttled_login_hashes_nothing() {
    let (_app, gate) = gate();
    for round in 0..5 {
        log_in_from(&gate, round + 1, "nobody", "wrong").expect(401);
    }
    let start = Instant::now();
    let answers = (0..200).map(|round| log_in_from(&gate, round % 200 + 1, "nobody", "wrong"));
    let hashed = answers.filter(|answer| answer.status == 401).count();
    assert!(hashed <= 6, "{hashed} of 200 in {:?}", start.elapsed());
}

#[test]
fn r33_every_login_gives_a_token_of_its_own() {
    let (_app, gate) = gate();
    gate.register("alice");
    let body = json!({"username": "alice", "password": PASSWORD});
    let first = gate.log_in("alice");
    // A login that brings a token along, valid or planted, gets a new one, and the old one is not made to fit.
    for carried in [first.as_str(), "planted"] {
        let answer = gate.send(&post(auth("login=true")).cookie(carried).json(&body)).expect(200);
        let (token, _) = answer.set_cookie(COOKIE).unwrap();
        assert_ne!(token, carried);
        assert_ne!(claims(&token)["jti"], claims(&first)["jti"]);
        gate.send(&get("/app/x").key().cookie(&token)).expect(200);
    }
    gate.send(&get("/app/x").key().cookie("planted")).refused(401, "token_malformed");
}

#[test]
fn r33_a_failed_login_clears_the_cookie_that_came_with_it() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    for carried in [token.as_str(), "stale"] {
        let wrong = post(auth("login=true")).cookie(carried).json(&json!({"username": "alice", "password": "wrong"}));
        let answer = gate.send(&wrong).refused(401, "credentials_invalid");
        let (value, attributes) = answer.set_cookie(COOKIE).expect("a cleared cookie");
        assert_eq!(value, "");
        assert!(attributes.contains(&"max-age=0".to_owned()), "{attributes:?}");
    }
    let answer = gate.try_log_in("alice", "wrong").refused(401, "credentials_invalid");
    assert_eq!(answer.set_cookie(COOKIE), None, "nothing to clear");
}

#[test]
fn r41_api_keys_are_looked_up_not_hashed_slowly() {
    let (_app, gate) = gate();
    gate.register("alice");
    let start = Instant::now();
    gate.log_in("alice");
    let one_hash = start.elapsed();
    let mut conn = gate.conn();
    for key in [KEY.to_owned(), "0".repeat(32)] {
        let quickest = (0..50).map(|round| {
            // Another wrong key each time, so that no cache helps.
            let key = if key == KEY { key.clone() } else { format!("{}{round}", &key[2..]) };
            let start = Instant::now();
            let status = conn.ask(&get("/nope/at-all")).status;
            assert_eq!(status, 404);
            let base = start.elapsed();
            let start = Instant::now();
            let status = conn.ask(&get(auth("").replace(KEY, &key))).status;
            assert!(matches!(status, 400 | 401));
            start.elapsed().saturating_sub(base)
        });
        let quickest = quickest.min().unwrap();
        assert!(quickest < one_hash / 4, "a key took {quickest:?}, a password {one_hash:?}");
    }
}

#[test]
fn r42_a_flood_of_logins_is_told_503_and_proxied_requests_pass() {
    let app = App::start();
    let gate = Conf::new(&app).server("hash_threads", "1").server("hash_queue", "1").server("threads", "2").start();
    let token = gate.user("alice");
    let many = 24;
    let barrier = Barrier::new(many + 1);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let logins: Vec<_> = (0..many)
            .map(|number| {
                let (gate, barrier) = (&gate, &barrier);
                scope.spawn(move || {
                    let mut conn = gate.conn();
                    barrier.wait();
                    // Wave after wave, so that the queue is full for a while.
                    (0..5)
                        .map(|_| conn_or_new(&mut conn, gate, &log_in(&format!("user{number}"), PASSWORD)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        barrier.wait();
        // Meanwhile everything else is answered, all of it.
        for _ in 0..100 {
            gate.visit(&token).expect(200);
            gate.send(&get("/app/x").key()).refused(401, "token_missing");
        }
        logins.into_iter().flat_map(|login| login.join().unwrap()).collect()
    });
    let busy: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(
        !busy.is_empty(),
        "nobody was told to wait: {:?}",
        answers.iter().map(|answer| answer.status).collect::<Vec<_>>()
    );
    for answer in busy {
        assert_eq!(answer.reason(), "busy");
        assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    }
    assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429 | 503)));
    assert!(answers.iter().any(|answer| answer.status == 401), "some got through");
    until_true(PATIENCE, "the flood is over", || gate.try_log_in("alice", PASSWORD).status == 200);
}

/// The answer over this connection, or over a new one where Tollgate has closed it.
fn conn_or_new(conn: &mut Conn, gate: &Gate, request: &Request) -> Response {
    if let Ok(answer) = conn.try_ask(request) {
        return answer;
    }
    *conn = gate.conn();
    conn.ask(request)
}
