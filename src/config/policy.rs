//! What the gate enforces: realms, logins and routes, valid by construction.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use foldhash::fast::RandomState;
use http::header::{HeaderName, HeaderValue};

use super::key_sets::PublishedJwks;
use super::keys_dir::KeysDir;
use super::limits::Limits;
use super::log::Log;
use super::origin::Origins;
use super::route::RouteTable;
use super::tls::TlsSettings;
use super::user_rules::UserRules;
use crate::quota::{Quota, RateLimiter};
use crate::token;

/// One generation of everything hot. A request is judged by one of these from beginning to end. The default one has no
/// routes: it refuses everything.
#[derive(Debug, Default)]
pub struct Policy {
    pub(super) log: Log,
    pub(super) realms: Vec<Arc<Realm>>,
    pub(super) routing: RouteTable,
    /// Every realm's cookie name: none of them is for any upstream.
    pub(super) cookie_names: Vec<String>,
    pub(super) key_sets: PublishedJwks,
    pub(super) limits: Limits,
    pub(super) tls: Option<Arc<TlsSettings>>,
}

impl Policy {
    /// What is written down.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// Every realm, in the order of the file.
    #[must_use]
    pub fn realms(&self) -> &[Arc<Realm>] {
        &self.realms
    }

    /// The realm of this name.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<&Arc<Realm>> {
        self.realms.iter().find(|realm| realm.name == name)
    }

    /// The keys of a trusted issuer that come from this source.
    pub(super) fn trusted_keys(
        &self,
        issuer: &str,
        source: &token::KeySource,
        algorithms: &[token::Algorithm],
    ) -> Option<Arc<token::IssuerKeys>> {
        let mut issuers = self.realms.iter().flat_map(|realm| &realm.tokens.trusted);
        let fits = |other: &&token::TrustedIssuer| *other.name == *issuer && other.keys.matches(source, algorithms);
        issuers.find(fits).map(|issuer| issuer.keys.clone())
    }

    /// The keys of a trusted issuer that come from the same place as these, though fetched in another way or read for other
    /// algorithms.
    pub(super) fn keys_from_same_source(&self, issuer: &str, source: &token::KeySource) -> Option<&token::IssuerKeys> {
        let mut issuers = self.realms.iter().flat_map(|realm| &realm.tokens.trusted);
        let fits = |other: &&token::TrustedIssuer| *other.name == *issuer && other.keys.source().is_same_place(source);
        issuers.find(fits).map(|issuer| &*issuer.keys)
    }

    /// Who answers where.
    #[must_use]
    pub const fn routing(&self) -> &RouteTable {
        &self.routing
    }

    /// The key set that is published at this path, if one is: JSON.
    #[must_use]
    pub fn jwks_at(&self, path: &str) -> Option<&Bytes> {
        self.key_sets.at(path)
    }

    /// Whether a path in which every escape was decoded may be that of a key set to some reader, if it is not to this gate.
    #[must_use]
    pub fn key_set_may_be_meant(&self, path: &[u8]) -> bool {
        PublishedJwks::may_be_meant(path)
    }

    /// What a client may take up.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was used of the API keys of a realm, by their ids.
    pub(super) fn api_key_limiters(&self, realm: &str) -> HashMap<&str, &Arc<RateLimiter>> {
        let keys = self.realm(realm).into_iter().flat_map(|realm| realm.api_keys.values());
        keys.map(|key| (&*key.id, &key.meter)).collect()
    }

    /// How connections of clients are encrypted, if they are.
    #[must_use]
    pub const fn tls(&self) -> Option<&Arc<TlsSettings>> {
        self.tls.as_ref()
    }

    /// The cookie names of all realms.
    #[must_use]
    pub fn cookie_names(&self) -> &[String] {
        &self.cookie_names
    }
}

/// The most that a realm's `leeway` can be. Under a later policy too, no token counts any more when so much time has
/// passed since its `exp`, and then its revocation may be forgotten.
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// The most that a realm's `token_ttl` can be: no token of ours lives longer, under whichever policy it was signed.
pub const MAX_TTL: Duration = Duration::from_secs(3650 * 86_400);

