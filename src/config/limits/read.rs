//! `[limits]`, and the quota of an address or an API key.

use std::num::NonZero;
use std::time::Duration;

use crate::config::limits::Limits;
use crate::config::reader::Section;
use crate::config::schema::kind::{decimal, duration, number, optional_number, size};
use crate::config::schema::{Setting, section};
use crate::config::sealed::Sealed;
use crate::quota::{MAX_BURST, MAX_RATE, MIN_RATE, Quota, Rate};

section! {
    /// Limits for clients. Open connections and counters survive a reload.
    LimitKeys = "[limits]", Reloadable;

    /// Maximum number of open client connections. `0`: half of the file descriptors that the process can have.
    connections: usize = number(0..=MAX_CONNECTIONS, Limits::DEFAULT.connections).example(20_000);

    /// Maximum number of open connections of one client address. `0`: no limit. Tollgate does not count the connections of
    /// `trusted_proxies`.
    connections_per_address: usize = number(0..=MAX_CONNECTIONS, Limits::DEFAULT.connections_per_address).example(100);

    /// Maximum number of concurrent HTTP/2 requests of one client address over all its connections. `0`: no limit. Tollgate
    /// refuses more streams in a way that lets the client retry them. It does not count those of `trusted_proxies`.
    streams_per_address: usize = number(0..=MAX_CONNECTIONS, Limits::DEFAULT.streams_per_address);

    /// Maximum size of a request head: request line and header fields. Over HTTP/2 never more than 32 KiB. A larger head, or one
    /// with more than 256 header fields, gets 431. Minimum: `"1KiB"`.
    head_size: u64 = size(MAX_HEAD, Limits::DEFAULT.head_size);

    /// Maximum time from the first byte of a request head to its last one. Then the response is 408.
    head_timeout: Duration = duration(SHORTEST..=LONGEST, Limits::DEFAULT.head_timeout);

    /// Maximum pause within a request body. Then the response is 408. A WebSocket has `tunnel_timeout` instead.
    body_timeout: Duration = duration(SHORTEST..=LONGEST, Limits::DEFAULT.body_timeout);

    /// Minimum average rate of a request body in bytes per second, measured after the first 20 s. `"0"`: no minimum.
    body_rate: u64 = size(MAX_BODY_RATE, Limits::DEFAULT.body_rate);

    /// Maximum size of a request body. `"0"`: no limit. A larger body gets 413. A route can have its own limit. A login accepts
    /// at most 64 KiB.
    body_size: u64 = size(MAX_BODY, Limits::DEFAULT.body_size);

    /// Time after which Tollgate closes an idle client connection.
    keepalive: Duration = duration(Duration::from_secs(1)..=LONGEST, Limits::DEFAULT.keepalive);

    /// Rate limit per client address (for IPv6: per /64 prefix), in requests per second. More requests get 429. Behind a
    /// proxy, set `trusted_proxies`: otherwise all clients have one address.
    rate: Option<f64> = decimal(MIN_RATE..=MAX_RATE, "20"), default "no limit";

    /// Number of requests above `rate` that a client address can send at once, after a time with fewer requests.
    burst: Option<usize> = optional_number(0..=MAX_BURST as usize, "40"), default "the requests of one second";

    /// Maximum number of concurrent requests of a client address.
    concurrent: Option<usize> = optional_number(1..=MAX_CONNECTIONS, "50"), default "no limit";
}

/// Reads the section.
pub(in crate::config) fn read(section: &Section<'_>) -> Limits {
    let keys = LimitKeys::read(section);
    if *keys.head_size < MIN_HEAD {
        keys.head_size.error("is too small for any request: write at least \"1KiB\"");
    }
    Limits {
        _sealed: Sealed(()),
        connections: keys.connections.value,
        connections_per_address: keys.connections_per_address.value,
        streams_per_address: keys.streams_per_address.value,
        head_size: keys.head_size.value,
        head_timeout: keys.head_timeout.value,
        body_timeout: keys.body_timeout.value,
        body_rate: keys.body_rate.value,
        body_size: keys.body_size.value,
        keepalive: keys.keepalive.value,
        per_address: quota(&keys.rate, &keys.burst, *keys.concurrent),
    }
}

/// Makes the quota of the keys `rate`, `burst` and `concurrent`.
pub(in crate::config) fn quota(
    rate: &Setting<'_, Option<f64>>,
    burst: &Setting<'_, Option<usize>>,
    concurrent: Option<usize>,
) -> Quota {
    if burst.is_written() && !rate.is_written() {
        burst.error("requires rate: write rate, or remove burst");
    }
    let whole = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok());
    Quota {
        rate: rate.value.and_then(|rate| Rate::new(rate, whole(burst.value))),
        concurrent: whole(concurrent).and_then(NonZero::new),
    }
}

