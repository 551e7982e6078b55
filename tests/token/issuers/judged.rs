//! What each check of a foreign token accepts and refuses, and with which reason.

use serde_json::{Value, json};

use super::*;

#[test]
fn r20_every_algorithm_that_is_allowed_verifies_with_its_own_key() {
    let signers: Vec<_> = Signer::ALGORITHMS.into_iter().map(|alg| Signer::new(alg, alg)).collect();
    let keys: Vec<_> = signers.iter().map(Signer::jwk).collect();
    let all = format!("algorithms = {:?}", Signer::ALGORITHMS);
    let trusted = Trusted::with_keys(&keys, &all);
    for signer in &signers {
        trusted.passes(&signer.token(&claims()));
        // The algorithm in the header is another one, though one that is allowed: with this key's id and with its own.
        for other in &signers {
            if other.alg != signer.alg {
                trusted.refuses(&signer.token_with(&json!({"alg": other.alg}), &claims()), "token_algorithm");
                trusted.refuses(
                    &signer.token_with(&json!({"alg": other.alg, "kid": other.kid}), &claims()),
                    "token_signature",
                );
            }
        }
    }
}

#[test]
fn r20_an_algorithm_that_is_not_allowed_does_not_verify_though_its_key_is_there() {
    let signers: Vec<_> = ["PS256", "ES256", "EdDSA"].into_iter().map(|alg| Signer::new(alg, alg)).collect();
    let mut keys: Vec<_> = signers.iter().map(Signer::jwk).collect();
    keys.push(KEY_A.jwk());
    // RS256 alone is the default.
    let trusted = Trusted::with_keys(&keys, "");
    trusted.passes(&KEY_A.token(&claims()));
    for signer in &signers {
        trusted.refuses(&signer.token(&claims()), "token_algorithm");
    }
    for alg in ["none", "None", "NONE", "", "HS256", "RS384", "PS256", "rs256", "RS256 ", "RSA-OAEP"] {
        trusted.refuses(&KEY_A.token_with(&json!({"alg": alg}), &claims()), "token_algorithm");
        let unsigned = KEY_A.token_with(&json!({"alg": alg}), &claims());
        trusted.refuses(&format!("{}.", unsigned.rsplit_once('.').unwrap().0), "token_algorithm");
    }
    for alg in [json!(null), json!(1), json!(["RS256"]), json!({"alg": "RS256"})] {
        let mut header = KEY_A.header();
        header["alg"] = alg;
        trusted.refuses(&KEY_A.sign(&header, &claims()), "token_algorithm");
    }
}

#[test]
fn r29_the_type_is_one_of_those_that_are_configured() {
    let trusted = Trusted::with("");
    // A media type: in any case, and `application/` may be left out (RFC 7515, 4.1.9).
    for typ in ["JWT", "at+jwt", "jwt", "AT+JWT", "application/at+jwt"] {
        trusted.passes(&KEY_A.token_with(&json!({"typ": typ}), &claims()));
    }
    for typ in ["id+jwt", "logout+jwt", "assertion+jwt", "dpop+jwt", "", "JWT ", "application/", "text/jwt"] {
        trusted.refuses(&KEY_A.token_with(&json!({"typ": typ}), &claims()), "token_type");
    }
    for typ in [json!(1), json!(["JWT"]), json!({})] {
        trusted.refuses(&KEY_A.token_with(&json!({"typ": typ}), &claims()), "token_malformed");
    }
    trusted.refuses(&KEY_A.token_with(&json!({"typ": null}), &claims()), "token_type");
    let mut header = KEY_A.header();
    header["typ"] = Value::Null;
    trusted.refuses(&KEY_A.sign(&header, &claims()), "token_malformed");

    let trusted = Trusted::with("types = [\"absent\"]");
    trusted.passes(&KEY_A.token_with(&json!({"typ": null}), &claims()));
    for typ in ["JWT", "at+jwt", "absent", ""] {
        trusted.refuses(&KEY_A.token_with(&json!({"typ": typ}), &claims()), "token_type");
    }
    header["typ"] = Value::Null;
    trusted.refuses(&KEY_A.sign(&header, &claims()), "token_malformed");
}

#[test]
fn r29_an_id_token_is_no_access_token() {
    let trusted = Trusted::with("");
    for change in [
        json!({"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"}),
        json!({"c_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"}),
        json!({"s_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        json!({"token_use": "id"}),
        json!({"token_use": "refresh"}),
        json!({"token_use": 1}),
        // Keycloak says it in a claim.
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "Offline"}),
        json!({"typ": "Logout"}),
    ] {
        trusted.refuses(&KEY_A.token(&claims_with(&change)), "token_type");
    }
    trusted.passes(&KEY_A.token(&claims_with(&json!({"token_use": "access"}))));
    trusted.passes(&KEY_A.token(&claims_with(&json!({"typ": "Bearer"}))));
}

