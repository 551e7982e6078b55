//! Black-box tests: the real binary, over real sockets, with a real application behind it. One module per topic. Tests
//! are named after the rows of SECURITY.md.
//!
//! `tests/run` installs what they need and runs them all; one of them: `cargo test --test tests r08_dot_segments`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]
#![allow(unreachable_pub, reason = "the harness is public to the tests, and nothing here is to anyone else")]

mod admin;
mod answers;
mod assertions;
mod audit;
mod bound;
mod check;
mod clients;
mod clock;
mod commands;
mod connections;
mod cors;
mod cost;
mod demo;
mod differential;
mod durability;
mod exchange;
mod explain;
#[path = "../benches/fixture.rs"]
mod fixture;
mod forwarding;
mod framing;
mod guard;
mod guessing;
mod harness;
mod hostile;
mod house;
mod http2;
mod issuers;
mod keys;
mod limits;
mod logs;
mod manual;
mod metrics;
mod oidc;
mod package;
mod passwords;
mod pool;
mod postgres;
mod project;
mod reference;
mod reload;
mod replay;
mod revocation;
mod second_factors;
mod secrets;
mod service;
mod slow_clients;
mod tenant;
mod tls;
mod token_commands;
mod tokens;
mod traces;
mod upstream;
mod ways;

/// Counts for `cost`, thread by thread, and does nothing to the others.
#[global_allocator]
static ALLOCATOR: tollgate_counting::Counting<std::alloc::System> = tollgate_counting::Counting(std::alloc::System);
