//! The begin and end of a request: SECURITY.md R13–R16, R19, and HTTP/2 without TLS (R11).

use std::time::Duration;

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

fn head(gate: &Gate, line: &str, headers: &str) -> String {
    format!("{line}\r\nHost: {}\r\nX-API-Key: {KEY}\r\n{headers}\r\n", gate.addr)
}

#[test]
fn r13_bytes_after_an_upgrade_request_reach_nobody_before_the_101() {
    let (app, gate) = gate();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let smuggled = head(&gate, "GET /app/smuggled HTTP/1.1", "");
    // The application refuses the upgrade (it answers 200): what came after is a request like any other.
    let mut conn = gate.conn();
    conn.write(format!("{}{smuggled}", head(&gate, "GET /open/fixed HTTP/1.1", upgrade)));
    let _ = conn.try_read(false);
    let _ = conn.try_read(false);
    assert!(app.seen().iter().all(|seen| !seen.target().contains("smuggled")), "smuggled");
    for seen in app.seen() {
        assert!(!String::from_utf8_lossy(&seen.body()).contains("smuggled"), "smuggled as a body");
    }
    // An upgrade that is refused here leaves nothing behind either.
    app.forget();
    let mut conn = gate.conn();
    conn.write(format!("{}{smuggled}", head(&gate, "GET /app/ws HTTP/1.1", upgrade)));
    assert_eq!(conn.read().status, 401);
    let _ = conn.try_read(false);
    app.saw_nothing();
}

#[test]
fn r14_transfer_encodings_other_than_chunked_and_on_http_1_0_are_refused() {
    let (app, gate) = gate();
    for (line, headers) in [
        ("POST /open/x HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: gzip\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: chunked, gzip\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: chunked, chunked\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: identity\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: xchunked\r\n"),
        ("POST /open/x HTTP/1.1", "Transfer-Encoding: \"chunked\"\r\n"),
    ] {
        let mut conn = gate.conn();
        conn.write(format!("{}0\r\n\r\n", head(&gate, line, headers)));
        match conn.try_read(false) {
            Ok(answer) => assert!(matches!(answer.status, 400 | 501), "{line} {headers}: {}", answer.status),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{line} {headers}"),
        }
        assert!(app.seen().is_empty(), "{line} {headers} reached the app");
    }
}

#[test]
fn r15_content_length_with_transfer_encoding_is_400() {
    let (app, gate) = gate();
    let body = "5\r\nhello\r\n0\r\n\r\n";
    for headers in [
        "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 15\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "content-length: 0\r\ntransfer-encoding: Chunked\r\n",
        "Content-Length: 15\r\nTransfer-Encoding: CHUNKED\r\nContent-Length: 15\r\n",
    ] {
        for line in ["POST /open/x HTTP/1.1", "GET /open/x HTTP/1.1", &format!("POST {AUTH}?login=true HTTP/1.1")] {
            let mut conn = gate.conn();
            conn.write(format!("{}{body}", head(&gate, line, headers)));
            let answer = conn.read();
            assert_eq!(answer.status, 400, "{line} {headers}");
            assert!(conn.closes_within(PATIENCE), "the connection must not be used again");
        }
    }
    app.saw_nothing();
}

#[test]
fn r15_content_lengths_that_readers_read_differently_are_refused() {
    let (app, gate) = gate();
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5x\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 1e1\r\n",
        "Content-Length : 5\r\n",
    ] {
        let mut conn = gate.conn();
        conn.write(format!("{}hello", head(&gate, "POST /open/x HTTP/1.1", headers)));
        match conn.try_read(false) {
            Ok(answer) => assert_eq!(answer.status, 400, "{headers}"),
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "{headers}"),
        }
        assert!(app.seen().is_empty(), "{headers} reached the app");
    }
}

