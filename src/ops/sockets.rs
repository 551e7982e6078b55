//! Listening sockets: those that another process passes, and those that this process opens.
//!
//! systemd (`tollgate.socket`) passes sockets to a service that it starts, and keeps them open; a process that is
//! replaced passes its own to its successor (`handover`). Both use `$LISTEN_FDS`. So no connection is refused: until
//! one of the processes accepts, connections wait in the queue of the socket.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::exit::{self, Failure};
use crate::proxy::BoundListeners;

/// The listening sockets of this process.
#[derive(Debug, Default)]
pub(super) struct ListenSockets {
    /// Sockets that were passed to this process and not claimed yet.
    passed: Vec<(SocketAddr, TcpListener)>,
    claimed: Vec<TcpListener>,
}

impl ListenSockets {
    /// Takes the inherited sockets. Must be called before the process has a second thread, because it changes the
    /// environment.
    ///
    /// # Errors
    /// A file descriptor that is not a listening TCP socket.
    pub(super) fn from_environment() -> Result<Self, Failure> {
        let mut fds = ListenFd::from_env();
        let mut passed = Vec::new();
        for index in 0..fds.len() {
            let number = index + 1;
            let wrong = |what: &str| {
                let line = format!(
                    "socket {number} of those that were passed ($LISTEN_FDS) {what}: write ListenStream= with an IP address and a port in tollgate.socket"
                );
                Failure::new(exit::CONFIG, line)
            };
            let listener = fds.take_tcp_listener(index).map_err(|_| wrong("is not a TCP socket"))?;
            let Some(listener) = listener else { continue };
            if !rustix::net::sockopt::socket_acceptconn(&listener).unwrap_or(false) {
                return Err(wrong("does not listen (Accept=yes, perhaps)"));
            }
            let address = listener.local_addr().map_err(|_| wrong("has no IP address"))?;
            passed.push((address, listener));
        }
        Ok(Self { passed, claimed: Vec::new() })
    }

    /// The sockets of these addresses, which the file gives in `key`.
    ///
    /// # Errors
    /// The first address that can't be listened on, and why.
    pub(super) fn claim(&mut self, addresses: &[SocketAddr], key: &str) -> Result<BoundListeners, Failure> {
        let mut sockets = Vec::new();
        for address in addresses {
            let socket = match self.passed.iter().position(|(passed, _)| serves(*passed, *address)) {
                Some(index) => Ok(self.passed.swap_remove(index).1),
                None => listen(*address),
            };
            let both = socket.and_then(|socket| Ok((socket.try_clone()?, socket)));
            let (copy, socket) = both.map_err(|error| refused(*address, &error, key))?;
            self.claimed.push(copy);
            sockets.push(socket);
        }
        Ok(BoundListeners::new(sockets))
    }

    /// Checks that all sockets of systemd have been claimed: clients would wait without end on a socket that is not served.
    /// Sockets of a predecessor are closed, if the file has other addresses now.
    ///
    /// # Errors
    /// The first socket that the file does not name.
    pub(super) fn all_claimed(&mut self, from_predecessor: bool) -> Result<(), Failure> {
        if from_predecessor {
            self.passed.clear();
        }
        let Some((address, _)) = self.passed.first() else { return Ok(()) };
        let line = format!(
            "a socket was passed ($LISTEN_FDS) for {address}, which is not in server.listen, server.tls.redirect or server.admin: write the same address in tollgate.socket and in the configuration"
        );
        Err(Failure::new(exit::CONFIG, line))
    }

    /// Returns all sockets that were claimed.
    pub(super) fn claimed(&self) -> &[TcpListener] {
        &self.claimed
    }
}

/// TRAP: the standard library listens with a queue of 128 (std, src/sys_common/net.rs). A connection beyond it is not answered,
/// and its client tries again after a second.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    rustix::net::listen(&listener, QUEUE)?;
    Ok(listener)
}

/// Returns whether a socket that listens at `passed` is the `address` of the file. Only the unspecified address has several
/// spellings: a socket that accepts more than the file says does not match.
fn serves(passed: SocketAddr, address: SocketAddr) -> bool {
    passed == address
        || (passed.port() == address.port() && passed.ip().is_unspecified() && address.ip().is_unspecified())
}

fn refused(address: SocketAddr, error: &io::Error, key: &str) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!("another program listens there; stop it, or change {key}"),
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE, or tollgate.socket".into(),
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address".into(),
        _ => format!("change {key}"),
    };
    Failure::new(exit::UNAVAILABLE, format!("can't listen on {address}: {error}; {advice}"))
}

/// Maximum queue: the system limits it to net.core.somaxconn.
const QUEUE: i32 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_socket_is_the_one_that_the_file_means() {
        for (passed, address, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::]:80", "127.0.0.1:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", false),
        ] {
            assert_eq!(serves(passed.parse().unwrap(), address.parse().unwrap()), expected, "{passed} {address}");
        }
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = one.local_addr().unwrap();
        let mut sockets = ListenSockets { passed: vec![(address, one)], claimed: Vec::new() };
        let failure = sockets.all_claimed(false).unwrap_err();
        assert!(failure.code == exit::CONFIG && failure.lines[0].contains(&address.to_string()), "{failure:?}");
        let bound = sockets.claim(&[address], "server.listen").unwrap();
        assert_eq!(bound.addresses().collect::<Vec<_>>(), [address]);
        sockets.all_claimed(false).unwrap();
        assert_eq!(sockets.claimed().len(), 1);
        let failure = sockets.claim(&[address], "server.listen").unwrap_err();
        assert!(failure.code == exit::UNAVAILABLE && failure.lines[0].contains("change server.listen"), "{failure:?}");
    }
}
