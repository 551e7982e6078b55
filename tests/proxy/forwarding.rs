//! The forwarded request, failures of the application, and tunnels (docs/identity-headers.md, docs/framing.md);
//! SECURITY.md R1–R4.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

/// Every header that Tollgate sets, or keeps for itself.
const OURS: [&str; 12] = [
    "X-Auth-Subject",
    "X-Auth-Username",
    "X-Auth-Email",
    "X-Auth-Roles",
    "X-Auth-Realm",
    "X-Auth-Token-Id",
    "X-Auth-Key-Id",
    "X-Auth-Assertion",
    "X-Request-Id",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
];

/// Every spelling of a header's name that an application may fold to it.
fn aliases(name: &str) -> BTreeSet<String> {
    let words: Vec<_> = name.split('-').collect();
    let mut all = BTreeSet::new();
    for choice in 0..3_usize.pow(u32::try_from(words.len() - 1).unwrap()) {
        let mut text = words[0].to_owned();
        let mut rest = choice;
        for word in &words[1..] {
            text.push(['-', '_', '.'][rest % 3]);
            rest /= 3;
            text.push_str(word);
        }
        let swapped = text
            .chars()
            .map(|char| if char.is_ascii_lowercase() { char.to_ascii_uppercase() } else { char.to_ascii_lowercase() });
        all.extend([text.clone(), text.to_ascii_lowercase(), text.to_ascii_uppercase(), swapped.collect()]);
    }
    all
}

// === 4.4 ===

#[test]
fn identity_headers_say_who_the_token_speaks_for() {
    let (app, gate) = gate();
    let record = gate.register("alice");
    let token = gate.log_in("alice");
    gate.visit(&token).expect(200);
    let seen = app.only();
    let claims = claims(&token);
    assert_eq!(seen.header("x-auth-subject").as_deref(), record["uniqueId"].as_str());
    assert_eq!(seen.header("x-auth-username").as_deref(), Some("alice"));
    assert_eq!(seen.header("x-auth-email"), None);
    assert_eq!(seen.header("x-auth-realm").as_deref(), Some("examples"));
    assert_eq!(seen.header("x-auth-token-id").as_deref(), claims["jti"].as_str());
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some(gate.addr.to_string()));
    assert_eq!(seen.header("host"), Some(gate.addr.to_string()), "the host that was judged is the one forwarded");
    assert!(!seen.header("x-request-id").expect("an id").is_empty());
}

#[test]
fn r60_an_address_reaches_the_app_when_the_operator_says_that_it_is_the_users() {
    let (app, gate) = gate();
    let body = serde_json::json!({"email": "alice@example.com", "password": PASSWORD});
    gate.send(&post(auth("")).json(&body)).expect(200);
    let visit = || {
        app.forget();
        let login = gate.send(&post(auth("login=true&noATCookie=true")).json(&body)).expect(200);
        gate.send(&get("/app/x").key().header("Authorization", login.header("authorization").unwrap())).expect(200);
        let seen = app.only();
        assert_eq!(seen.header("x-auth-username"), None);
        seen.header("x-auth-email")
    };
    assert_eq!(visit(), None, "anybody can register with it");
    tollgate(&["user", "vouch", "-c", &gate.config_arg(), "--realm", "examples", "alice@example.com"], "").ok();
    assert_eq!(visit().as_deref(), Some("alice@example.com"));
}

#[test]
fn identity_headers_of_a_name_that_is_not_ascii_are_one_safe_line() {
    let (app, gate) = gate();
    let token = gate.user("zoë ☃");
    gate.visit(&token).expect(200);
    let seen = app.only();
    assert_eq!(seen.all("x-auth-subject").len(), 1);
    assert_eq!(seen.all("x-auth-username").len(), 1);
    assert!(seen.head.iter().all(|byte| !matches!(byte, 0 | 0x7f)));
}

#[test]
fn a_key_route_names_the_realm_and_the_user_if_there_is_one() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    gate.send(&get("/keyed/x").key()).expect(200);
    let seen = app.only();
    assert_eq!(seen.header("x-auth-realm").as_deref(), Some("examples"));
    assert_eq!(seen.header("x-auth-subject"), None);
    app.forget();
    gate.send(&get("/keyed/x").key().bearer(&token)).expect(200);
    assert_eq!(app.only().header("x-auth-username").as_deref(), Some("alice"));
}

