//! Tests of the files in `conf/`: each one must load, and the defaults in them must be the real ones.

use std::fs;
use std::path::Path;

use crate::config::{Config, KeyDoc, Mode, SameSite, ValueType, parse, reference};
use crate::token::{Algorithm, SigningKey};

const TOLLGATE: &str = include_str!("../../conf/tollgate.toml");

/// Reads `text` as a file in `dir`.
fn read(text: &str, dir: &Path) -> Config {
    parse(text, &dir.join("t.toml"), Mode::Start).unwrap_or_else(|errors| panic!("{errors}"))
}

fn sample(name: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name);
    // A service on this machine can have keys in /var/lib/tollgate.
    let text = fs::read_to_string(path).unwrap().replace("/var/lib/tollgate", dir.path().to_str().unwrap());
    read(&text, dir.path())
}

/// Returns conf/tollgate.toml with every default written out.
fn with_defaults_written() -> String {
    let is_default =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    TOLLGATE.lines().map(|line| if is_default(line) { &line[1..] } else { line }.to_owned() + "\n").collect()
}

#[test]
fn every_sample_loads() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut seen = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name();
        if !name.to_str().unwrap().ends_with(".toml") {
            continue;
        }
        assert_eq!(sample(name.to_str().unwrap()).policy.realms.len(), 1, "{name:?}");
        seen += 1;
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn every_key_is_in_the_sample_with_every_key() {
    let lines: Vec<_> = TOLLGATE.lines().map(|line| line.trim_start_matches(['#', ' '])).collect();
    let mut documented = 0;
    for section in reference().into_iter().skip(1) {
        let header = section.header;
        let start = lines.iter().position(|line| *line == header).unwrap_or_else(|| panic!("{header} is missing"));
        let length =
            lines[start + 1..].iter().position(|line| line.starts_with('[')).unwrap_or(lines.len() - start - 1);
        // The lines above a header describe the section.
        let text = lines[start.saturating_sub(4)..=start + length].join("\n");
        for KeyDoc { name, value, .. } in section.keys {
            if matches!(value.kind, ValueType::Section(_) | ValueType::Sections(_)) {
                continue;
            }
            let written =
                text.lines().any(|line| line.split_once('=').is_some_and(|(key, _)| key.trim().ends_with(name)));
            assert!(written, "{name} of {header} is not in conf/tollgate.toml");
            // A comment can describe a key that replaces another one.
            let stands = |line: &&str| line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}="));
            assert!(name == "sha256_file" || lines.iter().any(stands), "conf/tollgate.toml has no {name}");
            documented += 1;
        }
    }
    assert!(documented > 150, "{documented}");
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::generate(Algorithm::HS256, 1, 1).unwrap();
    crate::keystore::save_key(&dir.path().join("keys/examples"), &key, 1).unwrap();
    let written = with_defaults_written();
    assert!(written.contains("\nkeys_dir = ") && written.contains("\ntunnel_timeout = "), "{written}");
    let (implicit, explicit) = (read(TOLLGATE, dir.path()), read(&written, dir.path()));
    assert_eq!(format!("{:?}", implicit.server), format!("{:?}", explicit.server));
    assert!(implicit.cold_changes(&explicit).is_empty());
    assert_eq!(implicit.inputs, explicit.inputs);
    let comparable = |config: &Config| {
        let realm = config.policy.realm("examples").unwrap();
        // One API key: the order of a hash map with more entries would differ.
        let (limits, routing) = (&config.policy.limits, &config.policy.routing);
        let log = &config.policy.log;
        format!("{limits:?} {log:?} {realm:?} {:?} {:?}", routing.logins, routing.routes)
    };
    assert_eq!(comparable(&implicit), comparable(&explicit));
}

#[test]
fn the_samples_have_the_settings_of_their_use() {
    let rested = sample("rested.toml");
    let realm = rested.policy.realm("examples").unwrap();
    assert_eq!((realm.cookie.name.as_str(), realm.cookie.same_site), ("__Secure-rested-access-token", SameSite::None));
    assert!(realm.users.registration_open && realm.require_key);
    assert_eq!(realm.api_key("d59eb2859c284168ac48aef65046d5dd").unwrap().id, "web");
    assert_eq!(rested.policy.routing.logins[0].path, "/api/1/ce/examples/auth");
    let guard = sample("guard-an-app.toml");
    assert!(!guard.policy.realms[0].require_key && !guard.policy.realms[0].users.registration_open);
    let keys = sample("api-keys-only.toml");
    assert!(keys.policy.routing.logins.is_empty() && keys.policy.realms[0].has_api_keys());
}
