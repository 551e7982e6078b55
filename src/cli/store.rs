//! `tollgate store`: the database as a whole.

use std::io::Write;

use clap::{Args, Subcommand};

use super::session::longest;
use super::{ConfigFile, Use, with_store};
use crate::clock::{now, rfc3339};
use crate::config::{Mode, load};
use crate::exit::{self, Failure};
use crate::store::Epoch;

/// The database of users, sessions and revocations
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Restored(Restored),
}

/// Report that a backup of the database was restored: every session of every realm ends, because revocations from after
/// the backup are lost
#[derive(Debug, Args)]
pub(super) struct Restored {
    #[command(flatten)]
    config: ConfigFile,
}

impl Command {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let Self::Restored(restored) = self;
        restored.run(out)
    }
}

impl Restored {
    fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Start)?;
        let now = now();
        let next = config.policy.realms.iter().map(|realm| Epoch::next(realm, now)).collect::<Result<Vec<_>, _>>();
        let next = next.map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        // Includes this second: it is unknown which tokens were issued in it, and one extra login is the smaller harm.
        with_store(&config, Use::Change, async |store| Ok(store.restored(&next, now, longest(now)).await?))?;
        let until = rfc3339(now);
        writeln!(
            out,
            "every session of every realm ended, with all tokens that were issued until {until}; running gates refuse them within a second"
        )?;
        Ok(())
    }
}
