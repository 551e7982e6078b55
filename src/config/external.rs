//! Inputs outside of the configuration file: secrets, signing keys, and names of servers.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::host::Host;
use super::input::Input;
use super::reader::SourceLocation;
use crate::keystore::PendingKey;
use crate::keystore::keys_dir::{self, KeyFile, KeysDir};
use crate::keystore::secret_file::{self, FileAccess};
use crate::token::{IssuerKeys, KeyError, MAX_JWKS_BYTES, SigningKeys};

/// Reads these inputs, and records their files and directories.
pub(super) struct ExternalInputs {
    base: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`, the directory of systemd's `LoadCredential=`.
    credentials: Option<PathBuf>,
    readers: FileAccess,
    /// Creation time of new keys, in Unix seconds.
    now: i64,
    inputs: RefCell<Vec<Input>>,
    new_keys: RefCell<Vec<NewKey>>,
    /// The keys of trusted issuers, with the location of their source in the file.
    issuers: RefCell<Vec<(SourceLocation, Arc<IssuerKeys>)>>,
    /// The host names of upstreams, with their locations in the file.
    names: RefCell<Vec<(SourceLocation, Host, u16)>>,
    /// See [`Self::rehearses`].
    rehearses: bool,
}

/// A first signing key that must be saved before it is used.
pub(super) struct NewKey {
    pub(super) key: PendingKey,
    /// The directory has no key of any algorithm.
    pub(super) only: bool,
    /// Location of the directory's name in the file.
    pub(super) place: SourceLocation,
}

/// The recorded inputs.
pub(super) struct Noted {
    /// Every file and directory, existing or not, the configuration file first.
    pub(super) inputs: Vec<Input>,
    pub(super) new_keys: Vec<NewKey>,
    /// The keys of trusted issuers, with the location of their source in the file.
    pub(super) issuers: Vec<(SourceLocation, Arc<IssuerKeys>)>,
    /// The host names of upstreams, with their locations in the file.
    pub(super) names: Vec<(SourceLocation, Host, u16)>,
}

impl ExternalInputs {
    /// `file` is the configuration file. Relative paths start in its directory.
    pub(super) fn new(file: Input, credentials: Option<PathBuf>, insecure_key_files: bool, now: i64) -> Self {
        Self {
            base: file.path().parent().unwrap_or_else(|| Path::new("/")).into(),
            credentials,
            readers: if insecure_key_files { FileAccess::Anyone } else { FileAccess::Owner },
            now,
            inputs: RefCell::new(vec![file]),
            new_keys: RefCell::default(),
            issuers: RefCell::default(),
            names: RefCell::default(),
            rehearses: false,
        }
    }

    /// Sets [`Self::rehearses`].
    pub(super) fn rehearsing(self, rehearses: bool) -> Self {
        Self { rehearses, ..self }
    }

    /// Returns whether to check that a start can write its files, without writing them.
    pub(super) const fn rehearses(&self) -> bool {
        self.rehearses
    }

    /// Records the keys of a trusted issuer.
    pub(super) fn note_issuer(&self, place: SourceLocation, keys: Arc<IssuerKeys>) {
        self.issuers.borrow_mut().push((place, keys));
    }

    /// Records the host name of an upstream.
    pub(super) fn note_name(&self, place: SourceLocation, host: Host, port: u16) {
        self.names.borrow_mut().push((place, host, port));
    }

    /// The directory of the configuration file.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Reads the secret in the file at the configured `path`, without surrounding white space.
    pub(super) fn secret(&self, path: &str) -> Result<Zeroizing<String>, String> {
        let (path, readers) = self.path(path)?;
        self.note(&path);
        let text = secret_file::read(&path, readers)?;
        match text.trim() {
            "" => Err(format!("{} is empty", path.display())),
            secret => Ok(secret.to_owned().into()),
        }
    }

    /// Returns the absolute path of a configured `path`.
    pub(super) fn file(&self, path: &str) -> Result<PathBuf, String> {
        self.path(path).map(|(path, _)| path)
    }

    /// Reads a file without secrets.
    pub(super) fn public_file(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.note(path);
        secret_file::read_public(path, MAX_JWKS_BYTES)
    }

    /// Start of this load, in Unix seconds.
    pub(super) const fn now(&self) -> i64 {
        self.now
    }

    /// Returns the allowed readers of `dir`, and whether Tollgate can write keys to it.
    pub(super) fn access(&self, dir: &Path) -> (FileAccess, bool) {
        (self.readers_of(dir), !self.is_credential(dir))
    }

    /// Reads the signing keys in `dir`. If it has no key of the algorithm, creates one that [`PendingKey::save`] writes later.
    /// `place` is the location of the directory's name in the file.
    pub(super) fn keys(&self, dir: &KeysDir, place: SourceLocation) -> Result<SigningKeys, Vec<String>> {
        self.note(&dir.path);
        let stored = keys_dir::read(&dir.path, dir.readers)?;
        let mut keys: Vec<_> = stored.into_iter().map(|KeyFile { key, .. }| key).collect();
        let failed = |error: KeyError| vec![format!("{}: {error}", dir.path.display())];
        if !keys.iter().any(|key| key.algorithm() == dir.algorithm) {
            let mut new_keys = self.new_keys.borrow_mut();
            // Several realms can share a directory.
            let of_another = |new: &&NewKey| new.key.dir.path == dir.path && new.key.dir.algorithm == dir.algorithm;
            let key = match new_keys.iter().find(of_another) {
                Some(new) => new.key.key(),
                None => {
                    let key = PendingKey::generate(dir.clone(), self.now).map_err(failed)?;
                    let copy = key.key();
                    new_keys.push(NewKey { key, only: keys.is_empty(), place });
                    copy
                }
            };
            keys.push(key.map_err(failed)?);
        }
        SigningKeys::new(dir.algorithm, keys).map_err(failed)
    }

    pub(super) fn finish(self) -> Noted {
        Noted {
            inputs: self.inputs.into_inner(),
            new_keys: self.new_keys.into_inner(),
            issuers: self.issuers.into_inner(),
            names: self.names.into_inner(),
        }
    }

    fn path(&self, text: &str) -> Result<(PathBuf, FileAccess), String> {
        // An error message with a path must stay on one line. Also, a string without a closing quote includes the following
        // lines, and possibly secrets in them.
        if text.chars().any(char::is_control) {
            return Err("must not have a line break or another control character: write a path on one line".into());
        }
        let path = match text.strip_prefix(CREDENTIALS) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                let Some(credentials) = &self.credentials else {
                    return Err(format!(
                        "{CREDENTIALS} is not set: systemd sets it for a service with LoadCredential= or SetCredential="
                    ));
                };
                credentials.join(rest.trim_start_matches('/'))
            }
            _ if text.is_empty() => return Err("must not be empty: write a path".into()),
            _ if text.contains("${") => {
                return Err(format!(
                    "only {CREDENTIALS} is expanded, and only at the beginning of a path: write the path itself"
                ));
            }
            _ => self.base.join(text),
        };
        let readers = self.readers_of(&path);
        Ok((path, readers))
    }

    /// systemd protects the directory of credentials. It gives the service access by an access-control list, which looks like
    /// group permissions.
    fn readers_of(&self, path: &Path) -> FileAccess {
        if self.is_credential(path) { FileAccess::Anyone } else { self.readers }
    }

    fn is_credential(&self, path: &Path) -> bool {
        self.credentials.as_ref().is_some_and(|credentials| path.starts_with(credentials))
    }

    fn note(&self, path: &Path) {
        let mut inputs = self.inputs.borrow_mut();
        if !inputs.iter().any(|input| input.path() == path) {
            inputs.push(Input::stat(path));
        }
    }
}

const CREDENTIALS: &str = "${CREDENTIALS_DIRECTORY}";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::token::Algorithm;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn paths_start_at_the_directory_of_the_file_and_are_inputs() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("secret"), " hunter2\n", 0o600);
        write(&dir.path().join("empty"), "\n", 0o600);
        let external = ExternalInputs::new(Input::stat(&dir.path().join("t.toml")), None, false, 0);
        assert_eq!(external.secret("secret").unwrap().as_str(), "hunter2");
        assert_eq!(external.secret(dir.path().join("secret").to_str().unwrap()).unwrap().as_str(), "hunter2");
        assert!(external.secret("empty").unwrap_err().ends_with("is empty"));
        assert!(external.secret("").unwrap_err().starts_with("must not be empty"));
        assert!(external.secret("gone").is_err());
        for broken in ["a\nsecret = 'hunter2'", "a\0b", "a\u{85}"] {
            assert!(external.secret(broken).unwrap_err().starts_with("must not have a line break"), "{broken:?}");
        }
        assert!(external.secret("${HOME}/x").unwrap_err().contains("only ${CREDENTIALS_DIRECTORY}"));
        assert!(external.secret("x/${CREDENTIALS_DIRECTORY}").unwrap_err().contains("at the beginning"));
        let inputs: Vec<_> = ["t.toml", "secret", "empty", "gone"].iter().map(|name| dir.path().join(name)).collect();
        let found = external.finish().inputs;
        assert_eq!(found.iter().map(Input::path).collect::<Vec<_>>(), inputs);
    }

    #[test]
    fn systemd_credentials_are_found_and_trusted() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("key"), "hunter2", 0o440);
        let external = ExternalInputs::new(Input::stat(Path::new("/etc/t.toml")), Some(dir.path().into()), false, 0);
        assert_eq!(external.secret("${CREDENTIALS_DIRECTORY}/key").unwrap().as_str(), "hunter2");
        assert!(external.secret("${CREDENTIALS_DIRECTORY}key").unwrap_err().contains("beginning"));
        let external = ExternalInputs::new(Input::stat(Path::new("/etc/t.toml")), None, false, 0);
        assert!(external.secret("${CREDENTIALS_DIRECTORY}/key").unwrap_err().contains("is not set"));
    }

    #[test]
    fn a_directory_without_keys_gets_one_only_when_it_is_saved() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("keys");
        let keys_dir = KeysDir::for_tests(&dir, Algorithm::HS256);
        let external = ExternalInputs::new(Input::stat(&temp.path().join("t.toml")), None, false, 7);
        external.keys(&keys_dir, SourceLocation::default()).unwrap();
        assert!(!dir.exists());
        let Noted { inputs, mut new_keys, .. } = external.finish();
        assert_eq!(inputs[1].path(), dir);
        assert!(new_keys.remove(0).key.save().unwrap());
        let external = ExternalInputs::new(Input::stat(&temp.path().join("t.toml")), None, false, 7);
        external.keys(&keys_dir, SourceLocation::default()).unwrap();
        assert!(external.finish().new_keys.is_empty());
        let external = ExternalInputs::new(Input::stat(&temp.path().join("t.toml")), None, false, 7);
        let switched = external.keys(&KeysDir::for_tests(&dir, Algorithm::ES256), SourceLocation::default()).unwrap();
        assert_eq!((switched.keys().len(), switched.active_key(0).algorithm()), (2, Algorithm::ES256));
        let new_keys = external.finish().new_keys;
        assert!(new_keys.len() == 1 && !new_keys[0].only, "the old key is still there");
    }
}
