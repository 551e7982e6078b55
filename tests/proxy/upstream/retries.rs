//! What is sent again, where to, and what never is.

use super::*;

/// A request whose first server closes early: of two in turn, exactly one goes there first.
#[track_caller]
fn statuses(gate: &Gate, request: &Request) -> Vec<u16> {
    let status = |answer: std::io::Result<Response>| answer.map_or(0, |answer| answer.status);
    let mut statuses: Vec<_> = (0..2).map(|_| status(request.try_send(gate.addr))).collect();
    statuses.sort_unstable();
    statuses
}

#[test]
fn an_idempotent_request_without_an_answer_goes_to_another_server() {
    let (bad, good, gate) = two(&[("eject_after", "0")]);
    for manner in ["reset", "close"] {
        bad.behave(Some(manner));
        for request in [get("/open/x"), request("DELETE", "/open/x"), put("/open/x").body("twice is once")] {
            bad.forget();
            good.forget();
            assert_eq!(statuses(&gate, &request.clone().key()), [200, 200], "{manner}");
            assert_eq!((bad.seen().len(), good.seen().len()), (1, 2), "{manner}");
            assert_eq!(good.seen()[0].body(), good.seen()[1].body());
            assert_eq!(good.seen()[0].body(), bad.seen()[0].body());
        }
    }
}

#[test]
fn what_may_have_been_done_is_not_done_again() {
    let (bad, good, gate) = two(&[("eject_after", "0")]);
    for manner in ["reset", "close"] {
        bad.behave(Some(manner));
        for request in [post("/open/x").body("pay once"), request("PATCH", "/open/x").body("{}")] {
            bad.forget();
            good.forget();
            assert_eq!(statuses(&gate, &request.clone().key()), [200, 502], "{manner}");
            assert_eq!((bad.seen().len(), good.seen().len()), (1, 1), "{manner}");
        }
    }
}

#[test]
fn a_body_that_is_not_kept_is_not_sent_again() {
    let (bad, good, gate) = two(&[("eject_after", "0")]);
    bad.behave(Some("close"));
    assert_eq!(statuses(&gate, &put("/open/x").key().body(vec![b'x'; 60 << 10])), [200, 200]);
    bad.forget();
    good.forget();
    assert_eq!(statuses(&gate, &put("/open/x").key().body(vec![b'x'; 200 << 10])), [200, 502]);
    assert_eq!((bad.seen().len(), good.seen().len()), (1, 1));
}

#[test]
fn nothing_is_sent_again_once_an_answer_has_begun_or_time_is_up() {
    let (bad, good, gate) = two(&[("eject_after", "0"), ("read_timeout", "\"1s\"")]);
    for (manner, status) in [("partial", None), ("reset-body", None), ("no-http", Some(502)), ("hang", Some(504))] {
        bad.behave(Some(manner));
        bad.forget();
        good.forget();
        let statuses = statuses(&gate, &get("/open/x").key());
        match status {
            Some(status) => assert_eq!(statuses, [200, status], "{manner}"),
            // It broke off with a status that was sent already: the client is told by the end of the connection.
            None => assert_eq!(statuses, [0, 200], "{manner}"),
        }
        assert_eq!((bad.seen().len(), good.seen().len()), (1, 1), "{manner}");
    }
}

#[test]
fn retries_bounds_the_attempts() {
    let apps: Vec<_> = (0..4).map(|_| App::start()).collect();
    apps.iter().for_each(|app| app.behave(Some("close")));
    let urls: Vec<_> = apps.iter().map(|app| format!("\"{}\"", app.url())).collect();
    let refused: Vec<_> = (0..4).map(|_| format!("\"http://127.0.0.1:{}\"", free_port())).collect();
    let conf = Conf::with_upstream(&format!("[{}]", urls.join(","))).route("eject_after", "0");
    let gate = conf.clone().start();
    for (retries, attempts) in [("0", 1), ("1", 2), ("2", 3), ("15", 4)] {
        reload(&gate, &conf.clone().route("retries", retries));
        apps.iter().for_each(App::forget);
        gate.send(&get("/open/x").key()).refused(502, "upstream_failed");
        assert_eq!(apps.iter().map(asked).sum::<usize>(), attempts, "retries = {retries}");
    }
    // Connections that are refused count, too.
    let mixed = format!("[{}, {}]", refused.join(","), urls[0]);
    apps[0].behave(None);
    let gate = Conf::with_upstream(&mixed).route("eject_after", "0").route("retries", "4").start();
    for _ in 0..10 {
        gate.send(&post("/open/x").key()).expect(200);
    }
    let gate = Conf::with_upstream(&mixed).route("eject_after", "0").route("retries", "0").start();
    let answers: Vec<_> = (0..5).map(|_| gate.send(&get("/open/x").key()).status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
}

#[test]
fn a_kept_connection_that_closes_as_it_is_used_costs_nobody_an_answer() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    app.behave(Some("close-reused"));
    for _ in 0..5 {
        gate.send(&get("/open/x").key()).expect(200);
    }
    assert!(app.seen().len() > 5, "a connection was used twice");
    assert_eq!(server(&gate, &app)["failures"], 0, "that is no failure");
    app.behave(None);
    gate.send(&post("/open/x").key()).expect(200);
    app.behave(Some("close-reused"));
    app.forget();
    gate.send(&post("/open/x").key().body("once")).refused(502, "upstream_failed");
    assert_eq!(app.seen().len(), 1);
}

#[test]
fn every_attempt_carries_the_same_identity_and_nobody_elses() {
    let (bad, good, gate) = two(&[("eject_after", "0")]);
    bad.behave(Some("close"));
    let token = gate.user("alice");
    let request = get("/app/x?a=1").key().bearer(&token);
    let forged = request.header("X-Auth-Subject", "root").header("X_Auth_Subject", "root").header("Cookie", "a=1");
    assert_eq!(statuses(&gate, &forged), [200, 200]);
    let (first, last) = (bad.only(), good.seen());
    let again = last.iter().find(|seen| seen.header("x-request-id") == first.header("x-request-id")).expect("a retry");
    assert_eq!(again.text(), first.text());
    assert_eq!(again.folded("x-auth-subject").len(), 1);
    assert_eq!(again.header("x-auth-username").as_deref(), Some("alice"));
    assert_eq!((again.header("authorization"), again.target()), (None, "/app/x?a=1".to_owned()));
}
