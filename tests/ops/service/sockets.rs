//! Inherited sockets.

use std::net::UdpSocket;
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn restarts_behind_a_socket_refuse_nobody() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let sockets = [TcpListener::bind(site.addr).unwrap(), TcpListener::bind(site.admin).unwrap()];
    let passed = Passed::new(sockets);
    let load = Load::on(site.addr);
    for _ in 0..5 {
        let mut gate = passed.start(&site);
        site.until_ready(&mut gate);
        load.more();
        gate.signal(Signal::TERM);
        assert_eq!(gate.until_ended().code(), Some(0), "{}", site.log());
    }
    // Clients that wait now are served by the last process.
    let mut gate = passed.start(&site);
    site.until_ready(&mut gate);
    load.more();
    assert!(load.end() >= 240);
}

#[test]
fn sockets_of_the_wrong_kind_are_refused_at_the_start() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(elsewhere.local_addr().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let kinds: [(OwnedFd, &str); 5] = [
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "is not a TCP socket"),
        (UnixListener::bind(dir.path().join("socket")).unwrap().into(), "is not a TCP socket"),
        (fs::File::open(site.config()).unwrap().into(), "is not a TCP socket"),
        (connected.into(), "does not listen"),
        (elsewhere.into(), "which is not in server.listen, server.tls.redirect or server.admin"),
    ];
    for (socket, expected) in kinds {
        let before = site.log().len();
        let mut gate = Passed::new([socket]).start(&site);
        assert_eq!(gate.until_ended().code(), Some(78));
        let said = site.log()[before..].to_owned();
        let lines: Vec<_> = said.lines().filter(|line| line.starts_with("tollgate: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains(expected), "{said}");
    }
}

#[test]
fn what_is_not_passed_is_bound() {
    let app = App::start();
    let site = Site::new(Conf::new(&app));
    let passed = Passed::new([TcpListener::bind(site.addr).unwrap()]);
    let mut gate = passed.start(&site);
    site.until_ready(&mut gate);
    get("/open/x").key().send(site.addr).expect(200);
    // For another process: not for this one, which binds all of it.
    drop((gate, passed));
    let gate = site.ready(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    get("/open/x").key().send(site.addr).expect(200);
    drop(gate);
}
