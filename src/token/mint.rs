//! Signing a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Claims, KeyError, SigningKeys, TokenSettings};

impl TokenSettings {
    /// Signs `claims` with the key that is active at their issue time.
    ///
    /// # Errors
    /// The crypto library could not sign, as when the system's random source fails.
    pub fn mint(&self, claims: &Claims) -> Result<String, KeyError> {
        self.mint_with(claims, Map::new())
    }

    /// The same, with claims that only the client reads.
    ///
    /// # Errors
    /// As [`TokenSettings::mint`].
    pub fn mint_with(&self, claims: &Claims, more: Map<String, Value>) -> Result<String, KeyError> {
        // The fixed claims come last, so that they can't be overwritten.
        let mut payload = more;
        payload.insert("iss".into(), self.issuer.as_str().into());
        payload.insert("aud".into(), self.audience.as_str().into());
        payload.insert("sub".into(), claims.subject.as_str().into());
        payload.insert("jti".into(), claims.token_id.to_string().into());
        payload.insert("iat".into(), claims.issued_at.into());
        payload.insert("nbf".into(), claims.issued_at.into());
        payload.insert("exp".into(), claims.expires_at.into());
        for (name, value) in [("username", &claims.username), ("email", &claims.email)] {
            if let Some(value) = value {
                payload.insert(name.into(), value.as_str().into());
            }
        }
        if !claims.roles.is_empty() {
            payload.insert("roles".into(), claims.roles.clone().into());
        }
        if let Some(session) = claims.session {
            payload.insert("sid".into(), session.to_string().into());
        }
        if claims.mfa {
            payload.insert("amr".into(), json!(["pwd", "otp", MFA]));
        }
        self.sign(ACCESS_TOKEN, &Value::Object(payload), claims.issued_at)
    }

    /// Signs an ID token (`OpenID` Connect Core 1.0, 2) for the client, which opens nothing here.
    ///
    /// # Errors
    /// As [`TokenSettings::mint`].
    pub fn mint_id(&self, mut payload: Map<String, Value>, now: i64) -> Result<String, KeyError> {
        payload.insert("iss".into(), self.issuer.as_str().into());
        let keys = self.id_keys.as_ref().unwrap_or(&self.keys);
        sign_with(keys, ID_TOKEN, &Value::Object(payload), now)
    }

    /// Signs a token of this kind with the active key at `now` (Unix seconds).
    pub(super) fn sign(&self, kind: &str, payload: &Value, now: i64) -> Result<String, KeyError> {
        sign_with(&self.keys, kind, payload, now)
    }
}

fn sign_with(keys: &SigningKeys, kind: &str, payload: &Value, now: i64) -> Result<String, KeyError> {
    let key = keys.active_key(now);
    let header = json!({"alg": key.verifying().algorithm().name(), "typ": kind, "kid": key.kid()});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let mut token = format!("{}.{}", encode(&header), encode(payload));
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    token.push_str(&signature);
    Ok(token)
}

/// `typ` of an access token (RFC 9068, 2.1). It distinguishes the kinds of token (SECURITY.md R29).
pub(super) const ACCESS_TOKEN: &str = "at+jwt";
/// The value that other systems use, too. The realm's access tokens have another one.
const ID_TOKEN: &str = "JWT";
/// RFC 8176, 2.
pub(super) const MFA: &str = "mfa";
