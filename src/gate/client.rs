//! Who is at the other end, and what is told to the app about it: the whole X-Forwarded-* set, built anew.
//!
//! What a client says of itself counts only if the peer of the socket is a configured proxy (`threats.md` R4). Nothing
//! here changes the path, the method or the host that are judged (R5).

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use ipnet::IpNet;

/// The client, as far as it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address: the peer's, or what the trusted proxies say.
    pub address: IpAddr,
    /// Whether it came over TLS, to us or to a trusted proxy.
    pub secure: bool,
    /// `X-Forwarded-For` for the app: every believed hop, the peer last.
    pub forwarded_for: String,
    /// `X-Forwarded-Host` that a trusted proxy sent.
    pub forwarded_host: Option<HeaderValue>,
}

impl Client {
    /// Judges what `headers` say, sent by `peer` over TLS or not.
    #[must_use]
    pub fn of(peer: IpAddr, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        if trusted.is_empty() || !is_trusted(peer, trusted) {
            return Self { address: peer, secure: tls, forwarded_for: text(peer), forwarded_host: None };
        }
        let hops = hops(headers);
        // From the right: every trusted proxy vouches for the hop before it, and no one for what stands left of that.
        let believed = hops.iter().rev().take_while(|hop| is_trusted(**hop, trusted)).count();
        let first = hops.len().saturating_sub(believed + 1);
        let address = hops.get(first).copied().unwrap_or(peer);
        let believed = hops[first..].iter().chain([&peer]).map(IpAddr::to_string).collect::<Vec<_>>();
        Self {
            address,
            secure: proto(headers).map_or(tls, |proto| proto.eq_ignore_ascii_case("https")),
            forwarded_for: believed.join(", "),
            forwarded_host: headers.get(&X_FORWARDED_HOST).cloned(),
        }
    }
}

/// As `to_string` has it, which goes through all of the formatting, and cost more than the rest of this file.
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

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The addresses of X-Forwarded-For or, without it, of Forwarded (RFC 7239), client first. One that can't be read ends
/// what is believed: all that stands left of it is dropped.
fn hops(headers: &HeaderMap) -> Vec<IpAddr> {
    let mut hops = Vec::new();
    let mut read = |text: Option<&str>| match text.and_then(address) {
        Some(address) => hops.push(address),
        None => hops.clear(),
    };
    if headers.contains_key(&X_FORWARDED_FOR) {
        elements(headers, &X_FORWARDED_FOR).for_each(|element| read(element.map(str::trim)));
    } else {
        elements(headers, &FORWARDED).for_each(|element| read(element.and_then(|element| parameter(element, "for"))));
    }
    hops
}

/// The scheme as the proxy nearest to us saw it.
fn proto(headers: &HeaderMap) -> Option<&str> {
    if headers.contains_key(&X_FORWARDED_PROTO) {
        return elements(headers, &X_FORWARDED_PROTO).last()?.map(str::trim);
    }
    elements(headers, &FORWARDED).last()?.and_then(|element| parameter(element, "proto"))
}

/// The comma-separated elements of all headers of this name; `None` for a header that is not text.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'a str>> {
    headers.get_all(name).iter().flat_map(|value| match value.to_str() {
        Ok(text) => text.split(',').map(Some).collect::<Vec<_>>(),
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

    fn judge(peer: &str, pairs: &[(&'static str, &'static str)]) -> Client {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        Client::of(peer.parse().unwrap(), false, &headers, &trusted)
    }

    #[test]
    fn r04_only_configured_proxies_are_believed() {
        let spoofed = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=1.2.3.4;proto=https"),
        ];
        let client = judge("192.0.2.1", &spoofed);
        assert_eq!((client.address.to_string(), client.secure), ("192.0.2.1".into(), false));
        assert_eq!((client.forwarded_for.as_str(), client.forwarded_host), ("192.0.2.1", None));
        let client = judge("10.0.0.1", &spoofed);
        assert_eq!((client.address.to_string(), client.secure), ("1.2.3.4".into(), true));
        assert_eq!(client.forwarded_for, "1.2.3.4, 10.0.0.1");
        assert_eq!(client.forwarded_host.unwrap(), "evil");
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
        let client = judge("::1", &[("forwarded", "for=\"[2001:db8::7]:1\";proto=https, for=1.2.3.4;proto=http")]);
        assert_eq!((client.address.to_string(), client.secure), ("1.2.3.4".into(), false));
        assert_eq!(judge("::ffff:10.0.0.1", &[("x-forwarded-for", "1.2.3.4")]).address.to_string(), "1.2.3.4");
    }
}
