//! Tokens that somebody else signed: an identity provider whom a realm trusts.
//!
//! Unlike our own, these may say more than we ask for, and each provider says it a little differently. What may differ is
//! configured for the issuer; what is not configured is refused.

use std::sync::Arc;

use serde_json::Value;

use super::parts::Parts;
use super::trusted_keys::TrustedKeys;
use super::verify::{Accepted, SignedBy};
use super::{Algorithm, Claims, Reject, TokenId, fingerprint};

/// What a realm demands of the tokens of one issuer.
#[derive(Debug)]
pub struct Issuer {
    /// `iss`, compared byte for byte.
    pub name: Arc<str>,
    /// Whom its tokens must be meant for.
    pub audience: Audience,
    /// What it may sign with.
    pub algorithms: Vec<Algorithm>,
    /// What `typ` in the header may be.
    pub types: Vec<Type>,
    /// Seconds by which its times may be missed.
    pub leeway: i64,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// Claims that must be exactly this.
    pub exact: Vec<(String, Value)>,
    /// Where the claims stand that become the identity.
    pub mapping: Mapping,
    /// Its keys.
    pub keys: Arc<TrustedKeys>,
}

/// Whom a token must be meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `aud`, a string or an array, names one of these.
    AnyOf(Vec<String>),
    /// There is no `aud`, and `client_id` is one of these: an access token of Amazon Cognito.
    Client(Vec<String>),
}

/// The kind of a token, as `typ` in its header says (RFC 8725, 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `JWT`
    Jwt,
    /// `at+jwt` (RFC 9068, 2.1)
    AccessToken,
    /// There is none.
    Absent,
}

/// Which claims become what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// A string.
    pub username: Option<String>,
    /// A string. Does not count where `email_verified` is `false`.
    pub email: Option<String>,
    /// Strings of words between spaces, or arrays of strings.
    pub roles: Vec<String>,
}

impl Issuer {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn keys(&self) -> &Arc<TrustedKeys> {
        &self.keys
    }

