//! `[store]`.

use std::net::IpAddr;
use std::path::Path;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use zeroize::Zeroizing;

use crate::config::database::{Database, Password, Postgres, PostgresTls, SslMode};
use crate::config::filesystem::can_write_file;
use crate::config::outside::Outside;
use crate::config::pem::CaFile;
use crate::config::reader::{Keys, Section};
use crate::config::tls::{Certificate, Unfit};

/// Its keys.
pub(in crate::config) const KEYS: Keys =
    Keys { header: "[store]", known: &["url", "password_file", "connections"], later: &[], parent: None };

/// What is in it.
pub(in crate::config) fn read(section: &Section<'_>, outside: &Outside) -> Option<Database> {
    let example = "\"sqlite:///var/lib/tollgate/tollgate.db\" or \"postgres://user@host/database\"";
    let connections = section.number("connections", 1..=1000, DEFAULT_CONNECTIONS).try_into().ok()?;
    let database = section.required("url", example, |text| url(text, outside))?;
    let Database::Postgres(mut postgres) = database else {
        for key in ["password_file", "connections"] {
            if section.has(key) {
                section.error(key, "is for postgres:// only: remove it");
            }
        }
        if let Database::Sqlite(path) = &database
            && outside.rehearses()
            && let Err(problem) = can_write_file(path)
        {
            section.error("url", format!("{problem}: write the path of a file that this user can write to"));
        }
        return Some(database);
    };
    postgres.connections = connections;
    if section.has("password_file") {
        if postgres.password.is_some() {
            section.error("password_file", "excludes a password in url: write only one of the two");
        }
        let secret = section.optional("password_file", |path| outside.secret(path))?;
        postgres.password = Some(Password { secret, from_file: true });
    }
    Some(Database::Postgres(postgres))
}

/// None of the messages quotes the URL, which may hold a password.
fn url(text: &str, outside: &Outside) -> Result<Database, String> {
    match text.split(':').next() {
        Some("sqlite") => sqlite(text, outside.base()),
        Some("postgres" | "postgresql") => Ok(Database::Postgres(Box::new(postgres(text, outside)?))),
        _ => {
            Err("is no URL of a store: write \"sqlite:///absolute/path.db\" or \"postgres://user@host/database\""
                .into())
        }
    }
}

fn sqlite(text: &str, base: &Path) -> Result<Database, String> {
    let Some(path) = text.strip_prefix("sqlite://") else {
        return Err("two slashes are missing: write \"sqlite:///absolute/path.db\" or \"sqlite://relative.db\"".into());
    };
    let problem = if path.is_empty() || path.ends_with('/') {
        "names no file: write \"sqlite:///absolute/path.db\" or \"sqlite://relative.db\""
    } else if path.starts_with(":memory:") {
        "a store in memory would forget every user at the next start: write the path of a file"
    } else if path.contains(['?', '#', '%']) {
        // The store takes the path as it is written. Who writes one of these expects something else of it.
        "has parameters or percent-encoding, and neither is supported: write a path without ?, # and %"
    } else {
        return Ok(Database::Sqlite(base.join(path)));
    };
    Err(problem.into())
}

fn postgres(text: &str, outside: &Outside) -> Result<Postgres, String> {
    // Its errors are sentences about what they miss, and quote nothing.
    let url = Url::parse(text)
        .map_err(|error| format!("is no URL ({error}): write {FORM}, with special characters percent-encoded"))?;
    if url.fragment().is_some() {
        return Err(format!("has a #: write {FORM}, with %23 for it"));
    }
    let mut parameters = Parameters::of(&url)?;
    let host = match (parameters.host.take(), url.host_str()) {
        (Some(directory), _) if directory.starts_with('/') => directory,
        (Some(_), _) => {
            return Err("its parameter host is for the directory of a socket: write an absolute path".into());
        }
        (None, Some(host)) => decoded(host.trim_matches(['[', ']']))?,
        (None, None) => return Err(format!("names no host: write {FORM}, or ?host=/directory/of/a/socket")),
    };
    if host.contains(',') {
        return Err("names several hosts: write one, and let it be an address that moves with the server".into());
    }
    let database = decoded(url.path().trim_start_matches('/'))?;
    if database.is_empty() || database.contains('/') {
        return Err(format!("names no database: write {FORM}"));
    }
    let user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
    let password = url.password().map(decoded).transpose()?;
    let tls = tls(&host, parameters, outside)?;
    let password = password.map(|secret| Password { secret: secret.into(), from_file: false });
    let port = url.port().unwrap_or(DEFAULT_PORT);
    Ok(Postgres { host, port, user, password, database, tls, connections: 0 })
}

