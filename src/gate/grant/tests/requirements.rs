//! The token, the second factor and the roles that a route requires.

use http::HeaderValue;
use serde_json::json;

use crate::gate::fixture::*;
use crate::gate::*;
use crate::token::{Claims, TokenError, TokenId};

#[test]
fn r26_every_credential_that_is_there_but_garbage_is_refused() {
    let bench = Bench::new();
    let line = format!("GET /user?{K}");
    let other_realm = bench.bearer("open", &[]);
    for headers in [
        &[("authorization", "")][..],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic dTpw")],
        &[("authorization", "Bearer a.b.c")],
        &[("authorization", &other_realm)],
        &[("cookie", "t=")],
        &[("cookie", "t=garbage")],
    ] {
        let deny = bench.outcome(&line, headers).unwrap_err();
        assert!(matches!(deny, DenyReason::Token(_) | DenyReason::TokenMissing), "{headers:?}: {deny:?}");
    }
    let good = bench.token("main", &[]);
    let bearer = format!("Bearer {good}");
    let cookie = format!("t={good}");
    assert!(bench.outcome(&line, &[("authorization", &bearer)]).is_ok());
    assert!(bench.outcome(&line, &[("cookie", &cookie)]).is_ok());
    let forged = format!("{bearer}x");
    let both = [("authorization", forged.as_str()), ("cookie", cookie.as_str())];
    assert_eq!(
        bench.outcome(&line, &both),
        Err(DenyReason::Token(TokenError::Signature)),
        "no fall-back to the cookie"
    );
    bench.revoked.extend([(TokenId(7), NOW + 60)]);
    assert_eq!(bench.outcome(&line, &[("authorization", &bearer)]), Err(DenyReason::Token(TokenError::Revoked)));
    assert_eq!(bench.outcome(&line, &[("cookie", &cookie)]), Err(DenyReason::Token(TokenError::Revoked)));
}

#[test]
fn r36_a_route_may_want_a_second_factor() {
    let bench = Bench::new();
    assert_eq!(bench.outcome("GET /mfa", &[]), Err(DenyReason::TokenMissing));
    let without = bench.bearer("open", &[]);
    assert_eq!(bench.outcome("GET /mfa", &[("authorization", &without)]), Err(DenyReason::MfaRequired));
    assert_eq!(bench.outcome("GET /open", &[("authorization", &without)]), Ok("/open".into()));
    let rules = &bench.policy.realm("open").unwrap().tokens;
    let claims = Claims { mfa: true, ..rules.verify(&bench.token("open", &[]), NOW).unwrap().claims };
    let with = format!("Bearer {}", rules.mint(&claims).unwrap());
    assert_eq!(bench.outcome("GET /mfa", &[("authorization", &with)]), Ok("/mfa".into()));
}

#[test]
fn keys_open_key_routes_and_name_nobody() {
    let bench = Bench::new();
    let Decision::Grant(grant) = bench.ask("GET /key", &[("x-api-key", "0123456789abcdef")]) else { panic!() };
    let names: Vec<_> = grant.identity().unwrap().headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-auth-realm"]);
    assert_eq!(grant.key().unwrap().id, "web", "for as long as it is good");
    assert_eq!(bench.outcome("GET /key", &[]), Err(DenyReason::KeyMissing));
}

#[test]
fn a_token_whose_key_may_be_fetched_waits_for_it_once() {
    let bench = Bench::of(EXCHANGE);
    let token = foreign(&bench, "https://idp.example/", false);
    let (origin, bearer) = (("origin", "https://app.example"), ("authorization", token.as_str()));
    let line = format!("GET /user?{K}");
    let waits = |line: &str, may_wait| {
        bench.judge_with(line, &[origin, bearer], |gate, head| {
            match (Authorizer { may_wait, ..gate }).decide(head, NOW, &mut RequestPermits::default()) {
                Decision::Wait(_) => Ok(true),
                Decision::Refusal(refusal) => Err(refusal.deny),
                _ => Ok(false),
            }
        })
    };
    assert_eq!(waits(&line, false), Err(DenyReason::Token(TokenError::NoKeys)));
    assert_eq!(waits(&line, true), Ok(true));
    assert_eq!(waits(&format!("POST /api/login?{K}"), true), Ok(true));
    // Where no token is required it waits all the same, because the token may give an identity.
    assert_eq!(waits(&format!("GET /key?{K}"), true), Ok(true));
    assert_eq!(waits(&format!("GET /key?{K}"), false), Ok(false));
    let keys = &bench.policy.realm("x").unwrap().tokens.trusted[0].keys;
    keys.fetch_succeeded();
    assert_eq!(waits(&line, true), Err(DenyReason::Token(TokenError::NoKeys)), "asked a moment ago");
}

