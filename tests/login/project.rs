//! The project dialect (docs/logins.md). One test for every operation, flag, status and attribute.

use serde_json::{Value, json};

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

fn is_time(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let shape: String = text.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    shape == "0000-00-00T00:00:00.000Z"
}

#[track_caller]
fn assert_record(record: &Value) {
    let members: Vec<_> = record.as_object().expect("a record").keys().map(String::as_str).collect();
    assert_eq!(members, ["uniqueId", "data", "createdAt", "updatedAt"], "{record}");
    let id = record["uniqueId"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    assert!(record["data"].is_object() && record["data"].get("password").is_none(), "{record}");
    assert!(is_time(&record["createdAt"]) && is_time(&record["updatedAt"]), "{record}");
}

/// Nothing in an answer to a login endpoint may be stored, or carry a token that was not asked for.
#[track_caller]
fn assert_no_token(answer: &Response) {
    assert_eq!(answer.header("authorization"), None);
    assert_eq!(answer.set_cookie(COOKIE), None);
    assert!(answer.list("cache-control").contains(&"no-store".to_owned()), "{:?}", answer.headers);
}

fn credentials(name: &str) -> Value {
    json!({"username": name, "password": PASSWORD})
}

// === register ===

#[test]
fn register_answers_the_record_without_token_or_password() {
    let (app, gate) = gate();
    let body =
        json!({"username": "alice", "password": PASSWORD, "age": 7, "tags": ["a", {"b": null}], "uniqueId": "x"});
    let answer = gate.send(&post(auth("")).json(&body)).expect(200);
    assert_no_token(&answer);
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    let record = answer.json();
    assert_record(&record);
    assert_eq!(record["data"], json!({"username": "alice", "age": 7, "tags": ["a", {"b": null}], "uniqueId": "x"}));
    assert_eq!(record["createdAt"], record["updatedAt"]);
    assert!(!answer.text().contains(PASSWORD));
    app.saw_nothing();
}

#[test]
fn register_with_data_only_answers_the_data() {
    let (_app, gate) = gate();
    let body = json!({"username": "alice", "password": PASSWORD, "age": 7});
    let answer = gate.send(&post(auth("dataOnly=true")).json(&body)).expect(200);
    assert_no_token(&answer);
    assert_eq!(answer.json(), json!({"username": "alice", "age": 7}));
}

#[test]
fn register_by_email() {
    let (_app, gate) = gate();
    let body = json!({"email": "alice@example.com", "password": PASSWORD});
    let record = gate.send(&post(auth("")).json(&body)).expect(200).json();
    assert_record(&record);
    assert_eq!(record["data"], json!({"email": "alice@example.com"}));
    gate.send(&post(auth("login=true")).json(&body)).expect(200);
}

#[test]
fn register_does_not_log_in() {
    let (_app, gate) = gate();
    let answer = gate.send(&post(auth("noATCookie=true")).json(&credentials("alice"))).expect(200);
    assert_no_token(&answer);
}

#[test]
fn register_a_name_that_is_taken_is_400_in_every_spelling() {
    let (_app, gate) = gate();
    gate.register("alice");
    for spelling in ["alice", "Alice", "ALICE", "\u{ff41}lice"] {
        gate.send(&post(auth("")).json(&credentials(spelling))).refused(400, "user_exists");
    }
    let body = |email: &str| json!({"email": email, "password": PASSWORD});
    gate.send(&post(auth("")).json(&body("bob@example.com"))).expect(200);
    gate.send(&post(auth("")).json(&body("Bob@EXAMPLE.com"))).refused(400, "user_exists");
    // The first one's password still is the one that counts.
    gate.log_in("alice");
}

#[test]
fn register_names_that_nobody_can_have_are_400() {
    let (_app, gate) = gate();
    let long = "x".repeat(129);
    for name in [" alice", "alice ", "a\u{0}b", "a\nb", "a\u{7f}b", "a  b", "a\u{200b}b", "a\u{202e}b", &long] {
        let body = json!({"username": name, "password": PASSWORD});
        let answer = gate.send(&post(auth("")).json(&body));
        assert_eq!((answer.status, answer.reason().as_str()), (400, "name_invalid"), "{name:?}");
    }
    for email in [
        "alice",
        "@example.com",
        "alice@",
        "a@evil@example.com",
        "a b@example.com",
        "alice@example..com",
        "alice@-",
        "alice@exa mple.com",
        "alice@example.com ",
        "alice\n@example.com",
        "<a@example.com>",
        "a@[::1",
    ] {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = gate.send(&post(auth("")).json(&body));
        assert_eq!((answer.status, answer.reason().as_str()), (400, "name_invalid"), "{email:?}");
    }
    let all = gate.send(&get(auth(&format!("masterKey={MASTER}")))).expect(200).json();
    assert_eq!(all, json!([]), "nobody was made");
}

#[test]
fn register_is_closed_where_the_config_does_not_open_it() {
    let app = App::start();
    for closed in ["", "\"closed\""] {
        let gate = Conf::new(&app).realm("registration", closed).start();
        gate.send(&post(auth("")).json(&credentials("alice"))).refused(403, "registration_closed");
        gate.try_log_in("alice", PASSWORD).refused(401, "credentials_invalid");
    }
}

// === login ===

#[test]
fn login_sets_the_cookie_with_exactly_its_attributes() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let answer = gate.send(&post(auth("login=true")).json(&credentials("alice"))).expect(200);
    let (token, attributes) = answer.set_cookie(COOKIE).expect("the cookie");
    assert_eq!(attributes, ["httponly", "max-age=2592000", "path=/", "samesite=lax", "secure"]);
    assert_eq!(answer.header("authorization"), None, "either the cookie or the header, never both");
    assert_eq!(answer.all("set-cookie").len(), 1);
    assert!(answer.list("cache-control").contains(&"no-store".to_owned()));
    assert_eq!(answer.json(), record);
    let claims = claims(&token);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 2_592_000);
    gate.send(&get("/app/x").key().cookie(&token)).expect(200);
}

