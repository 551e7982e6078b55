//! The examples of RFC 7515, RFC 7519 and RFC 8037: the authors' signatures verify, and no others.

use std::sync::Arc;

use serde_json::{Value, json};

use super::jwks::PublicKeys;
use super::parts::UnverifiedToken;
use super::{
    AccountId, Algorithm, Audience, ClaimMapping, IssuerKeys, KeySource, SigningKey, SigningKeys, TokenError,
    TokenSettings, TokenType, TrustedIssuer,
};

/// RFC 7515, A.1; RFC 7519, 3.1. Its key: [`hmac`].
const HS256: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7515, A.2. Its key: [`rsa`].
const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/// RFC 7515, A.3. Its key: [`p256`].
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515, A.5; RFC 7519, 6.1. It has no signature.
const NONE: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
/// RFC 7519, A.1: encrypted. Header and encrypted key; the rest does not matter.
const ENCRYPTED: &str = "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8qDcjiHnSJflSdv1iNqhWXaKH4MqAkQtMoNfABIPJaZm0HaA415sv3aeuBWnD8J-Ui7Ah6cWafs3ZwwFKDFUUsWHSK-IPKxLGTkND09XyjORj_CHAgOPJ-Sd8ONQRnJvWn_hXV1BNMHzUjPyYwEsRhDhzjAD26imasOTsgruobpYGoQcXUwFDn7moXPRfDE8-NoQX7N7ZYMmpUDkR-Cx9obNGwJQ3nM52YCitxoQVPzjbl7WBuB7AohdBoZOdZ24WlN1lVIeh8v1K4krB8xgKvRU8kgFrEn_a1rZgN5TiysnmzTROF869lQ.AxY8DCtDaGlsbGljb3RoZQ.MKOle7UQrG6nSxTLX6Mqwt0orbHvAKeWnDYvpIAeZ72deHxz3roJDXQyhxx0wKaMHDjUEOKIwrtkHthpqEanSBNYHZgmNOV7sln1Eu9g3J8.fiK51VwhsxJ-siBMR-YFiA";
/// RFC 8037, A.4. Its key: [`ed25519`]. Its payload is not JSON.
const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/// `exp` of the examples is 1300819380.
const BEFORE: i64 = 1_300_819_000;

fn hmac() -> Value {
    let k = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    json!({"kty": "oct", "k": k})
}

fn rsa() -> Value {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    json!({"kty": "RSA", "n": n, "e": "AQAB"})
}

fn p256() -> Value {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
}

/// RFC 8037, A.2.
fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

const ALL: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Rules that trust "joe" with these keys.
fn trusting(keys: &[Value]) -> TokenSettings {
    let trusted = IssuerKeys::new(KeySource::File("rfc.json".into()), ALL.to_vec());
    trusted.install(json!({"keys": keys}).to_string().as_bytes(), 0).unwrap();
    TokenSettings {
        issuer: "https://gate.example".into(),
        audience: "examples".into(),
        leeway: 5,
        keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::generate(Algorithm::HS256, 1, 1).unwrap()]).unwrap(),
        id_keys: None,
        trusted: vec![TrustedIssuer {
            name: "joe".into(),
            audience: Audience { any_of: vec!["examples".into()], clients: Vec::new() },
            token_size: 32 << 10,
            algorithms: ALL.to_vec(),
            types: vec![TokenType::Absent, TokenType::Jwt],
            leeway: 5,
            required: Vec::new(),
            exact: Vec::new(),
            mapping: ClaimMapping::default(),
            keys: Arc::new(trusted),
        }],
    }
}

/// The token with another last digit but three, so that it is whole and the signature another.
fn tampered(token: &str) -> String {
    let (rest, end) = token.split_at(token.len() - 4);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    format!("{rest}{other}{}", &end[1..])
}

