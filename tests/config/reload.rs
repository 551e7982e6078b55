//! Reloads: the file changes while Tollgate runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(1);

/// Waits for a reload that worked, or failed.
fn until_reloaded(gate: &Gate, before: i64) -> Duration {
    until_true(PATIENCE, "the new policy is in force", || gate.generation() > before)
}

fn until_refused(gate: &Gate) {
    until_true(PATIENCE, "the failed reload is in /status", || gate.status()["last_reload"]["ok"] == false);
}

fn with_key(conf: Conf, secret: &str) -> Conf {
    conf.realm_tables(&format!(
        "[[realm.key]]\nid = \"web\"\nsecret = \"{KEY}\"\n[[realm.key]]\nid = \"other\"\nsecret = \"{secret}\"\n"
    ))
}

#[test]
fn an_edit_in_place_a_rename_over_it_and_a_signal_all_reload() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let conf = |path: &str| gate.conf().add_route(path, "public", "");
    let opens = |path: &str| until_true(PATIENCE, path, || gate.send(&get(path).key()).status == 200);
    gate.edit_in_place(&conf("/one"));
    assert!(opens("/one") <= SOON);
    gate.edit_by_rename(&conf("/two"));
    assert!(opens("/two") <= SOON);
    // A rename replaces the file that is watched: the next one must be seen too.
    gate.edit_by_rename(&conf("/three"));
    assert!(opens("/three") <= SOON);
    gate.edit_in_place(&conf("/four"));
    assert!(opens("/four") <= SOON);
    gate.send(&get("/three").key()).refused(404, "route_not_found");
    // Removed and written anew.
    std::fs::remove_file(gate.config()).unwrap();
    gate.edit_in_place(&conf("/five"));
    assert!(opens("/five") <= SOON);
    // A signal reloads though nothing was written.
    let before = gate.generation();
    gate.hang_up();
    until_true(PATIENCE, "SIGHUP reloads", || gate.generation() > before || gate.status()["last_reload"]["ok"] == true);
    opens("/five");
}

#[test]
fn a_signal_right_after_the_start_reloads() {
    let app = App::start();
    for _ in 0..10 {
        let mut gate = Conf::new(&app).start();
        gate.hang_up();
        until_true(PATIENCE, "the reload", || gate.status()["last_reload"]["ok"] == true);
        assert!(gate.running());
    }
}

#[test]
fn a_linked_file_that_is_switched_reloads() {
    // As Kubernetes mounts a ConfigMap: the file is a link through a folder that is replaced.
    let app = App::start();
    let mut gate = Conf::new(&app).start();
    gate.stop();
    let dir = gate.dir.path().to_owned();
    for (name, path) in [("v1", "/one"), ("v2", "/two")] {
        std::fs::create_dir(dir.join(name)).unwrap();
        let text = gate.conf().store(&format!("sqlite://{}", gate.database().display()));
        let text = text
            .realm("keys_dir", &format!("\"{}\"", dir.join("keys/examples").display()))
            .add_route(path, "public", "");
        write_file(&dir.join(name).join("tollgate.toml"), &text.text(gate.addr.port(), gate.admin.port()), 0o600);
    }
    let link = |from: &str, to: &str| {
        let new = dir.join("new-link");
        std::os::unix::fs::symlink(to, &new).unwrap();
        std::fs::rename(new, dir.join(from)).unwrap();
    };
    link("current", "v1");
    link("tollgate.toml", "current/tollgate.toml");
    gate.start_again();
    gate.send(&get("/one").key()).expect(200);
    link("current", "v2");
    until_true(PATIENCE, "the new file is in force", || gate.send(&get("/two").key()).status == 200);
}

