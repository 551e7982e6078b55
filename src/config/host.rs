//! A host, and a host with a port, as in `Host`, `:authority`, an origin or the URL of an upstream.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A host name or address in canonical form: lower case, without the trailing dot (SECURITY.md R10), IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host(Box<str>);

impl Host {
    /// Parses a host without a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self(format!("[{address}]").into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        is_name(name.as_bytes()).then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// Parses the host of a URL.
    #[must_use]
    pub fn parse_in_url(url: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        Some(Authority::parse(rest.split(['/', '?', '#']).next()?)?.host)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address; `None` for a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.0.trim_matches(['[', ']']).parse().ok()
    }

    /// Returns whether it is always this machine (RFC 6761, 6.3; RFC 1122, 3.2.1.3). Browsers accept `Secure` cookies from it
    /// over plain HTTP (Secure Contexts, 3.1).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address()
            .map_or_else(|| *self.0 == *"localhost" || self.0.ends_with(".localhost"), |address| address.is_loopback())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `host[:port]`, without user information.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    pub host: Host,
    pub port: Option<u16>,
}

impl Authority {
    /// Parses `host`, `host:port` or `[v6]:port`. An empty port (`host:`) is rejected, although RFC 3986 allows it: only
    /// attacks use it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.bytes().rposition(|byte| byte == b':') {
            Some(colon) if !text.ends_with(']') => (&text[..colon], Some(parse_port(&text[colon + 1..])?)),
            _ => (text, None),
        };
        Some(Self { host: Host::parse(host)?, port })
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Checks for labels of letters, digits, `-` and `_` with dots between them (RFC 1123; internal names use the underscore).
/// In one pass, because every request has a host.
fn is_name(name: &[u8]) -> bool {
    let mut label = 0;
    for byte in name {
        match byte {
            b'.' if label == 0 => return false,
            b'.' => label = 0,
            b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' if label < MAX_LABEL_BYTES => label += 1,
            _ => return false,
        }
    }
    label > 0 && name.len() <= MAX_NAME_BYTES
}

const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r10_one_form_for_every_spelling() {
        for (text, canonical) in [
            ("App.Example.COM", "app.example.com"),
            ("app.example.com.", "app.example.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("my_app", "my_app"),
        ] {
            assert_eq!(Host::parse(text).unwrap().as_str(), canonical);
        }
        for (url, host) in [
            ("https://App.example:8443/a?b", Some("app.example")),
            ("http://[::1]:80", Some("[::1]")),
            ("app.example", None),
            ("https://user@app.example/", None),
        ] {
            assert_eq!(Host::parse_in_url(url).as_ref().map(Host::as_str), host, "{url}");
        }
    }

    #[test]
    fn invalid_authorities() {
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "user@host",
            "host:",
            "host:1x",
            "host:99999",
            "host:-1",
            "host:+1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "a%41",
            "é",
            "a\\b",
            "host..",
            "a:b:1",
            "*",
            "a,b",
        ] {
            assert_eq!(Authority::parse(bad), None, "{bad}");
        }
        let authority = Authority::parse("App.example.:8080").unwrap();
        assert_eq!((authority.host.as_str(), authority.port), ("app.example", Some(8080)));
        assert_eq!(Authority::parse("[::1]:80").unwrap().port, Some(80));
    }
}
