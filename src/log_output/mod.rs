//! Lines for people and for machines, which nobody waits for.
//!
//! A thread of its own writes them. When it can't, since the reader of a pipe hangs or a disk is full, lines are dropped and
//! counted, and requests go on: what a gate does must not depend on who reads its log.

mod file;
mod journal;
mod limiter;
mod line;
mod sink;

pub use file::{Rotation, can_open, can_rotate, open};
pub use journal::{AuditTarget, LogStream, LogWriter};
pub use line::{JsonLine, LineFormat, LogLine};
pub use sink::StreamCounters;
