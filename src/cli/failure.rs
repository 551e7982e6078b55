//! Why a command did not do what it was asked to, with its exit code (sysexits.h).

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::Errors;

/// Lines for stderr, and an exit code.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    /// The command line asks for something that can't be: 64.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::new(USAGE, message)
    }

    /// A fault of the program or of the machine that nobody's input explains: 70.
    pub(super) fn internal(message: impl fmt::Display) -> Self {
        Self::new(INTERNAL, message)
    }

    /// A file can't be made, or is there already: 73.
    pub(super) fn cannot_create(message: impl fmt::Display) -> Self {
        Self::new(CANNOT_CREATE, message)
    }

    /// Tells `stderr`, and says which code to exit with.
    pub(super) fn report(&self, stderr: &mut dyn Write) -> ExitCode {
        for line in &self.lines {
            // Whom else to tell?
            let _ = writeln!(stderr, "{line}");
        }
        ExitCode::from(self.code)
    }

    fn new(code: u8, message: impl fmt::Display) -> Self {
        Self { code, lines: vec![format!("tollgate: {message}")] }
    }
}

impl From<Errors> for Failure {
    /// The configuration is wrong: 78. A line each, which begins with the file and line, as editors expect it.
    fn from(errors: Errors) -> Self {
        Self { code: CONFIGURATION, lines: errors.iter().map(ToString::to_string).collect() }
    }
}

impl From<io::Error> for Failure {
    /// Writing the answer failed: 74. If it was because the reader has seen enough (`tollgate … | head`), all is well.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: 0, lines: Vec::new() };
        }
        Self::new(IO, format_args!("can't write the output: {error}"))
    }
}

/// `EX_USAGE`
pub(super) const USAGE: u8 = 64;
/// `EX_SOFTWARE`
const INTERNAL: u8 = 70;
/// `EX_CANTCREAT`
const CANNOT_CREATE: u8 = 73;
/// `EX_IOERR`
const IO: u8 = 74;
/// `EX_CONFIG`
const CONFIGURATION: u8 = 78;

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
        assert!(message.starts_with("tollgate: can't write the output: ") && message.lines().count() == 1);
    }
}
