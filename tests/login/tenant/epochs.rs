//! What ends with a stolen key, another issuer, all sessions of a realm, or a backup that was put back (SECURITY.md
//! R62).

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::codes::Factor;
use super::*;
use crate::proxy::forwarding::open_tunnel;

const NEW_PASSWORD: &str = "NEW_PASSWORD_REQUIRED";
const CODE: &str = "SOFTWARE_TOKEN_MFA";

fn choose(session: &str) -> Request {
    respond(NEW_PASSWORD, session, &json!({"NEW_PASSWORD": "a password of my own"}))
}

#[track_caller]
fn ended(answer: Response) {
    let answer = refused(answer, 401, "NotAuthorizedException");
    assert_eq!(answer.json()["message"], "Invalid Refresh Token.");
}

#[track_caller]
fn no_session(answer: Response) {
    let answer = refused(answer, 401, "NotAuthorizedException");
    assert!(answer.json()["message"].as_str().unwrap().starts_with("Invalid session"), "{}", answer.text());
}

/// A command of this gate's configuration.
fn command(gate: &Gate, command: &str, rest: &[&str]) -> Ran {
    let config = gate.config_arg();
    let command = command.split(' ').chain(["-c", &config]).chain(rest.iter().copied());
    tollgate(&command.collect::<Vec<_>>(), "")
}

fn reload(gate: &Gate, conf: &Conf) {
    let before = gate.generation();
    gate.edit_by_rename(conf);
    until_true(PATIENCE, "the new policy is in force", || gate.generation() > before);
}

/// alice, who is logged in, and the question that bob has to answer.
fn begun(gate: &Gate) -> (Tokens, String) {
    (gate.tokens("alice"), challenged(gate.send(&log_in("bob")), NEW_PASSWORD))
}

#[track_caller]
fn all_ended(gate: &Gate, (tokens, session): &(Tokens, String)) {
    ended(gate.send(&refresh(&tokens.refresh)));
    no_session(gate.send(&choose(session)));
}

fn with_both() -> (App, Gate) {
    let (app, gate) = gate();
    gate.register("alice");
    gate.add_user("bob", &["--temporary"]);
    (app, gate)
}

#[test]
fn r62_another_issuer_or_audience_ends_what_began_under_the_one_before() {
    let (_app, mut gate) = with_both();
    for (key, value) in [("issuer", "\"https://other.example.com\""), ("audience", "\"others\"")] {
        let before = begun(&gate);
        let old = gate.conf();
        reload(&gate, &old.clone().realm(key, value));
        all_ended(&gate, &before);
        let meanwhile = begun(&gate);
        gate.refreshed(&meanwhile.0.refresh);
        reload(&gate, &old);
        all_ended(&gate, &before);
        all_ended(&gate, &meanwhile);
    }
    gate.says("issuer or audience changed");
    // While it does not run.
    let before = begun(&gate);
    gate.stop();
    gate.edit_in_place(&gate.conf().realm("issuer", "\"https://other.example.com\""));
    gate.start_again();
    all_ended(&gate, &before);
    // Anything else ends nothing.
    let before = begun(&gate);
    reload(&gate, &gate.conf().realm("issuer", "\"https://other.example.com\"").realm("leeway", "\"7s\""));
    gate.crash_and_restart();
    gate.refreshed(&before.0.refresh);
    Tokens::of(gate.send(&choose(&before.1)));
}

#[test]
fn r62_signing_keys_that_are_all_gone_take_sessions_along() {
    let (_app, mut gate) = with_both();
    let before = begun(&gate);
    gate.stop();
    let (keys, away) = (gate.dir.path().join("keys"), gate.dir.path().join("away"));
    fs::rename(&keys, &away).unwrap();
    gate.start_again();
    all_ended(&gate, &before);
    gate.says("all signing keys are new");
    let meanwhile = begun(&gate);
    gate.refreshed(&meanwhile.0.refresh);
    // A thief who has them all puts none of it back.
    gate.stop();
    fs::remove_dir_all(&keys).unwrap();
    fs::rename(&away, &keys).unwrap();
    gate.start_again();
    all_ended(&gate, &before);
    gate.visit(&before.0.access).expect(200);
}

/// The tokens that an attacker makes with a signing key, from tokens of a user.
struct Thief {
    key: Jwk,
}

impl Thief {
    fn challenge(&self, like: &str, changes: &Value) -> String {
        let header = json!({"alg": "HS256", "typ": "challenge+jwt", "kid": self.key.kid});
        sign(&header.to_string(), &edited(claims(like), changes).to_string(), &self.key.secret)
    }

