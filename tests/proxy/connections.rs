//! The client's side of a connection over HTTP/1.1: clients that close their half, that send several requests at once, that
//! are refused while they upload, and that wait for an answer which comes bit by bit.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

/// The bytes of a request with the standard API key.
fn bytes(gate: &Gate, request: &Request) -> Vec<u8> {
    request.bytes(&gate.addr.to_string())
}

/// Everything that comes until Tollgate closes.
fn all(conn: &mut Conn) -> String {
    String::from_utf8_lossy(&conn.try_read_to_end().expect("the gate closes, and resets nothing")).into_owned()
}

/// A gate with TLS, and a client that trusts it.
fn tls_gate(app: &App, more: &str) -> (Gate, TlsClient, tempfile::TempDir) {
    let authority = Authority::new("authority");
    let home = tempfile::tempdir().unwrap();
    authority.sign(&["localhost"]).write(home.path(), "a");
    let dir: &Path = home.path();
    let section = format!("[server.tls]\ncert = \"{0}/a.pem\"\nkey = \"{0}/a.key\"\n", dir.display());
    let gate = Conf::new(app).server_tables(&section).more(more).start();
    (gate, TlsClient::new(&authority, "localhost"), home)
}

/// Another app, which serves each connection like this.
fn raw_app(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let serve = std::sync::Arc::new(serve);
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    url
}

/// A route to it, at `/raw`.
fn raw_route(url: &str, more: &str) -> String {
    format!("[[route]]\npath = \"/raw\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{url}\"]\n{more}\n")
}

// === Half-closed ===

#[test]
fn a_client_that_closed_its_half_gets_its_answer() {
    let (app, gate) = gate();
    for request in [
        get("/open/slow").key(),
        post("/open/slow").key().body("a=1"),
        post("/open/slow").key().chunks(&[b"a", b"=1"]),
        get("/open/slow").key().header("Connection", "close"),
    ] {
        app.forget();
        app.hold();
        let mut conn = gate.conn();
        conn.write(bytes(&gate, &request));
        conn.finish_writing();
        until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
        // Long enough for Tollgate to have seen the end, which should change nothing.
        assert!(!conn.closes_within(Duration::from_millis(200)));
        conn.set_read_timeout(PATIENCE);
        app.release();
        let said = all(&mut conn);
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("late"), "{said}");
    }
    // What Tollgate answers itself.
    let mut conn = gate.conn();
    conn.write(bytes(&gate, &get("/app/x").key()));
    conn.finish_writing();
    assert!(all(&mut conn).contains("\"token_missing\""));
    let mut conn = gate.conn();
    let body = serde_json::json!({"username": "alice", "password": PASSWORD});
    conn.write(bytes(&gate, &post(auth("")).json(&body)));
    conn.finish_writing();
    assert!(all(&mut conn).starts_with("HTTP/1.1 200 "));
}

#[test]
fn several_requests_and_then_the_end_are_all_answered() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    let requests = [get("/open/slow").key(), post("/open/fixed").key().body("x"), get("/open/fixed").key()];
    conn.write(requests.iter().flat_map(|request| bytes(&gate, request)).collect::<Vec<_>>());
    conn.finish_writing();
    until_true(PATIENCE, "the app has the first", || !app.seen().is_empty());
    app.release();
    for body in ["late", "hello", "hello"] {
        assert_eq!(conn.read().expect(200).text(), body);
    }
    assert_eq!(all(&mut conn), "");
}

#[test]
fn over_tls_the_end_of_a_half_is_the_same() {
    let app = App::start();
    let (gate, client, _home) = tls_gate(&app, "");
    // By a close_notify, and by that of TCP alone.
    for politely in [true, false] {
        app.forget();
        app.hold();
        let mut conn = client.connect(gate.addr).unwrap();
        conn.write(&get("/open/slow").key().bytes("localhost"));
        conn.finish_writing(politely);
        until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
        std::thread::sleep(Duration::from_millis(100));
        app.release();
        let said = conn.read_to_end();
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("late"), "{said}");
    }
}

