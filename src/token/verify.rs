//! Judging a token. Every step that can fail, fails closed, with a reason for the log and for the client.

use std::sync::Arc;

use serde_json::Map;

use super::issuer::TrustedIssuer;
use super::jwks::PublicKeys;
use super::mint::{ACCESS_TOKEN, MFA};
use super::parts::{self, Fraction, MAX_TOKEN_BYTES, UnverifiedToken};
use super::trusted_keys::IssuerKeys;
use super::{Algorithm, Claims, RevocationKeys, SigningKey, TokenId, TokenSettings};
use crate::json::{Members, Value};

/// Why a token does not speak for anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Longer than a token of its issuer may be.
    TooLong,
    /// Not three parts of base64url, not JSON objects, or with members that we never write.
    Malformed,
    /// Another kind of token (`typ`).
    Type,
    /// Signed by a key that its issuer does not have.
    Key,
    /// Signed with an algorithm other than the key's, or one that its issuer may not use.
    Algorithm,
    /// There are no keys of its issuer: they could not be fetched, or too long ago.
    NoKeys,
    /// The signature does not fit.
    Signature,
    /// A claim is missing, or of the wrong type, or not what it must be.
    Claims,
    /// It counts only together with a proof of possession (`cnf`), which nobody checks here.
    Bound,
    /// Of an issuer that is not trusted.
    Issuer,
    /// For somebody else.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    NotYetValid,
    /// Logged out, or its user was disabled or deleted, or has a new password.
    Revoked,
}

impl TokenSettings {
    /// Whom `token` speaks for, if it is whole, signed by someone whom these rules trust, and in force at `now` (Unix
    /// seconds).
    ///
    /// Whether it has been revoked since is the caller's question to [`super::Revocations`].
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(&self, token: &str, now: i64) -> Result<VerifiedToken, TokenError> {
        let mut room = Vec::new();
        let parts = self.parts(token, &mut room)?;
        match parts.issuer() {
            Some(issuer) if issuer == self.issuer => self.judge(&parts, now),
            // What a token says of its issuer only picks among those that were configured. Whose keys they are, and what
            // they may sign, the token has no say in.
            Some(issuer) => self.trusted_issuer(issuer).ok_or(TokenError::Issuer)?.judge(&parts, self.everyone(), now),
            None => Err(TokenError::Issuer),
        }
    }

    /// The same for a token that this realm itself must have signed: another issuer's `sub` may be the id of a user of
    /// ours, whom it does not speak for.
    ///
    /// # Errors
    /// The first check that failed; [`TokenError::Issuer`] for a token of anybody else.
    pub fn verify_own(&self, token: &str, now: i64) -> Result<VerifiedToken, TokenError> {
        let mut room = Vec::new();
        self.judge(&UnverifiedToken::parse(token, &mut room)?, now)
    }

    /// Whether these rules, which may be later than those by which it was accepted, still know the key that signed it. An
    /// issuer whose keys can't be had at the moment has not taken one away.
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

