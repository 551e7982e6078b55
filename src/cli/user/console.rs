//! The terminal or pipe that a command talks to.

use std::io::{self, BufRead, Write};

use crate::exit::{self, Failure};
use crate::login::password::Password;

/// Where passwords come from, and lists and secrets go to.
pub(super) struct Console<'a> {
    pub(super) input: &'a mut dyn BufRead,
    /// Somebody sits there: ask on the terminal, without an echo.
    pub(super) interactive: bool,
    pub(super) output: &'a mut dyn Write,
    /// The output is a terminal, too.
    pub(super) colours: bool,
}

impl Console<'_> {
    pub(super) fn password(&mut self) -> Result<Password, Failure> {
        let text = if self.interactive {
            let (first, again) = (rpassword::prompt_password("Password: ")?, rpassword::prompt_password("Again: ")?);
            if first != again {
                return Err(Failure::new(exit::DATA, "the passwords differ"));
            }
            first
        } else {
            let mut line = String::new();
            self.input.read_line(&mut line)?;
            let end = line.trim_end_matches('\n').trim_end_matches('\r').len();
            line.truncate(end);
            line
        };
        if text.is_empty() {
            return Err(Failure::new(exit::DATA, "the password is empty"));
        }
        Ok(Password::new(text))
    }

    /// Writes a line. A reader that has seen enough, such as `head`, is no failure.
    pub(super) fn print_line(&mut self, line: &str) -> Result<(), Failure> {
        match writeln!(self.output, "{line}") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Writes what nobody can ask for again: here a reader that is gone is a failure.
    pub(super) fn print_secret(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.output, "{text}")?;
        Ok(self.output.flush()?)
    }
}
