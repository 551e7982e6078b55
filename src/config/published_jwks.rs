//! The key sets (RFC 7517, 5) with which others verify our tokens.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::config::realm::Realm;

/// Where they are, and what they hold: public keys, those that sign next included.
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
            // Realms may share a directory. A set that has an id twice is refused by careful readers.
            if !all.iter().any(|other| other["kid"] == key["kid"]) {
                all.push(key);
            }
        }
        let by_realm = realms.iter().map(|realm| (realm.name().to_owned(), body(&published(realm)))).collect();
        Self { all: body(&all), by_realm }
    }

    /// Where they are, with realms of these names.
    pub(in crate::config) fn paths<'a>(realms: impl Iterator<Item = &'a str>) -> Vec<String> {
        let of_realms = realms.map(|name| format!("/{name}{KEY_SET}"));
        std::iter::once(KEY_SET.to_owned()).chain(of_realms).collect()
    }

    /// Whether a path in which every escape was decoded may be the one of a key set to some reader: it has the names in it.
    pub(in crate::config) fn may_be_meant(path: &[u8]) -> bool {
        let has = |name: &[u8]| path.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
        KEY_SET.split('/').filter(|name| !name.is_empty()).all(|name| has(name.as_bytes()))
    }

    /// The one at this path, percent-decoded: `/.well-known/jwks.json` for that of every realm, the same below
    /// `/<realm>` for that of one.
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
    fn every_realm_has_one_and_all_have_one() {
        let second = with(REALM, "name = \"b\"\nalgorithm = \"EdDSA\"");
        let third = with(REALM, "name = \"c\"\nalgorithm = \"ES256\"");
        let policy = check(&format!("{SERVER}{REALM}{second}{third}{LOGIN}")).unwrap().policy;
        let algorithms = |path: &str| {
            let set: serde_json::Value = serde_json::from_slice(policy.jwks_at(path)?).unwrap();
            let name = |key: &serde_json::Value| key["alg"].as_str().unwrap().to_owned();
            Some(set["keys"].as_array().unwrap().iter().map(name).collect::<Vec<_>>())
        };
        assert_eq!(algorithms("/.well-known/jwks.json").unwrap(), ["EdDSA", "ES256"]);
        assert_eq!(policy.jwks_at("/a/.well-known/jwks.json").unwrap(), &r#"{"keys":[]}"#, "its keys are secrets");
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
