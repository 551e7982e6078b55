//! `[limits]` of connections: slow, large and numerous clients do not block others.

use std::time::{Duration, Instant};

use crate::harness::*;

fn gate(app: &App, limits: &str) -> Gate {
    Conf::new(app).more(&format!("[limits]\n{limits}")).start()
}

/// Everything that comes until Tollgate closes, which it does in this time.
fn last_words(conn: &mut Conn, within: Duration) -> String {
    let start = Instant::now();
    conn.set_read_timeout(within);
    let bytes = conn.try_read_to_end().expect("the gate closes in time");
    assert!(start.elapsed() < within);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_head_that_does_not_end_is_408() {
    let app = App::start();
    let gate = gate(&app, "head_timeout = \"1s\"\n");
    // However it is cut, and on a connection that was good before too.
    for (first, part) in [("", "GET /open/x HT"), ("", "G"), ("GET /open/fixed", "GET /open/x HTTP/1.1\r\nHost: a\r\n")]
    {
        let mut conn = gate.conn();
        if !first.is_empty() {
            conn.ask(&get("/open/fixed").key()).expect(200);
        }
        conn.write(part);
        let said = last_words(&mut conn, Duration::from_secs(10));
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n") && said.contains("\"head_timeout\""), "{said}");
        assert!(said.contains("\r\nConnection: close\r\n"), "{said}");
    }
    // A byte now and then does not help.
    let mut drip = gate.conn();
    let start = Instant::now();
    let head = format!("GET /open/x HTTP/1.1\r\nHost: a\r\nX-Pad: {}", "x".repeat(1000));
    for byte in head.bytes() {
        if start.elapsed() > Duration::from_secs(5) || drip.try_write([byte]).is_err() {
            break;
        }
        drip.set_read_timeout(Duration::from_millis(20));
        if drip.try_read_head().is_ok() {
            break;
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5), "a drip holds a connection");
    assert_eq!(app.seen().len(), 1, "what was no request reaches nobody");
}

#[test]
fn who_is_idle_between_requests_has_more_time_than_a_head() {
    let app = App::start();
    let gate = gate(&app, "head_timeout = \"500ms\"\nkeepalive = \"2s\"\n");
    let mut conn = gate.conn();
    conn.ask(&get("/open/fixed").key()).expect(200);
    assert!(!conn.closes_within(Duration::from_secs(1)), "idle is not slow");
    conn.set_read_timeout(PATIENCE);
    let start = Instant::now();
    conn.ask(&get("/open/fixed").key()).expect(200);
    assert!(conn.closes_within(Duration::from_secs(10)));
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_head_without_measure_is_431_while_it_comes() {
    let app = App::start();
    let gate = gate(&app, "head_size = \"8KiB\"\n");
    let mut conn = gate.conn();
    let head = format!("GET /open/x HTTP/1.1\r\nHost: a\r\nX-Pad: {}", "x".repeat(300_000));
    // Tollgate closes before it has taken all of it.
    let _ = conn.try_write(&head);
    let said = last_words(&mut conn, Duration::from_secs(10));
    assert!(said.starts_with("HTTP/1.1 431 ") && said.contains("\"head_too_large\""), "{said}");
    app.saw_nothing();
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn an_answer_to_a_body_that_nobody_wants_arrives() {
    let app = App::start();
    let gate = gate(&app, "");
    // More than the sockets hold: Tollgate answers, and must not reset what the client has not read yet.
    for _ in 0..5 {
        let mut conn = gate.conn();
        let body = vec![b'x'; 3 << 20];
        conn.ask(&post("/app/x").key().body(&body)).refused(401, "token_missing");
    }
    app.saw_nothing();
}

#[test]
fn a_body_that_comes_too_slowly_is_408() {
    let app = App::start();
    // After the first twenty seconds, which a test can't wait for, any rate is too low.
    let gate = gate(&app, "body_rate = \"1MiB\"\nbody_timeout = \"500ms\"\n");
    let mut conn = gate.conn();
    conn.write(post("/open/x").key().header("Content-Length", "1000").bytes("localhost"));
    conn.write("x");
    let said = last_words(&mut conn, Duration::from_secs(30));
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("\"body_timeout\""), "{said}");
}

#[test]
fn a_body_that_pauses_over_http2_is_408() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").limits("body_timeout", "\"300ms\"").start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(gate.addr).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let request =
            http::Request::post(format!("http://{}/open/x", gate.addr)).header("x-api-key", KEY).body(()).unwrap();
        let (answer, mut upload) = client.send_request(request, false).unwrap();
        upload.send_data("a part".into(), false).unwrap();
        tokio::time::timeout(Duration::from_secs(10), answer)
            .await
            .expect("it does not wait for the app")
            .unwrap()
            .status()
    });
    assert_eq!(status, 408);
}

#[test]
fn one_address_gets_so_many_connections() {
    let app = App::start();
    let gate = gate(&app, "connections_per_address = 3\n");
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut conn = gate.conn();
            conn.ask(&get("/open/fixed").key()).expect(200);
            conn
        })
        .collect();
    assert!(gate.conn().closes_within(PATIENCE), "the fourth is turned away");
    let mut other = Conn::open_from([127, 0, 0, 2].into(), gate.addr);
    other.ask(&get("/open/fixed").key()).expect(200);
    drop(held);
    until_true(PATIENCE, "there is room again", || {
        Conn::try_open(gate.addr).and_then(|mut conn| conn.try_ask(&get("/open/fixed").key())).is_ok()
    });
    // The file says something else now: at once, for those who come.
    gate.edit_by_rename(&Conf::new(&app).more("[limits]\nconnections_per_address = 1"));
    until_true(PATIENCE, "one only", || {
        let mut first = gate.conn();
        first.try_ask(&get("/open/fixed").key()).is_ok() && gate.conn().closes_within(Duration::from_millis(300))
    });
}

#[test]
fn when_all_connections_are_taken_others_wait_their_turn() {
    let app = App::start();
    let gate = gate(&app, "connections = 2\n");
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut conn = gate.conn();
            conn.ask(&get("/open/fixed").key()).expect(200);
            conn
        })
        .collect();
    let mut waiting = gate.conn();
    waiting.write(get("/open/fixed").key().bytes("localhost"));
    waiting.set_read_timeout(Duration::from_millis(500));
    assert!(waiting.try_read_head().is_err(), "it is not its turn");
    // Who looks after it gets through.
    assert_eq!(get("/healthz").send(gate.admin).status, 200);
    held.pop();
    waiting.set_read_timeout(PATIENCE);
    assert_eq!(waiting.read_head().status, 200);
    until_true(PATIENCE, "it was told", || gate.stderr().contains("connection limit reached"));
}

#[test]
fn a_hundred_that_say_nothing_keep_nobody_out() {
    let app = App::start();
    let gate = gate(&app, "head_timeout = \"1s\"\n");
    let mut silent: Vec<_> = (0..100).map(|_| gate.conn()).collect();
    for conn in &mut silent {
        conn.write("GET / HTTP/1.1\r\nHost:");
    }
    gate.send(&get("/open/x").key()).expect(200);
    for conn in &mut silent {
        assert!(conn.closes_within(PATIENCE));
    }
}
