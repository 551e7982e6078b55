//! Tokens, and the users that they can log in.

use super::*;

/// What an Authorization header may be that is none, or is no bearer token's.
#[test]
fn no_header_two_headers_and_other_schemes() {
    let exchange = Exchange::with_user("");
    let token = machine();
    let mine = || login("user@example.com");
    for (what, request) in [
        ("none", mine()),
        ("two", mine().bearer(&token).bearer(&token)),
        ("two, of which one is Basic", mine().header("Authorization", "Basic dXNlcjpw").bearer(&token)),
        ("Basic", mine().header("Authorization", "Basic dXNlcjpwYXNz")),
        ("Bearer alone", mine().header("Authorization", "Bearer")),
        ("Bearer and a space", mine().header("Authorization", "Bearer ")),
        ("no scheme", mine().header("Authorization", &token)),
        ("another scheme", mine().header("Authorization", format!("DPoP {token}"))),
        ("a longer one", mine().header("Authorization", format!("Bearers {token}"))),
        ("no space", mine().header("Authorization", format!("Bearer{token}"))),
        ("a comma", mine().header("Authorization", format!("Bearer {token}, Bearer {token}"))),
        ("twice in one", mine().header("Authorization", format!("Bearer {token} {token}"))),
        ("not ASCII", mine().header("Authorization", "Bearer é".as_bytes())),
        ("a header of another name", mine().header("X-Authorization", format!("Bearer {token}"))),
        ("the cookie", mine().cookie(&token)),
        ("a body", post(LOGIN).json(&json!({"email": STANDARD.encode("user@example.com"), "access_token": token}))),
        ("a query", post(format!("{LOGIN}?access_token={token}")).json(&json!({"email": "dXNlckBleGFtcGxlLmNvbQ=="}))),
    ] {
        eprintln!("{what}");
        says(&exchange.gate.send(&request), 401, UNAUTHORIZED);
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let answer = exchange.gate.send(&mine().header("Authorization", format!("{scheme} {token}")));
        token_of(&answer);
    }
}

#[test]
fn tokens_that_do_not_count() {
    let exchange = Exchange::with_user("");
    let now = now();
    let claims = machine_claims();
    let hs256 = |secret: &[u8]| {
        sign(&json!({"alg": "HS256", "typ": "JWT", "kid": "key-a"}).to_string(), &claims.to_string(), secret)
    };
    let mut bad = vec![
        ("rubbish", "rubbish".to_owned()),
        ("another's key", KEY_B.token(&claims)),
        ("another's key by the right name", KEY_B.token_with(&json!({"kid": "key-a"}), &claims)),
        (
            "alg none",
            format!("{}.{}.", encoded(br#"{"alg":"none","typ":"JWT"}"#), encoded(claims.to_string().as_bytes())),
        ),
        ("no signature", format!("{}.", machine().rsplit_once('.').unwrap().0)),
        ("another alg in the header", KEY_A.token_with(&json!({"alg": "RS512"}), &claims)),
        ("an ID token's typ", KEY_A.token_with(&json!({"typ": "id+jwt"}), &claims)),
        ("a logout token's typ", KEY_A.token_with(&json!({"typ": "logout+jwt"}), &claims)),
        ("our callback token's typ", KEY_A.token_with(&json!({"typ": "callback+jwt"}), &claims)),
        ("crit", KEY_A.token_with(&json!({"crit": ["exp"]}), &claims)),
    ];
    for (_, secret) in KEY_A.public_forms() {
        bad.push(("HS256 with the public key", hs256(&secret)));
    }
    for (what, changes) in [
        ("iss without its slash", json!({"iss": ISS.trim_end_matches('/')})),
        ("iss in another case", json!({"iss": "https://Tenant.eu.auth0.com/"})),
        ("iss with two slashes", json!({"iss": format!("{ISS}/")})),
        ("iss of another tenant", json!({"iss": "https://evil.eu.auth0.com/"})),
        ("iss of the gate", json!({"iss": ISSUER})),
        ("no iss", json!({"iss": null})),
        ("iss in an array", json!({"iss": [ISS]})),
        ("aud with a slash", json!({"aud": format!("{AUD}/")})),
        ("aud of another API", json!({"aud": "https://other.example.com"})),
        ("aud of other APIs", json!({"aud": ["https://other.example.com", format!("{ISS}userinfo")]})),
        ("aud empty", json!({"aud": []})),
        ("aud with what is no string", json!({"aud": [AUD, 1]})),
        ("no aud", json!({"aud": null})),
        ("expired", json!({"exp": now - 60})),
        ("no exp", json!({"exp": null})),
        ("exp as text", json!({"exp": (now + 60).to_string()})),
        ("exp beyond the year 9999", json!({"exp": 1e300})),
        ("not yet", json!({"nbf": now + 600})),
        ("issued in the future", json!({"iat": now + 600})),
        ("no sub", json!({"sub": null})),
        (
            "an ID token of the code flow",
            json!({"nonce": "n-0S6_WzA2Mj", "at_hash": "77QmUPtjPfzWtF2AnpK9RQ", "aud": AUD}),
        ),
        ("an ID token", json!({"nonce": "n-0S6_WzA2Mj", "aud": BACKEND})),
        ("bound by DPoP", json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})),
        ("bound by mTLS", json!({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}})),
    ] {
        bad.push((what, machine_with(&changes)));
    }
    let mut longest = claims.clone();
    longest["padding"] = "x".repeat(33 << 10).into();
    bad.push(("too long", KEY_A.token(&longest)));
    // What Tollgate signs itself is nothing to be exchanged, for whomever it is.
    bad.push(("the realm's own", exchange.gate.user("alice")));
    bad.push(("a callback token", exchange.callback_token("user@example.com")));
    for (what, token) in bad {
        eprintln!("{what}");
        says(&exchange.ask(&token, "user@example.com"), 401, UNAUTHORIZED);
    }
    token_of(&exchange.ask(&machine_with(&json!({"aud": [AUD, format!("{ISS}userinfo")]})), "user@example.com"));
}

