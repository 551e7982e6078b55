//! Other processes of the service's own user do not get at its memory: no core dump, no `/proc/PID/mem`, no ptrace(2).

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;

use super::*;

/// A user that is not root: the kernel gives the files of a process that must not be dumped to root (proc(5)).
const USER: u32 = 12_345;

/// Starts Tollgate as that user, if the tests run as root, from a copy of the program that the user can reach.
fn start(site: &Site, options: &[&str]) -> (Process, u32) {
    let own = rustix::process::geteuid();
    let mut command = site.command(&[]);
    let user = if own.is_root() {
        let program = site.dir.path().join("tollgate");
        if !program.exists() {
            fs::copy(env!("CARGO_BIN_EXE_tollgate"), &program).unwrap();
        }
        chown(site.dir.path(), Some(USER), Some(USER)).unwrap();
        for entry in fs::read_dir(site.dir.path()).unwrap() {
            chown(entry.unwrap().path(), Some(USER), Some(USER)).unwrap();
        }
        let log = fs::File::options().append(true).open(site.dir.path().join("log")).unwrap();
        command = Command::new(program);
        command.args(["serve", "-c"]).arg(site.config()).uid(USER).gid(USER);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        USER
    } else {
        own.as_raw()
    };
    let mut process = Process::of(command.args(options).spawn().unwrap());
    site.until_ready(&mut process);
    (process, user)
}

fn owner_of_memory(process: &Process) -> u32 {
    fs::metadata(format!("/proc/{}/mem", process.pid().as_raw_nonzero())).unwrap().uid()
}

#[test]
fn r46_the_memory_is_nobody_s_but_with_allow_core_dumps() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let (mut gate, user) = start(&site, &[]);
    assert_eq!(owner_of_memory(&gate), 0, "not dumpable");
    // What Tollgate reads of itself stays there, and its successor is as it is.
    let page = get("/metrics").send(site.admin).expect(200).text();
    for metric in ["process_open_fds", "process_cpu_seconds_total", "process_resident_memory_bytes"] {
        assert!(page.contains(&format!("\n{metric} ")), "{page}");
    }
    gate.signal(Signal::USR2);
    let next = until(PATIENCE, "another process is in charge", || {
        site.pid_in_charge().filter(|pid| *pid != gate.pid()).map(Process::with_id)
    });
    assert_eq!(gate.until_ended().code(), Some(0), "{}", site.log());
    assert_eq!(owner_of_memory(&next), 0);
    drop(next);
    until_true(PATIENCE, "nobody listens", || TcpStream::connect(site.admin).is_err());
    let (gate, _) = start(&site, &["--allow-core-dumps"]);
    assert_eq!(owner_of_memory(&gate), user);
}
