//! Reads a TOML file key by key, and collects every error in it.
//!
//! `serde` would stop at the first error. Here each method that finds an error reports it, with line and key, and returns no
//! value; reading continues. The values are used only if no error was reported ([`ErrorCollector::finish`]).

pub(in crate::config) mod report;
pub(in crate::config) mod spelling;
pub(in crate::config) mod syntax;
mod unknown_key;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::duration;
use crate::config::error::Severity;
pub(in crate::config) use crate::config::reader::report::{ErrorCollector, Reported, SourceLocation};
use crate::config::reader::spelling::{bare, none_of, quote, unexpanded};
use crate::config::size;

/// The keys of one kind of section.
pub(in crate::config) struct SectionKeys {
    /// The header, such as `[[realm]]`.
    pub(in crate::config) header: &'static str,
    pub(in crate::config) known: &'static [&'static [&'static str]],
}

impl SectionKeys {
    pub(in crate::config) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.known.iter().copied().flatten().copied()
    }

    pub(in crate::config) fn contains(&self, key: &str) -> bool {
        self.names().any(|name| name == key)
    }
}

pub(in crate::config) struct Section<'a> {
    report: &'a ErrorCollector<'a>,
    table: &'a DeTable<'a>,
    keys: &'static SectionKeys,
    path: String,
    at: usize,
}

impl<'a> Section<'a> {
    /// The file as a whole.
    pub(in crate::config) fn root(
        report: &'a ErrorCollector<'a>,
        table: &'a DeTable<'a>,
        keys: &'static SectionKeys,
    ) -> Self {
        let section = Self { report, table, keys, path: String::new(), at: 0 };
        section.refuse_unknown_keys(None);
        section
    }

