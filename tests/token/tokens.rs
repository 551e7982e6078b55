//! Tokens made by hand with the realm's own key: SECURITY.md R20–R23, R29. Each is refused with 401 and opens nothing,
//! as Bearer and as the cookie.

use serde_json::{Value, json};

use crate::harness::*;

struct Forge {
    app: App,
    gate: Gate,
    jwk: Jwk,
    claims: Value,
}

impl Forge {
    fn new() -> Self {
        let app = App::start();
        let gate = Conf::new(&app).large_heads().start();
        let token = gate.user("alice");
        let (jwk, claims) = (Jwk::of(&gate), claims(&token));
        let forge = Self { app, gate, jwk, claims };
        // What is forged below fails for its one fault, not because nothing would pass.
        forge.gate.visit(&forge.jwk.token(&forge.claims)).expect(200);
        forge.app.forget();
        forge
    }

    fn with(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value;
        self.jwk.token(&claims)
    }

    fn with_header(&self, header: &Value) -> String {
        sign(&header.to_string(), &self.claims.to_string(), &self.jwk.secret)
    }

    #[track_caller]
    fn refused(&self, token: &str, reason: &str) {
        for request in
            [get("/app/x").key().bearer(token), get("/app/x").key().cookie(token), get(auth("")).bearer(token)]
        {
            let answer = self.gate.send(&request).refused(401, reason);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"examples\", error=\"invalid_token\""));
        }
        self.app.saw_nothing();
    }
}

#[test]
fn r20_the_key_says_the_algorithm_never_the_token() {
    let forge = Forge::new();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256", "hs256", "HS256 "]
    {
        let mut header = forge.jwk.header();
        header["alg"] = alg.into();
        forge.refused(&forge.with_header(&header), "token_algorithm");
        // Without a signature too.
        let token = forge.with_header(&header);
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned();
        forge.refused(&format!("{unsigned}."), "token_algorithm");
    }
    for alg in [Value::Null, json!(1), json!(["HS256"])] {
        let mut header = forge.jwk.header();
        header["alg"] = alg;
        forge.refused(&forge.with_header(&header), "token_algorithm");
    }
    forge.refused(
        &sign(&forge.jwk.header().to_string(), &forge.claims.to_string(), b"another key of thirty-two bytes!"),
        "token_signature",
    );
    forge.refused(&sign(&forge.jwk.header().to_string(), &forge.claims.to_string(), b""), "token_signature");
    // The key as it stands in the file is not the key.
    forge.refused(
        &sign(&forge.jwk.header().to_string(), &forge.claims.to_string(), forge.jwk.encoded.as_bytes()),
        "token_signature",
    );
}

#[test]
fn r20_key_ids_are_looked_up_and_nothing_else() {
    let forge = Forge::new();
    for kid in [
        json!("other"),
        json!(""),
        Value::Null,
        json!(1),
        json!("../../../../dev/null"),
        json!("' OR 1=1 --"),
        json!([forge.jwk.kid]),
    ] {
        let mut header = forge.jwk.header();
        header["kid"] = kid;
        forge.refused(&forge.with_header(&header), "token_key_unknown");
    }
    let mut header = forge.jwk.header();
    header.as_object_mut().unwrap().remove("kid");
    forge.refused(&forge.with_header(&header), "token_key_unknown");
}

#[test]
fn r20_other_header_members_are_not_taken() {
    let forge = Forge::new();
    let jwk = json!({"kty": "oct", "k": "AAAA"});
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1/keys")),
        ("x5u", json!("http://127.0.0.1/cert")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
    ] {
        let mut header = forge.jwk.header();
        header[name] = value;
        forge.refused(&forge.with_header(&header), "token_malformed");
    }
}

#[test]
fn r21_times_that_are_no_whole_seconds_are_refused() {
    let forge = Forge::new();
    let later = now() + 1000;
    for name in ["exp", "nbf", "iat"] {
        for value in not_times(later) {
            forge.refused(&forge.with(name, value), "token_claims");
        }
        for value in NOT_TIMES {
            let mut claims = forge.claims.clone();
            claims[name] = json!("@");
            let text = claims.to_string().replace("\"@\"", value);
            let token = sign(&forge.jwk.header().to_string(), &text, &forge.jwk.secret);
            let answer = forge.gate.visit(&token).expect(401);
            assert!(
                ["token_claims", "token_malformed"].contains(&answer.reason().as_str()),
                "{name} {value}: {}",
                answer.text()
            );
        }
    }
    forge.app.saw_nothing();
}

