//! `[log]`: what is written down, and how.

pub(in crate::config) mod read;

use std::io;
use std::path::Path;

use crate::config::sealed::Sealed;
use crate::filesystem::io_error_text;
use crate::log_output::{AuditTarget, Rotation};

/// `[log]`. Hot, as the policy that it is part of.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The level of the log.
    pub level: LogLevel,
    /// The form of the log.
    pub format: LogFormat,
    /// Which requests get a line each.
    pub access: AccessLog,
    /// Where the audit lines go. A path is absolute.
    pub audit: AuditTarget,
    /// When the audit file is rotated. `None`: never.
    pub audit_rotation: Option<Rotation>,
    /// Of the requests that nobody traces yet, how many are traced: from 0, none, to 1, all.
    pub trace_ratio: f64,
    pub(in crate::config) _sealed: Sealed,
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
            _sealed: Sealed(()),
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
