//! The decision about a request: pure functions of its head.

mod admit;
mod api_key;
mod client;
mod credential;
mod decide;
mod decision;
mod deny;
mod explanation;
mod grant;
mod identity;
mod limits;
mod message;
mod preflight;
mod query;
mod request_origin;
mod routing;
mod target;
mod token_cache;
mod trace_context;
pub mod wire;

pub use client::ClientInfo;
pub use credential::{bearer, cookies};
pub use decide::{Authorizer, Head};
pub use decision::{AdmittedLogin, Decision, Denial, Grant, Pending, Preflight, RouteId};
pub use deny::{DenyReason, DenyResponse, KeyFault};
pub use explanation::{Explanation, ExplanationStep};
pub use identity::{IdentityHeaders, RemainingCookies, is_reserved};
pub use limits::{AddressLimiters, AddressPrefix, RequestPermits};
pub use request_origin::Cors;
pub use token_cache::{Principal, TokenCache};
pub use trace_context::{TRACEPARENT, TRACESTATE, TraceParent, is_trace_state};

#[cfg(test)]
mod fixture;
