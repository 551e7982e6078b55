//! Whatever a request says of its own connection, the application sees the same, and so does the client.

use crate::harness::*;

/// Says something about the connection that has no effect.
const NO_EFFECT: (&str, &str) = ("Proxy-Connection", "keep-alive");

/// What came, but for what is new with every request, or of one connection only.
fn without_ids(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
    headers.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date" | "te" | "connection"));
    headers.sort();
    headers
}

#[test]
fn an_app_sees_the_same_of_a_request() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let plain = get(format!("/app/a%20b?x=1&key={KEY}&y=%2f")).bearer(&token);
    for request in [
        plain.clone().key(),
        request("HEAD", "/open/x").key(),
        get("/open/x?masterKey=1&key=").key().header("Cookie", "a=b; other=c").header("Cookie", "d=e"),
        plain.clone().key().header("Connection", "keep-alive"),
        plain.clone().key().header("Connection", "close"),
        plain.clone().key().header("connection", "Keep-Alive"),
        plain.clone().key().header("X_Auth_Subject", "root").header("X-Forwarded-For", "1.2.3.4"),
        plain.clone().key().header("traceparent", "nonsense").header("tracestate", "a=b"),
        plain.key().header("Accept", "a").header("accept", "b").header("X-Own", "caf\u{e9}"),
    ] {
        app.forget();
        gate.send(&request).expect(200);
        gate.send(&request.clone().header(NO_EFFECT.0, NO_EFFECT.1)).expect(200);
        let seen = app.seen();
        let [plain, other] = &seen[..] else { panic!("{} requests", seen.len()) };
        assert_eq!((plain.line(), plain.body()), (other.line(), other.body()));
        assert_eq!(without_ids(plain.headers()), without_ids(other.headers()));
        for name in ["connection", "proxy-connection", "x-api-key", "authorization", "te", "transfer-encoding"] {
            assert_eq!(plain.header(name), None, "{name}");
        }
        assert_eq!(plain.all("host").len(), 1);
    }
}

#[test]
fn what_a_connection_header_names_is_taken_out() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let named = get("/open/x").key().header("Connection", "keep-alive, X-Mine").header("X-Mine", "1");
    gate.send(&named).expect(200);
    assert_eq!(app.only().header("x-mine"), None, "RFC 9110, 7.6.1");
    app.forget();
    for unfit in ["a b", "\"X-Mine\"", "a, b, c, d, e, f, g, h, i, j"] {
        gate.send(&get("/open/x").key().header("Connection", unfit)).refused(400, "header_invalid");
    }
    app.saw_nothing();
}

#[test]
fn an_app_is_told_that_trailers_are_passed_on() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    gate.send(&get("/open/x").key().header("TE", "gzip, Trailers").header("X-Mine", "1")).expect(200);
    let seen = app.only();
    assert_eq!((seen.header("te").as_deref(), seen.header("connection").as_deref()), (Some("trailers"), Some("TE")));
    assert_eq!(seen.header("x-mine").as_deref(), Some("1"));
}

#[test]
fn a_client_sees_the_same_of_an_answer() {
    let app = App::start();
    let gate = Conf::new(&app).route("retries", "0").start();
    for manner in [
        "fixed",
        "chunked",
        "cors",
        "big-200000",
        "until-close",
        "status-204",
        "status-304",
        "status-500",
        "x",
        "partial",
        "reset-body",
        "no-http",
        "close",
        "reset",
        "ws",
    ] {
        for method in ["GET", "HEAD"] {
            let request = request(method, format!("/open/{manner}")).key().origin(ORIGIN);
            let answers = [request.clone(), request.header(NO_EFFECT.0, NO_EFFECT.1)].map(|request| {
                let mut conn = gate.conn();
                let answer = conn.try_ask(&request);
                // Whether it goes on: where an answer broke off, nothing may follow.
                let next = answer.is_ok() && conn.try_ask(&get("/open/fixed").key()).is_ok();
                answer.map(|answer| (answer.status, without_ids(answer.headers), answer.body, next)).map_err(|_| ())
            });
            let [direct, long] = answers;
            match (direct, long) {
                // The application tells which connection and which headers it saw.
                (Ok(direct), Ok(long)) if manner == "x" => assert_eq!((direct.0, direct.3), (long.0, long.3)),
                (direct, long) => assert_eq!(direct, long, "{method} {manner}"),
            }
        }
    }
}