#[test]
fn a_bad_file_keeps_the_old_policy_and_says_so() {
    let app = App::start();
    let mut gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let good = gate.conf().text(gate.addr.port(), gate.admin.port());
    for bad in [
        String::new(),
        "not toml".to_owned(),
        good.replace("access = \"user\"", "access = \"nobody\""),
        good.replace("[[login]]", "[[login]]\nunknown = 1"),
        format!(
            "{good}\n[[route]]\npath = \"/x\"\nrealm = \"nowhere\"\naccess = \"user\"\nupstream = [\"http://127.0.0.1:1\"]\n"
        ),
        good.replace(KEY, "short"),
    ] {
        let before = gate.generation();
        gate.rename_over(&bad);
        until_refused(&gate);
        let status = gate.status();
        assert!(status["last_reload"]["errors"].as_array().is_some_and(|errors| !errors.is_empty()), "{status}");
        assert!(status["last_reload"]["at"].is_string() || status["last_reload"]["at"].is_number(), "{status}");
        assert_eq!(status["generation"], before);
        gate.visit(&token).expect(200);
        gate.send(&get("/app/x")).refused(403, "key_missing");
        assert!(gate.running());
        // Back to a good one, so that the next failure is seen as its own.
        gate.rename_over(&good);
        until_true(PATIENCE, "the good file is in force", || gate.status()["last_reload"]["ok"] == true);
    }
    gate.says("tollgate.toml");
}

#[test]
fn every_error_of_a_bad_file_is_in_the_status() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let text = gate.conf().text(gate.addr.port(), gate.admin.port());
    gate.rename_over(
        &text
            .replace("access = \"user\"", "access = \"x\"")
            .replace("registration = \"open\"", "registration = \"ajar\""),
    );
    until_refused(&gate);
    let errors = gate.status()["last_reload"]["errors"].to_string();
    assert!(errors.contains("access") && errors.contains("registration"), "{errors}");
    assert!(!gate.status().to_string().contains(KEY), "no secret in the status");
}

#[test]
fn r43_a_secret_that_is_gone_keeps_the_old_policy_at_a_reload() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    write_file(&secret, "a secret that stands in a file\n", 0o600);
    let tables = format!("[[realm.key]]\nid = \"web\"\nsecret_file = \"{}\"\n", secret.display());
    let gate = Conf::new(&app).realm_tables(&tables).start();
    let keyed = get("/keyed/x").header("X-API-Key", "a secret that stands in a file");
    gate.send(&keyed).expect(200);
    std::fs::remove_file(&secret).unwrap();
    gate.edit_by_rename(&gate.conf().add_route("/more", "public", ""));
    until_refused(&gate);
    gate.send(&keyed).expect(200);
    gate.send(&get("/more").header("X-API-Key", "a secret that stands in a file")).refused(404, "route_not_found");
    write_file(&secret, "another secret in the same file", 0o600);
    let before = gate.generation();
    gate.hang_up();
    until_reloaded(&gate, before);
    gate.send(&keyed).refused(400, "key_unknown");
    gate.send(&get("/keyed/x").header("X-API-Key", "another secret in the same file")).expect(200);
}

#[test]
fn r43_signing_keys_that_are_gone_keep_the_old_policy_at_a_reload() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let (keys, elsewhere) = (gate.dir.path().join("keys"), gate.dir.path().join("elsewhere"));
    std::fs::rename(&keys, &elsewhere).unwrap();
    until_refused(&gate);
    gate.visit(&token).expect(200);
    assert!(!keys.exists(), "no new key was made in their place");
    let before = gate.generation();
    std::fs::rename(&elsewhere, &keys).unwrap();
    until_reloaded(&gate, before);
    gate.visit(&token).expect(200);
}

#[test]
fn r43_a_start_without_a_key_or_secret_is_refused() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let serve = |conf: &Conf| {
        write_file(&file, &conf.text(free_port(), free_port()), 0o600);
        tollgate(&["serve", "-c", file.to_str().unwrap()], "").failed(78)
    };
    let missing = Conf::new(&app).realm_tables("[[realm.key]]\nid = \"web\"\nsecret_file = \"missing\"\n");
    assert!(serve(&missing).stderr.contains("missing"));
    let master = Conf::new(&app).realm_tables(&format!(
        "[[realm.key]]\nid = \"web\"\nsecret = \"{KEY}\"\n[realm.master_key]\nsha256_file = \"nowhere\"\n"
    ));
    assert!(serve(&master).stderr.contains("nowhere"));
    let keys = dir.path().join("keys/examples");
    std::fs::create_dir_all(&keys).unwrap();
    for (text, mode) in [("not a key", 0o600), ("", 0o600), ("{\"kty\":\"oct\"}", 0o600)] {
        write_file(&keys.join("bad.jwk"), text, mode);
        assert!(serve(&Conf::new(&app)).stderr.contains("bad.jwk"));
    }
}

