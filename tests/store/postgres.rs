//! PostgreSQL as the store: what holds for SQLite holds for it, for several processes, and while the server is away.

use std::time::{Duration, Instant};

use serde_json::json;

use super::durability;
use crate::harness::*;
use crate::login::tenant;
use crate::proxy::forwarding::open_tunnel;
use crate::token::revocation;

/// By when a login is answered whatever the server does: a connection is waited for 2 seconds, an answer 5.
const LIMIT: Duration = Duration::from_secs(8);

fn gate(cluster: &Cluster) -> (App, Gate) {
    let app = App::start();
    let gate = Conf::new(&app).store(&cluster.url("tollgate")).start();
    (app, gate)
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let cluster = Cluster::start();
    durability::kill_9_loses_nothing(&cluster.url("tollgate"), 4);
}

#[test]
fn check_knows_what_a_start_would_say_to_a_database() {
    let cluster = Cluster::start();
    let (app, gate) = gate(&cluster);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    let check = |url: &str| {
        write_file(&file, &Conf::new(&app).store(url).text(free_port(), free_port()), 0o600);
        tollgate(&["check", "-c", file.to_str().unwrap()], "")
    };
    let url = cluster.url("tollgate");
    assert!(!check(&url).ok().stderr.contains("store.url"), "one that a gate uses");
    assert!(check(&cluster.url("none")).failed(78).stderr.contains("store.url: the database \"none\""));
    drop(gate);
    cluster.sql_in("tollgate", "UPDATE tollgate_version SET version = 1000");
    assert!(check(&url).failed(78).stderr.contains("a newer version of tollgate"));
    cluster.sql("CREATE DATABASE other TEMPLATE template0");
    assert!(!check(&cluster.url("other")).ok().stderr.contains("store.url"), "an empty one");
    cluster.sql_in("other", "CREATE TABLE users (id int)");
    assert!(check(&cluster.url("other")).failed(78).stderr.contains("tables of another program"));
    cluster.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    assert!(check(&cluster.url("latin")).failed(78).stderr.contains("its encoding is LATIN1"));
}

#[test]
fn commands_and_gates_hear_of_each_other_within_a_second() {
    let cluster = Cluster::start();
    let (app, mut one) = gate(&cluster);
    revocation::commands_revoke_within_a_second(&mut one);
    let keys = format!("\"{}\"", one.dir.path().join("keys/examples").display());
    let two = Conf::new(&app).store(&cluster.url("tollgate")).realm("keys_dir", &keys).start();
    one.register("dave");
    revocation::gates_hear_of_each_other_within_a_second(&one, &two, "dave");
    revocation::gates_hear_of_each_other_within_a_second(&two, &one, "dave");
}

#[test]
fn r62_the_end_of_all_sessions_is_that_of_every_gate() {
    let cluster = Cluster::start();
    tenant::all_sessions_end(&cluster.url("tollgate"));
}

#[test]
fn gates_know_one_family_of_refresh_tokens() {
    let cluster = Cluster::start();
    tenant::gates_know_one_family(&cluster.url("tollgate"));
}

#[track_caller]
fn refused_in_time(answer: impl FnOnce() -> Response) {
    let start = Instant::now();
    answer().refused(503, "store_unavailable");
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}

#[test]
fn a_server_that_is_away_or_hangs_costs_logins_and_nothing_else() {
    let mut cluster = Cluster::start();
    let (_app, gate) = gate(&cluster);
    let token = gate.user("alice");
    for hangs in [false, true] {
        let lasting = gate.log_in("alice");
        if hangs {
            cluster.freeze();
        } else {
            cluster.stop();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| refused_in_time(|| gate.try_log_in("alice", PASSWORD)));
            scope.spawn(|| refused_in_time(|| gate.try_register("bob")));
            scope.spawn(|| refused_in_time(|| gate.send(&post(auth("logout=true")).bearer(&lasting))));
            let (mut conn, start) = (gate.conn(), Instant::now());
            for _ in 0..200 {
                conn.ask(&get("/app/x").key().bearer(&token)).expect(200);
            }
            assert!(start.elapsed() < Duration::from_secs(5), "verified traffic waits: {:?}", start.elapsed());
        });
        gate.visit(&lasting).expect(200);
        until_true(LIMIT, "it is not ready", || get("/readyz").send(gate.admin).status == 503);
        get("/healthz").send(gate.admin).expect(200);
        assert_eq!(gate.status()["store"], "failing");
        if hangs {
            cluster.thaw();
        } else {
            cluster.launch();
        }
        until_true(LIMIT, "it is ready again", || get("/readyz").send(gate.admin).status == 200);
        gate.log_in("alice");
        gate.send(&post(auth("logout=true")).bearer(&lasting)).expect(200);
        gate.visit(&lasting).refused(401, "token_revoked");
    }
    gate.user("bob");
    gate.says("the store answers again");
}

#[test]
fn a_tunnel_closes_with_its_token_though_the_server_hangs() {
    let cluster = Cluster::start();
    let app = App::start();
    let conf = Conf::new(&app).realm("token_ttl", "\"4s\"").realm("leeway", "\"0s\"");
    let gate = conf.store(&cluster.url("tollgate")).start();
    let token = gate.user("alice");
    let mut conn = open_tunnel(&gate, &token);
    cluster.freeze();
    let left = u64::try_from(claims(&token)["exp"].as_i64().unwrap() - now()).unwrap();
    assert!(conn.closes_within(Duration::from_secs(left) + A_SECOND), "the tunnel is still open");
}

