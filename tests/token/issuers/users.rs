//! A foreign user beside the realm's own: what such a token may not do, and how it ends.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::proxy::forwarding::open_tunnel;

fn revoke(gate: &Gate, arguments: &[&str], stdin: &str) -> Ran {
    let config = gate.config_arg();
    tollgate(&[&["token", "revoke", "-c", &config], arguments].concat(), stdin)
}

#[test]
fn r26_a_foreign_token_is_no_user_of_the_realm_though_it_names_one() {
    let trusted = Trusted::with("");
    let record = trusted.gate.register("alice");
    let own = trusted.gate.log_in("alice");
    let id = record["uniqueId"].as_str().unwrap();
    // By her id, by her name, and by both: a user who can choose a name at the issuer could choose any name here.
    for change in [json!({"sub": id}), json!({"sub": "alice"}), json!({"sub": id, "username": "alice", "jti": id})] {
        let token = KEY_A.token(&claims_with(&change));
        trusted.passes(&token);
        trusted.gate.who(&token).refused(401, "token_issuer");
        let body = json!({"username": "alice", "password": "another password, long enough"});
        let update = put(auth(&format!("uniqueId={id}"))).bearer(&token).json(&body);
        trusted.gate.send(&update).refused(401, "token_issuer");
        let remove = delete(auth(&format!("uniqueId={id}"))).bearer(&token);
        trusted.gate.send(&remove).refused(401, "token_issuer");
        // A logout always succeeds, and ends nothing of hers.
        trusted.gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    }
    trusted.gate.who(&own).expect(200);
    trusted.passes(&own);
    trusted.gate.try_log_in("alice", PASSWORD).expect(200);
}

#[test]
fn a_foreign_user_is_told_from_an_own_one_of_the_same_name() {
    let trusted = Trusted::with("");
    let id = trusted.gate.register("alice")["uniqueId"].as_str().unwrap().to_owned();
    let own = trusted.gate.log_in("alice");
    let foreign = KEY_A.token(&claims_with(&json!({"sub": id, "jti": crate::harness::claims(&own)["jti"]})));
    let (of_own, of_foreign) = (trusted.passes(&own), trusted.passes(&foreign));
    assert_eq!(of_own.header("x-auth-subject"), of_foreign.header("x-auth-subject"));
    let issuer = of_foreign.header("x-auth-issuer");
    assert!(of_own.header("x-auth-token-id") != of_foreign.header("x-auth-token-id"), "an id of ours can't be claimed");
    assert_eq!((of_own.header("x-auth-issuer"), issuer.as_deref()), (None, Some(ISS)));
    // What ends the one does not end the other.
    trusted.gate.send(&post(auth("logout=true")).bearer(&own)).expect(200);
    trusted.refuses(&own, "token_revoked");
    trusted.passes(&foreign);
}

#[test]
fn a_foreign_user_is_revoked_by_issuer_and_subject_and_nobody_else_is() {
    let trusted = Trusted::with("");
    let issued = now() - 10;
    let of = |sub: &str, iat: i64| KEY_A.token(&claims_with(&json!({"sub": sub, "iat": iat})));
    let (old, other) = (of("mallory", issued), of("alice", issued));
    let nobody_knows_when = KEY_A.token(&claims_with(&json!({"sub": "mallory", "iat": null})));
    for token in [&old, &other, &nobody_knows_when] {
        trusted.passes(token);
    }
    revoke(&trusted.gate, &["--issuer", ISS, "--subject", "mallory"], "").ok();
    let took = until_true(PATIENCE, "the gate knows", || trusted.gate.visit(&old).status == 401);
    assert!(took < Duration::from_secs(2), "{took:?}");
    trusted.refuses(&old, "token_revoked");
    trusted.refuses(&of("mallory", issued), "token_revoked");
    trusted.refuses(&nobody_knows_when, "token_revoked");
    trusted.passes(&other);
    // Logged in anew, a while after: the clock of the test and that of the command are the same.
    until_true(PATIENCE, "a token of a later second passes", || {
        trusted.gate.visit(&of("mallory", now())).status == 200
    });
}

#[test]
fn a_foreign_token_is_revoked_by_the_id_that_the_app_saw_and_by_itself() {
    let trusted = Trusted::with("");
    for (name, with_jti) in [("named", json!("a-token")), ("nameless", json!(null))] {
        let claims = claims_with(&json!({"sub": name, "jti": with_jti}));
        let first = KEY_A.token(&claims);
        let id = trusted.passes(&first).header("x-auth-token-id").unwrap();
        revoke(&trusted.gate, &["--id", &id], "").ok();
        until_true(PATIENCE, "the gate knows", || trusted.gate.visit(&first).status == 401);
        trusted.refuses(&first, "token_revoked");
        trusted.passes(&KEY_A.token(&edited(claims, &json!({"jti": "another"}))));
    }
}

