//! What fuzzing found worth keeping, on a stable compiler: every file of `tests/fuzz/corpus` goes through the check of its
//! fuzz target, as it is and cut off in sixteen places. CONTRIBUTING.md says how to look for more.

use std::fs;
use std::path::Path;

#[path = "checks/authorization.rs"]
mod authorization;
#[path = "checks/bodies.rs"]
mod bodies;
#[path = "checks/client.rs"]
mod client;
#[path = "checks/config.rs"]
mod config;
#[path = "checks/cookie.rs"]
mod cookie;
#[path = "checks/fixture.rs"]
mod fixture;
#[path = "checks/head.rs"]
mod head;
#[path = "checks/jwks.rs"]
mod jwks;
#[path = "checks/memory.rs"]
mod memory;
#[path = "checks/paths.rs"]
mod paths;
#[path = "checks/query.rs"]
mod query;
#[path = "checks/refresh.rs"]
mod refresh;
#[path = "checks/request.rs"]
mod request;
#[path = "checks/token.rs"]
mod token;

fn replay(target: &str, check: impl Fn(&[u8]) -> bool) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} holds next to nothing", dir.display());
    let mut accepted = 0;
    for file in files {
        // The last line printed names the file that a failed check stumbled over.
        eprintln!("{}", file.display());
        let bytes = fs::read(&file).unwrap();
        accepted += usize::from(check(&bytes));
        for part in 0..16 {
            check(&bytes[..bytes.len() * part / 16]);
        }
    }
    // Where nothing gets in, nothing that gets in is checked.
    assert!(accepted >= 5, "{accepted} of {} accepted", dir.display());
}

#[test]
fn r25_tokens() {
    replay("token", token::check);
}

#[test]
fn r25_key_sets() {
    replay("jwks", jwks::check);
}

#[test]
fn r25_credentials() {
    replay("cookie", cookie::check);
}

#[test]
fn r05_heads() {
    replay("head", head::check);
}

#[test]
fn r08_targets() {
    replay("query", query::check);
}

#[test]
fn r59_paths_at_hosts_of_one_rule_and_of_several() {
    replay("paths", paths::check);
}

#[test]
fn r26_parts_of_tokens() {
    replay("authorization", authorization::check);
}

#[test]
fn r36_logins() {
    replay("bodies", bodies::check);
}

#[test]
fn r43_configurations() {
    replay("config", config::check);
}

#[test]
fn r29_refresh_tokens_challenges_callbacks_and_names() {
    replay("refresh", refresh::check);
}

#[test]
fn r04_what_proxies_say() {
    replay("client", client::check);
}
