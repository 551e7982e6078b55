//! sd_notify(3): a NOTIFY_SOCKET of the test receives what systemd would.

use std::os::unix::net::UnixDatagram;

use super::*;

/// How a sign of life begins; then comes how it is.
const ALIVE: &str = "WATCHDOG=1\nSTATUS=policy generation ";

/// What a process says to systemd.
struct Listener {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Listener {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, dir }
    }

    fn path(&self) -> String {
        self.dir.path().join("notify").to_str().unwrap().to_owned()
    }

    /// The next message that is no sign of life.
    fn next(&self) -> String {
        loop {
            let mut bytes = [0; 4096];
            let length = self.socket.recv(&mut bytes).expect("a message");
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if !text.starts_with(ALIVE) {
                return text;
            }
        }
    }

    /// Waits for a sign of life.
    fn alive(&self) {
        let mut bytes = [0; 4096];
        loop {
            let length = self.socket.recv(&mut bytes).expect("a sign of life");
            if bytes[..length].starts_with(ALIVE.as_bytes()) {
                return;
            }
        }
    }
}

#[test]
fn systemd_hears_of_the_start_of_reloads_and_of_the_stop() {
    let app = App::start();
    let (site, listener) = (Site::new(Conf::new(&app)), Listener::new());
    let mut gate = site.start(&[("NOTIFY_SOCKET", &listener.path()), ("WATCHDOG_USEC", "100000")]);
    let ready = listener.next();
    assert!(ready.starts_with("READY=1\nSTATUS=policy generation 1, in force since 20"), "{ready}");
    // At once: ready means that it is.
    get("/open/x").key().send(site.addr).expect(200);
    listener.alive();

    gate.signal(Signal::HUP);
    let reloading = listener.next();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    let ready = listener.next();
    assert!(ready.starts_with("READY=1\nSTATUS=policy generation 2, "), "{ready}");

    site.write(&site.text().replace("[store]", "[store]\nspeed = 1"));
    assert!(listener.next().starts_with("RELOADING=1\n"));
    let ready = listener.next();
    assert!(ready.contains("generation 2, ") && ready.contains("the last reload failed: "), "{ready}");
    assert!(ready.contains("store.speed") && ready.lines().count() == 2, "{ready}");
    listener.alive();

    gate.signal(Signal::TERM);
    assert!(listener.next().starts_with("STOPPING=1\n"));
    assert_eq!(gate.until_ended().code(), Some(0));
}

#[test]
fn a_start_that_fails_is_never_ready() {
    let app = App::start();
    let (site, listener) = (Site::new(Conf::new(&app).server("threads", "-1")), Listener::new());
    let mut gate = site.start(&[("NOTIFY_SOCKET", &listener.path())]);
    assert_eq!(gate.until_ended().code(), Some(78));
    listener.socket.set_nonblocking(true).unwrap();
    assert!(listener.socket.recv(&mut [0; 16]).is_err());
}

#[test]
fn a_socket_unit_passes_the_listener() {
    let app = App::start();
    let (site, listener) = (Site::new(Conf::new(&app)), Listener::new());
    let log = fs::File::create(site.dir.path().join("log")).unwrap();
    // The real thing, which passes them as systemd does: numbers from 3 on, for this process id.
    let mut activator = Command::new("systemd-socket-activate");
    activator.arg(format!("--listen={}", site.addr));
    activator.arg(format!("--setenv=NOTIFY_SOCKET={}", listener.path()));
    activator.args([env!("CARGO_BIN_EXE_tollgate"), "serve", "-c"]).arg(site.config());
    let child = activator.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    // It becomes Tollgate with the first connection.
    let mut gate = Process::of(child.expect("systemd-socket-activate: run tests/run, which installs it"));
    until_true(PATIENCE, "the socket is there", || TcpStream::connect(site.addr).is_ok());
    assert!(listener.next().starts_with("READY=1\n"), "{}", site.log());
    get("/open/x").key().send(site.addr).expect(200);
    gate.signal(Signal::TERM);
    assert_eq!(gate.until_ended().code(), Some(0));
}

#[test]
fn a_gate_that_is_replaced_tells_who_the_service_is_now() {
    let app = App::start();
    let (site, listener) = (Site::new(Conf::new(&app)), Listener::new());
    let mut old = site.start(&[("NOTIFY_SOCKET", &listener.path())]);
    assert!(listener.next().starts_with("READY=1\n"));
    old.signal(Signal::USR2);
    let ready = listener.next();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    let main = listener.next();
    let pid = main.strip_prefix("MAINPID=").and_then(|rest| rest.strip_suffix("\nWATCHDOG=1\n"));
    let pid: i32 = pid.expect("another main process").parse().unwrap();
    let new = Process::with_id(Pid::from_raw(pid).unwrap());
    assert_eq!(old.until_ended().code(), Some(0));
    assert_eq!(site.pid_in_charge(), Some(new.pid()));
    new.signal(Signal::TERM);
    // The old one has not said that the service stops, which systemd would believe.
    assert!(listener.next().starts_with("STOPPING=1\n"));
}
