//! `tollgate explain` says what the running gate does, and shows no secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::*;

struct Told {
    text: String,
}

impl Told {
    fn all(&self, step: &str) -> Vec<&str> {
        let lines = self.text.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(of, _)| *of == step).map(|(_, found)| found.trim_start()).collect()
    }

    fn decision(&self) -> &str {
        let all = self.all("decision");
        assert_eq!(all.len(), 1, "{}", self.text);
        all[0]
    }
}

fn ran(gate: &Gate, method: &str, url: &str, headers: &[(&str, &str)]) -> Ran {
    let config = gate.config_arg();
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let mut args = vec!["explain", "-c", &config, method, url];
    for header in &headers {
        args.extend(["-H", header]);
    }
    tollgate(&args, "")
}

fn explain(gate: &Gate, method: &str, url: &str, headers: &[(&str, &str)]) -> Told {
    let ran = ran(gate, method, url, headers).ok();
    assert_eq!(ran.stderr, "");
    Told { text: ran.stdout }
}

#[test]
fn it_says_what_the_gate_does() {
    let app = App::start();
    let tenant = "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"";
    let conf = Conf::new(&app).more(tenant).add_route("/small", "public", "body_size = \"1KiB\"");
    let gate = conf.add_route("/api", "public", "methods = [\"GET\"]").start();
    let (token, out) = (gate.user("alice"), gate.user("bob"));
    gate.send(&post(auth("logout=true")).bearer(&out)).expect(200);
    let bearer = |token: &str| format!("Bearer {token}");
    let (good, revoked) = (bearer(&token), bearer(&out));
    let cookie = format!("{COOKIE}={token}; other=1");
    let foreign = Jwk::of(&gate).token(&serde_json::json!({"iss": "https://evil.example", "aud": "examples"}));
    let foreign = bearer(&foreign);
    let key = ("X-API-Key", KEY);
    let mut secrets = vec![token, out, KEY.to_owned(), MASTER.to_owned()];
    secrets.push(foreign.clone());
    let large = "x".repeat(70_000);
    let with_key = |path: &str| format!("{path}?key={KEY}");
    let mut forwarded = 0;
    for (method, target, headers) in [
        ("GET", "/app/x".to_owned(), &[key, ("Authorization", &*good)][..]),
        ("GET", with_key("/app/x"), &[("Authorization", &good), ("X-Auth-Subject", "me"), ("X_Auth_Roles", "admin")]),
        ("GET", format!("/app/x?a=1&key={KEY}&masterKey={MASTER}&b"), &[("Cookie", &cookie)]),
        ("POST", "/app/x".into(), &[key, ("Cookie", &cookie)]),
        ("POST", "/app/x".into(), &[key, ("Cookie", &cookie), ("Origin", ORIGIN)]),
        ("GET", "/app/x".into(), &[key, ("Authorization", &good), ("Authorization", &good)]),
        ("GET", "/app/x".into(), &[key, ("Authorization", &revoked)]),
        ("GET", "/app/x".into(), &[key, ("Authorization", &foreign)]),
        ("GET", "/app/x".into(), &[key, ("Authorization", "Bearer guess")]),
        ("GET", "/app/x".into(), &[key]),
        ("GET", "/app/x".into(), &[("Authorization", &good)]),
        ("GET", "/app/x?key=guess".into(), &[("Authorization", &good)]),
        ("GET", with_key("/app/x"), &[("X-API-Key", DISABLED_KEY)]),
        ("GET", "/app/x".into(), &[("X-API-Key", DISABLED_KEY)]),
        ("GET", "/app/x".into(), &[("X-API-Key", EXPIRED_KEY)]),
        ("GET", "/app/x".into(), &[key, ("Authorization", &good), ("Origin", FOREIGN)]),
        ("GET", "/admin/x".into(), &[key, ("Authorization", &good)]),
        ("GET", "/keyed/x".into(), &[key, ("Traceparent", "nonsense"), ("Tracestate", "a=1")]),
        ("GET", "/keyed/x".into(), &[key, ("Authorization", &revoked)]),
        ("GET", "/open/x".into(), &[key, ("Authorization", &good), ("X-Forwarded-For", "198.51.100.1")]),
        ("GET", "/open/caf%C3%A9?token=secret".into(), &[key]),
        ("GET", "/open//x".into(), &[key]),
        ("GET", "/open/%2e%2e/x".into(), &[key]),
        ("GET", "/open/a%2fb".into(), &[key]),
        ("GET", "/open/x?a=%zz".into(), &[key]),
        ("GET", "/nowhere".into(), &[key]),
        ("POST", "/api/x".into(), &[key]),
        ("HEAD", "/api/x".into(), &[key, ("X-HTTP-Method-Override", "DELETE")]),
        ("GET", "/open/x".into(), &[key, ("X-Long", &large)]),
        ("POST", "/small/x".into(), &[key, ("Content-Length", "1025")]),
        ("POST", "/open/x".into(), &[key, ("Content-Length", "5"), ("Transfer-Encoding", "chunked")]),
        ("OPTIONS", "/app/x".into(), &[("Origin", ORIGIN), ("Access-Control-Request-Method", "GET")]),
        ("OPTIONS", "/app/x".into(), &[("Origin", FOREIGN), ("Access-Control-Request-Method", "GET")]),
        ("OPTIONS", "/app/x".into(), &[key, ("Origin", ORIGIN)]),
        ("GET", "/.well-known/jwks.json".into(), &[]),
        ("POST", "/.well-known/jwks.json".into(), &[]),
        ("GET", with_key(&format!("{AUTH}/more")), &[]),
        ("PATCH", with_key(AUTH), &[]),
        ("GET", format!("{AUTH}?masterKey={MASTER}x&key={KEY}"), &[]),
        ("GET", "/Login".into(), &[key]),
        ("POST", "/Login/nothing".into(), &[key]),
    ] {
        app.forget();
        let told = explain(&gate, method, &format!("http://{}{target}", gate.addr), headers);
        for secret in &secrets {
            assert!(!told.text.contains(secret.as_str()), "{}", told.text);
        }
        assert!(!told.text.contains("secret"), "{}", told.text);
        let request =
            headers.iter().fold(request(method, &*target), |request, (name, value)| request.header(name, value));
        let answer = gate.send(&request);
        let decision = told.decision();
        if let Some(seen) = app.seen().first() {
            forwarded += 1;
            assert_eq!(decision, format!("forwarded to {}", app.addr), "{method} {target}: {}", told.text);
            for line in told.all("set") {
                let (name, value) = line.split_once(": ").unwrap();
                let value_seen = seen.header(name).unwrap_or_else(|| panic!("{name}: {}", seen.text()));
                assert!(value_seen == value || ["cookie", "x-request-id"].contains(&name), "{line}: {}", seen.text());
            }
            for name in told.all("removed") {
                assert_eq!(seen.header(name), None, "{}", seen.text());
            }
            // And nothing that was not told of.
            for (name, value) in seen.headers() {
                let named = told.all("set").iter().any(|line| line.starts_with(&format!("{}: ", name.to_lowercase())));
                let came = headers.iter().any(|(sent, was)| sent.eq_ignore_ascii_case(&name) && **was == value);
                assert!(named || came || name.eq_ignore_ascii_case("host"), "{name}: {value}\n{}", told.text);
            }
        } else if answer.status == 204 || answer.status == 200 {
            assert!(decision.starts_with(&format!("{}: the gate answers", answer.status)), "{target}: {}", told.text);
        } else {
            let reason = answer.reason();
            let expected = format!("{} {reason}", answer.status);
            assert!(decision.starts_with(&expected), "{method} {target}: {decision}, and {expected}");
        }
    }
    assert!(forwarded > 8, "{forwarded}");
    let found = explain(&gate, "GET", "/app/x", &[key, ("Authorization", &good)]);
    assert!(found.all("token")[0].starts_with("good until ") && found.all("revoked").is_empty(), "{}", found.text);
    assert_eq!(found.all("key"), ["\"web\", good; its limit: none"]);
    assert!(explain(&gate, "POST", &auth("login=true"), &[]).decision().starts_with("the gate answers it"));
}

