//! Tollgate as its users run it: the real binary, a config file, and sockets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{AUTH, App, Conn, DISABLED_KEY, EXPIRED_KEY, KEY, MASTER, PASSWORD, PATIENCE, Request, Response};
use super::{auth, free_port, get, post, until, until_true};

/// A config to be: the standard realm `examples` with a login at [`AUTH`] and these routes, and what a test changes.
///
/// `/app` user · `/admin` user with the role admin · `/keyed` key · `/open` public
#[derive(Clone)]
pub struct Conf {
    server: BTreeMap<String, String>,
    server_tables: String,
    limits: BTreeMap<String, String>,
    log: BTreeMap<String, String>,
    realm: BTreeMap<String, String>,
    realm_tables: String,
    login: BTreeMap<String, String>,
    route: BTreeMap<String, String>,
    routes: Option<String>,
    more: String,
    store: Option<String>,
    store_keys: BTreeMap<String, String>,
    upstream: String,
    env: Vec<(String, String)>,
    journal: bool,
    hosts: Option<PathBuf>,
    stderr: Option<Arc<OwnedFd>>,
}

impl Conf {
    pub fn new(app: &App) -> Self {
        Self::with_upstream(&format!("[\"{}\"]", app.url()))
    }

    /// `upstream` is the TOML value.
    pub fn with_upstream(upstream: &str) -> Self {
        let realm = [
            ("name", "\"examples\""),
            ("issuer", "\"https://gate.example.com\""),
            ("origins", "[\"https://app.example.com\"]"),
            ("registration", "\"open\""),
            // Every test is one client.
            ("registrations_per_hour", "100000"),
            ("require_key", "true"),
        ];
        Self {
            server: BTreeMap::new(),
            server_tables: String::new(),
            limits: BTreeMap::new(),
            log: BTreeMap::new(),
            realm: realm.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            realm_tables: format!(
                "[[realm.key]]\nid = \"web\"\nsecret = \"{KEY}\"\n\n\
                 [[realm.key]]\nid = \"old\"\nsha256 = \"{}\"\nexpires = 2020-01-01T00:00:00Z\n\n\
                 [[realm.key]]\nid = \"off\"\nsecret = \"{DISABLED_KEY}\"\ndisabled = true\n\n\
                 [realm.master_key]\nsha256 = \"{}\"\n",
                sha256_hex(EXPIRED_KEY),
                sha256_hex(MASTER),
            ),
            login: BTreeMap::new(),
            route: BTreeMap::new(),
            routes: None,
            more: String::new(),
            store: None,
            store_keys: BTreeMap::new(),
            upstream: upstream.into(),
            env: Vec::new(),
            journal: false,
            hosts: None,
            stderr: None,
        }
    }

    /// A key of `[server]`, with its value in TOML.
    pub fn server(mut self, key: &str, value: &str) -> Self {
        self.server.insert(key.into(), value.into());
        self
    }

    /// What stands below `[server]`.
    pub fn server_tables(mut self, text: &str) -> Self {
        self.server_tables = text.into();
        self
    }

    /// A key of `[limits]`.
    pub fn limits(mut self, key: &str, value: &str) -> Self {
        self.limits.insert(key.into(), value.into());
        self
    }

    /// A key of `[log]`, with its value in TOML.
    pub fn log(mut self, key: &str, value: &str) -> Self {
        self.log.insert(key.into(), value.into());
        self
    }

    /// A key of the standard realm. An empty value removes it.
    pub fn realm(mut self, key: &str, value: &str) -> Self {
        if value.is_empty() {
            self.realm.remove(key);
        } else {
            self.realm.insert(key.into(), value.into());
        }
        self
    }

    /// What stands below the standard realm instead of its keys and its master key.
    pub fn realm_tables(mut self, text: &str) -> Self {
        self.realm_tables = text.into();
        self
    }

    /// More below the standard realm, after its keys and its master key.
    pub fn add_realm_tables(mut self, text: &str) -> Self {
        self.realm_tables.push('\n');
        self.realm_tables.push_str(text);
        self
    }

    /// A key of the standard login.
    pub fn login(mut self, key: &str, value: &str) -> Self {
        self.login.insert(key.into(), value.into());
        self
    }

    /// A key of every standard route.
    pub fn route(mut self, key: &str, value: &str) -> Self {
        self.route.insert(key.into(), value.into());
        self
    }

    /// Instead of the standard routes.
    pub fn routes(mut self, text: &str) -> Self {
        self.routes = Some(text.into());
        self
    }

    /// Another route of the standard realm.
    pub fn add_route(self, path: &str, access: &str, rest: &str) -> Self {
        let upstream = self.upstream.clone();
        self.more(&format!(
            "[[route]]\npath = \"{path}\"\nrealm = \"examples\"\naccess = \"{access}\"\nupstream = {upstream}\n{rest}\n"
        ))
    }

    /// Text for the end of the file.
    pub fn more(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self.more.push('\n');
        self
    }

    /// Heads larger than the default allows, for what has to be looked at nevertheless.
    pub fn large_heads(self) -> Self {
        self.limits("head_size", "\"512KiB\"")
    }

