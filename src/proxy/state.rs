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

/// Everything that requests share.
pub struct SharedState {
    /// What judges the requests that come now. A reload stores another one; a request keeps the one that it began with.
    pub snapshot: ArcSwap<Snapshot>,
    /// What changes only with a restart.
    pub server: ServerSettings,
    /// The tokens that were verified under it.
    pub known: TokenCache,
    /// What the clients have used of what they may.
    pub usage: AddressLimiters,
    /// Where logins are answered.
    pub services: LoginServices,
    /// The tunnels that are open for a token.
    pub tunnels: Arc<Tunnels>,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// For request ids.
    pub request_ids: RequestIds,
    /// What is written down.
    pub journal: Arc<LogWriter>,
    /// Where spans go.
    pub exporter: Arc<Exporter>,
    /// Whether operators were told of headers that are not believed.
    pub untrusted: Untrusted,
}

/// Where connections come in, and what holds for them.
pub trait ListenerPolicy: Send + Sync + 'static {
    /// What they may take up.
    fn limits(&self) -> Limits;
    /// How they are encrypted, if they are.
    fn tls(&self) -> Option<Arc<ServerConfig>>;
    /// Whether this address is a proxy's, which speaks for many clients.
    fn trusts(&self, address: IpAddr) -> bool;
    /// How long a client may take nothing of what is for it.
    fn write_timeout(&self) -> Duration;
    /// A request was refused before it was one. Nobody else counts it.
    fn refused(&self, _deny: DenyReason) {}
}

impl SharedState {
    /// How many connections of clients may be open at this moment.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.limits().connections().unwrap_or(*listener::DEFAULT_MAX_CONNECTIONS)
    }
}

impl ListenerPolicy for SharedState {
    fn limits(&self) -> Limits {
        self.snapshot.load().policy.limits().clone()
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.snapshot.load().policy.tls().map(|tls| tls.config().clone())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.server.proxies().trusts(address.to_canonical())
    }

    fn write_timeout(&self) -> Duration {
        self.snapshot.load().write_timeout
    }

    fn refused(&self, deny: DenyReason) {
        let row = deny.response();
        let snapshot = self.snapshot.load();
        // It took the gate no time, however long it was waited for.
        snapshot.meters.at(RouteId::None).count(RequestOutcome::Denied, row.reason, Some(row.status), Duration::ZERO);
    }
}

/// That of the operators: no file's limits hold, so that they can look when the gate is full.
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
