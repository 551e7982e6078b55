//! Origins, and the cookie of requests from other sites.

use http::HeaderValue;

use crate::gate::fixture::*;
use crate::gate::*;
use crate::token::{TokenError, TokenId};

#[test]
fn r48_origins() {
    let bench = Bench::new();
    let line = format!("GET /key?{K}");
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://APP.example:443", true),
        ("null", true),
        ("https://gate.example", true),
        ("http://gate.example", false),
        ("http://app.example", false),
        ("https://app.example:8443", false),
        ("https://app.example.evil.example", false),
        ("https://evilapp.example", false),
        ("https://app.example/", false),
        ("https://user@app.example", false),
        ("*", false),
        ("", false),
    ] {
        assert_eq!(bench.outcome(&line, &[("origin", origin)]).is_ok(), allowed, "{origin}");
    }
    let twice = [("origin", "https://app.example"), ("origin", "https://app.example")];
    assert_eq!(bench.outcome(&line, &twice), Err(DenyReason::OriginDenied));
    assert_eq!(bench.outcome("GET /strict", &[]), Err(DenyReason::OriginMissing));
    // The same host over http, where it is listed over https, is another site.
    let downgraded = [("host", "app.example"), ("origin", "http://app.example")];
    let plain = bench.ask_with(&line, &downgraded, |head| Head { tls: false, ..head });
    assert!(matches!(plain, Decision::Refusal(Denial { deny: DenyReason::OriginDenied, .. })));
}

#[test]
fn a_realm_without_origins_lets_any_call_but_without_credentials() {
    let bench = Bench::new();
    let cookie = format!("o={}", bench.token("open", &[]));
    let foreign = ("origin", "https://evil.example");
    let Decision::Grant(grant) = bench.ask("GET /public", &[foreign]) else { panic!() };
    assert_eq!(
        *grant.cors().unwrap(),
        Cors { origin: HeaderValue::from_static("https://evil.example"), credentials: false }
    );
    assert_eq!(bench.outcome("GET /open", &[foreign, ("cookie", &cookie)]), Err(DenyReason::TokenMissing));
    assert_eq!(bench.outcome("POST /open", &[foreign, ("cookie", &cookie)]), Err(DenyReason::OriginDenied));
    let own = ("origin", "https://gate.example");
    assert!(bench.outcome("POST /open", &[own, ("cookie", &cookie)]).is_ok());
    let Decision::Grant(grant) = bench.ask("POST /public", &[foreign, ("cookie", &cookie)]) else { panic!() };
    assert_eq!(grant.identity(), None, "a public route forwards it, but as nobody's");
}

#[test]
fn r47_r49_a_cookie_changes_something_only_for_its_own_site() {
    let bench = Bench::new();
    let cookie = format!("t={}", bench.token("main", &[]));
    let bearer = bench.bearer("main", &[]);
    let post = format!("POST /user?{K}");
    let get = format!("GET /user?{K}");
    let upgrade = ("upgrade", "websocket");
    let cookie = ("cookie", cookie.as_str());
    let listed = ("origin", "https://app.example");
    let site = |value| ("sec-fetch-site", value);
    for (line, headers, expected) in [
        (&post, &[cookie, listed][..], Ok(())),
        (&post, &[cookie, site("same-origin")], Ok(())),
        (&post, &[cookie], Err(DenyReason::OriginMissing)),
        (&post, &[cookie, site("cross-site")], Err(DenyReason::OriginDenied)),
        (&post, &[cookie, site("same-site")], Err(DenyReason::OriginDenied)),
        (&post, &[cookie, site("none")], Err(DenyReason::OriginDenied)),
        (&post, &[cookie, ("origin", "https://evil.example")], Err(DenyReason::OriginDenied)),
        (&get, &[cookie], Ok(())),
        (&get, &[cookie, site("same-site")], Ok(())),
        (&get, &[cookie, site("none")], Ok(())),
        (&get, &[cookie, site("cross-site")], Err(DenyReason::TokenMissing)),
        (&get, &[cookie, upgrade], Err(DenyReason::OriginMissing)),
        (&get, &[cookie, upgrade, site("cross-site")], Err(DenyReason::OriginDenied)),
        (&get, &[cookie, upgrade, listed], Ok(())),
        (&post, &[("authorization", bearer.as_str())], Ok(())),
        (&get, &[("authorization", bearer.as_str()), upgrade], Ok(())),
        (&post, &[("authorization", bearer.as_str()), site("cross-site")], Ok(())),
    ] {
        assert_eq!(bench.outcome(line, headers).map(drop), expected, "{line} {headers:?}");
    }
    for method in ["PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
        assert_eq!(
            bench.outcome(&format!("{method} /user?{K}"), &[cookie]),
            Err(DenyReason::OriginMissing),
            "{method}"
        );
    }
}

