//! Users, sessions and revocations, kept so that what was acknowledged survives `kill -9`.
//!
//! A backend implements [`Store`] and passes its contract tests (see `conformance`); SQL stays inside this module.

#[cfg(test)]
mod conformance;
mod name;
mod network;
mod postgres;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::config::{Database, Realm};
use crate::token::{AccountId, KeyError, Revocations, Seal, TokenId};
pub use name::LoginName;
pub use network::NetworkId;

/// A user of a realm.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Whose user.
    pub realm: String,
    /// 32 lower-case hex digits; never reused.
    pub id: String,
    /// As the user wrote it. Unique in the realm in its canonical form ([`LoginName`]).
    pub username: Option<String>,
    /// As the user wrote it. Unique in the realm in its canonical form.
    pub email: Option<String>,
    /// A PHC string, or an imported hash in its own form.
    pub password: PasswordHash,
    /// The members that the user registered with, `username` and `email` among them, the password never.
    pub data: Map<String, Value>,
    /// For `roles` in the user's tokens.
    pub roles: Vec<String>,
    /// No token, no login.
    pub disabled: bool,
    /// The password was chosen by somebody else: it is good for choosing another, and for nothing more.
    pub temporary: bool,
    /// Whoever runs the realm stands by the email address and the data: the user has not written them, nor changed what an
    /// exchange login goes by.
    pub vouched: bool,
    /// The email address is the user's: whoever runs the realm gave it or stands by it. Apps and tokens are told of no other.
    pub email_verified: bool,
    /// What a login asks for beside the password.
    pub second_factor: Option<SecondFactor>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
    /// Goes up with every change: what was read before one can't overwrite it, nor open a session.
    pub version: i64,
}

/// A stored password. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl User {
    /// The email address, if it is the user's as far as whoever runs the realm knows: whatever says to others whom they deal
    /// with says this one or none (SECURITY.md R60).
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

/// An authenticator app that makes one-time codes (RFC 6238), and the codes for when it is lost.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// What the app and we share.
    pub secret: Vec<u8>,
    /// The last time step of which a code was used: no code of it or of an earlier one counts again.
    pub used: i64,
    /// SHA-256 of each recovery code that is left.
    pub recovery: Vec<[u8; 32]>,
}

impl std::fmt::Debug for SecondFactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SecondFactor(…)")
    }
}

/// One login: one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose user.
    pub realm: String,
    /// The user's id.
    pub user_id: String,
    /// The token's id.
    pub token: TokenId,
    /// Unix seconds of the token's `iat`.
    pub created_at: i64,
    /// Unix seconds after which no one accepts the token, leeway included.
    pub expires_at: i64,
    /// If it can be refreshed: then it is the session of many tokens, and `token` none's own id.
    pub refresh: Option<NewRefreshState>,
    /// The epoch in which it was proven that it may begin; `None`: whichever there is. It begins in no other.
    pub epoch: Option<EpochId>,
}

/// Names a session epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochId(pub u128);

/// What a realm's sessions hang on, beside the signing keys. When another one begins, no session of before can be refreshed
/// any more, and no login that was begun before can be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Whose sessions.
    pub realm: String,
    /// Random.
    pub id: EpochId,
    /// Marks what stands between two steps of a login.
    pub seal: Seal,
    /// The realm's issuer and audience ([`crate::token::TokenSettings::everyone`]).
    pub issued_for: AccountId,
    /// The ids of its signing keys, sorted, as a gate found them when it looked last.
    pub keys: Vec<String>,
    /// When it began, Unix seconds.
    pub since: i64,
}

/// What became of a realm's epoch when a gate looked at its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It goes on.
    Same,
    /// It goes on, with keys that came or went.
    OtherKeys,
    /// The realm had none.
    First,
    /// Another one began, since issuer or audience is another one.
    IssuerChanged,
    /// Another one began, since none of the signing keys is there that there were.
    KeysGone,
}