#[test]
fn a_token_that_was_revoked_here_counts_no_more() {
    let exchange = Exchange::with_user("");
    let token = machine_with(&json!({"jti": "one"}));
    token_of(&exchange.ask(&token, "user@example.com"));
    exchange.gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    says(&exchange.ask(&token, "user@example.com"), 401, UNAUTHORIZED);
    token_of(&exchange.ask(&machine_with(&json!({"jti": "two"})), "user@example.com"));
}

#[test]
fn a_machine_logs_in_whomever_it_names_in_each_profile() {
    let exchange = Exchange::with_user("");
    let rfc9068 = |claims: &Value| KEY_A.token_with(&json!({"typ": "at+jwt"}), claims);
    let of_rfc9068 = edited(
        machine_claims(),
        &json!({"azp": null, "gty": null, "client_id": BACKEND, "sub": BACKEND, "jti": "an id"}),
    );
    for (what, token) in [
        ("Auth0's", machine()),
        ("Auth0's newer, without the suffix", machine_with(&json!({"sub": BACKEND}))),
        ("Auth0's for an agent", machine_with(&json!({"sub": "agent|1"}))),
        ("Auth0's without gty", machine_with(&json!({"gty": null}))),
        ("Auth0's with several audiences", machine_with(&json!({"aud": ["https://other.example.com", AUD]}))),
        ("without permissions, which this login does not ask for", machine_with(&json!({"permissions": null}))),
        ("RFC 9068", rfc9068(&of_rfc9068)),
        (
            "RFC 9068, sub as Auth0 writes it",
            rfc9068(&edited(of_rfc9068.clone(), &json!({"sub": format!("{BACKEND}@clients")}))),
        ),
        ("RFC 9068, the whole media type", KEY_A.token_with(&json!({"typ": "application/at+jwt"}), &of_rfc9068)),
        ("both names of the client", machine_with(&json!({"client_id": BACKEND}))),
    ] {
        eprintln!("{what}");
        token_of(&exchange.ask(&token, "user@example.com"));
    }
}

