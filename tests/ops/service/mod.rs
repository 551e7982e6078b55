//! Tollgate as a service: what systemd hears, sockets that others opened, and stops that lose nothing.

mod handover;
mod memory;
mod sockets;
mod stopping;
mod storage;
mod systemd;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::*;

/// A directory with a configuration, and the addresses in it.
struct Site {
    dir: tempfile::TempDir,
    conf: Conf,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Site {
    fn new(conf: Conf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site =
            Self { dir, conf, addr: ([127, 0, 0, 1], free_port()).into(), admin: ([127, 0, 0, 1], free_port()).into() };
        site.write(&site.conf.text(site.addr.port(), site.admin.port()));
        site
    }

    fn write(&self, text: &str) {
        write_file(&self.config(), text, 0o600);
    }

    fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("tollgate.toml")
    }

    /// What all processes of this site have said.
    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// A gate, with these variables in its environment.
    fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        command.args(["serve", "-c"]).arg(self.config()).envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(self.log_file());
        command
    }

    fn log_file(&self) -> fs::File {
        fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap()
    }

    fn start(&self, variables: &[(&str, &str)]) -> Process {
        Process::of(self.command(variables).spawn().unwrap())
    }

    /// Starts one, and waits until it is ready.
    fn ready(&self, variables: &[(&str, &str)]) -> Process {
        let mut process = self.start(variables);
        self.until_ready(&mut process);
        process
    }

    fn until_ready(&self, process: &mut Process) {
        until_true(PATIENCE, "the gate is ready", || {
            assert!(process.ended().is_none(), "{}", self.log());
            self.pid_in_charge() == Some(process.pid())
        });
    }

    /// Who answers on the admin address.
    fn pid_in_charge(&self) -> Option<Pid> {
        let status = get("/status").try_send(self.admin).ok()?;
        Pid::from_raw(i32::try_from(status.json()["pid"].as_i64()?).ok()?)
    }
}

/// A process, which does not outlive the test.
struct Process {
    child: Option<Child>,
    pid: Pid,
}

impl Process {
    fn of(child: Child) -> Self {
        Self { pid: Pid::from_child(&child), child: Some(child) }
    }

    /// Another process's child.
    const fn with_id(pid: Pid) -> Self {
        Self { child: None, pid }
    }

    const fn pid(&self) -> Pid {
        self.pid
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    fn until_ended(&mut self) -> ExitStatus {
        until(PATIENCE, "the gate ends", || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = kill_process(self.pid, Signal::KILL);
        }
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
    }
}

/// One or two sockets for a child, as systemd passes them: from file descriptor 3 on.
struct Passed {
    sockets: Vec<OwnedFd>,
}

impl Passed {
    fn new<const N: usize>(sockets: [impl Into<OwnedFd>; N]) -> Self {
        Self { sockets: sockets.map(Into::into).into() }
    }

    /// Starts a process that has them. A shell gets them as stdin and stdout and passes them on, so that they are open to
    /// no process that another test starts at the same time.
    fn start(&self, site: &Site) -> Process {
        let copy = |socket: &OwnedFd| Stdio::from(socket.try_clone().unwrap());
        let redirect = match self.sockets.len() {
            1 => "3<&0",
            2 => "3<&0 4<&1",
            count => panic!("{count} sockets"),
        };
        let program = site.command(&[]);
        let mut shell = Command::new("sh");
        let variables = format!("LISTEN_FDS={} LISTEN_PID=$$", self.sockets.len());
        let script = format!("exec env {variables} \"$0\" \"$@\" {redirect} </dev/null >/dev/null");
        shell.args(["-c", &script]).arg(program.get_program()).args(program.get_args());
        shell.stdin(copy(&self.sockets[0]));
        shell.stdout(self.sockets.get(1).map_or_else(Stdio::null, copy)).stderr(site.log_file());
        Process::of(shell.spawn().unwrap())
    }
}

/// Clients that ask without a pause until they are told to stop: half of them over connections that they keep, half over
/// a new one for each request.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(addr: SocketAddr) -> Self {
        let (stop, answered, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::default());
        let client = |keeps: bool| {
            let (stop, answered, failed) = (stop.clone(), answered.clone(), Arc::clone(&failed));
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    if let Err(error) = ask_on(addr, keeps, &stop, &answered) {
                        let failed: &Mutex<Vec<String>> = &failed;
                        failed.lock().unwrap().push(error);
                    }
                }
            })
        };
        let clients = [true, true, false, false].map(client).into();
        Self { stop, answered, failed, clients }
    }

    /// Waits until some more have been answered.
    fn more(&self) {
        let before = self.answered.load(Ordering::SeqCst);
        until_true(PATIENCE, "requests are answered", || self.answered.load(Ordering::SeqCst) >= before + 40);
    }

    /// How many were answered; none may have failed.
    #[track_caller]
    fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        let failed = self.failed.lock().unwrap();
        assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
        self.answered.load(Ordering::SeqCst)
    }
}

/// Asks over one connection, as long as it lasts.
fn ask_on(addr: SocketAddr, keeps: bool, stop: &AtomicBool, answered: &AtomicUsize) -> Result<(), String> {
    let mut conn = Conn::try_open(addr).map_err(|error| format!("connecting: {error}"))?;
    loop {
        let answer = conn.try_ask(&get("/open/fixed").key()).map_err(|error| format!("asking: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{}: {}", answer.status, answer.text()));
        }
        answered.fetch_add(1, Ordering::SeqCst);
        let last = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if last || !keeps || stop.load(Ordering::SeqCst) {
            return Ok(());
        }
    }
}
