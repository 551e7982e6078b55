//! `POST /Login`: its paths, names and tenants, the shapes of its answers, and what tells nothing.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

#[test]
fn the_answer_has_every_member_that_cognitos_has() {
    let (app, gate) = gate();
    gate.register("alice");
    let answer = gate.send(&log_in("alice"));
    assert!(answer.all("set-cookie").is_empty() && answer.header("authorization").is_none(), "{:?}", answer.headers);
    let body = answer.json();
    let tokens = Tokens::of(answer);
    assert_eq!(body["cognitoToken"]["AuthenticationResult"]["ExpiresIn"], 3600);
    gate.visit(&tokens.access).expect(200);
    // The same again after a refresh.
    let answer = gate.send(&refresh(&tokens.refresh));
    assert_eq!(answer.json()["cognitoToken"]["AuthenticationResult"]["ExpiresIn"], 3600);
    Tokens::of(answer);
    assert_eq!(app.seen().len(), 1, "none of it is the app's");
}

#[test]
fn the_flat_answer_has_every_member_that_oloids_has() {
    let app = App::start();
    let gate = conf(&app, "shape = \"flat\"\naccess_ttl = \"10m\"").start();
    let record = gate.register("alice");
    let mut token = String::new();
    for name in ["login", "refresh"] {
        let request = if name == "login" { log_in_at("examples", "alice", PASSWORD) } else { refresh(&token) };
        let answer = gate.send(&request).expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let body = answer.json();
        assert_eq!(members(&body), ["cognitoToken", "user"]);
        assert_eq!(members(&body["cognitoToken"]), ["AccessToken", "ExpiresIn", "IdToken", "RefreshToken"]);
        assert_eq!(body["cognitoToken"]["ExpiresIn"], 600);
        assert_eq!(
            body["user"],
            json!({"OloID": record["uniqueId"], "TenantID": "examples", "TenantName": TENANT}),
            "{name}"
        );
        let tokens = Tokens::from(&body["cognitoToken"]);
        gate.visit(&tokens.access).expect(200);
        token = tokens.refresh;
    }
}

#[test]
fn paths_are_matched_without_regard_to_case() {
    let (app, gate) = gate();
    gate.register("alice");
    let body = json!({"UserName": "alice", "TenantName": TENANT, "Password": PASSWORD});
    let mut token = String::new();
    for path in ["/Login", "/login", "/LOGIN", "/lOgIn"] {
        token = Tokens::of(gate.send(&post(path).json(&body))).refresh;
    }
    for path in ["/Login/Refresh", "/login/refresh", "/LOGIN/REFRESH"] {
        token = Tokens::of(gate.send(&post(path).json(&json!({"RefreshToken": token})))).refresh;
    }
    for path in ["/Login/Challenge", "/login/challenge", "/LOGIN/CHALLENGE"] {
        refused(gate.send(&post(path).json(&json!({}))), 400, "InvalidParameterException");
    }
    for path in ["/Logout", "/logout", "/LOGOUT"] {
        assert_eq!(gate.send(&post(path)).expect(200).json(), json!({}));
    }
    for path in ["/Logi", "/Login2", "/LoginRefresh", "/x/Login", "/Logout2", "/Logout/x"] {
        gate.send(&post(path).json(&body)).refused(404, "route_not_found");
    }
    app.saw_nothing();
}

#[test]
fn a_path_of_its_own_has_the_others_beside_and_below_it() {
    let app = App::start();
    let keys = "[[login]]\ndialect = \"tenant\"\npath = \"/api/v2/Sign-In\"\nrealm = \"examples\"\n\
                logout_path = \"/api/v2/Sign-Out\"\n";
    let gate = Conf::new(&app).realm("require_key", "false").more(keys).start();
    gate.register("alice");
    let body = json!({"UserName": "alice", "TenantName": "examples", "Password": PASSWORD});
    let tokens = Tokens::of(gate.send(&post("/api/v2/sign-in").json(&body)));
    let body = json!({"RefreshToken": tokens.refresh});
    let tokens = Tokens::of(gate.send(&post("/api/v2/sign-in/refresh").json(&body)));
    gate.send(&post("/api/v2/sign-out").bearer(&tokens.access)).expect(200);
    gate.visit(&tokens.access).refused(401, "token_revoked");
    gate.send(&post("/Login").json(&body)).refused(404, "route_not_found");
}

