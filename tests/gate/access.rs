//! The order of checks, credentials, and the form of a refusal (docs/request-order.md, docs/errors.md); SECURITY.md R5,
//! R6, R8–R12, R26.

use base64::Engine as _;

use crate::harness::*;

fn gate() -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).start();
    (app, gate)
}

// === 4.1: the order ===

#[test]
fn order_target_before_route_before_preflight_before_key_before_origin_before_credential_before_role() {
    let app = App::start();
    let one_host = "[[route]]\nhost = \"app.example.com\"\npath = \"/admin\"\nrealm = \"examples\"\naccess = \"user\"\n\
         roles = [\"admin\"]\nmethods = [\"GET\"]\n";
    let gate = Conf::new(&app).routes(&format!("{one_host}upstream = [\"{}\"]\n", app.url())).start();
    let token = gate.user("alice");
    // Everything is wrong at once; what is wrong first is put right, row by row.
    let here = |target: &str| get(target).host("app.example.com");
    gate.send(&get("/nowhere/../x?key=wrong").host("other.example.com").origin(FOREIGN).bearer("garbage"))
        .refused(400, "target_invalid");
    gate.send(&get("/nowhere?key=wrong").host("other.example.com").origin(FOREIGN).bearer("garbage"))
        .refused(421, "host_unknown");
    gate.send(&here("/nowhere?key=wrong").origin(FOREIGN).bearer("garbage")).refused(404, "route_not_found");
    gate.send(&here("/admin?key=wrong").origin(FOREIGN).bearer("garbage")).refused(400, "key_unknown");
    gate.send(&here("/admin").origin(FOREIGN).bearer("garbage")).refused(403, "key_missing");
    gate.send(&here("/admin").key().origin(FOREIGN).bearer("garbage")).refused(403, "origin_denied");
    gate.send(&here("/admin").key().origin(ORIGIN).bearer("garbage")).refused(401, "token_malformed");
    gate.send(&here("/admin").key().origin(ORIGIN)).refused(401, "token_missing");
    gate.send(&here("/admin").key().origin(ORIGIN).bearer(&token)).refused(403, "role_missing");
    // A preflight needs none of the later ones, and still a route and an origin.
    let preflight = |target: &str, method: &str| {
        request("OPTIONS", target).host("app.example.com").header("Access-Control-Request-Method", method)
    };
    gate.send(&preflight("/admin?key=wrong", "GET").origin(ORIGIN).bearer("garbage")).expect(204);
    gate.send(&preflight("/admin", "GET").origin(FOREIGN)).refused(403, "origin_denied");
    gate.send(&preflight("/admin", "DELETE").origin(ORIGIN)).refused(404, "route_not_found");
    gate.send(&preflight("/nowhere", "GET").origin(ORIGIN)).refused(404, "route_not_found");
    app.saw_nothing();
}

#[test]
fn order_pairs_of_faults() {
    let app = App::start();
    let gate = Conf::new(&app).realm("require_origin", "true").start();
    let token = gate_user_with_origin(&gate);
    for (request, status, reason) in [
        (get("/app/../app").origin(FOREIGN), 400, "target_invalid"),
        (get("/nope/x"), 404, "route_not_found"),
        (get("/app/x"), 403, "key_missing"),
        (get("/app/x").origin(ORIGIN), 403, "key_missing"),
        (get("/app/x").bearer(&token), 403, "key_missing"),
        (get("/app/x").key().bearer(&token), 403, "origin_missing"),
        (get("/app/x").key().origin(FOREIGN).bearer(&token), 403, "origin_denied"),
        (get("/app/x").key().origin(ORIGIN), 401, "token_missing"),
        (get("/admin/x").key().origin(ORIGIN), 401, "token_missing"),
        (get("/admin/x").key().origin(ORIGIN).bearer(&token), 403, "role_missing"),
        (get("/keyed/x"), 403, "key_missing"),
        (get("/keyed/x").key(), 403, "origin_missing"),
        (get("/open/x"), 403, "key_missing"),
        (get("/open/x").key(), 403, "origin_missing"),
    ] {
        gate.send(&request).refused(status, reason);
    }
    app.saw_nothing();
    for target in ["/app/x", "/keyed/x", "/open/x"] {
        gate.send(&get(target).key().origin(ORIGIN).bearer(&token)).expect(200);
    }
}

fn gate_user_with_origin(gate: &Gate) -> String {
    let body = serde_json::json!({"username": "alice", "password": PASSWORD});
    gate.send(&post(auth("")).origin(ORIGIN).json(&body)).expect(200);
    let answer = gate.send(&post(auth("login=true&noATCookie=true")).origin(ORIGIN).json(&body)).expect(200);
    answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

#[test]
fn routes_match_whole_segments_and_the_most_specific_wins() {
    let app = App::start();
    let conf = Conf::new(&app);
    let url = app.url();
    let route = |host: &str, path: &str, access: &str, rest: &str| {
        let host = if host.is_empty() { String::new() } else { format!("host = \"{host}\"\n") };
        format!(
            "[[route]]\n{host}path = \"{path}\"\nrealm = \"examples\"\naccess = \"{access}\"\nupstream = [\"{url}\"]\n{rest}\n"
        )
    };
    let routes = [
        route("", "/api", "user", ""),
        route("", "/api/open", "public", ""),
        route("", "/api/mixed", "public", "methods = [\"GET\"]\n"),
        route("", "/api/mixed", "user", "methods = [\"POST\"]\n"),
        route("app.example.com", "/api", "public", ""),
    ];
    let gate = conf.routes(&routes.concat()).start();
    for (request, status) in [
        (get("/api"), 401),
        (get("/api/"), 401),
        (get("/api/x/y"), 401),
        (get("/apix"), 404),
        (get("/ap"), 404),
        (get("/API"), 404),
        (get("/"), 404),
        (get("/api/open"), 200),
        (get("/api/open/x"), 200),
        (get("/api/openx"), 401),
        (get("/api/mixed"), 200),
        (request("HEAD", "/api/mixed"), 200),
        (post("/api/mixed").body("x"), 401),
        // No fall through to the shorter path, which would take it.
        (delete("/api/mixed"), 404),
        (get("/api/x").host("app.example.com"), 200),
        (get("/api/open").host("app.example.com"), 200),
        (get("/api/x").host("other.example.com"), 401),
    ] {
        let bytes = String::from_utf8_lossy(&request.bytes("h")).into_owned();
        assert_eq!(gate.send(&request.key()).status, status, "{bytes}");
    }
}

#[test]
fn a_login_stands_inside_a_route() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/api/1/ce", "user", "").start();
    let token = gate.user("alice");
    app.saw_nothing();
    gate.send(&get("/api/1/ce/examples/data").key().bearer(&token)).expect(200);
    gate.send(&get(format!("{AUTH}/below")).key().bearer(&token)).expect(200);
    assert_eq!(app.seen().len(), 2);
    gate.who(&token).expect(200);
    assert_eq!(app.seen().len(), 2, "the login's own path never reaches the app");
}

