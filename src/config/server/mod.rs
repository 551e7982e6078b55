//! The cold part: what only a restart changes.

pub(in crate::config) mod read;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::config::host::Host;
use crate::config::sealed::Sealed;

/// The proxies in front of the gate, and which of their headers count (SECURITY.md R4, R54).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    pub networks: Vec<IpNet>,
    pub family: ForwardedFamily,
    /// Whether the host that they tell is passed on.
    pub trust_forwarded_host: bool,
    pub(in crate::config) _sealed: Sealed,
}

/// In which headers proxies say who their client is. Only one family counts: a proxy that writes the one passes the other on
/// as its client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFamily {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
}

impl Proxies {
    /// The proxies of these networks. `host`: they tell the host, too.
    #[must_use]
    pub const fn new(trusted: Vec<IpNet>, family: ForwardedFamily, trust_forwarded_host: bool) -> Self {
        Self { networks: trusted, family, trust_forwarded_host, _sealed: Sealed(()) }
    }

    /// Whether this address is one of theirs. It is in its canonical form: IPv4, if it is mapped to IPv6.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&address))
    }
}

/// There is no proxy in front.
pub static NO_PROXIES: Proxies = Proxies::new(Vec::new(), ForwardedFamily::XForwarded, false);

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where clients connect. At least one.
    pub listen: Vec<SocketAddr>,
    /// Where health and status are answered, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Worker threads; 0 in the file means one a core, and is resolved here.
    pub threads: usize,
    /// The names for which the admin listener answers, besides its own address and `localhost`.
    pub admin_hosts: Vec<Host>,
    /// The proxies in front, and what they may say of clients.
    pub proxies: Proxies,
    /// HTTP/2 without TLS, by prior knowledge.
    pub h2c: bool,
    pub tls: bool,
    /// Where clients that speak no TLS are sent to where it is spoken.
    pub redirect: Vec<SocketAddr>,
    /// How long requests in flight may take to finish after SIGTERM.
    pub shutdown_grace: Duration,
    /// Threads that hash passwords: that many hashes run at once, 19 MiB each. 0 in the file means half of the cores,
    /// and is resolved here.
    pub hash_threads: usize,
    /// Logins that may wait for a hashing thread before the next one is told 503.
    pub hash_queue: usize,
    /// How many bytes of verified tokens are kept; none if 0.
    pub token_cache: u64,
    pub(in crate::config) _sealed: Sealed,
}

impl ServerSettings {
    /// Whether `address` is one on which Tollgate itself listens: an upstream there would be a loop.
    #[must_use]
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.listen.iter().chain(&self.admin).any(|own| covers(own, &address))
    }

    /// The keys by which `self` and `other` differ, such as `server.listen`.
    pub(in crate::config) fn differences(&self, other: &Self) -> Vec<&'static str> {
        // Taken apart without `..`, so that a new field can't be forgotten here.
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

/// Whether a listener on `own` answers at `address`.
pub(in crate::config) fn covers(own: &SocketAddr, address: &SocketAddr) -> bool {
    // Port 0 is another one at each start.
    if own.port() != address.port() || own.port() == 0 {
        return false;
    }
    let (own, address) = (own.ip().to_canonical(), address.ip().to_canonical());
    let everywhere = own.is_unspecified() && (address.is_loopback() || address.is_unspecified());
    own == address || everywhere
}
