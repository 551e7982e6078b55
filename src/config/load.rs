//! The way from a file to a [`Config`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::database::Database;
use super::error::{Diagnostic, Errors};
use super::host::Host;
use super::input::Input;
use super::key_sets::KeySets;
use super::limits::Limits;
use super::login::Login;
use super::outside::{Noted, Outside};
use super::policy::Policy;
use super::reader::{Report, Section};
use super::route::{Clash, Route, Routing, Rule};
use super::secret_file::reason;
use super::sections::cognito::Pools;
use super::sections::{self, Realms, cognito, limits, log, login, realm, route, server, store, tls};
use super::server::Server;
use super::syntax;
use crate::clock::now;
use crate::token::TrustedKeys;

/// Everything that a file says.
#[derive(Debug)]
pub struct Config {
    /// `[server]`: cold, only a restart changes it.
    pub server: Server,
    /// `[store]`: cold too.
    pub store: Database,
    /// All the rest: hot.
    pub policy: Policy,
    /// What only a use of the network or of the database can tell; of [`Mode::Rehearse`] only.
    pub reach: Option<Reach>,
    /// What is allowed, but hardly what the operator wants, in the order of the lines.
    pub warnings: Vec<Diagnostic>,
    /// Every file and directory that this was read from, the configuration file first, each as it was then.
    pub inputs: Vec<Input>,
}

/// What a start depends on and this module does not reach. Each diagnostic is one without a message, for the place where the
/// file names it.
#[derive(Debug)]
pub struct Reach {
    /// The database.
    pub store: Diagnostic,
    /// Keys of trusted issuers.
    pub issuers: Vec<(Diagnostic, Arc<TrustedKeys>)>,
    /// Names of upstreams, and their ports.
    pub names: Vec<(Diagnostic, Host, u16)>,
}

/// What a file is read for.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// To know what it says. Nothing is written: a realm without signing keys gets one that only lives in memory.
    Check,
    /// To know whether it can be served: all that [`Mode::Serve`] is going to write is tried, as far as that goes without
    /// writing.
    Rehearse,
    /// To serve it. A realm without a signing key of its algorithm gets a first one on the disk.
    Serve,
    /// To serve it in the place of this policy. As [`Mode::Serve`], but the realms of this policy must have kept their
    /// signing keys.
    Reload(&'a Policy),
}

/// Reads the file at `path`, and what it refers to.
///
/// Blocks: it reads files.
///
/// # Errors
/// All that is wrong. Nothing has been written then, unless writing a signing key is what failed.
pub fn load(path: &Path, mode: Mode<'_>) -> Result<Config, Errors> {
    // Before it is read: a change from then on is one that the result does not know.
    let input = Input::look(path);
    let unreadable = |message| Errors::unreadable(path, input.clone(), message);
    let bytes = std::fs::read(path).map_err(|error| unreadable(format!("can't be read: {}", reason(&error))))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| unreadable(format!("is not UTF-8 text, from byte {} on", error.utf8_error().valid_up_to())))?;
    read(&text, path, input, mode)
}

/// Reads `text` as if it were that of the file at `file`.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, file: &Path, mode: Mode<'_>) -> Result<Config, Errors> {
    read(text, file, Input::look(file), mode)
}

