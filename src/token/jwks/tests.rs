use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

const ALLOWED: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

fn ec() -> Value {
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": encode(&point[1..33]), "y": encode(&point[33..])})
}

fn ed() -> Value {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x})
}

fn rsa() -> Value {
    json!({"kty": "RSA", "kid": "rsa", "n": URL_SAFE_NO_PAD.encode([0xc1; 256]), "e": "AQAB"})
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

fn parse(keys: &[Value]) -> Result<PublicKeys, JwksError> {
    PublicKeys::parse(json!({"keys": keys, "extra": 1}).to_string().as_bytes(), &ALLOWED)
}

#[test]
fn a_key_is_found_by_its_id_for_its_algorithms_only() {
    let keys = parse(&[ec(), ed(), rsa()]).unwrap();
    assert_eq!(keys.kids(), ["ec", "ed", "rsa"]);
    let find = |kid, algorithm| keys.find(kid, algorithm).map(VerifyingKey::algorithm);
    assert_eq!(find(Some("ec"), Algorithm::ES256), Ok(Algorithm::ES256));
    assert_eq!(find(Some("rsa"), Algorithm::PS256), Ok(Algorithm::PS256), "no alg: every allowed one of its type");
    assert_eq!(find(Some("rsa"), Algorithm::RS256), Ok(Algorithm::RS256));
    assert_eq!(find(Some("rsa"), Algorithm::RS512), Err(TokenError::Algorithm), "not allowed");
    assert_eq!(find(Some("ec"), Algorithm::RS256), Err(TokenError::Algorithm));
    assert_eq!(find(Some("rsa"), Algorithm::HS256), Err(TokenError::Algorithm));
    assert_eq!(find(Some("other"), Algorithm::ES256), Err(TokenError::Key));
    assert_eq!(find(None, Algorithm::EdDSA), Ok(Algorithm::EdDSA), "the only one");
    let two = parse(&[with(ec(), "kid", "a"), with(ec(), "kid", "b")]).unwrap();
    assert!(two.find(None, Algorithm::ES256).is_err(), "which one?");
    let nameless = parse(&[with(rsa(), "alg", "RS256"), json!({"kty": "OKP", "crv": "Ed25519", "x": ed()["x"]})]);
    let nameless = nameless.unwrap();
    assert!(nameless.find(Some("rsa"), Algorithm::PS256).is_err(), "its alg says RS256");
    assert!(nameless.find(None, Algorithm::EdDSA).is_ok());
    assert!(nameless.find(Some(""), Algorithm::EdDSA).is_err());
}

#[test]
fn keys_that_are_for_something_else_are_passed_over() {
    let other = [
        with(ec(), "use", "enc"),
        with(ec(), "use", json!(["sig"])),
        with(ec(), "key_ops", json!(["sign"])),
        with(ec(), "key_ops", "verify"),
        with(ec(), "alg", "ES384"),
        with(ec(), "alg", "ECDH-ES"),
        with(ec(), "alg", json!(7)),
        with(ec(), "crv", "P-384"),
        with(ec(), "crv", "secp256k1"),
        with(ed(), "crv", "X25519"),
        with(rsa(), "alg", "RSA-OAEP"),
        with(rsa(), "kty", "rsa"),
        with(rsa(), "alg", "none"),
        json!({"kty": "oct", "kid": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "oct", "kid": "oct", "alg": "RS256", "k": "c2VjcmV0"}),
        json!({}),
    ];
    for jwk in other {
        assert_eq!(parse(std::slice::from_ref(&jwk)).unwrap_err(), JwksError::Empty, "{jwk}");
        assert_eq!(parse(&[jwk.clone(), ed()]).unwrap().kids(), ["ed"], "{jwk}");
    }
    let ours = [with(ec(), "use", "sig"), with(ed(), "key_ops", json!(["verify"])), with(rsa(), "alg", "PS256")];
    assert_eq!(parse(&ours).unwrap().kids(), ["ec", "ed", "rsa"]);
    assert!(parse(&[with(ed(), "alg", "Ed25519")]).is_ok());
}

#[test]
fn a_key_that_cannot_be_used_is_left_out_and_named() {
    let broken = [
        with(ec(), "x", "AA"),
        with(ec(), "y", ec()["y"].clone()),
        with(ec(), "x", "!"),
        with(ec(), "d", "AA"),
        with(ec(), "x", URL_SAFE_NO_PAD.encode([0xc1; 33])),
        with(ed(), "x", URL_SAFE_NO_PAD.encode([0xc1; 31])),
        with(ed(), "x", URL_SAFE_NO_PAD.encode([0; 33])),
        with(ed(), "x", json!(1)),
        with(rsa(), "n", URL_SAFE_NO_PAD.encode([0xc1; 128])),
        with(rsa(), "n", URL_SAFE_NO_PAD.encode([vec![0; 128], vec![0xc1; 128]].concat())),
        with(rsa(), "n", URL_SAFE_NO_PAD.encode([0xc1; 2048])),
        with(rsa(), "e", "AQ"),
        with(rsa(), "e", "Ag"),
        with(rsa(), "e", ""),
        with(rsa(), "e", "AQAAAAE"),
        with(rsa(), "p", "AQAB"),
        with(rsa(), "kid", ""),
        with(rsa(), "kid", json!(5)),
        json!(1),
        json!([]),
    ];
    let good = with(ed(), "kid", "good");
    for jwk in broken {
        let keys = parse(&[jwk.clone(), good.clone()]).unwrap();
        assert_eq!(keys.kids(), ["good"], "{jwk}");
        assert_eq!(keys.unusable().len(), 1, "{jwk}");
        assert_eq!(keys.unusable()[0].kid.as_deref(), jwk["kid"].as_str(), "{jwk}");
        assert!(matches!(parse(std::slice::from_ref(&jwk)), Err(JwksError::Unusable(_))), "{jwk}");
    }
}

#[test]
fn two_keys_of_one_id_verify_nothing_unless_they_are_one() {
    let key = with(ed(), "kid", "a");
    assert_eq!(parse(&[key.clone(), key.clone()]).unwrap().find(Some("a"), Algorithm::EdDSA).map(drop), Ok(()));
    let (good, other) = (with(ed(), "kid", "good"), with(ed(), "kid", "a"));
    for set in [
        vec![key.clone(), other.clone(), good.clone()],
        vec![key.clone(), other.clone(), key.clone(), good.clone()],
        vec![good, key.clone(), other.clone(), other.clone()],
    ] {
        let keys = parse(&set).unwrap();
        assert_eq!(keys.kids(), ["good"]);
        assert!(keys.unusable().iter().all(|key| key.kid.as_deref() == Some("a")) && !keys.unusable().is_empty());
    }
    let keys = parse(&[key.clone(), with(rsa(), "kid", "a"), with(ec(), "kid", "b")]).unwrap();
    assert_eq!(keys.kids(), ["a", "b"]);
    assert!(keys.find(Some("a"), Algorithm::EdDSA).is_ok() && keys.find(Some("a"), Algorithm::RS256).is_ok());
    assert!(parse(&[key, with(other, "use", "enc")]).unwrap().unusable().is_empty(), "for another use");
}

#[test]
fn numbers_with_leading_zeros_or_padding_are_the_same_numbers() {
    let zeros = |key: Value, names: &[&str]| {
        names.iter().fold(key, |key, name| {
            let bytes = URL_SAFE_NO_PAD.decode(key[*name].as_str().unwrap()).unwrap();
            let longer = URL_SAFE_NO_PAD.encode([vec![0], bytes].concat());
            with(key, name, longer)
        })
    };
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let plain =
        json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": encode(&point[1..33]), "y": encode(&point[33..])});
    let signed = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), b"text").unwrap();
    for key in
        [zeros(plain.clone(), &["x", "y"]), with(plain.clone(), "x", format!("{}=", plain["x"].as_str().unwrap()))]
    {
        let keys = parse(&[key]).unwrap();
        assert!(keys.find(Some("ec"), Algorithm::ES256).unwrap().verifies(b"text", &encode(signed.as_ref())));
    }
    assert!(parse(&[zeros(rsa(), &["n", "e"])]).unwrap().unusable().is_empty());
}

