//! What all requests share, and what applies to the connections of a listener.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

use super::connections::Connections;
use super::listener;
use super::metrics::RequestOutcome;
use super::request_id::RequestIds;
use super::snapshot::{Snapshot, WRITE_TIMEOUT};
use super::trace::Exporter;
use super::tunnel::Tunnels;
use super::untrusted::Untrusted;
use crate::config::{Limits, ServerSettings};
use crate::gate::{AddressLimiters, DenyReason, RouteId, TokenCache};
use crate::log_output::LogWriter;
use crate::login::LoginServices;

/// State that all requests share.
pub struct SharedState {
    /// The current generation of the configuration. A reload replaces it; a request keeps the one that it began with.
    pub snapshot: ArcSwap<Snapshot>,
    /// Settings that need a restart to change.
    pub server: ServerSettings,
    /// Tokens that were verified under the current policy.
    pub known: TokenCache,
    /// Rate limits and concurrency limits by client address.
    pub usage: AddressLimiters,
    /// What answers logins.
    pub services: LoginServices,
    /// Open WebSockets and event streams.
    pub tunnels: Arc<Tunnels>,
    /// Open connections of clients.
    pub connections: Arc<Connections>,
    /// The source of request ids.
    pub request_ids: RequestIds,
    /// Writes the log and the audit log.
    pub journal: Arc<LogWriter>,
    /// Sends spans to a collector.
    pub exporter: Arc<Exporter>,
    /// Warns about forwarding headers of clients that are not trusted proxies.
    pub untrusted: Untrusted,
}

/// Limits and settings of the connections of one listener.
pub trait ListenerPolicy: Send + Sync + 'static {
    /// Returns the limits of connections, heads and bodies.
    fn limits(&self) -> Limits;
    /// Returns the TLS settings, on a listener with TLS.
    fn tls(&self) -> Option<Arc<ServerConfig>>;
    /// Returns whether this is the address of a trusted proxy, which sends the requests of many clients.
    fn trusts(&self, address: IpAddr) -> bool;
    /// Returns the maximum time in which a client reads nothing of its answer.
    fn write_timeout(&self) -> Duration;
    /// Counts a request that was refused before pingora read it.
    fn refused(&self, _deny: DenyReason) {}
}

impl SharedState {
    /// Returns the current limit of open connections of clients.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.limits().connections().unwrap_or(*listener::DEFAULT_MAX_CONNECTIONS)
    }
}

impl ListenerPolicy for SharedState {
    fn limits(&self) -> Limits {
        self.snapshot.load().policy.limits.clone()
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.snapshot.load().policy.tls.as_ref().map(|tls| tls.config.clone())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.server.proxies.trusts(address.to_canonical())
    }

    fn write_timeout(&self) -> Duration {
        self.snapshot.load().write_timeout
    }

    fn refused(&self, deny: DenyReason) {
        let row = deny.response();
        let snapshot = self.snapshot.load();
        // The time for which the stream waited for the client is not processing time.
        snapshot.meters.at(RouteId::None).count(RequestOutcome::Denied, row.reason, Some(row.status), Duration::ZERO);
    }
}

/// Listener policy without the limits of the configuration file. The admin listener uses it: `/status` stays available at the
/// connection limit.
#[derive(Debug)]
pub struct DefaultListenerPolicy;

impl ListenerPolicy for DefaultListenerPolicy {
    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        None
    }

    fn trusts(&self, _: IpAddr) -> bool {
        true
    }

    fn write_timeout(&self) -> Duration {
        WRITE_TIMEOUT
    }
}