#[test]
fn a_tenant_is_a_realm_by_its_name_or_its_alias() {
    let app = App::start();
    let more = "[[realm]]\nname = \"second\"\nissuer = \"https://gate.example.com\"\nrequire_key = false\n\
                cookie = \"second\"\nregistration = \"open\"\n\
                [[login]]\ndialect = \"project\"\npath = \"/second\"\nrealm = \"second\"\n";
    let gate = conf(&app, "").more(more).start();
    let here = gate.register("alice");
    let body = json!({"username": "alice", "password": "the other alice's"});
    let there = gate.send(&post("/second").json(&body)).expect(200).json();
    let subject = |tenant: &str, password: &str| {
        let tokens = Tokens::of(gate.send(&log_in_at(tenant, "alice", password)));
        (claims(&tokens.access)["sub"].clone(), claims(&tokens.access)["aud"].clone(), tokens)
    };
    for tenant in [TENANT, "examples"] {
        let (sub, aud, tokens) = subject(tenant, PASSWORD);
        assert_eq!((sub, aud), (here["uniqueId"].clone(), json!("examples")));
        gate.visit(&tokens.access).expect(200);
    }
    let (sub, aud, tokens) = subject("second", "the other alice's");
    assert_eq!((sub, aud), (there["uniqueId"].clone(), json!("second")));
    gate.visit(&tokens.access).expect(401);
    let again = Tokens::of(gate.send(&refresh(&tokens.refresh)));
    assert_eq!(claims(&again.access)["sub"], there["uniqueId"]);
    // To the letter, and with the tenant's own password.
    for (tenant, password) in [
        ("second", PASSWORD),
        (TENANT, "the other alice's"),
        ("acme inc", PASSWORD),
        ("Acme Inc ", PASSWORD),
        ("Examples", PASSWORD),
        ("*", PASSWORD),
    ] {
        let answer = gate.send(&log_in_at(tenant, "alice", password));
        refused(answer, 401, "NotAuthorizedException");
    }
}

#[test]
fn a_user_name_is_a_username_or_an_email_address_in_every_spelling() {
    let (_app, gate) = gate();
    gate.add_user("alice", &["--email", "alice@example.com"]);
    let id = claims(&gate.tokens("alice").access)["sub"].clone();
    for name in ["ALICE", "Alice", "\u{ff41}lice", "alice@example.com", "Alice@EXAMPLE.com"] {
        let tokens = gate.tokens(name);
        assert_eq!((&claims(&tokens.access)["sub"], &claims(&tokens.access)["username"]), (&id, &json!("alice")));
    }
    assert_eq!(id.as_str().map(str::len), Some(32));
}

/// A username can't be another user's address. If the operator gives such a name, the other user loses nothing.
#[test]
fn a_name_that_is_two_users_is_the_one_whose_password_came() {
    let (_app, gate) = gate();
    gate.user_command(&["add", "carol", "--email", "carol@example.com"], "carol's own password\n").ok();
    gate.try_register("carol@example.com").refused(400, "user_exists");
    gate.add_user("carol@example.com", &[]);
    let by = |password: &str| gate.send(&log_in_at(TENANT, "Carol@Example.com", password));
    assert_eq!(claims(&Tokens::of(by("carol's own password")).access)["username"], "carol");
    assert_eq!(claims(&Tokens::of(by(PASSWORD)).access)["username"], "carol@example.com");
    refused(by("neither's"), 401, "NotAuthorizedException");
}

#[test]
fn who_has_no_username_is_named_by_the_id() {
    let (_app, gate) = gate();
    let body = json!({"email": "alice@example.com", "password": PASSWORD});
    let record = gate.send(&post(auth("")).json(&body)).expect(200).json();
    let tokens = gate.tokens("alice@example.com");
    for token in [&tokens.access, &tokens.id] {
        let claims = claims(token);
        assert!(claims.get("email").is_none() && claims.get("email_verified").is_none(), "R60: {claims}");
    }
    gate.user_command(&["vouch", "alice@example.com"], "").ok();
    let tokens = gate.refreshed(&tokens.refresh);
    assert_eq!(claims(&tokens.access)["username"], record["uniqueId"]);
    assert_eq!(claims(&tokens.id)["cognito:username"], record["uniqueId"]);
    for token in [&tokens.access, &tokens.id] {
        let claims = claims(token);
        assert_eq!((&claims["email"], &claims["email_verified"]), (&json!("alice@example.com"), &json!(true)));
    }
}

