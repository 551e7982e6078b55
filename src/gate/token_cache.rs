//! The token cache: a known token costs a look-up and not a signature check.
//!
//! Only verified tokens are cached: a forged token finds nothing, leaves nothing, and evicts nothing. A cached token is
//! valid only after a check of its times, of its issuer's keys, and, by the caller, of revocations.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, Weighter};

use super::identity::IdentityHeaders;
use crate::config::Policy;
use crate::token::{Claims, RevocationKeys, TokenSettings, VerifiedToken};

/// The principal of a verified token, with its headers.
#[derive(Debug)]
pub struct Principal {
    accepted: VerifiedToken,
    identity: IdentityHeaders,
    /// One for each audience in use. Most tokens have none.
    assertions: ArcSwapOption<Vec<Assertion>>,
}

#[derive(Clone, Debug)]
struct Assertion {
    audience: Arc<str>,
    /// Unix seconds.
    minted_at: i64,
    value: HeaderValue,
}

impl Principal {
    /// Returns `None` if a claim is not a valid header value.
    pub(super) fn new(accepted: VerifiedToken, realm: &str) -> Option<Self> {
        let issuer = accepted.issuer.as_ref().map(|by| &*by.issuer);
        let identity = IdentityHeaders::from_claims(&accepted.claims, realm, issuer)?;
        Some(Self { accepted, identity, assertions: ArcSwapOption::empty() })
    }

    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.accepted.claims
    }

    /// Its revocation keys.
    #[must_use]
    pub const fn marks(&self) -> &RevocationKeys {
        &self.accepted.marks
    }

    /// Returns the issuer of the token, if it is not the realm.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.accepted.issuer.as_ref().map(|by| &*by.issuer)
    }

    #[must_use]
    pub const fn identity(&self) -> &IdentityHeaders {
        &self.identity
    }

    /// Returns whether it is valid at `now`, if it was not revoked.
    #[must_use]
    pub fn is_valid_at(&self, now: i64) -> bool {
        self.accepted.is_valid_at(now)
    }

    /// Returns whether a later policy still has the key that signed it.
    #[must_use]
    pub fn is_key_trusted(&self, policy: &Policy, realm: &str, now: i64) -> bool {
        policy.realm(realm).is_some_and(|realm| realm.tokens.still_trust(&self.accepted, now))
    }

    /// Returns the realm's assertion for the application `audience`. Signed twice in the lifetime of one, not for every
    /// request. `None` if signing fails.
    pub(super) fn assertion(
        &self,
        rules: &TokenSettings,
        realm: &str,
        audience: &Arc<str>,
        now: i64,
    ) -> Option<HeaderValue> {
        let minted = self.assertions.load();
        let fresh = |assertion: &&Assertion| {
            assertion.audience == *audience && (0..ASSERTION_REUSED_SECONDS).contains(&(now - assertion.minted_at))
        };
        let minted = minted.as_deref().map_or(&[][..], Vec::as_slice);
        if let Some(assertion) = minted.iter().find(fresh) {
            return Some(assertion.value.clone());
        }
        let mut value = HeaderValue::try_from(rules.assert(&self.accepted, realm, audience, now).ok()?).ok()?;
        value.set_sensitive(true);
        let assertion = Assertion { audience: audience.clone(), minted_at: now, value: value.clone() };
        let others = minted.iter().filter(|other| other.audience != *audience).cloned();
        self.assertions.store(Some(Arc::new(others.chain([assertion]).collect())));
        Some(value)
    }
}

/// The verified tokens, as many as fit into a number of bytes.
#[derive(Debug)]
pub struct TokenCache {
    /// `None`: none are kept.
    cache: Option<Cache<CacheKey, Arc<Principal>, Bytes, DefaultHashBuilder, Evictions>>,
    hits: AtomicU64,
    misses: AtomicU64,
    evicted: Evictions,
}

