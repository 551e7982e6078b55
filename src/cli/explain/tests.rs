use super::*;

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:8080\"]\ntrusted_proxies = [\"192.0.2.1\"]\n\
    [store]\nurl = \"sqlite://none.db\"\n[limits]\nrate = 10\nburst = 5\nhead_size = \"1KiB\"\n\
    [[realm]]\nname = \"main\"\nissuer = \"https://gate.example\"\norigins = [\"https://app.example\"]\ncookie = \"t\"\nrequire_key = true\n\
    [[realm.key]]\nid = \"web\"\nsecret = \"hunter2hunter2hunter2\"\nconcurrent = 3\n\
    [[login]]\ndialect = \"project\"\npath = \"/auth\"\nrealm = \"main\"\n\
    [[route]]\nhost = \"app.example\"\npath = \"/notes\"\nrealm = \"main\"\naccess = \"key\"\nupstream = [\"http://127.0.0.1:3000\", \"http://127.0.0.1:3001\"]\n\
    body_size = \"1KiB\"\n[[route]]\npath = \"/admin\"\nrealm = \"main\"\naccess = \"user\"\nroles = [\"admin\"]\nupstream = [\"http://127.0.0.1:3000\"]\n";

fn explain(line: &str, headers: &[&str]) -> Result<String, Failure> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, CONFIG).unwrap();
    let (method, url) = line.split_once(' ').unwrap();
    let args = Args {
        config: ConfigFile { path },
        method: method.into(),
        url: url.into(),
        headers: headers.iter().map(|header| (*header).to_owned()).collect(),
        from: "192.0.2.1".parse().unwrap(),
    };
    let mut out = Vec::new();
    args.run(&mut out).map(|()| String::from_utf8(out).unwrap())
}

#[test]
fn every_step_in_its_order_and_no_secret() {
    let told = explain(
        "GET http://app.example/notes/1?a=hunter2&key=hunter2hunter2hunter2#x",
        &[
            "Authorization: Bearer hunter2.hunter2",
            "X-Forwarded-For: 203.0.113.9",
            "X-Auth-Subject: hunter2",
            "Cookie: t=hunter2; other=hunter2",
        ],
    )
    .unwrap();
    let lines: Vec<_> = told.lines().filter(|line| !line.starts_with("revoked")).collect();
    assert_eq!(
        lines,
        [
            "path        /notes/1, in its canonical form",
            "path_rules  strict, since the route does not decide about a whole host",
            "rule        route[0], host app.example, path /notes, access key, realm main",
            "client      203.0.113.9, without TLS",
            "limits      10 a second and 5 at once on top",
            "key         \"web\", good; its limit: 3 at once",
            "origin      none: no browser says where it comes from",
            "credential  the realm's cookie; the Authorization header is the app's",
            "token       token_malformed, and none is needed: it goes on without an identity",
            "decision    forwarded to 127.0.0.1:3000 or 127.0.0.1:3001",
            "request     GET /notes/1?a=…",
            "set         cookie: as it came, less the cookies of realms",
            "set         x-auth-realm: main",
            "set         x-auth-key-id: web",
            "set         x-request-id: an id of its own",
            "set         x-forwarded-for: 203.0.113.9, 192.0.2.1",
            "set         x-forwarded-proto: http",
            "set         x-forwarded-host: app.example",
            "removed     x-auth-subject",
            "removed     key, a member of the query",
            "body        up to 1024 bytes",
        ]
    );
    assert!(told.contains("revoked     not looked at: ") && !told.contains("hunter2"), "{told}");
}

#[test]
fn what_is_refused_says_why_and_what_is_answered_here_says_so() {
    for (line, headers, last) in [
        ("GET https://app.example/notes//1", &[][..], "400 target_invalid"),
        ("GET https://app.example/", &[], "404 route_not_found"),
        ("GET https://app.example/notes", &["Host: other.example"], "404 route_not_found"),
        ("GET /admin", &[], "403 key_missing"),
        ("GET /admin", &["X-API-Key: guess"], "400 key_unknown"),
        ("GET /admin?key=hunter2hunter2hunter2", &["Origin: https://evil.example"], "403 origin_denied"),
        ("GET /admin?key=hunter2hunter2hunter2", &[], "401 token_missing"),
        ("POST /admin?key=hunter2hunter2hunter2", &["Cookie: t=x"], "403 origin_missing"),
        ("POST https://app.example/notes?key=hunter2hunter2hunter2", &["Content-Length: 2000"], "413 body_too_large"),
        ("GET /admin", &["Content-Length: 1", "Transfer-Encoding: chunked"], "400 framing_invalid"),
        ("GET /.well-known/jwks.json", &[], "200: the gate answers with public keys"),
        ("POST /auth?key=hunter2hunter2hunter2&login=true", &[], "the gate answers it"),
        (
            "OPTIONS /admin",
            &["Origin: https://app.example", "Access-Control-Request-Method: GET"],
            "204: the gate answers the preflight, and lets the page send GET",
        ),
    ] {
        let told = explain(line, headers).unwrap();
        let decision = told.lines().find_map(|line| line.strip_prefix("decision    ")).unwrap();
        assert!(decision.starts_with(last), "{line}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let long = format!("X-Long: {}", "a".repeat(1000));
    assert!(explain("GET /admin", &[&long]).unwrap().contains("431 head_too_large"));
}

#[test]
fn what_is_no_request_is_a_usage_error_that_quotes_nothing() {
    for (line, headers) in [
        ("G(T /", &[][..]),
        ("CONNECT /hunter2", &[]),
        ("GET hunter2", &[]),
        ("GET ftp://hunter2/", &[]),
        ("GET http://hunter2\n/", &[]),
        ("GET /", &["Authorization hunter2"]),
        ("GET /", &["A b: hunter2"]),
        ("GET /", &["A: hunter2\u{0}"]),
    ] {
        let failure = explain(line, headers).unwrap_err();
        assert_eq!(failure.code, exit::USAGE, "{line}");
        assert!(!failure.lines.concat().contains("hunter2"), "{failure:?}");
    }
}

#[test]
fn values_of_a_query_are_not_shown() {
    assert_eq!(without_values("/a?b=c&d&e=f=g"), "/a?b=…&…&e=…");
    assert_eq!(without_values("/a"), "/a");
}
