//! The embedded store: one SQLite file in WAL mode, shared by the gate and the command line.
//!
//! SQLite has one writer at a time. Writes of this process queue for the one writing connection, so that they wait for
//! each other here and not in SQLite's busy loop, which is left for other processes. Every write is a `BEGIN IMMEDIATE`
//! transaction: it can't fail half-way for a lock. `synchronous=FULL` syncs the WAL before a commit returns.

mod refresh;
mod revocation;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, Sqlite as Driver, SqliteConnection, SqlitePool, Transaction,
};

use super::{
    CutOff, Ended, Ends, Name, Once, PasswordHash, Presented, RefreshOf, Revocation, Revoked, Rotated, SecondFactor,
    Session, Store, StoreError, User,
};
use crate::token::{AccountId, TokenId};
use revocation::{bytes, end_session, end_sessions, refuse_revoked};

/// A store in one file.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the file, and makes it with mode 0600 if it is not there; SQLite gives `-wal` and `-shm` the same mode.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
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

    async fn begin(&self) -> Result<Transaction<'static, Driver>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn create_users(&self, users: &[User]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for user in users {
            let (keys, second) = (Keys::of(user)?, user.second_factor.as_ref());
            refuse_names_in_use(&mut transaction, user, &keys).await?;
            sqlx::query(
                "INSERT INTO users (realm, id, username, username_key, email, email_key, password, data, roles, disabled, \
                 temporary, totp_secret, totp_used, recovery, vouched, created_at, updated_at, version) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&user.realm)
            .bind(&user.id)
            .bind(&user.username)
            .bind(&keys.username)
            .bind(&user.email)
            .bind(&keys.email)
            .bind(&user.password.0)
            .bind(to_json(&user.data)?)
            .bind(to_json(&user.roles)?)
            .bind(user.disabled)
            .bind(user.temporary)
            .bind(second.map(|factor| factor.secret.clone()))
            .bind(second.map(|factor| factor.used))
            .bind(second.map(|factor| factor.recovery.concat()))
            .bind(user.vouched)
            .bind(user.created_at)
            .bind(user.updated_at)
            .bind(user.version)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn user(&self, realm: &str, id: &str) -> Result<Option<User>, StoreError> {
        let query = sqlx::query("SELECT * FROM users WHERE realm = ? AND id = ?").bind(realm).bind(id);
        query.fetch_optional(&self.readers).await?.as_ref().map(read_user).transpose()
    }

    async fn user_by_name(&self, realm: &str, name: &Name) -> Result<Option<User>, StoreError> {
        let query = sqlx::query(match name {
            Name::Username(_) => "SELECT * FROM users WHERE realm = ? AND username_key = ?",
            Name::Email(_) => "SELECT * FROM users WHERE realm = ? AND email_key = ?",
        });
        let row = query.bind(realm).bind(name.as_str()).fetch_optional(&self.readers).await?;
        row.as_ref().map(read_user).transpose()
    }

    async fn users(&self, realm: &str, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError> {
        let query = sqlx::query("SELECT * FROM users WHERE realm = ? AND id > ? ORDER BY id LIMIT ?");
        // No id is empty, and every text sorts after the empty one.
        let rows = query.bind(realm).bind(after.unwrap_or_default()).bind(limit).fetch_all(&self.readers).await?;
        rows.iter().map(read_user).collect()
    }

    async fn update_user(
        &self,
        user: &User,
        ended: Ended,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError> {
        let (keys, second) = (Keys::of(user)?, user.second_factor.as_ref());
        let mut transaction = self.begin().await?;
        refuse_revoked(&mut transaction, by).await?;
        refuse_names_in_use(&mut transaction, user, &keys).await?;
        let before = sqlx::query("SELECT * FROM users WHERE realm = ? AND id = ?").bind(&user.realm).bind(&user.id);
        let before = before.fetch_optional(&mut *transaction).await?;
        let updated = sqlx::query(
            "UPDATE users SET username = ?, username_key = ?, email = ?, email_key = ?, password = ?, data = ?, roles = ?, \
             disabled = ?, temporary = ?, totp_secret = ?, totp_used = ?, recovery = ?, vouched = ?, updated_at = ?, version = version + 1 WHERE realm = ? AND id = ? AND version = ? RETURNING *",
        )
        .bind(&user.username)
        .bind(&keys.username)
        .bind(&user.email)
        .bind(&keys.email)
        .bind(&user.password.0)
        .bind(to_json(&user.data)?)
        .bind(to_json(&user.roles)?)
        .bind(user.disabled)
        .bind(user.temporary)
        .bind(second.map(|factor| factor.secret.clone()))
        .bind(second.map(|factor| factor.used))
        .bind(second.map(|factor| factor.recovery.concat()))
        .bind(user.vouched)
        .bind(user.updated_at)
        .bind(&user.realm)
        .bind(&user.id)
        .bind(user.version)
        .fetch_optional(&mut *transaction)
        .await?;
        let stored = read_user(&updated.ok_or(StoreError::Stale)?)?;
        let before = before.as_ref().map(read_user).transpose()?;
        let revoked = match ended {
            Ended::Nothing => Vec::new(),
            Ended::All => end_sessions(&mut transaction, &user.realm, &user.id, None).await?,
            Ended::AllBut(token) => end_sessions(&mut transaction, &user.realm, &user.id, Some(token)).await?,
        };
        if let Some(before) = before {
            refresh::keep_names(&mut transaction, &before, &stored).await?;
        }
        transaction.commit().await?;
        Ok((stored, revoked))
    }

    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        by: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError> {
        let mut transaction = self.begin().await?;
        refuse_revoked(&mut transaction, by).await?;
        // Sessions first: they refer to the user.
        let revoked = end_sessions(&mut transaction, realm, id, None).await?;
        let query = sqlx::query("DELETE FROM users WHERE realm = ? AND id = ? RETURNING *").bind(realm).bind(id);
        let Some(row) = query.fetch_optional(&mut *transaction).await? else {
            return Ok(None);
        };
        let user = read_user(&row)?;
        transaction.commit().await?;
        Ok(Some((user, revoked)))
    }

    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        insert_session(&mut transaction, session, version).await?;
        Ok(transaction.commit().await?)
    }

    async fn create_session_once(&self, once: Once, session: &Session, version: i64) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let insert = sqlx::query("INSERT INTO used_once (id, expires_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING");
        let inserted = insert.bind(bytes(once.id.0)).bind(once.expires_at).execute(&mut *transaction).await?;
        if inserted.rows_affected() == 0 {
            return Ok(false);
        }
        insert_session(&mut transaction, session, version).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn refresh_of(&self, session: TokenId, now: i64) -> Result<Option<RefreshOf>, StoreError> {
        refresh::of(&self.readers, session, now).await
    }

    async fn rotate(&self, presented: &Presented) -> Result<Rotated, StoreError> {
        let mut transaction = self.begin().await?;
        let rotated = refresh::rotate(&mut transaction, presented).await?;
        transaction.commit().await?;
        Ok(rotated)
    }

    async fn revoke(&self, token: TokenId, ends: Ends) -> Result<Revocation, StoreError> {
        let mut transaction = self.begin().await?;
        let revocation = end_session(&mut transaction, token, ends).await?;
        transaction.commit().await?;
        Ok(revocation)
    }

    async fn cut_off(&self, account: AccountId, until: i64, expires_at: i64) -> Result<CutOff, StoreError> {
        let mut transaction = self.begin().await?;
        let cut_off = revocation::cut_off(&mut transaction, account, until, expires_at).await?;
        transaction.commit().await?;
        Ok(cut_off)
    }

    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<Revoked>, StoreError> {
        revocation::after(&self.readers, after, now, limit).await
    }

    async fn purge(&self, now: i64) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let mut purged = 0;
        for statement in [
            "DELETE FROM sessions WHERE expires_at < ?",
            "DELETE FROM revocations WHERE expires_at < ?",
            "DELETE FROM used_once WHERE expires_at < ?",
        ] {
            purged += sqlx::query(statement).bind(now).execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(purged)
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

async fn insert_session(connection: &mut SqliteConnection, session: &Session, version: i64) -> Result<(), StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO sessions (token, realm, user_id, username_key, email_key, expires_at) \
         SELECT ?, realm, id, username_key, email_key, ? FROM users \
         WHERE realm = ? AND id = ? AND version = ? AND NOT disabled",
    )
    .bind(bytes(session.token.0))
    .bind(session.expires_at)
    .bind(&session.realm)
    .bind(&session.user_id)
    .bind(version)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::Stale);
    }
    match &session.refresh {
        Some(first) => refresh::insert(connection, session.token, first).await,
        None => Ok(()),
    }
}

