//! Callback tokens: an application's backend passes one to a browser in a URL. It opens one session within a minute,
//! and nothing else (SECURITY.md R29, R40). Like a challenge, it has a mark of the realm's session epoch (R62).

use serde_json::{Map, json};

use super::parts::{Fraction, UnverifiedToken};
use super::{AccountId, KeyError, RevocationKeys, Seal, Sealed, TokenError, TokenId, TokenSettings};
use crate::json::Value;

/// The user that a client of a trusted issuer named can open a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackToken {
    /// Names this one token, which may be used once.
    pub token_id: TokenId,
    pub subject: String,
    /// The client of the other issuer's token.
    pub actor: String,
    /// The user proved a second factor to the issuer.
    pub mfa: bool,
    /// `iat`, Unix seconds.
    pub issued_at: i64,
    /// `exp`, Unix seconds.
    pub expires_at: i64,
}

impl CallbackToken {
    /// Returns its revocation keys: it can be revoked like any other token of its user.
    #[must_use]
    pub fn marks(&self, rules: &TokenSettings) -> RevocationKeys {
        let account = AccountId::new(&rules.issuer, &self.subject);
        RevocationKeys {
            token: self.token_id,
            session: None,
            account,
            everyone: rules.everyone(),
            issued_at: self.issued_at,
        }
    }
}

impl TokenSettings {
    /// Signs it, as of `now` (Unix seconds).
    ///
    /// # Errors
    /// The crypto library could not sign, as when the system's random source fails.
    pub fn mint_callback(&self, callback: &CallbackToken, seal: &Seal, now: i64) -> Result<String, KeyError> {
        let mut payload = Map::new();
        payload.insert("iss".into(), self.issuer.as_str().into());
        // Not the audience of access tokens: a verifier that checks signature and audience only must not accept it (RFC
        // 8725, 3.9).
        payload.insert("aud".into(), self.callback_audience().into());
        payload.insert("sub".into(), callback.subject.as_str().into());
        payload.insert("jti".into(), callback.token_id.to_string().into());
        payload.insert("iat".into(), callback.issued_at.into());
        payload.insert("exp".into(), callback.expires_at.into());
        payload.insert("act".into(), json!({ "sub": callback.actor }));
        payload.insert("mfa".into(), callback.mfa.into());
        self.sign_sealed(CALLBACK, payload, seal, now)
    }

    /// Reads a token that this realm signed. The seal of the realm's epoch opens its content. No clock skew is allowed,
    /// because no other clock is involved.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_callback(&self, token: &str, now: i64) -> Result<Sealed<CallbackToken>, TokenError> {
        let mut room = Vec::new();
        let parts = UnverifiedToken::parse(token, &mut room)?;
        self.own_key(&parts, CALLBACK)?;
        if parts.text("aud") != Some(&self.callback_audience()) {
            return Err(TokenError::Audience);
        }
        let actor = parts.payload.get("act").and_then(|act| act.get("sub")).and_then(Value::as_str);
        let callback = CallbackToken {
            token_id: parts.text("jti").and_then(|id| id.parse().ok()).ok_or(TokenError::Claims)?,
            subject: parts.subject()?.to_owned(),
            actor: actor.ok_or(TokenError::Claims)?.to_owned(),
            mfa: parts.payload.get("mfa").and_then(Value::as_bool).ok_or(TokenError::Claims)?,
            issued_at: parts.time("iat", Fraction::Refused)?,
            expires_at: parts.time("exp", Fraction::Refused)?,
        };
        if now >= callback.expires_at {
            Err(TokenError::Expired)
        } else {
            Sealed::from_token(parts, CALLBACK, callback)
        }
    }

    fn callback_audience(&self) -> String {
        format!("{AUDIENCE}{}", self.audience)
    }
}

/// `typ` of a callback token. Tollgate refuses it as an access token.
const CALLBACK: &str = "callback+jwt";
/// Before the realm's audience.
const AUDIENCE: &str = "urn:tollgate:callback:";

#[cfg(test)]
mod tests {
    use super::super::{Algorithm, SigningKey, SigningKeys};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> TokenSettings {
        let keys = vec![SigningKey::generate(Algorithm::HS256, 1, 1).unwrap()];
        TokenSettings {
            issuer: "https://gate.example".into(),
            audience: "examples".into(),
            leeway: 5,
            keys: SigningKeys::new(Algorithm::HS256, keys).unwrap(),
            id_keys: None,
            trusted: Vec::new(),
        }
    }

    #[test]
    fn r29_it_is_no_other_kind_of_token_and_none_is_one() {
        let (rules, seal) = (rules(), Seal::new([7; 32]));
        let read = |rules: &TokenSettings, token: &str, now| rules.verify_callback(token, now)?.open(&seal);
        let callback = CallbackToken {
            token_id: TokenId::random(),
            subject: "0123456789abcdef0123456789abcdef".into(),
            actor: "client".into(),
            mfa: false,
            issued_at: NOW,
            expires_at: NOW + 60,
        };
        let token = rules.mint_callback(&callback, &seal, NOW).unwrap();
        assert_eq!(read(&rules, &token, NOW), Ok(callback.clone()));
        assert_eq!(read(&rules, &token, NOW + 59), Ok(callback.clone()));
        assert_eq!(read(&rules, &token, NOW + 60), Err(TokenError::Expired), "no leeway");
        assert_eq!(rules.verify(&token, NOW).unwrap_err(), TokenError::Type);
        assert!(rules.verify_challenge(&token, NOW).is_err());
        let challenge = super::super::ChallengeToken {
            subject: callback.subject.clone(),
            version: 1,
            name: "SOFTWARE_TOKEN_MFA".into(),
            mfa: false,
        };
        let challenge = rules.mint_challenge(&challenge, &seal, NOW).unwrap();
        assert_eq!(read(&rules, &challenge, NOW), Err(TokenError::Type));
        let elsewhere = TokenSettings { audience: "other".into(), ..rules };
        assert_eq!(read(&elsewhere, &token, NOW), Err(TokenError::Audience), "with the same keys");
        let (_, payload) = super::super::decode_unverified(&token).unwrap();
        assert_ne!(payload["aud"], "examples", "not that of access tokens");
        assert_eq!(payload["act"], json!({"sub": "client"}));
        // R62
        let other = elsewhere.mint_callback(&callback, &Seal::new([8; 32]), NOW).unwrap();
        assert_eq!(read(&elsewhere, &other, NOW), Err(TokenError::Signature), "with the signing key alone");
    }
}
