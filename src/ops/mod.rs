//! The running process: start, reload, maintenance, stop, and the operator's view.

mod admin;
mod epochs;
mod handover;
mod health;
mod jwks;
mod key_maintenance;
mod listeners;
mod logging;
mod maintenance;
mod metrics;
mod notify;
pub mod prepare;
mod reload;
mod resolve;
mod service;
mod signals;
mod sockets;
mod status;
mod watch;

pub use jwks::{fetch_foreign_keys, fetch_keys};
pub use service::{Dumps, serve};