impl TokenCache {
    /// Creates a cache for tokens and identities of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let expected = usize::try_from(bytes / EXPECTED_BYTES).unwrap_or(usize::MAX);
        let evicted = Evictions::default();
        let cache = || Cache::with(expected.max(1), bytes, Bytes, DefaultHashBuilder::default(), evicted.clone());
        let cache = (bytes > 0).then(cache);
        Self { cache, hits: AtomicU64::new(0), misses: AtomicU64::new(0), evicted }
    }

    /// Returns the principal of `token`, if it was verified under this generation of the policy, in the realm of this
    /// number.
    pub(super) fn get(&self, generation: u64, realm: u32, token: &str) -> Option<Arc<Principal>> {
        let found = self.cache.as_ref().and_then(|cache| cache.get(&CacheKeyRef { generation, realm, token }));
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(super) fn insert(&self, generation: u64, realm: u32, token: &str, principal: Principal) -> Arc<Principal> {
        let principal = Arc::new(principal);
        if let Some(cache) = &self.cache {
            cache.insert(CacheKey { generation, realm, token: token.into() }, principal.clone());
        }
        principal
    }

    /// Forgets all of them. They would not be found under a new generation anyway, and only take up room.
    pub fn clear(&self) {
        if let Some(cache) = &self.cache {
            cache.clear();
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::len)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of look-ups with a result.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Number of look-ups without a result.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Number of evicted tokens.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evicted.0.load(Ordering::Relaxed)
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.cache.as_ref().map_or(0, Cache::weight)
    }
}

/// R27, R28: the whole token with its realm and generation, not a hash of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CacheKey {
    generation: u64,
    realm: u32,
    token: Box<str>,
}

/// A borrowed [`CacheKey`]. Has the same hash.
#[derive(Hash)]
struct CacheKeyRef<'t> {
    generation: u64,
    realm: u32,
    token: &'t str,
}

impl Equivalent<CacheKey> for CacheKeyRef<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        self.generation == key.generation && self.realm == key.realm && *self.token == *key.token
    }
}

