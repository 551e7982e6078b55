//! Issuers that are away, or answer nonsense: the keys that are known stay, the log says what was wrong, and readiness
//! tells.

use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn r43_an_issuer_that_was_never_there_is_unavailable_and_all_else_works() {
    let (app, mut issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
    issuer.stop();
    let gate = Conf::new(&app).add_realm_tables(&section(ISS, &issuer.url(JWKS), "")).start_unready();
    let error = until(PATIENCE, "/status says so", || status_of(&gate, ISS)["error"].as_str().map(str::to_owned));
    assert!(!error.is_empty());
    let ready = get("/readyz").send(gate.admin).expect(503);
    assert!(ready.text().contains(ISS), "{}", ready.text());
    gate.visit(&KEY_A.token(&claims())).refused(503, "issuer_keys_unavailable");
    gate.says(ISS);
    // Its absence says nothing of other tokens.
    gate.visit(&KEY_A.token(&claims_of("https://nobody.example.com"))).refused(401, "token_issuer");
    let token = gate.user("alice");
    gate.visit(&token).expect(200);
    gate.send(&get("/open").key()).expect(200);
    // A public route passes; the application gets no identity (docs/credentials.md, Access).
    app.forget();
    gate.send(&get("/open").key().bearer(&KEY_A.token(&claims()))).expect(200);
    assert_eq!(app.only().header("x-auth-subject"), None);

    // It comes, and is looked for often enough.
    issuer.come_back();
    until_true(Duration::from_secs(60), "the keys are fetched", || gate.visit(&KEY_A.token(&claims())).status == 200);
    until_true(PATIENCE, "the gate is ready", || get("/readyz").send(gate.admin).status == 200);
    assert!(status_of(&gate, ISS)["error"].is_null());
}

#[test]
fn the_answer_while_there_are_no_keys_says_when_to_try_again() {
    let (app, mut issuer) = (App::start(), Issuer::start());
    issuer.stop();
    let gate = Conf::new(&app).add_realm_tables(&section(ISS, &issuer.url(JWKS), "")).start_unready();
    let answer = gate.visit(&KEY_A.token(&claims())).refused(503, "issuer_keys_unavailable");
    let after: u64 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=600).contains(&after), "{after}");
    assert_eq!(answer.header("www-authenticate"), None, "another token would not help");
}

#[test]
fn r43_known_keys_go_on_through_an_outage() {
    let mut trusted = Trusted::with("");
    let token = KEY_A.token(&claims());
    trusted.passes(&token);
    trusted.issuer.stop();
    // An unknown key makes it look, in vain.
    trusted.refuses(&KEY_B.token(&claims()), "token_key_unknown");
    until_true(PATIENCE, "/status says so", || trusted.status()["error"].is_string());
    trusted.passes(&token);
    trusted.passes(&KEY_A.token(&claims_with(&json!({"sub": "another"}))));
    get("/readyz").send(trusted.gate.admin).expect(200);
    assert_eq!(trusted.status()["keys"], json!(["key-a"]));
    trusted.gate.says(ISS);
}

#[test]
fn a_reload_keeps_the_keys_of_an_issuer_that_is_away() {
    let mut trusted = Trusted::with("");
    trusted.passes(&KEY_A.token(&claims()));
    trusted.issuer.stop();
    let before = trusted.gate.generation();
    trusted.gate.edit_by_rename(&trusted.gate.conf().add_route("/more", "user", ""));
    until_true(PATIENCE, "the new policy is in force", || trusted.gate.generation() > before);
    trusted.passes(&KEY_A.token(&claims()));
    trusted.gate.send(&get("/more").key().bearer(&KEY_A.token(&claims()))).expect(200);
    get("/readyz").send(trusted.gate.admin).expect(200);
}

