//! The servers behind a route, and how to treat them.

pub(in crate::config) mod health_check;
pub(in crate::config) mod read;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::config::host::Host;

/// The servers of an app, which of them is asked, and how long to wait for them. Two that are equal are one: the routes
/// that have them share connections and all that is known of the servers, and so does the policy after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    pub(in crate::config) servers: Vec<ServerAddress>,
    pub(in crate::config) authorities: Option<CaCertificates>,
    pub(in crate::config) resolve: Duration,
    pub(in crate::config) balance: LoadBalancing,
    pub(in crate::config) retries: usize,
    pub(in crate::config) eject_after: u32,
    pub(in crate::config) eject_for: Duration,
    pub(in crate::config) health_check: Option<HealthCheck>,
    pub(in crate::config) connect_timeout: Duration,
    pub(in crate::config) read_timeout: Duration,
    pub(in crate::config) write_timeout: Duration,
    pub(in crate::config) idle_timeout: Duration,
    pub(in crate::config) tunnel_timeout: Duration,
}

/// One URL of an app: a server, or all servers that a name has addresses of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    pub(in crate::config) host: Host,
    pub(in crate::config) port: u16,
    pub(in crate::config) authority: String,
    pub(in crate::config) name: Option<Arc<str>>,
}

/// Certificates of authorities, instead of the system's. Each can be used as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaCertificates(pub(in crate::config) Arc<[Vec<u8>]>);

/// Which server a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadBalancing {
    /// They take turns.
    RoundRobin,
    /// The one with the fewest requests in flight; of several, the one whose turn it is.
    LeastConnections,
}

/// `[route.health_check]`: a request that is sent to every server again and again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    pub(in crate::config) path: String,
    pub(in crate::config) host: Option<String>,
    pub(in crate::config) status: Vec<RangeInclusive<u16>>,
    pub(in crate::config) interval: Duration,
    pub(in crate::config) timeout: Duration,
    pub(in crate::config) healthy_after: usize,
    pub(in crate::config) unhealthy_after: usize,
}

impl Upstream {
    /// The most servers that an upstream can have: as many as the proxy has bits for, to remember which of them a request has
    /// tried.
    pub const MAX_SERVERS: usize = 64;

    /// At least one. Either all of them speak TLS, or none.
    #[must_use]
    pub fn servers(&self) -> &[ServerAddress] {
        &self.servers
    }

    /// Who has to vouch for the servers that speak TLS; `None`: the system's authorities.
    #[must_use]
    pub const fn authorities(&self) -> Option<&CaCertificates> {
        self.authorities.as_ref()
    }

    /// How often names are resolved anew.
    #[must_use]
    pub const fn resolve(&self) -> Duration {
        self.resolve
    }

    /// Which of the servers is asked.
    #[must_use]
    pub const fn balance(&self) -> LoadBalancing {
        self.balance
    }

    /// How often a request is tried again.
    #[must_use]
    pub const fn retries(&self) -> usize {
        self.retries
    }

    /// How many failures in a row take a server out; 0: no number of them.
    #[must_use]
    pub const fn eject_after(&self) -> u32 {
        self.eject_after
    }

    /// For how long.
    #[must_use]
    pub const fn eject_for(&self) -> Duration {
        self.eject_for
    }

    /// How the servers are checked, if they are.
    #[must_use]
    pub const fn health_check(&self) -> Option<&HealthCheck> {
        self.health_check.as_ref()
    }

    /// For the handshakes with one server, TCP's and that of TLS together.
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

impl ServerAddress {
    /// The host of the URL.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port of the URL, or its scheme's.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens, if the URL has an address. `None`: a name, which is resolved while the gate runs.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.address().map(|address| SocketAddr::new(address, self.port))
    }

    /// Host and port as the file writes them.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// With TLS, the name that its certificate must be for: never empty, a host name or an address without brackets.
    #[must_use]
    pub const fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }
}

impl CaCertificates {
    /// Each in DER. At least one.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }
}

impl HealthCheck {
    /// What is asked for: a path, perhaps with a query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `Host` of the request, instead of the server's own.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Whether an answer with this status is a good one.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        self.status.iter().any(|range| range.contains(&status))
    }

    /// From the end of one to the beginning of the next.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// For the whole of one, up to the head of the answer.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many good ones in a row make an unhealthy server healthy.
    #[must_use]
    pub const fn healthy_after(&self) -> usize {
        self.healthy_after
    }

    /// How many bad ones in a row make a healthy server unhealthy.
    #[must_use]
    pub const fn unhealthy_after(&self) -> usize {
        self.unhealthy_after
    }
}
