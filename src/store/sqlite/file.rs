//! The file of the store: made with its final mode, and examined by its header.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::schema::{APPLICATION_ID, FOREIGN, MIGRATIONS, NEWER};
use crate::owner;
use crate::store::StoreError;

pub(super) fn is_there(path: &Path) -> Result<(), StoreError> {
    directory_of(path).map_err(|error| failed_at(path, error))?;
    match path.try_exists() {
        Ok(false) => Err(failed_at(path, "there is no database yet: tollgate serve and tollgate user add create it")),
        // Opening it reports the other errors.
        Ok(true) | Err(_) => Ok(()),
    }
}

fn directory_of(path: &Path) -> io::Result<PathBuf> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if directory.is_dir() {
        return Ok(directory);
    }
    let message = format!("the directory {} does not exist", directory.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

/// Creates the file with its final mode, so that others can never read it.
pub(super) fn create_file(path: &Path) -> io::Result<()> {
    let directory = directory_of(path)?;
    match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path) {
        // The name must survive a power failure as the content will.
        Ok(file) => owner::hand_over(&file, path)
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(directory)?.sync_all()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::metadata(path)?;
            if !metadata.is_file() {
                return Err(io::Error::other("not a file"));
            }
            if metadata.permissions().mode() & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "others can read the store, which contains password hashes");
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Reads the header of the file (SQLite's "Database File Format", 1.3), if the file exists.
pub(in crate::store) fn examine(path: &Path) -> Result<(), String> {
    let problem = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let mut header = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(HEADER_BYTES).read_to_end(&mut header).map_err(|error| problem(&error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(problem(&error)),
    };
    for name in ["-wal", "-shm"] {
        let mut other = path.as_os_str().to_owned();
        other.push(name);
        let writable = OpenOptions::new().read(true).write(true).open(&other);
        if let Err(error) = writable.as_ref()
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(format!("{}: {error}", Path::new(&other).display()));
        }
        // The header may be newer there.
        if name == "-wal" && writable.is_ok_and(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 0)) {
            return Ok(());
        }
    }
    if header.is_empty() {
        return Ok(());
    }
    let number = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let (true, Some(version), Some(application)) = (header.starts_with(MAGIC), number(60), number(68)) else {
        return Err(problem(&"the file is not an SQLite database"));
    };
    if i64::from(application) != APPLICATION_ID {
        return Err(problem(&FOREIGN));
    }
    let is_known = usize::try_from(version).is_ok_and(|version| version <= MIGRATIONS.len());
    if is_known { Ok(()) } else { Err(problem(&NEWER)) }
}

pub(super) fn failed_at(path: &Path, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("{}: {reason}", path.display()))
}

const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;
