//! Errors and warnings about a configuration, for the operator.

use std::fmt;
use std::path::{Path, PathBuf};

use super::input::Input;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// The file can be used, but probably not as the operator intends.
    Warning,
}

impl Severity {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One error or warning. The message contains no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: PathBuf,
    /// The line that it is about, from 1; `None` if it is the file as a whole.
    pub line: Option<usize>,
    /// The column in that line, in characters from 1.
    pub column: Option<usize>,
    /// The key that it is about, such as `realm.examples.token_ttl`; empty if it is no one key.
    pub key: String,
    /// Returns [`Self::problem`] and [`Self::remedy`] in one sentence.
    pub message: String,
}

impl Diagnostic {
    /// Returns a diagnostic for the same place with another message.
    #[must_use]
    pub fn with(&self, severity: Severity, message: String) -> Self {
        Self { severity, message, ..self.clone() }
    }

    #[must_use]
    pub fn problem(&self) -> &str {
        self.remedy_at().map_or(&*self.message, |at| &self.message[..at])
    }

    /// Returns the remedy, if the message has one.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.remedy_at().map(|at| &self.message[at + SEPARATOR.len()..])
    }

    /// Returns the end of the problem: the separator before the first part that starts with an imperative.
    fn remedy_at(&self) -> Option<usize> {
        let is_remedy = |at: &usize| {
            let rest = &self.message[at + SEPARATOR.len()..];
            let word = rest.split(|char: char| !char.is_ascii_alphabetic()).next().unwrap_or_default();
            IMPERATIVES.contains(&word)
        };
        self.message.match_indices(SEPARATOR).map(|(at, _)| at).find(is_remedy)
    }
}

impl fmt::Display for Diagnostic {
    /// One line: `FILE:LINE:COLUMN: KEY: message`, or `FILE:LINE:COLUMN: warning: KEY: message`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
            if let Some(column) = self.column {
                write!(formatter, ":{column}")?;
            }
        }
        if self.severity == Severity::Warning {
            write!(formatter, ": {}", self.severity.name())?;
        }
        if !self.key.is_empty() {
            write!(formatter, ": {}", self.key)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// All errors of a file, in the order of its lines. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    pub(super) errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    /// The files and directories that were read, or could not be: to repair an error, an operator changes one of them.
    pub inputs: Vec<Input>,
}

impl Errors {
    /// Makes the error for a file that can't be read, at this line and column.
    pub(super) fn unreadable(file: &Path, input: Input, place: Option<(usize, usize)>, message: String) -> Self {
        let (file, key) = (file.into(), String::new());
        let (line, column) = place.unzip();
        let error = Diagnostic { severity: Severity::Error, file, line, column, key, message };
        Self { errors: vec![error], warnings: Vec::new(), inputs: vec![input] }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.errors.iter()
    }
}

impl std::ops::Deref for Errors {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.errors
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Errors {
    /// One line each.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

const SEPARATOR: &str = ": ";
/// First words of remedies.
const IMPERATIVES: [&str; 25] = [
    "add", "build", "change", "choose", "create", "did", "give", "install", "let", "list", "make", "move", "name",
    "put", "remove", "renew", "restore", "run", "send", "save", "set", "start", "try", "use", "write",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each_with_its_place() {
        let error = |line: Option<usize>, key: &str| Diagnostic {
            severity: Severity::Error,
            file: "a.toml".into(),
            line,
            column: line.map(|_| 7),
            key: key.into(),
            message: "is missing".into(),
        };
        let warnings = vec![Diagnostic { severity: Severity::Warning, ..error(Some(3), "server.admin") }];
        let errors = vec![error(Some(3), "server.listen"), error(Some(4), ""), error(None, "")];
        let errors = Errors { errors, warnings, inputs: Vec::new() };
        assert_eq!(
            errors.to_string(),
            "a.toml:3:7: server.listen: is missing\na.toml:4:7: is missing\na.toml: is missing"
        );
        assert_eq!(errors.warnings[0].to_string(), "a.toml:3:7: warning: server.admin: is missing");
        assert_eq!(errors.len(), 3);
    }

    #[test]
    fn a_sentence_is_a_problem_and_a_remedy() {
        for (message, problem, remedy) in [
            ("is missing: write a = 1", "is missing", Some("write a = 1")),
            ("unknown key: did you mean b?", "unknown key", Some("did you mean b?")),
            (
                "can't read /a: b: it does not exist: write another",
                "can't read /a: b: it does not exist",
                Some("write another"),
            ),
            ("can't read /a: it does not exist", "can't read /a: it does not exist", None),
            ("is empty", "is empty", None),
        ] {
            let (file, key, message) = ("a.toml".into(), String::new(), message.to_owned());
            let error = Diagnostic { severity: Severity::Error, file, line: None, column: None, key, message };
            assert_eq!((error.problem(), error.remedy()), (problem, remedy));
        }
    }
}
