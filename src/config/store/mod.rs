//! `[store]`: the database for users, sessions and revocations.

pub(in crate::config) mod read;

use std::path::PathBuf;

use zeroize::Zeroizing;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// Absolute path of the file.
    Sqlite(PathBuf),
    /// Several processes can share the server.
    Postgres(Box<PostgresSettings>),
}

/// A database of a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// A name, an address (IPv6 without brackets), or the absolute path of the directory of a Unix socket.
    pub host: String,
    /// For a Unix socket: part of its name.
    pub port: u16,
    /// `None`: the name of the system user of the process.
    pub user: Option<String>,
    pub password: Option<DatabasePassword>,
    pub database: String,
    pub tls: PostgresTls,
    /// Maximum number of connections.
    pub connections: u32,
}

/// `Debug` does not print the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabasePassword {
    pub secret: Zeroizing<String>,
    /// True: from `password_file`. False: from the URL.
    pub from_file: bool,
}

impl std::fmt::Debug for DatabasePassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// `sslmode` and its certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresTls {
    pub mode: SslMode,
    /// CA certificates (PEM) in addition to those of the system.
    pub roots: Option<Vec<u8>>,
    /// Client certificate and its key, both PEM.
    pub client: Option<(Vec<u8>, Zeroizing<String>)>,
}

impl std::fmt::Debug for PostgresTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PostgresTls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The supported values of `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server supports it, without verification of the server.
    Prefer,
    /// TLS without verification of the server.
    Require,
    /// TLS. The server must have a certificate for its host name from a trusted CA.
    VerifyFull,
}

impl Database {
    /// Returns the keys that differ in `other`.
    pub(in crate::config) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (Self::Postgres(old), Self::Postgres(new)) = (self, other) else {
            return if self == other { Vec::new() } else { vec!["store.url"] };
        };
        let secret_of_file = |of: &PostgresSettings| of.password.clone().filter(|password| password.from_file);
        let rest = |of: &PostgresSettings| PostgresSettings {
            password: of.password.clone().filter(|password| !password.from_file),
            connections: 0,
            ..of.clone()
        };
        let differ = [
            ("store.url", rest(old) != rest(new)),
            ("store.password_file", secret_of_file(old) != secret_of_file(new)),
            ("store.connections", old.connections != new.connections),
        ];
        differ.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}
