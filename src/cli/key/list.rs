//! `tollgate key list`.

use std::io::Write;

use crate::cli::ConfigFile;
use crate::clock;
use crate::config::{ApiKey, Mode, load};
use crate::exit::{self, Failure};
use crate::keystore::{KeyState, KeyStatus};

/// List the API keys of a configuration with their validity, and its signing keys with their state
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// Only those of this realm
    #[arg(long)]
    pub(super) realm: Option<String>,
}

impl List {
    pub(super) fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        let policy = load(&self.config.path, Mode::Start)?.policy;
        let realms = match &self.realm {
            Some(name) => std::slice::from_ref(self.config.realm(&policy, name)?),
            None => &policy.realms,
        };
        let mut rows = vec![["ID", "REALM", "STATE", "EXPIRES"].map(String::from)];
        let mut signing_rows = vec![["SIGNING KEY", "REALM", "ALGORITHM", "MADE", "STATE"].map(String::from)];
        for realm in realms {
            rows.extend(realm.api_keys().into_iter().map(|key| row(key, &realm.name, now)));
            for ((dir, _), use_) in realm.keys_dirs().zip(["", " (ID tokens)"]) {
                let keys = dir.key_statuses(now).map_err(|errors| Failure::new(exit::CONFIG, errors.join("; ")))?;
                signing_rows.extend(keys.iter().map(|key| signing_row(key, &realm.name, use_)));
            }
        }
        table(out, &rows)?;
        writeln!(out)?;
        table(out, &signing_rows)?;
        Ok(())
    }
}

/// Prints columns with the width of the widest entry; the first row has their names.
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

fn row(key: &ApiKey, realm: &str, now: i64) -> [String; 4] {
    let state = if key.disabled {
        "disabled"
    } else if key.expired(now) {
        "expired"
    } else {
        "live"
    };
    let expires = key.expires_at.map(clock::rfc3339);
    [key.id.clone(), realm.into(), state.into(), expires.unwrap_or_else(|| "never".into())]
}

/// `use_`: the use of the key, if it is not for access tokens.
fn signing_row(key: &KeyStatus, realm: &str, use_: &str) -> [String; 5] {
    let state = match key.state {
        KeyState::Pending(from) => format!("signs from {}", clock::rfc3339(from)),
        KeyState::Active => "signs".into(),
        KeyState::Passive(Some(until)) => format!("verifies until {}", clock::rfc3339(until)),
        KeyState::Passive(None) => "verifies".into(),
    };
    [key.kid.clone(), realm.into(), key.algorithm.name().into(), clock::rfc3339(key.made_at), state + use_]
}