#[test]
fn who_may_pass_without_a_token_is_somebody_with_one() {
    let bench = Bench::new();
    let (bearer, cookie) = (bench.bearer("open", &[]), format!("o={}", bench.token("open", &[])));
    for (line, headers, known) in [
        ("POST /public", &[("authorization", bearer.as_str())][..], true),
        ("GET /public", &[("cookie", cookie.as_str())], true),
        ("POST /public", &[("cookie", cookie.as_str())], false),
        ("POST /public", &[("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")], true),
        ("GET /public", &[("cookie", cookie.as_str()), ("upgrade", "websocket")], false),
        ("GET /public", &[("authorization", "Bearer x")], false),
        ("GET /public", &[("cookie", "o=a; o=b")], false),
    ] {
        match bench.ask(line, headers) {
            Decision::Grant(grant) => assert_eq!(grant.principal().is_some(), known, "{line} {headers:?}"),
            Decision::Refusal(refusal) => {
                assert_eq!(refusal.deny, DenyReason::CredentialConflict, "{line} {headers:?}");
                assert!(headers[0].1.contains("o=a; o=b"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_app_that_wants_the_realms_word_gets_it_for_whoever_has_a_token() {
    let bench = Bench::of(EXCHANGE);
    let (origin, bearer) = (("origin", "https://app.example"), bench.bearer("x", &[]));
    let assertion = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Grant(grant) => grant.assertion().cloned(),
        other => panic!("{line}: {other:?}"),
    };
    let key = format!("GET /key?{K}");
    let word = assertion(&key, &[origin, shown(&bearer)]).unwrap();
    assert!(word.is_sensitive());
    let (header, payload) = crate::token::decode_unverified(word.to_str().unwrap()).unwrap();
    assert_eq!(
        (&header["typ"], &payload["aud"], &payload["sub"]),
        (&json!("assertion+jwt"), &json!("app"), &json!("u"))
    );
    assert_eq!(assertion(&key, &[origin]), None, "nobody to speak of");
    assert_eq!(assertion(&format!("GET /user?{K}"), &[origin, shown(&bearer)]), None, "it asks for none");
}

#[test]
fn a_speaker_is_trusted_as_long_as_a_policy_knows_its_key() {
    let (bench, other) = (Bench::new(), Bench::new());
    let bearer = bench.bearer("open", &["a"]);
    let Decision::Grant(grant) = bench.ask("GET /open", &[shown(&bearer)]) else { panic!() };
    let principal = grant.principal().unwrap();
    assert!(principal.is_key_trusted(&bench.policy, "open", NOW));
    assert!(!principal.is_key_trusted(&bench.policy, "main", NOW), "keys of another realm");
    assert!(
        !principal.is_key_trusted(&bench.policy, "nobody", NOW)
            && !principal.is_key_trusted(&other.policy, "open", NOW)
    );
    assert_eq!((principal.issuer(), principal.marks().token), (None, TokenId(7)));
    assert_eq!((grant.body_size(), grant.route().path.as_str()), (None, "/open"));
    assert_eq!(
        (grant.client().address.to_string(), grant.authority()),
        ("192.0.2.7".into(), &HeaderValue::from_static("gate.example"))
    );
    let exchange = Bench::of(EXCHANGE);
    let foreign = foreign(&exchange, "https://idp.example/", true);
    let headers = [("origin", "https://app.example"), shown(&foreign)];
    let Decision::Grant(grant) = exchange.ask(&format!("GET /user?{K}"), &headers) else { panic!() };
    assert_eq!(grant.principal().unwrap().issuer(), Some("https://idp.example/"));
    let names: Vec<_> = grant.identity().unwrap().headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-auth-subject", "x-auth-realm", "x-auth-token-id", "x-auth-issuer"]);
}
