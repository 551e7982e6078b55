use std::sync::Arc;
use std::time::Instant;

use sqlx::Row as _;

use super::super::{Database, conformance, open};
use super::connection::place;
use super::schema::MIGRATIONS;
use super::*;
use crate::config::SslMode;
use crate::store::{NewSignIn, SignInCheck, SignInStore as _};
use cluster::Cluster;

#[path = "../../../tests/harness/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is the harness of the black-box tests, and they use all of it")]
mod cluster;

fn server(cluster: &Cluster) -> config::PostgresSettings {
    config::PostgresSettings {
        host: cluster.socket().to_str().unwrap().into(),
        port: 5432,
        user: Some("postgres".into()),
        password: None,
        database: "tollgate".into(),
        tls: config::PostgresTls { mode: SslMode::Disable, roots: None, client: None },
        connections: 10,
    }
}

async fn two(cluster: &Cluster) -> (Arc<Postgres>, Arc<Postgres>) {
    let server = server(cluster);
    (Arc::new(Postgres::open(&server).await.unwrap()), Arc::new(Postgres::open(&server).await.unwrap()))
}

/// Returns when `count` transactions wait for a lock.
async fn until_waiting(cluster: &Cluster, count: usize) {
    let end = Instant::now() + Duration::from_secs(4);
    while cluster.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") != count.to_string() {
        assert!(Instant::now() < end, "nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn stored(store: &Postgres, name: &str) -> User {
    let user = conformance::user("r", name);
    store.create_user(&user).await.unwrap();
    user
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let cluster = Cluster::start();
    let database = Database::Postgres(Box::new(server(&cluster)));
    conformance::run(|| async { open(&database).await.unwrap() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_make_the_tables_at_once() {
    let cluster = Cluster::start();
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let server = server(&cluster);
            tokio::spawn(async move { Postgres::open(&server).await.map(drop) })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
    assert_eq!(cluster.sql("SELECT version FROM tollgate_version"), MIGRATIONS.len().to_string());
}

#[tokio::test]
async fn tables_of_the_first_version_keep_their_rows() {
    let cluster = Cluster::start();
    let mut connection = options(&server(&cluster)).connect().await.unwrap();
    sqlx::raw_sql(MIGRATIONS[0]).execute(&mut connection).await.unwrap();
    let rows = "INSERT INTO users VALUES ('r', 'u', 'alice', 'alice', 'a@example.com', 'a@example.com', 'h', '{}', '[]', \
                FALSE, FALSE, NULL, NULL, NULL, TRUE, 1, 1, 1)";
    sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();
    let store = Postgres::open(&server(&cluster)).await.unwrap();
    let user = store.user("r", "u").await.unwrap().unwrap();
    assert!(user.vouched && user.email_verified);
    let impostor = conformance::user("r", "\u{430}lice");
    assert!(matches!(store.register(&impostor).await, Err(StoreError::NameTaken)));
}

#[tokio::test]
async fn a_revocation_is_not_seen_before_an_earlier_one() {
    let cluster = Cluster::start();
    let (one, two) = two(&cluster).await;
    let (first, second) = (TokenId::random(), TokenId::random());
    let mut slow = one.pool.begin_with(BEGIN_ALONE).await.unwrap();
    let earlier = revocation::end_session(&mut slow, first, TokenExpiry::At(100)).await.unwrap();
    let quick = {
        let two = two.clone();
        tokio::spawn(async move { two.revoke(second, TokenExpiry::At(100)).await.unwrap() })
    };
    until_waiting(&cluster, 1).await;
    assert_eq!(one.revocations_after(0, 0, 10).await.unwrap(), [], "whoever saw the later one would miss this one");
    slow.commit().await.unwrap();
    let later = quick.await.unwrap();
    assert!(earlier.sequence < later.sequence);
    assert_eq!(
        one.revocations_after(0, 0, 10).await.unwrap(),
        [RevocationEntry::Id(earlier), RevocationEntry::Id(later)]
    );
}

#[tokio::test]
async fn no_session_begins_with_what_is_being_changed() {
    let cluster = Cluster::start();
    let (one, two) = two(&cluster).await;
    let alice = stored(&one, "alice").await;
    let changed = User { disabled: true, ..alice.clone() };
    let mut slow = one.pool.begin_with(BEGIN_ALONE).await.unwrap();
    users::update(&mut slow, &changed, SessionsToEnd::All, None).await.unwrap();
    let login =
        tokio::spawn(async move { two.create_session(&conformance::session("r", &alice.id), alice.version).await });
    until_waiting(&cluster, 1).await;
    slow.commit().await.unwrap();
    assert!(matches!(login.await.unwrap(), Err(StoreError::VersionConflict)));
}

#[tokio::test]
async fn logins_do_not_wait_for_each_other() {
    let cluster = Cluster::start();
    let (one, two) = two(&cluster).await;
    let alice = stored(&one, "alice").await;
    let mut slow = one.pool.begin_with(BEGIN_SHARED).await.unwrap();
    sessions::create(&mut slow, &conformance::session("r", &alice.id), alice.version).await.unwrap();
    two.create_session(&conformance::session("r", &alice.id), alice.version).await.unwrap();
    slow.commit().await.unwrap();
}

#[tokio::test]
async fn a_check_of_a_session_waits_for_no_writer() {
    let cluster = Cluster::start();
    let (one, two) = two(&cluster).await;
    one.follow_epoch(&conformance::epoch("r", 1, &["a"])).await.unwrap();
    let epoch = one.epoch("r").await.unwrap().unwrap().id;
    let alice = stored(&one, "alice").await;
    let sign_in = conformance::sign_in(&alice);
    let check = SignInCheck { session: sign_in.session, now: sign_in.created_at + 60, seen: None, touch: true };
    one.open_sign_in(&NewSignIn { sign_in, epoch, limit: 2 }, alice.version).await.unwrap();
    let mut slow = one.pool.begin_with(BEGIN_ALONE).await.unwrap();
    users::update(&mut slow, &alice, SessionsToEnd::All, None).await.unwrap();
    assert!(two.check_sign_in(&check).await.unwrap().is_some(), "not committed");
    assert_eq!(cluster.sql("SELECT count(*) FROM pg_locks WHERE NOT granted"), "0");
    slow.commit().await.unwrap();
    assert_eq!(two.check_sign_in(&check).await.unwrap(), None);
}

#[tokio::test]
async fn a_name_is_nobody_elses_at_the_moment_when_it_is_given_up() {
    let cluster = Cluster::start();
    let (one, two) = two(&cluster).await;
    let alice = stored(&one, "alice").await;
    one.create_session(&conformance::session("r", &alice.id), alice.version).await.unwrap();
    let renamed = User { username: Some("lewis".into()), ..alice };
    let mut slow = one.pool.begin_with(BEGIN_ALONE).await.unwrap();
    users::update(&mut slow, &renamed, SessionsToEnd::Nothing, None).await.unwrap();
    let registration = tokio::spawn(async move { two.create_user(&conformance::user("r", "Alice")).await });
    until_waiting(&cluster, 1).await;
    slow.commit().await.unwrap();
    assert!(matches!(registration.await.unwrap(), Err(StoreError::NameTaken)), "a token still says alice");
}

#[tokio::test]
async fn who_dies_with_the_lock_does_not_hold_up_the_others_for_long() {
    let cluster = Cluster::start();
    let (one, two) = two(&cluster).await;
    let dead = one.pool.begin_with(BEGIN_ALONE).await.unwrap();
    let start = Instant::now();
    two.revoke(TokenId::random(), TokenExpiry::At(100)).await.unwrap();
    assert!(start.elapsed() < ANSWER_LIMIT, "{:?}", start.elapsed());
    assert!(dead.commit().await.is_err());
}

#[tokio::test]
async fn a_server_that_hangs_hangs_nobody_and_is_used_again() {
    let cluster = Cluster::start();
    let (one, two) = two(&cluster).await;
    let alice = stored(&one, "alice").await;
    cluster.freeze();
    // One with a connection, one without.
    for store in [&one, &two] {
        let start = Instant::now();
        let (read, write) =
            tokio::join!(store.user("r", &alice.id), store.revoke(TokenId::random(), TokenExpiry::At(1)));
        for error in [read.err().unwrap(), write.err().unwrap()] {
            assert!(error.to_string().contains("within 2s"), "{error}");
        }
        assert!(start.elapsed() < CONNECT_LIMIT + ANSWER_LIMIT, "{:?}", start.elapsed());
    }
    cluster.thaw();
    for store in [one, two] {
        assert_eq!(store.user("r", &alice.id).await.unwrap().as_ref(), Some(&alice));
        store.revoke(TokenId::random(), TokenExpiry::At(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_hangs_in_the_middle_of_an_answer_is_replaced() {
    let cluster = Cluster::start();
    let only = Postgres::open(&config::PostgresSettings { connections: 1, ..server(&cluster) }).await.unwrap();
    let mut lent = only.acquire().await.unwrap();
    let row = sqlx::query("SELECT pg_backend_pid()").fetch_one(&mut *lent).await.unwrap();
    let theirs = rustix::process::Pid::from_raw(row.get(0)).unwrap();
    rustix::process::kill_process(theirs, rustix::process::Signal::STOP).unwrap();
    let late = in_time(Duration::from_millis(50), revocation::after(&mut lent, 0, 0, 1)).await;
    let error = lent.release(late).unwrap_err().to_string();
    assert!(error.contains("within 50ms"), "{error}");
    // On the same connection this would never return.
    stored(&only, "alice").await;
    assert_eq!(only.users("r", None, 10).await.unwrap().len(), 1);
    rustix::process::kill_process(theirs, rustix::process::Signal::CONT).unwrap();
}

#[tokio::test]
async fn a_server_that_was_restarted_is_used_again() {
    let mut cluster = Cluster::start();
    let (one, _) = two(&cluster).await;
    let alice = stored(&one, "alice").await;
    cluster.stop();
    assert!(matches!(one.user("r", &alice.id).await, Err(StoreError::Failed(_))));
    cluster.launch();
    assert_eq!(one.user("r", &alice.id).await.unwrap(), Some(alice));
}

#[tokio::test]
async fn what_it_does_not_open() {
    let cluster = Cluster::start();
    cluster.sql("CREATE ROLE gate LOGIN");
    for statement in [
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        "CREATE DATABASE foreigner",
        "CREATE DATABASE newer",
        "CREATE DATABASE closed",
    ] {
        cluster.sql(statement);
    }
    cluster.sql_in("foreigner", "CREATE TABLE users (theirs INTEGER)");
    cluster.sql_in("newer", "CREATE TABLE tollgate_version AS SELECT 99 AS version");
    let good = server(&cluster);
    let named = |database: &str| config::PostgresSettings { database: database.into(), ..good.clone() };
    let absent = config::PostgresSettings { host: "/nonexistent".into(), ..good.clone() };
    let stranger = config::PostgresSettings { user: Some("gate".into()), ..named("closed") };
    for (server, message) in [
        (named("latin"), "its encoding is LATIN1"),
        (named("foreigner"), "another program"),
        (named("newer"), "newer version"),
        (named("none"), "\"none\" does not exist"),
        (absent, "No such file"),
        (stranger, "permission denied for schema public"),
    ] {
        let error = Postgres::open(&server).await.err().unwrap().to_string();
        assert!(error.contains(message) && error.contains(&place(&server)), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    Postgres::open(&good).await.unwrap();
}
