//! When keys are fetched, and how often: R30.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

#[test]
fn keys_are_fetched_before_they_are_needed_and_not_per_request() {
    let trusted = Trusted::with("");
    assert_eq!(trusted.issuer.fetched(JWKS), 1);
    let status = trusted.status();
    assert_eq!((&status["keys"], &status["realm"]), (&json!(["key-a"]), &json!("examples")));
    assert!(status["fetched_at"].is_string() && status["error"].is_null(), "{status}");
    for _ in 0..20 {
        trusted.passes(&KEY_A.token(&claims()));
    }
    assert_eq!(trusted.issuer.fetched(JWKS), 1);
    let request = &trusted.issuer.requests()[0];
    assert!(request.starts_with("GET /jwks.json HTTP/1.1\r\n"), "{request}");
    assert!(request.to_ascii_lowercase().contains("\r\nhost: "), "{request}");
}

#[test]
fn discovery_tells_where_the_keys_are() {
    let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
    let iss = issuer.url("");
    issuer.serve(DISCOVERY, Serve::json(&json!({"issuer": iss, "jwks_uri": issuer.url(JWKS), "more": [1]})));
    let more = "discovery = true\ninsecure_http = true\n";
    let gate = Conf::new(&app).add_realm_tables(&section_without_keys(&iss, more)).start();
    gate.visit(&KEY_A.token(&claims_of(&iss))).expect(200);
    assert_eq!((issuer.fetched(DISCOVERY), issuer.fetched(JWKS)), (1, 1));
}

#[test]
fn discovery_of_an_issuer_with_a_path_and_a_slash() {
    let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]));
    let iss = issuer.url("/tenant/");
    issuer.serve(&format!("/tenant{DISCOVERY}"), Serve::json(&json!({"issuer": iss, "jwks_uri": issuer.url(JWKS)})));
    let more = "discovery = true\ninsecure_http = true\n";
    let gate = Conf::new(&app).add_realm_tables(&section_without_keys(&iss, more)).start();
    gate.visit(&KEY_A.token(&claims_of(&iss))).expect(200);
}

#[test]
fn a_discovery_document_that_is_wrong_is_not_followed() {
    let issuer = Issuer::with_keys(&[KEY_A.jwk()]);
    let (iss, jwks) = (issuer.url(""), issuer.url(JWKS));
    for (what, page) in [
        ("of another issuer", Serve::json(&json!({"issuer": "https://evil.example.net", "jwks_uri": jwks}))),
        ("of nearly this issuer", Serve::json(&json!({"issuer": format!("{iss}/"), "jwks_uri": jwks}))),
        ("of no issuer", Serve::json(&json!({"jwks_uri": jwks}))),
        ("without a place for the keys", Serve::json(&json!({"issuer": iss}))),
        ("with a place that is no text", Serve::json(&json!({"issuer": iss, "jwks_uri": [jwks]}))),
        ("with a file for a place", Serve::json(&json!({"issuer": iss, "jwks_uri": "file:///etc/passwd"}))),
        ("with a relative place", Serve::json(&json!({"issuer": iss, "jwks_uri": JWKS}))),
        ("that is no object", Serve::json(&json!([iss, jwks]))),
        ("that is HTML", Serve::body("text/html", "<html>sign in</html>")),
        ("that is not there", Serve::answer("404 Not Found", "", "")),
        ("that is elsewhere", Serve::redirect("/elsewhere")),
    ] {
        issuer.serve(DISCOVERY, page);
        issuer.serve("/elsewhere", Serve::json(&json!({"issuer": iss, "jwks_uri": jwks})));
        let app = App::start();
        let more = "discovery = true\ninsecure_http = true\n";
        let gate = Conf::new(&app).add_realm_tables(&section_without_keys(&iss, more)).start_unready();
        until(PATIENCE, what, || status_of(&gate, &iss)["error"].as_str().map(str::to_owned));
        gate.visit(&KEY_A.token(&claims_of(&iss))).refused(503, "issuer_keys_unavailable");
        assert_eq!(issuer.fetched(JWKS), 0, "{what}");
    }
}

#[test]
fn a_key_file_is_taken_and_a_new_one_at_once() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let write = |keys: &[Value]| {
        let new = dir.path().join("new");
        write_file(&new, &json!({"keys": keys}).to_string(), 0o644);
        std::fs::rename(new, &file).unwrap();
    };
    write(&[KEY_A.jwk()]);
    let more = format!("jwks_file = \"{}\"\n", file.display());
    let gate = Conf::new(&app).add_realm_tables(&section_without_keys(ISS, &more)).start();
    gate.visit(&KEY_A.token(&claims())).expect(200);
    gate.visit(&KEY_B.token(&claims())).refused(401, "token_key_unknown");

    write(&[KEY_B.jwk()]);
    until_true(PATIENCE, "the new keys are in force", || gate.visit(&KEY_B.token(&claims())).status == 200);
    // What was verified with a key that has gone counts no more.
    gate.visit(&KEY_A.token(&claims())).refused(401, "token_key_unknown");

    // A file that can't be used is as any bad configuration: what was in force stays so, and it is said.
    for bad in ["", "<html>", "{\"keys\":[]}", "{\"keys\":{}}"] {
        std::fs::write(&file, bad).unwrap();
        until_true(PATIENCE, "the failed reload is in /status", || gate.status()["last_reload"]["ok"] == false);
        assert!(gate.status()["last_reload"]["errors"].to_string().contains("jwks_file"), "{}", gate.status());
        gate.visit(&KEY_B.token(&claims())).expect(200);
        write(&[KEY_B.jwk()]);
        until_true(PATIENCE, "the good file is in force", || gate.status()["last_reload"]["ok"] == true);
    }
}

