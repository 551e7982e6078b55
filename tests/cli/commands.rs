//! The command line (docs/commands.md): exit codes, stdout and stderr, and that invalid input changes nothing.

use std::path::{Path, PathBuf};

use crate::harness::*;

struct Files {
    dir: tempfile::TempDir,
    app: App,
}

impl Files {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), app: App::start() }
    }

    fn conf(&self) -> Conf {
        Conf::new(&self.app)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tollgate.toml")
    }

    fn arg(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    fn write(&self, text: &str) {
        write_file(&self.path(), text, 0o600);
    }

    fn check(&self, text: &str) -> Ran {
        self.write(text);
        tollgate(&["check", "-c", &self.arg()], "")
    }

    fn user(&self, arguments: &[&str], stdin: &str) -> Ran {
        let config = self.arg();
        let mut all = vec!["user", arguments[0], "-c", &config, "--realm", "examples"];
        all.extend(&arguments[1..]);
        tollgate(&all, stdin)
    }
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

// === usage ===

#[test]
fn usage_errors_are_64() {
    for arguments in [
        vec![],
        vec!["nonsense"],
        vec!["serve"],
        vec!["serve", "-c"],
        vec!["check"],
        vec!["check", "-c", "a", "b"],
        vec!["serve", "--nonsense"],
        vec!["user"],
        vec!["user", "nonsense"],
        vec!["user", "add", "-c", "x"],
        vec!["user", "mfa"],
        vec!["user", "mfa", "enable"],
        vec!["key"],
        vec!["key", "new"],
        vec!["token"],
        vec!["token", "revoke"],
        vec!["init"],
    ] {
        let ran = tollgate(&arguments, "");
        assert_eq!(ran.code, Some(64), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let help = tollgate(&["--help"], "").ok();
    for command in ["serve", "check", "demo", "init", "user", "key", "token"] {
        assert!(help.stdout.contains(command), "{}", help.stdout);
        tollgate(&[command, "--help"], "").ok();
    }
    let version = tollgate(&["--version"], "").ok();
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);
}

// === check ===

#[test]
fn check_says_ok_and_makes_nothing() {
    let files = Files::new();
    let ran = files.check(&files.conf().text(1, 2)).ok();
    assert!(ran.stdout.starts_with(&format!("{}: ok (", files.arg())), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 1);
    for part in ["1 realm", "1 login", "4 routes"] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    assert_eq!(names(files.dir.path()), ["tollgate.toml"], "neither keys nor a database");
}

#[test]
fn check_of_a_file_that_is_not_there_or_no_toml_is_78() {
    let files = Files::new();
    tollgate(&["check", "-c", &files.arg()], "").failed(78);
    tollgate(&["check", "-c", files.dir.path().to_str().unwrap()], "").failed(78);
    for text in ["", "x", "[server", "[server]\nlisten = [", "\u{0}", "[server]\n[server]\n", "a = 1\na = 2\n"] {
        files.check(text).failed(78);
    }
    std::fs::write(files.path(), b"[server]\nadmin = \"\xff\"\n").unwrap();
    tollgate(&["check", "-c", &files.arg()], "").failed(78);
}

#[test]
fn check_prints_every_error_at_once_each_with_its_line() {
    let files = Files::new();
    let text = files
        .conf()
        .server("threads", "-1")
        .log("level", "\"loud\"")
        .realm("same_site", "\"never\"")
        .realm("token_ttl", "\"soon\"")
        .realm("unknown_key", "1")
        .route("connect_timeout", "3")
        .more("[[route]]\npath = \"no-slash\"\nrealm = \"nowhere\"\naccess = \"everyone\"\nupstream = []\n")
        .text(1, 2);
    let ran = files.check(&text).failed(78);
    assert!(ran.stdout.is_empty());
    for (at, line) in text.lines().enumerate() {
        let key = line.split(" = ").next().unwrap();
        let wrong = [
            "threads = -1",
            "level = \"loud\"",
            "same_site",
            "token_ttl",
            "unknown_key",
            "connect_timeout",
            "path = \"no-slash\"",
            "realm = \"nowhere\"",
            "access = \"everyone\"",
            "upstream = []",
        ];
        if wrong.iter().any(|start| line.starts_with(start)) {
            let place = format!("{}:{}:", files.arg(), at + 1);
            let found = ran.stderr.lines().find(|error| error.starts_with(&place));
            let found = found.unwrap_or_else(|| panic!("nothing about line {} ({line}) in\n{}", at + 1, ran.stderr));
            assert!(found.contains(key), "{found}");
        }
    }
    assert!(ran.stderr.lines().all(|line| line.starts_with(&files.arg())), "one line each: {}", ran.stderr);
}

#[test]
fn check_suggests_the_key_that_was_meant() {
    let files = Files::new();
    for (wrong, right) in [("regstration", "registration"), ("orgins", "origins"), ("requirekey", "require_key")] {
        let ran = files.check(&files.conf().realm(wrong, "1").text(1, 2)).failed(78);
        let line = ran.stderr.lines().find(|line| line.contains(wrong)).expect("the key");
        assert!(line.contains(right), "{line}");
    }
}

/// One bad value each: the error is on the line that has it, names the key, and is the only one.
#[test]
fn check_refuses_every_bad_value_where_it_stands() {
    let files = Files::new();
    let conf = || files.conf();
    let url = files.app.url();
    let route = |rest: &str| {
        conf().more(&format!("[[route]]\npath = \"/extra\"\nrealm = \"examples\"\nupstream = [\"{url}\"]\n{rest}\n"))
    };
    let route_path = |path: &str| {
        conf().more(&format!(
            "[[route]]\npath = \"{path}\"\nrealm = \"examples\"\naccess = \"user\"\nupstream = [\"{url}\"]\n"
        ))
    };
    let upstream = |value: &str| {
        conf().more(&format!(
            "[[route]]\npath = \"/extra\"\nrealm = \"examples\"\naccess = \"user\"\nupstream = {value}\n"
        ))
    };
    let key = |text: &str| conf().realm_tables(&format!("[[realm.key]]\n{text}\n"));
    let mut cases: Vec<(Conf, &str)> = Vec::new();
    for (name, values) in [
        ("listen", vec!["[]", "[\"localhost\"]", "[\"127.0.0.1\"]", "[\"127.0.0.1:99999\"]", "\"127.0.0.1:1\"", "[1]"]),
        ("admin", vec!["\"x\"", "1", "\"127.0.0.1\""]),
        ("threads", vec!["-1", "1.5", "\"one\"", "1000000"]),
        ("trusted_proxies", vec!["[\"x\"]", "[\"10.0.0.0/33\"]", "\"10.0.0.0/8\"", "[\"0.0.0.0/0\"]", "[\"::/0\"]"]),
        ("h2c", vec!["1", "\"yes\""]),
        ("shutdown_grace", vec!["30", "\"30\"", "\"0s\"", "\"-1s\"", "\"1.5s\"", "\"1w\"", "\"1 s\""]),
        ("hash_threads", vec!["-1", "\"x\""]),
        ("hash_queue", vec!["-1"]),
        ("insecure_key_files", vec!["1"]),
        ("unknown", vec!["1"]),
        ("tls", vec!["1"]),
    ] {
        cases.extend(values.into_iter().map(|value| (conf().server(name, value), name)));
    }
    for (name, values) in
        [("level", vec!["\"loud\"", "1", "\"INFO\""]), ("format", vec!["\"xml\""]), ("log_format", vec!["\"json\""])]
    {
        cases.extend(values.into_iter().map(|value| (conf().log(name, value), name)));
    }
    for (name, values) in [
        ("name", vec!["\"\"", "\"Examples\"", "\"a b\"", "\"-a\"", "1"]),
        ("issuer", vec!["\"\"", "1"]),
        ("audience", vec!["\"\"", "[\"a\"]"]),
        ("algorithm", vec!["\"none\"", "\"RS512\"", "\"ES384\"", "\"PS256\"", "\"hs256\"", "1"]),
        ("rotate_every", vec!["\"0s\"", "\"59s\"", "\"never\"", "90", "\"9999d\"", "\"60500ms\""]),
        ("publish_ahead", vec!["\"-1s\"", "\"31d\"", "10", "\"500ms\""]),
        ("token_ttl", vec!["\"0s\"", "\"30\"", "30", "\"forever\"", "\"1.5h\""]),
        ("leeway", vec!["\"6m\"", "\"1d\"", "5"]),
        ("cookie", vec!["\"\"", "\"a b\"", "\"a=b\"", "\"a;b\"", "\"a,b\"", "1"]),
        ("same_site", vec!["\"None\"", "\"\"", "true"]),
        ("partitioned", vec!["\"true\"", "1"]),
        ("require_key", vec!["\"true\""]),
        ("insecure_cookie", vec!["\"true\"", "1"]),
        ("key_query", vec!["\"a b\"", "\"masterKey\"", "1"]),
        ("key_header", vec!["\"a b\"", "\"Cookie\"", "\"Authorization\"", "1"]),
        (
            "origins",
            vec!["[\"*\"]", "[\"app.example.com\"]", "[\"https://app.example.com/\"]", "\"https://a.example\"", "[1]"],
        ),
        ("any_origin_credentials", vec!["true", "1"]),
        ("require_origin", vec!["1"]),
        ("registration", vec!["true", "\"invite\""]),
        ("trusted_issuer", vec!["1", "{}", "[1]"]),
        ("refresh_ttl", vec!["\"1d\""]),
    ] {
        cases.extend(values.into_iter().map(|value| (conf().realm(name, value), name)));
    }
    for (text, name) in [
        ("secret = \"0123456789abcdef\"", "id"),
        ("id = \"web\"", "secret"),
        ("id = \"web\"\nsecret = \"short\"", "secret"),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\nsha256 = \"00\"", "sha256"),
        ("id = \"web\"\nsha256 = \"00\"", "sha256"),
        ("id = \"web\"\nsha256 = 1", "sha256"),
        ("id = \"web\"\nsecret_file = \"missing\"", "secret_file"),
        ("id = \"web\"\nsecret_file = \"${HOME}/x\"", "secret_file"),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\nexpires = \"2027-01-01\"", "expires"),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\nexpires = 2027-01-01", "expires"),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\nexpires = 2027-01-01T00:00:00", "expires"),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\ndisabled = 1", "disabled"),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\nunknown = 1", "unknown"),
        (
            "id = \"web\"\nsecret = \"0123456789abcdef\"\n[[realm.key]]\nid = \"web\"\nsecret = \"fedcba9876543210\"",
            "id",
        ),
        (
            "id = \"web\"\nsecret = \"0123456789abcdef\"\n[[realm.key]]\nid = \"b\"\nsecret = \"0123456789abcdef\"",
            "secret",
        ),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\n[realm.master_key]\nsecret = \"0123456789abcdef\"", "secret"),
        ("id = \"web\"\nsecret = \"0123456789abcdef\"\n[realm.master_key]\nsha256 = \"x\"", "sha256"),
    ] {
        cases.push((key(text), name));
    }
    for (text, name) in [
        ("", "access"),
        ("access = \"everyone\"", "access"),
        ("access = \"public\"\nroles = [\"admin\"]", "roles"),
        ("access = \"key\"\nroles = [\"admin\"]", "roles"),
        ("access = \"user\"\nroles = \"admin\"", "roles"),
        ("access = \"user\"\nroles = [\"\"]", "roles"),
        ("access = \"user\"\nmethods = []", "methods"),
        ("access = \"user\"\nmethods = [\"G T\"]", "methods"),
        ("access = \"user\"\nmethods = \"GET\"", "methods"),
        ("access = \"user\"\nhost = \"a b\"", "host"),
        ("access = \"user\"\nhost = \"https://a.example\"", "host"),
        ("access = \"user\"\nhost = \"\"", "host"),
        ("access = \"user\"\nforward_token = 1", "forward_token"),
        ("access = \"user\"\nencoded_slash = \"decode\"", "encoded_slash"),
        ("access = \"user\"\nconnect_timeout = 3", "connect_timeout"),
        ("access = \"user\"\nread_timeout = \"0s\"", "read_timeout"),
        ("access = \"user\"\nwrite_timeout = \"x\"", "write_timeout"),
        ("access = \"user\"\nidle_timeout = \"-1s\"", "idle_timeout"),
        ("access = \"user\"\ntunnel_timeout = true", "tunnel_timeout"),
        ("access = \"user\"\nunknown = 1", "unknown"),
    ] {
        cases.push((route(text), name));
    }
    for path in ["", "x", "//x", "/x//y", "/x/", "/x/../y", "/./x", "/x?y", "/x#y", "/%2e", "/x y", "/app", "/a%2fb"] {
        cases.push((route_path(path), "path"));
    }
    for value in [
        "[]",
        "\"http://127.0.0.1:1\"",
        "[\"127.0.0.1:1\"]",
        "[\"https://127.0.0.1:1\"]",
        "[\"ftp://127.0.0.1:1\"]",
        "[\"http://127.0.0.1:1/x\"]",
        "[\"http://user@127.0.0.1:1\"]",
        "[\"http://\"]",
        "[1]",
        "[\"http://127.0.0.1:0\"]",
    ] {
        cases.push((upstream(value), "upstream"));
    }
    for (text, name) in [
        ("[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\nshape = \"round\"", "shape"),
        (
            "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\ntenants = { Acme = \"acme\" }",
            "tenants",
        ),
        (
            "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"\nbackend = \"cognito\"\nclient_id = \"a\"",
            "cognito",
        ),
        ("[[login]]\ndialect = \"x\"\npath = \"/x\"\nrealm = \"examples\"", "dialect"),
        ("[[login]]\npath = \"/x\"\nrealm = \"examples\"", "dialect"),
        ("[[login]]\ndialect = \"project\"\nrealm = \"examples\"", "path"),
        ("[[login]]\ndialect = \"project\"\npath = \"x\"\nrealm = \"examples\"", "path"),
        ("[[login]]\ndialect = \"project\"\npath = \"/api/1/ce/examples/auth\"\nrealm = \"examples\"", "path"),
        ("[[login]]\ndialect = \"project\"\npath = \"/x\"\nrealm = \"nowhere\"", "realm"),
        ("[[login]]\ndialect = \"project\"\npath = \"/x\"", "realm"),
        ("[[realm]]\nname = \"examples\"\nissuer = \"i\"\ncookie = \"c\"\nrequire_key = false", "name"),
        // Tokens of one would open the other.
        (
            "[[realm]]\nname = \"two\"\nissuer = \"https://gate.example.com\"\naudience = \"examples\"\nkeys_dir = \"keys/examples\"\nrequire_key = false",
            "keys_dir",
        ),
        ("[[realm]]\nname = \"two\"\nissuer = \"i\"\ncookie = \"c\"\nrequire_key = true", "require_key"),
        ("[[realm]]\nname = \"two\"\ncookie = \"c\"\nrequire_key = false", "issuer"),
        ("[metrics]\nlisten = \"x\"", "metrics"),
    ] {
        cases.push((conf().more(text), name));
    }
    for url in ["", "x", "postgres://localhost", "postgres:///x", "mysql://x", "sqlite:", "sqlite://", "http://x"] {
        cases.push((conf().store(url), "url"));
    }
    let mut missed = Vec::new();
    for (conf, name) in &cases {
        let text = conf.text(1, 2);
        let ran = files.check(&text);
        let lines: Vec<_> = ran.stderr.lines().collect();
        let placed = lines.iter().any(|line| {
            let rest = line.strip_prefix(&format!("{}:", files.arg())).unwrap_or_default();
            rest.split_once(": ").is_some_and(|(place, rest)| {
                place.split(':').all(|number| number.parse::<usize>().is_ok()) && rest.contains(name)
            })
        });
        if ran.code != Some(78) || !placed || lines.len() > 2 {
            let short: Vec<_> = text.lines().filter(|line| line.contains(name)).collect();
            missed.push(format!("{name} in {short:?}: exit {:?}, {:?}", ran.code, lines));
        }
    }
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), cases.len(), missed.join("\n"));
}