impl Epoch {
    /// One that could begin for this realm at `now` (Unix seconds).
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn next(realm: &Realm, now: i64) -> Result<Self, KeyError> {
        let mut keys: Vec<_> = realm.tokens().keys.keys().iter().map(|key| key.kid().to_owned()).collect();
        keys.sort_unstable();
        Ok(Self {
            realm: realm.name().to_owned(),
            id: EpochId(TokenId::random().0),
            seal: Seal::random()?,
            issued_for: realm.tokens().everyone(),
            keys,
            since: now,
        })
    }

    /// Whether it is to begin, or `present` goes on.
    #[must_use]
    pub fn follows(&self, present: Option<&Self>) -> Followed {
        match present {
            None => Followed::First,
            Some(present) if present.issued_for != self.issued_for => Followed::IssuerChanged,
            Some(present) if present.keys == self.keys => Followed::Same,
            Some(present) if present.keys.iter().any(|key| self.keys.contains(key)) => Followed::OtherKeys,
            Some(_) => Followed::KeysGone,
        }
    }

    /// What begins in every realm once its database was put back: these, and of the realms that only the database knows,
    /// which have one `present`, the next one.
    fn all_again(next: &[Self], present: Vec<Self>) -> Result<Vec<Self>, StoreError> {
        let mut all = next.to_vec();
        for present in present {
            let of_before = next.iter().find(|next| next.realm == present.realm);
            // Tokens of an issuer that the realm does not have any more count nowhere.
            if of_before.is_none() {
                let seal = Seal::random().map_err(|error| StoreError::Failed(error.to_string()))?;
                all.push(Self { id: EpochId(TokenId::random().0), seal, ..present });
            }
        }
        Ok(all)
    }
}

/// A session, for who wants to know which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub token: TokenId,
    /// Whose realm's.
    pub realm: String,
    /// Whose.
    pub user_id: String,
    /// Unix seconds of the login; 0 if nobody knows.
    pub created_at: i64,
    /// Unix seconds after which no one accepts any of its tokens, leeway included.
    pub expires_at: i64,
    /// If it began as one that can be refreshed.
    pub refresh: Option<ListedRefresh>,
}

/// What is known of a session's refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedRefresh {
    /// Unix milliseconds of the last use, or of the login.
    pub used_at: i64,
    /// Unix seconds from which it does not count.
    pub expires_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// Its epoch has not ended.
    pub is_current: bool,
}

/// What may be used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneTimeId {
    /// Its name.
    pub id: TokenId,
    /// Unix seconds after which no one accepts it anyway.
    pub expires_at: i64,
}

/// How a session begins that can be refreshed.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRefreshState {
    /// Random: tags the session's refresh tokens, and makes each from the one before.
    pub key: [u8; 32],
    /// SHA-256 of the first one.
    pub first: [u8; 32],
    /// Unix seconds of the login.
    pub authenticated_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// Unix seconds from which no refresh token of the session counts.
    pub expires_at: i64,
    /// The realm's issuer and audience ([`crate::token::TokenSettings::everyone`]): under others it counts no more.
    pub issued_for: AccountId,
}

impl std::fmt::Debug for NewRefreshState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Refresh").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// A session that can be refreshed.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshableSession {
    /// Whose user.
    pub realm: String,
    /// The user's id.
    pub user_id: String,
    /// As it began.
    pub key: [u8; 32],
    /// Unix seconds of the login.
    pub authenticated_at: i64,
    /// The login proved a second factor.
    pub mfa: bool,
    /// Unix seconds from which no refresh token of the session counts.
    pub expires_at: i64,
    /// The issuer and audience of the realm in which it began; nobody knows of one from before a version that asked.
    pub issued_for: Option<AccountId>,
    /// The realm's epoch is still the one in which it began. If not, it can be ended and nothing more.
    pub is_current: bool,
}

