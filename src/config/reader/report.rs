//! Collects errors and warnings while a file is read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use crate::config::error::{Diagnostic, Errors, Severity};
use crate::config::input::Input;
use crate::config::reader::spelling::bare;
use crate::config::reader::syntax::SyntaxError;
use crate::config::reader::unknown_key::KeyOwners;

pub(in crate::config) struct ErrorCollector<'a> {
    file: &'a Path,
    text: &'a str,
    /// Start of each line, in bytes.
    lines: Vec<usize>,
    /// Lines with a syntax error. They get no other error.
    broken: BTreeSet<usize>,
    entries: RefCell<Vec<Entry>>,
    /// Keys with a refused value, or misspelt keys. Other errors about them follow from that and are suppressed.
    refused: RefCell<BTreeSet<KeyId>>,
    pub(super) owners: KeyOwners,
}

/// Start of the section in bytes, and name of the key.
type KeyId = (usize, String);

struct Entry {
    diagnostic: Diagnostic,
    /// Suppressed if this key was refused.
    unless: Option<KeyId>,
}

/// Proof that the report has an error, or that a syntax error suppresses it. Only this module makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Reported(());

#[derive(Clone, Debug, Default)]
pub(in crate::config) struct SourceLocation {
    /// Offset in bytes.
    pub(in crate::config) at: usize,
    /// The dotted key.
    pub(in crate::config) key: String,
}