#[test]
fn a_host_that_no_route_names_is_421() {
    let app = App::start();
    let routes = format!(
        "[[route]]\nhost = \"app.example.com\"\npath = \"/\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{}\"]\n",
        app.url()
    );
    let gate = Conf::new(&app).routes(&routes).start();
    gate.send(&get("/x").key().host("other.example.com")).refused(421, "host_unknown");
    gate.send(&get("/x").key().host("app.example.com.evil")).refused(421, "host_unknown");
    gate.send(&get("/x").key().host("xapp.example.com")).refused(421, "host_unknown");
    app.saw_nothing();
    gate.send(&get("/x").key().host("app.example.com")).expect(200);
}

#[test]
fn a_route_may_pass_encoded_slashes() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/slash", "public", "encoded_slash = \"pass\"").start();
    for target in ["/slash/a%2Fb", "/slash/a%2fb"] {
        gate.send(&get(target).key()).expect(200);
        assert_eq!(app.only().target(), target);
        app.forget();
    }
    gate.send(&get("/slash/a%5cb").key()).refused(400, "target_invalid");
    gate.send(&get("/slash/..%2fapp").key()).refused(400, "target_invalid");
    gate.send(&get("/slash/a%2f..%2f..%2fapp").key()).refused(400, "target_invalid");
    gate.send(&get("/open/a%2fb").key()).refused(400, "target_invalid");
    app.saw_nothing();
}

#[test]
fn r59_bytes_that_mean_nothing_pass_where_one_route_decides() {
    let app = App::start();
    let public = |host: &str| {
        format!(
            "[[route]]\n{host}path = \"/\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{}\"]\n",
            app.url()
        )
    };
    let conf = || Conf::new(&app).login("host", "\"login.example.com\"");
    let gate = conf().routes(&public("")).start();
    for target in [
        "//",
        "//x",
        "/a//b///",
        "/a%5cb%5C",
        "/a%2Fb%2f",
        "/api/vhosts/%2F/permissions",
        "/%2f%2f",
        "/fetch/https:%2F%2Fexample.com%2Fa",
        "/a%252fb%2520",
        "/M%FCnchen/%ff%FE",
        "/100%",
        "/file%2Etxt",
        "/;/x;y",
        "/a//b?q=%FC//&%zz?",
    ] {
        gate.send(&get(target).key()).expect(200);
        assert_eq!(app.only().target(), target);
        app.forget();
    }
    for target in
        ["/a//../b", "/%2e%2e//", "/a%2f..%2fb", "/a%5c%2e.%5cb", "/a//..;x", "/a//%00", "/a%252f..%252f", "/a\\b"]
    {
        gate.send(&get(target).key()).refused(400, "target_invalid");
    }
    app.saw_nothing();
    // At the host of the login two rules decide, and so with another route for the host.
    gate.send(&get("/a//b").key().host("login.example.com")).refused(400, "target_invalid");
    let admin = public("").replace("path = \"/\"", "path = \"/admin\"").replace("public", "user");
    let gate = conf().routes(&format!("{}{admin}{}", public(""), public("host = \"www.example.com\"\n"))).start();
    for (host, target) in [("app.example.com", "//admin"), ("app.example.com", "/x%5c"), ("www.example.com", "//admin")]
    {
        gate.send(&get(target).key().host(host)).refused(400, "target_invalid");
    }
    app.saw_nothing();
}

#[test]
fn a_login_is_found_at_its_host() {
    let app = App::start();
    let gate = Conf::new(&app).login("host", "\"login.example.com\"").add_route("/", "public", "").start();
    let body = serde_json::json!({"username": "alice", "password": PASSWORD});
    let register = post(auth("")).json(&body);
    gate.send(&register.clone().host("Login.example.com:8443")).expect(200);
    app.saw_nothing();
    gate.send(&register).expect(200);
    assert_eq!(app.only().target(), AUTH, "at another host it is a path of the app's");
}

// === 4.2: API keys ===

#[test]
fn the_api_key_comes_as_query_member_or_header() {
    let (_app, gate) = gate();
    for request in [
        get(format!("/keyed/x?key={KEY}")),
        get(format!("/keyed/x?a=1&key={KEY}&b=2")),
        get(format!("/keyed/x?k%65y={KEY}")),
        get("/keyed/x").header("X-API-Key", KEY),
        get("/keyed/x").header("x-api-key", KEY),
        get(format!("/keyed/x?key={KEY}")).header("X-API-Key", KEY),
        get(format!("/keyed/x?key={KEY}&key={KEY}")),
    ] {
        gate.send(&request).expect(200);
    }
}

