//! The rotation of signing keys: new ones are created by a command or by a schedule, and old ones are deleted when the last
//! token that they signed has expired.

use std::io;
use std::path::Path;

use crate::filesystem::io_error_text;
use crate::keystore::keys_dir::{self, KeyFile, KeysDir};
use crate::token::MAX_LEEWAY;
use crate::token::{Algorithm, SigningKey, signing, verification_end};

/// Result of [`KeysDir::rotate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationResult {
    /// A new key was created.
    Made {
        key: KeyStatus,
        /// Pending keys that were deleted: one of them would have replaced the new key.
        dropped: Vec<KeyStatus>,
    },
    /// This key is pending already, so that no other one was created.
    Waiting(KeyStatus),
}

/// A change of a key by [`maintain_keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    Made(KeyStatus),
    Retired(KeyStatus),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    pub kid: String,
    pub algorithm: Algorithm,
    /// Unix seconds.
    pub made_at: i64,
    pub state: KeyState,
}

/// State of a signing key. A key verifies in each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It becomes active at this Unix second.
    Pending(i64),
    /// It signs.
    Active,
    /// It signs no longer, and verifies until this Unix second. `None`: no later key has started yet.
    Passive(Option<i64>),
}

impl KeysDir {
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns every key with its state at `now` (Unix seconds), in the order in which they become active.
    ///
    /// # Errors
    /// A sentence for each file that can't be read.
    pub fn key_statuses(&self, now: i64) -> Result<Vec<KeyStatus>, Vec<String>> {
        let mut stored = keys_dir::read(&self.path, self.readers)?;
        stored.sort_by(|a, b| (a.key.active_from(), a.key.kid()).cmp(&(b.key.active_from(), b.key.kid())));
        Ok(stored.iter().map(|one| status(&one.key, &[self], &[], &stored, now)).collect())
    }

    /// Creates the next key. It becomes active `publish_ahead` after `now` (Unix seconds), or at `now` if `at_once` is set
    /// or no key is active. With `at_once`, it also deletes the pending keys.
    ///
    /// # Errors
    /// A sentence: the directory can't be read, locked or written to.
    pub fn rotate(&self, now: i64, at_once: bool) -> Result<RotationResult, String> {
        if !self.writable {
            let message = "is a read-only systemd credential: add the new key at the source of the credential, and restart the service";
            return Err(format!("{} {message}", self.path.display()));
        }
        keys_dir::make(&self.path).map_err(|error| self.unwritable(&error))?;
        let (_lock, stored) = self.lock_and_read()?;
        let pending: Vec<_> = self.own(&stored).filter(|one| one.key.active_from() > now).collect();
        let next = pending.iter().min_by_key(|one| one.key.active_from());
        if let (Some(next), false) = (next, at_once) {
            return Ok(RotationResult::Waiting(status(&next.key, &[self], &[], &stored, now)));
        }
        let has_started = self.own(&stored).any(|one| one.key.active_from() <= now);
        let key = if has_started && !at_once {
            self.add(now, now + self.ahead())?
        } else {
            self.add_active(self.own(&stored), now, now)?
        };
        Ok(RotationResult::Made { key, dropped: self.remove(&pending, &stored, now)? })
    }

    /// Returns whether a revocation of the key `kid` has begun and not ended: [`KeysDir::revoke`] without
    /// [`KeysDir::end_revocation`].
    ///
    /// # Errors
    /// A sentence: the directory can't be read.
    pub fn is_revoked(&self, kid: &str) -> Result<bool, String> {
        keys_dir::is_revoked(&self.path, kid, self.readers)
    }

    /// Creates a key that is active at once, if the key `kid`, which will be revoked, is the active one, or if no other key
    /// has become active yet. Returns the new key.
    ///
    /// # Errors
    /// A sentence: there is no such key, or the directory can't be read, locked or written to.
    pub fn stand_in_for(&self, kid: &str, now: i64) -> Result<Option<KeyStatus>, String> {
        let (_lock, stored) = self.lock_and_read()?;
        let stolen = stored.iter().find(|one| one.key.kid() == kid);
        if stolen.is_none() && !self.is_revoked(kid)? {
            return Err(format!("{} has no key {kid:?}", self.path.display()));
        }
        let active = signing(self.own(&stored).map(|one| &one.key), self.algorithm, now);
        if active.is_some_and(|key| key.kid() != kid && key.active_from() <= now) {
            return Ok(None);
        }
        // It starts one second after the stolen key did. If it started in the next second from now, an older key would be
        // active until then, and at a process with a late clock the older key would be active for longer.
        let from = stolen.map_or(now, |one| one.key.active_from().saturating_add(1).min(now));
        let others = self.own(&stored).filter(|one| one.key.kid() != kid);
        self.add_active(others, from, now).map(Some)
    }