#[test]
fn it_changes_nothing_and_says_what_it_could_not_look_at() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let bearer = format!("Bearer {token}");
    let headers = [("X-API-Key", KEY), ("Authorization", &*bearer)];
    let digest = || sha256_hex(&String::from_utf8_lossy(&fs::read(gate.database()).unwrap()));
    let (before, told) = (digest(), explain(&gate, "GET", "/app/x", &headers));
    assert!(told.decision().starts_with("forwarded") && told.all("revoked").is_empty(), "{}", told.text);
    assert_eq!(digest(), before);
    app.saw_nothing();
    // A configuration that was never served: there is no store, and none is created.
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("t.toml");
    write_file(&config, &gate.conf().text(1, 2), 0o600);
    let ran = tollgate(&["explain", "-c", config.to_str().unwrap(), "GET", "/open/x?key=wrong-key"], "").ok();
    let told = Told { text: ran.stdout };
    assert!(told.decision().starts_with("400 key_unknown"), "{}", told.text);
    assert!(told.all("revoked")[0].starts_with("not looked at: "), "{}", told.text);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["t.toml"]);
    // A database that another user can only read.
    let reader = tempfile::tempdir().unwrap();
    let copy = reader.path().join("tollgate.toml");
    write_file(&copy, &gate.conf().text(1, 2), 0o600);
    fs::copy(gate.database(), reader.path().join("tollgate.db")).unwrap();
    fs::set_permissions(reader.path().join("tollgate.db"), fs::Permissions::from_mode(0o400)).unwrap();
    let ran = tollgate(&["explain", "-c", copy.to_str().unwrap(), "GET", "/nowhere"], "").ok();
    assert!(ran.stdout.contains("404 route_not_found"), "{}", ran.stdout);
}

