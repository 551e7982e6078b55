//! Reads the configuration to serve it, and writes what serving requires: first signing keys, and the audit file.

use std::path::Path;

use crate::config::{self, Config, Errors, Mode, Severity, audit_problem};
use crate::log_output;

/// Loads the configuration, and prepares it: [`Config::pending`] is empty in the result.
///
/// Blocks: it reads and writes files.
///
/// # Errors
/// All errors of the file, or what can't be written.
pub fn load(path: &Path, mode: Mode<'_>) -> Result<Config, Errors> {
    'read: loop {
        let mut config = config::load(path, mode)?;
        let mut errors = Vec::new();
        for (place, key) in std::mem::take(&mut config.pending.keys) {
            match key.save() {
                // It changed the directory, and those around it in which it was made.
                Ok(true) => config.inputs.iter_mut().filter(|input| key.dir.path().starts_with(input.path())).for_each(
                    |input| {
                        input.has_changed();
                    },
                ),
                // Another process wrote a key since the directory was read.
                Ok(false) => continue 'read,
                Err(message) => errors.push(place.with(Severity::Error, message)),
            }
        }
        if let Some((path, place)) = config.policy.log.audit_path().zip(config.pending.audit.take())
            && let Err(error) = log_output::open(path)
        {
            errors.push(place.with(Severity::Error, audit_problem(path, &error)));
        }
        return if errors.is_empty() { Ok(config) } else { Err(config.reject(errors)) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Input;

    const FILE: &str = "[server]\nlisten = [\"127.0.0.1:8080\"]\n[store]\nurl = \"sqlite://t.db\"\n[[realm]]\nname = \"a\"\n\
                        issuer = \"https://a.example\"\n[[login]]\ndialect = \"project\"\npath = \"/login\"\nrealm = \"a\"\n";

    #[test]
    fn serving_makes_a_first_key_and_reading_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, keys) = (dir.path().join("t.toml"), dir.path().join("keys/a"));
        fs::write(&file, FILE).unwrap();
        config::load(&file, Mode::Start).unwrap();
        assert!(!keys.exists());
        fs::write(&file, format!("{FILE}x = 1\n")).unwrap();
        load(&file, Mode::Start).unwrap_err();
        assert!(!keys.exists(), "nothing is written for a file with an error");
        fs::write(&file, FILE).unwrap();
        let mut first = load(&file, Mode::Start).unwrap();
        assert!(first.pending.keys.is_empty());
        assert!(!first.inputs.iter_mut().any(Input::has_changed), "Tollgate knows what it wrote itself");
        let names = || fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let made = names();
        assert_eq!(made.len(), 1);
        let second = load(&file, Mode::Start).unwrap();
        assert_eq!(names(), made, "and no second one");
        let kid = |config: &Config| format!("{:?}", config.policy.realm("a").unwrap().tokens);
        assert_eq!(kid(&first), kid(&second), "the key on the disk is the one that the first policy signs with");
        fs::set_permissions(keys.join(&made[0]), fs::Permissions::from_mode(0o644)).unwrap();
        let errors = load(&file, Mode::Start).unwrap_err();
        assert!(errors[0].key == "realm.a.keys_dir" && errors[0].message.contains("chmod 600"), "{errors}");
        fs::write(&file, FILE.replace("[server]", "[server]\ninsecure_key_files = true")).unwrap();
        load(&file, Mode::Start).unwrap();
    }

    #[test]
    fn what_can_t_be_written_is_an_error_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        fs::write(&file, FILE.to_owned() + "[log]\naudit = \"absent/audit\"\n").unwrap();
        let errors = load(&file, Mode::Start).unwrap_err();
        assert!(errors.to_string().contains("t.toml:13:9: log.audit: "), "{errors}");
        assert!(
            errors.to_string().contains("absent/audit can't be opened: it does not exist: write a path"),
            "{errors}"
        );
    }
}
