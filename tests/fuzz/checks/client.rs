//! Any bytes as what a proxy says of its client: who is not believed is not listened to, and who is vouches for one hop only.
//!
//! A line is a header: `x` X-Forwarded-For, `f` Forwarded, `p` X-Forwarded-Proto, `h` X-Forwarded-Host.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tollgate::config::{ForwardedFamily, NO_PROXIES, Proxies};
use tollgate::gate::ClientInfo;

/// Whether a reported value was believed.
pub fn check(data: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(32) {
        let Some((kind, value)) = line.split_first() else { continue };
        let name = match kind {
            b'x' => "x-forwarded-for",
            b'f' => "forwarded",
            b'p' => "x-forwarded-proto",
            b'h' => "x-forwarded-host",
            _ => return false,
        };
        let Ok(value) = HeaderValue::from_bytes(value) else { return false };
        headers.append(HeaderName::from_static(name), value);
    }
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().expect("a network")).collect();
    let mut believed = false;
    for (family, host) in
        [ForwardedFamily::XForwarded, ForwardedFamily::Rfc7239].map(|family| [(family, true), (family, false)]).concat()
    {
        believed |= check_with(&headers, &Proxies::new(trusted.clone(), family, host));
    }
    believed
}

fn check_with(headers: &HeaderMap, proxies: &Proxies) -> bool {
    let is_trusted = |address: &IpAddr| proxies.trusts(*address);
    // Those of the family that counts.
    let told = match proxies.family {
        ForwardedFamily::XForwarded => "x-forwarded-for",
        ForwardedFamily::Rfc7239 => "forwarded",
    };
    let mut believed = false;
    for peer in ["192.0.2.7", "10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "2001:db8::1"] {
        let peer: IpAddr = peer.parse().expect("an address");
        for tls in [false, true] {
            let client = ClientInfo::from_request(peer, tls, headers, proxies);
            assert_eq!(client, ClientInfo::from_request(peer, tls, headers, proxies));
            // Nothing of the other family counts (R54).
            let mut alone = HeaderMap::new();
            for (name, value) in headers.iter().filter(|(name, _)| (*name == "forwarded") == (told == "forwarded")) {
                alone.append(name, value.clone());
            }
            assert_eq!(client, ClientInfo::from_request(peer, tls, &alone, proxies));
            assert!(client.forwarded_host.is_none() || proxies.trust_forwarded_host);
            if let Some(host) = &client.forwarded_host {
                assert!(host.to_str().is_ok_and(|host| tollgate::config::Authority::parse(host).is_some()), "{host:?}");
            }
            let hops: Vec<IpAddr> =
                client.forwarded_for.split(", ").map(|hop| hop.parse().expect("an address")).collect();
            let peer = peer.to_canonical();
            assert_eq!(hops.last(), Some(&peer));
            assert!(hops.iter().all(|hop| *hop == hop.to_canonical()));
            // The first of them is the client; the others are trusted proxies.
            assert_eq!(hops.first(), Some(&client.address));
            assert!(hops[1..].iter().all(is_trusted), "{hops:?}");
            let nobody = ClientInfo::from_request(peer, tls, headers, &NO_PROXIES);
            assert_eq!((nobody.address, nobody.secure, nobody.forwarded_host), (peer, tls, None));
            if !is_trusted(&peer) {
                assert_eq!((client.address, client.secure, &client.forwarded_host), (peer, tls, &None));
                assert_eq!(hops, [peer]);
                continue;
            }
            // What comes before a hop that is no proxy changes nothing (R4).
            if headers.contains_key(told) && !is_trusted(&client.address) {
                let mut more = HeaderMap::new();
                let before = if told == "forwarded" { "for=6.6.6.6;host=a, for=10.6.6.6" } else { "6.6.6.6, 10.6.6.6" };
                more.append(told, HeaderValue::from_static(before));
                for (name, value) in headers {
                    more.append(name, value.clone());
                }
                assert_eq!(ClientInfo::from_request(peer, tls, &more, proxies), client);
            }
            believed |= hops.len() > 1;
        }
    }
    believed
}
