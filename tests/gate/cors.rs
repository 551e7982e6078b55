//! Origins, preflights, and cookies from other sites (docs/credentials.md); SECURITY.md R47–R50.

use serde_json::json;

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

fn same_origin(gate: &Gate) -> String {
    format!("http://{}", gate.addr)
}

fn varies(answer: &Response) -> bool {
    answer.list("vary").contains(&"origin".to_owned())
}

#[track_caller]
fn assert_allowed(answer: &Response, origin: &str) {
    assert_eq!(answer.all("access-control-allow-origin"), [origin]);
    assert_eq!(answer.all("access-control-allow-credentials"), ["true"]);
    assert!(varies(answer), "{:?}", answer.headers);
}

#[track_caller]
fn assert_not_allowed(answer: &Response) {
    assert!(answer.all("access-control-allow-origin").is_empty(), "{:?}", answer.headers);
    assert!(answer.all("access-control-allow-credentials").is_empty(), "{:?}", answer.headers);
    assert!(varies(answer), "{:?}", answer.headers);
}

fn preflight(target: &str, method: &str) -> Request {
    request("OPTIONS", target).header("Access-Control-Request-Method", method)
}

// === 4.3 ===

#[test]
fn an_allowed_origin_gets_its_headers_on_every_answer_errors_too() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    let body = json!({"username": "alice", "password": PASSWORD});
    let wrong = json!({"username": "alice", "password": "wrong"});
    for (request, status) in [
        (get("/app/x").key().bearer(&token), 200),
        (get("/app/x").key(), 401),
        (get("/app/x"), 403),
        (get("/app/x?key=wrong"), 400),
        (get("/admin/x").key().bearer(&token), 403),
        (get("/open/x").key(), 200),
        (get(auth("")).bearer(&token), 200),
        (get(auth("")), 401),
        (post(auth("login=true")).json(&body), 200),
        (post(auth("login=true")).json(&wrong), 401),
        (post(auth("login=true")).json(&json!({})), 400),
        (post(auth("logout=true")), 200),
    ] {
        let answer = gate.send(&request.origin(ORIGIN)).expect(status);
        assert_allowed(&answer, ORIGIN);
        assert!(answer.list("access-control-expose-headers").contains(&"authorization".to_owned()));
    }
}

#[test]
fn a_foreign_origin_is_403_everywhere_and_gets_no_headers() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    for request in [
        get("/app/x").key().bearer(&token),
        get("/open/x").key(),
        get("/keyed/x").key(),
        get(auth("")).bearer(&token),
        post(auth("login=true")).json(&json!({"username": "alice", "password": PASSWORD})),
    ] {
        let answer = gate.send(&request.origin(FOREIGN)).refused(403, "origin_denied");
        assert_not_allowed(&answer);
    }
    app.saw_nothing();
}

#[test]
fn answers_without_an_origin_vary_all_the_same() {
    let (_app, gate) = gate();
    for request in [get("/open/x").key(), get("/app/x").key(), get(auth(""))] {
        assert_not_allowed(&gate.send(&request));
    }
}

#[test]
fn the_apps_own_cors_headers_are_replaced_and_the_rest_stays() {
    let (_app, gate) = gate();
    let answer = gate.send(&get("/open/cors").key().origin(ORIGIN)).expect(200);
    assert_allowed(&answer, ORIGIN);
    assert!(answer.list("access-control-expose-headers").contains(&"authorization".to_owned()));
    assert!(answer.list("vary").contains(&"accept-encoding".to_owned()), "the app's Vary stays");
    assert_eq!(answer.header("set-cookie"), Some("app=1; Path=/"));
    assert_eq!(answer.header("x-app"), Some("yes"));
}

