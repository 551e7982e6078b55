//! Reads a file into a [`Config`].

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::file::{FileKeys, owners};
use super::host::Host;
use super::input::Input;
use super::limits::Limits;
use super::login::Login;
use super::policy::Policy;
use super::schema::Setting;
use super::server::ServerSettings;
use super::size;
use super::warnings;
use crate::clock::now;
use crate::config::error::{Diagnostic, Errors};
use crate::config::external::{ExternalInputs, Noted};
use crate::config::limits::read as limits;
use crate::config::log::read as log;
use crate::config::login::cognito::read as cognito;
use crate::config::login::cognito::read::UserPools;
use crate::config::login::read as login;
use crate::config::published_jwks::PublishedJwks;
use crate::config::reader::report::Reported;
use crate::config::reader::syntax;
use crate::config::reader::{ErrorCollector, Section};
use crate::config::realm::declared::Realms;
use crate::config::realm::read as realm;
use crate::config::route::read as route;
use crate::config::route::{Route, RouteConflict, RouteTable, Rule};
use crate::config::sealed::Sealed;
use crate::config::server::read as server;
use crate::config::server::read::ServerKeys;
use crate::config::store::Database;
use crate::config::store::read as store;
use crate::config::store::read::StoreKeys;
use crate::config::tls::read as tls;
use crate::config::tls::read::TlsKeys;
use crate::filesystem::io_error_text;
use crate::keystore::PendingKey;
use crate::token::IssuerKeys;

#[derive(Debug)]
pub struct Config {
    /// `[server]`: a change requires a restart.
    pub server: ServerSettings,
    /// `[store]`: a change requires a restart.
    pub store: Database,
    /// The reloadable sections.
    pub policy: Policy,
    pub pending: Pending,
    /// Only for [`Mode::Rehearse`].
    pub reach: Option<Reach>,
    /// In the order of the lines.
    pub warnings: Vec<Diagnostic>,
    /// Every file and directory that was read, the configuration file first, each with its state at that time.
    pub inputs: Vec<Input>,
}

/// Files to write before the configuration takes effect. This module writes no file: neither a check nor a file with errors
/// changes the system.
#[derive(Debug)]
pub struct Pending {
    /// First signing keys, each with the location of its directory's name.
    pub keys: Vec<(Diagnostic, PendingKey)>,
    /// Location of the audit file's name, for an error.
    pub audit: Option<Diagnostic>,
}

/// Services that a start depends on. This module does not connect to them. Each diagnostic has the location in the file, and no
/// message.
#[derive(Debug)]
pub struct Reach {
    pub store: Diagnostic,
    pub issuers: Vec<(Diagnostic, Arc<IssuerKeys>)>,
    /// Host names of upstreams, and their ports.
    pub names: Vec<(Diagnostic, Host, u16)>,
}

#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Start, or a command. A realm without signing keys gets a key in memory ([`Pending`]).
    Start,
    /// Check. It also checks, without writing, whether a start could write its files.
    Rehearse,
    /// Reload instead of this policy. The signing keys of its realms must still exist.
    Reload(&'a Policy),
}

/// Reads the file at `path`, and the files named in it. Blocks.
///
/// # Errors
/// All errors of the file.
pub fn load(path: &Path, mode: Mode<'_>) -> Result<Config, Errors> {
    // Before it is read, so that a change in the meantime is detected later.
    let input = Input::stat(path);
    let unreadable = |place, message| Errors::unreadable(path, input.clone(), place, message);
    let bytes = read_file(path).map_err(|message| unreadable(None, message))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let (good, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = 1 + bytes[..good].iter().filter(|byte| **byte == b'\n').count();
        let before = bytes[..good].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let column = 1 + String::from_utf8_lossy(before).chars().count();
        unreadable(Some((line, column)), "is not UTF-8 text: save it as UTF-8".into())
    })?;
    read(&text, path, input, mode)
}

/// Reads the file, which can be a pipe.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::IsADirectory => "is a directory: write the path of the file in it".to_owned(),
        _ => format!("can't be read: {}", io_error_text(error)),
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is larger than {}: write the path of a configuration", size::format(MAX_FILE)));
    }
    Ok(bytes)
}

