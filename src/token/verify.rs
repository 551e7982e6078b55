//! Judging a token. Every step that can fail, fails closed, with a reason for the log and for the client.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::mint::ACCESS_TOKEN;
use super::{Claims, Rules, TokenId};
use crate::json;

/// Why a token does not speak for anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Too long, not three parts of base64url, not JSON objects, or with members that we never write.
    Malformed,
    /// Another kind of token (`typ`).
    Type,
    /// Signed by a key that this realm does not have, or with another algorithm than that key's.
    Key,
    /// The signature does not fit.
    Signature,
    /// A claim is missing, or of the wrong type.
    Claims,
    /// Another issuer's.
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

impl Rules {
    /// The claims of `token`, if it is one of ours, whole and in force at `now` (Unix seconds).
    ///
    /// Whether it has been revoked since is the caller's question to [`super::Revocations`].
    ///
    /// # Errors
    /// The first check that failed, in the order of the variants of [`Reject`].
    pub fn verify(&self, token: &str, now: i64) -> Result<Claims, Reject> {
        // R23: sizes before anything is split, decoded or allocated.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Reject::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Reject::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Reject::Malformed)?;
        if header.len() > MAX_HEADER_BYTES || payload.contains('.') {
            return Err(Reject::Malformed);
        }

        let header = decode(header)?;
        // Ours have these three and no more: `crit`, `b64`, `zip`, `jku`, `x5u`, `jwk` and the like are not ours (R24).
        if header.keys().any(|name| !matches!(name.as_str(), "alg" | "typ" | "kid")) {
            return Err(Reject::Malformed);
        }
        let text = |name: &str| header.get(name).and_then(Value::as_str);
        if text("typ") != Some(ACCESS_TOKEN) {
            return Err(Reject::Type);
        }
        let key = text("kid").and_then(|kid| self.keys.by_id(kid)).ok_or(Reject::Key)?;
        // R20: the key says what the algorithm is; the token may only agree.
        if text("alg") != Some(key.verifying().algorithm().name()) {
            return Err(Reject::Key);
        }
        if !key.verifying().verifies(signed.as_bytes(), signature) {
            return Err(Reject::Signature);
        }

        let payload = decode(payload)?;
        let claims = read(&payload).ok_or(Reject::Claims)?;
        if payload.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(Reject::Issuer);
        }
        if payload.get("aud").and_then(Value::as_str) != Some(self.audience.as_str()) {
            return Err(Reject::Audience);
        }
        self.in_force(&claims, &payload, now)?;
        Ok(claims)
    }

    fn in_force(&self, claims: &Claims, payload: &Map<String, Value>, now: i64) -> Result<(), Reject> {
        // RFC 7519, 4.1.4: refused "on or after" exp.
        if now >= claims.expires_at.saturating_add(self.leeway) {
            return Err(Reject::Expired);
        }
        let not_before = payload.get("nbf").and_then(numeric_date).ok_or(Reject::Claims)?;
        if now < not_before.saturating_sub(self.leeway) {
            return Err(Reject::NotYetValid);
        }
        Ok(())
    }
}

impl Reject {
    /// The stable reason code that a client sees, listed in the README.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Type => "token_type",
            Self::Key => "token_key_unknown",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
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
            Self::Malformed => "The access token is not a JWT that this gateway issued.",
            Self::Type => "The token is not an access token.",
            Self::Key => "The access token was signed with a key that this gateway does not know.",
            Self::Signature => "The signature of the access token does not fit.",
            Self::Claims => "The access token lacks a claim, or has one of the wrong type.",
            Self::Issuer => "The access token comes from another issuer.",
            Self::Audience => "The access token is meant for somebody else.",
            Self::Expired => "The access token has expired: log in again.",
            Self::NotYetValid => "The access token is not valid yet.",
            Self::Revoked => "The access token was revoked: log in again.",
        }
    }
}

fn decode(part: &str) -> Result<Map<String, Value>, Reject> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Reject::Malformed)?;
    json::object(&bytes).map_err(|_| Reject::Malformed)
}

fn read(payload: &Map<String, Value>) -> Option<Claims> {
    Some(Claims {
        token_id: payload.get("jti")?.as_str()?.parse::<TokenId>().ok()?,
        subject: payload.get("sub")?.as_str().filter(|subject| !subject.is_empty())?.to_owned(),
        username: optional(payload, "username")?,
        email: optional(payload, "email")?,
        roles: match payload.get("roles") {
            None => Vec::new(),
            Some(Value::Array(roles)) => {
                roles.iter().map(|role| role.as_str().map(str::to_owned)).collect::<Option<_>>()?
            }
            Some(_) => return None,
        },
        session: match payload.get("sid") {
            None => None,
            Some(session) => Some(session.as_str()?.parse().ok()?),
        },
        issued_at: numeric_date(payload.get("iat")?)?,
        expires_at: numeric_date(payload.get("exp")?)?,
    })
}

/// `Some(None)` for a claim that is not there, `None` for one that is not a string.
#[allow(clippy::option_option, reason = "absent and wrong are different answers here")]
fn optional(payload: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match payload.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    }
}

/// R21: a whole number of seconds in a year that has four digits; nothing else is a time.
fn numeric_date(value: &Value) -> Option<i64> {
    value.as_i64().filter(|seconds| (0..=LAST_SECOND_OF_9999).contains(seconds))
}