#[test]
fn r15_broken_chunks_end_the_request() {
    let (app, gate) = gate();
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n",
        "5 \r\nhello\n0\n\n",
    ] {
        let mut conn = gate.conn();
        conn.write(format!("{}{body}", head(&gate, "POST /open/x HTTP/1.1", "Transfer-Encoding: chunked\r\n")));
        conn.finish_writing();
        if let Ok(answer) = conn.try_read(false) {
            assert!(answer.status >= 400, "{body:?}: {}", answer.status);
        }
        // What the application saw of it never was a whole request: no chunk that it could take for the last one.
        assert!(app.seen().iter().all(|seen| seen.method() == "POST" && seen.target() == "/open/x"), "{body:?}");
    }
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn r16_a_body_that_nobody_read_is_never_taken_for_the_next_request() {
    let (app, gate) = gate();
    let smuggled = head(&gate, "GET /open/smuggled HTTP/1.1", "");
    let targets = [
        "/app/x",
        "/nope",
        "/open/../x",
        &auth("login=true"),
        &auth("logout=true"),
        &auth("nope=1"),
        "/keyed/x?key=wrong",
    ];
    for target in targets {
        for chunked in [false, true] {
            let (framing, body) = if chunked {
                (
                    "Transfer-Encoding: chunked\r\n".to_owned(),
                    format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
                )
            } else {
                (format!("Content-Length: {}\r\n", smuggled.len()), smuggled.clone())
            };
            let mut conn = gate.conn();
            conn.write(head(&gate, &format!("POST {target} HTTP/1.1"), &framing));
            conn.write(&body);
            let first = conn.read();
            assert!(first.status >= 200, "{target}");
            // Either the connection is over, or the next answer is the next request's.
            let next = get("/nowhere/at-all").key();
            let second = conn.try_write(next.bytes(&gate.addr.to_string())).and_then(|()| conn.try_read(false));
            if let Ok(second) = second {
                assert_eq!(second.status, 404, "{target}: the answer to something else");
            }
            assert!(app.seen().is_empty(), "{target}: the body was taken for a request");
        }
    }
}

#[test]
fn r16_a_preflight_with_a_body_is_answered_cleanly() {
    let (app, gate) = gate();
    let smuggled = head(&gate, "GET /open/smuggled HTTP/1.1", "");
    let headers =
        format!("Origin: {ORIGIN}\r\nAccess-Control-Request-Method: GET\r\nContent-Length: {}\r\n", smuggled.len());
    let mut conn = gate.conn();
    conn.write(format!("{}{smuggled}", head(&gate, "OPTIONS /app/x HTTP/1.1", &headers)));
    assert_eq!(conn.read().status, 204);
    let _ = conn.try_write(get("/nowhere").bytes("h"));
    let _ = conn.try_read(false);
    app.saw_nothing();
}

#[test]
fn r16_a_body_that_never_comes_does_not_hold_the_refusal_back() {
    let (app, gate) = gate();
    for target in ["/app/x", "/nope"] {
        let mut conn = gate.conn();
        conn.set_read_timeout(Duration::from_secs(10));
        conn.write(head(&gate, &format!("POST {target} HTTP/1.1"), "Content-Length: 1000000\r\n"));
        assert!(matches!(conn.read().status, 401 | 404));
    }
    app.saw_nothing();
}

#[test]
fn r19_upgrades_with_a_body_are_refused_and_others_are_taken_out() {
    let (app, gate) = gate();
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (headers, body) in [
        (format!("{websocket}Content-Length: 5\r\n"), "hello"),
        (format!("{websocket}Transfer-Encoding: chunked\r\n"), "0\r\n\r\n"),
    ] {
        let mut conn = gate.conn();
        conn.write(format!("{}{body}", head(&gate, "GET /open/ws HTTP/1.1", &headers)));
        let answer = conn.read();
        assert_eq!((answer.status, answer.reason().as_str()), (400, "upgrade_invalid"), "{headers}");
    }
    app.saw_nothing();
    // curl --http2 asks for h2c as a matter of course.
    for headers in [
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    ] {
        let mut conn = gate.conn();
        conn.write(head(&gate, "GET /open/x HTTP/1.1", headers));
        assert_eq!(conn.read().status, 200, "{headers}");
        let seen = app.only();
        assert!(seen.all("Upgrade").is_empty() && seen.all("HTTP2-Settings").is_empty(), "{headers}");
        app.forget();
    }
}

