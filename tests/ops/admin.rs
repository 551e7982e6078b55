//! The admin listener, and starts that must fail loudly.

use std::net::TcpListener;

use crate::harness::*;

#[test]
fn healthz_and_readyz_answer_ok() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    assert_eq!(get("/healthz").send(gate.admin).expect(200).text(), "ok\n");
    get("/readyz").send(gate.admin).expect(200);
    request("HEAD", "/healthz").send(gate.admin).expect(200);
}

#[test]
fn status_tells_version_pid_generation_and_the_last_reload() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let status = gate.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], gate.pid().as_raw_nonzero().get());
    assert!(status["generation"].is_i64());
    assert_eq!(status["config"], gate.config_arg());
    assert_eq!(status["realms"], serde_json::json!(["examples"]));
    assert_eq!(status["cold_changes"], serde_json::json!([]));
    assert_eq!(status["revocations"], 0);
    let members: Vec<_> = status.as_object().unwrap().keys().map(String::as_str).collect();
    for member in ["loaded_at", "last_reload"] {
        assert!(members.contains(&member), "{status}");
    }
    for secret in [KEY, MASTER, EXPIRED_KEY, &sha256_hex(MASTER)] {
        assert!(!status.to_string().contains(secret));
    }
}

#[test]
fn other_paths_and_methods_are_refused() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    for path in ["/", "/x", "/healthz/x", "/statusx", "/open/x", "/../status"] {
        assert!(matches!(get(path).send(gate.admin).status, 400 | 404), "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert!(matches!(request(method, "/status").body("{}").send(gate.admin).status, 404 | 405), "{method}");
    }
    app.saw_nothing();
}

#[test]
fn r68_another_sites_name_is_not_answered() {
    let app = App::start();
    let gate = Conf::new(&app).server("admin_hosts", "[\"gate.internal\"]").start();
    for path in ["/healthz", "/readyz", "/status", "/metrics", "/"] {
        for host in ["evil.example", "127.0.0.1.evil.example:9080", "x.localhost"] {
            let answer = get(path).host(host).send(gate.admin).expect(421);
            assert!(
                answer.text().starts_with("host_unknown: ") && answer.text().contains("admin_hosts"),
                "{}",
                answer.text()
            );
        }
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "Gate.Internal:9080"] {
        get("/healthz").host(host).send(gate.admin).expect(200);
    }
    // As health checks of load balancers ask.
    let mut conn = Conn::open(gate.admin);
    conn.write("GET /healthz HTTP/1.0\r\n\r\n");
    conn.read().expect(200);
}

#[test]
fn an_empty_admin_address_turns_it_off() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    write_file(&file, &Conf::new(&app).server("admin", "\"\"").text(1, 2), 0o600);
    tollgate(&["check", "-c", file.to_str().unwrap()], "").ok();
}

#[test]
fn an_address_in_use_ends_the_start_with_69() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (listen, admin) in [(port, free_port()), (free_port(), port)] {
        write_file(&file, &Conf::new(&app).text(listen, admin), 0o600);
        let ended = tollgate(&["serve", "-c", file.to_str().unwrap()], "").failed(69);
        assert!(ended.stderr.contains(&port.to_string()), "{}", ended.stderr);
        assert!(ended.stderr.contains("in use"), "{}", ended.stderr);
    }
}

#[test]
fn a_store_that_cannot_be_opened_ends_the_start_with_69() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    write_file(&dir.path().join("garbage.db"), &"this is no database ".repeat(500), 0o600);
    std::fs::create_dir(dir.path().join("folder.db")).unwrap();
    for url in ["sqlite://garbage.db", "sqlite://folder.db", "sqlite:///nowhere/at/all/tollgate.db"] {
        write_file(&file, &Conf::new(&app).store(url).text(free_port(), free_port()), 0o600);
        tollgate(&["serve", "-c", file.to_str().unwrap()], "").failed(69);
    }
}

#[test]
fn the_server_listens_on_every_address_that_it_is_given() {
    let app = App::start();
    let other = free_port();
    let port = free_port();
    let gate = Conf::new(&app)
        .server("listen", &format!("[\"127.0.0.1:{port}\", \"127.0.0.2:{other}\"]"))
        .server("admin", &format!("\"127.0.0.1:{}\"", free_port()));
    // The standard start polls the admin port that it chose itself; this one is asked where it listens.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    write_file(&file, &gate.text(1, 2), 0o600);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["serve", "-c"])
        .arg(&file)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let answers = |addr: String| {
        let addr = addr.parse().unwrap();
        until(PATIENCE, "an answer", || get("/open/x").key().try_send(addr).ok()).status
    };
    let statuses = [answers(format!("127.0.0.1:{port}")), answers(format!("127.0.0.2:{other}"))];
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(statuses, [200, 200]);
}