#[test]
fn r46_key_and_secret_files_that_others_can_read_are_refused_unless_told() {
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let secret = dir.path().join("secret");
    let check = |conf: &Conf| {
        write_file(&file, &conf.text(1, 2), 0o600);
        tollgate(&["check", "-c", file.to_str().unwrap()], "")
    };
    let conf = Conf::new(&app).realm_tables("[[realm.key]]\nid = \"web\"\nsecret_file = \"secret\"\n");
    for mode in [0o640, 0o604, 0o644, 0o660, 0o777] {
        write_file(&secret, "a secret that stands in a file", mode);
        assert!(check(&conf).failed(78).stderr.contains("secret"), "{mode:o}");
    }
    check(&conf.clone().server("insecure_key_files", "true")).ok();
    write_file(&secret, "a secret that stands in a file", 0o400);
    check(&conf).ok();
    // The signing keys too.
    let made = Conf::new(&app).start();
    let key = &made.key_files()[0];
    let text = std::fs::read_to_string(key).unwrap();
    let keys = dir.path().join("keys/examples");
    std::fs::create_dir_all(&keys).unwrap();
    write_file(&keys.join("a.jwk"), &text, 0o644);
    assert!(check(&conf).failed(78).stderr.contains("a.jwk"));
    write_file(&keys.join("a.jwk"), &text, 0o600);
    check(&conf).ok();
}

#[test]
fn a_warning_is_told_by_check_and_logged_at_the_start_and_at_a_reload() {
    let app = App::start();
    let key = |id: &str| format!("[[realm.key]]\nid = \"{id}\"\nsecret = \"{id}-key-{id}\"\n");
    let conf = Conf::new(&app).add_realm_tables(&key("new"));
    let gate = conf.start();
    let warning = |id: usize| format!("warning: realm.examples.key[{id}].secret: is shorter than 16 characters");
    gate.says(&warning(3));
    let check = |args: &[&str]| tollgate(&[&["check", "-c", &gate.config_arg()], args].concat(), "");
    let ran = check(&[]).ok();
    assert!(ran.stderr.contains(&warning(3)) && ran.stdout.contains("2 warnings"), "{} {}", ran.stderr, ran.stdout);
    assert!(check(&["--strict"]).failed(78).stderr.contains(&warning(3)));
    let found: serde_json::Value = serde_json::from_str(&check(&["--json"]).ok().stdout).unwrap();
    // One key of the harness has expired.
    let keys: Vec<_> = found.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["realm.examples.key[1].expires", "realm.examples.key[3].secret"], "{found}");
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf().add_realm_tables(&key("newer")));
    until_reloaded(&gate, before);
    gate.says(&warning(4));
}

#[test]
fn a_changed_cold_key_is_reported_and_the_rest_is_in_force() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    assert_eq!(gate.status()["cold_changes"], serde_json::json!([]));
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf().server("threads", "3").server("h2c", "true").add_route("/new", "public", ""));
    until_reloaded(&gate, before);
    gate.send(&get("/new").key()).expect(200);
    let changes = gate.status()["cold_changes"].to_string();
    assert!(changes.contains("threads") && changes.contains("h2c"), "{changes}");
    until_true(PATIENCE, "the log says so", || gate.stderr().contains("restart"));
    // Put back, there is nothing to report.
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf());
    until_reloaded(&gate, before);
    assert_eq!(gate.status()["cold_changes"], serde_json::json!([]));
}

#[test]
fn what_a_reload_takes_away_is_gone() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let mut conn = gate.conn();
    conn.ask(&get("/app/x").key().bearer(&token)).expect(200);
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf().realm("audience", "\"others\""));
    until_reloaded(&gate, before);
    conn.ask(&get("/app/x").key().bearer(&token)).refused(401, "token_audience");
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf().routes(""));
    until_reloaded(&gate, before);
    conn.ask(&get("/app/x").key().bearer(&token)).refused(404, "route_not_found");
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf());
    until_reloaded(&gate, before);
    conn.ask(&get("/app/x").key().bearer(&token)).expect(200);
}