#[test]
fn pipelined_requests_are_never_mixed_up() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    conn.write(format!("{}{}", head(&gate, "GET /open/one HTTP/1.1", ""), head(&gate, "GET /app/two HTTP/1.1", "")));
    let first = conn.try_read(false);
    if let Ok(first) = first {
        assert!(first.status != 200 || first.json()["target"] == "/open/one");
    }
    if let Ok(second) = conn.try_read(false) {
        assert_eq!(second.status, 401);
    }
    assert!(app.seen().iter().all(|seen| seen.target() == "/open/one"));
}

#[test]
fn header_limits_are_refused_and_not_fatal() {
    let (app, gate) = gate();
    let long = "x".repeat(2 << 20);
    let answer = get("/open/x").key().header("X-Long", &long).try_send(gate.addr);
    assert!(answer.as_ref().map_or(true, |answer| matches!(answer.status, 400 | 413 | 414 | 431)), "{answer:?}");
    let many = (0..2000).fold(get("/open/x").key(), |request, number| request.header(&format!("X-{number}"), "x"));
    let answer = many.try_send(gate.addr);
    assert!(answer.as_ref().map_or(true, |answer| matches!(answer.status, 400 | 431)), "{answer:?}");
    app.saw_nothing();
    gate.send(&get("/open/x").key()).expect(200);
}

// === HTTP/2 ===

fn h2_request(gate: &Gate, path: &str) -> http::request::Builder {
    http::Request::builder().uri(format!("http://{}{path}", gate.addr)).header("x-api-key", KEY)
}

#[test]
fn r08_a_request_line_is_not_repaired() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let rest = format!("Host: {}\r\nX-API-Key: {KEY}\r\nAuthorization: Bearer {token}\r\n\r\n", gate.addr);
    for line in [
        "GET /app/x y HTTP/1.1",
        "GET /app/x  HTTP/1.1",
        "GET  /app/x HTTP/1.1",
        "GET /app/x?\0 HTTP/1.1",
        "GET /app/x?\u{b} HTTP/1.1",
        "GET /app/\u{7f} HTTP/1.1",
        "GET\t/app/x HTTP/1.1",
    ] {
        let mut conn = gate.conn();
        conn.write(format!("{line}\r\n{rest}"));
        conn.read().refused(400, "target_invalid");
        assert!(conn.try_read(false).is_err(), "{line:?}: closed");
    }
    app.saw_nothing();
    // What pingora would encode in a path is refused, too.
    for path in ["/app/<x>", "/app/\"x\"", "/open/a\"b?c"] {
        let mut conn = gate.conn();
        conn.write(format!("GET {path} HTTP/1.1\r\n{rest}"));
        conn.read().refused(400, "target_invalid");
    }
    app.saw_nothing();
    // Nor in pieces, nor on a connection that was used before.
    let mut conn = gate.conn();
    conn.ask(&get("/open/fixed").key()).expect(200);
    app.forget();
    conn.write("GET /app/x");
    conn.write(format!(" y HTTP/1.1\r\n{rest}"));
    conn.read().refused(400, "target_invalid");
    app.saw_nothing();
}

