//! Connections to applications that NTLM or Negotiate authenticates: they are one client's.

use std::time::Duration;

use crate::harness::*;

/// Authenticates connections, as Windows does: after the third message the connection is alice's for good.
fn app() -> RawApp {
    RawApp::start(|connection| {
        let own = format!("NTLM message-3-for-{}", connection.number);
        let (mut asked, mut known) = (false, false);
        while let Some(head) = connection.request()? {
            let shown = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
            known |= asked && shown == own;
            asked = shown == "NTLM message-1";
            let (status, more, body) = match (known, asked) {
                (true, _) => ("200 OK", String::new(), format!("alice on {}", connection.number)),
                (false, true) => {
                    let challenge = format!("WWW-Authenticate: NTLM message-2-of-{}\r\n", connection.number);
                    ("401 Unauthorized", challenge, connection.number.to_string())
                }
                (false, false) => {
                    let schemes = "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: Basic realm=\"a\", NTLM\r\n";
                    ("401 Unauthorized", schemes.to_owned(), connection.number.to_string())
                }
            };
            let length = body.len();
            connection.write(format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n{body}"))?;
        }
        Ok(())
    })
}

fn conf(app: &RawApp) -> Conf {
    let route = "[[route]]\npath = \"/open\"\nrealm = \"examples\"\naccess = \"public\"\nforward_token = true\n";
    let route = format!("{route}upstream = {}\n", app.upstream());
    Conf::with_upstream(&app.upstream()).server("h2c", "true").routes(&route)
}

fn shown(message: &str) -> Request {
    get("/open/x").key().header("Authorization", format!("NTLM {message}"))
}

/// Becomes alice on this connection. Returns the number of the application's.
fn authenticate(conn: &mut Conn) -> String {
    let first = conn.ask(&get("/open/x").key()).expect(401);
    assert_eq!(first.all("www-authenticate"), ["Negotiate", "Basic realm=\"a\", NTLM"]);
    let second = conn.ask(&shown("message-1")).expect(401);
    let number = second.text();
    assert_eq!(second.header("www-authenticate"), Some(format!("NTLM message-2-of-{number}").as_str()));
    assert_eq!(number, first.text(), "one connection to the app");
    let third = conn.ask(&shown(&format!("message-3-for-{number}"))).expect(200);
    assert_eq!(third.text(), format!("alice on {number}"));
    number
}

#[test]
fn r57_a_connection_that_is_authenticated_is_its_clients_only() {
    let app = app();
    let gate = conf(&app).start();
    let mut alice = gate.conn();
    let number = authenticate(&mut alice);
    for _ in 0..5 {
        // Others, on connections of their own and of the application's.
        let answer = gate.send(&get("/open/x").key()).expect(401);
        assert_ne!(answer.text(), number);
        assert_eq!(gate.send(&post("/open/x").key().body("x")).status, 401);
        let over_2 =
            http::Request::get(format!("http://{}/open/x", gate.addr)).header("x-api-key", KEY).body(()).unwrap();
        assert_eq!(h2c(gate.addr, over_2, b"").unwrap().status, 401);
        // And alice, who need not show anything any more.
        for request in [get("/open/x"), post("/open/x").body("body"), delete("/open/x")] {
            alice.ask(&request.key()).expect(200);
        }
        assert_eq!(alice.ask(&get("/open/x").key()).text(), format!("alice on {number}"));
    }
    let before = app.connections();
    drop(alice);
    until_true(PATIENCE, "all of them end with their clients", || app.ended() == before);
    gate.send(&get("/open/x").key()).expect(401);
    assert_eq!(app.connections(), before + 1);
}

#[test]
fn r57_each_client_has_a_connection_of_its_own() {
    let app = app();
    let gate = conf(&app).start();
    let mut clients: Vec<_> = (0..4).map(|_| gate.conn()).collect();
    let numbers: Vec<_> = clients.iter_mut().map(authenticate).collect();
    for (client, number) in clients.iter_mut().zip(&numbers) {
        assert_eq!(client.ask(&get("/open/x").key()).expect(200).text(), format!("alice on {number}"));
    }
    assert_eq!(app.connections(), 4);
}

#[test]
fn r57_a_connection_whose_client_is_a_proxy_is_nobodys() {
    let app = app();
    let gate = conf(&app).server("trusted_proxies", "[\"127.0.0.1\"]").start();
    let mut proxy = gate.conn();
    for number in 0..3 {
        let answer = proxy.ask(&shown("message-1")).expect(401);
        assert_eq!(answer.text(), number.to_string(), "each request has a new connection");
        until_true(PATIENCE, "it is closed", || app.ended() > number);
    }
    // Nor that of a client of HTTP/2, which has several at once.
    let app = self::app();
    let gate = conf(&app).start();
    for number in 0..3 {
        let over_2 =
            http::Request::get(format!("http://{}/open/x", gate.addr)).header("x-api-key", KEY).body(()).unwrap();
        assert_eq!(h2c(gate.addr, over_2, b"").unwrap().body, number.to_string().as_bytes());
        until_true(PATIENCE, "it is closed", || app.ended() > number);
    }
}

#[test]
fn r57_another_user_on_a_clients_connection_does_not_get_it() {
    // An application that may have authenticated its connection by any request.
    let app = RawApp::start(|connection| {
        while connection.request()?.is_some() {
            let number = connection.number;
            connection.write(format!(
                "HTTP/1.1 200 OK\r\nProxy-Authenticate: negotiate x\r\nContent-Length: 1\r\n\r\n{number}"
            ))?;
        }
        Ok(())
    });
    let gate = Conf::with_upstream(&app.upstream()).start();
    let (alice, bob) = (gate.user("alice"), gate.user("bob"));
    let mut conn = gate.conn();
    let mut number = |token: Option<&str>| {
        let request = get("/open/x").key();
        conn.ask(&token.map_or_else(|| request.clone(), |token| request.clone().bearer(token))).expect(200).text()
    };
    let numbers = [Some(&alice), Some(&alice), Some(&bob), Some(&bob), None, None, Some(&alice)];
    let numbers = numbers.map(|token| number(token.map(String::as_str)));
    assert_eq!(numbers, ["0", "0", "1", "1", "2", "2", "3"]);
    until_true(PATIENCE, "those of before are closed", || app.ended() == 3);
}

#[test]
fn a_connection_of_one_client_that_the_app_closed_is_made_anew() {
    let app = RawApp::start(|connection| {
        for _ in 0..2 {
            if connection.request()?.is_none() {
                return Ok(());
            }
            connection.write(format!(
                "HTTP/1.1 200 OK\r\nWWW-Authenticate: NTLM\r\nContent-Length: 1\r\n\r\n{}",
                connection.number
            ))?;
        }
        Ok(())
    });
    let gate = conf(&app).start();
    let mut conn = gate.conn();
    for number in 0..3 {
        for _ in 0..2 {
            assert_eq!(conn.ask(&get("/open/x").key()).expect(200).text(), number.to_string());
        }
        until_true(PATIENCE, "the app has closed it", || app.ended() > number);
    }
    assert!(!conn.closes_within(Duration::from_millis(10)));
}
