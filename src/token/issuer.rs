//! Tokens that somebody else signed: an identity provider whom a realm trusts.
//!
//! Unlike our own, these may say more than we ask for, and each provider says it a little differently. What may differ is
//! configured for the issuer; what is not configured is refused.

use std::sync::Arc;

use super::jwks::PublicKeys;
use super::parts::{Fraction, UnverifiedToken};
use super::trusted_keys::IssuerKeys;
use super::verify::{KeyName, SigningIssuer, VerifiedToken, proves_mfa};
use super::{AccountId, Algorithm, Claims, TokenError, TokenId, fingerprint};
use crate::json::{Members, Value};

/// What a realm demands of the tokens of one issuer.
#[derive(Debug)]
pub struct TrustedIssuer {
    /// `iss`, compared byte for byte.
    pub name: Arc<str>,
    /// Whom its tokens must be meant for.
    pub audience: Audience,
    /// Maximum length of its tokens, in bytes.
    pub token_size: usize,
    /// What it may sign with.
    pub algorithms: Vec<Algorithm>,
    /// What `typ` in the header may be.
    pub types: Vec<TokenType>,
    /// Seconds by which its times may be missed.
    pub leeway: i64,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// Claims that must be exactly this.
    pub exact: Vec<(String, serde_json::Value)>,
    /// Where the claims stand that become the identity.
    pub mapping: ClaimMapping,
    /// Its keys.
    pub keys: Arc<IssuerKeys>,
}

/// Whom a token must be meant for. At least one of the two lists has an entry; where both have, both rules hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// `aud`, a string or an array, must name one of these. Empty: `aud` may be anything, also empty or absent.
    pub any_of: Vec<String>,
    /// `client_id` (RFC 9068, 2.2), `azp` (OpenID Connect Core 1.0, 2) or `cid` (Okta) must name one of these, and each of
    /// the three that the token has. Empty: no rule.
    pub clients: Vec<String>,
}

/// The kind of a token, as `typ` in its header says (RFC 8725, 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `JWT`
    Jwt,
    /// `at+jwt` (RFC 9068, 2.1)
    AccessToken,
    /// There is none.
    Absent,
}

/// Which claims become what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimMapping {
    /// A string.
    pub username: Option<String>,
    /// Stands before each username, so that it is not that of a user of the realm.
    pub username_prefix: String,
    /// A string. Does not count where `email_verified` is there, and is not `true`.
    pub email: Option<String>,
    /// Names of claims, or paths of names with dots between them ([`ClaimMapping::find`]). The claims are strings of words between
    /// spaces, arrays of strings, or objects whose member names are the roles.
    pub roles: Vec<String>,
}

impl ClaimMapping {
    /// The claim of this name; or, if there is none, the one at this path: `realm_access.roles` is the member `roles` of the
    /// claim `realm_access`. Names may have dots in them: of several members that a path could begin with, the one with
    /// the longest name counts.
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
    /// Of a token whose `iss` is this, for the realm of `everyone`.
    pub(super) fn judge(
        &self,
        parts: &UnverifiedToken<'_>,
        everyone: AccountId,
        now: i64,
    ) -> Result<VerifiedToken, TokenError> {
        self.read(parts, everyone, now)?.if_in_force(now)
    }

    /// What an access token says that the issuer signed, whether or not its time has passed.
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
        // PyJWT refuses these as well: who is that far ahead of us would also be that far ahead of a revocation.
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

    /// The subject of an ID token that an issuer as Amazon Cognito made for one of its clients that are ours. It opens
    /// nothing.
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

