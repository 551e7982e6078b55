//! `tollgate serve`.

use super::ConfigFile;
use crate::exit::Failure;
use crate::ops;

/// Run the gate in the foreground, until SIGTERM or SIGINT; SIGHUP reloads the configuration
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigFile,
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        ops::serve(&self.config.path, |_| {})
    }
}
