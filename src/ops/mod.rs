//! Running the gate: start, reload, upkeep, stop, and what operators see of it.

mod admin;
mod jwks;
mod keys;
mod logging;
mod reload;
mod service;
mod status;
mod upkeep;
mod watch;

pub use jwks::fetch_foreign_keys;
pub use service::serve;
