//! `tollgate key revoke`: removal of a stolen signing key.

use std::io::Write;

use super::super::{ConfigFile, Use, with_store};
use super::{say_dropped, say_made};
use crate::config::{Config, Mode, Realm, load};
use crate::exit::{self, Failure};
use crate::keystore::KeysDir;
use crate::store::Epoch;

/// Remove a stolen signing key: another key becomes active at once, its tokens are refused, and no session from before
/// can be refreshed
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Revoke {
    #[command(flatten)]
    config: ConfigFile,
    /// Realm of the key
    #[arg(long)]
    realm: String,
    /// Id of the key, as "tollgate key list" shows it
    #[arg(value_name = "KID")]
    kid: String,
}

impl Revoke {
    pub(super) fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let config = load(&self.config.path, Mode::Start)?;
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
            let stand_in = dir.stand_in_for(&self.kid, now).map_err(failed)?;
            stand_in.iter().try_for_each(|key| say_made(key, &place, out))?;
            made.push(stand_in);
        }
        for ((_, dir), made) in uses.iter().zip(&made) {
            say_dropped(&dir.revoke(&self.kid, made.as_ref(), now).map_err(failed)?, out)?;
        }
        // After the key is deleted, so that it opens no session of the new epoch. Until the epoch has begun, the
        // directory keeps a mark of the revocation: an interrupted command is repeated.
        let ended = self.end_epochs(&uses, now);
        writeln!(
            out,
            "Took the key {} away from {place}: running gates refuse what it signed within some seconds.",
            self.kid
        )?;
        if let Err(mut failure) = ended {
            failure.lines.push(format!(
                "tollgate: the key is gone, but sessions that began while it was there can still be refreshed: repeat this \
                 command, or end them with tollgate session end -c {} --realm {} --all",
                self.config.path.display(),
                self.realm
            ));
            return Err(failure);
        }
        dir.end_revocation(&self.kid).map_err(failed)?;
        writeln!(out, "No session of before can be refreshed, and no login that was begun before can be finished.")?;
        Ok(())
    }

    /// Location of the key.
    fn dir<'a>(&self, realm: &'a Realm, now: i64) -> Result<&'a KeysDir, Failure> {
        let mut kids = Vec::new();
        for (dir, _) in realm.keys_dirs() {
            let keys = dir.key_statuses(now).map_err(|errors| Failure::new(exit::CONFIG, errors.join("; ")))?;
            let is_there = keys.iter().any(|key| key.kid == self.kid);
            // A command was interrupted before its last step.
            if is_there || dir.is_revoked(&self.kid).map_err(|error| Failure::new(exit::CONFIG, error))? {
                return Ok(dir);
            }
            kids.extend(keys.into_iter().map(|key| key.kid));
        }
        let there = if kids.is_empty() { "none".to_owned() } else { kids.join(", ") };
        let line = format!("realm {:?} has no signing key {:?}: it has {there}", self.realm, self.kid);
        Err(Failure::new(exit::DATA, line))
    }

    /// The remedy for a key from systemd.
    fn credential(&self, place: &str) -> String {
        format!(
            "{place} is one of systemd's credentials: take the key {} away where they come from, put another one there \
             (tollgate key rotate with a keys_dir of your own makes one), restart the service, and run tollgate session end \
             --realm {} --all",
            self.kid, self.realm
        )
    }

    fn end_epochs(&self, uses: &[(String, KeysDir)], now: i64) -> Result<(), Failure> {
        // The state with the new key.
        let config = load(&self.config.path, Mode::Start)?;
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

/// The realms with keys in this directory, each with its settings.
fn uses(config: &Config, dir: &KeysDir) -> Vec<(String, KeysDir)> {
    let path = |dir: &KeysDir| dir.path().canonicalize().unwrap_or_else(|_| dir.path().to_owned());
    let place = path(dir);
    let of_realm = |realm: &Realm| {
        let there = realm.keys_dirs().map(|(dir, _)| dir).find(|dir| path(dir) == place);
        there.map(|dir| (realm.name.to_owned(), dir.clone()))
    };
    config.policy.realms.iter().filter_map(|realm| of_realm(realm)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::ops::prepare;

    const NOW: i64 = 1_800_000_000;

    fn configuration(dir: &Path, store: &str) -> ConfigFile {
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:8080\"]\n[store]\nurl = \"sqlite://{store}\"\n\
             [[realm]]\nname = \"a\"\nissuer = \"https://a.example\"\nrequire_key = false\nkeys_dir = \"keys\"\n\
             [[realm]]\nname = \"b\"\nissuer = \"https://b.example\"\nrequire_key = false\nkeys_dir = \"./keys\"\n\
             algorithm = \"ES256\"\n\
             [[realm]]\nname = \"c\"\nissuer = \"https://c.example\"\nrequire_key = false\n\
             [[login]]\ndialect = \"project\"\npath = \"/login\"\nrealm = \"a\"\n"
        );
        let path = dir.join("t.toml");
        std::fs::write(&path, text).unwrap();
        ConfigFile { path }
    }

    fn kids(dir: &Path) -> BTreeSet<String> {
        let names = std::fs::read_dir(dir.join("keys")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter_map(|name| Some(name.to_str()?.strip_suffix(".jwk")?.to_owned())).collect()
    }

    fn revoke(config: ConfigFile, kid: &str) -> (Result<(), Failure>, String) {
        let mut out = Vec::new();
        let revoked = Revoke { config, realm: "a".into(), kid: kid.into() }.run(&mut out, NOW);
        (revoked, String::from_utf8(out).unwrap())
    }

    #[test]
    fn r62_each_realm_of_the_directory_has_a_key_and_another_epoch() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let config = configuration(dir, "t.db");
        let loaded = prepare::load(&config.path, Mode::Start).unwrap();
        let signs = |realm: &str| loaded.policy.realm(realm).unwrap().tokens.keys.active_key(NOW).kid().to_owned();
        let (stolen, other) = (signs("a"), signs("b"));
        let epochs = || with_store(&loaded, Use::Make, async |store| Ok(store.epochs().await?)).unwrap();
        assert!(epochs().is_empty());
        let (revoked, said) = revoke(configuration(dir, "t.db"), &stolen);
        revoked.unwrap();
        assert!(said.starts_with("Made the HS256 key ") && !said.contains("ES256"), "{said}");
        let left = kids(dir);
        assert!(left.len() == 2 && left.contains(&other) && !left.contains(&stolen), "{left:?}");
        let begun = epochs();
        let keys: Vec<_> = begun.iter().map(|epoch| (&*epoch.realm, epoch.keys.iter().cloned().collect())).collect();
        assert_eq!(keys, [("a", left.clone()), ("b", left)], "and none in c, which has keys of its own");
        let (gone, _) = revoke(config, &stolen);
        assert_eq!(gone.unwrap_err().code, exit::DATA);
    }

    #[test]
    fn r62_a_command_that_was_ended_between_two_steps_is_repeated() {
        for steps in 0..3 {
            let temp = tempfile::tempdir().unwrap();
            let dir = temp.path();
            let config = configuration(dir, "t.db");
            let loaded = prepare::load(&config.path, Mode::Start).unwrap();
            let realm = loaded.policy.realm("a").unwrap();
            let stolen = realm.tokens.keys.active_key(NOW).kid().to_owned();
            let (keys, _) = realm.keys_dirs().next().unwrap();
            let made = (steps > 0).then(|| keys.stand_in_for(&stolen, NOW).unwrap().unwrap());
            if steps > 1 {
                keys.revoke(&stolen, made.as_ref(), NOW).unwrap();
                assert!(keys.key_statuses(NOW).unwrap().iter().all(|key| key.kid != stolen), "it counts no more");
            }
            let (revoked, said) = revoke(config, &stolen);
            revoked.unwrap();
            let left = kids(dir);
            // No mark is left, whose name would be longer.
            assert!(left.iter().all(|kid| *kid != stolen && kid.len() == stolen.len()), "{steps}: {left:?}");
            assert!(said.contains("Took the key"), "{steps}: {said}");
            let after = prepare::load(&configuration(dir, "t.db").path, Mode::Start).unwrap();
            let signs = after.policy.realm("a").unwrap().tokens.keys.active_key(NOW).kid().to_owned();
            assert!(made.is_none_or(|made| made.kid == signs || steps == 1), "{steps}");
            let epochs = with_store(&after, Use::Make, async |store| Ok(store.epochs().await?)).unwrap();
            assert!(epochs.iter().any(|epoch| &*epoch.realm == "a" && epoch.keys.contains(&signs)), "{steps}");
        }
    }

    #[test]
    fn a_store_that_is_away_keeps_no_stolen_key() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let loaded = prepare::load(&configuration(dir, "absent/t.db").path, Mode::Start).unwrap();
        let stolen = loaded.policy.realm("a").unwrap().tokens.keys.active_key(NOW).kid().to_owned();
        let (revoked, said) = revoke(configuration(dir, "absent/t.db"), &stolen);
        let failure = revoked.unwrap_err();
        assert!(!kids(dir).contains(&stolen) && said.contains("Took the key"), "{said}");
        assert_eq!(failure.code, exit::UNAVAILABLE);
        let remedy = failure.lines.last().unwrap();
        assert!(remedy.contains("tollgate session end -c ") && remedy.contains("--realm a --all"), "{remedy}");
        // Repeated when the store is available.
        let (repeated, _) = revoke(configuration(dir, "t.db"), &stolen);
        repeated.unwrap();
        assert_eq!(revoke(configuration(dir, "t.db"), &stolen).0.unwrap_err().code, exit::DATA);
    }
}