#[test]
fn check_shows_no_secret() {
    let files = Files::new();
    let secret = "a-secret-that-nobody-may-see";
    for tables in [
        format!("[[realm.key]]\nid = \"web\"\nsecret = \"{secret}\"\nunknown = 1\n"),
        format!("[[realm.key]]\nid = \"web\"\nsecret = [\"{secret}\"]\n"),
        format!("[[realm.key]]\nid = \"a\"\nsecret = \"{secret}\"\n[[realm.key]]\nid = \"b\"\nsecret = \"{secret}\"\n"),
        format!("[[realm.key]]\nid = \"web\"\nsecret = \"{secret}\n"),
    ] {
        let ran = files.check(&files.conf().realm_tables(&tables).text(1, 2)).failed(78);
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
}

#[test]
fn serve_refuses_what_check_refuses() {
    let files = Files::new();
    files.write(&files.conf().realm("registration", "\"x\"").log("level", "\"loud\"").text(free_port(), free_port()));
    let checked = tollgate(&["check", "-c", &files.arg()], "").failed(78);
    let served = tollgate(&["serve", "-c", &files.arg()], "").failed(78);
    for line in checked.stderr.lines().filter(|line| !line.contains(": warning: ")) {
        assert!(served.stderr.contains(line), "{}", served.stderr);
    }
    assert_eq!(names(files.dir.path()), ["tollgate.toml"], "a refused start makes nothing");
}

#[test]
fn the_sample_configs_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let samples: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(samples.contains(&root.join("tollgate.toml")));
    let files = Files::new();
    for sample in samples.iter().filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        // A copy: relative paths in it must not meet the repository's folders.
        let text = std::fs::read_to_string(sample).unwrap();
        // The directory of the database is not on every machine.
        let text = text.replace("/var/lib/tollgate", files.dir.path().to_str().unwrap());
        files.check(&text).ok();
    }
}