#[test]
fn two_api_keys_that_differ_are_400() {
    let (app, gate) = gate();
    for request in [
        get(format!("/keyed/x?key={KEY}&key=other")),
        get(format!("/keyed/x?key=other&key={KEY}")),
        get(format!("/keyed/x?key={KEY}")).header("X-API-Key", "other"),
        get("/keyed/x?key=other").header("X-API-Key", KEY),
        get("/keyed/x").header("X-API-Key", KEY).header("X-API-Key", "other"),
        get(format!("/keyed/x?key={KEY}&k%65y=other")),
    ] {
        gate.send(&request).refused(400, "key_conflict");
    }
    app.saw_nothing();
}

#[test]
fn wrong_expired_and_disabled_api_keys_are_400() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    for (key, reason) in [("wrong", "key_unknown"), (EXPIRED_KEY, "key_expired"), (DISABLED_KEY, "key_disabled")] {
        for path in ["/app/x", "/keyed/x", "/open/x"] {
            gate.send(&get(format!("{path}?key={key}")).bearer(&token)).refused(400, reason);
            gate.send(&get(path).header("X-API-Key", key).bearer(&token)).refused(400, reason);
        }
    }
    app.saw_nothing();
}

#[test]
fn several_api_keys_live_at_once_and_expire_on_their_own() {
    let app = App::start();
    let soon = jiff::Timestamp::from_second(now() + 4).unwrap();
    let tables = format!(
        "[[realm.key]]\nid = \"a\"\nsecret = \"{KEY}\"\n[[realm.key]]\nid = \"b\"\nsha256 = \"{}\"\nexpires = {soon}\n",
        sha256_hex("the second key of the realm")
    );
    let gate = Conf::new(&app).realm_tables(&tables).start();
    gate.send(&get("/keyed/x").key()).expect(200);
    let second = get("/keyed/x").header("X-API-Key", "the second key of the realm");
    gate.send(&second).expect(200);
    until_true(PATIENCE, "the second key expires", || gate.send(&second).status == 400);
    assert!(now() >= soon.as_second());
    gate.send(&second).refused(400, "key_expired");
    gate.send(&get("/keyed/x").key()).expect(200);
}

#[test]
fn a_realm_without_require_key_takes_a_good_one_and_leaves_the_rest_to_the_app() {
    let app = App::start();
    let gate = Conf::new(&app).realm("require_key", "false").start();
    gate.send(&get("/open/x")).expect(200);
    gate.send(&get("/open/x").key()).expect(200);
    app.forget();
    // What is no key is the application's own; what was one is not.
    gate.send(&get("/open/x?key=wc_order_1&a").header("X-API-Key", "the app's").header("X_API_Key", "too")).expect(200);
    let seen = app.only();
    assert_eq!(seen.target(), "/open/x?key=wc_order_1&a");
    let mut own = seen.folded("x-api-key");
    own.sort();
    assert_eq!(own, ["the app's", "too"]);
    app.forget();
    gate.send(&get(format!("/open/x?key={KEY}&a")).header("X_API_Key", KEY)).expect(200);
    let seen = app.only();
    assert_eq!((seen.target(), seen.folded("x-api-key")), ("/open/x?a".to_owned(), Vec::new()));
    app.forget();
    gate.send(&get("/open/x").header("X-API-Key", EXPIRED_KEY)).refused(400, "key_expired");
    gate.send(&get("/app/x")).refused(401, "token_missing");
    // access = "key" means one all the same.
    gate.send(&get("/keyed/x")).refused(403, "key_missing");
    gate.send(&get("/keyed/x").key()).expect(200);
}

// === 4.2: tokens ===

#[test]
fn the_token_comes_as_bearer_in_any_case_or_as_the_cookie() {
    let (_app, gate) = gate();
    let token = gate.user("alice");
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        gate.send(&get("/app/x").key().header("Authorization", format!("{scheme} {token}"))).expect(200);
    }
    for cookies in [
        format!("{COOKIE}={token}"),
        format!("a=1; {COOKIE}={token}; b=2"),
        format!("a=1;{COOKIE}={token};b=2"),
        format!("{COOKIE}={token}; {COOKIE}={token}"),
    ] {
        gate.send(&get("/app/x").key().header("Cookie", cookies)).expect(200);
    }
    gate.send(&get("/app/x").key().header("Cookie", "a=1").cookie(&token)).expect(200);
}

#[test]
fn the_cookies_name_is_case_sensitive() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    for name in ["__host-examples", "__Host-Examples", "x__Host-examples", "examples", "\u{2000}__Host-examples"] {
        gate.send(&get("/app/x").key().header("Cookie", format!("{name}={token}"))).refused(401, "token_missing");
    }
    app.saw_nothing();
}

#[test]
fn with_authorization_for_the_gate_the_cookie_is_not_looked_at() {
    let app = App::start();
    let gate = Conf::new(&app).route("authorization", "\"gate\"").start();
    let token = gate.user("alice");
    gate.send(&get("/app/x").key().bearer("garbage").cookie(&token)).refused(401, "token_malformed");
    gate.send(&get("/app/x").key().header("Authorization", "Basic YTpi").cookie(&token)).refused(401, "token_missing");
    gate.send(&get("/app/x").key().header("Authorization", "").cookie(&token)).expect(401);
    app.saw_nothing();
    gate.send(&get("/app/x").key().bearer(&token).cookie("garbage")).expect(200);
}

#[test]
fn two_credentials_of_one_kind_are_400() {
    let (app, gate) = gate();
    let (one, two) = (gate.user("alice"), gate.log_in("alice"));
    for request in [
        get("/app/x").bearer(&one).bearer(&two),
        get("/app/x").bearer(&one).bearer(&one),
        get("/app/x").bearer(&one).header("Authorization", "Basic YTpi"),
        get("/app/x").header("Cookie", format!("{COOKIE}={one}; {COOKIE}={two}")),
        get("/app/x").cookie(&one).cookie(&two),
        get("/app/x").cookie(&one).cookie("garbage"),
    ] {
        gate.send(&request.key()).refused(400, "credential_conflict");
    }
    app.saw_nothing();
}

