//! The checks of a refresh (SECURITY.md R39, R45), and the ends of a session.

use serde_json::json;

use super::*;

#[test]
fn r39_roles_are_those_of_now_after_a_refresh() {
    let (_app, gate) = gate();
    gate.add_user("alice", &["--role", "staff"]);
    let first = gate.tokens("alice");
    gate.send(&get("/admin/x").bearer(&first.access)).refused(403, "role_missing");
    let set = |roles: &str| {
        gate.sql("UPDATE users SET roles = ?, version = version + 1", &json!([roles]));
    };
    set(r#"["staff","admin"]"#);
    let second = gate.refreshed(&first.refresh);
    gate.send(&get("/admin/x").bearer(&second.access)).expect(200);
    assert_eq!(claims(&second.id)["cognito:groups"], json!(["staff", "admin"]));
    set("[]");
    let third = gate.refreshed(&second.refresh);
    gate.send(&get("/admin/x").bearer(&third.access)).refused(403, "role_missing");
    assert!(claims(&third.access).get("cognito:groups").is_none());
}

#[test]
fn names_are_those_of_now_after_a_refresh() {
    let app = App::start();
    let gate = conf(&app, "").realm("rename", "\"self\"").start();
    let record = gate.register("alice");
    let tokens = gate.tokens("alice");
    let query = format!("uniqueId={}", record["uniqueId"].as_str().unwrap());
    let body = json!({"username": "alicia", "password": PASSWORD});
    gate.send(&put(auth(&query)).bearer(&tokens.access).json(&body)).expect(200);
    let next = gate.refreshed(&tokens.refresh);
    assert_eq!(
        (&claims(&next.access)["username"], &claims(&next.id)["cognito:username"]),
        (&json!("alicia"), &json!("alicia"))
    );
    assert_eq!(claims(&next.access)["sub"], record["uniqueId"]);
}

#[test]
fn r45_a_user_who_is_disabled_deleted_or_has_a_new_password_refreshes_nothing() {
    let (_app, gate) = gate();
    for (name, command, input) in [
        ("alice", vec!["disable"], ""),
        ("bob", vec!["delete"], ""),
        ("carol", vec!["passwd"], "a password that the operator set\n"),
        ("dave", vec!["passwd", "--temporary"], "a password that the operator set\n"),
        ("erin", vec!["mfa", "enable"], ""),
    ] {
        gate.register(name);
        let first = gate.tokens(name);
        let second = gate.refreshed(&first.refresh);
        gate.visit(&second.access).expect(200);
        let config = gate.config_arg();
        let rest = ["-c", &config, "--realm", "examples", name];
        let all: Vec<_> = ["user"].into_iter().chain(command).chain(rest).collect();
        tollgate(&all, input).ok();
        // From the store itself, at once; what was given out, as soon as Tollgate hears of it.
        refused(gate.send(&refresh(&second.refresh)), 401, "NotAuthorizedException");
        for token in [&first.access, &second.access] {
            until_true(SOON, name, || gate.visit(token).status == 401);
            gate.visit(token).refused(401, "token_revoked");
        }
    }
    // Enabled again, a user has to log in again.
    let config = gate.config_arg();
    tollgate(&["user", "enable", "-c", &config, "--realm", "examples", "alice"], "").ok();
    gate.visit(&gate.tokens("alice").access).expect(200);
}

/// Disables or deletes a user without a running process.
#[test]
fn r45_a_user_who_was_disabled_behind_the_gates_back_refreshes_nothing() {
    let (_app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    gate.sql("UPDATE users SET disabled = 1, version = version + 1", &json!([]));
    refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    gate.sql("UPDATE users SET disabled = 0, version = version + 1", &json!([]));
    gate.refreshed(&tokens.refresh);
}

#[test]
fn a_new_password_ends_every_other_session() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let (mine, other) = (gate.tokens("alice"), gate.tokens("alice"));
    let query = format!("uniqueId={}", record["uniqueId"].as_str().unwrap());
    let body = json!({"username": "alice", "password": "a new one, quite long"});
    gate.send(&put(auth(&query)).bearer(&mine.access).json(&body)).expect(200);
    gate.visit(&other.access).refused(401, "token_revoked");
    refused(gate.send(&refresh(&other.refresh)), 401, "NotAuthorizedException");
    gate.visit(&mine.access).expect(200);
    gate.visit(&gate.refreshed(&mine.refresh).access).expect(200);
}

#[test]
fn a_user_who_deletes_the_account_ends_every_session() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let (mine, other) = (gate.tokens("alice"), gate.tokens("alice"));
    let query = format!("uniqueId={}", record["uniqueId"].as_str().unwrap());
    gate.send(&delete(auth(&query)).bearer(&mine.access)).expect(200);
    for tokens in [&mine, &other] {
        gate.visit(&tokens.access).refused(401, "token_revoked");
        refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    }
}