#[test]
fn login_sets_the_cookie_as_the_realm_configures_it() {
    let app = App::start();
    let gate = Conf::new(&app)
        .realm("cookie", "\"yawe_token\"")
        .realm("same_site", "\"strict\"")
        .realm("partitioned", "true")
        .realm("token_ttl", "\"90s\"")
        .start();
    gate.register("alice");
    let answer = gate.send(&post(auth("login=true")).json(&credentials("alice"))).expect(200);
    let (token, attributes) = answer.set_cookie("yawe_token").expect("the cookie");
    assert_eq!(attributes, ["httponly", "max-age=90", "partitioned", "path=/", "samesite=strict", "secure"]);
    gate.send(&get("/app/x").key().header("Cookie", format!("yawe_token={token}"))).expect(200);
    let gone = gate.send(&post(auth("logout=true")).header("Cookie", format!("yawe_token={token}"))).expect(200);
    let (value, attributes) = gone.set_cookie("yawe_token").expect("the cleared cookie");
    let attributes: Vec<_> = attributes.into_iter().filter(|part| !part.starts_with("expires=")).collect();
    assert_eq!(value, "");
    assert_eq!(attributes, ["httponly", "max-age=0", "partitioned", "path=/", "samesite=strict", "secure"]);
}

#[test]
fn login_with_no_at_cookie_answers_in_the_header_only() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let answer = gate.send(&post(auth("login=true&noATCookie=true")).json(&credentials("alice"))).expect(200);
    let header = answer.header("authorization").expect("the token").to_owned();
    assert!(header.starts_with("Bearer "), "{header}");
    assert_eq!(answer.all("set-cookie"), Vec::<&str>::new());
    assert!(answer.list("cache-control").contains(&"no-store".to_owned()));
    assert_eq!(answer.json(), record);
    // Sent back verbatim, it opens.
    gate.send(&get("/app/x").key().header("Authorization", header)).expect(200);
}

#[test]
fn login_with_data_only_answers_the_data() {
    let (_app, gate) = gate();
    gate.register("alice");
    let answer = gate.send(&post(auth("login=true&dataOnly=true")).json(&credentials("alice"))).expect(200);
    assert_eq!(answer.json(), json!({"username": "alice"}));
    assert!(answer.set_cookie(COOKIE).is_some());
}

#[test]
fn login_ignores_members_that_it_does_not_know() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let body = json!({"username": "alice", "password": PASSWORD, "age": 7, "roles": ["admin"]});
    assert_eq!(gate.send(&post(auth("login=true")).json(&body)).expect(200).json(), record);
}

#[test]
fn login_takes_every_spelling_of_a_name() {
    let (_app, gate) = gate();
    gate.register("alice");
    for spelling in ["ALICE", "Alice", "\u{ff41}lice"] {
        gate.log_in(spelling);
    }
}

#[test]
fn login_tokens_carry_the_documented_claims() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let token = gate.log_in("alice");
    let claims = claims(&token);
    assert_eq!(claims["aud"], "examples");
    assert_eq!(claims["sub"], record["uniqueId"]);
    assert_eq!(claims["username"], "alice");
    assert!(claims.get("email").is_none());
    assert_eq!(claims["nbf"], claims["iat"]);
    assert!((now() - claims["iat"].as_i64().unwrap()).abs() < 60);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
}

#[test]
fn login_answers_unknown_wrong_and_disabled_alike() {
    let (_app, gate) = gate();
    gate.register("alice");
    gate.register("bob");
    tollgate(&["user", "disable", "-c", &gate.config_arg(), "--realm", "examples", "bob"], "").ok();
    let wrong = gate.try_log_in("alice", "not her password").refused(401, "credentials_invalid");
    let unknown = gate.try_log_in("nobody", PASSWORD).refused(401, "credentials_invalid");
    let disabled = gate.try_log_in("bob", PASSWORD).refused(401, "credentials_invalid");
    let disabled_and_wrong = gate.try_log_in("bob", "not his password").refused(401, "credentials_invalid");
    let mixed = json!({"email": "alice", "password": PASSWORD});
    let other_kind =
        gate.send(&post(auth("login=true&noATCookie=true")).json(&mixed)).refused(401, "credentials_invalid");
    for other in [&unknown, &disabled, &disabled_and_wrong, &other_kind] {
        assert_eq!(other.body, wrong.body);
        let names = |answer: &Response| -> Vec<_> { answer.headers.iter().map(|(name, _)| name.clone()).collect() };
        assert_eq!(names(other), names(&wrong));
    }
}

// === logout ===

#[test]
fn logout_by_cookie_revokes_and_clears_with_the_same_attributes() {
    let (_app, gate) = gate();
    gate.register("alice");
    let answer = gate.send(&post(auth("login=true")).json(&credentials("alice"))).expect(200);
    let (token, _) = answer.set_cookie(COOKIE).unwrap();
    let gone = gate.send(&post(auth("logout=true")).cookie(&token)).expect(200);
    assert_eq!(gone.json(), json!({}));
    assert_eq!(gone.header("authorization"), None);
    let (value, attributes) = gone.set_cookie(COOKIE).expect("the cleared cookie");
    let attributes: Vec<_> = attributes.into_iter().filter(|part| !part.starts_with("expires=")).collect();
    assert_eq!(value, "");
    assert_eq!(attributes, ["httponly", "max-age=0", "path=/", "samesite=lax", "secure"]);
    gate.send(&get("/app/x").key().cookie(&token)).refused(401, "token_revoked");
    gate.send(&get("/app/x").key().bearer(&token)).refused(401, "token_revoked");
    gate.who(&token).refused(401, "token_revoked");
}

#[test]
fn logout_by_header_revokes() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    let other = gate.log_in("alice");
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    gate.visit(&token).refused(401, "token_revoked");
    gate.visit(&other).expect(200);
}

