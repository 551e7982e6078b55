//! The keys of a `[[route]]` that are about the servers behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::{ca_file, health_check};
use crate::config::host::{Authority, Host};
use crate::config::outside::Outside;
use crate::config::reader::Section;
use crate::config::server::Server;
use crate::config::spelling::quote;
use crate::config::upstream::{Authorities, Balance, Upstream, UpstreamServer};

/// Those of a route.
pub(super) fn read(section: &Section<'_>, server: Option<&Server>, outside: &Outside) -> Upstream {
    let name = section.optional("upstream_name", name);
    // A bad one is an error by itself; that there is none is not another.
    let name_of = |host: &Host| match &name {
        Some(name) => Ok(name.clone()),
        None if section.has("upstream_name") => Ok(host.as_str().into()),
        None => self::name(host.as_str()).and_then(not_an_address),
    };
    let servers = servers(section, &name_of, server);
    for server in servers.iter().filter(|server| server.address().is_none()) {
        outside.note_name(section.place("upstream"), server.host.clone(), server.port);
    }
    let tls = servers.first().is_some_and(|server| server.name.is_some());
    if servers.iter().any(|server| server.name.is_some() != tls) {
        section.error("upstream", "mixes http and https: what one server needs, all of them need; write two routes");
    }
    for key in ["upstream_name", "upstream_ca"] {
        if section.has(key) && !servers.is_empty() && !tls {
            section.error(key, "is about TLS: write https:// URLs in upstream, or remove it");
        }
    }
    let read_authorities = || {
        let file = ca_file(section, "upstream_ca", outside)?;
        Some(Authorities(file.certificates.iter().map(|certificate| certificate.to_vec()).collect()))
    };
    let balances = [("round_robin", Balance::RoundRobin), ("least_connections", Balance::LeastConnections)];
    let timeout = |key, default| section.duration(key, MIN_TIMEOUT..=MAX_TIMEOUT, default);
    Upstream {
        authorities: if tls || servers.is_empty() { read_authorities() } else { None },
        servers,
        resolve: section.duration("resolve", MIN_RESOLVE..=MAX_TIMEOUT, Duration::from_secs(30)),
        balance: section.choice("balance", &balances, &[]).unwrap_or(Balance::RoundRobin),
        retries: section.number("retries", 0..=MAX_RETRIES, 3),
        eject_after: u32::try_from(section.number("eject_after", 0..=1000, 3)).unwrap_or(u32::MAX),
        eject_for: timeout("eject_for", Duration::from_secs(5)),
        health_check: health_check::read(section),
        connect_timeout: timeout("connect_timeout", Duration::from_secs(3)),
        read_timeout: timeout("read_timeout", Duration::from_secs(60)),
        write_timeout: timeout("write_timeout", Duration::from_secs(60)),
        idle_timeout: timeout("idle_timeout", Duration::from_secs(60)),
        tunnel_timeout: timeout("tunnel_timeout", Duration::from_secs(3600)),
    }
}

/// Whom the certificate of the server at this host must be for.
type NameOf<'f> = dyn Fn(&Host) -> Result<Arc<str>, String> + 'f;

/// Every server, once.
fn servers(section: &Section<'_>, name_of: &NameOf<'_>, server: Option<&Server>) -> Vec<UpstreamServer> {
    const EXAMPLE: &str = "[\"http://127.0.0.1:3000\"]";
    let servers = section.list("upstream", |text| server_at(text, name_of, server));
    if !section.has("upstream") {
        section.missing("upstream", format!("is missing: write upstream = {EXAMPLE}"));
    } else if servers.len() > MAX_SERVERS {
        let message = format!("has {} servers: write at most {MAX_SERVERS} for one route", servers.len());
        section.error("upstream", message);
    } else if section.is_empty_list("upstream") {
        section.error("upstream", format!("is empty: write upstream = {EXAMPLE}"));
    }
    let mut distinct: Vec<UpstreamServer> = Vec::with_capacity(servers.len());
    for server in servers {
        let is_same = |other: &UpstreamServer| {
            (&other.host, other.port, &other.name) == (&server.host, server.port, &server.name)
        };
        if !distinct.iter().any(is_same) {
            distinct.push(server);
        }
    }
    distinct
}