    fn access(&self, subject: &str, like: &str) -> String {
        let changes = json!({"sub": subject, "jti": "0123456789abcdef0123456789abcdef", "sid": null, "amr": ["mfa"]});
        self.key.token(&edited(claims(like), &changes))
    }
}

#[test]
fn r62_a_stolen_signing_key_opens_no_session_and_is_revoked_by_one_command() {
    let app = App::start();
    let mut gate = conf(&app, "").add_route("/safe", "user", "require_mfa = true").start();
    for (name, rest) in [("alice", &[][..]), ("bob", &["--temporary"]), ("carol", &[])] {
        gate.add_user(name, rest);
    }
    let _factor = Factor::enable(&gate, "alice");
    let id = |name: &str| -> String {
        let rows = gate.sql("SELECT id FROM users WHERE username = ?", &json!([name]));
        rows[0][0].as_str().unwrap().to_owned()
    };
    let ids = ["alice", "bob", "carol"].map(id);
    let thief = Thief { key: Jwk::of(&gate) };
    let question = challenged(gate.send(&log_in("bob")), NEW_PASSWORD);
    let honest = gate.tokens("carol");

    let forgeries: Vec<_> = ids
        .iter()
        .flat_map(|id| (1..4).map(move |version| (id, version)))
        .flat_map(|(id, version)| [false, true].map(|mfa| json!({"sub": id, "version": version, "mfa": mfa})))
        .flat_map(|says| {
            [json!({}), json!({"seal": null}), json!({"seal": ""})].map(|seal| edited(says.clone(), &seal))
        })
        .collect();
    let attempt = |gate: &Gate| {
        // Each guess at a code would count; they end before that.
        for says in forgeries.iter().step_by(5) {
            no_session(gate.send(&choose(&thief.challenge(&question, says))));
            let code = thief.challenge(&question, &edited(says.clone(), &json!({"challenge": CODE})));
            no_session(gate.send(&respond(CODE, &code, &json!({"SOFTWARE_TOKEN_MFA_CODE": "123456"}))));
        }
        let made_up = edited(claims(&question), &json!({}));
        ended(gate.send(&refresh(&thief.key.token(&made_up))));
    };
    attempt(&gate);
    // It can't be told from a genuine one while the key is there, but it changes nothing that stays.
    let forged = ids.each_ref().map(|id| thief.access(id, &honest.access));
    for (id, token) in ids.iter().zip(&forged) {
        gate.visit(token).expect(200);
        let body = json!({"password": "the thief's own password"});
        gate.send(&put(auth(&format!("uniqueId={id}&strategy=merge"))).bearer(token).json(&body))
            .refused(401, "token_revoked");
        gate.send(&delete(auth(&format!("uniqueId={id}"))).bearer(token)).refused(401, "token_revoked");
    }
    // Nor with the id of another user's session.
    let session = &claims(&honest.access)["sid"];
    let borrowed = thief.key.token(&edited(claims(&forged[0]), &json!({"sid": session})));
    let body = json!({"password": "the thief's own password"});
    let id = &ids[0];
    gate.send(&put(auth(&format!("uniqueId={id}&strategy=merge"))).bearer(&borrowed).json(&body))
        .refused(401, "token_revoked");

    let said = command(&gate, "key revoke", &["--realm", "examples", &thief.key.kid]).ok().stdout;
    assert!(
        said.starts_with("Made the HS256 key ") && said.contains(&format!("Took the key {} away", thief.key.kid)),
        "{said}"
    );
    ended(gate.send(&refresh(&honest.refresh)));
    no_session(gate.send(&choose(&question)));
    gate.crash_and_restart();
    for token in forged.iter().chain([&honest.access, &borrowed]) {
        gate.visit(token).refused(401, "token_key_unknown");
    }
    attempt(&gate);
    ended(gate.send(&refresh(&honest.refresh)));
    no_session(gate.send(&choose(&question)));
    let (after, kid) = (gate.tokens("carol"), Jwk::of(&gate).kid);
    assert_ne!(kid, thief.key.kid);
    gate.visit(&gate.refreshed(&after.refresh).access).expect(200);
    let gone = command(&gate, "key revoke", &["--realm", "examples", &thief.key.kid]).failed(65);
    assert!(gone.stderr.contains(&kid), "{}", gone.stderr);
}