#[test]
fn a_stop_does_not_wait_for_a_server_that_hangs() {
    let cluster = Cluster::start();
    let (_app, mut gate) = gate(&cluster);
    cluster.freeze();
    assert_eq!(gate.stop().code(), Some(0));
}

const DATABASE_PASSWORD: &str = "p@ss/w0rd:%of#the?database";

/// A server that lets in who connects with TLS and the password.
fn guarded() -> (Cluster, Authority, u16) {
    let (authority, dir, port) = (Authority::new("test authority"), tempfile::tempdir().unwrap(), free_port());
    authority.sign(&["localhost"]).write(dir.path(), "server");
    let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let files = [
        ("server.pem", &*text("server.pem")),
        ("server.key", &*text("server.key")),
        ("pg_hba.conf", "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"),
    ];
    let settings = ["listen_addresses=127.0.0.1", "ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.key"];
    let cluster = Cluster::start_with(port, &settings, &files);
    cluster
        .sql(&format!("CREATE ROLE gate LOGIN PASSWORD '{DATABASE_PASSWORD}'; ALTER DATABASE tollgate OWNER TO gate"));
    (cluster, authority, port)
}

#[test]
fn the_server_proves_who_it_is_and_asks_for_a_password() {
    let (_cluster, authority, port) = guarded();
    let app = App::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tollgate.toml");
    std::fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(dir.path().join("other.pem"), Authority::new("another").pem()).unwrap();
    write_file(&dir.path().join("password"), &format!("{DATABASE_PASSWORD}\n"), 0o600);
    write_file(&dir.path().join("wrong"), "hunter2-hunter2\n", 0o600);
    let list = |host: &str, query: &str, password: &str| {
        let conf = Conf::new(&app).store(&format!("postgres://gate@{host}:{port}/tollgate?{query}"));
        write_file(&file, &conf.store_key("password_file", &format!("\"{password}\"")).text(1, 2), 0o600);
        tollgate(&["user", "list", "-c", file.to_str().unwrap(), "--realm", "examples"], "")
    };
    assert!(list("localhost", "", "password").failed(69).stderr.contains("tollgate serve makes them"));
    // Reading creates no tables; this does.
    let import = ["user", "import", "-c", file.to_str().unwrap(), "--realm", "examples"];
    tollgate(&import, "").ok();
    for query in [
        "",
        "sslmode=require",
        "sslmode=prefer",
        "sslmode=verify-full&sslrootcert=ca.pem",
        "sslrootcert=ca.pem&sslmode=verify-full",
    ] {
        list("localhost", query, "password").ok();
    }
    for (host, query, password, code, message) in [
        ("localhost", "sslmode=verify-full", "password", 69, "certificate"),
        ("localhost", "sslmode=verify-full&sslrootcert=other.pem", "password", 69, "certificate"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=ca.pem", "password", 69, "certificate"),
        ("localhost", "sslmode=disable", "password", 69, "no pg_hba.conf entry"),
        ("localhost", "sslmode=require", "wrong", 69, "password authentication failed"),
        ("localhost", "sslmode=require", "absent", 78, "does not exist"),
        ("localhost", "sslmode=verify-full&sslrootcert=absent.pem", "password", 78, "does not exist"),
    ] {
        let ran = list(host, query, password).failed(code);
        assert!(ran.stderr.contains(message), "{query}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{query}: {}", ran.stderr);
        for secret in [DATABASE_PASSWORD, "hunter2"] {
            assert!(!ran.stderr.contains(secret), "{query}: {}", ran.stderr);
        }
    }
}

#[test]
fn r07_the_password_of_the_database_is_in_no_log() {
    let (mut cluster, _, port) = guarded();
    let app = App::start();
    let encoded = "p%40ss%2Fw0rd%3A%25of%23the%3Fdatabase";
    let url = format!("postgres://gate:{encoded}@localhost:{port}/tollgate");
    let gate = Conf::new(&app).store(&url).log("level", "\"trace\"").start();
    gate.user("alice");
    cluster.stop();
    gate.try_log_in("alice", PASSWORD).refused(503, "store_unavailable");
    let text = gate.conf().store(&format!("{url}?hunter2")).text(gate.addr.port(), gate.admin.port());
    gate.rename_over(&text);
    until_true(PATIENCE, "the bad file is refused", || gate.status()["last_reload"]["ok"] == json!(false));
    let (log, status) = (gate.stderr(), gate.status().to_string());
    assert!(log.contains("the database gave no connection"), "{log}");
    for secret in [DATABASE_PASSWORD, encoded, "hunter2", "p@ss"] {
        assert!(!log.contains(secret) && !status.contains(secret), "{secret} is told: {log}{status}");
    }
}

#[test]
fn a_new_password_or_server_needs_a_restart_and_is_reported() {
    let cluster = Cluster::start();
    let (_app, gate) = gate(&cluster);
    write_file(&gate.dir.path().join("password"), "something new\n", 0o600);
    gate.edit_by_rename(&gate.conf().store_key("password_file", "\"password\"").store_key("connections", "3"));
    let changes = json!(["store.password_file", "store.connections"]);
    until_true(PATIENCE, "it is reported", || gate.status()["cold_changes"] == changes);
    gate.user("alice");
}
