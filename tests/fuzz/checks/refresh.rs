//! What goes from one step of a login to the next: refresh tokens, challenges, callbacks, and the names that a store compares.
//!
//! The first byte says what the rest is: `r` bits to flip in a refresh token that counts; `t` the text of one; `s` header and
//! payload of a token, parted by a zero byte, to be signed by the realm, since no fuzzer could; `n` a name.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use tollgate::gate::DenyReason;
use tollgate::store::LoginName;
use tollgate::token::{Algorithm, SigningKey, SigningKeys, TokenSettings};

use super::fixture::{NOW, expand, seal};
use super::memory::{REFRESHABLE, at_once, tenant, with_desk};

const SECRET: [u8; 32] = [7; 32];

static RULES: LazyLock<TokenSettings> = LazyLock::new(|| {
    let jwk = json!({
        "kty": "oct", "use": "sig", "alg": "HS256", "kid": "own", "iat": 1, "k": URL_SAFE_NO_PAD.encode(SECRET),
    });
    TokenSettings {
        issuer: "https://gate.example".into(),
        audience: "api".into(),
        leeway: 5,
        keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::from_jwk(&jwk.to_string()).expect("a key")])
            .expect("a set"),
        id_keys: None,
        trusted: Vec::new(),
    }
});

/// Whether it was taken.
pub fn check(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else { return false };
    match kind {
        b'r' => flipped(rest),
        b't' => {
            let text = expand(rest, &[(0x0e, REFRESHABLE.1.clone())]);
            std::str::from_utf8(&text).is_ok_and(presented)
        }
        b's' => {
            let Some(end) = rest.iter().position(|byte| *byte == 0) else { return false };
            signed(&rest[..end], &rest[end + 1..])
        }
        b'n' => std::str::from_utf8(rest).is_ok_and(named),
        _ => false,
    }
}

fn flipped(bits: &[u8]) -> bool {
    let mut bytes = URL_SAFE_NO_PAD.decode(&REFRESHABLE.1).expect("base64url");
    bytes.iter_mut().zip(bits).for_each(|(byte, bits)| *byte ^= bits);
    presented(&URL_SAFE_NO_PAD.encode(bytes))
}

/// Only the one text counts, and gives another one, once.
fn presented(text: &str) -> bool {
    let (content, genuine) = &*REFRESHABLE;
    with_desk(content, |services, _| {
        let taken = refresh(text, services);
        assert_eq!(taken.is_ok(), text == genuine, "{text}");
        let Ok(next) = taken else { return false };
        assert_ne!(next, text);
        assert_eq!(refresh(&next, services).map(drop), Ok(()));
        assert_eq!(refresh(text, services), Err(DenyReason::RefreshReused));
        assert!(refresh(&next, services).is_err(), "the session has ended");
        true
    })
}

fn refresh(text: &str, services: &tollgate::login::LoginServices) -> Result<String, DenyReason> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = json!({"RefreshToken": text});
    let answer = at_once(tenant("/Login/Refresh", &headers, &body, services)).map_err(|refusal| refusal.deny)?;
    let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let token = answer["cognitoToken"]["AuthenticationResult"]["RefreshToken"].as_str();
    Ok(token.expect("the next one").to_owned())
}

/// R29: no token is of two kinds, whatever it says of itself.
fn signed(header: &[u8], payload: &[u8]) -> bool {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), text.as_bytes());
    let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
    let challenge = |token: &str| RULES.verify_challenge(token, NOW).and_then(|sealed| sealed.open(&seal()));
    let callback = |token: &str| RULES.verify_callback(token, NOW).and_then(|sealed| sealed.open(&seal()));
    assert!(challenge(&token).is_err() && callback(&token).is_err(), "R62: the signing key alone made it");
    let sealed = with_mark(header, payload).unwrap_or_else(|| token.clone());
    let (challenge, callback) = (challenge(&sealed), callback(&sealed));
    let access = RULES.verify(&token, NOW);
    assert_eq!(access.is_ok(), RULES.verify_own(&token, NOW).is_ok(), "there is no other issuer");
    assert!(access.is_err() || RULES.verify_expired(&token, NOW).is_ok());
    let kinds = [challenge.is_ok(), callback.is_ok(), access.is_ok() || RULES.verify_expired(&token, NOW).is_ok()];
    assert!(kinds.iter().filter(|is| **is).count() <= 1, "of several kinds: {kinds:?}");
    if !kinds.contains(&true) {
        return false;
    }
    let object = |bytes: &[u8]| serde_json::from_slice::<Map<String, Value>>(bytes).expect("a JSON object");
    let (header, payload) = (object(header), object(payload));
    assert!(token.len() <= 8 << 10 && header.len() == 3 && header["alg"] == "HS256" && header["kid"] == "own");
    assert_eq!(payload["iss"], "https://gate.example");
    let end = payload["exp"].as_i64().expect("a whole number");
    let expected = match (&challenge, &callback) {
        (Ok(challenge), _) => {
            assert!(payload["version"] == challenge.version && payload["challenge"] == *challenge.name);
            assert!(payload["sub"] == *challenge.subject && payload["mfa"] == challenge.mfa && end > NOW);
            ("challenge+jwt", "urn:tollgate:challenge:api")
        }
        (_, Ok(callback)) => {
            assert!(payload["act"]["sub"] == *callback.actor && payload["jti"] == callback.token_id.to_string());
            assert!(payload["sub"] == *callback.subject && payload["mfa"] == callback.mfa && end > NOW);
            assert_eq!((payload["iat"].as_i64(), end), (Some(callback.issued_at), callback.expires_at));
            ("callback+jwt", "urn:tollgate:callback:api")
        }
        _ => ("at+jwt", "api"),
    };
    assert_eq!((header["typ"].as_str(), payload["aud"].as_str()), (Some(expected.0), Some(expected.1)));
    true
}

/// The same token with the mark of the epoch's seal, which no fuzzer could make; `None` if it is not JSON.
fn with_mark(header: &[u8], payload: &[u8]) -> Option<String> {
    let kind = serde_json::from_slice::<Map<String, Value>>(header).ok()?.get("typ")?.as_str()?.to_owned();
    let mut payload = serde_json::from_slice::<Map<String, Value>>(payload).ok()?;
    payload.shift_remove("seal");
    let mark = seal().mark(&kind, &Value::Object(payload.clone()).to_string());
    payload.insert("seal".into(), mark.into());
    let payload = Value::Object(payload).to_string();
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), text.as_bytes());
    Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref())))
}

/// R32, R38: the form in which names are compared is its own form, and shows all that it is.
fn named(text: &str) -> bool {
    let (username, email) = (LoginName::username(text), LoginName::email(text));
    if let Some(name) = &username {
        assert_eq!(LoginName::username(name.as_str()).as_ref(), Some(name));
        let canonical = name.as_str();
        assert!(!canonical.is_empty() && canonical.chars().count() <= 128 && canonical == canonical.trim());
        assert!(!canonical.chars().any(char::is_control) && !canonical.contains("  "));
        assert_eq!(
            LoginName::username(&text.to_uppercase()).filter(|_| text.is_ascii()),
            username.clone().filter(|_| text.is_ascii())
        );
    }
    if let Some(name) = &email {
        assert_eq!(LoginName::email(name.as_str()).as_ref(), Some(name));
        assert_eq!(name.as_str(), text.to_ascii_lowercase());
        assert!(text.is_ascii() && text.matches('@').count() == 1 && !text.contains(|char: char| char.is_whitespace()));
    }
    username.is_some() || email.is_some()
}
