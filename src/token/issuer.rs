//! Tokens of a trusted issuer (an identity provider).
//!
//! They can contain more than Tollgate requires, and each provider differs a little. The differences are configured per
//! issuer. Everything else is refused.

use std::sync::Arc;

use super::jwks::PublicKeys;
use super::parts::{Fraction, UnverifiedToken};
use super::trusted_keys::IssuerKeys;
use super::verified_token::{KeyName, SigningIssuer, VerifiedToken};
use super::verify::proves_mfa;
use super::{AccountId, Algorithm, Claims, TokenError, TokenId, fingerprint};
use crate::json::{Members, Value};

/// Requirements for the tokens of one issuer.
#[derive(Debug)]
pub struct TrustedIssuer {
    /// `iss`, compared byte for byte.
    pub name: Arc<str>,
    /// The required audience.
    pub audience: Audience,
    /// Maximum length of its tokens, in bytes.
    pub token_size: usize,
    /// Allowed algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Allowed values of `typ` in the header.
    pub types: Vec<TokenType>,
    /// Seconds by which its times may be missed.
    pub leeway: i64,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// Claims that must be exactly this.
    pub exact: Vec<(String, serde_json::Value)>,
    /// The claims that become the identity.
    pub mapping: ClaimMapping,
    pub keys: Arc<IssuerKeys>,
}

/// The required audience. At least one of the two lists has an entry; where both have, both rules apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// `aud`, a string or an array, must name one of these. Empty: `aud` may be anything, also empty or absent.
    pub any_of: Vec<String>,
    /// `client_id` (RFC 9068, 2.2), `azp` (OpenID Connect Core 1.0, 2) or `cid` (Okta) must name one of these, and each of
    /// the three that the token has. Empty: no rule.
    pub clients: Vec<String>,
}

/// The kind of a token, from `typ` in its header (RFC 8725, 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `JWT`
    Jwt,
    /// `at+jwt` (RFC 9068, 2.1)
    AccessToken,
    Absent,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimMapping {
    pub username: Option<String>,
    /// Prefix of each username, to keep it apart from the realm's usernames.
    pub username_prefix: String,
    /// A string. Ignored if `email_verified` is present and not `true`.
    pub email: Option<String>,
    /// Names of claims, or paths of names separated by dots (`ClaimMapping::find`). The claims are strings of words
    /// separated by spaces, arrays of strings, or objects whose member names are the roles.
    pub roles: Vec<String>,
}

impl ClaimMapping {
    /// Returns the claim of this name; without one, the claim at this path: `realm_access.roles` is the member `roles`
    /// of the claim `realm_access`. Names can contain dots: of several members that a path could begin with, the one
    /// with the longest name is used.
    fn find<'v, 't>(payload: &'v Members<'t>, path: &str) -> Option<&'v Value<'t>> {
        if let Some(value) = payload.get(path) {
            return Some(value);
        }
        let mut members = payload;
        let mut rest = path;
        loop {
            let splits = rest.rmatch_indices('.').map(|(at, _)| rest.split_at(at));
            let (value, after) = splits.filter_map(|(name, rest)| Some((members.get(name)?, &rest[1..]))).next()?;
            let Value::Object(inner) = value else { return None };
            if let Some(value) = inner.get(after) {
                return Some(value);
            }
            (members, rest) = (inner, after);
        }
    }
}

impl TrustedIssuer {
    /// Verifies a token with this `iss`, for the realm of `everyone`.
    pub(super) fn judge(
        &self,
        parts: &UnverifiedToken<'_>,
        everyone: AccountId,
        now: i64,
    ) -> Result<VerifiedToken, TokenError> {
        self.read(parts, everyone, now)?.if_in_force(now)
    }

    /// Reads an access token that the issuer signed, expired or not.
    pub(super) fn read(
        &self,
        parts: &UnverifiedToken<'_>,
        everyone: AccountId,
        now: i64,
    ) -> Result<VerifiedToken, TokenError> {
        let (keys, key) = self.signed_with(parts, now)?;
        is_an_access_token(parts)?;
        let claims = self.claims(parts)?;
        self.meant_for_us(parts)?;
        let not_before = parts.optional_time("nbf", Fraction::Up)?.unwrap_or(0);
        // PyJWT refuses these as well. An issuer with a clock so far ahead would also be ahead of a revocation.
        if claims.issued_at.saturating_sub(self.leeway) > now {
            return Err(TokenError::NotYetValid);
        }
        Ok(VerifiedToken {
            marks: claims.revocation_keys(&self.name, everyone),
            from: not_before.saturating_sub(self.leeway),
            until: claims.expires_at.saturating_add(self.leeway),
            claims,
            issuer: Some(SigningIssuer { issuer: self.name.clone(), source: self.keys.clone(), keys }),
            key,
        })
    }

