//! Required attributes of a user, and logins of a user that changes meanwhile.

use std::time::Duration;

use super::*;

#[test]
fn licence_and_profile_must_say_something() {
    let exchange = Exchange::start();
    let (good, mut users, mut expected) = (json!("pro"), Vec::new(), Vec::new());
    let none =
        [json!(""), json!(" "), json!("\t\n\u{a0}\u{2003}"), json!(null), json!(false), json!(0), json!([]), json!({})];
    let some = [json!("pro"), json!("x"), json!(" x "), json!(true), json!(1), json!({"seats": 3}), json!(["a"])];
    let mut add = |data: Value, message: Option<&'static str>| {
        let email = email(&format!("user{}", users.len()));
        users.push(person_with(&email, &data));
        expected.push((email, data, message));
    };
    add(json!({}), Some(LICENCE));
    add(json!({"licence": good}), Some(PROFILE));
    add(json!({"profile": good}), Some(LICENCE));
    add(json!({"License": good, "Licence": good, "profile": good}), Some(LICENCE));
    add(json!({"data": {"licence": good, "profile": good}}), Some(LICENCE));
    for nothing in &none {
        add(json!({"licence": nothing, "profile": good}), Some(LICENCE));
        add(json!({"licence": good, "profile": nothing}), Some(PROFILE));
        // Of two that are missing, the licence is told.
        add(json!({"profile": nothing, "licence": nothing}), Some(LICENCE));
    }
    for something in &some {
        add(json!({"licence": something, "profile": something}), None);
    }
    exchange.import(&users);
    for (email, data, message) in &expected {
        eprintln!("{data}");
        let answer = exchange.ask(&machine(), email);
        match message {
            Some(message) => says(&answer, 403, message),
            None => drop(token_of(&answer)),
        }
    }
}

#[test]
fn what_is_required_can_be_less() {
    for (keys, licence, profile) in [
        ("required_attributes = []", None, None),
        ("required_attributes = [\"profile\"]", None, Some(PROFILE)),
        ("required_attributes = [\"licence\"]", Some(LICENCE), None),
        ("required_attributes = [\"profile\", \"licence\"]", Some(LICENCE), Some(PROFILE)),
    ] {
        let exchange = Exchange::with(keys);
        exchange.import(&[
            person_with("profile@example.com", &json!({"profile": "main"})),
            person_with("licence@example.com", &json!({"licence": "pro"})),
        ]);
        for (email, message) in [("profile@example.com", licence), ("licence@example.com", profile)] {
            eprintln!("{keys}: {email}");
            match message {
                Some(message) => says(&exchange.ask(&machine(), email), 403, message),
                None => drop(exchange.log_in(email)),
            }
        }
    }
}

#[test]
fn the_attributes_of_the_command_line_are_the_same() {
    let exchange = Exchange::start();
    let config = exchange.gate.config_arg();
    let add = |email: &str, attributes: &[&str]| {
        let name = email.split('@').next().unwrap();
        let mut words = vec!["user", "add", "-c", &config, "--realm", "examples", "--email", email, name];
        attributes.iter().for_each(|attribute| words.extend(["--attribute", attribute]));
        tollgate(&words, &format!("{PASSWORD}\n")).ok();
    };
    add("all@example.com", &["licence=pro", "profile=main"]);
    add("empty@example.com", &["licence=", "profile=main"]);
    add("half@example.com", &["licence=pro"]);
    token_of(&exchange.ask(&machine(), "all@example.com"));
    says(&exchange.ask(&machine(), "empty@example.com"), 403, LICENCE);
    says(&exchange.ask(&machine(), "half@example.com"), 403, PROFILE);
}

#[test]
fn r45_a_disabled_user_is_no_user() {
    let exchange = Exchange::with_user("");
    let nobody = exchange.ask(&machine(), "nobody@example.com");
    exchange.tell("disable", "user@example.com");
    let answer = exchange.ask(&machine(), "user@example.com");
    says(&answer, 403, USERNAME);
    assert_eq!(answer.body, nobody.body);
    // Not even that something is missing.
    exchange.import(&[edited(person_with("bare@example.com", &json!({})), &json!({"disabled": true}))]);
    says(&exchange.ask(&machine(), "bare@example.com"), 403, USERNAME);
    exchange.tell("enable", "user@example.com");
    exchange.log_in("user@example.com");
}

#[test]
fn r45_disabled_or_deleted_between_the_login_and_the_callback() {
    for (command, by_browser) in [("disable", true), ("disable", false), ("delete", true), ("delete", false)] {
        let exchange = Exchange::with_user("");
        let token = exchange.callback_token("user@example.com");
        exchange.tell(command, "user@example.com");
        let answer = if by_browser { exchange.visit_callback(&token) } else { exchange.redeem(&token) };
        says(&answer, 401, UNAUTHORIZED);
    }
}

/// A revocation takes back the way to a session as it does the sessions.
#[test]
fn r45_revoked_between_the_login_and_the_callback() {
    let exchange = Exchange::with_user("");
    let tokens = [exchange.callback_token("user@example.com"), exchange.callback_token("user@example.com")];
    let session = exchange.log_in("user@example.com");
    // It is for what was issued until the second before it.
    std::thread::sleep(Duration::from_millis(1100));
    let config = exchange.gate.config_arg();
    tollgate(&["token", "revoke", "-c", &config, "--realm", "examples", "--user", "user@example.com"], "").ok();
    until_true(PATIENCE, "the session ends", || exchange.gate.send(&get("/app/x").cookie(&session)).status == 401);
    // The same reading of the store brought both.
    says(&exchange.visit_callback(&tokens[0]), 401, UNAUTHORIZED);
    says(&exchange.redeem(&tokens[1]), 401, UNAUTHORIZED);
    exchange.log_in("user@example.com");
}

