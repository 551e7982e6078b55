//! What a client may take up: requests a second and at once, by address and by API key; heads and bodies.

mod at_once;
mod bodies;
mod heads;
mod rates;

use std::net::Ipv4Addr;

use crate::harness::*;

/// Another client than the tests' usual 127.0.0.1.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A request of that one.
fn from_other(gate: &Gate, request: &Request) -> Response {
    Conn::open_from(OTHER, gate.addr).ask(request)
}

/// A reload that Tollgate has done.
fn reload(gate: &Gate, conf: &Conf) {
    let before = gate.generation();
    gate.edit_by_rename(conf);
    until_true(PATIENCE, "the new policy is in force", || gate.generation() > before);
}

/// The standard API key with these limits, and another one without.
fn keys(limits: &str) -> String {
    format!(
        "[[realm.key]]\nid = \"web\"\nsecret = \"{KEY}\"\n{limits}\n[[realm.key]]\nid = \"app\"\nsecret = \"{APP_KEY}\"\n"
    )
}

const APP_KEY: &str = "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0";
