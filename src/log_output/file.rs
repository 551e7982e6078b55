//! A file to which lines are appended, and which is rotated at its maximum size.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, FlockOperation, access, flock};

use crate::filesystem::directory_of;
use crate::owner;

/// The rotation settings. `FILE` becomes `FILE.1`, `FILE.1` becomes `FILE.2`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Maximum size of the file in bytes.
    pub size: u64,
    /// The number of old files, at least 1. The oldest one is deleted.
    pub keep: u32,
}

impl Rotation {
    /// The rotation of a file without settings.
    pub const DEFAULT: Self = Self { size: 64 << 20, keep: 8 };
}

/// The result of the check before lines are appended.
#[derive(Debug)]
pub(super) enum Rotated {
    /// The file was not full, or another process rotates it.
    No,
    /// The file was full, and is `FILE.1` now.
    Yes,
    /// The file was full, and continues to grow.
    Failed(io::Error),
}

/// A file to which one thread appends lines. If another program renames or removes the file, a new one of the same name
/// is created.
#[derive(Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    file: File,
    /// The last line was written in part: the next one must start on a new line.
    torn: bool,
    rotation: Option<Rotation>,
    /// The time of the next attempt after a failed rotation.
    retry_at: Option<Instant>,
}

impl LineFile {
    /// Opens the file at `path`, and creates it if it does not exist.
    ///
    /// # Errors
    /// It can't be opened.
    pub(super) fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, torn: false, rotation, retry_at: None })
    }

    /// Takes effect with the next write.
    pub(super) fn set_rotation(&mut self, rotation: Option<Rotation>) {
        (self.rotation, self.retry_at) = (rotation, None);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Rotates the file if the batch, which consists of whole lines, does not fit into it.
    pub(super) fn make_room(&mut self, batch: &[u8]) -> Rotated {
        self.follow();
        let Some(rotation) = self.rotation else { return Rotated::No };
        let length = match self.file.metadata() {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            // A device is never full.
            _ => return Rotated::No,
        };
        let waits = self.retry_at.is_some_and(|retry_at| Instant::now() < retry_at);
        if length == 0 || length.saturating_add(batch.len() as u64) <= rotation.size || waits {
            return Rotated::No;
        }
        match self.rotate(rotation.keep) {
            Ok(rotated) => {
                self.retry_at = None;
                if rotated { Rotated::Yes } else { Rotated::No }
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY);
                Rotated::Failed(error)
            }
        }
    }

    /// Appends lines. Returns the number of bytes written, if not all.
    pub(super) fn write(&mut self, batch: &[u8]) -> (io::Result<()>, usize) {
        if self.torn && self.file.write_all(b"\n").is_err() {
            return (Err(io::ErrorKind::StorageFull.into()), 0);
        }
        let (result, written) = write_all(&mut self.file, batch);
        self.torn = written > 0 && batch[written - 1] != b'\n' || self.torn && written == 0 && result.is_err();
        (result, written)
    }

    /// Checks the file of this name on request, and repeats a failed rotation.
    pub(super) fn reopen(&mut self) {
        self.retry_at = None;
        self.follow();
    }

    /// Opens the file of this name if it is another one by now: the old one was renamed, by logrotate for one.
    fn follow(&mut self) {
        if !self.is_current() {
            // The old one, should that fail: lines there are better than none.
            if let Ok(new) = open(&self.path) {
                (self.file, self.torn) = (new, false);
            }
        }
    }

    /// Returns whether the file of this name is the open one.
    fn is_current(&self) -> bool {
        let both = self.file.metadata().ok().zip(fs::metadata(&self.path).ok());
        both.is_some_and(|(open, there)| is_same(&open, &there))
    }

    /// Replaces the open file by a new one. Returns false if another process does that, or did.
    ///
    /// The lock on the open file excludes other processes (and the thread of another stream) that have the same file
    /// open: later ones find that the name leads to another file.
    fn rotate(&mut self, keep: u32) -> io::Result<bool> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if !self.is_current() {
            // Opening another file closes this one, which releases the lock.
            self.follow();
            return Ok(false);
        }
        match exchange(&self.path, &self.file, keep) {
            Ok(new) => {
                (self.file, self.torn) = (new, false);
                Ok(true)
            }
            Err(error) => {
                let _ = flock(&self.file, FlockOperation::Unlock);
                Err(error)
            }
        }
    }
}

