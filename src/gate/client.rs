//! The client of a request, and the X-Forwarded-* headers for the application, which are written anew.
//!
//! Reported values count only if the peer of the socket is a configured proxy (SECURITY.md R4). Nothing here changes
//! the path, the method or the host that are judged (R5).

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};

use crate::config::{Authority, ForwardedFamily, Proxies};

/// The client, as far as it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The address: the peer's, or the one that the trusted proxies report.
    pub address: IpAddr,
    /// Whether the client used TLS, to Tollgate or to a trusted proxy.
    pub secure: bool,
    /// `X-Forwarded-For` for the application: every believed hop, the peer last.
    pub forwarded_for: String,
    /// The host that a trusted proxy reports, if such reports are trusted.
    pub forwarded_host: Option<HeaderValue>,
}

impl ClientInfo {
    /// Reads `headers` of a request from `peer`, over TLS or not.
    #[must_use]
    pub fn from_request(peer: IpAddr, tls: bool, headers: &HeaderMap, proxies: &Proxies) -> Self {
        let peer = peer.to_canonical();
        if !proxies.trusts(peer) {
            return Self { address: peer, secure: tls, forwarded_for: text(peer), forwarded_host: None };
        }
        let said = Said { headers, family: proxies.family };
        let hops = said.hops();
        // From the right: every trusted proxy reports the hop before it. Everything left of the first untrusted hop is
        // ignored.
        let believed = hops.iter().rev().take_while(|hop| proxies.trusts(**hop)).count();
        let first = hops.len().saturating_sub(believed + 1);
        let address = hops.get(first).copied().unwrap_or(peer);
        let believed = hops[first..].iter().chain([&peer]).map(IpAddr::to_string).collect::<Vec<_>>();
        Self {
            address,
            secure: said.proto().map_or(tls, |proto| proto.eq_ignore_ascii_case("https")),
            forwarded_for: believed.join(", "),
            forwarded_host: if proxies.trust_forwarded_host { said.host() } else { None },
        }
    }

    /// Returns whether these headers report a client: the sender is a proxy, or pretends to be one.
    #[must_use]
    pub fn is_told(headers: &HeaderMap) -> bool {
        [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST, &FORWARDED]
            .iter()
            .any(|name| headers.contains_key(*name))
    }
}

/// Equals `to_string`. Its formatting machinery cost more than the rest of this file.
fn text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
    text
}

/// The report of a trusted proxy, in the configured family of headers. The nearest proxy wrote the last value.
struct Said<'a> {
    headers: &'a HeaderMap,
    family: ForwardedFamily,
}

impl<'a> Said<'a> {
    /// Returns the reported addresses, client first. A malformed one, and all before it, are dropped.
    fn hops(&self) -> Vec<IpAddr> {
        let mut hops = Vec::new();
        let mut read = |text: Option<&str>| match text.and_then(address) {
            Some(address) => hops.push(address),
            None => hops.clear(),
        };
        match self.family {
            ForwardedFamily::XForwarded => elements(self.headers, &X_FORWARDED_FOR).for_each(&mut read),
            ForwardedFamily::Rfc7239 => elements(self.headers, &FORWARDED)
                .for_each(|element| read(element.and_then(|element| parameter(element, "for")))),
        }
        hops
    }

    fn proto(&self) -> Option<&'a str> {
        self.last(&X_FORWARDED_PROTO, "proto")
    }

    /// The host, if it is one.
    fn host(&self) -> Option<HeaderValue> {
        let host = self.last(&X_FORWARDED_HOST, "host")?;
        Authority::parse(host)?;
        HeaderValue::from_str(host).ok()
    }

    fn last(&self, name: &HeaderName, key: &str) -> Option<&'a str> {
        match self.family {
            ForwardedFamily::XForwarded => elements(self.headers, name).last()?,
            ForwardedFamily::Rfc7239 => {
                elements(self.headers, &FORWARDED).last()?.and_then(|element| parameter(element, key))
            }
        }
    }
}

/// The comma-separated elements of all headers of this name; `None` for a header that is not text.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'a str>> {
    headers.get_all(name).iter().flat_map(|value| match value.to_str() {
        Ok(text) => text.split(',').map(|element| Some(element.trim())).collect::<Vec<_>>(),
        Err(_) => vec![None],
    })
}

fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