#[test]
fn whoever_is_gone_waits_for_no_answer() {
    let (app, gate) = gate();
    // With a reset at once, and with one after the end of its half: that is all that tells Tollgate.
    for half_first in [false, true] {
        for request in [get("/open/hang").key(), post("/open/hang").key().body("x")] {
            app.forget();
            let ended = app.ended();
            let mut conn = gate.conn();
            conn.write(bytes(&gate, &request));
            if half_first {
                conn.finish_writing();
            }
            until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
            conn.reset();
            until_true(PATIENCE, "the app is left", || app.ended() > ended);
        }
    }
}

#[test]
fn the_end_within_a_body_ends_the_request() {
    let (app, gate) = gate();
    for request in [
        post("/open/hang").key().header("Content-Length", "10"),
        post("/open/hang").key().header("Transfer-Encoding", "chunked"),
    ] {
        app.forget();
        let ended = app.ended();
        let mut conn = gate.conn();
        conn.write(bytes(&gate, &request));
        conn.write("3\r\nabc\r\n");
        until_true(PATIENCE, "the app has its head", || !app.seen().is_empty());
        conn.finish_writing();
        until_true(PATIENCE, "the app is left", || app.ended() > ended);
        assert_eq!(all(&mut conn), "");
    }
}

#[test]
fn the_last_words_of_a_websocket_are_answered() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    let upgrade = get("/open/ws-slow").key().header("Connection", "Upgrade").header("Upgrade", "websocket");
    conn.write(bytes(&gate, &upgrade));
    conn.read().expect(101);
    conn.write("last words");
    conn.finish_writing();
    assert!(!conn.closes_within(Duration::from_millis(200)));
    conn.set_read_timeout(PATIENCE);
    app.release();
    assert_eq!(conn.read_exactly(10), b"last words");
    // Then it is over, for the application too.
    until_true(PATIENCE, "the app hears of it", || app.ended() == 1);
    assert!(conn.closes_within(PATIENCE));
}

// === Bit by bit ===

#[test]
fn an_answer_with_a_length_comes_as_it_is_made() {
    let (app, gate) = gate();
    for request in [get("/open/held").key(), post("/open/held").key().body("x")] {
        app.hold();
        let mut conn = gate.conn();
        conn.write(bytes(&gate, &request));
        let head = conn.read_head().expect(200);
        assert_eq!(head.header("content-length"), Some("12"));
        assert_eq!(conn.read_exactly(6), b"first ");
        app.release();
        assert_eq!(conn.read_exactly(6), b"second");
        conn.ask(&get("/open/fixed").key()).expect(200);
    }
    let (gate, client, _home) = tls_gate(&app, "");
    app.hold();
    let mut conn = client.connect(gate.addr).unwrap();
    conn.write(&get("/open/held").key().bytes("localhost"));
    assert!(conn.read_until("first ").starts_with("HTTP/1.1 200 "));
    app.release();
    assert!(conn.read_until("second").ends_with("second"));
}

#[test]
fn of_an_answer_that_breaks_off_what_came_arrives() {
    let (_app, gate) = gate();
    for request in [get("/open/partial").key(), post("/open/partial").key().body("x")] {
        for _ in 0..20 {
            let mut conn = gate.conn();
            conn.write(bytes(&gate, &request));
            let said = all(&mut conn);
            assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("only this"), "{said}");
        }
    }
}

// === Answers while the client uploads ===

