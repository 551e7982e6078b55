//! The public keys of another issuer, from its JWK Set (RFC 7517, 5).
//!
//! What comes over the network is believed only as far as it is whole: one fault and the whole set is refused, so that
//! the keys that were there stay. A key that is not for us (another use, another algorithm, a type that we don't know) is
//! no fault, and passed over.

use std::sync::Arc;

use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::Reject;
use super::algorithm::{Algorithm, VerifyingKey};
use crate::json;

/// Keys that verify.
#[derive(Debug)]
pub struct PublicKeys {
    keys: Vec<PublicKey>,
    /// What they were read from: tells one set from another, and can be read again for other algorithms.
    text: Box<[u8]>,
}

/// A key may suit several algorithms of its type: then there is one of these for each.
#[derive(Debug)]
struct PublicKey {
    kid: Option<Arc<str>>,
    verifying: VerifyingKey,
}

/// Why a JWK Set can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// More than [`MAX_JWKS_BYTES`].
    #[error("is larger than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    /// Something else altogether, such as an HTML page.
    #[error("is no JSON object that names each member once: {0}")]
    NotJson(String),
    /// No JWK Set.
    #[error("is no JWK Set (RFC 7517): it has no list \"keys\" of objects")]
    NotASet,
    /// Which of the two keys a token means could not be told.
    #[error("names the kid {0:?} twice")]
    Twice(String),
    /// One that is meant for us is broken.
    #[error("has a key that can't be used (kid {kid:?}): {reason}")]
    Broken {
        /// Its id, if it has one.
        kid: Option<String>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// None that is meant for us.
    #[error("has no key that could verify any of the configured algorithms")]
    Empty,
}

impl PublicKeys {
    /// Reads a JWK Set: the keys in it that can verify one of `algorithms`.
    ///
    /// # Errors
    /// The set as a whole is not used then.
    pub fn parse(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, JwksError> {
        if text.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLarge);
        }
        // The parser's error says where it stopped, and quotes nothing.
        let set = json::object(text).map_err(|error| JwksError::NotJson(error.to_string()))?;
        let jwks = set.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
        let mut keys: Vec<PublicKey> = Vec::new();
        for jwk in jwks {
            let jwk = jwk.as_object().ok_or(JwksError::NotASet)?;
            let Some(suitable) = suitable(jwk, algorithms) else { continue };
            let kid = match jwk.get("kid") {
                None => None,
                Some(Value::String(kid)) if !kid.is_empty() => Some(Arc::from(kid.as_str())),
                Some(_) => return Err(JwksError::Broken { kid: None, reason: "its \"kid\" is no string, or empty" }),
            };
            if kid.is_some() && keys.iter().any(|key| key.kid == kid) {
                return Err(JwksError::Twice(kid.as_deref().unwrap_or_default().into()));
            }
            for algorithm in suitable {
                let key = decode(jwk, algorithm)
                    .map_err(|reason| JwksError::Broken { kid: kid.as_deref().map(str::to_owned), reason })?;
                keys.push(PublicKey { kid: kid.clone(), verifying: VerifyingKey::new(algorithm, key) });
            }
        }
        if keys.is_empty() { Err(JwksError::Empty) } else { Ok(Self { keys, text: text.into() }) }
    }

    /// The key that a token of this `kid` and `alg` was signed with. A token without `kid` can only mean the one key
    /// that there is.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, Reject> {
        let suits = |key: &&PublicKey| key.verifying.algorithm() == algorithm;
        let Some(kid) = kid else {
            let mut suitable = self.keys.iter().filter(suits);
            return match (suitable.next(), suitable.next()) {
                (Some(only), None) => Ok(&only.verifying),
                _ => Err(Reject::Algorithm),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            return Err(Reject::Key);
        }
        named.find(suits).map(|key| &key.verifying).ok_or(Reject::Algorithm)
    }

    /// The set that they came from.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The ids of the keys, each once.
    #[must_use]
    pub fn kids(&self) -> Vec<&str> {
        let mut kids: Vec<_> = self.keys.iter().filter_map(|key| key.kid.as_deref()).collect();
        kids.dedup();
        kids
    }
}

/// The algorithms that this key is for, of those that are allowed; `None` if it is for none of them.
fn suitable(jwk: &Map<String, Value>, allowed: &[Algorithm]) -> Option<Vec<Algorithm>> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    // RFC 7517, 4.2 and 4.3: a key that says what it is for is for nothing else.
    let for_signatures = jwk.get("use").is_none_or(|value| value == "sig");
    let verifies =
        |operations: &Value| operations.as_array().is_some_and(|list| list.iter().any(|one| one == "verify"));
    if !for_signatures || !jwk.get("key_ops").is_none_or(verifies) {
        return None;
    }
    let of_type = |algorithm: &Algorithm| match algorithm {
        Algorithm::HS256 => false,
        Algorithm::ES256 => text("kty") == Some("EC") && text("crv") == Some("P-256"),
        Algorithm::ES384 => text("kty") == Some("EC") && text("crv") == Some("P-384"),
        Algorithm::EdDSA => text("kty") == Some("OKP") && text("crv") == Some("Ed25519"),
        _ => text("kty") == Some("RSA"),
    };
    let suits = |algorithm: &Algorithm| match jwk.get("alg") {
        None => of_type(algorithm),
        // RFC 9864 calls EdDSA with this curve by the curve's name.
        Some(Value::String(alg)) if alg == "Ed25519" => *algorithm == Algorithm::EdDSA && of_type(algorithm),
        Some(alg) => alg == algorithm.name() && of_type(algorithm),
    };
    let suitable: Vec<_> = allowed.iter().copied().filter(suits).collect();
    if suitable.is_empty() { None } else { Some(suitable) }
}

