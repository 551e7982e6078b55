//! All output of the process: the log on stderr, which includes access lines, and the audit log.

use std::hash::Hash;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::Level;

use super::file::Rotation;
use super::limiter::Limiter;
use super::line::{JsonLine, LineFormat, LogLine, priority};
use super::sink::{LineQueue, StreamCounters};

/// The target of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditTarget {
    /// Off.
    #[default]
    Off,
    /// Among those of the log.
    Stderr,
    /// A file, to which lines are appended.
    File(PathBuf),
}

/// The output of the log and the audit log, and its format. Shared by all writers.
#[derive(Debug)]
pub struct LogWriter {
    log: LineQueue,
    log_counts: Arc<StreamCounters>,
    audit_counts: Arc<StreamCounters>,
    audit: ArcSwap<(AuditTarget, Option<LineQueue>)>,
    limiter: Limiter,
    json: AtomicU8,
    /// stderr is a stream to systemd's journal.
    journald: bool,
}

/// The streams, as metrics name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    Log,
    Audit,
}

impl LogWriter {
    /// Writes text to stderr, without an audit log.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn new() -> io::Result<Self> {
        let log_counts = Arc::new(StreamCounters::default());
        Ok(Self {
            log: LineQueue::stderr(log_counts.clone())?,
            log_counts,
            audit_counts: Arc::default(),
            audit: ArcSwap::default(),
            limiter: Limiter::new(),
            json: AtomicU8::new(0),
            journald: is_journald(),
        })
    }

    pub fn set_json(&self, json: bool) {
        self.json.store(json.into(), Ordering::Relaxed);
    }

    /// Changes the target of the audit log. The old target still gets its queued lines. A file is rotated by
    /// `rotation`; `None`: never.
    ///
    /// # Errors
    /// The file can't be opened. The old target stays.
    pub fn set_audit(&self, audit: &AuditTarget, rotation: Option<Rotation>) -> io::Result<()> {
        let current = self.audit.load();
        if current.0 == *audit {
            if let Some(sink) = &current.1 {
                sink.set_rotation(rotation);
            }
            return Ok(());
        }
        let sink = match audit {
            AuditTarget::Off | AuditTarget::Stderr => None,
            AuditTarget::File(path) => Some(LineQueue::file(path, rotation, self.audit_counts.clone())?),
        };
        self.audit.store(Arc::new((audit.clone(), sink)));
        Ok(())
    }

    /// Opens the audit file again, if the one of its name is another by now.
    pub fn reopen(&self) {
        if let (_, Some(sink)) = &**self.audit.load() {
            sink.reopen();
        }
    }

    /// Returns the format of log lines.
    #[must_use]
    pub fn form(&self) -> LineFormat {
        match (self.json.load(Ordering::Relaxed) == 1, self.journald) {
            (true, _) => LineFormat::Json,
            (false, true) => LineFormat::Journal,
            (false, false) => LineFormat::Text,
        }
    }

    /// Returns whether another line of this kind about this client can be written, at this Unix time in milliseconds:
    /// the number of lines that were omitted since the last one; `None` if this one must be omitted, too.
    #[must_use]
    pub fn admit(&self, kind: impl Hash, client: Option<IpAddr>, now_ms: i64) -> Option<u64> {
        self.limiter.admit(kind, client, now_ms)
    }

    /// Returns the number of omitted log lines, because there were too many of their kind.
    #[must_use]
    pub fn limited(&self) -> u64 {
        self.limiter.refused()
    }

    /// Adds a line to the log.
    pub fn log(&self, line: LogLine) {
        self.log.write(line.finish());
    }

    /// Returns whether the audit log is on.
    #[must_use]
    pub fn is_audit_enabled(&self) -> bool {
        self.audit.load().0 != AuditTarget::Off
    }

    /// Adds a line to the audit stream.
    pub fn audit(&self, line: JsonLine) {
        match &**self.audit.load() {
            (_, Some(sink)) => sink.write(line.finish()),
            (AuditTarget::Stderr, None) => {
                let mut line = line.finish();
                if self.journald {
                    line.splice(0..0, format!("<{}>", priority(Level::INFO)).into_bytes());
                }
                self.log.write(line);
            }
            _ => {}
        }
    }

    /// Returns the counters of a stream.
    #[must_use]
    pub fn counts(&self, stream: LogStream) -> &StreamCounters {
        match stream {
            LogStream::Log => &self.log_counts,
            LogStream::Audit => &self.audit_counts,
        }
    }

    /// Waits until all is written, but no longer than `patience` for each stream.
    pub fn flush(&self, patience: Duration) {
        if let (_, Some(sink)) = &**self.audit.load() {
            sink.flush(patience);
        }
        self.log.flush(patience);
    }
}

impl LogStream {
    pub const ALL: [Self; 2] = [Self::Log, Self::Audit];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Audit => "audit",
        }
    }
}

/// Returns whether stderr is the stream that `JOURNAL_STREAM` names. A process can inherit the variable and have
/// another stderr (systemd.exec(5)).
fn is_journald() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = std::fs::metadata(Path::new("/proc/self/fd/2")) else { return false };
    stream.to_str() == Some(&format!("{}:{}", stderr.dev(), stderr.ino()))
}
