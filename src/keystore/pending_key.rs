//! The first signing key of a directory.

use crate::filesystem::{can_create_directory, io_error_text};
use crate::keystore::keys_dir::{self, KeysDir};
use crate::token::{KeyError, SigningKey};

/// A new signing key for a directory without a key of the algorithm. It is only in memory until it is saved.
#[derive(Debug)]
pub struct PendingKey {
    pub dir: KeysDir,
    key: SigningKey,
}

impl PendingKey {
    /// Makes a key that is active from `now` (Unix seconds) on.
    ///
    /// # Errors
    /// The random source failed.
    pub fn generate(dir: KeysDir, now: i64) -> Result<Self, KeyError> {
        Ok(Self { key: SigningKey::generate(dir.algorithm, now, now)?, dir })
    }

    /// Returns a copy of the key, to sign with.
    ///
    /// # Errors
    /// The crypto library refuses the key.
    pub fn key(&self) -> Result<SigningKey, KeyError> {
        SigningKey::from_jwk(&self.key.to_jwk())
    }

    /// Checks that [`Self::save`] can succeed, without writing.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn can_be_saved(&self) -> Result<(), String> {
        can_create_directory(&self.dir.path).map_err(|reason| self.cannot_be_saved(&reason))
    }

    /// Writes the key into its directory. Returns whether it did: another process that shares the directory can have written
    /// a key since the directory was read.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn save(&self) -> Result<bool, String> {
        let dir = &self.dir;
        let failed = |error: std::io::Error| self.cannot_be_saved(&io_error_text(&error));
        let _lock = keys_dir::make(&dir.path).and_then(|()| keys_dir::lock(&dir.path)).map_err(failed)?;
        let stored = keys_dir::read(&dir.path, dir.readers);
        let stored = stored.map_err(|errors| self.cannot_be_saved(&errors.join("; ")))?;
        if stored.iter().any(|file| file.key.algorithm() == dir.algorithm) {
            return Ok(false);
        }
        keys_dir::save_key(&dir.path, &self.key, dir.token_ttl).map_err(failed)?;
        Ok(true)
    }

    fn cannot_be_saved(&self, reason: &str) -> String {
        let path = self.dir.path.display();
        format!("can't write the first signing key to {path}: {reason}: set keys_dir to a writable directory")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::token::Algorithm;

    #[test]
    fn a_directory_gets_one_first_key_of_an_algorithm() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("keys");
        let pending = |algorithm| PendingKey::generate(KeysDir::for_tests(&dir, algorithm), 7).unwrap();
        let (first, late) = (pending(Algorithm::HS256), pending(Algorithm::HS256));
        first.can_be_saved().unwrap();
        assert!(!dir.exists());
        assert!(first.save().unwrap());
        assert!(!late.save().unwrap(), "two processes that start at once make one key");
        assert!(pending(Algorithm::ES256).save().unwrap());
        fs::write(temp.path().join("file"), "").unwrap();
        let blocked = KeysDir::for_tests(&temp.path().join("file/keys"), Algorithm::HS256);
        let blocked = PendingKey::generate(blocked, 7).unwrap();
        assert!(blocked.save().unwrap_err().starts_with("can't write the first signing key to"));
        assert!(blocked.can_be_saved().is_err());
    }
}
