//! `tollgate key rotate`.

use std::fmt::Display;
use std::io::Write;

use crate::cli::ConfigFile;
use crate::clock;
use crate::config::{Mode, load};
use crate::exit::{self, Failure};
use crate::keystore::{KeyState, KeyStatus, KeysDir, RotationResult};

/// Create the next signing key: running processes publish it at once, and it becomes active after publish_ahead
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rotate {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// Realm of the key
    #[arg(long)]
    pub(super) realm: String,
    /// Activate the key immediately, and drop older pending keys. A verifier with a cached JWKS rejects new tokens
    /// until its next fetch
    #[arg(long)]
    pub(super) now: bool,
}

impl Rotate {
    pub(super) fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let policy = load(&self.config.path, Mode::Start)?.policy;
        for (dir, _) in self.config.realm(&policy, &self.realm)?.keys_dirs() {
            self.rotate(dir, out, now)?;
        }
        Ok(())
    }

    fn rotate(&self, dir: &KeysDir, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let rotation = dir.rotate(now, self.now).map_err(|message| Failure::new(exit::CANNOT_CREATE, message))?;
        let place = dir.path().display();
        match rotation {
            RotationResult::Made { key, dropped } => {
                say_made(&key, &place, out)?;
                say_dropped(&dropped, out)?;
            }
            RotationResult::Waiting(KeyStatus { kid, state, .. }) => {
                let from = if let KeyState::Pending(from) = state { from } else { now };
                let from = clock::rfc3339(from);
                writeln!(
                    out,
                    "Nothing to do: key {kid} is pending and becomes active at {from}. To activate it now, use --now."
                )?;
            }
        }
        Ok(())
    }
}

pub(super) fn say_made(key: &KeyStatus, place: &dyn Display, out: &mut dyn Write) -> std::io::Result<()> {
    let KeyStatus { kid, algorithm, state, .. } = key;
    let from = if let KeyState::Pending(from) = state { clock::rfc3339(*from) } else { "now".into() };
    writeln!(out, "Made the {} key {kid} in {place}. It signs from {from} on.", algorithm.name())
}

pub(super) fn say_dropped(dropped: &[KeyStatus], out: &mut dyn Write) -> std::io::Result<()> {
    for KeyStatus { kid, algorithm, state, .. } in dropped {
        let from = if let KeyState::Pending(from) = state { clock::rfc3339(*from) } else { "now".into() };
        writeln!(out, "Dropped the {} key {kid}, which would have signed from {from} on.", algorithm.name())?;
    }
    Ok(())
}
