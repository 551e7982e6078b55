//! Responses of applications, whose framing is written anew for each client.

use std::time::Duration;

use crate::harness::*;

/// A gate that speaks HTTP/2, too, before this app.
fn gate(app: &RawApp) -> Gate {
    Conf::with_upstream(&app.upstream()).server("h2c", "true").route("retries", "0").start()
}

/// All that a client gets for this, until its connection ends; and whether it ended in good order.
fn ask(gate: &Gate, request: &str) -> (String, bool) {
    let mut conn = gate.conn();
    conn.write(request);
    let (mut all, mut byte) = (Vec::new(), conn.try_read_exactly(1));
    while let Ok(one) = &byte {
        all.extend(one);
        byte = conn.try_read_exactly(1);
    }
    let ended = byte.is_err_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof);
    (String::from_utf8_lossy(&all).into_owned(), ended)
}

/// A request for a public route, whose connection ends with the response.
fn last(method: &str, version: &str) -> String {
    format!("{method} /open/x HTTP/{version}\r\nHost: app.example.com\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n")
}

fn over_http2(gate: &Gate, method: &str) -> Result<H2Answer, h2::Error> {
    let request = http::Request::builder().method(method).uri(format!("http://{}/open/x", gate.addr));
    h2c(gate.addr, request.header("x-api-key", KEY).body(()).unwrap(), b"")
}

/// What a client gets: the lines of the head that concern the framing, in lower case, and the rest.
fn framed(answer: &str) -> (Vec<String>, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<_> = head.to_ascii_lowercase().lines().skip(1).map(str::to_owned).collect();
    lines.retain(|line| {
        line.starts_with("content-length:") || line.starts_with("transfer-encoding:") || line.starts_with("trailer:")
    });
    (lines, body)
}

#[test]
fn r56_an_ambiguous_answer_is_502_and_its_connection_is_not_used_again() {
    for head in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: five",
        "Content-Length: +5",
        "Content-Length:",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : identity",
    ] {
        let app = RawApp::saying(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
        let gate = gate(&app);
        for (times, method) in ["GET", "POST", "HEAD"].into_iter().enumerate() {
            let answer = gate.send(&request(method, "/open/x").key().header("Content-Length", "0"));
            assert_eq!(answer.status, 502, "{head:?}: {answer:?}");
            if method != "HEAD" {
                answer.refused(502, "upstream_framing");
            }
            assert_eq!(app.connections(), times + 1, "{head:?}");
        }
        let answer = over_http2(&gate, "GET").unwrap();
        assert!(String::from_utf8_lossy(&answer.body).contains("upstream_framing"), "{head:?}");
        let (answer, ended) = ask(&gate, &last("GET", "1.0"));
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("upstream_framing") && ended, "{answer}");
        until_true(PATIENCE, "the app's connections are closed", || app.ended() == 5);
        gate.says("upstream_framing");
    }
    let app = RawApp::saying("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    gate(&app).send(&get("/open/x").key()).refused(502, "upstream_framing");
}

