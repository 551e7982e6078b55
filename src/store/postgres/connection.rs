//! Connections to the server: their options, and the time limits of each use.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, PgConnection as Connection, Postgres as Driver};

use crate::config::{self, SslMode};
use crate::store::StoreError;

/// A connection of the pool. If its state at the server is unknown, it is closed.
pub(super) struct PooledConnection {
    pub(super) connection: PoolConnection<Driver>,
    pub(super) whole: bool,
}

impl PooledConnection {
    /// Returns the connection to the pool, unless `result` is a fault.
    pub(super) fn release<T>(mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.whole = !matches!(result, Err(StoreError::Failed(_)));
        result
    }
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for PooledConnection {
    /// Also runs without [`PooledConnection::release`], if the caller was cancelled.
    fn drop(&mut self) {
        if !self.whole {
            self.connection.close_on_drop();
        }
    }
}

pub(super) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| StoreError::Failed(format!("the database did not answer within {limit:?}"));
    tokio::time::timeout(limit, work).await.map_err(late)?
}

pub(super) fn options(server: &config::PostgresSettings) -> PgConnectOptions {
    // Parts that the URL omits have libpq's defaults, but no password file is read.
    let options = PgConnectOptions::new_without_pgpass();
    let options = if server.host.starts_with('/') { options.socket(&server.host) } else { options.host(&server.host) };
    let mut options = options
        .port(server.port)
        .database(&server.database)
        .application_name("tollgate")
        .ssl_mode(match server.tls.mode {
            SslMode::Disable => PgSslMode::Disable,
            SslMode::Prefer => PgSslMode::Prefer,
            SslMode::Require => PgSslMode::Require,
            SslMode::VerifyFull => PgSslMode::VerifyFull,
        })
        // Statements contain no values, but their log lines are useless.
        .disable_statement_logging();
    if let Some(user) = &server.user {
        options = options.username(user);
    }
    if let Some(password) = &server.password {
        options = options.password(&password.secret);
    }
    if let Some(roots) = &server.tls.roots {
        options = options.ssl_root_cert_from_pem(roots.clone());
    }
    if let Some((certificate, key)) = &server.tls.client {
        options = options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key);
    }
    options
}

pub(super) fn failed_at(server: &config::PostgresSettings, error: StoreError) -> StoreError {
    match error {
        StoreError::Failed(reason) => StoreError::Failed(format!("{}: {reason}", place(server))),
        other => other,
    }
}

/// Describes the database to the operator, without the password.
pub(super) fn place(server: &config::PostgresSettings) -> String {
    format!("the database {:?} at {} port {}", server.database, server.host, server.port)
}

/// Time limit for getting a connection, including a new one.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Time limit for all statements of one call. `begin!` sets the same for the server.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);
