//! Which keys of a set count: RFC 7517, and what our configuration makes of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

#[test]
fn a_key_without_an_algorithm_is_for_the_allowed_one_of_its_kind() {
    let bare = |signer: &Signer| signer.jwk_with(&json!({"alg": null, "use": null}));
    let (ps, es, ed) = (Signer::new("PS256", "ps"), Signer::new("ES256", "es"), Signer::new("EdDSA", "ed"));
    let trusted =
        Trusted::with_keys(&[bare(&KEY_A), bare(&es), bare(&ed)], "algorithms = [\"RS256\", \"ES256\", \"EdDSA\"]");
    for signer in [&*KEY_A, &es, &ed] {
        trusted.passes(&signer.token(&claims()));
    }
    // The kind does not say it alone: an RSA key is for PSS too, if that is allowed.
    let trusted = Trusted::with_keys(&[bare(&ps)], "algorithms = [\"PS256\"]");
    trusted.passes(&ps.token(&claims()));
    trusted.refuses(&ps.token_with(&json!({"alg": "RS256"}), &claims()), "token_algorithm");
}

#[test]
fn keys_for_something_else_verify_nothing() {
    // Beside a good key, so that the set as a whole is of use.
    for (what, changes) in [
        ("for encryption", json!({"use": "enc"})),
        ("for something else", json!({"use": "tls"})),
        ("with a use that is no text", json!({"use": ["sig"]})),
        ("for wrapping", json!({"use": null, "key_ops": ["wrapKey", "encrypt"]})),
        ("of another algorithm", json!({"alg": "RS512"})),
        ("of an algorithm of another kind", json!({"alg": "ES256"})),
        ("for encryption, by its algorithm", json!({"alg": "RSA-OAEP-256"})),
        ("of no algorithm", json!({"alg": "none"})),
        ("of an algorithm that is no text", json!({"alg": 256})),
        ("of an unknown kind", json!({"kty": "AKP"})),
        ("as a secret", json!({"kty": "oct", "alg": "HS256", "k": encoded(b"thirty-two bytes are not a secret")})),
    ] {
        let trusted =
            Trusted::with_keys(&[KEY_A.jwk(), KEY_B.jwk_with(&changes)], "algorithms = [\"RS256\", \"ES256\"]");
        trusted.passes(&KEY_A.token(&claims()));
        let answer = trusted.gate.visit(&KEY_B.token(&claims()));
        assert_eq!(answer.refused(401, "token_key_unknown").status, 401, "{what}");
        let hmac = sign(
            &json!({"alg": "HS256", "typ": "JWT", "kid": "key-b"}).to_string(),
            &claims().to_string(),
            b"thirty-two bytes are not a secret",
        );
        trusted.refuses(&hmac, "token_algorithm");
    }
}

#[test]
fn members_that_nobody_knows_are_ignored() {
    let x5c = json!({"x5t": "abc", "x5c": ["MIIC"], "issuer": "https://login.microsoftonline.com", "ext": true});
    let ops = KEY_B.jwk_with(&json!({"use": null, "key_ops": ["verify"]}));
    let trusted = Trusted::with_keys(&[KEY_A.jwk_with(&x5c), ops], "");
    trusted.passes(&KEY_A.token(&claims()));
    trusted.passes(&KEY_B.token(&claims()));
}

#[test]
fn a_token_without_a_key_id_needs_a_set_with_one_key_for_it() {
    let nameless = |signer: &Signer| signer.token_with(&json!({"kid": null}), &claims());
    let one = Trusted::with_keys(&[KEY_A.jwk_with(&json!({"kid": null}))], "");
    one.passes(&nameless(&KEY_A));
    one.refuses(&KEY_A.token(&claims()), "token_key_unknown");
    one.refuses(&nameless(&KEY_B), "token_signature");
    let named = Trusted::with("");
    named.passes(&nameless(&KEY_A));
    let two = Trusted::with_keys(&[KEY_A.jwk(), KEY_B.jwk()], "");
    for signer in [&*KEY_A, &*KEY_B] {
        let answer = two.gate.visit(&nameless(signer)).expect(401);
        assert!(["token_key_unknown", "token_algorithm"].contains(&answer.reason().as_str()), "{}", answer.text());
    }
    two.app.saw_nothing();
    two.passes(&KEY_A.token(&claims()));
    two.passes(&KEY_B.token(&claims()));
}

/// A set that must not be taken: Tollgate is not ready, says why, and lets no token of the issuer in.
fn not_taken(what: &str, set: Serve, said: &[&str]) {
    let (app, issuer) = (App::start(), Issuer::start());
    issuer.serve(JWKS, set);
    let gate = Conf::new(&app).add_realm_tables(&section(ISS, &issuer.url(JWKS), "")).start_unready();
    let error = until(PATIENCE, &format!("/status says what is wrong with a set {what}"), || {
        status_of(&gate, ISS)["error"].as_str().map(str::to_lowercase)
    });
    assert!(said.is_empty() || said.iter().any(|word| error.contains(word)), "{what}: {error}");
    assert_eq!(status_of(&gate, ISS)["keys"], json!([]), "{what}");
    get("/readyz").send(gate.admin).expect(503);
    for signer in [&*KEY_A, &*KEY_B] {
        gate.visit(&signer.token(&claims())).refused(503, "issuer_keys_unavailable");
    }
    app.saw_nothing();
}