    /// Returns the section `key`, if the file has it.
    pub(in crate::config) fn table(&self, key: &'static str, keys: &'static SectionKeys) -> Option<Self> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(self.open(table, keys, self.path_of(key), value.span().start)),
            DeValue::Array(_) => {
                self.refuse(key, format!("must not be an array: write {}", keys.header));
                None
            }
            other => {
                self.wrong_type(key, other, &format!("a section: write {}", keys.header));
                None
            }
        }
    }

    /// Returns the sections `key`, in the order of the file.
    pub(in crate::config) fn tables(&self, key: &'static str, keys: &'static SectionKeys) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            DeValue::Table(_) => {
                self.refuse(key, format!("must be an array: write {}, with two brackets", keys.header));
                return Vec::new();
            }
            other => {
                self.wrong_type(key, other, &format!("a section: write {}", keys.header));
                return Vec::new();
            }
        };
        let sections = items.iter().enumerate().filter_map(|(index, item)| {
            let path = format!("{}[{index}]", self.path_of(key));
            match item.get_ref() {
                DeValue::Table(table) => Some(self.open(table, keys, path, item.span().start)),
                other => {
                    let message = format!("must be a section: write {} (found {})", keys.header, kind(other));
                    self.report.error(item.span().start, path, message);
                    None
                }
            }
        });
        sections.collect()
    }

    /// Sets the name of the section, for later errors: `realm.examples` instead of `realm[0]`.
    pub(in crate::config) fn name(&mut self, name: &str) {
        if let Some(bracket) = self.path.rfind('[') {
            self.path.truncate(bracket);
            self.path.push('.');
            self.path.push_str(name);
        }
    }

    /// Dotted path of the section, such as `route[2]`.
    pub(in crate::config) fn path(&self) -> &str {
        &self.path
    }

    /// Line of the section's header.
    pub(in crate::config) fn line(&self) -> usize {
        self.report.line(self.at)
    }

    /// Returns whether the file has `key`, with a valid value or not.
    pub(in crate::config) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Returns whether the file has `key` with a valid value.
    pub(in crate::config) fn is_valid(&self, key: &'static str) -> bool {
        self.has(key) && !self.is_refused(key)
    }

    /// Returns whether the value of `key` is an empty list.
    pub(in crate::config) fn is_empty_list(&self, key: &'static str) -> bool {
        self.value(key).and_then(|value| value.get_ref().as_array()).is_some_and(|items| items.is_empty())
    }

    /// Returns the location of `key`; that of the section's header if the file does not have the key.
    pub(in crate::config) fn place(&self, key: &'static str) -> SourceLocation {
        SourceLocation { at: self.value(key).map_or(self.at, |value| value.span().start), key: self.path_of(key) }
    }

    /// Returns whether the value of `key` was refused and replaced by the default. A conflict of that default with another key
    /// only follows from the first error.
    pub(in crate::config) fn is_refused(&self, key: &'static str) -> bool {
        self.report.is_refused(self.at, key)
    }

    /// Reports an error about `key` at [`Self::place`]. Suppressed if the value of the key was refused.
    pub(in crate::config) fn error(&self, key: &'static str, message: impl Into<String>) -> Reported {
        self.report.unless_refused(Severity::Error, self.at, key, self.place(key), message.into())
    }

    /// Returns the proof for a value with an error that was reported before.
    pub(in crate::config) fn reported(&self) -> Reported {
        self.report.reported()
    }

    /// Reports a warning about `key` at [`Self::place`]. The message names the remedy, as that of an error does. A file with
    /// warnings can be used.
    pub(in crate::config) fn warn(&self, key: &'static str, message: impl Into<String>) {
        self.report.unless_refused(Severity::Warning, self.at, key, self.place(key), message.into());
    }

    /// Reports at the section's header that the section lacks `key`, which can be empty.
    pub(in crate::config) fn missing(&self, key: &'static str, message: impl Into<String>) -> Reported {
        if self.report.is_broken() {
            return self.reported();
        }
        let place = SourceLocation { at: self.at, key: self.path_of(key) };
        self.report.unless_refused(Severity::Error, self.at, key, place, message.into())
    }

    /// Reports that the file does not have the section or name to which the value of `key` refers.
    pub(in crate::config) fn missing_value(&self, key: &'static str, message: impl Into<String>) -> Reported {
        if self.report.is_broken() { self.reported() } else { self.error(key, message) }
    }

    /// Returns the value of `key` if it is a string. Reports no error.
    pub(in crate::config) fn text(&self, key: &'static str) -> Option<&'a str> {
        match self.value(key)?.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Reports each of `keys` in the file, if the value of `other` is not `word`.
    pub(in crate::config) fn restrict(&self, keys: &[&'static str], other: &'static str, word: &str) {
        if self.is_refused(other) || self.text(other).is_none_or(|text| text == word) {
            return;
        }
        for key in keys.iter().filter(|key| self.has(key)) {
            self.error(key, format!("applies only to {other} = \"{word}\": remove it"));
        }
    }

    /// Reads a string with `parse`, which returns a value or an error message. `parse` decides whether its message quotes the
    /// string.
    pub(in crate::config) fn optional<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => match unexpanded(text).map_or_else(|| parse(text), Err) {
                Ok(parsed) => return Some(parsed),
                Err(message) => self.refuse(key, message),
            },
            other => self.wrong_type(key, other, "a string in double quotes"),
        }
        None
    }

    /// The same, for a required key. `example` is a value as TOML.
    pub(in crate::config) fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        if !self.has(key) {
            return Err(self.missing(key, format!("is missing: write {key} = {example}")));
        }
        self.optional(key, parse).ok_or_else(|| self.reported())
    }

    /// Reads a list of strings, each with `parse`. Returns an empty list if the file does not have the key.
    pub(in crate::config) fn list<T>(&self, key: &'static str, parse: impl Fn(&'a str) -> Result<T, String>) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value.get_ref(), "a list of strings, in square brackets");
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        let parsed = items.iter().enumerate().filter_map(|(index, item)| {
            let result = match item.get_ref() {
                DeValue::String(text) if !seen.insert(text) => Err("is listed twice: remove one of the two".into()),
                DeValue::String(text) => unexpanded(text).map_or_else(|| parse(text), Err),
                other => Err(format!("must be a string in double quotes (found {})", kind(other))),
            };
            let report = |message| {
                self.report.refuse(self.at, key);
                self.report.error(item.span().start, format!("{}[{index}]", self.path_of(key)), message);
            };
            result.map_err(report).ok()
        });
        parsed.collect()
    }

    pub(in crate::config) fn flag(&self, key: &'static str, default: bool) -> bool {
        match self.value(key).map(Spanned::get_ref) {
            None => default,
            Some(DeValue::Boolean(value)) => *value,
            Some(other) => {
                self.wrong_type(key, other, "true or false, without quotes");
                default
            }
        }
    }

    pub(in crate::config) fn number(&self, key: &'static str, range: RangeInclusive<usize>, default: usize) -> usize {
        match self.value(key).map(Spanned::get_ref) {
            None => return default,
            Some(DeValue::Integer(integer)) => {
                let value = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
                if let Some(value) = value.filter(|value| range.contains(value)) {
                    return value;
                }
                let (start, end) = range.into_inner();
                self.refuse(key, format!("{integer} is out of range: write a number from {start} to {end}"));
            }
            Some(other) => self.wrong_type(key, other, "a whole number, without quotes"),
        }
        default
    }

    /// Reads a number with or without a fraction.
    pub(in crate::config) fn decimal(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let (written, value) = match self.value(key)?.get_ref() {
            DeValue::Float(float) => (float.to_string(), float.as_str().parse().ok()),
            DeValue::Integer(integer) => {
                let value = i32::from_str_radix(integer.as_str(), integer.radix());
                (integer.to_string(), value.ok().map(f64::from))
            }
            other => {
                self.wrong_type(key, other, "a number, without quotes");
                return None;
            }
        };
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            let (start, end) = range.into_inner();
            self.refuse(key, format!("{written} is out of range: write a number from {start} to {end}"));
        }
        value
    }

    pub(in crate::config) fn duration(
        &self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        if let Some(DeValue::Integer(_)) = self.value(key).map(Spanned::get_ref) {
            self.refuse(key, format!("must have a unit: write it as \"{}\"", duration::format(default)));
            return default;
        }
        let parse = |text: &str| {
            let example = duration::format(default);
            let value = duration::parse(text).ok_or_else(|| {
                format!(
                    "invalid duration {}: write a whole number with ms, s, m, h or d, such as \"{example}\"",
                    quote(text)
                )
            })?;
            if range.contains(&value) {
                return Ok(value);
            }
            let (from, to) = (duration::format(*range.start()), duration::format(*range.end()));
            Err(format!("{} is out of range: write a duration from \"{from}\" to \"{to}\"", quote(text)))
        };
        self.optional(key, parse).unwrap_or(default)
    }

    /// Reads a number of bytes, up to `max`.
    pub(in crate::config) fn size(&self, key: &'static str, max: u64, default: u64) -> u64 {
        let parse = |text: &str| {
            let size = size::parse(text).ok_or_else(|| {
                let example = size::format(default);
                format!(
                    "invalid size {}: write a whole number with B, KiB, MiB or GiB, such as \"{example}\"",
                    quote(text)
                )
            })?;
            if size <= max {
                return Ok(size);
            }
            Err(format!("{} is out of range: write at most \"{}\"", quote(text), size::format(max)))
        };
        self.optional(key, parse).unwrap_or(default)
    }

    /// Reads one of `words` and returns its meaning.
    pub(in crate::config) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.optional(key, |text| one_of(text, words))
    }

    /// Reads one of `words` or a list of them, and returns their meanings.
    pub(in crate::config) fn choices<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Vec<T>> {
        let Some(DeValue::Array(items)) = self.value(key).map(Spanned::get_ref) else {
            return self.choice(key, words).map(|word| vec![word]);
        };
        let listed = self.list(key, |text| one_of(text, words));
        // `list` has reported an error for each item that is missing here.
        (listed.len() == items.len()).then_some(listed)
    }

    /// Reads a section with keys that the operator chooses, each with a string, a whole number, or true or false.
    pub(in crate::config) fn values(&self, key: &'static str, wanted: &str) -> Vec<(String, Value)> {
        let table = match self.value(key).map(Spanned::get_ref) {
            None => return Vec::new(),
            Some(DeValue::Table(table)) => table,
            Some(other) => {
                self.wrong_type(key, other, wanted);
                return Vec::new();
            }
        };
        let values = table.iter().filter_map(|(name, value)| {
            let parsed = match value.get_ref() {
                DeValue::String(text) => Some(Value::from(text.as_ref())),
                DeValue::Integer(integer) => {
                    i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Value::from)
                }
                DeValue::Boolean(value) => Some(Value::from(*value)),
                _ => None,
            };
            let name = name.get_ref().as_ref();
            if parsed.is_none() {
                let message = "must be a string in double quotes, a whole number, or true or false";
                self.report.error(value.span().start, format!("{}.{}", self.path_of(key), bare(name)), message);
            }
            Some((name.to_owned(), parsed?))
        });
        values.collect()
    }

    /// Reads a date and time with its offset from UTC. Returns Unix seconds.
    pub(in crate::config) fn timestamp(&self, key: &'static str) -> Option<i64> {
        const EXAMPLE: &str = "write it as 2027-01-01T00:00:00Z, without quotes";
        match self.value(key)?.get_ref() {
            DeValue::Datetime(datetime) => {
                if let Ok(timestamp) = datetime.to_string().parse::<jiff::Timestamp>() {
                    return Some(timestamp.as_second());
                }
                self.refuse(key, format!("must be an RFC 3339 date-time with a UTC offset: {EXAMPLE}"));
            }
            other => self.wrong_type(key, other, &format!("a date and time: {EXAMPLE}")),
        }
        None
    }

    /// Opens a section within this one.
    fn open(&self, table: &'a DeTable<'a>, keys: &'static SectionKeys, path: String, at: usize) -> Self {
        let section = Self { report: self.report, table, keys, path, at };
        section.refuse_unknown_keys(Some(self));
        section
    }

    fn refuse_unknown_keys(&self, parent: Option<&Self>) {
        for key in self.table.keys().filter(|key| !self.keys.contains(key.get_ref())) {
            let name = key.get_ref().as_ref();
            self.report.error(
                key.span().start,
                self.path_of(&bare(name)),
                self.keys.explain(name, parent.map(|parent| parent.keys), self.report.owners),
            );
            // Then no error says that this key is missing.
            if let Some(meant) = self.keys.meant(name) {
                self.report.refuse(self.at, meant);
            }
            if let Some(parent) = parent.filter(|parent| parent.keys.contains(name)) {
                self.report.refuse(parent.at, name);
            }
        }
    }

    /// Reports an error about the value of `key`, which suppresses other errors about the key.
    fn refuse(&self, key: &'static str, message: String) {
        let place = self.place(key);
        self.report.error(place.at, place.key, message);
        self.report.refuse(self.at, key);
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        debug_assert!(key.is_empty() || self.keys.contains(key), "{key} is not listed in {}", self.keys.header);
        self.table.get(key)
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.into(),
            (path, "") => path.into(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn wrong_type(&self, key: &'static str, value: &DeValue<'_>, wanted: &str) {
        self.refuse(key, format!("must be {wanted} (found {})", kind(value)));
    }
}

pub(in crate::config) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    Err(none_of(text, words.iter().map(|(word, _)| *word)))
}