/// The server of one URL.
fn server_at(text: &str, name_of: &NameOf<'_>, server: Option<&Server>) -> Result<UpstreamServer, String> {
    if text.contains('@') {
        // Not quoted: there may be a password in it.
        return Err("has a user or password, which is not supported: write \"http://host:port\"".into());
    }
    let (scheme, default_port, rest) = match text.strip_prefix("https://") {
        Some(rest) => ("https", 443, Some(rest)),
        None => ("http", 80, text.strip_prefix("http://")),
    };
    let authority = rest.and_then(Authority::parse);
    let Some(Authority { host, port }) = authority.filter(|authority| authority.port != Some(0)) else {
        let hint = match rest.and_then(|rest| Authority::parse(rest.split(['/', '?', '#']).next()?)) {
            Some(Authority { host, port }) => {
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("write \"{scheme}://{host}{port}\", since the request's own path is forwarded")
            }
            None => "write it as \"http://127.0.0.1:3000\"".into(),
        };
        return Err(format!("{} is no URL of a server: {hint}", quote(text)));
    };
    // ☠ Without a name pingora does not look at the certificate at all.
    let name = if scheme == "https" { Some(name_of(&host)?) } else { None };
    let authority = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    let found = UpstreamServer { host, port: port.unwrap_or(default_port), authority, name };
    // Every machine resolves this one name alike (RFC 6761, 6.3); other names are looked at when they are resolved.
    let is_local = found.host.as_str() == "localhost";
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let local = loopback.into_iter().filter(|_| is_local).map(|address| SocketAddr::new(address, found.port));
    if found.address().into_iter().chain(local).any(|address| server.is_some_and(|own| own.is_at(address))) {
        return Err(format!(
            "{} is Tollgate itself, so requests would go round in circles: write your app's address",
            quote(text)
        ));
    }
    Ok(found)
}

/// A name that a certificate can be for.
fn name(text: &str) -> Result<Arc<str>, String> {
    // ☠ For a name with an underscore in its first label pingora would have another one verified, with a hyphen there.
    let host = Host::parse(text).filter(|host| !host.as_str().contains('_'));
    let name = host.as_ref().map(|host| host.as_str().trim_matches(['[', ']']));
    match name.filter(|name| ServerName::try_from(*name).is_ok()) {
        Some(name) => Ok(name.into()),
        None => Err(format!(
            "{} is no name that a certificate can be for: write upstream_name = \"app.internal\"",
            quote(text)
        )),
    }
}

/// The host of a URL is where a server is found. Whether its certificate is for that address must be said.
fn not_an_address(name: Arc<str>) -> Result<Arc<str>, String> {
    if name.parse::<IpAddr>().is_ok() {
        return Err(format!(
            "with an address, upstream_name must say whom the certificate is for: write upstream_name = \"app.internal\", or \"{name}\" if it is for that"
        ));
    }
    Ok(name)
}

const MIN_TIMEOUT: Duration = Duration::from_millis(1);
const MIN_RESOLVE: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);

