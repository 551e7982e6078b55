//! The upstream of a route.

pub(in crate::config) mod health_check;
pub(in crate::config) mod read;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::config::host::Host;
use crate::config::sealed::Sealed;

/// The upstream servers of an application, with load balancing and timeouts. Routes with equal upstreams share connections and
/// the state of the servers, also after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// At least one. All of them use TLS, or none.
    pub servers: Vec<ServerAddress>,
    /// CA certificates for servers with TLS. `None`: those of the system.
    pub authorities: Option<CaCertificates>,
    /// Interval between two DNS lookups.
    pub resolve: Duration,
    pub balance: LoadBalancing,
    /// Maximum number of retries of a request.
    pub retries: usize,
    /// Consecutive failures after which a server is ejected. 0: no ejection.
    pub eject_after: u32,
    pub eject_for: Duration,
    /// `None`: no active health checks.
    pub health_check: Option<HealthCheck>,
    /// For a connection to one server, including the TLS handshake.
    pub connect_timeout: Duration,
    /// Between two reads of a response.
    pub read_timeout: Duration,
    /// Between two writes of a request to the application, or of its response to the client.
    pub write_timeout: Duration,
    /// For an idle connection that can be reused.
    pub idle_timeout: Duration,
    /// Between two reads of a WebSocket or an event stream.
    pub tunnel_timeout: Duration,
    pub(in crate::config) _sealed: Sealed,
}

/// One URL of an upstream: one server, or a server for each address of a host name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    pub host: Host,
    /// Port of the URL, or the default of the scheme.
    pub port: u16,
    /// Host and port as written in the file.
    pub authority: String,
    /// Name that the certificate must have: a host name, or an address without brackets. Never empty. `None`: no TLS.
    pub name: Option<Arc<str>>,
    pub(in crate::config) _sealed: Sealed,
}

/// CA certificates instead of those of the system. Each is valid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaCertificates(pub(in crate::config) Arc<[Vec<u8>]>);

impl CaCertificates {
    /// DER. At least one.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }
}

/// Selection of the server for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadBalancing {
    /// Each server in turn.
    RoundRobin,
    /// The server with the fewest requests in flight; among equals, each in turn.
    LeastConnections,
}

/// `[route.health_check]`: a periodic test request to each server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// Path, with an optional query.
    pub path: String,
    /// `Host` of the test request. `None`: host and port of the server.
    pub host: Option<String>,
    pub(in crate::config) status: Vec<RangeInclusive<u16>>,
    /// Time from the end of a check to the start of the next one.
    pub interval: Duration,
    /// Maximum time for a check, up to the head of the response.
    pub timeout: Duration,
    /// Consecutive successful checks that make an unhealthy server healthy.
    pub healthy_after: usize,
    /// Consecutive failed checks that make a healthy server unhealthy.
    pub unhealthy_after: usize,
    pub(in crate::config) _sealed: Sealed,
}

impl Upstream {
    /// Maximum number of servers. The proxy has one bit for each, to record the servers that a request has tried.
    pub const MAX_SERVERS: usize = 64;
}

impl ServerAddress {
    /// Address in the URL. `None`: the URL has a host name, which is resolved at run time.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.address().map(|address| SocketAddr::new(address, self.port))
    }
}

impl HealthCheck {
    /// Returns whether a response with this status is a success.
    #[must_use]
    pub fn accepts(&self, status: u16) -> bool {
        self.status.iter().any(|range| range.contains(&status))
    }
}
