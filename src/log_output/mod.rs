//! Output of log lines without blocking a request.
//!
//! A thread of its own writes the lines. If it can't, because the reader of a pipe hangs or a disk is full, lines are
//! dropped and counted, and requests go on: the behavior of Tollgate must not depend on the reader of its log.

mod file;
mod journal;
mod limiter;
mod line;
mod sink;

pub use file::{Rotation, can_open, can_rotate, open};
pub use journal::{AuditTarget, LogStream, LogWriter};
pub use line::{JsonLine, LineFormat, LogLine};
pub use sink::StreamCounters;