/// Stands for the header of the file as a whole.
pub(in crate::config) const WHOLE_FILE: &str = "the file";

const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ROOT: SectionKeys = SectionKeys { header: WHOLE_FILE, known: &[&["server", "realm"]] };
    const SERVER: SectionKeys =
        SectionKeys { header: "[server]", known: &[&["listen", "threads", "h2c", "grace", "log", "at", "secret"]] };
    const REALM: SectionKeys = SectionKeys { header: "[[realm]]", known: &[&["name", "key"]] };
    const KEY: SectionKeys = SectionKeys { header: "[[realm.key]]", known: &[&["id"]] };

    fn errors(text: &str, read: impl Fn(&Section<'_>)) -> Vec<String> {
        let (readable, syntax) = syntax::repair(text);
        let (table, duplicates) = DeTable::parse_recoverable(&readable);
        let report = ErrorCollector::new(Path::new("t.toml"), text, &syntax, &duplicates);
        read(&Section::root(&report, table.get_ref(), &ROOT));
        report.finish(Vec::new()).iter().map(ToString::to_string).collect()
    }

    fn server_errors(text: &str) -> Vec<String> {
        errors(text, |root| {
            let Some(server) = root.table("server", &SERVER) else { return };
            server.list("listen", |text| text.parse::<u16>().map_err(|_| format!("{} is no port", quote(text))));
            server.number("threads", 0..=64, 1);
            server.flag("h2c", false);
            server.duration("grace", Duration::from_secs(1)..=Duration::from_secs(60), Duration::from_secs(30));
            server.choice("log", &[("info", 1), ("debug", 2)]);
            server.timestamp("at");
            let _ = server.required("secret", "\"…\"", |_| Err::<(), _>("is too short".into()));
        })
    }

    #[test]
    fn every_error_at_once_each_with_its_line_and_key() {
        let text = "[server]\nlisten = [\"80\", \"x\", 7,\n  \"80\"]\nthreads = \"many\"\nh2c = 1\ngrace = \"0s\"\n\
                    log = \"audit\"\nat = 2027-01-01\nsecret = \"s3cret\"\nthreds = 1\n";
        assert_eq!(
            server_errors(text),
            [
                "t.toml:2:17: server.listen[1]: \"x\" is no port",
                "t.toml:2:22: server.listen[2]: must be a string in double quotes (found a whole number)",
                "t.toml:3:3: server.listen[3]: is listed twice: remove one of the two",
                "t.toml:4:11: server.threads: must be a whole number, without quotes (found a string)",
                "t.toml:5:7: server.h2c: must be true or false, without quotes (found a whole number)",
                "t.toml:6:9: server.grace: \"0s\" is out of range: write a duration from \"1s\" to \"1m\"",
                "t.toml:7:7: server.log: must be \"info\" or \"debug\" (found \"audit\")",
                "t.toml:8:6: server.at: must be an RFC 3339 date-time with a UTC offset: write it as 2027-01-01T00:00:00Z, without quotes",
                "t.toml:9:10: server.secret: is too short",
                "t.toml:10:1: server.threds: unknown key: did you mean threads?",
            ]
        );
    }

    #[test]
    fn valid_values_are_read() {
        let text = "[server]\nlisten = [\"80\", \"81\"]\nthreads = 0x10\nh2c = true\ngrace = \"5s\"\nlog = \"debug\"\n\
                    at = 1970-01-01 01:00:01.5+01:00\n";
        let nothing = errors(text, |root| {
            let server = root.table("server", &SERVER).unwrap();
            assert_eq!(server.list("listen", |text| text.parse::<u16>().map_err(|_| String::new())), [80, 81]);
            assert_eq!(server.number("threads", 0..=64, 1), 16);
            assert!(server.flag("h2c", false));
            let range = Duration::ZERO..=Duration::from_secs(60);
            assert_eq!(server.duration("grace", range, Duration::from_secs(30)), Duration::from_secs(5));
            assert_eq!(server.choice("log", &[("info", 1), ("debug", 2)]), Some(2));
            assert_eq!(server.timestamp("at"), Some(1));
            assert!(!server.has("secret"));
        });
        assert_eq!(nothing, Vec::<String>::new());
    }

    #[test]
    fn a_missing_key_says_what_to_write() {
        assert_eq!(server_errors("\n[server]\n"), ["t.toml:2:1: server.secret: is missing: write secret = \"…\""]);
        assert!(
            server_errors("[server]\nsecret = \"x\"\ngrace = 5\n")[1]
                .ends_with("must have a unit: write it as \"30s\"")
        );
        assert!(server_errors("[server]\nsecret = \"x\"\nthreads = -1\n")[1].contains("-1 is out of range"));
        assert!(server_errors("[server]\nsecret = \"x\"\nthreads = 65\n")[1].contains("from 0 to 64"));
    }

    #[test]
    fn syntax_errors_hide_what_follows_from_them_and_the_line_itself() {
        let text = "[server]\nsecret = s3cr3t-hunter2\nh2c = 1\nthreds = 1\n";
        let errors = server_errors(text);
        assert!(errors[0].starts_with("t.toml:2:10: is not TOML: "), "{errors:?}");
        assert!(errors.iter().any(|error| error.starts_with("t.toml:3:7: server.h2c")), "{errors:?}");
        assert!(errors.iter().any(|error| error.starts_with("t.toml:4:1: server.threds")), "{errors:?}");
        assert!(!errors.iter().any(|error| error.contains("missing") || error.contains("hunter2")), "{errors:?}");
        for text in [
            "[server]\nhunter2hunter2\n",
            "[server]\nsecret = \"hunter2\n",
            "[server]\nsecret: \"hunter2\"\n",
            "[server\nsecret = \"hunter2\"",
            "[server]\nsecret = \"hunter2\"\nsecret = \"hunter2\"",
            "hunter2.hunter2",
            "[server]\nsecret = 'hunter2\nlog = \"info\"",
            "[server]\nsecret = hunter2 = 1\n",
            "[hunter2\n",
            "= hunter2",
        ] {
            let errors = server_errors(text);
            assert!(!errors.is_empty(), "{text}");
            let follow_up = |error: &String| error.contains("hunter2") || error.contains("is missing");
            assert!(!errors.iter().any(follow_up), "{text}: {errors:?}");
        }
    }

    #[test]
    fn sections_of_the_wrong_kind() {
        let read = |root: &Section<'_>| {
            root.table("server", &SERVER);
            for realm in root.tables("realm", &REALM) {
                realm.tables("key", &KEY);
            }
        };
        assert_eq!(
            errors("[servr]\nlisten = [1]\n", |root| {
                root.missing("server", "is missing: write [server]");
            }),
            ["t.toml:1:2: servr: unknown section: did you mean server?"],
            "one error for one mistake"
        );
        assert_eq!(errors("[[server]]\n", read), ["t.toml:1:1: server: must not be an array: write [server]"]);
        assert!(errors("server = 1\n", read)[0].contains("must be a section: write [server]"));
        assert!(errors("[realm]\n", read)[0].contains("write [[realm]], with two brackets"));
        assert!(
            errors("realm = [1]\n", read)[0].starts_with("t.toml:1:10: realm[0]: must be a section: write [[realm]]")
        );
        let misplaced = "[[realm]]\n[[realm.key]]\nid = \"a\"\nname = \"b\"\n";
        assert_eq!(
            errors(misplaced, read),
            [
                "t.toml:4:1: realm[0].key[0].name: belongs to [[realm]] but follows [[realm.key]]: move it above the [[realm.key]] line"
            ]
        );
    }
}