#[test]
fn r62_a_running_gate_hears_of_a_revoked_key_and_keeps_what_others_signed() {
    let (_app, gate) = with_both();
    let first = gate.tokens("alice");
    let kid = Jwk::of(&gate).kid;
    command(&gate, "key rotate", &["--realm", "examples", "--now"]).ok();
    let second = until(PATIENCE, "the next key signs", || {
        Some(gate.tokens("alice")).filter(|tokens| key_of(&tokens.access) != kid)
    });
    let stolen = key_of(&second.access);
    let mut tunnel = open_tunnel(&gate, &second.access);
    command(&gate, "key revoke", &["--realm", "examples", &stolen]).ok();
    let took = until_true(PATIENCE, "what it signed is refused", || gate.visit(&second.access).status == 401);
    assert!(took < Duration::from_secs(2), "{took:?}");
    gate.visit(&second.access).refused(401, "token_key_unknown");
    assert!(tunnel.closes_within(A_SECOND));
    gate.visit(&first.access).expect(200);
    for tokens in [&first, &second] {
        ended(gate.send(&refresh(&tokens.refresh)));
    }
    let third = gate.tokens("alice");
    assert!(key_of(&third.access) != kid && key_of(&third.access) != stolen, "the older one is not back");
    // It can be ended, though it can't be refreshed.
    gate.send(&post("/Logout").json(&json!({"RefreshToken": first.refresh}))).expect(200);
    gate.visit(&first.access).refused(401, "token_revoked");
}

#[test]
fn r62_a_key_that_systemd_keeps_is_said_to_be_taken_away_there() {
    let (_app, gate) = with_both();
    let dir = gate.dir.path();
    let file = dir.join("credentials.toml");
    let text = gate.conf().realm("keys_dir", "\"${CREDENTIALS_DIRECTORY}/examples\"").text(1, 2);
    write_file(&file, &text, 0o600);
    let kid = Jwk::of(&gate).kid;
    let mut revoke = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    revoke.args(["key", "revoke", "-c", file.to_str().unwrap(), "--realm", "examples", &kid]);
    let refused = run(revoke.env("CREDENTIALS_DIRECTORY", dir.join("keys")), b"").failed(73);
    for word in [&*kid, "systemd", "restart", "session end"] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    assert_eq!(Jwk::of(&gate).kid, kid);
}

#[test]
fn r62_the_end_of_all_sessions_is_that_of_two_gates() {
    all_sessions_end("sqlite");
}

/// On processes of one store: a URL, or `sqlite` for a file that they share.
pub fn all_sessions_end(store: &str) {
    let app = App::start();
    let conf = if store == "sqlite" { conf(&app, "") } else { conf(&app, "").store(store) };
    let one = conf.clone().start();
    let keys = format!("\"{}\"", one.dir.path().join("keys/examples").display());
    let url = if store == "sqlite" { format!("sqlite://{}", one.database().display()) } else { store.to_owned() };
    let mut two = conf.store(&url).realm("keys_dir", &keys).start();
    one.register("alice");
    one.add_user("bob", &["--temporary"]);
    for ended_by in [&one, &two] {
        let begun = [begun(&one), begun(&two)];
        let plain = two.log_in("alice");
        let fresh = two.refreshed(&begun[0].0.refresh);
        let mut tunnels = [&begun[0].0.access, &begun[1].0.access, &plain].map(|token| open_tunnel(&two, token));
        command(ended_by, "session end", &["--realm", "examples", "--all"]).ok();
        // In the same second, very likely.
        let after = two.tokens("alice");
        let tokens = [&begun[0].0.access, &begun[1].0.access, &fresh.access, &plain];
        for gate in [&one, &two] {
            let refused = || tokens.iter().all(|token| gate.visit(token).status == 401);
            let took = until_true(PATIENCE, "all of them are refused", refused);
            assert!(took <= SOON, "{took:?}");
            for token in tokens {
                gate.visit(token).refused(401, "token_revoked");
            }
            begun.iter().for_each(|begun| all_ended(gate, begun));
            ended(gate.send(&refresh(&fresh.refresh)));
            gate.visit(&after.access).expect(200);
        }
        for tunnel in &mut tunnels {
            assert!(tunnel.closes_within(A_SECOND));
        }
        two.visit(&one.refreshed(&after.refresh).access).expect(200);
    }
    let (tokens, session) = begun(&two);
    command(&one, "session end", &["--realm", "examples", "--all"]).ok();
    two.crash_and_restart();
    two.visit(&tokens.access).refused(401, "token_revoked");
    all_ended(&two, &(tokens, session));
}

