//! Challenge tokens: proof of the first step of a login, valid for the next step only (SECURITY.md R36). A challenge
//! has a mark of the realm's session epoch, so that a stolen signing key can't make one (R62).

use serde_json::Map;

use super::parts::{Fraction, UnverifiedToken};
use super::{KeyError, Seal, Sealed, TokenError, TokenId, TokenSettings};
use crate::json::Value;

/// The user proved the password and must answer a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChallengeToken {
    pub subject: String,
    /// The user's version at the first step. After any change of the user, the answer is refused.
    pub version: i64,
    /// The name of the challenge.
    pub name: String,
    /// The login proved a second factor already.
    pub mfa: bool,
}

impl TokenSettings {
    /// Signs it, as of `now` (Unix seconds), for five minutes.
    ///
    /// # Errors
    /// The crypto library could not sign, as when the system's random source fails.
    pub fn mint_challenge(&self, challenge: &ChallengeToken, seal: &Seal, now: i64) -> Result<String, KeyError> {
        let mut payload = Map::new();
        payload.insert("iss".into(), self.issuer.as_str().into());
        payload.insert("aud".into(), self.challenge_audience().into());
        payload.insert("sub".into(), challenge.subject.as_str().into());
        payload.insert("jti".into(), TokenId::random().to_string().into());
        payload.insert("iat".into(), now.into());
        payload.insert("exp".into(), now.saturating_add(LIFE_SECONDS).into());
        payload.insert("version".into(), challenge.version.into());
        payload.insert("challenge".into(), challenge.name.as_str().into());
        payload.insert("mfa".into(), challenge.mfa.into());
        self.sign_sealed(CHALLENGE, payload, seal, now)
    }

    /// Reads a token that this realm signed. The seal of the realm's epoch opens its content. No clock skew is allowed,
    /// because no other clock is involved.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_challenge(&self, token: &str, now: i64) -> Result<Sealed<ChallengeToken>, TokenError> {
        let mut room = Vec::new();
        let parts = UnverifiedToken::parse(token, &mut room)?;
        self.own_key(&parts, CHALLENGE)?;
        if parts.text("aud") != Some(self.challenge_audience().as_str()) {
            return Err(TokenError::Audience);
        }
        let version = parts.payload.get("version").and_then(Value::as_i64).ok_or(TokenError::Claims)?;
        let mfa = parts.payload.get("mfa").and_then(Value::as_bool).ok_or(TokenError::Claims)?;
        let name = parts.text("challenge").ok_or(TokenError::Claims)?.to_owned();
        if now >= parts.time("exp", Fraction::Refused)? {
            return Err(TokenError::Expired);
        }
        let challenge = ChallengeToken { subject: parts.subject()?.to_owned(), version, name, mfa };
        Sealed::from_token(parts, CHALLENGE, challenge)
    }

    /// Not the realm's own issuer and audience: an application that verifies tokens with the published JWKS checks
    /// `iss` and `aud`, and rarely `typ`. For such an application a challenge would be a login without its second
    /// factor.
    fn challenge_audience(&self) -> String {
        format!("{AUDIENCE}{}", self.audience)
    }
}