#[test]
fn logout_is_always_200() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    let out = || post(auth("logout=true"));
    for (what, request) in [
        ("no token", out()),
        ("garbage in the header", out().bearer("garbage")),
        ("garbage in the cookie", out().cookie("garbage")),
        ("a body that is no JSON", out().header("Content-Type", "text/plain").body("bye")),
        ("the body that axios sends", out().json(&json!({"withCredentials": true}))),
        ("a broken body", out().header("Content-Type", "application/json").body("{")),
        ("an empty body", out().body("")),
        ("a chunked body", out().chunks(&[b"x"])),
        ("a token", out().bearer(&token)),
        ("the same token again", out().bearer(&token)),
    ] {
        let answer = gate.send(&request);
        assert_eq!((answer.status, answer.text().as_str()), (200, "{}"), "{what}");
        assert_eq!(answer.set_cookie(COOKIE).expect(what).0, "", "{what}");
    }
}

#[test]
fn logout_revokes_every_token_that_it_carries() {
    let (_app, gate) = gate();
    let (one, two) = (gate.user("alice"), gate.log_in("alice"));
    gate.send(&post(auth("logout=true")).bearer(&one).cookie(&two)).expect(200);
    gate.visit(&one).refused(401, "token_revoked");
    gate.visit(&two).refused(401, "token_revoked");
}

#[test]
fn logout_finds_the_token_among_planted_cookies() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    let planted: String = (0..20).map(|n| format!("{COOKIE}=planted{n}; ")).collect();
    gate.send(&post(auth("logout=true")).header("Cookie", format!("{planted}{COOKIE}={token}"))).expect(200);
    gate.visit(&token).refused(401, "token_revoked");
}

// === who am I ===

#[test]
fn who_am_i_answers_the_callers_record() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    gate.register("bob");
    let token = gate.log_in("alice");
    for request in [get(auth("")).bearer(&token), get(auth("")).cookie(&token)] {
        let answer = gate.send(&request).expect(200);
        assert_eq!(answer.json(), record);
        assert_no_token(&answer);
    }
    let answer = gate.send(&get(auth("dataOnly=true")).bearer(&token)).expect(200);
    assert_eq!(answer.json(), json!({"username": "alice"}));
}

#[test]
fn who_am_i_with_head_has_no_body() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    let mut conn = gate.conn();
    let answer = conn.ask(&request("HEAD", auth("")).bearer(&token)).expect(200);
    assert!(answer.body.is_empty());
    conn.ask(&get(auth("")).bearer(&token)).expect(200);
}

// === update ===

fn update(gate: &Gate, token: &str, record: &Value, query: &str, body: &Value) -> Response {
    let id = record["uniqueId"].as_str().unwrap();
    gate.send(&put(auth(&format!("uniqueId={id}{query}"))).bearer(token).json(body))
}

#[test]
fn update_with_force_replaces_everything() {
    let (_app, gate) = gate();
    let body = json!({"username": "alice", "password": PASSWORD, "age": 7, "city": "Berne"});
    let record = gate.send(&post(auth("")).json(&body)).expect(200).json();
    let token = gate.log_in("alice");
    for query in ["", "&strategy=force"] {
        let body = json!({"username": "alice", "password": PASSWORD, "age": "seven"});
        let changed = update(&gate, &token, &record, query, &body).expect(200);
        assert_no_token(&changed);
        let changed = changed.json();
        assert_record(&changed);
        assert_eq!(changed["data"], json!({"username": "alice", "age": "seven"}));
        assert_eq!(changed["uniqueId"], record["uniqueId"]);
        assert_eq!(changed["createdAt"], record["createdAt"]);
        assert!(changed["updatedAt"].as_str() >= record["updatedAt"].as_str());
    }
    let body = json!({"username": "alice", "password": PASSWORD});
    assert_eq!(
        update(&gate, &token, &record, "&dataOnly=true", &body).expect(200).json(),
        json!({"username": "alice"})
    );
}

#[test]
fn update_with_force_needs_name_and_password() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let token = gate.log_in("alice");
    for (body, reason) in [
        (json!({"username": "alice"}), "password_missing"),
        (json!({"password": PASSWORD}), "login_name"),
        (json!({"username": "alice", "email": "a@example.com", "password": PASSWORD}), "login_name"),
        (json!({"username": 1, "password": PASSWORD}), "login_name"),
        (json!({"username": "alice", "password": ""}), "password_missing"),
        (json!({"username": "alice", "password": 1}), "password_missing"),
        (json!({"username": " alice", "password": PASSWORD}), "name_invalid"),
    ] {
        update(&gate, &token, &record, "", &body).refused(400, reason);
    }
    assert_eq!(gate.who(&token).expect(200).json(), record, "nothing changed");
}

#[test]
fn update_with_merge_is_a_merge_patch() {
    let (_app, gate) = gate();
    let body = json!({"username": "alice", "password": PASSWORD, "a": {"b": 1, "c": 2}, "d": 3});
    let record = gate.send(&post(auth("")).json(&body)).expect(200).json();
    let token = gate.log_in("alice");
    let patch = json!({"a": {"b": null, "e": 4}, "d": null, "f": [1]});
    let changed = update(&gate, &token, &record, "&strategy=merge", &patch).expect(200).json();
    assert_eq!(changed["data"], json!({"username": "alice", "a": {"c": 2, "e": 4}, "f": [1]}));
    gate.log_in("alice");
    update(&gate, &token, &record, "&strategy=merge", &json!({"username": null})).refused(400, "login_name");
    gate.who(&token).expect(200);
}

#[test]
fn update_with_replace_keeps_the_types() {
    let (_app, gate) = gate();
    let body = json!({"username": "alice", "password": PASSWORD, "age": 7, "tags": []});
    let record = gate.send(&post(auth("")).json(&body)).expect(200).json();
    let token = gate.log_in("alice");
    let body = json!({"username": "alice", "password": PASSWORD, "age": 8, "tags": ["x"], "new": true});
    let changed = update(&gate, &token, &record, "&strategy=replace", &body).expect(200).json();
    assert_eq!(changed["data"], json!({"username": "alice", "age": 8, "tags": ["x"], "new": true}));
    let body = json!({"username": "alice", "password": PASSWORD, "age": "8", "tags": [], "new": true});
    update(&gate, &token, &record, "&strategy=replace", &body).refused(400, "type_mismatch");
    assert_eq!(gate.who(&token).expect(200).json(), changed);
}