#[test]
fn our_cookie_goes_and_the_others_stay() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    for (sent, left) in [
        (format!("a=1; {COOKIE}={token}; b=2"), Some("a=1; b=2")),
        (format!("{COOKIE}={token}; b=2"), Some("b=2")),
        (format!("a=1; {COOKIE}={token}"), Some("a=1")),
        (format!("{COOKIE}={token}"), None),
        (format!("{COOKIE}={token}; {COOKIE}={token}"), None),
        (format!("a=\"x y\"; {COOKIE}={token}; x{COOKIE}=1"), Some("a=\"x y\"; x__Host-examples=1")),
    ] {
        gate.send(&get("/app/x").key().header("Cookie", sent)).expect(200);
        assert_eq!(app.only().header("cookie").as_deref(), left);
        app.forget();
    }
    gate.send(&get("/app/x").key().header("Cookie", "a=1").cookie(&token).header("Cookie", "b=2")).expect(200);
    let left = app.only().all("cookie").join("; ");
    assert_eq!(left, "a=1; b=2");
    app.forget();
    // On a public route too, good or bad.
    gate.send(&get("/open/x").key().header("Cookie", format!("a=1; {COOKIE}=garbage"))).expect(200);
    assert_eq!(app.only().header("cookie").as_deref(), Some("a=1"));
}

#[test]
fn no_realms_cookie_reaches_any_app() {
    let app = App::start();
    let gate = Conf::new(&app)
        .more(&format!(
            "[[realm]]\nname = \"second\"\nissuer = \"i\"\ncookie = \"second\"\nrequire_key = false\n\
             [[route]]\npath = \"/two\"\nrealm = \"second\"\naccess = \"public\"\nupstream = [\"{}\"]\n",
            app.url()
        ))
        .start();
    let token = gate.user("alice");
    gate.send(&get("/two/x").header("Cookie", format!("a=1; {COOKIE}={token}; second=x"))).expect(200);
    assert_eq!(app.only().header("cookie").as_deref(), Some("a=1"));
}

#[test]
fn authorization_goes_unless_the_route_forwards_it() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/with", "user", "forward_token = true").start();
    let token = gate.user("alice");
    gate.visit(&token).expect(200);
    assert_eq!(app.only().header("authorization"), None);
    app.forget();
    gate.send(&get("/with/x").key().bearer(&token)).expect(200);
    assert_eq!(app.only().header("authorization"), Some(format!("Bearer {token}")));
}

#[test]
fn the_api_key_goes_from_query_and_headers() {
    let (app, gate) = gate();
    for (sent, left) in [
        (format!("/keyed/x?key={KEY}"), "/keyed/x"),
        (format!("/keyed/x?key={KEY}&a=1"), "/keyed/x?a=1"),
        (format!("/keyed/x?a=1&key={KEY}"), "/keyed/x?a=1"),
        (format!("/keyed/x?a=1&key={KEY}&b=2&masterKey=x&c=3"), "/keyed/x?a=1&b=2&masterKey=x&c=3"),
        (format!("/keyed/x?k%65y={KEY}&a=%41+b%20c&d"), "/keyed/x?a=%41+b%20c&d"),
        (format!("/keyed/x?key={KEY}&key={KEY}&keys=1&xkey=2&KEY=3"), "/keyed/x?keys=1&xkey=2&KEY=3"),
        (format!("/keyed/x?key={KEY}&a=/../%2e%2e//&a=&=b&&c"), "/keyed/x?a=/../%2e%2e//&a=&=b&&c"),
        (format!("/keyed/x?key={KEY}&m%61sterKey=x"), "/keyed/x?m%61sterKey=x"),
    ] {
        gate.send(&get(&sent)).expect(200);
        let seen = app.only();
        assert_eq!(seen.target(), left, "{sent}");
        assert!(!seen.text().contains(KEY), "{}", seen.text());
        app.forget();
    }
    for name in ["X-API-Key", "x-api-key", "X_API_KEY", "X.Api.Key"] {
        gate.send(&get(format!("/keyed/x?key={KEY}")).header(name, KEY)).expect(200);
        let seen = app.only();
        assert_eq!(seen.folded("x-api-key"), Vec::<String>::new(), "{}", seen.text());
        app.forget();
    }
}