    /// Revokes the key `kid` at once. Also deletes the pending keys that were created before the key that is active then:
    /// an attacker who could read the one file may have read theirs. `made` is the key of [`KeysDir::stand_in_for`].
    /// Returns the deleted pending keys. The revocation lasts until [`KeysDir::end_revocation`]: a command that is
    /// interrupted before must be repeated.
    ///
    /// # Errors
    /// A sentence: there would be no key left to sign with, or the directory can't be read, locked or written to.
    pub fn revoke(&self, kid: &str, made: Option<&KeyStatus>, now: i64) -> Result<Vec<KeyStatus>, String> {
        let (_lock, stored) = self.lock_and_read()?;
        let others = || self.own(&stored).filter(|one| one.key.kid() != kid);
        let is_made = |one: &&KeyFile| made.is_some_and(|made| made.kid == one.key.kid());
        let active = others().find(is_made).map(|one| &one.key);
        let active = active.or_else(|| signing(others().map(|one| &one.key), self.algorithm, now));
        let active = active.ok_or_else(|| format!("{} has no other key that can sign", self.path.display()))?;
        // The keys that are there now are older than `made`, even if the clock of the machine that wrote them was ahead.
        let is_older = |key: &SigningKey| made.is_some() || key.created_at() <= active.created_at();
        let pending =
            others().filter(|one| one.key.active_from() > now && is_older(&one.key) && one.key.kid() != active.kid());
        let pending: Vec<_> = pending.collect();
        // The stolen key goes last: a repeated command looks for its file, under either name.
        let dropped = self.remove(&pending, &stored, now)?;
        for one in stored.iter().filter(|one| one.key.kid() == kid) {
            keys_dir::revoke(&one.path).map_err(|error| self.unwritable(&error))?;
        }
        Ok(dropped)
    }

    /// Ends the revocation of the key `kid`: a repeated command no longer finds it.
    ///
    /// # Errors
    /// A sentence: the directory can't be read, locked or written to.
    pub fn end_revocation(&self, kid: &str) -> Result<(), String> {
        let _lock = keys_dir::lock(&self.path).map_err(|error| self.unwritable(&error))?;
        keys_dir::forget_revoked(&self.path, kid, self.readers).map_err(|error| self.unwritable(&error))
    }