#[test]
fn update_with_another_strategy_is_400() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let token = gate.log_in("alice");
    for strategy in ["patch", "", "Force", "merge&strategy=merge"] {
        let answer = update(&gate, &token, &record, &format!("&strategy={strategy}"), &credentials("alice"));
        assert_eq!(answer.status, 400, "{strategy}: {}", answer.text());
    }
}

#[test]
fn update_with_a_new_password_ends_every_other_session() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let (mine, other) = (gate.log_in("alice"), gate.log_in("alice"));
    let body = json!({"username": "alice", "password": "a new one, quite long"});
    update(&gate, &mine, &record, "", &body).expect(200);
    gate.visit(&mine).expect(200);
    gate.visit(&other).refused(401, "token_revoked");
    gate.try_log_in("alice", PASSWORD).refused(401, "credentials_invalid");
    gate.log_in_with("alice", "a new one, quite long");
}

#[test]
fn update_without_a_new_password_ends_nothing() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let (mine, other) = (gate.log_in("alice"), gate.log_in("alice"));
    update(&gate, &mine, &record, "&strategy=merge", &json!({"age": 8})).expect(200);
    gate.visit(&mine).expect(200);
    gate.visit(&other).expect(200);
}

#[test]
fn update_can_rename_but_not_to_another_users_name() {
    let app = App::start();
    let gate = Conf::new(&app).realm("rename", "\"self\"").start();
    let record = gate.register("alice");
    gate.register("bob");
    let token = gate.log_in("alice");
    update(&gate, &token, &record, "", &credentials("BOB")).refused(400, "user_exists");
    update(&gate, &token, &record, "", &credentials("carol")).expect(200);
    gate.try_log_in("alice", PASSWORD).refused(401, "credentials_invalid");
    gate.log_in("carol");
    // Not for others as long as a session carries it: an application that goes by X-Auth-Username would take one for
    // the other.
    gate.try_register("alice").refused(400, "user_exists");
    update(&gate, &token, &record, "", &credentials("alice")).expect(200);
    update(&gate, &token, &record, "", &credentials("carol")).expect(200);
    gate.send(&delete(auth(&format!("uniqueId={}", record["uniqueId"].as_str().unwrap()))).bearer(&token)).expect(200);
    gate.register("alice");
    gate.register("carol");
}

#[test]
fn r60_update_changes_no_name_where_the_operator_gives_them() {
    let (app, gate) = gate();
    let record = gate.register("alice");
    gate.register("bob");
    let token = gate.log_in("alice");
    for strategy in ["", "&strategy=force", "&strategy=replace", "&strategy=merge"] {
        for name in ["admin", "BOB", "Alice", "\u{430}dmin"] {
            update(&gate, &token, &record, strategy, &credentials(name)).refused(403, "rename_forbidden");
        }
        let email = json!({"email": "ceo@corp.example", "password": PASSWORD});
        update(&gate, &token, &record, strategy, &email).refused(403, "rename_forbidden");
        update(&gate, &token, &record, strategy, &credentials("alice")).expect(200);
    }
    gate.visit(&gate.log_in("alice")).expect(200);
    assert_eq!(app.only().header("x-auth-username").as_deref(), Some("alice"));
}

#[test]
fn r60_r61_renames_are_registrations_by_another_name() {
    let app = App::start();
    let gate = Conf::new(&app).realm("rename", "\"self\"").realm("registrations_per_hour", "6").start();
    let record = gate.register("alice");
    gate.register("bob");
    let token = gate.log_in("alice");
    gate.try_register("\u{430}lice").refused(400, "user_exists");
    update(&gate, &token, &record, "&strategy=merge", &json!({"username": "B0B"})).refused(400, "user_exists");
    update(&gate, &token, &record, "&strategy=merge", &json!({"username": "Alice L."})).expect(200);
    update(&gate, &token, &record, "&strategy=merge", &json!({"username": "alice"})).expect(200);
    for answer in [
        update(&gate, &token, &record, "&strategy=merge", &json!({"username": "bob"})),
        update(&gate, &token, &record, "&strategy=merge", &json!({"username": "nobody"})),
        gate.try_register("bob"),
        gate.try_register("nobody"),
    ] {
        let wait = answer.refused(429, "rate_limited").header("retry-after").map(|wait| wait.parse::<u32>().unwrap());
        assert!(wait.is_some_and(|wait| (500..=600).contains(&wait)), "{wait:?}");
    }
    update(&gate, &token, &record, "&strategy=merge", &json!({"username": "alice", "age": 8})).expect(200);
    assert_eq!(gate.try_log_in("bob", PASSWORD).status, 200, "logins are another matter");
}

#[test]
fn r66_a_password_that_is_chosen_is_none_that_others_guess() {
    let app = App::start();
    let gate = Conf::new(&app).realm("password_min", "10").start();
    let record = gate.register("wilhelmina");
    let token = gate.log_in("wilhelmina");
    let long = "x y".repeat(100);
    for (password, reason) in [
        ("", "password_missing"),
        ("nine char", "password_too_short"),
        (&long, "password_too_long"),
        ("QWERTYUIOP", "password_common"),
        ("Wilhelmina", "password_is_name"),
        ("wilhelmina1", "password_is_name"),
        ("examples-2027", "password_is_name"),
    ] {
        let body = json!({"username": "wilhelmina", "password": password});
        gate.send(&post(auth("")).json(&body)).refused(400, reason);
        update(&gate, &token, &record, "", &body).refused(400, reason);
        update(&gate, &token, &record, "&strategy=merge", &body).refused(400, reason);
    }
    gate.log_in("wilhelmina");
}

