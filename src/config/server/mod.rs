//! `[server]`: settings of the process. A change requires a restart.

pub(in crate::config) mod read;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::config::host::Host;
use crate::config::sealed::Sealed;

/// The trusted proxies in front of Tollgate, and their headers (SECURITY.md R4, R54).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    pub networks: Vec<IpNet>,
    pub family: ForwardedFamily,
    /// Whether the application receives the host from the headers of the proxies.
    pub trust_forwarded_host: bool,
    pub(in crate::config) _sealed: Sealed,
}

/// Headers in which proxies write the client address. Tollgate reads only one family: a proxy that writes one family forwards
/// the other one from its client unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFamily {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
}

impl Proxies {
    /// `host`: see `trusts_host`.
    #[must_use]
    pub const fn new(trusted: Vec<IpNet>, family: ForwardedFamily, trust_forwarded_host: bool) -> Self {
        Self { networks: trusted, family, trust_forwarded_host, _sealed: Sealed(()) }
    }

    /// Returns whether this is the address of a trusted proxy. `address` is canonical: an IPv4 address is not mapped to IPv6.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&address))
    }
}

/// For listeners without trusted proxies.
pub static NO_PROXIES: Proxies = Proxies::new(Vec::new(), ForwardedFamily::XForwarded, false);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Addresses for clients. At least one.
    pub listen: Vec<SocketAddr>,
    /// Address of the admin listener. `None`: no admin listener.
    pub admin: Option<SocketAddr>,
    /// Worker threads. 0 in the file was replaced by the number of CPU cores.
    pub threads: usize,
    /// Host names of the admin listener, in addition to its address and `localhost`.
    pub admin_hosts: Vec<Host>,
    /// The trusted proxies.
    pub proxies: Proxies,
    /// HTTP/2 without TLS, with prior knowledge.
    pub h2c: bool,
    pub tls: bool,
    /// Addresses without TLS that redirect to the first address of `listen`.
    pub redirect: Vec<SocketAddr>,
    /// Maximum time for requests in flight after SIGTERM.
    pub shutdown_grace: Duration,
    /// Threads that hash passwords. Each needs 19 MiB during a hash. 0 in the file was replaced by half of the CPU cores.
    pub hash_threads: usize,
    /// Passwords that can wait for a hash thread. If the queue is full, one login gets 503.
    pub hash_queue: usize,
    /// Bytes of the token cache. 0: no cache.
    pub token_cache: u64,
    pub(in crate::config) _sealed: Sealed,
}

impl ServerSettings {
    /// Returns whether Tollgate listens on `address`: an upstream there would be a loop.
    #[must_use]
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.listen.iter().chain(&self.admin).any(|own| covers(own, &address))
    }

    /// Returns the keys that differ in `other`, such as `server.listen`.
    pub(in crate::config) fn differences(&self, other: &Self) -> Vec<&'static str> {
        // Without `..`, so that the compiler reports a new field here.
        let Self {
            listen,
            admin,
            threads,
            admin_hosts,
            proxies,
            h2c,
            tls,
            redirect,
            shutdown_grace,
            hash_threads,
            hash_queue,
            token_cache,
            ..
        } = self;
        let differ = [
            ("server.listen", *listen != other.listen),
            ("server.admin", *admin != other.admin),
            ("server.threads", *threads != other.threads),
            ("server.admin_hosts", *admin_hosts != other.admin_hosts),
            ("server.trusted_proxies", proxies.networks != other.proxies.networks),
            ("server.forwarded", proxies.family != other.proxies.family),
            ("server.trust_forwarded_host", proxies.trust_forwarded_host != other.proxies.trust_forwarded_host),
            ("server.h2c", *h2c != other.h2c),
            ("server.tls", *tls != other.tls),
            ("server.tls.redirect", *redirect != other.redirect),
            ("server.shutdown_grace", *shutdown_grace != other.shutdown_grace),
            ("server.hash_threads", *hash_threads != other.hash_threads),
            ("server.hash_queue", *hash_queue != other.hash_queue),
            ("server.token_cache", *token_cache != other.token_cache),
        ];
        differ.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

/// Returns whether a listener on `own` accepts connections to `address`.
pub(in crate::config) fn covers(own: &SocketAddr, address: &SocketAddr) -> bool {
    // Port 0 is replaced by a free port at each start.
    if own.port() != address.port() || own.port() == 0 {
        return false;
    }
    let (own, address) = (own.ip().to_canonical(), address.ip().to_canonical());
    let everywhere = own.is_unspecified() && (address.is_loopback() || address.is_unspecified());
    own == address || everywhere
}
