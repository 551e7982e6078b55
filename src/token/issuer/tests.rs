use std::path::PathBuf;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{KeySource, SigningKey, SigningKeys, TokenSettings};
use super::*;

const NOW: i64 = 1_800_000_000;
const NAME: &str = "https://idp.example/";

struct Idp(Ed25519KeyPair);

impl Idp {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string()
    }

    fn sign(&self, header: &Value, payload: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn trusted(&self) -> TrustedIssuer {
        let algorithms = vec![Algorithm::EdDSA];
        let keys = IssuerKeys::new(KeySource::File(PathBuf::new()), algorithms.clone());
        keys.install(self.jwks().as_bytes(), NOW).unwrap();
        TrustedIssuer {
            name: NAME.into(),
            audience: Audience { any_of: vec!["https://api.example".into()], clients: Vec::new() },
            token_size: 32 << 10,
            algorithms,
            types: vec![TokenType::Jwt, TokenType::AccessToken],
            leeway: 5,
            required: Vec::new(),
            exact: Vec::new(),
            mapping: ClaimMapping {
                username: Some("name".into()),
                username_prefix: String::new(),
                email: Some("email".into()),
                roles: vec!["scope".into(), "groups".into()],
            },
            keys: Arc::new(keys),
        }
    }
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "JWT", "kid": "k"})
}

fn payload() -> Value {
    json!({"iss": NAME, "aud": ["x", "https://api.example"], "sub": "auth0|1", "exp": NOW + 60, "iat": NOW})
}

fn judge(issuer: TrustedIssuer, token: &str) -> Result<Claims, TokenError> {
    let rules = TokenSettings {
        issuer: "https://gate.example".into(),
        audience: "examples".into(),
        leeway: 0,
        keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::generate(Algorithm::HS256, 1, 1).unwrap()]).unwrap(),
        id_keys: None,
        trusted: vec![issuer],
    };
    let own = rules.verify_own(token, NOW).unwrap_err();
    assert!(matches!(own, TokenError::Issuer | TokenError::TooLong), "never one of ours: {own:?}");
    rules.verify(token, NOW).map(|accepted| accepted.claims)
}

/// Applies these changes to the header and the payload; `null` removes a member.
fn changed(
    header_change: &Value,
    payload_change: &Value,
    configure: impl FnOnce(&mut TrustedIssuer),
) -> Result<Claims, TokenError> {
    let idp = Idp::new();
    let mut issuer = idp.trusted();
    configure(&mut issuer);
    let change = |mut whole: Value, change: &Value| {
        let members = whole.as_object_mut().unwrap();
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                members.shift_remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        whole
    };
    judge(issuer, &idp.sign(&change(header(), header_change), &change(payload(), payload_change)))
}

#[test]
fn headers() {
    let check = |change: Value| changed(&change, &json!({}), |_| ()).map(drop);
    for good in [
        json!({}),
        json!({"typ": "at+jwt"}),
        json!({"typ": "application/AT+JWT"}),
        json!({"typ": "jwt", "kid": null}),
        // The token names keys, which are ignored (R24).
        json!({"jku": "https://evil.example", "x5u": 1, "x5c": ["AA"], "x5t": "AA", "jwk": {"kty": "oct", "k": ""}}),
    ] {
        assert_eq!(check(good.clone()), Ok(()), "{good}");
    }
    for (bad, reject) in [
        (json!({"typ": null}), TokenError::Type),
        (json!({"typ": 5}), TokenError::Malformed),
        (json!({"typ": "id+jwt"}), TokenError::Type),
        (json!({"typ": "logout+jwt"}), TokenError::Type),
        (json!({"typ": "application/application/jwt"}), TokenError::Type),
        (json!({"alg": "none"}), TokenError::Algorithm),
        (json!({"alg": "HS256"}), TokenError::Algorithm),
        (json!({"alg": "ES256"}), TokenError::Algorithm),
        (json!({"alg": "eddsa"}), TokenError::Algorithm),
        (json!({"alg": null}), TokenError::Algorithm),
        (json!({"kid": "other"}), TokenError::Key),
        (json!({"kid": 1}), TokenError::Malformed),
        (json!({"crit": ["exp"]}), TokenError::Malformed),
        (json!({"crit": []}), TokenError::Malformed),
        (json!({"b64": false}), TokenError::Malformed),
        (json!({"b64": true}), TokenError::Malformed),
        (json!({"zip": "DEF"}), TokenError::Malformed),
        (json!({"enc": "A256GCM"}), TokenError::Malformed),
    ] {
        assert_eq!(check(bad.clone()), Err(reject), "{bad}");
    }
    let absent = changed(&json!({"typ": null}), &json!({}), |issuer| issuer.types = vec![TokenType::Absent]);
    assert!(absent.is_ok());
    assert_eq!(
        changed(&json!({}), &json!({}), |issuer| issuer.types = vec![TokenType::Absent]).unwrap_err(),
        TokenError::Type
    );
}