/// Tokens of another trusted issuer open routes for its own users, and are no users of the realm.
#[test]
fn only_the_one_issuer_logs_users_in() {
    const OTHER: &str = "https://other.eu.auth0.com/";
    let theirs = Issuer::with_keys(&[KEY_B.jwk()]);
    let trusted = format!(
        "[[realm.trusted_issuer]]\nissuer = \"{OTHER}\"\naudience = [\"{AUD}\"]\njwks_url = \"{}\"\ninsecure_http = true\n",
        theirs.url(JWKS)
    );
    let exchange = Exchange::of(&format!("issuer = \"{ISS}\""), |conf| conf.add_realm_tables(&trusted));
    exchange.user("user");
    for claims in [machine_claims(), user_claims("user@example.com")] {
        let token = KEY_B.token(&edited(claims, &json!({"iss": OTHER})));
        exchange.gate.send(&get("/app/x").bearer(&token)).expect(200);
        says(&exchange.ask(&token, "user@example.com"), 401, UNAUTHORIZED);
    }
    // Nor with the other one's name or key.
    says(&exchange.ask(&KEY_B.token(&machine_claims()), "user@example.com"), 401, UNAUTHORIZED);
    says(&exchange.ask(&machine_with(&json!({"iss": OTHER})), "user@example.com"), 401, UNAUTHORIZED);
    token_of(&exchange.ask(&machine(), "user@example.com"));
}

/// A token that is not clearly a client-credentials token is a user's, about which nothing is known.
#[test]
fn what_is_not_plainly_a_machines_logs_nobody_in() {
    let exchange = Exchange::with_user("");
    for changes in [
        json!({"gty": "password"}),
        json!({"gty": "authorization_code", "sub": "auth0|1"}),
        json!({"gty": ["client-credentials"]}),
        json!({"gty": true}),
        json!({"gty": ""}),
        json!({"gty": "Client-Credentials"}),
        json!({"gty": null, "sub": "auth0|1"}),
        json!({"gty": null, "sub": "other@clients"}),
        json!({"gty": null, "sub": format!("{BACKEND}@clients@clients")}),
        json!({"gty": null, "sub": format!("{BACKEND}@Clients")}),
        json!({"gty": null, "sub": "@clients"}),
    ] {
        eprintln!("{changes}");
        says(&exchange.ask(&machine_with(&changes), "user@example.com"), 403, USERNAME);
    }
}

#[test]
fn only_the_allowed_clients() {
    let exchange = Exchange::with_user("");
    for changes in [
        json!({"azp": "other", "sub": "other@clients"}),
        json!({"azp": "other"}),
        json!({"azp": null}),
        json!({"azp": ""}),
        json!({"azp": [BACKEND]}),
        json!({"azp": BACKEND.to_uppercase()}),
        json!({"azp": format!("{BACKEND} ")}),
        json!({"azp": format!("{BACKEND}2")}),
        json!({"azp": &BACKEND[1..]}),
        json!({"azp": "", "client_id": BACKEND}),
        json!({"azp": BACKEND, "client_id": "other"}),
        json!({"azp": "other", "client_id": BACKEND}),
        json!({"azp": null, "client_id": "other"}),
    ] {
        eprintln!("{changes}");
        let answer = exchange.ask(&machine_with(&changes), "user@example.com");
        says(&answer, 401, UNAUTHORIZED);
        // It learns nothing of users either.
        assert_eq!(exchange.ask(&machine_with(&changes), "nobody@example.com").body, answer.body);
        says(&exchange.ask(&user_with("user@example.com", &changes), "user@example.com"), 401, UNAUTHORIZED);
    }
}

#[test]
fn only_with_the_required_permission() {
    let exchange = Exchange::with_user("required_permission = \"login:users\"");
    for permissions in [
        json!({"permissions": null}),
        json!({"permissions": null, "scope": "login:users"}),
        json!({"permissions": []}),
        json!({"permissions": ["login"]}),
        json!({"permissions": ["login:users2", "Login:users", " login:users"]}),
        json!({"permissions": ["read login:users"]}),
        json!({"permissions": "login:users"}),
        json!({"permissions": {"login:users": true}}),
        json!({"permissions": [["login:users"]]}),
    ] {
        eprintln!("{permissions}");
        says(&exchange.ask(&machine_with(&permissions), "user@example.com"), 401, UNAUTHORIZED);
        let of_user = edited(json!({"permissions": null}), &permissions);
        says(&exchange.ask(&user_with("user@example.com", &of_user), "user@example.com"), 401, UNAUTHORIZED);
    }
    let good = json!({"permissions": ["read", "login:users"]});
    token_of(&exchange.ask(&machine_with(&good), "user@example.com"));
    token_of(&exchange.ask(&user_with("user@example.com", &good), "user@example.com"));
    // A holder of it need not give a name.
    token_of(&exchange.ask(&machine_with(&json!({"azp": "other", "sub": "other@clients"})), "user@example.com"));
}

