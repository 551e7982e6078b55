//! A file to which lines are added.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::owner;

/// A file to which one thread adds lines. A file that another program renames or removes gets a successor of the same name.
#[derive(Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    file: File,
    /// The last line was written in part: another one must not stand right behind it.
    torn: bool,
}

impl LineFile {
    /// Opens the file at `path`, and creates it if it does not exist.
    ///
    /// # Errors
    /// It can't be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, torn: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how many bytes were written beside, if not all.
    pub(super) fn write(&mut self, batch: &[u8]) -> (io::Result<()>, usize) {
        self.follow();
        if self.torn && self.file.write_all(b"\n").is_err() {
            return (Err(io::ErrorKind::StorageFull.into()), 0);
        }
        let (result, written) = write_all(&mut self.file, batch);
        self.torn = written > 0 && batch[written - 1] != b'\n' || self.torn && written == 0 && result.is_err();
        (result, written)
    }

    /// Opens the file of this name if it is another one by now: the old one was renamed, by logrotate for one.
    pub(super) fn follow(&mut self) {
        if !self.is_current() {
            // The old one, should that fail: lines there are better than none.
            if let Ok(new) = open(&self.path) {
                (self.file, self.torn) = (new, false);
            }
        }
    }

    /// Returns whether the file of this name is the open one.
    fn is_current(&self) -> bool {
        let both = self.file.metadata().ok().zip(std::fs::metadata(&self.path).ok());
        both.is_some_and(|(open, there)| (open.dev(), open.ino()) == (there.dev(), there.ino()))
    }
}

/// Opens a file to add lines to, and makes it if there is none, for its owner's eyes.
///
/// # Errors
/// It can't be opened, or is a pipe: whoever opens one waits for somebody who reads.
pub fn open(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
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
    // There, or a link to where there is nothing yet.
    File::options().append(true).create(true).mode(0o600).open(path)
}

/// Whether [`open`] is going to succeed, as far as that can be known without making the file.
///
/// # Errors
/// As [`open`], most likely.
pub fn can_open(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(_) => open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
            if !std::fs::metadata(directory)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
        }
        Err(error) => Err(error),
    }
}

/// As `Write::write_all`, but tells how far it came.
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

#[cfg(test)]
mod tests {
    use super::*;

    impl LineFile {
        pub(in crate::lines) fn of(path: PathBuf, file: File, torn: bool) -> Self {
            Self { path, file, torn }
        }
    }

    #[test]
    fn what_can_be_opened_is_known_before() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        std::fs::write(&old, "x").unwrap();
        can_open(&new).unwrap();
        can_open(&old).unwrap();
        assert!(!new.exists() && std::fs::read(&old).unwrap() == b"x");
        for bad in [dir.path().to_owned(), dir.path().join("a/b"), old.join("b")] {
            assert!(can_open(&bad).is_err() && open(&bad).is_err(), "{}", bad.display());
        }
    }
}
