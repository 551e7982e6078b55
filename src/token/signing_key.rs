//! One key that signs and verifies a realm's tokens, and the form in which it is kept: one JWK (RFC 7517) a file.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::{Zeroize as _, Zeroizing};

use super::algorithm::{Algorithm, VerifyingKey};
use super::parts::seconds;
use super::signer::{NO_SIGNING_ALGORITHM, PrivateKey};
use crate::json;

/// A private key of the realm with its public half. It has one algorithm, so that a token can't choose another
/// (SECURITY.md R20).
pub struct SigningKey {
    /// Shared with each token of its that is remembered.
    pub(super) kid: Arc<str>,
    made_at: i64,
    pub(super) signs_from: i64,
    pub(super) token_ttl: i64,
    pub(super) signs_until: i64,
    signer: PrivateKey,
    verifying: VerifyingKey,
    jwk: Jwk,
}

/// Why a key file can't be used. Holds nothing of the key itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a usable signing key: the fault.
    #[error("not a JSON Web Key (RFC 7517) to sign with: {0}")]
    Malformed(&'static str),
    /// The system's random source failed.
    #[error("the random source of this machine failed")]
    Random,
}

impl SigningKey {
    /// Creates a key with a random id that becomes active at the Unix second `signs_from`: an HS256 key of 256 random
    /// bits, an ES256 key, an `EdDSA` key (Ed25519), or an RS256 key of 2048 bits.
    ///
    /// # Errors
    /// The system's random source failed, or `algorithm` is none of these four.
    pub fn generate(algorithm: Algorithm, made_at: i64, signs_from: i64) -> Result<Self, KeyError> {
        let material = PrivateKey::generate(algorithm)?;
        let form = Form::from_algorithm(algorithm).ok_or(KeyError::Malformed(NO_SIGNING_ALGORITHM))?;
        let mut members = Map::new();
        members.insert("kty".into(), form.kty.into());
        members.insert("use".into(), "sig".into());
        members.insert("alg".into(), algorithm.name().into());
        members.insert("kid".into(), uuid::Uuid::new_v4().simple().to_string().into());
        members.insert("iat".into(), made_at.into());
        members.insert("nbf".into(), signs_from.into());
        if let Some(curve) = form.curve {
            members.insert("crv".into(), curve.into());
        }
        for (name, value) in &material {
            members.insert((*name).into(), value.as_str().into());
        }
        Self::from_jwk_members(Jwk(members))
    }