/// A refresh token that somebody wants to use, and the one that would follow it. Its tag was right.
#[derive(Clone, Copy)]
pub struct RefreshAttempt {
    /// The session.
    pub session: TokenId,
    /// How many came before it.
    pub generation: i64,
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// SHA-256 of the next one.
    pub next: [u8; 32],
    /// Unix milliseconds.
    pub now_ms: i64,
    /// For how long after its use it may come again, from a client that lost the answer.
    pub grace_ms: i64,
    /// Since when this process runs, Unix milliseconds: what was used shortly before may have lost its answer with the
    /// process before this one, and its client can't have come again sooner.
    pub started_ms: i64,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshResult {
    /// It was the one that counts: now the next one is.
    Next,
    /// It was used a moment ago, and the next one still counts.
    Again,
    /// It was used before: somebody has it who should not, and so the session has ended (RFC 9700, 4.14.2).
    Reused(Revocation),
    /// There is no such session any more.
    Unknown,
}

/// A token that is not accepted any more, or a session with all of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Goes up with every revocation: [`Store::revocations_after`] the last one seen brings the new ones.
    pub sequence: i64,
    /// The token's id.
    pub token: TokenId,
    /// Unix seconds after which no one accepts the token anyway.
    pub expires_at: i64,
}

/// All tokens that an account was issued until some second, or everybody in a realm: none of them is accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectRevocation {
    /// As [`Revocation::sequence`], and of the same one.
    pub sequence: i64,
    /// Whose tokens.
    pub account: AccountId,
    /// Unix seconds: what was issued in this second is the last that is refused.
    pub until: i64,
    /// Unix seconds after which no one accepts any of the tokens anyway.
    pub expires_at: i64,
}

/// What is not accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationEntry {
    /// One token, or one session.
    Id(Revocation),
    /// What one account was issued until some second.
    Account(SubjectRevocation),
}

impl RevocationEntry {
    /// Goes up with every revocation of either kind.
    #[must_use]
    pub const fn sequence(&self) -> i64 {
        match self {
            Self::Id(revocation) => revocation.sequence,
            Self::Account(cut_off) => cut_off.sequence,
        }
    }
}

/// Which of a user's sessions to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsToEnd {
    /// None.
    Nothing,
    /// All of them.
    All,
    /// All but the one with this token.
    AllBut(TokenId),
}

/// When a token ends by itself, Unix seconds after which no one accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenExpiry {
    /// Then.
    At(i64),
    /// Nobody knows, but not later. What was known when it was revoked first is the better word.
    AtMost(i64),
}

/// What is guessed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// A password.
    Password,
    /// A code of the second factor.
    Code,
}

/// Wrong guesses at an account in a row, at the network from which the next one comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// The account has signed in from this network. Then the counts are those of this network, otherwise those of all
    /// networks from which it has not.
    pub known: bool,
    /// At the password.
    pub passwords: u32,
    /// At the codes of the second factor.
    pub codes: u32,
    /// When the account last signed in from this network, Unix milliseconds; 0 if it has not.
    pub used_at: i64,
    /// When the operator reset the counts, Unix milliseconds; 0: never, or of an account of a user pool: there was a wrong
    /// guess since.
    pub reset_at: i64,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The username or email is another user's, or stands in another user's token that is still in force.
    #[error("a user of this name exists")]
    NameTaken,
    /// The user was changed, disabled or deleted since it was read.
    #[error("the user was changed meanwhile")]
    VersionConflict,
    /// The token in whose name this was asked has been revoked meanwhile, or is none that a login gave to the user.
    #[error("the token that asked for it was revoked meanwhile")]
    Revoked,
    /// A username or email that [`LoginName`] refuses, or neither of them: the caller did not check.
    #[error("the user has no name by which it could be found")]
    MissingName,
    /// The database failed. Its text is for the log, never for a client.
    #[error("store: {0}")]
    Failed(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::NameTaken,
            sqlx::Error::Database(error) if is_of_another_schema(&*error) => Self::Failed(
                "the database has no tables of this version yet: tollgate serve makes them, or brings them up to date"
                    .into(),
            ),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Whether a table or a column is not there: of a database that nobody has opened to write yet.
fn is_of_another_schema(error: &dyn sqlx::error::DatabaseError) -> bool {
    // PostgreSQL: undefined_table and undefined_column.
    error.code().is_some_and(|code| code == "42P01" || code == "42703")
        || error.message().starts_with("no such table")
        || error.message().starts_with("no such column")
}

/// Opens the store, and makes its file or its tables if they are not there.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator: a directory that does not exist, a file that can't be opened, a
/// server that can't be reached or lets us not in, what is another program's, or what a newer version wrote.
pub async fn open(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    open_or(database, Missing::Made).await
}

/// Opens the store to change what is there: a file that is not there is not made.
///
/// # Errors
/// As [`open`].
pub async fn open_existing(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    open_or(database, Missing::Refused).await
}

async fn open_or(database: &Database, missing: Missing) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(sqlite::Sqlite::open(path, missing).await?),
        Database::Postgres(server) => Arc::new(postgres::Postgres::open(server).await?),
    })
}