/// Reads `text` as the text of the file at `file`.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, file: &Path, mode: Mode<'_>) -> Result<Config, Errors> {
    read(text, file, Input::stat(file), mode)
}

fn read(text: &str, file: &Path, input: Input, mode: Mode<'_>) -> Result<Config, Errors> {
    let (readable, syntax) = syntax::repair(text);
    let (table, duplicates) = DeTable::parse_recoverable(&readable);
    let report = ErrorCollector::new(file, text, &syntax, &duplicates).with_owners(owners);
    let root = Section::root(&report, table.get_ref(), &FileKeys::SECTION);
    let mut file_keys = FileKeys::read(&root);

    if !file_keys.server.is_written() {
        file_keys.server.missing("is missing: write [server] with listen = [\"127.0.0.1:8080\"]");
    }
    let server_keys = file_keys.server.as_ref().map(ServerKeys::read);
    let insecure_key_files = server_keys.as_ref().is_some_and(|keys| *keys.insecure_key_files);
    let tls_keys = server_keys.as_ref().and_then(|keys| keys.tls.as_ref()).map(TlsKeys::read);
    let server = server_keys.as_ref().map(|keys| server::read(keys, tls_keys.as_ref()));
    if let (Mode::Rehearse, Some(keys), Some(server)) = (mode, &server_keys, &server) {
        server::rehearse(keys, tls_keys.as_ref(), server);
    }
    let rehearses = matches!(mode, Mode::Rehearse);
    let external = ExternalInputs::new(input, credentials_directory(), insecure_key_files, now()).rehearsing(rehearses);
    if !file_keys.store.is_written() {
        file_keys.store.missing("is missing: write [store] with url = \"sqlite:///var/lib/tollgate/tollgate.db\"");
    }
    let store_keys = file_keys.store.as_ref().map(StoreKeys::read);
    let store = store_keys.as_ref().map(|keys| store::read(keys, &external));
    let limits = file_keys.limits.as_ref().map(limits::read).unwrap_or_default();
    let log = file_keys.log.as_ref().map(|section| log::read(section, external.base())).unwrap_or_default();
    let current = match mode {
        Mode::Reload(policy) => Some(policy),
        Mode::Start | Mode::Rehearse => None,
    };
    let in_force = current.and_then(|policy| policy.tls.as_ref());
    let tls = tls_keys.as_ref().and_then(|keys| tls::read(keys, &external, in_force).ok());
    let realm_sections = std::mem::take(&mut file_keys.realm.value);
    let logins = &file_keys.login;
    let pools = cognito::read_all(logins, &external);
    if !file_keys.realm.is_written() {
        file_keys.realm.missing("is missing: write at least one [[realm]]");
    }
    let mut realms = realm::read_all(
        realm_sections,
        |name| login::of_realm(logins, &pools, name),
        &external,
        current.map_or(&[], |policy| &policy.realms),
    );
    if file_keys.realm.is_refused() {
        // A login or a route can name a realm with an invalid header.
        realms.misnamed = Some(file_keys.realm.reported());
    }
    let routing = routing(&root, &file_keys, &pools, &realms, (server.as_ref(), &limits), &external);

    if let Ok(routing) = &routing
        && report.is_empty()
    {
        warnings::between_sections(&report, &file_keys.route, &realms, routing);
    }

    let Noted { inputs, new_keys, issuers, names } = external.finish();
    if let Mode::Reload(current) = mode {
        for key in new_keys.iter().filter(|key| key.only) {
            // SECURITY.md R43: a new key would end every session silently.
            if current.realms.iter().any(|realm| realm.keys_dir.path == key.key.dir.path) {
                let message = format!(
                    "no signing key found in {}: restore the key files. A restart without them creates a new key and ends every session",
                    key.key.dir.path.display()
                );
                report.error(key.place.at, key.place.key.clone(), message);
            }
        }
    }
    if rehearses {
        for key in &new_keys {
            if let Err(message) = key.key.can_be_saved() {
                report.error(key.place.at, key.place.key.clone(), message);
            }
        }
        if let Some(section) = file_keys.log.as_ref() {
            log::rehearse(section, &log);
        }
    }
    match (server, store, routing) {
        (Some(server), Some(Ok(store)), Ok(routing)) if report.is_empty() => {
            let realms: Vec<_> = realms.declared.into_iter().filter_map(|declared| declared.realm.ok()).collect();
            let mut cookie_names: Vec<_> = realms.iter().map(|realm| realm.cookie.name.to_owned()).collect();
            cookie_names.sort();
            cookie_names.dedup();
            let key_sets = PublishedJwks::new(&realms);
            let policy = Policy { _sealed: Sealed(()), realms, routing, cookie_names, key_sets, limits, log, tls };
            let pending = Pending {
                keys: new_keys.into_iter().map(|new| (report.blank(new.place), new.key)).collect(),
                audit: file_keys.log.as_ref().map(|section| report.blank(section.place("audit"))),
            };
            let reach = store_keys.filter(|_| rehearses).map(|keys| Reach {
                store: report.blank(keys.url.place()),
                issuers: issuers.into_iter().map(|(place, keys)| (report.blank(place), keys)).collect(),
                names: names.into_iter().map(|(place, host, port)| (report.blank(place), host, port)).collect(),
            });
            let Errors { warnings, inputs, .. } = report.finish(inputs);
            Ok(Config { server, store, policy, pending, reach, warnings, inputs })
        }
        _ => Err(report.finish(inputs)),
    }
}