#[test]
fn a_token_that_is_bound_to_its_client_is_refused_rather_than_taken_unbound() {
    let trusted = Trusted::with("");
    for cnf in [json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}), json!({}), json!("x")] {
        trusted.refuses(&KEY_A.token(&claims_with(&json!({"cnf": cnf}))), "token_bound");
    }
}

#[test]
fn r21_r22_claims_are_there_and_of_the_right_type() {
    let trusted = Trusted::with("");
    for (name, reason) in
        [("exp", "token_claims"), ("sub", "token_claims"), ("iss", "token_issuer"), ("aud", "token_audience")]
    {
        let mut change = json!({});
        change[name] = Value::Null;
        trusted.refuses(&KEY_A.token(&claims_with(&change)), reason);
        for wrong in [json!(null), json!({"a": 1}), json!(true), json!("")] {
            let mut claims = claims();
            claims[name] = wrong;
            trusted.refuses(&KEY_A.token(&claims), reason);
        }
    }
    trusted.refuses(&KEY_A.token(&claims_with(&json!({"sub": 1}))), "token_claims");
    trusted.refuses(&KEY_A.token(&claims_with(&json!({"sub": ["a"]}))), "token_claims");
    trusted.passes(&KEY_A.token(&claims_with(
        &json!({"exp": now() as f64 + 60.5, "iat": now() as f64 - 0.5, "nbf": now() as f64 - 0.5}),
    )));
    // Not every issuer says since when a token is valid, nor when it was made.
    trusted.passes(&KEY_A.token(&claims_with(&json!({"iat": null}))));
    trusted.passes(&KEY_A.token(&claims_with(&json!({"nbf": now()}))));
    let later = now() + 1000;
    for name in ["exp", "nbf", "iat"] {
        // A fraction of a second is no fault of theirs (RFC 7519, 2).
        for value in not_times(later).into_iter().filter(|value| value.as_f64() != Some(later as f64 + 0.5)) {
            let mut claims = claims();
            claims[name] = value;
            trusted.refuses(&KEY_A.token(&claims), "token_claims");
        }
        for value in NOT_TIMES.into_iter().filter(|value| !["1e10", "4102444800.0", "-0"].contains(value)) {
            let mut claims = claims();
            claims[name] = json!("@");
            let text = claims.to_string().replace("\"@\"", value);
            let token = KEY_A.sign_text(&KEY_A.header().to_string(), &text);
            let answer = trusted.gate.visit(&token).expect(401);
            assert!(
                ["token_claims", "token_malformed"].contains(&answer.reason().as_str()),
                "{name} {value}: {}",
                answer.text()
            );
        }
    }
}

#[test]
fn r22_the_audience_is_a_string_or_a_list_and_one_of_ours_is_in_it() {
    let trusted = Trusted::with("audience = [\"https://api.example.com\", \"second\"]");
    for good in [json!(AUD), json!("second"), json!([AUD]), json!(["other", "second"]), json!(["second", AUD])] {
        trusted.passes(&KEY_A.token(&claims_with(&json!({"aud": good}))));
    }
    for bad in [
        json!("https://api.example.com/"),
        json!("HTTPS://api.example.com"),
        json!("https://api.example.com second"),
        json!("other"),
        json!([]),
        json!(["other"]),
        json!([[AUD]]),
        json!({"aud": AUD}),
        json!(1),
    ] {
        trusted.refuses(&KEY_A.token(&claims_with(&json!({"aud": bad}))), "token_audience");
    }
    // A list that is not one of strings is no audience, whatever else is in it.
    for bad in [json!([AUD, 1]), json!([1, AUD]), json!([AUD, null])] {
        let answer = trusted.gate.visit(&KEY_A.token(&claims_with(&json!({"aud": bad})))).expect(401);
        assert!(["token_audience", "token_claims"].contains(&answer.reason().as_str()), "{}", answer.text());
    }
}

#[test]
fn r21_times_are_kept_with_the_leeway_and_no_more() {
    // The realm's five seconds, unless the issuer has its own.
    let trusted = Trusted::with("");
    let of = |name: &str, at: i64| {
        let mut change = json!({});
        change[name] = at.into();
        KEY_A.token(&claims_with(&change))
    };
    trusted.passes(&of("exp", now() - 2));
    trusted.refuses(&of("exp", now() - 6), "token_expired");
    trusted.refuses(&of("exp", 0), "token_expired");
    trusted.passes(&of("nbf", now() + 3));
    trusted.refuses(&of("nbf", now() + 30), "token_not_yet_valid");
    // Made in the future: a revocation of everything until now would not take it.
    trusted.passes(&of("iat", now() + 3));
    trusted.refuses(&of("iat", now() + 30), "token_not_yet_valid");
    let wide = Trusted::with("leeway = \"60s\"");
    wide.passes(&of("exp", now() - 40));
    wide.refuses(&of("exp", now() - 61), "token_expired");
    wide.passes(&of("nbf", now() + 40));
    wide.refuses(&of("nbf", now() + 90), "token_not_yet_valid");
    let none = Trusted::with("leeway = \"0s\"");
    none.refuses(&of("exp", now()), "token_expired");
    none.refuses(&of("nbf", now() + 20), "token_not_yet_valid");
}