/// What stands behind the question mark, in the names of libpq.
#[derive(Default)]
struct Parameters {
    host: Option<String>,
    mode: Option<SslMode>,
    roots: Option<String>,
    client: (Option<String>, Option<String>),
}

impl Parameters {
    fn of(url: &Url) -> Result<Self, String> {
        let mut parameters = Self::default();
        // Not as a form, in which a plus is a space.
        for pair in url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or("has a parameter without a value")?;
            let value = decoded(value)?;
            match name {
                "host" => parameters.host = Some(value),
                "sslmode" => parameters.mode = Some(mode(&value)?),
                "sslrootcert" => parameters.roots = Some(value),
                "sslcert" => parameters.client.0 = Some(value),
                "sslkey" => parameters.client.1 = Some(value),
                _ => {
                    return Err(
                        "has an unknown parameter: there are host, sslmode, sslrootcert, sslcert and sslkey".into()
                    );
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
        // The driver trusts the system's authorities in any case, from which anybody gets a certificate for some name.
        "verify-ca" => Err("sslmode=verify-ca would take anybody's certificate: write sslmode=verify-full".into()),
        // Not quoted, as nothing of the URL is.
        _ => Err("its sslmode must be disable or prefer or require or verify-full: write one of them".into()),
    }
}

/// Over a network the server has to prove who it is, unless the URL says something else.
fn tls(host: &str, parameters: Parameters, outside: &Outside) -> Result<PostgresTls, String> {
    let mode = match parameters.mode {
        _ if host.starts_with('/') => SslMode::Disable,
        Some(mode) => mode,
        None if is_this_machine(host) => SslMode::Prefer,
        None => SslMode::VerifyFull,
    };
    if parameters.roots.is_some() && mode != SslMode::VerifyFull {
        return Err("has sslrootcert, which only counts with sslmode=verify-full: write both, or neither".into());
    }
    let roots = parameters.roots.map(|path| CaFile::read(&path, outside)).transpose()?.map(|file| file.text);
    let client = match parameters.client {
        (Some(certificate), Some(key)) => Some(client(&certificate, &key, outside)?),
        (None, None) => None,
        _ => return Err("has only one of sslcert and sslkey: write both, or neither".into()),
    };
    Ok(PostgresTls { mode, roots, client })
}

/// The certificate chain that the gate shows, and its key.
fn client(chain: &str, key: &str, outside: &Outside) -> Result<(Vec<u8>, Zeroizing<String>), String> {
    let (chain_path, key_path) = (outside.file(chain)?, outside.file(key)?);
    let (chain, key) = (outside.public_file(&chain_path)?, outside.secret(key)?);
    let problem = match Certificate::read(&chain, &key) {
        Ok(_) => return Ok((chain, key)),
        Err(Unfit::Chain(problem)) => format!("{} {problem}", chain_path.display()),
        Err(Unfit::Key(problem)) => format!("{} {problem}", key_path.display()),
    };
    Err(problem)
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn decoded(text: &str) -> Result<String, String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err("has percent-encoding that is no text".into()),
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
    use crate::config::input::Input;
    use crate::config::sections::fixture::{REALM, ROUTE, SERVER, assert_error};
    use crate::config::{Config, Mode, parse};

    fn at(base: &str, text: &str) -> Result<Database, String> {
        let file = Input::look(&Path::new(base).join("t.toml"));
        url(text, &Outside::new(file, None, false, 0))
    }

    fn server(text: &str) -> Postgres {
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
    fn a_server_is_named_as_its_own_tools_name_it() {
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
    fn a_server_elsewhere_proves_who_it_is_unless_told() {
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
    fn what_is_no_store_is_not_quoted() {
        for (bad, message) in [
            ("mysql://u:hunter2@h/d", "no URL of a store"),
            ("hunter2", "no URL of a store"),
            ("sqlite:hunter2.db", "two slashes"),
            ("sqlite::memory:", "two slashes"),
            ("sqlite://:memory:", "forget"),
            ("sqlite://", "names no file"),
            ("sqlite:///var/", "names no file"),
            ("sqlite:///a.db?mode=memory&p=hunter2", "parameters"),
            ("sqlite:///a%20b.db", "percent"),
            ("postgres:hunter2", "names no host"),
            ("postgres://u:hunter2@h", "names no database"),
            ("postgres://u:hunter2@h/", "names no database"),
            ("postgres://u:hunter2@h/a/b", "names no database"),
            ("postgres:///d", "names no host"),
            ("postgres://u:hunter2@/d", "is no URL (empty host)"),
            ("postgres://u:hunter2@h:x/d", "is no URL (invalid port number)"),
            ("postgres://u:hunter2#3@h/d", "is no URL"),
            ("postgres://u:p@h/d#hunter2", "%23"),
            ("postgres://u:%ff@h/d", "no text"),
            ("postgres://u:p@h/d%00", "no text"),
            ("postgres://u@h1,h2/d", "several hosts"),
            ("postgres://u@h/d?host=other", "absolute path"),
            ("postgres://u@h/d?hunter2=x", "unknown parameter"),
            ("postgres://u@h/d?password=hunter2", "unknown parameter"),
            ("postgres://u@h/d?sslmode", "without a value"),
            ("postgres://u@h/d?sslmode=hunter2", "its sslmode must be"),
            ("postgres://u@h/d?sslmode=allow", "its sslmode must be"),
            ("postgres://u@h/d?sslmode=verify-ca", "verify-full"),
            ("postgres://u@h/d?sslmode=require&sslrootcert=/ca", "only counts with sslmode=verify-full"),
            ("postgres://u@h/d?sslrootcert=/nonexistent/ca", "does not exist"),
            ("postgres://u@h/d?sslrootcert=/proc/self/status", "no certificate"),
            ("postgres://u@h/d?sslcert=/c", "only one of sslcert and sslkey"),
        ] {
            let error = at("/etc", bad).unwrap_err();
            assert!(error.contains(message) && !error.contains("hunter2"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_keys_beside_the_url() {
        let text = |keys: &str| format!("{SERVER}{keys}\n{REALM}{ROUTE}");
        assert_error(&text("connections = 5"), "store.connections: is for postgres:// only");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "hunter2\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let file = file.display();
        assert_error(&text(&format!("password_file = \"{file}\"")), "store.password_file: is for postgres:// only");
        let url = |url: &str, keys: &str| text(keys).replace("sqlite:///var/lib/t.db", url);
        assert_error(
            &url("postgres://u:hunter2@h/d", &format!("password_file = \"{file}\"")),
            "store.password_file: excludes a password in url",
        );
        assert_error(&url("postgres://u@h/d", "password_file = \"/nonexistent/p\""), "does not exist");
        assert_error(&url("postgres://u@h/d", "connections = 0"), "store.connections: 0 is out of range");
        assert_error(&url("postgres://u@h/d", "connection = 1"), "unknown key");

        let read = |text: &str| parse(text, Path::new("/nonexistent/t.toml"), Mode::Check).unwrap();
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
