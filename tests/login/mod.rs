//! Logins in each dialect, passwords and guessing.

mod cognito;
mod exchange;
mod guessing;
mod passwords;
mod project;
pub mod tenant;
