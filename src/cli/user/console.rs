//! The terminal or pipe that a command talks to.

use std::io::{self, BufRead, Write};

use crate::exit::{self, Failure};
use crate::login::password::Password;

/// Source of passwords, and target of lists and secrets.
pub(super) struct Console<'a> {
    pub(super) input: &'a mut dyn BufRead,
    /// A terminal: ask without echo.
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

    /// Prints a line. A reader that closes early, such as `head`, is no error.
    pub(super) fn print_line(&mut self, line: &str) -> Result<(), Failure> {
        match writeln!(self.output, "{line}") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Prints a secret that can't be printed again: a closed reader is an error.
    pub(super) fn print_secret(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.output, "{text}")?;
        Ok(self.output.flush()?)
    }
}