const MAX_TOKEN_BYTES: usize = 8 << 10;
const MAX_HEADER_BYTES: usize = 1 << 10;
const LAST_SECOND_OF_9999: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Algorithm, Key, KeySet};
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> Rules {
        Rules {
            issuer: "https://gate.example".into(),
            audience: "examples".into(),
            leeway: 5,
            keys: KeySet::new(
                Algorithm::HS256,
                vec![Key::generate(Algorithm::HS256, 1, 1).unwrap(), Key::generate(Algorithm::HS256, 2, 2).unwrap()],
            )
            .unwrap(),
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
            issued_at: NOW,
            expires_at: NOW + 60,
        }
    }

    /// A token with this header and payload, rightly signed by the newest key.
    fn signed(rules: &Rules, header: &Value, payload: &str) -> String {
        let key = rules.keys.signing(NOW);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload));
        let signature = key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{signature}")
    }

    fn header(rules: &Rules) -> Value {
        json!({"alg": "HS256", "typ": "at+jwt", "kid": rules.keys.signing(NOW).kid()})
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
        assert_eq!(rules.verify(&token, NOW), Ok(claims.clone()));
        assert_eq!(rules.verify(&token, NOW + 64), Ok(claims.clone()), "leeway");
        assert_eq!(rules.verify(&token, NOW + 65), Err(Reject::Expired));
        assert_eq!(rules.verify(&token, NOW - 5), Ok(claims));
        assert_eq!(rules.verify(&token, NOW - 6), Err(Reject::NotYetValid));
        assert_eq!(rules.verify(&token, i64::MAX), Err(Reject::Expired));
        assert_eq!(rules.verify(&token, i64::MIN), Err(Reject::NotYetValid));
    }

    #[test]
    fn an_older_key_still_verifies_and_a_foreign_one_does_not() {
        let old = Key::generate(Algorithm::HS256, 1, 1).unwrap().to_jwk();
        let before =
            Rules { keys: KeySet::new(Algorithm::HS256, vec![Key::from_jwk(&old).unwrap()]).unwrap(), ..rules() };
        let token = before.mint(&claims()).unwrap();
        let both = KeySet::new(
            Algorithm::HS256,
            vec![Key::from_jwk(&old).unwrap(), Key::generate(Algorithm::HS256, 2, 2).unwrap()],
        )
        .unwrap();
        assert!(Rules { keys: both, ..rules() }.verify(&token, NOW).is_ok());
        assert_eq!(rules().verify(&token, NOW), Err(Reject::Key));
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
            ("alg", json!("none"), Reject::Key),
            ("alg", json!("None"), Reject::Key),
            ("alg", json!("HS512"), Reject::Key),
            ("alg", json!("RS256"), Reject::Key),
            ("alg", json!(null), Reject::Key),
            ("kid", json!("other"), Reject::Key),
            ("kid", json!(1), Reject::Key),
            ("typ", json!("JWT"), Reject::Type),
            ("typ", json!(null), Reject::Type),
            ("crit", json!(["exp"]), Reject::Malformed),
            ("b64", json!(false), Reject::Malformed),
            ("zip", json!("DEF"), Reject::Malformed),
            ("jku", json!("https://evil.example"), Reject::Malformed),
            ("jwk", json!({"kty": "oct", "k": ""}), Reject::Malformed),
            ("x5c", json!([]), Reject::Malformed),
        ] {
            let mut header = header(&rules);
            header[member] = value;
            assert_eq!(rules.verify(&signed(&rules, &header, &body), NOW), Err(reject), "{header}");
        }
        for member in ["alg", "kid", "typ"] {
            let mut header = header(&rules);
            header.as_object_mut().unwrap().shift_remove(member);
            assert!(rules.verify(&signed(&rules, &header, &body), NOW).is_err(), "without {member}");
        }
        let unsigned = signed(&rules, &header(&rules), &body);
        let unsigned = unsigned.rsplit_once('.').unwrap().0;
        assert_eq!(rules.verify(&format!("{unsigned}."), NOW), Err(Reject::Signature));
    }

    #[test]
    fn r21_r22_claims_are_there_and_of_the_right_type() {
        let rules = rules();
        let check = |payload: &str| rules.verify(&signed(&rules, &header(&rules), payload), NOW);
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
                assert_eq!(check(&text), Err(Reject::Claims), "{name} = {wrong}");
            }
        }
        for (name, value, reject) in [
            ("iss", json!("https://gate.example/"), Reject::Issuer),
            ("iss", json!("HTTPS://gate.example"), Reject::Issuer),
            ("aud", json!("example"), Reject::Audience),
            ("aud", json!(["examples"]), Reject::Audience),
            ("exp", json!(NOW - 5), Reject::Expired),
            ("nbf", json!(NOW + 6), Reject::NotYetValid),
            ("jti", json!("0000000000000000000000000000000G"), Reject::Claims),
            ("sid", json!("0"), Reject::Claims),
            ("sid", json!(null), Reject::Claims),
            ("roles", json!("admin"), Reject::Claims),
            ("roles", json!([1]), Reject::Claims),
            ("username", json!(7), Reject::Claims),
        ] {
            let mut payload = payload();
            payload[name] = value;
            assert_eq!(check(&payload.to_string()), Err(reject), "{payload}");
        }
        let twice = payload().to_string().replace("\"exp\"", "\"exp\":1,\"exp\"");
        assert_eq!(check(&twice), Err(Reject::Malformed));
    }
}
