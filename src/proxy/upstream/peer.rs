//! Servers as pingora wants to have them.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::{HttpPeer, PeerOptions, Scheme};
use pingora::utils::tls::{WrappedX509, parse_x509};

use crate::config::{CaCertificates, ServerAddress, Upstream};

/// Returns the CA certificates of `upstream`, in pingora's form. Parsed once, and shared by all peers.
pub(super) fn authorities(upstream: &Upstream) -> Option<Arc<CaType>> {
    let certificates = upstream.authorities.as_ref()?.certificates().iter();
    Some(certificates.map(|certificate| WrappedX509::new(certificate.clone(), parse_x509)).collect())
}

/// The peer for `server` at one of its addresses.
///
/// TRAP: `HttpPeer::new` resolves DNS and unwraps, and `PeerOptions::new` sets no timeouts (pingora-core 0.9.1,
/// src/upstreams/peer.rs).
pub(super) fn peer(
    server: &ServerAddress,
    address: std::net::SocketAddr,
    upstream: &Upstream,
    authorities: Option<Arc<CaType>>,
) -> HttpPeer {
    let mut options = PeerOptions::new();
    options.connection_timeout = Some(upstream.connect_timeout);
    // For TCP and TLS together: the one above applies to each.
    options.total_connection_timeout = Some(upstream.connect_timeout);
    options.read_timeout = Some(upstream.read_timeout);
    options.write_timeout = Some(upstream.write_timeout);
    options.idle_timeout = Some(upstream.idle_timeout);
    options.ca = authorities;
    let name = server.name.as_ref();
    HttpPeer {
        _address: SocketAddr::Inet(address),
        scheme: Scheme::from_tls_bool(name.is_some()),
        // TRAP: an empty name turns verification off (pingora-core 0.9.1, src/connectors/tls/rustls/mod.rs). `ServerAddress::name`
        // is never empty.
        sni: name.map(ToString::to_string).unwrap_or_default(),
        proxy: None,
        client_cert_key: None,
        group_key: name.map_or(0, |name| group_key(name, upstream.authorities.as_ref())),
        options,
    }
}

/// TRAP: the hash of `HttpPeer` ignores `options.ca`, so pingora reuses a connection across sets of CA certificates (pingora-core
/// 0.9.1, src/upstreams/peer.rs, `impl Hash for HttpPeer`).
fn group_key(name: &str, authorities: Option<&CaCertificates>) -> u64 {
    let mut context = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    };
    add(name.as_bytes());
    for certificate in authorities.map_or(&[][..], CaCertificates::certificates) {
        add(certificate);
    }
    let digest = context.finish();
    digest.as_ref().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use pingora::upstreams::peer::Peer as _;

    use super::*;
    use crate::config::{Mode, parse};

    fn peer_of(dir: &Path, keys: &str) -> HttpPeer {
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:1\"]\n[store]\nurl = \"sqlite://t.db\"\n\
             [[realm]]\nname = \"a\"\nissuer = \"i\"\nrequire_key = false\n\
             [[route]]\npath = \"/\"\nrealm = \"a\"\naccess = \"public\"\n{keys}\n"
        );
        let config = parse(&text, &dir.join("t.toml"), Mode::Start).unwrap();
        let upstream = &config.policy.routing.routes[0].upstream;
        let server = &upstream.servers[0];
        peer(server, server.address().unwrap(), upstream, authorities(upstream))
    }

    #[test]
    fn a_connection_is_only_reused_by_those_who_would_have_verified_it_alike() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("one.pem"), AUTHORITIES[0]).unwrap();
        fs::write(dir.path().join("two.pem"), AUTHORITIES[1]).unwrap();
        fs::write(dir.path().join("both.pem"), AUTHORITIES.concat()).unwrap();
        let of = |keys: &str| {
            let peer = peer_of(dir.path(), &format!("upstream = [\"https://127.0.0.1:2\"]\n{keys}"));
            assert!(peer.tls() && !peer.sni().is_empty() && peer.verify_cert() && peer.verify_hostname());
            peer.reuse_hash()
        };
        let named = "upstream_name = \"a.example\"\n";
        let keys = [
            named.to_owned(),
            "upstream_name = \"b.example\"\n".to_owned(),
            format!("{named}upstream_ca = \"one.pem\"\n"),
            format!("{named}upstream_ca = \"two.pem\"\n"),
            format!("{named}upstream_ca = \"both.pem\"\n"),
        ];
        let hashes: Vec<_> = keys.iter().map(|keys| of(keys)).collect();
        for (at, hash) in hashes.iter().enumerate() {
            assert!(hashes[..at].iter().all(|other| other != hash), "{}", keys[at]);
            assert_eq!(*hash, of(&keys[at]), "also after a reload");
        }
        let plain = peer_of(dir.path(), "upstream = [\"http://127.0.0.1:2\"]");
        assert!(!plain.tls() && plain.sni().is_empty() && !hashes.contains(&plain.reuse_hash()));
    }

    /// CA certificates without a private key.
    const AUTHORITIES: [&str; 2] = [
        "-----BEGIN CERTIFICATE-----\n\
            MIIBJDCByqADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAe\n\
            Fw0yNjAxMDEwMDAwMDBaFw00NjAxMDEwMDAwMDBaMBExDzANBgNVBAMMBm5vYm9k\n\
            eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEGUMUYczlGCvWjDgg1YPcPx50lH\n\
            X3gpz0tnCoZFkoeJOBGUaQgn3t9kX89Giwag07XYUkkhJuhpHtrP8KTm4X2jEzAR\n\
            MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAPwzOU0aji2zX1XU\n\
            D/L+5qf1YgKJ6XwK/ZaBCnOwLH5nAiEAytLpphohtl+WN29NhzXO6CLjhe4P7O/o\n\
            6n194aQ9QVk=\n\
            -----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n\
            MIIBJDCByqADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAe\n\
            Fw0yNjAxMDEwMDAwMDBaFw00NjAxMDEwMDAwMDBaMBExDzANBgNVBAMMBm5vYm9k\n\
            eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJX8YRKf6WYrgVL0iLzSz9tz9Ph5\n\
            xGrHbLeezG7nKQfC1JRpJBbv3hsW1IYwBDO30ND4xLb+hl/gIuOPO8D0v1OjEzAR\n\
            MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAKDnOwduFVx1TZ19\n\
            zBDwK5VbDg4LA8/p2cmw6MzpXQsbAiEAmlyvcuB6ux4qgm0eUEuoKXGiHpZCk8fO\n\
            eZrclRlTEGI=\n\
            -----END CERTIFICATE-----\n",
    ];
}
