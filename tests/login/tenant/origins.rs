//! Origins at the tenant login (docs/credentials.md): preflights, the headers that pages require, and the rules of each
//! tenant.

use serde_json::json;

use super::*;

const ALL: [&str; 4] = ["/Login", "/login/challenge", "/Login/Refresh", "/LOGOUT"];

#[track_caller]
fn assert_allowed(answer: &Response) {
    assert_eq!(answer.all("access-control-allow-origin"), [ORIGIN]);
    assert_eq!(answer.all("access-control-allow-credentials"), ["true"]);
    assert!(answer.list("vary").contains(&"origin".to_owned()));
}

#[track_caller]
fn assert_not_allowed(answer: &Response) {
    assert!(answer.all("access-control-allow-origin").is_empty(), "{:?}", answer.headers);
    assert!(answer.all("access-control-allow-credentials").is_empty(), "{:?}", answer.headers);
    assert!(answer.list("vary").contains(&"origin".to_owned()));
}

fn preflight(path: &str, origin: &str) -> Request {
    request("OPTIONS", path)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization, content-type")
        .origin(origin)
}

#[test]
fn a_preflight_is_answered_at_every_endpoint() {
    let app = App::start();
    // Without the key that every other request needs.
    let gate = conf(&app, "").realm("require_key", "true").start();
    for path in ALL {
        let answer = gate.send(&preflight(path, ORIGIN)).expect(204);
        assert_allowed(&answer);
        assert!(answer.body.is_empty());
        assert!(answer.list("access-control-allow-methods").contains(&"post".to_owned()));
        let headers = answer.list("access-control-allow-headers");
        assert!(["authorization", "content-type"].iter().all(|name| headers.iter().any(|other| other == name)));
        for foreign in [FOREIGN, "null", "http://app.example.com", "https://app.example.com.evil.net"] {
            let answer = refused(gate.send(&preflight(path, foreign)), 403, "ForbiddenException");
            assert_not_allowed(&answer);
        }
    }
    let below = gate.send(&preflight("/Login/x", ORIGIN));
    assert!((400..500).contains(&below.status));
    app.saw_nothing();
}

#[test]
fn an_allowed_origin_can_read_every_answer_errors_too() {
    let (_app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    for (request, status) in [
        (log_in("alice"), 200),
        (log_in_at(TENANT, "alice", "wrong"), 401),
        (log_in_at("Nobody Inc", "alice", PASSWORD), 401),
        (post("/Login").json(&json!({})), 400),
        (post("/Login"), 400),
        (post("/Login").header("Content-Type", "application/json").body("x".repeat(70_000)), 413),
        (get("/Login"), 405),
        (post("/Login/x"), 400),
        (post("/Login?key=wrong"), 400),
        (respond("NEW_PASSWORD_REQUIRED", "x", &json!({"NEW_PASSWORD": "a new password"})), 401),
        (refresh("x"), 401),
        (refresh(&tokens.refresh), 200),
        (log_out("x"), 200),
    ] {
        let answer = gate.send(&request.clone().origin(ORIGIN)).expect(status);
        assert_allowed(&answer);
        assert_not_allowed(&gate.send(&request));
    }
}

#[test]
fn a_foreign_origin_is_refused_before_anything_is_read() {
    let (_app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    for foreign in [FOREIGN, "null", "https://app.example.com:8443", "https://app.example.com.evil.net", "x"] {
        for request in [
            log_in("alice"),
            log_in_at(TENANT, "alice", "wrong"),
            post("/Login").body("{"),
            respond("NEW_PASSWORD_REQUIRED", "x", &json!({})),
            refresh(&tokens.refresh),
            log_out(&tokens.access),
        ] {
            let answer = refused(gate.send(&request.origin(foreign)), 403, "ForbiddenException");
            assert_not_allowed(&answer);
        }
    }
    // No password was tried: five failures would have closed the account. No session ended, no refresh token was used up.
    gate.visit(&gate.tokens("alice").access).expect(200);
    gate.visit(&tokens.access).expect(200);
    let next = gate.refreshed(&tokens.refresh);
    let again = gate.refreshed(&tokens.refresh);
    assert_eq!(next.refresh, again.refresh);
}

#[test]
fn a_realm_that_wants_an_origin_or_a_key_wants_it_here_too() {
    let app = App::start();
    let gate = conf(&app, "").realm("require_origin", "true").realm("require_key", "true").start();
    gate.send(&post(auth("")).origin(ORIGIN).json(&json!({"username": "alice", "password": PASSWORD}))).expect(200);
    for path in ALL {
        refused(gate.send(&post(path).origin(ORIGIN).json(&json!({}))), 403, "ForbiddenException");
        refused(gate.send(&post(path).key().json(&json!({}))), 403, "ForbiddenException");
        let wrong = post(path).header("X-API-Key", "wrong").origin(ORIGIN).json(&json!({}));
        refused(gate.send(&wrong), 400, "InvalidParameterException");
    }
    Tokens::of(gate.send(&log_in("alice").key().origin(ORIGIN)));
    let in_query = post(format!("/Login?key={KEY}")).origin(ORIGIN);
    let body = json!({"UserName": "alice", "TenantName": TENANT, "Password": PASSWORD});
    Tokens::of(gate.send(&in_query.json(&body)));
}

/// A tenant whose realm has other rules than the login's own is unknown to a request that does not meet them.
#[test]
fn a_tenant_whose_rules_are_not_kept_is_no_tenant() {
    let app = App::start();
    let (shy, own_key) = ("https://shy.example.com", "7".repeat(32));
    let realm = |name: &str, keys: &str| {
        format!(
            "[[realm]]\nname = \"{name}\"\nissuer = \"https://gate.example.com\"\ncookie = \"{name}\"\n\
             registration = \"open\"\n{keys}\n\
             [[login]]\ndialect = \"project\"\npath = \"/of/{name}\"\nrealm = \"{name}\"\n"
        )
    };
    let more = realm("shy", &format!("require_key = false\norigins = [\"{shy}\"]\n"))
        + &realm("keyed", &format!("require_key = true\n[[realm.key]]\nid = \"k\"\nsecret = \"{own_key}\"\n"));
    // The login's own realm knows both, and neither is enough to come in elsewhere.
    let gate = conf(&app, "")
        .realm("origins", &format!("[\"{ORIGIN}\", \"{shy}\"]"))
        .add_realm_tables(&format!("[[realm.key]]\nid = \"k\"\nsecret = \"{own_key}\"\n"))
        .more(&more)
        .start();
    let body = json!({"username": "alice", "password": PASSWORD});
    gate.send(&post("/of/shy").json(&body)).expect(200);
    gate.send(&post("/of/keyed").header("X-API-Key", &own_key).json(&body)).expect(200);
    let wrong = refused(gate.send(&log_in_at(TENANT, "nobody", "wrong").origin(ORIGIN)), 401, "NotAuthorizedException");
    let of = |tenant: &str| log_in_at(tenant, "alice", PASSWORD);
    for request in [
        of("shy").origin(ORIGIN),
        of("keyed").origin(ORIGIN),
        of("keyed").header("X-API-Key", KEY).origin(ORIGIN),
        of("Nobody Inc").origin(ORIGIN),
    ] {
        assert_eq!(seen(&gate.send(&request)), seen(&wrong));
    }
    for (request, realm) in
        [(of("shy").origin(shy), "shy"), (of("shy"), "shy"), (of("keyed").header("X-API-Key", &own_key), "keyed")]
    {
        assert_eq!(claims(&Tokens::of(gate.send(&request)).access)["aud"], realm);
    }
}
