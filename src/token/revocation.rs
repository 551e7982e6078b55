//! Revocations in force, in memory. Every request checks them.
//!
//! A reader takes no lock. A writer copies one of 256 shards, so that one more revocation costs little: with a million,
//! a shard holds about four thousand. Entries are packed into 32-bit words: a million take 44 MB, and for a token that
//! is not revoked one look-up in a table of one byte per entry is enough.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{AccountId, RevocationKeys, TokenId};

/// Ids of tokens and sessions, and accounts of which everything that was issued up to some second is refused; each
/// with the Unix second after which it may be forgotten.
#[derive(Debug, Default)]
pub struct Revocations {
    ids: Shards<Single>,
    accounts: Shards<CutOff>,
}

impl Revocations {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether a token with these revocation keys was revoked.
    #[must_use]
    pub fn contains(&self, marks: &RevocationKeys) -> bool {
        self.ids.get(marks.token.0).is_some()
            || marks.session.is_some_and(|session| self.ids.get(session.0).is_some())
            || self.cut_off_until(marks.account).is_some_and(|until| marks.issued_at <= until)
            || self.cut_off_until(marks.everyone).is_some_and(|until| marks.issued_at <= until)
    }

    /// Returns the last Unix second up to which all tokens of the account are refused.
    fn cut_off_until(&self, account: AccountId) -> Option<i64> {
        self.accounts.get(account.0).map(|cut| i64::from(cut.until))
    }

    /// Adds tokens and sessions, each with the second when it would have expired by itself.
    pub fn extend(&self, ids: impl IntoIterator<Item = (TokenId, i64)>) {
        self.ids.extend(ids.into_iter().map(|(id, expires_at)| (id.0, Single { expires_at: seconds(expires_at) })));
    }

    /// Adds accounts: the last second whose tokens are refused, and the second when the last of them expires. Replaces
    /// an earlier cut-off of the same account; a later one stays.
    pub fn revoke_subject(&self, accounts: impl IntoIterator<Item = (AccountId, i64, i64)>) {
        self.accounts.extend(accounts.into_iter().map(|(account, until, expires_at)| {
            (account.0, CutOff { until: seconds(until), expires_at: seconds(expires_at) })
        }));
    }

    /// Deletes entries that have expired before `now`.
    pub fn purge_expired(&self, now: i64) {
        self.ids.sweep(seconds(now));
        self.accounts.sweep(seconds(now));
    }

    /// Returns the number of entries: ids and accounts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len() + self.accounts.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A map from 128 bits that are random, in parts that are replaced as a whole.
#[derive(Debug)]
struct Shards<V> {
    shards: Vec<ArcSwap<Map<V>>>,
    /// Held by writers only: two of them must not copy the same shard.
    writing: Mutex<()>,
}

type Map<V> = HashMap<Bits, V, AsItIs>;

impl<V: Entry> Shards<V> {
    fn get(&self, bits: u128) -> Option<V> {
        self.shards[shard(bits)].load().get(&Bits::from_bits(bits)).copied()
    }

    fn extend(&self, entries: impl Iterator<Item = (u128, V)>) {
        let mut by_shard: HashMap<usize, Vec<(u128, V)>> = HashMap::new();
        for (bits, entry) in entries {
            by_shard.entry(shard(bits)).or_default().push((bits, entry));
        }
        for (index, added) in by_shard {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut map = Map::clone(&self.shards[index].load());
            for (bits, entry) in added {
                map.entry(Bits::from_bits(bits)).and_modify(|known| *known = known.joined(entry)).or_insert(entry);
            }
            self.shards[index].store(Arc::new(map));
        }
    }

    fn sweep(&self, now: u32) {
        for cell in &self.shards {
            // Locks one shard at a time: a logout waits for that only.
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let map = cell.load();
            if map.values().any(|entry| entry.expires_at() < now) {
                let mut kept = Map::clone(&map);
                kept.retain(|_, entry| entry.expires_at() >= now);
                kept.shrink_to_fit();
                cell.store(Arc::new(kept));
            }
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.load().len()).sum()
    }
}

impl<V> Default for Shards<V> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| ArcSwap::default()).collect(), writing: Mutex::default() }
    }
}

/// The entry of one id or account.
trait Entry: Copy {
    /// The second from which the entry is not needed.
    fn expires_at(self) -> u32;