    /// Returns the subject of an ID token for one of the configured clients of an issuer such as Amazon Cognito. An ID
    /// token opens nothing.
    pub(super) fn id_subject(&self, parts: &UnverifiedToken<'_>, now: i64) -> Result<String, TokenError> {
        self.signed_with(parts, now)?;
        if parts.text("token_use") != Some("id") {
            return Err(TokenError::Type);
        }
        let ours = &self.audience.clients;
        if !parts.text("aud").is_some_and(|audience| ours.iter().any(|own| own == audience)) {
            return Err(TokenError::Audience);
        }
        if now >= parts.time("exp", Fraction::Down)?.saturating_add(self.leeway) {
            return Err(TokenError::Expired);
        }
        parts.subject().map(str::to_owned)
    }

    /// Returns the key that made the signature, and the key set that it is from.
    fn signed_with(&self, parts: &UnverifiedToken<'_>, now: i64) -> Result<(Arc<PublicKeys>, KeyName), TokenError> {
        // RFC 7515, 4.1.11: `crit` makes unknown members mandatory; `b64` (RFC 7797) changes what was signed; `zip` and
        // `enc` are for encrypted tokens. `jku`, `jwk`, `x5u`, `x5c` and the like name keys: they are ignored (R24).
        if ["crit", "b64", "zip", "enc"].iter().any(|name| parts.header.contains_key(name)) {
            return Err(TokenError::Malformed);
        }
        if !self.types.contains(&kind(parts)?) {
            return Err(TokenError::Type);
        }
        let algorithm = parts.header_text("alg").and_then(Algorithm::from_name);
        let algorithm =
            algorithm.filter(|algorithm| self.algorithms.contains(algorithm)).ok_or(TokenError::Algorithm)?;
        let kid = match parts.header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(TokenError::Malformed)?),
        };
        let keys = self.keys.current_at(now).ok_or(TokenError::NoKeys)?;
        // R20: the key was found by id and algorithm, so it verifies with this algorithm only.
        if !keys.find(kid, algorithm)?.verifies(parts.signed.as_bytes(), parts.signature) {
            return Err(TokenError::Signature);
        }
        Ok((keys, KeyName { kid: kid.map(Arc::from), algorithm }))
    }

    fn claims(&self, parts: &UnverifiedToken<'_>) -> Result<Claims, TokenError> {
        let payload = &parts.payload;
        let is_there = |name: &String| payload.get(name).is_some_and(|value| !matches!(value, Value::Null));
        let is_exact =
            |(name, value): &(String, serde_json::Value)| payload.get(name).is_some_and(|said| said == value);
        if !self.required.iter().all(is_there) || !self.exact.iter().all(is_exact) {
            return Err(TokenError::Claims);
        }
        // `jti` and `sid` are whatever the issuer likes, and mean something together with `iss` only.
        let id = |kind: &str, value: &Value<'_>| match value {
            Value::String(id) if !id.is_empty() => Ok(TokenId(fingerprint(&[kind, &self.name, id]))),
            _ => Err(TokenError::Claims),
        };
        let text = |name: &Option<String>| {
            name.as_deref().and_then(|name| parts.text(name)).filter(|text| is_sayable(text)).map(str::to_owned)
        };
        // Some providers use a string (Sign in with Apple).
        let email_counts = payload
            .get("email_verified")
            .is_none_or(|verified| verified.as_bool() == Some(true) || verified.as_str() == Some("true"));
        Ok(Claims {
            token_id: match payload.get("jti") {
                Some(value) => id("jti", value)?,
                // Not the signature: an ECDSA signature has a second valid form.
                None => TokenId(fingerprint(&["jws", &self.name, parts.signed])),
            },
            subject: parts.subject().ok().filter(|subject| is_sayable(subject)).ok_or(TokenError::Claims)?.to_owned(),
            username: text(&self.mapping.username).map(|name| format!("{}{name}", self.mapping.username_prefix)),
            email: text(&self.mapping.email).filter(|_| email_counts),
            roles: self.roles(parts),
            // Cognito's name for it is `origin_jti`.
            session: match (payload.get("sid"), payload.get("origin_jti")) {
                (Some(value), _) => Some(id("sid", value)?),
                (None, value) => value.map(|value| id("origin_jti", value)).transpose()?,
            },
            mfa: proves_mfa(payload),
            // Without `iat`, every revocation of the user's tokens includes this one.
            issued_at: parts.optional_time("iat", Fraction::Down)?.unwrap_or(0),
            expires_at: parts.time("exp", Fraction::Down)?,
        })
    }

    fn roles(&self, parts: &UnverifiedToken<'_>) -> Vec<String> {
        let mut roles: Vec<String> = Vec::new();
        let mut add = |role: &str| {
            // A comma parts two roles in `X-Auth-Roles`: with one in its name, a role would pass for two.
            if is_sayable(role) && !role.contains(',') && !roles.iter().any(|other| other == role) {
                roles.push(role.to_owned());
            }
        };
        for claim in &self.mapping.roles {
            match ClaimMapping::find(&parts.payload, claim) {
                Some(Value::String(words)) => words.split(' ').for_each(&mut add),
                Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).for_each(&mut add),
                // `{ "admin": false }` gives no role.
                Some(Value::Object(members)) => {
                    let given = |name: &&str| !matches!(members.get(name), Some(Value::Null | Value::Bool(false)));
                    members.names().filter(given).for_each(&mut add);
                }
                _ => {}
            }
        }
        roles
    }

    /// Returns the entries of `roles_claims` that match nothing in a token with this payload, to show a typing error.
    pub(super) fn roles_not_found(&self, payload: &Members<'_>) -> Vec<String> {
        self.mapping.roles.iter().filter(|claim| ClaimMapping::find(payload, claim).is_none()).cloned().collect()
    }

    fn meant_for_us(&self, parts: &UnverifiedToken<'_>) -> Result<(), TokenError> {
        let Audience { any_of, clients } = &self.audience;
        let is_one = |ours: &[String], name: &str| ours.iter().any(|own| own == name);
        let names_one = |ours: &[String]| match parts.payload.get("aud") {
            Some(Value::String(audience)) => is_one(ours, audience),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).any(|one| is_one(ours, one)),
            _ => false,
        };
        let is_well_formed = match parts.payload.get("aud") {
            None | Some(Value::String(_)) => true,
            Some(Value::Array(all)) => all.iter().all(|one| one.as_str().is_some()),
            Some(_) => false,
        };
        if !is_well_formed || (any_of.is_empty() && clients.is_empty()) || (!any_of.is_empty() && !names_one(any_of)) {
            return Err(TokenError::Audience);
        }
        if clients.is_empty() {
            return Ok(());
        }
        // OpenID Connect Core 1.0, 2: an ID token is for its client, and repeats the nonce of the request.
        if parts.payload.contains_key("nonce") && names_one(clients) {
            return Err(TokenError::Type);
        }
        let mut named = ["client_id", "azp", "cid"].iter().filter_map(|name| parts.payload.get(name)).peekable();
        let is_for_one =
            named.peek().is_some() && named.all(|client| client.as_str().is_some_and(|client| is_one(clients, client)));
        if is_for_one { Ok(()) } else { Err(TokenError::Audience) }
    }
}

