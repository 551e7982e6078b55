//! `POST /Login/Challenge`: challenges after the password, and that half a login opens nothing (SECURITY.md R36).

use std::sync::Barrier;

use serde_json::{Value, json};

use super::codes::Factor;
use super::*;

const NEW_PASSWORD: &str = "NEW_PASSWORD_REQUIRED";
const CODE: &str = "SOFTWARE_TOKEN_MFA";
const CHOSEN: &str = "a password of my own";

fn with_temporary() -> (App, Gate) {
    let (app, gate) = gate();
    gate.add_user("alice", &["--email", "alice@example.com", "--temporary"]);
    (app, gate)
}

fn with_factor() -> (App, Gate, Factor) {
    let app = App::start();
    let gate = conf(&app, "").add_route("/safe", "user", "require_mfa = true").start();
    gate.add_user("alice", &["--email", "alice@example.com"]);
    let factor = Factor::enable(&gate, "alice");
    (app, gate, factor)
}

fn choose(session: &str, password: &str) -> Request {
    respond(NEW_PASSWORD, session, &json!({"NEW_PASSWORD": password}))
}

fn prove(session: &str, code: &str) -> Request {
    respond(CODE, session, &json!({"SOFTWARE_TOKEN_MFA_CODE": code}))
}

/// The right password, and the session of the question that follows.
#[track_caller]
fn session(gate: &Gate, challenge: &str) -> String {
    challenged(gate.send(&log_in("alice")), challenge)
}

#[track_caller]
fn no_session(answer: Response) {
    let answer = refused(answer, 401, "NotAuthorizedException");
    assert!(answer.json()["message"].as_str().unwrap().starts_with("Invalid session"), "{}", answer.text());
}

// === a new password ===