/// A GET over HTTP/2, and the same that takes trailers.
fn over_http2(gate: &Gate, path: &str, token: &str) -> [http::Request<()>; 2] {
    let request = || {
        http::Request::get(format!("http://{}{path}", gate.addr))
            .header("x-api-key", KEY)
            .header("authorization", format!("Bearer {token}"))
            .header("cookie", "a=b")
            .header("cookie", "c=d")
            .header("x_auth_subject", "root")
    };
    [request(), request().header("te", "trailers")].map(|request| request.body(()).unwrap())
}

#[test]
fn over_http2_an_app_sees_the_same_of_a_request() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").start();
    let token = gate.user("alice");
    for request in over_http2(&gate, &format!("/app/a%20b?x=1&key={KEY}&y=%2f"), &token) {
        assert_eq!(h2c(gate.addr, request, b"").unwrap().status, 200);
    }
    // Neither has a body, but only the first says so with its head.
    let [plain, _] = over_http2(&gate, "/app/later", &token);
    assert_eq!(h2c(gate.addr, plain, b"body").unwrap().status, 200);
    gate.send(&get(format!("/app/a%20b?x=1&key={KEY}&y=%2f")).key().bearer(&token).header("Cookie", "a=b; c=d"))
        .expect(200);
    let seen = app.seen();
    let [direct, long, with_body, over_http1] = &seen[..] else { panic!("{} requests", seen.len()) };
    for other in [long, over_http1] {
        assert_eq!((direct.line(), direct.body()), (other.line(), other.body()));
        assert_eq!(without_ids(direct.headers()), without_ids(other.headers()));
    }
    assert_eq!(direct.line(), "GET /app/a%20b?x=1&y=%2f HTTP/1.1");
    assert_eq!((with_body.target(), &with_body.body()[..]), ("/app/later".into(), &b"body"[..]));
}

#[test]
fn over_http2_a_client_sees_the_same_of_an_answer() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").route("retries", "0").start();
    for manner in ["fixed", "chunked", "cors", "big-200000", "until-close", "status-204", "status-304", "status-500"] {
        let [direct, long] = over_http2(&gate, &format!("/open/{manner}"), "").map(|request| {
            let answer = h2c(gate.addr, request, b"").unwrap();
            let mut headers: Vec<_> =
                answer.headers.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
            headers.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
            (answer.status, headers, answer.body)
        });
        assert_eq!(direct, long, "{manner}");
    }
    for manner in ["partial", "reset-body", "no-http", "close", "reset", "ws"] {
        let answers = over_http2(&gate, &format!("/open/{manner}"), "")
            .map(|request| h2c(gate.addr, request, b"").map(|answer| (answer.status, answer.body)).map_err(|_| ()));
        assert_eq!(answers[0], answers[1], "{manner}");
        assert!(
            answers[0].as_ref().is_ok_and(|(status, _)| *status == 502)
                || manner.contains("partial")
                || manner == "reset-body"
        );
    }
}

#[test]
fn kept_connections_are_used_again_and_closed_in_time() {
    let app = App::start();
    let gate = Conf::new(&app).route("idle_timeout", "\"1s\"").start();
    for _ in 0..5 {
        gate.send(&get("/open/fixed").key()).expect(200);
    }
    assert_eq!(app.connections(), 1);
    until_true(PATIENCE, "it is closed", || app.ended() == 1);
    gate.send(&get("/open/fixed").key()).expect(200);
    assert_eq!(app.connections(), 2);
}