#[test]
fn r21_expired_and_future_tokens_are_refused_with_the_leeway_and_no_more() {
    let forge = Forge::new();
    forge.refused(&forge.with("exp", json!(now() - 6)), "token_expired");
    forge.refused(&forge.with("exp", json!(0)), "token_expired");
    forge.refused(&forge.with("nbf", json!(now() + 60)), "token_not_yet_valid");
    // Five seconds of leeway are the default: inside them, both ways.
    forge.gate.visit(&forge.with("exp", json!(now() - 1))).expect(200);
    forge.gate.visit(&forge.with("nbf", json!(now() + 3))).expect(200);
}

#[test]
fn r21_a_token_expires_while_it_is_in_use() {
    let app = App::start();
    let gate = Conf::new(&app).realm("token_ttl", "\"2s\"").realm("leeway", "\"0s\"").start();
    let token = gate.user("alice");
    let exp = claims(&token)["exp"].as_i64().unwrap();
    let mut conn = gate.conn();
    until_true(PATIENCE, "the token expires", || {
        // The same token on the same connection, so that whatever is cached has seen it.
        let status = conn.ask(&get("/app/x").key().bearer(&token)).status;
        assert!(status == 200 || now() >= exp, "{status} before its time");
        status != 200
    });
    gate.visit(&token).refused(401, "token_expired");
    gate.who(&token).refused(401, "token_expired");
}

#[test]
fn r22_every_claim_is_mandatory() {
    let forge = Forge::new();
    for (name, reason) in [
        ("exp", "token_claims"),
        ("nbf", "token_claims"),
        ("iat", "token_claims"),
        ("sub", "token_claims"),
        ("jti", "token_claims"),
        ("iss", "token_issuer"),
        ("aud", "token_audience"),
    ] {
        let mut claims = forge.claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        forge.refused(&forge.jwk.token(&claims), reason);
    }
}

#[test]
fn r22_issuer_and_audience_are_compared_byte_for_byte() {
    let forge = Forge::new();
    for issuer in [
        json!("https://gate.example.com/"),
        json!("https://GATE.example.com"),
        json!("http://gate.example.com"),
        json!(""),
        json!(["https://gate.example.com"]),
        Value::Null,
    ] {
        forge.refused(&forge.with("iss", issuer), "token_issuer");
    }
    for audience in [
        json!("Examples"),
        json!("other"),
        json!(""),
        json!(["examples"]),
        json!(["other", "examples"]),
        Value::Null,
        json!({}),
    ] {
        forge.refused(&forge.with("aud", audience), "token_audience");
    }
    for (name, value) in [
        ("sub", json!("")),
        ("sub", json!(1)),
        ("jti", json!("x")),
        ("jti", json!(1)),
        ("username", json!(1)),
        ("email", json!([])),
        ("roles", json!("admin")),
        ("roles", json!([1])),
    ] {
        forge.refused(&forge.with(name, value), "token_claims");
    }
}

#[test]
fn r22_members_that_come_twice_are_refused() {
    let forge = Forge::new();
    let payload = forge.claims.to_string();
    for (name, value) in [("sub", "\"root\""), ("exp", "99999999999"), ("iss", "\"x\""), ("roles", "[\"admin\"]")] {
        let text = payload.replacen('{', &format!("{{\"{name}\":{value},\"{name}\":{value},"), 1);
        forge.refused(&sign(&forge.jwk.header().to_string(), &text, &forge.jwk.secret), "token_malformed");
    }
    let header = forge.jwk.header().to_string().replacen('{', "{\"alg\":\"none\",", 1);
    forge.refused(&sign(&header, &payload, &forge.jwk.secret), "token_malformed");
    let header = forge.jwk.header().to_string().replacen('{', "{\"\\u0061lg\":\"none\",", 1);
    forge.refused(&sign(&header, &payload, &forge.jwk.secret), "token_malformed");
}

