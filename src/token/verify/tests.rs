use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{
    Audience, ClaimMapping, IssuerKeys, JwksLocation, KeySource, RemoteJwks, SigningKey, SigningKeys, TokenType,
};
use super::*;
use crate::json;

const NOW: i64 = 1_800_000_000;

fn rules() -> TokenSettings {
    TokenSettings {
        issuer: "https://gate.example".into(),
        audience: "examples".into(),
        leeway: 5,
        keys: SigningKeys::new(
            Algorithm::HS256,
            vec![
                SigningKey::generate(Algorithm::HS256, 1, 1).unwrap(),
                SigningKey::generate(Algorithm::HS256, 2, 2).unwrap(),
            ],
        )
        .unwrap(),
        id_keys: None,
        trusted: Vec::new(),
    }
}

fn claims() -> Claims {
    Claims {
        token_id: TokenId::random(),
        subject: "0123456789abcdef0123456789abcdef".into(),
        username: Some("alice".into()),
        email: None,
        roles: vec!["admin".into()],
        session: Some(TokenId::random()),
        mfa: false,
        issued_at: NOW,
        expires_at: NOW + 60,
    }
}

fn verify(rules: &TokenSettings, token: &str, now: i64) -> Result<Claims, TokenError> {
    let accepted = rules.verify(token, now);
    assert_eq!(
        accepted.as_ref().ok().map(|one| &one.claims),
        rules.verify_own(token, now).ok().map(|one| one.claims).as_ref()
    );
    accepted.map(|accepted| accepted.claims)
}

/// A token with this header and payload, rightly signed by the newest key.
fn signed(rules: &TokenSettings, header: &Value, payload: &str) -> String {
    let key = rules.keys.active_key(NOW);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{signature}")
}

fn header(rules: &TokenSettings) -> Value {
    json!({"alg": "HS256", "typ": "at+jwt", "kid": rules.keys.active_key(NOW).kid()})
}

fn payload() -> Value {
    json!({
        "iss": "https://gate.example", "aud": "examples", "sub": "u", "jti": "00000000000000000000000000000001",
        "iat": NOW, "nbf": NOW, "exp": NOW + 60,
    })
}

#[test]
fn what_we_mint_verifies_until_it_expires() {
    let (rules, claims) = (rules(), claims());
    let token = rules.mint(&claims).unwrap();
    assert_eq!(verify(&rules, &token, NOW), Ok(claims.clone()));
    assert_eq!(verify(&rules, &token, NOW + 64), Ok(claims.clone()), "leeway");
    assert_eq!(verify(&rules, &token, NOW + 65), Err(TokenError::Expired));
    assert_eq!(verify(&rules, &token, NOW - 5), Ok(claims));
    assert_eq!(verify(&rules, &token, NOW - 6), Err(TokenError::NotYetValid));
    assert_eq!(verify(&rules, &token, i64::MAX), Err(TokenError::Expired));
    assert_eq!(verify(&rules, &token, i64::MIN), Err(TokenError::NotYetValid));
}

#[test]
fn an_older_key_still_verifies_and_a_foreign_one_does_not() {
    let old = SigningKey::generate(Algorithm::HS256, 1, 1).unwrap().to_jwk();
    let before = TokenSettings {
        keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::from_jwk(&old).unwrap()]).unwrap(),
        ..rules()
    };
    let token = before.mint(&claims()).unwrap();
    let both = SigningKeys::new(
        Algorithm::HS256,
        vec![SigningKey::from_jwk(&old).unwrap(), SigningKey::generate(Algorithm::HS256, 2, 2).unwrap()],
    )
    .unwrap();
    assert!(TokenSettings { keys: both, ..rules() }.verify(&token, NOW).is_ok());
    assert_eq!(verify(&rules(), &token, NOW), Err(TokenError::Key));
}

#[test]
fn every_flipped_bit_is_refused() {
    let rules = rules();
    let token = rules.mint(&claims()).unwrap();
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let mutant = String::from_utf8(bytes).unwrap();
            assert!(rules.verify(&mutant, NOW).is_err(), "byte {at}, bit {bit}");
        }
    }
    for at in 0..token.len() {
        assert!(rules.verify(&token[..at], NOW).is_err(), "cut at {at}");
    }
}

