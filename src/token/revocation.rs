//! The revoked tokens that have not expired, in memory: what the guard asks on every request.
//!
//! A reader takes no lock. A writer copies one of 256 shards, so that one more revocation costs little however many
//! there are: with a million, a shard holds some four thousand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{Marks, TokenId};

/// Token ids with the Unix second after which each may be forgotten.
#[derive(Debug)]
pub struct Revocations {
    shards: Vec<ArcSwap<HashMap<TokenId, i64>>>,
    /// Held by writers only: two of them must not copy the same shard.
    writing: Mutex<()>,
}

impl Revocations {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| ArcSwap::default()).collect(), writing: Mutex::new(()) }
    }

    /// Whether a token with these marks was revoked.
    #[must_use]
    pub fn contain(&self, marks: &Marks) -> bool {
        self.has(marks.token) || marks.session.is_some_and(|session| self.has(session))
    }

    fn has(&self, token: TokenId) -> bool {
        self.shards[shard(token)].load().contains_key(&token)
    }

    /// Adds tokens, each with the second when it would have expired by itself.
    pub fn extend(&self, tokens: impl IntoIterator<Item = (TokenId, i64)>) {
        let mut by_shard: HashMap<usize, Vec<(TokenId, i64)>> = HashMap::new();
        for (token, expires_at) in tokens {
            by_shard.entry(shard(token)).or_default().push((token, expires_at));
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, added) in by_shard {
            let mut map = HashMap::clone(&self.shards[index].load());
            map.extend(added);
            self.shards[index].store(Arc::new(map));
        }
    }

    /// Forgets what has expired before `now`.
    pub fn sweep(&self, now: i64) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for cell in &self.shards {
            let map = cell.load();
            if map.values().any(|expires_at| *expires_at < now) {
                let kept = map.iter().filter(|(_, at)| **at >= now).map(|(token, at)| (*token, *at)).collect();
                cell.store(Arc::new(kept));
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.load().len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self::new()
    }
}

/// Token ids are random, so any eight of their bits spread them evenly.
const fn shard(token: TokenId) -> usize {
    (token.0 % SHARDS) as usize
}

const SHARDS: u128 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_added_until_it_expires() {
        let revoked = Revocations::new();
        let tokens: Vec<_> = (0..1000).map(|n| (TokenId(n * 7), i64::try_from(n).unwrap())).collect();
        revoked.extend(tokens.iter().copied());
        revoked.extend(tokens.iter().copied());
        assert_eq!(revoked.len(), 1000);
        assert!(tokens.iter().all(|(token, _)| revoked.has(*token)));
        assert!(!revoked.has(TokenId(1)));
        revoked.sweep(500);
        assert_eq!(revoked.len(), 500);
        assert!(!revoked.has(TokenId(499 * 7)));
        assert!(revoked.has(TokenId(500 * 7)), "still refused in its last second");
    }
}
