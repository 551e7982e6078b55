//! Tollgate puts authentication in front of applications that have none.
//!
//! # The life of a request
//!
//! [`proxy`] accepts the bytes, reads the policy once, and asks [`gate`] for a decision. `gate` is pure: from the
//! request head, the policy ([`config`]), the realm's keys and the revoked tokens ([`token`]), it decides whether the
//! request is forwarded, is for a login, is a CORS preflight, or is denied, and why. [`login`] answers logins; it has
//! users, passwords and sessions ([`store`]). A forwarded request goes to its upstream without the identity headers of
//! the client and with those of Tollgate. [`ops`] starts, reloads and stops the process, and [`cli`] has the commands.
//!
//! # Dependencies between modules
//!
//! `cli → ops → exit → proxy → login → pages → gate → store → config → keystore → token → outbound, quota, log_output, owner,
//! filesystem, clock, json`, in this direction only. Pingora is named only in `proxy`, `ops` and the commands that run a
//! server; SQL only in `store`. A test checks this.

pub mod cli;
pub mod clock;
pub mod config;
pub mod exit;
pub mod filesystem;
pub mod gate;
pub mod json;
pub mod keystore;
pub mod log_output;
pub mod login;
pub mod ops;
pub mod outbound;
pub mod owner;
pub mod pages;
pub mod proxy;
pub mod quota;
pub mod store;
pub mod token;
