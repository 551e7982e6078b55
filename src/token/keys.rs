//! The signing keys of a realm: which one is active, and until when a replaced one verifies.

use super::Algorithm;
use super::signing_key::{KeyError, SigningKey};

/// A realm's signing keys: at least one can sign, no two have the same id.
#[derive(Debug)]
pub struct SigningKeys {
    algorithm: Algorithm,
    keys: Vec<SigningKey>,
}

impl SigningKeys {
    /// Keys of `algorithm` are active one after the other; every key verifies.
    ///
    /// # Errors
    /// There is no key of `algorithm`, or two have the same id.
    pub fn new(algorithm: Algorithm, mut keys: Vec<SigningKey>) -> Result<Self, KeyError> {
        keys.sort_by(|a, b| b.order().cmp(&a.order()));
        if signing(&keys, algorithm, 0).is_none() {
            return Err(KeyError::Malformed("there is no key of the realm's algorithm"));
        }
        let mut kids: Vec<_> = keys.iter().map(SigningKey::kid).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(KeyError::Malformed("two keys have the same \"kid\""));
        }
        Ok(Self { algorithm, keys })
    }

    /// Every key; the latest comes first.
    #[must_use]
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// The key that signs at `at` (Unix seconds).
    #[must_use]
    pub fn active_key(&self, at: i64) -> &SigningKey {
        // `new` has found one.
        signing(&self.keys, self.algorithm, at).unwrap_or(&self.keys[0])
    }

    pub(super) fn by_id(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| *key.kid == *kid)
    }
}

/// Returns the active key of `keys` for `algorithm` at `at` (Unix seconds): the latest one whose time has come. Before
/// that the earliest one: without an active key no login would succeed.
pub fn signing<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    algorithm: Algorithm,
    at: i64,
) -> Option<&'a SigningKey> {
    let (begun, waiting): (Vec<_>, Vec<_>) =
        keys.into_iter().filter(|key| key.algorithm() == algorithm).partition(|key| key.signs_from <= at);
    begun.into_iter().max_by_key(|key| key.order()).or_else(|| waiting.into_iter().min_by_key(|key| key.order()))
}

/// Returns the Unix second after which no token of `key`, one of `keys`, is valid, if it signs no more, tokens live for
/// at most `token_ttl` seconds, and `exp` is checked with `leeway`. `None` while no later key is active at `at`.
pub fn verification_end<'a>(
    key: &SigningKey,
    keys: impl IntoIterator<Item = &'a SigningKey>,
    token_ttl: i64,
    leeway: i64,
    at: i64,
) -> Option<i64> {
    let later = keys.into_iter().filter(|other| other.order() > key.order() && other.signs_from <= at);
    let replaced = later.map(|other| other.signs_from).min()?;
    // A `token_ttl` that was lowered must not end the tokens of before.
    let token_ttl = key.token_ttl.max(token_ttl);
    Some(replaced.max(key.signs_until).saturating_add(token_ttl).saturating_add(leeway))
}

#[cfg(test)]
mod tests;
