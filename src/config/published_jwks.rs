//! The published JWKS (RFC 7517, 5), with which other programs verify the tokens of a realm.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::realm::Realm;

/// The public keys of all realms and of each realm, including pending keys.
#[derive(Debug, Default)]
pub(in crate::config) struct PublishedJwks {
    all: Bytes,
    by_realm: Vec<(String, Bytes)>,
}

impl PublishedJwks {
    pub(in crate::config) fn new(realms: &[Arc<Realm>]) -> Self {
        let published = |realm: &Arc<Realm>| {
            let keys = realm.keys_dirs().flat_map(|(_, keys)| keys.keys());
            keys.filter_map(crate::token::SigningKey::public_jwk).collect::<Vec<_>>()
        };
        let mut all: Vec<Value> = Vec::new();
        for key in realms.iter().flat_map(published) {
            // Several realms can share a directory. Strict clients reject a JWKS with a duplicate key id.
            if !all.iter().any(|other| other["kid"] == key["kid"]) {
                all.push(key);
            }
        }
        let by_realm = realms.iter().map(|realm| (realm.name.to_owned(), body(&published(realm)))).collect();
        Self { all: body(&all), by_realm }
    }

    /// Returns the paths for realms with these names.
    pub(in crate::config) fn paths<'a>(realms: impl Iterator<Item = &'a str>) -> Vec<String> {
        let of_realms = realms.map(|name| format!("/{name}{KEY_SET}"));
        std::iter::once(KEY_SET.to_owned()).chain(of_realms).collect()
    }

    /// Returns whether another program could interpret this path, which is completely decoded, as that of a JWKS: it contains
    /// the names of the segments.
    pub(in crate::config) fn may_be_meant(path: &[u8]) -> bool {
        let has = |name: &[u8]| path.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
        KEY_SET.split('/').filter(|name| !name.is_empty()).all(|name| has(name.as_bytes()))
    }

    /// Returns the JWKS at this decoded path: `/.well-known/jwks.json` has the keys of all realms, and
    /// `/<realm>/.well-known/jwks.json` those of one realm.
    pub(in crate::config) fn at(&self, path: &str) -> Option<&Bytes> {
        let place = path.strip_suffix(KEY_SET)?;
        if place.is_empty() {
            return Some(&self.all);
        }
        let name = place.strip_prefix('/')?;
        self.by_realm.iter().find(|(realm, _)| realm == name).map(|(_, body)| body)
    }
}

fn body(keys: &[Value]) -> Bytes {
    json!({ "keys": keys }).to_string().into()
}

const KEY_SET: &str = "/.well-known/jwks.json";

#[cfg(test)]
mod tests {
    use crate::config::fixture::{LOGIN, REALM, SERVER, check, with};

    #[test]
    fn each_realm_has_a_jwks_and_all_realms_have_one_together() {
        let second = with(REALM, "name = \"b\"\nalgorithm = \"EdDSA\"");
        let third = with(REALM, "name = \"c\"\nalgorithm = \"ES256\"");
        let policy = check(&format!("{SERVER}{REALM}{second}{third}{LOGIN}")).unwrap().policy;
        let algorithms = |path: &str| {
            let set: serde_json::Value = serde_json::from_slice(policy.jwks_at(path)?).unwrap();
            let name = |key: &serde_json::Value| key["alg"].as_str().unwrap().to_owned();
            Some(set["keys"].as_array().unwrap().iter().map(name).collect::<Vec<_>>())
        };
        assert_eq!(algorithms("/.well-known/jwks.json").unwrap(), ["EdDSA", "ES256"]);
        assert_eq!(
            policy.jwks_at("/a/.well-known/jwks.json").unwrap(),
            &r#"{"keys":[]}"#,
            "it has only shared secrets"
        );
        assert_eq!(algorithms("/b/.well-known/jwks.json").unwrap(), ["EdDSA"]);
        assert_eq!(algorithms("/c/.well-known/jwks.json").unwrap(), ["ES256"]);
        let paths = super::PublishedJwks::paths(["a", "b", "c"].into_iter());
        assert!(paths.len() == 4 && paths.iter().all(|path| policy.jwks_at(path).is_some()));
        for (path, meant) in [
            ("//.well-known/jwks.json", true),
            ("/a//.WELL-known//jwks.json;x", true),
            ("/.well-known/openid-configuration", false),
            ("//jwks.json", false),
            ("//", false),
        ] {
            assert_eq!(policy.key_set_may_be_meant(path.as_bytes()), meant, "{path}");
        }
        for path in
            ["/", "/d/.well-known/jwks.json", "/b/c/.well-known/jwks.json", "/b/.well-known/jwks.json/", "jwks.json"]
        {
            assert_eq!(algorithms(path), None, "{path}");
        }
    }
}