#[test]
fn a_key_that_cannot_be_used_is_left_out_and_told() {
    let n = URL_SAFE_NO_PAD.decode(KEY_A.jwk()["n"].as_str().unwrap()).unwrap();
    let good = KEY_A.jwk_with(&json!({"n": encoded(&[vec![0], n].concat())}));
    // 1024 bits: what RFC 7518, 3.3 forbids.
    let weak = KEY_B.jwk_with(&json!({"n": encoded(&[0xd5; 128])}));
    for bad in [
        weak,
        KEY_B.jwk_with(&json!({"n": [1, 2]})),
        KEY_B.jwk_with(&json!({"e": null})),
        KEY_B.jwk_with(&json!({"e": "AQ"})),
        KEY_B.jwk_with(&json!({"e": "AQAA"})),
        KEY_B.jwk_with(&json!({"d": encoded(&[7; 256])})),
        KEY_B.jwk_with(&json!({"kid": 1})),
        json!("key-b"),
    ] {
        let trusted = Trusted::with_keys(&[bad.clone(), good.clone()], "");
        trusted.passes(&KEY_A.token(&claims()));
        trusted.refuses(&KEY_B.token(&claims()), "token_key_unknown");
        let status = trusted.status();
        assert_eq!(status["keys"], json!(["key-a"]), "{bad}");
        assert_eq!(status["unusable_keys"][0]["kid"], bad["kid"].as_str().map_or(Value::Null, Value::from), "{bad}");
        assert!(status["unusable_keys"][0]["reason"].is_string(), "{status}");
        let metrics = get("/metrics").send(trusted.gate.admin).expect(200).text();
        let counted = metrics.lines().find(|line| line.starts_with("tollgate_jwks_unusable_keys{")).unwrap();
        assert!(counted.ends_with(" 1"), "{counted}");
    }
}

#[test]
fn of_two_keys_with_one_id_neither_verifies() {
    let other = KEY_B.jwk_with(&json!({"kid": "key-a"}));
    let third = Signer::new("ES256", "key-c");
    let trusted = Trusted::with_keys(&[KEY_A.jwk(), other, third.jwk()], "algorithms = [\"RS256\", \"ES256\"]");
    trusted.passes(&third.token(&claims()));
    trusted.refuses(&KEY_A.token(&claims()), "token_key_unknown");
    trusted.refuses(&KEY_B.token_with(&json!({"kid": "key-a"}), &claims()), "token_key_unknown");
    // The same key, listed twice, is one key.
    Trusted::with_keys(&[KEY_A.jwk(), KEY_A.jwk()], "").passes(&KEY_A.token(&claims()));
}

#[test]
fn a_set_that_is_ambiguous_or_wrong_is_not_taken() {
    // 1024 bits: what RFC 7518, 3.3 forbids.
    let weak = KEY_A.jwk_with(&json!({"n": encoded(&[0xd5; 128])}));
    let set = |keys: &[Value]| Serve::keys(keys);
    for (what, set, said) in [
        (
            "with one id twice and no other",
            set(&[KEY_A.jwk(), KEY_B.jwk_with(&json!({"kid": "key-a"}))]),
            &["kid", "twice", "same"][..],
        ),
        ("with a weak key", set(&[weak]), &["bit", "short", "weak", "key"]),
        ("with a number that is no text", set(&[KEY_A.jwk_with(&json!({"n": [1, 2]}))]), &[]),
        ("without an exponent", set(&[KEY_A.jwk_with(&json!({"e": null}))]), &[]),
        ("with an exponent of one", set(&[KEY_A.jwk_with(&json!({"e": "AQ"}))]), &[]),
        ("with an even exponent", set(&[KEY_A.jwk_with(&json!({"e": "AQAA"}))]), &[]),
        ("with an id that is no text", set(&[KEY_A.jwk_with(&json!({"kid": 1}))]), &[]),
        (
            "with a member twice",
            Serve::body(
                "application/json",
                json!({"keys": [KEY_A.jwk()]}).to_string().replacen("\"kty\"", "\"kty\":\"EC\",\"kty\"", 1),
            ),
            &[],
        ),
        (
            "with two sets in it",
            Serve::body("application/json", format!("{{\"keys\":[],\"keys\":[{}]}}", KEY_A.jwk())),
            &[],
        ),
    ] {
        not_taken(what, set, said);
    }
}

#[test]
fn a_private_key_that_an_issuer_shows_to_all_signs_for_nobody() {
    // A public secret can be used to sign, so it is refused, whatever else the set holds.
    let shown = KEY_B.jwk_with(&json!({"d": encoded(&[7; 256])}));
    let (app, issuer) = (App::start(), Issuer::with_keys(&[KEY_A.jwk(), shown]));
    let gate = Conf::new(&app).add_realm_tables(&section(ISS, &issuer.url(JWKS), "")).start_unready();
    until_true(PATIENCE, "the set is fetched", || issuer.fetched(JWKS) > 0);
    until_true(PATIENCE, "and judged", || {
        let status = status_of(&gate, ISS);
        status["keys"].as_array().is_some_and(|keys| !keys.is_empty()) || status["error"].is_string()
    });
    let answer = gate.visit(&KEY_B.token(&claims()));
    assert!([401, 503].contains(&answer.status), "{}", answer.status);
    app.saw_nothing();
    assert!(!gate.stderr().contains(&encoded(&[7; 256])), "the log holds no private key");
}