#[test]
fn an_answer_is_framed_for_its_client() {
    const CHUNKED: &str = "transfer-encoding: chunked";
    const LENGTH: &str = "content-length: 5";
    let hello = "5\r\nhello\r\n0\r\n\r\n";
    for (answer, over_11, over_10) in [
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            (CHUNKED, hello),
            ("", "hello"),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n000\r\n\r\n",
            (CHUNKED, hello),
            ("", "hello"),
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 005\r\n\r\nhello", (LENGTH, "hello"), (LENGTH, "hello")),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", (LENGTH, "hello"), (LENGTH, "hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", (LENGTH, "hello"), (LENGTH, "hello")),
        ("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", (LENGTH, "hello"), (LENGTH, "hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello", (LENGTH, "hello"), (LENGTH, "hello")),
        ("HTTP/1.1 200 OK\r\nX: a\r\n  b\r\nContent-Length: 5\r\n\r\nhello", (LENGTH, "hello"), (LENGTH, "hello")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ("content-length: 0", ""), ("content-length: 0", "")),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ("", ""), ("", "")),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", ("", ""), ("", "")),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ("", ""), ("", "")),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (LENGTH, ""), (LENGTH, "")),
        ("HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", ("", ""), ("", "")),
    ] {
        let app = RawApp::saying(answer);
        let gate = gate(&app);
        for (version, expected) in [("1.1", over_11), ("1.0", over_10)] {
            let (got, ended) = ask(&gate, &last("GET", version));
            let got = got.strip_prefix("HTTP/1.1 103 Early Hints\r\n\r\n").unwrap_or(&got);
            assert!(got.starts_with("HTTP/1.1 ") && ended, "the gate's own version: {got}");
            let (lines, body) = framed(got);
            assert_eq!((lines.join(", ").as_str(), body), expected, "{answer:?} over HTTP/{version}");
        }
        let got = over_http2(&gate, "GET").unwrap();
        assert_eq!(String::from_utf8_lossy(&got.body), over_10.1, "{answer:?} over HTTP/2");
        assert!(!got.headers.contains_key("transfer-encoding") && !got.headers.contains_key("connection"));
        // The length is that of GET, or not there (RFC 9110, 8.6).
        let (got, _) = ask(&gate, &last("HEAD", "1.1"));
        let got = got.strip_prefix("HTTP/1.1 103 Early Hints\r\n\r\n").unwrap_or(&got);
        let (lines, body) = framed(got);
        assert_eq!(
            (lines.join(", ").replace(CHUNKED, "").as_str(), body),
            (over_11.0.replace(CHUNKED, "").as_str(), ""),
            "{answer:?}"
        );
        assert!(!got.contains("chunked"), "{got}");
        over_http2(&gate, "HEAD").unwrap();
    }
}

#[test]
fn an_answer_until_the_end_of_the_connection_is_framed_too() {
    for version in ["1.1", "1.0"] {
        let app = RawApp::saying_once(format!("HTTP/{version} 200 OK\r\nConnection: close\r\n\r\nhello"));
        let gate = gate(&app);
        let (got, _) = ask(&gate, &last("GET", "1.1"));
        assert_eq!(framed(&got), (vec!["transfer-encoding: chunked".to_owned()], "5\r\nhello\r\n0\r\n\r\n"));
        let (got, ended) = ask(&gate, &last("GET", "1.0").replace("close", "keep-alive"));
        assert_eq!((framed(&got), ended), ((vec![], "hello"), true));
        assert!(got.to_ascii_lowercase().contains("connection: close"), "{got}");
        assert_eq!(over_http2(&gate, "GET").unwrap().body, b"hello");
    }
}

