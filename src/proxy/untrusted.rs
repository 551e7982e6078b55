//! Warns about forwarding headers from an address that is not in `trusted_proxies`. If a proxy is missing there, all of its clients
//! count as one client.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tracing::warn;

use crate::config::Proxies;
use crate::gate::ClientInfo;

/// Writes a warning at most once a minute, for all addresses together.
#[derive(Debug, Default)]
pub struct Untrusted {
    /// The second of the process's clock from which on there may be another one.
    due: AtomicU64,
}

impl Untrusted {
    /// Checks a request of `peer` at this time of the monotonic clock.
    pub(super) fn notice(&self, peer: IpAddr, headers: &HeaderMap, proxies: &Proxies, at: Duration) {
        if self.is_new(peer, headers, proxies, at) {
            warn!(
                %peer,
                "headers that proxies send (X-Forwarded-…, Forwarded) are ignored, since this address is not in \
                 server.trusted_proxies: add it if it is your proxy"
            );
        }
    }

    fn is_new(&self, peer: IpAddr, headers: &HeaderMap, proxies: &Proxies, at: Duration) -> bool {
        let (now, due) = (at.as_secs(), self.due.load(Ordering::Relaxed));
        now >= due
            && ClientInfo::is_told(headers)
            && !proxies.trusts(peer.to_canonical())
            && self.due.compare_exchange(due, now + BETWEEN, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Seconds between two warnings.
const BETWEEN: u64 = 60;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::config::ForwardedFamily;

    #[test]
    fn once_a_minute_and_only_of_strangers() {
        let untrusted = Untrusted::default();
        let proxies = Proxies::new(vec!["10.0.0.0/8".parse().unwrap()], ForwardedFamily::XForwarded, false);
        let mut headers = HeaderMap::new();
        let new = |headers: &HeaderMap, peer: &str, second| {
            untrusted.is_new(peer.parse().unwrap(), headers, &proxies, Duration::from_secs(second))
        };
        assert!(!new(&headers, "192.0.2.1", 0));
        headers.insert("x-forwarded-host", HeaderValue::from_static("evil.example"));
        assert!(!new(&headers, "10.0.0.1", 0) && !new(&headers, "::ffff:10.0.0.1", 0));
        assert!(new(&headers, "192.0.2.1", 0));
        assert!(!new(&headers, "192.0.2.1", 1) && !new(&headers, "192.0.2.2", 59));
        assert!(new(&headers, "192.0.2.2", 60) && !new(&headers, "192.0.2.2", 60));
    }
}
