//! `[[realm]]`.

pub(in crate::config) mod api_key;
pub(in crate::config) mod cookie;
pub(in crate::config) mod declared;
pub(in crate::config) mod read;
pub(in crate::config) mod trusted_issuer;
pub(in crate::config) mod user_rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use http::header::HeaderName;

use crate::config::origin::Origins;
use crate::config::sealed::Sealed;
use crate::keystore::KeysDir;
use crate::token;
pub use api_key::{ApiKey, Sha256};
pub use cookie::{CookieSpec, SameSite};
pub use user_rules::UserRules;

/// Maximum of `token_ttl`, and so of the lifetime of a token of a realm with any policy.
pub const MAX_TTL: Duration = Duration::from_secs(3650 * 86_400);

/// A set of users, API keys, origins and token settings.
#[derive(Debug)]
pub struct Realm {
    /// Position in the file.
    pub index: u32,
    pub name: String,
    /// Settings for the signature and verification of tokens.
    pub tokens: token::TokenSettings,
    /// Directory of the signing keys of access tokens.
    pub keys_dir: KeysDir,
    pub(in crate::config) id_keys_dir: Option<KeysDir>,
    /// Lifetime of a token.
    pub token_ttl: Duration,
    pub cookie: CookieSpec,
    pub require_key: bool,
    pub(in crate::config) key_query: Option<String>,
    pub(in crate::config) key_header: Option<HeaderName>,
    pub(in crate::config) api_keys: HashMap<Sha256, Arc<ApiKey>, RandomState>,
    pub(in crate::config) master_key: Option<Sha256>,
    /// Origins that are allowed to call the realm from a browser.
    pub origins: Origins,
    pub require_origin: bool,
    pub users: UserRules,
    pub(in crate::config) _sealed: Sealed,
}

impl Realm {
    /// Returns the directories and signing keys: those of access tokens, and those of ID tokens if the realm issues ID tokens.
    pub fn keys_dirs(&self) -> impl Iterator<Item = (&KeysDir, &token::SigningKeys)> {
        let id = self.id_keys_dir.as_ref().zip(self.tokens.id_keys.as_ref());
        std::iter::once((&self.keys_dir, &self.tokens.keys)).chain(id)
    }

    /// Returns the query parameter with the API key. `None` in a realm without API keys, which forwards the whole query.
    #[must_use]
    pub fn key_query(&self) -> Option<&str> {
        self.key_query.as_deref().filter(|_| self.has_api_keys())
    }

    /// Returns the header with the API key. `None` in a realm without API keys, which forwards the header.
    #[must_use]
    pub fn key_header(&self) -> Option<&HeaderName> {
        self.key_header.as_ref().filter(|_| self.has_api_keys())
    }

    #[must_use]
    pub fn has_api_keys(&self) -> bool {
        !self.api_keys.is_empty()
    }

    /// Returns the API key with this secret. The lookup uses the hash, so that its time reveals nothing about the secrets.
    #[must_use]
    pub fn api_key(&self, secret: &str) -> Option<&Arc<ApiKey>> {
        self.api_keys.get(&Sha256::new(secret))
    }

    /// Returns whether the API key with this secret is enabled and not expired at `now` (Unix seconds).
    #[must_use]
    pub fn is_api_key_valid(&self, secret: &Sha256, now: i64) -> bool {
        self.api_keys.get(secret).is_some_and(|key| !key.disabled && !key.expired(now))
    }

    /// Returns the API keys in the order of their ids.
    #[must_use]
    pub fn api_keys(&self) -> Vec<&ApiKey> {
        let mut keys: Vec<&ApiKey> = self.api_keys.values().map(|key| &**key).collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys
    }

    #[must_use]
    pub const fn has_master_key(&self) -> bool {
        self.master_key.is_some()
    }

    /// Returns whether this is the master key. False if the realm has none.
    #[must_use]
    pub fn is_master_key(&self, secret: &str) -> bool {
        self.master_key == Some(Sha256::new(secret))
    }

    /// Makes a realm `examples` with a signing key and without requirements for requests.
    #[cfg(test)]
    pub(crate) fn for_tests(registration_open: bool, same_site: SameSite, partitioned: bool) -> Self {
        Self {
            _sealed: Sealed(()),
            id_keys_dir: None,
            keys_dir: KeysDir::for_tests(std::path::Path::new(""), token::Algorithm::HS256),
            index: 0,
            name: "examples".into(),
            tokens: token::TokenSettings {
                issuer: "https://gate.example.com".into(),
                audience: "examples".into(),
                leeway: 5,
                keys: token::SigningKeys::new(
                    token::Algorithm::HS256,
                    vec![token::SigningKey::generate(token::Algorithm::HS256, 1, 1).unwrap()],
                )
                .unwrap(),
                id_keys: None,
                trusted: Vec::new(),
            },
            token_ttl: Duration::from_secs(30 * 24 * 60 * 60),
            cookie: CookieSpec {
                _sealed: Sealed(()),
                name: "__Host-examples".into(),
                same_site,
                secure: true,
                partitioned,
            },
            require_key: false,
            key_query: None,
            key_header: None,
            api_keys: HashMap::default(),
            master_key: None,
            origins: Origins::default(),
            require_origin: false,
            users: UserRules::for_tests(registration_open),
        }
    }

    /// Lets users change their names.
    #[cfg(test)]
    pub(crate) fn with_self_rename(mut self) -> Self {
        self.users.self_rename = true;
        self
    }
}