#[test]
fn r21_a_foreign_token_expires_while_it_is_in_use() {
    let trusted = Trusted::with("leeway = \"0s\"");
    let exp = now() + 2;
    let token = KEY_A.token(&claims_with(&json!({"exp": exp})));
    let mut conn = trusted.gate.conn();
    until_true(PATIENCE, "the token expires", || {
        // The same token on the same connection, so that whatever is cached has seen it.
        let status = conn.ask(&get("/app/x").key().bearer(&token)).status;
        assert!(status == 200 || now() >= exp, "{status} before its time");
        assert!(status != 200 || now() <= exp, "still taken after its time");
        status != 200
    });
    trusted.refuses(&token, "token_expired");
}

#[test]
fn r23_shapes_that_are_not_a_token() {
    let trusted = Trusted::with("");
    let token = KEY_A.token(&claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let fat = KEY_A.token_with(&json!({"more": "x".repeat(2 << 10)}), &claims());
    let flood = ".".repeat(8000);
    for bad in [
        format!("{token}."),
        format!("{token}.a.b"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{payload}.{signature}"),
        format!("..{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        fat,
        flood,
        KEY_A.sign_text("[]", &claims().to_string()),
        KEY_A.sign_text("\"RS256\"", &claims().to_string()),
        KEY_A.sign_text(&KEY_A.header().to_string().replacen('{', "{\"alg\":\"none\",", 1), &claims().to_string()),
        KEY_A.sign_text(&KEY_A.header().to_string(), &claims().to_string().replacen('{', "{\"sub\":\"x\",", 1)),
        KEY_A.sign_text(&KEY_A.header().to_string(), &claims().to_string().replacen('{', "{\"s\\u0075b\":\"x\",", 1)),
        KEY_A.sign_text(&format!("{}x", KEY_A.header()), &claims().to_string()),
        KEY_A.sign_text(&KEY_A.header().to_string(), &format!("{}{{}}", claims())),
        KEY_A.sign_text(&format!("\u{feff}{}", KEY_A.header()), &claims().to_string()),
    ] {
        trusted.refuses(&bad, "token_malformed");
    }
    // Not as it was written: bits that count for nothing, the other alphabet.
    for bad in [
        format!("{token}="),
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")),
        format!("{signed}.{}", &signature[1..]),
        format!("{signed}."),
    ] {
        if bad != token {
            let answer = trusted.gate.visit(&bad).expect(401);
            assert!(["token_malformed", "token_signature"].contains(&answer.reason().as_str()), "{}", answer.text());
        }
    }
    // 256 bytes leave four bits of the last character unused: each of the other fifteen is another text of the same bytes.
    let last = signature.chars().last().unwrap();
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().filter(|char| *char != last)
    {
        let stray = format!("{signed}.{}{other}", &signature[..signature.len() - 1]);
        trusted.gate.visit(&stray).expect(401);
    }
}

#[test]
fn r24_what_would_change_the_meaning_is_refused_and_where_keys_are_said_to_be_is_ignored() {
    let trusted = Trusted::with("");
    for change in [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"b64": false}),
        json!({"b64": true}),
        json!({"b64": false, "crit": ["b64"]}),
        json!({"zip": "DEF"}),
    ] {
        trusted.refuses(&KEY_A.token_with(&change, &claims()), "token_malformed");
    }
    // Encrypted: five parts, or the header of one.
    let five = format!("{}.a.b", KEY_A.token(&claims()));
    trusted.refuses(&five, "token_malformed");
    trusted.gate.visit(&KEY_A.token_with(&json!({"alg": "RSA-OAEP", "enc": "A256GCM"}), &claims())).expect(401);
    // Real issuers send such members; they are neither fetched nor believed.
    let bait = Issuer::with_keys(&[KEY_B.jwk()]);
    for change in [
        json!({"x5t": "dGVzdA"}),
        json!({"jku": bait.url(JWKS)}),
        json!({"x5u": bait.url("/cert.pem")}),
        json!({"x5c": ["AAAA"]}),
        json!({"jwk": KEY_B.jwk()}),
    ] {
        trusted.passes(&KEY_A.token_with(&change, &claims()));
    }
    assert_eq!(bait.requests(), Vec::<String>::new());
}
