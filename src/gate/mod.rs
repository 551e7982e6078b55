//! The judgement on a request: pure functions from its head to what becomes of it.

mod admit;
mod api_key;
mod caller;
mod client;
mod credential;
mod decide;
mod deny;
mod grant;
mod identity;
mod known;
mod limits;
mod query;
mod target;
mod trace;
mod trace_context;
mod verdict;
pub mod wire;

pub use caller::Cors;
pub use client::Client;
pub use credential::{bearer, cookies};
pub use decide::{Gate, Head};
pub use deny::{Deny, KeyFault, Row};
pub use identity::{Identity, OtherCookies, is_reserved};
pub use known::{KnownTokens, Speaker};
pub use limits::{Network, Permits, Usage};
pub use trace::{Finding, Trace};
pub use trace_context::{TRACEPARENT, TRACESTATE, TraceParent, is_trace_state};
pub use verdict::{Admitted, Form, Grant, Place, Preflight, Refusal, Verdict};

#[cfg(test)]
mod tests;
