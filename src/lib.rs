//! Tollgate puts authentication in front of backends which have none.

pub mod cli;
pub mod config;
pub mod gate;
pub mod json;
pub mod login;
pub mod store;
pub mod token;