#[test]
fn r51_a_planted_cookie_locks_nobody_out_where_no_user_is_needed_and_the_default_cannot_be_planted() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let planted = |request: Request| request.cookie("planted").cookie(&token).key();
    gate.send(&planted(get("/app/x"))).refused(400, "credential_conflict");
    app.saw_nothing();
    for path in ["/open/x", "/keyed/x"] {
        gate.send(&planted(get(path))).expect(200);
        assert_eq!(app.only().header("x-auth-subject"), None, "{path}");
        app.forget();
    }
    let body = serde_json::json!({"username": "alice", "password": PASSWORD});
    let answer = gate.send(&planted(post(auth("login=true"))).json(&body)).expect(200);
    let (fresh, attributes) = answer.set_cookie("__Host-examples").expect("browsers take it from this host only");
    assert!(attributes.contains(&"secure".into()) && attributes.contains(&"path=/".into()), "{attributes:?}");
    assert!(!attributes.iter().any(|attribute| attribute.starts_with("domain")), "{attributes:?}");
    // Another host of the domain can plant what it likes under other names.
    let others = "__Secure-examples=planted; examples=planted; __host-examples=planted; __Host-examples2=planted";
    gate.send(&get("/app/x").key().header("Cookie", format!("{others}; __Host-examples={fresh}"))).expect(200);
    gate.send(&planted(post(auth("logout=true")))).expect(200);
}

#[test]
fn r53_an_app_has_its_own_authorization_header_beside_the_cookie() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    for own in ["Bearer glsa_0123", "Basic dTpw", "Token abc"] {
        gate.send(&get("/app/x").key().cookie(&token).header("Authorization", own)).expect(200);
        let seen = app.only();
        assert_eq!(seen.header("authorization").as_deref(), Some(own));
        assert_eq!(seen.header("x-auth-username").as_deref(), Some("alice"));
        app.forget();
    }
    // What names the realm is Tollgate's: it has to be good, and is not for the application.
    let forged = format!("{}x", gate.log_in("alice"));
    gate.send(&get("/app/x").key().cookie(&token).bearer(&forged)).refused(401, "token_signature");
    gate.send(&get("/app/x").key().cookie(&token).bearer(&forged).header("Authorization", "Basic dTpw"))
        .refused(400, "credential_conflict");
    app.saw_nothing();
    gate.send(&get("/app/x").key().cookie("garbage").bearer(&token)).expect(200);
    assert_eq!(app.only().header("authorization"), None);
    app.forget();
    gate.send(&get("/app/x").key().cookie("garbage").header("Authorization", "Basic dTpw"))
        .refused(401, "token_malformed");
    let left = Conf::new(&app).route("authorization", "\"app\"").start();
    let token = left.user("alice");
    left.send(&get("/app/x").key().bearer(&token)).refused(401, "token_missing");
    app.saw_nothing();
    left.send(&get("/app/x").key().cookie(&token).bearer(&forged).header("Authorization", "Basic dTpw")).expect(200);
    assert_eq!(app.only().all("authorization"), [format!("Bearer {forged}"), "Basic dTpw".into()]);
}

#[test]
fn a_list_of_access_takes_any_of_it_and_tells_which_key_it_was() {
    let app = App::start();
    let gate = Conf::new(&app)
        .realm("require_key", "false")
        .log("access", "\"all\"")
        .log("audit", "\"stderr\"")
        .routes(&format!(
            "[[route]]\npath = \"/both\"\nrealm = \"examples\"\naccess = [\"user\", \"key\"]\nbasic = true\nupstream = [\"{url}\"]\n\
             [[route]]\npath = \"/admin\"\nrealm = \"examples\"\naccess = \"user\"\nroles = [\"admin\"]\nupstream = [\"{url}\"]\n\
             [[route]]\npath = \"/handed-on\"\nrealm = \"examples\"\naccess = \"key\"\nbasic = true\nforward_token = true\nupstream = [\"{url}\"]\n",
            url = app.url()
        ))
        .start();
    let token = gate.user("alice");
    let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let none = gate.send(&get("/both")).refused(401, "token_missing");
    assert_eq!(none.all("www-authenticate"), ["Bearer realm=\"examples\"", "Basic realm=\"examples\""]);
    let wrong = get("/both").header("Authorization", basic("web:guess"));
    let wrong = gate.send(&wrong).refused(401, "key_unknown");
    assert_eq!(wrong.all("www-authenticate"), ["Bearer realm=\"examples\"", "Basic realm=\"examples\""]);
    // A user's password is no API key.
    gate.send(&get("/both").header("Authorization", basic(&format!("alice:{PASSWORD}")))).refused(401, "key_unknown");
    gate.send(&get("/handed-on")).refused(401, "key_missing");
    app.saw_nothing();
    gate.send(&get("/both").bearer(&token).header("X-Auth-Key-Id", "spoofed").header("x_auth_key_id", "too"))
        .expect(200);
    let seen = app.only();
    assert_eq!(seen.header("x-auth-username").as_deref(), Some("alice"));
    assert_eq!(seen.folded("x-auth-key-id"), Vec::<String>::new());
    app.forget();
    for request in [
        get("/both").key(),
        get("/both").header("Authorization", basic(&format!("web:{KEY}"))),
        get("/both").header("Authorization", basic(&format!(":{KEY}"))),
        get("/both").key().cookie("garbage"),
        post("/both").key().body("x"),
    ] {
        gate.send(&request.header("X-Auth-Key-Id", "spoofed").header("x_auth_key_id", "too")).expect(200);
        let seen = app.only();
        assert_eq!(seen.folded("x-auth-key-id"), ["web"], "{}", seen.text());
        assert!(!seen.text().contains(KEY) && seen.header("authorization").is_none(), "{}", seen.text());
        assert_eq!(seen.header("x-auth-subject"), None);
        app.forget();
    }
    let handed_on = basic(&format!("web:{KEY}"));
    gate.send(&get("/handed-on").header("Authorization", &*handed_on)).expect(200);
    assert_eq!(app.only().header("authorization"), Some(handed_on));
    gate.send(&get("/admin").key().bearer(&token)).refused(403, "role_missing");
    gate.says("key=\"web\"");
    gate.says("\"key\":\"web\"");
}

