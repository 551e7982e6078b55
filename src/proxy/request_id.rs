//! Request ids.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::HEXLOWER;

/// Makes request ids: a counter under a keyed hash, so that an id shows neither the number of requests nor the next id.
#[derive(Debug)]
pub struct RequestIds {
    /// SipHash with a random key of 128 bits, made at the start of the process.
    key: RandomState,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids of this process.
    #[must_use]
    pub fn new() -> Self {
        Self { key: RandomState::new(), next: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> RequestId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0; 32];
        for (half, text) in text.chunks_exact_mut(16).enumerate() {
            HEXLOWER.encode_mut(&self.key.hash_one((number, half)).to_be_bytes(), text);
        }
        RequestId(text)
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// A request id: 32 hex digits.
#[derive(Clone, Copy)]
pub(super) struct RequestId(pub(super) [u8; 32]);

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        // Hex digits are always UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn request_ids_tell_neither_their_number_nor_the_next_one() {
        let (ids, others) = (RequestIds::new(), RequestIds::new());
        let made: Vec<_> = (0..1000).map(|_| ids.next().as_str().to_owned()).collect();
        let mut parts = HashSet::new();
        for id in &made {
            assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
            // Neither half of an id stays or increments.
            assert!(parts.insert(id[..16].to_owned()) && parts.insert(id[16..].to_owned()), "{id}");
        }
        assert!(!made.is_sorted() && !made.iter().rev().is_sorted());
        assert_ne!(others.next().as_str(), made[0], "of another process");
    }
}