fn read(text: &str, file: &Path, input: Input, mode: Mode<'_>) -> Result<Config, Errors> {
    let (readable, syntax) = syntax::repair(text);
    let (table, duplicates) = DeTable::parse_recoverable(&readable);
    let report = Report::new(file, text, &syntax, &duplicates);
    let root = Section::root(&report, table.get_ref(), &sections::FILE);

    let server = root.table("server", &server::KEYS);
    if !root.has("server") {
        root.missing("server", "is missing: write [server] with listen = [\"127.0.0.1:8080\"]");
    }
    let insecure_key_files = server.as_ref().is_some_and(server::insecure_key_files);
    let tls = server.as_ref().and_then(|section| section.table("tls", &tls::KEYS));
    let server_section = server;
    let server = server_section.as_ref().map(|section| server::read(section, tls.as_ref()));
    if let (Mode::Rehearse, Some(section), Some(server)) = (mode, &server_section, &server) {
        server::rehearse(section, tls.as_ref(), server);
    }
    let rehearses = matches!(mode, Mode::Rehearse);
    let outside = Outside::new(input, credentials_directory(), insecure_key_files, now()).rehearsing(rehearses);
    let store_section = root.table("store", &store::KEYS);
    let store_place = store_section.as_ref().map(|section| section.place("url"));
    let store = store_section.and_then(|section| store::read(&section, &outside));
    if !root.has("store") {
        root.missing("store", "is missing: write [store] with url = \"sqlite:///var/lib/tollgate/tollgate.db\"");
    }
    let limits = root.table("limits", &limits::KEYS).map(|section| limits::read(&section)).unwrap_or_default();
    let log_section = root.table("log", &log::KEYS);
    let log = log_section.as_ref().map(|section| log::read(section, outside.base())).unwrap_or_default();
    let current = match mode {
        Mode::Reload(policy) => Some(policy),
        Mode::Check | Mode::Rehearse | Mode::Serve => None,
    };
    let in_force = current.and_then(|policy| policy.tls.as_ref());
    let tls = tls.and_then(|section| tls::read(&section, &outside, in_force));
    let logins = root.tables("login", &login::KEYS);
    let pools = cognito::read_all(&logins, &outside);
    let realms = realm::read_all(&root, &logins, &pools, &outside, current);
    if !root.has("realm") {
        root.missing("realm", "is missing: write at least one [[realm]]");
    }
    let routing = routing(&root, (&logins, &pools), &realms, (server.as_ref(), &limits), &outside);

    let Noted { mut inputs, new_keys, issuers, names } = outside.finish();
    if let Mode::Reload(current) = mode {
        for key in new_keys.iter().filter(|key| key.only) {
            // R43: to sign with a new key instead would end every session without a word.
            if current.realms.iter().any(|realm| realm.keys_dir.path == key.dir.path) {
                let message = format!(
                    "the signing keys in {} are gone: put them back; a restart without them makes a new one, and ends every session",
                    key.dir.path.display()
                );
                report.error(key.place.at, key.place.key.clone(), message);
            }
        }
    }
    if rehearses {
        for key in &new_keys {
            if let Err(message) = key.can_be_saved() {
                report.error(key.place.at, key.place.key.clone(), message);
            }
        }
        if let Some(section) = &log_section {
            log::rehearse(section, &log);
        }
    }
    if matches!(mode, Mode::Serve | Mode::Reload(_)) && report.is_empty() {
        // Last, so that a file with an error leaves nothing behind.
        for key in new_keys {
            match key.save(&mut inputs) {
                Ok(true) => {}
                // There is another one by now, which is to be read, too.
                Ok(false) => return parse(text, file, mode),
                Err((place, message)) => report.error(place.at, place.key, message),
            }
        }
        if let Some(section) = &log_section {
            log::open_audit(section, &log);
        }
    }
    match (server, store, routing) {
        (Some(server), Some(store), Some(routing)) if report.is_empty() => {
            let realms: Vec<_> = realms.declared.into_iter().filter_map(|declared| declared.realm).collect();
            let mut cookie_names: Vec<_> = realms.iter().map(|realm| realm.cookie().name().to_owned()).collect();
            cookie_names.sort();
            cookie_names.dedup();
            let key_sets = KeySets::of(&realms);
            let policy = Policy { realms, routing, cookie_names, key_sets, limits, log, tls };
            let reach = store_place.filter(|_| rehearses).map(|store| Reach {
                store: report.blank(store),
                issuers: issuers.into_iter().map(|(place, keys)| (report.blank(place), keys)).collect(),
                names: names.into_iter().map(|(place, host, port)| (report.blank(place), host, port)).collect(),
            });
            let Errors { warnings, inputs, .. } = report.finish(inputs);
            Ok(Config { server, store, policy, reach, warnings, inputs })
        }
        _ => Err(report.finish(inputs)),
    }
}

