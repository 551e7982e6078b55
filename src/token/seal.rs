//! A secret apart from the signing keys. A token between two steps of a login has a mark of this secret beside its
//! signature: with a stolen signing key alone, or with the store alone, an attacker can't make one.

use std::fmt;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroize as _;

use super::parts::UnverifiedToken;
use super::{KeyError, TokenError, TokenSettings};

/// The secret of a realm's session epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal([u8; 32]);

impl Seal {
    /// A new one, from the system's random source.
    ///
    /// # Errors
    /// The random source failed.
    pub fn random() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| KeyError::Random)?;
        Ok(Self(secret))
    }

    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    #[must_use]
    pub const fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the mark for a token of this kind with this content, in base64url.
    #[must_use]
    pub fn mark(&self, kind: &str, says: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key(), &marked(kind, says)))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl Drop for Seal {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal(…)")
    }
}

/// The content of a token with a valid signature, before its mark is checked.
pub struct Sealed<T> {
    content: T,
    kind: &'static str,
    says: String,
    mark: String,
}

impl<T> Sealed<T> {
    /// A token of this kind with a valid signature and the content `content`.
    pub(super) fn from_token(parts: UnverifiedToken<'_>, kind: &'static str, content: T) -> Result<Self, TokenError> {
        let mut payload = parts.payload.into_map();
        let Some(Value::String(mark)) = payload.shift_remove(MARK) else { return Err(TokenError::Claims) };
        Ok(Self { content, kind, says: Value::Object(payload).to_string(), mark })
    }

    /// Returns the content, if this seal made its mark.
    ///
    /// # Errors
    /// [`TokenError::Signature`]: the token is forged, or its epoch has ended.
    pub fn open(self, seal: &Seal) -> Result<T, TokenError> {
        let mark = URL_SAFE_NO_PAD.decode(&self.mark).map_err(|_| TokenError::Signature)?;
        let fits = hmac::verify(&seal.key(), &marked(self.kind, &self.says), &mark);
        fits.map(|()| self.content).map_err(|_| TokenError::Signature)
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sealed").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl TokenSettings {
    /// Returns a token of this kind with a signature and a mark.
    pub(super) fn sign_sealed(
        &self,
        kind: &'static str,
        mut payload: Map<String, Value>,
        seal: &Seal,
        now: i64,
    ) -> Result<String, KeyError> {
        let mark = seal.mark(kind, &Value::Object(payload.clone()).to_string());
        payload.insert(MARK.into(), mark.into());
        self.sign(kind, &Value::Object(payload), now)
    }
}

/// The input of a mark. No kind contains a zero byte.
fn marked(kind: &str, says: &str) -> Vec<u8> {
    [kind.as_bytes(), &[0], says.as_bytes()].concat()
}

/// The claim with the mark. The mark covers all other claims.
const MARK: &str = "seal";
