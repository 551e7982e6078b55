//! Any bytes as what a proxy says of its client: who is not believed is not listened to, and who is vouches for one hop only.
//!
//! A line is a header: `x` X-Forwarded-For, `f` Forwarded, `p` X-Forwarded-Proto, `h` X-Forwarded-Host.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use tollgate::gate::Client;

/// Whether anybody was believed.
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
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut believed = false;
    for peer in ["192.0.2.7", "10.0.0.1", "::ffff:10.0.0.1", "fd00::1", "2001:db8::1"] {
        let peer: IpAddr = peer.parse().expect("an address");
        for tls in [false, true] {
            let client = Client::of(peer, tls, &headers, &trusted);
            assert_eq!(client, Client::of(peer, tls, &headers, &trusted));
            let hops: Vec<IpAddr> =
                client.forwarded_for.split(", ").map(|hop| hop.parse().expect("an address")).collect();
            let peer = peer.to_canonical();
            assert_eq!(hops.last(), Some(&peer));
            assert!(hops.iter().all(|hop| *hop == hop.to_canonical()));
            // The first of them is the client; each of the others is a proxy of ours.
            assert_eq!(hops.first(), Some(&client.address));
            assert!(hops[1..].iter().all(is_trusted), "{hops:?}");
            let nobody = Client::of(peer, tls, &headers, &[]);
            assert_eq!((nobody.address, nobody.secure, nobody.forwarded_host), (peer, tls, None));
            if !is_trusted(&peer) {
                assert_eq!((client.address, client.secure, &client.forwarded_host), (peer, tls, &None));
                assert_eq!(hops, [peer]);
                continue;
            }
            // What comes before a hop that is no proxy changes nothing (R4).
            if headers.contains_key("x-forwarded-for") && !is_trusted(&client.address) {
                let mut more = HeaderMap::new();
                more.append("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 10.6.6.6"));
                for (name, value) in &headers {
                    more.append(name, value.clone());
                }
                assert_eq!(Client::of(peer, tls, &more, &trusted), client);
            }
            believed |= hops.len() > 1;
        }
    }
    believed
}