#[test]
fn the_client_is_whom_trusted_proxies_name() {
    let app = App::start();
    let gate = Conf::new(&app).server("trusted_proxies", "[\"192.0.2.0/24\"]").limits("rate", "2").start();
    let config = gate.config_arg();
    let explain = |from: &str| {
        let header = "X-Forwarded-For: 198.51.100.7";
        let args = ["explain", "-c", &config, "GET", "https://gate.example/nowhere", "--from", from, "-H", header];
        Told { text: tollgate(&args, "").ok().stdout }
    };
    assert_eq!(explain("192.0.2.1").all("client"), ["198.51.100.7, over TLS"]);
    let told = explain("203.0.113.1");
    assert_eq!(told.all("client"), ["203.0.113.1, over TLS"]);
    assert_eq!(told.all("limits"), ["2 a second and 2 at once on top"]);
}

#[test]
fn keys_of_other_issuers_are_fetched_as_the_gate_would() {
    let app = App::start();
    let gate = Conf::new(&app).add_realm_tables(
        "[[realm.trusted_issuer]]\nissuer = \"https://other.example/\"\naudience = [\"api\"]\n\
         jwks_url = \"http://127.0.0.1:1/jwks.json\"\ninsecure_http = true\n",
    );
    let gate = gate.start_unready();
    let signer = Signer::new("RS256", "k");
    let token = signer
        .token(&serde_json::json!({"iss": "https://other.example/", "aud": "api", "sub": "s", "exp": now() + 600}));
    let headers = [("X-API-Key", KEY), ("Authorization", &*format!("Bearer {token}"))];
    let told = explain(&gate, "GET", "/app/x", &headers);
    assert!(told.decision().starts_with("503 issuer_keys_unavailable"), "{}", told.text);
    assert!(told.all("keys")[0].starts_with("those of https://other.example/ can't be fetched"), "{}", told.text);
}

#[test]
fn exit_codes() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    ran(&gate, "GET", "no-url-hunter2", &[]).failed(64);
    ran(&gate, "CONNECT", "/", &[]).failed(64);
    let config = gate.config_arg();
    let failed = tollgate(&["explain", "-c", &config, "GET", "/", "-H", "Authorization hunter2"], "").failed(64);
    assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
    tollgate(&["explain", "-c", &config, "GET"], "").failed(64);
    gate.rename_over("[server]\n");
    ran(&gate, "GET", "/", &[]).failed(78);
}

#[test]
fn revocations_in_postgresql_are_looked_at_too() {
    let mut cluster = Cluster::start();
    let app = App::start();
    let gate = Conf::new(&app).store(&cluster.url("tollgate")).start();
    let token = gate.user("alice");
    let bearer = format!("Bearer {token}");
    let headers = [("X-API-Key", KEY), ("Authorization", &*bearer)];
    assert!(explain(&gate, "GET", "/app/x", &headers).decision().starts_with("forwarded"));
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    let told = explain(&gate, "GET", "/app/x", &headers);
    assert!(told.decision().starts_with("401 token_revoked") && told.all("revoked").is_empty(), "{}", told.text);
    cluster.stop();
    let told = explain(&gate, "GET", "/app/x", &headers);
    assert!(told.decision().starts_with("forwarded"), "{}", told.text);
    assert!(told.all("revoked")[0].starts_with("not looked at: "), "{}", told.text);
}
