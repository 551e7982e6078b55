//! `tollgate key`: API keys, and the keys that sign tokens.

mod revoke;

use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;

use super::ConfigFile;
use crate::clock::{self, now};
use crate::config::{ApiKey, KeyState, KeyStatus, KeysDir, Mode, Policy, Realm, RotationResult, Sha256, load};
use crate::exit::{self, Failure};
use revoke::Revoke;

/// API keys, and the keys that sign tokens
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    New(New),
    List(List),
    Rotate(Rotate),
    Revoke(Revoke),
}

/// Make an API key: print its secret, once, and the section to paste into the configuration
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// What people call the key: letters, digits, dots, hyphens and underscores
    #[arg(long, value_parser = parse_id)]
    id: String,
    /// From when on it is refused, such as 2027-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "RFC3339", value_parser = parse_timestamp)]
    expires: Option<Timestamp>,
}

/// List the API keys of a configuration, and whether they are live; and its signing keys, and which one signs
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    config: ConfigFile,
    /// Only those of this realm
    #[arg(long)]
    realm: Option<String>,
}

/// Make a new signing key: running gates publish it at once, and sign with it after publish_ahead
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    config: ConfigFile,
    /// Whose tokens it signs
    #[arg(long)]
    realm: String,
    /// It signs at once, and those are dropped that wait for their turns: who verifies tokens with a key set that he
    /// fetched before does not know it yet
    #[arg(long)]
    now: bool,
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

impl New {
    fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        if let Some(expires) = self.expires.filter(|expires| expires.as_second() <= now) {
            return Err(Failure::new(exit::USAGE, format_args!("--expires {expires} has passed already")));
        }
        let secret = new_secret()?;
        writeln!(out, "# The secret, which is shown only this once: {secret}")?;
        write!(out, "{}", section(&self.id, &secret, self.expires))?;
        Ok(())
    }
}

impl List {
    fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let policy = load(&self.config.path, Mode::Check)?.policy;
        let realms = match &self.realm {
            Some(name) => std::slice::from_ref(self.config.realm(&policy, name)?),
            None => policy.realms(),
        };
        let mut rows = vec![["ID", "REALM", "STATE", "EXPIRES"].map(String::from)];
        let mut turns = vec![["SIGNING KEY", "REALM", "ALGORITHM", "MADE", "STATE"].map(String::from)];
        for realm in realms {
            rows.extend(realm.api_keys().into_iter().map(|key| row(key, realm.name(), now)));
            for ((dir, _), use_) in realm.keys_dirs().zip(["", " (ID tokens)"]) {
                let keys = dir.key_statuses(now).map_err(|errors| Failure::new(exit::CONFIG, errors.join("; ")))?;
                turns.extend(keys.iter().map(|key| signing_row(key, realm.name(), use_)));
            }
        }
        table(out, &rows)?;
        writeln!(out)?;
        table(out, &turns)?;
        Ok(())
    }
}

impl Rotate {
    fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let policy = load(&self.config.path, Mode::Check)?.policy;
        for (dir, _) in self.config.realm(&policy, &self.realm)?.keys_dirs() {
            self.rotate(dir, out, now)?;
        }
        Ok(())
    }

    fn rotate(&self, dir: &KeysDir, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let rotation = dir.rotate(now, self.now).map_err(|message| Failure::new(exit::CANNOT_CREATE, message))?;
        let place = dir.path().display();
        match rotation {
            RotationResult::Made { turn, dropped } => {
                say_made(&turn, &place, out)?;
                say_dropped(&dropped, out)?;
            }
            RotationResult::Waiting(KeyStatus { kid, state, .. }) => {
                let from = if let KeyState::Pending(from) = state { from } else { now };
                let from = clock::rfc3339(from);
                writeln!(
                    out,
                    "Nothing to do: the key {kid} waits already, and signs from {from} on (--now: at once)."
                )?;
            }
        }
        Ok(())
    }
}

fn say_made(turn: &KeyStatus, place: &dyn Display, out: &mut dyn Write) -> std::io::Result<()> {
    let KeyStatus { kid, algorithm, state, .. } = turn;
    let from = if let KeyState::Pending(from) = state { clock::rfc3339(*from) } else { "now".into() };
    writeln!(out, "Made the {} key {kid} in {place}. It signs from {from} on.", algorithm.name())
}

fn say_dropped(dropped: &[KeyStatus], out: &mut dyn Write) -> std::io::Result<()> {
    for KeyStatus { kid, algorithm, state, .. } in dropped {
        let from = if let KeyState::Pending(from) = state { clock::rfc3339(*from) } else { "now".into() };
        writeln!(out, "Dropped the {} key {kid}, which would have signed from {from} on.", algorithm.name())?;
    }
    Ok(())
}