    /// Merges two entries of the same key.
    fn joined(self, other: Self) -> Self;
}

/// A token or a session.
#[derive(Clone, Copy, Debug)]
struct Single {
    expires_at: u32,
}

impl Entry for Single {
    fn expires_at(self) -> u32 {
        self.expires_at
    }

    fn joined(self, other: Self) -> Self {
        Self { expires_at: self.expires_at.max(other.expires_at) }
    }
}

/// An account, with the last second whose tokens are refused.
#[derive(Clone, Copy, Debug)]
struct CutOff {
    until: u32,
    expires_at: u32,
}

impl Entry for CutOff {
    fn expires_at(self) -> u32 {
        self.expires_at
    }

    fn joined(self, other: Self) -> Self {
        Self { until: self.until.max(other.until), expires_at: self.expires_at.max(other.expires_at) }
    }
}

/// 128 bits in words of four bytes: as a `u128` they would make each entry a multiple of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bits([u32; 4]);

impl Bits {
    #[allow(clippy::cast_possible_truncation, reason = "taking words apart is what this is for")]
    const fn from_bits(bits: u128) -> Self {
        Self([bits as u32, (bits >> 32) as u32, (bits >> 64) as u32, (bits >> 96) as u32])
    }
}

impl Hash for Bits {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // Both halves: each of a UUID's has bits that are the same in all of them.
        let [a, b, c, d] = self.0.map(u64::from);
        hasher.write_u64((a ^ c) | (b ^ d) << 32);
    }
}

/// Random values and hashes need no further hashing.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs;

impl BuildHasher for AsItIs {
    type Hasher = Same;

    fn build_hasher(&self) -> Same {
        Same(0)
    }
}

struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // `Bits` writes one number; this is for whatever else there may be one day.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Unix seconds in 32 bits. Times after the year 2106 become 2106 and are never deleted.
fn seconds(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// Any eight bits of a random value are evenly distributed.
const fn shard(bits: u128) -> usize {
    (bits % SHARDS) as usize
}

const SHARDS: u128 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(token: u128, account: u128, issued_at: i64) -> RevocationKeys {
        RevocationKeys {
            token: TokenId(token),
            session: None,
            account: AccountId(account),
            everyone: EVERYONE,
            issued_at,
        }
    }

    const EVERYONE: AccountId = AccountId(77);

    #[test]
    fn holds_what_was_added_until_it_expires() {
        let revoked = Revocations::new();
        let tokens: Vec<_> = (0..1000).map(|n| (TokenId(n * 7), i64::try_from(n).unwrap())).collect();
        let has = |token: u128| revoked.contains(&marks(token, 0, 0));
        revoked.extend(tokens.iter().copied());
        revoked.extend(tokens.iter().copied());
        assert_eq!(revoked.len(), 1000);
        assert!(!revoked.is_empty());
        assert!(tokens.iter().all(|(token, _)| has(token.0)));
        assert!(!has(1));
        revoked.purge_expired(500);
        assert_eq!(revoked.len(), 500);
        assert!(!has(499 * 7));
        assert!(has(500 * 7), "still refused in its last second");
    }

    #[test]
    fn every_bit_of_an_id_counts() {
        let revoked = Revocations::new();
        let id = TokenId::random();
        revoked.extend([(id, 1)]);
        for bit in 0..128 {
            assert!(!revoked.contains(&marks(id.0 ^ 1 << bit, 0, 0)), "bit {bit}");
        }
        // Ids with equal or nearly equal hashes.
        let alike: Vec<_> = (0..2000).map(|n: u128| TokenId(n << 64 | n)).collect();
        revoked.extend(alike.iter().map(|id| (*id, 1)));
        assert_eq!(revoked.len(), 2001);
        assert!(alike.iter().all(|id| revoked.contains(&marks(id.0, 0, 0))));
        assert!(!revoked.contains(&marks(2000 << 64 | 2000, 0, 0)));
    }

    #[test]
    fn a_session_ends_all_of_its_tokens() {
        let revoked = Revocations::new();
        revoked.extend([(TokenId(1), 10)]);
        let of = |session| RevocationKeys { session, ..marks(2, 0, 0) };
        assert!(revoked.contains(&of(Some(TokenId(1)))));
        assert!(!revoked.contains(&of(Some(TokenId(3)))) && !revoked.contains(&of(None)));
    }

    #[test]
    fn a_cut_off_ends_what_an_account_was_issued_until_then_and_only_moves_on() {
        let revoked = Revocations::new();
        let account = AccountId::new("https://issuer.example", "alice");
        revoked.revoke_subject([(account, 1000, 5000)]);
        let refused = |account: AccountId, issued_at| revoked.contains(&marks(9, account.0, issued_at));
        assert!(refused(account, 999) && refused(account, 1000), "the second itself too");
        assert!(!refused(account, 1001));
        for other in [AccountId::new("https://issuer.example", "bob"), AccountId::new("https://other.example", "alice")]
        {
            assert!(!refused(other, 0));
        }
        revoked.revoke_subject([(account, 900, 4000)]);
        assert!(refused(account, 1000), "an earlier one changes nothing");
        revoked.revoke_subject([(account, 2000, 4000)]);
        assert!(refused(account, 2000) && !refused(account, 2001));
        assert_eq!(revoked.len(), 1);
        revoked.purge_expired(5000);
        assert!(refused(account, 2000), "kept for the longer of both");
        revoked.purge_expired(5001);
        assert!(revoked.is_empty() && !refused(account, 0));
        // An id is not an account.
        revoked.extend([(TokenId(account.0), 9000)]);
        assert!(!refused(account, 0));
    }

    #[test]
    fn r62_a_cut_off_of_everyone_ends_what_anybody_in_the_realm_was_issued_until_then() {
        let revoked = Revocations::new();
        revoked.revoke_subject([(EVERYONE, 1000, 5000)]);
        for account in 1..20 {
            assert!(revoked.contains(&marks(9, account, 1000)) && !revoked.contains(&marks(9, account, 1001)));
            let elsewhere = RevocationKeys { everyone: AccountId(78), ..marks(9, account, 1000) };
            assert!(!revoked.contains(&elsewhere), "another realm's");
        }
    }

    #[test]
    fn times_that_do_not_fit_are_refused_for_longer() {
        let revoked = Revocations::new();
        let far = i64::from(u32::MAX) + 1;
        revoked.extend([(TokenId(1), far), (TokenId(2), i64::MAX), (TokenId(3), -1), (TokenId(4), i64::MIN)]);
        revoked.purge_expired(far);
        assert!(revoked.contains(&marks(1, 0, 0)) && revoked.contains(&marks(2, 0, 0)));
        assert_eq!(revoked.len(), 2);
        revoked.revoke_subject([(AccountId(1), i64::MAX, i64::MAX), (AccountId(2), -1, i64::MAX)]);
        assert!(revoked.contains(&marks(9, 1, far - 1)) && !revoked.contains(&marks(9, 2, 1)));
    }

    #[test]
    fn a_reader_sees_every_revocation_that_was_there_before_it_asked() {
        let revoked = Revocations::new();
        let ids: Vec<_> = (0..5000).map(|_| TokenId::random()).collect();
        std::thread::scope(|scope| {
            for part in ids.chunks(1250) {
                let revoked = &revoked;
                scope.spawn(move || {
                    for id in part {
                        revoked.extend([(*id, 1000)]);
                        assert!(revoked.contains(&marks(id.0, 0, 0)));
                        revoked.purge_expired(1000);
                    }
                });
            }
        });
        assert_eq!(revoked.len(), 5000, "no writer undid another's");
    }

    #[test]
    fn an_entry_is_as_small_as_it_is_said_to_be() {
        assert_eq!((size_of::<(Bits, Single)>(), size_of::<(Bits, CutOff)>()), (20, 24));
    }

    #[test]
    fn what_is_random_is_its_own_hash() {
        const HALF: u64 = 0x0123_4567_89ab_cdef;
        let hash = |bits: u128| AsItIs.hash_one(Bits::from_bits(bits));
        assert_eq!((hash(HALF.into()), hash(u128::from(HALF) << 64)), (HALF, HALF), "both halves count");
        assert_eq!(hash(u128::from(HALF) << 64 | u128::from(HALF)), 0);
        assert_eq!((shard(0x1ff), shard(0x700), shard(7)), (255, 0, 7), "and its own shard");
        let mut other = Same(0);
        other.write(&[0x61, 0x62]);
        assert_eq!(other.finish(), 0x6162);
        other.write(&[0xff; 7]);
        assert_eq!(other.finish(), 0x62ff_ffff_ffff_ff9e);
    }
}
