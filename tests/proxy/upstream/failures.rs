//! What a client is told of an application that misbehaves, and that Tollgate itself never hangs over one.

use std::net::TcpListener;
use std::time::Instant;

use super::*;

#[test]
fn every_failure_has_its_status_and_none_holds_the_gate() {
    let app = App::start();
    let timeouts = ["connect_timeout", "read_timeout", "write_timeout"];
    let conf = timeouts.iter().fold(Conf::new(&app), |conf, key| conf.route(key, "\"400ms\""));
    let gate = conf.start();
    for (path, status) in [
        ("reset", Some(502)),
        ("close", Some(502)),
        ("no-http", Some(502)),
        ("hang", Some(504)),
        ("partial", None),
        ("reset-body", None),
    ] {
        for request in [get(format!("/open/{path}")), post(format!("/open/{path}")).body("x")] {
            let started = Instant::now();
            let answer = request.key().try_send(gate.addr);
            assert!(started.elapsed() < SOON, "{path}: {:?}", started.elapsed());
            match (answer, status) {
                (Ok(answer), Some(502)) => drop(answer.refused(502, "upstream_failed")),
                (Ok(answer), Some(504)) => drop(answer.refused(504, "upstream_timeout")),
                (Err(error), None) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{path}"),
                (answer, _) => panic!("{path}: {answer:?}"),
            }
        }
        gate.send(&get("/open/x").key()).expect(200);
    }
    assert!(gate.stderr().matches("panicked").next().is_none());
}

#[test]
fn a_server_that_takes_no_connection_is_504_in_time() {
    // A full backlog: without an acceptor, the system lets further connections wait.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let address = full.local_addr().unwrap();
    let waiting: Vec<_> =
        (0..4).map(|_| std::thread::spawn(move || std::net::TcpStream::connect_timeout(&address, SOON))).collect();
    let gate = Conf::with_upstream(&format!("[\"http://{address}\"]"))
        .route("connect_timeout", "\"300ms\"")
        .route("read_timeout", "\"300ms\"")
        .start();
    let started = Instant::now();
    gate.send(&get("/open/x").key()).refused(504, "upstream_timeout");
    assert!(started.elapsed() < SOON);
    drop(full);
    waiting.into_iter().for_each(|thread| drop(thread.join()));
}

#[test]
fn a_gate_that_is_busy_with_hanging_servers_serves_the_others() {
    let (hanging, app) = (App::start(), App::start());
    hanging.behave(Some("hang"));
    let gate = Conf::new(&app)
        .more(&format!(
            "[[route]]\npath = \"/hanging\"\nrealm = \"examples\"\naccess = \"public\"\nread_timeout = \"1s\"\nupstream = [\"{}\"]\n",
            hanging.url()
        ))
        .start();
    let mut waiting: Vec<_> = (0..100).map(|_| gate.conn()).collect();
    for conn in &mut waiting {
        begin(&gate, conn, &get("/hanging/x").key());
    }
    let started = Instant::now();
    for _ in 0..50 {
        gate.send(&get("/open/x").key()).expect(200);
    }
    assert!(started.elapsed() < SOON);
    for conn in &mut waiting {
        conn.read().refused(504, "upstream_timeout");
    }
}
