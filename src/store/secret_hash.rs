//! Hashes of secrets that a browser holds. The store gets no such secret itself.

use aws_lc_rs::digest::{SHA256, digest};

/// The SHA-256 of a random secret: the value of a cookie, a ticket, the `state` of a request to a provider. A secret of 256
/// bits needs no salt and no slow hash, and a copy of the database does not contain it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Returns the hash of this secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(hash)
    }

    pub(super) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) const fn stored(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}
