//! The callback token: what it does, once, and what it never does.

use std::sync::Barrier;

use super::*;

#[test]
fn the_browser_gets_the_cookie_and_goes_on() {
    let exchange = Exchange::with_user("after_login = \"/app/welcome?x=1\"");
    let token = exchange.callback_token("user@example.com");
    let answer = exchange.visit_callback(&token).expect(303);
    assert_eq!(answer.header("location"), Some("/app/welcome?x=1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!((answer.body.len(), answer.header("content-length")), (0, Some("0")));
    assert_eq!(answer.all("set-cookie").len(), 1);
    let (session, attributes) = answer.set_cookie(COOKIE).unwrap();
    assert_eq!(attributes, ["httponly", "max-age=2592000", "path=/", "samesite=lax", "secure"]);
    assert!(!format!("{:?}", answer.headers).contains(&token), "R40: it goes no further");
    // As a browser comes there.
    exchange.gate.send(&get("/app/welcome?x=1").cookie(&session)).expect(200);
    exchange.app.forget();
    exchange.gate.send(&get("/app/x").cookie(&session).header("Sec-Fetch-Site", "none")).expect(200);
    assert_eq!(exchange.app.only().header("x-auth-email").as_deref(), Some("user@example.com"));
}

#[test]
fn the_cookie_is_the_realms() {
    let exchange = Exchange::of("", |conf| {
        conf.realm("cookie", "\"__Secure-own\"").realm("same_site", "\"lax\"").realm("token_ttl", "\"1h\"")
    });
    exchange.user("user");
    let answer = exchange.visit_callback(&exchange.callback_token("user@example.com")).expect(303);
    let (_, attributes) = answer.set_cookie("__Secure-own").expect("the cookie");
    assert_eq!(attributes, ["httponly", "max-age=3600", "path=/", "samesite=lax", "secure"]);
    assert_eq!(answer.header("location"), Some("/"));
}

#[test]
fn the_audit_stream_has_every_step_and_no_token() {
    let mut exchange = Exchange::of("", |conf| conf.log("audit", "\"./audit.log\""));
    exchange.user("user");
    let id = exchange.id("user@example.com");
    let tokens = [(); 2].map(|()| exchange.callback_token("user@example.com"));
    exchange.ask(&machine(), "nobody@example.com").expect(403);
    exchange.visit_callback(&tokens[0]).expect(303);
    exchange.visit_callback(&tokens[0]).expect(401);
    let session = exchange.redeem(&tokens[1]).expect(200).json()["token"].as_str().unwrap().to_owned();
    exchange.gate.stop();
    let text = std::fs::read_to_string(exchange.gate.dir.path().join("audit.log")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line["dialect"] == "exchange")
        .map(|line| {
            assert_eq!(line["actor"], BACKEND, "{line}");
            assert!(line["user"] == *id || line["username"] == "nobody@example.com", "{line}");
            ["event", "outcome", "reason"].map(|name| line[name].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ["exchange", "success", ""],
            ["exchange", "success", ""],
            ["exchange", "failure", "email_unknown"],
            ["callback", "success", ""],
            ["callback", "failure", "callback_token"],
            ["redeem", "success", ""],
        ]
    );
    for token in tokens.iter().chain([&session]) {
        assert!(token.split('.').skip(1).all(|part| !text.contains(part)));
    }
}

/// A browser follows a link there: it knows no API key, and says no Origin.
#[test]
fn neither_a_key_nor_an_origin_is_asked_for() {
    let exchange = Exchange::of("", |conf| conf.realm("require_key", "true").realm("require_origin", "true"));
    exchange.user("user");
    let token = || {
        let mine = login("user@example.com").bearer(&machine()).key().origin(ORIGIN);
        token_of(&exchange.gate.send(&mine))
    };
    exchange.visit_callback(&token()).expect(303);
    let from_elsewhere = callback(&token()).header("Sec-Fetch-Site", "cross-site").header("Sec-Fetch-Mode", "navigate");
    exchange.gate.send(&from_elsewhere).expect(303);
    // A script of another page is no navigation.
    let token = token();
    says(&exchange.gate.send(&callback(&token).origin(FOREIGN)), 403, UNAUTHORIZED);
    exchange.gate.send(&callback(&token).origin(ORIGIN)).expect(303);
}

#[test]
fn it_counts_once() {
    let exchange = Exchange::with_user("");
    let token = exchange.callback_token("user@example.com");
    exchange.visit_callback(&token).expect(303);
    says(&exchange.visit_callback(&token), 401, UNAUTHORIZED);
    says(&exchange.redeem(&token), 401, UNAUTHORIZED);
    let token = exchange.callback_token("user@example.com");
    exchange.redeem(&token).expect(200);
    says(&exchange.redeem(&token), 401, UNAUTHORIZED);
    says(&exchange.visit_callback(&token), 401, UNAUTHORIZED);
}

/// Sends all of them at the same instant, and returns how many logged in. Every other one is refused as documented.
fn winners(requests: &[(&Gate, Request)]) -> usize {
    let together = Barrier::new(requests.len());
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = requests
            .iter()
            .map(|(gate, request)| {
                let together = &together;
                scope.spawn(move || {
                    let mut conn = gate.conn();
                    together.wait();
                    conn.ask(request)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status < 400);
    lost.iter().for_each(|answer| says(answer, 401, UNAUTHORIZED));
    won.len()
}

#[test]
fn of_fifty_at_the_same_instant_one_wins() {
    let exchange = Exchange::with_user("");
    for _ in 0..5 {
        let token = exchange.callback_token("user@example.com");
        let requests: Vec<_> = (0..50).map(|_| (&exchange.gate, callback(&token))).collect();
        assert_eq!(winners(&requests), 1);
    }
}

#[test]
fn of_redemptions_and_callbacks_at_the_same_instant_one_wins() {
    let exchange = Exchange::with_user("");
    for _ in 0..5 {
        let token = exchange.callback_token("user@example.com");
        let either = |at: usize| if at.is_multiple_of(2) { callback(&token) } else { redeem(&token) };
        let requests: Vec<_> = (0..50).map(|at| (&exchange.gate, either(at))).collect();
        assert_eq!(winners(&requests), 1);
    }
}

#[test]
fn of_two_gates_that_share_the_store_one_wins() {
    let exchange = Exchange::with_user("");
    let url = format!("sqlite://{}", exchange.gate.database().display());
    let keys = format!("\"{}\"", exchange.gate.dir.path().join("keys/examples").display());
    let other = conf(&exchange.app, &exchange.issuer.url(JWKS), "").store(&url).realm("keys_dir", &keys).start();
    for _ in 0..5 {
        let token = exchange.callback_token("user@example.com");
        let requests: Vec<_> =
            (0..50).map(|at| (if at % 2 == 0 { &exchange.gate } else { &other }, callback(&token))).collect();
        assert_eq!(winners(&requests), 1);
        for gate in [&exchange.gate, &other] {
            says(&gate.send(&callback(&token)), 401, UNAUTHORIZED);
        }
    }
    let token = exchange.callback_token("user@example.com");
    other.send(&callback(&token)).expect(303);
    says(&exchange.redeem(&token), 401, UNAUTHORIZED);
}

#[test]
fn it_counts_once_after_a_crash_too() {
    let mut exchange = Exchange::with_user("");
    let (used, unused) = (exchange.callback_token("user@example.com"), exchange.callback_token("user@example.com"));
    let session = exchange.visit_callback(&used).expect(303).set_cookie(COOKIE).unwrap().0;
    exchange.gate.crash_and_restart();
    says(&exchange.visit_callback(&used), 401, UNAUTHORIZED);
    exchange.gate.send(&get("/app/x").cookie(&session)).expect(200);
    exchange.visit_callback(&unused).expect(303);
    exchange.gate.stop();
    exchange.gate.start_again();
    for token in [&used, &unused] {
        says(&exchange.visit_callback(token), 401, UNAUTHORIZED);
        says(&exchange.redeem(token), 401, UNAUTHORIZED);
    }
}

#[test]
fn no_other_method_uses_it_up() {
    let exchange = Exchange::with_user("");
    let token = exchange.callback_token("user@example.com");
    for method in ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer =
            exchange.gate.send(&request(method, format!("{CALLBACK}?token={token}")).json(&json!({"token": token})));
        assert_eq!((answer.status, answer.set_cookie(COOKIE)), (405, None), "{method}");
        if method != "HEAD" {
            says(&answer, 405, UNKNOWN);
        }
    }
    for path in [
        format!("{CALLBACK}/?token={token}"),
        format!("{CALLBACK}/x?token={token}"),
        format!("/Site/callback?token={token}"),
    ] {
        let answer = exchange.gate.send(&get(&path));
        assert_eq!((answer.status, answer.set_cookie(COOKIE)), (404, None), "{path}");
        assert!(!answer.text().contains(&token));
    }
    exchange.visit_callback(&token).expect(303);
}

#[test]
fn a_query_with_it_twice_or_elsewhere_has_it_not() {
    let exchange = Exchange::with_user("");
    let token = exchange.callback_token("user@example.com");
    for query in [
        String::new(),
        "?".into(),
        "?token".into(),
        "?token=".into(),
        format!("?token={token}&token={token}"),
        format!("?token={token}&token="),
        format!("?token=&token={token}"),
        format!("?token={token}&tok%65n={token}"),
        format!("?Token={token}"),
        format!("?token[]={token}"),
        format!("?token%20={token}"),
        format!("?x=token={token}"),
        format!("?token=%20{token}"),
        format!("?token={token}%20"),
        format!("?token={token}%00"),
        format!("?token={token}."),
        format!("?token={token};x=1"),
    ] {
        eprintln!("{query}");
        says(&exchange.gate.send(&get(format!("{CALLBACK}{query}"))), 401, UNAUTHORIZED);
    }
    for request in [
        get(CALLBACK).bearer(&token),
        get(CALLBACK).cookie(&token),
        get(CALLBACK).header("Cookie", format!("token={token}")),
        get(CALLBACK).json(&json!({"token": token})),
        post(format!("{LOGIN}/redeem?token={token}")).json(&json!({})),
    ] {
        says(&exchange.gate.send(&request), 401, UNAUTHORIZED);
    }
    exchange.gate.send(&get(format!("{CALLBACK}?a=b&tok%65n={token}&&x"))).expect(303);
}

/// What Tollgate itself would sign, signed here with the realm's own key, and marked with the secret of its epoch.
fn forged(exchange: &Exchange, header: &Value, changes: &Value) -> String {
    let seal = Seal::of(&exchange.gate);
    let (jwk, now) = (Jwk::of(&exchange.gate), now());
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id).unwrap();
    let claims = json!({
        "iss": ISSUER, "aud": "urn:tollgate:callback:examples", "sub": exchange.id("user@example.com"),
        "jti": format!("{:032x}", u128::from_be_bytes(id)), "iat": now, "exp": now + 60, "act": {"sub": BACKEND}, "mfa": false,
    });
    let header = edited(json!({"alg": "HS256", "typ": "callback+jwt", "kid": jwk.kid}), header);
    let claims = seal.mark("callback+jwt", &edited(claims, changes));
    sign(&header.to_string(), &claims.to_string(), &jwk.secret)
}

#[test]
fn it_lives_for_a_minute_and_is_of_its_own_kind() {
    let exchange = Exchange::with_user("");
    let mine = claims(&exchange.callback_token("user@example.com"));
    assert_eq!(mine["exp"].as_i64().unwrap() - mine["iat"].as_i64().unwrap(), 60);
    assert_eq!(mine["aud"], "urn:tollgate:callback:examples");
    // The control: what is forged as Tollgate signs it counts.
    let none = json!({});
    exchange.visit_callback(&forged(&exchange, &none, &none)).expect(303);
    exchange.visit_callback(&forged(&exchange, &none, &json!({"exp": now() + 5, "iat": now() - 55}))).expect(303);
    let nobody = "0".repeat(32);
    for (header, changes) in [
        (none.clone(), json!({"exp": now()})),
        (none.clone(), json!({"exp": now() - 1, "iat": now() - 61})),
        (none.clone(), json!({"exp": now() - 5})),
        (none.clone(), json!({"exp": null})),
        (none.clone(), json!({"exp": (now() + 60).to_string()})),
        (none.clone(), json!({"exp": 1e300})),
        (none.clone(), json!({"aud": "examples"})),
        (none.clone(), json!({"aud": ["urn:tollgate:callback:examples"]})),
        (none.clone(), json!({"aud": "urn:tollgate:callback:other"})),
        (none.clone(), json!({"aud": null})),
        (none.clone(), json!({"iss": ISS})),
        (none.clone(), json!({"iss": null})),
        (none.clone(), json!({"sub": nobody})),
        (none.clone(), json!({"sub": null})),
        (none.clone(), json!({"sub": "user@example.com"})),
        (none.clone(), json!({"jti": null})),
        (none.clone(), json!({"jti": "x"})),
        (none.clone(), json!({"act": null})),
        (none.clone(), json!({"act": BACKEND})),
        (none.clone(), json!({"mfa": null})),
        (json!({"typ": null}), none.clone()),
        (json!({"typ": "JWT"}), none.clone()),
        (json!({"typ": "at+jwt"}), none.clone()),
        (json!({"typ": "challenge+jwt"}), none.clone()),
        (json!({"typ": "assertion+jwt"}), none.clone()),
        (json!({"typ": "CALLBACK+JWT"}), none.clone()),
        (json!({"typ": "application/callback+jwt"}), none.clone()),
        (json!({"alg": "none"}), none.clone()),
        (json!({"alg": "HS512"}), none.clone()),
        (json!({"kid": null}), none.clone()),
        (json!({"kid": "other"}), none.clone()),
        (json!({"crit": ["exp"]}), none.clone()),
        (json!({"jwk": {"kty": "oct", "k": "AA"}}), none),
    ] {
        eprintln!("{header} {changes}");
        let token = forged(&exchange, &header, &changes);
        says(&exchange.visit_callback(&token), 401, UNAUTHORIZED);
        says(&exchange.redeem(&token), 401, UNAUTHORIZED);
    }
}

#[test]
fn a_token_that_was_changed_is_none() {
    let exchange = Exchange::with_user("");
    let token = exchange.callback_token("user@example.com");
    for at in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        says(&exchange.visit_callback(&changed), 401, UNAUTHORIZED);
    }
    let (signed, _) = token.rsplit_once('.').unwrap();
    for changed in
        [format!("{signed}."), signed.to_owned(), format!("{token}="), token[1..].to_owned(), format!("{token}.x")]
    {
        says(&exchange.redeem(&changed), 401, UNAUTHORIZED);
    }
    exchange.visit_callback(&token).expect(303);
}

/// R29: it opens nothing.
#[test]
fn r29_it_is_no_access_token() {
    let exchange = Exchange::of("", |conf| {
        conf.realm("algorithm", "\"ES256\"").add_route("/asserted", "user", "assertion = \"app\"")
    });
    exchange.user("user");
    let token = exchange.callback_token("user@example.com");
    for request in [
        get("/app/x").bearer(&token),
        get("/app/x").cookie(&token),
        get("/admin/x").bearer(&token),
        get("/asserted/x").bearer(&token),
        get("/asserted/x").header("X-Auth-Assertion", &token).bearer(&token),
        get(auth("")).bearer(&token),
        get(auth("")).cookie(&token),
        delete(auth("uniqueId=x")).bearer(&token),
    ] {
        exchange.gate.send(&request).refused(401, "token_type");
    }
    for request in [get("/app/x").header("X-Auth-Assertion", &token), get(format!("/app/x?token={token}"))] {
        exchange.gate.send(&request).refused(401, "token_missing");
    }
    exchange.app.saw_nothing();
    exchange.gate.send(&get("/open/x").bearer(&token)).expect(200);
    assert_eq!(exchange.app.only().header("x-auth-subject"), None);
    says(&exchange.ask(&token, "user@example.com"), 401, UNAUTHORIZED);
    exchange.gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    exchange.visit_callback(&token).expect(303);
}

/// R29: nothing else is one.
#[test]
fn r29_no_other_token_is_a_callback_token() {
    let exchange = Exchange::of("", |conf| {
        conf.realm("algorithm", "\"ES256\"")
            .add_route("/asserted", "user", "assertion = \"urn:tollgate:callback:examples\"")
            .more("[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\n")
    });
    exchange.user("user");
    exchange.import(&[edited(person("new@example.com"), &json!({"temporary": true}))]);
    let session = exchange.log_in("user@example.com");
    exchange.gate.send(&get("/asserted/x").bearer(&session)).expect(200);
    let assertion = exchange.app.only().header("x-auth-assertion").expect("an assertion");
    let log_in = |user: &str| {
        let body = json!({"UserName": user, "TenantName": "examples", "Password": PASSWORD});
        exchange.gate.send(&post("/Login").json(&body)).expect(200).json()["cognitoToken"].clone()
    };
    let tokens = log_in("user@example.com")["AuthenticationResult"].clone();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no token: {value}")).to_owned();
    let mut others = vec![session, assertion, machine(), user_with("user@example.com", &json!({}))];
    others.extend(["AccessToken", "IdToken", "RefreshToken"].map(|name| text(&tokens[name])));
    others.push(text(&log_in("new@example.com")["Session"]));
    for token in others {
        eprintln!("{token}");
        says(&exchange.visit_callback(&token), 401, UNAUTHORIZED);
        says(&exchange.redeem(&token), 401, UNAUTHORIZED);
    }
    // Nor is it one of those.
    let token = exchange.callback_token("user@example.com");
    let refresh = exchange.gate.send(&post("/Login/Refresh").json(&json!({"RefreshToken": token})));
    assert_eq!(refresh.status, 401, "{}", refresh.text());
    let answer = json!({"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": token, "ChallengeResponses": {"USERNAME": "user@example.com", "NEW_PASSWORD": "another password 1"}});
    assert_eq!(exchange.gate.send(&post("/Login/Challenge").json(&answer)).status, 401);
    exchange.visit_callback(&token).expect(303);
}

#[test]
fn another_realms_is_none() {
    let app = App::start();
    let issuer = Issuer::with_keys(&[KEY_A.jwk()]);
    let trusted = format!(
        "[[realm.trusted_issuer]]\nissuer = \"{ISS}\"\naudience = [\"{AUD}\"]\njwks_url = \"{}\"\ninsecure_http = true\n",
        issuer.url(JWKS)
    );
    let realm = format!(
        "[[realm]]\nname = \"other\"\nissuer = \"{ISSUER}\"\naudience = \"examples\"\nrequire_key = false\n{trusted}"
    );
    let keys = "callback_url = \"https://other.example.com/site/callback\"\ncallback_path = \"/other/callback\"";
    let gate = conf(&app, &issuer.url(JWKS), "").more(&realm).more(&section("/other/login", "other", keys)).start();
    let exchange = Exchange { app, issuer, gate };
    exchange.user("user");
    let line = person("user@example.com").to_string() + "\n";
    tollgate(&["user", "import", "-c", &exchange.gate.config_arg(), "--realm", "other"], &line).ok();
    let body = json!({"email": STANDARD.encode("user@example.com")});
    let answer = exchange.gate.send(&post("/other/login").bearer(&machine()).json(&body)).expect(200).json();
    let theirs =
        answer["url"].as_str().unwrap().strip_prefix("https://other.example.com/site/callback?token=").unwrap();
    let ours = exchange.callback_token("user@example.com");
    says(&exchange.visit_callback(theirs), 401, UNAUTHORIZED);
    says(&exchange.redeem(theirs), 401, UNAUTHORIZED);
    says(&exchange.gate.send(&get(format!("/other/callback?token={ours}"))), 401, UNAUTHORIZED);
    exchange.gate.send(&get(format!("/other/callback?token={theirs}"))).expect(303);
    exchange.visit_callback(&ours).expect(303);
}

/// R40, R7: the token is in no log, however much is logged, nor in any answer but the one that it is for.
#[test]
fn r40_it_is_in_no_log_and_in_no_other_answer() {
    let mut exchange = Exchange::of("", |conf| {
        conf.log("level", "\"trace\"").log("access", "\"all\"").log("audit", "\"stderr\"").server("h2c", "true")
    });
    exchange.user("user");
    let auth0 = machine();
    let tokens: Vec<_> = (0..4).map(|_| token_of(&exchange.ask(&auth0, "user@example.com"))).collect();
    let mut answers = Vec::new();
    for token in &tokens[..3] {
        for request in [
            request("HEAD", format!("{CALLBACK}?token={token}")),
            get(format!("{CALLBACK}?token={token}&token=x")),
            get(format!("{CALLBACK}?token={token}x&redirect_url=https://evil.example")),
            get(format!("{CALLBACK}?token={token}&redirect_url=%zz")),
            get(format!("{CALLBACK}/x?token={token}")),
            get(format!("/nope?token={token}")),
            get("/app/x").bearer(token),
            post(format!("{LOGIN}/redeem"))
                .header("Content-Type", "application/json")
                .body(format!("{{\"token\":\"{token}\"")),
            login("user@example.com").bearer(token),
        ] {
            answers.push(exchange.gate.send(&request));
        }
    }
    answers.push(exchange.visit_callback(&tokens[0]).expect(303));
    answers.push(exchange.visit_callback(&tokens[0]).expect(401));
    let session = exchange.redeem(&tokens[1]).expect(200).json()["token"].as_str().unwrap().to_owned();
    answers.push(exchange.redeem(&tokens[1]).expect(401));
    let over_2 = http::Request::builder()
        .uri(format!("http://{}{CALLBACK}?token={}", exchange.gate.addr, tokens[3]))
        .body(())
        .unwrap();
    let _ = h2c(exchange.gate.addr, over_2, b"");
    says(&exchange.visit_callback(&tokens[3]), 401, UNAUTHORIZED);
    let status = exchange.gate.status().to_string();
    exchange.gate.stop();
    let log = exchange.gate.stderr();
    assert!(log.lines().count() > 50, "trace says much more than that: {log}");
    for token in tokens.iter().chain([&auth0, &session]) {
        for part in token.split('.').skip(1) {
            if let Some(line) = log.lines().find(|line| line.contains(part)) {
                panic!("{part} is in the log: {line}");
            }
            assert!(!status.contains(part));
        }
    }
    for answer in answers {
        let text = format!("{:?}{}", answer.headers, answer.text());
        assert!(tokens.iter().all(|token| !text.contains(token.rsplit('.').next().unwrap())), "{text}");
        assert!(!answer.header("content-type").is_some_and(|kind| kind.contains("html")), "{text}");
    }
}

#[test]
fn r49_a_picture_on_another_site_logs_nobody_in() {
    let exchange = Exchange::with_user("");
    let token = exchange.callback_token("user@example.com");
    for mode in ["no-cors", "cors", "websocket", ""] {
        let answer = exchange.gate.send(&callback(&token).header("Sec-Fetch-Mode", mode)).expect(403);
        assert!(answer.set_cookie(COOKIE).is_none(), "{mode}");
    }
    let navigate = callback(&token).header("Sec-Fetch-Mode", "navigate");
    exchange.gate.send(&navigate.clone().header("Sec-Purpose", "prefetch")).expect(403);
    exchange.gate.send(&navigate).expect(303);
}

#[test]
fn r62_a_stolen_signing_key_makes_none() {
    let exchange = Exchange::with_user("");
    let (key, real) = (Jwk::of(&exchange.gate), exchange.callback_token("user@example.com"));
    let header = json!({"alg": "HS256", "typ": "callback+jwt", "kid": key.kid}).to_string();
    for changes in [json!({"jti": "0123456789abcdef0123456789abcdef"}), json!({"mfa": true}), json!({"seal": null})] {
        let forged = sign(&header, &edited(claims(&real), &changes).to_string(), &key.secret);
        says(&exchange.redeem(&forged), 401, UNAUTHORIZED);
        says(&exchange.visit_callback(&forged), 401, UNAUTHORIZED);
    }
    let config = exchange.gate.config_arg();
    tollgate(&["session", "end", "-c", &config, "--realm", "examples", "--all"], "").ok();
    says(&exchange.redeem(&real), 401, UNAUTHORIZED);
    exchange.redeem(&exchange.callback_token("user@example.com")).expect(200);
}