impl ConfigFile {
    fn realm<'a>(&self, policy: &'a Policy, name: &str) -> Result<&'a Arc<Realm>, Failure> {
        policy.realm(name).ok_or_else(|| {
            let names: Vec<_> = policy.realms().iter().map(|realm| realm.name()).collect();
            let file = self.path.display();
            Failure::new(exit::USAGE, format_args!("{file} has no realm {name:?}, only {}", names.join(", ")))
        })
    }
}

/// In columns, each as wide as its widest entry; the first row has their names.
fn table<const COLUMNS: usize>(out: &mut dyn Write, rows: &[[String; COLUMNS]]) -> std::io::Result<()> {
    for row in rows {
        for (column, entry) in row.iter().enumerate() {
            if column + 1 == COLUMNS {
                writeln!(out, "{entry}")?;
            } else {
                let width = rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
                write!(out, "{entry:width$}  ")?;
            }
        }
    }
    Ok(())
}

/// The secret of an API key: 128 random bits in lower-case hex.
pub(super) fn new_secret() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::new(exit::SOFTWARE, "the random source of this machine failed"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// `[[realm.key]]` for this secret, of which it holds the hash only.
pub(super) fn section(id: &str, secret: &str, expires: Option<Timestamp>) -> String {
    let hash = Sha256::new(secret).to_hex();
    let expires = expires.map(|expires| format!("expires = {expires}\n")).unwrap_or_default();
    // The grammar of ids leaves nothing to escape.
    format!("[[realm.key]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n{expires}")
}

fn row(key: &ApiKey, realm: &str, now: i64) -> [String; 4] {
    let state = if key.disabled() {
        "disabled"
    } else if key.expired(now) {
        "expired"
    } else {
        "live"
    };
    let expires = key.expires_at().map(clock::rfc3339);
    [key.id().into(), realm.into(), state.into(), expires.unwrap_or_else(|| "never".into())]
}

/// `use_`: what the key is for, if not for access tokens.
fn signing_row(key: &KeyStatus, realm: &str, use_: &str) -> [String; 5] {
    let state = match key.state {
        KeyState::Pending(from) => format!("signs from {}", clock::rfc3339(from)),
        KeyState::Active => "signs".into(),
        KeyState::Passive(Some(until)) => format!("verifies until {}", clock::rfc3339(until)),
        KeyState::Passive(None) => "verifies".into(),
    };
    [key.kid.clone(), realm.into(), key.algorithm.name().into(), clock::rfc3339(key.made_at), state + use_]
}

fn parse_id(text: &str) -> Result<String, &'static str> {
    if ApiKey::is_valid_id(text) {
        Ok(text.into())
    } else {
        Err("write 1 to 64 letters, digits, dots, hyphens and underscores")
    }
}