#[test]
fn the_rest_of_a_request_reaches_the_app_as_it_came() {
    let (app, gate) = gate();
    let request = request("PATCH", "/open/a%20b;c?q=1&r=%C3%A9")
        .key()
        .header("Accept", "text/html;q=0.5, */*")
        .header("X-Custom", "one")
        .header("X-Custom", "two")
        .header("User-Agent", "test")
        .header("Content-Type", "application/octet-stream")
        .body(b"\0\x01\xff body");
    gate.send(&request).expect(200);
    let seen = app.only();
    assert_eq!(seen.line(), "PATCH /open/a%20b;c?q=1&r=%C3%A9 HTTP/1.1");
    assert_eq!(seen.all("x-custom"), ["one", "two"]);
    assert_eq!(seen.header("accept").as_deref(), Some("text/html;q=0.5, */*"));
    assert_eq!(seen.header("user-agent").as_deref(), Some("test"));
    assert_eq!(seen.header("content-type").as_deref(), Some("application/octet-stream"));
    assert_eq!(seen.body(), b"\0\x01\xff body");
}

#[test]
fn answers_of_the_app_pass_whatever_their_status_and_framing() {
    let (_app, gate) = gate();
    for (last, status) in
        [("status-201", 201), ("status-404", 404), ("status-500", 500), ("status-302", 302), ("status-401", 401)]
    {
        let answer = gate.send(&get(format!("/open/{last}")).key()).expect(status);
        assert_eq!(answer.text(), "as you wish");
    }
    assert_eq!(gate.send(&get("/open/fixed").key()).expect(200).body, b"hello");
    assert_eq!(gate.send(&get("/open/chunked").key()).expect(200).body, b"onetwothree");
    assert_eq!(gate.send(&get("/open/until-close").key()).expect(200).body, b"to the end");
    let head = gate.send(&request("HEAD", "/open/fixed").key()).expect(200);
    assert!(head.body.is_empty());
}

// === SECURITY.md R1–R4 ===

#[test]
fn r01_no_alias_of_our_headers_reaches_an_app() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let all: Vec<_> = OURS.iter().flat_map(|name| aliases(name)).collect();
    assert!(all.len() > 300, "{}", all.len());
    let ours: BTreeSet<_> = OURS.iter().map(|name| name.to_ascii_lowercase()).collect();
    for batch in all.chunks(60) {
        let spoof = |mut request: Request| {
            for name in batch {
                request = request.header(name, "spoofed");
            }
            request.key()
        };
        for request in [
            get("/app/x").bearer(&token),
            get("/app/x").cookie(&token),
            get("/keyed/x"),
            get("/keyed/x").bearer(&token),
            get("/open/x"),
            get("/open/x").bearer("garbage"),
            get("/open/x").bearer(&token),
        ] {
            gate.send(&spoof(request)).expect(200);
            let seen = app.only();
            let mut names = BTreeSet::new();
            for (name, value) in seen.headers() {
                let folded = name.to_ascii_lowercase().replace(['_', '.'], "-");
                if ours.contains(&folded) {
                    assert!(!value.contains("spoofed"), "{name}: {value} in {}", seen.text());
                    assert!(names.insert(folded), "two of {name} in {}", seen.text());
                }
            }
            app.forget();
        }
    }
}

#[test]
fn r01_a_header_name_with_a_space_is_refused() {
    let (app, gate) = gate();
    for name in ["X Auth Subject", "X-Auth-Subject ", "X-Auth-Subject\t"] {
        let answer = get("/open/x").key().header(name, "spoofed").try_send(gate.addr);
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 400), "{answer:?}");
    }
    app.saw_nothing();
}