#[test]
fn a_reload_does_not_log_anyone_out_or_lose_a_request_in_flight() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let mut conn = gate.conn();
    conn.write(get("/app/slow").key().bearer(&token).bytes("h"));
    until_true(PATIENCE, "the app has it", || !app.seen().is_empty());
    let before = gate.generation();
    gate.edit_by_rename(&gate.conf().realm("origins", "[\"https://other.example.com\"]").routes(""));
    until_reloaded(&gate, before);
    app.release();
    assert_eq!(conn.read().expect(200).body, b"late");
}

/// The main claim about reloading: while clients hammer, the file flips 100 times between two policies. A request that
/// both allow never fails, one that both refuse never passes, one that would only pass under a mixture of the two never
/// passes either, and each new policy is in force within a second.
#[test]
fn under_load_a_request_is_judged_by_one_policy_and_the_new_one_is_in_force_within_a_second() {
    const KEYS: [&str; 2] = ["a-key-of-the-even-policy", "b-key-of-the-odd-policy"];
    const ORIGINS: [&str; 2] = ["https://even.example.com", "https://odd.example.com"];
    let app = App::start();
    let conf = |which: usize| {
        with_key(Conf::new(&app).server("threads", "2"), KEYS[which])
            .realm("origins", &format!("[\"{ORIGIN}\", \"{}\"]", ORIGINS[which]))
    };
    let gate = conf(0).start();
    let token = gate.user("alice");
    let with = |key: &str, origin: &str| get("/app/x").header("X-API-Key", key).origin(origin).bearer(&token);
    // (request, the statuses that some policy gives it)
    let cases: Vec<(Request, &[u16])> = vec![
        (with(KEY, ORIGIN), &[200]),
        (with("a key of neither", ORIGIN), &[400]),
        (with(KEY, FOREIGN), &[403]),
        (with(KEYS[0], ORIGIN), &[200, 400]),
        (with(KEYS[0], ORIGINS[0]), &[200, 400]),
        (with(KEY, ORIGINS[1]), &[200, 403]),
        // Even: the key is good and the origin is not. Odd: the key is not.
        (with(KEYS[0], ORIGINS[1]), &[403, 400]),
        (with(KEYS[1], ORIGINS[0]), &[403, 400]),
    ];
    let stop = AtomicBool::new(false);
    let count = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        for client in 0..3 {
            let (gate, cases, stop, wrong, count) = (&gate, &cases, &stop, &wrong, &count);
            scope.spawn(move || {
                let mut conn = gate.conn();
                let mut at = client;
                while !stop.load(Ordering::Relaxed) {
                    at += 1;
                    let (request, allowed) = &cases[at % cases.len()];
                    count.fetch_add(1, Ordering::Relaxed);
                    match conn.try_ask(request) {
                        Ok(answer) if allowed.contains(&answer.status) => {
                            if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                                conn = gate.conn();
                            }
                        }
                        Ok(answer) => {
                            wrong.lock().unwrap().push(format!("case {}: {}", at % cases.len(), answer.status));
                        }
                        Err(error) => {
                            wrong.lock().unwrap().push(format!("case {}: {error}", at % cases.len()));
                            conn = gate.conn();
                        }
                    }
                }
            });
        }
        // So that a failed assertion in here ends the clients too.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        let mut conn = gate.conn();
        for flip in 1..=100 {
            let (new, old) = (flip % 2, (flip + 1) % 2);
            if flip % 3 == 0 {
                gate.edit_in_place(&conf(new));
            } else {
                gate.edit_by_rename(&conf(new));
            }
            let start = Instant::now();
            until_true(PATIENCE, "the new policy is in force", || {
                conn.ask(&with(KEYS[new], ORIGINS[new])).status == 200
                    && conn.ask(&with(KEYS[old], ORIGIN)).status == 400
            });
            slowest = slowest.max(start.elapsed());
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let count = count.into_inner();
    assert!(wrong.is_empty(), "{} of {count} requests: {:?}", wrong.len(), &wrong[..wrong.len().min(10)]);
    assert!(count > 500, "only {count} requests were made");
    assert!(slowest <= SOON, "the slowest change took {slowest:?}");
}
