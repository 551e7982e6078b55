//! A realm's directory of signing keys: one file `<kid>.jwk` for each key.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::filesystem::{directory_of, io_error_text, sync_directory};
use crate::keystore::secret_file::{self, FileAccess};
use crate::owner;
use crate::token::{Algorithm, SigningKey};

/// A directory of signing keys, with the settings for new keys and their rotation.
#[derive(Clone, Debug)]
pub struct KeysDir {
    pub(crate) path: PathBuf,
    pub(crate) readers: FileAccess,
    /// False for systemd's credentials.
    pub(crate) writable: bool,
    pub(crate) algorithm: Algorithm,
    /// Seconds.
    pub(crate) token_ttl: i64,
    pub(crate) rotate_every: Option<Duration>,
    pub(crate) publish_ahead: Duration,
}

#[derive(Debug)]
pub(crate) struct KeyFile {
    pub(crate) path: PathBuf,
    pub(crate) key: SigningKey,
}

/// Reads every key: the files `*.jwk`, except hidden ones. A directory that does not exist has no keys.
///
/// # Errors
/// A sentence for each file or directory that can't be read, holds no key, or is accessible to other users.
pub(crate) fn read(dir: &Path, readers: FileAccess) -> Result<Vec<KeyFile>, Vec<String>> {
    let mode = match fs::metadata(dir) {
        Ok(metadata) if !metadata.is_dir() => return Err(vec![format!("{} is not a directory", dir.display())]),
        Ok(metadata) => metadata.mode() & 0o7777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(dir, &error)),
    };
    // Other users can list it: the files have modes of their own. But a user who could add a key here could sign tokens.
    if readers == FileAccess::Owner && mode & 0o022 != 0 {
        return Err(vec![format!(
            "group or others can write to {0} (mode {mode:04o}): run chmod 700 {0}, or set insecure_key_files = true in [server]",
            dir.display()
        )]);
    }
    for _ in 1..READ_ATTEMPTS {
        let (keys, all_there) = read_files(dir, readers)?;
        if all_there {
            return Ok(keys);
        }
    }
    read_files(dir, readers).map(|(keys, _)| keys)
}

/// Reads each key file once. Also returns whether every listed file was still there: if another process deleted one after
/// the directory was listed, the list may lack the key that the process wrote before.
fn read_files(dir: &Path, readers: FileAccess) -> Result<(Vec<KeyFile>, bool), Vec<String>> {
    let (mut keys, mut errors, mut all_there) = (Vec::new(), Vec::new(), true);
    for path in list(dir, is_key_file).map_err(|error| unreadable(dir, &error))? {
        match read_file(&path, readers) {
            Ok(key) => keys.push(KeyFile { path, key }),
            Err(_) if is_gone(&path) => all_there = false,
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok((keys, all_there)) } else { Err(errors) }
}

fn read_file(path: &Path, readers: FileAccess) -> Result<SigningKey, String> {
    let text = secret_file::read(path, readers)?;
    SigningKey::from_jwk(&text).map_err(|error| format!("{} is {error}{REMEDY}", path.display()))
}

/// Returns the files that `is_listed` selects, sorted by name.
fn list(dir: &Path, is_listed: fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<_>> = fs::read_dir(dir)?.collect();
    let mut paths: Vec<_> = entries?.iter().map(fs::DirEntry::path).filter(|path| is_listed(path)).collect();
    paths.sort();
    Ok(paths)
}

fn unreadable(dir: &Path, error: &io::Error) -> Vec<String> {
    vec![format!("can't read {}: {}", dir.display(), io_error_text(error))]
}

fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Writes a new key for tokens that are valid for `token_ttl` seconds to a file (0600) in the directory. Creates the
/// directory (0700) and its parents if necessary. Readers see the whole file or no file, and the file is on the disk when this
/// returns. Returns its path.
///
/// # Errors
/// The file exists, or the file system failed.
pub fn save_key(dir: &Path, key: &SigningKey, token_ttl: i64) -> io::Result<PathBuf> {
    make(dir)?;
    let path = dir.join(format!("{}.jwk", key.kid()));
    let text = key.with_lifetime(token_ttl, None).unwrap_or_else(|| key.to_jwk());
    write_temp_file(dir, &text)?.persist_noclobber(&path).map_err(|error| error.error)?;
    sync_directory(dir)?;
    Ok(path)
}

/// Replaces the text of a key file. After a crash, the file has the old text or the new one.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let dir = directory_of(path);
    let file = write_temp_file(dir, text)?;
    // With insecure_key_files, other users can have access.
    file.as_file().set_permissions(fs::metadata(path)?.permissions())?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(dir)
}

pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_directory(directory_of(path))
}

/// Renames the file of a stolen key, so that no reader of the directory uses it. The renamed file shows that the revocation
/// has not ended, until [`forget_revoked`] deletes it.
pub(crate) fn revoke(path: &Path) -> io::Result<()> {
    let dir = directory_of(path);
    let mut name = OsString::from(REVOKED);
    name.push(path.file_name().unwrap_or_default());
    fs::rename(path, dir.join(name))?;
    sync_directory(dir)
}

/// Returns whether the revocation of the key `kid` has begun and not ended.
///
/// # Errors
/// A sentence: the directory can't be read.
pub(crate) fn is_revoked(dir: &Path, kid: &str, readers: FileAccess) -> Result<bool, String> {
    Ok(!revoked(dir, kid, readers).map_err(|error| unreadable(dir, &error).concat())?.is_empty())
}

/// Ends the revocation of the key `kid`.
pub(crate) fn forget_revoked(dir: &Path, kid: &str, readers: FileAccess) -> io::Result<()> {
    revoked(dir, kid, readers)?.iter().try_for_each(|path| remove(path))
}

fn revoked(dir: &Path, kid: &str, readers: FileAccess) -> io::Result<Vec<PathBuf>> {
    let is_marker = |path: &Path| {
        let name = path.file_name();
        name.is_some_and(|name| name.as_encoded_bytes().starts_with(REVOKED.as_bytes()))
    };
    let mut paths = match list(dir, is_marker) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed?,
    };
    paths.retain(|path| read_file(path, readers).is_ok_and(|key| key.kid() == kid));
    Ok(paths)
}

/// Locks the directory against writes of other processes, until the returned file is closed. A process of Tollgate holds the
/// lock only while it writes a key. The wait has a limit, because every user who can read the directory can hold the lock.
pub(crate) fn lock(dir: &Path) -> io::Result<File> {
    let file = File::open(dir)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(LOCK_RETRY),
            Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another process has locked it")),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Deletes unfinished files of a crashed process: they hold a key, or a part of one. The caller holds the lock. Files of less
/// than a minute stay, because `tollgate init` writes without the lock.
pub(crate) fn remove_temp_files(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let left = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
        if left && entry.metadata()?.modified()?.elapsed().is_ok_and(|age| age > SWEEP_AGE) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a key to a file under a temporary name.
fn write_temp_file(dir: &Path, text: &str) -> io::Result<tempfile::NamedTempFile> {
    // Its name does not end in .jwk, so that no process reads an unfinished file. `tempfile` creates it with mode 0600.
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    // If root runs the command, the owner of the directory must be able to read the file.
    owner::hand_over(file.as_file(), file.path())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Creates `dir` and its missing parents, and writes their directory entries to the disk.
pub(crate) fn make(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        // Another process created it in the meantime.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            owner::hand_over_directory(dir)?;
            sync_directory(directory_of(dir))
        }
    }
}

fn is_key_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    path.extension().is_some_and(|extension| extension == "jwk") && !hidden
}

const REMEDY: &str = ": restore a valid key file, or delete the file (tollgate key rotate creates a new key)";

