//! Black-box tests: the real binary, over real sockets, with a real application behind it. One group per folder
//! of src/, and in it one module per topic. Tests are named after the rows of SECURITY.md.
//!
//! `tests/run` installs what they need and runs them all; one of them: `cargo test --test tests r08_dot_segments`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]
#![allow(unreachable_pub, reason = "the harness is public to the tests, and nothing here is to anyone else")]

mod cli;
mod config;
#[path = "../benches/fixture.rs"]
mod fixture;
mod fuzz;
mod gate;
mod harness;
mod hostile;
mod login;
mod ops;
mod project;
mod proxy;
mod store;
mod token;

/// Counts for `cost`, thread by thread, and does nothing to the others.
#[global_allocator]
static ALLOCATOR: tollgate_counting::Counting<std::alloc::System> = tollgate_counting::Counting(std::alloc::System);
