//! Signing keys take turns: new ones are made, by command or by schedule, and old ones are taken away when no token
//! that they signed counts any more.
//!
//! All of it happens in the directory of the keys, under a lock, since several gates and commands may share one. A
//! running gate learns of it as of any other change to a file.

use std::io;
use std::path::Path;

use crate::filesystem::io_error_text;
use crate::keystore::keys_dir::{self, KeyFile, KeysDir};
use crate::token::MAX_LEEWAY;
use crate::token::{Algorithm, SigningKey, signing, verification_end};

/// What a rotation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationResult {
    /// This key was made, and those were dropped that waited for their turns: one of them would have taken its place.
    Made {
        /// The key.
        turn: KeyStatus,
        /// Those that were dropped.
        dropped: Vec<KeyStatus>,
    },
    /// This one was made before, and waits for its turn: another one behind it would be of no use.
    Waiting(KeyStatus),
}

/// What became of a key by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It was made.
    Made(KeyStatus),
    /// It was taken away.
    Retired(KeyStatus),
}

/// A signing key and its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// Its id.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Unix seconds.
    pub made_at: i64,
    /// Before, in, or after its turn.
    pub state: KeyState,
}

/// Where a key stands. Every one verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It will sign from this Unix second on.
    Pending(i64),
    /// It signs.
    Active,
    /// It signs no more, and verifies until this Unix second; without one, until a later key has signed for long enough.
    Passive(Option<i64>),
}

impl KeysDir {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every key in it, in the order of their turns, as of `now` (Unix seconds).
    ///
    /// # Errors
    /// Sentences about what can't be read.
    pub fn key_statuses(&self, now: i64) -> Result<Vec<KeyStatus>, Vec<String>> {
        let mut stored = keys_dir::read(&self.path, self.readers)?;
        stored.sort_by(|a, b| (a.key.active_from(), a.key.kid()).cmp(&(b.key.active_from(), b.key.kid())));
        Ok(stored.iter().map(|one| turn(&one.key, &[self], &[], &stored, now)).collect())
    }

    /// Makes the key that signs next: from `publish_ahead` after `now` (Unix seconds) on, or from `now` on if `at_once`
    /// or if there is none that signs. At once also drops those that wait.
    ///
    /// # Errors
    /// A sentence: the directory can't be read, locked or written to.
    pub fn rotate(&self, now: i64, at_once: bool) -> Result<RotationResult, String> {
        if !self.writable {
            let message = "is a read-only systemd credential: add the new key at the source of the credential, and restart the service";
            return Err(format!("{} {message}", self.path.display()));
        }
        keys_dir::make(&self.path).map_err(|error| self.unwritable(&error))?;
        let (_lock, stored) = self.alone()?;
        let waiting: Vec<_> = self.own(&stored).filter(|one| one.key.active_from() > now).collect();
        let next = waiting.iter().min_by_key(|one| one.key.active_from());
        if let (Some(next), false) = (next, at_once) {
            return Ok(RotationResult::Waiting(turn(&next.key, &[self], &[], &stored, now)));
        }
        let begun = self.own(&stored).any(|one| one.key.active_from() <= now);
        let turn = if begun && !at_once { self.add(now, now + self.ahead())? } else { self.add_now(&stored, now)? };
        Ok(RotationResult::Made { turn, dropped: self.remove(&waiting, &stored, now)? })
    }

    /// Whether a revocation of the key `kid` has begun and not ended: [`KeysDir::revoke`] without [`KeysDir::end_revocation`].
    ///
    /// # Errors
    /// A sentence: the directory can't be read.
    pub fn is_revoked(&self, kid: &str) -> Result<bool, String> {
        keys_dir::is_revoked(&self.path, kid, self.readers)
    }