#[test]
fn r14_chunks_that_two_readers_could_read_differently_are_400() {
    let (app, gate) = gate();
    let chunked = |path: &str| {
        head(
            &gate,
            &format!("POST {path} HTTP/1.1"),
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
        )
    };
    let refused = |conn: &mut Conn, chunks: &str| {
        conn.read().refused(400, "framing_invalid");
        assert!(conn.try_read(false).is_err(), "{chunks:?}: closed");
    };
    let paths = ["/open/x", "/api/1/ce/examples/auth?login=true"];
    let bodies = [
        "\r\nhello\r\n0\r\n\r\n",
        ";a=b\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n",
        "2;\nxx\r\n47\r\n0\r\n\r\nGET /app/smuggled HTTP/1.1\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "0\r\nA: b\n\r\n",
    ];
    for (path, chunks) in paths.iter().flat_map(|path| bodies.map(|chunks| (path, chunks))) {
        let mut conn = gate.conn();
        conn.write(format!("{}{chunks}", chunked(path)));
        refused(&mut conn, chunks);
    }
    app.saw_nothing();
    // And where the head came before.
    for (path, chunks) in paths.iter().flat_map(|path| bodies.map(|chunks| (path, chunks))) {
        let mut conn = gate.conn();
        conn.write(chunked(path));
        if *path == "/open/x" {
            until_true(PATIENCE, "the app has the head", || app.connections() > app.ended());
        }
        conn.write(chunks);
        refused(&mut conn, chunks);
    }
    // The application tells of a request when its body has ended, however it did.
    until_true(PATIENCE, "the app is done", || app.connections() == app.ended());
    assert!(app.seen().iter().all(|seen| seen.target() == "/open/x"));
    app.forget();
    // And what is plain goes on.
    let mut conn = gate.conn();
    for _ in 0..2 {
        let head = head(&gate, "POST /open/x HTTP/1.1", "Transfer-Encoding: chunked\r\n");
        conn.write(format!("{head}5;a=\"b\"\r\nhello\r\n0\r\nT: railer\r\n\r\n"));
        assert_eq!(conn.read().status, 200);
        assert_eq!(app.only().body(), b"hello");
        app.forget();
    }
}

#[test]
fn a_request_is_answered_though_others_follow_before_its_answer() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    conn.write(head(&gate, "GET /open/slow HTTP/1.1", ""));
    until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
    conn.write(head(&gate, "GET /open/x HTTP/1.1", "").repeat(100));
    // Then there is an end, or the next answer, as Tollgate may not have read the others before this one was done.
    app.release();
    conn.read().expect(200);
}

#[test]
fn r15_lengths_that_not_everybody_can_read_are_400() {
    let (app, gate) = gate();
    for length in
        ["010", "00", "9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999"]
    {
        let mut conn = gate.conn();
        conn.write(head(&gate, "POST /open/x HTTP/1.1", &format!("Content-Length: {length}\r\n")));
        assert_eq!(conn.read().status, 400, "{length}");
    }
    app.saw_nothing();
}

#[test]
fn h2c_is_off_unless_configured() {
    let (app, gate) = gate();
    let request = h2_request(&gate, "/open/x").body(()).unwrap();
    assert!(h2c(gate.addr, request, b"").is_err());
    app.saw_nothing();
}

#[test]
fn h2c_requests_are_judged_and_forwarded_like_any() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    let token = gate.user("alice");
    let answer = h2c(gate.addr, h2_request(&gate, "/app/x?a=1").body(()).unwrap(), b"").unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"examples\"");
    app.saw_nothing();
    let request = h2_request(&gate, &format!("/app/x?a=1&key={KEY}"))
        .method("POST")
        .header("authorization", format!("Bearer {token}"))
        .header("cookie", "a=1")
        .header("cookie", format!("{COOKIE}={token}"))
        .header("cookie", "b=2")
        .header("x_auth_subject", "spoofed")
        .body(())
        .unwrap();
    let answer = h2c(gate.addr, request, b"over two").unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let seen = app.only();
    assert_eq!(seen.target(), "/app/x?a=1");
    assert_eq!(seen.header("host"), Some(gate.addr.to_string()));
    assert_eq!(seen.header("cookie").as_deref(), Some("a=1; b=2"), "one Cookie header, as HTTP/1.1 wants it");
    assert_eq!(seen.header("x-auth-username").as_deref(), Some("alice"));
    assert!(!seen.text().contains("spoofed"));
    assert_eq!(seen.body(), b"over two");
    app.forget();
    // The old protocol still works on the same port.
    gate.visit(&token).expect(200);
}