#[test]
fn r23_sizes_are_looked_at_first() {
    let forge = Forge::new();
    let many_dots = ".".repeat(100_000);
    for token in [".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", &many_dots, &"a".repeat(100_000)] {
        let start = std::time::Instant::now();
        forge.refused(token, if token.len() > 8192 { "token_too_long" } else { "token_malformed" });
        assert!(start.elapsed().as_secs() < 5, "{} bytes took {:?}", token.len(), start.elapsed());
    }
    let mut header = forge.jwk.header();
    header["kid"] = "x".repeat(2000).into();
    forge.refused(&forge.with_header(&header), "token_malformed");
    forge.refused(&forge.with("padding", json!("x".repeat(9000))), "token_too_long");
}

#[test]
fn r23_parts_that_are_not_base64url_of_json_objects_are_refused() {
    let forge = Forge::new();
    let (header, payload) = (forge.jwk.header().to_string(), forge.claims.to_string());
    for (header, payload) in [
        ("", payload.as_str()),
        ("[]", &payload),
        ("null", &payload),
        ("{", &payload),
        ("\"x\"", &payload),
        (&header, ""),
        (&header, "[]"),
        (&header, "null"),
        (&header, "{"),
        (&header, &format!("{payload}x")),
    ] {
        forge.refused(&sign(header, payload, &forge.jwk.secret), "token_malformed");
    }
    let token = forge.jwk.token(&forge.claims);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for bad in [
        format!("{signed}.{signature}="),
        format!("{signed}.{}", signature.replace(['-', '_'], "+")),
        format!("{token}.{signature}"),
        format!("{signed}."),
    ] {
        if bad != token {
            forge.gate.visit(&bad).expect(401);
        }
    }
    forge.app.saw_nothing();
}

#[test]
fn r29_another_kind_of_token_is_no_access_token() {
    let forge = Forge::new();
    for typ in [
        json!("JWT"),
        json!("jwt"),
        json!("rt+jwt"),
        json!("AT+JWT"),
        json!("application/at+jwt"),
        json!(""),
        Value::Null,
        json!(1),
    ] {
        let mut header = forge.jwk.header();
        header["typ"] = typ;
        forge.refused(&forge.with_header(&header), "token_type");
    }
    let mut header = forge.jwk.header();
    header.as_object_mut().unwrap().remove("typ");
    forge.refused(&forge.with_header(&header), "token_type");
}

#[test]
fn roles_count_only_in_a_token_that_we_signed() {
    let forge = Forge::new();
    let admin = forge.with("roles", json!(["admin"]));
    forge.gate.send(&get("/admin/x").key().bearer(&admin)).expect(200);
    let plain = forge.jwk.token(&forge.claims);
    let parts: Vec<_> = plain.split('.').collect();
    let forged = format!("{}.{}.{}", parts[0], admin.split('.').nth(1).unwrap(), parts[2]);
    forge.gate.send(&get("/admin/x").key().bearer(&forged)).refused(401, "token_signature");
}

#[test]
fn every_key_in_the_folder_verifies_and_the_newest_signs() {
    let app = App::start();
    let mut gate = Conf::new(&app).start();
    let old = gate.user("alice");
    let old_kid = Jwk::of(&gate).kid;
    let new = json!({"kty": "oct", "use": "sig", "alg": "HS256", "kid": "new", "iat": now(), "k": "A".repeat(43)});
    write_file(&gate.dir.path().join("keys/examples/new.jwk"), &new.to_string(), 0o600);
    // Another file of the folder is not a key.
    write_file(&gate.dir.path().join("keys/examples/notes.txt"), "not a key", 0o644);
    gate.stop();
    gate.start_again();
    gate.visit(&old).expect(200);
    let fresh = gate.log_in("alice");
    let kid = |token: &str| {
        use base64::Engine as _;
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    assert_eq!((kid(&old), kid(&fresh)), (old_kid, "new".to_owned()));
    gate.visit(&fresh).expect(200);
}

#[test]
fn the_key_made_at_the_first_start_is_private_and_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let app = App::start();
    let mut gate = Conf::new(&app).start();
    let files = gate.key_files();
    assert_eq!(files.len(), 1);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&files[0]), 0o600);
    assert_eq!(mode(files[0].parent().unwrap()), 0o700);
    let jwk = Jwk::of(&gate);
    assert_eq!(files[0].file_stem().unwrap().to_str(), Some(jwk.kid.as_str()));
    assert!(jwk.secret.len() >= 32);
    let token = gate.user("alice");
    gate.crash_and_restart();
    assert_eq!(gate.key_files(), files);
    gate.visit(&token).expect(200);
}
