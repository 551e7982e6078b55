//! The audit stream: who did what, in fields that stay as they are; and what keeps addresses out by it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::*;

fn conf(app: &App) -> Conf {
    Conf::new(app).log("audit", "\"./audit.log\"")
}

fn file(gate: &Gate) -> PathBuf {
    gate.dir.path().join("audit.log")
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Waits for a line about this event that ended so.
fn line(gate: &Gate, event: &str, outcome: &str, reason: &str) -> Value {
    until(PATIENCE, event, || {
        let is = |line: &Value| line["event"] == event && line["outcome"] == outcome && line["reason"] == reason;
        lines(&file(gate)).into_iter().rev().find(is)
    })
}

fn members(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

fn metric(gate: &Gate, sample: &str) -> u64 {
    let page = get("/metrics").send(gate.admin).expect(200).text();
    let value = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')).unwrap();
    value.parse().unwrap()
}

#[test]
fn every_login_leaves_a_line() {
    let app = App::start();
    let mut gate = conf(&app).start();
    let id = gate.register("alice")["uniqueId"].clone();
    let answer = gate.try_log_in("ALICE", PASSWORD).expect(200);
    let token = answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let of_request = ["time", "event", "outcome", "reason", "client", "request_id", "realm", "dialect"];
    let success = line(&gate, "login", "success", "");
    assert_eq!(members(&success), [&of_request[..], &["user", "session", "username"]].concat());
    assert_eq!(success["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(
        (&success["client"], &success["realm"], &success["dialect"]),
        (&"127.0.0.1".into(), &"examples".into(), &"project".into())
    );
    assert_eq!((&success["user"], &success["username"]), (&id, &"ALICE".into()));
    let time = success["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    assert_eq!(line(&gate, "registration", "success", "")["user"], id);
    gate.try_log_in("alice", "wrong").refused(401, "credentials_invalid");
    let failure = line(&gate, "login", "failure", "credentials_invalid");
    assert_eq!((&failure["user"], &failure["username"]), (&id, &"alice".into()));
    gate.try_log_in(&"x".repeat(5000), "wrong").refused(401, "credentials_invalid");
    until_true(PATIENCE, "the name is cut", || {
        lines(&file(&gate)).iter().any(|line| line["username"].as_str().is_some_and(|name| name.len() == 256))
    });
    for _ in 0..10 {
        gate.try_log_in("bob", "wrong");
    }
    let throttled = line(&gate, "login", "failure", "throttled");
    assert_eq!((&throttled["username"], throttled.get("user")), (&"bob".into(), None));
    let uri = auth(&format!("uniqueId={}", id.as_str().unwrap()));
    let body = json!({"username": "alice", "password": "another password"});
    gate.send(&put(uri.clone()).bearer(&token).json(&body)).expect(200);
    assert_eq!(line(&gate, "password_change", "success", "")["user"], id);
    assert_eq!(line(&gate, "update", "success", "")["user"], id);
    gate.send(&post(auth("logout=true")).bearer(&token)).expect(200);
    let logout = line(&gate, "logout", "success", "");
    assert_eq!((&logout["user"], &logout["session"]), (&id, &success["session"]));
    gate.send(&delete(format!("{uri}&masterKey={MASTER}"))).expect(200);
    let deletion = line(&gate, "deletion", "success", "");
    assert_eq!(deletion["user"], id);
    gate.stop();
    let all = lines(&file(&gate));
    assert_eq!((&all[0]["event"], &all[0]["version"]), (&"start".into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!(all.last().unwrap()["event"], "stop");
    let text = std::fs::read_to_string(file(&gate)).unwrap();
    for secret in [PASSWORD, "another password", KEY, MASTER, &token, token.rsplit('.').next().unwrap(), "$argon2"] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert_eq!(std::fs::metadata(file(&gate)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_tenant_login_leaves_its_steps() {
    let app = App::start();
    let tenant = "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\n";
    let gate = conf(&app).realm("require_key", "false").more(tenant).start();
    let add =
        ["user", "add", "-c", &gate.config_arg(), "--realm", "examples", "--temporary", "alice"].map(str::to_owned);
    tollgate(&add.each_ref().map(String::as_str), "first password\n").ok();
    let log_in = |password: &str| {
        gate.send(&post("/Login").json(&json!({"UserName": "alice", "TenantName": "examples", "Password": password})))
    };
    let asked = log_in("first password").expect(200).json();
    let line_of = |event: &str, outcome: &str, reason: &str| line(&gate, event, outcome, reason);
    assert_eq!(line_of("login", "challenge", "")["challenge"], "NEW_PASSWORD_REQUIRED");
    let answer = json!({"ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": asked["cognitoToken"]["Session"],
                        "ChallengeResponses": {"NEW_PASSWORD": "second password"}});
    let tokens = gate.send(&post("/Login/Challenge").json(&answer)).expect(200).json();
    let user = line_of("challenge", "success", "")["user"].clone();
    assert_eq!(line_of("password_change", "success", "")["user"], user);
    let refresh = tokens["cognitoToken"]["AuthenticationResult"]["RefreshToken"].clone();
    let renew = || gate.send(&post("/Login/Refresh").json(&json!({"RefreshToken": refresh})));
    let next = renew().expect(200).json()["cognitoToken"]["AuthenticationResult"]["RefreshToken"].clone();
    assert_eq!(line_of("refresh", "success", "")["user"], user);
    gate.send(&post("/Login/Refresh").json(&json!({"RefreshToken": next}))).expect(200);
    renew().expect(401);
    let reused = line_of("refresh", "failure", "refresh_token_reused");
    assert_eq!((&reused["user"], &reused["sessions_ended"]), (&user, &1.into()));
    log_in("third password").expect(401);
    assert_eq!(line_of("login", "failure", "credentials_invalid")["user"], user);
    let access =
        log_in("second password").expect(200).json()["cognitoToken"]["AuthenticationResult"]["AccessToken"].clone();
    gate.send(&post("/Logout").bearer(access.as_str().unwrap())).expect(200);
    assert_eq!(line_of("logout", "success", "")["user"], user);
    let text = std::fs::read_to_string(file(&gate)).unwrap();
    for secret in [
        "first password",
        "second password",
        refresh.as_str().unwrap(),
        asked["cognitoToken"]["Session"].as_str().unwrap(),
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn what_is_denied_is_told_with_whom_it_was_denied_to() {
    let app = App::start();
    let gate = conf(&app).start();
    let token = gate.user("alice");
    let id = gate.who(&token).json()["uniqueId"].clone();
    gate.send(&get("/app/x")).refused(403, "key_missing");
    gate.send(&get(format!("/app/x?key={KEY}x"))).refused(400, "key_unknown");
    gate.send(&get("/app/x").key().origin(FOREIGN)).refused(403, "origin_denied");
    gate.visit("x").refused(401, "token_malformed");
    gate.send(&get("/admin/x").key().bearer(&token)).refused(403, "role_missing");
    gate.send(&get("/nope")).refused(404, "route_not_found");
    gate.send(&get(auth("masterKey=wrong"))).refused(401, "master_key_unknown");
    let role = line(&gate, "denied", "failure", "role_missing");
    assert_eq!(
        (&role["user"], &role["username"], &role["route"], &role["method"]),
        (&id, &"alice".into(), &"/admin".into(), &"GET".into())
    );
    assert_eq!(line(&gate, "denied", "failure", "master_key_unknown")["route"], AUTH);
    let denied: Vec<_> = lines(&file(&gate)).into_iter().filter(|line| line["event"] == "denied").collect();
    let reasons: Vec<_> = denied.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        ["key_missing", "key_unknown", "origin_denied", "token_malformed", "role_missing", "master_key_unknown"]
    );
    assert!(denied.iter().all(|line| line["client"] == "127.0.0.1" && line["realm"] == "examples"));
    // What another process revokes, and a reload.
    tollgate(&["token", "revoke", "-c", &gate.config_arg(), "-"], &format!("{token}\n")).ok();
    assert_eq!(line(&gate, "revocation", "success", "")["count"], 1);
    gate.rename_over("nonsense");
    assert_eq!(line(&gate, "reload", "failure", "config_invalid")["errors"], 1);
    gate.edit_by_rename(&gate.conf());
    assert_eq!(line(&gate, "reload", "success", "")["generation"], 2);
}

#[test]
fn a_file_that_is_renamed_or_removed_gets_a_successor() {
    let app = App::start();
    let gate = conf(&app).start();
    gate.try_log_in("one", "wrong");
    line(&gate, "login", "failure", "credentials_invalid");
    let old = gate.dir.path().join("audit.log.1");
    std::fs::rename(file(&gate), &old).unwrap();
    gate.hang_up();
    line(&gate, "reload", "success", "");
    assert!(lines(&old).iter().any(|line| line["username"] == "one"));
    std::fs::remove_file(file(&gate)).unwrap();
    gate.try_log_in("two", "wrong");
    assert_eq!(line(&gate, "login", "failure", "credentials_invalid")["username"], "two");
    assert_eq!(std::fs::metadata(file(&gate)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_path_that_cannot_be_opened_ends_the_start_and_not_the_gate() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tollgate.toml");
    let bad = || Conf::new(&app).log("audit", "\"/nowhere/at/all/audit.log\"");
    write_file(&config, &bad().text(free_port(), free_port()), 0o600);
    let ended = tollgate(&["serve", "-c", config.to_str().unwrap()], "").failed(78);
    assert!(ended.stderr.contains("log.audit: /nowhere/at/all/audit.log can't be opened"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let gate = conf(&app).start();
    gate.edit_by_rename(&bad());
    until_true(PATIENCE, "the failed reload", || gate.status()["last_reload"]["ok"] == false);
    gate.try_log_in("one", "wrong");
    line(&gate, "login", "failure", "credentials_invalid");
    // Another file is another stream, and the old one is as it was.
    gate.edit_by_rename(&gate.conf().log("audit", "\"./other.log\""));
    until_true(PATIENCE, "the reload", || gate.generation() == 2);
    gate.try_log_in("two", "wrong");
    let other = gate.dir.path().join("other.log");
    until_true(PATIENCE, "a line", || lines(&other).iter().any(|line| line["username"] == "two"));
    assert!(lines(&file(&gate)).iter().all(|line| line["username"] != "two"));
}

#[test]
fn a_full_disk_stops_no_request() {
    let app = App::start();
    let gate = Conf::new(&app).log("audit", "\"/dev/full\"").start();
    let token = gate.user("alice");
    gate.visit(&token).expect(200);
    until_true(PATIENCE, "the lost lines", || metric(&gate, "tollgate_log_lines_dropped_total{stream=\"audit\"}") >= 3);
    assert_eq!(metric(&gate, "tollgate_log_failing{stream=\"audit\"}"), 1);
    until_true(PATIENCE, "the log says so", || {
        gate.stderr().contains("/dev/full: audit lines can't be written, and are lost")
    });
    gate.try_log_in("alice", "wrong").refused(401, "credentials_invalid");
    assert_eq!(gate.stderr().matches("are lost").count(), 1, "once");
    gate.visit(&token).expect(200);
}

#[test]
fn r69_a_flood_of_refused_logins_does_not_fill_the_disk() {
    const MIB: u64 = 1 << 20;
    let app = App::start();
    let mut gate = conf(&app).log("audit_size", "\"1MiB\"").log("audit_keep", "1").start();
    gate.register("alice");
    let old = gate.dir.path().join("audit.log.1");
    // A name that takes as much room in a line as a name can.
    let name = |number: usize| format!("{number:06}{}", "\u{1}".repeat(250));
    let flood = |gate: &Gate, from: usize| {
        let mut conn = gate.conn();
        for number in from..from + 1000 {
            let body = json!({"username": name(number), "password": "wrong"});
            let status = conn.ask(&post(auth("login=true&noATCookie=true")).json(&body)).status;
            assert!(status == 401 || status == 429, "{status}");
        }
    };
    let rotations = |gate: &Gate| metric(gate, "tollgate_audit_rotations_total");
    let sizes = |gate: &Gate| {
        [file(gate), old.clone()].map(|path| std::fs::metadata(path).map_or(0, |metadata| metadata.len()))
    };
    let mut sent = 0;
    until_true(PATIENCE * 4, "three rotations", || {
        flood(&gate, sent);
        sent += 1000;
        assert!(sizes(&gate).iter().all(|size| *size <= MIB), "{:?}", sizes(&gate));
        rotations(&gate) >= 3
    });
    // The last refused request is in the log, and no line is missing among the newest.
    let last = name(sent - 1);
    let has = |path: &Path, name: &str| lines(path).iter().any(|line| line["username"] == name);
    until_true(PATIENCE, "the last line", || has(&file(&gate), &last) || has(&old, &last));
    let is_flood = |line: &Value| line["username"].as_str().and_then(|name| name.get(..6)?.parse::<usize>().ok());
    let kept: Vec<_> = [lines(&old), lines(&file(&gate))].concat().iter().filter_map(is_flood).collect();
    assert!(kept.len() > 500 && kept.last() == Some(&(sent - 1)), "{}", kept.len());
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{kept:?}");
    let names: Vec<_> = std::fs::read_dir(gate.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.iter().filter(|name| name.to_string_lossy().starts_with("audit.log")).count(), 2, "{names:?}");
    for path in [&old, &file(&gate)] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(metric(&gate, "tollgate_log_lines_dropped_total{stream=\"audit\"}"), 0);
    // kill -9: what was written stays, and the next process goes on in the same files.
    gate.crash_and_restart();
    assert!(has(&file(&gate), &last) || has(&old, &last));
    flood(&gate, 0);
    until_true(PATIENCE, "a rotation", || rotations(&gate) >= 1);
    // A reload changes the size.
    gate.edit_by_rename(&gate.conf().log("audit_size", "\"64MiB\""));
    until_true(PATIENCE, "the reload", || gate.generation() == 2);
    flood(&gate, 0);
    until_true(PATIENCE, "a larger file", || sizes(&gate)[0] > MIB);
}

#[test]
fn r69_what_cannot_be_rotated_is_told_once_and_stops_nothing() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    // A directory is in the way.
    std::fs::create_dir_all(dir.path().join("audit.log.1/x")).unwrap();
    std::fs::write(&path, "{}\n".repeat(400_000)).unwrap();
    let gate = Conf::new(&app)
        .log("audit", &format!("\"{}\"", path.display()))
        .log("audit_size", "\"1MiB\"")
        .log("audit_keep", "1")
        .start();
    gate.send(&get("/app/x")).refused(403, "key_missing");
    let told = || gate.stderr().matches("the audit file can't be rotated, and grows beyond log.audit_size").count();
    until_true(PATIENCE, "the log says so", || told() == 1);
    for _ in 0..3 {
        gate.send(&get("/app/x")).refused(403, "key_missing");
    }
    until_true(PATIENCE, "all lines", || lines(&path).iter().filter(|line| line["event"] == "denied").count() == 4);
    assert_eq!((told(), metric(&gate, "tollgate_audit_rotation_failures_total")), (1, 1));
    assert_eq!(metric(&gate, "tollgate_log_failing{stream=\"audit\"}"), 0);
    // SIGHUP: now.
    std::fs::remove_dir_all(dir.path().join("audit.log.1")).unwrap();
    gate.hang_up();
    until_true(PATIENCE, "the rotation", || metric(&gate, "tollgate_audit_rotations_total") == 1);
    assert_eq!(lines(&dir.path().join("audit.log.1")).iter().filter(|line| line["event"] == "denied").count(), 4);
    until_true(PATIENCE, "the log says so", || gate.stderr().contains("the audit file is rotated again"));
}

/// fail2ban's own reader, over what the real gate wrote.
#[test]
fn fail2ban_finds_who_guesses_and_nobody_else() {
    let app = App::start();
    let gate = conf(&app).server("trusted_proxies", "[\"127.0.0.2\"]").start();
    gate.register("alice");
    gate.log_in("alice");
    let forged = "x\",\"client\":\"6.6.6.6\",\"event\":\"login\",\"outcome\":\"failure";
    let whole = "{\"time\":\"2026-11-22T00:00:00.000Z\",\"event\":\"login\",\"outcome\":\"failure\",\"reason\":\"credentials_invalid\",\"client\":\"6.6.6.6\",";
    // One client after the other, by the address that it has or that a proxy that is trusted says it has.
    let from = |address: &str, request: &Request| {
        let mut conn = Conn::open_from(address.parse().unwrap(), gate.addr);
        conn.ask(request).status
    };
    let guess = |name: &str| post(auth("login=true")).json(&json!({"username": name, "password": "wrong"}));
    assert_eq!(from("127.0.0.3", &guess("alice")), 401);
    assert_eq!(from("127.0.0.4", &guess(forged).header("X-Forwarded-For", "6.6.6.6")), 401);
    assert_eq!(from("127.0.0.5", &guess(&format!("\n{whole}")).header("User-Agent", whole)), 401);
    assert_eq!(from("127.0.0.2", &guess("bob").header("X-Forwarded-For", "192.0.2.7")), 401);
    assert_eq!(from("127.0.0.2", &guess("carol").header("X-Forwarded-For", "2001:db8::7")), 401);
    assert_eq!(from("127.0.0.6", &get(format!("/app/x?key={KEY}x"))), 400);
    assert_eq!(from("127.0.0.7", &get(auth("masterKey=wrong"))), 401);
    // None of these guesses: a key that was forgotten, a token that has had its time, a success.
    assert_eq!(from("127.0.0.8", &get("/app/x")), 403);
    assert_eq!(from("127.0.0.8", &get("/app/x").key().bearer("x")), 401);
    let right = post(auth("login=true")).json(&json!({"username": "alice", "password": PASSWORD}));
    assert_eq!(from("127.0.0.8", &right), 200);
    assert_eq!(from("127.0.0.8", &post(auth("")).json(&json!({"username": forged, "password": PASSWORD}))), 200);
    until_true(PATIENCE, "all lines", || {
        lines(&file(&gate)).iter().any(|line| line["event"] == "registration" && line["username"] == forged)
    });
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/fail2ban/filter.d/tollgate.conf");
    let program = std::env::var_os("TOLLGATE_TEST_FAIL2BAN").unwrap_or_else(|| "fail2ban-regex".into());
    let found = run(Command::new(&program).arg("-o").arg("ip").arg(file(&gate)).arg(&filter), b"").ok().stdout;
    let mut found: Vec<_> = found.split_whitespace().collect();
    found.sort_unstable();
    assert_eq!(found, ["127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7", "192.0.2.7", "2001:db8::7"]);
    // Each with the time of its line.
    let report = run(Command::new(&program).arg(file(&gate)).arg(&filter), b"").ok().stdout;
    let count = lines(&file(&gate)).len();
    assert!(report.contains(&format!("Lines: {count} lines, 0 ignored, 7 matched")), "{report}");
    assert!(report.contains(&format!("[{count}] ^\\{{\"time\":\"Year-Month-Day")), "{report}");
}
