//! Black-box tests: the real binary, over real sockets, with a real app behind it. One module a topic; what each test
//! asserts stands in `contract.md` and `threats.md` of the design, whose rows the tests are named after.
//!
//! `tests/run` installs what they need and runs them all; one of them: `cargo test --test tests r08_dot_segments`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]
#![allow(unreachable_pub, reason = "the harness is public to the tests, and nothing here is to anyone else")]

mod harness;
mod project;
mod guard;
mod cors;
mod forwarding;
mod framing;
mod passwords;
mod revocation;
mod tokens;
mod admin;
mod durability;
mod reload;
mod commands;
mod demo;
