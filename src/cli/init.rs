//! `tollgate init`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{key, schema};
use crate::clock::now;
use crate::exit::{self, Failure};
use crate::keystore::save_key;
use crate::owner;
use crate::token::{Algorithm, SigningKey};

/// Write a starter configuration with a signing key and an API key; nothing is overwritten
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory for the files; it is created if it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Args {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let file = self.directory.join("tollgate.toml");
        let schema_file = self.directory.join(SCHEMA);
        let keys_dir = self.directory.join("keys").join(REALM);
        let occupied = |path: &Path| path.symlink_metadata().is_ok();
        // All are checked before a write, so that a refusal leaves no files.
        for path in [&file, &schema_file, &keys_dir] {
            if occupied(path) {
                return Err(refusal(path));
            }
        }
        let signing_key = SigningKey::generate(Algorithm::HS256, now(), now())
            .map_err(|error| Failure::new(exit::SOFTWARE, error))?;
        let secret = key::new_secret()?;
        let failed = |path: &Path, error: &io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => refusal(path),
            _ => Failure::new(exit::CANNOT_CREATE, format_args!("can't write {}: {error}", path.display())),
        };
        make(&self.directory).map_err(|error| failed(&self.directory, &error))?;
        write_new(&file, &starter(&secret)).map_err(|error| failed(&file, &error))?;
        let rest = write_new(&schema_file, &format!("{}\n", schema::text()))
            .map_err(|error| (vec![&file], failed(&schema_file, &error)))
            .and_then(|()| {
                save_key(&keys_dir, &signing_key, 0)
                    .map_err(|error| (vec![&file, &schema_file], failed(&keys_dir, &error)))
            });
        if let Err((written, failure)) = rest {
            // `write_new` has just created them. If they stayed, the next run would refuse to overwrite them.
            for path in written {
                let _ = fs::remove_file(path);
            }
            return Err(failure);
        }
        write!(out, "{}", next_steps(&file, &keys_dir, &secret))?;
        Ok(())
    }
}

fn refusal(path: &Path) -> Failure {
    Failure::new(exit::CANNOT_CREATE, format_args!("{} exists already, and nothing is overwritten", path.display()))
}

/// Creates the directory and its parents.
fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make(parent)?;
    }
    fs::create_dir(directory)?;
    owner::hand_over_directory(directory)
}

/// Writes a new file. Removes it again if the write fails.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let written = owner::hand_over(&file, path);
    let written = written.and_then(|()| file.write_all(text.as_bytes())).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn starter(secret: &str) -> String {
    let key = key::section("web", secret, None);
    format!(
        r#"#:schema ./{SCHEMA}
# Tollgate. Every key and its default: conf/tollgate.toml in its source, or in /usr/share/doc/tollgate/examples.
# What is below [store] takes effect when this file is saved. Check it with: tollgate check -c FILE

[server]
listen = ["127.0.0.1:8080"]

[store]
url = "sqlite://tollgate.db"            # beside this file

[[realm]]
name = "{REALM}"
issuer = "http://127.0.0.1:8080"        # your site's URL; changing it later ends every session
origins = []                            # pages that may call with cookies, such as ["https://app.example.com"]
registration = "closed"                 # "open" lets anyone register

{key}
[[login]]
dialect = "project"
path = "/auth"
realm = "{REALM}"

[[route]]
path = "/"
realm = "{REALM}"
access = ["user", "key"]                # people log in, programs send an API key
upstream = ["http://127.0.0.1:3000"]    # your app
"#
    )
}

fn next_steps(file: &Path, keys_dir: &Path, secret: &str) -> String {
    let (file_name, keys_dir) = (file.display(), keys_dir.display());
    let file = shell_word(&file.to_string_lossy());
    format!(
        r#"Wrote {file_name} and a signing key in {keys_dir}.

The secret of the API key "web", which is shown only this once:

    {secret}

Next:

    1. Write the address of your app into {file_name}: it is http://127.0.0.1:3000 now.
    2. tollgate check -c {file}
    3. tollgate user add -c {file} --realm {REALM} alice
    4. tollgate serve -c {file}
    5. Log in, and call the app with the token that the answer's Authorization header has, or with the API key:
       curl -i 'http://127.0.0.1:8080/auth?login=true&noATCookie=true' \
            -H 'Content-Type: application/json' -d '{{"username":"alice","password":"…"}}'
       curl -i http://127.0.0.1:8080/ -H 'Authorization: Bearer …'
       curl -i http://127.0.0.1:8080/ -H 'X-API-Key: {secret}'
"#
    )
}

