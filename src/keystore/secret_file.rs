//! Files that hold a secret.

use crate::filesystem::io_error_text;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::Zeroizing;

/// The users who can have access to a file with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileAccess {
    /// Only its owner (SECURITY.md R46).
    Owner,
    /// Any user: `insecure_key_files` is set, or systemd protects the file.
    Anyone,
}

/// Returns the text of a secret file.
///
/// # Errors
/// A sentence that begins with the path and contains nothing of the text.
pub(crate) fn read(path: &Path, readers: FileAccess) -> Result<Zeroizing<String>, String> {
    let (file, mode) = open(path)?;
    if readers == FileAccess::Owner && mode & 0o077 != 0 {
        return Err(format!(
            "group or others have access to {0} (mode {mode:04o}): run chmod 600 {0}, or set insecure_key_files = true in [server]",
            path.display()
        ));
    }
    let mut text = Zeroizing::new(String::new());
    // The whole capacity at once: a string that grows leaves copies of the secret in freed memory.
    text.reserve_exact(MAX_BYTES + 1);
    file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => format!("{} is not UTF-8 text", path.display()),
        _ => unreadable(path, &error),
    })?;
    if text.len() > MAX_BYTES {
        return Err(format!("{} is larger than {MAX_BYTES} bytes, the maximum for a secret file", path.display()));
    }
    Ok(text)
}

/// Returns the content of a file without secrets, up to `limit` bytes.
///
/// # Errors
/// A sentence that begins with the path.
pub(crate) fn read_public(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() > limit {
        return Err(format!("{} is larger than {limit} bytes", path.display()));
    }
    Ok(bytes)
}

/// Opens a regular file. Also returns its mode.
fn open(path: &Path) -> Result<(File, u32), String> {
    // Before it is opened: to open a pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(format!("can't read {}: it is not a regular file", path.display()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    // The mode of the open file: the path may name a different file by now.
    let mode = file.metadata().map_err(|error| unreadable(path, &error))?.mode() & 0o7777;
    Ok((file, mode))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("can't read {}: {}", path.display(), io_error_text(error))
}

const MAX_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn r46_a_secret_that_others_can_read_is_refused_unless_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "hunter2-hunter2\n").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
            chmod(&path, mode);
            let error = read(&path, FileAccess::Owner).unwrap_err();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:04o}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert!(read(&path, FileAccess::Anyone).is_ok());
        }
        for mode in [0o600, 0o400] {
            chmod(&path, mode);
            assert_eq!(read(&path, FileAccess::Owner).unwrap().as_str(), "hunter2-hunter2\n");
        }
    }

    #[test]
    fn a_secret_is_a_small_regular_file_of_utf_8_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(read(&path, FileAccess::Owner).unwrap_err().ends_with("it does not exist"));
        assert!(read(dir.path(), FileAccess::Owner).unwrap_err().ends_with("not a regular file"));
        assert!(read(Path::new("/dev/zero"), FileAccess::Anyone).unwrap_err().ends_with("not a regular file"));
        fs::write(&path, [0xff]).unwrap();
        assert!(read(&path, FileAccess::Anyone).unwrap_err().ends_with("not UTF-8 text"));
        fs::write(&path, "x".repeat(16 * 1024 + 1)).unwrap();
        assert!(read(&path, FileAccess::Anyone).unwrap_err().contains("larger than"));
    }
}
