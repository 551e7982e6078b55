//! What every test stands on: Tollgate as a process, an application behind it, and a client that sends what it is told
//! to.

mod app;
mod client;
mod gate;
mod h2c;
mod issuer;
mod jwt;
mod port;
mod postgres;
mod raw;
mod signer;
mod tls;
mod tools;

use std::time::{Duration, Instant};

pub use app::{App, Seen};
pub use client::{Conn, Request, Response, delete, get, post, put, request};
pub use gate::{Conf, Gate, sha256_hex, write_file};
pub use h2c::{H2Answer, h2c, h2c_in_pieces};
pub use issuer::{DISCOVERY, Issuer, JWKS, Serve, gzip_bomb};
pub use jwt::{Jwk, NOT_TIMES, Seal, claims, not_times, now, sign};
pub use port::free_port;
pub use postgres::Cluster;
pub use raw::RawApp;
pub use signer::{Signer, edited, encoded};
pub use tls::{Authority, TlsClient};
pub use tools::{Ran, Running, curl, node, node_server, python, python_server, run, tollgate};

/// Asks `probe` again and again until it answers or the deadline has passed. A poll with a deadline, so that no test
/// waits for longer than it must, nor fails because a fixed pause was too short.
pub fn until<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As [`until`], for something that is only true or false. Returns how long it took.
pub fn until_true(limit: Duration, what: &str, mut probe: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    until(limit, what, || probe().then_some(()));
    start.elapsed()
}

/// The API key of the standard realm.
pub const KEY: &str = "d59eb2859c284168ac48aef65046d5dd";
/// An API key of the standard realm that has expired.
pub const EXPIRED_KEY: &str = "e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0";
/// An API key of the standard realm that is switched off.
pub const DISABLED_KEY: &str = "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0";
/// The master key of the standard realm.
pub const MASTER: &str = "master-3f1c0a5e8b7d42969b1d7c55aa10e6f4";
/// Where the standard realm's login answers.
pub const AUTH: &str = "/api/1/ce/examples/auth";
/// The one origin that the standard realm lists.
pub const ORIGIN: &str = "https://app.example.com";
/// An origin that it does not.
pub const FOREIGN: &str = "https://evil.example.net";
/// The standard realm's cookie.
pub const COOKIE: &str = "__Host-examples";
/// `iss` of the standard realm's tokens.
pub const ISSUER: &str = "https://gate.example.com";
/// A test password.
pub const PASSWORD: &str = "correct horse battery staple";
/// How long a test waits for something that should be there at once.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The limit of tests for a delay that is documented as one second: the rest is for a machine under load.
pub const A_SECOND: Duration = Duration::from_secs(3);

/// The login's URL with the standard API key and `query` after it.
pub fn auth(query: &str) -> String {
    if query.is_empty() { format!("{AUTH}?key={KEY}") } else { format!("{AUTH}?key={KEY}&{query}") }
}