// === init ===

#[test]
fn init_writes_a_config_that_is_good_and_never_overwrites() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = Files::new();
    let dir = files.dir.path().join("new");
    let dir_arg = dir.to_str().unwrap();
    let ran = tollgate(&["init", dir_arg], "").ok();
    let config = dir.join("tollgate.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    tollgate(&["check", "-c", config.to_str().unwrap()], "").ok();
    let keys = list_jwk(&dir);
    assert_eq!(keys.len(), 1, "a signing key");
    assert_eq!(std::fs::metadata(&keys[0]).unwrap().permissions().mode() & 0o777, 0o600);
    // The first API key: shown once, stored as a hash.
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    let secret = secret_of(&shown, &text).expect("the secret that the config holds the hash of");
    assert!(!text.contains(&secret), "the secret is in the file");
    let before = (text, std::fs::read(&keys[0]).unwrap());
    let again = tollgate(&["init", dir_arg], "").failed(73);
    assert!(again.stderr.contains("tollgate.toml"), "{}", again.stderr);
    assert_eq!((std::fs::read_to_string(&config).unwrap(), std::fs::read(&keys[0]).unwrap()), before);
    assert_eq!(list_jwk(&dir), keys);
}

#[test]
fn init_into_a_place_that_is_none_is_73() {
    let files = Files::new();
    std::fs::write(files.dir.path().join("file"), "x").unwrap();
    let place = files.dir.path().join("file/below");
    tollgate(&["init", place.to_str().unwrap()], "").failed(73);
}

