//! `tollgate key`: API keys, and the keys that sign tokens.

mod list;
mod new;
mod revoke;
mod rotate;

use std::io::Write;
use std::sync::Arc;

use super::ConfigFile;
use crate::clock::now;
use crate::config::{Policy, Realm};
use crate::exit::{self, Failure};
use list::List;
use new::New;
pub(super) use new::{new_secret, parse_timestamp, section};
use revoke::Revoke;
use rotate::Rotate;
use rotate::{say_dropped, say_made};

/// API keys and signing keys
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    New(New),
    List(List),
    Rotate(Rotate),
    Revoke(Revoke),
}

impl Command {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::New(args) => args.run(out, now()),
            Self::List(args) => args.run(out, now()),
            Self::Rotate(args) => args.run(out, now()),
            Self::Revoke(args) => args.run(out, now()),
        }
    }
}

impl ConfigFile {
    fn realm<'a>(&self, policy: &'a Policy, name: &str) -> Result<&'a Arc<Realm>, Failure> {
        policy.realm(name).ok_or_else(|| {
            let names: Vec<_> = policy.realms.iter().map(|realm| realm.name.as_str()).collect();
            let file = self.path.display();
            Failure::new(exit::USAGE, format_args!("{file} has no realm {name:?}, only {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests;