#[test]
fn payloads() {
    for (change, reject) in [
        (json!({"iss": "https://idp.example"}), TokenError::Issuer),
        (json!({"iss": [NAME]}), TokenError::Issuer),
        (json!({"aud": null}), TokenError::Audience),
        (json!({"aud": "https://api.example/"}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"aud": ["https://api.example", 1]}), TokenError::Audience),
        (json!({"aud": {"https://api.example": 1}}), TokenError::Audience),
        (json!({"sub": null}), TokenError::Claims),
        (json!({"sub": ""}), TokenError::Claims),
        (json!({"sub": 7}), TokenError::Claims),
        (json!({"exp": null}), TokenError::Claims),
        (json!({"exp": "1900000000"}), TokenError::Claims),
        (json!({"exp": NOW - 5}), TokenError::Expired),
        (json!({"nbf": NOW + 6}), TokenError::NotYetValid),
        (json!({"nbf": "1"}), TokenError::Claims),
        (json!({"iat": NOW + 6}), TokenError::NotYetValid),
        (json!({"iat": []}), TokenError::Claims),
        (json!({"jti": 1}), TokenError::Claims),
        (json!({"sid": {}}), TokenError::Claims),
        (json!({"token_use": "id"}), TokenError::Type),
        (json!({"token_use": 1}), TokenError::Type),
        (json!({"typ": "ID"}), TokenError::Type),
        (json!({"typ": "refresh"}), TokenError::Type),
        (json!({"at_hash": "x"}), TokenError::Type),
        (json!({"events": {}}), TokenError::Type),
        (json!({"cnf": {"jkt": "x"}}), TokenError::Bound),
    ] {
        assert_eq!(changed(&json!({}), &change, |_| ()), Err(reject), "{change}");
    }
    for change in [
        json!({"aud": "https://api.example", "token_use": "access", "typ": "Bearer"}),
        json!({"iat": null, "nbf": NOW + 5, "exp": NOW - 4}),
    ] {
        assert!(changed(&json!({}), &change, |_| ()).is_ok(), "{change}");
    }
    let null_exp = Idp::new();
    let token = null_exp.sign(&header(), &json!({"iss": NAME, "aud": "https://api.example", "sub": "u", "exp": null}));
    assert_eq!(judge(null_exp.trusted(), &token), Err(TokenError::Claims), "R21: there, and no time");
}

#[test]
fn what_is_configured_is_demanded() {
    let demanding = |issuer: &mut TrustedIssuer| {
        issuer.required = vec!["tenant".into()];
        issuer.exact = vec![("azp".into(), json!("app")), ("n".into(), json!(1)), ("b".into(), json!(true))];
    };
    let good = json!({"tenant": "t", "azp": "app", "n": 1, "b": true});
    assert!(changed(&json!({}), &good, demanding).is_ok());
    for (name, wrong) in [
        ("tenant", json!(null)),
        ("azp", json!(["app"])),
        ("azp", json!("App")),
        ("n", json!(1.0)),
        ("b", json!("true")),
    ] {
        let mut change = good.clone();
        change[name] = wrong;
        assert_eq!(changed(&json!({}), &change, demanding), Err(TokenError::Claims), "{change}");
    }
}