    pub fn store(mut self, url: &str) -> Self {
        self.store = Some(url.into());
        self
    }

    /// A key of `[store]`, with its value in TOML.
    pub fn store_key(mut self, key: &str, value: &str) -> Self {
        self.store_keys.insert(key.into(), value.into());
        self
    }

    /// A variable of the process's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Lets the process find this file in the place of /etc/hosts, in a mount namespace of its own. It can be rewritten
    /// in place while Tollgate runs.
    pub fn hosts(mut self, path: &Path) -> Self {
        self.hosts = Some(path.to_owned());
        self
    }

    /// Lets the process take its stderr for a stream to systemd's journal.
    pub fn journal(mut self) -> Self {
        self.journal = true;
        self
    }

    /// Where stderr leads, instead of to the file that [`Gate::stderr`] reads.
    pub fn stderr(mut self, to: OwnedFd) -> Self {
        self.stderr = Some(Arc::new(to));
        self
    }

    /// The whole file.
    pub fn text(&self, port: u16, admin: u16) -> String {
        let mut text = String::from("[server]\n");
        let mut server = self.server.clone();
        server.entry("listen".into()).or_insert_with(|| format!("[\"127.0.0.1:{port}\"]"));
        server.entry("admin".into()).or_insert_with(|| format!("\"127.0.0.1:{admin}\""));
        server.entry("threads".into()).or_insert_with(|| "1".into());
        server.entry("shutdown_grace".into()).or_insert_with(|| "\"1s\"".into());
        // Two, though the default on a small machine is one: the tests run side by side.
        server.entry("hash_threads".into()).or_insert_with(|| "2".into());
        lines(&mut text, &server);
        let _ = writeln!(text, "\n{}", self.server_tables);
        if !self.limits.is_empty() {
            text.push_str("\n[limits]\n");
            lines(&mut text, &self.limits);
        }
        if !self.log.is_empty() {
            text.push_str("\n[log]\n");
            lines(&mut text, &self.log);
        }
        let store = self.store.as_deref().unwrap_or("sqlite://tollgate.db");
        let _ = writeln!(text, "\n[store]\nurl = \"{store}\"");
        lines(&mut text, &self.store_keys);
        let _ = writeln!(text, "\n[[realm]]");
        lines(&mut text, &self.realm);
        let _ = writeln!(text, "\n{}", self.realm_tables);
        let _ = writeln!(text, "[[login]]\ndialect = \"project\"\npath = \"{AUTH}\"\nrealm = \"examples\"");
        lines(&mut text, &self.login);
        if let Some(routes) = &self.routes {
            text.push_str(routes);
        } else {
            for (path, access, roles) in [
                ("/app", "user", ""),
                ("/admin", "user", "roles = [\"admin\"]\n"),
                ("/keyed", "key", ""),
                ("/open", "public", ""),
            ] {
                let _ = writeln!(
                    text,
                    "[[route]]\npath = \"{path}\"\nrealm = \"examples\"\naccess = \"{access}\"\nupstream = {}\n{roles}",
                    self.upstream
                );
                lines(&mut text, &self.route);
            }
        }
        let _ = writeln!(text, "\n{}", self.more);
        text
    }

    /// Starts a process with it, and waits until it is ready.
    pub fn start(self) -> Gate {
        Gate::start(self, "/readyz")
    }

    /// Starts a process with it that need not become ready.
    pub fn start_unready(self) -> Gate {
        Gate::start(self, "/healthz")
    }
}

fn lines(text: &mut String, table: &BTreeMap<String, String>) {
    for (key, value) in table {
        let _ = writeln!(text, "{key} = {value}");
    }
}

/// A running gate. Dropping it ends its process.
pub struct Gate {
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    pub dir: tempfile::TempDir,
    conf: Conf,
    up: &'static str,
    child: Option<Child>,
}

impl Gate {
    /// `up`: the path of the admin listener that returns 200 after the start.
    fn start(conf: Conf, up: &'static str) -> Self {
        let dir = tempfile::Builder::new().prefix("tollgate-test-").tempdir().unwrap();
        let (addr, admin) = (local(free_port()), local(free_port()));
        let mut gate = Self { addr, admin, dir, conf, up, child: None };
        write_file(&gate.config(), &gate.conf.text(addr.port(), admin.port()), 0o600);
        if let Err(status) = gate.launch() {
            panic!("the gate ended at its start with {status}:\n{}", gate.stderr());
        }
        gate
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("tollgate.toml")
    }

    pub fn config_arg(&self) -> String {
        self.config().to_str().unwrap().to_owned()
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("tollgate.db")
    }

