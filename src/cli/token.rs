//! `tollgate token`: inspect, mint and revoke tokens, in the store that a running process has open, too.
//!
//! A token is never on the command line, which every user of the machine can read: it comes from standard input and
//! goes to standard output.

mod mint;
mod revoke;

use std::io::{self, BufRead, IsTerminal as _, Read as _, Write};

use clap::Subcommand;

use super::token_inspect::Inspect;
use crate::exit::{self, Failure};
use mint::Mint;
use revoke::Revoke;
pub(super) use revoke::end_user;

/// Access tokens: inspect, mint, revoke
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Inspect(Inspect),
    Mint(Mint),
    Revoke(Revoke),
}

impl Command {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Inspect(inspect) => inspect.run(out),
            Self::Mint(mint) => mint.run(out, &mut io::stderr().lock()),
            Self::Revoke(revoke) => revoke.run(&mut io::stdin().lock(), io::stdin().is_terminal(), out),
        }
    }
}

pub(super) fn read_token(input: &mut dyn BufRead, interactive: bool) -> Result<String, Failure> {
    let mut line = String::new();
    if interactive {
        line = rpassword::prompt_password("Token: ")?;
    } else {
        let read = input.take(MAX_LINE_BYTES).read_line(&mut line);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Failure::new(exit::DATA, "the token is not text"),
            _ => error.into(),
        })?;
    }
    let token = line.trim();
    // As in the header.
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    if token.is_empty() {
        return Err(Failure::new(exit::DATA, "there is no token on standard input"));
    }
    Ok(token.to_owned())
}

/// No valid token is longer.
const MAX_LINE_BYTES: u64 = 64 * 1024;
