//! `POST /Logout`: ends the session of every token, and returns 200 to every request.

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn logged_out(answer: Response) {
    let answer = answer.expect(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("{}", Some("application/json")));
    assert!(answer.all("set-cookie").is_empty());
}

#[track_caller]
fn assert_ended(gate: &Gate, all: &[&Tokens]) {
    for tokens in all {
        gate.visit(&tokens.access).refused(401, "token_revoked");
        refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    }
}

fn with_body(token: &str) -> Request {
    post("/Logout").json(&json!({"RefreshToken": token}))
}

#[test]
fn it_ends_the_whole_family_at_once_and_no_other() {
    let (_app, mut gate) = gate();
    gate.register("alice");
    let (first, other) = (gate.tokens("alice"), gate.tokens("alice"));
    let second = gate.refreshed(&first.refresh);
    let third = gate.refreshed(&second.refresh);
    let mut conn = gate.conn();
    for tokens in [&first, &second, &third, &other] {
        conn.ask(&get("/app/x").bearer(&tokens.access)).expect(200);
    }
    // With the oldest access token that there is, over another connection.
    logged_out(gate.send(&log_out(&first.access)));
    for tokens in [&first, &second, &third] {
        conn.ask(&get("/app/x").bearer(&tokens.access)).refused(401, "token_revoked");
    }
    assert_ended(&gate, &[&first, &second, &third]);
    gate.visit(&other.access).expect(200);
    drop(conn);
    gate.crash_and_restart();
    assert_ended(&gate, &[&first, &second, &third]);
    gate.visit(&gate.refreshed(&other.refresh).access).expect(200);
}

#[test]
fn the_refresh_token_in_the_body_is_enough() {
    let (_app, gate) = gate();
    gate.register("alice");
    let other = gate.tokens("alice");
    // The one that counts, and one that was used.
    for used in [false, true] {
        let first = gate.tokens("alice");
        let second = gate.refreshed(&first.refresh);
        logged_out(gate.send(&with_body(if used { &first.refresh } else { &second.refresh })));
        assert_ended(&gate, &[&first, &second]);
    }
    gate.visit(&other.access).expect(200);
    gate.refreshed(&other.refresh);
}

#[test]
fn both_are_ended_where_two_sessions_come() {
    let (_app, gate) = gate();
    gate.register("alice");
    gate.register("bob");
    let (alice, bob, third) = (gate.tokens("alice"), gate.tokens("bob"), gate.tokens("bob"));
    logged_out(gate.send(&with_body(&bob.refresh).bearer(&alice.access).bearer(&third.access)));
    assert_ended(&gate, &[&alice, &bob, &third]);
}