#[test]
fn a_token_is_for_an_audience_or_a_client_or_both() {
    let of = |any_of: &[&str], clients: &[&str]| {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Audience { any_of: list(any_of), clients: list(clients) }
    };
    let check = |audience: &Audience, change: Value| {
        changed(&json!({}), &change, |issuer| issuer.audience = audience.clone()).map(drop)
    };
    let client = of(&[], &["abc", "def"]);
    for good in [
        // Amazon Cognito
        json!({"aud": null, "client_id": "abc", "token_use": "access"}),
        // Ory Hydra
        json!({"aud": [], "client_id": "abc"}),
        // Keycloak without and with its default audience
        json!({"aud": null, "azp": "def", "typ": "Bearer"}),
        json!({"aud": "account", "azp": "abc", "typ": "Bearer"}),
        json!({"aud": ["account", "other"], "azp": "abc", "client_id": "abc"}),
        // Okta
        json!({"aud": "api://default", "cid": "abc"}),
        json!({"aud": "", "cid": "abc"}),
    ] {
        assert_eq!(check(&client, good.clone()), Ok(()), "{good}");
    }
    for bad in [
        json!({"aud": null}),
        json!({"aud": "abc"}),
        json!({"aud": ["abc"]}),
        json!({"aud": null, "client_id": "other"}),
        json!({"aud": null, "client_id": "other", "azp": "abc"}),
        json!({"aud": null, "client_id": "abc", "cid": "other"}),
        json!({"aud": null, "client_id": ["abc"]}),
        json!({"aud": null, "client_id": "ABC"}),
        json!({"aud": 1, "client_id": "abc"}),
        json!({"aud": [1], "client_id": "abc"}),
        json!({"aud": {"abc": 1}, "client_id": "abc"}),
    ] {
        assert_eq!(check(&client, bad.clone()), Err(TokenError::Audience), "{bad}");
    }
    // An ID token of Microsoft's or Google's shape.
    assert_eq!(check(&client, json!({"aud": "abc", "azp": "abc", "nonce": "n"})), Err(TokenError::Type));
    let both = of(&["api"], &["abc"]);
    assert_eq!(check(&both, json!({"aud": ["api", "x"], "azp": "abc"})), Ok(()));
    assert_eq!(check(&both, json!({"aud": "api", "azp": "other"})), Err(TokenError::Audience));
    assert_eq!(check(&both, json!({"aud": "api"})), Err(TokenError::Audience));
    assert_eq!(check(&both, json!({"aud": "other", "azp": "abc"})), Err(TokenError::Audience));
    assert_eq!(check(&both, json!({"aud": null, "azp": "abc"})), Err(TokenError::Audience));
    assert_eq!(check(&of(&[], &[]), json!({"aud": "api", "azp": "abc"})), Err(TokenError::Audience));
}

#[test]
fn times_of_others_may_have_fractions() {
    let check = |change: Value| changed(&json!({}), &change, |issuer| issuer.leeway = 0).map(drop);
    let now = NOW as f64;
    assert_eq!(check(json!({"exp": now + 1.5, "iat": now - 0.5, "nbf": now - 0.5})), Ok(()));
    assert_eq!(check(json!({"exp": now + 0.5})), Err(TokenError::Expired), "not later than it says");
    assert_eq!(check(json!({"nbf": now + 0.5})), Err(TokenError::NotYetValid), "not earlier than it says");
    assert_eq!(check(json!({"exp": 1e300})), Err(TokenError::Claims));
}