/// `[[realm]]`: one set of users, API keys, allowed origins and token rules.
#[derive(Debug)]
pub struct Realm {
    /// Its place in the file.
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) tokens: token::TokenSettings,
    pub(super) keys_dir: KeysDir,
    pub(super) id_keys_dir: Option<KeysDir>,
    pub(super) token_ttl: Duration,
    pub(super) cookie: CookieSpec,
    pub(super) require_key: bool,
    pub(super) key_query: Option<String>,
    pub(super) key_header: Option<HeaderName>,
    pub(super) api_keys: HashMap<Sha256, Arc<ApiKey>, RandomState>,
    pub(super) master_key: Option<Sha256>,
    pub(super) origins: Origins,
    pub(super) require_origin: bool,
    pub(super) users: UserRules,
}

impl Realm {
    /// Its name, `X-Auth-Realm` upstream.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells it from the other realms of its policy.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.number
    }

    /// How its tokens are signed and verified.
    #[must_use]
    pub const fn tokens(&self) -> &token::TokenSettings {
        &self.tokens
    }

    /// Where its signing keys are kept.
    #[must_use]
    pub const fn keys_dir(&self) -> &KeysDir {
        &self.keys_dir
    }

    /// Where it keeps all of its keys: those that sign access tokens, and those that sign ID tokens, if it has such.
    pub fn keys_dirs(&self) -> impl Iterator<Item = (&KeysDir, &token::SigningKeys)> {
        let id = self.id_keys_dir.as_ref().zip(self.tokens.id_keys.as_ref());
        std::iter::once((&self.keys_dir, &self.tokens.keys)).chain(id)
    }

    /// How long a token lives.
    #[must_use]
    pub const fn token_ttl(&self) -> Duration {
        self.token_ttl
    }

    /// The cookie that carries one.
    #[must_use]
    pub const fn cookie(&self) -> &CookieSpec {
        &self.cookie
    }

    /// Whether every request needs an API key.
    #[must_use]
    pub const fn requires_key(&self) -> bool {
        self.require_key
    }

    /// The member of the query that may be an API key; `None` in a realm without keys, where the whole query is the app's.
    #[must_use]
    pub fn key_query(&self) -> Option<&str> {
        self.key_query.as_deref().filter(|_| self.has_api_keys())
    }

    /// The header that may be an API key; `None` in a realm without keys, where every such header is the app's.
    #[must_use]
    pub fn key_header(&self) -> Option<&HeaderName> {
        self.key_header.as_ref().filter(|_| self.has_api_keys())
    }

    /// Whether it has any API key at all.
    #[must_use]
    pub fn has_api_keys(&self) -> bool {
        !self.api_keys.is_empty()
    }

    /// The API key with this secret. Looked up by hash, so that the time taken says nothing about the secrets.
    #[must_use]
    pub fn api_key(&self, secret: &str) -> Option<&Arc<ApiKey>> {
        self.api_keys.get(&Sha256::new(secret))
    }

    /// Whether the key of this secret opens anything at `now` (Unix seconds).
    #[must_use]
    pub fn is_api_key_valid(&self, secret: &Sha256, now: i64) -> bool {
        self.api_keys.get(secret).is_some_and(|key| !key.disabled && !key.expired(now))
    }

    /// Every API key, in the order of their ids.
    #[must_use]
    pub fn api_keys(&self) -> Vec<&ApiKey> {
        let mut keys: Vec<&ApiKey> = self.api_keys.values().map(|key| &**key).collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys
    }

    /// Whether it has a master key.
    #[must_use]
    pub const fn has_master_key(&self) -> bool {
        self.master_key.is_some()
    }

    /// Whether this is the realm's master key. Without one configured, nothing is.
    #[must_use]
    pub fn is_master_key(&self, secret: &str) -> bool {
        self.master_key == Some(Sha256::new(secret))
    }

    /// Who may call it from a browser.
    #[must_use]
    pub const fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Whether a request without `Origin` is refused.
    #[must_use]
    pub const fn requires_origin(&self) -> bool {
        self.require_origin
    }

    /// What its users may do about themselves.
    #[must_use]
    pub const fn users(&self) -> &UserRules {
        &self.users
    }

    /// A realm `examples` with a key of its own, that asks nothing of a request.
    #[cfg(test)]
    pub(crate) fn for_tests(registration_open: bool, same_site: SameSite, partitioned: bool) -> Self {
        Self {
            id_keys_dir: None,
            keys_dir: KeysDir::for_tests(std::path::Path::new(""), token::Algorithm::HS256),
            number: 0,
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
            cookie: CookieSpec { name: "__Host-examples".into(), same_site, secure: true, partitioned },
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

    /// The same, whose users name themselves.
    #[cfg(test)]
    pub(crate) fn with_self_rename(mut self) -> Self {
        self.users.self_rename = true;
        self
    }
}

/// `[[realm.key]]`. Its secret is kept as a hash only.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub(super) id: String,
    /// The id again, as the app gets it.
    pub(super) header: HeaderValue,
    pub(super) secret: Sha256,
    /// Unix seconds.
    pub(super) expires_at: Option<i64>,
    pub(super) disabled: bool,
    pub(super) quota: Quota,
    /// Kept over a reload for the key of the same realm and id.
    pub(super) meter: Arc<RateLimiter>,
}

