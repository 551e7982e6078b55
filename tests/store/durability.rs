//! What was acknowledged survives kill -9.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::*;

#[test]
fn kill_9_in_a_loop_loses_nothing_that_was_acknowledged() {
    kill_9_loses_nothing("sqlite://tollgate.db", 12);
}

/// Round after round: clients register, log in and log out; Tollgate is killed in the middle of it; after the restart
/// every acknowledged registration is there, and every acknowledged logout still counts.
pub fn kill_9_loses_nothing(store: &str, rounds: usize) {
    let app = App::start();
    let mut gate = Conf::new(&app).store(store).server("threads", "2").server("hash_queue", "256").start();
    let registered = Mutex::new(BTreeSet::new());
    let logged_out = Mutex::new(Vec::new());
    let (done, next) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..rounds {
        let before = done.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            let addr = gate.addr;
            for _ in 0..4 {
                let (registered, logged_out, done, next) = (&registered, &logged_out, &done, &next);
                scope.spawn(move || {
                    // Until Tollgate is gone: a broken connection acknowledges nothing.
                    loop {
                        let name = format!("user{}", next.fetch_add(1, Ordering::SeqCst));
                        let body = json!({"username": name, "password": PASSWORD});
                        let Ok(answer) = post(auth("")).json(&body).try_send(addr) else { return };
                        answer.expect(200);
                        registered.lock().unwrap().insert(name.clone());
                        done.fetch_add(1, Ordering::SeqCst);
                        let Ok(answer) = post(auth("login=true&noATCookie=true")).json(&body).try_send(addr) else {
                            return;
                        };
                        let token = answer.expect(200).header("authorization").unwrap()[7..].to_owned();
                        let Ok(answer) = post(auth("logout=true")).bearer(&token).try_send(addr) else { return };
                        answer.expect(200);
                        logged_out.lock().unwrap().push(token);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            // At another point of the work in every round.
            until_true(PATIENCE, "some work is done", || done.load(Ordering::SeqCst) >= before + 4 + round);
            gate.crash();
        });
        gate.start_again();
        let all = gate.send(&get(auth(&format!("masterKey={MASTER}&dataOnly=true")))).expect(200).json();
        let there: BTreeSet<_> =
            all.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
        let lost: Vec<_> = registered.lock().unwrap().difference(&there).cloned().collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        for token in logged_out.lock().unwrap().iter() {
            gate.visit(token).refused(401, "token_revoked");
        }
    }
    assert!(logged_out.into_inner().unwrap().len() >= rounds);
    // And the passwords are whole.
    let registered = registered.into_inner().unwrap();
    for name in registered.iter().step_by(registered.len().div_ceil(8)) {
        gate.log_in(name);
    }
}

#[test]
fn a_stop_by_signal_ends_in_order_and_exits_0() {
    let app = App::start();
    let mut gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let status = gate.stop();
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(get("/open/x").key().try_send(gate.addr).is_err());
    gate.start_again();
    gate.visit(&token).expect(200);
}

#[test]
fn a_stop_waits_for_requests_in_flight() {
    let app = App::start();
    let mut gate = Conf::new(&app).server("shutdown_grace", "\"10s\"").start();
    let token = gate.user("alice");
    let mut conn = gate.conn();
    conn.write(get("/app/slow").key().bearer(&token).bytes("h"));
    until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
    rustix::process::kill_process(gate.pid(), rustix::process::Signal::TERM).unwrap();
    app.release();
    assert_eq!(conn.read().expect(200).body, b"late");
    until_true(PATIENCE, "it ends", || !gate.running());
}

#[test]
fn the_database_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let app = App::start();
    let gate = Conf::new(&app).start();
    gate.register("alice");
    let mode = std::fs::metadata(gate.database()).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}: everybody can read the password hashes");
}
