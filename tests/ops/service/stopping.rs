//! SIGTERM: what is in flight is finished, who is idle is shown out, and then it ends at once.

use std::time::Instant;

use super::*;

const LONG: &str = "\"30s\"";

#[test]
fn who_is_idle_may_say_one_more_thing() {
    let app = App::start();
    let gate = Conf::new(&app).server("shutdown_grace", LONG).start();
    let (mut talker, mut idler) = (gate.conn(), gate.conn());
    for conn in [&mut talker, &mut idler] {
        let answer = conn.ask(&get("/open/fixed").key());
        assert_ne!(answer.header("connection"), Some("close"));
    }
    kill_process(gate.pid(), Signal::TERM).unwrap();
    until_true(PATIENCE, "nobody new is let in", || TcpStream::connect(gate.addr).is_err());
    // It was on its way when Tollgate stopped.
    let answer = talker.ask(&get("/open/fixed").key()).expect(200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(idler.closes_within(Duration::from_secs(5)));
}

#[test]
fn it_ends_as_soon_as_the_last_one_is_done() {
    let app = App::start();
    let mut gate = Conf::new(&app).server("shutdown_grace", LONG).start();
    let mut idler = gate.conn();
    idler.ask(&get("/open/fixed").key()).expect(200);
    let start = Instant::now();
    assert_eq!(gate.stop().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "it sat out its grace");
    // Not even an idle one: at once.
    let mut gate = Conf::new(&app).server("shutdown_grace", LONG).start();
    assert_eq!(gate.stop().code(), Some(0));
    assert!(!gate.stderr().contains("before these had finished"));
}

#[test]
fn the_grace_is_the_end() {
    let app = App::start();
    let mut gate = Conf::new(&app).server("shutdown_grace", "\"1s\"").start();
    let mut conn = gate.conn();
    conn.write(get("/open/hang").key().bytes("localhost"));
    until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
    assert_eq!(gate.stop().code(), Some(0));
    assert!(gate.stderr().contains("stopped before these had finished"));
    assert!(conn.closes_within(PATIENCE));
}

/// A frame of a server: FIN, text, this payload.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81, u8::try_from(payload.len()).unwrap()];
    frame.extend(payload);
    frame
}

#[test]
fn websockets_are_told() {
    let app = App::start();
    let mut gate = Conf::new(&app).server("shutdown_grace", LONG).start();
    let token = gate.user("alice");
    let upgrade = |path: &str| {
        let mut conn = gate.conn();
        let request = get(path).key().bearer(&token).header("Connection", "Upgrade").header("Upgrade", "websocket");
        let request = request.header("Sec-WebSocket-Version", "13");
        conn.write(request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes("localhost"));
        conn.read().expect(101);
        conn
    };
    // With a token and without, idle and not; the application sends back what it gets, so these are its frames.
    let (mut idle, mut public, mut busy) = (upgrade("/app/ws"), upgrade("/open/ws"), upgrade("/app/ws"));
    busy.write(frame(b"hello"));
    assert_eq!(busy.read_exactly(7), frame(b"hello"));
    let mut within = upgrade("/app/ws");
    let cut = frame(b"0123456789");
    within.write(&cut[..5]);
    assert_eq!(within.read_exactly(5), cut[..5]);
    kill_process(gate.pid(), Signal::TERM).unwrap();
    let going_away = [0x88, 2, 3, 233];
    for conn in [&mut idle, &mut public, &mut busy] {
        assert_eq!(conn.try_read_to_end().unwrap(), going_away);
    }
    // Within a frame nothing may be said: as soon as it ends.
    within.write(&cut[5..]);
    assert_eq!(within.try_read_to_end().unwrap(), [&cut[5..], &going_away].concat());
    until_true(PATIENCE, "it ends", || !gate.running());
}

/// A client that is just saying something when it is told would else see a reset, and not the goodbye.
#[test]
fn a_websocket_may_finish_what_it_says() {
    let app = App::start();
    let mut gate = Conf::new(&app).server("shutdown_grace", LONG).start();
    let mut conn = gate.conn();
    let request = get("/open/ws").key().header("Connection", "Upgrade").header("Upgrade", "websocket");
    conn.write(request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes("localhost"));
    conn.read().expect(101);
    kill_process(gate.pid(), Signal::TERM).unwrap();
    assert_eq!(conn.try_read_to_end().unwrap(), [0x88, 2, 3, 233]);
    // A reset would be the answer to the first of these.
    for _ in 0..5 {
        conn.try_write(frame(b"so long")).unwrap();
    }
    drop(conn);
    until_true(PATIENCE, "it ends", || !gate.running());
}

#[test]
fn a_tunnel_whose_token_ends_is_told_why() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let mut conn = gate.conn();
    let request = get("/app/ws").key().bearer(&token).header("Connection", "Upgrade").header("Upgrade", "websocket");
    conn.write(request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes("localhost"));
    conn.read().expect(101);
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    assert_eq!(conn.try_read_to_end().unwrap(), [0x88, 2, 3, 240]);
}

#[test]
fn event_streams_end_and_do_not_hold_it_up() {
    let app = App::start();
    let mut gate = Conf::new(&app).server("shutdown_grace", LONG).start();
    let token = gate.user("alice");
    let mut stream = gate.conn();
    stream.write(get("/app/sse").key().bearer(&token).bytes("localhost"));
    stream.read_head().expect(200);
    let start = Instant::now();
    kill_process(gate.pid(), Signal::TERM).unwrap();
    assert!(stream.closes_within(Duration::from_secs(5)));
    until_true(PATIENCE, "it ends", || !gate.running());
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn http_2_is_told_and_finishes_its_streams() {
    let app = App::start();
    let mut gate = Conf::new(&app).server("h2c", "true").server("shutdown_grace", LONG).start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (addr, pid) = (gate.addr, gate.pid());
    let ask =
        |path: &str| http::Request::get(format!("http://{addr}{path}")).header("x-api-key", KEY).body(()).unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let (slow, _) = client.send_request(ask("/open/slow"), true).unwrap();
        while app.seen().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill_process(pid, Signal::TERM).unwrap();
        while TcpStream::connect(addr).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        app.release();
        let answer = slow.await.unwrap();
        assert_eq!(answer.status(), 200);
        drop((answer, client));
        // GOAWAY without an error: the connection ends well.
        tokio::time::timeout(PATIENCE, driver).await.expect("the connection ends").unwrap().unwrap();
    });
    until_true(PATIENCE, "it ends", || !gate.running());
}
