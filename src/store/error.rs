//! Errors of the store.

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The username or email address belongs to another user, or is in a valid token of another user.
    #[error("a user of this name exists")]
    NameTaken,
    /// The account at the provider belongs to another user.
    #[error("the account at the provider belongs to another user")]
    AccountTaken,
    /// The user was changed, disabled or deleted since it was read.
    #[error("the user was changed meanwhile")]
    VersionConflict,
    /// The token of this request was revoked meanwhile, or a login did not issue it to the user.
    #[error("the token that asked for it was revoked meanwhile")]
    Revoked,
    /// A username or email that [`super::LoginName`] refuses, or neither of them: the caller did not check.
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

/// Returns whether a table or a column is missing: no writer has opened this database yet.
fn is_of_another_schema(error: &dyn sqlx::error::DatabaseError) -> bool {
    // PostgreSQL: undefined_table and undefined_column.
    error.code().is_some_and(|code| code == "42P01" || code == "42703")
        || error.message().starts_with("no such table")
        || error.message().starts_with("no such column")
}

/// The reason that a store can't be opened: a sentence without a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The server does not answer, or not now.
    Unreachable(String),
    /// Waiting does not help.
    Unusable(String),
}