    /// Returns false for a directory of systemd credentials.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    fn lock_and_read(&self) -> Result<(std::fs::File, Vec<KeyFile>), String> {
        let lock = keys_dir::lock(&self.path).map_err(|error| self.unwritable(&error))?;
        let stored = keys_dir::read(&self.path, self.readers).map_err(|errors| errors.join("; "))?;
        Ok((lock, stored))
    }

    fn own<'a>(&self, stored: &'a [KeyFile]) -> impl Iterator<Item = &'a KeyFile> + use<'a> {
        let algorithm = self.algorithm;
        stored.iter().filter(move |one| one.key.algorithm() == algorithm)
    }

    /// Removes `files`, which are part of `stored`.
    fn remove(&self, files: &[&KeyFile], stored: &[KeyFile], now: i64) -> Result<Vec<KeyStatus>, String> {
        let mut removed = Vec::new();
        for one in files {
            keys_dir::remove(&one.path).map_err(|error| self.unwritable(&error))?;
            removed.push(status(&one.key, &[self], &[], stored, now));
        }
        Ok(removed)
    }

    /// Creates a key that replaces the active one of `keys`. It starts at `from`, or one second after the last of `keys` that
    /// has started: of two keys with the same start, the key id decides which one is active.
    fn add_active<'a>(
        &self,
        keys: impl Iterator<Item = &'a KeyFile>,
        from: i64,
        now: i64,
    ) -> Result<KeyStatus, String> {
        let last = keys.map(|one| one.key.active_from()).filter(|start| *start <= now).max();
        let made = self.add(now, last.map_or(from, |last| from.max(last + 1)))?;
        Ok(KeyStatus { state: KeyState::Active, ..made })
    }

    fn add(&self, now: i64, active_from: i64) -> Result<KeyStatus, String> {
        let key = SigningKey::generate(self.algorithm, now, active_from).map_err(|error| error.to_string())?;
        keys_dir::save_key(&self.path, &key, self.token_ttl).map_err(|error| self.unwritable(&error))?;
        let state = if active_from <= now { KeyState::Active } else { KeyState::Pending(active_from) };
        Ok(KeyStatus { kid: key.kid().to_owned(), algorithm: self.algorithm, made_at: now, state })
    }

    /// Returns whether `rotate_every` has passed since the newest key was created.
    fn is_due(&self, stored: &[KeyFile], now: i64) -> bool {
        let newest = self.own(stored).map(|one| one.key.created_at()).max();
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

/// Maintains one directory, which is that of each of `uses`: creates the keys that are due by their schedules, and deletes
/// the keys without an unexpired token at `now` (Unix seconds).
///
/// `in_force`: the ids of the keys that the policy in force signs with. While the configuration can't be loaded, that policy
/// does not know of later keys in the directory.
///
/// # Errors
/// A sentence: the directory can't be read, locked or written to.
pub fn maintain_keys(uses: &[&KeysDir], in_force: &[&str], now: i64) -> Result<Vec<KeyChange>, String> {
    let Some(dir) = uses.first().filter(|dir| dir.writable) else { return Ok(Vec::new()) };
    let _lock = keys_dir::lock(&dir.path).map_err(|error| dir.unwritable(&error))?;
    keys_dir::remove_temp_files(&dir.path).map_err(|error| dir.unwritable(&error))?;
    let stored = keys_dir::read(&dir.path, dir.readers).map_err(|errors| errors.join("; "))?;
    for one in &stored {
        if let Some(text) = updated_text(&one.key, uses, in_force, &stored, now) {
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
        let status = status(&one.key, uses, in_force, &stored, now);
        if matches!(status.state, KeyState::Passive(Some(until)) if now > until) {
            keys_dir::remove(&one.path).map_err(|error| dir.unwritable(&error))?;
            changes.push(KeyChange::Retired(status));
        }
    }
    Ok(changes)
}

fn status(key: &SigningKey, uses: &[&KeysDir], in_force: &[&str], stored: &[KeyFile], now: i64) -> KeyStatus {
    let state = if !signing_uses(key, uses, in_force, stored, now).is_empty() {
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

/// Returns those of `uses` for which `key` is the active one at `now`.
fn signing_uses<'a>(
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

/// Returns the new text for the file of `key`, if it must change. The file records the lifetime of the tokens that the key
/// signs or will sign. It also records that the key stays active although a later one has started: after `algorithm` was set
/// back to an earlier value, or while the configuration can't be loaded.
fn updated_text(
    key: &SigningKey,
    uses: &[&KeysDir],
    in_force: &[&str],
    stored: &[KeyFile],
    now: i64,
) -> Option<zeroize::Zeroizing<String>> {
    let mut users = signing_uses(key, uses, in_force, stored, now);
    let signs = !users.is_empty();
    if key.active_from() > now {
        users.extend(uses.iter().filter(|one| one.algorithm == key.algorithm()));
    }
    let token_ttl = users.iter().map(|one| one.token_ttl).max()?;
    let is_replaced = signs && verification_end(key, keys(stored), 0, 0, now).is_some();
    // Extended by an hour each time, so that the file is not written at each call.
    let active_until = (is_replaced && key.active_until() < now + EXTENSION / 2).then_some(now + EXTENSION);
    key.with_lifetime(token_ttl, active_until)
}

fn keys(stored: &[KeyFile]) -> impl Iterator<Item = &SigningKey> {
    stored.iter().map(|one| &one.key)
}

/// Seconds for which a key that a later one has replaced stays active.
const EXTENSION: i64 = 3600;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    /// Lifetime of a token: that of `KeysDir::for_tests` and the maximum leeway.
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
                RotationResult::Made { key, .. } => key.kid,
                RotationResult::Waiting(key) => panic!("{key:?}"),
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
            let keys = self.dir.key_statuses(now).unwrap();
            keys.into_iter().find(|key| key.state == KeyState::Active).unwrap().kid
        }

        fn text(&self, kid: &str) -> String {
            fs::read_to_string(self.dir.path.join(format!("{kid}.jwk"))).unwrap()
        }
    }

    #[test]
    fn a_rotated_key_is_pending_and_another_rotation_does_nothing() {
        let scene = Scene::new(Algorithm::ES256);
        let first = scene.rotate(NOW, false);
        assert_eq!(scene.signs(NOW), first, "the first one need not wait");
        let second = scene.rotate(NOW + 100, false);
        assert_eq!((scene.signs(NOW + 109), scene.signs(NOW + 110)), (first.clone(), second.clone()));
        let RotationResult::Waiting(key) = scene.dir.rotate(NOW + 105, false).unwrap() else { panic!("a third key") };
        assert_eq!((&key.kid, key.state), (&second, KeyState::Pending(NOW + 110)));
        assert_eq!(scene.kids().len(), 2);
        let RotationResult::Made { key: third, dropped } = scene.dir.rotate(NOW + 106, true).unwrap() else { panic!() };
        assert_eq!(scene.signs(NOW + 106), third.kid);
        let kids: Vec<_> = dropped.iter().map(|key| &key.kid).collect();
        assert_eq!((kids, scene.signs(NOW + 1000)), (vec![&second], third.kid.clone()), "it would have taken over");
        assert_eq!(scene.kids(), [first, third.kid].into());
        for entry in fs::read_dir(&scene.dir.path).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn r62_a_new_key_is_active_at_once_for_one_that_is_revoked() {
        let scene = Scene::new(Algorithm::ES256);
        let revoke = |kid: &str, now: i64| {
            let made = scene.dir.stand_in_for(kid, now).unwrap();
            let dropped = scene.dir.revoke(kid, made.as_ref(), now).unwrap();
            assert!(scene.dir.is_revoked(kid).unwrap());
            scene.dir.end_revocation(kid).unwrap();
            assert!(!scene.dir.is_revoked(kid).unwrap());
            (made.map(|key| key.kid), dropped.into_iter().map(|key| key.kid).collect::<Vec<_>>())
        };
        let old = scene.rotate(NOW - 100, true);
        let first = scene.rotate(NOW, true);
        // Created by a machine with a clock that is ahead.
        let waiting = scene.rotate(NOW + 50, false);
        // Within the second in which it became active, and beside an older key, which must not become active again.
        let (made, dropped) = revoke(&first, NOW);
        let made = made.unwrap();
        assert_eq!((dropped, scene.kids()), (vec![waiting], [old.clone(), made.clone()].into()));
        assert_eq!((scene.signs(NOW), scene.signs(NOW - 1)), (made.clone(), old.clone()));
        // A passive key gets no stand-in, and no pending key is older than the active one.
        let next = scene.rotate(NOW + 2, false);
        assert_eq!(revoke(&old, NOW + 3), (None, Vec::new()));
        assert_eq!(scene.kids(), [made.clone(), next.clone()].into());
        // A pending key.
        assert_eq!(revoke(&next, NOW + 3), (None, Vec::new()));
        // The only key.
        let (last, _) = revoke(&made, NOW + 3);
        assert_eq!(scene.kids(), [last.clone().unwrap()].into());
        let gone = scene.dir.stand_in_for(&made, NOW + 3).unwrap_err();
        assert!(gone.contains("has no key"), "{gone}");
        let refused = scene.dir.revoke(&last.unwrap(), None, NOW + 3).unwrap_err();
        assert!(refused.contains("no other key") && scene.kids().len() == 1, "{refused}");
    }

    #[test]
    fn r62_a_stand_in_is_active_instead_of_the_stolen_key() {
        let scene = Scene::new(Algorithm::ES256);
        let old = scene.rotate(NOW, true);
        // Created in the same second: it becomes active in the next one.
        let stolen = scene.rotate(NOW, true);
        assert_eq!((scene.signs(NOW), scene.signs(NOW + 1)), (old, stolen.clone()));
        let made = scene.dir.stand_in_for(&stolen, NOW + 1).unwrap().unwrap();
        scene.dir.revoke(&stolen, Some(&made), NOW + 1).unwrap();
        assert_eq!(scene.signs(NOW + 1), made.kid, "no older key, not even for a second");
        // At a process with a late clock, after the stolen key has been active for some time.
        let next = scene.dir.stand_in_for(&made.kid, NOW + 100).unwrap().unwrap();
        assert_eq!((scene.signs(NOW + 2), scene.signs(NOW + 100)), (next.kid.clone(), next.kid.clone()));
        // Again, as after a crash before the stolen key was deleted: the stand-in is active, so no other one is created.
        assert_eq!(scene.dir.stand_in_for(&made.kid, NOW + 100), Ok(None));
        assert_eq!(scene.dir.revoke(&made.kid, None, NOW + 100), Ok(Vec::new()));
        // And after it was deleted.
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
        let [KeyChange::Made(made)] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((made.state, made.made_at), (KeyState::Pending(NOW + 1010), NOW + 1000));
        assert!(scene.tend(NOW + 1000).is_empty() && scene.tend(NOW + 1010 + LIFE).is_empty(), "one is enough");
        assert_eq!((scene.signs(NOW + 1009), scene.signs(NOW + 1010)), (first, made.kid.clone()));
        assert_eq!(scene.tend(NOW + 2000).len(), 2, "the next one comes, and the first one goes");
    }

    #[test]
    fn processes_that_share_a_directory_create_one_key() {
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
    fn a_key_is_deleted_when_its_last_token_has_expired_and_not_before() {
        let scene = Scene::new(Algorithm::HS256);
        let first = scene.rotate(NOW, false);
        let second = scene.rotate(NOW, false);
        let from = NOW + 10;
        assert!(scene.tend(from + LIFE).is_empty());
        assert_eq!(scene.kids(), [first.clone(), second.clone()].into());
        let changes = scene.tend(from + LIFE + 1);
        assert!(matches!(&changes[..], [KeyChange::Retired(key)] if key.kid == first), "{changes:?}");
        assert_eq!(scene.kids(), [second].into());
        assert!(scene.tend(i64::MAX / 2).is_empty(), "the active key stays");
        scene.rotate(NOW + 1_000_000, false);
        assert!(scene.tend(NOW + 1_000_000).is_empty(), "its successor is pending");
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
        assert_eq!(scene.text(&first), text, "it is passive: its lifetime stays");
        assert_eq!(scene.tend(NOW + 5302).len(), 1);
    }

    #[test]
    fn an_algorithm_that_changes_back_and_forth_loses_no_token() {
        let secret = Scene::new(Algorithm::HS256);
        let public = KeysDir { algorithm: Algorithm::ES256, ..secret.dir.clone() };
        let first = secret.rotate(NOW, false);
        let RotationResult::Made { key: second, .. } = public.rotate(NOW + 100, false).unwrap() else { panic!() };
        // Back to the first, which started before the second, for a long time.
        for at in (NOW + 200..NOW + 20_000).step_by(60) {
            assert!(secret.tend(at).is_empty());
        }
        // And to the second again, which started before the first signed its tokens.
        assert!(maintain_keys(&[&public], &[], NOW + 20_000 + LIFE).unwrap().is_empty());
        let changes = maintain_keys(&[&public], &[], NOW + 20_000 + LIFE + EXTENSION).unwrap();
        assert!(matches!(&changes[..], [KeyChange::Retired(key)] if key.kid == first), "{changes:?}");
        assert_eq!(secret.kids(), [second.kid].into());
    }

    #[test]
    fn a_key_in_force_stays_although_its_successor_has_started() {
        let scene = Scene::new(Algorithm::HS256);
        let first = scene.rotate(NOW, false);
        let second = scene.rotate(NOW + 100, false);
        // The configuration can't be loaded, so that the policy in force does not know of the second key.
        for at in (NOW + 100..NOW + 20_000).step_by(60) {
            let changes = maintain_keys(&[&scene.dir], &[&first], at).unwrap();
            assert!(changes.is_empty(), "{changes:?} while it signs");
        }
        // Another process, which can load it, keeps the key until the tokens of this one have expired.
        assert!(scene.tend(NOW + 20_000 + LIFE).is_empty());
        let changes = scene.tend(NOW + 20_000 + LIFE + EXTENSION);
        assert!(matches!(&changes[..], [KeyChange::Retired(key)] if key.kid == first), "{changes:?}");
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
    fn failures_are_reported_and_credentials_are_not_changed() {
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
        assert_eq!(scene.kids().len(), 3, "no key is deleted beside a file that can't be read");
    }
}