/// Counts evictions.
#[derive(Clone, Debug, Default)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<CacheKey, Arc<Principal>> for Evictions {
    type RequestState = ();

    fn on_evict(&self, _: &mut (), _: CacheKey, _: Arc<Principal>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<CacheKey, Arc<Principal>> for Bytes {
    fn weight(&self, key: &CacheKey, principal: &Arc<Principal>) -> u64 {
        let claims = principal.claims();
        let texts = [Some(&claims.subject), claims.username.as_ref(), claims.email.as_ref()];
        let texts = texts.into_iter().flatten().chain(&claims.roles).map(String::len).sum::<usize>();
        // Each text is there twice: in the claims and in a header. An assertion holds them once more, encoded.
        (FIXED_BYTES + key.token.len() + 4 * texts + ROLE_BYTES * claims.roles.len()) as u64
    }
}

/// Half of its lifetime, so that an application has at least half a minute.
const ASSERTION_REUSED_SECONDS: i64 = 30;
/// The structures around the texts, an assertion's other claims and its signature.
const FIXED_BYTES: usize = 1536;
/// A `String`, and the least that it takes on the heap.
const ROLE_BYTES: usize = 64;
const EXPECTED_BYTES: u64 = 2560;

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hasher as _};

    use super::*;
    use crate::token::{Algorithm, SigningKey, SigningKeys, TokenError, TokenId};

    fn rules() -> TokenSettings {
        TokenSettings {
            issuer: "https://gate.example".into(),
            audience: "examples".into(),
            leeway: 0,
            keys: SigningKeys::new(Algorithm::HS256, vec![SigningKey::generate(Algorithm::HS256, 1, 1).unwrap()])
                .unwrap(),
            id_keys: None,
            trusted: Vec::new(),
        }
    }

    fn token(rules: &TokenSettings, subject: &str) -> String {
        let claims = Claims {
            token_id: TokenId::random(),
            subject: subject.into(),
            username: None,
            email: None,
            roles: vec!["reader".into()],
            session: None,
            mfa: false,
            issued_at: 1000,
            expires_at: 2000,
        };
        rules.mint(&claims).unwrap()
    }

    fn principal(rules: &TokenSettings, token: &str) -> Principal {
        Principal::new(rules.verify(token, 1000).unwrap(), "examples").unwrap()
    }

    #[test]
    fn r27_found_only_under_the_rules_that_verified_it() {
        let (rules, known) = (rules(), TokenCache::new(1 << 20));
        let token = token(&rules, "u");
        known.insert(1, 0, &token, principal(&rules, &token));
        assert!(known.get(1, 0, &token).unwrap().is_valid_at(1999));
        assert!(!known.get(1, 0, &token).unwrap().is_valid_at(2000), "expired since");
        assert!(!known.get(1, 0, &token).unwrap().is_valid_at(999), "the clock was set back");
        assert!(known.get(2, 0, &token).is_none(), "another policy");
        assert!(known.get(1, 1, &token).is_none(), "another realm");
        assert!(known.get(1, 0, &token[..token.len() - 1]).is_none());
        assert!(known.get(1, 0, &format!("{token}A")).is_none());
        assert_eq!((known.hits(), known.misses()), (3, 4));
        known.clear();
        assert!(known.is_empty() && known.get(1, 0, &token).is_none());
    }

    #[test]
    fn it_holds_what_it_may_and_no_more() {
        let (rules, known) = (rules(), TokenCache::new(256 << 10));
        for number in 0..2000 {
            let token = token(&rules, &number.to_string());
            known.insert(1, 0, &token, principal(&rules, &token));
            assert!(known.bytes() <= 256 << 10);
        }
        assert!(known.len() > 50, "{}", known.len());
        assert_eq!(known.evictions(), 2000 - known.len() as u64);
        let none = TokenCache::new(0);
        let token = token(&rules, "u");
        assert_eq!(none.insert(1, 0, &token, principal(&rules, &token)).claims().subject, "u");
        assert!(none.get(1, 0, &token).is_none());
    }

    #[test]
    fn an_assertion_is_signed_anew_in_time_and_opens_nothing_here() {
        let rules = rules();
        let principal = principal(&rules, &token(&rules, "u"));
        let (app, other): (Arc<str>, Arc<str>) = ("app".into(), "other".into());
        let sign = |audience, now| principal.assertion(&rules, "examples", audience, now).unwrap();
        let first = sign(&app, 1000);
        assert_ne!(sign(&other, 1000), first);
        assert_eq!(sign(&app, 1029), first);
        assert_eq!(sign(&app, 1000), first);
        assert_ne!(sign(&app, 1030), first);
        assert_ne!(sign(&app, 990), first, "one from the future is nobody's");
        let text = first.to_str().unwrap();
        assert_eq!(rules.verify(text, 1000).unwrap_err(), TokenError::Type, "R29");
    }

    #[test]
    fn r27_r28_nothing_of_it_is_left_out_of_the_comparison() {
        let key = CacheKey { generation: 1, realm: 2, token: "t".into() };
        let asks = |generation, realm, token| CacheKeyRef { generation, realm, token }.equivalent(&key);
        assert!(asks(1, 2, "t"));
        assert!(!asks(2, 2, "t") && !asks(1, 1, "t") && !asks(1, 2, "u") && !asks(0, 0, "t") && !asks(0, 2, "u"));
        let hash = |asked: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            asked(&mut hasher);
            hasher.finish()
        };
        let asked = CacheKeyRef { generation: 1, realm: 2, token: "t" };
        assert_eq!(hash(&|hasher| key.hash(hasher)), hash(&|hasher| asked.hash(hasher)), "else nothing is ever found");
    }

    #[test]
    fn what_it_takes_up_is_counted_and_so_is_what_it_knows() {
        let (rules, known) = (rules(), TokenCache::new(1 << 20));
        assert!(known.is_empty() && known.bytes() == 0);
        let token = token(&rules, "u");
        known.insert(1, 0, &token, principal(&rules, &token));
        assert_eq!((known.len(), known.is_empty()), (1, false));
        // The texts are "u" and "reader", four times each, and one role.
        assert_eq!(known.bytes(), 1536 + token.len() as u64 + 4 * 7 + 64);
        assert_eq!((known.evictions(), known.hits(), known.misses()), (0, 0, 0));
        let none = TokenCache::new(0);
        assert_eq!((none.len(), none.bytes()), (0, 0));
        none.clear();
    }

    #[test]
    fn an_assertion_for_another_app_is_kept() {
        let rules = rules();
        let principal = principal(&rules, &token(&rules, "u"));
        let (app, other): (Arc<str>, Arc<str>) = ("app".into(), "other".into());
        let sign = |audience, now| principal.assertion(&rules, "examples", audience, now).unwrap();
        let (first, second) = (sign(&app, 1000), sign(&other, 1000));
        let third = sign(&app, 1030);
        assert_eq!((sign(&other, 1005), sign(&app, 1031)), (second, third.clone()));
        assert_ne!(third, first);
        assert_eq!(principal.assertions.load().as_ref().unwrap().len(), 2, "one for each app");
    }
}