pub(super) fn parse_timestamp(text: &str) -> Result<Timestamp, &'static str> {
    // TOML and `expired` know no parts of a second that matter.
    let timestamp = text.parse::<Timestamp>().and_then(|timestamp| Timestamp::from_second(timestamp.as_second()));
    timestamp.map_err(|_| "write a date, a time and an offset from UTC, as in 2027-01-01T00:00:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[server]\nlisten = [\"127.0.0.1:8080\"]\n[store]\nurl = \"sqlite://t.db\"\n[[realm]]\nname = \"a\"\nissuer = \"i\"\n";
    const LOGIN: &str = "[[login]]\ndialect = \"project\"\npath = \"/login\"\nrealm = \"a\"\n";

    #[test]
    fn a_new_key_is_what_the_configuration_takes() {
        let mut out = Vec::new();
        let expires = Some(parse_timestamp("2100-01-01T01:00:00.5+01:00").unwrap());
        New { id: "web".into(), expires }.run(&mut out, 0).unwrap();
        let out = String::from_utf8(out).unwrap();
        let secret = out.lines().next().unwrap().rsplit(' ').next().unwrap();
        assert!(secret.len() == 32 && secret.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{secret}");
        assert_eq!(out.matches(secret).count(), 1, "once only");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        let config = crate::config::parse(&format!("{FILE}{out}{LOGIN}"), &path, Mode::Check).unwrap();
        let key = config.policy.realms()[0].api_key(secret).unwrap();
        assert_eq!((key.id(), key.expires_at()), ("web", Some(4_102_444_800)));
        assert_ne!(new_secret().unwrap(), new_secret().unwrap());
    }

    #[test]
    fn an_expiry_is_in_the_future_and_has_an_offset() {
        let expires = parse_timestamp("1970-01-01T00:01:40Z").ok();
        let failure = New { id: "web".into(), expires }.run(&mut Vec::new(), 100).unwrap_err();
        assert_eq!(failure.report(&mut Vec::new()), std::process::ExitCode::from(64));
        assert!(New { id: "web".into(), expires }.run(&mut Vec::new(), 99).is_ok());
        for bad in ["", "tomorrow", "2027-01-01", "2027-01-01T00:00:00"] {
            assert!(parse_timestamp(bad).is_err(), "{bad}");
        }
        assert!(parse_id("a b").is_err() && parse_id("web").is_ok());
    }

    #[test]
    fn a_list_tells_states_and_no_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        let keys = "[[realm.key]]\nid = \"web\"\nsecret = \"hunter2hunter2hunter2\"\n\
                    [[realm.key]]\nid = \"old\"\nsecret = \"hunter3hunter3hunter3\"\nexpires = 1970-01-01T00:01:40Z\n\
                    [[realm.key]]\nid = \"off\"\nsecret = \"hunter4hunter4hunter4\"\nexpires = 2100-01-01T00:00:00Z\ndisabled = true\n\
                    [[realm]]\nname = \"b\"\nissuer = \"i\"\ncookie = \"b\"\n\
                    [[realm.key]]\nid = \"web\"\nsecret = \"hunter5hunter5hunter5\"\n";
        std::fs::write(&path, format!("{FILE}{keys}{LOGIN}")).unwrap();
        let list = |realm: Option<&str>| {
            let mut out = Vec::new();
            let args = List { config: ConfigFile { path: path.clone() }, realm: realm.map(String::from) };
            args.run(&mut out, 100).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(
            list(None).unwrap(),
            "ID   REALM  STATE     EXPIRES\n\
             off  a      disabled  2100-01-01T00:00:00Z\n\
             old  a      expired   1970-01-01T00:01:40Z\n\
             web  a      live      never\n\
             web  b      live      never\n\
             \n\
             SIGNING KEY  REALM  ALGORITHM  MADE  STATE\n",
            "no key is shown that is not on the disk"
        );
        assert_eq!(list(Some("b")).unwrap().lines().count(), 4);
        assert_eq!(list(Some("c")).unwrap_err().report(&mut Vec::new()), std::process::ExitCode::from(64));
        assert!(!list(None).unwrap().contains("hunter"));
    }

    #[test]
    fn a_rotation_tells_which_key_signs_from_when_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, format!("{FILE}require_key = false\nalgorithm = \"ES256\"\n{LOGIN}")).unwrap();
        let config = || ConfigFile { path: path.clone() };
        let rotate = |now: i64, at_once: bool| {
            let mut out = Vec::new();
            Rotate { config: config(), realm: "a".into(), now: at_once }.run(&mut out, now).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(rotate(1000, false).ends_with("It signs from now on.\n"), "there is nothing that it could wait for");
        assert!(rotate(2000, false).ends_with("It signs from 1970-01-01T00:43:20Z on.\n"));
        assert!(rotate(2001, false).starts_with("Nothing to do: the key "));
        let at_once = rotate(2002, true);
        assert!(at_once.contains("It signs from now on.\nDropped the ES256 key "), "{at_once}");
        assert!(at_once.ends_with(", which would have signed from 1970-01-01T00:43:20Z on.\n"), "{at_once}");
        let mut out = Vec::new();
        List { config: config(), realm: None }.run(&mut out, 2100).unwrap();
        let out = String::from_utf8(out).unwrap();
        let states: Vec<_> =
            out.lines().skip(3).map(|line| line.split_once("  a      ES256      ").unwrap().1).collect();
        assert_eq!(
            states,
            ["1970-01-01T00:16:40Z  verifies until 1970-01-31T00:38:22Z", "1970-01-01T00:33:22Z  signs",]
        );
        let unknown = Rotate { config: config(), realm: "b".into(), now: false }.run(&mut Vec::new(), 1).unwrap_err();
        assert_eq!(unknown.report(&mut Vec::new()), std::process::ExitCode::from(64));
    }

    #[test]
    fn keys_of_id_tokens_are_listed_and_rotated_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        let login = LOGIN.replace("project", "tenant");
        std::fs::write(&path, format!("{FILE}require_key = false\nalgorithm = \"ES256\"\n{login}")).unwrap();
        let config = || ConfigFile { path: path.clone() };
        let mut out = Vec::new();
        Rotate { config: config(), realm: "a".into(), now: false }.run(&mut out, 1000).unwrap();
        let made = String::from_utf8(out).unwrap();
        assert!(made.contains("/keys/a. It signs") && made.contains("/keys/a/id. It signs"), "{made}");
        let mut out = Vec::new();
        List { config: config(), realm: None }.run(&mut out, 2000).unwrap();
        let listed = String::from_utf8(out).unwrap();
        let states: Vec<_> = listed.lines().skip(3).map(|line| line.rsplit_once("Z  ").unwrap().1).collect();
        assert_eq!(states, ["signs", "signs (ID tokens)"]);
    }
}