/// The key for `algorithm`, of whose type it is.
fn decode(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<DecodingKey, &'static str> {
    // Whoever publishes the private half has no secret any more: what such a key signs proves nothing.
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
        return Err("it holds the private key, too");
    }
    let member = |name: &str| {
        let text = jwk.get(name).and_then(Value::as_str);
        text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .ok_or("a member of the key is missing, or not base64url")
    };
    let point = |size: usize, name: &str| {
        member(name).and_then(|bytes| if bytes.len() == size { Ok(bytes) } else { Err("its point has another size") })
    };
    let not_on_curve = |_| "its point is not on the curve";
    match algorithm {
        Algorithm::HS256 => Err("it is symmetric"),
        Algorithm::ES256 | Algorithm::ES384 => {
            let (size, curve): (_, &'static dyn signature::VerificationAlgorithm) = match algorithm {
                Algorithm::ES256 => (32, &signature::ECDSA_P256_SHA256_FIXED),
                _ => (48, &signature::ECDSA_P384_SHA384_FIXED),
            };
            // X9.62, uncompressed.
            let bytes = [vec![4], point(size, "x")?, point(size, "y")?].concat();
            ParsedPublicKey::new(curve, &bytes).map_err(not_on_curve)?;
            Ok(DecodingKey::from_ec_der(&bytes))
        }
        Algorithm::EdDSA => {
            let bytes = point(32, "x")?;
            ParsedPublicKey::new(&signature::ED25519, &bytes).map_err(not_on_curve)?;
            Ok(DecodingKey::from_ed_der(&bytes))
        }
        _ => {
            let (modulus, exponent) = (member("n")?, member("e")?);
            // RFC 7518, 3.3 asks for 2048 bits. Leading zeros are not part of the number.
            let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
            if !(256..=1024).contains(&significant) {
                return Err("its modulus is not of 2048 to 8192 bits");
            }
            // 1 would make any message its own signature; even ones and huge ones are nobody's.
            let exponent_value = exponent.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            if exponent.len() > 4 || exponent_value < 3 || exponent_value.is_multiple_of(2) {
                return Err("its exponent is not an odd number from 3 on, of 32 bits at most");
            }
            Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
        }
    }
}

/// The largest set that is read: a hundred keys of any kind.
pub const MAX_JWKS_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
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
        assert_eq!(find(Some("rsa"), Algorithm::RS512), Err(Reject::Algorithm), "not allowed");
        assert_eq!(find(Some("ec"), Algorithm::RS256), Err(Reject::Algorithm));
        assert_eq!(find(Some("rsa"), Algorithm::HS256), Err(Reject::Algorithm));
        assert_eq!(find(Some("other"), Algorithm::ES256), Err(Reject::Key));
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
    fn one_fault_and_the_whole_set_is_refused() {
        let broken = [
            with(ec(), "x", "AA"),
            with(ec(), "y", ec()["y"].clone()),
            with(ec(), "x", "!"),
            with(ec(), "d", "AA"),
            with(ed(), "x", format!("{}=", ed()["x"].as_str().unwrap())),
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
        ];
        for jwk in broken {
            assert!(
                matches!(parse(&[ed(), jwk.clone()]), Err(JwksError::Broken { .. } | JwksError::Twice(_))),
                "{jwk}"
            );
        }
        assert_eq!(parse(&[ed(), with(rsa(), "kid", "ed")]).unwrap_err(), JwksError::Twice("ed".into()));
        assert!(
            parse(&[ed(), with(with(rsa(), "kid", "ed"), "use", "enc")]).is_ok(),
            "the other one is for another use"
        );
    }

    #[test]
    fn what_is_no_set() {
        let parse = |text: &str| PublicKeys::parse(text.as_bytes(), &ALLOWED).unwrap_err();
        assert!(matches!(parse("<!doctype html>"), JwksError::NotJson(_)));
        assert!(matches!(parse(""), JwksError::NotJson(_)));
        assert!(matches!(parse("[]"), JwksError::NotJson(_)));
        assert!(matches!(parse("{\"keys\":[],\"keys\":[]}"), JwksError::NotJson(_)));
        for text in ["{}", "{\"keys\":{}}", "{\"keys\":null}", "{\"keys\":[1]}", "{\"keys\":[[]]}"] {
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
            (&[0, 0, 0, 0, 3], false),
        ] {
            let read = parse(&[with(rsa(), "e", URL_SAFE_NO_PAD.encode(exponent))]);
            assert_eq!(read.is_ok(), good, "{exponent:?}");
        }
    }
}