#[test]
fn tokens_over_8_kib_are_401() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let long = format!("{token}{}", "A".repeat(8193));
    gate.visit(&long).refused(401, "token_too_long");
    gate.send(&get("/app/x").key().cookie(&long)).refused(401, "token_too_long");
    app.saw_nothing();
}

#[test]
fn every_401_has_a_challenge_that_says_whether_a_token_was_sent() {
    let (_app, gate) = gate();
    let none = gate.send(&get("/app/x").key()).refused(401, "token_missing");
    assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"examples\""));
    let basic = gate.send(&get("/app/x").key().header("Authorization", "Basic YTpi")).refused(401, "token_missing");
    assert_eq!(basic.header("www-authenticate"), Some("Bearer realm=\"examples\""));
    let bad = gate.visit("garbage").refused(401, "token_malformed");
    assert_eq!(bad.header("www-authenticate"), Some("Bearer realm=\"examples\", error=\"invalid_token\""));
    let login = gate.try_log_in("nobody", PASSWORD).refused(401, "credentials_invalid");
    assert!(login.header("www-authenticate").unwrap().starts_with("Bearer realm=\"examples\""));
}

#[test]
fn every_refusal_is_problem_json_with_its_length_and_an_id() {
    let (_app, gate) = gate();
    let mut conn = gate.conn();
    for (request, status, reason) in [
        (get("/nope"), 404, "route_not_found"),
        (get("/app/x"), 403, "key_missing"),
        (get("/app/x?key=wrong"), 400, "key_unknown"),
        (get("/app/x").key(), 401, "token_missing"),
        (get("/app/x").key().origin(FOREIGN), 403, "origin_denied"),
    ] {
        // One connection: a refusal of a request without a body is normal traffic.
        let answer = conn.ask(&request).refused(status, reason);
        assert_eq!(answer.header("content-length").unwrap(), answer.body.len().to_string());
        assert!(!answer.header("x-request-id").expect("an id").is_empty());
        assert_eq!(answer.json()["type"], "about:blank");
        let head = conn.ask(&{
            let mut head = request.clone();
            head = head.header("X-Head", "1");
            head
        });
        assert_eq!(head.status, status);
    }
}

#[test]
fn roles_one_of_them_is_enough_and_none_is_403() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/two", "user", "roles = [\"writer\", \"admin\"]").start();
    let add = |name: &str, roles: &[&str]| {
        let config = gate.config_arg();
        let mut args = vec!["user", "add", "-c", &config, "--realm", "examples"];
        for role in roles {
            args.extend(["--role", role]);
        }
        args.push(name);
        tollgate(&args, &format!("{PASSWORD}\n")).ok();
    };
    add("root", &["admin"]);
    add("scribe", &["writer", "reader"]);
    add("guest", &["Admin", "administrator"]);
    for (name, admin, two) in [("root", 200, 200), ("scribe", 403, 200), ("guest", 403, 403)] {
        let token = gate.log_in(name);
        assert_eq!(gate.send(&get("/admin/x").key().bearer(&token)).status, admin, "{name}");
        assert_eq!(gate.send(&get("/two/x").key().bearer(&token)).status, two, "{name}");
    }
    assert!(app.seen().iter().any(|seen| {
        seen.header("x-auth-roles").is_some_and(|roles| roles.contains("writer") && roles.contains("reader"))
    }));
}

#[test]
fn a_public_route_forwards_a_bad_token_without_identity() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    for request in [
        get("/open/x"),
        get("/open/x").bearer("garbage"),
        get("/open/x").cookie("garbage"),
        get("/open/x").header("Authorization", "Basic YTpi"),
    ] {
        gate.send(&request.key()).expect(200);
        let seen = app.only();
        assert_eq!(seen.all("x-auth-subject"), Vec::<String>::new(), "{}", seen.text());
        assert_eq!(seen.all("authorization"), Vec::<String>::new());
        app.forget();
    }
    gate.send(&get("/open/x").key().bearer(&token)).expect(200);
    assert_eq!(app.only().header("x-auth-username").as_deref(), Some("alice"));
}

// === SECURITY.md ===

#[test]
fn r05_no_header_changes_the_path_method_or_host_that_are_judged() {
    let app = App::start();
    let gate = Conf::new(&app).add_route("/limited", "public", "methods = [\"GET\"]").start();
    let names = [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Original_URL",
        "x.rewrite.url",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Envoy-Original-Path",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Original-Method",
        "X-Original-Host",
    ];
    for name in names {
        for value in ["/open/x", "http://app.example.com/open/x", "GET", "OPTIONS"] {
            gate.send(&get("/app/x").key().header(name, value)).refused(401, "token_missing");
        }
    }
    app.saw_nothing();
    for name in ["X-Original-URL", "X-Rewrite-URL", "X_Original_URL", "x.rewrite.url"] {
        gate.send(&get("/open/x").key().header(name, "/admin/x")).expect(200);
        let seen = app.only();
        assert_eq!(seen.folded(name), Vec::<String>::new(), "{}", seen.text());
        assert_eq!(seen.target(), "/open/x");
        app.forget();
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"] {
        gate.send(&get("/limited/x").key().header(name, "DELETE")).expect(200);
        let seen = app.only();
        assert_eq!(seen.folded(name), Vec::<String>::new(), "{}", seen.text());
        assert_eq!(seen.method(), "GET");
        app.forget();
    }
}

#[test]
fn r06_no_health_check_or_user_agent_opens_a_path() {
    let (app, gate) = gate();
    for agent in ["kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "tollgate", "Prometheus/2.0"] {
        gate.send(&get("/app/x").key().header("User-Agent", agent)).refused(401, "token_missing");
    }
    for path in ["/healthz", "/readyz", "/status", "/metrics", "/ping"] {
        gate.send(&get(path).key()).refused(404, "route_not_found");
    }
    app.saw_nothing();
}

