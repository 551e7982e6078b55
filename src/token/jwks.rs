//! The public keys of another issuer, from its JWK Set (RFC 7517, 5).
//!
//! Each key is checked by itself: an unusable key is skipped, counted and named, and the others verify. A key for
//! another use, another algorithm or of an unknown type is skipped silently. A set without a usable key is refused, so
//! that the previous keys stay in force.

use std::sync::Arc;

use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::TokenError;
use super::algorithm::{Algorithm, VerifyingKey};
use crate::json;

#[derive(Debug)]
pub struct PublicKeys {
    keys: Vec<PublicKey>,
    unusable: Vec<UnusableKey>,
    /// The document: it identifies the set, and can be read again for other algorithms.
    text: Box<[u8]>,
}

/// A key may suit several algorithms of its type: then there is one of these for each.
#[derive(Debug)]
struct PublicKey {
    kid: Option<Arc<str>>,
    verifying: VerifyingKey,
}

/// A key of the set that was left out, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableKey {
    /// Its id, if any.
    pub kid: Option<String>,
    /// The fault.
    pub reason: &'static str,
}

/// Why a JWK Set can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// More than [`MAX_JWKS_BYTES`].
    #[error("is larger than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    /// Something else altogether, such as an HTML page.
    #[error("must be one JSON object without duplicate members: {0}")]
    NotJson(String),
    /// No JWK Set.
    #[error("is not a JWK Set (RFC 7517): it has no list \"keys\" of objects")]
    NotASet,
    /// Every key for the configured algorithms is unusable; the first of them.
    #[error("has no usable key: {} (kid {:?})", .0.reason, .0.kid)]
    Unusable(UnusableKey),
    /// No key for the configured algorithms.
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
        // The parser's error gives a position and quotes nothing.
        let set = json::object(text).map_err(|error| JwksError::NotJson(error.to_string()))?;
        let jwks = set.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
        let (mut keys, mut unusable) = (Vec::<PublicKey>::new(), Vec::new());
        // The kept keys and the removed ones, to compare keys with one id.
        let mut seen: Vec<(&str, Algorithm, [Option<&Value>; 5])> = Vec::new();
        for jwk in jwks {
            let kid = jwk.get("kid").and_then(Value::as_str);
            let mut leave_out = |reason| unusable.push(UnusableKey { kid: kid.map(str::to_owned), reason });
            let Some(jwk) = jwk.as_object() else {
                leave_out("it is not an object");
                continue;
            };
            let Some(suitable) = suitable(jwk, algorithms) else { continue };
            if jwk.contains_key("kid") && kid.is_none_or(str::is_empty) {
                leave_out("its \"kid\" is not a string, or is empty");
                continue;
            }
            for algorithm in suitable {
                let numbers = ["kty", "n", "e", "x", "y"].map(|name| jwk.get(name));
                let key = match decode(jwk, algorithm) {
                    Ok(key) => key,
                    Err(reason) => {
                        leave_out(reason);
                        break;
                    }
                };
                if let Some(kid) = kid {
                    let mut same = seen.iter().filter(|(other, of, _)| *other == kid && *of == algorithm);
                    let earlier = same.next().map(|(_, _, earlier)| *earlier);
                    seen.push((kid, algorithm, numbers));
                    match earlier {
                        None => {}
                        // The same key, listed again.
                        Some(earlier) if earlier == numbers => continue,
                        // It is ambiguous which of the two a token means: neither verifies.
                        Some(_) => {
                            keys.retain(|key| {
                                key.kid.as_deref() != Some(kid) || key.verifying.algorithm() != algorithm
                            });
                            leave_out("another key has the same \"kid\" and algorithm");
                            break;
                        }
                    }
                }
                keys.push(PublicKey { kid: kid.map(Arc::from), verifying: VerifyingKey::new(algorithm, key) });
            }
        }
        if keys.is_empty() {
            return Err(unusable.into_iter().next().map_or(JwksError::Empty, JwksError::Unusable));
        }
        Ok(Self { keys, unusable, text: text.into() })
    }

    /// The key that a token of this `kid` and `alg` was signed with. A token without `kid` can only mean the one key
    /// that there is.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, TokenError> {
        let suits = |key: &&PublicKey| key.verifying.algorithm() == algorithm;
        let Some(kid) = kid else {
            let mut suitable = self.keys.iter().filter(suits);
            return match (suitable.next(), suitable.next()) {
                (Some(only), None) => Ok(&only.verifying),
                _ => Err(TokenError::Algorithm),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            return Err(TokenError::Key);
        }
        named.find(suits).map(|key| &key.verifying).ok_or(TokenError::Algorithm)
    }

    /// The set that they came from.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The keys that were left out, in the order of the set.
    #[must_use]
    pub fn unusable(&self) -> &[UnusableKey] {
        &self.unusable
    }

    /// The ids of the keys, each once.
    #[must_use]
    pub fn kids(&self) -> Vec<&str> {
        let mut kids: Vec<&str> = Vec::new();
        for kid in self.keys.iter().filter_map(|key| key.kid.as_deref()) {
            if !kids.contains(&kid) {
                kids.push(kid);
            }
        }
        kids
    }
}

