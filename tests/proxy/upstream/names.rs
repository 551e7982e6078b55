//! Names of upstreams: no start and no reload depends on them.

use std::path::{Path, PathBuf};

use super::*;

/// A hosts file in which these names are this machine's.
fn write_hosts(path: &Path, names: &[(&str, &str)]) {
    let lines: Vec<_> = names.iter().map(|(address, name)| format!("{address} {name}\n")).collect();
    // In place, since Tollgate has the file mounted.
    std::fs::write(path, format!("127.0.0.1 localhost\n{}", lines.concat())).unwrap();
}

/// An application, and a process that finds it by the name `first.test`; `/other` leads to `other.test`.
struct Named {
    dir: tempfile::TempDir,
    _app: App,
    gate: Gate,
}

impl Named {
    fn with(names: &[(&str, &str)]) -> Self {
        let (dir, app) = (tempfile::tempdir().unwrap(), App::start());
        let hosts = dir.path().join("hosts");
        write_hosts(&hosts, names);
        let port = app.addr.port();
        let other = format!(
            "[[route]]\npath = \"/other\"\nrealm = \"examples\"\naccess = \"key\"\nresolve = \"1s\"\n\
             upstream = [\"http://other.test:{port}\"]\n"
        );
        let conf = Conf::with_upstream(&format!("[\"http://first.test:{port}\"]")).route("resolve", "\"1s\"");
        let gate = conf.more(&other).hosts(&hosts).start();
        Self { dir, _app: app, gate }
    }

    fn hosts(&self) -> PathBuf {
        self.dir.path().join("hosts")
    }

    fn status_of(&self, name: &str) -> Value {
        let status = self.gate.status();
        let upstreams = status["upstreams"].as_array().unwrap();
        let names = upstreams.iter().flat_map(|upstream| upstream["names"].as_array().unwrap());
        names.into_iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{status}")).clone()
    }

    fn resolves(&self, name: &str) -> f64 {
        let page = get("/metrics").send(self.gate.admin).expect(200).text();
        let line =
            page.lines().find(|line| line.starts_with("tollgate_upstream_name_resolves{") && line.contains(name));
        line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
    }
}

#[test]
fn a_start_does_not_wait_for_a_name_that_is_away() {
    let named = Named::with(&[("127.0.0.1", "first.test")]);
    named.gate.send(&get("/open/x").key()).expect(200);
    named.gate.send(&get("/other/x").key()).refused(503, "upstream_unavailable");
    assert!(named.status_of("other.test")["error"].is_string());
    assert_eq!((named.resolves("first.test"), named.resolves("other.test")), (1.0, 0.0));
    assert!(named.gate.stderr().contains("other.test"), "{}", named.gate.stderr());
    // As soon as it is there, it is used.
    write_hosts(&named.hosts(), &[("127.0.0.1", "first.test"), ("127.0.0.1", "other.test")]);
    until_true(PATIENCE, "the name resolves", || named.gate.send(&get("/other/x").key()).status == 200);
    assert_eq!(named.status_of("other.test")["error"], Value::Null);
    assert_eq!(named.resolves("other.test"), 1.0);
}

#[test]
fn r67_a_key_is_switched_off_though_a_name_is_away() {
    let named = Named::with(&[("127.0.0.1", "first.test"), ("127.0.0.1", "other.test")]);
    named.gate.send(&get("/keyed/x").key()).expect(200);
    named.gate.send(&get("/other/x").key()).expect(200);
    write_hosts(&named.hosts(), &[("127.0.0.1", "first.test")]);
    let key = format!("[[realm.key]]\nid = \"web\"\nsecret = \"{KEY}\"\ndisabled = true\n");
    reload(&named.gate, &named.gate.conf().realm_tables(&key));
    named.gate.send(&get("/keyed/x").key()).refused(400, "key_disabled");
    assert_eq!(named.gate.status()["last_reload"]["ok"], true);
}

#[test]
fn a_name_that_goes_away_keeps_its_last_addresses() {
    let named = Named::with(&[("127.0.0.1", "first.test"), ("127.0.0.1", "other.test")]);
    write_hosts(&named.hosts(), &[("127.0.0.1", "first.test")]);
    until_true(PATIENCE, "it is told", || named.status_of("other.test")["error"].is_string());
    named.gate.send(&get("/other/x").key()).expect(200);
    // A reload that changes something else about the route keeps them, too.
    reload(&named.gate, &named.gate.conf().route("read_timeout", "\"50s\""));
    named.gate.send(&get("/other/x").key()).expect(200);
}

#[test]
fn a_name_that_moves_is_followed_after_a_failed_connection_at_once() {
    let (dir, new) = (tempfile::tempdir().unwrap(), App::start());
    let hosts = dir.path().join("hosts");
    // Nothing listens there.
    write_hosts(&hosts, &[("127.0.0.2", "app.test")]);
    let gate = Conf::with_upstream(&format!("[\"http://app.test:{}\"]", new.addr.port()))
        .route("resolve", "\"1h\"")
        .hosts(&hosts)
        .start();
    gate.send(&get("/open/x").key()).refused(502, "upstream_failed");
    write_hosts(&hosts, &[("127.0.0.1", "app.test")]);
    until_true(PATIENCE, "the new address is used", || gate.send(&get("/open/x").key()).status == 200);
}

#[test]
fn a_name_of_the_gate_itself_is_not_followed() {
    let (dir, app) = (tempfile::tempdir().unwrap(), App::start());
    let hosts = dir.path().join("hosts");
    write_hosts(&hosts, &[("127.0.0.1", "first.test"), ("127.0.0.1", "loop.test")]);
    let gate = Conf::new(&app).hosts(&hosts).start();
    let port = gate.addr.port();
    let looped = gate.conf().more(&format!(
        "[[route]]\npath = \"/loop\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"http://loop.test:{port}\"]\n"
    ));
    reload(&gate, &looped);
    gate.send(&get("/loop/x").key()).refused(503, "upstream_unavailable");
    assert!(gate.stderr().contains("proxy loop"), "{}", gate.stderr());
}