#[test]
fn r45_disabled_after_the_callback() {
    let exchange = Exchange::with_user("");
    let token = exchange.log_in("user@example.com");
    exchange.gate.send(&get("/app/x").cookie(&token)).expect(200);
    exchange.tell("disable", "user@example.com");
    until_true(PATIENCE, "the session ends", || exchange.gate.send(&get("/app/x").cookie(&token)).status == 401);
}

/// The token is for the user, not for the name.
#[test]
fn renamed_between_the_login_and_the_callback() {
    let exchange = Exchange::with_user("");
    let id = exchange.id("user@example.com");
    let token = exchange.callback_token("user@example.com");
    let change = json!({"email": "new@example.com"});
    let target = auth(&format!("uniqueId={id}&strategy=merge&masterKey={MASTER}"));
    exchange.gate.send(&put(target).json(&change)).expect(200);
    // Another user takes the old name.
    exchange.user("user");
    let claims = claims(&exchange.visit_callback(&token).expect(303).set_cookie(COOKIE).unwrap().0);
    assert_eq!((claims["sub"].as_str(), claims["email"].as_str()), (Some(&*id), Some("new@example.com")));
}

#[test]
fn a_licence_that_ends_between_the_login_and_the_callback() {
    let exchange = Exchange::with_user("");
    let id = exchange.id("user@example.com");
    let tokens = [exchange.callback_token("user@example.com"), exchange.callback_token("user@example.com")];
    let without = json!({"licence": null});
    let target = auth(&format!("uniqueId={id}&strategy=merge&masterKey={MASTER}"));
    exchange.gate.send(&put(target).json(&without)).expect(200);
    says(&exchange.visit_callback(&tokens[0]), 403, LICENCE);
    says(&exchange.redeem(&tokens[1]), 403, LICENCE);
}

#[test]
fn users_of_another_realm_are_none_of_this() {
    let exchange = Exchange::of("", |conf| {
        conf.more(&format!("[[realm]]\nname = \"other\"\nissuer = \"{ISSUER}\"\nrequire_key = false\n"))
    });
    let line = person("user@example.com").to_string() + "\n";
    tollgate(&["user", "import", "-c", &exchange.gate.config_arg(), "--realm", "other"], &line).ok();
    says(&exchange.ask(&machine(), "user@example.com"), 403, USERNAME);
}

#[test]
fn what_users_say_of_themselves_is_taken_for_nothing() {
    let exchange = Exchange::of("", |conf| conf.realm("rename", "\"self\""));
    let record = |name: &str| json!({"email": email(name), "password": PASSWORD, "licence": "x", "profile": "x"});
    let register = |name: &str| exchange.gate.send(&post(auth("")).json(&record(name))).expect(200).json();
    let mallory = register("mallory");
    // The first user to register an address is not the user that the backend means.
    says(&exchange.ask(&machine(), "mallory@example.com"), 403, USERNAME);
    let name = "mallory@example.com";
    let vouch = ["user", "vouch", "-c", &exchange.gate.config_arg(), "--realm", "examples", name];
    // What for, since it may be something else by now than what the operator saw.
    assert_eq!(
        tollgate(&vouch, "").ok().stdout,
        format!("{name} vouched for, with {{\"email\":\"{name}\",\"licence\":\"x\",\"profile\":\"x\"}}\n")
    );
    exchange.log_in(name);

    let log_in = |name: &str| {
        let credentials = json!({"email": email(name), "password": PASSWORD});
        let answer = exchange.gate.send(&post(auth("login=true&noATCookie=true")).json(&credentials)).expect(200);
        answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned()
    };
    let change = |id: &Value, token: &str, change: Value| {
        let target = auth(&format!("strategy=merge&uniqueId={}", id.as_str().unwrap()));
        exchange.gate.send(&put(target).bearer(token).json(&change)).expect(200);
    };
    let (id, token) = (&mallory["uniqueId"], log_in("mallory"));
    change(id, &token, json!({"plan": "pro"}));
    exchange.log_in("mallory@example.com");
    let under_way = exchange.callback_token("mallory@example.com");
    change(id, &token, json!({"email": "victim@example.com"}));
    says(&exchange.ask(&machine(), "victim@example.com"), 403, USERNAME);
    says(&exchange.visit_callback(&under_way), 401, UNAUTHORIZED);
    exchange.tell("vouch", "victim@example.com");
    change(id, &token, json!({"licence": "gold"}));
    says(&exchange.ask(&machine(), "victim@example.com"), 403, USERNAME);

    // The master key can write any data, but does not verify it.
    let eve = register("eve");
    let target = auth(&format!("strategy=merge&uniqueId={}&masterKey={MASTER}", eve["uniqueId"].as_str().unwrap()));
    exchange.gate.send(&put(target).json(&json!({"licence": "pro"}))).expect(200);
    says(&exchange.ask(&machine(), "eve@example.com"), 403, USERNAME);
}