#[test]
fn r02_headers_are_stripped_on_every_path_and_method() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let spoof = |request: Request| {
        OURS.iter().fold(request.key(), |request, name| {
            request.header(name, "spoofed").header(&name.replace('-', "_"), "spoofed")
        })
    };
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FOO"] {
        for request in
            [request(method, "/open/x"), request(method, "/keyed/x"), request(method, "/app/x").bearer(&token)]
        {
            gate.send(&spoof(request)).expect(200);
            let seen = app.only();
            assert!(!seen.text().contains("spoofed"), "{}", seen.text());
            app.forget();
        }
    }
    // Tollgate's own responses have none of them, and reach no application.
    for request in [
        get("/app/x"),
        get("/nope"),
        get(auth("")),
        request("OPTIONS", "/app/x").origin(ORIGIN).header("Access-Control-Request-Method", "GET"),
    ] {
        let answer = gate.send(&spoof(request));
        assert!(!format!("{:?}{}", answer.headers, answer.text()).contains("spoofed"));
    }
    app.saw_nothing();
}

#[test]
fn r03_connection_cannot_remove_our_headers() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    gate.visit(&token).expect(200);
    let whole = app.only();
    app.forget();
    let names = OURS.join(", ");
    for nominated in [
        names.clone(),
        names.to_ascii_lowercase(),
        names.to_ascii_uppercase(),
        format!("close, {names}, x-custom"),
        names.replace('-', "_"),
    ] {
        gate.send(&get("/app/x").key().bearer(&token).header("Connection", &nominated).header("X-Custom", "1"))
            .expect(200);
        let seen = app.only();
        for name in OURS {
            assert_eq!(seen.all(name).len(), whole.all(name).len(), "{nominated} removed {name}");
        }
        if nominated.contains("x-custom") {
            assert_eq!(seen.header("x-custom"), None, "what the client nominates goes");
        }
        app.forget();
    }
    gate.send(
        &get("/app/x").key().bearer(&token).header("Connection", "X-Auth-Subject").header("X-Auth-Subject", "spoofed"),
    )
    .expect(200);
    assert_eq!(app.only().header("x-auth-subject"), whole.header("x-auth-subject"));
    app.forget();
    // Nominating the credentials does not change who is judged.
    gate.send(&get("/app/x").key().header("Connection", "Authorization, Cookie, X-API-Key"))
        .refused(401, "token_missing");
    app.saw_nothing();
}

#[test]
fn r03_hop_by_hop_headers_stay_on_their_hop() {
    let (app, gate) = gate();
    let request = get("/open/x")
        .key()
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("Proxy-Authorization", "Basic YTpi")
        .header("TE", "gzip");
    gate.send(&request).expect(200);
    let seen = app.only();
    for name in ["keep-alive", "proxy-connection", "proxy-authorization", "te"] {
        assert_eq!(seen.all(name), Vec::<String>::new(), "{}", seen.text());
    }
}

#[test]
fn r04_forwarded_headers_are_rebuilt_from_the_socket() {
    let (app, gate) = gate();
    let names = [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
        "X-Real-IP",
        "Forwarded",
        "X_Forwarded_Port",
        "x.real.ip",
        "X-Forwarded_Prefix",
    ];
    let request = names.iter().fold(get("/open/x").key(), |request, name| request.header(name, "203.0.113.7"));
    gate.send(&request).expect(200);
    let seen = app.only();
    assert!(!seen.text().contains("203.0.113.7"), "{}", seen.text());
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some(gate.addr.to_string()));
}

#[test]
fn r04_a_trusted_proxy_is_believed() {
    let app = App::start();
    let gate = Conf::new(&app).server("trusted_proxies", "[\"127.0.0.1/32\"]").start();
    let request = get("/open/x")
        .key()
        .header("X-Forwarded-For", "203.0.113.7")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "app.example.com");
    gate.send(&request).expect(200);
    let seen = app.only();
    let chain = seen.header("x-forwarded-for").unwrap();
    assert!(chain.starts_with("203.0.113.7"), "{chain}");
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));
    app.forget();
    assert_eq!(
        seen.header("x-forwarded-host"),
        Some(gate.addr.to_string()),
        "the host that the gate was asked for (R54)"
    );
    // Another peer than that one is not.
    let mut stranger = Conn::open_from("127.0.0.2".parse().unwrap(), gate.addr);
    stranger.ask(&request).expect(200);
    let seen = app.only();
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.2"));
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"));
}