#[test]
fn rfc7515_signatures_of_the_examples_fit() {
    // They have no `sub` and no `aud`: with a valid signature, these are the faults.
    let rules = trusting(&[rsa(), p256(), ed25519()]);
    for token in [RS256, ES256] {
        assert_eq!(rules.verify(token, BEFORE).unwrap_err(), TokenError::Claims, "{token}");
        assert_eq!(rules.verify(&tampered(token), BEFORE).unwrap_err(), TokenError::Signature, "{token}");
    }
    // Each with the other's key, and with an unrelated one.
    assert!(matches!(trusting(&[p256()]).verify(RS256, BEFORE), Err(TokenError::Key | TokenError::Algorithm)));
    assert!(matches!(trusting(&[rsa()]).verify(ES256, BEFORE), Err(TokenError::Key | TokenError::Algorithm)));
    let mut room = Vec::new();
    let parts = UnverifiedToken::parse(RS256, &mut room).unwrap();
    let is_root = parts.payload.get("http://example.com/is_root").unwrap().as_bool();
    assert_eq!((parts.text("iss"), is_root), (Some("joe"), Some(true)));
    assert_eq!(parts.time("exp", super::parts::Fraction::Down), Ok(1_300_819_380));
}

#[test]
fn rfc7515_a1_fits_the_key_as_ours_and_as_nobody_elses() {
    let mut jwk = hmac();
    for (name, value) in [("alg", json!("HS256")), ("use", json!("sig")), ("kid", json!("a1")), ("iat", json!(1))] {
        jwk[name] = value;
    }
    let key = SigningKey::from_jwk(&jwk.to_string()).unwrap();
    let (signed, signature) = HS256.rsplit_once('.').unwrap();
    assert!(key.verifying().verifies(signed.as_bytes(), signature));
    let (_, other) = tampered(HS256).rsplit_once('.').map(|(_, other)| ((), other.to_owned())).unwrap();
    assert!(!key.verifying().verifies(signed.as_bytes(), &other));
    // A secret is not a public key, even in a JWK Set.
    let rules = trusting(&[rsa(), jwk]);
    assert_eq!(rules.verify(HS256, BEFORE).unwrap_err(), TokenError::Algorithm);
}

#[test]
fn rfc7515_a5_rfc7519_6_unsecured_tokens_are_none() {
    let rules = trusting(&[rsa(), p256()]);
    assert_eq!(rules.verify(NONE, BEFORE).unwrap_err(), TokenError::Algorithm);
}

#[test]
fn rfc7519_a1_encrypted_tokens_are_none() {
    assert_eq!(trusting(&[rsa()]).verify(ENCRYPTED, BEFORE).unwrap_err(), TokenError::Malformed);
}

#[test]
fn rfc7515_a6_json_serializations_are_no_tokens() {
    let (protected, rest) = ES256.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let flattened = json!({"payload": payload, "protected": protected, "signature": signature});
    let general = json!({"payload": payload, "signatures": [{"protected": protected, "signature": signature}]});
    for text in [flattened.to_string(), general.to_string()] {
        assert_eq!(trusting(&[p256()]).verify(&text, BEFORE).unwrap_err(), TokenError::Malformed);
    }
}

#[test]
fn rfc8037_a4_fits_its_key() {
    let set = json!({"keys": [ed25519()]}).to_string();
    let keys = PublicKeys::parse(set.as_bytes(), &ALL).unwrap();
    let key = keys.find(None, Algorithm::EdDSA).unwrap();
    let (signed, signature) = EDDSA.rsplit_once('.').unwrap();
    assert!(key.verifies(signed.as_bytes(), signature));
    let (_, other) = EDDSA.split_at(signed.len() + 1);
    assert!(!key.verifies(signed.as_bytes(), &tampered(other)));
    assert!(!key.verifies(&signed.as_bytes()[1..], signature));
    // Signed or not, it has no claims.
    assert_eq!(trusting(&[ed25519()]).verify(EDDSA, BEFORE).unwrap_err(), TokenError::Malformed);
}

#[test]
fn rfc8037_a2_the_private_half_is_not_taken() {
    let mut jwk = ed25519();
    jwk["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let set = json!({"keys": [jwk]}).to_string();
    assert!(PublicKeys::parse(set.as_bytes(), &ALL).is_err());
}

#[test]
fn an_account_is_the_same_number_everywhere() {
    // Stored in the database: another value would let in users that an older process revoked.
    assert_eq!(AccountId::new("https://issuer.example", "alice"), AccountId(0xfb3b_b83c_c21e_791f_7054_91b3_fde5_ec4f));
}