/// The canonical names of a user, under which they are unique.
#[derive(PartialEq, Eq)]
struct Keys {
    username: Option<String>,
    email: Option<String>,
}

impl Keys {
    fn of(user: &User) -> Result<Self, StoreError> {
        let key = |written: Option<&String>, parse: fn(&str) -> Option<Name>| match written.map(|text| parse(text)) {
            None => Ok(None),
            Some(Some(name)) => Ok(Some(name.as_str().to_owned())),
            Some(None) => Err(StoreError::Nameless),
        };
        let keys = Self {
            username: key(user.username.as_ref(), Name::username)?,
            email: key(user.email.as_ref(), Name::email)?,
        };
        if keys.username.is_none() && keys.email.is_none() {
            return Err(StoreError::Nameless);
        }
        Ok(keys)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::Exists,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// The names themselves are guarded by UNIQUE; this is for names that live on in tokens, and for ids: tokens name a user
/// without a username by the id.
async fn refuse_names_in_use(connection: &mut SqliteConnection, user: &User, keys: &Keys) -> Result<(), StoreError> {
    let query = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM sessions WHERE realm = ?1 AND username_key = ?2 AND user_id <> ?4) \
         OR EXISTS (SELECT 1 FROM sessions WHERE realm = ?1 AND email_key = ?3 AND user_id <> ?4) \
         OR EXISTS (SELECT 1 FROM users WHERE realm = ?1 AND id = ?2 AND id <> ?4)",
    );
    let query = query.bind(&user.realm).bind(&keys.username).bind(&keys.email).bind(&user.id);
    if query.fetch_one(connection).await?.try_get(0)? { Err(StoreError::Exists) } else { Ok(()) }
}