/// What becomes of a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

/// Opens the store to look at what is there: nothing is made, brought up to date or written.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator.
pub async fn open_read_only(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(sqlite::Sqlite::open_read_only(path).await?),
        Database::Postgres(server) => Arc::new(postgres::Postgres::open_read_only(server).await?),
    })
}

/// Looks at a store without opening it for good: nothing is made, brought up to date or written.
///
/// # Errors
/// Why [`open`] would fail.
pub async fn examine(database: &Database) -> Result<(), Problem> {
    match database {
        Database::Sqlite(path) => sqlite::examine(path).map_err(Problem::Unusable),
        Database::Postgres(server) => postgres::examine(server).await,
    }
}

/// What keeps a store from being opened: a sentence without a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The server does not answer, or not now.
    Unreachable(String),
    /// It does not get better by waiting.
    Unusable(String),
}

/// Brings into memory what was revoked after the sequence `after`, by whichever process. Returns the last sequence.
///
/// # Errors
/// The database failed; what was read by then is in memory.
pub async fn load_revocations(
    store: &dyn Store,
    revoked: &Revocations,
    mut after: i64,
    now: i64,
) -> Result<i64, StoreError> {
    loop {
        let page = store.revocations_after(after, now, PAGE).await?;
        let Some(last) = page.last() else { return Ok(after) };
        after = last.sequence();
        let mut cut_offs = Vec::new();
        revoked.extend(page.iter().filter_map(|revoked| match revoked {
            RevocationEntry::Id(revocation) => Some((revocation.token, revocation.expires_at)),
            RevocationEntry::Account(cut_off) => {
                cut_offs.push((cut_off.account, cut_off.until, cut_off.expires_at));
                None
            }
        }));
        revoked.revoke_subject(cut_offs);
    }
}

/// As many revocations at once as cost some megabytes, since there may be a million.
const PAGE: u32 = 50_000;

