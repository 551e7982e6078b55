//! X-Auth-Assertion (docs/identity-headers.md): a signed identity, which the application verifies with the published
//! keys.

use serde_json::{Value, json};

use crate::harness::*;

const ROUTE: &str = "assertion = \"https://app.internal\"";

/// A gate of which `/app` gets an assertion and `/plain` does not.
fn start(app: &App, algorithm: &str) -> Gate {
    let conf =
        Conf::new(app).realm("algorithm", &format!("\"{algorithm}\"")).route("assertion", "\"https://app.internal\"");
    conf.add_route("/public", "public", ROUTE).add_route("/plain", "user", "").start()
}

/// What the application was sent last.
fn assertion(app: &App) -> Option<String> {
    let seen = app.only();
    app.forget();
    let mut all = seen.all("x-auth-assertion");
    assert!(all.len() <= 1, "{all:?}");
    all.pop()
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn pyjwt_believes_it_by_the_published_keys() {
    let script = r#"
import json, sys
import jwt
algorithm, keys, token = sys.argv[1:]
header = jwt.get_unverified_header(token)
assert header["typ"] == "assertion+jwt" and header["alg"] == algorithm, header
key = jwt.PyJWKSet.from_dict(json.loads(keys))[header["kid"]]
print(json.dumps(jwt.decode(token, key, algorithms=[algorithm], audience="https://app.internal", issuer="https://gate.example.com",
                            options={"require": ["exp", "nbf", "iat", "iss", "aud", "sub", "jti"], "strict_aud": True})))
"#;
    let app = App::start();
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let gate = start(&app, algorithm);
        let record = gate.register("alice");
        let token = gate.log_in("alice");
        gate.visit(&token).expect(200);
        let said = assertion(&app).unwrap();
        let keys = gate.send(&get("/.well-known/jwks.json")).expect(200).text();
        let claims: Value = serde_json::from_str(&python(script, &[algorithm, &keys, &said]).ok().stdout).unwrap();
        assert_eq!(claims["sub"], record["uniqueId"]);
        assert_eq!(
            (&claims["username"], &claims["roles"], &claims["realm"]),
            (&json!("alice"), &json!([]), &json!("examples"))
        );
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
        assert!(claims.get("token_issuer").is_none());
        gate.visit(&token).expect(200);
        assert_eq!(assertion(&app).unwrap(), said, "signed once, not for every request");
    }
}

#[test]
fn r29_it_opens_nothing_at_the_gate() {
    let app = App::start();
    let gate = start(&app, "ES256");
    gate.visit(&gate.user("alice")).expect(200);
    let said = assertion(&app).unwrap();
    gate.visit(&said).refused(401, "token_type");
    gate.who(&said).refused(401, "token_type");
    app.saw_nothing();
}

#[test]
fn r01_only_the_gate_says_it_and_only_where_it_should() {
    let app = App::start();
    let gate = start(&app, "EdDSA");
    let token = gate.user("alice");
    let forged = ["X-Auth-Assertion", "x_auth_assertion", "X.Auth.Assertion"];
    let ask = |path: &str, token: Option<&str>| {
        let mut request = get(path).key();
        for name in forged {
            request = request.header(name, "forged");
        }
        gate.send(&token.map_or_else(|| request.clone(), |token| request.clone().bearer(token))).expect(200);
        assert!(app.only().folded("x-auth-assertion").len() <= 1);
        assertion(&app)
    };
    assert_ne!(ask("/app/x", Some(&token)).as_deref(), Some("forged"));
    assert_eq!(ask("/plain", Some(&token)), None);
    assert_eq!(ask("/public", None), None, "nobody to speak of");
    assert_eq!(claims(&ask("/public", Some(&token)).unwrap())["username"], "alice");
    assert_eq!(ask("/public", Some("forged")), None);
}

#[test]
fn it_ends_with_its_token() {
    let app = App::start();
    let conf = Conf::new(&app).realm("algorithm", "\"ES256\"").realm("token_ttl", "\"20s\"").realm("leeway", "\"0s\"");
    let gate = conf.route("assertion", "\"https://app.internal\"").start();
    let token = gate.user("alice");
    gate.visit(&token).expect(200);
    assert_eq!(claims(&assertion(&app).unwrap())["exp"], claims(&token)["exp"]);
}

#[test]
fn a_secret_that_apps_do_not_have_signs_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    for (algorithm, audience, sentence) in [
        ("HS256", "https://app.internal", "requires an asymmetric algorithm"),
        ("ES256", "examples", "must differ from the audience of the realm's access tokens"),
        ("ES256", "", "must not be empty"),
    ] {
        let conf = Conf::with_upstream("[\"http://127.0.0.1:9\"]").realm("algorithm", &format!("\"{algorithm}\""));
        write_file(&file, &conf.route("assertion", &format!("\"{audience}\"")).text(8080, 9080), 0o600);
        let ran = tollgate(&["check", "-c", file.to_str().unwrap()], "").failed(78);
        assert!(ran.stderr.contains("assertion: ") && ran.stderr.contains(sentence), "{}", ran.stderr);
    }
}
