//! Forged tokens: each kind of confusion that some verifier accepted.

use serde_json::json;

use super::*;

#[test]
fn r20_the_public_key_is_no_secret() {
    for more in ["", "algorithms = [\"RS256\", \"ES256\"]"] {
        let trusted = Trusted::with(more);
        for (form, secret) in KEY_A.public_forms() {
            for alg in ["HS256", "HS384", "HS512", "RS256"] {
                for change in [json!({"alg": alg}), json!({"alg": alg, "kid": null})] {
                    let header = edited(KEY_A.header(), &change);
                    let token = sign(&header.to_string(), &claims().to_string(), &secret);
                    let answer = trusted.gate.visit(&token).expect(401);
                    let expected = if alg == "RS256" { "token_signature" } else { "token_algorithm" };
                    assert_eq!(answer.reason(), expected, "{form}, {alg}");
                }
            }
        }
        trusted.app.saw_nothing();
    }
}

#[test]
fn r24_a_key_that_the_token_brings_verifies_nothing() {
    let trusted = Trusted::with("");
    let bait = Issuer::with_keys(&[KEY_B.jwk(), KEY_B.jwk_with(&json!({"kid": "key-a"}))]);
    for change in [
        json!({"jwk": KEY_B.jwk()}),
        json!({"jku": bait.url(JWKS)}),
        json!({"x5u": bait.url("/cert.pem")}),
        json!({"x5c": [encoded(b"not looked at")]}),
        json!({"jwk": KEY_B.jwk(), "jku": bait.url(JWKS)}),
    ] {
        trusted.refuses(&KEY_B.token_with(&change, &claims()), "token_key_unknown");
        // Under the trusted key's id.
        let as_a = edited(change, &json!({"kid": "key-a"}));
        trusted.refuses(&KEY_B.token_with(&as_a, &claims()), "token_signature");
        // And under none, where the trusted key is the only one that could be meant.
        let nameless = edited(as_a, &json!({"kid": null}));
        trusted.refuses(
            &KEY_B.sign(&edited(edited(KEY_B.header(), &json!({"kid": null})), &nameless), &claims()),
            "token_signature",
        );
    }
    assert_eq!(bait.requests(), Vec::<String>::new());
}

#[test]
fn r20_key_ids_are_looked_up_and_nothing_else() {
    let trusted = Trusted::with("");
    for kid in [
        json!("other"),
        json!("KEY-A"),
        json!("key-a "),
        json!("../../../../dev/null"),
        json!("' OR 1=1 --"),
        json!(trusted.issuer.url(JWKS)),
        json!("x".repeat(600)),
    ] {
        trusted.refuses(&KEY_A.token_with(&json!({"kid": kid}), &claims()), "token_key_unknown");
    }
    // What is no text is not taken for an absent one.
    for kid in [json!(null), json!(1), json!(["key-a"]), json!({"kid": "key-a"}), json!(true)] {
        let mut header = KEY_A.header();
        header["kid"] = kid;
        let answer = trusted.gate.visit(&KEY_A.sign(&header, &claims())).expect(401);
        assert!(["token_key_unknown", "token_malformed"].contains(&answer.reason().as_str()), "{}", answer.text());
    }
}

#[test]
fn each_issuer_has_its_own_keys_and_nobody_elses() {
    let (other_iss, other_key) = ("https://other.example.com/", &*KEY_B);
    let (app, a, b) = (App::start(), Issuer::with_keys(&[KEY_A.jwk()]), Issuer::with_keys(&[other_key.jwk()]));
    let tables = [section(ISS, &a.url(JWKS), ""), section(other_iss, &b.url(JWKS), "")].concat();
    let gate = Conf::new(&app).add_realm_tables(&tables).start();
    let trusted = Trusted { app, issuer: a, gate };
    let own_token = trusted.gate.user("alice");
    let (own_key, own_claims) = (Jwk::of(&trusted.gate), crate::harness::claims(&own_token));

    // The honest ones, side by side.
    trusted.passes(&KEY_A.token(&claims()));
    trusted.passes(&other_key.token(&claims_of(other_iss)));
    trusted.passes(&own_token);
    trusted.passes(&own_key.token(&own_claims));

    // Signed by one and said to be another's, with the signer's key id and with the other's.
    for (token, reason) in [
        (KEY_A.token(&claims_of(other_iss)), "token_key_unknown"),
        (KEY_A.token_with(&json!({"kid": other_key.kid}), &claims_of(other_iss)), "token_signature"),
        (other_key.token(&claims()), "token_key_unknown"),
        (other_key.token_with(&json!({"kid": KEY_A.kid}), &claims()), "token_signature"),
        // The realm's own key for a foreign name, and a foreign key for the realm's own.
        (own_key.token(&claims()), "token_algorithm"),
        (own_key.token(&edited(own_claims.clone(), &json!({"iss": ISS, "aud": AUD}))), "token_algorithm"),
        (KEY_A.token_with(&json!({"typ": "at+jwt"}), &own_claims), "token_key_unknown"),
        (KEY_A.token_with(&json!({"typ": "at+jwt", "kid": own_key.kid}), &own_claims), "token_algorithm"),
        (
            KEY_A.token_with(&json!({"typ": "at+jwt", "kid": own_key.kid, "alg": "HS256"}), &own_claims),
            "token_signature",
        ),
        // Unknown.
        (KEY_A.token(&claims_of("https://issuer.example.com")), "token_issuer"),
        (KEY_A.token(&claims_of("https://ISSUER.example.com/")), "token_issuer"),
        (KEY_A.token(&claims_of("https://issuer.example.com/ ")), "token_issuer"),
        (KEY_A.token(&claims_with(&json!({"iss": [ISS]}))), "token_issuer"),
    ] {
        trusted.refuses(&token, reason);
    }
}

#[test]
fn an_issuer_is_trusted_in_the_realm_that_names_it_and_nowhere_else() {
    let app = App::start();
    let issuer = Issuer::with_keys(&[KEY_A.jwk()]);
    let second = format!(
        "[[realm]]\nname = \"second\"\nissuer = \"https://second.example.com\"\n\
         require_key = false\n\n\
         [[route]]\npath = \"/second\"\nrealm = \"second\"\naccess = \"user\"\nupstream = [\"{}\"]\n",
        app.url()
    );
    let gate = Conf::new(&app).add_realm_tables(&section(ISS, &issuer.url(JWKS), "")).more(&second).start();
    let token = KEY_A.token(&claims());
    gate.visit(&token).expect(200);
    let answer = gate.send(&get("/second/x").bearer(&token)).refused(401, "token_issuer");
    assert!(answer.header("www-authenticate").is_some());
}

#[test]
fn every_flipped_bit_of_a_foreign_token_is_refused() {
    let keys: Vec<_> = ["ES256", "EdDSA"].into_iter().map(|alg| Signer::new(alg, alg)).collect();
    let jwks: Vec<_> = keys.iter().map(Signer::jwk).collect();
    let trusted = Trusted::with_keys(&jwks, "algorithms = [\"ES256\", \"EdDSA\"]");
    for key in &keys {
        let token = key.token(&claims());
        trusted.passes(&token);
        trusted.app.forget();
        let mut conn = trusted.gate.conn();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << (at % 6);
            if bytes[at].is_ascii_graphic() {
                let mutant = String::from_utf8(bytes).unwrap();
                let answer = conn.ask(&get("/app/x").key().bearer(&mutant));
                assert_eq!(answer.status, 401, "{} byte {at}: {}", key.alg, answer.text());
            }
        }
    }
    trusted.app.saw_nothing();
}