#[test]
fn a_preflight_is_answered_here_without_key_or_token() {
    let (app, gate) = gate();
    for target in ["/app/x", "/open/x", "/keyed/x", "/admin/x", AUTH] {
        for (method, headers) in [
            ("GET", "authorization"),
            ("POST", "content-type, x-api-key"),
            ("PUT", "authorization,content-type"),
            ("DELETE", "x-anything"),
        ] {
            let request = preflight(target, method).origin(ORIGIN).header("Access-Control-Request-Headers", headers);
            let answer = gate.send(&request).expect(204);
            assert_allowed(&answer, ORIGIN);
            assert!(
                answer.list("access-control-allow-methods").contains(&method.to_ascii_lowercase()),
                "{:?}",
                answer.headers
            );
            let allowed = answer.list("access-control-allow-headers");
            for header in headers.split(',') {
                assert!(allowed.contains(&header.trim().to_owned()), "{header} in {allowed:?}");
            }
            assert!(answer.header("access-control-max-age").expect("Max-Age").parse::<u32>().is_ok());
            assert!(answer.body.is_empty());
        }
    }
    app.saw_nothing();
}

#[test]
fn a_preflight_of_a_foreign_origin_is_403() {
    let (app, gate) = gate();
    for target in ["/app/x", "/open/x", AUTH] {
        for origin in [FOREIGN, "null"] {
            assert_not_allowed(&gate.send(&preflight(target, "GET").origin(origin)).refused(403, "origin_denied"));
        }
    }
    app.saw_nothing();
}

#[test]
fn a_preflight_is_judged_by_the_method_that_it_asks_for() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/limited", "user", "methods = [\"GET\", \"POST\"]").start();
    let answer = gate.send(&preflight("/limited/x", "POST").origin(ORIGIN)).expect(204);
    let methods = answer.list("access-control-allow-methods");
    assert!(methods.contains(&"post".to_owned()) && !methods.contains(&"delete".to_owned()), "{methods:?}");
    gate.send(&preflight("/limited/x", "DELETE").origin(ORIGIN)).refused(404, "route_not_found");
    gate.send(&preflight("/nowhere", "GET").origin(ORIGIN)).refused(404, "route_not_found");
    app.saw_nothing();
}

#[test]
fn a_foreign_origin_is_refused_before_any_password_is_checked() {
    let (_app, gate) = gate();
    gate.register("alice");
    let wrong = json!({"username": "alice", "password": "wrong"});
    for _ in 0..20 {
        gate.send(&post(auth("login=true")).origin(FOREIGN).json(&wrong)).refused(403, "origin_denied");
    }
    // None of them counted as a failed login.
    gate.log_in("alice");
}

#[test]
fn require_origin_refuses_what_has_none() {
    let app = App::start();
    let gate = Conf::new(&app).realm("require_origin", "true").start();
    gate.send(&get("/open/x").key()).refused(403, "origin_missing");
    gate.send(&get("/open/x").key().origin(ORIGIN)).expect(200);
    let own = same_origin(&gate);
    gate.send(&get("/open/x").key().origin(&own)).expect(200);
    gate.send(&get("/open/x").key().origin("null")).refused(403, "origin_denied");
}

#[test]
fn the_gates_own_origin_may_call() {
    let (_app, gate) = gate();
    let own = same_origin(&gate);
    let answer = gate.send(&get("/open/x").key().origin(&own)).expect(200);
    assert!(varies(&answer));
    let other_port = format!("http://{}:1", gate.addr.ip());
    gate.send(&get("/open/x").key().origin(&other_port)).refused(403, "origin_denied");
    // A list that wants https is not satisfied with the same host over http.
    gate.send(&get("/open/x").key().host("app.example.com").origin("http://app.example.com"))
        .refused(403, "origin_denied");
}

#[test]
fn null_is_allowed_only_if_listed() {
    let app = App::start();
    let gate = Conf::new(&app).realm("origins", "[\"null\", \"https://app.example.com\"]").start();
    let answer = gate.send(&get("/open/x").key().origin("null")).expect(200);
    assert_allowed(&answer, "null");
    let closed = Conf::new(&app).start();
    closed.send(&get("/open/x").key().origin("null")).refused(403, "origin_denied");
}