fn list_jwk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(list_jwk(&path));
        } else if path.extension().is_some_and(|extension| extension == "jwk") {
            found.push(path);
        }
    }
    found
}

/// The word of `shown` with its SHA-256 in `text`.
fn secret_of(shown: &str, text: &str) -> Option<String> {
    let words =
        shown.split(|char: char| char.is_whitespace() || "\"'`=&?,;()".contains(char)).filter(|word| word.len() >= 16);
    words.map(str::to_owned).find(|word| text.contains(&sha256_hex(word)))
}

// === key ===

#[test]
fn key_new_prints_toml_whose_secret_opens() {
    let files = Files::new();
    let ran = tollgate(&["key", "new", "--id", "mobile", "--expires", "2031-01-02T03:04:05Z"], "").ok();
    let secret = secret_of(&ran.stdout, &ran.stdout).expect("the secret, and its hash");
    let table: toml::Table = ran.stdout.replace("[[realm.key]]", "[[key]]").parse().expect("TOML");
    let key = &table["key"][0];
    assert_eq!(key["id"].as_str(), Some("mobile"));
    assert_eq!(key["sha256"].as_str(), Some(sha256_hex(&secret).as_str()));
    assert_eq!(key["expires"].to_string(), "2031-01-02T03:04:05Z");
    assert!(key.get("secret").is_none());
    let gate = files.conf().realm_tables(&ran.stdout).start();
    gate.send(&get("/keyed/x").header("X-API-Key", &secret)).expect(200);
    let other = tollgate(&["key", "new", "--id", "mobile"], "").ok();
    assert_ne!(secret_of(&other.stdout, &other.stdout), Some(secret));
    for bad in
        [vec!["--id", ""], vec!["--id", "a", "--expires", "tomorrow"], vec!["--id", "a", "--expires", "2031-01-02"]]
    {
        let mut arguments = vec!["key", "new"];
        arguments.extend(bad);
        tollgate(&arguments, "").failed(64);
    }
}