/// Bytes. A request of a browser with a token in a cookie is larger.
const MIN_HEAD: u64 = 1 << 10;
/// Bytes. Half of the maximum of pingora.
const MAX_HEAD: u64 = 512 << 10;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);
const MAX_BODY_RATE: u64 = 1 << 30;
pub(in crate::config) const MAX_BODY: u64 = 1 << 50;
pub(in crate::config) const MAX_CONNECTIONS: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::{LOGIN, REALM, ROUTE, SERVER, assert_error, check};

    #[test]
    fn defaults_of_the_section() {
        let config = check(&format!("{SERVER}{REALM}{LOGIN}")).unwrap();
        assert_eq!(config.policy.limits, Limits::default());
        let limits = &config.policy.limits;
        assert_eq!((limits.connections(), limits.connections_per_address()), (None, None));
        assert_eq!(limits.streams_per_address(), Some(1000));
        assert_eq!((limits.head_size, limits.body_size(), limits.body_rate()), (64 << 10, None, Some(500)));
        assert!(limits.per_address.is_unlimited());
        let empty = check(&format!("{SERVER}[limits]\n{REALM}{LOGIN}")).unwrap();
        assert_eq!(empty.policy.limits, config.policy.limits);
    }

    #[test]
    fn every_key_is_read() {
        let keys = "connections = 1000\nconnections_per_address = 20\nstreams_per_address = 0\nhead_size = \"8KiB\"\nhead_timeout = \"5s\"\n\
                    body_timeout = \"500ms\"\nbody_rate = \"0\"\nbody_size = \"1MiB\"\nkeepalive = \"10s\"\n\
                    rate = 0.5\nburst = 3\nconcurrent = 4\n";
        let key = "[[realm.key]]\nid = \"web\"\nsecret = \"0123456789abcdef\"\nrate = 1_000\nconcurrent = 7\n";
        let text = format!("{SERVER}[limits]\n{keys}{REALM}{key}{ROUTE}body_size = \"2MiB\"\n");
        let config = check(&text).unwrap();
        let limits = &config.policy.limits;
        assert_eq!((limits.connections(), limits.connections_per_address()), (Some(1000), Some(20)));
        assert_eq!(limits.streams_per_address(), None);
        assert_eq!((limits.head_size, limits.body_size(), limits.body_rate()), (8192, Some(1 << 20), None));
        assert_eq!((limits.head_timeout, limits.body_timeout), (Duration::from_secs(5), Duration::from_millis(500)));
        assert_eq!(limits.keepalive, Duration::from_secs(10));
        let quota = |rate, burst, most| Quota { rate: Rate::new(rate, burst), concurrent: NonZero::new(most) };
        assert_eq!(limits.per_address, quota(0.5, Some(3), 4));
        let key = config.policy.realms[0].api_key("0123456789abcdef").unwrap();
        assert_eq!(key.quota, quota(1000.0, None, 7));
        assert_eq!(config.policy.routing.routes[0].body_size, Some(2 << 20));
        let of = |route: &str| {
            let config = check(&format!("{SERVER}[limits]\nbody_size = \"1MiB\"\n{REALM}{ROUTE}{route}")).unwrap();
            config.policy.routing.routes[0].body_size
        };
        assert_eq!((of(""), of("body_size = \"0\"\n")), (Some(1 << 20), None), "a route may have no limit");
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            ("rate = 0", "limits.rate: 0 is out of range: write a number from 0.001 to 1000000"),
            ("rate = -0.5", "limits.rate: -0.5 is out of range"),
            ("rate = nan", "limits.rate: nan is out of range"),
            ("rate = \"10/s\"", "limits.rate: must be a number, without quotes (found a string)"),
            ("burst = 5", "limits.burst: requires rate: write rate"),
            ("rate = 1\nburst = -1", "limits.burst: -1 is out of range"),
            (
                "rate = 1\nburst = 0.5",
                "limits.burst: must be a whole number, without quotes (found a number with a fraction)",
            ),
            ("concurrent = 0", "limits.concurrent: 0 is out of range: write a number from 1"),
            ("head_size = \"512B\"", "limits.head_size: is too small"),
            ("head_size = \"1MiB\"", "out of range: write at most \"512KiB\""),
            ("head_timeout = \"0s\"", "limits.head_timeout: \"0s\" is out of range"),
            ("body_size = 100", "limits.body_size: must be a string in double quotes (found a whole number)"),
            ("connections = -1", "limits.connections: -1 is out of range"),
            ("conections = 1", "did you mean connections?"),
        ] {
            assert_error(&format!("{SERVER}[limits]\n{keys}\n{REALM}{LOGIN}"), expected);
        }
        let key = "[[realm.key]]\nid = \"web\"\nsecret = \"0123456789abcdef\"\nburst = 1\n";
        assert_error(&format!("{SERVER}{REALM}{key}{LOGIN}"), "realm.a.key[0].burst: requires rate");
    }
}