/// An address with or without brackets and port.
fn address(text: &str) -> Option<IpAddr> {
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use super::*;

    const TRUSTED: [&str; 2] = ["10.0.0.0/8", "::1/128"];

    fn ask(peer: &str, family: ForwardedFamily, host: bool, pairs: &[(&'static str, &'static str)]) -> ClientInfo {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = TRUSTED.iter().map(|net| net.parse().unwrap()).collect();
        ClientInfo::from_request(peer.parse().unwrap(), false, &headers, &Proxies::new(trusted, family, host))
    }

    fn judge(peer: &str, pairs: &[(&'static str, &'static str)]) -> ClientInfo {
        ask(peer, ForwardedFamily::XForwarded, false, pairs)
    }

    const SPOOFED: [(&str, &str); 4] = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=5.6.7.8;proto=http;host=other.example"),
    ];

    #[test]
    fn r04_only_configured_proxies_are_believed() {
        for family in [ForwardedFamily::XForwarded, ForwardedFamily::Rfc7239] {
            let client = ask("192.0.2.1", family, true, &SPOOFED);
            assert_eq!((client.address.to_string(), client.secure), ("192.0.2.1".into(), false));
            assert_eq!((client.forwarded_for.as_str(), client.forwarded_host), ("192.0.2.1", None));
        }
    }

    #[test]
    fn r54_one_family_of_headers_counts() {
        let client = ask("10.0.0.1", ForwardedFamily::XForwarded, true, &SPOOFED);
        assert_eq!((client.address.to_string(), client.secure), ("1.2.3.4".into(), true));
        assert_eq!(client.forwarded_for, "1.2.3.4, 10.0.0.1");
        assert_eq!(client.forwarded_host.unwrap(), "evil.example");
        let client = ask("10.0.0.1", ForwardedFamily::Rfc7239, true, &SPOOFED);
        assert_eq!((client.address.to_string(), client.secure), ("5.6.7.8".into(), false));
        assert_eq!(client.forwarded_host.unwrap(), "other.example");
        // The other header alone reports nothing.
        let client = ask("10.0.0.1", ForwardedFamily::XForwarded, true, &SPOOFED[3..]);
        assert_eq!(
            (client.address.to_string(), client.secure, client.forwarded_host),
            ("10.0.0.1".into(), false, None)
        );
        let client = ask("10.0.0.1", ForwardedFamily::Rfc7239, true, &SPOOFED[..3]);
        assert_eq!(
            (client.address.to_string(), client.secure, client.forwarded_host),
            ("10.0.0.1".into(), false, None)
        );
    }

    #[test]
    fn r54_a_host_is_believed_on_purpose_only_and_the_last_one_counts() {
        assert_eq!(judge("10.0.0.1", &SPOOFED).forwarded_host, None);
        assert_eq!(ask("10.0.0.1", ForwardedFamily::Rfc7239, false, &SPOOFED).forwarded_host, None);
        for (values, host) in [
            (&["a.example"][..], Some("a.example")),
            (&["evil.example", "a.example:8443"], Some("a.example:8443")),
            (&["evil.example, a.example"], Some("a.example")),
            (&["evil.example ,  [2001:db8::1]:80"], Some("[2001:db8::1]:80")),
            (&["a.example", "not a host"], None),
            (&["a.example,"], None),
            (&["a.example", ""], None),
            (&["user@a.example"], None),
            (&["a.example/x"], None),
        ] {
            let pairs: Vec<_> = values.iter().map(|value| ("x-forwarded-host", *value)).collect();
            let client = ask("10.0.0.1", ForwardedFamily::XForwarded, true, &pairs);
            assert_eq!(
                client.forwarded_host.as_ref().map(HeaderValue::as_bytes),
                host.map(str::as_bytes),
                "{values:?}"
            );
        }
        for (value, host) in [
            ("host=evil.example, for=1.2.3.4;host=\"a.example:80\"", Some("a.example:80")),
            ("host=evil.example, for=1.2.3.4", None),
        ] {
            let client = ask("10.0.0.1", ForwardedFamily::Rfc7239, true, &[("forwarded", value)]);
            assert_eq!(client.forwarded_host.as_ref().map(HeaderValue::as_bytes), host.map(str::as_bytes), "{value}");
        }
    }

    #[test]
    fn the_last_scheme_counts() {
        for (values, secure) in [
            (&["https"][..], true),
            (&["https", "http"], false),
            (&["http", "HTTPS"], true),
            (&["http, https"], true),
            (&["https,"], false),
            (&["gopher"], false),
        ] {
            let pairs: Vec<_> = values.iter().map(|value| ("x-forwarded-proto", *value)).collect();
            assert_eq!(judge("10.0.0.1", &pairs).secure, secure, "{values:?}");
        }
    }

    #[test]
    fn the_rightmost_hop_that_no_proxy_of_ours_is_counts() {
        for (value, address, forwarded) in [
            ("6.6.6.6, 1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.1"),
            ("6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4", "1.2.3.4, 10.9.9.9, 10.0.0.1"),
            ("10.1.1.1, 10.9.9.9", "10.1.1.1", "10.1.1.1, 10.9.9.9, 10.0.0.1"),
            ("1.2.3.4, junk, 10.9.9.9", "10.9.9.9", "10.9.9.9, 10.0.0.1"),
            ("junk", "10.0.0.1", "10.0.0.1"),
            ("[2001:db8::1]:443", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
            ("::1, 2001:db8::1", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
            ("1.2.3.4:55", "1.2.3.4", "1.2.3.4, 10.0.0.1"),
        ] {
            let client = judge("10.0.0.1", &[("x-forwarded-for", value)]);
            assert_eq!((client.address.to_string().as_str(), client.forwarded_for.as_str()), (address, forwarded));
        }
        let value = "for=\"[2001:db8::7]:1\";proto=https, for=1.2.3.4;proto=http";
        let client = ask("::1", ForwardedFamily::Rfc7239, false, &[("forwarded", value)]);
        assert_eq!((client.address.to_string(), client.secure), ("1.2.3.4".into(), false));
        // A malformed entry invalidates everything before it.
        for value in
            ["for=6.6.6.6, for=\"1.2.3.4", "for=6.6.6.6, for=unknown, for=1.2.3.4", "for=\"6.6.6.6, for=1.2.3.4"]
        {
            let client = ask("::1", ForwardedFamily::Rfc7239, false, &[("forwarded", value)]);
            assert_eq!(client.forwarded_for, "1.2.3.4, ::1", "{value}");
        }
        assert_eq!(judge("::ffff:10.0.0.1", &[("x-forwarded-for", "1.2.3.4")]).address.to_string(), "1.2.3.4");
    }

    #[test]
    fn who_says_something_of_a_client_is_known_by_it() {
        for (name, value) in SPOOFED {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert!(ClientInfo::is_told(&headers), "{name}");
        }
        let headers = HeaderMap::from_iter([(HeaderName::from_static("accept"), HeaderValue::from_static("*/*"))]);
        assert!(!ClientInfo::is_told(&headers));
    }
}