/// Where users, sessions and revocations are kept. Every write is durable when its call returns, and happens whole or
/// not at all. All times are the caller's, so that tests need no clock.
#[async_trait]
pub trait Store: Send + Sync {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if its username or email is taken in the realm, whatever its spelling. A name that its
    /// user gave up is taken as long as a session of that time lives: its token still carries the name, and an app
    /// would take the one user for the other.
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        self.create_users(std::slice::from_ref(user)).await
    }

    /// Adds a user who chose its names. As [`Store::create_user`], and a username that looks like a name of another user's
    /// (Unicode TR39) is taken, too.
    ///
    /// # Errors
    /// As [`Store::create_user`].
    async fn register(&self, user: &User) -> Result<(), StoreError>;

    /// Adds all of these users, or none.
    ///
    /// # Errors
    /// As [`Store::create_user`], for any of them.
    async fn create_users(&self, users: &[User]) -> Result<(), StoreError>;

    /// The user of this id.
    ///
    /// # Errors
    /// The database failed.
    async fn user(&self, realm: &str, id: &str) -> Result<Option<User>, StoreError>;

    /// The user of this name.
    ///
    /// # Errors
    /// The database failed.
    async fn user_by_name(&self, realm: &str, name: &LoginName) -> Result<Option<User>, StoreError>;

    /// Up to `limit` users of the realm in the order of their ids, beginning after `after`.
    ///
    /// # Errors
    /// The database failed.
    async fn users(&self, realm: &str, after: Option<&str>, limit: u32) -> Result<Vec<User>, StoreError>;

    /// Replaces the user of `user.id`, whose stored version must be `user.version`, and ends sessions, in one
    /// transaction. Returns the user as stored, with its new version, and what was revoked. `by` is the session that asked
    /// for it, if one did: what was revoked while its request was on the way must not change a password, nor what only a
    /// signing key vouches for; and a username that its user chose looks like no name of another user's, as at
    /// [`Store::register`].
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] as for [`Store::create_user`]; [`StoreError::VersionConflict`] if the version differs or the user is
    /// gone; [`StoreError::Revoked`] if `by` is.
    async fn update_user(
        &self,
        user: &User,
        ended: SessionsToEnd,
        by: Option<TokenId>,
    ) -> Result<(User, Vec<Revocation>), StoreError>;

    /// Deletes the user and ends its sessions. Returns the user as it was, and what was revoked; `None` if there is no
    /// such user. `by` as for [`Store::update_user`].
    ///
    /// # Errors
    /// [`StoreError::Revoked`] as for [`Store::update_user`].
    async fn delete_user(
        &self,
        realm: &str,
        id: &str,
        by: Option<TokenId>,
    ) -> Result<Option<(User, Vec<Revocation>)>, StoreError>;

    /// How many names a user holds back from others: those that it gave up, and that tokens of its sessions may carry.
    ///
    /// # Errors
    /// The database failed.
    async fn names_held(&self, realm: &str, id: &str) -> Result<u64, StoreError>;

    /// Opens a session for the user, if it is still the `version` whose password was checked, and not disabled, and if the
    /// realm's epoch is still `session.epoch`, where that is one.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`] if it is not.
    async fn create_session(&self, session: &Session, version: i64) -> Result<(), StoreError>;

    /// The same for what may open one session only. Returns whether it was the first time, among all who try at the same
    /// moment; if the session can't be opened, it was not used.
    ///
    /// # Errors
    /// As [`Store::create_session`].
    async fn create_session_once(&self, once: OneTimeId, session: &Session, version: i64) -> Result<bool, StoreError>;

    /// The session whose refresh tokens count at `now` (Unix seconds), if its epoch has not ended.
    ///
    /// # Errors
    /// The database failed.
    async fn refreshable_session(&self, session: TokenId, now: i64) -> Result<Option<RefreshableSession>, StoreError>;

    /// Uses up a refresh token, once among all who try at the same moment.
    ///
    /// # Errors
    /// The database failed.
    async fn rotate_refresh_token(&self, presented: &RefreshAttempt) -> Result<RefreshResult, StoreError>;

    /// Every realm's epoch, in the order of their names.
    ///
    /// # Errors
    /// The database failed.
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError>;

    /// The epoch of this realm.
    ///
    /// # Errors
    /// The database failed.
    async fn epoch(&self, realm: &str) -> Result<Option<Epoch>, StoreError>;

    /// Begins `next`, if its realm has none, or one of another issuer or audience, or of which all keys are gone. Of many
    /// who see the same reason, one begins one.
    ///
    /// # Errors
    /// The database failed.
    async fn follow_epoch(&self, next: &Epoch) -> Result<Followed, StoreError>;

    /// Begins `next`, whatever there is.
    ///
    /// # Errors
    /// The database failed.
    async fn begin_epoch(&self, next: &Epoch) -> Result<(), StoreError>;

    /// Begins `next`, and ends all sessions of its realm: nothing counts any more that anybody was issued until the second
    /// `until`, that one included, nor what was issued later in a session of before. The revocations may be forgotten after
    /// `expires_at`. Who has read revocations already reads these.
    ///
    /// # Errors
    /// The database failed.
    async fn end_realm(&self, next: &Epoch, until: i64, expires_at: i64) -> Result<(), StoreError>;

    /// The same for every realm that has an epoch, and for those of `next`, since the database was put back: who reads its
    /// revocations may have read later ones than it has, and yet reads these.
    ///
    /// # Errors
    /// The database failed. Some realms may be done.
    async fn restored(&self, next: &[Epoch], until: i64, expires_at: i64) -> Result<(), StoreError>;

    /// The sessions of a user that have not expired at `now` (Unix seconds), the oldest first. Those that a cut-off has ended
    /// are among them.
    ///
    /// # Errors
    /// The database failed.
    async fn sessions(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<Listed>, StoreError>;

    /// The session of this id.
    ///
    /// # Errors
    /// The database failed.
    async fn session(&self, id: TokenId) -> Result<Option<Listed>, StoreError>;

    /// The last second of which nothing counts any more that the account was issued, if there is one.
    ///
    /// # Errors
    /// The database failed.
    async fn cut_off_of(&self, account: AccountId) -> Result<Option<i64>, StoreError>;

    /// Ends one session. Revokes the token though no session is known for it; if one is, its own expiry counts. A token
    /// that was revoked already, and for as long, is left as it is.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError>;

    /// Revokes what the account was issued up to the second `until`, that one included. The later of two cut-offs of one
    /// account counts, and the later of their expiries. Leaves sessions as they are.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError>;

    /// Up to `limit` revocations that still matter at `now`, with a sequence above `after`, in order. What appears later
    /// has a higher sequence than all that were ever returned.
    ///
    /// # Errors
    /// The database failed.
    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<RevocationEntry>, StoreError>;

    /// Deletes sessions, revocations and what was used once whose tokens have expired at `now`. Returns how many rows went.
    ///
    /// # Errors
    /// The database failed.
    async fn purge_expired(&self, now: i64) -> Result<u64, StoreError>;

    /// The wrong guesses at an account from this network. `user_id` need not be a user's.
    ///
    /// # Errors
    /// The database failed.
    async fn guesses(&self, realm: &str, user_id: &str, network: NetworkId) -> Result<Guesses, StoreError>;

    /// Counts a wrong guess at an account. Returns how many there are now in a row. An id that is no user's has a count too,
    /// so that the time of this says nothing of who exists: the caller makes such ids of a small number of values, or by
    /// [`LoginName::pool_account`], of which [`Store::purge_expired`] forgets old ones.
    ///
    /// # Errors
    /// The database failed.
    async fn count_guess(
        &self,
        realm: &str,
        user_id: &str,
        network: NetworkId,
        guess: Guess,
        now_ms: i64,
    ) -> Result<u32, StoreError>;

    /// Notes that an account signed in from this network, and forgets the wrong guesses that counted there. Of the networks
    /// of an account, the 10 that were used last are kept.
    ///
    /// # Errors
    /// The database failed.
    async fn signed_in(&self, realm: &str, user_id: &str, network: NetworkId, now_ms: i64) -> Result<(), StoreError>;

    /// Forgets the wrong guesses at a user, from wherever they came. The networks stay.
    ///
    /// # Errors
    /// The database failed.
    async fn reset_guesses(&self, realm: &str, user_id: &str, now_ms: i64) -> Result<(), StoreError>;

    /// The ids of the realm's users with so many wrong guesses in a row, at the password or at codes, from networks from which
    /// they have not signed in.
    ///
    /// # Errors
    /// The database failed.
    async fn guessed_at(&self, realm: &str, times: u32) -> Result<Vec<String>, StoreError>;

    /// Whether any account has signed in from this network.
    ///
    /// # Errors
    /// The database failed.
    async fn is_known(&self, network: NetworkId) -> Result<bool, StoreError>;

    /// Whether the store answers.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Lets go of the database, once what is under way is done. Every later call fails.
    async fn close(&self);
}