impl ApiKey {
    /// Whether `text` can be the id of a key: it stands in logs and in lists, so it is one plain word.
    #[must_use]
    pub fn is_valid_id(text: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(plain)
    }

    /// Its name, for people.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `X-Auth-Key-Id`
    #[must_use]
    pub const fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// By what it is known.
    #[must_use]
    pub const fn secret(&self) -> Sha256 {
        self.secret
    }

    /// How many requests may carry it.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// How many did.
    #[must_use]
    pub const fn limiter(&self) -> &Arc<RateLimiter> {
        &self.meter
    }

    /// When it expires, in Unix seconds, if ever.
    #[must_use]
    pub const fn expires_at(&self) -> Option<i64> {
        self.expires_at
    }

    /// Whether it is switched off.
    #[must_use]
    pub const fn disabled(&self) -> bool {
        self.disabled
    }

    /// Whether it has expired at `now` (Unix seconds).
    #[must_use]
    pub fn expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }
}

/// SHA-256 of a secret that is itself random. For those a slow hash would only slow down every request
/// (SECURITY.md R41).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The hash of `secret`.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// Reads 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        // Every digit is looked at, since `from_str_radix` takes a sign, too.
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sha256(…)")
    }
}

/// The realm's cookie.
#[derive(Clone, Debug)]
pub struct CookieSpec {
    pub(super) name: String,
    pub(super) same_site: SameSite,
    pub(super) secure: bool,
    pub(super) partitioned: bool,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent from every site.
    None,
    /// Sent from other sites with top-level navigation only.
    Lax,
    /// Never sent from other sites.
    Strict,
}

impl CookieSpec {
    /// Its name, compared case-sensitively.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its `SameSite`.
    #[must_use]
    pub const fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// Whether it is `Secure`: browsers take and send it over HTTPS only, and over HTTP on a loopback address.
    #[must_use]
    pub const fn secure(&self) -> bool {
        self.secure
    }

    /// Whether it is `Partitioned` (CHIPS).
    #[must_use]
    pub const fn partitioned(&self) -> bool {
        self.partitioned
    }
}

const MAX_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_plain_word() {
        for (text, good) in
            [("web", true), ("web-2_a.b", true), ("", false), ("a b", false), ("é", false), ("a\n", false)]
        {
            assert_eq!(ApiKey::is_valid_id(text), good, "{text}");
        }
        assert!(!ApiKey::is_valid_id(&"a".repeat(65)));
    }

    #[test]
    fn sha256_reads_what_it_writes() {
        let hash = Sha256::new("abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_hex(), hex);
        assert_eq!(Sha256::from_hex(hex), Some(hash));
        assert_eq!(Sha256::from_hex(&hex.to_uppercase()), Some(hash));
        for bad in ["", &hex[1..], "zz", &hex.replace('b', "+"), &"é".repeat(32)] {
            assert_eq!(Sha256::from_hex(bad), None);
        }
    }
}
