//! Malformed requests: each gets a documented body, and nothing else ever does.

use std::time::Duration;

use super::*;

fn json_body(body: impl AsRef<[u8]>) -> Request {
    post(LOGIN).header("Content-Type", "application/json").bearer(&machine()).body(body)
}

/// `{"email":TEXT}` where TEXT is the base64 of an address that there is, and `more` after it.
fn good(more: &str) -> String {
    format!("{{\"email\":\"dXNlckBleGFtcGxlLmNvbQ==\"{more}}}")
}

#[test]
fn bodies_without_an_email() {
    let exchange = Exchange::with_user("");
    let deep = |open: &str, close: &str, depth| good(&format!(",\"x\":{}1{}", open.repeat(depth), close.repeat(depth)));
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "{}",
        "[]",
        "null",
        "true",
        "1",
        "\"dXNlckBleGFtcGxlLmNvbQ==\"",
        "{]",
        "undefined",
        "NaN",
        r#"[{"email":"dXNlckBleGFtcGxlLmNvbQ=="}]"#,
        r#"{"email"}"#,
        r#"{"email":}"#,
        r#"{"email":null}"#,
        r#"{"email":""}"#,
        r#"{"email":1}"#,
        r#"{"email":true}"#,
        r#"{"email":["dXNlckBleGFtcGxlLmNvbQ=="]}"#,
        r#"{"email":{"$ne":""}}"#,
        r#"{"Email":"dXNlckBleGFtcGxlLmNvbQ=="}"#,
        r#"{"e-mail":"dXNlckBleGFtcGxlLmNvbQ=="}"#,
        r#"{"email ":"dXNlckBleGFtcGxlLmNvbQ=="}"#,
        r#"{"user":{"email":"dXNlckBleGFtcGxlLmNvbQ=="}}"#,
        r"{'email':'dXNlckBleGFtcGxlLmNvbQ=='}",
        r#"{email:"dXNlckBleGFtcGxlLmNvbQ=="}"#,
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ==",}"#,
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ=="} x"#,
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ=="}{}"#,
        r#"{"email":"\ud800"}"#,
        r#"{"email":"\x41"}"#,
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ==","email":"dXNlckBleGFtcGxlLmNvbQ=="}"#,
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ==","\u0065mail":""}"#,
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ==","x":1,"x":2}"#,
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ==","x":{"y":1,"y":2}}"#,
        "email=dXNlckBleGFtcGxlLmNvbQ%3D%3D",
        "{\"email\":\"dXNlckBleGFtcGxlLmNvbQ==\"",
        "{\"email\":\"a\nb\"}",
        "/**/{\"email\":\"dXNlckBleGFtcGxlLmNvbQ==\"}",
        "\u{feff}{\"email\":\"dXNlckBleGFtcGxlLmNvbQ==\"}",
        r#"{"email":"dXNlckBleGFtcGxlLmNvbQ==","x":1e999999}x"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.push(b"{\"email\":\"\xff\"}".to_vec());
    bodies.push(b"\xff\xfe{\0}\0".to_vec());
    bodies.push(vec![0; 100]);
    bodies.push(gzip_bomb(good("").as_bytes(), 1000));
    bodies.push(deep("[", "]", 10_000).into_bytes());
    bodies.push(deep("{\"y\":", "}", 5_000).into_bytes());
    bodies.push("[".repeat(60_000).into_bytes());
    for body in bodies {
        eprintln!("{}", String::from_utf8_lossy(&body[..body.len().min(120)]));
        says(&exchange.gate.send(&json_body(&body)), 400, EMAIL);
        // A token that does not count is told first, whatever the body.
        let without = post(LOGIN).header("Content-Type", "application/json").body(&body);
        says(&exchange.gate.send(&without), 401, UNAUTHORIZED);
    }
    // What else is said does not matter.
    token_of(&exchange.gate.send(&json_body(good(",\"x\":{\"y\":[1,null,\"é\"]},\"EMAIL\":1"))));
    token_of(&exchange.gate.send(&json_body(format!(" \t\r\n{}\n", good("")))));
    token_of(&exchange.gate.send(&json_body(r#"{"\u0065mail":"dXNlckBleGFtcGxlLmNvbQ\u003d="}"#)));
}

#[test]
fn content_types() {
    let exchange = Exchange::with_user("");
    let request = || post(LOGIN).bearer(&machine());
    for kind in [
        "",
        "json",
        "application",
        "application/",
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/x-json",
        "application/problem+json",
        "application/json+x",
        "application/json, text/plain",
        "application /json",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "é",
        "*/*",
    ] {
        eprintln!("{kind}");
        says(&exchange.gate.send(&request().header("Content-Type", kind).body(good(""))), 400, EMAIL);
    }
    says(&exchange.gate.send(&request().body(good(""))), 400, EMAIL);
    let two = request().header("Content-Type", "application/json").header("Content-Type", "application/json");
    says(&exchange.gate.send(&two.body(good(""))), 400, EMAIL);
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json ; charset=\"UTF-8\"",
    ] {
        token_of(&exchange.gate.send(&request().header("Content-Type", kind).body(good(""))));
    }
    token_of(&exchange.gate.send(&request().header("Content-Type", "application/json").chunks(&[good("").as_bytes()])));
}

#[test]
fn sizes() {
    let exchange = Exchange::with_user("");
    let padded = |size: usize| {
        let rest = size - good(",\"x\":\"\"").len();
        let body = good(&format!(",\"x\":\"{}\"", "x".repeat(rest)));
        assert_eq!(body.len(), size);
        body
    };
    token_of(&exchange.gate.send(&json_body(padded(64 << 10))));
    for size in [(64 << 10) + 1, 1 << 20] {
        says(&exchange.gate.send(&json_body(padded(size))), 400, EMAIL);
        let chunked = post(LOGIN).header("Content-Type", "application/json").bearer(&machine());
        says(&exchange.gate.send(&chunked.chunks(&[padded(size).as_bytes()])), 400, EMAIL);
    }
}

#[test]
fn a_body_that_does_not_come() {
    let exchange = Exchange::with_user("");
    let mut conn = exchange.gate.conn();
    let token = machine();
    conn.write(format!(
        "POST {LOGIN} HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{\"email\":"
    ));
    conn.set_read_timeout(Duration::from_secs(30));
    says(&conn.read(), 400, EMAIL);
}

/// Every way not to write base64 of an address.
#[test]
fn addresses_that_are_none() {
    let exchange = Exchange::with_user("");
    let ask = |text: &str| exchange.gate.send(&post(LOGIN).bearer(&machine()).json(&json!({"email": text})));
    for text in [
        "user@example.com",
        "dXNlckBleGFtcGxlLmNvbQ=",
        "dXNlckBleGFtcGxlLmNvbQ===",
        "dXNlckBleGFtcGxlLmNvbQ====",
        "=dXNlckBleGFtcGxlLmNvbQ=",
        "dXNlckBleGFtcGxlLmNvb",
        "dXNlckBleGFtcGxlLmNvbQ==dXNl",
        "dXNlckBleGFtcGxl=LmNvbQ==",
        "dXNlckBleGFtcGxlLmNvbR==",
        "dXNlckBleGFtcGxlLmNvbR",
        " dXNlckBleGFtcGxlLmNvbQ==",
        "dXNlckBleGFtcGxlLmNvbQ== ",
        "dXNlckBleGFtcGxlLmNvbQ==\n",
        "dXNlckBleGFtcGxl\r\nLmNvbQ==",
        "dXNlckBl eGFtcGxlLmNvbQ==",
        "dXNl_-BleGFtcGxlLmNvbQ",
        "dXNlckBleGFtcGxlLmNvbQ%3D%3D",
        "data:;base64,dXNlckBleGFtcGxlLmNvbQ==",
        "\"dXNlckBleGFtcGxlLmNvbQ==\"",
        "ZFhObGNrQmxlR0Z0Y0d4bExtTnZiUT09",
        "75736572406578616d706c652e636f6d",
        "ＤＸＮｌ",
        "é",
        "\0",
        "=",
        "==",
        "====",
        "A",
        "dXNlckBleGFtcGxlLmNvbQ\0==",
        "+ADw-",
        "~",
        ".",
    ] {
        eprintln!("{text}");
        says(&ask(text), 400, USERNAME);
    }
    says(&ask(&"A".repeat(60_000)), 400, USERNAME);
    let label = "a".repeat(63);
    for address in [
        "",
        "user",
        "@",
        "@example.com",
        "user@",
        "user@@example.com",
        "user@example.com@evil.com",
        "a b@example.com",
        "user@exa mple.com",
        " user@example.com",
        "user@example.com ",
        "user@example.com\n",
        "user@example.com\r\nBcc: x@y",
        "user@example.com\0",
        "user\0@example.com",
        "\"user\"@example.com",
        "\"a b\"@example.com",
        "user@[127.0.0.1]",
        "user@example.com.",
        "user@.example.com",
        "user@example..com",
        ".user@example.com",
        "user.@example.com",
        "us..er@example.com",
        "user@-example.com",
        "user@example-.com",
        "user@exämple.com",
        "usér@example.com",
        "user@example。com",
        "ｕｓｅｒ@example.com",
        "user@exa_mple.com",
        "User <user@example.com>",
        "<user@example.com>",
        "mailto:user@example.com",
        "user@example.com,other@example.com",
        "user@example.com;",
        "user(x)@example.com",
        "user@example.com' OR '1'='1",
        "user\u{200b}@example.com",
        "user\u{202e}@example.com",
        "user@example.com\u{feff}",
        "%",
        "user%40example.com",
        &format!("{}@example.com", "a".repeat(65)),
        &format!("a@{label}a.com"),
        &format!("a@{label}.{label}.{label}.{label}"),
    ] {
        eprintln!("{address}");
        if address.is_empty() {
            says(&ask(""), 400, EMAIL);
        } else {
            says(&ask(&STANDARD.encode(address)), 400, USERNAME);
        }
    }
    for bytes in [
        &b"\xff"[..],
        b"user@example.com\xff",
        b"\xc0\xafuser@example.com",
        b"us\xede\xa0\x80r@example.com",
        b"u\0s\0e\0r\0@\0e\0.\0c\0",
    ] {
        says(&ask(&STANDARD.encode(bytes)), 400, USERNAME);
    }
    // Padded or not, in either case of letters, it is the one user.
    for text in ["dXNlckBleGFtcGxlLmNvbQ==", "dXNlckBleGFtcGxlLmNvbQ", "VVNFUkBFWEFNUExFLkNPTQ=="] {
        token_of(&ask(text));
    }
}

#[test]
fn other_methods_and_other_paths() {
    let exchange = Exchange::with_user("");
    let token = machine();
    for (path, allowed) in
        [(LOGIN.to_owned(), "POST"), (format!("{LOGIN}/redeem"), "POST"), (CALLBACK.to_owned(), "GET")]
    {
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST", "post", "PROPFIND"] {
            if method == allowed {
                continue;
            }
            let answer = exchange
                .gate
                .send(&request(method, &path).bearer(&token).json(&json!({"email": "dXNlckBleGFtcGxlLmNvbQ=="})));
            eprintln!("{method} {path}");
            if method == "HEAD" {
                assert_eq!((answer.status, answer.body.len()), (405, 0));
            } else {
                says(&answer, 405, UNKNOWN);
            }
            assert!(answer.list("allow").contains(&allowed.to_ascii_lowercase()), "{:?}", answer.headers);
        }
    }
    for path in [
        format!("{LOGIN}/"),
        format!("{LOGIN}/x"),
        format!("{LOGIN}/redeem/"),
        format!("{LOGIN}/redeem/x"),
        format!("{LOGIN}/Redeem"),
    ] {
        eprintln!("{path}");
        says(
            &exchange.gate.send(&post(path).bearer(&token).json(&json!({"email": "dXNlckBleGFtcGxlLmNvbQ=="}))),
            400,
            UNKNOWN,
        );
    }
    token_of(
        &exchange.gate.send(&post("/api/%6cogin").bearer(&token).json(&json!({"email": "dXNlckBleGFtcGxlLmNvbQ=="}))),
    );
    token_of(&exchange.gate.send(
        &post(format!("{LOGIN}?any=thing&x")).bearer(&token).json(&json!({"email": "dXNlckBleGFtcGxlLmNvbQ=="})),
    ));
}

/// Requests that are refused before their login is known.
#[test]
fn requests_that_are_ambiguous_or_broken() {
    let exchange = Exchange::with_user("");
    let token = machine();
    for path in [LOGIN.to_owned(), format!("{LOGIN}/redeem"), CALLBACK.to_owned()] {
        let method = if path == CALLBACK { "GET" } else { "POST" };
        let plain = |query: &str| request(method, format!("{path}{query}")).bearer(&token);
        let json = |query: &str| plain(query).header("Content-Type", "application/json").body(good(""));
        for (what, request) in [
            ("a fragment", json("#x")),
            ("a fragment in the query", json("?x#y")),
            ("no host", json("").without_host()),
            ("a host that is none", json("").host("a b")),
            (
                "a length that is a list",
                plain("").header("Content-Type", "application/json").header("Content-Length", "2, 2"),
            ),
            (
                "a length and chunks",
                plain("").header("Content-Type", "application/json").header("Content-Length", "2").chunks(&[b"{}"]),
            ),
            (
                "another coding",
                plain("").header("Content-Type", "application/json").header("Transfer-Encoding", "gzip, chunked"),
            ),
            (
                "an upgrade with a body",
                json("")
                    .header("Connection", "Upgrade")
                    .header("Upgrade", "websocket")
                    .header("Sec-WebSocket-Version", "13")
                    .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ),
        ] {
            eprintln!("{path}: {what}");
            says(&exchange.gate.send(&request), 400, UNKNOWN);
        }
        // What pingora itself refuses, before it shows Tollgate a request: without a body.
        for (what, request) in [
            ("two hosts", json("").header("Host", "other")),
            ("a user in the host", json("").host("u@gate")),
            ("two lengths", json("").header("Content-Length", "2")),
            (
                "a length with a sign",
                plain("").header("Content-Type", "application/json").header("Content-Length", "+2"),
            ),
            (
                "a length beyond all numbers",
                plain("").header("Content-Type", "application/json").header("Content-Length", "99999999999999999999"),
            ),
        ] {
            eprintln!("{path}: {what}");
            let answer = exchange.gate.send(&request);
            assert_eq!((answer.status, answer.text().as_str()), (400, ""));
        }
        for (what, request) in [
            ("two keys", json(&format!("?key={KEY}")).header("X-API-Key", EXPIRED_KEY)),
            ("an expired key", json(&format!("?key={EXPIRED_KEY}"))),
            ("a disabled key", json(&format!("?key={DISABLED_KEY}"))),
        ] {
            eprintln!("{path}: {what}");
            says(&exchange.gate.send(&request), 400, UNAUTHORIZED);
        }
        says(&exchange.gate.send(&json("").origin(FOREIGN)), 403, UNAUTHORIZED);
    }
}

#[test]
fn keys_and_origins_where_the_realm_wants_them() {
    let exchange = Exchange::of("", |conf| conf.realm("require_key", "true").realm("require_origin", "true"));
    exchange.user("user");
    let mine = || login("user@example.com").bearer(&machine());
    says(&exchange.gate.send(&mine().origin(ORIGIN)), 403, UNAUTHORIZED);
    says(&exchange.gate.send(&mine().key()), 403, UNAUTHORIZED);
    says(&exchange.gate.send(&mine().key().origin(FOREIGN)), 403, UNAUTHORIZED);
    let answer = exchange.gate.send(&mine().key().origin(ORIGIN));
    token_of(&answer);
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    let preflight = request("OPTIONS", LOGIN).origin(ORIGIN).header("Access-Control-Request-Method", "POST");
    exchange.gate.send(&preflight).expect(204);
    says(&exchange.gate.send(&redeem("x").origin(ORIGIN)), 403, UNAUTHORIZED);
}

#[test]
fn bodies_of_a_redemption() {
    let exchange = Exchange::with_user("");
    let to = || post(format!("{LOGIN}/redeem")).header("Content-Type", "application/json");
    for (body, status, message) in [
        ("", 400, EMAIL),
        ("{", 400, EMAIL),
        ("[]", 400, EMAIL),
        (r#"{"token":"a","token":"a"}"#, 400, EMAIL),
        ("{}", 401, UNAUTHORIZED),
        (r#"{"token":null}"#, 401, UNAUTHORIZED),
        (r#"{"token":1}"#, 401, UNAUTHORIZED),
        (r#"{"token":""}"#, 401, UNAUTHORIZED),
        (r#"{"token":["a"]}"#, 401, UNAUTHORIZED),
        (r#"{"token":"a.b.c"}"#, 401, UNAUTHORIZED),
        (r#"{"token":".."}"#, 401, UNAUTHORIZED),
        (r#"{"token":"é"}"#, 401, UNAUTHORIZED),
    ] {
        eprintln!("{body}");
        says(&exchange.gate.send(&to().body(body)), status, message);
    }
    says(&exchange.gate.send(&to().body(" ".repeat((64 << 10) + 1))), 400, EMAIL);
    says(&exchange.gate.send(&post(format!("{LOGIN}/redeem")).body("{}")), 400, EMAIL);
    says(&exchange.redeem(&"a".repeat(9000)), 401, UNAUTHORIZED);
}
