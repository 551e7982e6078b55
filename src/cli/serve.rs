//! `tollgate serve`.

use super::ConfigFile;
use crate::exit::Failure;
use crate::ops::{self, Dumps};

/// Run Tollgate in the foreground, until SIGTERM or SIGINT; SIGHUP reloads the configuration
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Allow core dumps and debuggers: both show signing keys and passwords
    #[arg(long)]
    allow_core_dumps: bool,
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let dumps = if self.allow_core_dumps { Dumps::Allowed } else { Dumps::Never };
        ops::serve(&self.config.path, dumps, |_| {})
    }
}