    /// Makes a key that signs at once, if `kid`, whose file is to be taken away, is the one that signs, or no other has had
    /// its turn. Returns the new one.
    ///
    /// # Errors
    /// A sentence: there is no such key, or the directory can't be read, locked or written to.
    pub fn stand_in_for(&self, kid: &str, now: i64) -> Result<Option<KeyStatus>, String> {
        let (_lock, stored) = self.alone()?;
        let stolen = stored.iter().find(|one| one.key.kid() == kid);
        if stolen.is_none() && !self.is_revoked(kid)? {
            return Err(format!("{} has no key {kid:?}", self.path.display()));
        }
        let signs = signing(self.own(&stored).map(|one| &one.key), self.algorithm, now);
        if signs.is_some_and(|key| key.kid() != kid && key.active_from() <= now) {
            return Ok(None);
        }
        // Its turn begins where that of the stolen key began. If it began in the next second, an older key would sign until
        // then; a gate whose clock is late would sign with the older key for longer.
        let from = stolen.map_or(now, |one| one.key.active_from().saturating_add(1).min(now));
        let others = self.own(&stored).map(|one| &one.key).filter(|key| key.kid() != kid && key.active_from() <= now);
        let last = others.map(SigningKey::active_from).max();
        let made = self.add(now, last.map_or(from, |last| from.max(last + 1)))?;
        Ok(Some(KeyStatus { state: KeyState::Active, ..made }))
    }

    /// Takes the key `kid` away, at once, and drops those that wait for their turns and were made no later than the one that
    /// signs then: whoever could read the one may have read them. `made`: the key that was made in its place. Returns those
    /// that were dropped. The revocation goes on until [`KeysDir::end_revocation`]: a command that ends before is repeated.
    ///
    /// # Errors
    /// A sentence: without it there would be no key that signs, or the directory can't be read, locked or written to.
    pub fn revoke(&self, kid: &str, made: Option<&KeyStatus>, now: i64) -> Result<Vec<KeyStatus>, String> {
        let (_lock, stored) = self.alone()?;
        let others = || self.own(&stored).filter(|one| one.key.kid() != kid);
        let is_made = |one: &&KeyFile| made.is_some_and(|made| made.kid == one.key.kid());
        let signs = others().find(is_made).map(|one| &one.key);
        let signs = signs.or_else(|| signing(others().map(|one| &one.key), self.algorithm, now));
        let signs = signs.ok_or_else(|| format!("{} has no other key that can sign", self.path.display()))?;
        // Whatever its clock said: what is there now was made before the one that was made just now.
        let is_older = |key: &SigningKey| made.is_some() || key.created_at() <= signs.created_at();
        let waiting =
            others().filter(|one| one.key.active_from() > now && is_older(&one.key) && one.key.kid() != signs.kid());
        let waiting: Vec<_> = waiting.collect();
        // Those first: the file of the stolen key, whatever its name, is what a repeated command finds.
        let dropped = self.remove(&waiting, &stored, now)?;
        for one in stored.iter().filter(|one| one.key.kid() == kid) {
            keys_dir::revoke(&one.path).map_err(|error| self.unwritable(&error))?;
        }
        Ok(dropped)
    }

    /// Ends the revocation of the key `kid`: nothing is left to be repeated.
    ///
    /// # Errors
    /// A sentence: the directory can't be read, locked or written to.
    pub fn end_revocation(&self, kid: &str) -> Result<(), String> {
        let _lock = keys_dir::lock(&self.path).map_err(|error| self.unwritable(&error))?;
        keys_dir::forget_revoked(&self.path, kid, self.readers).map_err(|error| self.unwritable(&error))
    }

    /// Whether keys may be put into it and taken away; not if systemd puts them there.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    /// Keeps everybody else from it, and reads it.
    fn alone(&self) -> Result<(std::fs::File, Vec<KeyFile>), String> {
        let lock = keys_dir::lock(&self.path).map_err(|error| self.unwritable(&error))?;
        let stored = keys_dir::read(&self.path, self.readers).map_err(|errors| errors.join("; "))?;
        Ok((lock, stored))
    }