/// OLOID's API tokens: "use the client id and the secret as username and password".
#[test]
fn a_machine_logs_in_with_its_id_and_secret() {
    let (_app, gate) = gate();
    let printed = gate.user_command(&["add", "--machine", "--role", "admin", "billing"], "").ok().stdout;
    let line = printed.lines().find(|line| line.contains("shown only this once")).expect("the secret");
    let secret = line.rsplit(' ').next().unwrap();
    let tokens = Tokens::of(gate.send(&log_in_at(TENANT, "billing", secret)));
    gate.send(&get("/admin/x").bearer(&tokens.access)).expect(200);
    refused(gate.send(&log_in_at(TENANT, "billing", &secret[1..])), 401, "NotAuthorizedException");
}

#[test]
fn members_that_nobody_knows_are_ignored() {
    let (_app, gate) = gate();
    gate.register("alice");
    let mut body = json!({"UserName": "alice", "TenantName": TENANT, "Password": PASSWORD});
    for (name, value) in
        [("username", json!("bob")), ("password", json!(1)), ("roles", json!(["admin"])), ("", json!({}))]
    {
        body[name] = value;
    }
    let tokens = Tokens::of(gate.send(&post("/Login").json(&body)));
    assert_eq!(claims(&tokens.access)["username"], "alice");
    assert!(claims(&tokens.access).get("roles").is_none());
}

// === what tells nothing ===

#[test]
fn r31_every_login_that_fails_is_answered_alike() {
    let app = App::start();
    let realm = |name: &str, keys: &str| {
        format!(
            "[[realm]]\nname = \"{name}\"\nissuer = \"https://gate.example.com\"\ncookie = \"{name}\"\n\
             registration = \"open\"\n{keys}\n\
             [[login]]\ndialect = \"project\"\npath = \"/of/{name}\"\nrealm = \"{name}\"\n"
        )
    };
    let keyed =
        realm("keyed", &format!("require_key = true\n[[realm.key]]\nid = \"k\"\nsecret = \"{}\"", "5".repeat(32)));
    let shy = realm("shy", "require_key = false\norigins = [\"https://shy.example.com\"]\nrequire_origin = true");
    let gate = conf(&app, "").more(&keyed).more(&shy).start();
    let body = json!({"username": "alice", "password": PASSWORD});
    gate.register("alice");
    gate.register("disabled");
    gate.user_command(&["disable", "disabled"], "").ok();
    gate.send(&post("/of/keyed").header("X-API-Key", "5".repeat(32)).json(&body)).expect(200);
    gate.send(&post("/of/shy").origin("https://shy.example.com").json(&body)).expect(200);
    let wrong = refused(gate.send(&log_in_at(TENANT, "alice", "not hers")), 401, "NotAuthorizedException");
    assert_eq!(wrong.json()["message"], "Incorrect username or password.");
    for (what, request) in [
        ("an unknown user", log_in("nobody")),
        ("no name that anybody could have", log_in(" x\u{0}")),
        ("a disabled user", log_in("disabled")),
        ("a disabled user, wrong password", log_in_at(TENANT, "disabled", "wrong")),
        ("an unknown tenant", log_in_at("Nobody Inc", "alice", PASSWORD)),
        ("an unknown tenant and user", log_in_at("Nobody Inc", "nobody", PASSWORD)),
        ("a tenant whose key is missing", log_in_at("keyed", "alice", PASSWORD)),
        ("a tenant whose origin is missing", log_in_at("shy", "alice", PASSWORD)),
    ] {
        assert_eq!(seen(&gate.send(&request)), seen(&wrong), "{what}");
    }
    // With the rules kept, the same names log in: the refusals above were about them.
    let tokens = Tokens::of(gate.send(&log_in_at(TENANT, "alice", PASSWORD)));
    gate.visit(&tokens.access).expect(200);
}

