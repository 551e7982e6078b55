//! Users, sessions, sign-ins and revocations. Data that was acknowledged survives `kill -9`.
//!
//! A backend implements [`Store`] and passes the tests in `conformance`. SQL stays inside this module.

#[cfg(test)]
mod conformance;
mod epoch;
mod error;
mod flow;
mod guess;
mod name;
mod network;
mod postgres;
mod provider_account;
mod refresh;
mod revocation;
mod secret_hash;
mod session;
mod sign_in;
mod sqlite;
mod user;

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::Database;
pub use epoch::{Epoch, EpochId, EpochStore, Followed};
pub use error::{Problem, StoreError};
pub use flow::{Flow, FlowLimits, FlowStore, MAX_TARGET, NewTicket, ProviderRequest, TicketUse};
pub use guess::{Guess, GuessStore, Guesses};
pub use name::LoginName;
pub use network::NetworkId;
pub use provider_account::{ProviderAccount, ProviderAccountStore};
pub use refresh::{NewRefreshState, RefreshAttempt, RefreshResult, RefreshableSession};
pub use revocation::{Revocation, RevocationEntry, RevocationStore, SubjectRevocation, TokenExpiry, load_revocations};
pub use secret_hash::SecretHash;
pub use session::{Listed, ListedRefresh, OneTimeId, Session, SessionStore, SessionsToEnd};
pub use sign_in::{
    CheckedSignIn, MAX_AGENT, NewSignIn, ProviderLogout, ProviderSession, ProviderSessions, SignIn, SignInCheck,
    SignInStore, SignInsToEnd,
};
pub use user::{PasswordHash, SecondFactor, User, UserStore};

/// The store. Every write is durable when its call returns, and is atomic. The caller passes all times, so that tests
/// need no clock.
#[async_trait]
pub trait Store:
    UserStore + ProviderAccountStore + SessionStore + SignInStore + FlowStore + EpochStore + RevocationStore + GuessStore
{
    /// Deletes sessions, revocations and used ids whose tokens have expired at `now`, sign-in sessions that are idle for too
    /// long, and expired flows with their tickets. Returns the number of rows.
    ///
    /// # Errors
    /// The database failed.
    async fn purge_expired(&self, now: i64) -> Result<u64, StoreError>;

    /// Checks that the store answers.
    ///
    /// # Errors
    /// It does not.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes the database after the calls in progress. Every later call fails.
    async fn close(&self);
}

/// Opens the store. Creates its file or its tables if they are missing.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator: the directory does not exist, the file can't be opened, the
/// server is unreachable or refuses the login, or another program or a newer version wrote the database.
pub async fn open(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    open_or(database, Missing::Made).await
}

/// Opens the store for changes. Does not create a file.
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

/// What to do if the file does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Made,
    Refused,
}

/// Opens the store for reading: it creates, migrates and writes nothing.
///
/// # Errors
/// [`StoreError::Failed`] with a sentence for the operator.
pub async fn open_read_only(database: &Database) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match database {
        Database::Sqlite(path) => Arc::new(sqlite::Sqlite::open_read_only(path).await?),
        Database::Postgres(server) => Arc::new(postgres::Postgres::open_read_only(server).await?),
    })
}

/// Checks a store: it creates, migrates and writes nothing.
///
/// # Errors
/// The error that [`open`] would return.
pub async fn examine(database: &Database) -> Result<(), Problem> {
    match database {
        Database::Sqlite(path) => sqlite::examine(path).map_err(Problem::Unusable),
        Database::Postgres(server) => postgres::examine(server).await,
    }
}
