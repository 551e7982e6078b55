//! Upstream servers (docs/upstreams.md) that refuse, hang, close early or have another identity.

mod balance;
mod ejection;
mod failures;
mod health;
mod names;
mod retries;
mod tls;

use std::time::Duration;

use serde_json::Value;

use crate::harness::*;

/// Two applications and a process before them. `keys`: of every route.
fn two(keys: &[(&str, &str)]) -> (App, App, Gate) {
    let (one, two) = (App::start(), App::start());
    let conf = Conf::with_upstream(&format!("[\"{}\", \"{}\"]", one.url(), two.url()));
    let gate = keys.iter().fold(conf, |conf, (key, value)| conf.route(key, value)).start();
    (one, two, gate)
}

/// What `/status` says of the server at this address, which one upstream of Tollgate has.
#[track_caller]
fn server(gate: &Gate, app: &App) -> Value {
    let status = gate.status();
    let upstreams = status["upstreams"].as_array().expect("upstreams");
    let servers = upstreams.iter().flat_map(|upstream| upstream["servers"].as_array().expect("servers"));
    let mut found: Vec<_> = servers.filter(|server| server["address"] == app.addr.to_string()).collect();
    assert_eq!(found.len(), 1, "{status}");
    found.remove(0).clone()
}

/// How many requests the application got, those of checks left out.
fn asked(app: &App) -> usize {
    app.seen().iter().filter(|seen| !seen.target().ends_with("/health")).count()
}

/// Reloads, and waits until the new policy is in force.
fn reload(gate: &Gate, conf: &Conf) {
    let before = gate.generation();
    gate.edit_by_rename(conf);
    until_true(PATIENCE, "the new policy is in force", || gate.generation() > before);
}

/// Sends a request, and leaves its answer where it is.
fn begin(gate: &Gate, conn: &mut Conn, request: &Request) {
    conn.write(request.bytes(&gate.addr.to_string()));
}

/// The time limit for a response if all timeouts are a second or less.
const SOON: Duration = Duration::from_secs(8);
