//! Assertions: signed identities for applications (docs/identity-headers.md).

use serde_json::{Map, Value, json};

use super::{KeyError, TokenId, TokenSettings, VerifiedToken};

impl TokenSettings {
    /// Signs an assertion of an accepted token for `audience`, valid for at most one minute.
    ///
    /// # Errors
    /// The crypto library could not sign, as when the system's random source fails.
    pub fn assert(&self, accepted: &VerifiedToken, realm: &str, audience: &str, now: i64) -> Result<String, KeyError> {
        let claims = &accepted.claims;
        let mut payload = Map::new();
        for (name, value) in [
            ("iss", Value::from(self.issuer.as_str())),
            ("aud", audience.into()),
            ("sub", claims.subject.as_str().into()),
            ("jti", TokenId::random().to_string().into()),
            ("iat", now.into()),
            ("nbf", now.into()),
            // An assertion must not outlive its token.
            ("exp", now.saturating_add(LIFE_SECONDS).min(accepted.until).into()),
            ("realm", realm.into()),
            ("token_id", claims.public_id(accepted.issuer.is_none()).to_string().into()),
        ] {
            payload.insert(name.into(), value);
        }
        for (name, value) in [("username", &claims.username), ("email", &claims.email)] {
            if let Some(value) = value {
                payload.insert(name.into(), value.as_str().into());
            }
        }
        if let Some(by) = &accepted.issuer {
            payload.insert("token_issuer".into(), json!(&*by.issuer));
        }
        payload.insert("roles".into(), claims.roles.clone().into());
        self.sign(ASSERTION, &Value::Object(payload), now)
    }
}

/// `typ` of an assertion. Tollgate refuses it as an access token (SECURITY.md R29).
const ASSERTION: &str = "assertion+jwt";
const LIFE_SECONDS: i64 = 60;

#[cfg(test)]
mod tests {
    use super::super::{Algorithm, Claims, SigningKey, SigningKeys, TokenError, decode_unverified};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn it_says_who_is_calling_for_a_minute_and_no_longer_than_the_token() {
        let rules = TokenSettings {
            issuer: "https://gate.example".into(),
            audience: "examples".into(),
            leeway: 5,
            keys: SigningKeys::new(Algorithm::ES256, vec![SigningKey::generate(Algorithm::ES256, 1, 1).unwrap()])
                .unwrap(),
            id_keys: None,
            trusted: Vec::new(),
        };
        let claims = |expires_at| Claims {
            token_id: TokenId(1),
            subject: "u".into(),
            username: Some("alice".into()),
            email: None,
            roles: vec!["reader".into()],
            session: Some(TokenId(2)),
            mfa: false,
            issued_at: NOW,
            expires_at,
        };
        for (expires_at, ends) in [(NOW + 1000, NOW + 60), (NOW + 20, NOW + 25)] {
            let accepted = rules.verify(&rules.mint(&claims(expires_at)).unwrap(), NOW).unwrap();
            let assertion = rules.assert(&accepted, "examples", "app", NOW).unwrap();
            assert_eq!(rules.verify(&assertion, NOW).unwrap_err(), TokenError::Type, "it opens nothing");
            let (header, mut payload) = decode_unverified(&assertion).unwrap();
            assert_eq!(header["typ"], "assertion+jwt");
            assert!(payload.shift_remove("jti").is_some());
            let expected = json!({
                "iss": "https://gate.example", "aud": "app", "sub": "u", "iat": NOW, "nbf": NOW, "exp": ends,
                "realm": "examples", "token_id": "00000000000000000000000000000002", "username": "alice",
                "roles": ["reader"],
            });
            assert_eq!(Value::Object(payload), expected);
        }
    }
}
