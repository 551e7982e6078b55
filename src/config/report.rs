//! Collects errors and warnings while a file is read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use super::error::{Diagnostic, Errors, Severity};
use super::input::Input;

/// Where errors and warnings are collected.
pub(super) struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    /// Lines that are no TOML: what the parser made of them is not worth a second error.
    broken: BTreeSet<usize>,
    diagnostics: RefCell<Vec<Diagnostic>>,
}

/// Where something is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Bytes from the beginning of the file.
    pub(super) at: usize,
    /// The dotted key.
    pub(super) key: String,
}

impl<'a> Report<'a> {
    /// Begins with the errors of the TOML parser.
    pub(super) fn new(file: &'a Path, text: &'a str, syntax: &[toml::de::Error]) -> Self {
        let mut report = Self { file, text, broken: BTreeSet::new(), diagnostics: RefCell::default() };
        for error in syntax {
            let at = error.span().map_or(0, |span| span.start);
            // The parser's `Display` would print the line, which may hold a secret; its message never quotes the file.
            report.error(at, String::new(), format!("is not TOML: {}", error.message()));
        }
        report.broken = report.diagnostics.borrow().iter().filter_map(|error| error.line).collect();
        report
    }

    /// Something is wrong at byte `at`.
    pub(super) fn error(&self, at: usize, key: String, message: impl Into<String>) {
        self.add(Severity::Error, at, key, message.into());
    }

    /// Something at byte `at` is allowed, but hardly what the operator wants.
    pub(super) fn warn(&self, at: usize, key: String, message: impl Into<String>) {
        self.add(Severity::Warning, at, key, message.into());
    }

    /// Something is not there. After a syntax error it may well be, where the parser could not see it.
    pub(super) fn missing(&self, at: usize, key: String, message: impl Into<String>) {
        if self.broken.is_empty() {
            self.error(at, key, message);
        }
    }

    /// The line of byte `at`, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|&byte| byte == b'\n').count()
    }

    /// Whether there is no error. Warnings do not count.
    pub(super) fn is_empty(&self) -> bool {
        self.diagnostics.borrow().iter().all(|diagnostic| diagnostic.severity == Severity::Warning)
    }

    /// Everything that was reported, in the order of the lines.
    pub(super) fn finish(self, inputs: Vec<Input>) -> Errors {
        let mut diagnostics = self.diagnostics.into_inner();
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        diagnostics.dedup();
        let (errors, warnings) = diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        Errors { errors, warnings, inputs }
    }

    /// A diagnostic about `place` that has no message yet, and is not reported.
    pub(super) fn blank(&self, place: Place) -> Diagnostic {
        let (line, column) = (Some(self.line(place.at)), Some(self.column(place.at)));
        let (severity, file, message) = (Severity::Warning, self.file.into(), String::new());
        Diagnostic { severity, file, line, column, key: place.key, message }
    }

    fn add(&self, severity: Severity, at: usize, key: String, message: String) {
        if !self.broken.contains(&self.line(at)) {
            self.diagnostics.borrow_mut().push(self.blank(Place { at, key }).with(severity, message));
        }
    }

    /// The column of byte `at` in its line, in characters from 1.
    fn column(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        1 + before.rsplit('\n').next().unwrap_or_default().chars().count()
    }
}