    /// What Tollgate wrote to stderr, over all its starts.
    pub fn stderr(&self) -> String {
        fs::read(self.log()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until it has written this to stderr: lines are written by a thread of their own.
    #[track_caller]
    pub fn says(&self, text: &str) {
        until_true(PATIENCE, &format!("the log says {text:?}"), || self.stderr().contains(text));
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("a running gate"))
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("stderr.log")
    }

    /// Starts the process and waits until it is up, or has ended.
    fn launch(&mut self) -> Result<(), ExitStatus> {
        let log = fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let program = env!("CARGO_BIN_EXE_tollgate");
        let mut command = Command::new(if self.conf.hosts.is_some() { "unshare" } else { program });
        if let Some(hosts) = &self.conf.hosts {
            // In a user namespace, too, who is not root may mount.
            let as_root = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
            let mount = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
            command.args([as_root, "sh", "-c", mount]).arg(hosts).arg(program);
        }
        if self.conf.journal {
            let of = log.metadata().unwrap();
            command.env("JOURNAL_STREAM", format!("{}:{}", of.dev(), of.ino()));
        }
        let stderr = self.conf.stderr.as_ref();
        let stderr = stderr.map_or_else(|| Stdio::from(log.try_clone().unwrap()), |to| to.try_clone().unwrap().into());
        let child = command
            .args(["serve", "-c"])
            .arg(self.config())
            .envs(self.conf.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(stderr)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let (addr, admin, up) = (self.addr, self.admin, self.up);
        let child = self.child.as_mut().unwrap();
        let ended = until(Duration::from_secs(180), "the gate is ready", || {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(Some(status));
            }
            let ready = get(up).try_send(admin).is_ok_and(|answer| answer.status == 200);
            (ready && TcpStream::connect(addr).is_ok()).then_some(None)
        });
        match ended {
            None => Ok(()),
            Some(status) => {
                self.child = None;
                Err(status)
            }
        }
    }

    /// kill -9, and a new process on the same files and ports.
    pub fn crash_and_restart(&mut self) {
        self.crash();
        self.start_again();
    }

    pub fn crash(&mut self) {
        let mut child = self.child.take().expect("a running gate");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        if let Err(status) = self.launch() {
            panic!("the gate did not start again: {status}\n{}", self.stderr());
        }
    }

    /// SIGTERM, and the exit status.
    pub fn stop(&mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let mut child = self.child.take().unwrap();
        until(PATIENCE, "the gate stops", || child.try_wait().unwrap())
    }

    pub fn running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub fn hang_up(&self) {
        kill_process(self.pid(), Signal::HUP).unwrap();
    }

    /// Writes the config in place: the same file, new bytes.
    pub fn edit_in_place(&self, conf: &Conf) {
        fs::write(self.config(), conf.text(self.addr.port(), self.admin.port())).unwrap();
    }

    /// Replaces the config as careful editors do: a new file, renamed over the old one.
    pub fn edit_by_rename(&self, conf: &Conf) {
        self.rename_over(&conf.text(self.addr.port(), self.admin.port()));
    }

    pub fn rename_over(&self, text: &str) {
        let new = self.dir.path().join(".tollgate.toml.new");
        write_file(&new, text, 0o600);
        fs::rename(new, self.config()).unwrap();
    }

    pub fn conf(&self) -> Conf {
        self.conf.clone()
    }

    /// /status of the admin listener.
    pub fn status(&self) -> Value {
        get("/status").send(self.admin).expect(200).json()
    }

    pub fn generation(&self) -> i64 {
        self.status()["generation"].as_i64().expect("a generation")
    }

    pub fn send(&self, request: &Request) -> Response {
        request.send(self.addr)
    }

    pub fn conn(&self) -> Conn {
        Conn::open(self.addr)
    }

    /// Registers and returns the record.
    #[track_caller]
    pub fn register(&self, username: &str) -> Value {
        self.try_register(username).expect(200).json()
    }

    pub fn try_register(&self, username: &str) -> Response {
        let body = json!({"username": username, "password": PASSWORD});
        self.send(&post(auth("")).json(&body))
    }

    /// Logs in with noATCookie and returns the token.
    #[track_caller]
    pub fn log_in(&self, username: &str) -> String {
        self.log_in_with(username, PASSWORD)
    }

    #[track_caller]
    pub fn log_in_with(&self, username: &str, password: &str) -> String {
        let answer = self.try_log_in(username, password).expect(200);
        let header = answer.header("authorization").expect("a token");
        header.strip_prefix("Bearer ").expect("Bearer").to_owned()
    }

    pub fn try_log_in(&self, username: &str, password: &str) -> Response {
        let body = json!({"username": username, "password": password});
        self.send(&post(auth("login=true&noATCookie=true")).json(&body))
    }

    /// Registers, logs in, and returns the token.
    #[track_caller]
    pub fn user(&self, username: &str) -> String {
        self.register(username);
        self.log_in(username)
    }

    /// Who the login says that this token speaks for.
    pub fn who(&self, token: &str) -> Response {
        self.send(&get(auth("")).bearer(token))
    }

    /// A request to a route that needs a user.
    pub fn visit(&self, token: &str) -> Response {
        self.send(&get("/app/x").key().bearer(token))
    }

    /// The key files of the standard realm.
    pub fn key_files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("keys/examples")).unwrap();
        let files = entries.map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "jwk")).collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.stderr();
            let from = log.len().saturating_sub(4000);
            let tail = log.get(from..).unwrap_or(&log);
            eprintln!("--- the gate's stderr ---\n{tail}\n---");
        }
    }
}

/// Writes a file with these permissions.
pub fn write_file(path: &Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn sha256_hex(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}
