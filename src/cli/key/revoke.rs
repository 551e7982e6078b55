//! `tollgate key revoke`: a signing key that somebody stole.

use std::io::Write;

use super::super::{ConfigFile, Use, with_store};
use super::{say_dropped, say_made};
use crate::config::{Config, KeysDir, Mode, Realm, load};
use crate::exit::{self, Failure};
use crate::store::Epoch;

/// Take a signing key away that may have been stolen: another one signs at once, tokens that it signed count no more, and no
/// session of before can be refreshed
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Revoke {
    #[command(flatten)]
    config: ConfigFile,
    /// Whose tokens it signs
    #[arg(long)]
    realm: String,
    /// The key's id, as "tollgate key list" shows it
    #[arg(value_name = "KID")]
    kid: String,
}

impl Revoke {
    pub(super) fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Check)?;
        let dir = self.dir(self.config.realm(&config.policy, &self.realm)?, now)?;
        let place = dir.path().display().to_string();
        if !dir.is_writable() {
            return Err(Failure::new(exit::CANNOT_CREATE, self.credential(&place)));
        }
        let failed = |message: String| Failure::new(exit::CANNOT_CREATE, message);
        // Realms may share a directory: each has to have a key that signs.
        let uses = uses(&config, dir);
        let mut made = Vec::new();
        for (_, dir) in &uses {
            let turn = dir.stand_in_for(&self.kid, now).map_err(failed)?;
            turn.iter().try_for_each(|turn| say_made(turn, &place, out))?;
            made.push(turn);
        }
        // Before the key goes: a run that ends in between is repeated, and without the key there would be nothing to repeat.
        let ended = self.end_epochs(&uses, now);
        for ((_, dir), made) in uses.iter().zip(&made) {
            say_dropped(&dir.revoke(&self.kid, made.as_ref(), now).map_err(failed)?, out)?;
        }
        writeln!(
            out,
            "Took the key {} away from {place}: running gates refuse what it signed within some seconds.",
            self.kid
        )?;
        if let Err(mut failure) = ended {
            failure.lines.push(format!(
                "tollgate: the key is gone, but sessions that began while it was there can still be refreshed: end them with \
                 tollgate session end -c {} --realm {} --all",
                self.config.path.display(),
                self.realm
            ));
            return Err(failure);
        }
        writeln!(out, "No session of before can be refreshed, and no login that was begun before can be finished.")?;
        Ok(())
    }

    /// Where the key is.
    fn dir<'a>(&self, realm: &'a Realm, now: i64) -> Result<&'a KeysDir, Failure> {
        let mut kids = Vec::new();
        for (dir, _) in realm.keys_dirs() {
            let turns = dir.turns(now).map_err(|errors| Failure::new(exit::CONFIG, errors.join("; ")))?;
            if turns.iter().any(|turn| turn.kid == self.kid) {
                return Ok(dir);
            }
            kids.extend(turns.into_iter().map(|turn| turn.kid));
        }
        let there = if kids.is_empty() { "none".to_owned() } else { kids.join(", ") };
        let line = format!("realm {:?} has no signing key {:?}: it has {there}", self.realm, self.kid);
        Err(Failure::new(exit::DATA, line))
    }

    /// What to do about a key that systemd puts there.
    fn credential(&self, place: &str) -> String {
        format!(
            "{place} is one of systemd's credentials: take the key {} away where they come from, put another one there \
             (tollgate key rotate with a keys_dir of your own makes one), restart the service, and run tollgate session end \
             --realm {} --all",
            self.kid, self.realm
        )
    }

    fn end_epochs(&self, uses: &[(String, KeysDir)], now: i64) -> Result<(), Failure> {
        // As it is with the new key.
        let config = load(&self.config.path, Mode::Check)?;
        with_store(&config, Use::Make, async |store| {
            for (realm, _) in uses {
                let realm = self.config.realm(&config.policy, realm)?;
                let mut next = Epoch::next(realm, now).map_err(|error| Failure::new(exit::SOFTWARE, error))?;
                next.keys.retain(|kid| *kid != self.kid);
                store.begin_epoch(&next).await?;
            }
            Ok(())
        })
    }
}

/// The realms that have their keys in this directory, each as it uses it.
fn uses(config: &Config, dir: &KeysDir) -> Vec<(String, KeysDir)> {
    let path = |dir: &KeysDir| dir.path().canonicalize().unwrap_or_else(|_| dir.path().to_owned());
    let place = path(dir);
    let of_realm = |realm: &Realm| {
        let there = realm.keys_dirs().map(|(dir, _)| dir).find(|dir| path(dir) == place);
        there.map(|dir| (realm.name().to_owned(), dir.clone()))
    };
    config.policy.realms().iter().filter_map(|realm| of_realm(realm)).collect()
}
