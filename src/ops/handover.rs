//! Replaces the running program on SIGUSR2, without a refused connection.
//!
//! The file from which this process was started is started again, with the same arguments and the listening sockets. When the new
//! process serves, this one stops accepting, finishes its requests, and exits. If the new process does not come up, this one
//! goes on unchanged.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use tracing::{error, info};

/// The path and arguments of this process, read at its start: later the file can be another one.
#[derive(Debug)]
pub(super) struct Executable {
    path: PathBuf,
    arguments: Vec<std::ffi::OsString>,
}

impl Executable {
    pub(super) fn current() -> io::Result<Self> {
        Ok(Self { path: env::current_exe()?, arguments: env::args_os().skip(1).collect() })
    }

    /// Starts the successor, and waits until it serves, or until `stop` is ready: then both processes end.
    pub(super) async fn start_successor(&self, sockets: &[TcpListener], stop: impl Future<Output = ()>) -> Handover {
        info!(program = %self.path.display(), "starting the successor");
        let started = Inheritance::new(sockets).and_then(|inheritance| self.start(&inheritance));
        let (mut child, line) = match started {
            Ok(started) => started,
            Err(error) => {
                error!("can't start {}: {error}; this process goes on", self.path.display());
                return Handover::Failed;
            }
        };
        let (pid, hang_up) = (child.id(), line.try_clone());
        // Reads from a socket, and waits for a process: neither is for a thread that serves requests.
        let mut waited = tokio::task::spawn_blocking(move || {
            let ready = is_ready(line);
            if !ready {
                let _ = child.kill();
            }
            (ready, if ready { None } else { child.wait().ok() })
        });
        let waited = tokio::select! {
            waited = &mut waited => waited,
            () = stop => {
                info!(pid, "stopping, together with the successor");
                // `is_ready` fails at the end of the stream, and the child is killed; or the child has already reported that it
                // serves.
                let _ = hang_up.map(|line| line.shutdown(Shutdown::Both));
                if let (Ok((true, _)), Some(pid)) = (waited.await, i32::try_from(pid).ok().and_then(Pid::from_raw)) {
                    let _ = kill_process(pid, Signal::TERM);
                }
                return Handover::Stopped;
            }
        };
        match waited {
            Ok((true, _)) => Handover::Done(pid),
            Ok((false, status)) => {
                let status = status.map_or_else(|| "no exit status".into(), |status| status.to_string());
                error!(pid, "the successor did not start ({status}); this process goes on");
                Handover::Failed
            }
            Err(panic) => {
                error!("starting the successor failed: {panic}; this process goes on");
                Handover::Failed
            }
        }
    }

    fn start(&self, inheritance: &Inheritance) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .env("LISTEN_FDS", inheritance.0.len().to_string())
            .env("LISTEN_FDS_FIRST_FD", inheritance.first().to_string())
            .env(SUCCESSOR, "1")
            // These are for this process: systemd sets them with its id.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok((child, ours))
    }
}

/// The result of a handover.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Handover {
    /// The process of this id serves.
    Done(u32),
    /// The successor did not come up.
    Failed,
    /// This process was told to stop meanwhile, so there is no successor.
    Stopped,
}

/// Returns whether this process replaces another one.
pub(super) fn is_successor() -> bool {
    env::var_os(SUCCESSOR).is_some()
}

/// Tells the predecessor, if there is one, that this process serves.
pub(super) fn tell_predecessor() {
    if !is_successor() {
        return;
    }
    // Standard input is a socket to the predecessor. The predecessor can have given up by now.
    let _ = rustix::io::dup(io::stdin().as_fd()).map(|line| UnixStream::from(line).write_all(READY));
}

fn is_ready(mut line: UnixStream) -> bool {
    let mut word = [0; READY.len()];
    line.read_exact(&mut word).is_ok() && word == *READY
}

/// Copies of the sockets for a child process, with consecutive descriptors that stay open in the child.
struct Inheritance(Vec<OwnedFd>);

impl Inheritance {
    fn new(sockets: &[TcpListener]) -> io::Result<Self> {
        let mut lowest = LOWEST;
        // Another thread can take a descriptor in the middle: then try again above it.
        for _ in 0..TRIES {
            let mut copies: Vec<OwnedFd> = Vec::with_capacity(sockets.len());
            for socket in sockets {
                let copy = fcntl_dupfd_cloexec(socket, lowest + i32::try_from(copies.len()).unwrap_or(0))?;
                copies.push(copy);
            }
            let first = copies.first().map_or(lowest, |copy| copy.as_raw_fd());
            let in_a_row = copies.iter().zip(first..).all(|(copy, number)| copy.as_raw_fd() == number);
            if in_a_row {
                for copy in &copies {
                    fcntl_setfd(copy, FdFlags::empty())?;
                }
                return Ok(Self(copies));
            }
            lowest = copies.iter().map(|copy| copy.as_raw_fd()).max().unwrap_or(lowest) + 1;
        }
        Err(io::Error::other("there are no free file descriptors in a row"))
    }

    fn first(&self) -> i32 {
        self.0.first().map_or(LOWEST, |copy| copy.as_raw_fd())
    }
}

/// Environment variable of a process that replaces another one.
const SUCCESSOR: &str = "TOLLGATE_SUCCESSOR";
const READY: &[u8; 5] = b"ready";
/// Time for the successor to serve. It fetches keys of issuers, and can wait for a lock of the store.
const PATIENCE: Duration = Duration::from_secs(60);
/// Above the descriptors that other files have while a few clients are connected.
const LOWEST: i32 = 64;
const TRIES: usize = 64;

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    fn copies_stand_in_a_row_and_are_kept_by_a_child() {
        let sockets: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let inheritance = Inheritance::new(&sockets).unwrap();
        let first = inheritance.first();
        for (copy, number) in inheritance.0.iter().zip(first..) {
            assert_eq!(copy.as_raw_fd(), number);
            assert!(!rustix::io::fcntl_getfd(copy).unwrap().contains(FdFlags::CLOEXEC));
        }
        let address = TcpListener::from(inheritance.0[1].try_clone().unwrap()).local_addr().unwrap();
        assert_eq!(address, sockets[1].local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_program_that_does_not_come_up_changes_nothing() {
        for (path, arguments) in [("/nonexistent", vec![]), ("/bin/sh", vec!["-c".into(), "exit 78".into()])] {
            let program = Executable { path: path.into(), arguments };
            assert_eq!(program.start_successor(&[], pending()).await, Handover::Failed, "{path}");
        }
        let says_so = Executable { path: "/bin/sh".into(), arguments: vec!["-c".into(), "printf ready >&0".into()] };
        assert!(matches!(says_so.start_successor(&[], pending()).await, Handover::Done(_)));
    }

    #[tokio::test]
    async fn a_process_that_is_told_to_stop_waits_for_no_successor() {
        let program = Executable { path: "/bin/sh".into(), arguments: vec!["-c".into(), "exec sleep 50".into()] };
        let start = std::time::Instant::now();
        assert_eq!(program.start_successor(&[], async {}).await, Handover::Stopped);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}