/// Each may have several addresses; the proxy keeps to [`Upstream::MAX_SERVERS`] of them.
const MAX_SERVERS: usize = Upstream::MAX_SERVERS;
/// pingora tries a request 16 times at most (`max_retries`, which counts the first one).
const MAX_RETRIES: usize = 15;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::sections::fixture::{REALM, ROUTE, SERVER, assert_error, check, with};
    use crate::config::{Errors, Mode, parse};

    fn upstream(keys: &str) -> Upstream {
        let config = check(&format!("{SERVER}{REALM}{}", with(ROUTE, keys))).unwrap();
        config.policy.routing().routes()[0].upstream().clone()
    }

    #[test]
    fn bad_servers_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (
                r#"upstream = ["http://127.0.0.1:3000/api"]"#,
                r#"write "http://127.0.0.1:3000", since the request's own"#,
            ),
            (r#"upstream = ["https://app.internal/api"]"#, r#"write "https://app.internal", since"#),
            (r#"upstream = ["127.0.0.1:3000"]"#, r#"write it as "http://127.0.0.1:3000""#),
            (r#"upstream = ["http://127.0.0.1:0"]"#, "is no URL of a server"),
            (r#"upstream = ["http://u:hunter2@127.0.0.1"]"#, "has a user or password"),
            (r#"upstream = ["u:hunter2@127.0.0.1"]"#, "has a user or password"),
            (r#"upstream = ["postgres://u:hunter2@127.0.0.1"]"#, "has a user or password"),
            (r#"upstream = ["http://127.0.0.1:8080"]"#, "is Tollgate itself"),
            (
                r#"upstream = ["http://[::1]:9080", "http://127.0.0.1:9080"]"#,
                r#"route[0].upstream[1]: "http://127.0.0.1:9080" is Tollgate itself"#,
            ),
            (r#"upstream = ["http://localhost:8080"]"#, "is Tollgate itself"),
            ("resolve = \"0s\"", "out of range"),
            ("upstream = []", "is empty"),
            (r#"upstream = ["https://127.0.0.1"]"#, "upstream_name must say whom the certificate is for"),
            (r#"upstream = ["https://[::1]:8443"]"#, r#"or "::1" if it is for that"#),
            (r#"upstream = ["https://my_app"]"#, "is no name that a certificate can be for"),
            (r#"upstream = ["https://localhost", "http://localhost"]"#, "mixes http and https"),
            ("upstream = [\"https://127.0.0.1\"]\nupstream_name = \"\"", "is no name that a certificate can be for"),
            ("upstream = [\"https://127.0.0.1\"]\nupstream_name = \"*.a.example\"", "is no name"),
            ("upstream = [\"https://127.0.0.1\"]\nupstream_name = \"a.example:443\"", "is no name"),
            ("upstream_name = \"app.internal\"", "upstream_name: is about TLS"),
            ("upstream_ca = \"/nonexistent/ca.pem\"", "is about TLS"),
            (r#"balance = "random""#, r#""round_robin" or "least_connections""#),
            ("retries = 16", "out of range"),
            ("eject_for = \"0s\"", "out of range"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(ROUTE, keys)), expected);
        }
    }

    #[test]
    fn a_name_needs_no_resolver_and_each_server_is_there_once() {
        let upstream = upstream(
            r#"upstream = ["http://no-such-host.invalid:3000", "http://127.0.0.1", "http://[::1]", "http://127.0.0.1:80"]"#,
        );
        let addresses: Vec<_> = upstream.servers.iter().map(UpstreamServer::address).collect();
        assert_eq!(addresses, [None, Some("127.0.0.1:80".parse().unwrap()), Some("[::1]:80".parse().unwrap())]);
        assert_eq!(upstream.servers[0].authority(), "no-such-host.invalid:3000");
    }

    #[test]
    fn with_tls_every_server_has_a_name() {
        let named = |keys: &str| {
            let upstream = upstream(keys);
            assert!(upstream.servers.iter().all(|server| server.name.is_some()));
            let server = &upstream.servers[0];
            (server.name().unwrap().to_string(), server.port())
        };
        assert_eq!(named(r#"upstream = ["https://LocalHost"]"#), ("localhost".into(), 443));
        assert_eq!(
            named("upstream = [\"https://localhost:1\"]\nupstream_name = \"a.example\""),
            ("a.example".into(), 1)
        );
        assert_eq!(named("upstream = [\"https://[::1]\"]\nupstream_name = \"[::1]\""), ("::1".into(), 443));
        assert!(upstream("").servers.iter().all(|server| server.name.is_none()));
    }

    fn with_authority(dir: &Path) -> Result<Upstream, Errors> {
        let keys = "upstream = [\"https://localhost\"]\nupstream_ca = \"ca.pem\"";
        let config = parse(&format!("{SERVER}{REALM}{}", with(ROUTE, keys)), &dir.join("t.toml"), Mode::Check)?;
        assert!(config.inputs.iter().any(|input| input.path() == dir.join("ca.pem")), "it is watched");
        Ok(config.policy.routing().routes()[0].upstream().clone())
    }

    #[test]
    fn an_authority_is_read_or_said_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let problem = || with_authority(dir.path()).unwrap_err().to_string();
        assert!(problem().contains("upstream_ca: can't read") && problem().contains("it does not exist"));
        let malformed = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for (text, expected) in [
            ("", "holds no certificate"),
            ("hello", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is not PEM: restore the file"),
            (malformed, "is malformed in certificate 1"),
        ] {
            fs::write(dir.path().join("ca.pem"), text).unwrap();
            assert!(problem().contains(expected), "{text}: {}", problem());
        }
        fs::write(dir.path().join("ca.pem"), format!("as text\n{AUTHORITY}")).unwrap();
        assert_eq!(with_authority(dir.path()).unwrap().authorities().unwrap().certificates().len(), 1);
        fs::write(dir.path().join("ca.pem"), format!("{AUTHORITY}{malformed}")).unwrap();
        assert!(problem().contains("is malformed in certificate 2"));
    }

    /// Of nobody: its key is gone.
    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBIzCByqADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAe\n\
        Fw0yNjAxMDEwMDAwMDBaFw00NjAxMDEwMDAwMDBaMBExDzANBgNVBAMMBm5vYm9k\n\
        eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIlhjA+1UCb3GJqWwAfrdZOAP86A\n\
        GDW9Cpgd4RembsqcCBu5FhSgc6e0SMhf4HM+Nj9HdXABKWWmd134sXQ9YbqjEzAR\n\
        MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAJy3PoWgtgNySc1l\n\
        PCYmPoIJ1jYzQlnw2UaCGgIiec6mAiBWTPXYDvvNb8aPQwJndb1KXseYdZx7D7rb\n\
        4Re3YUO2vw==\n\
        -----END CERTIFICATE-----\n";
}