#[test]
fn a_reload_that_says_how_to_fetch_keeps_the_keys_of_an_issuer_that_is_away() {
    let mut trusted = Trusted::with("");
    let token = KEY_A.token(&claims());
    trusted.passes(&token);
    trusted.issuer.stop();
    // What an operator writes while it is away, so that the keys last until it is back.
    for more in ["max_stale = \"7d\"", "refresh = \"1h\"\ntimeout = \"1s\"", "algorithms = [\"RS256\", \"PS256\"]"] {
        let before = trusted.gate.generation();
        let conf = Conf::new(&trusted.app).add_realm_tables(&section(ISS, &trusted.issuer.url(JWKS), more));
        trusted.gate.edit_by_rename(&conf);
        until_true(PATIENCE, "the new policy is in force", || trusted.gate.generation() > before);
        trusted.passes(&token);
        get("/readyz").send(trusted.gate.admin).expect(200);
    }
    // Not those that came from elsewhere.
    let before = trusted.gate.generation();
    let conf = Conf::new(&trusted.app).add_realm_tables(&section(ISS, &trusted.issuer.url("/other"), ""));
    trusted.gate.edit_by_rename(&conf);
    until_true(PATIENCE, "the new policy is in force", || trusted.gate.generation() > before);
    trusted.gate.visit(&token).refused(503, "issuer_keys_unavailable");
}

#[test]
fn r27_a_reload_that_trusts_an_issuer_no_more_takes_none_of_its_tokens() {
    let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
    let without = Conf::new(&app);
    let gate = without.clone().add_realm_tables(&section(ISS, &issuer.url(JWKS), "")).start();
    let token = KEY_A.token(&claims());
    gate.visit(&token).expect(200);
    gate.edit_by_rename(&without);
    until_true(PATIENCE, "the new policy is in force", || gate.visit(&token).status != 200);
    gate.visit(&token).refused(401, "token_issuer");
    // Trusted again, for another audience: the same token again, judged anew.
    let other = section(ISS, &issuer.url(JWKS), "audience = [\"other\"]");
    let before = gate.generation();
    gate.edit_by_rename(&without.add_realm_tables(&other));
    until_true(PATIENCE, "the third policy is in force", || gate.generation() > before);
    until_true(PATIENCE, "its keys are there", || gate.visit(&token).status == 401);
    gate.visit(&token).refused(401, "token_audience");
}

#[test]
fn keys_that_are_too_old_are_let_go() {
    let mut trusted = Trusted::with("refresh = \"1s\"\nmax_stale = \"3s\"\n");
    let token = KEY_A.token(&claims());
    trusted.passes(&token);
    until_true(PATIENCE, "they are fetched again", || trusted.issuer.fetched(JWKS) > 1);
    trusted.issuer.stop();
    trusted.passes(&token);
    until_true(PATIENCE, "the keys are too old", || trusted.gate.visit(&token).status == 503);
    trusted.gate.visit(&token).refused(503, "issuer_keys_unavailable");
    get("/readyz").send(trusted.gate.admin).expect(503);
    trusted.issuer.come_back();
    until_true(Duration::from_secs(60), "they are there again", || trusted.gate.visit(&token).status == 200);
}

/// Every nonsense that a server of keys may answer, and one of the words of which the log and /status say one.
fn nonsense(issuer: &Issuer) -> Vec<(&'static str, Serve, &'static [&'static str])> {
    let good = json!({"keys": [KEY_A.jwk(), KEY_B.jwk()]}).to_string();
    let head =
        |length: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{length}\r\n\r\n").into_bytes();
    let padded = |size: usize| format!("{good}{}", " ".repeat(size));
    let bomb = gzip_bomb(good.as_bytes(), 64 << 20);
    assert!(bomb.len() < 512 << 10);
    let small_bomb = gzip_bomb(good.as_bytes(), 8 << 20);
    assert!(small_bomb.len() < 128 << 10, "{}", small_bomb.len());
    let gzip = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    vec![
        ("500", Serve::answer("500 Internal Server Error", "", &good), &["500"]),
        ("404", Serve::answer("404 Not Found", "", &good), &["404"]),
        ("204", Serve::answer("204 No Content", "", ""), &["204"]),
        ("redirect-to-http", Serve::redirect(&issuer.url("/bait")), &["302", "redirect"]),
        ("moved", Serve::answer("308 Permanent Redirect", "Location: /bait\r\n", ""), &["308", "redirect"]),
        ("html", Serve::body("text/html", "<!doctype html><title>Sign in</title>"), &["json"]),
        ("nothing", Serve::body("application/json", ""), &["json", "empty"]),
        ("no-answer", Serve::Raw(Vec::new()), &[]),
        ("no-http", Serve::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), &[]),
        ("no-keys", Serve::keys(&[]), &["no ", "empty"]),
        ("no-member", Serve::json(&json!({"key": [KEY_A.jwk()]})), &["keys"]),
        ("object-of-keys", Serve::json(&json!({"keys": {"a": KEY_A.jwk()}})), &["keys", "array"]),
        ("list", Serve::json(&json!([KEY_A.jwk()])), &["object", "keys"]),
        ("text", Serve::json(&json!("keys")), &["object", "json"]),
        ("numbers-for-keys", Serve::json(&json!({"keys": [1, 2]})), &["key", "object"]),
        ("cut", Serve::body("application/json", &good[..good.len() / 2]), &["json"]),
        ("twice", Serve::keys(&[KEY_A.jwk(), KEY_B.jwk_with(&json!({"kid": "key-a"}))]), &["kid", "twice", "same"]),
        (
            "too-large",
            Serve::body("application/json", padded(1 << 20)),
            &["large", "long", "big", "more than", "262144", "256"],
        ),
        (
            "too-large-by-one",
            Serve::body("application/json", padded((256 << 10) + 1 - good.len())),
            &["large", "long", "big", "more than", "262144", "256"],
        ),
        ("said-to-be-huge", Serve::Raw([head("Content-Length: 99999999999"), good.clone().into_bytes()].concat()), &[]),
        (
            "endless",
            Serve::Endless(head("Transfer-Encoding: chunked")),
            &["large", "long", "big", "more than", "262144", "256"],
        ),
        ("broken-off", Serve::Raw([head("Content-Length: 100000"), good.clone().into_bytes()].concat()), &[]),
        ("bomb", Serve::answer("200 OK", gzip, bomb), &[]),
        ("small-bomb", Serve::answer("200 OK", gzip, small_bomb), &[]),
        ("hang", Serve::Hang, &["no answer within"]),
    ]
}

