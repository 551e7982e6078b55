//! Failures of the program and its commands, with exit codes from sysexits(3).

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::Errors;
use crate::store::StoreError;

/// Lines for stderr, and an exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of the constants of this module; 0 for success.
    pub code: u8,
    /// Messages for the operator: the fault and the remedy.
    pub lines: Vec<String>,
}

impl Failure {
    #[must_use]
    pub fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, lines: vec![format!("tollgate: {message}")] }
    }

    /// Prints the messages to `stderr` and returns the exit code.
    pub fn report(&self, stderr: &mut dyn Write) -> ExitCode {
        for line in &self.lines {
            // If stderr fails, there is no other output.
            let _ = writeln!(stderr, "{line}");
        }
        ExitCode::from(self.code)
    }
}

impl From<Errors> for Failure {
    /// The configuration is wrong. One line per error, which begins with the file and line, as editors expect it.
    fn from(errors: Errors) -> Self {
        Self { code: CONFIG, lines: errors.iter().map(ToString::to_string).collect() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::NameTaken | StoreError::AccountTaken | StoreError::MissingName => DATA,
            StoreError::VersionConflict | StoreError::Revoked | StoreError::Failed(_) => UNAVAILABLE,
        };
        Self::new(code, error)
    }
}

impl From<io::Error> for Failure {
    /// Writing the answer failed. If it was because the reader has seen enough (`tollgate … | head`), all is well.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: 0, lines: Vec::new() };
        }
        Self::new(IO, format_args!("can't read the input or write the output: {error}"))
    }
}

/// The command line is wrong.
pub const USAGE: u8 = 64;
/// The data that was given is wrong.
pub const DATA: u8 = 65;
/// The store is unavailable, or a listen address is in use.
pub const UNAVAILABLE: u8 = 69;
/// A fault of the program.
pub const SOFTWARE: u8 = 70;
/// The system refused an operation.
pub const OS: u8 = 71;
/// A file can't be made, or is there already.
pub const CANNOT_CREATE: u8 = 73;
/// The answer could not be written.
pub const IO: u8 = 74;
pub const CONFIG: u8 = 78;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        let report = |kind: io::ErrorKind| {
            let mut stderr = Vec::new();
            let code = Failure::from(io::Error::from(kind)).report(&mut stderr);
            (code, String::from_utf8(stderr).unwrap())
        };
        assert_eq!(report(io::ErrorKind::BrokenPipe), (ExitCode::SUCCESS, String::new()));
        let (code, message) = report(io::ErrorKind::StorageFull);
        assert_eq!(code, ExitCode::from(74));
        assert!(message.starts_with("tollgate: can't ") && message.lines().count() == 1);
    }
}
