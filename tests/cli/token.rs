//! `tollgate token mint` and `revoke`, against a process that runs: what they do to it within a second, after a restart
//! and after kill -9; their exit codes; and that they show no secret.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;
use crate::proxy::forwarding::open_tunnel;

const SOON: Duration = Duration::from_secs(1);

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

fn token(gate: &Gate, command: &str, arguments: &[&str], stdin: &str) -> Ran {
    let config = gate.config_arg();
    let mut all = vec!["token", command, "-c", &config];
    all.extend(arguments);
    tollgate(&all, stdin)
}

fn mint(gate: &Gate, user: &str, more: &[&str]) -> Ran {
    token(gate, "mint", &[&["--realm", "examples", "--user", user], more].concat(), "")
}

fn revoke(gate: &Gate, arguments: &[&str]) -> Ran {
    token(gate, "revoke", arguments, "")
}

/// A token that Tollgate would have made, of which its store knows nothing.
fn without_session(gate: &Gate, subject: &str, issued_at: i64) -> String {
    Jwk::of(gate).token(&json!({
        "iss": ISSUER, "aud": "examples", "sub": subject, "jti": format!("{:032x}", issued_at + 7),
        "iat": issued_at, "nbf": issued_at, "exp": now() + 3600,
    }))
}

fn text<'a>(claims: &'a Value, name: &str) -> &'a str {
    claims[name].as_str().unwrap()
}

#[track_caller]
fn refused_soon(gate: &Gate, token: &str) {
    let took = until_true(PATIENCE, "the token is refused", || gate.visit(token).status == 401);
    assert!(took <= SOON, "{took:?}");
    gate.visit(token).refused(401, "token_revoked");
}

#[test]
fn a_minted_token_opens_a_route_and_ends_with_its_user() {
    let (app, gate) = gate();
    let id = text(&gate.register("alice"), "uniqueId").to_owned();
    let ran = mint(&gate, "ALICE", &[]).ok();
    let token = ran.stdout.strip_suffix('\n').unwrap();
    assert!(!token.contains(char::is_whitespace), "the token, and nothing else");
    let said = claims(token);
    assert_eq!((text(&said, "sub"), text(&said, "username")), (&*id, "alice"));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for word in ["alice", text(&said, "jti")] {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains(token));
    gate.visit(token).expect(200);
    assert_eq!(app.only().header("x-auth-username").as_deref(), Some("alice"));
    gate.who(token).expect(200);
    let short = mint(&gate, &id, &["--ttl", "90s"]).ok().stdout;
    let said = claims(short.trim());
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 90);

    let config = gate.config_arg();
    let disable = ["user", "disable", "-c", &config, "--realm", "examples", "alice"];
    let disabled = tollgate(&disable, "").ok();
    assert!(disabled.stdout.contains("2 sessions ended"), "{}", disabled.stdout);
    for token in [token, short.trim()] {
        refused_soon(&gate, token);
        assert!(!gate.stderr().contains(token), "in the log");
    }
    let refused = mint(&gate, "alice", &[]).failed(65);
    assert!(refused.stderr.contains("disabled") && refused.stdout.is_empty(), "{refused:?}");
}

#[test]
fn a_token_is_revoked_by_its_id_and_once_is_enough() {
    let (_app, mut gate) = gate();
    let (token, other) = (gate.user("alice"), gate.log_in("alice"));
    let said = claims(&token);
    let id = text(&said, "jti");
    gate.visit(&token).expect(200);
    let first = revoke(&gate, &["--id", id]).ok();
    for word in [id, "within a second"] {
        assert!(first.stdout.contains(word), "{}", first.stdout);
    }
    refused_soon(&gate, &token);
    assert_eq!(revoke(&gate, &["--id", id]).ok().stdout, first.stdout);
    let unknown = revoke(&gate, &["--id", "000102030405060708090a0b0c0d0e0f"]).ok();
    assert!(unknown.stdout.contains("no session of this id is known"), "{}", unknown.stdout);
    gate.crash_and_restart();
    gate.visit(&token).refused(401, "token_revoked");
    gate.visit(&other).expect(200);
    assert_eq!(gate.status()["revocations"], 2);
}