#[test]
fn update_and_delete_only_the_own_record() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    gate.register("bob");
    let bob = gate.log_in("bob");
    let id = record["uniqueId"].as_str().unwrap();
    let unknown = "0123456789abcdef0123456789abcdef";
    for id in [id, unknown, "x"] {
        gate.send(&put(auth(&format!("uniqueId={id}"))).bearer(&bob).json(&credentials("bob")))
            .refused(403, "not_owner");
        gate.send(&delete(auth(&format!("uniqueId={id}"))).bearer(&bob)).refused(403, "not_owner");
    }
    for query in ["", "uniqueId="] {
        gate.send(&put(auth(query)).bearer(&bob).json(&credentials("bob"))).refused(400, "record_unknown");
        gate.send(&delete(auth(query)).bearer(&bob)).refused(400, "record_unknown");
    }
    gate.log_in("alice");
    gate.log_in("bob");
}

#[test]
fn update_does_not_let_a_user_give_itself_roles() {
    let (_app, gate) = gate();
    let body = json!({"username": "alice", "password": PASSWORD, "roles": ["admin"]});
    let record = gate.send(&post(auth("")).json(&body)).expect(200).json();
    let token = gate.log_in("alice");
    update(&gate, &token, &record, "", &body).expect(200);
    let token = gate.log_in("alice");
    assert!(claims(&token).get("roles").is_none_or(|roles| roles == &json!([])));
    gate.send(&get("/admin/x").key().bearer(&token)).refused(403, "role_missing");
}

// === delete ===

#[test]
fn delete_ends_the_user_and_every_session() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let (mine, other) = (gate.log_in("alice"), gate.log_in("alice"));
    let id = record["uniqueId"].as_str().unwrap();
    let answer = gate.send(&delete(auth(&format!("uniqueId={id}"))).cookie(&mine)).expect(200);
    assert_eq!(answer.json(), record);
    assert_eq!(answer.set_cookie(COOKIE).expect("the cleared cookie").0, "");
    for token in [&mine, &other] {
        assert_eq!(gate.visit(token).status, 401);
        let answer = gate.who(token).expect(401);
        assert!(["token_revoked", "user_gone"].contains(&answer.reason().as_str()), "{}", answer.text());
    }
    gate.try_log_in("alice", PASSWORD).refused(401, "credentials_invalid");
    let again = gate.register("alice");
    assert_ne!(again["uniqueId"], record["uniqueId"], "an id is never used again");
}

#[test]
fn delete_with_data_only_answers_the_data() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let token = gate.log_in("alice");
    let id = record["uniqueId"].as_str().unwrap();
    let answer = gate.send(&delete(auth(&format!("uniqueId={id}&dataOnly=true"))).bearer(&token)).expect(200);
    assert_eq!(answer.json(), json!({"username": "alice"}));
}

// === flags ===

#[test]
fn flags_of_post_are_405_elsewhere() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    let id = gate.who(&token).expect(200).json()["uniqueId"].as_str().unwrap().to_owned();
    for flag in ["login=true", "logout=true"] {
        let target = auth(&format!("uniqueId={id}&{flag}"));
        for request in [
            get(auth(flag)),
            get(target.clone()).bearer(&token),
            get(target.clone()).cookie(&token),
            put(target.clone()).bearer(&token).json(&credentials("alice")),
            delete(target).bearer(&token),
        ] {
            let answer = gate.send(&request).refused(405, "method_not_allowed");
            assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
            assert_no_token(&answer);
        }
    }
    gate.visit(&token).expect(200);
}

#[test]
fn flags_count_only_once_and_with_the_value_true() {
    let (_app, gate) = gate();
    gate.register("alice");
    for flag in ["login", "logout", "dataOnly", "noATCookie"] {
        for value in ["=false", "=1", "=", "", "=TRUE", "=True", "=true%20", &format!("=true&{flag}=true")] {
            let login = if matches!(flag, "login" | "logout") { "" } else { "login=true&" };
            let answer = gate.send(&post(auth(&format!("{login}{flag}{value}"))).json(&credentials("alice")));
            assert_eq!((answer.status, answer.reason().as_str()), (400, "flag_invalid"), "{flag}{value}");
            assert_no_token(&answer);
        }
    }
    let token = gate.log_in("alice");
    gate.send(&get(auth("dataOnly=1")).bearer(&token)).refused(400, "flag_invalid");
}

#[test]
fn flags_login_and_logout_exclude_each_other() {
    let (_app, gate) = gate();
    gate.register("alice");
    gate.send(&post(auth("login=true&logout=true")).json(&credentials("alice"))).refused(400, "flag_invalid");
}

#[test]
fn query_members_that_nobody_knows_are_ignored() {
    let (_app, gate) = gate();
    gate.register("alice");
    gate.send(&post(auth("login=true&utm=x&Login=false&jsonata=$")).json(&credentials("alice"))).expect(200);
}

// === master key ===