#[test]
fn r54_the_host_that_a_client_wrote_reaches_no_app() {
    let app = App::start();
    let conf = || Conf::new(&app).server("trusted_proxies", "[\"127.0.0.1/32\"]");
    // A proxy that sets only the headers of the recipe in docs/operating.md.
    let request = |evil: &str| {
        get("/open/x")
            .key()
            .host("app.example.com")
            .header("X-Forwarded-For", "203.0.113.7")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", evil)
            .header("X-Forwarded-Port", "666")
            .header("X-Forwarded-Server", evil)
            .header("X-Forwarded-Prefix", "/evil")
            .header("Forwarded", format!("for=192.0.2.66;host={evil};proto=http"))
    };
    let gate = conf().start();
    gate.send(&request("evil.example")).expect(200);
    let seen = app.only();
    assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("app.example.com"));
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("203.0.113.7, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));
    assert!(!seen.text().contains("evil") && !seen.text().contains("192.0.2.66"), "{}", seen.text());
    assert_eq!(seen.header("x-forwarded-port"), None);
    app.forget();
    // Where it counts, the last one does, and it has to be one.
    let gate = conf().server("trust_forwarded_host", "true").start();
    gate.send(&request("evil.example").header("X-Forwarded-Host", "www.example.com")).expect(200);
    assert_eq!(app.only().all("x-forwarded-host"), ["www.example.com"]);
    app.forget();
    gate.send(&request("evil.example, not a host")).expect(200);
    assert_eq!(app.only().all("x-forwarded-host"), ["app.example.com"]);
    app.forget();
    // The other family is another proxy's.
    let gate = conf().server("forwarded", "\"rfc7239\"").server("trust_forwarded_host", "true").start();
    gate.send(&request("www.example.com")).expect(200);
    let seen = app.only();
    assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("www.example.com"));
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("192.0.2.66, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen.header("forwarded"), None);
}

#[test]
fn r54_a_proxy_that_is_not_listed_is_told_to_the_operator_once() {
    let (app, gate) = gate();
    for number in 0..5 {
        gate.send(&get("/open/x").key().header("X-Forwarded-For", format!("203.0.113.{number}"))).expect(200);
        app.forget();
    }
    until_true(PATIENCE, "the warning", || gate.stderr().contains("server.trusted_proxies: add it"));
    assert_eq!(gate.stderr().matches("server.trusted_proxies: add it").count(), 1, "{}", gate.stderr());
    assert!(gate.stderr().contains("127.0.0.1"));
}

#[test]
fn r04_trusting_everybody_must_be_said_twice() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let check = |conf: Conf| {
        write_file(&file, &conf.text(1, 2), 0o600);
        tollgate(&["check", "-c", file.to_str().unwrap()], "")
    };
    for everybody in ["0.0.0.0/0", "::/0", "0.0.0.0/1\", \"128.0.0.0/1", "2000::/3"] {
        let conf = Conf::new(&app).server("trusted_proxies", &format!("[\"{everybody}\"]"));
        assert!(check(conf.clone()).failed(78).stderr.contains("trusted_proxies"));
        check(conf.server("insecure_trust_everyone", "true")).ok();
    }
}

#[test]
fn request_ids_are_ours_one_each() {
    let (app, gate) = gate();
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        let answer = gate.send(&get("/open/x").key().header("X-Request-Id", "mine")).expect(200);
        let seen = app.only().header("x-request-id").unwrap();
        if let Some(told) = answer.header("x-request-id") {
            assert_eq!(told, seen);
        }
        assert_ne!(seen, "mine");
        assert!(ids.insert(seen));
        app.forget();
    }
}

// === 4.5 ===

/// The header `Proxy` becomes `HTTP_PROXY` in the environment of a CGI program, which many libraries take for the proxy of
/// the program's own requests (CVE-2016-5385).
#[test]
fn r55_no_app_gets_the_header_proxy() {
    let (app, gate) = gate();
    for name in ["Proxy", "proxy", "PROXY", "pRoXy"] {
        for request in [get("/open/x"), post("/open/x").body("x"), get("/open/x").header("Connection", "Proxy")] {
            gate.send(&request.key().header(name, "http://evil.example:8080")).expect(200);
            assert!(!app.only().text().contains("evil.example"), "{name}: {}", app.only().text());
            app.forget();
        }
    }
}

