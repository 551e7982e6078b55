//! Any bytes as a key set: what is taken is whole, public, and without ambiguity, and lets no token in by itself.

use std::collections::BTreeSet;

use serde_json::Value;
use tollgate::token::{Algorithm, MAX_JWKS_BYTES, PublicKeys};

/// Whether it was taken.
pub fn check(data: &[u8]) -> bool {
    let allowed: Vec<_> = Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::HS256).collect();
    let Ok(keys) = PublicKeys::parse(data, &allowed) else { return false };
    assert!(data.len() <= MAX_JWKS_BYTES);
    let set: Value = serde_json::from_slice(data).expect("what was taken is JSON");
    let jwks = set["keys"].as_array().expect("a list of keys");
    let kids = keys.kids();
    let once: BTreeSet<_> = kids.iter().collect();
    assert_eq!(once.len(), kids.len(), "one id twice: {kids:?}");
    for kid in kids {
        // A key of this id is usable, and contains nothing private. Others of the same id can be unusable.
        let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let usable = |jwk: &&Value| is_for_us(jwk) && private.iter().all(|name| jwk.get(*name).is_none());
        assert!(jwks.iter().filter(|jwk| jwk["kid"] == kid).any(|jwk| usable(&jwk)), "{kid}");
    }
    // For fewer algorithms there are fewer keys.
    for algorithm in allowed {
        if let Ok(fewer) = PublicKeys::parse(data, &[algorithm]) {
            assert!(fewer.kids().iter().all(|kid| keys.kids().contains(kid)));
        }
    }
    assert!(PublicKeys::parse(data, &[Algorithm::HS256]).is_err(), "a secret in a set of public keys");
    assert!(PublicKeys::parse(data, &[]).is_err());
    true
}

fn is_for_us(jwk: &Value) -> bool {
    let for_signatures = jwk.get("use").is_none_or(|value| value == "sig");
    let verifies = |operations: &Value| operations.as_array().is_some_and(|list| list.contains(&Value::from("verify")));
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
    let alg = jwk.get("alg");
    let is = |algs: &[&str]| alg.is_none_or(|alg| algs.iter().any(|one| alg == one));
    let of_kind = match (text("kty"), text("crv")) {
        ("RSA", _) => is(&["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        ("EC", "P-256") => is(&["ES256"]),
        ("EC", "P-384") => is(&["ES384"]),
        ("OKP", "Ed25519") => is(&["EdDSA", "Ed25519"]),
        _ => false,
    };
    for_signatures && jwk.get("key_ops").is_none_or(verifies) && of_kind
}