#[test]
fn it_is_always_200_and_ends_nothing_that_it_was_not_shown() {
    let (_app, gate) = gate();
    let (_other_app, other_gate) = super::gate();
    for gate in [&gate, &other_gate] {
        gate.register("alice");
    }
    gate.add_user("bob", &["--temporary"]);
    let tokens = gate.tokens("alice");
    let foreign = other_gate.tokens("alice");
    let session = challenged(gate.send(&log_in("bob")), "NEW_PASSWORD_REQUIRED");
    let (access, cut) = (&tokens.access, &tokens.access[..tokens.access.len() - 6]);
    let claims_of = claims(access);
    let made_up = sign(r#"{"alg":"HS256","typ":"at+jwt"}"#, &claims_of.to_string(), b"a secret of somebody else's");
    let garbage = with_body(&tokens.refresh).header("Content-Type", "x");
    for (what, request) in [
        ("nothing", post("/Logout")),
        ("garbage", log_out("garbage")),
        ("no token after Bearer", post("/Logout").header("Authorization", "Bearer")),
        ("another scheme", post("/Logout").header("Authorization", format!("Basic {access}"))),
        ("no scheme", post("/Logout").header("Authorization", access)),
        ("a cut token", log_out(cut)),
        ("a token that was made up", log_out(&made_up)),
        ("another gate's token", log_out(&foreign.access)),
        ("an ID token", log_out(&tokens.id)),
        ("a session", log_out(&session)),
        ("a refresh token in the header", log_out(&tokens.refresh)),
        ("the cookie, which a browser sends by itself", post("/Logout").cookie(access)),
        ("another gate's refresh token", with_body(&foreign.refresh)),
        ("an access token in the body", with_body(access)),
        ("a member of another type", post("/Logout").json(&json!({"RefreshToken": [tokens.refresh]}))),
        ("another member", post("/Logout").json(&json!({"refreshtoken": tokens.refresh}))),
        ("no object", post("/Logout").json(&json!([tokens.refresh]))),
        ("no JSON", post("/Logout").header("Content-Type", "text/plain").body("bye")),
        ("a broken body", post("/Logout").header("Content-Type", "application/json").body("{")),
        (
            "a member twice",
            post("/Logout").body(format!("{{\"RefreshToken\":\"{0}\",\"RefreshToken\":\"{0}\"}}", tokens.refresh)),
        ),
        ("an empty body", post("/Logout").body("")),
    ] {
        let answer = gate.send(&request);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{what}");
    }
    gate.visit(access).expect(200);
    other_gate.visit(&foreign.access).expect(200);
    other_gate.refreshed(&foreign.refresh);
    let again = gate.refreshed(&tokens.refresh);
    // Twice is no error, nor is a body that says nothing of its type.
    logged_out(gate.send(&log_out(&again.access)));
    logged_out(gate.send(&log_out(&again.access)));
    logged_out(gate.send(&garbage));
    assert_ended(&gate, &[&tokens, &again]);
}

#[test]
fn an_access_token_that_has_expired_ends_its_session_all_the_same() {
    let app = App::start();
    let gate = conf(&app, "access_ttl = \"1s\"").realm("leeway", "\"0s\"").start();
    gate.register("alice");
    let (tokens, other) = (gate.tokens("alice"), gate.tokens("alice"));
    until_true(PATIENCE, "it expires", || gate.visit(&tokens.access).status == 401);
    gate.visit(&tokens.access).refused(401, "token_expired");
    logged_out(gate.send(&log_out(&tokens.access)));
    refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    gate.refreshed(&other.refresh);
}

#[test]
fn the_project_logout_ends_a_tenants_session_too() {
    let (_app, gate) = gate();
    gate.register("alice");
    for cookie in [false, true] {
        let (first, other) = (gate.tokens("alice"), gate.tokens("alice"));
        let second = gate.refreshed(&first.refresh);
        let request = post(auth("logout=true"));
        let request = if cookie { request.cookie(&first.access) } else { request.bearer(&first.access) };
        gate.send(&request).expect(200);
        assert_ended(&gate, &[&first, &second]);
        gate.visit(&other.access).expect(200);
    }
}

#[test]
fn a_project_token_is_ended_by_the_tenants_logout() {
    let (_app, gate) = gate();
    let (token, other) = (gate.user("alice"), gate.log_in("alice"));
    logged_out(gate.send(&log_out(&token)));
    gate.visit(&token).refused(401, "token_revoked");
    gate.visit(&other).expect(200);
}

/// A logout ends what the realm that issued it would let in, and no other realm's.
#[test]
fn a_realm_whose_rules_are_not_kept_logs_nobody_out() {
    let app = App::start();
    let shy = "https://shy.example.com";
    let more = format!(
        "[[realm]]\nname = \"shy\"\nissuer = \"https://gate.example.com\"\ncookie = \"shy\"\n\
         require_key = false\nrequire_origin = true\norigins = [\"{shy}\"]\nregistration = \"open\"\n\
         [[login]]\ndialect = \"project\"\npath = \"/shy\"\nrealm = \"shy\"\n"
    );
    let gate = conf(&app, "").realm("origins", &format!("[\"{ORIGIN}\", \"{shy}\"]")).more(&more).start();
    let body = json!({"username": "alice", "password": PASSWORD});
    gate.send(&post("/shy").origin(shy).json(&body)).expect(200);
    let tokens = Tokens::of(gate.send(&log_in_at("shy", "alice", PASSWORD).origin(shy)));
    let who = || gate.send(&get("/shy").origin(shy).bearer(&tokens.access));
    logged_out(gate.send(&log_out(&tokens.access)));
    logged_out(gate.send(&log_out(&tokens.access).origin(ORIGIN)));
    assert_eq!(who().expect(200).json()["data"], json!({"username": "alice"}));
    logged_out(gate.send(&log_out(&tokens.access).origin(shy)));
    who().refused(401, "token_revoked");
    let again: Value = gate.send(&refresh(&tokens.refresh).origin(shy)).expect(401).json();
    assert_eq!(again["__type"], "NotAuthorizedException");
}
