//! `[log]`: what is written down, and how.

pub(in crate::config) mod read;

use std::io;
use std::path::Path;

use crate::filesystem::io_error_text;
use crate::log_output::{AuditTarget, Rotation};

/// `[log]`. Hot, as the policy that it is part of.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    pub(in crate::config) level: LogLevel,
    pub(in crate::config) format: LogFormat,
    pub(in crate::config) access: AccessLog,
    pub(in crate::config) audit: AuditTarget,
    pub(in crate::config) audit_rotation: Option<Rotation>,
    pub(in crate::config) trace_ratio: f64,
}

/// How much is written to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what needs somebody's action.
    Error,
    /// And what may.
    Warn,
    /// And what changed: start, reload, stop, logins.
    Info,
    /// And what may explain a fault.
    Debug,
    /// And how it was judged.
    Trace,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which requests get a line each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that were refused, or failed.
    Denied,
    /// Every one.
    All,
}

impl Log {
    /// The level of the log.
    #[must_use]
    pub const fn level(&self) -> LogLevel {
        self.level
    }

    /// The form of the log.
    #[must_use]
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// Which requests get a line each.
    #[must_use]
    pub const fn access(&self) -> AccessLog {
        self.access
    }

    /// Of the requests that nobody traces yet, how many are traced: from 0, none, to 1, all.
    #[must_use]
    pub const fn trace_ratio(&self) -> f64 {
        self.trace_ratio
    }

    /// Where the audit lines go. A path is absolute.
    #[must_use]
    pub const fn audit(&self) -> &AuditTarget {
        &self.audit
    }

    /// When the audit file is rotated. `None`: never.
    #[must_use]
    pub const fn audit_rotation(&self) -> Option<Rotation> {
        self.audit_rotation
    }

    /// The file that they go to, if it is one.
    #[must_use]
    pub fn audit_path(&self) -> Option<&Path> {
        match &self.audit {
            AuditTarget::File(path) => Some(path),
            AuditTarget::Off | AuditTarget::Stderr => None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
            access: AccessLog::Off,
            audit: AuditTarget::Off,
            audit_rotation: Some(Rotation { size: 64 << 20, keep: 8 }),
            trace_ratio: 0.0,
        }
    }
}

/// Says why the audit file can't be opened, and what to do.
#[must_use]
pub fn audit_problem(path: &Path, error: &io::Error) -> String {
    format!(
        "{} can't be opened: {}: write a path that this user is allowed to write",
        path.display(),
        io_error_text(error)
    )
}
