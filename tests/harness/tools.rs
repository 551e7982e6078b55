//! Programs that tests run: Tollgate's own commands, and third-party clients and servers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::until;

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts this exit code, and that stderr says why.
    #[track_caller]
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert!(!self.stderr.trim().is_empty(), "no word on stderr");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// Runs it to its end, with `stdin` as its input, for at most a minute and a half.
pub fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    // Files instead of pipes: no reader threads, and nothing that a full pipe could stop.
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}; run tests/run, which installs what the tests need"));
    // A command that needs no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let mut child = Ended(child);
    let status = until(Duration::from_secs(600), &format!("{name} ends"), || child.0.try_wait().unwrap());
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    Ran { code: status.code(), stdout: text(&out), stderr: text(&err) }
}

/// `tollgate` with these arguments.
pub fn tollgate(args: &[&str], stdin: &str) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_tollgate")).args(args), stdin.as_bytes())
}

/// curl, quiet but for errors.
pub fn curl(args: &[&str]) -> Ran {
    run(Command::new(tool("TOLLGATE_TEST_CURL", "curl")).args(["-sS", "--max-time", "60"]).args(args), b"")
}

/// Runs a Node script with these arguments, with the packages of tests/node at hand.
pub fn node(script: &str, args: &[&str]) -> Ran {
    script_run(&tool("TOLLGATE_TEST_NODE", "node"), "script.mjs", script, args)
}

/// Runs a Python script with these arguments, with PyJWT, joserfc, cryptography, aiohttp, moto, boto3, prometheus-client and PyYAML at
/// hand.
pub fn python(script: &str, args: &[&str]) -> Ran {
    script_run(&venv_python(), "script.py", script, args)
}

/// A directory with this script. Node looks for packages beside the script and above it, nowhere else.
fn script_dir(name: &str, script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), script).unwrap();
    let packages = std::env::var_os("TOLLGATE_TEST_NODE_MODULES")
        .map_or_else(|| cache().join("tollgate-tests-node/node_modules"), PathBuf::from);
    std::os::unix::fs::symlink(packages, dir.path().join("node_modules")).unwrap();
    dir
}

fn script_run(program: &Path, name: &str, script: &str, args: &[&str]) -> Ran {
    let dir = script_dir(name, script);
    run(Command::new(program).arg(dir.path().join(name)).args(args), b"")
}

/// A server in another language. Dropping it ends its process.
pub struct Running {
    child: Ended,
    dir: tempfile::TempDir,
    pub port: u16,
}

impl Running {
    /// Where its script stands, and what it wrote beside that.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it printed after its port.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("out")).unwrap_or_default()
    }
}

/// Starts a Node script that prints the port which it listens on as its first line.
pub fn node_server(script: &str) -> Running {
    server(&tool("TOLLGATE_TEST_NODE", "node"), "server.mjs", script)
}

/// Starts a Python script that prints the port which it listens on as its first line.
pub fn python_server(script: &str) -> Running {
    server(&venv_python(), "server.py", script)
}

fn server(program: &Path, name: &str, script: &str) -> Running {
    let dir = script_dir(name, script);
    let child = Command::new(program)
        .arg(dir.path().join(name))
        .stdin(Stdio::null())
        .stdout(fs::File::create(dir.path().join("out")).unwrap())
        .stderr(fs::File::create(dir.path().join("err")).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run tests/run", program.display()));
    let mut running = Running { child: Ended(child), dir, port: 0 };
    running.port = until(Duration::from_secs(30), "the server says its port", || {
        let errors = || fs::read_to_string(running.dir.path().join("err")).unwrap_or_default();
        assert!(running.child.0.try_wait().unwrap().is_none(), "the server ended: {}", errors());
        let output = running.output();
        let (line, _) = output.split_once('\n')?;
        line.trim().parse().ok()
    });
    running
}

/// A child that does not outlive the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program that tests/run names in `variable`, or else the one on the path.
fn tool(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| name.into(), PathBuf::from)
}

fn venv_python() -> PathBuf {
    if let Some(path) = std::env::var_os("TOLLGATE_TEST_PYTHON") {
        return path.into();
    }
    let python = cache().join("tollgate-tests/bin/python");
    assert!(python.exists(), "no {}: run tests/run, which makes it", python.display());
    python
}

/// Where tests/run puts what it installs.
fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"))
}
