//! Passwords and their hashes.
//!
//! New hashes are argon2id with the parameters of the OWASP cheat sheet (19 MiB, 2 passes, 1 lane). Imported argon2,
//! scrypt and bcrypt hashes verify, and are replaced at the next login.

mod format;
mod pool;

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Block, Params, PasswordVerifier as _, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use scrypt::Scrypt;
use scrypt::phc::PasswordHash as Phc;
use zeroize::Zeroizing;

use self::format::Stored;
pub use self::format::Unsupported;
pub use self::pool::{HashPool, HashPoolLoad};
pub use super::fair_queue::Share;
use crate::store::PasswordHash;

/// A password as the user typed it. `Debug` hides it, and its memory is overwritten when the last clone is dropped.
#[derive(Clone)]
pub struct Password(Arc<Zeroizing<String>>);

impl Password {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// Every hashing thread has work and the queue is full, or the random source of this machine failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no password can be hashed at the moment")]
pub struct HashUnavailable;

/// Accepts a hash of another system.
///
/// # Errors
/// A login could not verify it, or only at a cost that would block all other logins.
pub fn import(text: &str) -> Result<PasswordHash, Unsupported> {
    Stored::parse(text).map(|_| PasswordHash(text.to_owned()))
}

/// Returns whether this differs from a hash by [`hash`]. Stronger hashes differ, too: a login that takes longer than
/// that of an unknown user reveals that its user exists.
#[must_use]
pub fn needs_rehash(stored: &PasswordHash) -> bool {
    !stored.0.starts_with(OURS)
}

/// Hashes on this thread, for a program that has nothing else to do.
///
/// # Errors
/// [`HashUnavailable`] if the random source failed.
pub fn hash(password: &Password) -> Result<PasswordHash, HashUnavailable> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| HashUnavailable)?;
    let mut hash = [0; Params::DEFAULT_OUTPUT_LEN];
    // Argon2's defaults, which a test compares with the documented numbers.
    hash_into(&Params::DEFAULT, password, &salt, &mut hash).ok_or(HashUnavailable)?;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(PasswordHash(format!("{OURS}{salt}${hash}")))
}

/// Argon2id with Tollgate's parameters, in memory that this thread keeps. Memory that is allocated for every login
/// would exist twice for a while, and the system would have to clear every page.
fn hash_into(params: &Params, password: &Password, salt: &[u8], hash: &mut [u8]) -> Option<()> {
    thread_local! {
        static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    MEMORY.with_borrow_mut(|memory| {
        memory.resize(params.block_count(), Block::default());
        argon2.hash_password_into_with_memory(password.0.as_bytes(), salt, hash, memory).ok()
    })
}

/// Returns whether this is the password of a hash by [`hash`].
fn is_ours(password: &Password, phc: &Phc) -> Option<bool> {
    let (params, salt, hash) = (Params::try_from(phc).ok()?, phc.salt.as_ref()?, phc.hash.as_ref()?);
    let mut made = vec![0; hash.len()];
    hash_into(&params, password, salt.as_ref(), &mut made)?;
    Some(verify_slices_are_equal(&made, hash.as_bytes()).is_ok())
}

fn verify(password: &Password, stored: &PasswordHash) -> bool {
    let typed = password;
    let password = password.0.as_bytes();
    match Stored::parse(&stored.0) {
        Ok(Stored::Argon2(phc)) if stored.0.starts_with(OURS) => is_ours(typed, &phc).unwrap_or(false),
        Ok(Stored::Argon2(phc)) => Argon2::default().verify_password(password, &phc).is_ok(),
        Ok(Stored::Scrypt(phc)) => Scrypt::new().verify_password(password, &phc).is_ok(),
        // Only the first 72 bytes count, as when the hash was made.
        Ok(Stored::Bcrypt(text)) => bcrypt::verify(password, text).unwrap_or(false),
        Err(error) => {
            tracing::error!(%error, "a stored password hash can't be verified");
            false
        }
    }
}

/// The prefix of every hash by Tollgate.
const OURS: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
const SALT_BYTES: usize = 16;

#[cfg(test)]
mod tests;
