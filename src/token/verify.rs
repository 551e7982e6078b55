//! Verification of a token. Every step fails closed, with a reason for the log and for the client.

use serde_json::Map;

use super::issuer::TrustedIssuer;
use super::mint::{ACCESS_TOKEN, MFA};
use super::parts::{self, Fraction, MAX_TOKEN_BYTES, UnverifiedToken};
use super::verified_token::{KeyName, VerifiedToken};
use super::{Algorithm, Claims, SigningKey, TokenError, TokenId, TokenSettings};
use crate::json::{Members, Value};

impl TokenSettings {
    /// Verifies `token`: its form, its signature by an issuer that these rules trust, and its validity at `now` (Unix
    /// seconds).
    ///
    /// The caller checks revocation with [`super::Revocations`].
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(&self, token: &str, now: i64) -> Result<VerifiedToken, TokenError> {
        let mut room = Vec::new();
        let (parts, trusted) = self.parts(token, &mut room)?;
        // `iss` selects one of the configured issuers. The token has no influence on the keys and the algorithms.
        match trusted {
            Some(trusted) => trusted.judge(&parts, self.everyone(), now),
            None => self.judge(&parts, now),
        }
    }

    /// Verifies a token that this realm must have signed: the `sub` of another issuer can equal the id of a user of the
    /// realm.
    ///
    /// # Errors
    /// The first check that failed; [`TokenError::Issuer`] for a token of another issuer.
    pub fn verify_own(&self, token: &str, now: i64) -> Result<VerifiedToken, TokenError> {
        let mut room = Vec::new();
        self.judge(&UnverifiedToken::parse(token, &mut room)?, now)
    }

    /// Returns whether these rules, which can be newer than those that accepted the token, still have the key that
    /// signed it. If the keys of its issuer are unavailable at the moment, the key is not removed.
    #[must_use]
    pub fn still_trust(&self, accepted: &VerifiedToken, now: i64) -> bool {
        let KeyName { kid, algorithm } = &accepted.key;
        let Some(by) = &accepted.issuer else {
            return kid.as_deref().is_some_and(|kid| self.keys.by_id(kid).is_some());
        };
        self.trusted_issuer(&by.issuer).is_some_and(|issuer| {
            issuer.keys.current_at(now).is_none_or(|keys| keys.find(kid.as_deref(), *algorithm).is_ok())
        })
    }