#[test]
fn r16_over_http2_an_empty_last_piece_ends_a_body_once() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    for (pieces, body) in [(&[&b"over two"[..], b""][..], "over two"), (&[b""], ""), (&[b"", b"a", b"", b""], "a")] {
        app.forget();
        let request = h2_request(&gate, "/open/x").method("POST").body(()).unwrap();
        assert_eq!(h2c_in_pieces(gate.addr, request, pieces).unwrap().status, 200);
        // On the same connection to the application.
        gate.send(&post("/open/next").key().body("next")).expect(200);
        let seen = app.seen();
        let bodies: Vec<_> = seen.iter().map(|seen| (seen.target(), String::from_utf8(seen.body()).unwrap())).collect();
        assert_eq!(bodies, [("/open/x".into(), body.into()), ("/open/next".into(), "next".to_owned())]);
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn with_h2c_short_requests_and_slow_ones_are_as_without() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").limits("head_timeout", "\"1s\"").start();
    let mut conn = gate.conn();
    // Shorter than what a connection of HTTP/2 begins with.
    conn.write("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(conn.read().status, 400);
    let mut conn = gate.conn();
    conn.write("POST /");
    assert_eq!(conn.read().status, 408);
    let mut conn = gate.conn();
    conn.write("P");
    assert!(conn.try_read(false).is_err(), "closed");
}

#[test]
fn h2c_logins_work() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    gate.register("alice");
    let body = serde_json::json!({"username": "alice", "password": PASSWORD}).to_string();
    let request = h2_request(&gate, &format!("{AUTH}?login=true&noATCookie=true"))
        .method("POST")
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    let answer = h2c(gate.addr, request, body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200);
    let token = answer.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    gate.visit(token).expect(200);
}

#[test]
fn r11_an_authority_that_differs_from_host_is_400() {
    let app = App::start();
    let routes = format!(
        "[[route]]\nhost = \"open.example.com\"\npath = \"/\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{0}\"]\n\
         [[route]]\nhost = \"app.example.com\"\npath = \"/\"\nrealm = \"examples\"\naccess = \"user\"\nupstream = [\"{0}\"]\n",
        app.url()
    );
    let gate = Conf::new(&app).server("h2c", "true").routes(&routes).start();
    for (authority, host) in [
        ("open.example.com", "app.example.com"),
        ("app.example.com", "open.example.com"),
        ("open.example.com", "open.example.com:81"),
    ] {
        let request = http::Request::builder()
            .uri(format!("http://{authority}/x"))
            .header("host", host)
            .header("x-api-key", KEY)
            .body(())
            .unwrap();
        // A stream that is reset is a refusal too.
        if let Ok(answer) = h2c(gate.addr, request, b"") {
            assert_eq!(answer.status, 400, "{authority} {host}");
        }
    }
    app.saw_nothing();
    let request = http::Request::builder().uri("http://open.example.com/x").header("x-api-key", KEY).body(()).unwrap();
    assert_eq!(h2c(gate.addr, request, b"").unwrap().status, 200);
    assert_eq!(app.only().header("host").as_deref(), Some("open.example.com"));
}

#[test]
fn r08_http_2_targets_are_held_to_the_same_form() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    for path in ["/open/../app/x", "/open/%2e%2e/app", "//app/x", "/open%2fx", "/open/%00", "/open/%zz"] {
        let request = h2_request(&gate, path).body(()).unwrap();
        if let Ok(answer) = h2c(gate.addr, request, b"") {
            assert_eq!(answer.status, 400, "{path}");
        }
    }
    app.saw_nothing();
}