impl Config {
    /// Rejects a file that was read without an error, for errors that showed when it was prepared.
    #[must_use]
    pub fn reject(self, errors: Vec<Diagnostic>) -> Errors {
        Errors { errors, warnings: self.warnings, inputs: self.inputs }
    }

    /// Returns the keys that differ in `other` and require a restart, such as `server.listen`.
    #[must_use]
    pub fn cold_changes(&self, other: &Self) -> Vec<&'static str> {
        let mut keys = self.server.differences(&other.server);
        keys.extend(self.store.differences(&other.store));
        keys
    }
}

fn routing(
    root: &Section<'_>,
    file: &FileKeys<'_>,
    pools: &UserPools,
    realms: &Realms,
    process: (Option<&ServerSettings>, &Limits),
    external: &ExternalInputs,
) -> Result<RouteTable, Reported> {
    let is_absent = |sections: &Setting<'_, Vec<Section<'_>>>| !sections.is_written() && !sections.is_refused();
    if is_absent(&file.login) && is_absent(&file.route) {
        root.missing("", "the file defines no login and no route: write at least one [[login]] or [[route]]");
    }
    let logins = file.login.iter().enumerate();
    let logins = logins.map(|(index, section)| (section, login::read(section, index, pools.of_login(index), realms)));
    let (login_sections, logins): (Vec<_>, Vec<Arc<Login>>) =
        logins.filter_map(|(section, login)| Some((section, login.ok()?))).unzip();
    let routes = file.route.iter().enumerate();
    let routes = routes.map(|(index, section)| (section, route::read(section, index, realms, process, external)));
    let (route_sections, routes): (Vec<_>, Vec<Arc<Route>>) =
        routes.filter_map(|(section, route)| Some((section, route.ok()?))).unzip();
    let report = |clashes: Vec<RouteConflict>| {
        for clash in clashes {
            match clash {
                RouteConflict::Login { earlier, later } => {
                    let (earlier, later) = (login_sections[earlier], login_sections[later]);
                    let place = format!("{} (line {})", earlier.path(), earlier.line());
                    later.error("path", format!("duplicates the path of {place}: write a different path"));
                }
                RouteConflict::RouteOfLogin { route, login } => {
                    let (route, login) = (route_sections[route], login_sections[login]);
                    let place = format!("{} (line {})", route.path(), route.line());
                    login.error("path", format!("{place} has a path of this login, so its requests would never reach the route: write a different path or host in one of the two"));
                }
                RouteConflict::Reserved { login, path } => {
                    let message = format!(
                        "Tollgate publishes its keys at \"{path}\", so no request would reach the login: write a different path"
                    );
                    login_sections[login].error("path", message);
                }
                RouteConflict::Opaque { route, rule } => {
                    let place = match rule {
                        Rule::Route(other) => {
                            format!("{} (line {})", route_sections[other].path(), route_sections[other].line())
                        }
                        Rule::Login(login) => {
                            format!("{} (line {})", login_sections[login].path(), login_sections[login].line())
                        }
                        Rule::Reserved(path) => format!("the key set at \"{path}\""),
                    };
                    route_sections[route].error("path_rules", format!("{place} is below this route, and an application can interpret a path in a different way: write path_rules = \"strict\""));
                }
                RouteConflict::Own(login) => {
                    let section = login_sections[login];
                    // The dialect has one of the two.
                    let key = if section.has("callback_path") { "callback_path" } else { "logout_path" };
                    section.error(key, "duplicates another path of this login: write a different path");
                }
                RouteConflict::Route { earlier, later } => {
                    let (earlier, later) = (route_sections[earlier], route_sections[later]);
                    let place = format!("{} (line {})", earlier.path(), earlier.line());
                    later.error("path", format!("conflicts with {place} (same host, path and method): change the path, or set disjoint methods in both routes"));
                }
            }
        }
    };
    let names = realms.declared.iter().map(|declared| declared.name.as_str());
    RouteTable::new(logins, routes, &PublishedJwks::paths(names)).map_err(|clashes| {
        report(clashes);
        root.reported()
    })
}