#[test]
fn r62_a_database_that_was_put_back_ends_every_session() {
    let (_app, mut gate) = with_both();
    let (before, logged_out) = (begun(&gate), gate.tokens("alice"));
    gate.stop();
    let (database, backup) = (gate.database(), gate.dir.path().join("backup.db"));
    fs::copy(&database, &backup).unwrap();
    gate.start_again();
    gate.send(&log_out(&logged_out.access)).expect(200);
    gate.visit(&logged_out.access).refused(401, "token_revoked");
    let lost = begun(&gate);
    gate.stop();
    for rest in ["db-wal", "db-shm"] {
        let _ = fs::remove_file(database.with_extension(rest));
    }
    fs::copy(&backup, &database).unwrap();
    let said = command(&gate, "store restored", &[]).ok().stdout;
    assert!(said.starts_with("every session of every realm ended"), "{said}");
    gate.start_again();
    for tokens in [&before.0, &logged_out, &lost.0] {
        gate.visit(&tokens.access).refused(401, "token_revoked");
        ended(gate.send(&refresh(&tokens.refresh)));
    }
    all_ended(&gate, &before);
    all_ended(&gate, &lost);
    // Not in the second of the command.
    let after = until(PATIENCE, "a login counts", || {
        Some(gate.tokens("alice")).filter(|tokens| gate.visit(&tokens.access).status == 200)
    });
    gate.refreshed(&after.refresh);
}

#[test]
fn sessions_are_listed_and_ended_one_by_one() {
    let (_app, gate) = with_both();
    let list = |rest: &[&str]| -> Vec<Value> {
        let rest = [&["--realm", "examples", "--json", "alice"], rest].concat();
        let out = command(&gate, "user sessions", &rest).ok().stdout;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert!(list(&[]).is_empty());
    let (plain, refreshed) = (gate.log_in("alice"), gate.tokens("alice"));
    let refreshed = gate.refreshed(&refreshed.refresh);
    let of = |id: &Value| {
        let all = list(&[]);
        all.into_iter().find(|session| session["id"] == *id).unwrap_or_else(|| panic!("no {id}"))
    };
    assert_eq!(list(&[]).len(), 2);
    let (jti, sid) = (claims(&plain)["jti"].clone(), claims(&refreshed.access)["sid"].clone());
    let (first, second) = (of(&jti), of(&sid));
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!((&first["refreshable"], &first["last_used_at"]), (&json!(false), &Value::Null));
    assert_eq!(time(&first["created_at"]), claims(&plain)["iat"].as_i64().unwrap());
    assert_eq!(time(&first["expires_at"]), claims(&plain)["exp"].as_i64().unwrap());
    assert_eq!((&second["refreshable"], &second["mfa"]), (&json!(true), &json!(false)));
    assert!((now() - 60..=now()).contains(&time(&second["last_used_at"])));
    let table = command(&gate, "user sessions", &["--realm", "examples", "alice"]).ok().stdout;
    assert!(
        table.starts_with("ID  ") && table.lines().count() == 3 && table.contains(jti.as_str().unwrap()),
        "{table}"
    );
    command(&gate, "user sessions", &["--realm", "examples", "nobody"]).failed(65);

    let one = command(&gate, "session end", &[sid.as_str().unwrap()]).ok().stdout;
    assert!(one.contains(sid.as_str().unwrap()) && one.contains("examples"), "{one}");
    let took = until_true(PATIENCE, "it is refused", || gate.visit(&refreshed.access).status == 401);
    assert!(took <= SOON, "{took:?}");
    ended(gate.send(&refresh(&refreshed.refresh)));
    gate.visit(&plain).expect(200);
    assert_eq!(list(&[]).len(), 1);
    for (id, code) in [(sid.as_str().unwrap(), 65), ("alice", 64), (&plain, 64)] {
        let refused = command(&gate, "session end", &[id]).failed(code);
        assert!(!refused.stderr.contains(&plain), "a token is quoted: {}", refused.stderr);
    }
    for rest in [&[][..], &["--all"], &["--realm", "examples"], &["--realm", "examples", "--all", "--user", "alice"]] {
        command(&gate, "session end", rest).failed(64);
    }
    command(&gate, "session end", &["--realm", "nobody", "--all"]).failed(64);
    command(&gate, "session end", &["--realm", "examples", "--user", "alice"]).ok();
    until_true(PATIENCE, "it is refused too", || gate.visit(&plain).status == 401);
    assert!(list(&[]).is_empty());
    let (last, _) = (gate.tokens("alice"), gate.log_in("alice"));
    command(&gate, "session end", &["--realm", "examples", "--all"]).ok();
    assert!(list(&[]).is_empty());
    ended(gate.send(&refresh(&last.refresh)));
}

/// The id of the key that signed it.
fn key_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}
