//! Commands other than `serve` and `check`.

mod commands;
mod demo;
mod explain;
mod token;
mod user_mfa;