#[test]
fn the_operator_revokes_all_of_a_user() {
    let (_app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    let config = gate.config_arg();
    tollgate(&["token", "revoke", "-c", &config, "--realm", "examples", "--user", "alice"], "").ok();
    refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    until_true(SOON, "the gate hears of it", || gate.visit(&tokens.access).status == 401);
}

#[test]
fn the_operator_revokes_the_session_of_a_token() {
    let (_app, gate) = gate();
    gate.register("alice");
    let (tokens, other) = (gate.tokens("alice"), gate.tokens("alice"));
    let next = gate.refreshed(&tokens.refresh);
    let config = gate.config_arg();
    tollgate(&["token", "revoke", "-c", &config, "--realm", "examples", "-"], &format!("{}\n", tokens.access)).ok();
    until_true(SOON, "the gate hears of it", || gate.visit(&tokens.access).status == 401);
    gate.visit(&other.access).expect(200);
    gate.refreshed(&other.refresh);
    refused(gate.send(&refresh(&next.refresh)), 401, "NotAuthorizedException");
    gate.visit(&next.access).refused(401, "token_revoked");
}

/// By what the application and its log know it.
#[test]
fn the_operator_revokes_the_session_that_the_app_saw() {
    let (app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    let next = gate.refreshed(&tokens.refresh);
    let config = gate.config_arg();
    let seen = |token: &str| {
        gate.visit(token).expect(200);
        app.seen().pop().unwrap().header("x-auth-token-id").unwrap()
    };
    let id = seen(&tokens.access);
    assert_eq!((seen(&next.access), claims(&next.access)["origin_jti"].as_str()), (id.clone(), Some(&*id)));
    let said = tollgate(&["token", "revoke", "-c", &config, "--id", &id], "").ok();
    assert!(!said.stdout.contains("no session"), "{}", said.stdout);
    refused(gate.send(&refresh(&next.refresh)), 401, "NotAuthorizedException");
    until_true(SOON, "the gate hears of it", || gate.visit(&next.access).status == 401);
}

/// Whatever the account was issued: a refresh token of that time brings nothing newer.
#[test]
fn the_operator_revokes_what_an_account_was_issued() {
    let (_app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    let subject = claims(&tokens.access)["sub"].as_str().unwrap().to_owned();
    let config = gate.config_arg();
    tollgate(&["token", "revoke", "-c", &config, "--issuer", "https://gate.example.com", "--subject", &subject], "")
        .ok();
    until_true(SOON, "the gate hears of it", || gate.visit(&tokens.access).status == 401);
    refused(gate.send(&refresh(&tokens.refresh)), 401, "NotAuthorizedException");
    // What was issued in that second is the last that is refused.
    let later = until(PATIENCE, "a login of another second", || {
        let tokens = gate.tokens("alice");
        (gate.visit(&tokens.access).status == 200).then_some(tokens)
    });
    gate.visit(&gate.refreshed(&later.refresh).access).expect(200);
}

#[test]
fn auth_time_is_that_of_the_login() {
    let (_app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    // As if the login had been 100 seconds ago.
    gate.sql("UPDATE refresh_tokens SET authenticated_at = authenticated_at - 100", &json!([]));
    let login = claims(&tokens.access)["auth_time"].as_i64().unwrap() - 100;
    let mut token = tokens.refresh;
    for _ in 0..2 {
        let next = gate.refreshed(&token);
        for claims in [claims(&next.access), claims(&next.id)] {
            assert_eq!(claims["auth_time"], login);
            assert!(claims["iat"].as_i64().unwrap() >= login + 100);
        }
        token = next.refresh;
    }
}

/// `refresh_ttl` counts from the login: no use prolongs it.
#[test]
fn a_session_ends_in_its_time_however_often_it_is_refreshed() {
    let app = App::start();
    let gate = conf(&app, "refresh_ttl = \"4s\"").start();
    gate.register("alice");
    let mut token = gate.tokens("alice").refresh;
    let mut uses = 0;
    let answer = until(PATIENCE, "it ends", || {
        let answer = gate.send(&refresh(&token));
        if answer.status == 200 {
            token = Tokens::of(answer).refresh;
            uses += 1;
            return None;
        }
        Some(answer)
    });
    let answer = refused(answer, 401, "NotAuthorizedException");
    assert_eq!(answer.json()["message"], "Invalid Refresh Token.");
    assert!(uses > 0);
}
