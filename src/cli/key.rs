//! `tollgate key`: API keys.

use std::io::Write;

use jiff::Timestamp;

use super::ConfigFile;
use crate::clock::{self, now};
use crate::config::{ApiKey, Mode, Sha256, load};
use crate::exit::{self, Failure};

/// API keys
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    New(New),
    List(List),
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

/// List the API keys of a configuration, and whether they are live
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    config: ConfigFile,
    /// Only those of this realm
    #[arg(long)]
    realm: Option<String>,
}

impl Command {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::New(args) => args.run(out, now()),
            Self::List(args) => args.run(out, now()),
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
        if let Some(name) = &self.realm
            && policy.realm(name).is_none()
        {
            let names: Vec<_> = policy.realms().iter().map(|realm| realm.name()).collect();
            let file = self.config.path.display();
            return Err(Failure::new(
                exit::USAGE,
                format_args!("{file} has no realm {name:?}, only {}", names.join(", ")),
            ));
        }
        let mut rows = vec![["ID", "REALM", "STATE", "EXPIRES"].map(String::from)];
        for realm in policy.realms() {
            if self.realm.as_ref().is_none_or(|name| name == realm.name()) {
                rows.extend(realm.api_keys().into_iter().map(|key| row(key, realm.name(), now)));
            }
        }
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2)];
        for [id, realm, state, expires] in &rows {
            writeln!(out, "{id:0$}  {realm:1$}  {state:2$}  {expires}", widths[0], widths[1], widths[2])?;
        }
        Ok(())
    }
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
    let hash = Sha256::of(secret).to_hex();
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

fn parse_id(text: &str) -> Result<String, &'static str> {
    if ApiKey::is_id(text) {
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
             web  b      live      never\n"
        );
        assert_eq!(list(Some("b")).unwrap().lines().count(), 2);
        assert_eq!(list(Some("c")).unwrap_err().report(&mut Vec::new()), std::process::ExitCode::from(64));
        assert!(!list(None).unwrap().contains("hunter"));
    }
}
