//! The servers of one route, prepared once, and which of them to try next.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, PeerOptions, Scheme};

use crate::config::Upstream;

/// Servers that take turns. One that refused a connection rests for a second, if there are others.
#[derive(Debug)]
pub(super) struct Pool {
    servers: Vec<Server>,
    turn: AtomicUsize,
    tunnel_timeout: Duration,
    /// What the resting times count from.
    epoch: Instant,
}

#[derive(Debug)]
struct Server {
    peer: HttpPeer,
    /// Milliseconds after the pool's epoch; 0: not resting.
    rests_until: AtomicU64,
}

/// The servers that a request has tried, one bit each: a configuration with more than 64 for a route is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried(u64);

/// Why there is no server to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// This request has tried them all.
    AllTried,
    /// Every one is resting.
    AllResting,
}

impl Pool {
    pub(super) fn new(upstream: &Upstream) -> Self {
        let servers = upstream
            .servers()
            .iter()
            .map(|address| Server { peer: peer(*address, upstream), rests_until: AtomicU64::new(0) });
        Self {
            servers: servers.collect(),
            turn: AtomicUsize::new(0),
            tunnel_timeout: upstream.tunnel_timeout(),
            epoch: Instant::now(),
        }
    }

    /// The server whose turn it is, of those that were not tried and do not rest.
    pub(super) fn pick(&self, tried: Tried) -> Result<usize, NoServer> {
        if self.servers.len() == 1 {
            return if tried.0 == 0 { Ok(0) } else { Err(NoServer::AllTried) };
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = self.elapsed();
        let order = (0..self.servers.len()).map(|step| turn.wrapping_add(step) % self.servers.len());
        let awake = |index: &usize| self.servers[*index].rests_until.load(Ordering::Relaxed) <= now;
        match order.filter(|index| tried.0 & (1 << index) == 0).find(awake) {
            Some(index) => Ok(index),
            None if tried.0 == 0 => Err(NoServer::AllResting),
            None => Err(NoServer::AllTried),
        }
    }

    /// The prepared peer of a server. An upgraded connection may be silent for longer.
    pub(super) fn peer(&self, index: usize, tunnel: bool) -> Box<HttpPeer> {
        let mut peer = Box::new(self.servers[index].peer.clone());
        if tunnel {
            peer.options.read_timeout = Some(self.tunnel_timeout);
        }
        peer
    }

    /// How long a tunnel may be silent.
    pub(super) const fn tunnel_timeout(&self) -> Duration {
        self.tunnel_timeout
    }

    /// Notes that a server could not be reached.
    pub(super) fn rest(&self, index: usize) {
        let until = self.elapsed() + RESTING_TIME;
        self.servers[index].rests_until.store(until, Ordering::Relaxed);
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Tried {
    pub(super) const fn add(&mut self, index: usize) {
        self.0 |= 1 << index;
    }
}

/// ☠ Pingora has no time-out unless told (`pingora.md` 1.4), and `HttpPeer::new` resolves names and panics.
fn peer(address: std::net::SocketAddr, upstream: &Upstream) -> HttpPeer {
    let mut options = PeerOptions::new();
    options.connection_timeout = Some(upstream.connect_timeout());
    options.total_connection_timeout = Some(upstream.connect_timeout());
    options.read_timeout = Some(upstream.read_timeout());
    options.write_timeout = Some(upstream.write_timeout());
    options.idle_timeout = Some(upstream.idle_timeout());
    HttpPeer {
        _address: SocketAddr::Inet(address),
        scheme: Scheme::HTTP,
        sni: String::new(),
        proxy: None,
        client_cert_key: None,
        group_key: 0,
        options,
    }
}

/// Milliseconds for which a server that refused a connection is not asked.
const RESTING_TIME: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(servers: usize) -> Pool {
        let peer = HttpPeer {
            _address: SocketAddr::Inet("127.0.0.1:1".parse().unwrap()),
            scheme: Scheme::HTTP,
            sni: String::new(),
            proxy: None,
            client_cert_key: None,
            group_key: 0,
            options: PeerOptions::new(),
        };
        let server = || Server { peer: peer.clone(), rests_until: AtomicU64::new(0) };
        Pool {
            servers: (0..servers).map(|_| server()).collect(),
            turn: AtomicUsize::new(0),
            tunnel_timeout: Duration::ZERO,
            epoch: Instant::now(),
        }
    }

    #[test]
    fn one_server_is_always_asked_once() {
        let pool = pool(1);
        pool.rest(0);
        let mut tried = Tried::default();
        assert_eq!(pool.pick(tried), Ok(0));
        tried.add(0);
        assert_eq!(pool.pick(tried), Err(NoServer::AllTried));
    }

    #[test]
    fn several_take_turns_and_those_that_rest_are_skipped() {
        let pool = pool(3);
        let picks: Vec<_> = (0..6).map(|_| pool.pick(Tried::default()).unwrap()).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
        pool.rest(1);
        assert!((0..6).all(|_| pool.pick(Tried::default()) != Ok(1)));
        let mut tried = Tried::default();
        tried.add(0);
        assert_eq!(pool.pick(tried), Ok(2));
        tried.add(2);
        assert_eq!(pool.pick(tried), Err(NoServer::AllTried));
        pool.rest(0);
        pool.rest(2);
        assert_eq!(pool.pick(Tried::default()), Err(NoServer::AllResting));
    }
}