#[test]
fn one_server_that_refuses_is_502() {
    let upstream = format!("[\"http://127.0.0.1:{}\"]", free_port());
    let gate = Conf::with_upstream(&upstream).start();
    for _ in 0..3 {
        gate.send(&get("/open/x").key()).refused(502, "upstream_failed");
    }
}

#[test]
fn a_server_that_refuses_is_passed_over_for_the_next() {
    let app = App::start();
    let upstream = format!("[\"http://127.0.0.1:{}\", \"{}\"]", free_port(), app.url());
    let gate = Conf::with_upstream(&upstream).start();
    for request in 0..20 {
        gate.send(&get(format!("/open/{request}")).key()).expect(200);
        gate.send(&post(format!("/open/{request}")).key().body("not sent twice")).expect(200);
    }
    assert_eq!(app.seen().len(), 40);
}

#[test]
fn several_servers_share_the_load() {
    let (one, two) = (App::start(), App::start());
    let gate = Conf::with_upstream(&format!("[\"{}\", \"{}\"]", one.url(), two.url())).start();
    for _ in 0..20 {
        gate.send(&get("/open/x").key()).expect(200);
    }
    assert!(one.seen().len() >= 5 && two.seen().len() >= 5, "{} and {}", one.seen().len(), two.seen().len());
}

#[test]
fn when_every_server_rests_it_is_503_with_retry_after() {
    let upstream = format!("[\"http://127.0.0.1:{}\", \"http://127.0.0.1:{}\"]", free_port(), free_port());
    let gate = Conf::with_upstream(&upstream).start();
    let mut saw_502 = false;
    until_true(PATIENCE, "a 503", || {
        let answer = gate.send(&get("/open/x").key());
        match answer.status {
            502 => {
                answer.refused(502, "upstream_failed");
                saw_502 = true;
                false
            }
            _ => {
                let answer = answer.refused(503, "upstream_unavailable");
                assert_eq!(answer.header("retry-after"), Some("1"));
                true
            }
        }
    });
    assert!(saw_502);
}

#[test]
fn a_server_that_comes_back_is_used_again() {
    let (port, other) = (free_port(), free_port());
    let gate = Conf::with_upstream(&format!("[\"http://127.0.0.1:{port}\", \"http://127.0.0.1:{other}\"]")).start();
    assert!(gate.send(&get("/open/x").key()).status >= 502);
    let app = App::on(TcpListener::bind(("127.0.0.1", port)).unwrap());
    until_true(Duration::from_secs(5), "it is used again", || gate.send(&get("/open/x").key()).status == 200);
    assert!(!app.seen().is_empty());
}

