//! `[store]`.

use std::net::IpAddr;
use std::path::Path;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use zeroize::Zeroizing;

use crate::config::external::ExternalInputs;
use crate::config::pem::CaFile;
use crate::config::reader::report::Reported;
use crate::config::schema::kind::{Raw, number, raw, required};
use crate::config::schema::section;
use crate::config::store::{Database, DatabasePassword, PostgresSettings, PostgresTls, SslMode};
use crate::config::tls::{Certificate, CertificateError};
use crate::filesystem::can_write_file;

section! {
    /// The database for users, sessions and revocations.
    StoreKeys = "[store]", RestartOnly;

    /// URL of the database. SQLite: `sqlite:///absolute/path.db` or `sqlite://relative.db`. PostgreSQL:
    /// `postgres://user@host:5432/database`, which several instances of Tollgate can share. Parameters for PostgreSQL:
    /// `sslmode` (`disable`, `prefer`, `require`, `verify-full`; default: `verify-full`, on this machine `prefer`),
    /// `sslrootcert`, `sslcert`, `sslkey` (PEM files), and `host` (directory of a socket). If the URL contains a password,
    /// the configuration file is a secret.
    url: Raw = required(raw("\"sqlite:///var/lib/tollgate/tollgate.db\" or \"postgres://user@host/database\""));

    /// File with the password for PostgreSQL.
    password_file: Raw = raw("\"${CREDENTIALS_DIRECTORY}/database\""), default "no password";

    /// Maximum number of connections to PostgreSQL.
    connections: usize = number(1..=1000, DEFAULT_CONNECTIONS);
}

/// Reads the section.
pub(in crate::config) fn read(keys: &StoreKeys<'_>, external: &ExternalInputs) -> Result<Database, Reported> {
    let database = keys.url.required(|text| url(text, external))?;
    let Database::Postgres(mut postgres) = database else {
        let only_postgres = "applies only to postgres://: remove it";
        if keys.password_file.is_written() {
            keys.password_file.error(only_postgres);
        }
        if keys.connections.is_written() {
            keys.connections.error(only_postgres);
        }
        if let Database::Sqlite(path) = &database
            && external.rehearses()
            && let Err(problem) = can_write_file(path)
        {
            keys.url.error(format!("{problem}: write the path of a file that this user is allowed to write"));
        }
        return Ok(database);
    };
    postgres.connections = keys.connections.value.try_into().unwrap_or(u32::MAX);
    if keys.password_file.is_written() && postgres.password.is_some() {
        keys.password_file.error("can't be combined with a password in url: write only one of the two");
    }
    if let Some(secret) = keys.password_file.optional(|path| external.secret(path))? {
        postgres.password = Some(DatabasePassword { secret, from_file: true });
    }
    Ok(Database::Postgres(postgres))
}

/// No message quotes the URL, which can contain a password.
fn url(text: &str, external: &ExternalInputs) -> Result<Database, String> {
    match text.split(':').next() {
        Some("sqlite") => sqlite(text, external.base()),
        Some("postgres" | "postgresql") => Ok(Database::Postgres(Box::new(postgres(text, external)?))),
        _ => {
            Err("is not a valid URL: write \"sqlite:///absolute/path.db\" or \"postgres://user@host/database\"".into())
        }
    }
}

fn sqlite(text: &str, base: &Path) -> Result<Database, String> {
    let Some(path) = text.strip_prefix("sqlite://") else {
        return Err("two slashes are missing: write \"sqlite:///absolute/path.db\" or \"sqlite://relative.db\"".into());
    };
    let problem = if path.is_empty() || path.ends_with('/') {
        "has no file name: write \"sqlite:///absolute/path.db\" or \"sqlite://relative.db\""
    } else if path.starts_with(":memory:") {
        "a database in memory loses all users at a restart: write the path of a file"
    } else if path.contains(['?', '#', '%']) {
        // The store uses the path as it is. These characters suggest parameters or an encoding.
        "must not have parameters or percent-encoding: write a path without ?, # and %"
    } else {
        return Ok(Database::Sqlite(base.join(path)));
    };
    Err(problem.into())
}