    fn own<'a>(&self, stored: &'a [KeyFile]) -> impl Iterator<Item = &'a KeyFile> + use<'a> {
        let algorithm = self.algorithm;
        stored.iter().filter(move |one| one.key.algorithm() == algorithm)
    }

    /// Removes these files, which are some of `stored`.
    fn remove(&self, files: &[&KeyFile], stored: &[KeyFile], now: i64) -> Result<Vec<KeyStatus>, String> {
        let mut removed = Vec::new();
        for one in files {
            keys_dir::remove(&one.path).map_err(|error| self.unwritable(&error))?;
            removed.push(turn(&one.key, &[self], &[], stored, now));
        }
        Ok(removed)
    }

    /// Makes a key that signs at once.
    fn add_now(&self, stored: &[KeyFile], now: i64) -> Result<KeyStatus, String> {
        let begun = self.own(stored).map(|one| one.key.active_from()).filter(|from| *from <= now);
        // Of two keys of one second the id decides which one signs.
        let signs_from = begun.max().map_or(now, |last| now.max(last + 1));
        let made = self.add(now, signs_from)?;
        Ok(KeyStatus { state: KeyState::Active, ..made })
    }

    fn add(&self, now: i64, signs_from: i64) -> Result<KeyStatus, String> {
        let key = SigningKey::generate(self.algorithm, now, signs_from).map_err(|error| error.to_string())?;
        keys_dir::save_key(&self.path, &key, self.token_ttl).map_err(|error| self.unwritable(&error))?;
        let state = if signs_from <= now { KeyState::Active } else { KeyState::Pending(signs_from) };
        Ok(KeyStatus { kid: key.kid().to_owned(), algorithm: self.algorithm, made_at: now, state })
    }

    /// Whether its schedule wants a new key.
    fn is_due(&self, stored: &[KeyFile], now: i64) -> bool {
        let own = stored.iter().filter(|one| one.key.algorithm() == self.algorithm);
        let newest = own.map(|one| one.key.created_at()).max();
        let every = self.rotate_every.map(|every| i64::try_from(every.as_secs()).unwrap_or(i64::MAX));
        newest.zip(every).is_some_and(|(newest, every)| newest.saturating_add(every) <= now)
    }

    fn ahead(&self) -> i64 {
        self.publish_ahead.as_secs().try_into().unwrap_or(0)
    }

    fn unwritable(&self, error: &io::Error) -> String {
        format!("can't write to the signing keys in {}: {}", self.path.display(), io_error_text(error))
    }

    #[cfg(test)]
    pub(crate) fn for_tests(path: &Path, algorithm: Algorithm) -> Self {
        Self {
            path: path.into(),
            readers: crate::keystore::secret_file::FileAccess::Owner,
            writable: true,
            algorithm,
            token_ttl: 100,
            rotate_every: None,
            publish_ahead: std::time::Duration::from_secs(10),
        }
    }
}

/// Looks after one directory, which is that of each of `uses`: makes the keys that their schedules want, and takes away
/// those of which no token counts any more at `now` (Unix seconds).
///
/// `in_force`: the ids of the keys that the policy in force signs with. The directory may have a later one, which that
/// policy knows nothing of for as long as the configuration can't be loaded.
///
/// # Errors
/// A sentence: the directory can't be read, locked or written to.
pub fn maintain_keys(uses: &[&KeysDir], in_force: &[&str], now: i64) -> Result<Vec<KeyChange>, String> {
    let Some(dir) = uses.first().filter(|dir| dir.writable) else { return Ok(Vec::new()) };
    let _lock = keys_dir::lock(&dir.path).map_err(|error| dir.unwritable(&error))?;
    keys_dir::remove_temp_files(&dir.path).map_err(|error| dir.unwritable(&error))?;
    let stored = keys_dir::read(&dir.path, dir.readers).map_err(|errors| errors.join("; "))?;
    for one in &stored {
        if let Some(text) = marks(&one.key, uses, in_force, &stored, now) {
            keys_dir::replace(&one.path, &text).map_err(|error| dir.unwritable(&error))?;
        }
    }
    let mut changes = Vec::new();
    let mut made_for = Vec::new();
    for one in uses {
        if one.is_due(&stored, now) && !made_for.contains(&one.algorithm) {
            made_for.push(one.algorithm);
            changes.push(KeyChange::Made(one.add(now, now + one.ahead())?));
        }
    }
    for one in &stored {
        let turn = turn(&one.key, uses, in_force, &stored, now);
        if matches!(turn.state, KeyState::Passive(Some(until)) if now > until) {
            keys_dir::remove(&one.path).map_err(|error| dir.unwritable(&error))?;
            changes.push(KeyChange::Retired(turn));
        }
    }
    Ok(changes)
}