    /// Whether whoever can verify the realm's tokens can sign them, too.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.keys.active_key(i64::MAX).algorithm() == Algorithm::HS256
    }

    /// The trusted issuer whose keys `token` would be verified with: those may change by being fetched. `None` for a token
    /// that the realm would have signed itself.
    #[must_use]
    pub fn external_issuer(&self, token: &str) -> Option<&TrustedIssuer> {
        let mut room = Vec::new();
        let parts = self.parts(token, &mut room).ok()?;
        self.trusted_issuer(parts.issuer()?)
    }

    /// The trusted issuer who may have a newer key than those that were fetched, if that may be why `token` was refused.
    #[must_use]
    pub fn issuer_to_refresh(&self, token: &str, reject: TokenError) -> Option<&TrustedIssuer> {
        // Most are refused for something else, or come to a realm that trusts nobody: those are not read again.
        if self.trusted.is_empty() || !matches!(reject, TokenError::Key | TokenError::NoKeys | TokenError::Signature) {
            return None;
        }
        let mut room = Vec::new();
        let parts = self.parts(token, &mut room).ok()?;
        // An issuer that does not name its keys has others without a sign of it.
        if reject == TokenError::Signature && parts.header.contains_key("kid") {
            return None;
        }
        self.trusted_issuer(parts.issuer()?)
    }

    /// Whether `token` names the realm or an issuer whom it trusts, truly or not, and if it is a token at all. Nothing else of it
    /// is looked at.
    #[must_use]
    pub fn are_named_by(&self, token: &[u8]) -> bool {
        parts::names_issuer(token, |issuer| issuer == self.issuer || self.trusted_issuer(issuer).is_some())
    }

    /// The trusted issuer of this name.
    #[must_use]
    pub fn trusted_issuer(&self, issuer: &str) -> Option<&TrustedIssuer> {
        self.trusted.iter().find(|trusted| *trusted.name == *issuer)
    }

    /// The same as [`TokenSettings::verify`] for a token whose time may have passed: whoever logs out with it had it.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify_expired(&self, token: &str, now: i64) -> Result<VerifiedToken, TokenError> {
        let mut room = Vec::new();
        let parts = self.parts(token, &mut room)?;
        let issuer = parts.issuer().ok_or(TokenError::Issuer)?;
        let accepted = if issuer == self.issuer {
            self.read_own(&parts)?
        } else {
            self.trusted_issuer(issuer).ok_or(TokenError::Issuer)?.read(&parts, self.everyone(), now)?
        };
        let latest = accepted.until.saturating_sub(1);
        accepted.if_in_force(now.min(latest))
    }

    /// The subject of an ID token of this trusted issuer, made for a client that is ours. For whoever hands it on: it opens
    /// nothing.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn id_token_subject(&self, issuer: &str, token: &str, now: i64) -> Result<String, TokenError> {
        let mut room = Vec::new();
        let parts = self.parts(token, &mut room)?;
        if parts.issuer() != Some(issuer) {
            return Err(TokenError::Issuer);
        }
        self.trusted_issuer(issuer).ok_or(TokenError::Issuer)?.id_subject(&parts, now)
    }

    /// The parts of a token that is no longer than its issuer's may be.
    fn parts<'t>(&self, token: &'t str, room: &'t mut Vec<u8>) -> Result<UnverifiedToken<'t>, TokenError> {
        let longest = self.trusted.iter().map(|issuer| issuer.token_size).fold(MAX_TOKEN_BYTES, usize::max);
        let parts = UnverifiedToken::up_to(longest, token, room)?;
        let issuer = parts.issuer().and_then(|issuer| self.trusted_issuer(issuer));
        let size = issuer.map_or(MAX_TOKEN_BYTES, |issuer| issuer.token_size);
        if token.len() > size { Err(TokenError::TooLong) } else { Ok(parts) }
    }

    /// The entries of `roles_claims` that find nothing in `token`, if a trusted issuer signed it. For people: nothing in
    /// the token is believed.
    #[must_use]
    pub fn roles_not_found(&self, token: &str) -> Vec<String> {
        let mut room = Vec::new();
        let Ok(parts) = self.parts(token, &mut room) else { return Vec::new() };
        let issuer = parts.issuer().and_then(|issuer| self.trusted_issuer(issuer));
        issuer.map(|issuer| issuer.roles_not_found(&parts.payload)).unwrap_or_default()
    }

    /// Of a token whose `iss` is ours.
    fn judge(&self, parts: &UnverifiedToken<'_>, now: i64) -> Result<VerifiedToken, TokenError> {
        self.read_own(parts)?.if_in_force(now)
    }

    /// What an access token says that the realm signed, at whatever time.
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

    /// The key of ours that signed a token of this kind.
    pub(super) fn own_key(&self, parts: &UnverifiedToken<'_>, kind: &str) -> Result<&SigningKey, TokenError> {
        if parts.issuer() != Some(self.issuer.as_str()) {
            return Err(TokenError::Issuer);
        }
        // Ours have these three and no more: `crit`, `b64`, `zip`, `jku`, `x5u`, `jwk` and the like are not ours (R24).
        if parts.header.names().any(|name| !matches!(name, "alg" | "typ" | "kid")) {
            return Err(TokenError::Malformed);
        }
        // R29
        if parts.header_text("typ") != Some(kind) {
            return Err(TokenError::Type);
        }
        let key = parts.header_text("kid").and_then(|kid| self.keys.by_id(kid)).ok_or(TokenError::Key)?;
        // R20: the key says what the algorithm is; the token may only agree.
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

/// Header and payload of a token, with nothing in them believed; `None` if it is none.
#[must_use]
pub fn decode_unverified(token: &str) -> Option<(Map<String, serde_json::Value>, Map<String, serde_json::Value>)> {
    let mut room = Vec::new();
    let parts = UnverifiedToken::up_to(MAX_TRUSTED_TOKEN_BYTES, token, &mut room).ok()?;
    Some((parts.header.into_map(), parts.payload.into_map()))
}

/// A token that was verified.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// What it says.
    pub claims: Claims,
    /// By what it may be revoked.
    pub marks: RevocationKeys,
    /// Who signed it, if it was not the realm.
    pub issuer: Option<SigningIssuer>,
    /// `nbf` less the leeway.
    pub(super) from: i64,
    /// `exp` and the leeway.
    pub(super) until: i64,
    /// What its signature fits.
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
    /// Whether it still counts at `now`: its time has not passed, and its issuer has the keys that it had.
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

impl TokenError {
    /// The stable reason code that a client sees, listed in the README.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Type => "token_type",
            Self::Key => "token_key_unknown",
            Self::Algorithm => "token_algorithm",
            Self::NoKeys => "issuer_keys_unavailable",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
            Self::Bound => "token_bound",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Revoked => "token_revoked",
        }
    }

    /// One sentence for the client; says nothing that the token did not.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "The access token is longer than this gateway accepts from its issuer.",
            Self::Malformed => "The access token is not a JWT that this gateway accepts.",
            Self::Type => "The token is not an access token.",
            Self::Key => "The access token was signed with a key that this gateway does not know.",
            Self::Algorithm => "The access token was signed with an algorithm that does not go with its key.",
            Self::NoKeys => "The keys of the issuer of this access token can't be had at the moment: try again.",
            Self::Signature => "The signature of the access token does not fit.",
            Self::Claims => "The access token lacks a claim, or has one of the wrong type or value.",
            Self::Bound => "The access token needs a proof of possession, which this gateway does not check.",
            Self::Issuer => "The access token comes from an issuer that is not trusted here.",
            Self::Audience => "The access token is meant for somebody else.",
            Self::Expired => "The access token has expired: log in again.",
            Self::NotYetValid => "The access token is not valid yet.",
            Self::Revoked => "The access token was revoked: log in again.",
        }
    }
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
        // As Cognito does, we name who has no username by the id where a client expects one. To an app that would be the
        // username of whoever registers with such a name.
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