const UNFINISHED: &str = ".new-key-";
/// A hidden file: readers ignore it.
const REVOKED: &str = ".revoked-";
/// Limit for reading the directory again because a listed file was deleted.
const READ_ATTEMPTS: usize = 10;
const SWEEP_AGE: Duration = Duration::from_secs(60);
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_unfinished_files_of_a_crash_are_deleted() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str, age: u64| {
            let file = File::create(temp.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        };
        at(".new-key-old", 120);
        at(".new-key-now", 0);
        at("k.jwk", 120);
        at(".other", 120);
        remove_temp_files(temp.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".new-key-now", ".other", "k.jwk"]);
    }

    #[test]
    fn r62_a_reader_of_a_directory_that_changes_misses_no_key() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().to_owned();
        let save = |at: i64| save_key(&dir, &SigningKey::generate(Algorithm::HS256, at, at).unwrap(), 60).unwrap();
        let mut last = save(0);
        std::thread::scope(|scope| {
            // Each time the new key is written first, then the old one is deleted.
            let writer = scope.spawn(|| {
                for at in 1..200 {
                    let next = save(at);
                    revoke(&last).unwrap();
                    forget_revoked(&dir, last.file_stem().unwrap().to_str().unwrap(), FileAccess::Owner).unwrap();
                    last = next;
                }
            });
            let mut newest = 0;
            while !writer.is_finished() {
                let keys = read(&dir, FileAccess::Owner).unwrap();
                let now = keys.iter().map(|one| one.key.created_at()).max();
                assert!(now >= Some(newest), "{now:?} after {newest}");
                newest = now.unwrap();
            }
        });
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_saved_key_is_private_whole_and_found_again() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("keys/examples");
        assert!(read(&dir, FileAccess::Owner).unwrap().is_empty());
        let key = SigningKey::generate(Algorithm::HS256, 1, 1).unwrap();
        let path = save_key(&dir, &key, 60).unwrap();
        assert_eq!(path, dir.join(format!("{}.jwk", key.kid())));
        assert_eq!((mode(&path), mode(&dir), mode(dir.parent().unwrap())), (0o600, 0o700, 0o700));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no temporary file is left");
        let keys = read(&dir, FileAccess::Owner).unwrap();
        assert_eq!((keys.len(), keys[0].key.kid()), (1, key.kid()));
        let error = save_key(&dir, &key, 60).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nor after a failure");
    }

    #[test]
    fn a_key_that_root_makes_gets_the_owner_of_its_directory() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(temp.path(), Some(12_345), Some(54_321)).unwrap();
        let path = save_key(temp.path(), &SigningKey::generate(Algorithm::HS256, 1, 1).unwrap(), 60).unwrap();
        let owner = || fs::metadata(&path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
        assert_eq!((owner(), mode(&path)), ((12_345, 54_321), 0o600));
        replace(&path, "{}").unwrap();
        assert_eq!((owner(), mode(&path)), ((12_345, 54_321), 0o600));
    }

    #[test]
    fn r46_keys_that_others_have_access_to_are_refused_unless_told() {
        let temp = tempfile::tempdir().unwrap();
        let path = save_key(temp.path(), &SigningKey::generate(Algorithm::HS256, 1, 1).unwrap(), 60).unwrap();
        chmod(&path, 0o640);
        let errors = read(temp.path(), FileAccess::Owner).unwrap_err();
        assert!(errors[0].contains("chmod 600"), "{errors:?}");
        assert!(read(temp.path(), FileAccess::Anyone).is_ok());
        chmod(&path, 0o600);
        chmod(temp.path(), 0o770);
        let errors = read(temp.path(), FileAccess::Owner).unwrap_err();
        assert!(errors[0].contains("chmod 700"), "{errors:?}");
        assert!(read(temp.path(), FileAccess::Anyone).is_ok());
        chmod(temp.path(), 0o755);
        assert!(read(temp.path(), FileAccess::Owner).is_ok());
    }

    #[test]
    fn every_key_file_must_parse_and_other_files_are_none() {
        let temp = tempfile::tempdir().unwrap();
        save_key(temp.path(), &SigningKey::generate(Algorithm::HS256, 1, 1).unwrap(), 60).unwrap();
        for other in ["README", "a.jwk.bak", ".a.jwk", ".#a.jwk", "jwk"] {
            fs::write(temp.path().join(other), "not a key").unwrap();
        }
        assert_eq!(read(temp.path(), FileAccess::Owner).unwrap().len(), 1);
        for bad in ["a.jwk", "b.jwk"] {
            fs::write(temp.path().join(bad), "hunter2").unwrap();
            chmod(&temp.path().join(bad), 0o600);
        }
        fs::create_dir(temp.path().join("c.jwk")).unwrap();
        let errors = read(temp.path(), FileAccess::Owner).unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("a.jwk is not a JSON Web Key"), "{errors:?}");
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
        let file = temp.path().join("README");
        assert!(read(&file, FileAccess::Owner).unwrap_err()[0].ends_with("is not a directory"));
    }
}