#[test]
fn no_list_lets_any_origin_call_but_without_credentials() {
    let app = App::start();
    let gate = Conf::new(&app).realm("origins", "").start();
    let token = gate.user("alice");
    let answer = gate.send(&get("/open/x").key().origin(FOREIGN)).expect(200);
    assert_eq!(answer.all("access-control-allow-origin"), [FOREIGN]);
    assert!(answer.all("access-control-allow-credentials").is_empty());
    assert!(varies(&answer));
    // A token that the page holds itself is fine, one that the browser adds is not looked at.
    gate.send(&get("/app/x").key().origin(FOREIGN).bearer(&token)).expect(200);
    gate.send(&get("/app/x").key().origin(FOREIGN).cookie(&token)).refused(401, "token_missing");
    gate.send(&get("/app/x").key().cookie(&token)).expect(200);
    let own = same_origin(&gate);
    gate.send(&get("/app/x").key().origin(&own).cookie(&token)).expect(200);
    let answer = gate.send(&preflight("/app/x", "POST").origin(FOREIGN)).expect(204);
    assert_eq!(answer.all("access-control-allow-origin"), [FOREIGN]);
    assert!(answer.all("access-control-allow-credentials").is_empty());
    // "null" names no site.
    assert!(gate.send(&get("/open/x").key().origin("null")).all("access-control-allow-credentials").is_empty());
}

#[test]
fn no_list_with_any_origin_credentials_is_said_on_purpose() {
    let app = App::start();
    let gate = Conf::new(&app).realm("origins", "").realm("any_origin_credentials", "true").start();
    let token = gate.user("alice");
    let answer = gate.send(&get("/app/x").key().origin(FOREIGN).cookie(&token)).expect(200);
    assert_allowed(&answer, FOREIGN);
}

#[test]
fn two_origins_or_a_malformed_one_are_refused() {
    let (app, gate) = gate();
    for request in [
        get("/open/x").origin(ORIGIN).origin(FOREIGN),
        get("/open/x").origin(FOREIGN).origin(ORIGIN),
        get("/open/x").origin(&format!("{ORIGIN}, {FOREIGN}")),
        get("/open/x").origin(""),
        get("/open/x").origin("x"),
    ] {
        let answer = gate.send(&request.key());
        assert!(matches!(answer.status, 400 | 403), "{}", answer.status);
        assert!(answer.all("access-control-allow-origin").iter().all(|allowed| *allowed == ORIGIN));
    }
    app.saw_nothing();
}

#[test]
fn r48_null_of_ones_own_page_counts_and_that_of_others_does_not() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    app.forget();
    // A form of a page with Referrer-Policy: no-referrer.
    let form = || post("/app/x").key().cookie(&token).body("a=1");
    gate.send(&form().origin("null").header("Sec-Fetch-Site", "same-origin")).expect(200);
    app.forget();
    for site in ["cross-site", "same-site", "none"] {
        gate.send(&form().origin("null").header("Sec-Fetch-Site", site)).refused(403, "origin_denied");
    }
    gate.send(&form().origin("null")).refused(403, "origin_denied");
    gate.send(&form().origin(FOREIGN).header("Sec-Fetch-Site", "same-origin")).refused(403, "origin_denied");
    app.saw_nothing();
}

#[test]
fn r48_origins_of_apps_and_extensions() {
    let app = App::start();
    let listed = ["capacitor://localhost", "chrome-extension://abcdefghijklmnop", "app://obsidian.md:80", "file://"];
    let gate = Conf::new(&app).realm("origins", &format!("{listed:?}")).start();
    for origin in listed {
        assert_allowed(&gate.send(&get("/open/x").key().origin(origin)).expect(200), origin);
        assert_allowed(&gate.send(&preflight("/app/x", "POST").origin(origin)).expect(204), origin);
    }
    for origin in ["capacitor://localhost:1", "CAPACITOR://localhost", "tauri://localhost", "app://obsidian.md", "null"]
    {
        gate.send(&get("/open/x").key().origin(origin)).refused(403, "origin_denied");
    }
    // With none listed any may call, with what it holds itself.
    let gate = Conf::new(&app).realm("origins", "").start();
    let token = gate.user("alice");
    for origin in ["capacitor://localhost", "ionic://localhost", "chrome-extension://abcdefghijklmnop", "null"] {
        let answer = gate.send(&get("/app/x").key().origin(origin).bearer(&token)).expect(200);
        assert_eq!(answer.all("access-control-allow-origin"), [origin]);
        assert!(answer.all("access-control-allow-credentials").is_empty());
        gate.send(&get("/app/x").key().origin(origin).cookie(&token)).refused(401, "token_missing");
    }
}

