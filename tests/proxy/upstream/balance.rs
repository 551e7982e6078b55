//! Which server a request goes to, and that none counts as busy for longer than it is.

use super::*;
use crate::proxy::forwarding::open_tunnel;

#[test]
fn least_connections_passes_over_those_that_are_busy() {
    for (balance, all_to_one) in [("\"least_connections\"", true), ("\"round_robin\"", false)] {
        let (one, two, gate) = two(&[("balance", balance)]);
        let mut held = gate.conn();
        begin(&gate, &mut held, &get("/open/slow").key());
        let (busy, free) = until(PATIENCE, "one of them is busy", || {
            [(&one, &two), (&two, &one)].into_iter().find(|(busy, _)| asked(busy) == 1)
        });
        assert_eq!((&server(&gate, busy)["in_flight"], &server(&gate, free)["in_flight"]), (&1.into(), &0.into()));
        for _ in 0..10 {
            gate.send(&get("/open/x").key()).expect(200);
        }
        assert_eq!(asked(free) == 10, all_to_one, "{balance}: {}", asked(free));
        busy.release();
        held.read().expect(200);
        until_true(PATIENCE, "nobody is busy", || server(&gate, busy)["in_flight"] == 0);
    }
}

#[test]
fn a_request_counts_as_long_as_it_lasts_however_it_ends() {
    let (one, two, gate) =
        two(&[("balance", "\"least_connections\""), ("eject_after", "0"), ("read_timeout", "\"2s\"")]);
    let in_flight = || [&one, &two].map(|app| server(&gate, app)["in_flight"].as_u64().unwrap()).iter().sum::<u64>();
    let token = gate.user("alice");
    // The client leaves, in an answer that does not come, in one that has begun, in its own body, and in a tunnel.
    let mut conns: Vec<_> = (0..3).map(|_| gate.conn()).collect();
    begin(&gate, &mut conns[0], &get("/open/slow").key());
    begin(&gate, &mut conns[1], &get("/open/stream").key());
    conns[2].write(format!("POST /open/x?key={KEY} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxxx").as_bytes());
    conns.push(open_tunnel(&gate, &token));
    until_true(PATIENCE, "all four came to a server", || one.seen().len() + two.seen().len() >= 4);
    // A close is a half-close where the client has read everything, and the client of a half-close waits for its response.
    conns.into_iter().for_each(Conn::reset);
    until_true(PATIENCE, "those who left do not count", || in_flight() == 0);
    // A tunnel is cut with its token.
    let mut tunnel = open_tunnel(&gate, &token);
    assert_eq!(in_flight(), 1);
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    assert!(tunnel.closes_within(PATIENCE));
    until_true(PATIENCE, "a tunnel that was cut does not count", || in_flight() == 0);
    // The application breaks off, or takes too long; another one is tried.
    for path in ["reset", "close", "partial", "hang", "no-http"] {
        for request in [get(format!("/open/{path}")), post(format!("/open/{path}"))] {
            let _ = request.key().try_send(gate.addr);
        }
    }
    until_true(PATIENCE, "what failed does not count", || in_flight() == 0);
}
