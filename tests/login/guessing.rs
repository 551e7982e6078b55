//! Guessing, and who is locked out or held up by it: rows R63, R64 and R65 of SECURITY.md.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::*;

fn log_in(name: &str, password: &str) -> Request {
    post(auth("login=true&noATCookie=true")).json(&json!({"username": name, "password": password}))
}

fn from(to: SocketAddr, client: [u8; 4], request: &Request) -> Response {
    Conn::open_from(Ipv4Addr::from(client), to).ask(request)
}

/// Statements for Tollgate's database, and what the last of them says.
fn sql(gate: &Gate, statement: &str) -> String {
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1], timeout=10)\n\
                  with db:\n    print(*(value for row in db.execute(sys.argv[2]).fetchall() for value in row))\n";
    python(script, &[gate.database().to_str().unwrap(), statement]).ok().stdout.trim().to_owned()
}

fn user(gate: &Gate, arguments: &[&str], stdin: &str) -> Ran {
    let config = gate.config_arg();
    let all = [&["user", arguments[0], "-c", &config, "--realm", "examples"], &arguments[1..]].concat();
    tollgate(&all, stdin)
}

fn audited(gate: &Gate, event: &str) -> Value {
    until(PATIENCE, event, || {
        let text = std::fs::read_to_string(gate.dir.path().join("audit.log")).unwrap_or_default();
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        lines.into_iter().rev().find(|line| line["event"] == event)
    })
}

#[test]
fn r63_guesses_from_elsewhere_do_not_lock_a_user_out_where_it_signs_in() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    gate.register("alice");
    let home = [127, 0, 7, 1];
    from(gate.addr, home, &log_in("alice", PASSWORD)).expect(200);
    for last in 1..=5 {
        from(gate.addr, [127, 0, 8, last], &log_in("alice", "wrong")).refused(401, "credentials_invalid");
    }
    from(gate.addr, [127, 0, 8, 9], &log_in("alice", PASSWORD)).refused(429, "throttled");
    from(gate.addr, home, &log_in("ALICE", PASSWORD)).expect(200);
}

/// A realm of its own behind the same gate, into which only those log in who have its API key.
const OTHER_REALM: &str = r#"
[[realm]]
name = "vault"
issuer = "https://vault.example.com"
require_key = true
[[realm.key]]
id = "vault"
secret = "8d3a1c0f5e7b4296ab1d7c55aa10e6f4"
[[login]]
dialect = "tenant"
path = "/Login"
realm = "examples"
tenants = { Vault = "vault" }
[[login]]
dialect = "tenant"
path = "/Vault/Login"
logout_path = "/Vault/Logout"
realm = "vault"
"#;

#[test]
fn r63_without_a_realms_key_nothing_counts_against_its_users() {
    let app = App::start();
    let gate = Conf::new(&app).more(OTHER_REALM).start();
    let config = gate.config_arg();
    tollgate(&["user", "add", "-c", &config, "--realm", "vault", "alice"], &format!("{PASSWORD}\n")).ok();
    let guess = |tenant: &str| {
        let body = json!({"UserName": "alice", "TenantName": tenant, "Password": "wrong"});
        post(format!("/Login?key={KEY}")).json(&body)
    };
    // With the key of another realm, under every name that the tenant or the realm has.
    let mut last = 0;
    for tenant in ["Vault", "vault", "examples", "Nobody Inc"] {
        let mut told = Vec::new();
        for _ in 0..7 {
            last += 1;
            told.push(from(gate.addr, [127, 0, 9, last], &guess(tenant)).status);
        }
        assert_eq!(told, [401, 401, 401, 401, 401, 429, 429], "{tenant}: told alike, whether or not it exists");
    }
    // An address that has to wait there waits here no more than any other.
    for number in 0..50 {
        from(gate.addr, [127, 0, 9, 201], &guess(&format!("tenant{number}"))).expect(401);
    }
    from(gate.addr, [127, 0, 9, 201], &guess("Vault")).expect(429);
    // All of that happened at a login of another realm. At its own, with its key, its user waits for nothing.
    let body = json!({"UserName": "alice", "TenantName": "vault", "Password": PASSWORD});
    let at_home = post("/Vault/Login?key=8d3a1c0f5e7b4296ab1d7c55aa10e6f4").json(&body);
    from(gate.addr, [127, 0, 9, 200], &at_home).expect(200);
    from(gate.addr, [127, 0, 9, 201], &at_home).expect(200);
}

#[test]
fn r64_a_flood_from_one_address_leaves_the_others_their_logins() {
    let app = App::start();
    let gate = Conf::new(&app).server("hash_threads", "1").server("hash_queue", "16").server("threads", "2").start();
    for name in ["flood", "alice"] {
        gate.register(name);
    }
    let victims = 20_u8;
    let (over, turned_away) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (quiet, beside) = std::thread::scope(|scope| {
        let measure = |network: u8| {
            let mut good = 0;
            let start = Instant::now();
            for last in 1..=victims {
                let status = from(gate.addr, [127, 0, network, last], &log_in("alice", PASSWORD)).status;
                good += usize::from(status == 200);
            }
            (good, start.elapsed())
        };
        let quiet = measure(10);
        for _ in 0..40 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let status = from(gate.addr, [127, 0, 0, 2], &log_in("flood", PASSWORD)).status;
                    turned_away.fetch_add(usize::from(status == 503), Ordering::Relaxed);
                }
            });
        }
        until_true(PATIENCE, "the queue is full", || turned_away.load(Ordering::Relaxed) > 0);
        let beside = measure(11);
        over.store(true, Ordering::Relaxed);
        (quiet, beside)
    });
    assert_eq!(quiet.0, usize::from(victims));
    assert!(beside.0 >= 19, "{} of {victims} logged in beside the flood", beside.0);
    println!("quiet {:?}, beside a flood {:?}", quiet.1, beside.1);
    // Other tests run beside this one: twice is what it takes on a quiet machine.
    assert!(beside.1 < quiet.1 * 8 + Duration::from_secs(2), "quiet {:?}, beside a flood {:?}", quiet.1, beside.1);
}