#[test]
fn a_user_loses_every_token_and_may_log_in_at_once() {
    let (_app, mut gate) = gate();
    let id = text(&gate.register("alice"), "uniqueId").to_owned();
    let bob = gate.user("bob");
    let mut ended = vec![gate.log_in("alice"), gate.log_in("alice"), mint(&gate, "alice", &[]).ok().stdout];
    ended.push(without_session(&gate, &id, now() - 2));
    for token in &ended {
        gate.visit(token.trim()).expect(200);
    }
    let mut tunnel = open_tunnel(&gate, &ended[3]);
    let ran = revoke(&gate, &["--realm", "examples", "--user", "alice"]).ok();
    assert!(ran.stdout.contains("3 sessions ended"), "{}", ran.stdout);
    // Within the same second, more often than not.
    let fresh = gate.log_in("alice");
    assert!(tunnel.closes_within(A_SECOND), "the tunnel is still open");
    for token in &ended {
        refused_soon(&gate, token.trim());
    }
    for _ in 0..3 {
        revoke(&gate, &["--realm", "examples", "--user", "alice"]).ok();
        let again = gate.log_in("alice");
        refused_soon(&gate, &fresh);
        gate.visit(&again).expect(200);
        ended.push(fresh.clone());
        // The next round ends it.
        revoke(&gate, &["--id", text(&claims(&again), "jti")]).ok();
    }
    let last = gate.log_in("alice");
    gate.crash_and_restart();
    for token in &ended {
        gate.visit(token.trim()).refused(401, "token_revoked");
    }
    gate.visit(&last).expect(200);
    gate.visit(&bob).expect(200);
}

#[test]
fn an_account_is_cut_off_by_issuer_and_subject() {
    let (_app, mut gate) = gate();
    let id = text(&gate.register("alice"), "uniqueId").to_owned();
    let tokens: Vec<_> = [40, 20, 0].map(|ago| without_session(&gate, &id, now() - ago)).into();
    let before = |ago: i64| {
        let time = jiff::Timestamp::from_second(now() - ago).unwrap().to_string();
        revoke(&gate, &["--issuer", ISSUER, "--subject", &id, "--before", &time]).ok()
    };
    for (issuer, subject) in [(ISSUER, "somebody else"), ("https://gate.example.com/", &*id)] {
        revoke(&gate, &["--issuer", issuer, "--subject", subject]).ok();
    }
    let said = before(30).stdout;
    assert!(said.contains(&id) && said.contains(ISSUER) && said.contains("within a second"), "{said}");
    refused_soon(&gate, &tokens[0]);
    gate.visit(&tokens[1]).expect(200);
    before(10);
    refused_soon(&gate, &tokens[1]);
    // An earlier one changes nothing.
    let said = before(30).stdout;
    gate.crash_and_restart();
    gate.visit(&tokens[1]).refused(401, "token_revoked");
    gate.visit(&tokens[2]).expect(200);
    assert_eq!(gate.status()["revocations"], 3, "{said}");
    revoke(&gate, &["--issuer", ISSUER, "--subject", &id]).ok();
    refused_soon(&gate, &tokens[2]);
}

#[test]
fn a_token_is_revoked_that_comes_by_standard_input() {
    let (_app, mut gate) = gate();
    let (plain, bearer, other) = (gate.user("alice"), gate.log_in("alice"), gate.log_in("alice"));
    let stored = without_session(&gate, "nobody", now());
    for input in [format!("{plain}\n"), format!("Bearer {bearer}\r\nmore\n"), stored.clone()] {
        let ran = token(&gate, "revoke", &["-"], &input).ok();
        assert!(!ran.stdout.contains("eyJ") && ran.stdout.contains("of realm examples"), "{}", ran.stdout);
    }
    for token in [&plain, &bearer, &stored] {
        refused_soon(&gate, token);
    }
    // Once more: nothing is said against it.
    token(&gate, "revoke", &["-"], &plain).ok();
    let (head, signature) = other.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let expired = Jwk::of(&gate).token(&json!({
        "iss": ISSUER, "aud": "examples", "sub": "u", "jti": claims(&other)["jti"],
        "iat": 1, "nbf": 1, "exp": 2,
    }));
    for (input, reason) in [
        (forged, "token_signature"),
        (expired, "token_expired"),
        ("not a token".into(), "token_malformed"),
        ("x".repeat(200_000), "token_too_long"),
        (String::new(), "no token"),
        ("\n".into(), "no token"),
    ] {
        let ran = token(&gate, "revoke", &["-"], &input).failed(65);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert!(ran.stdout.is_empty() && !ran.stderr.contains("eyJ") && !ran.stderr.contains("not a token"), "{ran:?}");
    }
    // Every user of the machine can read it: refused, and not repeated.
    for arguments in [&[&*other][..], &["--id", &other]] {
        let ran = token(&gate, "revoke", arguments, "").failed(64);
        assert!(!ran.stderr.contains("eyJ"), "{}", ran.stderr);
    }
    gate.crash_and_restart();
    gate.visit(&plain).refused(401, "token_revoked");
    gate.visit(&other).expect(200);
    for token in [&plain, &bearer, &stored] {
        assert!(!gate.stderr().contains(&**token), "in the log");
    }
}