#[test]
fn shapes_that_are_not_a_token() {
    let rules = rules();
    let token = rules.mint(&claims()).unwrap();
    let flood = ".".repeat(MAX_TOKEN_BYTES);
    let long = format!("{token}{}", "A".repeat(MAX_TOKEN_BYTES));
    let (padded, extended, five) = (format!("{token}="), format!("{token}."), format!("{token}.a.b"));
    for bad in ["", ".", "..", "a.b.c", " ", &flood, &long, &padded, &extended, &five, &format!(" {token}")] {
        assert!(rules.verify(bad, NOW).is_err(), "{bad:.40}");
    }
}

#[test]
fn r20_the_header_does_not_choose() {
    let rules = rules();
    let body = payload().to_string();
    assert!(rules.verify(&signed(&rules, &header(&rules), &body), NOW).is_ok());
    for (member, value, reject) in [
        ("alg", json!("none"), TokenError::Algorithm),
        ("alg", json!("None"), TokenError::Algorithm),
        ("alg", json!("HS512"), TokenError::Algorithm),
        ("alg", json!("RS256"), TokenError::Algorithm),
        ("alg", json!(null), TokenError::Algorithm),
        ("kid", json!("other"), TokenError::Key),
        ("kid", json!(1), TokenError::Key),
        ("typ", json!("JWT"), TokenError::Type),
        ("typ", json!(null), TokenError::Type),
        ("crit", json!(["exp"]), TokenError::Malformed),
        ("b64", json!(false), TokenError::Malformed),
        ("zip", json!("DEF"), TokenError::Malformed),
        ("jku", json!("https://evil.example"), TokenError::Malformed),
        ("jwk", json!({"kty": "oct", "k": ""}), TokenError::Malformed),
        ("x5c", json!([]), TokenError::Malformed),
    ] {
        let mut header = header(&rules);
        header[member] = value;
        assert_eq!(verify(&rules, &signed(&rules, &header, &body), NOW), Err(reject), "{header}");
    }
    for member in ["alg", "kid", "typ"] {
        let mut header = header(&rules);
        header.as_object_mut().unwrap().shift_remove(member);
        assert!(rules.verify(&signed(&rules, &header, &body), NOW).is_err(), "without {member}");
    }
    let unsigned = signed(&rules, &header(&rules), &body);
    let unsigned = unsigned.rsplit_once('.').unwrap().0;
    assert_eq!(verify(&rules, &format!("{unsigned}."), NOW), Err(TokenError::Signature));
}

#[test]
fn r21_r22_claims_are_there_and_of_the_right_type() {
    let rules = rules();
    let check = |payload: &str| verify(&rules, &signed(&rules, &header(&rules), payload), NOW);
    for name in ["iss", "aud", "sub", "jti", "iat", "nbf", "exp"] {
        let mut payload = payload();
        payload.as_object_mut().unwrap().shift_remove(name);
        assert!(check(&payload.to_string()).is_err(), "without {name}");
        for wrong in [json!(null), json!([1]), json!({}), json!(true), json!("")] {
            payload[name] = wrong;
            assert!(check(&payload.to_string()).is_err(), "{payload}");
        }
    }
    for name in ["iat", "nbf", "exp"] {
        for wrong in
            ["\"1900000000\"", "1900000000.5", "1.9e9", "-1", "1e300", "99999999999999", "18446744073709551615"]
        {
            let mut payload = payload();
            payload[name] = json!("@");
            let text = payload.to_string().replace("\"@\"", wrong);
            assert_eq!(check(&text), Err(TokenError::Claims), "{name} = {wrong}");
        }
    }
    for (name, value, reject) in [
        ("iss", json!("https://gate.example/"), TokenError::Issuer),
        ("iss", json!("HTTPS://gate.example"), TokenError::Issuer),
        ("aud", json!("example"), TokenError::Audience),
        ("aud", json!(["examples"]), TokenError::Audience),
        ("exp", json!(NOW - 5), TokenError::Expired),
        ("nbf", json!(NOW + 6), TokenError::NotYetValid),
        ("jti", json!("0000000000000000000000000000000G"), TokenError::Claims),
        ("sid", json!("0"), TokenError::Claims),
        ("sid", json!(null), TokenError::Claims),
        ("roles", json!("admin"), TokenError::Claims),
        ("roles", json!([1]), TokenError::Claims),
        ("username", json!(7), TokenError::Claims),
    ] {
        let mut payload = payload();
        payload[name] = value;
        assert_eq!(check(&payload.to_string()), Err(reject), "{payload}");
    }
    let twice = payload().to_string().replace("\"exp\"", "\"exp\":1,\"exp\"");
    assert_eq!(check(&twice), Err(TokenError::Malformed));
}

