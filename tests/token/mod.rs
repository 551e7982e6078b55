//! Tokens of realms and of trusted issuers, their keys and their revocation.

mod clock;
mod differential;
mod issuers;
mod keys;
mod oidc;
pub mod revocation;
mod tokens;
