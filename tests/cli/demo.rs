//! `tollgate demo`: the lines that it prints work when they are pasted, and Ctrl-C leaves nothing behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::*;

struct Demo {
    child: Child,
    dir: tempfile::TempDir,
}

impl Demo {
    /// Starts it, and waits for its last word.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .arg("demo")
            .current_dir(dir.path())
            .env("TMPDIR", dir.path().join("tmp"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(dir.path().join("out")).unwrap())
            .stderr(fs::File::create(dir.path().join("err")).unwrap())
            .spawn()
            .unwrap();
        let mut demo = Self { child, dir };
        until_true(Duration::from_secs(60), "the demo says how it ends", || {
            assert!(demo.child.try_wait().unwrap().is_none(), "it ended: {}", demo.read("err"));
            demo.read("out").contains("Ctrl-C")
        });
        assert_eq!(demo.read("err"), "", "its own configuration is without a warning");
        demo
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// (what it says of it, the line to paste)
    fn steps(&self) -> Vec<(String, String)> {
        let text = self.read("out");
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        lines
            .windows(2)
            .filter(|pair| pair[0].starts_with("# ") && pair[1].contains("curl "))
            .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
            .collect()
    }

    fn port(&self) -> u16 {
        let text = self.read("out");
        let (_, rest) = text.split_once("http://127.0.0.1:").expect("where it listens");
        rest.split(|char: char| !char.is_ascii_digit()).next().unwrap().parse().unwrap()
    }

    fn key(&self) -> String {
        let text = self.read("out");
        let (_, rest) = text.split_once("?key=").expect("its key");
        rest.chars().take_while(char::is_ascii_hexdigit).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_line_that_the_demo_prints_works_when_it_is_pasted() {
    let demo = Demo::start();
    let steps = demo.steps();
    let text = demo.read("out");
    assert_eq!(
        steps.len(),
        text.lines().filter(|line| line.contains("curl ")).count(),
        "a word about every line:\n{text}"
    );
    // One shell for all of them, as in a terminal. Around each curl: which status it got, and what it printed.
    let mut script = String::from("curl() { command curl -w '%{stderr}%{http_code}' \"$@\"; }\n");
    for (number, (_, line)) in steps.iter().enumerate() {
        script.push_str(&format!("{{ {line}\n}} >out.{number} 2>status.{number}\n"));
    }
    let here = demo.dir.path();
    run(Command::new("bash").arg("-c").arg(script).current_dir(here), b"").ok();
    let mut kinds = Vec::new();
    for (number, (what, line)) in steps.iter().enumerate() {
        let status = demo.read(&format!("status.{number}"));
        let out = demo.read(&format!("out.{number}"));
        let expected = if what.contains("401") { "401" } else { "200" };
        assert_eq!(status, expected, "{what}\n{line}\n{out}");
        for reason in ["token_missing", "token_revoked"] {
            assert!(!what.contains(reason) || out.contains(reason), "{what}\n{out}");
        }
        if what.contains("X-Auth-Username") {
            assert!(out.to_lowercase().contains("\"x-auth-username\": \"alice\""), "{out}");
        }
        let kind = match line {
            _ if line.contains("/api/login") => "exchange",
            _ if line.contains("$ANSWER") && expected == "200" => "callback",
            _ if line.contains("$ANSWER") => "callback again",
            _ if line.contains("/Login/Refresh") => "tenant refresh",
            _ if line.contains("/Logout") => "tenant logout",
            _ if line.contains("/Login") => "tenant login",
            _ if line.contains("Bearer $ACCESS") && expected == "200" => "with the access token",
            _ if line.contains("Bearer $ACCESS") => "refused",
            _ if line.contains("logout=true") => "logout",
            _ if line.contains("noATCookie=true") => "login without a cookie",
            _ if line.contains("login=true") => "login",
            _ if line.contains(" -b ") => "with the cookie",
            _ if line.contains("Authorization: $TOKEN") => {
                if expected == "401" {
                    "refused"
                } else {
                    "with the token"
                }
            }
            _ if line.contains(" -d ") => "register",
            _ => {
                if expected == "401" {
                    "closed"
                } else {
                    "open"
                }
            }
        };
        kinds.push(kind);
    }
    for kind in [
        "register",
        "login",
        "with the cookie",
        "login without a cookie",
        "with the token",
        "open",
        "closed",
        "logout",
        "tenant login",
        "with the access token",
        "tenant refresh",
        "tenant logout",
        "exchange",
        "callback",
        "callback again",
    ] {
        assert!(kinds.contains(&kind), "nothing shows {kind:?}: {kinds:?}");
    }
    for logout in ["logout", "tenant logout"] {
        let at = kinds.iter().position(|kind| *kind == logout).unwrap();
        assert_eq!(kinds.get(at + 1), Some(&"refused"), "after {logout} the token is shown to be refused");
    }
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let mut demo = Demo::start();
    let (port, demo_key) = (demo.port(), demo.key());
    let tmp = demo.dir.path().join("tmp");
    let left = |path: &Path| fs::read_dir(path).unwrap().count();
    assert_eq!(left(&tmp), 1, "it lives in one temporary folder");
    let open = || get(format!("/open?key={demo_key}")).try_send(([127, 0, 0, 1], port).into());
    assert_eq!(open().unwrap().status, 200);
    kill_process(Pid::from_child(&demo.child), Signal::INT).unwrap();
    let status = until(PATIENCE, "it ends", || demo.child.try_wait().unwrap());
    assert!(matches!(status.code(), Some(0 | 130)), "{status}: {}", demo.read("err"));
    assert_eq!(left(&tmp), 0, "the temporary folder is still there");
    // Another test's demo may have the port by now, but it does not know this one's key.
    assert!(!open().is_ok_and(|answer| answer.status == 200), "it still answers");
    let mut names: Vec<_> = fs::read_dir(demo.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["err", "out", "tmp"], "nothing in the folder that it was started in");
}

#[test]
fn two_demos_run_side_by_side() {
    let (one, two) = (Demo::start(), Demo::start());
    assert_ne!(one.port(), two.port());
}
