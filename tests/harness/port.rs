//! Ports for programs that bind them themselves.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};

/// A port of 127.0.0.1 without a listener, reserved until the test ends (its thread). Its socket is bound and does not listen: Linux
/// gives the port to no other socket that binds port 0 and to no connection, and refuses connections to it. A socket with
/// SO_REUSEADDR, as servers set it, can bind the port and listen, again and again.
pub fn free_port() -> u16 {
    thread_local! {
        static RESERVED: RefCell<Vec<OwnedFd>> = const { RefCell::new(Vec::new()) };
    }
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let address = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    RESERVED.with_borrow_mut(|reserved| reserved.push(socket));
    address.port()
}