    /// The key whose signature this is, and those that it is one of.
    fn signed_with(&self, parts: &UnverifiedToken<'_>, now: i64) -> Result<(Arc<PublicKeys>, KeyName), TokenError> {
        // RFC 7515, 4.1.11: `crit` makes members mandatory that we don't know; `b64` (RFC 7797) changes what was signed;
        // `zip` and `enc` are an encrypted token's. `jku`, `jwk`, `x5u`, `x5c` and the like say where keys are: nobody
        // asked, so they mean nothing (R24).
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
        // R20: found by its id and its algorithm, a key verifies with that one only.
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
        // A string of some providers (Sign in with Apple says so of its own).
        let email_counts = payload
            .get("email_verified")
            .is_none_or(|verified| verified.as_bool() == Some(true) || verified.as_str() == Some("true"));
        Ok(Claims {
            token_id: match payload.get("jti") {
                Some(value) => id("jti", value)?,
                // Not the signature: an ECDSA signature has a twin that fits as well.
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
            // Without one, every revocation of the user's tokens takes this one, too.
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

    /// The entries of `roles_claims` that find nothing in a token with this payload: for the operator, who may have
    /// misspelt one.
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

/// Whether an app reads in a header what the issuer wrote: it trims what it reads, so that `"admin "` would be `admin`, who
/// is somebody else.
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

/// R29: what tells the other tokens of an issuer from its access tokens, where `typ` says no more than `JWT`.
fn is_an_access_token(parts: &UnverifiedToken<'_>) -> Result<(), TokenError> {
    let payload = &parts.payload;
    // Amazon Cognito says it in a claim of its own, and Keycloak in `typ`, in the payload this time.
    let other_use = payload.get("token_use").is_some_and(|what| what.as_str() != Some("access"));
    let others = ["ID", "Refresh", "Offline", "Logout"];
    let other_kind = parts.text("typ").is_some_and(|kind| others.iter().any(|other| kind.eq_ignore_ascii_case(other)));
    // OpenID Connect Core 1.0, 3.1.3.6 and 3.3.2.11; RFC 8417, 2.2, which logout tokens are built on.
    let others = ["at_hash", "c_hash", "s_hash", "events"];
    if other_use || other_kind || others.iter().any(|name| payload.contains_key(name)) {
        return Err(TokenError::Type);
    }
    // RFC 7800: whoever has only the token has not all that it takes.
    if payload.contains_key("cnf") { Err(TokenError::Bound) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::super::{KeySource, SigningKey, SigningKeys, TokenSettings};
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const NAME: &str = "https://idp.example/";

    struct Idp(Ed25519KeyPair);

    impl Idp {
        fn new() -> Self {
            Self(Ed25519KeyPair::generate().unwrap())
        }

        fn jwks(&self) -> String {
            let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]}).to_string()
        }

        fn sign(&self, header: &Value, payload: &Value) -> String {
            let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
            let signed = format!("{}.{}", encode(header), encode(payload));
            let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
            format!("{signed}.{signature}")
        }

        fn trusted(&self) -> TrustedIssuer {
            let algorithms = vec![Algorithm::EdDSA];
            let keys = IssuerKeys::new(KeySource::File(PathBuf::new()), algorithms.clone());
            keys.install(self.jwks().as_bytes(), NOW).unwrap();
            TrustedIssuer {
                name: NAME.into(),
                audience: Audience { any_of: vec!["https://api.example".into()], clients: Vec::new() },
                token_size: 32 << 10,
                algorithms,
                types: vec![TokenType::Jwt, TokenType::AccessToken],
                leeway: 5,
                required: Vec::new(),
                exact: Vec::new(),
                mapping: ClaimMapping {
                    username: Some("name".into()),
                    username_prefix: String::new(),
                    email: Some("email".into()),
                    roles: vec!["scope".into(), "groups".into()],
                },
                keys: Arc::new(keys),
            }
        }
    }

    fn header() -> Value {
        json!({"alg": "EdDSA", "typ": "JWT", "kid": "k"})
    }

    fn payload() -> Value {
        json!({"iss": NAME, "aud": ["x", "https://api.example"], "sub": "auth0|1", "exp": NOW + 60, "iat": NOW})
    }

    fn judge(issuer: TrustedIssuer, token: &str) -> Result<Claims, TokenError> {
        let rules = TokenSettings {
            issuer: "https://gate.example".into(),
            audience: "examples".into(),
            leeway: 0,
            keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::generate(Algorithm::HS256, 1, 1).unwrap()])
                .unwrap(),
            id_keys: None,
            trusted: vec![issuer],
        };
        let own = rules.verify_own(token, NOW).unwrap_err();
        assert!(matches!(own, TokenError::Issuer | TokenError::TooLong), "never one of ours: {own:?}");
        rules.verify(token, NOW).map(|accepted| accepted.claims)
    }

    /// With these changes to the header and the payload; `null` takes a member out.
    fn changed(
        header_change: &Value,
        payload_change: &Value,
        configure: impl FnOnce(&mut TrustedIssuer),
    ) -> Result<Claims, TokenError> {
        let idp = Idp::new();
        let mut issuer = idp.trusted();
        configure(&mut issuer);
        let change = |mut whole: Value, change: &Value| {
            let members = whole.as_object_mut().unwrap();
            for (name, value) in change.as_object().unwrap() {
                if value.is_null() {
                    members.shift_remove(name);
                } else {
                    members.insert(name.clone(), value.clone());
                }
            }
            whole
        };
        judge(issuer, &idp.sign(&change(header(), header_change), &change(payload(), payload_change)))
    }

    #[test]
    fn headers() {
        let check = |change: Value| changed(&change, &json!({}), |_| ()).map(drop);
        for good in [
            json!({}),
            json!({"typ": "at+jwt"}),
            json!({"typ": "application/AT+JWT"}),
            json!({"typ": "jwt", "kid": null}),
            // Where keys are, says the token; nobody looks (R24).
            json!({"jku": "https://evil.example", "x5u": 1, "x5c": ["AA"], "x5t": "AA", "jwk": {"kty": "oct", "k": ""}}),
        ] {
            assert_eq!(check(good.clone()), Ok(()), "{good}");
        }
        for (bad, reject) in [
            (json!({"typ": null}), TokenError::Type),
            (json!({"typ": 5}), TokenError::Malformed),
            (json!({"typ": "id+jwt"}), TokenError::Type),
            (json!({"typ": "logout+jwt"}), TokenError::Type),
            (json!({"typ": "application/application/jwt"}), TokenError::Type),
            (json!({"alg": "none"}), TokenError::Algorithm),
            (json!({"alg": "HS256"}), TokenError::Algorithm),
            (json!({"alg": "ES256"}), TokenError::Algorithm),
            (json!({"alg": "eddsa"}), TokenError::Algorithm),
            (json!({"alg": null}), TokenError::Algorithm),
            (json!({"kid": "other"}), TokenError::Key),
            (json!({"kid": 1}), TokenError::Malformed),
            (json!({"crit": ["exp"]}), TokenError::Malformed),
            (json!({"crit": []}), TokenError::Malformed),
            (json!({"b64": false}), TokenError::Malformed),
            (json!({"b64": true}), TokenError::Malformed),
            (json!({"zip": "DEF"}), TokenError::Malformed),
            (json!({"enc": "A256GCM"}), TokenError::Malformed),
        ] {
            assert_eq!(check(bad.clone()), Err(reject), "{bad}");
        }
        let absent = changed(&json!({"typ": null}), &json!({}), |issuer| issuer.types = vec![TokenType::Absent]);
        assert!(absent.is_ok());
        assert_eq!(
            changed(&json!({}), &json!({}), |issuer| issuer.types = vec![TokenType::Absent]).unwrap_err(),
            TokenError::Type
        );
    }

    #[test]
    fn payloads() {
        for (change, reject) in [
            (json!({"iss": "https://idp.example"}), TokenError::Issuer),
            (json!({"iss": [NAME]}), TokenError::Issuer),
            (json!({"aud": null}), TokenError::Audience),
            (json!({"aud": "https://api.example/"}), TokenError::Audience),
            (json!({"aud": []}), TokenError::Audience),
            (json!({"aud": ["https://api.example", 1]}), TokenError::Audience),
            (json!({"aud": {"https://api.example": 1}}), TokenError::Audience),
            (json!({"sub": null}), TokenError::Claims),
            (json!({"sub": ""}), TokenError::Claims),
            (json!({"sub": 7}), TokenError::Claims),
            (json!({"exp": null}), TokenError::Claims),
            (json!({"exp": "1900000000"}), TokenError::Claims),
            (json!({"exp": NOW - 5}), TokenError::Expired),
            (json!({"nbf": NOW + 6}), TokenError::NotYetValid),
            (json!({"nbf": "1"}), TokenError::Claims),
            (json!({"iat": NOW + 6}), TokenError::NotYetValid),
            (json!({"iat": []}), TokenError::Claims),
            (json!({"jti": 1}), TokenError::Claims),
            (json!({"sid": {}}), TokenError::Claims),
            (json!({"token_use": "id"}), TokenError::Type),
            (json!({"token_use": 1}), TokenError::Type),
            (json!({"typ": "ID"}), TokenError::Type),
            (json!({"typ": "refresh"}), TokenError::Type),
            (json!({"at_hash": "x"}), TokenError::Type),
            (json!({"events": {}}), TokenError::Type),
            (json!({"cnf": {"jkt": "x"}}), TokenError::Bound),
        ] {
            assert_eq!(changed(&json!({}), &change, |_| ()), Err(reject), "{change}");
        }
        for change in [
            json!({"aud": "https://api.example", "token_use": "access", "typ": "Bearer"}),
            json!({"iat": null, "nbf": NOW + 5, "exp": NOW - 4}),
        ] {
            assert!(changed(&json!({}), &change, |_| ()).is_ok(), "{change}");
        }
        let null_exp = Idp::new();
        let token =
            null_exp.sign(&header(), &json!({"iss": NAME, "aud": "https://api.example", "sub": "u", "exp": null}));
        assert_eq!(judge(null_exp.trusted(), &token), Err(TokenError::Claims), "R21: there, and no time");
    }

    #[test]
    fn what_is_configured_is_demanded() {
        let demanding = |issuer: &mut TrustedIssuer| {
            issuer.required = vec!["tenant".into()];
            issuer.exact = vec![("azp".into(), json!("app")), ("n".into(), json!(1)), ("b".into(), json!(true))];
        };
        let good = json!({"tenant": "t", "azp": "app", "n": 1, "b": true});
        assert!(changed(&json!({}), &good, demanding).is_ok());
        for (name, wrong) in [
            ("tenant", json!(null)),
            ("azp", json!(["app"])),
            ("azp", json!("App")),
            ("n", json!(1.0)),
            ("b", json!("true")),
        ] {
            let mut change = good.clone();
            change[name] = wrong;
            assert_eq!(changed(&json!({}), &change, demanding), Err(TokenError::Claims), "{change}");
        }
    }

    #[test]
    fn a_token_is_for_an_audience_or_a_client_or_both() {
        let of = |any_of: &[&str], clients: &[&str]| {
            let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Audience { any_of: list(any_of), clients: list(clients) }
        };
        let check = |audience: &Audience, change: Value| {
            changed(&json!({}), &change, |issuer| issuer.audience = audience.clone()).map(drop)
        };
        let client = of(&[], &["abc", "def"]);
        for good in [
            // Amazon Cognito
            json!({"aud": null, "client_id": "abc", "token_use": "access"}),
            // Ory Hydra
            json!({"aud": [], "client_id": "abc"}),
            // Keycloak without and with its default audience
            json!({"aud": null, "azp": "def", "typ": "Bearer"}),
            json!({"aud": "account", "azp": "abc", "typ": "Bearer"}),
            json!({"aud": ["account", "other"], "azp": "abc", "client_id": "abc"}),
            // Okta
            json!({"aud": "api://default", "cid": "abc"}),
            json!({"aud": "", "cid": "abc"}),
        ] {
            assert_eq!(check(&client, good.clone()), Ok(()), "{good}");
        }
        for bad in [
            json!({"aud": null}),
            json!({"aud": "abc"}),
            json!({"aud": ["abc"]}),
            json!({"aud": null, "client_id": "other"}),
            json!({"aud": null, "client_id": "other", "azp": "abc"}),
            json!({"aud": null, "client_id": "abc", "cid": "other"}),
            json!({"aud": null, "client_id": ["abc"]}),
            json!({"aud": null, "client_id": "ABC"}),
            json!({"aud": 1, "client_id": "abc"}),
            json!({"aud": [1], "client_id": "abc"}),
            json!({"aud": {"abc": 1}, "client_id": "abc"}),
        ] {
            assert_eq!(check(&client, bad.clone()), Err(TokenError::Audience), "{bad}");
        }
        // An ID token of Microsoft's or Google's shape.
        assert_eq!(check(&client, json!({"aud": "abc", "azp": "abc", "nonce": "n"})), Err(TokenError::Type));
        let both = of(&["api"], &["abc"]);
        assert_eq!(check(&both, json!({"aud": ["api", "x"], "azp": "abc"})), Ok(()));
        assert_eq!(check(&both, json!({"aud": "api", "azp": "other"})), Err(TokenError::Audience));
        assert_eq!(check(&both, json!({"aud": "api"})), Err(TokenError::Audience));
        assert_eq!(check(&both, json!({"aud": "other", "azp": "abc"})), Err(TokenError::Audience));
        assert_eq!(check(&both, json!({"aud": null, "azp": "abc"})), Err(TokenError::Audience));
        assert_eq!(check(&of(&[], &[]), json!({"aud": "api", "azp": "abc"})), Err(TokenError::Audience));
    }

    #[test]
    fn times_of_others_may_have_fractions() {
        let check = |change: Value| changed(&json!({}), &change, |issuer| issuer.leeway = 0).map(drop);
        let now = NOW as f64;
        assert_eq!(check(json!({"exp": now + 1.5, "iat": now - 0.5, "nbf": now - 0.5})), Ok(()));
        assert_eq!(check(json!({"exp": now + 0.5})), Err(TokenError::Expired), "not later than it says");
        assert_eq!(check(json!({"nbf": now + 0.5})), Err(TokenError::NotYetValid), "not earlier than it says");
        assert_eq!(check(json!({"exp": 1e300})), Err(TokenError::Claims));
    }

    #[test]
    fn roles_are_found_by_name_first_and_by_path_then() {
        let roles = |claims: &[&str], change: Value| {
            let claims: Vec<_> = claims.iter().map(|claim| (*claim).to_owned()).collect();
            changed(&json!({}), &change, |issuer| issuer.mapping.roles = claims).unwrap().roles
        };
        let keycloak =
            json!({"realm_access": {"roles": ["admin"]}, "resource_access": {"my.client": {"roles": ["editor"]}}});
        assert_eq!(
            roles(&["realm_access.roles", "resource_access.my.client.roles"], keycloak.clone()),
            ["admin", "editor"]
        );
        assert_eq!(roles(&["resource_access"], keycloak.clone()), ["my.client"], "an object: its names");
        for wrong in [
            "realm_access.role",
            "realm_access.roles.admin",
            "realm_access.",
            ".realm_access.roles",
            "realm_access..roles",
            ".",
            "",
        ] {
            assert!(roles(&[wrong], keycloak.clone()).is_empty(), "{wrong}");
        }
        let zitadel = json!({"urn:zitadel:iam:org:project:roles": {"admin": {"1": "x"}, "user": {"1": "x"}}});
        assert_eq!(roles(&["urn:zitadel:iam:org:project:roles"], zitadel), ["admin", "user"]);
        assert_eq!(roles(&["r"], json!({"r": {"a": false, "b": null, "c": true, "d": 0}})), ["c", "d"]);
        let auth0 = json!({"https://example.com/roles": ["a"], "https://example": {"com/roles": ["b"]}});
        assert_eq!(roles(&["https://example.com/roles"], auth0), ["a"], "the claim of this very name");
        let long = json!({"a": {"b.c": ["short"]}, "a.b": {"c": ["long"]}});
        assert_eq!(roles(&["a.b.c"], long), ["long"]);
        assert_eq!(roles(&["a.b"], json!({"a.b": 5, "a": {"b": "x"}})), [""; 0], "it is there, and gives nothing");
    }

    #[test]
    fn a_prefix_keeps_the_names_of_an_issuer_apart() {
        let prefixed = |issuer: &mut TrustedIssuer| issuer.mapping.username_prefix = "corp:".into();
        let claims = changed(&json!({}), &json!({"name": "alice", "email": "a@example.com"}), prefixed).unwrap();
        assert_eq!((claims.username.as_deref(), claims.email.as_deref()), (Some("corp:alice"), Some("a@example.com")));
        assert_eq!(changed(&json!({}), &json!({}), prefixed).unwrap().username, None, "no name, no prefix");
    }

    #[test]
    fn r23_a_token_is_as_long_as_its_issuer_may_write_it() {
        let groups = |count: usize| json!({"groups": vec!["0123456789abcdef0123456789abcdef0123"; count]});
        let sized = |size: usize| move |issuer: &mut TrustedIssuer| issuer.token_size = size;
        assert!(changed(&json!({}), &groups(200), |_| ()).is_ok(), "as many groups as Microsoft Entra ID writes");
        assert_eq!(changed(&json!({}), &groups(200), sized(8 << 10)).unwrap_err(), TokenError::TooLong);
        assert_eq!(changed(&json!({}), &groups(700), |_| ()).unwrap_err(), TokenError::TooLong);
        assert!(changed(&json!({}), &groups(700), sized(64 << 10)).is_ok());
    }

    #[test]
    fn claims_become_an_identity_as_far_as_a_header_can_say_it() {
        let change = json!({
            "name": "Alice", "email": "a@example.com", "scope": "read  write", "jti": "x", "sid": "s",
            "groups": ["read", "admin,root", "line\nbreak", "", 5, "ops team", " admin", "admin\u{a0}"],
        });
        let claims = changed(&json!({}), &change, |_| ()).unwrap();
        assert_eq!(claims.roles, ["read", "write", "ops team"], "a comma would make two roles of one");
        assert_eq!((claims.username.as_deref(), claims.email.as_deref()), (Some("Alice"), Some("a@example.com")));
        assert_eq!(claims.token_id, TokenId(fingerprint(&["jti", NAME, "x"])));
        assert_eq!(claims.session, Some(TokenId(fingerprint(&["sid", NAME, "s"]))));
        for name in [json!(["x"]), json!(""), json!("Alice "), json!("\tAlice"), json!("Al\nice")] {
            let change = json!({"email": "a@example.com", "email_verified": false, "scope": 1, "name": name});
            let claims = changed(&json!({}), &change, |_| ()).unwrap();
            assert_eq!((claims.username, claims.email, claims.roles), (None, None, Vec::new()), "{name}");
        }
        for (verified, counts) in
            [(json!(true), true), (json!("true"), true), (json!("false"), false), (json!(0), false)]
        {
            let change = json!({"email": "a@example.com", "email_verified": verified});
            let claims = changed(&json!({}), &change, |_| ()).unwrap();
            assert_eq!(claims.email.is_some(), counts, "{verified}");
        }
        for sub in ["auth0|1 ", " auth0|1", "auth0|\n1", "auth0|1\u{2003}"] {
            let change = json!({"sub": sub});
            assert_eq!(changed(&json!({}), &change, |_| ()), Err(TokenError::Claims), "{sub:?}");
        }
    }

    #[test]
    fn the_last_second_of_the_leeway_counts() {
        assert!(changed(&json!({}), &json!({"iat": NOW + 5}), |_| ()).is_ok());
        assert_eq!(changed(&json!({}), &json!({"jti": ""}), |_| ()), Err(TokenError::Claims), "an id of nothing");
        assert_eq!(changed(&json!({}), &json!({"sid": ""}), |_| ()), Err(TokenError::Claims));
    }

    #[test]
    fn an_id_token_names_its_subject_to_the_client_that_it_was_made_for() {
        let idp = Idp::new();
        let good = json!({"iss": NAME, "aud": "abc", "sub": "u", "exp": NOW + 60, "token_use": "id"});
        let subject = |audience: Audience, name: &str, value: Value| {
            let issuer = TrustedIssuer { audience, types: vec![TokenType::Absent], ..idp.trusted() };
            let mut payload = good.clone();
            payload[name] = value;
            let token = idp.sign(&json!({"alg": "EdDSA", "kid": "k"}), &payload);
            issuer.id_subject(&UnverifiedToken::parse(&token, &mut Vec::new()).unwrap(), NOW)
        };
        let ours = || Audience { any_of: Vec::new(), clients: vec!["xyz".into(), "abc".into()] };
        assert_eq!(subject(ours(), "n", json!(1)), Ok("u".into()));
        assert_eq!(subject(ours(), "exp", json!(NOW - 4)), Ok("u".into()), "leeway");
        for (name, value, reject) in [
            ("token_use", json!("access"), TokenError::Type),
            ("token_use", json!(null), TokenError::Type),
            ("aud", json!("other"), TokenError::Audience),
            ("aud", json!(["abc"]), TokenError::Audience),
            ("exp", json!(NOW - 5), TokenError::Expired),
            ("sub", json!(""), TokenError::Claims),
        ] {
            assert_eq!(subject(ours(), name, value.clone()), Err(reject), "{name} = {value}");
        }
        assert_eq!(
            subject(Audience { any_of: vec!["abc".into()], clients: Vec::new() }, "n", json!(1)),
            Err(TokenError::Audience)
        );
        let stranger = Idp::new().sign(&json!({"alg": "EdDSA", "kid": "k"}), &good);
        let issuer = TrustedIssuer { audience: ours(), types: vec![TokenType::Absent], ..idp.trusted() };
        assert_eq!(
            issuer.id_subject(&UnverifiedToken::parse(&stranger, &mut Vec::new()).unwrap(), NOW),
            Err(TokenError::Signature)
        );
    }
}