/// Bytes. Enough for 100,000 routes.
const MAX_FILE: u64 = 16 << 20;

fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::config::fixture::{LOGIN, REALM, ROUTE, SERVER, check, errors, with};
    use crate::config::{
        Access, DatabasePassword, Dialect, Effect, EncodedSlash, ForwardedFamily, LoadBalancing, Proxies, SameSite,
        ServerAddress, reference,
    };

    #[test]
    fn defaults() {
        let config = check(&format!("{SERVER}{REALM}{LOGIN}{ROUTE}")).unwrap();
        let server = &config.server;
        assert_eq!(server.listen, ["127.0.0.1:8080".parse().unwrap()]);
        assert_eq!(server.admin, Some("127.0.0.1:9080".parse().unwrap()));
        assert!(server.threads >= 1 && server.hash_threads >= 1 && server.hash_threads <= server.threads);
        assert!(server.proxies.networks.is_empty() && !server.h2c && server.admin_hosts.is_empty());
        assert_eq!((server.shutdown_grace, server.hash_queue), (Duration::from_secs(30), 64));
        let realm = config.policy.realm("a").unwrap();
        assert_eq!((realm.tokens.issuer.as_str(), realm.tokens.audience.as_str()), ("https://a.example", "a"));
        assert_eq!((realm.tokens.leeway, realm.token_ttl), (5, Duration::from_secs(30 * 86_400)));
        let cookie = &realm.cookie;
        assert_eq!((cookie.name.as_str(), cookie.same_site), ("__Host-a", SameSite::Lax));
        assert!(cookie.secure && !cookie.partitioned && !realm.require_origin && !realm.users.registration_open);
        assert!(realm.origins.allows_any() && !realm.origins.any_with_credentials);
        assert!(!realm.is_master_key(""));
        assert_eq!(config.policy.cookie_names, ["__Host-a"]);
        let login = &config.policy.routing.logins[0];
        assert!(matches!(login.dialect, Dialect::Project(_)) && login.path == "/login");
        let route = &config.policy.routing.routes[0];
        assert_eq!((route.index, route.path.as_str(), route.access), (0, "/", Access::User));
        assert_eq!(route.encoded_slash, EncodedSlash::Reject);
        assert!(!route.forward_token && !route.restricts_methods() && route.roles.is_empty());
        let upstream = &route.upstream;
        let addresses: Vec<_> = upstream.servers.iter().map(ServerAddress::address).collect();
        assert_eq!(addresses, [Some("127.0.0.1:3000".parse().unwrap())]);
        assert_eq!((upstream.balance, upstream.retries), (LoadBalancing::RoundRobin, 3));
        assert_eq!((upstream.eject_after, upstream.eject_for), (3, Duration::from_secs(5)));
        assert!(upstream.health_check.is_none() && upstream.authorities.is_none());
        assert_eq!(
            (upstream.connect_timeout, upstream.read_timeout),
            (Duration::from_secs(3), Duration::from_secs(60))
        );
        assert_eq!((upstream.write_timeout, upstream.idle_timeout), (Duration::from_secs(60), Duration::from_secs(60)));
        assert_eq!(upstream.tunnel_timeout, Duration::from_secs(3600));
        let inputs: Vec<_> = config.inputs.iter().map(Input::path).collect();
        assert_eq!(inputs, ["/nonexistent/t.toml", "/nonexistent/keys/a"].map(Path::new));
    }

    #[test]
    fn an_empty_file_lacks_the_required_sections() {
        let errors = check("").unwrap_err().to_string();
        for key in
            ["server: is missing", "store: is missing", "realm: is missing", "the file defines no login and no route"]
        {
            assert!(errors.contains(&format!("t.toml:1:1: {key}")), "{errors}");
        }
    }

    #[test]
    fn every_error_of_every_section_at_once() {
        let text = "[server]\nlisten = []\nadmin = \"localhost:9080\"\nthreds = 2\n[store]\nurl = \"postgre://u:hunter2@h/d\"\n\
                    [[realm]]\nname = \"A\"\ntoken_ttl = 5\n[[login]]\ndialect = \"oauth\"\npath = \"login\"\nrealm = \"A\"\n\
                    [[route]]\naccess = \"all\"\n[[routes]]\n";
        let errors = check(text).unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| (error.line.unwrap(), error.key.as_str())).collect();
        assert_eq!(
            found,
            [
                (2, "server.listen"),
                (3, "server.admin"),
                (4, "server.threds"),
                (6, "store.url"),
                (7, "realm[0].issuer"),
                (8, "realm[0].name"),
                (9, "realm[0].token_ttl"),
                (11, "login[0].dialect"),
                (12, "login[0].path"),
                (14, "route[0].path"),
                (14, "route[0].realm"),
                (14, "route[0].upstream"),
                (15, "route[0].access"),
                (16, "routes"),
            ]
        );
        assert!(!errors.to_string().contains("hunter2"));
    }

    #[test]
    fn names_paths_and_key_directories_are_unique() {
        let second = REALM.replace("\"a\"", "\"b\"");
        let errors_of = |text: String| check(&format!("{SERVER}{REALM}{text}{LOGIN}")).unwrap_err().to_string();
        let apart = format!("{SERVER}{REALM}{second}cookie = \"__Host-a\"\nkeys_dir = \"keys/a\"\n{LOGIN}");
        assert_eq!(check(&apart).unwrap().policy.cookie_names, ["__Host-a"], "another audience");
        assert!(errors_of(REALM.to_owned()).contains("duplicates the name of another realm"));
        let same_keys = format!("{second}audience = \"a\"\nkeys_dir = \"keys/./a\"\n");
        assert!(errors_of(same_keys).contains("is shared with realm.a (line 5)"));
        assert!(
            errors(&format!("{LOGIN}{LOGIN}"))[0].contains("login[1].path: duplicates the path of login[0] (line 9)")
        );
        assert!(errors(&format!("{ROUTE}{ROUTE}"))[0].contains("route[1].path: conflicts with route[0] (line 9)"));
        let methods = |list: &str| format!("{ROUTE}methods = {list}\n");
        assert!(errors(&format!("{}{ROUTE}", methods("[\"GET\"]")))[0].starts_with("16: route[1].path"));
        assert!(errors(&format!("{}{}", methods("[\"GET\"]"), methods("[\"GET\", \"POST\"]"))).len() == 1);
        assert!(errors(&format!("{}{}", methods("[\"GET\"]"), methods("[\"POST\"]"))).is_empty());
        assert!(errors(&format!("{ROUTE}{ROUTE}host = \"a.example\"\n")).is_empty());
        assert_eq!(errors(&format!("{ROUTE}{ROUTE}{ROUTE}")).len(), 2, "all clashes at once");
    }

    #[test]
    fn a_login_conflicts_with_other_rules_for_its_requests() {
        let login = |keys: &str| with(LOGIN, keys);
        let route = |keys: &str| with(ROUTE, keys);
        for (text, expected) in [
            (
                format!("{LOGIN}{}", route(r#"path = "/login""#)),
                Some("login[0].path: route[0] (line 13) has a path of this login"),
            ),
            (
                format!("{}{}", login(r#"host = "a.example""#), route(r#"path = "/login""#)),
                Some("has a path of this login"),
            ),
            (format!("{LOGIN}{}", route("path = \"/login\"\nhost = \"a.example\"")), Some("has a path of this login")),
            (format!("{}{}", login(r#"host = "a.example""#), route("path = \"/login\"\nhost = \"b.example\"")), None),
            (format!("{LOGIN}{}", route(r#"path = "/login/x""#)), None),
            (
                format!("{}{}", login("dialect = \"tenant\""), route(r#"path = "/LOGIN/refresh""#)),
                Some("has a path of this login"),
            ),
            (login(r#"path = "/.well-known/jwks.json""#), Some("login[0].path: Tollgate publishes its keys")),
            (login(r#"path = "/a/.well-known/jwks.json""#), Some("login[0].path: Tollgate publishes its keys")),
            (login(r#"path = "/b/.well-known/jwks.json""#), None),
            (format!("{LOGIN}{}", login(r#"host = "a.example""#)), None),
            (format!("{0}{0}", login(r#"host = "a.example""#)), Some("login[1].path: duplicates the path of login[0]")),
            (
                format!("{}{}", login(r#"host = "a.example""#), login(r#"host = "A.example.""#)),
                Some("duplicates the path of login[0]"),
            ),
            (format!("{}{}", login(r#"host = "a.example""#), login(r#"host = "b.example""#)), None),
            (login(r#"host = "*.example""#), Some("login[0].host: invalid host \"*.example\": a pattern")),
        ] {
            let found = errors(&text);
            assert_eq!(found.len(), usize::from(expected.is_some()), "{text}: {found:?}");
            assert!(expected.is_none_or(|expected| found[0].contains(expected)), "{text}: {found:?}");
        }
    }

    #[test]
    fn r59_an_opaque_route_has_no_rules_below_it() {
        let opaque =
            |path: &str, more: &str| with(ROUTE, &format!("path = \"{path}\"\npath_rules = \"opaque\"\n{more}"));
        let other = |path: &str, more: &str| with(ROUTE, &format!("path = \"{path}\"\n{more}"));
        let (a, b) = ("host = \"a.example\"", "host = \"b.example\"");
        for (text, expected) in [
            (opaque("/", ""), None),
            (
                format!("{}{}", opaque("/", ""), other("/admin", "")),
                Some("route[0].path_rules: route[1] (line 17) is below this route"),
            ),
            (format!("{}{}", opaque("/", ""), other("/admin", a)), Some("route[1]")),
            (format!("{}{}", opaque("/", a), other("/admin", "")), None),
            (format!("{}{}", opaque("/", a), other("/admin", b)), None),
            (format!("{}{}", opaque("/app", ""), other("/app/x", "")), Some("route[1]")),
            (format!("{}{}", opaque("/app", ""), other("/apps", "")), None),
            (format!("{}{}", opaque("/app", ""), other("/", "")), None),
            (format!("{}{LOGIN}", opaque("/", "")), Some("login[0]")),
            (format!("{}{LOGIN}", opaque("/app", "")), None),
            (format!("{}{}", opaque("/", a), with(LOGIN, b)), None),
            (format!("{}{}", opaque("/", a), with(LOGIN, a)), Some("login[0]")),
            (
                format!("{}{}", opaque("/login", ""), with(LOGIN, "dialect = \"tenant\"\npath = \"/Login/X\"")),
                Some("login[0]"),
            ),
            (opaque("/a", ""), Some("the key set at \"/a/.well-known/jwks.json\"")),
            (opaque("/.well-known", ""), Some("the key set")),
        ] {
            let found = errors(&text);
            assert_eq!(found.len(), usize::from(expected.is_some()), "{text}: {found:?}");
            assert!(expected.is_none_or(|expected| found[0].contains(expected)), "{text}: {found:?}");
        }
    }

    #[test]
    fn an_error_in_another_file_names_the_key_and_the_inputs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let key = "[[realm.key]]\nid = \"web\"\nsecret_file = \"web.key\"\n";
        fs::write(&file, format!("{SERVER}{REALM}{key}{LOGIN}")).unwrap();
        let errors = load(&file, Mode::Start).unwrap_err();
        assert_eq!((errors[0].line, errors[0].key.as_str()), (Some(11), "realm.a.key[0].secret_file"));
        let secret = dir.path().join("web.key");
        let mut inputs = errors.inputs.to_vec();
        let paths: Vec<_> = inputs.iter().map(Input::path).collect();
        assert_eq!(paths, [&file, &dir.path().join("keys/a"), &secret]);
        fs::write(&secret, "hunter2\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let errors = load(&file, Mode::Start).unwrap_err();
        let message = errors.to_string();
        assert!(message.contains("its text is shorter") && !message.contains("hunter2"), "{errors}");
        fs::write(&secret, "hunter2hunter2hunter2\n").unwrap();
        let config = load(&file, Mode::Start).unwrap();
        assert!(config.policy.realm("a").unwrap().api_key("hunter2hunter2hunter2").is_some());
        assert!(inputs[2].has_changed(), "the missing file was an input, and is there now");
        let paths = |inputs: &[Input]| inputs.iter().map(|input| input.path().to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(&config.inputs), paths(&errors.inputs));
    }

    #[test]
    fn a_file_that_is_not_there_or_not_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let errors = load(&file, Mode::Start).unwrap_err();
        assert_eq!(errors.to_string(), format!("{}: can't be read: it does not exist", file.display()));
        assert_eq!(errors.inputs, [Input::stat(&file)]);
        fs::write(&file, b"[server]\n\xff").unwrap();
        assert!(
            load(&file, Mode::Start)
                .unwrap_err()
                .to_string()
                .ends_with("t.toml:2:1: is not UTF-8 text: save it as UTF-8")
        );
    }

    #[test]
    fn changes_that_require_a_restart_are_named() {
        let config = |server: &str| check(&format!("{server}{REALM}{LOGIN}")).unwrap();
        let old = config(SERVER);
        assert!(old.cold_changes(&config(SERVER)).is_empty());
        let new = config(&with(SERVER, "listen = [\"127.0.0.1:8081\"]\nhash_queue = 1").replace("t.db", "u.db"));
        assert_eq!(old.cold_changes(&new), ["server.listen", "server.hash_queue", "store.url"]);
    }

    #[test]
    fn every_restart_only_key_is_reported_after_a_change() {
        let config =
            |url: &str| check(&format!("{}{REALM}{LOGIN}", SERVER.replace("sqlite:///var/lib/t.db", url))).unwrap();
        let old = config("postgres://u:p@h/d");
        let mut new = config("postgres://u@h/e");
        let changed = &mut new.server;
        changed.listen.clear();
        changed.admin = None;
        changed.threads += 1;
        changed.admin_hosts.push(Host::parse("a.example").unwrap());
        changed.proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()], ForwardedFamily::Rfc7239, true);
        (changed.h2c, changed.tls) = (!changed.h2c, !changed.tls);
        changed.redirect.push("127.0.0.1:80".parse().unwrap());
        changed.shutdown_grace *= 2;
        (changed.hash_threads, changed.hash_queue) = (changed.hash_threads + 1, changed.hash_queue + 1);
        changed.token_cache += 1;
        let Database::Postgres(postgres) = &mut new.store else { panic!() };
        postgres.connections += 1;
        postgres.password = Some(DatabasePassword { secret: "x".to_owned().into(), from_file: true });
        let mut reported: Vec<_> = old.cold_changes(&new).into_iter().map(str::to_owned).collect();
        let sections = reference().into_iter().skip(1);
        let declared = sections.flat_map(|section| {
            let place = section.header.trim_matches(['[', ']']).to_owned();
            let keys = section.keys.into_iter().filter(|key| key.effect == Effect::RestartOnly);
            keys.map(move |key| format!("{place}.{}", key.name)).collect::<Vec<_>>()
        });
        let mut declared: Vec<_> = declared.collect();
        declared.sort();
        reported.sort();
        assert_eq!(reported, declared);
    }
}