#[test]
fn what_is_no_set() {
    let parse = |text: &str| PublicKeys::parse(text.as_bytes(), &ALLOWED).unwrap_err();
    assert!(matches!(parse("<!doctype html>"), JwksError::NotJson(_)));
    assert!(matches!(parse(""), JwksError::NotJson(_)));
    assert!(matches!(parse("[]"), JwksError::NotJson(_)));
    assert!(matches!(parse("{\"keys\":[],\"keys\":[]}"), JwksError::NotJson(_)));
    for text in ["{}", "{\"keys\":{}}", "{\"keys\":null}"] {
        assert_eq!(parse(text), JwksError::NotASet, "{text}");
    }
    assert_eq!(parse("{\"keys\":[]}"), JwksError::Empty);
    assert_eq!(parse(&" ".repeat(MAX_JWKS_BYTES + 1)), JwksError::TooLarge);
}

#[test]
fn each_algorithm_has_keys_of_its_own_kind() {
    let parse = |jwk: &Value, allowed: &[Algorithm]| {
        PublicKeys::parse(json!({"keys": [jwk]}).to_string().as_bytes(), allowed).map(|keys| keys.keys.len())
    };
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..49]), URL_SAFE_NO_PAD.encode(&point[49..]));
    let larger = json!({"kty": "EC", "crv": "P-384", "x": x, "y": y});
    assert_eq!(parse(&larger, &[Algorithm::ES384]), Ok(1));
    for (jwk, algorithm) in [
        (larger.clone(), Algorithm::ES256),
        (with(larger, "kty", "RSA"), Algorithm::ES384),
        (ec(), Algorithm::ES384),
        (rsa(), Algorithm::ES384),
        (rsa(), Algorithm::HS256),
        (with(ed(), "kty", "EC"), Algorithm::EdDSA),
        (with(ec(), "kty", "OKP"), Algorithm::ES256),
        (with(rsa(), "alg", "Ed25519"), Algorithm::RS256),
        (with(ec(), "alg", "Ed25519"), Algorithm::ES256),
    ] {
        assert_eq!(parse(&jwk, &[algorithm]), Err(JwksError::Empty), "{algorithm:?}: {jwk}");
    }
}

#[test]
fn the_largest_set_and_the_largest_and_smallest_rsa_keys() {
    let set = json!({"keys": [ed()]}).to_string();
    let padded = format!("{set}{}", " ".repeat(MAX_JWKS_BYTES - set.len()));
    assert!(PublicKeys::parse(padded.as_bytes(), &ALLOWED).is_ok());
    for size in [256, 1024] {
        assert!(parse(&[with(rsa(), "n", URL_SAFE_NO_PAD.encode(vec![0xc1; size]))]).is_ok(), "{size}");
    }
    for size in [255, 1025] {
        assert!(parse(&[with(rsa(), "n", URL_SAFE_NO_PAD.encode(vec![0xc1; size]))]).is_err(), "{size}");
    }
    for (exponent, good) in [
        (&[3][..], true),
        (&[5], true),
        (&[1, 0, 1], true),
        (&[1, 0, 0, 1], true),
        (&[4], false),
        (&[1, 0, 2], false),
        (&[0, 0, 0, 0, 3], true),
    ] {
        let read = parse(&[with(rsa(), "e", URL_SAFE_NO_PAD.encode(exponent))]);
        assert_eq!(read.is_ok(), good, "{exponent:?}");
    }
}