impl<'a> ErrorCollector<'a> {
    /// Starts with the syntax errors and the duplicate keys.
    pub(in crate::config) fn new(
        file: &'a Path,
        text: &'a str,
        syntax: &[SyntaxError],
        duplicates: &[toml::de::Error],
    ) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        let (broken, entries, refused) = (BTreeSet::new(), RefCell::default(), RefCell::default());
        let mut report = Self { file, text, lines, broken, entries, refused, owners: |_| Vec::new() };
        for error in syntax {
            report.error(error.at, String::new(), error.message.clone());
        }
        report.broken = syntax.iter().map(|error| report.line(error.at)).collect();
        let mut headers = BTreeSet::new();
        for span in duplicates.iter().filter_map(toml::de::Error::span) {
            let header = report.header_of(span.start);
            // The keys of a duplicate section are duplicates because of that.
            if header.is_none_or(|header| header == report.line(span.start) || !headers.contains(&header)) {
                report.duplicate(span.clone());
            }
            headers.extend(header.filter(|header| *header == report.line(span.start)));
        }
        report
    }

    /// Lets an error about an unknown key name the sections that have it.
    pub(in crate::config) fn with_owners(self, owners: KeyOwners) -> Self {
        Self { owners, ..self }
    }

    /// Reports an error at byte `at`.
    pub(in crate::config) fn error(&self, at: usize, key: String, message: impl Into<String>) -> Reported {
        self.add(Severity::Error, SourceLocation { at, key }, message.into(), None)
    }

    pub(in crate::config) fn warn(&self, place: SourceLocation, message: String) {
        self.add(Severity::Warning, place, message, None);
    }

    /// Returns the proof for a value with an error that was reported before.
    pub(in crate::config) fn reported(&self) -> Reported {
        debug_assert!(!self.is_empty() || !self.refused.borrow().is_empty(), "an error was reported");
        Reported(())
    }

    /// Marks `key` of the section at `section`: its value was refused, or the file has a misspelling of it.
    pub(in crate::config) fn refuse(&self, section: usize, key: &str) {
        self.refused.borrow_mut().insert((section, key.to_owned()));
    }

    /// Returns whether the key has been marked.
    pub(in crate::config) fn is_refused(&self, section: usize, key: &str) -> bool {
        self.refused.borrow().contains(&(section, key.to_owned()))
    }

    /// Reports an error or a warning about `key` of the section at `section`. Suppressed if the key is marked before
    /// [`Self::finish`].
    pub(in crate::config) fn unless_refused(
        &self,
        severity: Severity,
        section: usize,
        key: &str,
        place: SourceLocation,
        message: String,
    ) -> Reported {
        self.add(severity, place, message, Some((section, key.to_owned())))
    }

    /// Returns whether the file has a syntax error. Then a key that seems to be missing can be in a part that the parser
    /// skipped.
    pub(in crate::config) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Returns the line of byte `at`, from 1.
    pub(in crate::config) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// Returns whether there is no error. There can be warnings.
    pub(in crate::config) fn is_empty(&self) -> bool {
        self.entries.borrow().iter().all(|entry| entry.diagnostic.severity == Severity::Warning)
    }

    /// Returns all errors and warnings that are not suppressed, in the order of the lines.
    pub(in crate::config) fn finish(self, inputs: Vec<Input>) -> Errors {
        let refused = self.refused.into_inner();
        let entries = self.entries.into_inner().into_iter();
        let counts = |entry: &Entry| entry.unless.as_ref().is_none_or(|key| !refused.contains(key));
        let mut diagnostics: Vec<_> = entries.filter(counts).map(|entry| entry.diagnostic).collect();
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        diagnostics.dedup();
        let (errors, warnings) = diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        Errors { errors, warnings, inputs }
    }

    /// Returns a diagnostic for `place` without a message. It is not reported.
    pub(in crate::config) fn blank(&self, place: SourceLocation) -> Diagnostic {
        let (line, column) = (Some(self.line(place.at)), Some(self.column(place.at)));
        let (severity, file, message) = (Severity::Warning, self.file.into(), String::new());
        Diagnostic { severity, file, line, column, key: place.key, message }
    }

    fn add(&self, severity: Severity, place: SourceLocation, message: String, unless: Option<KeyId>) -> Reported {
        if !self.broken.contains(&self.line(place.at)) {
            let diagnostic = self.blank(place).with(severity, message);
            self.entries.borrow_mut().push(Entry { diagnostic, unless });
        }
        Reported(())
    }

    /// Returns the column of byte `at`, in characters from 1.
    fn column(&self, at: usize) -> usize {
        let start = self.lines.get(self.line(at) - 1).copied().unwrap_or_default();
        1 + self.text.get(start..at).unwrap_or_default().chars().count()
    }

    /// Reports the second occurrence of a key or header, at `span`.
    fn duplicate(&self, span: std::ops::Range<usize>) {
        let name = self.text.get(span.clone()).unwrap_or_default();
        let key = bare(name.trim_matches(['"', '\'']));
        let message = match self.first_of(span.start, name) {
            Some(line) if line == self.line(span.start) => {
                "is written twice in this line: remove one of the two".into()
            }
            Some(line) => format!("is written twice, first in line {line}: remove one of the two"),
            None => "is written twice: remove one of the two".into(),
        };
        self.error(span.start, key, message);
    }

    /// Returns the line of the first occurrence of `name`. The second one is at `at`. Compares the text of the lines, for a key
    /// those of the same section.
    fn first_of(&self, at: usize, name: &str) -> Option<usize> {
        let line = self.line(at);
        let squeezed = |text: &str| text.chars().filter(|char| !char.is_whitespace()).collect::<String>();
        let before = self.text.get(*self.lines.get(line - 1)?..at)?;
        if before.contains(['=', '{']) {
            return Some(line);
        }
        let wanted = squeezed(before) + &squeezed(name);
        let is_header = wanted.starts_with('[');
        let wanted = wanted.trim_start_matches('[');
        let is_it = |line: &usize| {
            let text = squeezed(self.text_of(*line));
            let rest = text.trim_start_matches('[').strip_prefix(wanted);
            rest.is_some_and(|rest| match text.starts_with('[') {
                true => is_header && rest.starts_with(']'),
                false => rest.starts_with(['=', '.']),
            })
        };
        let from = if is_header { 1 } else { self.header_of(at).unwrap_or(1) };
        (from..line).find(is_it)
    }

    /// Returns the line of the last header up to byte `at`.
    fn header_of(&self, at: usize) -> Option<usize> {
        (1..=self.line(at)).rev().find(|line| self.text_of(*line).trim_start().starts_with('['))
    }

    fn text_of(&self, line: usize) -> &'a str {
        let end = self.lines.get(line).copied().unwrap_or(self.text.len());
        let start = self.lines.get(line - 1).copied().unwrap_or(end);
        self.text.get(start..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let (_, duplicates) = DeTable::parse_recoverable(text);
        let report = ErrorCollector::new(Path::new("t"), text, &[], &duplicates);
        report.finish(Vec::new()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn duplicates_are_named_with_both_lines() {
        for (text, expected) in [
            ("a = 1\nb = 2\na = 3\n", "t:3:1: a: is written twice, first in line 1: remove one of the two"),
            ("[x]\na = 1\n[y]\na = 1\n  a = 3\n", "t:5:3: a: is written twice, first in line 4: "),
            ("[x]\na = 1\n[y]\n[x]\n", "t:4:2: x: is written twice, first in line 1: "),
            ("[x]\n[x.y]\n[ x . y ]\n", "t:3:7: y: is written twice, first in line 2: "),
            ("[x]\n[[x]]\n", "t:2:3: x: is written twice, first in line 1: "),
            ("x = 1\n[x]\n", "t:2:2: x: is written twice, first in line 1: "),
            ("x.y = 1\nz.y = 2\nx.y = 3\n", "t:3:3: y: is written twice, first in line 1: "),
            ("\"a b\" = 1\n\"a b\" = 1\n", "t:2:1: \"a b\": is written twice, first in line 1: "),
            ("[x]\na = 1\n[y]\n[x]\na = 1\n", "t:4:2: x: is written twice, first in line 1: "),
            ("a = { b = 1, b = 2 }\n", "t:1:14: b: is written twice in this line: "),
        ] {
            let errors = errors(text);
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{text}: {errors:?}");
        }
    }

    #[test]
    fn columns_are_characters() {
        let report = ErrorCollector::new(Path::new("t"), "aé = x\n", &[], &[]);
        assert_eq!((report.line(6), report.column(6), report.line(8)), (1, 6, 2));
    }
}
