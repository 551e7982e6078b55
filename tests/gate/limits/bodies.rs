//! The size of a request's body, and how long it may take.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;

fn upload() -> Request {
    post("/open/x").key()
}

/// The head of a chunked request.
fn chunked() -> Vec<u8> {
    upload().header("Transfer-Encoding", "chunked").bytes("gate")
}

#[test]
fn an_announced_body_is_refused_before_the_app_hears_of_it() {
    let app = App::start();
    let gate = Conf::new(&app)
        .limits("body_size", "\"1KiB\"")
        .add_route("/large", "public", "body_size = \"2KiB\"")
        .add_route("/any", "public", "body_size = \"0\"")
        .start();
    gate.send(&upload().body(vec![b'a'; 1024])).expect(200);
    app.forget();
    gate.send(&upload().body(vec![b'a'; 1025])).refused(413, "body_too_large");
    // An unwanted body is not waited for.
    let mut conn = gate.conn();
    conn.write(upload().header("Content-Length", "9999999999").header("Expect", "100-continue").bytes("gate"));
    let refused = conn.read().refused(413, "body_too_large");
    assert_eq!(refused.header("connection"), Some("close"));
    assert!(conn.closes_within(PATIENCE));
    gate.send(&post("/app/x").key().body(vec![b'a'; 1025])).refused(401, "token_missing");
    app.saw_nothing();
    gate.send(&post("/large/x").key().body(vec![b'a'; 2048])).expect(200);
    gate.send(&post("/large/x").key().body(vec![b'a'; 2049])).refused(413, "body_too_large");
    gate.send(&post("/any/x").key().body(vec![b'a'; 200_000])).expect(200);
}

#[test]
fn a_large_upload_sees_why_it_was_refused() {
    let app = App::start();
    let gate = Conf::new(&app).limits("body_size", "\"64KiB\"").start();
    for _ in 0..5 {
        gate.send(&upload().body(vec![b'a'; 3_000_000])).refused(413, "body_too_large");
        gate.send(&upload().chunks(&[&[b'a'; 1_000_000][..]; 3])).refused(413, "body_too_large");
    }
}

#[test]
fn a_body_that_grows_too_large_ends_the_request_and_the_apps_connection() {
    let app = App::start();
    let gate = Conf::new(&app).limits("body_size", "\"1KiB\"").start();
    let answer = gate.send(&upload().chunks(&[&[b'a'; 1000], &[b'b'; 24]])).expect(200);
    assert_eq!(answer.json()["length"], 1024, "as much as is allowed");
    app.forget();
    let mut conn = gate.conn();
    conn.write(chunked());
    conn.write(format!("3e8\r\n{}\r\n", "a".repeat(1000)));
    until_true(PATIENCE, "the app has the beginning", || {
        app.seen().first().is_some_and(|seen| seen.body().len() == 1000)
    });
    conn.write(format!("19\r\n{}\r\n", "b".repeat(25)));
    conn.read().refused(413, "body_too_large");
    assert!(conn.closes_within(PATIENCE));
    let seen = app.only();
    assert_eq!(seen.body(), [b'a'; 1000], "and not the rest");
    // Its connection is not used again: whatever comes next would be read as more of that body.
    let next = gate.send(&upload().body("x")).expect(200).json();
    assert_ne!(next["connection"].as_u64(), Some(seen.connection as u64));
}

#[test]
fn over_http2_too() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").limits("body_size", "\"1KiB\"").start();
    let send = |size: usize, announced: bool| {
        let mut request = http::Request::post(format!("http://{}/open/x", gate.addr)).header("x-api-key", KEY);
        if announced {
            request = request.header("content-length", size);
        }
        h2c(gate.addr, request.body(()).unwrap(), &vec![b'a'; size]).unwrap()
    };
    for announced in [true, false] {
        assert_eq!(send(1024, announced).status, 200);
        let refused = send(1025, announced);
        let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!((refused.status, body["reason"].as_str()), (413, Some("body_too_large")), "{announced}");
    }
}