    /// Everything but `exp` and `nbf`, of a token whose `iss` is this.
    pub(super) fn judge(&self, parts: &Parts<'_>, now: i64) -> Result<Accepted, Reject> {
        // RFC 7515, 4.1.11: `crit` makes members mandatory that we don't know; `b64` (RFC 7797) changes what was signed;
        // `zip` and `enc` are an encrypted token's. `jku`, `jwk`, `x5u`, `x5c` and the like say where keys are: nobody
        // asked, so they mean nothing (R24).
        if ["crit", "b64", "zip", "enc"].iter().any(|name| parts.header.contains_key(*name)) {
            return Err(Reject::Malformed);
        }
        if !self.types.contains(&kind(parts)?) {
            return Err(Reject::Type);
        }
        let algorithm = parts.header_text("alg").and_then(Algorithm::from_name);
        let algorithm = algorithm.filter(|algorithm| self.algorithms.contains(algorithm)).ok_or(Reject::Algorithm)?;
        let kid = match parts.header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(Reject::Malformed)?),
        };
        let keys = self.keys.at(now).ok_or(Reject::NoKeys)?;
        // R20: found by its id and its algorithm, a key verifies with that one only.
        if !keys.find(kid, algorithm)?.verifies(parts.signed.as_bytes(), parts.signature) {
            return Err(Reject::Signature);
        }
        is_an_access_token(parts)?;
        let claims = self.claims(parts)?;
        self.meant_for_us(parts)?;
        let not_before = parts.optional_time("nbf")?.unwrap_or(0);
        // PyJWT refuses these as well: who is that far ahead of us would also be that far ahead of a revocation.
        if claims.issued_at.saturating_sub(self.leeway) > now {
            return Err(Reject::NotYetValid);
        }
        Ok(Accepted {
            marks: claims.marks(&self.name),
            from: not_before.saturating_sub(self.leeway),
            until: claims.expires_at.saturating_add(self.leeway),
            claims,
            issuer: Some(SignedBy { issuer: self.name.clone(), source: self.keys.clone(), keys }),
        })
    }

    fn claims(&self, parts: &Parts<'_>) -> Result<Claims, Reject> {
        let payload = &parts.payload;
        let is_there = |name: &String| payload.get(name).is_some_and(|value| !value.is_null());
        let is_exact = |(name, value): &(String, Value)| payload.get(name) == Some(value);
        if !self.required.iter().all(is_there) || !self.exact.iter().all(is_exact) {
            return Err(Reject::Claims);
        }
        // `jti` and `sid` are whatever the issuer likes, and mean something together with `iss` only.
        let id = |kind: &str, value: &Value| match value {
            Value::String(id) if !id.is_empty() => Ok(TokenId(fingerprint(&[kind, &self.name, id]))),
            _ => Err(Reject::Claims),
        };
        let text = |name: &Option<String>| name.as_deref().and_then(|name| parts.text(name)).map(str::to_owned);
        let email_counts = payload.get("email_verified") != Some(&Value::Bool(false));
        Ok(Claims {
            token_id: match payload.get("jti") {
                Some(value) => id("jti", value)?,
                // Not the signature: an ECDSA signature has a twin that fits as well.
                None => TokenId(fingerprint(&["jws", &self.name, parts.signed])),
            },
            subject: parts.subject()?.to_owned(),
            username: text(&self.mapping.username),
            email: text(&self.mapping.email).filter(|_| email_counts),
            roles: self.roles(parts),
            session: payload.get("sid").map(|value| id("sid", value)).transpose()?,
            // Without one, every revocation of the user's tokens takes this one, too.
            issued_at: parts.optional_time("iat")?.unwrap_or(0),
            expires_at: parts.time("exp")?,
        })
    }

    fn roles(&self, parts: &Parts<'_>) -> Vec<String> {
        let mut roles: Vec<String> = Vec::new();
        let mut add = |role: &str| {
            // A comma parts two roles in `X-Auth-Roles`: with one in its name, a role would pass for two.
            let sayable = !role.is_empty() && !role.chars().any(|char| char == ',' || char.is_control());
            if sayable && !roles.iter().any(|other| other == role) {
                roles.push(role.to_owned());
            }
        };
        for claim in &self.mapping.roles {
            match parts.payload.get(claim) {
                Some(Value::String(words)) => words.split(' ').for_each(&mut add),
                Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).for_each(&mut add),
                _ => {}
            }
        }
        roles
    }

    fn meant_for_us(&self, parts: &Parts<'_>) -> Result<(), Reject> {
        let is_ours = |ours: &[String], audience: &str| ours.iter().any(|own| own == audience);
        let fits = match (&self.audience, parts.payload.get("aud")) {
            (Audience::AnyOf(ours), Some(Value::String(audience))) => is_ours(ours, audience),
            (Audience::AnyOf(ours), Some(Value::Array(all))) => {
                all.iter().all(Value::is_string) && all.iter().filter_map(Value::as_str).any(|one| is_ours(ours, one))
            }
            (Audience::Client(ours), None) => parts.text("client_id").is_some_and(|client| is_ours(ours, client)),
            _ => false,
        };
        if fits { Ok(()) } else { Err(Reject::Audience) }
    }
}

fn kind(parts: &Parts<'_>) -> Result<Type, Reject> {
    let Some(kind) = parts.header.get("typ") else { return Ok(Type::Absent) };
    // RFC 7515, 4.1.9: a media type, in any case, that may leave out `application/`.
    let kind = kind.as_str().ok_or(Reject::Malformed)?.to_ascii_lowercase();
    match kind.strip_prefix("application/").unwrap_or(&kind) {
        "jwt" => Ok(Type::Jwt),
        "at+jwt" => Ok(Type::AccessToken),
        _ => Err(Reject::Type),
    }
}

/// R29: what tells the other tokens of an issuer from its access tokens, where `typ` says no more than `JWT`.
fn is_an_access_token(parts: &Parts<'_>) -> Result<(), Reject> {
    let payload = &parts.payload;
    // Amazon Cognito says it in a claim of its own, and Keycloak in `typ`, in the payload this time.
    let other_use = payload.get("token_use").is_some_and(|what| what != "access");
    let others = ["ID", "Refresh", "Offline", "Logout"];
    let other_kind = parts.text("typ").is_some_and(|kind| others.iter().any(|other| kind.eq_ignore_ascii_case(other)));
    // OpenID Connect Core 1.0, 3.1.3.6 and 3.3.2.11; RFC 8417, 2.2, which logout tokens are built on.
    let others = ["at_hash", "c_hash", "s_hash", "events"];
    if other_use || other_kind || others.iter().any(|name| payload.contains_key(*name)) {
        return Err(Reject::Type);
    }
    // RFC 7800: whoever has only the token has not all that it takes.
    if payload.contains_key("cnf") { Err(Reject::Bound) } else { Ok(()) }
}
