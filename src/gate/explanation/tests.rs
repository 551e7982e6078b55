//! The text of each step.

use crate::gate::fixture::*;
use crate::gate::*;

/// The steps that are recorded for `explain`.
fn findings(bench: &Bench, line: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let trace = Explanation::default();
    bench.judge_with(line, headers, |gate, head| {
        let _ = Authorizer { trace: Some(&trace), ..gate }.decide(head, NOW, &mut RequestPermits::default());
    });
    trace.findings().into_iter().map(|finding| format!("{}: {}", finding.step, finding.found)).collect()
}

#[test]
fn what_was_found_is_told_in_order_and_without_a_secret() {
    let bench = Bench::with_limits("rate = 5.0\nconcurrent = 3");
    let bearer = bench.bearer("main", &["admin"]);
    let token = ("authorization", bearer.as_str());
    let found = findings(&bench, &format!("GET /admin?{K}"), &[token]);
    let rate = bench.policy.limits.per_address.rate.unwrap();
    assert_eq!(
        found,
        [
            "path: /admin, in its canonical form".to_owned(),
            "path_rules: strict, since the route does not decide about a whole host".into(),
            "rule: route[1], path /admin, access user, realm main".into(),
            "client: 192.0.2.7, over TLS".into(),
            format!("limits: {rate}, 3 at once"),
            "key: \"web\", good; its limit: none".into(),
            "origin: none: no browser says where it comes from".into(),
            "credential: Authorization: Bearer".into(),
            "token: good until 2027-01-15T08:01:00Z, signed by the realm: subject \"u\", roles \"admin\"".into(),
            "roles: one of admin is needed".into(),
        ]
    );
    let bench = Bench::new();
    let of = |line: &str, headers: &[(&str, &str)], step: &str| {
        let found = findings(&bench, line, headers);
        found.iter().find_map(|found| found.strip_prefix(&format!("{step}: "))).map(str::to_owned)
    };
    let open = bench.bearer("open", &[]);
    let open = ("authorization", open.as_str());
    for (line, headers, step, expected) in [
        ("GET /open", &[open][..], "roles", None),
        ("GET /files/a%2Fb", &[], "path", Some("/files/a%2Fb, in its canonical form")),
        ("GET /nowhere", &[], "rule", Some("no login and no route takes this method and path")),
        (
            "GET /hosted",
            &[("host", "only.example")],
            "rule",
            Some("route[10], host only.example, path /hosted, access public, realm open"),
        ),
        ("GET /key", &[], "rule", Some("route[3], path /key, access key, realm main")),
        ("POST /auth", &[], "rule", Some("login[0], dialect project, path /auth, realm main: the login itself")),
        (
            "POST /open/auth",
            &[],
            "rule",
            Some("login[1], dialect project, path /open/auth, realm open: the login itself"),
        ),
        (
            "POST /login/challenge",
            &[],
            "rule",
            Some("login[2], dialect tenant, path /Login, realm open: answers to challenges"),
        ),
        ("POST /login/refresh", &[], "rule", Some("login[2], dialect tenant, path /Login, realm open: refreshing")),
        ("POST /logout", &[], "rule", Some("login[2], dialect tenant, path /Login, realm open: logging out")),
        ("POST /login/x", &[], "rule", Some("below the login at /Login, which has no such endpoint")),
        ("GET /user", &[], "key", None),
        ("GET /public", &[], "key", Some("none is looked for, since the realm has none")),
        (
            "GET /strict",
            &[],
            "origin",
            Some(
                "The request needs an Origin header that is allowed. A client that is not a browser sends its token as Authorization: Bearer instead of the cookie.",
            ),
        ),
        (
            "GET /public",
            &[("origin", "https://evil.example")],
            "origin",
            Some("https://evil.example: one of any, which call without credentials"),
        ),
        (
            "GET /public",
            &[("sec-fetch-site", "same-origin")],
            "origin",
            Some("none: the request's own, as Sec-Fetch-Site says"),
        ),
        ("GET /public", &[("sec-fetch-site", "none")], "origin", Some("none: another one, as Sec-Fetch-Site says")),
        (
            "GET /public",
            &[("origin", "https://gate.example")],
            "origin",
            Some("https://gate.example: allowed, with credentials"),
        ),
        ("GET /public", &[("cookie", "o=x")], "credential", Some("the realm's cookie")),
        ("GET /public", &[], "credential", Some("none")),
        (
            "GET /public",
            &[("cookie", "o=x; o=y")],
            "credential",
            Some("The request carries two credentials of one kind."),
        ),
        ("GET /public", &[], "token", Some("none, and none is needed")),
        (
            "GET /public",
            &[("authorization", "Bearer x")],
            "token",
            Some("token_malformed, and none is needed: it goes on without an identity"),
        ),
        ("POST /public", &[("cookie", "o=x")], "token", Some("a cookie does not count from there")),
    ] {
        assert_eq!(of(line, headers, step).as_deref(), expected, "{line} {headers:?}: {step}");
    }
    let exchange = Bench::of(EXCHANGE);
    for (line, expected) in [
        ("POST /api/login", "login[0], dialect exchange, path /api/login, realm x: the login itself"),
        ("POST /api/login/redeem", "login[0], dialect exchange, path /api/login, realm x: redeeming callback tokens"),
        ("GET /callback", "login[0], dialect exchange, path /api/login, realm x: the callback"),
    ] {
        assert!(findings(&exchange, line, &[]).contains(&format!("rule: {expected}")), "{line}");
    }
    let other = foreign(&exchange, "https://idp.example/", true);
    let told =
        findings(&exchange, &format!("GET /user?{K}"), &[("origin", "https://app.example"), ("authorization", &other)]);
    assert!(told.iter().any(|found| found.contains("signed by \"https://idp.example/\": subject \"s\"")), "{told:?}");
    assert!(bench.gate().trace.is_none());
    let trace = Explanation::default();
    bench.gate().record_step("a", || "b".into());
    Authorizer { trace: Some(&trace), ..bench.gate() }.record_step("a", || "b".into());
    assert_eq!(trace.findings().len(), 1);
    trace.clear();
    assert!(trace.findings().is_empty());
}
