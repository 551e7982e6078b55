//! `[[realm.key]]` and `[realm.master_key]`.

pub(in crate::config) mod read;

use std::sync::Arc;

use http::header::HeaderValue;

use crate::config::sealed::Sealed;
use crate::quota::{Quota, RateLimiter};

/// An API key. Only the hash of its secret is in memory.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub id: String,
    /// The id as a header value.
    pub header: HeaderValue,
    /// Hash of the secret.
    pub secret: Sha256,
    /// Unix seconds.
    pub expires_at: Option<i64>,
    pub disabled: bool,
    /// Limits for requests with the key.
    pub quota: Quota,
    /// Kept over a reload for the key of the same realm and id.
    pub limiter: Arc<RateLimiter>,
    pub(in crate::config) _sealed: Sealed,
}

impl ApiKey {
    /// Returns whether `text` can be the id of a key: one word, for logs and lists.
    #[must_use]
    pub fn is_valid_id(text: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(plain)
    }

    /// Returns whether the key has expired at `now` (Unix seconds).
    #[must_use]
    pub fn expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }
}

/// SHA-256 of a random secret. A slow hash would not protect such a secret better, and would slow down every request
/// (SECURITY.md R41).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// Hashes `secret`.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        // Each byte is checked, because `from_str_radix` accepts a sign.
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Returns 64 lower-case hexadecimal digits.
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

const MAX_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_word() {
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
