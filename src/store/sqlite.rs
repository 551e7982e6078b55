//! The embedded store: one SQLite file in WAL mode, shared by the gate and the command line.
//!
//! SQLite has one writer at a time. Writes of this process queue for the one writing connection, so that they wait for
//! each other here and not in SQLite's busy loop, which is left for other processes. Every write is a `BEGIN IMMEDIATE`
//! transaction: it can't fail half-way for a lock. `synchronous=FULL` syncs the WAL before a commit returns.

#[path = "statements/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "each backend compiles it with its own types of sqlx")]
mod statements;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow as Row, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, Sqlite as Driver, SqliteConnection as Connection, SqlitePool,
    Transaction,
};

use super::{
    Epoch, Followed, Guess, Guesses, Listed, LoginName, Missing, NetworkId, OneTimeId, RefreshAttempt, RefreshResult,
    RefreshableSession, Revocation, RevocationEntry, Session, SessionsToEnd, Store, StoreError, SubjectRevocation,
    TokenExpiry, User,
};
use crate::owner;
use crate::token::{AccountId, TokenId};
use statements::{epochs, guesses, refresh, revocation, sessions, users};

/// A store in one file.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the file. If it is not there, it is made, with mode 0600, or that is the error; SQLite gives `-wal` and `-shm`
    /// its mode, and its owner if root opens it.
    pub(super) async fn open(path: &Path, missing: Missing) -> Result<Self, StoreError> {
        if missing == Missing::Refused {
            is_there(path)?;
        }
        create_file(path).map_err(|error| failed_at(path, error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            // Statements hold no values, yet say nothing worth a log line either.
            .disable_statement_logging();
        prepare(&options).await.map_err(|error| match error {
            StoreError::Failed(reason) => failed_at(path, reason),
            other => other,
        })?;
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(BUSY_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                // A local file needs no ping, and without one a cancelled `acquire` drops no connection.
                .test_before_acquire(false)
        };
        let writer = pool(1);
        // ☠ On a full disk SQLite rolls back by itself, sqlx's own rollback then fails, and the connection would count as
        // being inside of a transaction for ever. The ping waits until that rollback was tried.
        let writer = writer.before_acquire(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        });
        let writer = writer.connect_with(options.clone()).await.map_err(|error| failed_at(path, error))?;
        let readers = pool(READERS).connect_with(options.pragma("query_only", "ON"));
        Ok(Self { writer, readers: readers.await.map_err(|error| failed_at(path, error))? })
    }

    /// Opens the file as it is, and writes nothing.
    pub(super) async fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        is_there(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(BUSY_TIMEOUT);
        let pool = pool.connect_with(options).await.map_err(|error| failed_at(path, error))?;
        Ok(Self { writer: pool.clone(), readers: pool })
    }

    async fn begin(&self) -> Result<Transaction<'static, Driver>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn create_users(&self, users: &[User]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        users::create(&mut transaction, users).await?;
        Ok(transaction.commit().await?)
    }

    async fn register(&self, user: &User) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        users::register(&mut transaction, user).await?;
        Ok(transaction.commit().await?)
    }

    async fn names_held(&self, realm: &str, id: &str) -> Result<u64, StoreError> {
        users::names_held(&mut *self.readers.acquire().await?, realm, id).await
    }

    async fn user(&self, realm: &str, id: &str) -> Result<Option<User>, StoreError> {
        users::by_id(&mut *self.readers.acquire().await?, realm, id).await
    }

    async fn user_by_name(&self, realm: &str, name: &LoginName) -> Result<Option<User>, StoreError> {
        users::by_name(&mut *self.readers.acquire().await?, realm, name).await
    }

    async fn users(&self, realm: &str, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
        users::page(&mut *self.readers.acquire().await?, realm, after, limit).await
    }

    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError> {
        let mut transaction = self.begin().await?;
        let updated = users::update(&mut transaction, user, ended, by).await?;
        transaction.commit().await?;
        Ok(updated)
    }

    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        by: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        let mut transaction = self.begin().await?;
        let deleted = users::delete(&mut transaction, realm, id, by).await?;
        transaction.commit().await?;
        Ok(deleted)
    }

    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sessions::create(&mut transaction, session, version).await?;
        Ok(transaction.commit().await?)
    }

    async fn create_session_once(&self, once: OneTimeId, session: &Session, version: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let first = sessions::create_once(&mut transaction, once, session, version).await?;
        transaction.commit().await?;
        Ok(first)
    }

    async fn refreshable_session(&self, session: TokenId, now: i64) -> Result<Option<RefreshableSession>, StoreError> {
        refresh::select(&mut *self.readers.acquire().await?, session, now).await
    }

    async fn rotate_refresh_token(&self, presented: &RefreshAttempt) -> Result<RefreshResult, StoreError> {
        let mut transaction = self.begin().await?;
        let rotated = refresh::rotate(&mut transaction, presented).await?;
        transaction.commit().await?;
        Ok(rotated)
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        epochs::all(&mut *self.readers.acquire().await?).await
    }

    async fn epoch(&self, realm: &str) -> Result<Option<Epoch>, StoreError> {
        epochs::select(&mut *self.readers.acquire().await?, realm).await
    }

    async fn follow_epoch(&self, next: &Epoch) -> Result<Followed, StoreError> {
        let mut transaction = self.begin().await?;
        let followed = epochs::follow(&mut transaction, next).await?;
        transaction.commit().await?;
        Ok(followed)
    }

    async fn begin_epoch(&self, next: &Epoch) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        epochs::begin(&mut transaction, next).await?;
        Ok(transaction.commit().await?)
    }

    async fn end_realm(&self, next: &Epoch, until: i64, expires_at: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        epochs::end(&mut transaction, next, until, expires_at).await?;
        Ok(transaction.commit().await?)
    }

    async fn restored(&self, next: &[Epoch], until: i64, expires_at: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(LEAP).execute(&mut *transaction).await?;
        transaction.commit().await?;
        for epoch in Epoch::all_again(next, self.epochs().await?)? {
            self.end_realm(&epoch, until, expires_at).await?;
        }
        Ok(())
    }

    async fn sessions(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<Listed>, StoreError> {
        sessions::of_user(&mut *self.readers.acquire().await?, realm, user_id, now).await
    }

    async fn session(&self, id: TokenId) -> Result<Option<Listed>, StoreError> {
        sessions::of_id(&mut *self.readers.acquire().await?, id).await
    }

    async fn cut_off_of(&self, account: AccountId) -> Result<Option<i64>, StoreError> {
        revocation::cut_off_of(&mut *self.readers.acquire().await?, account).await
    }

    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError> {
        let mut transaction = self.begin().await?;
        let revocation = revocation::end_session(&mut transaction, token, ends).await?;
        transaction.commit().await?;
        Ok(revocation)
    }

    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError> {
        let mut transaction = self.begin().await?;
        let cut_off = revocation::cut_off(&mut transaction, account, until, expires_at).await?;
        transaction.commit().await?;
        Ok(cut_off)
    }

    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<RevocationEntry>, StoreError> {
        revocation::after(&mut *self.readers.acquire().await?, after, now, limit).await
    }

    async fn purge_expired(&self, now: i64) -> Result<u64, StoreError> {
        let mut purged = 0;
        for statement in sessions::PURGES {
            let mut more = true;
            while more {
                let mut transaction = self.begin().await?;
                let rows;
                (rows, more) = sessions::purge(&mut transaction, statement, now).await?;
                transaction.commit().await?;
                purged += rows;
            }
        }
        for purge in guesses::PURGES {
            let mut more = true;
            while more {
                let mut transaction = self.begin().await?;
                let rows;
                (rows, more) = guesses::purge(&mut transaction, purge, now).await?;
                transaction.commit().await?;
                purged += rows;
            }
        }
        Ok(purged)
    }

    async fn guesses(&self, realm: &str, user_id: &str, network: NetworkId) -> Result<Guesses, StoreError> {
        guesses::read(&mut *self.readers.acquire().await?, realm, user_id, network).await
    }

    async fn count_guess(
        &self,
        realm: &str,
        user_id: &str,
        network: NetworkId,
        guess: Guess,
        now_ms: i64,
    ) -> Result<u32, StoreError> {
        let mut transaction = self.begin().await?;
        let count = guesses::count_one(&mut transaction, realm, user_id, network, guess, now_ms).await?;
        transaction.commit().await?;
        Ok(count)
    }

    async fn signed_in(&self, realm: &str, user_id: &str, network: NetworkId, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        guesses::signed_in(&mut transaction, realm, user_id, network, now_ms).await?;
        Ok(transaction.commit().await?)
    }

    async fn reset_guesses(&self, realm: &str, user_id: &str, now_ms: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        guesses::reset(&mut transaction, realm, user_id, now_ms).await?;
        Ok(transaction.commit().await?)
    }

    async fn guessed_at(&self, realm: &str, times: u32) -> Result<Vec<String>, StoreError> {
        guesses::guessed_at(&mut *self.readers.acquire().await?, realm, times).await
    }

    async fn is_known(&self, network: NetworkId) -> Result<bool, StoreError> {
        guesses::is_known(&mut *self.readers.acquire().await?, network).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM users LIMIT 1").fetch_optional(&self.readers).await?;
        Ok(())
    }

    async fn close(&self) {
        // The writer last: closing the last connection moves the WAL into the file, which readers may not write.
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn is_there(path: &Path) -> Result<(), StoreError> {
    directory_of(path).map_err(|error| failed_at(path, error))?;
    match path.try_exists() {
        Ok(false) => Err(failed_at(path, "there is no database yet: tollgate serve and tollgate user add make it")),
        // Opening it tells what else there is to tell.
        Ok(true) | Err(_) => Ok(()),
    }
}

fn directory_of(path: &Path) -> io::Result<PathBuf> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if directory.is_dir() {
        return Ok(directory);
    }
    let message = format!("the directory {} does not exist", directory.display());
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

/// Makes the file with its final mode, so that there is no moment at which others can read it.
fn create_file(path: &Path) -> io::Result<()> {
    let directory = directory_of(path)?;
    match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path) {
        // The name must survive a power failure as the content will.
        Ok(file) => owner::hand_over(&file, path)
            .and_then(|()| file.sync_all())
            .and_then(|()| File::open(directory)?.sync_all()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::metadata(path)?;
            if !metadata.is_file() {
                return Err(io::Error::other("not a file"));
            }
            if metadata.permissions().mode() & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "the store holds password hashes, and others can read it");
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// What the header of the file says (SQLite's "Database File Format", 1.3), if there is a file.
pub(super) fn examine(path: &Path) -> Result<(), String> {
    let problem = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let mut header = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(HEADER_BYTES).read_to_end(&mut header).map_err(|error| problem(&error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(problem(&error)),
    };
    for name in ["-wal", "-shm"] {
        let mut other = path.as_os_str().to_owned();
        other.push(name);
        let writable = OpenOptions::new().read(true).write(true).open(&other);
        if let Err(error) = writable.as_ref()
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(format!("{}: {error}", Path::new(&other).display()));
        }
        // The header may be newer there.
        if name == "-wal" && writable.is_ok_and(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 0)) {
            return Ok(());
        }
    }
    if header.is_empty() {
        return Ok(());
    }
    let number = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let (true, Some(version), Some(application)) = (header.starts_with(MAGIC), number(60), number(68)) else {
        return Err(problem(&"the file is not an SQLite database"));
    };
    if i64::from(application) != APPLICATION_ID {
        return Err(problem(&FOREIGN));
    }
    let is_known = usize::try_from(version).is_ok_and(|version| version <= MIGRATIONS.len());
    if is_known { Ok(()) } else { Err(problem(&NEWER)) }
}

/// Switches the file to WAL and brings its tables up to date.
async fn prepare(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    let mut connection = loop {
        // The switch needs the file alone, and SQLite does not wait for that, whatever the busy timeout.
        match options.clone().journal_mode(SqliteJournalMode::Wal).connect().await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => tokio::time::sleep(RETRY).await,
            other => break other?,
        }
    };
    let mode: String = sqlx::query("PRAGMA journal_mode").fetch_one(&mut connection).await?.try_get(0)?;
    if mode != "wal" {
        return Err(StoreError::Failed("the file system does not support SQLite's WAL mode".into()));
    }
    migrate(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Our own and not sqlx's, whose lock is a no-op on SQLite: two processes that open a new file at once would both make
/// its tables.
async fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let pragmas = "SELECT (SELECT user_version FROM pragma_user_version), \
                   (SELECT application_id FROM pragma_application_id), EXISTS (SELECT 1 FROM sqlite_schema)";
    let row = sqlx::query(pragmas).fetch_one(&mut *transaction).await?;
    let (version, application, used): (i64, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if application != APPLICATION_ID && (used || version != 0) {
        return Err(StoreError::Failed(FOREIGN.into()));
    }
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
    let done = done.ok_or_else(|| StoreError::Failed(NEWER.into()))?;
    for migration in &MIGRATIONS[done..] {
        // Each ends by setting `user_version`, within the transaction.
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    if done < LOOKS {
        users::add_missing_looks(&mut transaction).await?;
    }
    Ok(transaction.commit().await?)
}

fn is_busy(error: &sqlx::Error) -> bool {
    // The low byte is the primary code, whatever the extended one says.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

fn failed_at(path: &Path, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("{}: {reason}", path.display()))
}

const MIGRATIONS: [&str; 7] = [
    include_str!("migrations/sqlite/0001_users_sessions_revocations.sql"),
    include_str!("migrations/sqlite/0002_cut_offs.sql"),
    include_str!("migrations/sqlite/0003_refresh_tokens_second_factors.sql"),
    include_str!("migrations/sqlite/0004_used_once_vouched.sql"),
    include_str!("migrations/sqlite/0005_looks_verified.sql"),
    include_str!("migrations/sqlite/0006_sign_in_networks.sql"),
    include_str!("migrations/sqlite/0007_epochs.sql"),
];
/// The migration that made `looks`.
const LOOKS: usize = 5;
/// Further than any database was ahead of its backup.
const LEAP: &str = "UPDATE sqlite_sequence SET seq = seq + 1000000000000 WHERE name = 'revocations'";
const APPLICATION_ID: i64 = 0x546f_6c6c;
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;
const FOREIGN: &str = "the file is a database of another program";
const NEWER: &str = "the file was written by a newer version of tollgate";
const SQLITE_BUSY: u32 = 5;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);
const READERS: u32 = 4;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Database, conformance, open};
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
            if let Err(StoreError::Failed(_)) =
                store.create_user(&conformance::user("realm", &format!("u{number}"))).await
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
        // What its name looks like was not written down by that version.
        let impostor = conformance::user("r", "\u{430}lice");
        assert!(matches!(store.register(&impostor).await, Err(StoreError::NameTaken)));
        let old = Revocation { sequence: 41, token: TokenId(2), expires_at: 200 };
        assert_eq!(store.revocations_after(0, 0, 10).await.unwrap(), [RevocationEntry::Id(old)]);
        let cut_off = store.revoke_subject(AccountId(9), 50, 300).await.unwrap();
        assert_eq!(cut_off.sequence, 43, "no sequence is given twice");
        let (_, ended) = store.update_user(&user, SessionsToEnd::All, None).await.unwrap();
        assert_eq!(ended, [Revocation { sequence: 44, token: TokenId(1), expires_at: 100 }]);
        // A gate of the first version that has the file open all the while goes on.
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
}
