//! The servers behind a route, and how to treat them.

pub(in crate::config) mod health_check;
pub(in crate::config) mod read;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::config::host::Host;
use crate::config::sealed::Sealed;

/// The servers of an app, which of them is asked, and how long to wait for them. Two that are equal are one: the routes
/// that have them share connections and all that is known of the servers, and so does the policy after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// At least one. Either all of them speak TLS, or none.
    pub servers: Vec<ServerAddress>,
    /// Who has to vouch for the servers that speak TLS; `None`: the system's authorities.
    pub authorities: Option<CaCertificates>,
    /// How often names are resolved anew.
    pub resolve: Duration,
    /// Which of the servers is asked.
    pub balance: LoadBalancing,
    /// How often a request is tried again.
    pub retries: usize,
    /// How many failures in a row take a server out; 0: no number of them.
    pub eject_after: u32,
    pub eject_for: Duration,
    /// How the servers are checked, if they are.
    pub health_check: Option<HealthCheck>,
    /// For the handshakes with one server, TCP's and that of TLS together.
    pub connect_timeout: Duration,
    /// Between two reads of an answer.
    pub read_timeout: Duration,
    /// Between two writes, of a request to the app or of its answer to the client.
    pub write_timeout: Duration,
    /// For an unused connection kept for reuse.
    pub idle_timeout: Duration,
    /// Between two reads of a WebSocket.
    pub tunnel_timeout: Duration,
    pub(in crate::config) _sealed: Sealed,
}

/// One URL of an app: a server, or all servers that a name has addresses of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// The host of the URL.
    pub host: Host,
    /// The port of the URL, or its scheme's.
    pub port: u16,
    /// Host and port as the file writes them.
    pub authority: String,
    /// With TLS, the name that its certificate must be for: never empty, a host name or an address without brackets.
    pub name: Option<Arc<str>>,
    pub(in crate::config) _sealed: Sealed,
}

/// Certificates of authorities, instead of the system's. Each can be used as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaCertificates(pub(in crate::config) Arc<[Vec<u8>]>);

impl CaCertificates {
    /// Each in DER. At least one.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }
}

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
    /// What is asked for: a path, perhaps with a query.
    pub path: String,
    /// `Host` of the request, instead of the server's own.
    pub host: Option<String>,
    pub(in crate::config) status: Vec<RangeInclusive<u16>>,
    /// From the end of one to the beginning of the next.
    pub interval: Duration,
    /// For the whole of one, up to the head of the answer.
    pub timeout: Duration,
    /// How many good ones in a row make an unhealthy server healthy.
    pub healthy_after: usize,
    /// How many bad ones in a row make a healthy server unhealthy.
    pub unhealthy_after: usize,
    pub(in crate::config) _sealed: Sealed,
}

impl Upstream {
    /// The most servers that an upstream can have: as many as the proxy has bits for, to remember which of them a request has
    /// tried.
    pub const MAX_SERVERS: usize = 64;
}

impl ServerAddress {
    /// Where it listens, if the URL has an address. `None`: a name, which is resolved while the gate runs.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.address().map(|address| SocketAddr::new(address, self.port))
    }
}

impl HealthCheck {
    /// Whether an answer with this status is a good one.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        self.status.iter().any(|range| range.contains(&status))
    }
}
