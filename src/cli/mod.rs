//! The command line: one file per command.
//!
//! A command writes its output to `out`, and returns a `Failure` otherwise. Only this module prints failures and turns
//! them into exit codes.

mod check;
mod demo;
mod explain;
mod init;
mod key;
mod schema;
mod serve;
mod session;
mod store;
mod token;
mod token_inspect;
mod user;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::{Config, Realm};
use crate::exit::{self, Failure};
use crate::store::Store;

/// Puts authentication in front of applications that have none.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Check(check::Args),
    Explain(explain::Args),
    Init(init::Args),
    Schema(schema::Args),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    Token(token::Command),
    #[command(subcommand)]
    User(user::Command),
    #[command(subcommand)]
    Session(session::Command),
    #[command(subcommand)]
    Store(store::Command),
}

impl Command {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => args.run(),
            Self::Demo(args) => args.run(out),
            Self::Check(args) => args.run(out, &mut std::io::stderr().lock()),
            Self::Explain(args) => args.run(out),
            Self::Init(args) => args.run(out),
            Self::Schema(args) => args.run(out),
            Self::Key(command) => command.run(out),
            Self::Token(command) => command.run(out),
            Self::User(command) => command.run(out),
            Self::Session(command) => command.run(out),
            Self::Store(command) => command.run(out),
        }
    }
}

/// The configuration that a command works with.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    path: PathBuf,
}

/// The realm of this name.
fn realm_of<'a>(config: &'a Config, file: &Path, name: &str) -> Result<&'a Arc<Realm>, Failure> {
    config.policy.realm(name).ok_or_else(|| {
        let names: Vec<_> = config.policy.realms.iter().map(|realm| realm.name.as_str()).collect();
        let line = format!("{} has no realm {name:?}, only {}", file.display(), names.join(", "));
        Failure::new(exit::USAGE, line)
    })
}

/// The access of a command to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Read only: nothing is created, migrated or written.
    Read,
    /// Changes existing rows.
    Change,
    /// Adds rows; the store is created if it does not exist.
    Make,
}

/// Runs `work` with the store of this configuration, which a running process may have open, too.
fn with_store<T>(
    config: &Config,
    to: Use,
    work: impl AsyncFnOnce(Arc<dyn Store>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = match to {
            Use::Read => crate::store::open_read_only(&config.store).await?,
            Use::Change => crate::store::open_existing(&config.store).await?,
            Use::Make => crate::store::open(&config.store).await?,
        };
        let done = work(store.clone()).await;
        // Leaves the file whole, should this be its only user.
        store.close().await;
        done
    })
}

/// The command line definition: the manual pages and completions are generated from it.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the command line of the process. The exit code is from sysexits.h: 0, 64 for a wrong command line, 78 for a
/// wrong configuration, and others of the commands.
#[must_use]
pub fn run() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => {
            // Help and version go to stdout. If stdout is closed, there is no other output.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let mut out = std::io::stdout().lock();
    let result = command_line.command.run(&mut out).and_then(|()| Ok(out.flush()?));
    drop(out);
    result.map_or_else(|failure| failure.report(&mut std::io::stderr().lock()), |()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn usage_errors_and_help() {
        let kind = |args: &[&str]| {
            let args = std::iter::once("tollgate").chain(args.iter().copied());
            let error = CommandLine::try_parse_from(args).unwrap_err();
            (error.use_stderr(), error.kind())
        };
        assert_eq!(kind(&["check"]), (true, ErrorKind::MissingRequiredArgument));
        assert_eq!(kind(&["chek"]), (true, ErrorKind::InvalidSubcommand));
        assert_eq!(kind(&["key", "new", "--id", "a b"]), (true, ErrorKind::ValueValidation));
        assert_eq!(kind(&[]), (true, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand));
        assert_eq!(kind(&["--help"]), (false, ErrorKind::DisplayHelp));
        assert_eq!(kind(&["key", "--help"]), (false, ErrorKind::DisplayHelp));
        assert_eq!(kind(&["--version"]), (false, ErrorKind::DisplayVersion));
    }
}