#[test]
fn master_key_stands_in_for_the_token() {
    let (_app, gate) = gate();
    let (alice, bob) = (gate.register("alice"), gate.register("bob"));
    let id = alice["uniqueId"].as_str().unwrap();
    let master = format!("masterKey={MASTER}");
    let all = gate.send(&get(auth(&master))).expect(200).json();
    let mut names: Vec<_> = all.as_array().unwrap().iter().map(|record| record["data"]["username"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["alice", "bob"]);
    let one = gate.send(&get(auth(&format!("{master}&uniqueId={id}")))).expect(200).json();
    assert_eq!(one, alice);
    gate.send(&get(auth(&format!("{master}&uniqueId=0123456789abcdef0123456789abcdef"))))
        .refused(400, "record_unknown");

    let token = gate.log_in("alice");
    let body = json!({"username": "alice", "password": "set by the operator"});
    gate.send(&put(auth(&format!("{master}&uniqueId={id}"))).json(&body)).expect(200);
    gate.visit(&token).refused(401, "token_revoked");
    gate.log_in_with("alice", "set by the operator");
    gate.send(&put(auth(&master)).json(&body)).refused(400, "record_unknown");

    gate.send(&delete(auth(&master))).refused(400, "record_unknown");
    gate.send(&delete(auth(&format!("{master}&uniqueId={id}")))).expect(200);
    let left = gate.send(&get(auth(&master))).expect(200).json();
    assert_eq!(left, json!([bob]));
}

#[test]
fn master_key_lifts_the_origin_rules_only_if_it_is_right() {
    let app = App::start();
    let gate = Conf::new(&app).realm("require_origin", "true").start();
    let master = format!("masterKey={MASTER}");
    gate.send(&get(auth(&master))).expect(200);
    gate.send(&get(auth(&master)).origin(FOREIGN)).expect(200);
    gate.send(&get(auth("masterKey=wrong")).origin(FOREIGN)).refused(403, "origin_denied");
    gate.send(&get(auth("masterKey=wrong"))).refused(403, "origin_missing");
    gate.send(&get(auth("masterKey=wrong")).origin(ORIGIN)).refused(401, "master_key_unknown");
    // It is not for registration and login: there the rules stay.
    gate.send(&post(auth(&master)).origin(FOREIGN).json(&credentials("alice"))).refused(403, "origin_denied");
}

#[test]
fn master_key_that_is_wrong_never_falls_back_to_the_token() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    for wrong in ["masterKey=wrong", "masterKey=", &format!("masterKey={MASTER}x"), &format!("masterKey={KEY}")] {
        gate.send(&get(auth(wrong)).bearer(&token)).refused(401, "master_key_unknown");
    }
}

#[test]
fn master_key_does_not_replace_the_api_key() {
    let (_app, gate) = gate();
    gate.send(&get(format!("{AUTH}?masterKey={MASTER}"))).refused(403, "key_missing");
    gate.send(&get(format!("{AUTH}?key={MASTER}"))).refused(400, "key_unknown");
}

#[test]
fn master_key_opens_nothing_where_none_is_configured() {
    let app = App::start();
    let gate = Conf::new(&app).realm_tables(&format!("[[realm.key]]\nid = \"web\"\nsecret = \"{KEY}\"\n")).start();
    for master in [MASTER, ""] {
        gate.send(&get(auth(&format!("masterKey={master}")))).refused(401, "token_missing");
    }
}

#[test]
fn master_key_opens_no_route() {
    let (app, gate) = gate();
    gate.send(&get(format!("/app/x?key={KEY}&masterKey={MASTER}"))).refused(401, "token_missing");
    app.saw_nothing();
}

// === statuses ===

#[test]
fn status_403_api_key_missing() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    for (method, query) in
        [("POST", ""), ("POST", "?login=true"), ("POST", "?logout=true"), ("GET", ""), ("PUT", ""), ("DELETE", "")]
    {
        gate.send(&request(method, format!("{AUTH}{query}")).bearer(&token).json(&credentials("alice")))
            .refused(403, "key_missing");
    }
    gate.visit(&token).expect(200);
}

#[test]
fn status_400_api_key_wrong_expired_or_disabled() {
    let (_app, gate) = gate();
    for (key, reason) in [
        ("wrong", "key_unknown"),
        (&KEY[1..], "key_unknown"),
        (&KEY.to_uppercase(), "key_unknown"),
        (&sha256_hex(EXPIRED_KEY), "key_unknown"),
        (EXPIRED_KEY, "key_expired"),
        (DISABLED_KEY, "key_disabled"),
    ] {
        for query in ["", "&login=true", "&logout=true"] {
            gate.send(&post(format!("{AUTH}?key={key}{query}")).json(&credentials("alice"))).refused(400, reason);
        }
        gate.send(&get(AUTH).header("X-API-Key", key)).refused(400, reason);
    }
    let empty = gate.send(&get(format!("{AUTH}?key=")));
    assert!(matches!(empty.status, 400 | 403), "{}", empty.text());
}

#[test]
fn status_400_endpoint_unknown() {
    let (app, gate) = gate();
    gate.send(&get(format!("{AUTH}/nope?key={KEY}"))).refused(400, "endpoint_unknown");
    gate.send(&post(format!("{AUTH}/nope/deeper?key={KEY}&login=true")).json(&credentials("alice")))
        .refused(400, "endpoint_unknown");
    gate.send(&get(format!("{AUTH}/nope"))).refused(403, "key_missing");
    gate.send(&get(format!("{AUTH}/nope?key=wrong"))).refused(400, "key_unknown");
    gate.send(&get(format!("{AUTH}x?key={KEY}"))).refused(404, "route_not_found");
    app.saw_nothing();
}

#[test]
fn status_403_origin_not_allowed_or_missing() {
    let app = App::start();
    let gate = Conf::new(&app).realm("require_origin", "true").start();
    for request in [post(auth("")), post(auth("login=true")), post(auth("logout=true"))] {
        let request = request.json(&credentials("alice"));
        gate.send(&request.clone().origin(FOREIGN)).refused(403, "origin_denied");
        gate.send(&request.clone()).refused(403, "origin_missing");
        gate.send(&request.origin(ORIGIN)).expect(200);
    }
    gate.send(&get(auth("")).origin(FOREIGN)).refused(403, "origin_denied");
    gate.send(&get(auth(""))).refused(403, "origin_missing");
}

