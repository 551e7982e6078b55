//! `tollgate key new`.

use std::io::Write;

use jiff::Timestamp;

use crate::config::{ApiKey, Sha256};
use crate::exit::{self, Failure};

/// Create an API key: print its secret, once, and the section to paste into the configuration
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct New {
    /// Name of the key: letters, digits, dots, hyphens and underscores
    #[arg(long, value_parser = parse_id)]
    pub(super) id: String,
    /// Expiry of the key, such as 2027-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "RFC3339", value_parser = parse_timestamp)]
    pub(super) expires: Option<Timestamp>,
}

impl New {
    pub(super) fn run(&self, out: &mut dyn Write, now: i64) -> Result<(), Failure> {
        if let Some(expires) = self.expires.filter(|expires| expires.as_second() <= now) {
            return Err(Failure::new(exit::USAGE, format_args!("--expires {expires} has passed already")));
        }
        let secret = new_secret()?;
        writeln!(out, "# The secret, which is shown only this once: {secret}")?;
        write!(out, "{}", section(&self.id, &secret, self.expires))?;
        Ok(())
    }
}

/// The secret of an API key: 128 random bits in lower-case hex.
pub(in crate::cli) fn new_secret() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Failure::new(exit::SOFTWARE, "the random source of this machine failed"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// `[[realm.key]]` for this secret, of which it holds the hash only.
pub(in crate::cli) fn section(id: &str, secret: &str, expires: Option<Timestamp>) -> String {
    let hash = Sha256::new(secret).to_hex();
    let expires = expires.map(|expires| format!("expires = {expires}\n")).unwrap_or_default();
    // The grammar of ids leaves nothing to escape.
    format!("[[realm.key]]\nid = \"{id}\"\nsha256 = \"{hash}\"\n{expires}")
}

pub(super) fn parse_id(text: &str) -> Result<String, &'static str> {
    if ApiKey::is_valid_id(text) {
        Ok(text.into())
    } else {
        Err("write 1 to 64 letters, digits, dots, hyphens and underscores")
    }
}

pub(in crate::cli) fn parse_timestamp(text: &str) -> Result<Timestamp, &'static str> {
    // TOML and `expired` know no parts of a second that matter.
    let timestamp = text.parse::<Timestamp>().and_then(|timestamp| Timestamp::from_second(timestamp.as_second()));
    timestamp.map_err(|_| "write a date, a time and an offset from UTC, as in 2027-01-01T00:00:00Z")
}