/// Sends all of a body, as simple clients do, and only then looks for an answer.
fn upload(conn: &mut Conn, gate: &Gate, path: &str, chunked: bool) -> String {
    let framing = if chunked { ("Transfer-Encoding", "chunked") } else { ("Content-Length", "8388608") };
    conn.write(bytes(gate, &post(path).key().header(framing.0, framing.1)));
    let part = vec![b'x'; 1 << 16];
    for _ in 0..128 {
        if chunked {
            conn.try_write("10000\r\n").expect("the gate reads on");
        }
        conn.try_write(&part).expect("the gate reads on");
        if chunked {
            conn.try_write("\r\n").expect("the gate reads on");
        }
    }
    conn.try_write(if chunked { "0\r\n\r\n" } else { "" }).expect("the gate reads on");
    all(conn)
}

#[test]
fn whoever_is_refused_while_it_uploads_is_told() {
    let app = App::start();
    let early = raw_app(|mut stream| {
        // An application that says so itself, and does read on for a while.
        let _ = stream.read(&mut [0; 1 << 16]);
        let _ = stream.write_all(b"HTTP/1.1 413 Too Much\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        while stream.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0) {}
    });
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let more = format!(
        "{}[[route]]\npath = \"/nobody\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{nobody}\"]\n\
         [[route]]\npath = \"/small\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{}\"]\n\
         body_size = \"1MiB\"\n",
        raw_route(&early, ""),
        app.url()
    );
    let gate = Conf::new(&app).more(&more).start();
    for round in 0..12 {
        for (path, status, word) in [
            ("/nobody", 502, "upstream_failed"),
            ("/small/x", 413, "body_too_large"),
            ("/app/x", 401, "token_missing"),
            ("/nowhere", 404, "route_not_found"),
            ("/raw", 413, "early"),
        ] {
            let said = upload(&mut gate.conn(), &gate, path, round % 2 == 0);
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")) && said.contains(word), "{path}: {said}");
            assert!(said.contains("\r\nConnection: close\r\n"), "{path}: {said}");
        }
    }
    let (gate, client, _home) = tls_gate(&app, &more);
    for _ in 0..5 {
        for (path, status) in [("/nobody", 502), ("/small/x", 413), ("/raw", 413)] {
            let mut conn = client.connect(gate.addr).unwrap();
            conn.write(&post(path).key().header("Content-Length", "8388608").bytes("localhost"));
            for _ in 0..128 {
                conn.write(&vec![b'x'; 1 << 16]);
            }
            let said = conn.read_to_end();
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {said}");
        }
    }
}

#[test]
fn whoever_waits_for_100_and_is_refused_is_told() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    conn.write(bytes(&gate, &post("/app/x").key().header("Expect", "100-continue").header("Content-Length", "5")));
    let said = all(&mut conn);
    assert!(said.starts_with("HTTP/1.1 401 ") && said.contains("\r\nConnection: close\r\n"), "{said}");
    app.saw_nothing();
}

#[test]
fn a_connection_that_lingers_ends() {
    let (_app, gate) = gate();
    // Silent, which is 5 seconds.
    let mut conn = gate.conn();
    conn.write(bytes(&gate, &post("/app/x").key().header("Content-Length", "5")));
    conn.read().expect(401);
    let start = Instant::now();
    until_true(PATIENCE * 3, "it is closed", || conn.try_write("x").is_err());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(32), "{took:?}");
}

// === Several at once ===

#[test]
fn requests_that_come_at_once_are_answered_in_order() {
    let (app, gate) = gate();
    let requests = [
        get("/open/1").key(),
        post("/open/2").key().body("GET /open/evil HTTP/1.1\r\nHost: a\r\n\r\n"),
        post("/open/3").key().chunks(&[b"0\r\n\r\n", b"GET /open/evil HTTP/1.1\r\n\r\n"]),
        get("/app/4").key(),
        get("/open/5").key(),
    ];
    let one: Vec<u8> = requests.iter().flat_map(|request| bytes(&gate, request)).collect();
    let check = |conn: &mut Conn| {
        for number in 1..=5 {
            let answer = conn.read();
            if number == 4 {
                answer.refused(401, "token_missing");
            } else {
                assert_eq!(answer.expect(200).json()["target"], format!("/open/{number}"));
            }
        }
    };
    let mut conn = gate.conn();
    for _ in 0..5 {
        conn.write(&one);
        check(&mut conn);
    }
    // However they are cut.
    for piece in [1, 7, 100] {
        for part in one.chunks(piece) {
            conn.write(part);
        }
        check(&mut conn);
    }
    // Far more than one read takes.
    let many = bytes(&gate, &get("/open/fixed").key()).repeat(1000);
    let mut writing = gate.conn();
    writing.write(&many);
    for _ in 0..1000 {
        writing.read().expect(200);
    }
    assert!(app.seen().iter().all(|seen| !seen.target().contains("evil")));
}