#[test]
fn logins_keep_their_own_limit_and_tunnels_have_none() {
    let app = App::start();
    let gate = Conf::new(&app).limits("body_size", "\"1KiB\"").start();
    let record = |size: usize| serde_json::json!({"username": format!("u{size}"), "password": PASSWORD, "more": "a".repeat(size)});
    gate.send(&post(auth("")).json(&record(10_000))).expect(200);
    gate.send(&post(auth("")).json(&record(70_000))).refused(413, "body_too_large");
    let upgrade = get("/open/ws").key().header("Connection", "Upgrade").header("Upgrade", "websocket");
    let mut conn = gate.conn();
    conn.write(upgrade.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes("gate"));
    assert_eq!(conn.read_head().status, 101);
    conn.write(vec![b'a'; 5000]);
    assert_eq!(conn.read_exactly(5000), [b'a'; 5000]);
}

#[test]
fn a_body_that_pauses_for_too_long_is_408() {
    let app = App::start();
    let gate = Conf::new(&app).limits("body_timeout", "\"500ms\"").start();
    for (request, rest) in [
        (upload().header("Content-Length", "10"), &b"abc"[..]),
        (upload().header("Transfer-Encoding", "chunked"), b"3\r\nabc\r\n"),
        (post(auth("")).header("Content-Type", "application/json").header("Content-Length", "10"), b"{"),
    ] {
        let mut conn = gate.conn();
        let start = Instant::now();
        conn.write(request.bytes("gate"));
        conn.write(rest);
        conn.read().refused(408, "body_timeout");
        assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
        assert!(conn.closes_within(PATIENCE));
    }
    gate.send(&upload().body("x")).expect(200);
}

#[test]
fn a_body_that_is_only_slow_passes_and_a_silent_tunnel_stays() {
    let app = App::start();
    let gate = Conf::new(&app).limits("body_timeout", "\"2s\"").start();
    let upgrade = get("/open/ws").key().header("Connection", "Upgrade").header("Upgrade", "websocket");
    let mut tunnel = gate.conn();
    tunnel.write(upgrade.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").bytes("gate"));
    assert_eq!(tunnel.read_head().status, 101);
    let mut conn = gate.conn();
    conn.write(upload().header("Content-Length", "6").bytes("gate"));
    // Pauses are what this is about: each is shorter than the time-out, all of them together longer.
    for _ in 0..6 {
        std::thread::sleep(Duration::from_millis(500));
        conn.write("a");
    }
    assert_eq!(conn.read().expect(200).json()["length"], 6);
    tunnel.write("still");
    assert_eq!(tunnel.read_exactly(5), b"still");
}

/// Pingora times no reads of HTTP/2: there the wait for the application's answer ends such a request, and it is not the
/// application who is to blame for it.
#[test]
fn over_http2_a_pause_ends_with_the_wait_for_the_answer() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").route("read_timeout", "\"500ms\"").start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(gate.addr).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = http::Request::post(format!("http://{}/open/x", gate.addr)).header("x-api-key", KEY);
        let (answer, mut upload) =
            client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        upload.send_data(Bytes::from_static(b"abc"), false).unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        driver.abort();
        answer.status()
    });
    assert_eq!(status, 408);
    // Who has sent everything is not to blame.
    gate.send(&get("/open/hang").key()).refused(504, "upstream_timeout");
}

/// A byte now and then, for which pingora waits anew each time. Takes the twenty seconds that every body has.
#[test]
fn over_http2_a_drip_is_408_too() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(gate.addr).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = http::Request::post(format!("http://{}/open/x", gate.addr)).header("x-api-key", KEY);
        let (answer, mut upload) =
            client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        let dripping = tokio::spawn(async move {
            while upload.send_data(Bytes::from_static(b"a"), false).is_ok() {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
        let answer = tokio::time::timeout(2 * PATIENCE, answer).await.unwrap().unwrap();
        dripping.abort();
        driver.abort();
        answer.status()
    });
    assert_eq!(status, 408);
}
