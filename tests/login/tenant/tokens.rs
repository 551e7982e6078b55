//! What the tokens say, that another library verifies them, and what each of them opens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const KEY_SET: &str = "/examples/.well-known/jwks.json";

fn with_algorithm(app: &App, algorithm: &str) -> Gate {
    conf(app, "client_id = \"1example23456789\"").realm("algorithm", &format!("\"{algorithm}\"")).start()
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

/// Verifies both tokens as AWS tells clients to: signature by kid, exp, iss, `token_use`, and the client.
const VERIFY: &str = r#"
import json, sys
import jwt
algorithm, keys, access, id_token = sys.argv[1:]
keys = jwt.PyJWKSet.from_dict(json.loads(keys))
def verify(token, options, **more):
    header = jwt.get_unverified_header(token)
    key = keys[header["kid"]]
    assert key.algorithm_name == algorithm and key.public_key_use == "sig", key
    claims = jwt.decode(token, key, algorithms=[algorithm], issuer="https://gate.example.com", options=options, **more)
    try:
        jwt.decode(token[:-8] + "AAAAAAAA", key, algorithms=[algorithm], options=options, **more)
        raise SystemExit("another signature passed")
    except jwt.InvalidSignatureError:
        return header["kid"], claims
required = ["exp", "iat", "iss", "sub", "jti", "origin_jti", "auth_time", "token_use"]
access_kid, access = verify(access, {"require": required + ["client_id", "scope", "username"], "verify_aud": False})
id_kid, id_token = verify(id_token, {"require": required + ["aud", "cognito:username"], "strict_aud": True},
                          audience="1example23456789")
assert access_kid != id_kid, "one key for both"
assert access["token_use"] == "access" and access["client_id"] == "1example23456789", access
assert id_token["token_use"] == "id", id_token
assert len(keys.keys) == 2, keys.keys
print(json.dumps({"access": access, "id": id_token}))
"#;

fn is_jti(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[test]
fn pyjwt_verifies_both_tokens_with_the_published_keys() {
    let app = App::start();
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let gate = with_algorithm(&app, algorithm);
        gate.add_user(
            "alice",
            &["--email", "alice@example.com", "--role", "admin", "--role", "staff", "--attribute", "site=Berne"],
        );
        let before = now();
        let first = gate.tokens("alice");
        let again = gate.refreshed(&first.refresh);
        let keys = gate.send(&get(KEY_SET)).expect(200).text();
        let said: Vec<Value> = [&first, &again]
            .map(|tokens| {
                let ran = python(VERIFY, &[algorithm, &keys, &tokens.access, &tokens.id]).ok();
                serde_json::from_str(&ran.stdout).unwrap()
            })
            .into();
        for token in [&first.access, &again.access] {
            gate.visit(token).expect(200);
        }
        assert_eq!(header(&first.access)["typ"], "at+jwt");
        assert_eq!(header(&first.id)["typ"], "JWT");
        let (access, id) = (&said[0]["access"], &said[0]["id"]);
        assert_eq!(
            members(access),
            [
                "aud",
                "auth_time",
                "client_id",
                "cognito:groups",
                "email",
                "email_verified",
                "exp",
                "iat",
                "iss",
                "jti",
                "nbf",
                "origin_jti",
                "roles",
                "scope",
                "sid",
                "sub",
                "token_use",
                "username"
            ],
            "{access}"
        );
        assert_eq!(
            members(id),
            [
                "aud",
                "auth_time",
                "cognito:groups",
                "cognito:username",
                "custom:site",
                "email",
                "email_verified",
                "exp",
                "iat",
                "iss",
                "jti",
                "origin_jti",
                "sub",
                "token_use"
            ],
            "{id}"
        );
        assert_eq!(access["scope"], "aws.cognito.signin.user.admin");
        assert_eq!((&access["username"], &id["cognito:username"]), (&json!("alice"), &json!("alice")));
        assert_eq!(
            (&id["email"], &id["email_verified"], &id["custom:site"]),
            (&json!("alice@example.com"), &json!(true), &json!("Berne"))
        );
        for (claims, other) in [(access, id), (id, access)] {
            assert_eq!(claims["cognito:groups"], json!(["admin", "staff"]));
            assert_eq!(claims["sub"], other["sub"]);
            assert!(is_jti(&claims["sub"]) && is_jti(&claims["jti"]) && is_jti(&claims["origin_jti"]), "{claims}");
            assert_ne!(claims["jti"], other["jti"]);
            let time = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("{name}: {claims}"));
            assert_eq!(time("exp") - time("iat"), 3600);
            assert_eq!(time("auth_time"), time("iat"));
            assert!((before..=now()).contains(&time("iat")));
        }
        // A refresh changes the tokens, and neither the session nor the time of the login.
        for kind in ["access", "id"] {
            for name in ["origin_jti", "auth_time", "sub"] {
                assert_eq!(said[0][kind][name], access[name], "{kind} {name}");
                assert_eq!(said[1][kind][name], access[name], "{kind} {name}");
            }
            assert_ne!(said[0][kind]["jti"], said[1][kind]["jti"]);
        }
        assert_ne!(claims(&gate.tokens("alice").access)["origin_jti"], access["origin_jti"], "another login");
    }
}