/// Returns rules that trust an issuer with fetched keys, and the key that signs its tokens.
fn trusting() -> (TokenSettings, Ed25519KeyPair) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let remote = RemoteJwks {
        location: JwksLocation::Jwks("https://idp.example/jwks".into()),
        insecure_http: false,
        roots: None,
        refresh: Duration::from_secs(600),
        max_stale: Duration::from_secs(3600),
        timeout: Duration::from_secs(5),
    };
    let algorithms = vec![Algorithm::EdDSA];
    let issuer = TrustedIssuer {
        name: "https://idp.example".into(),
        audience: Audience { any_of: vec!["api".into()], clients: Vec::new() },
        token_size: MAX_TOKEN_BYTES,
        algorithms: algorithms.clone(),
        types: vec![TokenType::AccessToken],
        leeway: 5,
        required: Vec::new(),
        exact: Vec::new(),
        mapping: ClaimMapping::default(),
        keys: Arc::new(IssuerKeys::new(KeySource::Remote(remote), algorithms)),
    };
    (TokenSettings { trusted: vec![issuer], ..rules() }, pair)
}

fn install(rules: &TokenSettings, pair: &Ed25519KeyPair, kid: &str, now: i64) {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x}]}).to_string();
    rules.trusted[0].keys.install(set.as_bytes(), now).unwrap();
}

fn foreign(pair: &Ed25519KeyPair, header: &Value) -> String {
    let payload = json!({"iss": "https://idp.example", "aud": "api", "sub": "u", "exp": NOW + 60, "iat": NOW});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(&payload));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[test]
fn a_newer_key_is_asked_for_only_where_one_may_help() {
    let (rules, pair) = trusting();
    let named = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a"});
    let nameless = json!({"alg": "EdDSA", "typ": "at+jwt"});
    let (token, bare) = (foreign(&pair, &named), foreign(&pair, &nameless));
    let asks = |token: &str, reject| rules.issuer_to_refresh(token, reject).is_some();
    for reject in [TokenError::Key, TokenError::NoKeys] {
        assert!(asks(&token, reject) && asks(&bare, reject), "{reject:?}");
    }
    assert!(!asks(&token, TokenError::Signature), "it has a key of that name");
    assert!(asks(&bare, TokenError::Signature), "it may have another");
    for reject in
        [TokenError::Expired, TokenError::Claims, TokenError::Audience, TokenError::Type, TokenError::Malformed]
    {
        assert!(!asks(&token, reject) && !asks(&bare, reject), "{reject:?}");
    }
    let own = rules.mint(&claims()).unwrap();
    assert!(!asks(&own, TokenError::Key) && !asks("a.b.c", TokenError::Key));
    assert!(self::rules().issuer_to_refresh(&token, TokenError::Key).is_none(), "nobody is trusted");
    assert!(rules.external_issuer(&token).is_some_and(|issuer| &*issuer.name == "https://idp.example"));
    assert!(rules.external_issuer(&own).is_none() && rules.external_issuer("a.b.c").is_none());
    assert!(rules.trusted_issuer("https://idp.example/").is_none());
}

