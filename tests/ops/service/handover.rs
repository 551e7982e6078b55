//! SIGUSR2: the program that is now where this one was started takes over.

use super::*;

/// Asks `old` to be replaced, and returns its successor.
fn replace(site: &Site, old: &mut Process) -> Process {
    old.signal(Signal::USR2);
    let new = until(PATIENCE, "another process is in charge", || {
        site.pid_in_charge().filter(|pid| *pid != old.pid()).map(Process::with_id)
    });
    let status = until(PATIENCE, "the old one ends", || match &mut old.child {
        Some(child) => child.try_wait().unwrap().map(|status| status.code()),
        None => rustix::process::test_kill_process(old.pid()).is_err().then_some(Some(0)),
    });
    assert_eq!(status, Some(0), "{}", site.log());
    new
}

#[test]
fn a_new_program_takes_over_and_nobody_is_refused() {
    let app = App::start();
    let site = Site::new(Conf::new(&app).server("shutdown_grace", "\"20s\""));
    let mut gate = site.ready(&[]);
    let load = Load::on(site.addr);
    for _ in 0..4 {
        load.more();
        gate = replace(&site, &mut gate);
    }
    load.more();
    assert!(load.end() >= 200);
    // The last one is as good as the first: it stops by signal, and its sockets with it.
    gate.signal(Signal::TERM);
    until_true(PATIENCE, "nobody listens", || TcpStream::connect(site.addr).is_err());
    assert!(!site.log().contains("panicked"), "{}", site.log());
}

#[test]
fn sessions_and_revocations_go_on() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let mut gate = site.ready(&[]);
    let body = serde_json::json!({"username": "alice", "password": PASSWORD});
    post(auth("")).json(&body).send(site.addr).expect(200);
    let log_in = || {
        let answer = post(auth("login=true&noATCookie=true")).json(&body).send(site.addr).expect(200);
        answer.header("authorization").unwrap()[7..].to_owned()
    };
    let (ended, lasting) = (log_in(), log_in());
    post(auth("logout=true")).bearer(&ended).send(site.addr).expect(200);
    let gate = replace(&site, &mut gate);
    get("/app/x").key().bearer(&ended).send(site.addr).refused(401, "token_revoked");
    get("/app/x").key().bearer(&lasting).send(site.addr).expect(200);
    drop(gate);
}

#[test]
fn a_request_in_flight_is_finished_by_the_old_one() {
    let app = App::start();
    let site = Site::new(Conf::new(&app).server("shutdown_grace", "\"20s\""));
    let mut old = site.ready(&[]);
    let mut conn = Conn::open(site.addr);
    conn.write(get("/open/slow").key().bytes("localhost"));
    until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
    old.signal(Signal::USR2);
    let new = until(PATIENCE, "another process is in charge", || {
        site.pid_in_charge().filter(|pid| *pid != old.pid()).map(Process::with_id)
    });
    get("/open/fixed").key().send(site.addr).expect(200);
    assert!(old.ended().is_none());
    app.release();
    assert_eq!(conn.read().expect(200).body, b"late");
    assert_eq!(old.until_ended().code(), Some(0));
    get("/open/fixed").key().send(site.addr).expect(200);
    drop(new);
}

#[test]
fn whoever_is_told_to_stop_meanwhile_leaves_nobody_behind_and_loses_nothing() {
    let app = App::start();
    let site = Site::new(Conf::new(&app).server("shutdown_grace", "\"20s\""));
    let mut gate = site.ready(&[]);
    let mut conn = Conn::open(site.addr);
    conn.write(get("/open/slow").key().bytes("localhost"));
    until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
    gate.signal(Signal::USR2);
    until_true(PATIENCE, "it begins", || site.log().contains("starting the successor"));
    gate.signal(Signal::TERM);
    until_true(PATIENCE, "nobody listens", || TcpStream::connect(site.addr).is_err());
    assert!(gate.ended().is_none(), "there is a request in flight");
    app.release();
    assert_eq!(conn.read().expect(200).body, b"late");
    assert_eq!(gate.until_ended().code(), Some(0));
}

#[test]
fn the_old_one_finishes_though_every_process_of_the_service_is_told_to_stop() {
    let app = App::start();
    let site = Site::new(Conf::new(&app).server("shutdown_grace", "\"20s\""));
    let mut old = site.ready(&[]);
    let mut conn = Conn::open(site.addr);
    conn.write(get("/open/slow").key().bytes("localhost"));
    until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
    old.signal(Signal::USR2);
    let new = until(PATIENCE, "another process is in charge", || {
        site.pid_in_charge().filter(|pid| *pid != old.pid()).map(Process::with_id)
    });
    for process in [&old, &new] {
        process.signal(Signal::TERM);
    }
    until_true(PATIENCE, "nobody listens", || TcpStream::connect(site.addr).is_err());
    app.release();
    assert_eq!(conn.read().expect(200).body, b"late");
    assert_eq!(old.until_ended().code(), Some(0));
}

#[test]
fn other_addresses_come_into_force_with_another_process() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let mut old = site.ready(&[]);
    let (here, there) = (site.addr.to_string(), format!("127.0.0.1:{}", free_port()));
    site.write(&site.text().replace(&here, &there));
    let new = replace(&site, &mut old);
    get("/open/x").key().send(there.parse().unwrap()).expect(200);
    assert!(TcpStream::connect(site.addr).is_err(), "nobody listens where nobody should");
    drop(new);
}

#[test]
fn a_program_that_does_not_come_up_changes_nothing() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let mut gate = site.ready(&[]);
    let good = site.text();
    site.write(&good.replace("[store]", "[store]\nspeed = 1"));
    gate.signal(Signal::USR2);
    until_true(PATIENCE, "the failure is told", || site.log().contains("did not start (exit status: 78)"));
    get("/open/x").key().send(site.addr).expect(200);
    assert_eq!(site.pid_in_charge(), Some(gate.pid()));
    site.write(&good);
    drop(replace(&site, &mut gate));
}