/// Quotes for a shell, if needed.
fn shell_word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    if text.bytes().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

const REALM: &str = "main";
/// Beside the configuration file, which names it in a comment for editors.
const SCHEMA: &str = "tollgate.schema.json";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::process::ExitCode;

    use super::*;
    use crate::config::{Mode, load};

    fn init(directory: &Path) -> Result<String, Failure> {
        let mut out = Vec::new();
        Args { directory: directory.into() }.run(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_it_writes_is_a_good_configuration_for_the_secret_that_it_shows() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("new");
        let out = init(&dir).unwrap();
        let file = dir.join("tollgate.toml");
        let config = load(&file, Mode::Start).unwrap();
        let realm = config.policy.realm("main").unwrap();
        let secret = out.lines().find(|line| line.len() == 36 && line.starts_with("    ")).unwrap().trim();
        assert_eq!(realm.api_key(secret).unwrap().id, "web");
        assert!(!realm.require_key && !realm.users.registration_open);
        assert!(!fs::read_to_string(&file).unwrap().contains(secret));
        let keys: Vec<_> =
            fs::read_dir(dir.join("keys/main")).unwrap().map(|entry| entry.unwrap().metadata().unwrap()).collect();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].mode() & 0o777, 0o600);
        let before = fs::read_dir(dir.join("keys/main")).unwrap().count();
        crate::ops::prepare::load(&file, Mode::Start).unwrap();
        assert_eq!(fs::read_dir(dir.join("keys/main")).unwrap().count(), before, "the key is the one that serves");
        assert!(matches!(&config.store, crate::config::Database::Sqlite(path) if path.ends_with("new/tollgate.db")));
    }

    #[test]
    fn nothing_is_overwritten_and_a_refusal_leaves_nothing_behind() {
        let temp = tempfile::tempdir().unwrap();
        let refused = |dir: &Path, names: &str| {
            let failure = init(dir).unwrap_err();
            let mut stderr = Vec::new();
            assert_eq!(failure.report(&mut stderr), ExitCode::from(73));
            let stderr = String::from_utf8(stderr).unwrap();
            assert!(stderr.contains(names), "{stderr}");
        };
        let first = temp.path().join("first");
        init(&first).unwrap();
        let text = fs::read(first.join("tollgate.toml")).unwrap();
        refused(&first, "first/tollgate.toml");
        assert_eq!(fs::read(first.join("tollgate.toml")).unwrap(), text);
        fs::remove_file(first.join("tollgate.toml")).unwrap();
        refused(&first, "first/tollgate.schema.json");
        fs::remove_file(first.join(SCHEMA)).unwrap();
        refused(&first, "first/keys/main");
        assert!(!first.join("tollgate.toml").exists());
        std::os::unix::fs::symlink("nowhere", first.join("tollgate.toml")).unwrap();
        refused(&first, "first/tollgate.toml");
        fs::write(temp.path().join("file"), "").unwrap();
        refused(&temp.path().join("file"), "file");
        let blocked = temp.path().join("blocked");
        fs::create_dir(&blocked).unwrap();
        fs::write(blocked.join("keys"), "").unwrap();
        refused(&blocked, "blocked/keys/main");
        assert!(!blocked.join(SCHEMA).exists());
        assert!(!blocked.join("tollgate.toml").exists(), "the next try is not refused because of this one");
    }

    #[test]
    fn words_for_a_shell() {
        assert_eq!(shell_word("/etc/t.toml"), "/etc/t.toml");
        assert_eq!(shell_word("it's a dir/t"), r"'it'\''s a dir/t'");
    }
}