#[test]
fn a_realm_with_a_secret_works_without_published_keys() {
    let (_app, gate) = gate();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    assert_eq!((&header(&tokens.access)["alg"], &header(&tokens.id)["alg"]), (&json!("HS256"), &json!("HS256")));
    gate.visit(&tokens.access).expect(200);
    gate.send(&get("/app/x").cookie(&tokens.access)).expect(200);
    assert_eq!(gate.send(&get(KEY_SET)).expect(200).json(), json!({"keys": []}));
    assert_eq!(claims(&tokens.id)["aud"], "examples", "the realm's audience where there is no client id");
    assert_eq!(claims(&tokens.access)["client_id"], "examples");
}

#[test]
fn lifetimes_are_the_configs_and_never_above_the_realms() {
    let app = App::start();
    for (ttl, of_realm, expected) in [("\"2h\"", "\"30d\"", 7200), ("\"2h\"", "\"90s\"", 90)] {
        let gate = conf(&app, &format!("access_ttl = {ttl}")).realm("token_ttl", of_realm).start();
        gate.register("alice");
        let answer = gate.send(&log_in("alice")).expect(200);
        assert_eq!(answer.json()["cognitoToken"]["AuthenticationResult"]["ExpiresIn"], expected);
        let tokens = Tokens::of(answer);
        for token in [&tokens.access, &tokens.id] {
            let claims = claims(token);
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), expected);
        }
    }
}

#[test]
fn an_expired_access_token_opens_nothing_and_a_refreshed_one_does() {
    let app = App::start();
    let gate = conf(&app, "access_ttl = \"1s\"").realm("leeway", "\"0s\"").start();
    gate.register("alice");
    let tokens = gate.tokens("alice");
    until_true(PATIENCE, "it expires", || gate.visit(&tokens.access).status == 401);
    gate.visit(&tokens.access).refused(401, "token_expired");
    // One that lives for a second may be over before it gets there.
    let mut token = tokens.refresh;
    until_true(PATIENCE, "a fresh one opens", || {
        let next = gate.refreshed(&token);
        token = next.refresh;
        gate.visit(&next.access).status == 200
    });
}

/// R26, R29: every other thing that a login gives out, in every place where a token can stand, on every kind of route.
#[test]
fn r29_only_an_access_token_opens_a_route() {
    let app = App::start();
    for algorithm in ["HS256", "ES256"] {
        let gate = with_algorithm(&app, algorithm);
        gate.add_user("alice", &["--role", "admin"]);
        gate.add_user("bob", &["--role", "admin", "--temporary"]);
        let tokens = gate.tokens("alice");
        let session = challenged(gate.send(&log_in("bob")), "NEW_PASSWORD_REQUIRED");
        let places = |token: &str| {
            ["/app/x", "/admin/x"]
                .into_iter()
                .flat_map(|path| [get(path).bearer(token), get(path).cookie(token)])
                .chain([get(auth("")).bearer(token), get(auth("")).cookie(token)])
                .collect::<Vec<_>>()
        };
        for request in places(&tokens.access) {
            gate.send(&request).expect(200);
        }
        app.forget();
        for (what, token, reason) in [
            ("the ID token", &tokens.id, "token_type"),
            ("a refresh token", &tokens.refresh, "token_malformed"),
            ("a session", &session, "token_type"),
            ("garbage", &"garbage".to_owned(), "token_malformed"),
        ] {
            for request in places(token) {
                let answer = gate.send(&request);
                assert_eq!((answer.status, answer.reason().as_str()), (401, reason), "{what} with {algorithm}");
            }
            // Where no token is required, the response reveals nothing about users.
            for request in [get("/open/x").bearer(token), get("/open/x").cookie(token)] {
                gate.send(&request).expect(200);
                assert!(app.only().folded("x-auth-subject").is_empty(), "{what}");
                app.forget();
            }
        }
        app.saw_nothing();
        // And none is taken for another where it would refresh a session or answer a question.
        for token in [&tokens.access, &tokens.id, &session] {
            refused(gate.send(&refresh(token)), 401, "NotAuthorizedException");
        }
        for token in [&tokens.access, &tokens.id, &tokens.refresh] {
            let answer =
                gate.send(&respond("NEW_PASSWORD_REQUIRED", token, &json!({"NEW_PASSWORD": "a new password"})));
            refused(answer, 401, "NotAuthorizedException");
        }
        gate.visit(&tokens.access).expect(200);
        gate.refreshed(&tokens.refresh);
    }
}