#[test]
fn roles_are_found_by_name_first_and_by_path_then() {
    let roles = |claims: &[&str], change: Value| {
        let claims: Vec<_> = claims.iter().map(|claim| (*claim).to_owned()).collect();
        changed(&json!({}), &change, |issuer| issuer.mapping.roles = claims).unwrap().roles
    };
    let keycloak =
        json!({"realm_access": {"roles": ["admin"]}, "resource_access": {"my.client": {"roles": ["editor"]}}});
    assert_eq!(
        roles(&["realm_access.roles", "resource_access.my.client.roles"], keycloak.clone()),
        ["admin", "editor"]
    );
    assert_eq!(roles(&["resource_access"], keycloak.clone()), ["my.client"], "an object: its names");
    for wrong in [
        "realm_access.role",
        "realm_access.roles.admin",
        "realm_access.",
        ".realm_access.roles",
        "realm_access..roles",
        ".",
        "",
    ] {
        assert!(roles(&[wrong], keycloak.clone()).is_empty(), "{wrong}");
    }
    let zitadel = json!({"urn:zitadel:iam:org:project:roles": {"admin": {"1": "x"}, "user": {"1": "x"}}});
    assert_eq!(roles(&["urn:zitadel:iam:org:project:roles"], zitadel), ["admin", "user"]);
    assert_eq!(roles(&["r"], json!({"r": {"a": false, "b": null, "c": true, "d": 0}})), ["c", "d"]);
    let auth0 = json!({"https://example.com/roles": ["a"], "https://example": {"com/roles": ["b"]}});
    assert_eq!(roles(&["https://example.com/roles"], auth0), ["a"], "the claim of this very name");
    let long = json!({"a": {"b.c": ["short"]}, "a.b": {"c": ["long"]}});
    assert_eq!(roles(&["a.b.c"], long), ["long"]);
    assert_eq!(roles(&["a.b"], json!({"a.b": 5, "a": {"b": "x"}})), [""; 0], "it is there, and gives nothing");
}

#[test]
fn a_prefix_keeps_the_names_of_an_issuer_apart() {
    let prefixed = |issuer: &mut TrustedIssuer| issuer.mapping.username_prefix = "corp:".into();
    let claims = changed(&json!({}), &json!({"name": "alice", "email": "a@example.com"}), prefixed).unwrap();
    assert_eq!((claims.username.as_deref(), claims.email.as_deref()), (Some("corp:alice"), Some("a@example.com")));
    assert_eq!(changed(&json!({}), &json!({}), prefixed).unwrap().username, None, "no name, no prefix");
}

#[test]
fn r23_a_token_is_as_long_as_its_issuer_may_write_it() {
    let groups = |count: usize| json!({"groups": vec!["0123456789abcdef0123456789abcdef0123"; count]});
    let sized = |size: usize| move |issuer: &mut TrustedIssuer| issuer.token_size = size;
    assert!(changed(&json!({}), &groups(200), |_| ()).is_ok(), "as many groups as Microsoft Entra ID writes");
    assert_eq!(changed(&json!({}), &groups(200), sized(8 << 10)).unwrap_err(), TokenError::TooLong);
    assert_eq!(changed(&json!({}), &groups(700), |_| ()).unwrap_err(), TokenError::TooLong);
    assert!(changed(&json!({}), &groups(700), sized(64 << 10)).is_ok());
}