#[test]
fn r30_an_unknown_key_id_is_asked_for_once_and_the_token_waits_for_it() {
    let trusted = Trusted::with("");
    trusted.passes(&KEY_A.token(&claims()));
    // The issuer has a new key; Tollgate has not been told.
    trusted.issuer.serve(JWKS, Serve::keys(&[KEY_A.jwk(), KEY_B.jwk()]));
    trusted.passes(&KEY_B.token(&claims()));
    assert_eq!(trusted.issuer.fetched(JWKS), 2);
    trusted.passes(&KEY_A.token(&claims()));
    assert_eq!(trusted.status()["keys"], json!(["key-a", "key-b"]));
}

#[test]
fn keys_without_an_id_may_change_too() {
    let nameless = json!({"kid": null});
    let trusted = Trusted::with_keys(&[KEY_A.jwk_with(&nameless)], "");
    let token = |key: &Signer| key.token_with(&nameless, &claims());
    trusted.passes(&token(&KEY_A));
    trusted.issuer.serve(JWKS, Serve::keys(&[KEY_B.jwk_with(&nameless)]));
    trusted.passes(&token(&KEY_B));
    trusted.refuses(&token(&KEY_A), "token_signature");
    assert_eq!(trusted.issuer.fetched(JWKS), 2, "and no third time within 30 s");
}

#[test]
fn r30_many_that_wait_cause_one_fetch_and_the_others_do_not_wait() {
    let trusted = Trusted::with("");
    trusted.issuer.serve(JWKS, Serve::keys(&[KEY_A.jwk(), KEY_B.jwk()]).held());
    let (addr, token) = (trusted.gate.addr, KEY_B.token(&claims()));
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let token = token.clone();
            std::thread::spawn(move || get("/app/x").key().bearer(&token).send(addr).status)
        })
        .collect();
    until_true(PATIENCE, "the gate asks", || trusted.issuer.fetched(JWKS) == 2);
    // Tokens of a known key, local users and all other requests go on meanwhile.
    let start = Instant::now();
    for _ in 0..10 {
        trusted.gate.visit(&KEY_A.token(&claims())).expect(200);
        trusted.gate.send(&get("/open").key()).expect(200);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(waiting.iter().all(|thread| !thread.is_finished()), "they wait for the keys");
    trusted.issuer.release();
    let statuses: Vec<_> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(statuses, [200; 20]);
    assert_eq!(trusted.issuer.fetched(JWKS), 2);
}

#[test]
fn r30_a_flood_of_forged_key_ids_causes_one_fetch_and_no_second() {
    let trusted = Trusted::with("");
    let start = Instant::now();
    let mut conn = trusted.gate.conn();
    let (signed, claims) = (KEY_B.token(&claims()), claims());
    let signature = signed.rsplit_once('.').unwrap().1;
    for at in 0..500 {
        // A signature that fits nothing: an attacker does not make one.
        let header = edited(KEY_B.header(), &json!({"kid": format!("forged-{at}")}));
        let token = format!(
            "{}.{}.{signature}",
            encoded(header.to_string().as_bytes()),
            encoded(claims.to_string().as_bytes())
        );
        conn.ask(&get("/app/x").key().bearer(&token)).refused(401, "token_key_unknown");
        assert!(trusted.issuer.fetched(JWKS) <= 2, "fetched again after {at} forged tokens");
    }
    assert!(start.elapsed() < Duration::from_secs(25), "no request waited in vain: {:?}", start.elapsed());
    trusted.passes(&KEY_A.token(&claims));
    assert!(trusted.issuer.fetched(JWKS) <= 2);
}

#[test]
fn r30_an_issuer_that_is_slow_to_answer_holds_nobody_longer_than_its_timeout() {
    let trusted = Trusted::with("timeout = \"1s\"");
    trusted.issuer.serve(JWKS, Serve::Hang);
    let start = Instant::now();
    trusted.gate.visit(&KEY_B.token(&claims())).refused(401, "token_key_unknown");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    trusted.passes(&KEY_A.token(&claims()));
    until_true(PATIENCE, "/status says so", || trusted.status()["error"].is_string());
}

#[test]
fn a_key_that_its_issuer_has_withdrawn_counts_no_more() {
    let trusted = Trusted::with("");
    let old = KEY_A.token(&claims());
    trusted.passes(&old);
    trusted.issuer.serve(JWKS, Serve::keys(&[KEY_B.jwk()]));
    // Its new key makes Tollgate look.
    trusted.passes(&KEY_B.token(&claims()));
    // The very token that passed a moment ago, so that whatever is cached has seen it.
    trusted.refuses(&old, "token_key_unknown");
}

#[test]
fn r27_a_key_that_is_another_under_the_same_id_does_not_let_old_tokens_in() {
    let trusted = Trusted::with("algorithms = [\"RS256\", \"ES256\"]");
    let old = KEY_A.token(&claims());
    trusted.passes(&old);
    let third = Signer::new("ES256", "third");
    trusted.issuer.serve(JWKS, Serve::keys(&[KEY_B.jwk_with(&json!({"kid": "key-a"})), third.jwk()]));
    // A key that is new by its id, too, makes Tollgate look.
    trusted.passes(&third.token(&claims()));
    trusted.passes(&KEY_B.token_with(&json!({"kid": "key-a"}), &claims()));
    trusted.refuses(&old, "token_signature");
}
