//! Servers that fail again and again get no requests for a while.

use std::net::TcpListener;

use super::*;

#[test]
fn a_server_that_hangs_is_not_asked_again_for_a_while() {
    let (bad, good, gate) = two(&[("read_timeout", "\"1s\""), ("eject_after", "2"), ("eject_for", "\"1h\"")]);
    bad.behave(Some("hang"));
    let statuses: Vec<_> = (0..20).map(|_| gate.send(&get("/open/x").key()).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 2, "{statuses:?}");
    assert_eq!((bad.seen().len(), good.seen().len()), (2, 18));
    let state = server(&gate, &bad);
    assert_eq!((&state["ejected"], &state["healthy"], &state["failures"]), (&true.into(), &true.into(), &2.into()));
    assert_eq!(server(&gate, &good)["ejected"], false);
    gate.says("server ejected");
}

#[test]
fn one_that_refuses_is_ejected_and_comes_back() {
    let port = free_port();
    let good = App::start();
    let gate = Conf::with_upstream(&format!("[\"http://127.0.0.1:{port}\", \"{}\"]", good.url()))
        .route("eject_after", "2")
        .route("eject_for", "\"100ms\"")
        .start();
    let ejected = || {
        let status = gate.status();
        status["upstreams"][0]["servers"][0]["ejected"].as_bool().expect("ejected")
    };
    until_true(PATIENCE, "it is ejected", || {
        gate.send(&get("/open/x").key()).expect(200);
        ejected()
    });
    let back = App::on(TcpListener::bind(("127.0.0.1", port)).unwrap());
    until_true(SOON, "it is used again", || {
        gate.send(&get("/open/x").key()).expect(200);
        !back.seen().is_empty() && !ejected()
    });
}

#[test]
fn a_path_that_breaks_the_app_does_not_take_the_app_away() {
    let (one, two, gate) = two(&[("eject_after", "2"), ("eject_for", "\"1h\"")]);
    for _ in 0..10 {
        gate.send(&post("/open/reset").key()).refused(502, "upstream_failed");
    }
    let ejected = [&one, &two].map(|app| server(&gate, app)["ejected"].as_bool().unwrap());
    assert_eq!(ejected.iter().filter(|ejected| **ejected).count(), 1, "{ejected:?}");
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn a_single_server_is_always_asked() {
    let app = App::start();
    let gate = Conf::new(&app).route("eject_after", "1").route("eject_for", "\"1h\"").start();
    for _ in 0..5 {
        gate.send(&post("/open/reset").key()).refused(502, "upstream_failed");
    }
    gate.send(&get("/open/x").key()).expect(200);
    assert_eq!(server(&gate, &app)["ejected"], false);
}

#[test]
fn a_reload_that_leaves_the_servers_alone_forgets_nothing() {
    let (bad, good, gate) = two(&[("read_timeout", "\"1s\""), ("eject_after", "1"), ("eject_for", "\"1h\"")]);
    bad.behave(Some("hang"));
    let statuses: Vec<_> = (0..4).map(|_| gate.send(&get("/open/x").key()).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 1, "{statuses:?}");
    bad.behave(None);
    for origin in ["one", "two", "three"] {
        reload(&gate, &gate.conf().realm("origins", &format!("[\"https://{origin}.example.com\"]")));
        for _ in 0..4 {
            gate.send(&get("/open/x").key()).expect(200);
        }
    }
    assert_eq!((bad.seen().len(), good.connections()), (1, 1), "and connections are kept, too");
    reload(&gate, &gate.conf().route("retries", "1"));
    for _ in 0..4 {
        gate.send(&get("/open/x").key()).expect(200);
    }
    assert!(bad.seen().len() > 1, "other settings are another upstream");
}