#[test]
fn r30_bad_key_sets_leave_the_old_keys_and_the_log_says_what_was_wrong() {
    let (app, issuer) = (App::start(), Issuer::start());
    issuer.serve("/bait", Serve::keys(&[KEY_A.jwk(), KEY_B.jwk()]));
    let cases = nonsense(&issuer);
    // An issuer for each, so that none waits for another's half minute between two fetches.
    let iss = |name: &str| format!("https://{name}.example.com/");
    let tables: Vec<_> = cases
        .iter()
        .map(|(name, ..)| {
            issuer.serve(&format!("/{name}"), Serve::keys(&[KEY_A.jwk()]));
            section(&iss(name), &issuer.url(&format!("/{name}")), "timeout = \"2s\"")
        })
        .collect();
    let gate = Conf::new(&app).add_realm_tables(&tables.concat()).start();
    for (name, page, words) in cases {
        let iss = iss(name);
        gate.visit(&KEY_A.token(&claims_of(&iss))).expect(200);
        issuer.serve(&format!("/{name}"), page);
        // The other key is in many of those answers, and must not come in with one.
        gate.visit(&KEY_B.token(&claims_of(&iss))).refused(401, "token_key_unknown");
        let error = until(PATIENCE, &format!("{name} is in /status"), || {
            status_of(&gate, &iss)["error"].as_str().map(str::to_lowercase)
        });
        assert!(words.is_empty() || words.iter().any(|word| error.contains(word)), "{name}: {error}");
        assert_eq!(status_of(&gate, &iss)["keys"], json!(["key-a"]), "{name}");
        gate.visit(&KEY_A.token(&claims_of(&iss))).expect(200);
        let logged = gate.stderr().lines().any(|line| {
            let line = line.to_lowercase();
            line.contains(&iss) && (words.is_empty() || words.iter().any(|word| line.contains(word)))
        });
        assert!(logged, "{name}: the log does not say what was wrong");
        gate.visit(&KEY_B.token(&claims_of(&iss))).refused(401, "token_key_unknown");
    }
    get("/readyz").send(gate.admin).expect(200);
    assert_eq!(issuer.fetched("/bait"), 0, "a redirect was followed");
    // What a bomb would have unpacked to: 64 MiB and more.
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate.pid().as_raw_nonzero())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
    assert!(peak < 200 << 10, "{peak} kB");
}

#[test]
fn a_key_set_of_just_the_greatest_size_is_taken() {
    let good = json!({"keys": [KEY_A.jwk()]}).to_string();
    let page = Serve::body("application/json", format!("{good}{}", " ".repeat((256 << 10) - good.len())));
    let (app, issuer) = (App::start(), Issuer::start());
    issuer.serve(JWKS, page);
    let gate = Conf::new(&app).add_realm_tables(&section(ISS, &issuer.url(JWKS), "")).start();
    gate.visit(&KEY_A.token(&claims())).expect(200);
}
