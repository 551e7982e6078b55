//! Requests in flight at once.

use super::*;

fn hang() -> Request {
    get("/open/hang").key()
}

/// A request that the application has and does not answer. Only a reset ends it: a client that closes its half may
/// still be waiting.
fn hanging(gate: &Gate, app: &App) -> Conn {
    let before = app.seen().len();
    let mut conn = gate.conn();
    conn.write(hang().bytes("gate"));
    until_true(PATIENCE, "the app has the request", || app.seen().len() > before);
    conn
}

fn passes(gate: &Gate, request: &Request) {
    until_true(PATIENCE, "there is room again", || gate.send(request).status == 200);
}

#[test]
fn an_address_has_room_for_so_many_and_again_when_a_client_leaves() {
    let app = App::start();
    let gate = Conf::new(&app).limits("concurrent", "2").start();
    let quick = get("/open/fixed").key();
    let (first, _second) = (hanging(&gate, &app), hanging(&gate, &app));
    for _ in 0..3 {
        let refused = gate.send(&quick).refused(429, "concurrency_limited");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    gate.send(&get("/nowhere")).refused(429, "concurrency_limited");
    from_other(&gate, &quick).expect(200);
    first.reset();
    passes(&gate, &quick);
    // A finished response takes no memory while its connection stays open.
    let mut idle = gate.conn();
    until_true(PATIENCE, "there is room", || idle.ask(&quick).status == 200);
    for _ in 0..5 {
        passes(&gate, &quick);
    }
}

#[test]
fn tunnels_take_room_for_as_long_as_they_are_open() {
    let app = App::start();
    let gate = Conf::new(&app).limits("concurrent", "1").start();
    let quick = get("/open/fixed").key();
    let upgrade = get("/open/ws").key().header("Connection", "Upgrade").header("Upgrade", "websocket");
    let mut conn = gate.conn();
    conn.write(upgrade.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes("gate"));
    assert_eq!(conn.read_head().status, 101);
    conn.write("echo");
    assert_eq!(conn.read_exactly(4), b"echo");
    gate.send(&quick).refused(429, "concurrency_limited");
    conn.reset();
    passes(&gate, &quick);
    let mut conn = gate.conn();
    conn.write(get("/open/sse").key().bytes("gate"));
    assert_eq!(conn.read_head().status, 200);
    gate.send(&quick).refused(429, "concurrency_limited");
    // A close would be a half-close where all that came was read, and the client of a half-close gets its response.
    conn.reset();
    passes(&gate, &quick);
}

#[test]
fn a_key_has_room_of_its_own() {
    let app = App::start();
    let gate = Conf::new(&app).realm_tables(&keys("concurrent = 1")).start();
    let held = hanging(&gate, &app);
    from_other(&gate, &get("/open/fixed").key()).refused(429, "concurrency_limited");
    gate.send(&get("/open/fixed").header("X-API-Key", APP_KEY)).expect(200);
    held.reset();
    passes(&gate, &get("/open/fixed").key());
}

#[test]
fn a_reload_knows_who_is_in_flight() {
    let app = App::start();
    let base = Conf::new(&app);
    let gate = base.clone().realm_tables(&keys("")).limits("concurrent", "5").start();
    let quick = get("/open/fixed").key();
    let held = hanging(&gate, &app);
    gate.send(&quick).expect(200);
    reload(&gate, &base.clone().realm_tables(&keys("")).limits("concurrent", "1"));
    gate.send(&quick).refused(429, "concurrency_limited");
    reload(&gate, &base.clone().realm_tables(&keys("concurrent = 1")));
    gate.send(&quick).refused(429, "concurrency_limited");
    gate.send(&get("/open/fixed").header("X-API-Key", APP_KEY)).expect(200);
    reload(&gate, &base.realm_tables(&keys("concurrent = 2")));
    passes(&gate, &quick);
    held.reset();
}
