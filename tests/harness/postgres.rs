//! A PostgreSQL server of a test's own: the tests of the store beside the code use this file too, so it stands alone.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// A running server with one empty database `tollgate`, in a directory of its own. Its socket accepts every user; over
/// TCP a password is required. Dropping it ends its process.
pub struct Cluster {
    dir: tempfile::TempDir,
    port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Cluster {
    /// Listens on a socket only.
    pub fn start() -> Self {
        Self::start_with(5432, &["listen_addresses="], &[])
    }

    /// With these settings, as `name=value`, and these files in its directory of data.
    pub fn start_with(port: u16, settings: &[&str], files: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("tollgate-postgres-").tempdir().unwrap();
        // It refuses to run as root: tests/run has created the cluster for another user then.
        let owner = fs::metadata(made().join("cluster")).unwrap_or_else(|error| {
            panic!("no cluster in {}: {error}; run tests/run, which makes it", made().display())
        });
        chown(dir.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        let data = dir.path().join("data");
        let copy = Command::new("cp").arg("-a").arg(made().join("cluster")).arg(&data).status().unwrap();
        assert!(copy.success());
        for (name, text) in files {
            let path = data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut cluster = Self { dir, port, settings, child: None };
        cluster.launch();
        cluster
    }

    /// After [`Cluster::stop`].
    pub fn launch(&mut self) {
        let data = self.data();
        let owner = fs::metadata(&data).unwrap();
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(program("postgres"));
        command.arg("-D").arg(&data).arg("-k").arg(self.dir.path()).args(["-p", &self.port.to_string()]);
        // Durability against a power failure is not required here, and there are few connections.
        for setting in
            ["fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=60", "autovacuum=off"]
        {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        if geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid()).current_dir(&data);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        self.wait("the server is ready", |cluster| {
            assert!(cluster.child.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended: {}", cluster.log());
            let state = fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap_or_default();
            state.lines().nth(7).is_some_and(|line| line.trim() == "ready")
        });
    }

    /// Ends it in order, though clients are connected.
    pub fn stop(&mut self) {
        kill_process(self.pid(), Signal::INT).unwrap();
        self.wait("the server stops", |cluster| cluster.child.as_mut().unwrap().try_wait().unwrap().is_some());
        self.child = None;
    }

    /// Stops the process: connections stay open without a response.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// The server first, so that it starts no other process in between.
    fn signal_all(&self, signal: Signal) {
        let server = self.pid();
        kill_process(server, signal).unwrap();
        for entry in fs::read_dir("/proc").unwrap() {
            let Ok(pid) = entry.unwrap().file_name().to_str().unwrap_or_default().parse::<i32>() else { continue };
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The parent is the second field after the name, which stands in parentheses.
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<i32>().ok());
            if parent == Some(server.as_raw_nonzero().get()) {
                let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
            }
        }
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        self.dir.path()
    }

    /// `[store] url` of this database, over the socket.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost:{}/{database}?host={}", self.port, self.socket().display())
    }

    /// What these statements print, in the database `tollgate`.
    pub fn sql(&self, statements: &str) -> String {
        self.sql_in("tollgate", statements)
    }

    pub fn sql_in(&self, database: &str, statements: &str) -> String {
        let mut command = Command::new(program("psql"));
        command.arg("-h").arg(self.socket()).args(["-p", &self.port.to_string()]);
        command.args(["-U", "postgres", "-d", database, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statements]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("a running server"))
    }

    fn wait(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < end, "not within a minute: {what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            // At once, and its processes with it; kill -9 would leave them.
            let _ = kill_process(Pid::from_child(child), Signal::QUIT);
            self.thaw();
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

/// A separate path: the server's user may not have access to the original.
fn program(name: &str) -> PathBuf {
    fs::canonicalize(made().join("bin")).unwrap().join(name)
}

/// Where tests/run puts PostgreSQL's programs and a cluster to copy.
fn made() -> PathBuf {
    if let Some(path) = std::env::var_os("TOLLGATE_TEST_POSTGRES") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"));
    cache.join("tollgate-tests-postgres")
}
