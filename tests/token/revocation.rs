//! Revocation: a revoked token is refused at once in the process that revoked it, and within a second in others; after
//! a restart and after kill -9 too.

use std::time::Duration;

use serde_json::json;

use crate::harness::*;

const SOON: Duration = Duration::from_secs(1);

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

fn user(gate: &Gate, arguments: &[&str], stdin: &str) -> Ran {
    let config = gate.config_arg();
    let mut all = vec!["user", arguments[0], "-c", &config, "--realm", "examples"];
    all.extend(&arguments[1..]);
    tollgate(&all, stdin)
}

#[test]
fn a_logout_counts_at_once_on_every_connection_and_after_restarts() {
    let (_app, mut gate) = gate();
    let (token, other) = (gate.user("alice"), gate.log_in("alice"));
    let mut conn = gate.conn();
    for _ in 0..3 {
        conn.ask(&get("/app/x").key().bearer(&token)).expect(200);
    }
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    conn.ask(&get("/app/x").key().bearer(&token)).refused(401, "token_revoked");
    drop(conn);
    gate.stop();
    gate.start_again();
    gate.visit(&token).refused(401, "token_revoked");
    gate.crash_and_restart();
    gate.visit(&token).refused(401, "token_revoked");
    gate.visit(&other).expect(200);
}

#[test]
fn a_new_password_counts_at_once_and_after_restarts() {
    let (_app, mut gate) = gate();
    let record = gate.register("alice");
    let (mine, other) = (gate.log_in("alice"), gate.log_in("alice"));
    let id = record["uniqueId"].as_str().unwrap();
    let body = json!({"username": "alice", "password": "another password altogether"});
    gate.send(&put(auth(&format!("uniqueId={id}"))).bearer(&mine).json(&body)).expect(200);
    gate.visit(&other).refused(401, "token_revoked");
    gate.crash_and_restart();
    gate.visit(&other).refused(401, "token_revoked");
    gate.visit(&mine).expect(200);
}

#[test]
fn a_deletion_counts_at_once_and_after_restarts() {
    let (_app, mut gate) = gate();
    let record = gate.register("alice");
    let (mine, other) = (gate.log_in("alice"), gate.log_in("alice"));
    let id = record["uniqueId"].as_str().unwrap();
    gate.send(&delete(auth(&format!("uniqueId={id}"))).bearer(&mine)).expect(200);
    gate.visit(&other).refused(401, "token_revoked");
    gate.crash_and_restart();
    for token in [&mine, &other] {
        gate.visit(token).refused(401, "token_revoked");
    }
}

#[test]
fn the_command_line_revokes_in_another_process_within_a_second() {
    let (_app, mut gate) = gate();
    commands_revoke_within_a_second(&mut gate);
}

pub fn commands_revoke_within_a_second(gate: &mut Gate) {
    let mut tokens = Vec::new();
    for (name, arguments, stdin) in [
        ("alice", vec!["disable", "alice"], ""),
        ("bob", vec!["delete", "bob"], ""),
        ("carol", vec!["passwd", "carol"], "a password that the operator set\n"),
    ] {
        let token = gate.user(name);
        gate.visit(&token).expect(200);
        user(gate, &arguments, stdin).ok();
        let took = until_true(PATIENCE, "the token is refused", || gate.visit(&token).status == 401);
        assert!(took <= SOON, "{name}: {took:?}");
        gate.visit(&token).refused(401, "token_revoked");
        tokens.push(token);
    }
    gate.try_log_in("alice", PASSWORD).refused(401, "credentials_invalid");
    gate.try_log_in("bob", PASSWORD).refused(401, "credentials_invalid");
    gate.try_log_in("carol", PASSWORD).refused(401, "credentials_invalid");
    gate.log_in_with("carol", "a password that the operator set");
    gate.crash_and_restart();
    for token in &tokens {
        gate.visit(token).refused(401, "token_revoked");
    }
    // Enabling lets the user in again, with a new token only.
    user(gate, &["enable", "alice"], "").ok();
    gate.visit(&tokens[0]).refused(401, "token_revoked");
    gate.visit(&gate.log_in("alice")).expect(200);
}

#[test]
fn two_gates_on_one_store_hear_of_each_other_within_a_second() {
    let (app, one) = gate();
    let url = format!("sqlite://{}", one.database().display());
    let keys = format!("\"{}\"", one.dir.path().join("keys/examples").display());
    let two = Conf::new(&app).store(&url).realm("keys_dir", &keys).start();
    one.register("alice");
    gates_hear_of_each_other_within_a_second(&one, &two, "alice");
}

pub fn gates_hear_of_each_other_within_a_second(one: &Gate, two: &Gate, name: &str) {
    let token = one.log_in(name);
    two.visit(&token).expect(200);
    one.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    one.visit(&token).refused(401, "token_revoked");
    let took = until_true(PATIENCE, "the other gate refuses it", || two.visit(&token).status == 401);
    assert!(took <= SOON, "{took:?}");
}

#[test]
fn the_status_counts_revocations() {
    let (_app, gate) = gate();
    let before = gate.status()["revocations"].as_i64().unwrap();
    let token = gate.user("alice");
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    assert_eq!(gate.status()["revocations"].as_i64().unwrap(), before + 1);
}

/// Writes a million rows, so it is for `tests/run --test tests -- --ignored a_million`; its output is in
/// docs/credentials.md.
#[test]
#[ignore = "takes a while, and measures more than it tests"]
fn a_million_revocations_take_less_than_100_mb_and_are_there_before_the_first_request() {
    let (_app, mut gate) = gate();
    let (revoked, other) = (gate.user("alice"), gate.log_in("alice"));
    gate.stop();
    gate.start_again();
    let before = resident(&gate);
    gate.stop();
    let id = claims(&revoked)["jti"].as_str().unwrap().to_owned();
    let fill = "import sqlite3, sys\n\
                database = sqlite3.connect(sys.argv[1])\n\
                database.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) \
                INSERT INTO revocations (token, expires_at) SELECT randomblob(16), 4000000000 FROM n')\n\
                database.execute('INSERT INTO revocations (token, expires_at) VALUES (?, 4000000000)', \
                (bytes.fromhex(sys.argv[2]),))\n\
                database.commit()\n";
    python(fill, &[gate.database().to_str().unwrap(), &id]).ok();
    let start = std::time::Instant::now();
    gate.start_again();
    let took = start.elapsed();
    gate.visit(&revoked).refused(401, "token_revoked");
    gate.visit(&other).expect(200);
    assert_eq!(gate.status()["revocations"], 1_000_000);
    let more = resident(&gate) - before;
    eprintln!("1,000,000 live revocations: {more} KB more resident, ready after {took:?}");
    assert!(more < 100_000, "{more} KB");
    // It goes on hearing of others.
    gate.send(&post(auth("logout=true")).bearer(&other)).expect(200);
    gate.visit(&other).refused(401, "token_revoked");
}

/// Kilobytes of Tollgate that are in memory.
fn resident(gate: &Gate) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