#[test]
fn client_and_permission_have_to_fit_together() {
    let keys = format!("allowed_clients = [\"other\", \"{BACKEND}\"]\nrequired_permission = \"login:users\"");
    let exchange = Exchange::with_user(&keys);
    token_of(&exchange.ask(&machine(), "user@example.com"));
    for changes in [
        json!({"permissions": []}),
        json!({"azp": "third", "sub": "third@clients"}),
        json!({"azp": "third", "sub": "third@clients", "permissions": null}),
    ] {
        says(&exchange.ask(&machine_with(&changes), "user@example.com"), 401, UNAUTHORIZED);
    }
}

#[test]
fn without_either_the_config_is_refused() {
    let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
    let good = conf(&app, &issuer.url(JWKS), "").text(free_port(), free_port());
    let anybody = good.replace(&format!("allowed_clients = [\"{BACKEND}\"]\n"), "");
    assert_ne!(good, anybody);
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let path = dir.path().join("tollgate.toml");
        write_file(&path, text, 0o600);
        tollgate(&["check", "-c", path.to_str().unwrap()], "")
    };
    check(&good).ok();
    let ran = check(&anybody).failed(78);
    assert!(ran.stderr.contains("allowed_clients") && ran.stderr.contains("required_permission"), "{}", ran.stderr);
    check(&good.replace(&format!("[\"{BACKEND}\"]"), "[]")).failed(78);
    check(&good.replace(&format!("[\"{BACKEND}\"]"), "[\"\"]")).failed(78);
    check(&anybody.replace("callback_url", "required_permission = \"\"\ncallback_url")).failed(78);
}

#[test]
fn a_users_token_names_its_own_address_only() {
    let exchange = Exchange::with_user("");
    exchange.user("victim");
    let own = |changes: &Value| user_with("user@example.com", changes);
    for (token, named) in [
        (own(&json!({})), "user@example.com"),
        (own(&json!({})), "USER@Example.COM"),
        (own(&json!({"email": "User@EXAMPLE.com"})), "user@example.com"),
        (own(&json!({"email_verified": "true"})), "user@example.com"),
        (own(&json!({"email_verified": null})), "user@example.com"),
        (own(&json!({"azp": null, "client_id": BACKEND})), "user@example.com"),
        (KEY_A.token_with(&json!({"typ": "at+jwt"}), &user_claims("user@example.com")), "user@example.com"),
    ] {
        token_of(&exchange.ask(&token, named));
    }
    let nobody = exchange.ask(&machine(), "nobody@example.com");
    let mut unverified = user_claims("user@example.com");
    unverified["email_verified"] = Value::Null;
    for (what, token, named) in [
        ("another's", own(&json!({})), "victim@example.com"),
        ("nobody's", own(&json!({})), "nobody@example.com"),
        ("no email", own(&json!({"email": null})), "user@example.com"),
        ("an empty one", own(&json!({"email": ""})), "user@example.com"),
        ("several", own(&json!({"email": ["user@example.com"]})), "user@example.com"),
        ("more than an address", own(&json!({"email": "user@example.com,victim@example.com"})), "user@example.com"),
        ("white space", own(&json!({"email": " user@example.com"})), "user@example.com"),
        ("unverified", own(&json!({"email_verified": false})), "user@example.com"),
        ("unverified, as text", own(&json!({"email_verified": "false"})), "user@example.com"),
        ("unverified, as a number", own(&json!({"email_verified": 1})), "user@example.com"),
        ("unverified, as nothing", KEY_A.token(&unverified), "user@example.com"),
        (
            "in another claim",
            own(&json!({"email": null, "https://app.example.com/email": "user@example.com"})),
            "user@example.com",
        ),
        ("in the name", own(&json!({"email": null, "sub": "user@example.com"})), "user@example.com"),
    ] {
        eprintln!("{what}");
        let answer = exchange.ask(&token, named);
        says(&answer, 403, USERNAME);
        assert_eq!(answer.body, nobody.body, "as for a user who is not there");
    }
    says(&exchange.ask(&own(&json!({"azp": "other"})), "user@example.com"), 401, UNAUTHORIZED);
}

