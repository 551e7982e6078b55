//! How a command fails: lines for stderr, and an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::Errors;
use crate::exit;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(super) struct Failure {
    /// sysexits(3).
    pub(super) code: u8,
    /// What is wrong, and what to do.
    pub(super) lines: Vec<String>,
}

impl Failure {
    /// One line.
    pub(super) fn new(code: u8, line: impl Into<String>) -> Self {
        Self { code, lines: vec![line.into()] }
    }
}

/// Tells `stderr`, and says which code to exit with.
pub(super) fn report(failure: &Failure, stderr: &mut dyn Write) -> ExitCode {
    for line in &failure.lines {
        // Whom else to tell?
        let _ = writeln!(stderr, "{line}");
    }
    ExitCode::from(failure.code)
}

impl From<Errors> for Failure {
    /// The configuration is wrong. A line each, which begins with the file and line, as editors expect it.
    fn from(errors: Errors) -> Self {
        Self { code: exit::CONFIG, lines: errors.iter().map(ToString::to_string).collect() }
    }
}

impl From<io::Error> for Failure {
    /// Writing the answer failed. If it was because the reader has seen enough (`tollgate … | head`), all is well.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: 0, lines: Vec::new() };
        }
        Self::new(exit::IO, format!("can't write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        let told = |kind: io::ErrorKind| {
            let mut stderr = Vec::new();
            let code = report(&Failure::from(io::Error::from(kind)), &mut stderr);
            (code, String::from_utf8(stderr).unwrap())
        };
        assert_eq!(told(io::ErrorKind::BrokenPipe), (ExitCode::SUCCESS, String::new()));
        let (code, message) = told(io::ErrorKind::StorageFull);
        assert_eq!(code, ExitCode::from(74));
        assert!(message.starts_with("can't write the output: ") && message.lines().count() == 1);
    }
}