/// The algorithms that this key is for, of those that are allowed; `None` if it is for none of them.
fn suitable(jwk: &Map<String, Value>, allowed: &[Algorithm]) -> Option<Vec<Algorithm>> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    // RFC 7517, 4.2 and 4.3: a key with a declared use has no other use.
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

/// Returns the key for `algorithm`. Its type matches.
fn decode(jwk: &Map<String, Value>, algorithm: Algorithm) -> Result<DecodingKey, &'static str> {
    // A published private key is no secret: its signatures prove nothing.
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.contains_key(*name)) {
        return Err("it holds the private key, too");
    }
    // A number, without the leading zeros that some issuers write (Java's BigInteger.toByteArray): RFC 7518, 6.3.1.1
    // forbids them, and the number is the same.
    let number = |name: &str| -> Result<Vec<u8>, &'static str> {
        let text = jwk.get(name).and_then(Value::as_str);
        let bytes = text.and_then(|text| BASE64URL.decode(text).ok());
        let mut bytes = bytes.ok_or("a member of the key is missing, or is not base64url")?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.drain(..zeros);
        Ok(bytes)
    };
    let coordinate = |size: usize, name: &str| -> Result<Vec<u8>, &'static str> {
        let number = number(name)?;
        let zeros = size.checked_sub(number.len()).ok_or("a coordinate of its point is too large")?;
        Ok([vec![0; zeros], number].concat())
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
            let bytes = [vec![4], coordinate(size, "x")?, coordinate(size, "y")?].concat();
            ParsedPublicKey::new(curve, &bytes).map_err(not_on_curve)?;
            Ok(DecodingKey::from_ec_der(&bytes))
        }
        Algorithm::EdDSA => {
            // Not a number, but a string of 32 bytes (RFC 8032, 5.1.5) that can end with zeros.
            let text = jwk.get("x").and_then(Value::as_str);
            let bytes = text.and_then(|text| BASE64URL.decode(text).ok()).filter(|bytes| bytes.len() == 32);
            let bytes = bytes.ok_or("its \"x\" is not 32 bytes in base64url")?;
            ParsedPublicKey::new(&signature::ED25519, &bytes).map_err(not_on_curve)?;
            Ok(DecodingKey::from_ed_der(&bytes))
        }
        _ => {
            let (modulus, exponent) = (number("n")?, number("e")?);
            // RFC 7518, 3.3 requires 2048 bits.
            if !(256..=1024).contains(&modulus.len()) {
                return Err("its modulus is not of 2048 to 8192 bits");
            }
            // 1 would make any message its own signature; even and huge exponents are in no real key.
            let exponent_value = exponent.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            if exponent.len() > 4 || exponent_value < 3 || exponent_value.is_multiple_of(2) {
                return Err("its exponent is not an odd number from 3 on, of 32 bits at most");
            }
            Ok(DecodingKey::from_rsa_raw_components(&modulus, &exponent))
        }
    }
}

/// With or without padding: RFC 7515, 2 has none, and some issuers write it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Maximum size of a set: a hundred keys of any kind.
pub const MAX_JWKS_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;