#[test]
fn key_list_shows_ids_and_states_but_no_secret() {
    let files = Files::new();
    files.write(&files.conf().text(1, 2));
    let ran = tollgate(&["key", "list", "-c", &files.arg()], "").ok();
    let line = |id: &str| {
        ran.stdout
            .lines()
            .find(|line| line.split_whitespace().any(|word| word == id))
            .unwrap_or_else(|| panic!("{id} in {}", ran.stdout))
    };
    line("web");
    assert!(line("old").contains("expired"), "{}", line("old"));
    assert!(line("off").contains("disabled"), "{}", line("off"));
    for secret in [KEY, DISABLED_KEY, EXPIRED_KEY, MASTER] {
        assert!(!ran.stdout.contains(secret));
    }
    tollgate(&["key", "list", "-c", &files.arg(), "--realm", "examples"], "").ok();
    let unknown = tollgate(&["key", "list", "-c", &files.arg(), "--realm", "nowhere"], "");
    assert!(unknown.code != Some(0) && !unknown.stderr.is_empty(), "{unknown:?}");
}

// === user ===

#[test]
fn user_commands_work_without_a_gate() {
    let files = Files::new();
    files.write(&files.conf().text(1, 2));
    files
        .user(
            &["add", "--email", "alice@example.com", "--attribute", "plan=pro", "--role", "admin", "alice"],
            &format!("{PASSWORD}\n"),
        )
        .ok();
    let list = files.user(&["list"], "").ok();
    for word in ["alice", "alice@example.com", "admin"] {
        assert!(list.stdout.contains(word), "{}", list.stdout);
    }
    assert!(!list.stdout.contains(PASSWORD) && !list.stdout.contains("argon2"), "{}", list.stdout);
    files.user(&["disable", "alice"], "").ok();
    assert!(files.user(&["list"], "").ok().stdout.contains("disabled"));
    files.user(&["enable", "alice"], "").ok();
    files.user(&["passwd", "alice"], "another password\n").ok();
    files.user(&["delete", "alice"], "").ok();
    assert!(!files.user(&["list"], "").ok().stdout.contains("alice"));
}