/// Whether `amr` says that more than one factor was proven (RFC 8176, 2).
pub(super) fn proves_mfa(payload: &Members<'_>) -> bool {
    payload
        .get("amr")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|method| method.as_str() == Some(MFA)))
}

/// The longest token of a trusted issuer that a configuration can allow.
pub const MAX_TRUSTED_TOKEN_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::super::{
        Audience, ClaimMapping, JwksLocation, KeySource, RemoteJwks, SigningKey, SigningKeys, TokenType,
    };
    use super::*;
    use crate::json;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> TokenSettings {
        TokenSettings {
            issuer: "https://gate.example".into(),
            audience: "examples".into(),
            leeway: 5,
            keys: SigningKeys::new(
                Algorithm::HS256,
                vec![
                    SigningKey::generate(Algorithm::HS256, 1, 1).unwrap(),
                    SigningKey::generate(Algorithm::HS256, 2, 2).unwrap(),
                ],
            )
            .unwrap(),
            id_keys: None,
            trusted: Vec::new(),
        }
    }

    fn claims() -> Claims {
        Claims {
            token_id: TokenId::random(),
            subject: "0123456789abcdef0123456789abcdef".into(),
            username: Some("alice".into()),
            email: None,
            roles: vec!["admin".into()],
            session: Some(TokenId::random()),
            mfa: false,
            issued_at: NOW,
            expires_at: NOW + 60,
        }
    }

    fn verify(rules: &TokenSettings, token: &str, now: i64) -> Result<Claims, TokenError> {
        let accepted = rules.verify(token, now);
        assert_eq!(
            accepted.as_ref().ok().map(|one| &one.claims),
            rules.verify_own(token, now).ok().map(|one| one.claims).as_ref()
        );
        accepted.map(|accepted| accepted.claims)
    }

    /// A token with this header and payload, rightly signed by the newest key.
    fn signed(rules: &TokenSettings, header: &Value, payload: &str) -> String {
        let key = rules.keys.active_key(NOW);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature = key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{signature}")
    }

    fn header(rules: &TokenSettings) -> Value {
        json!({"alg": "HS256", "typ": "at+jwt", "kid": rules.keys.active_key(NOW).kid()})
    }

    fn payload() -> Value {
        json!({
            "iss": "https://gate.example", "aud": "examples", "sub": "u", "jti": "00000000000000000000000000000001",
            "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        })
    }

    #[test]
    fn what_we_mint_verifies_until_it_expires() {
        let (rules, claims) = (rules(), claims());
        let token = rules.mint(&claims).unwrap();
        assert_eq!(verify(&rules, &token, NOW), Ok(claims.clone()));
        assert_eq!(verify(&rules, &token, NOW + 64), Ok(claims.clone()), "leeway");
        assert_eq!(verify(&rules, &token, NOW + 65), Err(TokenError::Expired));
        assert_eq!(verify(&rules, &token, NOW - 5), Ok(claims));
        assert_eq!(verify(&rules, &token, NOW - 6), Err(TokenError::NotYetValid));
        assert_eq!(verify(&rules, &token, i64::MAX), Err(TokenError::Expired));
        assert_eq!(verify(&rules, &token, i64::MIN), Err(TokenError::NotYetValid));
    }

    #[test]
    fn an_older_key_still_verifies_and_a_foreign_one_does_not() {
        let old = SigningKey::generate(Algorithm::HS256, 1, 1).unwrap().to_jwk();
        let before = TokenSettings {
            keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::from_jwk(&old).unwrap()]).unwrap(),
            ..rules()
        };
        let token = before.mint(&claims()).unwrap();
        let both = SigningKeys::new(
            Algorithm::HS256,
            vec![SigningKey::from_jwk(&old).unwrap(), SigningKey::generate(Algorithm::HS256, 2, 2).unwrap()],
        )
        .unwrap();
        assert!(TokenSettings { keys: both, ..rules() }.verify(&token, NOW).is_ok());
        assert_eq!(verify(&rules(), &token, NOW), Err(TokenError::Key));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let rules = rules();
        let token = rules.mint(&claims()).unwrap();
        for at in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let mutant = String::from_utf8(bytes).unwrap();
                assert!(rules.verify(&mutant, NOW).is_err(), "byte {at}, bit {bit}");
            }
        }
        for at in 0..token.len() {
            assert!(rules.verify(&token[..at], NOW).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn shapes_that_are_not_a_token() {
        let rules = rules();
        let token = rules.mint(&claims()).unwrap();
        let flood = ".".repeat(MAX_TOKEN_BYTES);
        let long = format!("{token}{}", "A".repeat(MAX_TOKEN_BYTES));
        let (padded, extended, five) = (format!("{token}="), format!("{token}."), format!("{token}.a.b"));
        for bad in ["", ".", "..", "a.b.c", " ", &flood, &long, &padded, &extended, &five, &format!(" {token}")] {
            assert!(rules.verify(bad, NOW).is_err(), "{bad:.40}");
        }
    }

    #[test]
    fn r20_the_header_does_not_choose() {
        let rules = rules();
        let body = payload().to_string();
        assert!(rules.verify(&signed(&rules, &header(&rules), &body), NOW).is_ok());
        for (member, value, reject) in [
            ("alg", json!("none"), TokenError::Algorithm),
            ("alg", json!("None"), TokenError::Algorithm),
            ("alg", json!("HS512"), TokenError::Algorithm),
            ("alg", json!("RS256"), TokenError::Algorithm),
            ("alg", json!(null), TokenError::Algorithm),
            ("kid", json!("other"), TokenError::Key),
            ("kid", json!(1), TokenError::Key),
            ("typ", json!("JWT"), TokenError::Type),
            ("typ", json!(null), TokenError::Type),
            ("crit", json!(["exp"]), TokenError::Malformed),
            ("b64", json!(false), TokenError::Malformed),
            ("zip", json!("DEF"), TokenError::Malformed),
            ("jku", json!("https://evil.example"), TokenError::Malformed),
            ("jwk", json!({"kty": "oct", "k": ""}), TokenError::Malformed),
            ("x5c", json!([]), TokenError::Malformed),
        ] {
            let mut header = header(&rules);
            header[member] = value;
            assert_eq!(verify(&rules, &signed(&rules, &header, &body), NOW), Err(reject), "{header}");
        }
        for member in ["alg", "kid", "typ"] {
            let mut header = header(&rules);
            header.as_object_mut().unwrap().shift_remove(member);
            assert!(rules.verify(&signed(&rules, &header, &body), NOW).is_err(), "without {member}");
        }
        let unsigned = signed(&rules, &header(&rules), &body);
        let unsigned = unsigned.rsplit_once('.').unwrap().0;
        assert_eq!(verify(&rules, &format!("{unsigned}."), NOW), Err(TokenError::Signature));
    }

    #[test]
    fn r21_r22_claims_are_there_and_of_the_right_type() {
        let rules = rules();
        let check = |payload: &str| verify(&rules, &signed(&rules, &header(&rules), payload), NOW);
        for name in ["iss", "aud", "sub", "jti", "iat", "nbf", "exp"] {
            let mut payload = payload();
            payload.as_object_mut().unwrap().shift_remove(name);
            assert!(check(&payload.to_string()).is_err(), "without {name}");
            for wrong in [json!(null), json!([1]), json!({}), json!(true), json!("")] {
                payload[name] = wrong;
                assert!(check(&payload.to_string()).is_err(), "{payload}");
            }
        }
        for name in ["iat", "nbf", "exp"] {
            for wrong in
                ["\"1900000000\"", "1900000000.5", "1.9e9", "-1", "1e300", "99999999999999", "18446744073709551615"]
            {
                let mut payload = payload();
                payload[name] = json!("@");
                let text = payload.to_string().replace("\"@\"", wrong);
                assert_eq!(check(&text), Err(TokenError::Claims), "{name} = {wrong}");
            }
        }
        for (name, value, reject) in [
            ("iss", json!("https://gate.example/"), TokenError::Issuer),
            ("iss", json!("HTTPS://gate.example"), TokenError::Issuer),
            ("aud", json!("example"), TokenError::Audience),
            ("aud", json!(["examples"]), TokenError::Audience),
            ("exp", json!(NOW - 5), TokenError::Expired),
            ("nbf", json!(NOW + 6), TokenError::NotYetValid),
            ("jti", json!("0000000000000000000000000000000G"), TokenError::Claims),
            ("sid", json!("0"), TokenError::Claims),
            ("sid", json!(null), TokenError::Claims),
            ("roles", json!("admin"), TokenError::Claims),
            ("roles", json!([1]), TokenError::Claims),
            ("username", json!(7), TokenError::Claims),
        ] {
            let mut payload = payload();
            payload[name] = value;
            assert_eq!(check(&payload.to_string()), Err(reject), "{payload}");
        }
        let twice = payload().to_string().replace("\"exp\"", "\"exp\":1,\"exp\"");
        assert_eq!(check(&twice), Err(TokenError::Malformed));
    }

    /// Rules that trust an issuer whose keys are fetched, and what signs its tokens.
    fn trusting() -> (TokenSettings, Ed25519KeyPair) {
        let pair = Ed25519KeyPair::generate().unwrap();
        let remote = RemoteJwks {
            location: JwksLocation::Jwks("https://idp.example/jwks".into()),
            insecure_http: false,
            roots: None,
            refresh: Duration::from_secs(600),
            max_stale: Duration::from_secs(3600),
            timeout: Duration::from_secs(5),
        };
        let algorithms = vec![Algorithm::EdDSA];
        let issuer = TrustedIssuer {
            name: "https://idp.example".into(),
            audience: Audience { any_of: vec!["api".into()], clients: Vec::new() },
            token_size: MAX_TOKEN_BYTES,
            algorithms: algorithms.clone(),
            types: vec![TokenType::AccessToken],
            leeway: 5,
            required: Vec::new(),
            exact: Vec::new(),
            mapping: ClaimMapping::default(),
            keys: Arc::new(IssuerKeys::new(KeySource::Remote(remote), algorithms)),
        };
        (TokenSettings { trusted: vec![issuer], ..rules() }, pair)
    }

    fn install(rules: &TokenSettings, pair: &Ed25519KeyPair, kid: &str, now: i64) {
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x}]}).to_string();
        rules.trusted[0].keys.install(set.as_bytes(), now).unwrap();
    }

    fn foreign(pair: &Ed25519KeyPair, header: &Value) -> String {
        let payload = json!({"iss": "https://idp.example", "aud": "api", "sub": "u", "exp": NOW + 60, "iat": NOW});
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(&payload));
        let signature = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    #[test]
    fn a_newer_key_is_asked_for_only_where_one_may_help() {
        let (rules, pair) = trusting();
        let named = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a"});
        let nameless = json!({"alg": "EdDSA", "typ": "at+jwt"});
        let (token, bare) = (foreign(&pair, &named), foreign(&pair, &nameless));
        let asks = |token: &str, reject| rules.issuer_to_refresh(token, reject).is_some();
        for reject in [TokenError::Key, TokenError::NoKeys] {
            assert!(asks(&token, reject) && asks(&bare, reject), "{reject:?}");
        }
        assert!(!asks(&token, TokenError::Signature), "it has a key of that name");
        assert!(asks(&bare, TokenError::Signature), "it may have another");
        for reject in
            [TokenError::Expired, TokenError::Claims, TokenError::Audience, TokenError::Type, TokenError::Malformed]
        {
            assert!(!asks(&token, reject) && !asks(&bare, reject), "{reject:?}");
        }
        let own = rules.mint(&claims()).unwrap();
        assert!(!asks(&own, TokenError::Key) && !asks("a.b.c", TokenError::Key));
        assert!(self::rules().issuer_to_refresh(&token, TokenError::Key).is_none(), "nobody is trusted");
        assert!(rules.external_issuer(&token).is_some_and(|issuer| &*issuer.name == "https://idp.example"));
        assert!(rules.external_issuer(&own).is_none() && rules.external_issuer("a.b.c").is_none());
        assert!(rules.trusted_issuer("https://idp.example/").is_none());
    }

    #[test]
    fn what_was_accepted_counts_as_long_as_its_key_is_there() {
        let (rules, pair) = trusting();
        let token = foreign(&pair, &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a"}));
        assert_eq!(rules.verify(&token, NOW).unwrap_err(), TokenError::NoKeys);
        install(&rules, &pair, "a", NOW);
        let accepted = rules.verify(&token, NOW).unwrap();
        assert!(accepted.is_valid_at(NOW) && accepted.is_valid_at(NOW + 64) && !accepted.is_valid_at(NOW + 65));
        assert!(rules.still_trust(&accepted, NOW));
        assert!(rules.still_trust(&accepted, NOW + 4000), "keys that can't be had at the moment are not gone");
        install(&rules, &pair, "b", NOW + 1);
        assert!(!accepted.is_valid_at(NOW + 1), "other keys: it is to be verified again");
        assert!(!rules.still_trust(&accepted, NOW + 1));
        assert!(!self::rules().still_trust(&accepted, NOW), "nobody is trusted");

        let own = rules.verify(&rules.mint(&claims()).unwrap(), NOW).unwrap();
        assert!(rules.still_trust(&own, NOW) && !self::rules().still_trust(&own, NOW), "keys of its own");
        assert!(rules.is_symmetric());
        let keys =
            SigningKeys::new(Algorithm::ES256, vec![SigningKey::generate(Algorithm::ES256, 1, 1).unwrap()]).unwrap();
        assert!(!TokenSettings { keys, ..rules }.is_symmetric());
    }

    #[test]
    fn whoever_logs_out_may_be_late_and_not_early() {
        let (rules, pair) = trusting();
        install(&rules, &pair, "a", NOW);
        let token = rules.mint(&claims()).unwrap();
        for at in [NOW - 5, NOW, NOW + 64, NOW + 65, NOW + 1_000_000] {
            assert!(rules.verify_expired(&token, at).is_ok(), "at {at}");
        }
        assert_eq!(rules.verify_expired(&token, NOW - 6).unwrap_err(), TokenError::NotYetValid);
        let late = foreign(&pair, &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "a"}));
        let accepted = rules.verify_expired(&late, NOW + 100).unwrap();
        assert_eq!(accepted.issuer.map(|by| by.issuer.to_string()).as_deref(), Some("https://idp.example"));
        assert_eq!(self::rules().verify_expired(&late, NOW).unwrap_err(), TokenError::Issuer);
        assert_eq!(self::rules().verify_expired(&token, NOW).unwrap_err(), TokenError::Key);
        assert_eq!(rules.id_token_subject("https://other.example", &late, NOW), Err(TokenError::Issuer));
        assert_eq!(rules.id_token_subject("https://idp.example", &late, NOW), Err(TokenError::Type), "an access token");
        assert_eq!(rules.id_token_subject("https://gate.example", &token, NOW), Err(TokenError::Issuer));
    }

    #[test]
    fn every_reason_has_a_code_and_a_sentence_of_its_own() {
        let all = [
            TokenError::Malformed,
            TokenError::Type,
            TokenError::Key,
            TokenError::Algorithm,
            TokenError::NoKeys,
            TokenError::Signature,
            TokenError::Claims,
            TokenError::Bound,
            TokenError::Issuer,
            TokenError::Audience,
            TokenError::Expired,
            TokenError::NotYetValid,
            TokenError::Revoked,
        ];
        let codes: BTreeSet<_> = all.iter().map(|reject| reject.code()).collect();
        let details: BTreeSet<_> = all.iter().map(|reject| reject.detail()).collect();
        assert_eq!((codes.len(), details.len()), (all.len(), all.len()));
        assert!(codes.iter().all(|code| !code.is_empty()) && details.iter().all(|detail| detail.ends_with('.')));
    }

    #[test]
    fn more_than_one_factor_is_what_amr_says_so() {
        for (amr, proven) in [
            (json!(["pwd", "otp", "mfa"]), true),
            (json!(["mfa"]), true),
            (json!(["pwd"]), false),
            (json!([]), false),
            (json!("mfa"), false),
            (json!(null), false),
        ] {
            let payload = json!({"amr": amr});
            let text = payload.to_string();
            assert_eq!(proves_mfa(&json::members(text.as_bytes()).unwrap()), proven, "{text}");
        }
    }
}