#[test]
fn every_gate_of_a_store_hears_of_it_and_kill_9_forgets_nothing() {
    let (app, mut one) = gate();
    let url = format!("sqlite://{}", one.database().display());
    let keys = format!("\"{}\"", one.dir.path().join("keys/examples").display());
    let two = Conf::new(&app).store(&url).realm("keys_dir", &keys).start();
    let id = text(&one.register("alice"), "uniqueId").to_owned();
    let token = without_session(&one, &id, now() - 2);
    for gate in [&one, &two] {
        gate.visit(&token).expect(200);
    }
    revoke(&two, &["--realm", "examples", "--user", &id]).ok();
    // Before it can have asked the store.
    one.crash();
    refused_soon(&two, &token);
    one.start_again();
    one.visit(&token).refused(401, "token_revoked");
}

#[test]
fn bad_input_has_an_exit_code_and_a_sentence_and_changes_nothing() {
    let (app, gate) = gate();
    let alive = gate.user("alice");
    let id = text(&claims(&alive), "jti").to_owned();
    let realm = ["--realm", "examples"];
    for (arguments, code, word) in [
        (vec![], 64, "--user"),
        (vec![realm[0], realm[1]], 64, "--user"),
        (vec!["--user", "alice"], 64, "--realm"),
        (vec!["--issuer", ISSUER], 64, "--subject"),
        (vec!["--subject", "x"], 64, "--issuer"),
        (vec!["--id", &id, "-"], 64, "cannot be used"),
        (vec!["--id", &id, "--issuer", "i", "--subject", "s"], 64, "cannot be used"),
        (vec!["--id", &id, "--before", "2020-01-01T00:00:00Z"], 64, "--issuer"),
        (vec!["--id", "0123"], 64, "32 hex digits"),
        (vec!["--issuer", "", "--subject", "s"], 64, "never empty"),
        (vec!["--issuer", "i", "--subject", "s", "--before", "yesterday"], 64, "offset from UTC"),
        (vec!["--issuer", "i", "--subject", "s", "--before", "2200-01-01T00:00:00Z"], 64, "in the future"),
        (vec!["--realm", "nowhere", "--user", "alice"], 64, "no realm \"nowhere\""),
        (vec!["--realm", "examples", "--user", "nobody"], 65, "no user nobody"),
    ] {
        let ran = revoke(&gate, &arguments).failed(code);
        assert!(ran.stderr.contains(word) && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    for (arguments, code, word) in [
        (vec!["--realm", "examples"], 64, "--user"),
        (vec!["--user", "alice"], 64, "--realm"),
        (vec!["--realm", "nowhere", "--user", "alice"], 64, "no realm \"nowhere\""),
        (vec!["--realm", "examples", "--user", "nobody"], 65, "no user nobody"),
        (vec!["--realm", "examples", "--user", "alice", "--ttl", "0s"], 64, "whole number with a unit"),
        (vec!["--realm", "examples", "--user", "alice", "--ttl", "60"], 64, "whole number with a unit"),
        (vec!["--realm", "examples", "--user", "alice", "--ttl", "31d"], 64, "token_ttl"),
    ] {
        let ran = token(&gate, "mint", &arguments, "").failed(code);
        assert!(ran.stderr.contains(word) && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    assert_eq!(gate.status()["revocations"], 0);
    gate.visit(&alive).expect(200);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tollgate.toml");
    let config = path.to_str().unwrap();
    let commands = [
        vec!["token", "revoke", "-c", config, "--id", &id],
        vec!["token", "mint", "-c", config, "--realm", "examples", "--user", "alice"],
    ];
    for command in &commands {
        tollgate(command, "").failed(78);
    }
    write_file(&path, &Conf::new(&app).store("sqlite://absent/tollgate.db").text(1, 2), 0o600);
    for command in &commands {
        assert!(tollgate(command, "").failed(69).stderr.contains("does not exist"));
    }
    // A realm that was never served signs with a key that no process would have.
    write_file(&path, &Conf::new(&app).text(1, 2), 0o600);
    let add = ["user", "add", "-c", config, "--realm", "examples", "alice"];
    tollgate(&add, &format!("{PASSWORD}\n")).ok();
    let ran = tollgate(&commands[1], "").failed(78);
    assert!(ran.stderr.contains("has no signing key") && ran.stdout.is_empty(), "{ran:?}");
}