#[test]
fn a_public_route_may_leave_cors_to_its_app() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/own", "public", "cors = \"app\"").start();
    gate.send(&preflight("/own/x", "PUT").key().origin(FOREIGN)).expect(200);
    let seen = app.only();
    assert_eq!((seen.method(), seen.target()), ("OPTIONS".to_owned(), "/own/x".to_owned()));
    assert_eq!(seen.header("access-control-request-method").as_deref(), Some("PUT"));
    app.forget();
    // Nothing of Tollgate's is in the answer, and nothing of the application's is taken out.
    let answer = gate.send(&get("/own/cors").key().origin(FOREIGN)).expect(200);
    let asked = gate.send(&get("/open/cors").key().origin(ORIGIN)).expect(200);
    assert_eq!(answer.all("access-control-allow-origin"), ["*"], "as the app says");
    assert_allowed(&asked, ORIGIN);
    gate.send(&preflight("/open/x", "PUT").origin(FOREIGN)).refused(403, "origin_denied");
}

// === SECURITY.md ===

#[test]
fn r47_an_upgrade_by_cookie_needs_an_allowed_or_same_origin() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let upgrade = || {
        get("/app/ws")
            .key()
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    gate.send(&upgrade().cookie(&token)).refused(403, "origin_missing");
    gate.send(&upgrade().cookie(&token).origin(FOREIGN)).refused(403, "origin_denied");
    gate.send(&upgrade().cookie(&token).origin("null")).refused(403, "origin_denied");
    gate.send(&upgrade().cookie(&token).header("Sec-Fetch-Site", "cross-site")).expect(403);
    app.saw_nothing();
    let own = same_origin(&gate);
    for request in
        [upgrade().cookie(&token).origin(ORIGIN), upgrade().cookie(&token).origin(&own), upgrade().bearer(&token)]
    {
        let answer = gate.send(&request);
        assert_eq!(answer.status, 101, "{}", answer.text());
    }
}

#[test]
fn r48_origins_are_compared_exactly() {
    let app = App::start();
    let gate = Conf::new(&app).realm("origins", "[\"https://app.example.com\", \"http://localhost:3000\"]").start();
    for origin in [
        "https://app.example.com.evil",
        "https://app.example.com.",
        "https://evil-app.example.com",
        "https://app.example.co",
        "https://app.example.comx",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://app.example.com/x",
        "https://user@app.example.com",
        "https://example.com",
        "https://x.app.example.com",
        "https://app-example.com",
        "https://appxexample.com",
        "app.example.com",
        "https://app.example.com@evil.example",
        "https://app.example.com%00.evil",
        "https://app.example.com\\.evil",
        "http://localhost",
        "http://localhost:30000",
        "https://localhost:3000",
        "null",
        "*",
        "file://",
        "https://evil.example?https://app.example.com",
        "https://evil.example#https://app.example.com",
    ] {
        let answer = gate.send(&get("/open/x").key().origin(origin));
        assert!(matches!(answer.status, 400 | 403), "{origin}: {}", answer.status);
        assert!(answer.all("access-control-allow-origin").is_empty(), "{origin}");
        assert!(varies(&answer), "{origin}");
    }
    app.saw_nothing();
    for origin in ["https://app.example.com", "http://localhost:3000"] {
        assert_allowed(&gate.send(&get("/open/x").key().origin(origin)).expect(200), origin);
    }
}

#[test]
fn r48_reflecting_every_origin_with_credentials_is_no_config() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let check = |conf: Conf| {
        write_file(&file, &conf.text(1, 2), 0o600);
        tollgate(&["check", "-c", file.to_str().unwrap()], "").failed(78).stderr
    };
    assert!(check(Conf::new(&app).realm("origins", "[\"*\"]")).contains("origins"));
    assert!(check(Conf::new(&app).realm("origins", "[\"https://*.example.com\"]")).contains("origins"));
    assert!(check(Conf::new(&app).realm("any_origin_credentials", "true")).contains("any_origin_credentials"));
    for bad in [
        "https://app.example.com/",
        "app.example.com",
        "https://a.example/x",
        "capacitor://localhost/",
        "blob:https://a.example",
        "",
    ] {
        assert!(check(Conf::new(&app).realm("origins", &format!("[\"{bad}\"]"))).contains("origins"), "{bad}");
    }
}

