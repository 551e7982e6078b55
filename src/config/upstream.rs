//! The servers behind a route.

use std::net::SocketAddr;
use std::time::Duration;

/// The servers of an app, and how long to wait for them.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) tunnel_timeout: Duration,
}

impl Upstream {
    /// Addresses, names already resolved. At least one.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// For the TCP handshake with one server.
    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Between two reads of an answer.
    #[must_use]
    pub const fn read_timeout(&self) -> Duration {
        self.read_timeout
    }

    /// Between two writes, of a request to the app or of its answer to the client.
    #[must_use]
    pub const fn write_timeout(&self) -> Duration {
        self.write_timeout
    }

    /// For an unused connection kept for reuse.
    #[must_use]
    pub const fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Between two reads of a WebSocket.
    #[must_use]
    pub const fn tunnel_timeout(&self) -> Duration {
        self.tunnel_timeout
    }
}