fn turn(key: &SigningKey, uses: &[&KeysDir], in_force: &[&str], stored: &[KeyFile], now: i64) -> KeyStatus {
    let state = if !users(key, uses, in_force, stored, now).is_empty() {
        KeyState::Active
    } else if key.active_from() > now {
        KeyState::Pending(key.active_from())
    } else {
        let token_ttl = uses.iter().map(|one| one.token_ttl).max().unwrap_or(i64::MAX);
        let leeway = i64::try_from(MAX_LEEWAY.as_secs()).unwrap_or(i64::MAX);
        KeyState::Passive(verification_end(key, keys(stored), token_ttl, leeway, now))
    };
    KeyStatus { kid: key.kid().to_owned(), algorithm: key.algorithm(), made_at: key.created_at(), state }
}

/// Those for whom `key` signs at `now`.
fn users<'a>(
    key: &SigningKey,
    uses: &[&'a KeysDir],
    in_force: &[&str],
    stored: &[KeyFile],
    now: i64,
) -> Vec<&'a KeysDir> {
    let signs = |one: &&KeysDir| {
        (one.algorithm == key.algorithm() && in_force.contains(&key.kid()))
            || signing(keys(stored), one.algorithm, now).is_some_and(|other| other.kid() == key.kid())
    };
    uses.iter().copied().filter(signs).collect()
}

/// What the file of `key` has to say from now on: how long the tokens live that it signs, or will sign; and that it
/// signs though the turn of a later one has begun, as when `algorithm` went back to what it was, or the configuration
/// can't be loaded.
fn marks(
    key: &SigningKey,
    uses: &[&KeysDir],
    in_force: &[&str],
    stored: &[KeyFile],
    now: i64,
) -> Option<zeroize::Zeroizing<String>> {
    let mut users = users(key, uses, in_force, stored, now);
    let signs = !users.is_empty();
    if key.active_from() > now {
        users.extend(uses.iter().filter(|one| one.algorithm == key.algorithm()));
    }
    let token_ttl = users.iter().map(|one| one.token_ttl).max()?;
    let overtaken = signs && verification_end(key, keys(stored), 0, 0, now).is_some();
    // An hour ahead, so that the file is not written all the time.
    let promise = (overtaken && key.active_until() < now + PROMISE / 2).then_some(now + PROMISE);
    key.with_lifetime(token_ttl, promise)
}

fn keys(stored: &[KeyFile]) -> impl Iterator<Item = &SigningKey> {
    stored.iter().map(|one| &one.key)
}

