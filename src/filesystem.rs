//! Files and directories: what this user can write, without writing, and the words for an error of the system.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

/// Checks that `dir` is a directory in which this user can create files, or can be created with its parents.
pub fn can_create_directory(dir: &Path) -> Result<(), String> {
    let mut existing = dir;
    loop {
        match fs::metadata(here_if_empty(existing)) {
            Ok(_) => return can_create_in(here_if_empty(existing)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                existing = existing.parent().ok_or_else(|| io_error_text(&error))?;
            }
            // A parent is a file, or this user has no access to it.
            Err(error) => return Err(format!("{}: {}", existing.display(), io_error_text(&error))),
        }
    }
}

/// Checks that this user can open the file for reading and writing, or create it: its directory has to exist.
pub fn can_write_file(path: &Path) -> Result<(), String> {
    can_create_in(directory_of(path))?;
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(format!("{} is not a regular file", path.display())),
        Ok(_) => allowed(path, Access::READ_OK | Access::WRITE_OK),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{}: {}", path.display(), io_error_text(&error))),
    }
}

fn can_create_in(dir: &Path) -> Result<(), String> {
    match fs::metadata(dir) {
        Ok(metadata) if !metadata.is_dir() => Err(format!("{} is not a directory", dir.display())),
        Ok(_) => allowed(dir, Access::WRITE_OK | Access::EXEC_OK),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("the directory {} does not exist", dir.display()))
        }
        Err(error) => Err(format!("{}: {}", dir.display(), io_error_text(&error))),
    }
}

fn allowed(path: &Path, to: Access) -> Result<(), String> {
    access(path, to).map_err(|error| format!("{}: {}", path.display(), io_error_text(&error.into())))
}

/// Returns the directory of a file.
#[must_use]
pub fn directory_of(file: &Path) -> &Path {
    here_if_empty(file.parent().unwrap_or(file))
}

/// Makes earlier changes of a directory durable: files that were created, renamed or removed in it.
///
/// # Errors
/// The directory can't be opened or written.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Returns `.` for the empty path.
fn here_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Returns the message of an error, for operators.
pub fn io_error_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it does not exist".into(),
        io::ErrorKind::PermissionDenied => "permission denied for the user of this process".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_check_does_not_write() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        fs::write(at("file"), "x").unwrap();
        can_create_directory(&at("a/b/c")).unwrap();
        can_create_directory(temp.path()).unwrap();
        assert!(can_create_directory(&at("file")).unwrap_err().ends_with("file is not a directory"));
        assert!(can_create_directory(&at("file/a")).is_err());
        can_write_file(&at("file")).unwrap();
        can_write_file(&at("new")).unwrap();
        assert!(can_write_file(temp.path()).unwrap_err().ends_with("is not a regular file"));
        let missing = can_write_file(&at("a/b")).unwrap_err();
        assert!(missing.starts_with("the directory ") && missing.ends_with("/a does not exist"), "{missing}");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_without_a_directory_is_below_the_working_directory() {
        assert_eq!(directory_of(Path::new("file")), Path::new("."));
        // The user who runs this test need not be the owner of the checkout.
        let here = can_create_in(Path::new("."));
        assert_eq!(can_create_directory(Path::new("no-such-directory")), here);
        assert_eq!(can_write_file(Path::new("no-such-file")), here);
    }

    #[test]
    fn files_without_permission_can_not_be_written() {
        // Root can write everything.
        if rustix::process::geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(can_write_file(&file).unwrap_err().contains("permission denied"));
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o500)).unwrap();
        assert!(can_write_file(&temp.path().join("new")).unwrap_err().contains("permission denied"));
        assert!(can_create_directory(&temp.path().join("a/b")).unwrap_err().contains("permission denied"));
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
}
