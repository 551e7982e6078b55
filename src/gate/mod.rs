//! The judgement on a request, without I/O and without a clock.

mod deny;

pub use deny::{Deny, Row};