#[test]
fn user_add_makes_a_user_who_can_log_in() {
    let files = Files::new();
    let gate = files.conf().start();
    let config = gate.config_arg();
    let add = [
        "user",
        "add",
        "-c",
        &config,
        "--realm",
        "examples",
        "--email",
        "alice@example.com",
        "--attribute",
        "plan=pro",
        "--role",
        "admin",
        "alice",
    ];
    tollgate(&add, &format!("{PASSWORD}\n")).ok();
    let token = gate.log_in("alice");
    let record = gate.who(&token).expect(200).json();
    assert_eq!(record["data"]["plan"], "pro");
    assert_eq!(record["data"]["email"], "alice@example.com");
    gate.send(&get("/admin/x").key().bearer(&token)).expect(200);
    let seen = files.app.only();
    assert_eq!(seen.header("x-auth-roles").as_deref(), Some("admin"));
    assert_eq!(seen.header("x-auth-email").as_deref(), Some("alice@example.com"));
    let body = serde_json::json!({"email": "ALICE@example.com", "password": PASSWORD});
    gate.send(&post(auth("login=true")).json(&body)).expect(200);
    // Taken, in any spelling.
    let again = ["user", "add", "-c", &config, "--realm", "examples", "Alice"];
    let ran = tollgate(&again, &format!("{PASSWORD}\n"));
    assert!(ran.code != Some(0) && !ran.stderr.is_empty(), "{ran:?}");
}

