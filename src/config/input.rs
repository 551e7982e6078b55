//! The files and directories of a configuration, and detection of their changes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file or directory, with its state just before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    path: PathBuf,
    seen: Fingerprint,
}

impl Input {
    /// Records the state of `path`, which need not exist. The state of a directory includes its files, but no subdirectories.
    #[must_use]
    pub fn stat(path: &Path) -> Self {
        // Absolute, because the working directory can change before the next check.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let seen = Fingerprint::from_path(&path);
        Self { path, seen }
    }

    /// Absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records the state again. Returns whether it differs from the last one.
    pub fn has_changed(&mut self) -> bool {
        let seen = Fingerprint::from_path(&self.path);
        let differs = seen != self.seen;
        self.seen = seen;
        differs
    }
}

/// State of a path, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fingerprint {
    /// `stat` failed, usually because it does not exist.
    Nothing,
    File(Stamp),
    Directory(Stamp, BTreeMap<OsString, Option<Stamp>>),
}

/// Includes the change time of the inode, so that a `chmod` is detected: it can repair a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    fn from_path(path: &Path) -> Self {
        let Ok(metadata) = fs::metadata(path) else { return Self::Nothing };
        if !metadata.is_dir() {
            return Self::File(Stamp::from_metadata(&metadata));
        }
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        // Symbolic links are followed: Kubernetes mounts each file as one.
        let entries = entries
            .map(|entry| (entry.file_name(), fs::metadata(entry.path()).ok().as_ref().map(Stamp::from_metadata)));
        Self::Directory(Stamp::from_metadata(&metadata), entries.collect())
    }
}

impl Stamp {
    fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn every_change_of_a_file_is_detected_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut input = Input::stat(&path);
        assert!(!input.has_changed(), "it still does not exist");
        let mut happens = |what: &str, change: &dyn Fn()| {
            // The file system uses the time of the last clock tick.
            std::thread::sleep(std::time::Duration::from_millis(20));
            change();
            assert!(input.has_changed(), "{what}");
            assert!(!input.has_changed(), "{what}, and no change since");
        };
        happens("made", &|| fs::write(&path, "1").unwrap());
        happens("written, at the same length", &|| fs::write(&path, "2").unwrap());
        happens("its mode", &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap());
        happens("replaced", &|| {
            fs::write(dir.path().join("b"), "2").unwrap();
            fs::rename(dir.path().join("b"), &path).unwrap();
        });
        happens("gone", &|| fs::remove_file(&path).unwrap());
        happens("a directory in its place", &|| fs::create_dir(&path).unwrap());
        happens("a file in it", &|| fs::write(path.join("k"), "1").unwrap());
        happens("that file written", &|| fs::write(path.join("k"), "2").unwrap());
    }

    /// cargo runs tests in the directory of `Cargo.toml`.
    #[test]
    fn a_file_is_one_input_however_its_path_is_spelled() {
        let absolute = std::env::current_dir().unwrap().join("Cargo.toml");
        assert_eq!(Input::stat(Path::new("Cargo.toml")), Input::stat(&absolute));
    }
}