fn postgres(text: &str, external: &ExternalInputs) -> Result<PostgresSettings, String> {
    // The errors of `url` do not quote the text.
    let url = Url::parse(text).map_err(|error| {
        format!("is not a valid URL ({error}): write {FORM}, with special characters percent-encoded")
    })?;
    if url.fragment().is_some() {
        return Err(format!("must not have a \"#\": write {FORM}, with %23 for \"#\""));
    }
    let mut parameters = Parameters::from_url(&url)?;
    let host = match (parameters.host.take(), url.host_str()) {
        (Some(directory), _) if directory.starts_with('/') => directory,
        (Some(_), _) => {
            return Err("the parameter host must be the directory of a socket: write an absolute path".into());
        }
        (None, Some(host)) => decoded(host.trim_matches(['[', ']']))?,
        (None, None) => return Err(format!("has no host: write {FORM}, or ?host=/directory/of/a/socket")),
    };
    if host.contains(',') {
        return Err("must not have several hosts: write one, such as an address that follows the primary server".into());
    }
    let database = decoded(url.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err(format!("has no database: write {FORM}"));
    }
    let user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
    let password = url.password().map(decoded).transpose()?;
    let tls = tls(&host, parameters, external)?;
    let password = password.map(|secret| DatabasePassword { secret: secret.into(), from_file: false });
    let port = url.port().unwrap_or(DEFAULT_PORT);
    Ok(PostgresSettings { host, port, user, password, database, tls, connections: 0 })
}

/// Query parameters, with the names of libpq.
#[derive(Default)]
struct Parameters {
    host: Option<String>,
    mode: Option<SslMode>,
    roots: Option<String>,
    client: (Option<String>, Option<String>),
}

impl Parameters {
    fn from_url(url: &Url) -> Result<Self, String> {
        let mut parameters = Self::default();
        // Not decoded as a form, in which a plus is a space.
        for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("has a parameter without a value: write name=value")?;
            let value = decoded(value)?;
            match name {
                "host" => parameters.host = Some(value),
                "sslmode" => parameters.mode = Some(mode(&value)?),
                "sslrootcert" => parameters.roots = Some(value),
                "sslcert" => parameters.client.0 = Some(value),
                "sslkey" => parameters.client.1 = Some(value),
                _ => {
                    return Err("has an unknown parameter: use host, sslmode, sslrootcert, sslcert and sslkey".into());
                }
            }
        }
        Ok(parameters)
    }
}

fn mode(text: &str) -> Result<SslMode, String> {
    match text {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-full" => Ok(SslMode::VerifyFull),
        // The driver always trusts the CA certificates of the system, and an attacker can get a certificate of such a CA for
        // another name.
        "verify-ca" => Err("sslmode=verify-ca does not check the host name: write sslmode=verify-full".into()),
        // No part of the URL is quoted.
        _ => Err("invalid sslmode: write disable, prefer, require or verify-full".into()),
    }
}

/// Returns the TLS settings. The default over a network is `verify-full`.
fn tls(host: &str, parameters: Parameters, external: &ExternalInputs) -> Result<PostgresTls, String> {
    let mode = match parameters.mode {
        _ if host.starts_with('/') => SslMode::Disable,
        Some(mode) => mode,
        None if is_this_machine(host) => SslMode::Prefer,
        None => SslMode::VerifyFull,
    };
    if parameters.roots.is_some() && mode != SslMode::VerifyFull {
        return Err("sslrootcert applies only to sslmode=verify-full: write both, or neither".into());
    }
    let roots = parameters.roots.map(|path| CaFile::read(&path, external)).transpose()?.map(|file| file.text);
    let client = match parameters.client {
        (Some(certificate), Some(key)) => Some(client(&certificate, &key, external)?),
        (None, None) => None,
        _ => return Err("sslcert and sslkey require each other: write both, or neither".into()),
    };
    Ok(PostgresTls { mode, roots, client })
}

