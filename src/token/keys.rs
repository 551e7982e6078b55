//! The keys that sign and verify a realm's tokens, and the form in which they are kept: one JWK (RFC 7517) a file.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey, crypto};
use serde_json::{Value, json};

use super::algorithm::{Algorithm, VerifyingKey};
use crate::json;

/// One key. It carries its one algorithm, so that a token cannot choose another (`threats.md` R20).
pub struct Key {
    kid: String,
    created: i64,
    secret: Vec<u8>,
    signing: EncodingKey,
    verifying: VerifyingKey,
}

/// Why a key file can't be used. Holds nothing of the key itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a key that we could sign with: what is missing or wrong.
    #[error("not a JSON Web Key (RFC 7517): {0}")]
    Malformed(&'static str),
    /// There is no randomness to make a key of.
    #[error("the random source of this machine failed")]
    Random,
}

impl Key {
    /// Makes an HS256 key of 256 random bits, with a random key id.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn generate(created: i64) -> Result<Self, KeyError> {
        let mut secret = vec![0; SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| KeyError::Random)?;
        let kid = uuid::Uuid::new_v4().simple().to_string();
        Ok(Self::hs256(kid, created, secret))
    }

    /// Reads a key from the text of its file.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] names what is missing or wrong; a secret of fewer than 256 bits is wrong.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let members = json::object(text.as_bytes()).map_err(|_| KeyError::Malformed("not one JSON object"))?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        if text("kty") != Some("oct") {
            return Err(KeyError::Malformed("\"kty\" is not \"oct\""));
        }
        if text("alg") != Some("HS256") {
            return Err(KeyError::Malformed("\"alg\" is not \"HS256\""));
        }
        let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID_BYTES);
        let kid = kid.ok_or(KeyError::Malformed("\"kid\" is missing, empty or too long"))?;
        let created = members.get("iat").and_then(Value::as_i64);
        let created = created.ok_or(KeyError::Malformed("\"iat\" (Unix seconds of its making) is missing"))?;
        let secret = text("k").and_then(|k| URL_SAFE_NO_PAD.decode(k).ok());
        let secret = secret.ok_or(KeyError::Malformed("\"k\" is missing or not base64url"))?;
        if secret.len() < SECRET_BYTES {
            return Err(KeyError::Malformed("\"k\" has fewer than 256 bits (RFC 7518, 3.2)"));
        }
        Ok(Self::hs256(kid.to_owned(), created, secret))
    }

    /// The text of the file that keeps this key. Secret: mode 0600, never logged.
    #[must_use]
    pub fn to_jwk(&self) -> String {
        let jwk = json!({
            "kty": "oct", "use": "sig", "alg": "HS256", "kid": self.kid, "iat": self.created,
            "k": URL_SAFE_NO_PAD.encode(&self.secret),
        });
        format!("{jwk:#}\n")
    }

    /// The key id, `kid` in a token's header.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) const fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The signature of `message`, base64url.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, jsonwebtoken::errors::Error> {
        crypto::sign(message, &self.signing, self.verifying.algorithm().jose())
    }

    fn hs256(kid: String, created: i64, secret: Vec<u8>) -> Self {
        let signing = EncodingKey::from_secret(&secret);
        let verifying = VerifyingKey::new(Algorithm::HS256, DecodingKey::from_secret(&secret));
        Self { kid, created, secret, signing, verifying }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A realm's keys: at least one, no two of the same id.
#[derive(Debug)]
pub struct KeySet {
    newest_first: Vec<Key>,
}

impl KeySet {
    /// Orders `keys`. The one made last signs.
    ///
    /// # Errors
    /// There is no key, or two have the same id.
    pub fn new(mut keys: Vec<Key>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::Malformed("there is no key"));
        }
        keys.sort_by(|a, b| (b.created, &b.kid).cmp(&(a.created, &a.kid)));
        let mut kids: Vec<_> = keys.iter().map(Key::kid).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(KeyError::Malformed("two keys have the same \"kid\""));
        }
        Ok(Self { newest_first: keys })
    }

    pub(super) fn newest(&self) -> &Key {
        &self.newest_first[0]
    }

    pub(super) fn by_id(&self, kid: &str) -> Option<&Key> {
        self.newest_first.iter().find(|key| key.kid == kid)
    }
}

/// RFC 7518, 3.2: a key of the hash's size or larger.
const SECRET_BYTES: usize = 32;
const MAX_KID_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_round_trips_and_debug_hides_it() {
        let key = Key::generate(1_700_000_000).unwrap();
        let read = Key::from_jwk(&key.to_jwk()).unwrap();
        assert_eq!((read.kid(), read.created, &read.secret), (key.kid(), key.created, &key.secret));
        let secret = URL_SAFE_NO_PAD.encode(&key.secret);
        assert!(key.to_jwk().contains(&secret));
        assert!(!format!("{key:?}").contains(&secret));
    }

    #[test]
    fn bad_key_files_say_what_is_wrong() {
        let good = Key::generate(1).unwrap().to_jwk();
        for (from, to, message) in [
            ("\"oct\"", "\"RSA\"", "kty"),
            ("HS256", "none", "alg"),
            ("\"kid\"", "\"kidd\"", "kid"),
            ("\"iat\"", "\"iatt\"", "iat"),
            ("\"k\": \"", "\"k\": \"=", "base64url"),
        ] {
            let error = Key::from_jwk(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let short = r#"{"kty":"oct","alg":"HS256","kid":"a","iat":1,"k":"c2hvcnQ"}"#;
        assert!(Key::from_jwk(short).unwrap_err().to_string().contains("256 bits"));
        assert!(Key::from_jwk("secret").is_err());
    }

    #[test]
    fn the_key_made_last_signs_and_ids_are_unique() {
        let (old, new) = (Key::generate(1).unwrap(), Key::generate(2).unwrap());
        let (old_kid, new_kid, text) = (old.kid().to_owned(), new.kid().to_owned(), old.to_jwk());
        let keys = KeySet::new(vec![old, new]).unwrap();
        assert_eq!(keys.newest().kid(), new_kid);
        assert!(keys.by_id(&old_kid).is_some());
        assert!(keys.by_id("other").is_none());
        let twice = vec![Key::from_jwk(&text).unwrap(), Key::from_jwk(&text).unwrap()];
        assert!(KeySet::new(twice).is_err());
        assert!(KeySet::new(Vec::new()).is_err());
    }
}
