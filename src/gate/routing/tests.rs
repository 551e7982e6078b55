//! Routes, logins and JWKS by host and path.

use crate::gate::fixture::*;
use crate::gate::*;

#[test]
fn r09_routes_match_by_whole_segments_and_decoded() {
    let bench = Bench::new();
    for (line, expected) in [
        ("GET /public", Ok("/public")),
        ("GET /public/", Ok("/public/")),
        ("GET /public/x?y", Ok("/public/x?y")),
        ("GET /%70ublic/x", Ok("/%70ublic/x")),
        ("GET /publicx", Err(DenyReason::NotFound)),
        ("GET /Public", Err(DenyReason::NotFound)),
        ("GET /", Err(DenyReason::NotFound)),
        ("GET /x?/public", Err(DenyReason::NotFound)),
        ("GET /%75ser", Err(DenyReason::KeyMissing)),
        ("GET /public/%2fuser", Err(DenyReason::Target)),
        ("GET /files/a%2Fb", Ok("/files/a%2Fb")),
        ("GET /files/a;x%2Fb", Ok("/files/a;x%2Fb")),
        ("GET /files/locked", Err(DenyReason::TokenMissing)),
        ("GET /files/locked%2Fb", Err(DenyReason::Target)),
        ("GET /files/locked;x%2Fb", Err(DenyReason::Target)),
        ("GET /files/locked%2Fb;x", Err(DenyReason::Target)),
        ("GET /files/a;%2F..;%2Flocked", Err(DenyReason::Target)),
        ("GET /public;x/y", Err(DenyReason::NotFound)),
        ("GET /public/a;b=c", Ok("/public/a;b=c")),
        ("GET /open;x/auth", Err(DenyReason::NotFound)),
        ("GET /open/auth;x", Err(DenyReason::Target)),
        ("DELETE /read", Err(DenyReason::NotFound)),
        ("HEAD /read", Ok("/read")),
        ("TRACE /public", Ok("/public")),
        ("TRACE /user", Err(DenyReason::KeyMissing)),
        ("OPTIONS /user", Err(DenyReason::KeyMissing)),
    ] {
        assert_eq!(bench.outcome(line, &[]), expected.map(str::to_owned), "{line}");
    }
}

#[test]
fn key_sets_are_for_everybody() {
    let bench = Bench::new();
    let evil = ("origin", "https://evil.example");
    for path in ["/.well-known/jwks.json", "/strict/.well-known/jwks.json", "/main/.well-known/jwks.json?x=%zz"] {
        for (method, expected) in [
            ("GET", Ok("key set".to_owned())),
            ("HEAD", Ok("key set".into())),
            ("POST", Err(DenyReason::KeySetMethod)),
            ("OPTIONS", Err(DenyReason::KeySetMethod)),
        ] {
            let line = format!("{method} {path}");
            assert_eq!(bench.outcome(&line, &[evil, ("host", "nobody.example")]), expected, "{line}");
        }
    }
    assert_eq!(bench.outcome("GET /.well-known/jwks.json", &[("host", "a b")]), Err(DenyReason::Host));
    assert_eq!(bench.outcome("GET /x/../.well-known/jwks.json", &[]), Err(DenyReason::Target));
    for path in [
        "/nobody/.well-known/jwks.json",
        "/.well-known/jwks.json/",
        "/.well-known/jwks",
        "/main%2f.well-known/jwks.json",
    ] {
        assert!(bench.outcome(&format!("GET {path}"), &[]).is_err(), "{path}");
    }
}

/// Paths with several readings, none of which leaves the route.
const ODD: [&str; 14] = [
    "//",
    "//a",
    "/a//b",
    "/a///",
    "/a/%2f/b",
    "/%2f",
    "/a%2Fb",
    "/a%5cb%5C",
    "/a%252f%2520",
    "/%ff%FE",
    "/100%/%zz",
    "/file%2Etxt",
    "/;/;x",
    "/caf\u{e9}/..b/...",
];

#[test]
fn r59_where_one_route_decides_about_a_host_any_reading_will_do() {
    let bench = Bench::of(HOSTS);
    let bearer = bench.bearer("open", &[]);
    for path in ODD {
        let line = format!("GET {path}?q=%FC//");
        let ask = |host: &str| bench.outcome(&line, &[("host", host)]);
        let solo = bench.outcome(&line, &[("host", "Solo.Example.:443"), ("authorization", &bearer)]);
        assert_eq!(solo, Ok(format!("{path}?q=%FC//")), "byte for byte");
        assert_eq!(ask("solo.example"), Err(DenyReason::TokenMissing), "{path}");
        for host in ["two.example", "strict.example", "read.example", "login.example", "opaque.example"] {
            assert_eq!(ask(host), Err(DenyReason::Target), "{host} {path}");
        }
        assert!(ask("nobody.example").is_err(), "{path}");
    }
    for path in [
        "/a/../b",
        "/%2e%2e/a",
        "/a%2f..%2fb",
        "/a/.%2e;x",
        "/a%5c..%5cb",
        "/a%00",
        "/a//%0a",
        "/a%252f%252e%252e%252fb",
    ] {
        let told = bench.outcome(&format!("GET {path}"), &[("host", "solo.example"), ("authorization", &bearer)]);
        assert_eq!(told, Err(DenyReason::Target), "{path}");
    }
}

