//! R7: no secret in the log, however much is logged.

use serde_json::json;

use crate::harness::*;

fn session(format: &str) {
    let app = App::start();
    let other_password = "another very secret password";
    let mut gate = Conf::new(&app)
        .log("level", "\"trace\"")
        .log("access", "\"all\"")
        .log("audit", "\"stderr\"")
        .log("format", &format!("\"{format}\""))
        .server("h2c", "true")
        .route("read_timeout", "\"300ms\"")
        .add_route("/with", "user", "forward_token = true")
        .add_route("/refused", "public", "connect_timeout = \"200ms\"")
        .start();
    let mut tokens = Vec::new();
    let record = gate.register("alice");
    let id = record["uniqueId"].as_str().unwrap().to_owned();
    // Everything that a client can do, right and wrong, with its secrets in every place where they can stand.
    tokens.push(gate.log_in("alice"));
    let body = json!({"username": "alice", "password": PASSWORD});
    let answer = gate.send(&post(auth("login=true")).json(&body)).expect(200);
    tokens.push(answer.set_cookie(COOKIE).unwrap().0);
    gate.try_log_in("alice", other_password);
    gate.try_log_in("nobody", other_password);
    gate.send(
        &post(auth("login=true"))
            .header("Content-Type", "application/json")
            .body(format!("{{\"password\":\"{other_password}\"")),
    );
    gate.send(&post(auth("login=true")).header("Content-Type", "text/plain").body(other_password));
    gate.send(&post(auth(&format!("login=true&password={}", "another%20very%20secret%20password"))).json(&body));
    gate.send(&get(auth(&format!("masterKey={MASTER}"))));
    gate.send(&get(auth(&format!("masterKey={MASTER}-not"))));
    gate.send(&put(auth(&format!("uniqueId={id}"))).bearer(&tokens[0]).json(&body)).expect(200);
    for path in [
        "/app/x",
        "/admin/x",
        "/keyed/x",
        "/open/x",
        "/with/x",
        "/nope",
        "/open/../x",
        "/open/reset",
        "/open/hang",
        "/open/partial",
        "/refused/x",
        "/open/%zz",
    ] {
        for token in &tokens.clone() {
            let _ = get(format!("{path}?key={KEY}&masterKey={MASTER}")).bearer(token).try_send(gate.addr);
            let _ = get(path).key().cookie(token).try_send(gate.addr);
            let _ = get(format!("{path}?key={KEY}x")).bearer(&format!("{token}x")).origin(FOREIGN).try_send(gate.addr);
        }
    }
    let token = &tokens[0];
    let _ = get("/app/x").key().bearer(token).bearer(token).try_send(gate.addr);
    let mut conn = gate.conn();
    conn.write(format!("GET /app/x?key={KEY} HTTP/9\r\nAuthorization: Bearer {token}\r\n\r\n"));
    let _ = conn.try_read(false);
    let mut conn = gate.conn();
    conn.write(format!("GET /app/x?key={KEY} HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: Bearer {token}\r\nCookie: {COOKIE}={token}\r\n\r\n"));
    let _ = conn.try_read(false);
    let over_2 = http::Request::builder()
        .uri(format!("http://{}/app/x?key={KEY}", gate.addr))
        .header("authorization", format!("Bearer {token}"))
        .header("cookie", format!("{COOKIE}={token}"))
        .body(())
        .unwrap();
    let _ = h2c(gate.addr, over_2, b"");
    gate.send(&post(auth("logout=true")).bearer(token)).expect(200);
    gate.visit(token);
    // A reload, good and bad, and the admin listener.
    let text = gate.conf().log("level", "\"trace\"").text(gate.addr.port(), gate.admin.port());
    gate.rename_over(
        &text.replace(&format!("secret = \"{KEY}\""), &format!("secret = \"{KEY}\"\nunknown = \"{KEY}\"")),
    );
    until_true(PATIENCE, "the failed reload", || gate.status()["last_reload"]["ok"] == false);
    gate.rename_over(&text);
    until_true(PATIENCE, "the reload", || gate.status()["last_reload"]["ok"] == true);
    let status = gate.status().to_string();
    let metrics = get("/metrics").send(gate.admin).expect(200).text();
    let key = Jwk::of(&gate).encoded;
    tollgate(
        &["user", "passwd", "-c", &gate.config_arg(), "--realm", "examples", "alice"],
        &format!("{other_password}\n"),
    )
    .ok();
    gate.stop();

    let log = gate.stderr();
    assert!(log.lines().count() > 50, "trace says much more than that: {log}");
    let signatures: Vec<_> = tokens.iter().map(|token| token.rsplit('.').next().unwrap()).collect();
    let claims_parts: Vec<_> = tokens.iter().map(|token| token.split('.').nth(1).unwrap()).collect();
    let mut secrets =
        vec![PASSWORD, other_password, "another%20very%20secret", KEY, MASTER, DISABLED_KEY, &key, "$argon2"];
    secrets.extend(signatures);
    secrets.extend(claims_parts);
    for secret in secrets {
        if let Some(line) = log.lines().find(|line| line.contains(secret)) {
            panic!("{secret:?} is in the log: {line}");
        }
        assert!(!status.contains(secret), "{secret:?} is in /status");
        assert!(!metrics.contains(secret), "{secret:?} is in /metrics");
    }
}

#[test]
fn r07_no_secret_is_in_the_log_at_its_loudest() {
    session("text");
}

#[test]
fn r07_no_secret_is_in_the_log_as_json() {
    session("json");
}

#[test]
fn the_log_as_json_is_one_object_a_line() {
    let app = App::start();
    let mut gate = Conf::new(&app).log("level", "\"debug\"").log("format", "\"json\"").start();
    let token = gate.user("alice \"x");
    gate.visit(&token).expect(200);
    gate.send(&get("/nope")).expect(404);
    gate.stop();
    let log = gate.stderr();
    assert!(!log.trim().is_empty());
    for line in log.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value.is_object());
    }
}

#[test]
fn a_crash_leaves_no_memory_behind() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let pid = gate.status()["pid"].to_string();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn no_secret_is_on_a_command_line() {
    // Every user of the machine can read /proc/PID/cmdline.
    let help = tollgate(&["user", "add", "--help"], "").ok().stdout;
    assert!(!help.contains("--password"), "{help}");
    let help = tollgate(&["serve", "--help"], "").ok().stdout;
    assert!(!help.contains("secret") && !help.contains("--key"), "{help}");
}
