use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use sqlx::sqlite::SqliteJournalMode;
use sqlx::{AssertSqlSafe, Row as _};

use super::super::{Database, conformance, open};
use super::schema::{FOREIGN, MIGRATIONS, NEWER};
use super::statements::{flows, provider_accounts, sign_ins};
use super::*;

fn file(directory: &Path) -> Database {
    Database::Sqlite(directory.join("tollgate.db"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(directory.path());
    conformance::run(|| async { open(&file).await.unwrap() }).await;
}

#[tokio::test]
async fn only_its_owner_can_read_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&file(directory.path())).await.unwrap();
    store.revoke(TokenId::random(), TokenExpiry::At(1)).await.unwrap();
    let mut files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
    files.sort_by_key(fs::DirEntry::file_name);
    let names: Vec<_> = files.iter().map(|file| file.file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["tollgate.db", "tollgate.db-shm", "tollgate.db-wal"]);
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn what_can_t_be_opened_is_known_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    examine(&path).unwrap();
    assert!(!path.exists());
    let store = Sqlite::open(&path, Missing::Made).await.unwrap();
    examine(&path).unwrap();
    store.close().await;
    examine(&path).unwrap();
    let good = fs::read(&path).unwrap();
    fs::write(&path, "").unwrap();
    examine(&path).unwrap();
    for (at, byte, expected) in [(0, b'X', "not an SQLite database"), (71, 0, FOREIGN), (60, 1, NEWER)] {
        let mut bad = good.clone();
        bad[at] = byte;
        fs::write(&path, &bad).unwrap();
        let problem = examine(&path).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
        assert!(Sqlite::open(&path, Missing::Made).await.is_err(), "{expected}");
    }
    fs::write(&path, &good[..50]).unwrap();
    assert!(examine(&path).is_err() && Sqlite::open(&path, Missing::Made).await.is_err());
}

#[tokio::test]
async fn a_disk_that_was_full_is_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("tollgate.db"), Missing::Made).await.unwrap();
    // Holds for this one connection, as a full disk holds for this one moment.
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
    let mut failed = 0;
    for number in 0..500 {
        if let Err(StoreError::Failed(_)) = store.create_user(&conformance::user("realm", &format!("u{number}"))).await
        {
            failed += 1;
        }
    }
    assert_eq!(failed, 1, "the disk was full once, and the next write went well");
}

#[tokio::test]
async fn every_connection_is_durable_and_readers_only_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("tollgate.db"), Missing::Made).await.unwrap();
    for (pool, query_only) in [(&store.writer, 0), (&store.readers, 1)] {
        for (pragma, expected) in
            [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1), ("PRAGMA query_only", query_only)]
        {
            let value: i64 = sqlx::query(pragma).fetch_one(pool).await.unwrap().get(0);
            assert_eq!(value, expected, "{pragma}");
        }
        let mode: String = sqlx::query("PRAGMA journal_mode").fetch_one(pool).await.unwrap().get(0);
        assert_eq!(mode, "wal");
    }
}

#[tokio::test]
async fn what_a_request_waits_for_finds_its_rows_by_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&directory.path().join("tollgate.db"), Missing::Made).await.unwrap();
    for statement in [
        sign_ins::CHECK,
        sign_ins::TOUCH,
        flows::OF_COOKIE,
        flows::OF_REALM,
        flows::SELECT,
        flows::REDEEM,
        provider_accounts::USER,
    ] {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")));
        let plan = plan.fetch_all(&store.readers).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        assert!(steps.iter().any(|step| step.starts_with("SEARCH")), "{statement}: {steps:#?}");
        let scan = steps.iter().find(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        assert_eq!(scan, None, "{statement}: {steps:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_make_the_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = Arc::new(file(directory.path()));
    let opening: Vec<_> = (0..16)
        .map(|_| {
            let file = Arc::clone(&file);
            tokio::spawn(async move { open(&file).await.map(drop) })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_keeps_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.journal_mode(SqliteJournalMode::Wal).connect().await.unwrap();
    sqlx::raw_sql(MIGRATIONS[0]).execute(&mut connection).await.unwrap();
    let rows = "INSERT INTO users VALUES ('r', 'u', 'alice', 'alice', NULL, NULL, 'h', '{}', '[]', 0, 1, 1, 1);
            INSERT INTO sessions VALUES (x'00000000000000000000000000000001', 'r', 'u', 'alice', NULL, 100);
            INSERT INTO revocations VALUES (41, x'00000000000000000000000000000002', 200);
            INSERT INTO revocations VALUES (42, x'00000000000000000000000000000003', 200);
            DELETE FROM revocations WHERE sequence = 42;";
    sqlx::raw_sql(rows).execute(&mut connection).await.unwrap();

    let store = open(&file(directory.path())).await.unwrap();
    let user = store.user("r", "u").await.unwrap().unwrap();
    assert_eq!(user.username.as_deref(), Some("alice"));
    assert!(!user.email_verified, "nobody knows");
    // That version did not store the skeletons of names.
    let impostor = conformance::user("r", "\u{430}lice");
    assert!(matches!(store.register(&impostor).await, Err(StoreError::NameTaken)));
    let old = Revocation { sequence: 41, token: TokenId(2), expires_at: 200 };
    assert_eq!(store.revocations_after(0, 0, 10).await.unwrap(), [RevocationEntry::Id(old)]);
    let cut_off = store.revoke_subject(AccountId(9), 50, 300).await.unwrap();
    assert_eq!(cut_off.sequence, 43, "no sequence is given twice");
    let (_, ended) = store.update_user(&user, SessionsToEnd::All, None).await.unwrap();
    assert_eq!(ended, [Revocation { sequence: 44, token: TokenId(1), expires_at: 100 }]);
    // A process of the first version that has the file open goes on.
    let theirs = "SELECT sequence, token, expires_at FROM revocations WHERE sequence > 41 ORDER BY sequence";
    assert_eq!(sqlx::query(theirs).fetch_all(&mut connection).await.unwrap().len(), 2);
    store.close().await;
    open(&file(directory.path())).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn what_it_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| Database::Sqlite(directory.path().join(name));
    fs::write(directory.path().join("text"), "not a database, but long enough to look at ".repeat(100)).unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    for (name, statements) in [
        ("foreign", "CREATE TABLE theirs (a INTEGER)"),
        ("newer", "PRAGMA application_id = 1416588396; PRAGMA user_version = 99"),
    ] {
        let options = SqliteConnectOptions::new().filename(directory.path().join(name)).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    for (file, message) in [
        (at("absent/tollgate.db"), "does not exist"),
        (at("directory"), "not a file"),
        (at("text"), "not a database"),
        (at("foreign"), "another program"),
        (at("newer"), "newer version"),
    ] {
        let error = open(&file).await.err().unwrap().to_string();
        assert!(error.contains(message), "{file:?}: {error}");
    }
    assert!(!directory.path().join("absent").exists());
}