#[test]
fn r52_another_sites_page_gets_nothing_by_cookie_that_it_does_not_go_to() {
    let bench = Bench::new();
    let (main, open) = (format!("t={}", bench.token("main", &[])), format!("o={}", bench.token("open", &[])));
    let (main, open) = (("cookie", main.as_str()), ("cookie", open.as_str()));
    let bearer = bench.bearer("main", &[]);
    let fetched = |mode, dest| [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
    let get = format!("GET /user?{K}");
    let ask = |headers: &[(&str, &str)]| bench.outcome(&get, headers).map(drop);
    let visit = fetched("navigate", "document");
    assert_eq!(ask(&[&visit[..], &[main]].concat()), Ok(()), "a link");
    for (mode, dest) in [
        ("no-cors", "image"),
        ("no-cors", "script"),
        ("no-cors", "empty"),
        ("no-cors", "document"),
        ("navigate", "iframe"),
        ("navigate", "frame"),
        ("navigate", "embed"),
        ("navigate", "object"),
        ("navigate", ""),
        ("", "document"),
        ("cors", "empty"),
    ] {
        let headers = fetched(mode, dest);
        assert_eq!(ask(&[&headers[..], &[main]].concat()), Err(DenyReason::TokenMissing), "{mode} {dest}");
        let by_itself = [&headers[..], &[("authorization", bearer.as_str())]].concat();
        assert_eq!(
            ask(&by_itself),
            Ok(()),
            "{mode} {dest}: no page of another site can send a token that it does not have"
        );
        let allowed = [&headers[..], &[main, ("origin", "https://app.example")]].concat();
        assert_eq!(ask(&allowed), Ok(()), "{mode} {dest}, allowed");
        let Decision::Grant(grant) = bench.ask("GET /public", &[&headers[..], &[open]].concat()) else { panic!() };
        assert_eq!(grant.identity(), None, "{mode} {dest}: a public route forwards it, but as nobody's");
    }
    for early in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        assert_eq!(ask(&[&visit[..], &[main, early]].concat()), Err(DenyReason::TokenMissing), "{early:?}");
    }
    for odd in ["", "Cross-Site", "same-origin, cross-site", "same_site"] {
        assert_eq!(ask(&[main, ("sec-fetch-site", odd)]), Err(DenyReason::TokenMissing), "{odd:?}");
    }
    let twice = [main, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")];
    assert_eq!(ask(&twice), Err(DenyReason::TokenMissing));
    // A login reveals who is logged in, too.
    let who = |headers: &[(&str, &str)]| match bench.ask(&format!("GET /auth?{K}"), headers) {
        Decision::Login(admitted) => admitted.token.map(drop),
        other => panic!("{other:?}"),
    };
    assert_eq!(who(&[&fetched("no-cors", "script")[..], &[main]].concat()), Err(DenyReason::TokenMissing));
    assert_eq!(who(&[&visit[..], &[main]].concat()), Ok(()));
}

#[test]
fn a_cookie_speaks_at_a_login_as_it_does_elsewhere_and_without_an_origin_too() {
    let bench = Bench::new();
    let token = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => admitted.token.map(drop),
        other => panic!("{line}: {other:?}"),
    };
    let foreign = ("origin", "https://evil.example");
    let open = format!("o={}", bench.token("open", &[]));
    let open = ("cookie", open.as_str());
    assert_eq!(token("GET /open/auth", &[open]), Ok(()));
    assert_eq!(token("GET /open/auth", &[open, foreign]), Err(DenyReason::TokenMissing), "read without credentials");
    assert_eq!(token("PUT /open/auth", &[open, foreign]), Err(DenyReason::OriginDenied));
    assert_eq!(token("PUT /open/auth", &[open, ("sec-fetch-site", "cross-site")]), Err(DenyReason::OriginDenied));
    assert_eq!(token("PUT /open/auth", &[open]), Ok(()));
    // The master key lifts the origin rules, and not for the cookie.
    let main = format!("t={}", bench.token("main", &[]));
    let line = format!("GET /auth?{K}&masterKey=master-secret");
    assert_eq!(token(&line, &[("cookie", &main), foreign]), Err(DenyReason::TokenMissing));
    assert_eq!(token(&line, &[("cookie", &main)]), Ok(()));
    let bearer = bench.bearer("main", &[]);
    assert_eq!(token(&line, &[("authorization", &bearer), foreign]), Ok(()));
    bench.revoked.extend([(TokenId(7), NOW + 60)]);
    assert_eq!(token(&line, &[("authorization", &bearer)]), Err(DenyReason::Token(TokenError::Revoked)));
}