/// Seconds.
const PROMISE: i64 = 3600;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    /// Of `KeysDir::for_tests`, with the greatest leeway.
    const LIFE: i64 = 100 + 300;

    struct Scene {
        _temp: tempfile::TempDir,
        dir: KeysDir,
    }

    impl Scene {
        fn new(algorithm: Algorithm) -> Self {
            let temp = tempfile::tempdir().unwrap();
            let dir = KeysDir::for_tests(&temp.path().join("keys"), algorithm);
            Self { _temp: temp, dir }
        }

        fn rotate(&self, now: i64, at_once: bool) -> String {
            match self.dir.rotate(now, at_once).unwrap() {
                RotationResult::Made { turn, .. } => turn.kid,
                RotationResult::Waiting(turn) => panic!("{turn:?}"),
            }
        }

        fn tend(&self, now: i64) -> Vec<KeyChange> {
            maintain_keys(&[&self.dir], &[], now).unwrap()
        }

        fn kids(&self) -> BTreeSet<String> {
            let names = fs::read_dir(&self.dir.path).unwrap().map(|entry| entry.unwrap().file_name());
            names.map(|name| name.to_str().unwrap().strip_suffix(".jwk").unwrap().to_owned()).collect()
        }

        fn signs(&self, now: i64) -> String {
            let turns = self.dir.key_statuses(now).unwrap();
            turns.into_iter().find(|turn| turn.state == KeyState::Active).unwrap().kid
        }

        fn text(&self, kid: &str) -> String {
            fs::read_to_string(self.dir.path.join(format!("{kid}.jwk"))).unwrap()
        }
    }

    #[test]
    fn a_rotation_waits_for_its_turn_and_another_one_does_nothing() {
        let scene = Scene::new(Algorithm::ES256);
        let first = scene.rotate(NOW, false);
        assert_eq!(scene.signs(NOW), first, "the first one need not wait");
        let second = scene.rotate(NOW + 100, false);
        assert_eq!((scene.signs(NOW + 109), scene.signs(NOW + 110)), (first.clone(), second.clone()));
        let RotationResult::Waiting(turn) = scene.dir.rotate(NOW + 105, false).unwrap() else { panic!("a third key") };
        assert_eq!((&turn.kid, turn.state), (&second, KeyState::Pending(NOW + 110)));
        assert_eq!(scene.kids().len(), 2);
        let RotationResult::Made { turn: third, dropped } = scene.dir.rotate(NOW + 106, true).unwrap() else {
            panic!()
        };
        assert_eq!(scene.signs(NOW + 106), third.kid);
        let kids: Vec<_> = dropped.iter().map(|turn| &turn.kid).collect();
        assert_eq!((kids, scene.signs(NOW + 1000)), (vec![&second], third.kid.clone()), "it would have taken over");
        assert_eq!(scene.kids(), [first, third.kid].into());
        for entry in fs::read_dir(&scene.dir.path).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn r62_another_key_signs_at_once_for_one_that_is_taken_away() {
        let scene = Scene::new(Algorithm::ES256);
        let revoke = |kid: &str, now: i64| {
            let made = scene.dir.stand_in_for(kid, now).unwrap();
            let dropped = scene.dir.revoke(kid, made.as_ref(), now).unwrap();
            assert!(scene.dir.is_revoked(kid).unwrap());
            scene.dir.end_revocation(kid).unwrap();
            assert!(!scene.dir.is_revoked(kid).unwrap());
            (made.map(|turn| turn.kid), dropped.into_iter().map(|turn| turn.kid).collect::<Vec<_>>())
        };
        let old = scene.rotate(NOW - 100, true);
        let first = scene.rotate(NOW, true);
        // By a clock that is ahead.
        let waiting = scene.rotate(NOW + 50, false);
        // Within the second in which it began to sign, and with an older one there, which is not to come back.
        let (made, dropped) = revoke(&first, NOW);
        let made = made.unwrap();
        assert_eq!((dropped, scene.kids()), (vec![waiting], [old.clone(), made.clone()].into()));
        assert_eq!((scene.signs(NOW), scene.signs(NOW - 1)), (made.clone(), old.clone()));
        // One that signs no more has no stand-in, and nothing waits that was made before the one that signs.
        let next = scene.rotate(NOW + 2, false);
        assert_eq!(revoke(&old, NOW + 3), (None, Vec::new()));
        assert_eq!(scene.kids(), [made.clone(), next.clone()].into());
        // One that waits for its turn.
        assert_eq!(revoke(&next, NOW + 3), (None, Vec::new()));
        // The only one there is.
        let (last, _) = revoke(&made, NOW + 3);
        assert_eq!(scene.kids(), [last.clone().unwrap()].into());
        let gone = scene.dir.stand_in_for(&made, NOW + 3).unwrap_err();
        assert!(gone.contains("has no key"), "{gone}");
        let refused = scene.dir.revoke(&last.unwrap(), None, NOW + 3).unwrap_err();
        assert!(refused.contains("no other key") && scene.kids().len() == 1, "{refused}");
    }

    #[test]
    fn r62_a_stand_in_takes_the_turn_of_the_stolen_key() {
        let scene = Scene::new(Algorithm::ES256);
        let old = scene.rotate(NOW, true);
        // Of one second: its turn is the next one.
        let stolen = scene.rotate(NOW, true);
        assert_eq!((scene.signs(NOW), scene.signs(NOW + 1)), (old, stolen.clone()));
        let made = scene.dir.stand_in_for(&stolen, NOW + 1).unwrap().unwrap();
        scene.dir.revoke(&stolen, Some(&made), NOW + 1).unwrap();
        assert_eq!(scene.signs(NOW + 1), made.kid, "no older one, not for a second");
        // At a gate whose clock is late, once the stolen one began to sign some time ago.
        let next = scene.dir.stand_in_for(&made.kid, NOW + 100).unwrap().unwrap();
        assert_eq!((scene.signs(NOW + 2), scene.signs(NOW + 100)), (next.kid.clone(), next.kid.clone()));
        // Again, as after a crash before the stolen one went: it signs, so no other is made.
        assert_eq!(scene.dir.stand_in_for(&made.kid, NOW + 100), Ok(None));
        assert_eq!(scene.dir.revoke(&made.kid, None, NOW + 100), Ok(Vec::new()));
        // And after it went.
        assert_eq!(scene.dir.stand_in_for(&made.kid, NOW + 100), Ok(None));
        assert_eq!(scene.dir.revoke(&made.kid, None, NOW + 100), Ok(Vec::new()));
        assert_eq!(scene.signs(NOW + 100), next.kid);
    }

    #[test]
    fn a_schedule_makes_one_key_at_a_time() {
        let mut scene = Scene::new(Algorithm::EdDSA);
        let first = scene.rotate(NOW, false);
        assert!(scene.tend(NOW + 1_000_000).is_empty(), "without a schedule");
        scene.dir.rotate_every = Some(Duration::from_secs(1000));
        assert!(scene.tend(NOW + 999).is_empty());
        let changes = scene.tend(NOW + 1000);
        let [KeyChange::Made(turn)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((turn.state, turn.made_at), (KeyState::Pending(NOW + 1010), NOW + 1000));
        assert!(scene.tend(NOW + 1000).is_empty() && scene.tend(NOW + 1010 + LIFE).is_empty(), "one is enough");
        assert_eq!((scene.signs(NOW + 1009), scene.signs(NOW + 1010)), (first, turn.kid.clone()));
        assert_eq!(scene.tend(NOW + 2000).len(), 2, "the next one comes, and the first one goes");
    }

    #[test]
    fn gates_that_share_a_directory_make_one_key_between_them() {
        let mut scene = Scene::new(Algorithm::HS256);
        scene.rotate(NOW, false);
        scene.dir.rotate_every = Some(Duration::from_secs(1000));
        let made: usize = std::thread::scope(|scope| {
            let gates: Vec<_> = (0..8).map(|_| scope.spawn(|| scene.tend(NOW + 1000).len())).collect();
            gates.into_iter().map(|gate| gate.join().unwrap()).sum()
        });
        assert_eq!((made, scene.kids().len()), (1, 2));
        let other = KeysDir { rotate_every: Some(Duration::from_secs(500)), ..scene.dir.clone() };
        assert_eq!(
            maintain_keys(&[&scene.dir, &other], &[], NOW + 3000).unwrap().len(),
            2,
            "two realms of one gate: one made, one gone"
        );
    }

    #[test]
    fn a_key_goes_when_its_last_token_has_expired_and_not_before() {
        let scene = Scene::new(Algorithm::HS256);
        let first = scene.rotate(NOW, false);
        let second = scene.rotate(NOW, false);
        let from = NOW + 10;
        assert!(scene.tend(from + LIFE).is_empty());
        assert_eq!(scene.kids(), [first.clone(), second.clone()].into());
        let changes = scene.tend(from + LIFE + 1);
        assert!(matches!(&changes[..], [KeyChange::Retired(turn)] if turn.kid == first), "{changes:?}");
        assert_eq!(scene.kids(), [second].into());
        assert!(scene.tend(i64::MAX / 2).is_empty(), "the one that signs stays");
        scene.rotate(NOW + 1_000_000, false);
        assert!(scene.tend(NOW + 1_000_000).is_empty(), "its successor does not sign yet");
    }

    #[test]
    fn a_lower_token_ttl_ends_no_token_of_before() {
        let mut scene = Scene::new(Algorithm::ES256);
        let first = scene.rotate(NOW, false);
        assert!(scene.text(&first).contains("\"ttl\": 100"));
        scene.dir.token_ttl = 5000;
        assert!(scene.tend(NOW).is_empty());
        assert!(scene.text(&first).contains("\"ttl\": 5000"));
        scene.dir.token_ttl = 1;
        scene.rotate(NOW + 1, true);
        let text = scene.text(&first);
        assert!(scene.tend(NOW + 5301).is_empty());
        assert_eq!(scene.text(&first), text, "it signs no more: nothing to note");
        assert_eq!(scene.tend(NOW + 5302).len(), 1);
    }

    #[test]
    fn an_algorithm_that_changes_back_and_forth_loses_no_token() {
        let secret = Scene::new(Algorithm::HS256);
        let public = KeysDir { algorithm: Algorithm::ES256, ..secret.dir.clone() };
        let first = secret.rotate(NOW, false);
        let RotationResult::Made { turn: second, .. } = public.rotate(NOW + 100, false).unwrap() else { panic!() };
        // Back to the first, whose turn was before, and for long.
        for at in (NOW + 200..NOW + 20_000).step_by(60) {
            assert!(secret.tend(at).is_empty());
        }
        // And to the second again, whose turn began before all the tokens of the first.
        assert!(maintain_keys(&[&public], &[], NOW + 20_000 + LIFE).unwrap().is_empty());
        let changes = maintain_keys(&[&public], &[], NOW + 20_000 + LIFE + PROMISE).unwrap();
        assert!(matches!(&changes[..], [KeyChange::Retired(turn)] if turn.kid == first), "{changes:?}");
        assert_eq!(secret.kids(), [second.kid].into());
    }

    #[test]
    fn a_key_that_a_gate_signs_with_stays_though_the_gate_has_not_heard_of_its_successor() {
        let scene = Scene::new(Algorithm::HS256);
        let first = scene.rotate(NOW, false);
        let second = scene.rotate(NOW + 100, false);
        // The configuration can't be loaded all the time, so that the policy in force is that of before.
        for at in (NOW + 100..NOW + 20_000).step_by(60) {
            let changes = maintain_keys(&[&scene.dir], &[&first], at).unwrap();
            assert!(changes.is_empty(), "{changes:?} while it signs");
        }
        // And another gate, which can load it, lets the tokens of this one live.
        assert!(scene.tend(NOW + 20_000 + LIFE).is_empty());
        let changes = scene.tend(NOW + 20_000 + LIFE + PROMISE);
        assert!(matches!(&changes[..], [KeyChange::Retired(turn)] if turn.kid == first), "{changes:?}");
        assert_eq!(scene.kids(), [second].into());
    }

    #[test]
    fn realms_that_share_a_directory_keep_each_others_keys() {
        let scene = Scene::new(Algorithm::HS256);
        let public = KeysDir { algorithm: Algorithm::ES256, token_ttl: 9000, ..scene.dir.clone() };
        scene.rotate(NOW, false);
        public.rotate(NOW + 10, false).unwrap();
        for at in [NOW + 100, NOW + 100_000] {
            assert!(maintain_keys(&[&scene.dir, &public], &[], at).unwrap().is_empty());
        }
        assert_eq!(scene.kids().len(), 2);
    }

    #[test]
    fn what_can_t_be_done_is_said_and_nothing_is_done_to_credentials() {
        let scene = Scene::new(Algorithm::HS256);
        let missing = maintain_keys(&[&scene.dir], &[], NOW).unwrap_err();
        assert!(missing.contains("keys") && missing.contains("does not exist"), "{missing}");
        scene.rotate(NOW, false);
        scene.rotate(NOW, true);
        let credentials = KeysDir { writable: false, rotate_every: Some(Duration::from_secs(1)), ..scene.dir.clone() };
        assert!(maintain_keys(&[&credentials], &[], i64::MAX / 2).unwrap().is_empty());
        assert!(credentials.rotate(NOW, true).unwrap_err().contains("systemd"));
        fs::write(scene.dir.path.join("bad.jwk"), "hunter2").unwrap();
        fs::set_permissions(scene.dir.path.join("bad.jwk"), fs::Permissions::from_mode(0o600)).unwrap();
        let bad = maintain_keys(&[&scene.dir], &[], NOW + 1_000_000).unwrap_err();
        assert!(bad.contains("bad.jwk") && !bad.contains("hunter2"), "{bad}");
        assert_eq!(scene.kids().len(), 3, "nothing is taken away next to what can't be read");
    }
}
