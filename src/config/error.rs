//! What is wrong with a configuration, for the operator who has to repair it.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong. Holds no secret: values of secret keys never get in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) file: PathBuf,
    pub(super) line: Option<usize>,
    pub(super) key: String,
    pub(super) message: String,
}

impl ConfigError {
    /// The line that it is about, from 1; `None` if it is the file as a whole.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        self.line
    }

    /// The key that it is about, such as `realm.examples.token_ttl`; empty if it is no one key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, and what to write instead.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    /// `FILE:LINE: KEY: sentence`, one line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(formatter, ": {}", self.key)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with a file, in the order of its lines. At least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    pub(super) errors: Vec<ConfigError>,
    pub(super) inputs: Vec<PathBuf>,
}

impl Errors {
    pub(super) fn unreadable(file: &Path, message: String) -> Self {
        let error = ConfigError { file: file.into(), line: None, key: String::new(), message };
        // Absolute, as those of a file that could be read.
        let input = std::path::absolute(file).unwrap_or_else(|_| file.into());
        Self { errors: vec![error], inputs: vec![input] }
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// The files and directories that were read, or could not be, as absolute paths: whoever repairs the error changes one of them.
    #[must_use]
    pub fn inputs(&self) -> &[PathBuf] {
        &self.inputs
    }
}

impl std::ops::Deref for Errors {
    type Target = [ConfigError];

    fn deref(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each_with_its_place() {
        let error = |line, key: &str| ConfigError {
            file: "a.toml".into(),
            line,
            key: key.into(),
            message: "is missing".into(),
        };
        let errors = vec![error(Some(3), "server.listen"), error(Some(4), ""), error(None, "")];
        let errors = Errors { errors, inputs: Vec::new() };
        assert_eq!(errors.to_string(), "a.toml:3: server.listen: is missing\na.toml:4: is missing\na.toml: is missing");
        assert_eq!(errors.len(), 3);
    }
}