#[test]
fn r48_null_of_the_requests_own_page_counts_as_its_own() {
    let bench = Bench::of(HOSTS);
    let cookie = format!("l={}", bench.token("listed", &[]));
    let own = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    let ask = |more: &[(&str, &str)]| {
        let headers: Vec<_> =
            [("host", "user.example"), ("cookie", cookie.as_str())].into_iter().chain(more.iter().copied()).collect();
        ["GET /x", "POST /x"].map(|line| bench.outcome(line, &headers).map(drop))
    };
    assert_eq!(ask(&own), [Ok(()), Ok(())]);
    for site in ["cross-site", "same-site", "none", "Same-Origin", "same-origin, cross-site", ""] {
        assert_eq!(ask(&[own[0], ("sec-fetch-site", site)]), [Err(DenyReason::OriginDenied); 2], "{site}");
    }
    assert_eq!(ask(&own[..1]), [Err(DenyReason::OriginDenied); 2]);
    assert_eq!(ask(&[own[0], own[1], own[1]]), [Err(DenyReason::OriginDenied); 2]);
    assert_eq!(ask(&[("origin", "https://evil.example"), own[1]]), [Err(DenyReason::OriginDenied); 2]);
    assert_eq!(ask(&[own[0], own[0], own[1]]), [Err(DenyReason::OriginDenied); 2]);
}

#[test]
fn r48_origins_of_apps_and_extensions_are_compared_byte_for_byte() {
    let bench = Bench::of(HOSTS);
    let ask = |origin: &str| bench.outcome("GET /x", &[("host", "strict.example"), ("origin", origin)]).is_ok();
    assert!(ask("capacitor://localhost"));
    for origin in [
        "Capacitor://localhost",
        "capacitor://localhost:80",
        "capacitor://localhost/",
        "capacitor://LOCALHOST",
        "tauri://localhost",
        "file://",
    ] {
        assert!(!ask(origin), "{origin}");
    }
    // Without listed origins any origin is allowed, without credentials.
    let bearer = bench.bearer("open", &[]);
    let cookie = format!("o={}", bench.token("open", &[]));
    for origin in
        ["capacitor://localhost", "chrome-extension://abcdefghijklmnop", "null", "https://evil.example", "file://"]
    {
        let headers = [("host", "solo.example"), ("origin", origin)];
        let Decision::Grant(grant) = bench.ask("POST /", &[headers[0], headers[1], ("authorization", &bearer)]) else {
            panic!("{origin}")
        };
        assert_eq!(grant.cors().map(|cors| (cors.origin.to_str().unwrap(), cors.credentials)), Some((origin, false)));
        assert_eq!(
            bench.outcome("GET /", &[headers[0], headers[1], ("cookie", &cookie)]),
            Err(DenyReason::TokenMissing)
        );
        assert_eq!(
            bench.outcome("POST /", &[headers[0], headers[1], ("cookie", &cookie)]),
            Err(DenyReason::OriginDenied)
        );
    }
    for origin in ["capacitor://localhost, null", "capacitor://", "x", "", "a b://c"] {
        let told = bench.outcome("GET /", &[("host", "solo.example"), ("origin", origin), ("authorization", &bearer)]);
        assert_eq!(told.is_ok(), origin == "capacitor://", "{origin}");
    }
}

#[test]
fn a_route_may_leave_cors_to_its_app() {
    let bench = Bench::of(HOSTS);
    let asks = ("access-control-request-method", "PUT");
    let evil = ("origin", "https://evil.example");
    // A realm that lists origins, and one that lists none.
    for host in ["app.example", "two.example"] {
        let host = ("host", host);
        assert_eq!(bench.outcome("OPTIONS /x", &[host, evil, asks]), Ok("/x".into()), "the app answers it");
        assert_eq!(bench.outcome("PUT /x", &[host, evil]), Ok("/x".into()));
    }
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "strict.example"), evil, asks]), Err(DenyReason::OriginDenied));
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "solo.example"), evil, asks]), Ok("preflight".into()));
    let (bearer, cookie) = (bench.bearer("listed", &[]), format!("l={}", bench.token("listed", &[])));
    let principal = |credential: (&str, &str), origin: (&str, &str)| match bench
        .ask("POST /x", &[("host", "app.example"), credential, origin])
    {
        Decision::Grant(grant) => grant.principal().is_some(),
        other => panic!("{other:?}"),
    };
    assert!(principal(("authorization", &bearer), evil), "which no page has by itself");
    assert!(!principal(("cookie", &cookie), evil) && principal(("cookie", &cookie), ("origin", "https://app.example")));
    // The requested method decides about a preflight, and the request's own method otherwise.
    assert_eq!(
        bench.outcome("OPTIONS /x", &[("host", "read.example"), evil, ("access-control-request-method", "GET")]),
        Ok("/x".into())
    );
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "read.example"), evil, asks]), Err(DenyReason::NotFound));
    assert_eq!(bench.outcome("OPTIONS /x", &[("host", "read.example")]), Err(DenyReason::NotFound));
}
