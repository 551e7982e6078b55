//! `tollgate schema`.

use std::io::Write;

use crate::config::json_schema;
use crate::exit::Failure;

/// Print the JSON Schema of the configuration file, for completion and validation in editors
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

impl Args {
    #[allow(clippy::unused_self, reason = "as all commands")]
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "{}", text())?;
        Ok(())
    }
}

/// The schema as `tollgate init` writes it.
pub(super) fn text() -> String {
    format!("{:#}", json_schema())
}
