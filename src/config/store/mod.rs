//! Where users, sessions and revocations are kept.

pub(in crate::config) mod read;

use std::path::PathBuf;

use zeroize::Zeroizing;

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// One file, at this absolute path.
    Sqlite(PathBuf),
    /// A server that several gates may share.
    Postgres(Box<PostgresSettings>),
}

/// A database of a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// A name, an address (IPv6 without brackets), or the absolute path of the directory of a Unix socket.
    pub host: String,
    /// Where it listens; of a socket a part of its name.
    pub port: u16,
    /// As whom to connect; without one as the user of the system that runs this.
    pub user: Option<String>,
    /// If the server asks for one.
    pub password: Option<DatabasePassword>,
    /// Its name.
    pub database: String,
    /// How the connection is protected.
    pub tls: PostgresTls,
    /// How many connections there may be at once.
    pub connections: u32,
}

/// What the server asks for. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabasePassword {
    /// The secret.
    pub secret: Zeroizing<String>,
    /// It is from `password_file`, not from the URL.
    pub from_file: bool,
}

impl std::fmt::Debug for DatabasePassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// `sslmode`, and what belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresTls {
    /// Whether there is any, and whether the server has to prove who it is.
    pub mode: SslMode,
    /// Certificates (PEM) to trust beside the system's.
    pub roots: Option<Vec<u8>>,
    /// Our own certificate and its key, both in PEM.
    pub client: Option<(Vec<u8>, Zeroizing<String>)>,
}

impl std::fmt::Debug for PostgresTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PostgresTls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The values of `sslmode` that do what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server can, whoever it is.
    Prefer,
    /// Always, whoever it is.
    Require,
    /// Always, and the server has a certificate for its name from an authority that is trusted.
    VerifyFull,
}

impl Database {
    /// The keys by which `self` and `other` differ.
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
