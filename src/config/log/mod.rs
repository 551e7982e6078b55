//! `[log]`: the log, the access log and the audit log.

pub(in crate::config) mod read;

use std::io;
use std::path::Path;

use crate::config::sealed::Sealed;
use crate::filesystem::io_error_text;
use crate::log_output::{AuditTarget, Rotation};

/// `[log]`. Reloadable.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
    pub access: AccessLog,
    /// A path is absolute.
    pub audit: AuditTarget,
    /// `None`: no rotation.
    pub audit_rotation: Option<Rotation>,
    /// Fraction of requests without a trace for which Tollgate starts one, from 0 to 1.
    pub trace_ratio: f64,
    pub(in crate::config) _sealed: Sealed,
}

/// Minimum level of log lines. Each level includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Problems that require an action of the operator.
    Error,
    /// Problems that can require one.
    Warn,
    /// Changes: start, reload, stop, logins.
    Info,
    /// Details for the diagnosis of a problem.
    Debug,
    /// The decision about each request.
    Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One JSON object per line.
    Json,
}

/// Requests with a line in the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    /// Denied and failed requests.
    Denied,
    All,
}

impl Log {
    /// Returns the path of the audit file, if the audit log is a file.
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
            audit_rotation: Some(Rotation::DEFAULT),
            trace_ratio: 0.0,
        }
    }
}

/// Returns the error message for an audit file that can't be opened.
#[must_use]
pub fn audit_problem(path: &Path, error: &io::Error) -> String {
    format!(
        "{} can't be opened: {}: write a path that this user is allowed to write",
        path.display(),
        io_error_text(error)
    )
}