#[test]
fn status_400_content_type() {
    let (_app, gate) = gate();
    let body = credentials("alice").to_string();
    for query in ["", "login=true"] {
        for bad in [
            "text/plain",
            "application/jsonx",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "json",
            "",
            "*/*",
            "application/json, text/plain",
        ] {
            gate.send(&post(auth(query)).header("Content-Type", bad).body(&body)).refused(400, "content_type");
        }
        gate.send(&post(auth(query)).body(&body)).refused(400, "content_type");
        let two = post(auth(query)).header("Content-Type", "application/json").header("Content-Type", "text/plain");
        assert_eq!(gate.send(&two.body(&body)).status, 400);
    }
    for good in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=UTF-8"] {
        gate.send(&post(auth("")).header("Content-Type", good).body(&body)).expect(200);
        let token = gate.log_in("alice");
        let id = claims(&token)["sub"].as_str().unwrap().to_owned();
        gate.send(&delete(auth(&format!("uniqueId={id}"))).bearer(&token)).expect(200);
    }
    let token = gate.user("bob");
    gate.send(&put(auth("uniqueId=x")).bearer(&token).header("Content-Type", "text/plain").body(&body)).expect(400);
}

#[test]
fn status_400_body_is_not_one_json_object() {
    let (_app, gate) = gate();
    let twice = format!(r#"{{"username":"alice","password":"{PASSWORD}","username":"bob"}}"#);
    let nested = format!(r#"{{"username":"alice","password":"{PASSWORD}","a":{{"b":1,"b":2}}}}"#);
    let escaped = format!(r#"{{"username":"alice","password":"{PASSWORD}","\u0070assword":"other"}}"#);
    let trailing = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}x"#);
    let two = format!(r#"{{"username":"alice","password":"{PASSWORD}"}}{{}}"#);
    let deep =
        format!(r#"{{"username":"alice","password":"{PASSWORD}","a":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    let bodies: Vec<&[u8]> = vec![
        b"",
        b" ",
        b"[]",
        b"null",
        b"\"x\"",
        b"1",
        b"true",
        b"{",
        b"}",
        b"{\"username\"",
        b"{'username':'a'}",
        b"username=alice&password=x",
        b"\xff\xfe",
        b"{\"username\":\"\xff\",\"password\":\"x\"}",
        b"\xef\xbb\xbf{\"username\":\"alice\",\"password\":\"xxxxxxxxxxxx\"}",
        b"{\"username\":\"\\ud800\",\"password\":\"x\"}",
        b"{\"username\":NaN}",
        twice.as_bytes(),
        nested.as_bytes(),
        escaped.as_bytes(),
        trailing.as_bytes(),
        two.as_bytes(),
        deep.as_bytes(),
    ];
    for query in ["", "login=true"] {
        for body in &bodies {
            let answer = gate.send(&post(auth(query)).header("Content-Type", "application/json").body(body));
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            assert_eq!((answer.status, answer.reason().as_str()), (400, "body_invalid"), "{query} {shown}");
        }
    }
    let all = gate.send(&get(auth(&format!("masterKey={MASTER}")))).expect(200).json();
    assert_eq!(all, json!([]), "nobody was made");
}

#[test]
fn status_400_name_or_password_absent_or_not_strings() {
    let (_app, gate) = gate();
    for query in ["", "login=true"] {
        for (body, reason) in [
            (json!({}), ""),
            (json!({"password": PASSWORD}), "login_name"),
            (json!({"username": "", "password": PASSWORD}), "login_name"),
            (json!({"username": 7, "password": PASSWORD}), "login_name"),
            (json!({"username": null, "password": PASSWORD}), "login_name"),
            (json!({"username": ["alice"], "password": PASSWORD}), "login_name"),
            (json!({"email": {"a": 1}, "password": PASSWORD}), "login_name"),
            (json!({"username": "alice", "email": 7, "password": PASSWORD}), "login_name"),
            (json!({"username": "alice", "email": "alice@example.com", "password": PASSWORD}), "login_name"),
            (json!({"username": "alice"}), "password_missing"),
            (json!({"username": "alice", "password": ""}), "password_missing"),
            (json!({"username": "alice", "password": 7}), "password_missing"),
            (json!({"username": "alice", "password": null}), "password_missing"),
            (json!({"username": "alice", "password": [PASSWORD]}), "password_missing"),
        ] {
            let answer = gate.send(&post(auth(query)).json(&body)).expect(400);
            assert!(reason.is_empty() || answer.reason() == reason, "{query} {body}: {}", answer.text());
        }
    }
    gate.try_log_in("alice", PASSWORD).refused(401, "credentials_invalid");
}

#[test]
fn status_401_on_the_others() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let id = record["uniqueId"].as_str().unwrap();
    let jwk = Jwk::of(&gate);
    let token = gate.log_in("alice");
    let mut expired = claims(&token);
    for (name, value) in [("iat", now() - 100), ("nbf", now() - 100), ("exp", now() - 50)] {
        expired[name] = value.into();
    }
    let mut stranger = claims(&token);
    stranger["sub"] = "0123456789abcdef0123456789abcdef".into();
    let revoked = gate.log_in("alice");
    gate.send(&post(auth("logout=true")).bearer(&revoked)).expect(200);
    let with = |token: &str| {
        vec![
            get(auth("")).bearer(token),
            put(auth(&format!("uniqueId={id}"))).bearer(token).json(&credentials("alice")),
            delete(auth(&format!("uniqueId={id}"))).bearer(token),
        ]
    };
    for (token, reason) in [
        ("garbage".to_owned(), "token_malformed"),
        (jwk.token(&expired), "token_expired"),
        (revoked, "token_revoked"),
        (jwk.token(&stranger), "user_gone"),
    ] {
        for request in with(&token) {
            let answer = gate.send(&request).refused(401, reason);
            let challenge = answer.header("www-authenticate").expect("a challenge");
            assert_eq!(challenge, "Bearer realm=\"examples\", error=\"invalid_token\"");
        }
    }
    for request in [
        get(auth("")),
        put(auth(&format!("uniqueId={id}"))).json(&credentials("alice")),
        delete(auth(&format!("uniqueId={id}"))),
    ] {
        let answer = gate.send(&request).refused(401, "token_missing");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"examples\""));
    }
    assert_eq!(gate.who(&token).expect(200).json(), record, "nothing changed");
}