#[test]
fn claims_become_an_identity_as_far_as_a_header_can_say_it() {
    let change = json!({
        "name": "Alice", "email": "a@example.com", "scope": "read  write", "jti": "x", "sid": "s",
        "groups": ["read", "admin,root", "line\nbreak", "", 5, "ops team", " admin", "admin\u{a0}"],
    });
    let claims = changed(&json!({}), &change, |_| ()).unwrap();
    assert_eq!(claims.roles, ["read", "write", "ops team"], "a comma would make two roles of one");
    assert_eq!((claims.username.as_deref(), claims.email.as_deref()), (Some("Alice"), Some("a@example.com")));
    assert_eq!(claims.token_id, TokenId(fingerprint(&["jti", NAME, "x"])));
    assert_eq!(claims.session, Some(TokenId(fingerprint(&["sid", NAME, "s"]))));
    for name in [json!(["x"]), json!(""), json!("Alice "), json!("\tAlice"), json!("Al\nice")] {
        let change = json!({"email": "a@example.com", "email_verified": false, "scope": 1, "name": name});
        let claims = changed(&json!({}), &change, |_| ()).unwrap();
        assert_eq!((claims.username, claims.email, claims.roles), (None, None, Vec::new()), "{name}");
    }
    for (verified, counts) in [(json!(true), true), (json!("true"), true), (json!("false"), false), (json!(0), false)] {
        let change = json!({"email": "a@example.com", "email_verified": verified});
        let claims = changed(&json!({}), &change, |_| ()).unwrap();
        assert_eq!(claims.email.is_some(), counts, "{verified}");
    }
    for sub in ["auth0|1 ", " auth0|1", "auth0|\n1", "auth0|1\u{2003}"] {
        let change = json!({"sub": sub});
        assert_eq!(changed(&json!({}), &change, |_| ()), Err(TokenError::Claims), "{sub:?}");
    }
}

#[test]
fn the_last_second_of_the_leeway_counts() {
    assert!(changed(&json!({}), &json!({"iat": NOW + 5}), |_| ()).is_ok());
    assert_eq!(changed(&json!({}), &json!({"jti": ""}), |_| ()), Err(TokenError::Claims), "an id of nothing");
    assert_eq!(changed(&json!({}), &json!({"sid": ""}), |_| ()), Err(TokenError::Claims));
}

#[test]
fn an_id_token_names_its_subject_to_the_client_that_it_was_made_for() {
    let idp = Idp::new();
    let good = json!({"iss": NAME, "aud": "abc", "sub": "u", "exp": NOW + 60, "token_use": "id"});
    let subject = |audience: Audience, name: &str, value: Value| {
        let issuer = TrustedIssuer { audience, types: vec![TokenType::Absent], ..idp.trusted() };
        let mut payload = good.clone();
        payload[name] = value;
        let token = idp.sign(&json!({"alg": "EdDSA", "kid": "k"}), &payload);
        issuer.id_subject(&UnverifiedToken::parse(&token, &mut Vec::new()).unwrap(), NOW)
    };
    let ours = || Audience { any_of: Vec::new(), clients: vec!["xyz".into(), "abc".into()] };
    assert_eq!(subject(ours(), "n", json!(1)), Ok("u".into()));
    assert_eq!(subject(ours(), "exp", json!(NOW - 4)), Ok("u".into()), "leeway");
    for (name, value, reject) in [
        ("token_use", json!("access"), TokenError::Type),
        ("token_use", json!(null), TokenError::Type),
        ("aud", json!("other"), TokenError::Audience),
        ("aud", json!(["abc"]), TokenError::Audience),
        ("exp", json!(NOW - 5), TokenError::Expired),
        ("sub", json!(""), TokenError::Claims),
    ] {
        assert_eq!(subject(ours(), name, value.clone()), Err(reject), "{name} = {value}");
    }
    assert_eq!(
        subject(Audience { any_of: vec!["abc".into()], clients: Vec::new() }, "n", json!(1)),
        Err(TokenError::Audience)
    );
    let stranger = Idp::new().sign(&json!({"alg": "EdDSA", "kid": "k"}), &good);
    let issuer = TrustedIssuer { audience: ours(), types: vec![TokenType::Absent], ..idp.trusted() };
    assert_eq!(
        issuer.id_subject(&UnverifiedToken::parse(&stranger, &mut Vec::new()).unwrap(), NOW),
        Err(TokenError::Signature)
    );
}