#[test]
fn who_is_not_answered_is_told() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    let requests = [get("/open/1").key(), get("/open/2").key().header("Connection", "close"), get("/open/3").key()];
    conn.write(requests.iter().flat_map(|request| bytes(&gate, request)).collect::<Vec<_>>());
    assert_eq!(conn.read().expect(200).header("connection"), Some("keep-alive"));
    assert_eq!(conn.read().expect(200).header("connection"), Some("close"));
    assert_eq!(all(&mut conn), "");
    assert_eq!(app.seen().len(), 2);
}

#[test]
fn each_of_several_requests_is_read_as_strictly_as_the_first() {
    let (app, gate) = gate();
    let first = bytes(&gate, &get("/open/first").key());
    let host = gate.addr;
    for (second, status) in [
        (format!("GET /open/a b HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400),
        (format!("GET /open/a HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "A: b\r\n".repeat(300)), 431),
        (format!("GET /open/a HTTP/1.1\r\nHost: {host}\r\nA: {}\r\n\r\n", "b".repeat(100_000)), 431),
        (
            format!("POST /open/a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
            400,
        ),
        (format!("POST /open/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 400),
        (
            format!(
                "POST /open/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (format!("POST /open/a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"), 400),
    ] {
        app.forget();
        let third = bytes(&gate, &get("/open/third").key());
        let mut conn = gate.conn();
        // The rest may find the connection closed.
        let _ = conn.try_write([first.as_slice(), second.as_bytes(), &third].concat());
        conn.read().expect(200);
        let refused = conn.read();
        assert_eq!(refused.status, status, "{second:.100}");
        assert_eq!(refused.header("connection").map(str::to_lowercase).as_deref(), Some("close"));
        assert_eq!(all(&mut conn), "", "{second:.100}");
        assert_eq!(app.only().target(), "/open/first", "{second:.100}");
    }
}

#[test]
fn empty_lines_between_requests_begin_none() {
    let app = App::start();
    let gate = Conf::new(&app).limits("head_timeout", "\"500ms\"").start();
    let mut conn = gate.conn();
    conn.write([bytes(&gate, &post("/open/fixed").key().body("x")), b"\r\n".to_vec()].concat());
    conn.read().expect(200);
    assert!(!conn.closes_within(Duration::from_secs(1)), "an empty line is no head that has begun");
    conn.set_read_timeout(PATIENCE);
    conn.write("\r\n\r\n");
    conn.ask(&get("/open/fixed").key()).expect(200);
}

#[test]
fn http_1_0_clients_may_keep_their_connection() {
    let (_app, gate) = gate();
    let mut conn = gate.conn();
    let request = "GET /open/fixed HTTP/1.0\r\nConnection: keep-alive\r\n";
    let request = format!("{request}Host: {}\r\nX-API-Key: {KEY}\r\n\r\n", gate.addr);
    conn.write(request.repeat(2));
    for _ in 0..2 {
        assert_eq!(conn.read().expect(200).header("connection"), Some("keep-alive"));
    }
    conn.write(request.replace("keep-alive", "close"));
    conn.finish_writing();
    assert!(all(&mut conn).ends_with("hello"));
}