#[test]
fn status_401_of_a_disabled_user() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    tollgate(&["user", "disable", "-c", &gate.config_arg(), "--realm", "examples", "alice"], "").ok();
    let answer = gate.who(&token).expect(401);
    assert!(["user_gone", "token_revoked"].contains(&answer.reason().as_str()), "{}", answer.text());
}

#[test]
fn status_order_key_then_endpoint_then_origin_then_body_then_credentials() {
    let app = App::start();
    let gate = Conf::new(&app).realm("require_origin", "true").start();
    let broken = |request: Request| request.header("Content-Type", "text/plain").body("{");
    // Everything is wrong at once; what is wrong first is put right, row by row.
    let missing = broken(post(format!("{AUTH}/nope?login=true")).origin(FOREIGN));
    gate.send(&missing).refused(403, "key_missing");
    let wrong = broken(post(format!("{AUTH}/nope?key=wrong&login=true")).origin(FOREIGN));
    gate.send(&wrong).refused(400, "key_unknown");
    let expired = broken(post(format!("{AUTH}?key={EXPIRED_KEY}&login=true")).origin(FOREIGN));
    gate.send(&expired).refused(400, "key_expired");
    let endpoint = broken(post(format!("{AUTH}/nope?key={KEY}&login=true")).origin(FOREIGN));
    gate.send(&endpoint).refused(400, "endpoint_unknown");
    let origin = broken(post(auth("login=true")).origin(FOREIGN));
    gate.send(&origin).refused(403, "origin_denied");
    let no_origin = broken(post(auth("login=true")));
    gate.send(&no_origin).refused(403, "origin_missing");
    let content_type = broken(post(auth("login=true")).origin(ORIGIN));
    gate.send(&content_type).refused(400, "content_type");
    let body = post(auth("login=true")).origin(ORIGIN).header("Content-Type", "application/json").body("{");
    gate.send(&body).refused(400, "body_invalid");
    let name = post(auth("login=true")).origin(ORIGIN).json(&json!({"password": "wrong"}));
    gate.send(&name).refused(400, "login_name");
    let credentials = post(auth("login=true")).origin(ORIGIN).json(&json!({"username": "alice", "password": "wrong"}));
    gate.send(&credentials).refused(401, "credentials_invalid");
    // The same for what needs a token.
    gate.send(&get(format!("{AUTH}?key=wrong")).origin(FOREIGN).bearer("garbage")).refused(400, "key_unknown");
    gate.send(&get(auth("")).origin(FOREIGN).bearer("garbage")).refused(403, "origin_denied");
    gate.send(&get(auth("")).origin(ORIGIN).bearer("garbage")).refused(401, "token_malformed");
    app.saw_nothing();
}

#[test]
fn status_405_for_other_methods_says_which_are_allowed() {
    let (app, gate) = gate();
    for method in ["PATCH", "TRACE", "FOO", "OPTIONS"] {
        let answer = gate.send(&request(method, auth(""))).refused(405, "method_not_allowed");
        let mut allowed = answer.list("allow");
        allowed.sort();
        for needed in ["delete", "get", "head", "post", "put"] {
            assert!(allowed.iter().any(|method| method == needed), "{allowed:?}");
        }
    }
    app.saw_nothing();
}

#[test]
fn status_413_for_a_body_over_64_kib_and_none_at_64() {
    let (_app, gate) = gate();
    let body = |size: usize| {
        let empty = json!({"username": "alice", "password": PASSWORD, "x": ""}).to_string().len();
        json!({"username": "alice", "password": PASSWORD, "x": "y".repeat(size - empty)})
    };
    gate.send(&post(auth("")).json(&body((64 << 10) + 1))).refused(413, "body_too_large");
    let chunked = body((64 << 10) + 1).to_string().into_bytes();
    let request = post(auth("")).header("Content-Type", "application/json").chunks(&[&chunked[..100], &chunked[100..]]);
    gate.send(&request).refused(413, "body_too_large");
    gate.send(&post(auth("")).json(&body(64 << 10))).expect(200);
}

#[test]
fn bodies_may_be_chunked() {
    let (_app, gate) = gate();
    let body = credentials("alice").to_string().into_bytes();
    let request = post(auth("")).header("Content-Type", "application/json").chunks(&[&body[..5], &body[5..]]);
    gate.send(&request).expect(200);
    gate.log_in("alice");
}

#[test]
fn the_api_key_may_come_in_the_header() {
    let (_app, gate) = gate();
    gate.send(&post(AUTH).key().json(&credentials("alice"))).expect(200);
    gate.send(&post(format!("{AUTH}?login=true")).key().json(&credentials("alice"))).expect(200);
}

#[test]
fn realms_do_not_share_users_keys_or_tokens() {
    let app = App::start();
    let other = "f00df00df00df00df00df00df00df00d";
    let gate = Conf::new(&app)
        .more(&format!(
            "[[realm]]\nname = \"second\"\nissuer = \"https://gate.example.com\"\ncookie = \"second\"\n\
             registration = \"open\"\nrequire_key = true\n[[realm.key]]\nid = \"k\"\nsecret = \"{other}\"\n\
             [[login]]\ndialect = \"project\"\npath = \"/second\"\nrealm = \"second\"\n\
             [[route]]\npath = \"/two\"\nrealm = \"second\"\naccess = \"user\"\nupstream = [\"{}\"]\n",
            app.url()
        ))
        .start();
    let token = gate.user("alice");
    gate.send(&post(format!("/second?key={KEY}&login=true")).json(&credentials("alice"))).refused(400, "key_unknown");
    let login = post(format!("/second?key={other}&login=true")).json(&credentials("alice"));
    gate.send(&login).refused(401, "credentials_invalid");
    gate.send(&post(format!("/second?key={other}")).json(&credentials("alice"))).expect(200);
    // Another realm's token was signed with another key.
    gate.send(&get(format!("/two/x?key={other}")).bearer(&token)).expect(401);
    gate.send(&get(format!("/second?key={other}")).bearer(&token)).expect(401);
    app.saw_nothing();
}
