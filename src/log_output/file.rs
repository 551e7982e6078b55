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
mod tests {
    use super::*;

    impl LineFile {
        pub(in crate::log_output) fn of(path: PathBuf, file: File, torn: bool) -> Self {
            Self { path, file, torn, rotation: None, retry_at: None }
        }
    }

    #[test]
    fn what_can_be_opened_is_known_before() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        fs::write(&old, "x").unwrap();
        can_open(&new).unwrap();
        can_open(&old).unwrap();
        assert!(!new.exists() && fs::read(&old).unwrap() == b"x");
        for bad in [dir.path().to_owned(), dir.path().join("a/b"), old.join("b")] {
            assert!(can_open(&bad).is_err() && open(&bad).is_err(), "{}", bad.display());
        }
    }

    const ROTATION: Rotation = Rotation { size: 20, keep: 2 };

    /// Adds a line of ten bytes.
    fn add(file: &mut LineFile, number: u32) -> Rotated {
        let line = format!("line {number:04}\n");
        let rotated = file.make_room(line.as_bytes());
        let (result, written) = file.write(line.as_bytes());
        result.unwrap();
        assert_eq!(written, line.len());
        rotated
    }

    /// Returns the numbers in a file.
    fn numbers(path: &Path) -> Vec<u32> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_yes(rotated: &Rotated) -> bool {
        matches!(rotated, Rotated::Yes)
    }

    #[test]
    fn r69_a_full_file_is_rotated_and_the_oldest_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut file = LineFile::open(&at("audit"), Some(ROTATION)).unwrap();
        fs::set_permissions(at("audit"), Permissions::from_mode(0o640)).unwrap();
        // Left behind by a killed process, before it renamed anything, and before its end.
        fs::write(at("audit.new"), "x").unwrap();
        fs::hard_link(at("audit"), at("audit.1")).unwrap();
        let rotated: Vec<_> = (1..=8).map(|number| is_yes(&add(&mut file, number))).collect();
        assert_eq!(rotated, [false, false, true, false, true, false, true, false]);
        assert_eq!(names(dir.path()), ["audit", "audit.1", "audit.2"]);
        assert_eq!(numbers(&at("audit.2")), [3, 4]);
        assert_eq!(numbers(&at("audit.1")), [5, 6]);
        assert_eq!(numbers(&at("audit")), [7, 8]);
        assert_eq!(fs::metadata(at("audit")).unwrap().mode() & 0o777, 0o640, "the mode of the one before");
        // One old file only, and no higher number is touched.
        file.set_rotation(Some(Rotation { size: 20, keep: 1 }));
        assert!(is_yes(&add(&mut file, 9)));
        assert_eq!((numbers(&at("audit.1")), numbers(&at("audit.2"))), (vec![7, 8], vec![3, 4]));
        file.set_rotation(None);
        for number in 10..20 {
            assert!(!is_yes(&add(&mut file, number)));
        }
        assert_eq!(numbers(&at("audit")).len(), 11);
        // A line that is larger than the file: never an empty old file.
        file.set_rotation(Some(Rotation { size: 5, keep: 9 }));
        assert!(is_yes(&add(&mut file, 20)) && is_yes(&add(&mut file, 21)));
        assert_eq!((numbers(&at("audit")), numbers(&at("audit.1"))), (vec![21], vec![20]));
    }

    #[test]
    fn r69_root_gives_the_new_file_to_the_owner_of_the_old_one() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut file = LineFile::open(&path, Some(ROTATION)).unwrap();
        std::os::unix::fs::chown(&path, Some(4711), Some(4712)).unwrap();
        (1..=3).for_each(|number| drop(add(&mut file, number)));
        let new = fs::metadata(&path).unwrap();
        assert_eq!((new.len(), new.uid(), new.gid()), (10, 4711, 4712));
    }

    #[test]
    fn r69_two_writers_of_a_file_rotate_it_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut one = LineFile::open(&path, Some(Rotation { size: 20, keep: 9 })).unwrap();
        let mut other = LineFile::open(&path, Some(Rotation { size: 20, keep: 9 })).unwrap();
        assert!(!is_yes(&add(&mut one, 1)) && !is_yes(&add(&mut other, 2)));
        // The first one rotates, the other one finds another file with room.
        assert!(is_yes(&add(&mut one, 3)) && !is_yes(&add(&mut other, 4)));
        assert!(is_yes(&add(&mut other, 5)) && !is_yes(&add(&mut one, 6)));
        assert_eq!(names(dir.path()), ["audit", "audit.1", "audit.2"]);
        assert_eq!(numbers(&dir.path().join("audit.1")), [3, 4]);
        // While another process has the lock.
        let lock = File::open(&path).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(!is_yes(&add(&mut one, 7)));
        drop(lock);
        assert!(is_yes(&add(&mut one, 8)));
        // The other one was faster between the check of the name and the lock.
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        assert!(!one.rotate(9).unwrap());
        assert!(!is_yes(&add(&mut one, 9)));
        assert_eq!(numbers(&path), [9]);
        // All at once.
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut file = LineFile::open(&path, Some(Rotation { size: 1000, keep: 50 })).unwrap();
                    (0..500).filter(|number| is_yes(&add(&mut file, 1000 + writer * 1000 + number))).count()
                })
            })
            .collect();
        let rotated: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        // While one has the lock, the others go on writing: there are fewer rotations on a busy machine, and never
        // more.
        assert!((2..=25).contains(&rotated), "{rotated}");
        let all = names(dir.path());
        let mut seen: Vec<_> =
            all.iter().flat_map(|name| numbers(&dir.path().join(name))).filter(|n| *n >= 1000).collect();
        seen.sort_unstable();
        let expected: Vec<_> = (0..4).flat_map(|writer| (0..500).map(move |n| 1000 + writer * 1000 + n)).collect();
        assert_eq!(seen, expected, "no line is lost, and none is there twice");
    }

    #[test]
    fn r69_what_cannot_be_rotated_goes_on_growing_and_no_old_file_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut file = LineFile::open(&at("audit"), Some(ROTATION)).unwrap();
        fs::write(at("audit.1"), "line 0000\n").unwrap();
        // A directory with a file in it is in the way, even for root.
        fs::create_dir_all(at("audit.2/x")).unwrap();
        let rotated: Vec<_> = (1..=4).map(|number| add(&mut file, number)).collect();
        assert!(matches!(rotated[2], Rotated::Failed(_)), "{rotated:?}");
        assert!(matches!(rotated[3], Rotated::No), "not tried again at once: {rotated:?}");
        assert_eq!((numbers(&at("audit")), numbers(&at("audit.1"))), (vec![1, 2, 3, 4], vec![0]));
        assert_eq!(names(dir.path()), ["audit", "audit.1", "audit.2"]);
        file.reopen();
        assert!(matches!(add(&mut file, 5), Rotated::Failed(_)));
        fs::remove_dir_all(at("audit.2")).unwrap();
        file.reopen();
        assert!(is_yes(&add(&mut file, 6)));
        assert_eq!(numbers(&at("audit.1")), [1, 2, 3, 4, 5]);
        assert_eq!((numbers(&at("audit.2")), numbers(&at("audit"))), (vec![0], vec![6]));
    }

    #[test]
    fn r69_a_link_and_a_device_stay_what_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("far")).unwrap();
        std::os::unix::fs::symlink("far/real", at("audit")).unwrap();
        let mut file = LineFile::open(&at("audit"), Some(ROTATION)).unwrap();
        (1..=3).for_each(|number| drop(add(&mut file, number)));
        assert!(fs::symlink_metadata(at("audit")).unwrap().is_symlink());
        assert_eq!(names(&at("far")), ["real", "real.1"]);
        assert_eq!(numbers(&at("audit")), [3]);
        let mut null = LineFile::open(Path::new("/dev/null"), Some(ROTATION)).unwrap();
        assert!((1..=9).all(|number| matches!(add(&mut null, number), Rotated::No)));
        can_rotate(Path::new("/dev/null")).unwrap();
        can_rotate(&at("audit")).unwrap();
    }

    #[test]
    fn r69_a_directory_without_the_right_to_write_is_known_before() {
        // Root may.
        if rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let mut file = LineFile::open(&path, Some(ROTATION)).unwrap();
        can_rotate(&path).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o500)).unwrap();
        assert!(can_rotate(&path).is_err());
        let rotated: Vec<_> = (1..=3).map(|number| add(&mut file, number)).collect();
        assert!(matches!(rotated[2], Rotated::Failed(_)), "{rotated:?}");
        assert_eq!(numbers(&path), [1, 2, 3]);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    }
}