#[test]
fn user_set_counts_at_a_running_gate() {
    let (app, config) = (App::start(), |gate: &Gate| gate.config_arg());
    let gate = Conf::new(&app).start();
    gate.register("alice");
    let token = gate.log_in("alice");
    gate.send(&get("/admin/x").key().bearer(&token)).refused(403, "role_missing");
    let set = |arguments: &[&str]| {
        let (user, config) = (["user", "set", "-c"], config(&gate));
        let all = user.into_iter().chain([&*config, "--realm", "examples"]).chain(arguments.iter().copied());
        tollgate(&all.collect::<Vec<_>>(), "")
    };
    set(&["alice", "--role", "admin", "--email", "alice@example.com", "--attribute", "team=x"]).ok();
    until_true(PATIENCE, "the tokens of before are refused", || gate.visit(&token).status == 401);
    let token = gate.log_in("alice");
    app.forget();
    gate.send(&get("/admin/x").key().bearer(&token)).expect(200);
    assert_eq!(app.only().header("x-auth-email").as_deref(), Some("alice@example.com"));
    assert_eq!(gate.who(&token).expect(200).json()["data"]["team"], "x");
    set(&["alice", "--no-roles", "--username", "alicia"]).ok();
    until_true(PATIENCE, "the tokens of before are refused", || gate.visit(&token).status == 401);
    gate.send(&get("/admin/x").key().bearer(&gate.log_in("alicia"))).refused(403, "role_missing");
    set(&["alicia"]).failed(64);
}

#[test]
fn user_commands_refuse_bad_input_and_change_nothing() {
    let files = Files::new();
    files.write(&files.conf().text(1, 2));
    files.user(&["add", "alice"], &format!("{PASSWORD}\n")).ok();
    let before = files.user(&["list"], "").ok().stdout;
    for (arguments, stdin) in [
        (vec!["add", "bob"], ""),
        (vec!["add", "bob"], "\n"),
        (vec!["add", "alice"], "a password\n"),
        (vec!["add", "ALICE"], "a password\n"),
        (vec!["add", " bob"], "a password\n"),
        (vec!["add", ""], "a password\n"),
        (vec!["add", "bob", "--email", "nonsense"], "a password\n"),
        (vec!["add", "bob", "--attribute", "nonsense"], "a password\n"),
        (vec!["add", "bob", "--attribute", "password=x"], "a password\n"),
        (vec!["passwd", "nobody"], "a password\n"),
        (vec!["passwd", "alice"], ""),
        (vec!["disable", "nobody"], ""),
        (vec!["enable", "nobody"], ""),
        (vec!["delete", "nobody"], ""),
    ] {
        let ran = files.user(&arguments, stdin);
        assert!(matches!(ran.code, Some(64 | 65)), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count().min(1), 1, "{arguments:?} says why");
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        assert_eq!(files.user(&["list"], "").ok().stdout, before, "{arguments:?}");
    }
    let config = files.arg();
    for command in ["add", "list", "disable"] {
        let mut arguments = vec!["user", command, "-c", &config, "--realm", "nowhere"];
        if command != "list" {
            arguments.push("x");
        }
        let ran = tollgate(&arguments, "a password\n");
        assert!(matches!(ran.code, Some(64 | 65 | 78)) && ran.stderr.contains("nowhere"), "{ran:?}");
    }
    let missing = tollgate(&["user", "list", "-c", "/nowhere/tollgate.toml", "--realm", "examples"], "");
    missing.failed(78);
}