#[test]
fn no_answer_in_time_is_504() {
    let app = App::start();
    let gate = Conf::new(&app).route("read_timeout", "\"1s\"").start();
    gate.send(&get("/open/hang").key()).refused(504, "upstream_timeout");
    gate.send(&post("/open/hang").key().body("x")).refused(504, "upstream_timeout");
    assert_eq!(app.seen().iter().filter(|seen| seen.method() == "POST").count(), 1, "a POST is sent once");
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn a_client_is_told_when_its_connection_ends_with_the_answer() {
    let app = App::start();
    let gate = Conf::new(&app).route("read_timeout", "\"1s\"").start();
    for (path, status) in [("/open/hang", 504), ("/open/reset", 502)] {
        let mut conn = gate.conn();
        let answer = conn.ask(&get(path).key()).expect(status);
        let told = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        assert_eq!(conn.closes_within(Duration::from_millis(500)), told, "{path}");
    }
}

#[test]
fn a_reset_instead_of_an_answer_is_502_and_nothing_unsafe_is_sent_twice() {
    let (one, two) = (App::start(), App::start());
    let gate = Conf::with_upstream(&format!("[\"{}\", \"{}\"]", one.url(), two.url())).start();
    gate.send(&post("/open/reset").key().body("pay once")).refused(502, "upstream_failed");
    assert_eq!(one.seen().len() + two.seen().len(), 1);
    gate.send(&get("/open/reset").key()).refused(502, "upstream_failed");
}

#[test]
fn refusals_of_an_app_that_fails_carry_cors_headers_and_no_text_of_its_own() {
    let upstream = format!("[\"http://127.0.0.1:{}\"]", free_port());
    let gate = Conf::with_upstream(&upstream).start();
    let answer = gate.send(&get("/open/x").key().origin(ORIGIN)).refused(502, "upstream_failed");
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_for_whole() {
    let (_app, gate) = gate();
    match get("/open/partial").key().try_send(gate.addr) {
        Ok(answer) => assert_eq!(answer.status, 502),
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the gate must not hang"),
    }
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn an_app_may_answer_before_it_has_read_the_body() {
    let (_app, gate) = gate();
    let answer = post("/open/early").key().body(vec![b'x'; 4 << 20]).try_send(gate.addr);
    if let Ok(answer) = answer {
        assert!(matches!(answer.status, 413 | 502), "{}", answer.status);
    }
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn request_bodies_stream() {
    let (app, gate) = gate();
    for chunked in [false, true] {
        let mut conn = gate.conn();
        let framing = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 10" };
        conn.write(format!("POST /open/x HTTP/1.1\r\nHost: {}\r\nX-API-Key: {KEY}\r\n{framing}\r\n\r\n", gate.addr));
        conn.write(if chunked { "5\r\nfirst\r\n" } else { "first" });
        // The application has the first half while the second has not been sent.
        until_true(PATIENCE, "the first half", || app.seen().last().is_some_and(|seen| seen.body() == b"first"));
        conn.write(if chunked { "4\r\nlast\r\n0\r\n\r\n" } else { "-last" });
        let answer = conn.read().expect(200);
        assert_eq!(answer.json()["length"], if chunked { 9 } else { 10 });
        app.forget();
    }
}

#[test]
fn answers_stream() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    conn.write(get("/open/stream").key().bytes("app.example.com"));
    assert_eq!(conn.read_head().status, 200);
    assert_eq!(conn.try_read_chunk().unwrap().unwrap(), b"data: first\n\n");
    // The application sends no more until it is told to: the first part came without the second.
    app.release();
    assert_eq!(conn.try_read_chunk().unwrap().unwrap(), b"data: second\n\n");
    assert_eq!(conn.try_read_chunk().unwrap(), None);
}

#[test]
fn large_bodies_pass_whole_both_ways() {
    let (app, gate) = gate();
    let size = 8 << 20;
    let sent: Vec<u8> = (0..size).map(|at: usize| u8::try_from(at % 249).unwrap()).collect();
    let answer = gate.send(&post("/open/x").key().body(&sent)).expect(200);
    assert_eq!(answer.json()["length"], size);
    assert!(app.only().body() == sent, "the bytes differ");
    let answer = gate.send(&get(format!("/open/big-{size}")).key()).expect(200);
    assert_eq!(answer.body.len(), size);
    assert!(
        answer.body.iter().enumerate().all(|(at, byte)| usize::from(*byte) == (at / 251 + at) % 251),
        "the bytes differ"
    );
}

#[test]
fn connections_are_reused_on_both_sides() {
    let (app, gate) = gate();
    let mut conn = gate.conn();
    for number in 0..30 {
        conn.ask(&get(format!("/open/{number}")).key()).expect(200);
        conn.ask(&post(format!("/open/{number}")).key().body("body")).expect(200);
    }
    assert!(app.connections() <= 4, "{} connections for 60 requests", app.connections());
}

#[test]
fn a_connection_does_not_carry_one_users_identity_to_the_next() {
    let (app, gate) = gate();
    let (alice, bob) = (gate.user("alice"), gate.user("bob"));
    let mut conn = gate.conn();
    for _ in 0..10 {
        for (request, name) in [
            (get("/app/x").bearer(&alice), Some("alice")),
            (get("/open/x"), None),
            (get("/app/x").bearer(&bob), Some("bob")),
            (get("/app/x").cookie(&alice), Some("alice")),
        ] {
            conn.ask(&request.key()).expect(200);
            assert_eq!(app.only().header("x-auth-username").as_deref(), name);
            app.forget();
        }
        conn.ask(&get("/app/x").key()).refused(401, "token_missing");
    }
}

// === 4.6 ===

/// A WebSocket that has carried something already.
pub fn open_tunnel(gate: &Gate, token: &str) -> Conn {
    let mut conn = gate.conn();
    let upgrade = get("/app/ws")
        .key()
        .bearer(token)
        .header("Connection", "keep-alive, Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    conn.write(upgrade.bytes(&gate.addr.to_string()));
    let answer = conn.read().expect(101);
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    conn.write("ping over the tunnel");
    assert_eq!(conn.read_exactly(20), b"ping over the tunnel");
    conn
}

#[test]
fn websockets_pass_and_carry_the_identity() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let mut conn = open_tunnel(&gate, &token);
    let seen = app.only();
    assert_eq!(seen.header("x-auth-username").as_deref(), Some("alice"));
    assert_eq!(seen.header("authorization"), None);
    assert!(seen.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")));
    conn.write(vec![0; 100_000]);
    assert_eq!(conn.read_exactly(100_000), vec![0; 100_000]);
}

#[test]
fn websockets_without_a_token_are_401() {
    let (app, gate) = gate();
    let upgrade = get("/app/ws").key().header("Connection", "Upgrade").header("Upgrade", "websocket");
    gate.send(&upgrade).refused(401, "token_missing");
    app.saw_nothing();
}

#[test]
fn server_sent_events_pass_as_they_come() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let mut conn = gate.conn();
    conn.write(
        get("/app/sse").key().bearer(&token).header("Accept", "text/event-stream").bytes(&gate.addr.to_string()),
    );
    let head = conn.read_head().expect(200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(conn.try_read_chunk().unwrap().unwrap(), b"data: first\n\n");
    app.release();
    assert_eq!(conn.try_read_chunk().unwrap().unwrap(), b"data: second\n\n");
}

#[test]
fn a_tunnel_closes_within_a_second_of_its_tokens_revocation() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    let mut conn = open_tunnel(&gate, &token);
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    assert!(conn.closes_within(A_SECOND), "the tunnel is still open");
}

#[test]
fn a_tunnel_closes_within_a_second_of_its_tokens_expiry() {
    let app = App::start();
    let gate = Conf::new(&app).realm("token_ttl", "\"2s\"").realm("leeway", "\"0s\"").start();
    let token = gate.user("alice");
    let mut conn = open_tunnel(&gate, &token);
    let left = u64::try_from(claims(&token)["exp"].as_i64().unwrap() - now()).unwrap_or(0);
    assert!(conn.closes_within(Duration::from_secs(left) + A_SECOND), "the tunnel is still open");
    assert!(now() >= claims(&token)["exp"].as_i64().unwrap(), "it closed too early");
}

#[test]
fn a_tunnel_closes_within_a_second_of_its_api_keys_end() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let mut events = gate.conn();
    events.write(get("/keyed/sse").key().bytes(&gate.addr.to_string()));
    events.read_head().expect(200);
    // With a token as well, which still counts.
    let mut tunnel = open_tunnel(&gate, &gate.user("alice"));
    let text = gate.conf().text(gate.addr.port(), gate.admin.port());
    gate.rename_over(&text.replace(KEY, "another-key-0123456789abcdef0123"));
    assert!(tunnel.closes_within(A_SECOND), "the WebSocket is still open");
    assert!(events.closes_within(A_SECOND), "the stream of events is still open");
}

#[test]
fn a_client_that_does_not_read_does_not_hold_the_app() {
    let app = App::start();
    let endless = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = endless.local_addr().unwrap();
    let gate = Conf::new(&app)
        .more(&format!(
            "[[route]]\npath = \"/endless\"\nrealm = \"examples\"\naccess = \"public\"\nwrite_timeout = \"300ms\"\n\
             upstream = [\"http://{upstream}\"]"
        ))
        .start();
    let mut conn = gate.conn();
    conn.write(get("/endless").key().bytes(&gate.addr.to_string()));
    let (mut stream, _) = endless.accept().unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
    let error = loop {
        if let Err(error) = stream.write_all(&[b'x'; 1 << 16]) {
            break error;
        }
    };
    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the gate does not read on, and does not hang up");
}