#[test]
fn r49_unsafe_methods_by_cookie_need_an_allowed_or_same_origin() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let own = same_origin(&gate);
    for method in ["POST", "PUT", "PATCH", "DELETE", "FOO"] {
        let with_cookie = || request(method, "/app/x").key().cookie(&token).body("{}");
        gate.send(&with_cookie().origin(FOREIGN)).refused(403, "origin_denied");
        gate.send(&with_cookie().origin("null")).refused(403, "origin_denied");
        gate.send(&with_cookie()).refused(403, "origin_missing");
        gate.send(&with_cookie().header("Sec-Fetch-Site", "cross-site")).expect(403);
        gate.send(&with_cookie().header("Sec-Fetch-Site", "same-site")).expect(403);
        gate.send(&with_cookie().header("Sec-Fetch-Site", "none")).expect(403);
    }
    app.saw_nothing();
    for method in ["POST", "PUT", "PATCH", "DELETE", "FOO"] {
        let plain = || request(method, "/app/x").key().body("{}");
        gate.send(&plain().cookie(&token).origin(ORIGIN)).expect(200);
        gate.send(&plain().cookie(&token).origin(&own)).expect(200);
        gate.send(&plain().cookie(&token).header("Sec-Fetch-Site", "same-origin")).expect(200);
        // A token that the page must put there itself is no credential that a foreign page can borrow.
        gate.send(&plain().bearer(&token)).expect(200);
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        gate.send(&request(method, "/app/x").key().cookie(&token)).expect(200);
    }
}

#[test]
fn r49_the_login_api_takes_a_missing_origin_and_refuses_a_foreign_one() {
    let (_app, gate) = gate();
    let record = gate.register("alice");
    let token = gate.log_in("alice");
    let id = record["uniqueId"].as_str().unwrap();
    let change = || {
        put(auth(&format!("uniqueId={id}"))).cookie(&token).json(&json!({"username": "alice", "password": PASSWORD}))
    };
    gate.send(&change().origin(FOREIGN)).refused(403, "origin_denied");
    gate.send(&delete(auth(&format!("uniqueId={id}"))).cookie(&token).origin(FOREIGN)).refused(403, "origin_denied");
    gate.send(&post(auth("logout=true")).cookie(&token).origin(FOREIGN)).refused(403, "origin_denied");
    gate.send(&change()).expect(200);
    gate.send(&change().origin(ORIGIN)).expect(200);
    gate.send(&post(auth("logout=true")).cookie(&token)).expect(200);
    gate.visit(&token).refused(401, "token_revoked");
}

#[test]
fn r50_no_method_is_a_way_around() {
    let (app, gate) = gate();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "FOO", "get", "PROPFIND"] {
        let answer = gate.send(&request(method, "/app/x").key());
        assert_eq!(answer.status, 401, "{method}: {}", answer.text());
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"examples\""), "{method}");
    }
    // OPTIONS that only looks like a preflight is judged like any request.
    for request in [
        request("OPTIONS", "/app/x").origin(ORIGIN),
        preflight("/app/x", "GET"),
        request("OPTIONS", "/app/x").origin(ORIGIN).header("Access-Control-Request-Headers", "x"),
    ] {
        gate.send(&request.key()).refused(401, "token_missing");
    }
    for method in ["GET x", "", "G\u{e9}T"] {
        let answer = gate.send(&preflight("/app/x", method).origin(ORIGIN));
        assert!((400..500).contains(&answer.status), "{method:?}: {}", answer.status);
    }
    app.saw_nothing();
    let token = gate.user("alice");
    gate.send(&request("OPTIONS", "/app/x").key().bearer(&token)).expect(200);
    assert_eq!(app.only().method(), "OPTIONS");
}