/// `typ` of a challenge. Tollgate refuses it as an access token (SECURITY.md R29).
const CHALLENGE: &str = "challenge+jwt";
/// Before the realm's audience.
const AUDIENCE: &str = "urn:tollgate:challenge:";
/// Cognito's default is three minutes. Five give time to find a phone.
const LIFE_SECONDS: i64 = 300;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Algorithm, Claims, SigningKey, SigningKeys};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> TokenSettings {
        let keys =
            || SigningKeys::new(Algorithm::ES256, vec![SigningKey::generate(Algorithm::ES256, 1, 1).unwrap()]).unwrap();
        TokenSettings {
            issuer: "https://gate.example".into(),
            audience: "examples".into(),
            leeway: 5,
            keys: keys(),
            id_keys: Some(keys()),
            trusted: Vec::new(),
        }
    }

    fn seal() -> Seal {
        Seal::new([7; 32])
    }

    fn read(rules: &TokenSettings, token: &str, now: i64) -> Result<ChallengeToken, TokenError> {
        rules.verify_challenge(token, now)?.open(&seal())
    }

    fn challenge() -> ChallengeToken {
        let name = "SOFTWARE_TOKEN_MFA".into();
        ChallengeToken { subject: "0123456789abcdef0123456789abcdef".into(), version: 7, name, mfa: false }
    }

    #[test]
    fn it_says_what_it_was_told_for_five_minutes() {
        let rules = rules();
        let token = rules.mint_challenge(&challenge(), &seal(), NOW).unwrap();
        assert_eq!(read(&rules, &token, NOW), Ok(challenge()));
        assert_eq!(read(&rules, &token, NOW + 299), Ok(challenge()));
        assert_eq!(read(&rules, &token, NOW + 300), Err(TokenError::Expired), "no leeway");
        let mfa = ChallengeToken { mfa: true, ..challenge() };
        assert_eq!(read(&rules, &rules.mint_challenge(&mfa, &seal(), NOW).unwrap(), NOW), Ok(mfa));
    }

    #[test]
    fn r29_no_kind_of_token_is_taken_for_another() {
        let rules = rules();
        let claims = Claims {
            token_id: TokenId::random(),
            subject: challenge().subject,
            username: None,
            email: None,
            roles: Vec::new(),
            session: None,
            mfa: false,
            issued_at: NOW,
            expires_at: NOW + 60,
        };
        let access = rules.mint(&claims).unwrap();
        let mut payload = Map::new();
        for (name, value) in super::super::decode_unverified(&access).unwrap().1 {
            payload.insert(name, value);
        }
        let id = rules.mint_id(payload.clone(), NOW).unwrap();
        let same_keys = TokenSettings { id_keys: None, ..self::rules() };
        let id_with_the_same_keys = same_keys.mint_id(payload, NOW).unwrap();
        let session = rules.mint_challenge(&challenge(), &seal(), NOW).unwrap();
        for (rules, token) in [(&rules, &id), (&rules, &session), (&same_keys, &id_with_the_same_keys)] {
            assert_eq!(rules.verify(token, NOW).unwrap_err(), TokenError::Type);
            assert_eq!(rules.verify_expired(token, NOW).unwrap_err(), TokenError::Type);
        }
        for token in [&access, &id] {
            assert_eq!(read(&rules, token, NOW), Err(TokenError::Type));
        }
        let other = self::rules();
        assert_eq!(read(&other, &session, NOW), Err(TokenError::Key), "another realm's");
        let elsewhere = TokenSettings { audience: "other".into(), ..rules };
        assert_eq!(read(&elsewhere, &session, NOW), Err(TokenError::Audience), "with the same keys");
        let (head, rest) = session.split_once('.').unwrap();
        assert_eq!(read(&elsewhere, &format!("{head}A.{rest}"), NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn r36_who_looks_at_signature_issuer_and_audience_only_refuses_it() {
        let rules = rules();
        let (_, payload) =
            super::super::decode_unverified(&rules.mint_challenge(&challenge(), &seal(), NOW).unwrap()).unwrap();
        assert_eq!(
            (&payload["iss"], &payload["aud"]),
            (&json!(rules.issuer), &json!("urn:tollgate:challenge:examples"))
        );
    }

    #[test]
    fn r62_a_signing_key_alone_makes_none() {
        let rules = rules();
        let token = rules.mint_challenge(&challenge(), &seal(), NOW).unwrap();
        let (_, mut payload) = super::super::decode_unverified(&token).unwrap();
        let forged = |payload: &Map<String, serde_json::Value>| {
            let token = rules.sign(CHALLENGE, &serde_json::Value::Object(payload.clone()), NOW).unwrap();
            read(&rules, &token, NOW)
        };
        assert_eq!(forged(&payload), Ok(challenge()));
        for (name, value) in [
            ("mfa", json!(true)),
            ("version", json!(8)),
            ("sub", json!("fedcba98765432100123456789abcdef")),
            ("challenge", json!("NEW_PASSWORD_REQUIRED")),
            ("exp", json!(NOW + 301)),
            ("more", json!(1)),
        ] {
            let mut changed = payload.clone();
            changed.insert(name.into(), value);
            assert_eq!(forged(&changed), Err(TokenError::Signature), "{name}");
        }
        for mark in ["", "A", "é", &Seal::new([8; 32]).mark(CHALLENGE, "{}")] {
            payload.insert("seal".into(), mark.into());
            assert_eq!(forged(&payload), Err(TokenError::Signature), "{mark}");
        }
        payload.shift_remove("seal");
        assert_eq!(forged(&payload), Err(TokenError::Claims), "as a version before this one had it");
        let sealed = rules.verify_challenge(&token, NOW).unwrap();
        assert_eq!(sealed.open(&Seal::new([8; 32])), Err(TokenError::Signature), "of an epoch that has ended");
    }

    #[test]
    fn an_id_token_has_keys_of_its_own() {
        let rules = rules();
        let id = rules.mint_id(Map::new(), NOW).unwrap();
        let (header, payload) = super::super::decode_unverified(&id).unwrap();
        assert_eq!(header["kid"], rules.id_keys.as_ref().unwrap().active_key(NOW).kid());
        assert_ne!(header["kid"], rules.keys.active_key(NOW).kid());
        assert_eq!((&header["typ"], &payload["iss"]), (&json!("JWT"), &json!("https://gate.example")));
    }

    #[test]
    fn a_session_can_be_ended_with_a_token_that_has_expired() {
        let rules = rules();
        let claims = Claims {
            token_id: TokenId::random(),
            subject: challenge().subject,
            username: Some(challenge().subject),
            email: None,
            roles: Vec::new(),
            session: Some(TokenId::random()),
            mfa: true,
            issued_at: NOW,
            expires_at: NOW + 60,
        };
        let token = rules.mint(&claims).unwrap();
        assert_eq!(rules.verify(&token, NOW + 65).unwrap_err(), TokenError::Expired);
        let accepted = rules.verify_expired(&token, NOW + 65).unwrap();
        // A user without a username has its id as username.
        assert_eq!(accepted.claims, Claims { username: None, ..claims });
        assert_eq!(rules.verify_expired(&token, NOW - 6).unwrap_err(), TokenError::NotYetValid);
    }
}