#[test]
fn r59_below_an_opaque_route_any_reading_will_do_and_beside_it_none() {
    let bench = Bench::of(HOSTS);
    for (path, passes) in [
        ("/app", true),
        ("/app/x", true),
        ("/app//x", true),
        ("/app/", true),
        ("/app/%2fother/x", true),
        ("/app/%5cother", true),
        ("/app/a%252fb/%ff", true),
        ("/%61pp/x", true),
        ("/app/;/x", true),
        ("/%61pp//x", false),
        ("//app/x", false),
        ("/app%2fx", false),
        ("/app%2f%2fx", false),
        ("/app%5cx", false),
        ("/app;x//y", false),
        ("/appx//y", false),
        ("/other//x", false),
        ("/app/%2e%2e//other", false),
        ("/app//..%2fother", false),
        ("/app//%c0%ae%c0%ae/other", false),
    ] {
        let told = bench.outcome(&format!("GET {path}"), &[("host", "opaque.example")]);
        assert_eq!(told, if passes { Ok(path.to_owned()) } else { Err(DenyReason::Target) }, "{path}");
    }
}

#[test]
fn r59_an_encoded_slash_passes_in_any_place_that_leads_to_the_same_route() {
    let bench = Bench::of(HOSTS);
    for (path, passes) in [
        ("/api/vhosts/%2F/permissions", true),
        ("/api/queues/%2f", true),
        ("/%2f/x", true),
        ("/%2F", true),
        ("/a%2f%2Fb", true),
        ("/fetch/https%3A%2F%2Fexample.com%2Fa", true),
        ("/fetch/https:%2F%2Fexample.com", true),
        ("/admi%2fn", true),
        ("/%2fadmin", false),
        ("/%2F%2fadmin/x", false),
        ("/%2f/admin", false),
        ("/%2fhost/admin", false),
        ("/%2fhost%2f%2fadmin", false),
        ("/admin%2fx;/y", false),
        ("/a%2f..%2fadmin", false),
        ("/%2f.", false),
        ("//a%2fb", false),
        ("/a//%2fb", false),
    ] {
        let told = bench.outcome(&format!("GET {path}"), &[("host", "pass.example")]);
        let expected = if passes { Ok(path.to_owned()) } else { Err(DenyReason::Target) };
        assert_eq!(told, expected, "{path}");
    }
    assert_eq!(bench.outcome("GET /admin/%2fx", &[("host", "pass.example")]), Err(DenyReason::TokenMissing));
}

#[test]
fn r59_no_reading_leads_to_a_path_of_the_gates_own() {
    let bench = Bench::of(HOSTS);
    let bearer = bench.bearer("open", &[]);
    let ask =
        |path: &str| bench.outcome(&format!("GET {path}"), &[("host", "solo.example"), ("authorization", &bearer)]);
    for path in ["/.well-known/jwks.json", "/open/.well-known/jwks.json", "/%6fpen/.well-known/jwks.json"] {
        assert_eq!(ask(path), Ok("key set".into()), "{path}");
    }
    for path in [
        "//.well-known/jwks.json",
        "/.well-known//jwks.json",
        "/.well-known%2fjwks.json",
        "/.well-known%2Fjwks.json;x",
        "/%2e%77ell-known/jwks.json",
        "/.well-known/jwks%2ejson",
        "/.well-known/jwks.json;x",
        "/.well-known;x/jwks.json",
        "/.well-known%5cjwks.json",
        "/open//.well-known/jwks.json",
        "/%2fhost/.well-known/jwks.json",
        "/.well-known/jwks.json%252f",
        "/.well-known;%2fx/jwks.json",
    ] {
        assert_eq!(ask(path), Err(DenyReason::Target), "{path}");
    }
    assert!(ask("//.well-known/openid-configuration").is_ok());
}

#[test]
fn logins_are_found_by_their_host() {
    let bench = Bench::of(HOSTS);
    let ask = |line: &str, host: &str| bench.outcome(line, &[("host", host)]);
    assert_eq!(ask("POST /auth", "login.example"), Ok("login".into()));
    assert_eq!(ask("POST /auth", "LOGIN.example:8443"), Ok("login".into()));
    assert_eq!(ask("POST /auth/x", "login.example"), Ok("/auth/x".into()));
    assert_eq!(ask("POST /auth", "two.example"), Ok("/auth".into()), "an ordinary path of the app there");
    assert_eq!(ask("POST /auth", "nobody.example"), Err(DenyReason::WrongHost));
    assert_eq!(ask("POST /auth", "other.example"), Ok("login".into()));
    assert_eq!(ask("POST /AUTH/Refresh", "other.example"), Ok("login".into()));
    assert_eq!(ask("POST /auth/x", "other.example"), Err(DenyReason::EndpointUnknown));
    assert_eq!(ask("POST /x", "other.example"), Err(DenyReason::NotFound), "a host that a login names");
    let form = |line: &str, host: &str| format_of(&refused(&bench, line, &[("host", host)]));
    assert_eq!(form("POST /auth#x", "other.example"), "tenant");
    assert_eq!(form("POST /auth#x", "login.example"), "problem");
}