#[test]
fn user_import_takes_hashes_of_other_systems_all_or_nothing() {
    let files = Files::new();
    let gate = files.conf().start();
    let config = gate.config_arg();
    let import = |lines: &str| tollgate(&["user", "import", "-c", &config, "--realm", "examples", "-"], lines);
    let hash = bcrypt::hash(PASSWORD, 10).unwrap();
    let line = |name: &str, hash: &str| serde_json::json!({"username": name, "password_hash": hash}).to_string();
    let good = line("bob", &hash);
    for bad in [
        line("carol", "plain text"),
        line("carol", ""),
        line("", &hash),
        line(" carol", &hash),
        line("BOB", &hash),
        "not json".to_owned(),
        "{\"username\":\"carol\"}".to_owned(),
        serde_json::json!({"username": "carol", "password_hash": hash, "unknown": 1}).to_string(),
    ] {
        let ran = import(&format!("{good}\n{bad}\n")).failed(65);
        assert!(ran.stderr.contains("line 2"), "{}", ran.stderr);
        assert!(!ran.stderr.contains(&hash), "{}", ran.stderr);
        let list = tollgate(&["user", "list", "-c", &config, "--realm", "examples"], "").ok();
        assert!(!list.stdout.contains("bob"), "{}", list.stdout);
    }
    import(&format!("{good}\n")).ok();
    gate.log_in("bob");
    gate.try_log_in("bob", "wrong").refused(401, "credentials_invalid");
    assert!(!tollgate(&["user", "list", "-c", &config, "--realm", "examples"], "").ok().stdout.contains("$2"));
}

// === the database ===

#[test]
fn commands_that_look_or_change_make_no_database() {
    let files = Files::new();
    files.write(&files.conf().text(1, 2));
    let config = files.arg();
    for (arguments, stdin) in [
        (&["list"][..], ""),
        (&["list", "--json"], ""),
        (&["set", "alice", "--no-roles"], ""),
        (&["passwd", "alice"], "a new password of hers\n"),
        (&["enable", "alice"], ""),
        (&["disable", "alice"], ""),
        (&["vouch", "alice"], ""),
        (&["delete", "alice"], ""),
    ] {
        let ran = files.user(arguments, stdin).failed(69);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("there is no database yet"), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
    tollgate(&["check", "-c", &config], "").ok();
    tollgate(&["explain", "-c", &config, "GET", "http://gate.example.com/app/x"], "");
    tollgate(&["key", "list", "-c", &config], "").ok();
    assert_eq!(names(files.dir.path()), ["tollgate.toml"]);
    // Its tables do not exist yet.
    std::fs::write(files.dir.path().join("tollgate.db"), "").unwrap();
    let ran = files.user(&["list"], "").failed(69);
    assert!(ran.stderr.contains("tollgate serve makes them"), "{ran:?}");
    files.user(&["add", "alice"], &format!("{PASSWORD}\n")).ok();
    assert_eq!(files.user(&["list", "--json"], "").ok().stdout.lines().count(), 1);
}

#[test]
fn what_root_makes_is_the_services() {
    use std::os::unix::fs::{MetadataExt as _, chown};

    if !rustix::process::geteuid().is_root() {
        return;
    }
    fn owners(dir: &Path, found: &mut Vec<(PathBuf, u32, u32)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            found.push((entry.path(), metadata.uid(), metadata.gid()));
            if metadata.is_dir() {
                owners(&entry.path(), found);
            }
        }
    }
    let app = App::start();
    let var = tempfile::tempdir().unwrap();
    chown(var.path(), Some(4711), Some(4712)).unwrap();
    let at = |name: &str| format!("\"{}/{name}\"", var.path().display());
    let conf = Conf::new(&app).realm("keys_dir", &at("keys/examples")).log("audit", &at("audit.log"));
    let gate = conf.store(&format!("sqlite://{}/tollgate.db", var.path().display())).start();
    let config = gate.config_arg();
    tollgate(&["user", "add", "-c", &config, "--realm", "examples", "alice"], &format!("{PASSWORD}\n")).ok();
    gate.log_in("alice");
    let mut found = Vec::new();
    owners(var.path(), &mut found);
    let made: Vec<_> =
        found.iter().map(|(path, ..)| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for name in ["tollgate.db", "tollgate.db-wal", "tollgate.db-shm", "keys", "examples", "audit.log"] {
        assert!(made.contains(&name.to_owned()), "{made:?}");
    }
    assert!(made.iter().any(|name| name.ends_with(".jwk")), "{made:?}");
    for (path, uid, gid) in found {
        assert_eq!((uid, gid), (4711, 4712), "{}", path.display());
    }
}
