//! Whatever comes: a 4xx as Cognito writes it, and never a 5xx.

use serde_json::{Value, json};

use super::*;

/// The endpoints that read a body, with one that is good but for what it says.
fn endpoints() -> [(&'static str, Value); 3] {
    [
        ("/Login", json!({"UserName": "alice", "TenantName": TENANT, "Password": PASSWORD})),
        (
            "/Login/Challenge",
            json!({
                "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "x",
                "ChallengeResponses": {"NEW_PASSWORD": "a new password"},
            }),
        ),
        ("/Login/Refresh", json!({"RefreshToken": "x"})),
    ]
}

const ALL: [&str; 4] = ["/Login", "/Login/Challenge", "/Login/Refresh", "/Logout"];

fn bad(gate: &Gate, what: &str, request: &Request) -> Response {
    let answer = gate.send(request);
    assert_eq!((answer.status, answer.json()["__type"].as_str()), (400, Some("InvalidParameterException")), "{what}");
    refused(answer, 400, "InvalidParameterException")
}

#[test]
fn every_member_has_to_be_there_and_of_its_type() {
    let (app, gate) = gate();
    gate.register("alice");
    let values = || [json!(null), json!(true), json!(1), json!(1.5), json!(1e300), json!([]), json!(["x"]), json!("")];
    for (path, good) in endpoints() {
        for name in members(&good) {
            let without = edited(good.clone(), &json!({name: null}));
            bad(&gate, &format!("{path} without {name}"), &post(path).json(&without));
            let other_case = edited(without.clone(), &json!({name.to_lowercase(): good[name]}));
            bad(&gate, &format!("{path} with {name} in lower case"), &post(path).json(&other_case));
            for value in values().into_iter().chain([json!({}), json!({"a": "b"}), json!("x")]) {
                // Text is what most of them are, and an object is what one of them is.
                if value.is_object() == good[name].is_object() && (value.is_object() || value == json!("x")) {
                    continue;
                }
                let mut body = good.clone();
                body[name] = value.clone();
                bad(&gate, &format!("{path} with {name} = {value}"), &post(path).json(&body));
            }
        }
    }
    for challenge in ["NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA"] {
        let answers = if challenge == "SOFTWARE_TOKEN_MFA" { "SOFTWARE_TOKEN_MFA_CODE" } else { "NEW_PASSWORD" };
        bad(&gate, challenge, &respond(challenge, "x", &json!({})));
        bad(&gate, challenge, &respond(challenge, "x", &json!({"USERNAME": "alice"})));
        for value in values().into_iter().chain([json!({}), json!({"a": "b"})]) {
            let request = respond(challenge, "x", &json!({answers: value}));
            bad(&gate, &format!("{answers} = {value}"), &request);
        }
    }
    for challenge in ["SMS_MFA", "PASSWORD_VERIFIER", "new_password_required", "x", "NEW_PASSWORD_REQUIRED "] {
        let answers = json!({"NEW_PASSWORD": "a new password", "SOFTWARE_TOKEN_MFA_CODE": "123456"});
        bad(&gate, challenge, &respond(challenge, "x", &answers));
    }
    app.saw_nothing();
    gate.tokens("alice");
}

#[test]
fn a_body_has_to_be_one_object() {
    let (_app, gate) = gate();
    gate.register("alice");
    for (path, good) in endpoints() {
        let good = good.to_string();
        let inner = good.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
        let (first, _) = inner.split_once(':').unwrap();
        let deep = format!("{{{inner},\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        let open = format!("{{{inner},\"a\":{}", "[".repeat(60_000));
        for body in [
            "",
            " ",
            "null",
            "[]",
            "1",
            "true",
            "\"x\"",
            "{",
            "}",
            "{}{}",
            "{'a':1}",
            "a=b&c=d",
            "\u{feff}{}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            &format!("[{good}]"),
            &format!("{good}x"),
            &format!("{good}{good}"),
            &good[..good.len() - 1],
            &format!("{{{inner},}}"),
            &format!("{{{inner},{inner}}}"),
            &format!("{{{inner},{first}:\"x\"}}"),
            &format!("{{{inner},\"a\":{{\"b\":1,\"b\":2}}}}"),
            &format!("{{{inner},\"\\u0061\":1,\"a\":2}}"),
            &deep,
            &open,
        ] {
            let request = post(path).header("Content-Type", "application/json").body(body);
            bad(&gate, &format!("{path}: {}", body.chars().take(80).collect::<String>()), &request);
        }
        for bytes in [&b"\xff\xfe"[..], b"{\"a\":\"\xff\"}", b"\0"] {
            bad(&gate, path, &post(path).header("Content-Type", "application/json").body(bytes));
        }
    }
    gate.tokens("alice");
}

#[test]
fn a_body_has_to_say_that_it_is_json() {
    let (_app, gate) = gate();
    gate.register("alice");
    for (path, good) in endpoints() {
        let body = good.to_string();
        for content_type in [
            "text/plain",
            "application/jsonx",
            "application/x-amz-json-1.1",
            "application/x-www-form-urlencoded",
            "json",
            "",
            "*/*",
            "application/json, text/plain",
        ] {
            bad(&gate, content_type, &post(path).header("Content-Type", content_type).body(&body));
        }
        bad(&gate, "none", &post(path).body(&body));
        let twice = post(path).header("Content-Type", "application/json").header("Content-Type", "application/json");
        bad(&gate, "two", &twice.body(&body));
    }
    let body = endpoints()[0].1.to_string();
    for content_type in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=y"] {
        Tokens::of(gate.send(&post("/Login").header("Content-Type", content_type).body(&body)));
    }
    let chunked = post("/Login").header("Content-Type", "application/json");
    Tokens::of(gate.send(&chunked.chunks(&[&body.as_bytes()[..7], &body.as_bytes()[7..]])));
}

#[test]
fn a_body_has_64_kib_and_no_more() {
    let (_app, gate) = gate();
    gate.register("alice");
    for path in ALL {
        let good =
            endpoints().into_iter().find(|(other, _)| *other == path).map_or_else(|| json!({}), |(_, good)| good);
        let sized = |size: usize| {
            let mut body = good.clone();
            body["x"] = "".into();
            let rest = size - body.to_string().len();
            body["x"] = "y".repeat(rest).into();
            body.to_string()
        };
        let (most, more) = (sized(64 << 10), sized((64 << 10) + 1));
        let json = || post(path).header("Content-Type", "application/json");
        refused(gate.send(&json().body(&more)), 413, "InvalidParameterException");
        let (one, two) = more.as_bytes().split_at(1000);
        refused(gate.send(&json().chunks(&[one, two])), 413, "InvalidParameterException");
        let status = gate.send(&json().body(&most)).status;
        assert_eq!(status, if matches!(path, "/Login" | "/Logout") { 200 } else { 401 }, "{path}");
        // Announced and never sent.
        let mut conn = gate.conn();
        conn.write(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
        ));
        refused(conn.read(), 413, "InvalidParameterException");
    }
}

#[test]
fn other_methods_are_told_which_there_is() {
    let (app, gate) = gate();
    for path in ALL {
        for method in ["GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PURGE"] {
            let body = json!({"UserName": "alice", "TenantName": TENANT, "Password": PASSWORD});
            let answer = refused(gate.send(&request(method, path).json(&body)), 405, "InvalidParameterException");
            assert_eq!(answer.header("allow"), Some("POST, OPTIONS"), "{method} {path}");
        }
        let head = gate.send(&request("HEAD", path)).expect(405);
        assert!(head.body.is_empty() && head.header("allow") == Some("POST, OPTIONS"));
    }
    app.saw_nothing();
}

#[test]
fn there_is_nothing_else_below_the_login() {
    let (app, gate) = gate();
    for path in ["/Login/", "/Login/x", "/login/Logout", "/Login/Refresh/", "/Login/Refresh/x", "/LOGIN/Challenge/x/y"]
    {
        for method in ["POST", "GET", "DELETE"] {
            let answer = gate.send(&request(method, path).json(&json!({})));
            refused(answer, 400, "UnknownOperationException");
        }
    }
    app.saw_nothing();
}

#[test]
fn a_query_says_nothing_and_a_broken_one_is_a_bad_request() {
    let (_app, gate) = gate();
    gate.register("alice");
    let body = endpoints()[0].1.clone();
    for query in [
        "?",
        "?x=y",
        "?x=%zz",
        "?x=%ff",
        "?login=true",
        "?logout=true&login=true",
        "?dataOnly=false",
        "?masterKey=x",
        "?UserName=bob",
    ] {
        let tokens = Tokens::of(gate.send(&post(format!("/Login{query}")).json(&body)));
        assert_eq!(claims(&tokens.access)["username"], "alice");
    }
    for path in ALL {
        // A key of the realm that counts no more; another value is the client's own where no key is needed.
        let query = format!("?key={EXPIRED_KEY}");
        let answer = gate.send(&post(format!("{path}{query}")).json(&body));
        let what = format!("{path}{query}: {}", answer.text());
        assert_eq!(
            (answer.status, answer.json()["__type"].as_str()),
            (400, Some("InvalidParameterException")),
            "{what}"
        );
        let two = post(format!("{path}?key={KEY}")).header("X-API-Key", EXPIRED_KEY).json(&body);
        refused(gate.send(&two), 400, "InvalidParameterException");
    }
}

#[test]
fn names_that_nobody_can_have_are_nobodys() {
    let (_app, gate) = gate();
    gate.register("alice");
    let long = "x".repeat(60_000);
    for (at, name) in [
        " alice",
        "alice ",
        "a\u{0}lice",
        "alice\n",
        "a\u{202e}",
        "' OR 1=1 --",
        "%",
        "alice\u{200b}",
        "@",
        "a@b@c",
        &long,
    ]
    .iter()
    .enumerate()
    {
        let mut conn = Conn::open_from(std::net::Ipv4Addr::new(127, 0, 4, u8::try_from(at).unwrap() + 1), gate.addr);
        for request in [log_in(name), log_in_at(name, "alice", PASSWORD), log_in_at(TENANT, "alice", name)] {
            refused(conn.ask(&request), 401, "NotAuthorizedException");
        }
        // Forgets the failures of the last kind.
        gate.tokens("alice");
    }
}

/// Clients that go away or dawdle with a body leave nothing behind.
#[test]
fn a_body_that_breaks_off_is_no_login() {
    let (_app, gate) = gate();
    gate.register("alice");
    let bytes = log_in("alice").bytes("a");
    for cut in [1, 20, 60] {
        let mut conn = gate.conn();
        conn.write(&bytes[..bytes.len() - cut]);
        conn.finish_writing();
        if let Ok(answer) = conn.try_read(false) {
            assert!((400..500).contains(&answer.status), "{}", answer.text());
        }
    }
    let sessions = gate.sql("SELECT count(*) FROM sessions", &json!([]));
    assert_eq!(sessions, json!([[0]]));
    gate.tokens("alice");
}