#[test]
fn r31_unknown_tenants_unknown_users_and_wrong_passwords_take_the_same_time() {
    let (_app, gate) = gate();
    gate.register("known");
    gate.register("disabled");
    gate.user_command(&["disable", "disabled"], "").ok();
    let mut address = 0_u8;
    let mut time = |request: &Request, status: u16| {
        // Each from an address of its own, for the throttle.
        address += 1;
        let mut conn = Conn::open_from(Ipv4Addr::new(127, 0, 2, address), gate.addr);
        let start = Instant::now();
        conn.ask(request).expect(status);
        start.elapsed()
    };
    let mut best = [Duration::MAX; 4];
    // The quickest of several, by turns: the work itself, without what else this machine does. As many rounds as it
    // takes, up to what addresses there are; a hash more or less is a difference that never goes.
    for round in 0..40 {
        let requests = [
            log_in_at(TENANT, "known", "wrong"),
            log_in_at(TENANT, &format!("unknown{round}"), "wrong"),
            log_in_at(&format!("Tenant {round}"), "known", "wrong"),
            log_in_at(&format!("Tenant {round}"), "a@b@c", "wrong"),
        ];
        // Another one first in each round: the allocator returns a hash's 19 MiB after some milliseconds, so the
        // request after the login, which waits for the disk, has to map them again.
        for kind in (0..4).map(|at| (at + round) % 4) {
            best[kind] = best[kind].min(time(&requests[kind], 401));
        }
        // Forgets the failures.
        time(&log_in("known"), 200);
        let (least, most) = (best.iter().min().unwrap(), best.iter().max().unwrap());
        if round >= 5 && *most < *least * 7 / 4 {
            return;
        }
    }
    panic!("wrong password, unknown user, unknown tenant, no name: {best:?}");
}

#[test]
fn a_token_is_for_the_one_who_logged_in_whatever_token_came_along() {
    let (_app, gate) = gate();
    gate.register("alice");
    gate.register("bob");
    let bob = gate.tokens("bob");
    for request in [log_in("alice").bearer(&bob.access), log_in("alice").cookie(&bob.access)] {
        let tokens = Tokens::of(gate.send(&request));
        assert_eq!(claims(&tokens.access)["username"], "alice");
    }
    // Nor does a failed login end anything.
    refused(gate.send(&log_in_at(TENANT, "alice", "x").bearer(&bob.access)), 401, "NotAuthorizedException");
    gate.visit(&bob.access).expect(200);
}

/// The members of every record are the user's own words, and come as `custom:` claims only where they are strings.
#[test]
fn whatever_users_say_of_themselves_takes_no_claims_place() {
    let (_app, gate) = gate();
    let body = json!({
        "username": "alice", "password": PASSWORD, "name": "Alice A.", "site": "Berne", "age": 7, "iss": "https://evil",
        "sub": "0", "aud": "other", "exp": "9999999999", "token_use": "access", "cognito:groups": "admin",
        "email_verified": "true", "origin_jti": "0", "long": "x".repeat(2049),
    });
    let record = gate.send(&post(auth("")).json(&body)).expect(200).json();
    let tokens = gate.tokens("alice");
    let id = claims(&tokens.id);
    for (name, value) in [
        ("sub", record["uniqueId"].clone()),
        ("aud", json!("examples")),
        ("token_use", json!("id")),
        ("name", json!("Alice A.")),
        ("custom:site", json!("Berne")),
        ("custom:sub", json!("0")),
        ("custom:token_use", json!("access")),
        ("custom:cognito:groups", json!("admin")),
        ("custom:age", Value::Null),
        ("custom:long", Value::Null),
        ("email_verified", Value::Null),
        ("email", Value::Null),
        ("cognito:groups", Value::Null),
    ] {
        assert_eq!(id.get(name).cloned().unwrap_or(Value::Null), value, "{name}: {id}");
    }
    assert!(id["exp"].is_i64());
    let access = claims(&tokens.access);
    assert!(access.as_object().unwrap().keys().all(|name| !name.starts_with("custom:") && name != "name"), "{access}");
}