#[test]
fn what_was_accepted_counts_as_long_as_its_key_is_there() {
    let (rules, pair) = trusting();
    let token = foreign(&pair, &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a"}));
    assert_eq!(rules.verify(&token, NOW).unwrap_err(), TokenError::NoKeys);
    install(&rules, &pair, "a", NOW);
    let accepted = rules.verify(&token, NOW).unwrap();
    assert!(accepted.is_valid_at(NOW) && accepted.is_valid_at(NOW + 64) && !accepted.is_valid_at(NOW + 65));
    assert!(rules.still_trust(&accepted, NOW));
    assert!(rules.still_trust(&accepted, NOW + 4000), "keys that can't be had at the moment are not gone");
    install(&rules, &pair, "b", NOW + 1);
    assert!(!accepted.is_valid_at(NOW + 1), "other keys: it is to be verified again");
    assert!(!rules.still_trust(&accepted, NOW + 1));
    assert!(!self::rules().still_trust(&accepted, NOW), "nobody is trusted");

    let own = rules.verify(&rules.mint(&claims()).unwrap(), NOW).unwrap();
    assert!(rules.still_trust(&own, NOW) && !self::rules().still_trust(&own, NOW), "keys of its own");
    assert!(rules.is_symmetric());
    let keys = SigningKeys::new(Algorithm::ES256, vec![SigningKey::generate(Algorithm::ES256, 1, 1).unwrap()]).unwrap();
    assert!(!TokenSettings { keys, ..rules }.is_symmetric());
}

#[test]
fn whoever_logs_out_may_be_late_and_not_early() {
    let (rules, pair) = trusting();
    install(&rules, &pair, "a", NOW);
    let token = rules.mint(&claims()).unwrap();
    for at in [NOW - 5, NOW, NOW + 64, NOW + 65, NOW + 1_000_000] {
        assert!(rules.verify_expired(&token, at).is_ok(), "at {at}");
    }
    assert_eq!(rules.verify_expired(&token, NOW - 6).unwrap_err(), TokenError::NotYetValid);
    let late = foreign(&pair, &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a"}));
    let accepted = rules.verify_expired(&late, NOW + 100).unwrap();
    assert_eq!(accepted.issuer.map(|by| by.issuer.to_string()).as_deref(), Some("https://idp.example"));
    assert_eq!(self::rules().verify_expired(&late, NOW).unwrap_err(), TokenError::Issuer);
    assert_eq!(self::rules().verify_expired(&token, NOW).unwrap_err(), TokenError::Key);
    assert_eq!(rules.id_token_subject("https://other.example", &late, NOW), Err(TokenError::Issuer));
    assert_eq!(rules.id_token_subject("https://idp.example", &late, NOW), Err(TokenError::Type), "an access token");
    assert_eq!(rules.id_token_subject("https://gate.example", &token, NOW), Err(TokenError::Issuer));
}

#[test]
fn every_reason_has_a_code_and_a_sentence_of_its_own() {
    let all = [
        TokenError::Malformed,
        TokenError::Type,
        TokenError::Key,
        TokenError::Algorithm,
        TokenError::NoKeys,
        TokenError::Signature,
        TokenError::Claims,
        TokenError::Bound,
        TokenError::Issuer,
        TokenError::Audience,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::Revoked,
    ];
    let codes: BTreeSet<_> = all.iter().map(|reject| reject.code()).collect();
    let details: BTreeSet<_> = all.iter().map(|reject| reject.detail()).collect();
    assert_eq!((codes.len(), details.len()), (all.len(), all.len()));
    assert!(codes.iter().all(|code| !code.is_empty()) && details.iter().all(|detail| detail.ends_with('.')));
}

#[test]
fn more_than_one_factor_is_what_amr_says_so() {
    for (amr, proven) in [
        (json!(["pwd", "otp", "mfa"]), true),
        (json!(["mfa"]), true),
        (json!(["pwd"]), false),
        (json!([]), false),
        (json!("mfa"), false),
        (json!(null), false),
    ] {
        let payload = json!({"amr": amr});
        let text = payload.to_string();
        assert_eq!(proves_mfa(&json::members(text.as_bytes()).unwrap()), proven, "{text}");
    }
}