/// Reads the client certificate chain and its key.
fn client(chain: &str, key: &str, external: &ExternalInputs) -> Result<(Vec<u8>, Zeroizing<String>), String> {
    let (chain_path, key_path) = (external.file(chain)?, external.file(key)?);
    let (chain, key) = (external.public_file(&chain_path)?, external.secret(key)?);
    let problem = match Certificate::read(&chain, &key) {
        Ok(_) => return Ok((chain, key)),
        Err(CertificateError::Chain(problem)) => format!("{} {problem}", chain_path.display()),
        Err(CertificateError::Key(problem)) => format!("{} {problem}", key_path.display()),
    };
    Err(problem)
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn decoded(text: &str) -> Result<String, String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err("has invalid percent-encoding: write UTF-8 text without NUL".into()),
    }
}

const FORM: &str = "\"postgres://user@host:5432/database\"";
const DEFAULT_PORT: u16 = 5432;
const DEFAULT_CONNECTIONS: usize = 10;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::config::fixture::{REALM, ROUTE, SERVER, assert_error};
    use crate::config::input::Input;
    use crate::config::{Config, Mode, parse};

    fn at(base: &str, text: &str) -> Result<Database, String> {
        let file = Input::stat(&Path::new(base).join("t.toml"));
        url(text, &ExternalInputs::new(file, None, false, 0))
    }

    fn server(text: &str) -> PostgresSettings {
        match at("/etc", text) {
            Ok(Database::Postgres(server)) => *server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_are_made_absolute() {
        let url = |text, base| at(base, text).unwrap();
        let file = |path: &str| Database::Sqlite(PathBuf::from(path));
        assert_eq!(url("sqlite:///var/a.db", "/etc"), file("/var/a.db"));
        assert_eq!(url("sqlite://a.db", "/etc/t"), file("/etc/t/a.db"));
        assert_eq!(url("sqlite://x/a b.db", "/50%?"), file("/50%?/x/a b.db"));
        assert_eq!(url("sqlite://a.db", "/"), file("/a.db"));
    }

    #[test]
    fn urls_of_postgres_as_libpq_accepts_them() {
        let full = server("postgresql://gate:p%40ss%2Fw@db.example.com:6543/toll%20gate?sslmode=require");
        assert_eq!((full.host.as_str(), full.port, full.database.as_str()), ("db.example.com", 6543, "toll gate"));
        assert_eq!((full.user.as_deref(), full.tls.mode), (Some("gate"), SslMode::Require));
        let password = full.password.clone().unwrap();
        assert_eq!((password.secret.as_str(), password.from_file), ("p@ss/w", false));
        assert!(!format!("{full:?}").contains("p@ss"), "{full:?}");
        let short = server("postgres://[::1]/t");
        assert_eq!((short.host.as_str(), short.port), ("::1", 5432));
        assert_eq!((short.user, short.password), (None, None));
        for socket in ["postgres:///t?host=/run/postgresql", "postgres://%2Frun%2Fpostgresql/t?sslmode=require"] {
            let socket = server(socket);
            assert_eq!((socket.host.as_str(), socket.tls.mode), ("/run/postgresql", SslMode::Disable));
        }
    }

    #[test]
    fn a_server_on_another_machine_is_verified_by_default() {
        for (host, expected) in [
            ("localhost", SslMode::Prefer),
            ("127.0.0.1", SslMode::Prefer),
            ("[::1]", SslMode::Prefer),
            ("10.0.0.7", SslMode::VerifyFull),
            ("db.example.com", SslMode::VerifyFull),
            ("localhost.example.com", SslMode::VerifyFull),
        ] {
            assert_eq!(server(&format!("postgres://{host}/t")).tls.mode, expected, "{host}");
            for (text, mode) in [("disable", SslMode::Disable), ("prefer", SslMode::Prefer)] {
                assert_eq!(server(&format!("postgres://{host}/t?sslmode={text}")).tls.mode, mode);
            }
        }
    }

    #[test]
    fn errors_do_not_quote_the_url() {
        for (bad, message) in [
            ("mysql://u:hunter2@h/d", "is not a valid URL"),
            ("hunter2", "is not a valid URL"),
            ("sqlite:hunter2.db", "two slashes"),
            ("sqlite::memory:", "two slashes"),
            ("sqlite://:memory:", "loses all users"),
            ("sqlite://", "has no file name"),
            ("sqlite:///var/", "has no file name"),
            ("sqlite:///a.db?mode=memory&p=hunter2", "parameters"),
            ("sqlite:///a%20b.db", "percent"),
            ("postgres:hunter2", "has no host"),
            ("postgres://u:hunter2@h", "has no database"),
            ("postgres://u:hunter2@h/", "has no database"),
            ("postgres://u:hunter2@h/a/b", "has no database"),
            ("postgres:///d", "has no host"),
            ("postgres://u:hunter2@/d", "is not a valid URL (empty host)"),
            ("postgres://u:hunter2@h:x/d", "is not a valid URL (invalid port number)"),
            ("postgres://u:hunter2#3@h/d", "is not a valid URL"),
            ("postgres://u:p@h/d#hunter2", "%23"),
            ("postgres://u:%ff@h/d", "UTF-8 text"),
            ("postgres://u:p@h/d%00", "UTF-8 text"),
            ("postgres://u@h1,h2/d", "several hosts"),
            ("postgres://u@h/d?host=other", "absolute path"),
            ("postgres://u@h/d?hunter2=x", "unknown parameter"),
            ("postgres://u@h/d?password=hunter2", "unknown parameter"),
            ("postgres://u@h/d?sslmode", "without a value"),
            ("postgres://u@h/d?sslmode=hunter2", "invalid sslmode"),
            ("postgres://u@h/d?sslmode=allow", "invalid sslmode"),
            ("postgres://u@h/d?sslmode=verify-ca", "verify-full"),
            ("postgres://u@h/d?sslmode=require&sslrootcert=/ca", "applies only to sslmode=verify-full"),
            ("postgres://u@h/d?sslrootcert=/nonexistent/ca", "does not exist"),
            ("postgres://u@h/d?sslrootcert=/proc/self/status", "no PEM certificate"),
            ("postgres://u@h/d?sslcert=/c", "sslcert and sslkey require each other"),
        ] {
            let error = at("/etc", bad).unwrap_err();
            assert!(error.contains(message) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_keys_beside_the_url() {
        let text = |keys: &str| format!("{SERVER}{keys}\n{REALM}{ROUTE}");
        assert_error(&text("connections = 5"), "store.connections: applies only to postgres://");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "hunter2\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let file = file.display();
        assert_error(&text(&format!("password_file = \"{file}\"")), "store.password_file: applies only to postgres://");
        let url = |url: &str, keys: &str| text(keys).replace("sqlite:///var/lib/t.db", url);
        assert_error(
            &url("postgres://u:hunter2@h/d", &format!("password_file = \"{file}\"")),
            "store.password_file: can't be combined with a password in url",
        );
        assert_error(&url("postgres://u@h/d", "password_file = \"/nonexistent/p\""), "does not exist");
        assert_error(&url("postgres://u@h/d", "connections = 0"), "store.connections: 0 is out of range");
        assert_error(&url("postgres://u@h/d", "connection = 1"), "unknown key");

        let read = |text: &str| parse(text, Path::new("/nonexistent/t.toml"), Mode::Start).unwrap();
        let of = |config: &Config| match &config.store {
            Database::Postgres(server) => server.clone(),
            Database::Sqlite(path) => panic!("{}", path.display()),
        };
        let plain = read(&url("postgres://u@h/d", ""));
        assert_eq!(of(&plain).connections, 10);
        let with_file = read(&url("postgres://u@h/d", &format!("password_file = \"{file}\"\nconnections = 3")));
        let password = of(&with_file).password.unwrap();
        assert_eq!((password.secret.as_str(), password.from_file, of(&with_file).connections), ("hunter2", true, 3));
        assert!(!format!("{:?}", with_file.store).contains("hunter2"));
        assert!(with_file.inputs.iter().any(|input| input.path().ends_with("password")));
        assert_eq!(plain.cold_changes(&with_file), ["store.password_file", "store.connections"]);
        let in_url = read(&url("postgres://u:p@h/d", ""));
        assert_eq!(plain.cold_changes(&in_url), ["store.url"]);
        assert_eq!(plain.cold_changes(&read(&text(""))), ["store.url"]);
        assert!(plain.cold_changes(&plain).is_empty());
    }
}
