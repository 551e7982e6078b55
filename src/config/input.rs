//! What a configuration was read from, and whether that is still the same.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file or directory, as it was just before it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    path: PathBuf,
    seen: Fingerprint,
}

impl Input {
    /// Looks at `path`, which need not exist. Of a directory, the files right in it count.
    #[must_use]
    pub fn stat(path: &Path) -> Self {
        // Absolute, because the program may change its directory between two looks.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let seen = Fingerprint::from_path(&path);
        Self { path, seen }
    }

    /// Where it is; absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks again. Returns whether anything differs from the last look.
    pub fn has_changed(&mut self) -> bool {
        let seen = Fingerprint::from_path(&self.path);
        let differs = seen != self.seen;
        self.seen = seen;
        differs
    }
}

/// What tells one state of a path from another without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fingerprint {
    /// It can't be looked at; most often it does not exist.
    Nothing,
    File(Stamp),
    Directory(Stamp, BTreeMap<OsString, Option<Stamp>>),
}

/// The time of the last change of the inode is part of it, so that a `chmod` counts: it may repair a configuration.
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
        // Links are followed here, too: Kubernetes mounts each file as one.
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
    fn whatever_happens_to_a_file_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut input = Input::stat(&path);
        assert!(!input.has_changed(), "it was not there, and is not");
        let mut happens = |what: &str, change: &dyn Fn()| {
            // Files are stamped with the time of the last tick of the clock.
            std::thread::sleep(std::time::Duration::from_millis(20));
            change();
            assert!(input.has_changed(), "{what}");
            assert!(!input.has_changed(), "{what}, and nothing since");
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

    /// Cargo runs tests in the directory of `Cargo.toml`.
    #[test]
    fn a_file_is_one_input_however_its_path_is_spelled() {
        let absolute = std::env::current_dir().unwrap().join("Cargo.toml");
        assert_eq!(Input::stat(Path::new("Cargo.toml")), Input::stat(&absolute));
    }
}