#[test]
fn fields_of_the_apps_connection_reach_no_client() {
    let app = RawApp::saying(
        "HTTP/1.0 200 As You Wish\r\nConnection: keep-alive, X-Internal\r\nX-Internal: 1\r\nKeep-Alive: timeout=300\r\n\
         Upgrade: h2,h2c\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X-Sum\r\nX-Other: 1\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    let gate = gate(&app);
    for version in ["1.1", "1.0"] {
        let (got, _) = ask(&gate, &last("GET", version));
        assert!(got.starts_with("HTTP/1.1 200 As You Wish\r\n"), "{got}");
        let got = got.to_ascii_lowercase();
        for name in ["x-internal:", "keep-alive", "upgrade:", "proxy-connection:", "te:", "trailer:"] {
            assert!(!got.contains(&format!("\n{name}")), "{name} {got}");
        }
        assert!(got.contains("\nx-other: 1\r") && got.contains("\nconnection: close\r"), "{got}");
    }
    let got = over_http2(&gate, "GET").unwrap().headers;
    for name in ["x-internal", "keep-alive", "upgrade", "proxy-connection", "te", "trailer", "connection"] {
        assert!(!got.contains_key(name), "{name}");
    }
    assert_eq!(app.connections(), 1, "it says that it keeps its connection");
}

#[test]
fn an_answer_that_breaks_off_looks_like_none_that_is_whole() {
    for (answer, at_most) in [
        ("Content-Length: 10\r\n\r\nhello", "hello"),
        ("Transfer-Encoding: chunked\r\n\r\n", ""),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n", "5\r\nhello\r\n"),
        // And one with malformed chunks.
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", ""),
    ] {
        let app = RawApp::saying_once(format!("HTTP/1.1 200 OK\r\n{answer}"));
        let gate = gate(&app);
        let (got, _) = ask(&gate, &last("GET", "1.1"));
        if got.starts_with("HTTP/1.1 200 ") {
            let (lines, body) = framed(&got);
            assert!(at_most.starts_with(body), "{answer:?}: {body:?}");
            assert!(
                lines == ["content-length: 10"] || lines == ["transfer-encoding: chunked"],
                "{answer:?}: {lines:?}"
            );
        } else {
            assert!(got.is_empty() || got.starts_with("HTTP/1.1 502 "), "{answer:?}: {got}");
        }
        match over_http2(&gate, "GET") {
            Err(error) => assert!(error.is_reset(), "{answer:?}: {error}"),
            Ok(got) => assert_eq!(got.status, 502, "{answer:?}"),
        }
        gate.says("forwarding failed");
    }
}

#[test]
fn nothing_behind_an_answer_is_the_next_one() {
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 299 Evil\r\nContent-Length: 0\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 299 Evil\r\nContent-Length: 0\r\n\r\n",
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\nHTTP/1.1 299 Evil\r\nContent-Length: 0\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 41\r\n\r\nHTTP/1.1 299 Evil\r\nContent-Length: 0\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 41\r\n\r\nHTTP/1.1 299 Evil\r\nContent-Length: 0\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let app = RawApp::saying(answer);
        let gate = gate(&app);
        for number in 1..=3 {
            let answer = gate.send(&request(method, "/open/x").key());
            assert!(matches!(answer.status, 200 | 204 | 304), "{answer:?}");
            until_true(PATIENCE, "the app's connection is closed", || app.ended() == number);
            assert_eq!(app.connections(), number);
        }
    }
    // What comes later, on a connection that was to be used again.
    let app = RawApp::start(|connection| {
        while let Some(head) = connection.request()? {
            connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            if !head.starts_with("HEAD") {
                connection.write("0\r\n\r\n")?;
            }
        }
        Ok(())
    });
    let gate = gate(&app);
    gate.send(&get("/open/x").key()).expect(200);
    gate.send(&get("/open/x").key()).expect(200);
    assert_eq!(app.connections(), 1);
    gate.send(&request("HEAD", "/open/x").key()).expect(200);
    until_true(PATIENCE, "chunks may follow", || app.ended() == 1);
}

#[test]
fn interim_answers_pass_to_whoever_knows_them() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n";
    let app = RawApp::saying(format!(
        "{hints}HTTP/1.1 102 Processing\r\n\r\n{hints}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    ));
    let gate = gate(&app);
    let (got, _) = ask(&gate, &last("GET", "1.1"));
    let passed = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
    let parts: Vec<_> = got.split_inclusive("\r\n\r\n").collect();
    assert_eq!(
        parts[..3].iter().map(|part| part.to_ascii_lowercase()).collect::<Vec<_>>(),
        [passed.to_ascii_lowercase(), "http/1.1 102 processing\r\n\r\n".into(), passed.to_ascii_lowercase()],
        "{got}"
    );
    assert!(parts[3].starts_with("HTTP/1.1 200 OK\r\n") && parts[4] == "hello", "{got}");
    let (got, _) = ask(&gate, &last("GET", "1.0"));
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("\r\n\r\nhello"), "RFC 9110, 15.2: {got}");
    let got = over_http2(&gate, "GET").unwrap();
    assert_eq!((got.status, &got.body[..]), (200, &b"hello"[..]));
    assert_eq!(got.interim.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [103, 102, 103]);
    assert_eq!(got.interim[0].1["link"], "</a.css>; rel=preload");
    assert_eq!(got.interim[0].1.len(), 1, "{:?}", got.interim);
    assert_eq!(app.connections(), 1);
    // As many as there may be, and a body where there is none.
    for answer in [
        hints.repeat(1000),
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n".to_owned(),
    ] {
        let app = RawApp::saying(answer);
        let gate = self::gate(&app);
        let (got, _) = ask(&gate, &last("GET", "1.0"));
        assert!(got.starts_with("HTTP/1.1 502 ") && got.contains("upstream_failed"), "{got}");
    }
}

