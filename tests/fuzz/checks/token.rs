//! Any bytes as a token: what is accepted was signed by the key, and says everything that it must, as another reader
//! sees it.
//!
//! The first byte says what the rest is: `r` a token as it stands; `o` and `t` header and payload, parted by a zero byte,
//! to be signed by the realm's own key or by that of a trusted issuer, since no fuzzer could.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use tollgate::gate::{IdentityHeaders, is_reserved};
use tollgate::token::{
    Algorithm, Audience, ClaimMapping, IssuerKeys, KeySource, SigningKey, SigningKeys, TokenSettings, TokenType,
    TrustedIssuer, VerifiedToken, decode_unverified,
};

const NOW: i64 = 1_800_000_000;
const LEEWAY: i64 = 5;
const OWN: &str = "https://gate.example";
const ISS: &str = "https://issuer.example/";
const AUD: &str = "api";
const SECRET: [u8; 32] = [7; 32];

struct Setup {
    rules: TokenSettings,
    own: hmac::Key,
    trusted: Ed25519KeyPair,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let jwk = json!({
        "kty": "oct", "use": "sig", "alg": "HS256", "kid": "own", "iat": 1, "k": URL_SAFE_NO_PAD.encode(SECRET),
    });
    let trusted = Ed25519KeyPair::from_seed_unchecked(&SECRET).expect("a key");
    let public = URL_SAFE_NO_PAD.encode(trusted.public_key().as_ref());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "trusted", "x": public}]});
    let algorithms = vec![Algorithm::EdDSA];
    let keys = IssuerKeys::new(KeySource::File("fuzz.json".into()), algorithms.clone());
    keys.install(set.to_string().as_bytes(), NOW).expect("a key set");
    let issuer = TrustedIssuer {
        name: ISS.into(),
        audience: Audience { any_of: vec![AUD.into()], clients: Vec::new() },
        token_size: 32 << 10,
        algorithms,
        types: vec![TokenType::Jwt, TokenType::AccessToken, TokenType::Absent],
        leeway: LEEWAY,
        required: vec!["scope".into()],
        exact: vec![("tenant".into(), json!(7))],
        mapping: ClaimMapping {
            username: Some("username".into()),
            username_prefix: String::new(),
            email: Some("email".into()),
            roles: vec!["scope".into(), "permissions".into()],
        },
        keys: Arc::new(keys),
    };
    let rules = TokenSettings {
        issuer: OWN.into(),
        audience: AUD.into(),
        leeway: LEEWAY,
        keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::from_jwk(&jwk.to_string()).expect("a key")])
            .expect("a set"),
        id_keys: None,
        trusted: vec![issuer],
    };
    Setup { rules, own: hmac::Key::new(hmac::HMAC_SHA256, &SECRET), trusted }
});

/// Whether it was accepted.
pub fn check(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else { return false };
    let token = match kind {
        b'r' => match std::str::from_utf8(rest) {
            Ok(token) => token.to_owned(),
            Err(_) => return false,
        },
        b'o' | b't' => {
            let Some(end) = rest.iter().position(|byte| *byte == 0) else { return false };
            let (header, payload) = (&rest[..end], &rest[end + 1..]);
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
            let signature = if *kind == b'o' {
                hmac::sign(&SETUP.own, signed.as_bytes()).as_ref().to_vec()
            } else {
                SETUP.trusted.sign(signed.as_bytes()).as_ref().to_vec()
            };
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
        _ => return false,
    };
    // The lenient reader accepts any text.
    let _ = SETUP.rules.external_issuer(&token);
    let _ = decode_unverified(&token);
    let accepted = SETUP.rules.verify(&token, NOW);
    if let Ok(accepted) = &accepted {
        rightly(&token, accepted);
    }
    accepted.is_ok()
}

fn rightly(token: &str, accepted: &VerifiedToken) {
    assert!(token.len() <= 8 << 10);
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let bytes = |at: usize| URL_SAFE_NO_PAD.decode(parts[at]).expect("base64url without padding");
    let object = |at: usize| serde_json::from_slice::<Map<String, Value>>(&bytes(at)).expect("a JSON object");
    let (header, payload) = (object(0), object(1));
    let signed = format!("{}.{}", parts[0], parts[1]);
    let text = |name: &str| payload.get(name).and_then(Value::as_str);

    if text("iss") == Some(OWN) {
        hmac::verify(&SETUP.own, signed.as_bytes(), &bytes(2)).expect("our signature");
        assert!(header.keys().all(|name| ["alg", "typ", "kid"].contains(&name.as_str())) && header.len() == 3);
        assert!(header["alg"] == "HS256" && header["kid"] == "own" && header["typ"] == "at+jwt");
        assert!(payload["aud"] == AUD && accepted.issuer.is_none());
        assert_eq!(text("jti").map(str::to_owned), Some(accepted.claims.token_id.to_string()));
        assert!(payload.contains_key("nbf") && payload.contains_key("iat"));
    } else {
        assert_eq!(text("iss"), Some(ISS));
        let public = UnparsedPublicKey::new(&ED25519, SETUP.trusted.public_key().as_ref());
        public.verify(signed.as_bytes(), &bytes(2)).expect("the issuer's signature");
        assert_eq!(header["alg"], "EdDSA");
        assert!(header.get("kid").is_none_or(|kid| kid == "trusted"));
        assert!(["crit", "b64", "zip", "enc"].iter().all(|name| !header.contains_key(*name)));
        let audience = &payload["aud"];
        assert!(audience == AUD || audience.as_array().is_some_and(|all| all.contains(&json!(AUD))));
        let others = ["cnf", "at_hash", "c_hash", "s_hash", "events"];
        assert!(others.iter().all(|name| !payload.contains_key(*name)));
        assert!(payload.get("token_use").is_none_or(|what| what == "access"));
        assert!(payload.contains_key("scope") && payload["tenant"] == 7);
        assert_eq!(accepted.issuer.as_ref().map(|by| &*by.issuer), Some(ISS));
    }

    let subject = text("sub").expect("sub");
    assert!(!subject.is_empty() && accepted.claims.subject == subject);
    let exp = payload["exp"].as_i64().expect("a whole number");
    assert!(NOW < exp + LEEWAY && accepted.claims.expires_at == exp);
    if let Some(nbf) = payload.get("nbf") {
        assert!(nbf.as_i64().expect("a whole number") <= NOW + LEEWAY);
    }
    if let Some(iat) = payload.get("iat") {
        assert_eq!(iat.as_i64(), Some(accepted.claims.issued_at));
    }
    assert!(accepted.is_valid_at(NOW) && !accepted.is_valid_at(exp + LEEWAY));

    // Each role was said, and none of them passes for two.
    for role in &accepted.claims.roles {
        assert!(text("iss") == Some(OWN) || !role.is_empty() && !role.contains(','), "{role:?}");
    }
    if let Some(identity) =
        IdentityHeaders::from_claims(&accepted.claims, "r", accepted.issuer.as_ref().map(|by| &*by.issuer))
    {
        for (name, value) in identity.headers() {
            assert!(is_reserved(name.as_str(), false), "{name} could be sent by a client too");
            assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }
}