/// The share is that of the client, as far as a proxy is believed about it.
#[test]
fn r64_behind_a_trusted_proxy_the_share_is_the_clients() {
    let app = App::start();
    let conf = Conf::new(&app).server("trusted_proxies", "[\"127.0.0.1/32\"]");
    let gate = conf.server("hash_threads", "1").server("hash_queue", "4").start();
    for name in ["flood", "alice"] {
        gate.register(name);
    }
    let via = |client: &str, name: &str| gate.send(&log_in(name, PASSWORD).header("X-Forwarded-For", client)).status;
    let (over, turned_away) = (AtomicBool::new(false), AtomicUsize::new(0));
    let good = std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    turned_away.fetch_add(usize::from(via("192.0.2.1", "flood") == 503), Ordering::Relaxed);
                }
            });
        }
        until_true(PATIENCE, "the queue is full", || turned_away.load(Ordering::Relaxed) > 0);
        let good = (2..12).filter(|last| via(&format!("192.0.2.{last}"), "alice") == 200).count();
        over.store(true, Ordering::Relaxed);
        good
    });
    assert!(good >= 9, "{good} of 10");
}

#[test]
fn r65_a_hundred_wrong_guesses_lock_an_account_across_restarts() {
    let app = App::start();
    let mut gate = Conf::new(&app).log("audit", "\"./audit.log\"").start();
    let id = gate.register("alice")["uniqueId"].as_str().unwrap().to_owned();
    let home = [127, 0, 7, 1];
    from(gate.addr, home, &log_in("alice", PASSWORD)).expect(200);
    let of_others = format!("WHERE user_id = '{id}' AND network = x''");
    from(gate.addr, [127, 0, 8, 1], &log_in("alice", "wrong")).expect(401);
    from(gate.addr, [127, 0, 8, 2], &log_in("alice", "wrong")).expect(401);
    gate.crash_and_restart();
    assert_eq!(sql(&gate, &format!("SELECT passwords FROM sign_in_networks {of_others}")), "2");
    from(gate.addr, [127, 0, 8, 3], &log_in("alice", "wrong")).expect(401);
    // In real time the waits would make a day of it.
    sql(&gate, &format!("UPDATE sign_in_networks SET passwords = 99 {of_others}"));
    from(gate.addr, [127, 0, 8, 4], &log_in("alice", "wrong")).refused(401, "credentials_invalid");
    let line = audited(&gate, "lock");
    assert_eq!((line["user"].as_str(), &line["client"]), (Some(&*id), &"127.0.8.4".into()));
    assert_eq!((&line["outcome"], &line["reason"]), (&"failure".into(), &"credentials_invalid".into()));
    let metrics = get("/metrics").send(gate.admin).expect(200).text();
    let sample = "tollgate_account_locks_total{realm=\"examples\",dialect=\"project\"} 1";
    assert!(metrics.contains(sample), "{metrics}");
    gate.says("user unlock");
    gate.crash_and_restart();
    // The right password is told apart from a wrong one by nothing, nor the account from one that does not exist.
    let right = from(gate.addr, [127, 0, 8, 5], &log_in("alice", PASSWORD)).refused(401, "credentials_invalid");
    let unknown = from(gate.addr, [127, 0, 8, 6], &log_in("nobody", PASSWORD)).refused(401, "credentials_invalid");
    assert_eq!(right.text(), unknown.text());
    from(gate.addr, home, &log_in("alice", PASSWORD)).expect(200);
    from(gate.addr, [127, 0, 8, 7], &log_in("alice", PASSWORD)).expect(401);

    let state = || {
        let table = user(&gate, &["list"], "").ok().stdout;
        table.lines().nth(1).unwrap().split_whitespace().nth(2).unwrap().to_owned()
    };
    assert_eq!(state(), "locked");
    assert_eq!(user(&gate, &["unlock", "ALICE"], "").ok().stdout, "ALICE unlocked\n");
    assert_eq!(state(), "enabled");
    user(&gate, &["unlock", "nobody"], "").failed(65);
    from(gate.addr, [127, 0, 8, 8], &log_in("alice", PASSWORD)).expect(200);

    // A new password does the same.
    from(gate.addr, [127, 0, 8, 20], &log_in("alice", "wrong")).expect(401);
    sql(&gate, &format!("UPDATE sign_in_networks SET passwords = 100 {of_others}"));
    from(gate.addr, [127, 0, 8, 21], &log_in("alice", PASSWORD)).expect(401);
    user(&gate, &["passwd", "alice"], "another good password\n").ok();
    from(gate.addr, [127, 0, 8, 22], &log_in("alice", "another good password")).expect(200);
}
