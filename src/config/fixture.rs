//! A small valid file, for the tests of the sections.

use std::path::Path;

use crate::config::{Config, Diagnostic, Errors, Mode, parse};

pub(in crate::config) const SERVER: &str =
    "[server]\nlisten = [\"127.0.0.1:8080\"]\n[store]\nurl = \"sqlite:///var/lib/t.db\"\n";
pub(in crate::config) const REALM: &str =
    "[[realm]]\nname = \"a\"\nissuer = \"https://a.example\"\nrequire_key = false\n";
pub(in crate::config) const LOGIN: &str = "[[login]]\ndialect = \"project\"\npath = \"/login\"\nrealm = \"a\"\n";
pub(in crate::config) const ROUTE: &str =
    "[[route]]\npath = \"/\"\nrealm = \"a\"\naccess = \"user\"\nupstream = [\"http://127.0.0.1:3000\"]\n";

/// Reads a whole file.
pub(in crate::config) fn check(text: &str) -> Result<Config, Errors> {
    parse(text, Path::new("/nonexistent/t.toml"), Mode::Start)
}

/// Returns the errors of `text` below a server and a realm, as `LINE: KEY: message`.
pub(in crate::config) fn errors(text: &str) -> Vec<String> {
    let errors = check(&format!("{SERVER}{REALM}{text}")).err();
    let line = |error: &Diagnostic| format!("{}: {}: {}", error.line.unwrap_or(0), error.key, error.message);
    errors.iter().flat_map(|errors| errors.iter().map(line)).collect()
}

/// Returns the warnings of a valid file, as `LINE: KEY: message`.
pub(in crate::config) fn warnings(text: &str) -> Vec<String> {
    let config = check(text).unwrap();
    let line = |warning: &Diagnostic| format!("{}: {}: {}", warning.line.unwrap_or(0), warning.key, warning.message);
    config.warnings.iter().map(line).collect()
}

/// Returns `section`, in which `keys` replace the keys with the same names. `keys` can continue with further sections.
pub(in crate::config) fn with(section: &str, keys: &str) -> String {
    let name = |line: &str| line.split(" =").next().unwrap_or_default().to_owned();
    let names: Vec<_> = keys.lines().filter(|line| !line.starts_with('[')).map(name).collect();
    let lines: Vec<_> = section.lines().filter(|line| !names.contains(&name(line))).collect();
    let end = lines.iter().skip(1).position(|line| line.starts_with('[')).map_or(lines.len(), |at| at + 1);
    format!("{}\n{keys}\n{}\n", lines[..end].join("\n"), lines[end..].join("\n"))
}

/// Asserts that the file has exactly one error, which contains `expected` and no secret.
pub(in crate::config) fn assert_error(text: &str, expected: &str) {
    let errors = check(text).unwrap_err();
    assert_eq!(errors.len(), 1, "{text}: {errors}");
    assert!(errors.to_string().contains(expected), "{text}: {errors}");
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
}

/// Reads a whole file and saves its new signing keys, as a start does.
pub(in crate::config) fn serve(text: &str, file: &Path) -> Config {
    let mut config = parse(text, file, Mode::Start).unwrap();
    for (_, key) in config.pending.keys.drain(..) {
        key.save().unwrap();
    }
    config
}
