//! The judgement on a request: pure functions from its head to what becomes of it.

mod caller;
mod client;
mod credential;
mod decide;
mod deny;
mod identity;
mod query;
mod target;
pub mod wire;

pub use caller::Cors;
pub use client::Client;
pub use credential::cookies;
pub use decide::{Admitted, Gate, Grant, Head, Preflight, Refusal, Verdict};
pub use deny::{Deny, Row};
pub use identity::{Identity, OtherCookies, is_reserved};

#[cfg(test)]
mod tests;