#[test]
fn a_tunnel_closes_within_a_second_of_its_foreign_tokens_end() {
    let trusted = Trusted::with("leeway = \"0s\"");
    let exp = now() + 3;
    let mut tunnel = open_tunnel(&trusted.gate, &KEY_A.token(&claims_with(&json!({"exp": exp}))));
    assert!(tunnel.closes_within(Duration::from_secs(3) + A_SECOND), "the tunnel is still open");
    assert!(now() >= exp, "it closed too early");
    let token = KEY_A.token(&claims_with(&json!({"sub": "mallory"})));
    let mut tunnel = open_tunnel(&trusted.gate, &token);
    revoke(&trusted.gate, &["--issuer", ISS, "--subject", "mallory"], "").ok();
    assert!(tunnel.closes_within(A_SECOND), "the tunnel is still open");
}

#[test]
fn inspect_says_of_a_foreign_token_what_the_gate_would() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys.json");
    write_file(&keys, &json!({"keys": [KEY_A.jwk()]}).to_string(), 0o644);
    let app = App::start();
    let more = format!("jwks_file = \"{}\"\n", keys.display());
    let gate = Conf::new(&app).add_realm_tables(&section_without_keys(ISS, &more)).start();
    let inspect = |token: &str| tollgate(&["token", "inspect", "-c", &gate.config_arg()], token);
    let good = KEY_A.token(&claims());
    assert!(inspect(&good).ok().stdout.contains(ISS));
    for (token, reason) in [
        (KEY_B.token(&claims()), "token_key_unknown"),
        (KEY_B.token_with(&json!({"kid": "key-a"}), &claims()), "token_signature"),
        (KEY_A.token(&claims_with(&json!({"exp": 1}))), "token_expired"),
        (KEY_A.token(&claims_with(&json!({"aud": "x"}))), "token_audience"),
        (KEY_A.token(&claims_of("https://nobody.example.com")), "token_issuer"),
        ("not a token".to_owned(), "token_malformed"),
    ] {
        let ran = inspect(&token);
        assert_eq!(ran.code, Some(65), "{reason}: {}{}", ran.stdout, ran.stderr);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(reason), "{reason}: {}{}", ran.stdout, ran.stderr);
        if reason != "token_malformed" {
            gate.visit(&token).refused(401, reason);
        }
    }
}

#[test]
fn a_tunnel_ends_when_the_issuer_has_its_key_no_more_or_is_trusted_no_more() {
    let trusted = Trusted::with_keys(&[KEY_A.jwk()], "refresh = \"1s\"");
    let token = KEY_A.token(&claims());
    let mut tunnel = open_tunnel(&trusted.gate, &token);
    trusted.issuer.serve(JWKS, Serve::keys(&[KEY_A.jwk(), KEY_B.jwk()]));
    until_true(PATIENCE, "the new key is there", || trusted.gate.visit(&KEY_B.token(&claims())).status == 200);
    let mut other = open_tunnel(&trusted.gate, &KEY_B.token(&claims()));
    tunnel.write("ping");
    assert_eq!(tunnel.read_exactly(4), b"ping", "a key more ends nothing");
    trusted.issuer.serve(JWKS, Serve::keys(&[KEY_B.jwk()]));
    until_true(PATIENCE, "the key is gone", || trusted.gate.visit(&token).status == 401);
    assert!(tunnel.closes_within(A_SECOND), "the tunnel of a key that is gone is still open");
    other.write("ping");
    assert_eq!(other.read_exactly(4), b"ping");
    trusted.gate.edit_by_rename(&Conf::new(&trusted.app));
    until_true(PATIENCE, "nobody is trusted", || trusted.gate.visit(&KEY_B.token(&claims())).status == 401);
    assert!(other.closes_within(A_SECOND), "the tunnel of an issuer that nobody trusts is still open");
}

#[test]
fn r35_a_logout_with_a_thousand_forged_cookies_costs_no_thousand_signatures() {
    let signer = Signer::new("ES384", "key-p384");
    let trusted = Trusted::with_keys(&[signer.jwk()], "algorithms = [\"ES384\"]");
    let real = signer.token(&claims());
    trusted.passes(&real);
    let (head, rest) = real.split_once('.').unwrap();
    let signature = rest.split_once('.').unwrap().1;
    let forged = (0..1500).map(|number| {
        let payload = encoded(json!({"iss": ISS, "n": number}).to_string().as_bytes());
        format!("{COOKIE}={head}.{payload}.{signature}")
    });
    let cookies = forged.collect::<Vec<_>>().join("; ");
    // The quickest of several, without the delays of a loaded machine. With a check of each signature it took 1.4 s.
    let took = (0..5).map(|_| {
        let begin = std::time::Instant::now();
        trusted.gate.send(&post(auth("logout=true")).header("Cookie", &cookies)).expect(200);
        begin.elapsed()
    });
    let took = took.min().unwrap();
    assert!(took < Duration::from_millis(400), "{took:?} for one request of {} bytes", cookies.len());
    // A token among a few planted ones is found nevertheless.
    let few = cookies.split("; ").take(20).collect::<Vec<_>>().join("; ");
    trusted.gate.send(&post(auth("logout=true")).header("Cookie", format!("{few}; {COOKIE}={real}"))).expect(200);
    trusted.refuses(&real, "token_revoked");
}