/// Moves the file at `path` to `path.1`, and returns its successor. A failure in between loses only the lines of the
/// oldest file, and another attempt continues from there.
fn exchange(path: &Path, old: &File, keep: u32) -> io::Result<File> {
    // A link stays a link: the files are beside its target.
    let path = fs::canonicalize(path)?;
    let with = |suffix: &str| {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let numbered = |number: u32| with(&format!(".{number}"));
    let next = with(".new");
    // First, because a full disk and a read-only directory refuse this step.
    let new = successor(&next, old)?;
    let first = numbered(1);
    let moved = || {
        let is_moved = fs::metadata(&path).ok().zip(fs::metadata(&first).ok()).is_some_and(|(a, b)| is_same(&a, &b));
        if is_moved {
            // By a process that was killed before the end.
            return fs::rename(&next, &path);
        }
        // Up to the first number without a file: a rotation that fails repeatedly must not delete an old file each
        // time.
        let free = (1..keep).find(|number| fs::symlink_metadata(numbered(*number)).is_err()).unwrap_or(keep);
        for number in (1..free).rev() {
            fs::rename(numbered(number), numbered(number + 1))?;
        }
        if keep == 1 {
            remove(&first)?;
        }
        // A hard link, so that there is always a file at `path`. Otherwise another process would create one in between.
        if fs::hard_link(&path, &first).is_err() {
            // Some file systems have no hard links.
            fs::rename(&path, &first)?;
        }
        fs::rename(&next, &path)
    };
    moved().inspect_err(|_| drop(fs::remove_file(&next)))?;
    Ok(new)
}

/// Creates a file at `path` with the mode and the owner of another one.
fn successor(path: &Path, of: &File) -> io::Result<File> {
    // A killed process may have left it behind.
    remove(path)?;
    let new = File::options().append(true).create_new(true).mode(0o600).open(path)?;
    let (wanted, got) = (of.metadata()?, new.metadata()?);
    let is_owned = (got.uid(), got.gid()) == (wanted.uid(), wanted.gid())
        || fchown(&new, Some(wanted.uid()), Some(wanted.gid())).is_ok();
    // The permissions of a group must not apply to another group.
    let mode = wanted.mode() & if is_owned { 0o777 } else { 0o700 };
    new.set_permissions(Permissions::from_mode(mode)).inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(new)
}

/// Deletes a file, if it exists.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Returns whether files can be created beside `path` and renamed, as a rotation does.
///
/// # Errors
/// The user of this process has no right to do that.
pub fn can_rotate(path: &Path) -> io::Result<()> {
    match fs::canonicalize(path) {
        Ok(path) if !path.is_file() => Ok(()),
        Ok(path) => Ok(access(directory_of(&path), Access::WRITE_OK | Access::EXEC_OK)?),
        // `can_open` reports it.
        Err(_) => Ok(()),
    }
}

/// Opens a file to append lines, and creates it with mode 0600.
///
/// # Errors
/// The file can't be opened, or is a pipe: opening a pipe waits for a reader.
pub fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a pipe"));
    }
    match File::options().append(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => {
            let made = made?;
            owner::hand_over(&made, path)?;
            return Ok(made);
        }
    }
    // The file exists, or is a link to a file that does not.
    File::options().append(true).create(true).mode(0o600).open(path)
}

/// Returns whether [`open`] is expected to succeed, without creating the file.
///
/// # Errors
/// The expected error of [`open`].
pub fn can_open(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(_) => open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = directory_of(path);
            if !fs::metadata(directory)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
        }
        Err(error) => Err(error),
    }
}

/// Like `Write::write_all`, but returns the number of bytes written.
pub(super) fn write_all(to: &mut impl io::Write, bytes: &[u8]) -> (io::Result<()>, usize) {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), written),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), written),
        }
    }
    (Ok(()), written)
}

/// The wait after a failed rotation.
const RETRY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