    /// Returns whether a verifier of the realm's tokens could sign them.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.keys.active_key(i64::MAX).algorithm() == Algorithm::HS256
    }

    /// Returns the trusted issuer whose keys verify `token`: a fetch can change them. `None` for a token of the realm
    /// itself.
    #[must_use]
    pub fn external_issuer(&self, token: &str) -> Option<&TrustedIssuer> {
        let mut room = Vec::new();
        self.parts(token, &mut room).ok()?.1
    }

    /// Returns the trusted issuer that may have a newer key, if that may be why `token` was refused.
    #[must_use]
    pub fn issuer_to_refresh(&self, token: &str, reject: TokenError) -> Option<&TrustedIssuer> {
        // Most tokens are refused for another reason, or their realm trusts no issuer: they are not parsed again.
        if self.trusted.is_empty() || !matches!(reject, TokenError::Key | TokenError::NoKeys | TokenError::Signature) {
            return None;
        }
        let mut room = Vec::new();
        let (parts, trusted) = self.parts(token, &mut room).ok()?;
        // An issuer that does not name its keys has others without a sign of it.
        if reject == TokenError::Signature && parts.header.contains_key("kid") {
            return None;
        }
        trusted
    }

    /// Returns whether `token` names the realm or a trusted issuer, true or not. Nothing else is read.
    #[must_use]
    pub fn are_named_by(&self, token: &[u8]) -> bool {
        parts::names_issuer(token, |issuer| issuer == self.issuer || self.trusted_issuer(issuer).is_some())
    }

    /// The trusted issuer of this name.
    #[must_use]
    pub fn trusted_issuer(&self, issuer: &str) -> Option<&TrustedIssuer> {
        self.trusted.iter().find(|trusted| *trusted.name == *issuer)
    }

    /// Like [`TokenSettings::verify`] for a token that may have expired, for logout.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_expired(&self, token: &str, now: i64) -> Result<VerifiedToken, TokenError> {
        let mut room = Vec::new();
        let (parts, trusted) = self.parts(token, &mut room)?;
        let accepted = match trusted {
            Some(trusted) => trusted.read(&parts, self.everyone(), now)?,
            None => self.read_own(&parts)?,
        };
        let latest = accepted.until.saturating_sub(1);
        accepted.if_in_force(now.min(latest))
    }

    /// Returns the subject of an ID token of this trusted issuer for one of the configured clients. It opens nothing.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn id_token_subject(&self, issuer: &str, token: &str, now: i64) -> Result<String, TokenError> {
        let mut room = Vec::new();
        let (parts, trusted) = self.parts(token, &mut room)?;
        let trusted = trusted.filter(|trusted| *trusted.name == *issuer);
        trusted.ok_or(TokenError::Issuer)?.id_subject(&parts, now)
    }

    /// The parts of a token, and the trusted issuer that it names, if it names one. Nothing in it is verified yet but its
    /// length.
    fn parts<'t>(
        &self,
        token: &'t str,
        room: &'t mut Vec<u8>,
    ) -> Result<(UnverifiedToken<'t>, Option<&TrustedIssuer>), TokenError> {
        let longest = self.trusted.iter().map(|issuer| issuer.token_size).fold(MAX_TOKEN_BYTES, usize::max);
        let parts = UnverifiedToken::up_to(longest, token, room)?;
        let trusted = parts.issuer().and_then(|issuer| self.trusted_issuer(issuer));
        let size = trusted.map_or(MAX_TOKEN_BYTES, |issuer| issuer.token_size);
        if token.len() > size { Err(TokenError::TooLong) } else { Ok((parts, trusted)) }
    }

    /// The entries of `roles_claims` that find nothing in `token`, if a trusted issuer signed it. For people: nothing in
    /// the token is believed.
    #[must_use]
    pub fn roles_not_found(&self, token: &str) -> Vec<String> {
        let mut room = Vec::new();
        let Ok((parts, trusted)) = self.parts(token, &mut room) else { return Vec::new() };
        trusted.map(|issuer| issuer.roles_not_found(&parts.payload)).unwrap_or_default()
    }

    /// Verifies a token with the realm's `iss`.
    fn judge(&self, parts: &UnverifiedToken<'_>, now: i64) -> Result<VerifiedToken, TokenError> {
        self.read_own(parts)?.if_in_force(now)
    }

    /// Reads an access token that the realm signed, expired or not.
    fn read_own(&self, parts: &UnverifiedToken<'_>) -> Result<VerifiedToken, TokenError> {
        let key = self.own_key(parts, ACCESS_TOKEN)?;
        let claims = read(parts)?;
        let not_before = parts.time("nbf", Fraction::Refused)?;
        self.is_about_us(parts)?;
        Ok(VerifiedToken {
            marks: claims.revocation_keys(&self.issuer, self.everyone()),
            from: not_before.saturating_sub(self.leeway),
            until: claims.expires_at.saturating_add(self.leeway),
            claims,
            issuer: None,
            key: KeyName { kid: Some(key.kid.clone()), algorithm: key.algorithm() },
        })
    }

    /// Returns the realm's key that signed a token of this kind.
    pub(super) fn own_key(&self, parts: &UnverifiedToken<'_>, kind: &str) -> Result<&SigningKey, TokenError> {
        if parts.issuer() != Some(self.issuer.as_str()) {
            return Err(TokenError::Issuer);
        }
        // The realm's tokens have these three members only: `crit`, `b64`, `zip`, `jku`, `x5u`, `jwk` and the like are
        // refused (R24).
        if parts.header.names().any(|name| !matches!(name, "alg" | "typ" | "kid")) {
            return Err(TokenError::Malformed);
        }
        // R29
        if parts.header_text("typ") != Some(kind) {
            return Err(TokenError::Type);
        }
        let key = parts.header_text("kid").and_then(|kid| self.keys.by_id(kid)).ok_or(TokenError::Key)?;
        // R20: the key decides the algorithm; the token must agree.
        if parts.header_text("alg") != Some(key.verifying().algorithm().name()) {
            return Err(TokenError::Algorithm);
        }
        if !key.verifying().verifies(parts.signed.as_bytes(), parts.signature) {
            return Err(TokenError::Signature);
        }
        Ok(key)
    }

    fn is_about_us(&self, parts: &UnverifiedToken<'_>) -> Result<(), TokenError> {
        if parts.text("aud") == Some(self.audience.as_str()) { Ok(()) } else { Err(TokenError::Audience) }
    }
}

/// Returns header and payload of a token, unverified; `None` if it is malformed.
#[must_use]
pub fn decode_unverified(token: &str) -> Option<(Map<String, serde_json::Value>, Map<String, serde_json::Value>)> {
    let mut room = Vec::new();
    let parts = UnverifiedToken::up_to(MAX_TRUSTED_TOKEN_BYTES, token, &mut room).ok()?;
    Some((parts.header.into_map(), parts.payload.into_map()))
}

fn read(parts: &UnverifiedToken<'_>) -> Result<Claims, TokenError> {
    let payload = &parts.payload;
    let id = |value: &Value<'_>| value.as_str().and_then(|text| text.parse::<TokenId>().ok()).ok_or(TokenError::Claims);
    let optional = |name: &str| match payload.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())).ok_or(TokenError::Claims),
    };
    let subject = parts.subject()?;
    Ok(Claims {
        token_id: id(payload.get("jti").ok_or(TokenError::Claims)?)?,
        subject: subject.to_owned(),
        // Like Cognito, the realm uses the id as the username of a user without one, where a client expects a username.
        // For an application it would be the username of a user who registers with such a name.
        username: optional("username")?.filter(|name| name != subject),
        email: optional("email")?,
        roles: match payload.get("roles") {
            None => Vec::new(),
            Some(Value::Array(roles)) => {
                let roles = roles.iter().map(|role| role.as_str().map(str::to_owned));
                roles.collect::<Option<_>>().ok_or(TokenError::Claims)?
            }
            Some(_) => return Err(TokenError::Claims),
        },
        session: payload.get("sid").map(id).transpose()?,
        mfa: proves_mfa(payload),
        issued_at: parts.time("iat", Fraction::Refused)?,
        expires_at: parts.time("exp", Fraction::Refused)?,
    })
}

/// Returns whether `amr` says that more than one factor was proven (RFC 8176, 2).
pub(super) fn proves_mfa(payload: &Members<'_>) -> bool {
    payload
        .get("amr")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|method| method.as_str() == Some(MFA)))
}

/// The longest token of a trusted issuer that a configuration can allow.
pub const MAX_TRUSTED_TOKEN_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
