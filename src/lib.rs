//! Tollgate puts authentication in front of backends which have none.
//!
//! # The life of a request
//!
//! Bytes come in at [`proxy`], which reads the policy once and asks [`gate`] for a verdict. The gate is pure: it looks
//! at the request's head, the policy ([`config`]), the realm's keys and the revoked tokens ([`token`]), and says whether
//! the request is granted, is a login, is a browser's preflight, or is refused, and why. A login is answered by [`login`],
//! which knows users, passwords and sessions ([`store`]). What is granted goes to its upstream, stripped of everything
//! that only looks like an identity, and with the real one set. Around all of it, [`ops`] starts, reloads and stops, and
//! [`cli`] is what people type.
//!
//! # Who may know whom
//!
//! `cli → ops → exit → proxy → login → gate → store → config → token → outbound, quota, lines, owner, clock, json`, never the other way. Pingora
//! is named only in `proxy`, `ops` and the commands that run a server; SQL only in `store`. A test keeps to this.

pub mod cli;
pub mod clock;
pub mod config;
pub mod exit;
pub mod gate;
pub mod json;
pub mod log_output;
pub mod login;
pub mod ops;
pub mod outbound;
pub mod owner;
pub mod proxy;
pub mod quota;
pub mod store;
pub mod token;
