//! `[[realm.key]]` and `[realm.master_key]`.

use std::collections::HashMap;

use super::realm;
use crate::config::outside::Outside;
use crate::config::policy::{ApiKey, Sha256};
use crate::config::reader::{Keys, Section, quote};

/// The keys of an API key.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[realm.key]]",
    known: &["id", "secret", "sha256", "secret_file", "expires", "disabled"],
    later: &[],
    parent: Some(&realm::KEYS),
};

/// The keys of a master key.
pub(in crate::config) const MASTER_KEYS: Keys =
    Keys { header: "[realm.master_key]", known: &["sha256", "sha256_file"], later: &[], parent: Some(&realm::KEYS) };

/// The API keys of a realm.
pub(in crate::config) fn read(realm: &Section<'_>, outside: &Outside) -> HashMap<Sha256, ApiKey> {
    let mut keys: HashMap<Sha256, ApiKey> = HashMap::new();
    for section in realm.tables("key", &KEYS) {
        let id = section.required("id", "\"web\"", id);
        let secret = secret(&section, outside);
        let key = ApiKey {
            id: id.unwrap_or_default().into(),
            expires_at: section.timestamp("expires"),
            disabled: section.flag("disabled", false),
        };
        if !key.id.is_empty() && keys.values().any(|other| other.id == key.id) {
            section.error("id", format!("\"{}\" is the id of another key of this realm: write another", key.id));
        }
        let Some((written_as, secret)) = secret else { continue };
        if let Some(other) = keys.get(&secret) {
            section.error(
                written_as,
                format!("is the secret of the key \"{}\" too: make another with tollgate key new", other.id),
            );
        }
        keys.insert(secret, key);
    }
    keys
}

/// The master key of a realm.
pub(in crate::config) fn read_master(realm: &Section<'_>, outside: &Outside) -> Option<Sha256> {
    let section = realm.table("master_key", &MASTER_KEYS)?;
    match exactly_one(&section, ["sha256", "sha256_file"])? {
        "sha256" => section.optional("sha256", hash),
        _ => section.optional("sha256_file", |path| {
            hash(&outside.secret(path)?).map_err(|problem| format!("{}: its text {problem}", quote(path)))
        }),
    }
}

fn id(text: &str) -> Result<&str, String> {
    if ApiKey::is_id(text) {
        return Ok(text);
    }
    Err(format!("{} is no id: write 1 to 64 letters, digits, dots, hyphens and underscores", quote(text)))
}

/// The hash of the key's secret, and the key of the file that it came from.
fn secret(section: &Section<'_>, outside: &Outside) -> Option<(&'static str, Sha256)> {
    let written_as = exactly_one(section, ["secret", "sha256", "secret_file"])?;
    let secret = match written_as {
        "secret" => section.optional("secret", plain_secret),
        "sha256" => section.optional("sha256", hash),
        _ => section.optional("secret_file", |path| {
            plain_secret(&outside.secret(path)?).map_err(|problem| format!("{}: its text {problem}", quote(path)))
        }),
    };
    Some((written_as, secret?))
}

fn exactly_one<const N: usize>(section: &Section<'_>, keys: [&'static str; N]) -> Option<&'static str> {
    let mut written = keys.into_iter().filter(|key| section.has(key));
    let Some(first) = written.next() else {
        section.missing("", format!("has no secret: write one of {}", keys.join(", ")));
        return None;
    };
    if let Some(second) = written.next() {
        section.error(second, format!("excludes {first}: write only one of {}", keys.join(", ")));
    }
    Some(first)
}

/// Never quoted, not even in part.
fn plain_secret(text: &str) -> Result<Sha256, String> {
    if text.len() < MIN_SECRET_BYTES {
        return Err(format!("is shorter than {MIN_SECRET_BYTES} characters: make one with tollgate key new"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a space or a character that a header can't carry: make one with tollgate key new".into());
    }
    Ok(Sha256::of(text))
}

/// Not quoted either: a secret may be written here by mistake.
fn hash(text: &str) -> Result<Sha256, String> {
    let hash =
        Sha256::from_hex(text).ok_or("is not a SHA-256 hash, 64 hexadecimal digits: make one with tollgate key new")?;
    // What a script writes whose variable was not set.
    if hash == Sha256::of("") || hash == Sha256::of("\n") {
        return Err("is the hash of an empty secret: make one with tollgate key new".into());
    }
    Ok(hash)
}

const MIN_SECRET_BYTES: usize = 16;
