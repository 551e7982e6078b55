//! `[log]`: levels and forms that change while Tollgate runs, access lines, and readers that do not read.

use serde_json::Value;

use crate::harness::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The access lines so far, as JSON.
fn access(gate: &Gate) -> Vec<Value> {
    let stderr = gate.stderr();
    let lines = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "access").collect()
}

/// Waits for an access line about this path.
fn line_of(gate: &Gate, path: &str) -> Value {
    until(PATIENCE, path, || access(gate).into_iter().find(|line| line["path"] == path))
}

#[test]
fn an_access_line_tells_all_but_the_secrets() {
    let app = App::start();
    let gate = Conf::new(&app).log("access", "\"all\"").log("format", "\"json\"").start();
    let token = gate.user("alice");
    let id = gate.who(&token).json()["uniqueId"].clone();
    let query = format!("key={KEY}&token={token}&code=c0de&state=st4te&q=words&login=true");
    let answer = gate.send(&get(format!("/app/x?{query}")).bearer(&token).header("traceparent", PARENT)).expect(200);
    let line = line_of(&gate, "/app/x");
    for (name, value) in [
        ("level", "info"),
        ("request_id", &app.seen().last().unwrap().header("x-request-id").unwrap()),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("query", "key=…&token=…&code=…&state=…&q=…&login=true"),
        ("protocol", "HTTP/1.1"),
        ("outcome", "forwarded"),
        ("realm", "examples"),
        ("route", "/app"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert_eq!((&line["status"], &line["subject"]), (&200.into(), &id));
    assert_eq!(line["bytes"], answer.body.len());
    assert_eq!(line["upstream"], app.url().strip_prefix("http://").unwrap());
    let (seconds, upstream) = (line["seconds"].as_f64().unwrap(), line["upstream_seconds"].as_f64().unwrap());
    assert!(0.0 < upstream && upstream <= seconds && seconds < 20.0, "{line}");
    gate.send(&get(format!("/app/denied?key={KEY}x"))).refused(400, "key_unknown");
    let line = line_of(&gate, "/app/denied");
    assert_eq!(
        (&line["outcome"], &line["reason"], &line["status"]),
        (&"denied".into(), &"key_unknown".into(), &400.into())
    );
    assert!(line.get("upstream").is_none() && line.get("subject").is_none(), "{line}");
    let login = access(&gate).into_iter().find(|line| line["method"] == "POST").unwrap();
    assert_eq!((&login["outcome"], &login["route"]), (&"answered".into(), &AUTH.into()));
    let stderr = gate.stderr();
    for secret in [KEY, &token, "c0de", "st4te", "words"] {
        assert!(!stderr.contains(secret), "{secret}");
    }
}

#[test]
fn what_is_logged_changes_while_the_gate_runs() {
    let app = App::start();
    let gate = Conf::new(&app).log("format", "\"json\"").start();
    let reload = |conf: &Conf| {
        let before = gate.generation();
        gate.edit_by_rename(conf);
        until_true(PATIENCE, "the reload", || gate.generation() > before);
    };
    gate.send(&get("/open/off").key()).expect(200);
    reload(&gate.conf().log("access", "\"denied\""));
    gate.send(&get("/open/granted").key()).expect(200);
    gate.send(&get("/open/hang-up")).refused(403, "key_missing");
    line_of(&gate, "/open/hang-up");
    reload(&gate.conf().log("access", "\"all\"").log("level", "\"error\""));
    gate.send(&get("/open/all").key()).expect(200);
    line_of(&gate, "/open/all");
    let paths: Vec<_> = access(&gate).iter().map(|line| line["path"].clone()).collect();
    assert_eq!(paths, ["/open/hang-up", "/open/all"]);
    // The level goes for what Tollgate says of itself.
    let lines = gate.stderr().lines().count();
    reload(&gate.conf().log("level", "\"error\""));
    assert_eq!(gate.stderr().lines().count(), lines, "{}", gate.stderr());
    reload(&gate.conf().log("format", "\"text\"").log("level", "\"info\""));
    until_true(PATIENCE, "a line of text", || gate.stderr().contains(" INFO new configuration in force generation=5"));
}

#[test]
fn no_client_breaks_or_forges_a_line() {
    let app = App::start();
    for format in ["text", "json"] {
        let gate = Conf::new(&app)
            .log("access", "\"all\"")
            .log("level", "\"trace\"")
            .log("format", &format!("\"{format}\""))
            .start();
        let evil = "x\",\"client\":\"6.6.6.6\"} status=200\u{1b}[31m";
        let _ = get(format!("/open/{evil}")).key().try_send(gate.addr);
        let _ = get("/open/x").key().host(evil).try_send(gate.addr);
        let _ = get(format!("/open/x?{evil}&{evil}={evil}")).key().try_send(gate.addr);
        let _ = get("/open/%0a%22forged%0d").key().try_send(gate.addr);
        let _ = get("/open/\u{85}\u{2028}forged").key().try_send(gate.addr);
        let _ =
            get("/open/y").key().header("traceparent", "\"forged").header("X-Forwarded-For", evil).try_send(gate.addr);
        let _ = gate.try_log_in(evil, "wrong\nforged");
        let _ = gate.try_register(evil);
        gate.send(&get("/open/last").key()).expect(200);
        until_true(PATIENCE, "the last line", || gate.stderr().contains("/open/last"));
        for line in gate.stderr().lines() {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            if format == "json" {
                let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(value["client"].is_null() || value["client"] == "127.0.0.1", "{line}");
            } else {
                assert!(line.starts_with("20") && line.as_bytes()[10] == b'T', "{line}");
            }
        }
    }
}

#[test]
fn the_journal_gets_levels_and_no_times() {
    let app = App::start();
    let gate = Conf::new(&app).log("access", "\"denied\"").log("audit", "\"stderr\"").journal().start();
    gate.send(&get("/open/x")).refused(403, "key_missing");
    let begins = |start: &str| {
        until_true(PATIENCE, start, || gate.stderr().lines().any(|line| line.starts_with(start)));
    };
    begins("<6>ready version=");
    begins("<6>access request_id=");
    begins("<6>{\"time\":\"");
    gate.rename_over("nonsense");
    begins("<3>reload rejected, previous configuration stays in force");
    // A process with another stderr inherits the variable, too.
    let gate = Conf::new(&app).env("JOURNAL_STREAM", "1:1").start();
    until_true(PATIENCE, "a line", || gate.stderr().contains("  INFO ready version="));
}

#[test]
fn requests_go_on_when_nobody_reads_the_log() {
    let app = App::start();
    let (_reader, writer) = std::io::pipe().unwrap();
    let gate = Conf::new(&app).log("access", "\"all\"").stderr(writer.into()).start();
    let dropped = || {
        let page = get("/metrics").send(gate.admin).expect(200).text();
        let line = page.lines().find_map(|line| line.strip_prefix("tollgate_log_lines_dropped_total{stream=\"log\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    // A pipe holds 64 KiB, the queue 4 MiB, and a line of a long path some 2 KiB.
    let path = format!("/open/{}", "x".repeat(3000));
    let mut conn = gate.conn();
    let mut sent = 0;
    until_true(PATIENCE * 6, "lines are dropped", || {
        for _ in 0..100 {
            conn.write(get(&path).key().bytes("a.example"));
            assert_eq!(conn.read().status, 200);
            sent += 1;
        }
        dropped() > 0
    });
    assert!(sent > 1000, "{sent}");
    gate.send(&get("/open/x").key()).expect(200);
    let before = gate.generation();
    gate.hang_up();
    until_true(PATIENCE, "a reload", || gate.generation() > before);
    let mut gate = gate;
    assert!(gate.stop().success(), "the end waits for no reader either");
}

#[test]
fn r69_no_client_decides_how_much_is_logged() {
    let gate = Conf::with_upstream(&format!("[\"http://127.0.0.1:{}\"]", free_port())).start();
    let limited = || {
        let page = get("/metrics").send(gate.admin).expect(200).text();
        let line = page.lines().find_map(|line| line.strip_prefix("tollgate_log_lines_limited_total "));
        line.unwrap().parse::<usize>().unwrap()
    };
    // Within two minutes, as the clock has them, at the most.
    let sent = 1400;
    for _ in 0..sent {
        let status = get("/open/x").key().send(gate.addr).status;
        assert!(status == 502 || status == 503, "{status}");
    }
    let lines = || gate.stderr().matches("forwarding failed").count();
    until_true(PATIENCE, "each is written or counted", || lines() + limited() >= sent);
    assert!(limited() >= 200, "{} of {sent}", lines());
    assert!(gate.stderr().contains(" client=\"127.0.0.1\" "), "{}", gate.stderr());
    // Another client's are there, and other kinds.
    Conn::open_from("127.0.0.9".parse().unwrap(), gate.addr).ask(&get("/open/x").key());
    until_true(PATIENCE, "another client", || gate.stderr().contains(" client=\"127.0.0.9\" "));
}