fn read_user(row: &SqliteRow) -> Result<User, StoreError> {
    Ok(User {
        realm: row.try_get("realm")?,
        id: row.try_get("id")?,
        username: row.try_get("username")?,
        email: row.try_get("email")?,
        password: PasswordHash(row.try_get("password")?),
        data: from_json(row.try_get("data")?)?,
        roles: from_json(row.try_get("roles")?)?,
        disabled: row.try_get("disabled")?,
        temporary: row.try_get("temporary")?,
        second_factor: match row.try_get("totp_secret")? {
            None => None,
            Some(secret) => Some(SecondFactor {
                secret,
                used: row.try_get("totp_used")?,
                recovery: row.try_get::<&[u8], _>("recovery")?.as_chunks().0.to_vec(),
            }),
        },
        vouched: row.try_get("vouched")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        version: row.try_get("version")?,
    })
}

fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Failed(error.to_string()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    // The text of the error could quote the user's data.
    serde_json::from_str(text).map_err(|_| StoreError::Failed("a user's data or roles are not JSON".into()))
}

/// Makes the file with its final mode, so that there is no moment at which others can read it.
fn create_file(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if !directory.is_dir() {
        let message = format!("the directory {} does not exist", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path) {
        // The name must survive a power failure as the content will.
        Ok(file) => file.sync_all().and_then(|()| File::open(directory)?.sync_all()),
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
async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let pragmas = "SELECT (SELECT user_version FROM pragma_user_version), \
                   (SELECT application_id FROM pragma_application_id), EXISTS (SELECT 1 FROM sqlite_schema)";
    let row = sqlx::query(pragmas).fetch_one(&mut *transaction).await?;
    let (version, application, used): (i64, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if application != APPLICATION_ID && (used || version != 0) {
        return Err(StoreError::Failed("the file is a database of another program".into()));
    }
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
    let done = done.ok_or_else(|| StoreError::Failed("the file was written by a newer version of tollgate".into()))?;
    for migration in &MIGRATIONS[done..] {
        // Each ends by setting `user_version`, within the transaction.
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
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

const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_users_sessions_revocations.sql"),
    include_str!("migrations/0002_cut_offs.sql"),
    include_str!("migrations/0003_refresh_tokens_second_factors.sql"),
    include_str!("migrations/0004_used_once_vouched.sql"),
];
const APPLICATION_ID: i64 = 0x546f_6c6c;
const SQLITE_BUSY: u32 = 5;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);
const READERS: u32 = 4;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{contract, open};
    use super::*;

    fn url(directory: &Path) -> String {
        format!("sqlite://{}/tollgate.db", directory.display())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        let url = url(directory.path());
        contract::run(|| async { open(&url).await.unwrap() }).await;
    }

    #[tokio::test]
    async fn only_its_owner_can_read_the_files() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&url(directory.path())).await.unwrap();
        store.revoke(TokenId::random(), Ends::At(1)).await.unwrap();
        let mut files: Vec<_> = fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
        files.sort_by_key(fs::DirEntry::file_name);
        let names: Vec<_> = files.iter().map(|file| file.file_name().into_string().unwrap()).collect();
        assert_eq!(names, ["tollgate.db", "tollgate.db-shm", "tollgate.db-wal"]);
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&directory.path().join("tollgate.db")).await.unwrap();
        // Holds for this one connection, as a full disk holds for this one moment.
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
        let mut failed = 0;
        for number in 0..500 {
            if let Err(StoreError::Failed(_)) = store.create_user(&contract::user("realm", &format!("u{number}"))).await
            {
                failed += 1;
            }
        }
        assert_eq!(failed, 1, "the disk was full once, and the next write went well");
    }

    #[tokio::test]
    async fn every_connection_is_durable_and_readers_only_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&directory.path().join("tollgate.db")).await.unwrap();
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
        let url: Arc<str> = url(directory.path()).into();
        let opening: Vec<_> = (0..16)
            .map(|_| {
                let url = Arc::clone(&url);
                tokio::spawn(async move { open(&url).await.map(drop) })
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

        let store = open(&url(directory.path())).await.unwrap();
        let user = store.user("r", "u").await.unwrap().unwrap();
        assert_eq!(user.username.as_deref(), Some("alice"));
        let old = Revocation { sequence: 41, token: TokenId(2), expires_at: 200 };
        assert_eq!(store.revocations_after(0, 0, 10).await.unwrap(), [Revoked::Id(old)]);
        let cut_off = store.cut_off(AccountId(9), 50, 300).await.unwrap();
        assert_eq!(cut_off.sequence, 43, "no sequence is given twice");
        let (_, ended) = store.update_user(&user, Ended::All, None).await.unwrap();
        assert_eq!(ended, [Revocation { sequence: 44, token: TokenId(1), expires_at: 100 }]);
        // A gate of the first version that has the file open all the while goes on.
        let theirs = "SELECT sequence, token, expires_at FROM revocations WHERE sequence > 41 ORDER BY sequence";
        assert_eq!(sqlx::query(theirs).fetch_all(&mut connection).await.unwrap().len(), 2);
        store.close().await;
        open(&url(directory.path())).await.unwrap().ping().await.unwrap();
    }

    #[tokio::test]
    async fn what_it_does_not_open() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("sqlite://{}/{name}", directory.path().display());
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
        for (url, message) in [
            ("postgres://host/db".into(), "not sqlite://"),
            ("sqlite://".into(), "not sqlite://"),
            ("sqlite::memory:".into(), "not sqlite://"),
            (at("absent/tollgate.db"), "does not exist"),
            (at("directory"), "not a file"),
            (at("text"), "not a database"),
            (at("foreign"), "another program"),
            (at("newer"), "newer version"),
        ] {
            let error = open(&url).await.err().unwrap().to_string();
            assert!(error.contains(message), "{url}: {error}");
        }
        assert!(!directory.path().join("absent").exists());
    }
}