#[test]
fn r08_dot_segments_and_every_other_target_that_readers_read_differently_are_400() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let corpus: Vec<&[u8]> = vec![
        // Dot segments, plain and encoded in every way.
        b"/open/../app/x",
        b"/open/./x",
        b"/open/..",
        b"/open/.",
        b"/..",
        b"/.",
        b"/../app",
        b"/./app/x",
        b"/open/%2e%2e/app",
        b"/open/%2E%2E/app",
        b"/open/%2e%2E/app",
        b"/open/.%2e/app",
        b"/open/%2e./app",
        b"/open/.%2E/app",
        b"/open/%2e/x",
        b"/open/%2E",
        b"/open/x/..",
        b"/open/x/%2e%2e",
        b"/open/..;/app",
        b"/open/..;a=b/app",
        b"/open/.;/app",
        b"/open/%2e%2e;/app",
        b"/open/%252e%252e/app",
        b"/open/%25%32%65/app",
        // Empty segments.
        b"//app/x",
        b"/open//x",
        b"/open///x",
        b"//",
        b"///",
        b"//evil.example/open",
        b"/open/x//",
        b"/open//../app",
        // Slashes and back-slashes in disguise.
        b"/open\\x",
        b"/open/..\\app",
        b"\\open",
        b"/\\evil.example",
        b"/open%5cx",
        b"/open%5Cx",
        b"/open/..%5capp",
        b"/open%2fx",
        b"/open%2Fx",
        b"/open/..%2fapp",
        b"/open/..%2Fapp",
        b"/open%2f..%2fapp",
        b"/open%252fx",
        b"/open%255cx",
        b"/%2fapp",
        b"/%2Fapp/x",
        b"/open/%2f",
        // Controls.
        b"/open/%00",
        b"/open/x%00.html",
        b"/open/%0a",
        b"/open/%0d%0aX-Auth-Subject:%20x",
        b"/open/%09",
        b"/open/%1f",
        b"/open/%7f",
        b"/open/x\x01",
        b"/open/x\x7f",
        b"/open/x\t",
        // Percent signs that begin nothing, and bytes that are no UTF-8.
        b"/open/%",
        b"/open/%2",
        b"/open/%zz",
        b"/open/%g0",
        b"/open/%u002e",
        b"/open/%c0%ae%c0%ae/app",
        b"/open/%c0%af",
        b"/open/%ff",
        b"/open/%e2%82",
        b"/open/\xff",
        b"/open/\xc3\xa9",
        b"/open/%ed%a0%80",
        b"/open/%f5%80%80%80",
        // Fragments, and what is no path at all.
        b"/open/x#/app",
        b"/open#",
        b"#",
        b"open/x",
        b"?x",
        b"",
        b"http:/open/x",
        b"*x",
        b"open:80",
        // White space inside a target. (Pingora percent-encodes a space before any check.)
        b"/open/x\x0b",
    ];
    assert!(corpus.len() >= 60);
    for target in corpus {
        let shown = String::from_utf8_lossy(target).into_owned();
        let mut bytes = b"GET ".to_vec();
        bytes.extend(target);
        bytes.extend(
            format!(" HTTP/1.1\r\nHost: {}\r\nX-API-Key: {KEY}\r\nAuthorization: Bearer {token}\r\n\r\n", gate.addr)
                .bytes(),
        );
        let mut conn = gate.conn();
        conn.write(&bytes);
        match conn.try_read(false) {
            Ok(answer) => assert_eq!(answer.status, 400, "{shown}: {}", answer.text()),
            // A request that is no HTTP at all may end its connection without a word.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{shown}: {error}"),
        }
        assert!(app.seen().is_empty(), "{shown} reached the app as {:?}", app.seen()[0].line());
    }
}

#[test]
fn r08_targets_in_their_one_form_reach_the_app_byte_for_byte() {
    let (app, gate) = gate();
    for target in [
        "/open",
        "/open/",
        "/open/x/",
        "/open/x.y",
        "/open/.x",
        "/open/..x",
        "/open/x..",
        "/open/...",
        "/open/%C3%A9",
        "/open/%c3%a9",
        "/open/%20",
        "/open/a%20b",
        "/open/;x",
        "/open/a;b=c",
        "/open/~x_-!$&'()*+,;=:@",
        "/open/x?y=/../z",
        "/open/x?y=%2e%2e",
        "/open/x?a=//b",
        "/open/x?a=%2f",
        "/open/x?a=b?c",
        "/open/x?",
        "/open/%41",
    ] {
        gate.send(&get(target).key()).expect(200);
        let forwarded = app.only().target();
        // A lone question mark may go: it says nothing.
        assert!(forwarded == target || Some(forwarded.as_str()) == target.strip_suffix('?'), "{target}: {forwarded}");
        app.forget();
    }
}

#[test]
fn r59_values_of_a_query_are_the_apps() {
    let (app, gate) = gate();
    for query in [
        "q=M%FCnchen",
        "q=%u00e9",
        "q=100%",
        "info_hash=%124Vx%9A%BC%DE%F1%23%45%67%89%AB%CD%EF%124Vx%9A",
        "q=\u{fc}",
        "%",
        "%2&a=%zz",
        "%c0%af=1&%FC=2",
        "a;b=1;key=2?c=3",
        "&&a==&",
        "ke%79%=1&Key=2&key%6=3",
        "q=[1,2]|^`",
    ] {
        let target = format!("/open/x?{query}");
        gate.send(&get(&target).key()).expect(200);
        assert_eq!(app.only().target(), target);
        app.forget();
        // However it is spelled, what is Tollgate's own is found between them.
        gate.send(&get(format!("/open/x?{query}&%6b%65%79={KEY}&z=%FC"))).expect(200);
        assert_eq!(app.only().target(), format!("/open/x?{query}&z=%FC"));
        app.forget();
    }
}