#[test]
fn the_claim_of_the_address_can_be_another() {
    let exchange = Exchange::with_user("email_claim = \"https://app.example.com/email\"");
    let with = |changes: &Value| user_with("user@example.com", changes);
    token_of(&exchange.ask(
        &with(&json!({"email": "other@example.com", "https://app.example.com/email": "user@example.com"})),
        "user@example.com",
    ));
    says(&exchange.ask(&with(&json!({})), "user@example.com"), 403, USERNAME);
    for verified in ["email_verified", "https://app.example.com/email_verified"] {
        let unverified = json!({"https://app.example.com/email": "user@example.com", (verified): false});
        says(&exchange.ask(&with(&unverified), "user@example.com"), 403, USERNAME);
    }
}

/// A realm does not verify the addresses of its users, and its access tokens say so.
#[test]
fn whoever_registered_an_address_in_another_realm_has_not_proven_it() {
    let app = App::start();
    let other = Conf::new(&app)
        .realm("issuer", "\"https://other.example.com\"")
        .realm("require_key", "false")
        .realm("algorithm", "\"ES256\"")
        .more(&format!(
            "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\nclient_id = \"{BACKEND}\"\n"
        ))
        .start();
    let email = "user@example.com";
    other.send(&post(auth("")).json(&json!({"email": email, "password": PASSWORD}))).expect(200);
    let credentials = json!({"UserName": email, "TenantName": "examples", "Password": PASSWORD});
    let tokens = other.send(&post("/Login").json(&credentials)).expect(200).json();
    let token = tokens["cognitoToken"]["AuthenticationResult"]["AccessToken"].as_str().unwrap();
    let keys = other.send(&get("/.well-known/jwks.json")).expect(200).json();
    let issuer = Issuer::with_keys(keys["keys"].as_array().unwrap());
    let trusted = format!(
        "[[realm.trusted_issuer]]\nissuer = \"https://other.example.com\"\naudience = [\"examples\"]\n\
         jwks_url = \"{}\"\ninsecure_http = true\nalgorithms = [\"ES256\"]\ntypes = [\"at+jwt\"]\n",
        issuer.url(JWKS)
    );
    let conf = Conf::new(&app).realm("require_key", "false").add_realm_tables(&trusted);
    let gate = conf.more(&section(LOGIN, "examples", "")).start();
    let exchange = Exchange { app, issuer, gate };
    exchange.user("user");
    exchange.gate.send(&get("/app/x").bearer(token)).expect(200);
    says(&exchange.ask(token, email), 403, USERNAME);
}

/// Only an email address is one, and a username that looks like it is another thing.
#[test]
fn a_username_is_no_email_address() {
    let exchange = Exchange::start();
    let mut impostor = person("impostor@example.com");
    impostor["username"] = "victim@example.com".into();
    exchange.import(&[impostor]);
    says(&exchange.ask(&machine(), "victim@example.com"), 403, USERNAME);
    exchange.user("victim");
    let claims = claims(&exchange.log_in("victim@example.com"));
    assert_eq!(
        (claims["email"].as_str(), claims["sub"].as_str()),
        (Some("victim@example.com"), Some(&*exchange.id("victim@example.com")))
    );
}

#[test]
fn the_log_names_both_parties() {
    let mut exchange = Exchange::with_user("");
    exchange.log_in("user@example.com");
    let token = machine_with(&json!({"sub": "agent|77"}));
    exchange.ask(&token, "user@example.com").expect(200);
    exchange.ask(&token, "nobody@example.com").expect(403);
    let id = exchange.id("user@example.com");
    exchange.gate.stop();
    let log = exchange.gate.stderr();
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).map(str::to_owned).collect::<Vec<_>>();
    for line in [&lines("exchanged a token")[1], &lines("logged in")[0]] {
        assert!(line.contains(&id) && line.contains(BACKEND), "{line}");
    }
    assert!(lines("exchanged a token")[1].contains("agent|77"), "{log}");
    assert!(lines("an exchange was refused")[0].contains(BACKEND), "{log}");
}
