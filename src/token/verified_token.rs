//! A token that was verified, and how long it stays valid.

use std::sync::Arc;

use super::jwks::PublicKeys;
use super::trusted_keys::IssuerKeys;
use super::{Algorithm, Claims, RevocationKeys, TokenError};

/// A token that was verified.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    pub claims: Claims,
    /// Its revocation keys.
    pub marks: RevocationKeys,
    /// The issuer that signed it, if it is not the realm.
    pub issuer: Option<SigningIssuer>,
    /// `nbf` less the leeway.
    pub(super) from: i64,
    /// `exp` and the leeway.
    pub(super) until: i64,
    pub(super) key: KeyName,
}

/// A key, as a token names it.
#[derive(Clone, Debug)]
pub(super) struct KeyName {
    pub(super) kid: Option<Arc<str>>,
    pub(super) algorithm: Algorithm,
}

/// A trusted issuer, and the keys that it had when it was believed.
#[derive(Clone, Debug)]
pub struct SigningIssuer {
    /// `iss`
    pub issuer: Arc<str>,
    pub(super) source: Arc<IssuerKeys>,
    pub(super) keys: Arc<PublicKeys>,
}

impl VerifiedToken {
    /// Returns whether it is still valid at `now`: it has not expired, and its issuer has the same keys.
    #[must_use]
    pub fn is_valid_at(&self, now: i64) -> bool {
        self.in_force(now).is_ok() && self.issuer.as_ref().is_none_or(|by| by.source.still_has(&by.keys, now))
    }

    pub(super) fn if_in_force(self, now: i64) -> Result<Self, TokenError> {
        self.in_force(now).map(|()| self)
    }

    fn in_force(&self, now: i64) -> Result<(), TokenError> {
        // RFC 7519, 4.1.4: refused "on or after" exp.
        if now >= self.until {
            return Err(TokenError::Expired);
        }
        if now < self.from {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}