/// Returns whether an application reads the same text from a header. Applications trim values, so `"admin "` would
/// become `admin`, another user.
fn is_sayable(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}

fn kind(parts: &UnverifiedToken<'_>) -> Result<TokenType, TokenError> {
    let Some(kind) = parts.header.get("typ") else { return Ok(TokenType::Absent) };
    // RFC 7515, 4.1.9: a media type, in any case, that may leave out `application/`.
    let kind = kind.as_str().ok_or(TokenError::Malformed)?.to_ascii_lowercase();
    match kind.strip_prefix("application/").unwrap_or(&kind) {
        "jwt" => Ok(TokenType::Jwt),
        "at+jwt" => Ok(TokenType::AccessToken),
        _ => Err(TokenError::Type),
    }
}

/// R29: detects the other tokens of an issuer where `typ` is only `JWT`.
fn is_an_access_token(parts: &UnverifiedToken<'_>) -> Result<(), TokenError> {
    let payload = &parts.payload;
    // Amazon Cognito uses a claim of its own, and Keycloak a claim `typ` in the payload.
    let other_use = payload.get("token_use").is_some_and(|what| what.as_str() != Some("access"));
    let others = ["ID", "Refresh", "Offline", "Logout"];
    let other_kind = parts.text("typ").is_some_and(|kind| others.iter().any(|other| kind.eq_ignore_ascii_case(other)));
    // OpenID Connect Core 1.0, 3.1.3.6 and 3.3.2.11; RFC 8417, 2.2, which logout tokens are built on.
    let others = ["at_hash", "c_hash", "s_hash", "events"];
    if other_use || other_kind || others.iter().any(|name| payload.contains_key(name)) {
        return Err(TokenError::Type);
    }
    // RFC 7800: the token alone is not a sufficient credential.
    if payload.contains_key("cnf") { Err(TokenError::Bound) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
