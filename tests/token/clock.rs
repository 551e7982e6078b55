//! Times, to the second, with a clock that the test sets: `token::TokenSettings::verify` is given its `now`. That the running gate
//! looks at its clock again for a token that it has seen is in `tokens.rs` and `issuers/judged.rs`.

use std::sync::Arc;

use serde_json::{Value, json};
use tollgate::token::{
    Algorithm, Audience, ClaimMapping, IssuerKeys, KeySource, SigningKey, SigningKeys, TokenError, TokenSettings,
    TokenType, TrustedIssuer,
};

use crate::harness::*;

const NOW: i64 = 1_800_000_000;
const ISS: &str = "https://issuer.example.com/";

fn rules(signer: &Signer, leeway: i64) -> TokenSettings {
    let algorithms = vec![Algorithm::EdDSA];
    let keys = IssuerKeys::new(KeySource::File("keys.json".into()), algorithms.clone());
    keys.install(json!({"keys": [signer.jwk()]}).to_string().as_bytes(), 0).unwrap();
    TokenSettings {
        issuer: ISSUER.into(),
        audience: "examples".into(),
        leeway,
        keys: SigningKeys::new(Algorithm::HS256, vec![own_key()]).unwrap(),
        id_keys: None,
        trusted: vec![TrustedIssuer {
            name: ISS.into(),
            audience: Audience { any_of: vec!["api".into()], clients: Vec::new() },
            token_size: 32 << 10,
            algorithms,
            types: vec![TokenType::Jwt],
            leeway,
            required: Vec::new(),
            exact: Vec::new(),
            mapping: ClaimMapping::default(),
            keys: Arc::new(keys),
        }],
    }
}

fn own_key() -> SigningKey {
    let jwk = json!({"kty": "oct", "use": "sig", "alg": "HS256", "kid": "own", "iat": 1, "k": encoded(&[7; 32])});
    SigningKey::from_jwk(&jwk.to_string()).unwrap()
}

/// The same times in a token of the realm's own and in a foreign one.
fn tokens(signer: &Signer, times: &Value) -> [String; 2] {
    let own = json!({"iss": ISSUER, "aud": "examples", "sub": "u", "jti": "0".repeat(32), "iat": 1, "nbf": 1});
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": "own"});
    let foreign = json!({"iss": ISS, "aud": "api", "sub": "u"});
    [sign(&header.to_string(), &edited(own, times).to_string(), &[7; 32]), signer.token(&edited(foreign, times))]
}

#[test]
fn r21_a_token_counts_from_nbf_less_the_leeway_until_exp_and_the_leeway() {
    let signer = Signer::new("EdDSA", "foreign");
    for leeway in [0, 1, 5, 300] {
        let rules = rules(&signer, leeway);
        for token in tokens(&signer, &json!({"nbf": NOW, "exp": NOW + 100})) {
            let at = |now: i64| rules.verify(&token, now).map(drop);
            for (now, verdict) in [
                (i64::MIN, Err(TokenError::NotYetValid)),
                (0, Err(TokenError::NotYetValid)),
                (NOW - leeway - 1, Err(TokenError::NotYetValid)),
                (NOW - leeway, Ok(())),
                (NOW, Ok(())),
                (NOW + 99, Ok(())),
                (NOW + 99 + leeway, Ok(())),
                // RFC 7519, 4.1.4: on or after exp is too late.
                (NOW + 100 + leeway, Err(TokenError::Expired)),
                (NOW + 1_000_000, Err(TokenError::Expired)),
                (i64::MAX - 1, Err(TokenError::Expired)),
            ] {
                assert_eq!(at(now), verdict, "leeway {leeway}, {} seconds on", now.saturating_sub(NOW));
            }
            // Once accepted, it still counts for just as long.
            let accepted = rules.verify(&token, NOW).unwrap();
            assert!(accepted.is_valid_at(NOW + 99 + leeway) && !accepted.is_valid_at(NOW + 100 + leeway));
        }
    }
}

#[test]
fn r22_times_at_the_ends_of_what_a_time_can_be_do_not_wrap_around() {
    let signer = Signer::new("EdDSA", "foreign");
    let rules = rules(&signer, 300);
    let last = 253_402_300_799_i64;
    for token in tokens(&signer, &json!({"exp": last})) {
        assert!(rules.verify(&token, NOW).is_ok());
        assert_eq!(rules.verify(&token, i64::MAX - 1).map(drop), Err(TokenError::Expired));
    }
    for exp in [last + 1, i64::MAX, i64::MIN, -1] {
        for token in tokens(&signer, &json!({"exp": exp})) {
            assert_eq!(rules.verify(&token, NOW).map(drop), Err(TokenError::Claims), "{exp}");
        }
    }
    for token in tokens(&signer, &json!({"exp": 0, "nbf": 0})) {
        assert_eq!(rules.verify(&token, NOW).map(drop), Err(TokenError::Expired));
        assert!(rules.verify(&token, 299).is_ok());
    }
}

#[test]
fn r21_a_foreign_token_of_the_future_does_not_count_before_its_time() {
    let signer = Signer::new("EdDSA", "foreign");
    let rules = rules(&signer, 5);
    let [_, token] = tokens(&signer, &json!({"iat": NOW, "exp": NOW + 100}));
    assert!(rules.verify(&token, NOW - 5).is_ok());
    assert_eq!(rules.verify(&token, NOW - 6).map(drop), Err(TokenError::NotYetValid));
}
