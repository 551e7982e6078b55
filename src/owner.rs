//! The owner of files that root creates. The service has its own user, which must read and write the files. So a file
//! that root creates gets the owner of its directory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Gives a file that was just made, if it is root's, to the owner of the directory of `path`.
///
/// # Errors
/// The file system refused.
pub fn hand_over(made: &File, path: &Path) -> io::Result<()> {
    if made.metadata()?.uid() != 0 {
        return Ok(());
    }
    let directory = fs::metadata(parent(path))?;
    if directory.uid() == 0 { Ok(()) } else { fchown(made, Some(directory.uid()), Some(directory.gid())) }
}

/// The same for a new directory. The owner of the parent directory could replace it in between: anything that is not a
/// directory, or does not belong to root, stays unchanged.
///
/// # Errors
/// The file system refused.
pub fn hand_over_directory(path: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    hand_over(&File::from(rustix::fs::open(path, flags, Mode::empty())?), path)
}

/// The directory that `path` is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_directory() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let owner = |path: &Path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().gid());
        let file = temp.path().join("file");
        let made = File::create_new(&file).unwrap();
        hand_over(&made, &file).unwrap();
        assert_eq!(owner(&file), (0, 0), "root's own");
        std::os::unix::fs::chown(temp.path(), Some(4711), Some(4712)).unwrap();
        hand_over(&made, &file).unwrap();
        assert_eq!(owner(&file), (4711, 4712));
        let (directory, link) = (temp.path().join("directory"), temp.path().join("link"));
        fs::create_dir(&directory).unwrap();
        std::os::unix::fs::symlink(&directory, &link).unwrap();
        hand_over_directory(&link).unwrap_err();
        assert_eq!(owner(&directory), (0, 0));
        hand_over_directory(&directory).unwrap();
        assert_eq!(owner(&directory), (4711, 4712));
        assert_eq!(parent(Path::new("file")), Path::new("."));
    }
}
