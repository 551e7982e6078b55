//! The realm's word to an app about who is calling (contract 4.4).

use serde_json::{Map, Value, json};

use super::{Accepted, KeyError, Rules, TokenId};

impl Rules {
    /// Signs for `audience` what was accepted, for a minute at the most.
    ///
    /// # Errors
    /// The crypto library could not sign, as when the system's random source fails.
    pub fn assert(&self, accepted: &Accepted, realm: &str, audience: &str, now: i64) -> Result<String, KeyError> {
        let claims = &accepted.claims;
        let mut payload = Map::new();
        for (name, value) in [
            ("iss", Value::from(self.issuer.as_str())),
            ("aud", audience.into()),
            ("sub", claims.subject.as_str().into()),
            ("jti", TokenId::random().to_string().into()),
            ("iat", now.into()),
            ("nbf", now.into()),
            // Nobody may act on it when the token counts no more.
            ("exp", now.saturating_add(LIFE_SECONDS).min(accepted.until).into()),
            ("realm", realm.into()),
            ("token_id", claims.known_by(accepted.issuer.is_none()).to_string().into()),
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

/// `typ`: it is no access token, and the gate refuses it as one (`threats.md` R29).
const ASSERTION: &str = "assertion+jwt";
const LIFE_SECONDS: i64 = 60;