#[test]
fn r59_raw_bytes_pass_as_they_came() {
    let app = App::start();
    let conf = Conf::new(&app).login("host", "\"login.example.com\"").log("access", "\"all\"");
    let route =
        format!("[[route]]\npath = \"/\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{}\"]\n", app.url());
    let gate = conf.routes(&route).start();
    let mut conn = gate.conn();
    let head = |method: &str, target: &[u8], more: &str| {
        let rest = format!(" HTTP/1.1\r\nHost: {}\r\n{more}\r\n", gate.addr);
        [method.as_bytes(), b" ", target, rest.as_bytes()].concat()
    };
    let key = format!("X-API-Key: {KEY}\r\n");
    for target in [
        &b"/x?q={\"a\":[1,\"<b>\"]}"[..],
        b"/x?q=M\xfcnchen&\xff\xfe=`",
        "/caf\u{e9}/x?q=\u{fc}".as_bytes(),
        b"/M\xfcnchen//x",
        b"/x?\"",
    ] {
        // One after the other on one connection, and whole bodies between them.
        conn.write(head("GET", target, &key));
        conn.read().expect(200);
        assert_eq!(app.only().raw_target(), target);
        app.forget();
        conn.write(head("POST", target, &format!("{key}Content-Length: 3\r\n")));
        conn.write("\"\"\"");
        conn.read().expect(200);
        let seen = app.only();
        assert_eq!((seen.raw_target(), &seen.body()[..]), (target.to_vec(), &b"\"\"\""[..]));
        app.forget();
        // In pieces, and less the key.
        let with_key = [target, if target.contains(&b'?') { b"&key=" } else { b"?key=" }, KEY.as_bytes()].concat();
        let whole = head("GET", &with_key, "");
        let (first, second) = whole.split_at(8);
        conn.write(first);
        conn.write(second);
        conn.read().expect(200);
        assert_eq!(app.only().raw_target(), target);
        app.forget();
    }
    // Each of a pipeline has its own.
    let pipeline: [&[u8]; 3] = [b"/1?\"\xfc\"", b"/2", b"/3?\xff<>"];
    conn.write(pipeline.map(|target| head("GET", target, &key)).concat());
    for target in pipeline {
        conn.read().expect(200);
        assert!(app.seen().iter().any(|seen| seen.raw_target() == target), "{}", target.escape_ascii());
    }
    app.forget();
    until_true(PATIENCE, "the log", || gate.stderr().contains("/caf"));
    for target in [&b"/a/../\xff"[..], b"/\xc0\xae\xc0\xae/a", b"/\"a", b"/a\xff#b", b"/\x85\\"] {
        conn = gate.conn();
        conn.write(head("GET", target, &key));
        conn.read().refused(400, "target_invalid");
    }
    app.saw_nothing();
}

#[test]
fn r59_a_member_that_the_gate_reads_must_decode() {
    let (app, gate) = gate();
    let body = serde_json::json!({"username": "alice", "password": PASSWORD});
    for key in ["key=%ff", "key=%", "k%65y=%zz"] {
        gate.send(&get(format!("/open/x?{key}"))).refused(400, "query_invalid");
        gate.send(&post(format!("{AUTH}?{key}")).json(&body)).refused(400, "query_invalid");
    }
    for member in ["login=%ff", "uniqueId=%", "dataOnly=%FC", "masterKey=%zz"] {
        gate.send(&get(auth(member))).refused(400, "query_invalid");
    }
    gate.send(&post(auth("q=%FC&%FC=1&100%")).json(&body)).expect(200);
    app.saw_nothing();
}

#[test]
fn r09_public_routes_match_their_path_only() {
    let (app, gate) = gate();
    for target in ["/openx", "/open.html", "/open;x", "/xopen", "/open%20", "/OPEN/x"] {
        gate.send(&get(target).key()).refused(404, "route_not_found");
    }
    for target in ["/app/x?/open", "/app/x?path=/open/x", "/app/open", "/app/x/open/x", "/app/x;/open"] {
        gate.send(&get(target).key()).refused(401, "token_missing");
    }
    for target in ["/app/x#/open", "/open/../app/x", "/app/x#"] {
        assert_eq!(gate.send(&get(target).key()).status, 400, "{target}");
    }
    app.saw_nothing();
}

#[test]
fn r10_hosts_are_compared_in_one_form() {
    let app = App::start();
    let routes = format!(
        "[[route]]\nhost = \"App.example.com\"\npath = \"/\"\nrealm = \"examples\"\naccess = \"user\"\nupstream = [\"{0}\"]\n\
         [[route]]\npath = \"/\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{0}\"]\n",
        app.url()
    );
    let gate = Conf::new(&app).routes(&routes).start();
    // A spelling that missed the guarded host's route would fall to the open one.
    for host in [
        "app.example.com",
        "APP.EXAMPLE.COM",
        "App.Example.Com.",
        "app.example.com.",
        "app.example.com:80",
        "app.example.com.:443",
        "app.example.com:8080",
    ] {
        gate.send(&get("/x").key().host(host)).refused(401, "token_missing");
    }
    app.saw_nothing();
    gate.send(&get("/x").key().host("other.example.com")).expect(200);
}