    /// Reads a key from the text of its file, and proves that it verifies its own signatures.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] names the fault.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let members = json::object(text.as_bytes()).map_err(|_| KeyError::Malformed("it is not one JSON object"))?;
        Self::from_jwk_members(Jwk(members))
    }

    fn from_jwk_members(jwk: Jwk) -> Result<Self, KeyError> {
        let text = |name: &str| jwk.0.get(name).and_then(Value::as_str);
        let algorithm = text("alg").and_then(Algorithm::from_name).ok_or(KeyError::Malformed(NO_SIGNING_ALGORITHM))?;
        let form = Form::from_algorithm(algorithm).ok_or(KeyError::Malformed(NO_SIGNING_ALGORITHM))?;
        if text("kty") != Some(form.kty) {
            return Err(KeyError::Malformed(form.wrong_kty));
        }
        if text("crv") != form.curve {
            return Err(KeyError::Malformed(
                "\"crv\" is not that of \"alg\": \"P-256\" for ES256, \"Ed25519\" for EdDSA",
            ));
        }
        if jwk.0.get("use").is_some_and(|usage| usage != "sig") {
            return Err(KeyError::Malformed("\"use\" is not \"sig\""));
        }
        let plain = |kid: &&str| !kid.is_empty() && kid.len() <= MAX_KID_BYTES && !kid.chars().any(char::is_control);
        let kid = text("kid").filter(plain);
        let kid = kid.ok_or(KeyError::Malformed("\"kid\" is missing, empty, too long or no plain text"))?.into();
        let made_at = time(&jwk.0, "iat")?;
        let made_at = made_at.ok_or(KeyError::Malformed("\"iat\" (Unix seconds of its making) is missing"))?;
        let signs_from = time(&jwk.0, "nbf")?.unwrap_or(made_at);
        let token_ttl = time(&jwk.0, TOKEN_TTL)?.unwrap_or(0);
        let signs_until = time(&jwk.0, SIGNS_UNTIL)?.unwrap_or(0);
        let (signer, verifying) = PrivateKey::read(algorithm, &text)?;
        let verifying = VerifyingKey::new(algorithm, verifying);
        let key = Self { kid, made_at, signs_from, token_ttl, signs_until, signer, verifying, jwk };
        // Earlier than at a login. TRAP: jsonwebtoken panics at its first use if no crypto backend was chosen at build
        // time; this call detects it as well.
        let proven = key.sign(PROOF).is_ok_and(|signature| key.verifying.verifies(PROOF, &signature));
        if proven { Ok(key) } else { Err(KeyError::Malformed("it does not verify what it signs")) }
    }

    /// The text of the file that keeps this key. Secret: mode 0600, never logged.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        self.jwk.text()
    }

    /// Returns the new text of its file, if the file does not record yet that it signs tokens with a lifetime of
    /// `token_ttl` seconds, or, if given, that it is active until `signs_until` although another key would be due.
    #[must_use]
    pub fn with_lifetime(&self, token_ttl: i64, signs_until: Option<i64>) -> Option<Zeroizing<String>> {
        let signs_until = signs_until.unwrap_or(0);
        if token_ttl <= self.token_ttl && signs_until <= self.signs_until {
            return None;
        }
        let mut jwk = Jwk(self.jwk.0.clone());
        for (name, old, new) in [(TOKEN_TTL, self.token_ttl, token_ttl), (SIGNS_UNTIL, self.signs_until, signs_until)] {
            if new > old {
                jwk.0.insert(name.into(), new.into());
            }
        }
        Some(jwk.text())
    }

    /// Returns the public JWK (RFC 7517). `None` for a shared secret.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Value> {
        let public = Form::from_algorithm(self.algorithm())?.public;
        if public.is_empty() {
            return None;
        }
        let mut published = Map::new();
        published.insert("kty".into(), self.jwk.0.get("kty")?.clone());
        published.insert("use".into(), "sig".into());
        for name in ["alg", "kid"].iter().chain(public) {
            published.insert((*name).into(), self.jwk.0.get(*name)?.clone());
        }
        Some(Value::Object(published))
    }

    /// The key id, `kid` in a token's header.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm that it signs and verifies with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// When it was made, in Unix seconds.
    #[must_use]
    pub const fn created_at(&self) -> i64 {
        self.made_at
    }

    /// Unix second from which on it is active, unless a later key has started.
    #[must_use]
    pub const fn active_from(&self) -> i64 {
        self.signs_from
    }

    /// Unix second until which it stays active although a later key has started. 0: a later key replaces it at once.
    #[must_use]
    pub const fn active_until(&self) -> i64 {
        self.signs_until
    }

    pub(super) const fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The signature of `message`, base64url.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        self.signer.sign(message).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| KeyError::Random)
    }

    /// Keys become active in this order.
    pub(super) fn order(&self) -> (i64, &str) {
        (self.signs_from, &self.kid)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The members of a key's file.
struct Jwk(Map<String, Value>);

impl Jwk {
    fn text(&self) -> Zeroizing<String> {
        let text = Zeroizing::new(serde_json::to_string_pretty(&self.0).unwrap_or_default());
        Zeroizing::new(format!("{}\n", *text))
    }
}

impl Drop for Jwk {
    fn drop(&mut self) {
        for (_, value) in &mut self.0 {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}

/// The JWK members of an algorithm.
struct Form {
    kty: &'static str,
    wrong_kty: &'static str,
    curve: Option<&'static str>,
    public: &'static [&'static str],
}

impl Form {
    /// Returns `None` for an algorithm that the realm does not sign with.
    const fn from_algorithm(algorithm: Algorithm) -> Option<Self> {
        Some(match algorithm {
            Algorithm::HS256 => {
                Self { kty: "oct", wrong_kty: "\"kty\" is not \"oct\", as HS256 needs", curve: None, public: &[] }
            }
            Algorithm::ES256 => Self {
                kty: "EC",
                wrong_kty: "\"kty\" is not \"EC\", as ES256 needs",
                curve: Some("P-256"),
                public: &["crv", "x", "y"],
            },
            Algorithm::EdDSA => Self {
                kty: "OKP",
                wrong_kty: "\"kty\" is not \"OKP\", as EdDSA needs",
                curve: Some("Ed25519"),
                public: &["crv", "x"],
            },
            Algorithm::RS256 => Self {
                kty: "RSA",
                wrong_kty: "\"kty\" is not \"RSA\", as RS256 needs",
                curve: None,
                public: &["n", "e"],
            },
            _ => return None,
        })
    }
}

fn time(members: &Map<String, Value>, name: &str) -> Result<Option<i64>, KeyError> {
    let Some(value) = members.get(name) else { return Ok(None) };
    seconds(value.as_i64())
        .map(Some)
        .ok_or(KeyError::Malformed("\"iat\", \"nbf\", \"ttl\" or \"until\" is not a whole number of seconds"))
}

const MAX_KID_BYTES: usize = 128;
const PROOF: &[u8] = b"a key verifies what it signs";
/// Tollgate's own members: the longest lifetime of a token that the key may have signed, and [`Key::signs_until`]; both
/// in seconds.
const TOKEN_TTL: &str = "ttl";
const SIGNS_UNTIL: &str = "until";

#[cfg(test)]
mod tests;