#[test]
fn a_client_that_waits_to_be_told_so_is_told_to_go_on() {
    let app = RawApp::start(|connection| {
        while connection.head()?.is_some() {
            connection.write("HTTP/1.1 100 Continue\r\n\r\n")?;
            assert_eq!(connection.take(4)?, b"body");
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let gate = gate(&app);
    let mut conn = gate.conn();
    conn.write(format!(
        "POST /open/x HTTP/1.1\r\nHost: app.example.com\r\nX-API-Key: {KEY}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    ));
    assert_eq!(conn.read_exactly(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    conn.write("body");
    conn.read_head().expect(200);
    // HTTP/1.0 has no way to be told.
    let (got, _) = ask(
        &gate,
        &format!(
            "POST /open/x HTTP/1.0\r\nHost: app.example.com\r\nX-API-Key: {KEY}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
        ),
    );
    assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
    assert!(!app.heads()[1].1.to_ascii_lowercase().contains("expect"), "{:?}", app.heads());
}

#[test]
fn trailers_pass_where_they_can() {
    let app = RawApp::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Server-Timing\r\n\r\n5\r\nhello\r\n0\r\n\
         X-Sum: 12\r\nServer-Timing: db;dur=5\r\nSet-Cookie: evil=1\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n",
    );
    let gate = gate(&app);
    let (got, _) = ask(&gate, &last("GET", "1.1"));
    let (lines, body) = framed(&got);
    assert_eq!(lines, ["trailer: x-sum, server-timing", "transfer-encoding: chunked"]);
    assert_eq!(body, "5\r\nhello\r\n0\r\nx-sum: 12\r\nserver-timing: db;dur=5\r\n\r\n");
    let (got, _) = ask(&gate, &last("GET", "1.0"));
    assert_eq!(framed(&got), (vec![], "hello"));
    let got = over_http2(&gate, "GET").unwrap();
    assert_eq!(got.headers["trailer"], "X-Sum, Server-Timing");
    assert_eq!(got.body, b"hello");
    let trailers = got.trailers.expect("trailers");
    assert!(
        trailers["x-sum"] == "12" && trailers["server-timing"] == "db;dur=5" && trailers.len() == 2,
        "{trailers:?}"
    );
    assert_eq!(app.connections(), 1);
    // On a connection that goes on.
    let mut conn = gate.conn();
    for _ in 0..3 {
        assert_eq!(conn.ask(&get("/open/x").key()).expect(200).body, b"hello");
    }
    // A long trailer, which leaves in pieces.
    let app = RawApp::saying(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Long: {}\r\n\r\n",
        "x".repeat(30_000)
    ));
    let gate = self::gate(&app);
    let (got, _) = ask(&gate, &last("GET", "1.1"));
    assert!(got.ends_with(&format!("\r\n\r\n0\r\nx-long: {}\r\n\r\n", "x".repeat(30_000))), "{}", got.len());
}

#[test]
fn an_app_may_answer_before_it_has_the_whole_request() {
    let app = RawApp::start(|connection| {
        while connection.head()?.is_some() {
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")?;
            assert_eq!(connection.take(10)?, b"first-last");
        }
        Ok(())
    });
    let gate = gate(&app);
    let mut conn = gate.conn();
    conn.write(format!(
        "POST /open/x HTTP/1.1\r\nHost: a.example\r\nX-API-Key: {KEY}\r\nContent-Length: 10\r\n\r\nfirst-"
    ));
    let answer = conn.read().expect(200);
    assert_eq!((answer.body.as_slice(), answer.header("connection")), (&b"hello"[..], Some("close")));
    conn.write("last");
    assert!(conn.closes_within(PATIENCE));
    gate.send(&get("/open/y").key()).expect(200);
}

#[test]
fn a_stream_of_events_may_be_silent_for_as_long_as_a_tunnel() {
    let app = RawApp::start(|connection| {
        while let Some(head) = connection.request()? {
            let kind = if head.contains("/events") { "text/event-stream; charset=utf-8" } else { "text/plain" };
            connection.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
            ))?;
            std::thread::sleep(Duration::from_millis(2000));
            connection.write("1\r\nb\r\n0\r\n\r\n")?;
        }
        Ok(())
    });
    let conf = Conf::with_upstream(&app.upstream()).server("h2c", "true").route("retries", "0");
    let gate = conf.route("read_timeout", "\"1s\"").route("tunnel_timeout", "\"1h\"").start();
    for method in ["GET", "POST"] {
        let events = request(method, "/open/events").key().header("Content-Length", "0");
        assert_eq!(gate.send(&events).expect(200).body, b"ab", "{method}");
        let other = request(method, "/open/other").key().header("Content-Length", "0");
        other.try_send(gate.addr).expect_err("it broke off");
    }
}