#[test]
fn r11_a_host_that_is_missing_doubled_or_malformed_is_400() {
    let (app, gate) = gate();
    for request in [
        get("/open/x").without_host(),
        get("/open/x").host(""),
        get("/open/x").host("a").header("Host", "b"),
        get("/open/x").header("Host", gate.addr.to_string()),
        get("/open/x").host("a b"),
        get("/open/x").host("a/b"),
        get("/open/x").host("user@a"),
        get("/open/x").host("a:x"),
        get("/open/x").host("a:99999"),
        get("/open/x").host("a,b"),
        get("/open/x").host("a\\b"),
        get("/open/x").host("[::1"),
        get("http://a/open/x").host("b"),
        get("http://user@a/open/x").host("a"),
        get("http://app.example.com/../app/x").host("app.example.com"),
    ] {
        let bytes = String::from_utf8_lossy(&request.bytes("h")).into_owned();
        match request.key().try_send(gate.addr) {
            Ok(answer) => assert_eq!(answer.status, 400, "{bytes}{}", answer.text()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{bytes}{error}"),
        }
    }
    app.saw_nothing();
}

#[test]
fn r12_what_cannot_be_parsed_is_refused() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let host = format!("Host: {}\r\nX-API-Key: {KEY}\r\n", gate.addr);
    let head = |line: &str, rest: &str| format!("{line}\r\n{host}{rest}\r\n").into_bytes();
    let mut corpus: Vec<Vec<u8>> = vec![
        head("GET /open/x HTTP/9.9", ""),
        head("GET /open/x HTTP/1.1 x", ""),
        head("GET /open/x", ""),
        head("GET  /open/x HTTP/1.1", ""),
        head("GE\u{1}T /open/x HTTP/1.1", ""),
        head(" /open/x HTTP/1.1", ""),
        head("GET /open/x HTTP/1.1", "no colon\r\n"),
        head("GET /open/x HTTP/1.1", ": no name\r\n"),
        head("GET /open/x HTTP/1.1", "Bad Name: x\r\n"),
        head("GET /open/x HTTP/1.1", "Space-Before : x\r\n"),
        head("GET /open/x HTTP/1.1", "A: b\r\n folded\r\n"),
        head("GET /open/x HTTP/1.1", "A: \0\r\n"),
        head("GET /open/x HTTP/1.1", "A: b\rc\r\n"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ];
    for (name, value) in [
        ("Authorization", b"Bearer \xff\xfe".as_slice()),
        ("Cookie", b"__Host-examples=\xff"),
        ("X-API-Key", b"\xff"),
        ("Origin", b"https://\xff"),
    ] {
        let mut bytes = format!("GET /app/x HTTP/1.1\r\nHost: {}\r\n", gate.addr).into_bytes();
        if name != "X-API-Key" {
            bytes.extend(format!("X-API-Key: {KEY}\r\n").bytes());
        }
        if name != "Authorization" && name != "Cookie" {
            bytes.extend(format!("Authorization: Bearer {token}\r\n").bytes());
        }
        bytes.extend(name.bytes());
        bytes.extend(b": ");
        bytes.extend(value);
        bytes.extend(b"\r\n\r\n");
        corpus.push(bytes);
    }
    for bytes in corpus {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let mut conn = gate.conn();
        conn.write(&bytes);
        conn.finish_writing();
        match conn.try_read(false) {
            Ok(answer) => {
                assert!(matches!(answer.status, 400 | 401 | 403 | 405 | 501 | 505), "{shown}\n{}", answer.status);
            }
            Err(error) => assert!(
                matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset),
                "{shown}\n{error}"
            ),
        }
        assert!(app.seen().is_empty(), "{shown}\nreached the app");
    }
    gate.visit(&token).expect(200);
}

#[test]
fn r12_connect_and_asterisk_are_refused() {
    let (app, gate) = gate();
    let answer = gate.send(&request("CONNECT", "evil.example:443").key());
    // Its target and the Host differ, too.
    assert!(matches!(answer.status, 400 | 405), "{answer:?}");
    for target in ["*", "evil.example:443"] {
        let answer = request("OPTIONS", target).key().try_send(gate.addr);
        assert!(answer.as_ref().map_or(true, |answer| matches!(answer.status, 400 | 404)), "{answer:?}");
    }
    app.saw_nothing();
}

#[test]
fn r26_a_credential_of_any_kind_that_is_there_but_garbage_opens_nothing() {
    let (app, gate) = gate();
    let token = gate.user("alice");
    let cut = &token[..token.len() - 1];
    let unsigned = token.rsplit_once('.').unwrap().0;
    let long = "x".repeat(4000);
    for garbage in [
        "",
        " ",
        "x",
        "..",
        "...",
        "null",
        "undefined",
        "true",
        cut,
        unsigned,
        &format!("{unsigned}."),
        &format!(" {token} x"),
        &format!("{token}="),
        &long,
    ] {
        for request in [get("/app/x").bearer(garbage), get("/app/x").cookie(garbage)] {
            let answer = gate.send(&request.clone().key());
            assert!(matches!(answer.status, 400 | 401), "{garbage:?}: {}", answer.status);
            let answer = gate.send(&get(auth("")).bearer(garbage));
            assert!(matches!(answer.status, 400 | 401), "{garbage:?}: {}", answer.status);
        }
        let encoded = garbage.replace(' ', "%20");
        for request in [get(format!("/keyed/x?key={encoded}")), get("/keyed/x").header("X-API-Key", garbage)] {
            let answer = gate.send(&request);
            assert!(matches!(answer.status, 400 | 403), "{garbage:?}: {}", answer.status);
        }
        let answer = gate.send(&get(auth(&format!("masterKey={encoded}"))));
        assert_eq!(answer.status, 401, "{garbage:?}");
    }
    app.saw_nothing();
}

#[test]
fn r44_what_the_file_does_not_open_is_closed() {
    let app = App::start();
    let gate = Conf::new(&app).routes("").start();
    for target in ["/", "/x", "/app/x", "/api", "/api/1/ce"] {
        gate.send(&get(target).key()).refused(404, "route_not_found");
    }
    app.saw_nothing();
    // What a route or realm leaves out is refused, never taken for open.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let conf = |text: &str| {
        write_file(&file, text, 0o600);
        tollgate(&["check", "-c", file.to_str().unwrap()], "")
    };
    let whole = Conf::new(&app).text(1, 2);
    conf(&whole).ok();
    conf(&whole.replace("access = \"user\"\n", "")).failed(78);
    conf(&whole.replace("[[realm.key]]", "[[realm.unknown]]")).failed(78);
    let without_keys = Conf::new(&app).realm_tables("").text(1, 2);
    let refused = conf(&without_keys).failed(78);
    assert!(refused.stderr.contains("require_key"), "{}", refused.stderr);
}