#[test]
fn a_temporary_password_is_good_for_choosing_another() {
    let (app, gate) = with_temporary();
    let answer = gate.send(&log_in("alice"));
    let parameters = answer.json()["cognitoToken"]["ChallengeParameters"].clone();
    let session = challenged(answer, NEW_PASSWORD);
    assert_eq!(members(&parameters), ["USER_ID_FOR_SRP", "requiredAttributes", "userAttributes"]);
    assert_eq!((&parameters["USER_ID_FOR_SRP"], &parameters["requiredAttributes"]), (&json!("alice"), &json!("[]")));
    let attributes: Value = serde_json::from_str(parameters["userAttributes"].as_str().unwrap()).unwrap();
    assert_eq!(attributes, json!({"email": "alice@example.com"}));
    let responses = json!({"USERNAME": "alice", "NEW_PASSWORD": CHOSEN});
    let tokens = Tokens::of(gate.send(&respond(NEW_PASSWORD, &session, &responses)));
    gate.visit(&tokens.access).expect(200);
    gate.refreshed(&tokens.refresh);
    // From then on it is the chosen one, without a question, at both logins.
    refused(gate.send(&log_in("alice")), 401, "NotAuthorizedException");
    Tokens::of(gate.send(&log_in_at(TENANT, "alice", CHOSEN)));
    gate.log_in_with("alice", CHOSEN);
    no_session(gate.send(&choose(&session, "yet another password")));
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn a_password_that_may_not_be_one_leaves_the_session_as_it_is() {
    let (_app, gate) = with_temporary();
    let session = session(&gate, NEW_PASSWORD);
    for bad in ["x", "seven77", "üüüüüüü", PASSWORD, &"x".repeat(257)] {
        refused(gate.send(&choose(&session, bad)), 400, "InvalidPasswordException");
    }
    refused(gate.send(&log_in_at(TENANT, "alice", "seven77")), 401, "NotAuthorizedException");
    // The shortest that may be one, in characters.
    Tokens::of(gate.send(&choose(&session, "üüüüüüüü")));
    Tokens::of(gate.send(&log_in_at(TENANT, "alice", "üüüüüüüü")));
}

/// A person who knew the password that another person chose has no access left.
#[test]
fn a_chosen_password_ends_what_was_opened_before() {
    let (_app, gate) = gate();
    gate.register("alice");
    let before = gate.tokens("alice");
    gate.sql("UPDATE users SET temporary = 1, version = version + 1", &json!([]));
    let session = session(&gate, NEW_PASSWORD);
    refused(gate.send(&choose(&session, PASSWORD)), 400, "InvalidPasswordException");
    gate.visit(&before.access).expect(200);
    let after = Tokens::of(gate.send(&choose(&session, CHOSEN)));
    gate.visit(&before.access).refused(401, "token_revoked");
    refused(gate.send(&refresh(&before.refresh)), 401, "NotAuthorizedException");
    gate.visit(&after.access).expect(200);
}

#[test]
fn the_longest_password_may_be_chosen() {
    let (_app, gate) = with_temporary();
    let longest = "ü".repeat(256);
    Tokens::of(gate.send(&choose(&session(&gate, NEW_PASSWORD), &longest)));
    Tokens::of(gate.send(&log_in_at(TENANT, "alice", &longest)));
}

// === a code ===

#[test]
fn a_code_is_asked_after_the_password() {
    let (_app, gate, factor) = with_factor();
    let session = session(&gate, CODE);
    let tokens = Tokens::of(gate.send(&prove(&session, &factor.code())));
    gate.visit(&tokens.access).expect(200);
    assert_eq!(claims(&tokens.access)["amr"], json!(["pwd", "otp", "mfa"]));
    // The wrong password asks nothing.
    let wrong = refused(gate.send(&log_in_at(TENANT, "alice", "wrong")), 401, "NotAuthorizedException");
    assert_eq!(seen(&wrong), seen(&gate.send(&log_in("nobody"))));
}

#[test]
fn a_wrong_code_is_refused_and_the_session_works_on() {
    let (_app, gate, factor) = with_factor();
    let session = session(&gate, CODE);
    for wrong in [factor.wrong_code(), "12345".into(), "abcdef".into(), format!("{}0", factor.code())] {
        refused(gate.send(&prove(&session, &wrong)), 400, "CodeMismatchException");
    }
    // As applications show it.
    let code = factor.code();
    Tokens::of(gate.send(&prove(&session, &format!("{} {}", &code[..3], &code[3..]))));
}

#[test]
fn a_code_works_once() {
    let (_app, gate, factor) = with_factor();
    let code = factor.code();
    Tokens::of(gate.send(&prove(&session(&gate, CODE), &code)));
    let session = session(&gate, CODE);
    refused(gate.send(&prove(&session, &code)), 400, "ExpiredCodeException");
    // Nor after a restart; the next one does.
    Tokens::of(gate.send(&prove(&session, &factor.next_code())));
}

#[test]
fn a_code_that_was_used_stays_so_after_a_crash() {
    let (_app, mut gate, factor) = with_factor();
    let code = factor.code();
    Tokens::of(gate.send(&prove(&session(&gate, CODE), &code)));
    gate.crash_and_restart();
    refused(gate.send(&prove(&session(&gate, CODE), &code)), 400, "ExpiredCodeException");
}

#[test]
fn one_code_at_the_same_moment_opens_one_session() {
    let (_app, gate, factor) = with_factor();
    let (sessions, code) = ((0..12).map(|_| session(&gate, CODE)).collect::<Vec<_>>(), factor.code());
    let barrier = Barrier::new(sessions.len());
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = sessions
            .iter()
            .map(|session| {
                let (gate, barrier, code) = (&gate, &barrier, &code);
                scope.spawn(move || {
                    let mut conn = gate.conn();
                    barrier.wait();
                    conn.ask(&prove(session, code))
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 400 | 401 | 429)), "{statuses:?}");
}

#[test]
fn a_recovery_code_stands_in_for_the_app_once() {
    let (_app, gate, factor) = with_factor();
    for (at, code) in factor.recovery.iter().take(3).enumerate() {
        let written = if at == 1 { code.to_ascii_uppercase().replace('-', " ") } else { code.clone() };
        let tokens = Tokens::of(gate.send(&prove(&session(&gate, CODE), &written)));
        gate.send(&get("/safe/x").bearer(&tokens.access)).expect(200);
        let session = session(&gate, CODE);
        refused(gate.send(&prove(&session, code)), 400, "CodeMismatchException");
    }
    Tokens::of(gate.send(&prove(&session(&gate, CODE), &factor.code())));
}

#[test]
fn a_second_factor_that_was_removed_is_asked_no_more() {
    let (_app, gate, factor) = with_factor();
    let session = session(&gate, CODE);
    let config = gate.config_arg();
    tollgate(&["user", "mfa", "disable", "-c", &config, "--realm", "examples", "alice"], "").ok();
    no_session(gate.send(&prove(&session, &factor.code())));
    let tokens = gate.tokens("alice");
    gate.send(&get("/safe/x").bearer(&tokens.access)).refused(403, "mfa_required");
}

// === both ===

#[test]
fn both_are_asked_one_after_the_other() {
    let (_app, gate, factor) = with_factor();
    gate.user_command(&["passwd", "--temporary", "alice"], &format!("{PASSWORD}\n")).ok();
    let first = session(&gate, NEW_PASSWORD);
    // The code does not answer the first question, nor the password the second.
    no_session(gate.send(&prove(&first, &factor.code())));
    let second = challenged(gate.send(&choose(&first, CHOSEN)), CODE);
    no_session(gate.send(&choose(&second, "yet another password")));
    let tokens = Tokens::of(gate.send(&prove(&second, &factor.code())));
    gate.send(&get("/safe/x").bearer(&tokens.access)).expect(200);
    for used in [&first, &second] {
        no_session(gate.send(&prove(used, &factor.next_code())));
        no_session(gate.send(&choose(used, "yet another password")));
    }
    challenged(gate.send(&log_in_at(TENANT, "alice", CHOSEN)), CODE);
}

#[test]
fn choosing_a_password_alone_proves_no_second_factor() {
    let app = App::start();
    let gate = conf(&app, "").add_route("/safe", "user", "require_mfa = true").start();
    gate.add_user("alice", &["--temporary"]);
    let tokens = Tokens::of(gate.send(&choose(&session(&gate, NEW_PASSWORD), CHOSEN)));
    gate.send(&get("/safe/x").bearer(&tokens.access)).refused(403, "mfa_required");
}

// === routes that want it ===

#[test]
fn a_route_that_wants_a_second_factor_takes_no_login_without() {
    let (app, gate, factor) = with_factor();
    gate.register("bob");
    let safe = |token: &str| gate.send(&get("/safe/x").bearer(token));
    for token in [gate.tokens("bob").access, gate.log_in("bob")] {
        gate.visit(&token).expect(200);
        safe(&token).refused(403, "mfa_required");
    }
    gate.send(&get("/safe/x")).refused(401, "token_missing");
    app.forget();
    let mut tokens = Tokens::of(gate.send(&prove(&session(&gate, CODE), &factor.code())));
    for _ in 0..3 {
        safe(&tokens.access).expect(200);
        // A refresh keeps what the login proved, and proves no more for others.
        tokens = gate.refreshed(&tokens.refresh);
    }
    let bob = gate.tokens("bob");
    safe(&gate.refreshed(&bob.refresh).access).refused(403, "mfa_required");
    assert_eq!(app.seen().len(), 3);
}

// === sessions ===

#[test]
fn a_session_works_once_and_for_its_user_alone() {
    let (_app, gate, factor) = with_factor();
    gate.register("bob");
    let other = Factor::enable(&gate, "bob");
    let session = session(&gate, CODE);
    for name in ["bob", "nobody", "", "alice@example.net"] {
        let responses = json!({"USERNAME": name, "SOFTWARE_TOKEN_MFA_CODE": factor.code()});
        no_session(gate.send(&respond(CODE, &session, &responses)));
    }
    for name in [json!(1), json!(null), json!(["alice"])] {
        let responses = json!({"USERNAME": name, "SOFTWARE_TOKEN_MFA_CODE": factor.code()});
        let answer = gate.send(&respond(CODE, &session, &responses));
        assert!(matches!(answer.status, 400 | 401), "{}", answer.text());
    }
    // Another user's code is no code for this one.
    refused(gate.send(&prove(&session, &other.code())), 400, "CodeMismatchException");
    let responses = json!({"USERNAME": "ALICE@example.com", "SOFTWARE_TOKEN_MFA_CODE": factor.code()});
    Tokens::of(gate.send(&respond(CODE, &session, &responses)));
    no_session(gate.send(&prove(&session, &factor.next_code())));
}

#[test]
fn a_session_counts_for_five_minutes() {
    let (_app, gate, factor) = with_factor();
    let jwk = Jwk::of(&gate);
    let session = session(&gate, CODE);
    let claims = claims(&session);
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 300);
    let header = json!({"alg": "HS256", "typ": "challenge+jwt", "kid": jwk.kid}).to_string();
    let seal = Seal::of(&gate);
    let made = |changes: &Value| {
        let claims = seal.mark("challenge+jwt", &edited(claims.clone(), changes));
        sign(&header, &claims.to_string(), &jwk.secret)
    };
    for changes in [
        json!({"exp": now() - 1}),
        json!({"exp": null}),
        json!({"exp": "9999999999"}),
        json!({"aud": "other"}),
        json!({"iss": "https://other.example.com"}),
        json!({"sub": "0123456789abcdef0123456789abcdef"}),
        json!({"version": claims["version"].as_i64().unwrap() + 1}),
        json!({"version": null}),
        json!({"challenge": NEW_PASSWORD}),
        json!({"mfa": null}),
    ] {
        no_session(gate.send(&prove(&made(&changes), &factor.code())));
    }
    // What the others lack is what they were refused for.
    Tokens::of(gate.send(&prove(&made(&json!({})), &factor.code())));
}

#[test]
fn a_session_of_another_gate_or_one_that_was_changed_is_none() {
    let (_app, gate, factor) = with_factor();
    let (_other_app, other, _) = with_factor();
    let foreign = session(&other, CODE);
    no_session(gate.send(&prove(&foreign, &factor.code())));
    let session = session(&gate, CODE);
    let dots: Vec<_> = session.match_indices('.').map(|(at, _)| at).collect();
    let cut = &session[..session.len() - 1];
    let access_like = session.replacen(&session[..dots[0]], &foreign[..dots[0]], 1);
    for changed in [
        cut.to_owned(),
        format!("{session}A"),
        format!("{session}."),
        session[..dots[1]].to_owned(),
        format!("{}.{}", &session[..dots[1]], &foreign[foreign.rfind('.').unwrap() + 1..]),
        session.replacen('.', "..", 1),
        access_like,
        "garbage".to_owned(),
        " ".to_owned(),
        "x".repeat(60_000),
    ] {
        no_session(gate.send(&prove(&changed, &factor.code())));
    }
    for at in (0..session.len()).filter(|at| !dots.contains(at)).step_by(7) {
        let with = if session.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{}{with}{}", &session[..at], &session[at + 1..]);
        no_session(gate.send(&prove(&changed, &factor.code())));
    }
    Tokens::of(gate.send(&prove(&session, &factor.code())));
}

#[test]
fn a_session_of_another_realm_is_none_where_its_rules_are_not_kept() {
    let app = App::start();
    let shy = "https://shy.example.com";
    let more = format!(
        "[[realm]]\nname = \"shy\"\nissuer = \"https://gate.example.com\"\ncookie = \"shy\"\n\
         require_key = false\nrequire_origin = true\norigins = [\"{shy}\"]\n"
    );
    let gate = conf(&app, "").realm("origins", &format!("[\"{ORIGIN}\", \"{shy}\"]")).more(&more).start();
    let config = gate.config_arg();
    let add = ["user", "add", "-c", &config, "--realm", "shy", "--temporary", "alice"];
    tollgate(&add, &format!("{PASSWORD}\n")).ok();
    let session = challenged(gate.send(&log_in_at("shy", "alice", PASSWORD).origin(shy)), NEW_PASSWORD);
    no_session(gate.send(&choose(&session, CHOSEN)));
    no_session(gate.send(&choose(&session, CHOSEN).origin(ORIGIN)));
    let tokens = Tokens::of(gate.send(&choose(&session, CHOSEN).origin(shy)));
    assert_eq!(claims(&tokens.access)["aud"], "shy");
}

#[test]
fn whatever_is_changed_about_a_user_ends_the_session() {
    let (_app, gate, factor) = with_factor();
    for commands in [vec!["passwd"], vec!["disable", "enable"], vec!["delete"]] {
        let session = session(&gate, CODE);
        for command in commands {
            gate.user_command(&[command, "alice"], &format!("{PASSWORD}\n")).ok();
            no_session(gate.send(&prove(&session, &factor.code())));
        }
    }
    refused(gate.send(&log_in("alice")), 401, "NotAuthorizedException");
}

// === guessing ===

#[test]
fn r32_wrong_codes_count_and_the_right_password_forgets_none_of_them() {
    let (_app, gate, factor) = with_factor();
    let from =
        |last: u8, request: &Request| Conn::open_from(std::net::Ipv4Addr::new(127, 0, 3, last), gate.addr).ask(request);
    let mut last = String::new();
    for round in 0..5 {
        last = challenged(from(round * 2 + 1, &log_in("alice")), CODE);
        refused(from(round * 2 + 2, &prove(&last, &factor.wrong_code())), 400, "CodeMismatchException");
    }
    // From wherever, at either step, right or wrong.
    for request in [prove(&last, &factor.code()), prove(&last, &factor.wrong_code()), log_in("alice")] {
        assert!((1..=2).contains(&throttled(from(99, &request))));
    }
    assert_eq!(gate.try_log_in("alice", PASSWORD).status, 429, "one account, whichever login");
    // It waits, and goes on as before: one more is one too many again, for longer.
    until_true(PATIENCE, "the wait is over", || from(98, &prove(&last, &factor.wrong_code())).status == 400);
    assert!((1..=2).contains(&throttled(from(97, &log_in("alice")))));
    let answer = until(PATIENCE, "the wait is over", || {
        Some(from(96, &prove(&last, &factor.code()))).filter(|answer| answer.status != 429)
    });
    Tokens::of(answer);
    // Everything was proven: the failures are forgotten.
    for round in 0..4 {
        refused(from(round + 50, &log_in_at(TENANT, "alice", "wrong")), 401, "NotAuthorizedException");
    }
    challenged(from(60, &log_in("alice")), CODE);
}

// === the project dialect ===

#[test]
fn the_project_login_refuses_who_has_more_to_prove_after_the_right_password_only() {
    let (_app, gate, factor) = with_factor();
    gate.add_user("bob", &["--temporary"]);
    for name in ["alice", "bob"] {
        let unknown = gate.try_log_in("nobody", "wrong").refused(401, "credentials_invalid");
        let wrong = gate.try_log_in(name, "wrong").refused(401, "credentials_invalid");
        assert_eq!(wrong.body, unknown.body);
        for query in ["login=true", "login=true&noATCookie=true"] {
            let body = json!({"username": name, "password": PASSWORD});
            let answer = gate.send(&post(auth(query)).json(&body)).refused(403, "challenge_required");
            assert!(answer.set_cookie(COOKIE).is_none() && answer.header("authorization").is_none());
        }
    }
    // The token of the whole login is good there.
    let tokens = Tokens::of(gate.send(&prove(&session(&gate, CODE), &factor.code())));
    assert_eq!(gate.who(&tokens.access).expect(200).json()["data"]["username"], "alice");
}