impl Config {
    /// The cold keys by which `self` and `other` differ, such as `server.listen`: changing them needs a restart.
    #[must_use]
    pub fn cold_changes(&self, other: &Self) -> Vec<&'static str> {
        let mut keys = self.server.differences(&other.server);
        keys.extend(self.store.differences(&other.store));
        keys
    }
}

/// `None` was reported.
fn routing(
    root: &Section<'_>,
    (login_sections, pools): (&[Section<'_>], &Pools),
    realms: &Realms,
    process: (Option<&Server>, &Limits),
    outside: &Outside,
) -> Option<Routing> {
    let route_sections = root.tables("route", &route::KEYS);
    if !root.has("login") && !root.has("route") {
        root.missing("", "nothing is served: write at least one [[login]] or [[route]]");
    }
    let logins = login_sections.iter().enumerate();
    let logins = logins.map(|(index, section)| (section, login::read(section, index, pools.of_login(index), realms)));
    let (login_sections, logins): (Vec<_>, Vec<Arc<Login>>) =
        logins.filter_map(|(section, login)| Some((section, login?))).unzip();
    let routes = route_sections.iter().enumerate();
    let routes = routes.map(|(index, section)| (section, route::read(section, index, realms, process, outside)));
    let (route_sections, routes): (Vec<_>, Vec<Arc<Route>>) =
        routes.filter_map(|(section, route)| Some((section, route?))).unzip();
    let report = |clashes: Vec<Clash>| {
        for clash in clashes {
            match clash {
                Clash::Login { earlier, later } => {
                    let (earlier, later) = (login_sections[earlier], login_sections[later]);
                    let place = format!("{} (line {})", earlier.path(), earlier.line());
                    later.error("path", format!("is the path of {place} too: write another"));
                }
                Clash::RouteOfLogin { route, login } => {
                    let (route, login) = (route_sections[route], login_sections[login]);
                    let place = format!("{} (line {})", route.path(), route.line());
                    login.error("path", format!("{place} has a path of this login, and would never get its requests: write another path or host in one of the two"));
                }
                Clash::Reserved { login, path } => {
                    let message = format!(
                        "the gate publishes its keys at \"{path}\", and the login would never be asked: write another path"
                    );
                    login_sections[login].error("path", message);
                }
                Clash::Opaque { route, rule } => {
                    let place = match rule {
                        Rule::Route(other) => {
                            format!("{} (line {})", route_sections[other].path(), route_sections[other].line())
                        }
                        Rule::Login(login) => {
                            format!("{} (line {})", login_sections[login].path(), login_sections[login].line())
                        }
                        Rule::Reserved(path) => format!("the key set at \"{path}\""),
                    };
                    route_sections[route].error("path_rules", format!("{place} lies below this route, and an app may read a path in another way than this gate: write path_rules = \"strict\""));
                }
                Clash::Own(login) => {
                    let section = login_sections[login];
                    // Whichever of the two it has.
                    let key = if section.has("callback_path") { "callback_path" } else { "logout_path" };
                    section.error(key, "is another path of this login: write another");
                }
                Clash::Route { earlier, later } => {
                    let (earlier, later) = (route_sections[earlier], route_sections[later]);
                    let place = format!("{} (line {})", earlier.path(), earlier.line());
                    later.error("path", format!("{place} has the same host and path, and takes a method that this one takes: change the path, or give both methods without one in common"));
                }
            }
        }
    };
    let names = realms.declared.iter().map(|declared| declared.name.as_str());
    Routing::new(logins, routes, &KeySets::paths(names)).map_err(report).ok()
}

fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, ROUTE, SERVER, check, errors, with};
    use crate::config::{Access, Balance, Dialect, EncodedSlash, SameSite, UpstreamServer};

    #[test]
    fn defaults() {
        let config = check(&format!("{SERVER}{REALM}{LOGIN}{ROUTE}")).unwrap();
        let server = &config.server;
        assert_eq!(server.listen(), ["127.0.0.1:8080".parse().unwrap()]);
        assert_eq!(server.admin(), Some("127.0.0.1:9080".parse().unwrap()));
        assert!(server.threads() >= 1 && server.hash_threads() >= 1 && server.hash_threads() <= server.threads());
        assert!(server.proxies().networks().is_empty() && !server.h2c() && server.admin_hosts().is_empty());
        assert_eq!((server.shutdown_grace(), server.hash_queue()), (Duration::from_secs(30), 64));
        let realm = config.policy.realm("a").unwrap();
        assert_eq!((realm.tokens().issuer.as_str(), realm.tokens().audience.as_str()), ("https://a.example", "a"));
        assert_eq!((realm.tokens().leeway, realm.token_ttl()), (5, Duration::from_secs(30 * 86_400)));
        let cookie = realm.cookie();
        assert_eq!((cookie.name(), cookie.same_site()), ("__Host-a", SameSite::Lax));
        assert!(
            cookie.secure() && !cookie.partitioned() && !realm.requires_origin() && !realm.users().registration_open()
        );
        assert!(realm.origins().is_open() && !realm.origins().any_with_credentials());
        assert!(!realm.is_master_key(""));
        assert_eq!(config.policy.cookie_names(), ["__Host-a"]);
        let login = &config.policy.routing().logins()[0];
        assert!(matches!(login.dialect(), Dialect::Project) && login.path() == "/login");
        let route = &config.policy.routing().routes()[0];
        assert_eq!((route.index(), route.path(), route.access()), (0, "/", Access::User));
        assert_eq!(route.encoded_slash(), EncodedSlash::Reject);
        assert!(!route.forwards_token() && !route.limits_methods() && route.roles().is_empty());
        let upstream = route.upstream();
        let addresses: Vec<_> = upstream.servers().iter().map(UpstreamServer::address).collect();
        assert_eq!(addresses, [Some("127.0.0.1:3000".parse().unwrap())]);
        assert_eq!((upstream.balance(), upstream.retries()), (Balance::RoundRobin, 3));
        assert_eq!((upstream.eject_after(), upstream.eject_for()), (3, Duration::from_secs(5)));
        assert!(upstream.health_check().is_none() && upstream.authorities().is_none());
        assert_eq!(
            (upstream.connect_timeout(), upstream.read_timeout()),
            (Duration::from_secs(3), Duration::from_secs(60))
        );
        assert_eq!(
            (upstream.write_timeout(), upstream.idle_timeout()),
            (Duration::from_secs(60), Duration::from_secs(60))
        );
        assert_eq!(upstream.tunnel_timeout(), Duration::from_secs(3600));
        let inputs: Vec<_> = config.inputs.iter().map(Input::path).collect();
        assert_eq!(inputs, ["/nonexistent/t.toml", "/nonexistent/keys/a"].map(Path::new));
    }

    #[test]
    fn an_empty_file_is_told_what_it_needs() {
        let errors = check("").unwrap_err().to_string();
        for key in ["server: is missing", "store: is missing", "realm: is missing", "nothing is served"] {
            assert!(errors.contains(&format!("t.toml:1:1: {key}")), "{errors}");
        }
    }

    #[test]
    fn every_error_of_every_section_at_once() {
        let text = "[server]\nlisten = []\nadmin = \"localhost:9080\"\nthreds = 2\n[store]\nurl = \"postgre://u:hunter2@h/d\"\n\
                    [[realm]]\nname = \"A\"\ntoken_ttl = 5\n[[login]]\ndialect = \"oauth\"\npath = \"login\"\nrealm = \"A\"\n\
                    [[route]]\naccess = \"all\"\n[[routes]]\n";
        let errors = check(text).unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| (error.line().unwrap(), error.key())).collect();
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
    fn what_no_two_may_share() {
        let second = REALM.replace("\"a\"", "\"b\"");
        let errors_of = |text: String| check(&format!("{SERVER}{REALM}{text}{LOGIN}")).unwrap_err().to_string();
        let apart = format!("{SERVER}{REALM}{second}cookie = \"__Host-a\"\nkeys_dir = \"keys/a\"\n{LOGIN}");
        assert_eq!(check(&apart).unwrap().policy.cookie_names(), ["__Host-a"], "another audience");
        assert!(errors_of(REALM.to_owned()).contains("is the name of a realm above too"));
        let same_keys = format!("{second}audience = \"a\"\nkeys_dir = \"keys/./a\"\n");
        assert!(errors_of(same_keys).contains("is the directory of realm.a (line 5) too"));
        assert!(errors(&format!("{LOGIN}{LOGIN}"))[0].contains("login[1].path: is the path of login[0] (line 9) too"));
        assert!(
            errors(&format!("{ROUTE}{ROUTE}"))[0]
                .contains("route[1].path: route[0] (line 9) has the same host and path")
        );
        let methods = |list: &str| format!("{ROUTE}methods = {list}\n");
        assert!(errors(&format!("{}{ROUTE}", methods("[\"GET\"]")))[0].starts_with("16: route[1].path"));
        assert!(errors(&format!("{}{}", methods("[\"GET\"]"), methods("[\"GET\", \"POST\"]"))).len() == 1);
        assert!(errors(&format!("{}{}", methods("[\"GET\"]"), methods("[\"POST\"]"))).is_empty());
        assert!(errors(&format!("{ROUTE}{ROUTE}host = \"a.example\"\n")).is_empty());
        assert_eq!(errors(&format!("{ROUTE}{ROUTE}{ROUTE}")).len(), 2, "all clashes at once");
    }

    #[test]
    fn a_login_shares_its_requests_with_nothing() {
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
            (login(r#"path = "/.well-known/jwks.json""#), Some("login[0].path: the gate publishes its keys")),
            (login(r#"path = "/a/.well-known/jwks.json""#), Some("login[0].path: the gate publishes its keys")),
            (login(r#"path = "/b/.well-known/jwks.json""#), None),
            (format!("{LOGIN}{}", login(r#"host = "a.example""#)), None),
            (format!("{0}{0}", login(r#"host = "a.example""#)), Some("login[1].path: is the path of login[0]")),
            (
                format!("{}{}", login(r#"host = "a.example""#), login(r#"host = "A.example.""#)),
                Some("is the path of login[0]"),
            ),
            (format!("{}{}", login(r#"host = "a.example""#), login(r#"host = "b.example""#)), None),
            (login(r#"host = "*.example""#), Some("login[0].host: \"*.example\" is a pattern")),
        ] {
            let found = errors(&text);
            assert_eq!(found.len(), usize::from(expected.is_some()), "{text}: {found:?}");
            assert!(expected.is_none_or(|expected| found[0].contains(expected)), "{text}: {found:?}");
        }
    }

    #[test]
    fn r59_nothing_lies_below_an_opaque_route() {
        let opaque =
            |path: &str, more: &str| with(ROUTE, &format!("path = \"{path}\"\npath_rules = \"opaque\"\n{more}"));
        let other = |path: &str, more: &str| with(ROUTE, &format!("path = \"{path}\"\n{more}"));
        let (a, b) = ("host = \"a.example\"", "host = \"b.example\"");
        for (text, expected) in [
            (opaque("/", ""), None),
            (
                format!("{}{}", opaque("/", ""), other("/admin", "")),
                Some("route[0].path_rules: route[1] (line 17) lies below this route"),
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
    fn serving_makes_a_first_key_and_checking_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        fs::write(&file, format!("{SERVER}{REALM}{LOGIN}")).unwrap();
        let keys = dir.path().join("keys/a");
        load(&file, Mode::Check).unwrap();
        assert!(!keys.exists());
        fs::write(&file, format!("{SERVER}{REALM}{LOGIN}x = 1\n")).unwrap();
        load(&file, Mode::Serve).unwrap_err();
        assert!(!keys.exists(), "nothing is written for a file with an error");
        fs::write(&file, format!("{SERVER}{REALM}{LOGIN}")).unwrap();
        let mut first = load(&file, Mode::Serve).unwrap();
        assert!(!first.inputs.iter_mut().any(Input::look_again), "what was written by this is known to it");
        let names = || fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let made = names();
        assert_eq!(made.len(), 1);
        let second = load(&file, Mode::Serve).unwrap();
        assert_eq!(names(), made, "and no second one");
        let kid = |config: &Config| format!("{:?}", config.policy.realm("a").unwrap().tokens());
        assert_eq!(kid(&first), kid(&second), "the key on the disk is the one that the first policy signs with");
        fs::set_permissions(keys.join(&made[0]), fs::Permissions::from_mode(0o644)).unwrap();
        let errors = load(&file, Mode::Serve).unwrap_err();
        assert!(errors[0].key() == "realm.a.keys_dir" && errors[0].message().contains("chmod 600"), "{errors}");
        fs::write(&file, format!("{}{REALM}{LOGIN}", with(SERVER, "insecure_key_files = true"))).unwrap();
        load(&file, Mode::Serve).unwrap();
    }

    #[test]
    fn an_error_outside_of_the_file_names_the_key_and_what_to_watch() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let key = "[[realm.key]]\nid = \"web\"\nsecret_file = \"web.key\"\n";
        fs::write(&file, format!("{SERVER}{REALM}{key}{LOGIN}")).unwrap();
        let errors = load(&file, Mode::Check).unwrap_err();
        assert_eq!((errors[0].line(), errors[0].key()), (Some(11), "realm.a.key[0].secret_file"));
        let secret = dir.path().join("web.key");
        let mut inputs = errors.inputs().to_vec();
        let paths: Vec<_> = inputs.iter().map(Input::path).collect();
        assert_eq!(paths, [&file, &dir.path().join("keys/a"), &secret]);
        fs::write(&secret, "hunter2\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let errors = load(&file, Mode::Check).unwrap_err();
        let message = errors.to_string();
        assert!(message.contains("its text is shorter") && !message.contains("hunter2"), "{errors}");
        fs::write(&secret, "hunter2hunter2hunter2\n").unwrap();
        let config = load(&file, Mode::Check).unwrap();
        assert!(config.policy.realm("a").unwrap().api_key("hunter2hunter2hunter2").is_some());
        assert!(inputs[2].look_again(), "the missing file was an input, and is there now");
        let paths = |inputs: &[Input]| inputs.iter().map(|input| input.path().to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(&config.inputs), paths(errors.inputs()));
    }

    #[test]
    fn a_file_that_is_not_there_or_not_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let errors = load(&file, Mode::Check).unwrap_err();
        assert_eq!(errors.to_string(), format!("{}: can't be read: it does not exist", file.display()));
        assert_eq!(errors.inputs(), [Input::look(&file)]);
        fs::write(&file, b"[server]\n\xff").unwrap();
        assert!(load(&file, Mode::Check).unwrap_err().to_string().ends_with("is not UTF-8 text, from byte 9 on"));
    }

    #[test]
    fn cold_changes_are_named() {
        let config = |server: &str| check(&format!("{server}{REALM}{LOGIN}")).unwrap();
        let old = config(SERVER);
        assert!(old.cold_changes(&config(SERVER)).is_empty());
        let new = config(&with(SERVER, "listen = [\"127.0.0.1:8081\"]\nhash_queue = 1").replace("t.db", "u.db"));
        assert_eq!(old.cold_changes(&new), ["server.listen", "server.hash_queue", "store.url"]);
    }
}
