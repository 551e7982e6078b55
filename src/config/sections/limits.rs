//! `[limits]`, and what an address or an API key may send.

use std::num::NonZero;
use std::time::Duration;

use crate::config::limits::Limits;
use crate::config::reader::{Keys, Section};
use crate::quota::{MAX_BURST, MAX_RATE, MIN_RATE, Quota, Rate};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[limits]",
    known: &[
        "connections",
        "connections_per_address",
        "streams_per_address",
        "head_size",
        "head_timeout",
        "body_timeout",
        "body_rate",
        "body_size",
        "keepalive",
        "rate",
        "burst",
        "concurrent",
    ],
    later: &[],
    parent: None,
};

/// What is in it.
pub(in crate::config) fn read(section: &Section<'_>) -> Limits {
    let default = Limits::default();
    let head_size = section.size("head_size", MAX_HEAD, default.head_size);
    if head_size < MIN_HEAD {
        section.error("head_size", "is too small for any request: write at least \"1KiB\"");
    }
    Limits {
        connections: section.number("connections", 0..=MAX_CONNECTIONS, default.connections),
        connections_per_address: section.number(
            "connections_per_address",
            0..=MAX_CONNECTIONS,
            default.connections_per_address,
        ),
        streams_per_address: section.number("streams_per_address", 0..=MAX_CONNECTIONS, default.streams_per_address),
        head_size,
        head_timeout: section.duration("head_timeout", SHORTEST..=LONGEST, default.head_timeout),
        body_timeout: section.duration("body_timeout", SHORTEST..=LONGEST, default.body_timeout),
        body_rate: section.size("body_rate", MAX_BODY_RATE, default.body_rate),
        body_size: section.size("body_size", MAX_BODY, default.body_size),
        keepalive: section.duration("keepalive", Duration::from_secs(1)..=LONGEST, default.keepalive),
        per_address: quota(section),
    }
}

/// `rate`, `burst` and `concurrent` of a section.
pub(in crate::config) fn quota(section: &Section<'_>) -> Quota {
    let most = |key, most| {
        // The default is never used: it is there.
        section.has(key).then(|| section.number(key, 1..=most, 1)).and_then(|number| u32::try_from(number).ok())
    };
    let burst = section.has("burst").then(|| section.number("burst", 0..=MAX_BURST as usize, 0));
    let burst = burst.and_then(|number| u32::try_from(number).ok());
    if burst.is_some() && !section.has("rate") {
        section.error("burst", "goes on top of a rate: write rate, or remove burst");
    }
    Quota {
        rate: section.decimal("rate", MIN_RATE..=MAX_RATE).and_then(|rate| Rate::new(rate, burst)),
        concurrent: most("concurrent", MAX_CONNECTIONS).and_then(NonZero::new),
    }
}

/// Every request of a browser with a token in a cookie is larger than this.
const MIN_HEAD: u64 = 1 << 10;
/// Half of what pingora reads.
const MAX_HEAD: u64 = 512 << 10;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);
const MAX_BODY_RATE: u64 = 1 << 30;
pub(in crate::config) const MAX_BODY: u64 = 1 << 50;
const MAX_CONNECTIONS: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, ROUTE, SERVER, assert_error, check};

    #[test]
    fn without_the_section_there_are_few_limits() {
        let config = check(&format!("{SERVER}{REALM}{LOGIN}")).unwrap();
        assert_eq!(*config.policy.limits(), Limits::default());
        let limits = config.policy.limits();
        assert_eq!((limits.connections(), limits.connections_per_address()), (None, None));
        assert_eq!(limits.streams_per_address(), Some(1000));
        assert_eq!((limits.head_size(), limits.body_size(), limits.body_rate()), (64 << 10, None, Some(500)));
        assert!(limits.per_address().is_unlimited());
        let empty = check(&format!("{SERVER}[limits]\n{REALM}{LOGIN}")).unwrap();
        assert_eq!(empty.policy.limits(), config.policy.limits());
    }

    #[test]
    fn all_of_it() {
        let keys = "connections = 1000\nconnections_per_address = 20\nstreams_per_address = 0\nhead_size = \"8KiB\"\nhead_timeout = \"5s\"\n\
                    body_timeout = \"500ms\"\nbody_rate = \"0\"\nbody_size = \"1MiB\"\nkeepalive = \"10s\"\n\
                    rate = 0.5\nburst = 3\nconcurrent = 4\n";
        let key = "[[realm.key]]\nid = \"web\"\nsecret = \"0123456789abcdef\"\nrate = 1_000\nconcurrent = 7\n";
        let text = format!("{SERVER}[limits]\n{keys}{REALM}{key}{ROUTE}body_size = \"2MiB\"\n");
        let config = check(&text).unwrap();
        let limits = config.policy.limits();
        assert_eq!((limits.connections(), limits.connections_per_address()), (Some(1000), Some(20)));
        assert_eq!(limits.streams_per_address(), None);
        assert_eq!((limits.head_size(), limits.body_size(), limits.body_rate()), (8192, Some(1 << 20), None));
        assert_eq!(
            (limits.head_timeout(), limits.body_timeout()),
            (Duration::from_secs(5), Duration::from_millis(500))
        );
        assert_eq!(limits.keepalive(), Duration::from_secs(10));
        let quota = |rate, burst, most| Quota { rate: Rate::new(rate, burst), concurrent: NonZero::new(most) };
        assert_eq!(*limits.per_address(), quota(0.5, Some(3), 4));
        let key = config.policy.realms()[0].api_key("0123456789abcdef").unwrap();
        assert_eq!(*key.quota(), quota(1000.0, None, 7));
        assert_eq!(config.policy.routing().routes()[0].body_size(), Some(2 << 20));
        let of = |route: &str| {
            let config = check(&format!("{SERVER}[limits]\nbody_size = \"1MiB\"\n{REALM}{ROUTE}{route}")).unwrap();
            config.policy.routing().routes()[0].body_size()
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
            ("burst = 5", "limits.burst: goes on top of a rate: write rate"),
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
        assert_error(&format!("{SERVER}{REALM}{key}{LOGIN}"), "realm.a.key[0].burst: goes on top of a rate");
    }
}
