//! The keys of a `[[route]]` about its upstream servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::config::external::ExternalInputs;
use crate::config::host::{Authority, Host};
use crate::config::pem::ca_file;
use crate::config::reader::Section;
use crate::config::reader::spelling::quote;
use crate::config::schema::kind::{Raw, RawList, choice, duration, number, raw, raw_list, required, subsection, text};
use crate::config::schema::{Setting, keys};
use crate::config::sealed::Sealed;
use crate::config::server::ServerSettings;
use crate::config::upstream::health_check;
use crate::config::upstream::{CaCertificates, LoadBalancing, ServerAddress, Upstream};

keys! {
    /// The upstream servers of a route.
    UpstreamKeys, Reloadable;

    /// URLs of the upstream servers: `http://host:port`, or `https://` for all of them. Each address of a host name is a
    /// server. With `https`, Tollgate always verifies the certificate. Maximum: 64 URLs.
    upstream: RawList = required(raw_list("[\"http://127.0.0.1:3000\"]"));

    /// Name that the certificate of an `https` server must have. A URL with an IP address requires this key.
    upstream_name: Option<Arc<str>> = text(name, "\"app.internal\""), default "the host of the URL";

    /// PEM file with the CA certificates that sign the certificates of `https` servers.
    upstream_ca: Raw = raw("\"ca.pem\""), default "the CA certificates of the system";

    /// Load balancing method. `"round_robin"`: each server in turn. `"least_connections"`: the server with the fewest requests
    /// in flight.
    balance: LoadBalancing = choice(&BALANCES, LoadBalancing::RoundRobin);

    /// Interval between two DNS lookups of the host names in `upstream`. Tollgate also looks them up at the start and after a
    /// failed connection. A name that does not resolve is a server that is down.
    resolve: Duration = duration(MIN_RESOLVE..=MAX_TIMEOUT, Duration::from_secs(30));

    /// Maximum number of retries of a request on another server: after a failed connection, or, for an idempotent method,
    /// after a connection that closed before the response began.
    retries: usize = number(0..=MAX_RETRIES, 3);

    /// Number of consecutive failures after which Tollgate ejects a server, if the upstream has several. `0`: no ejection.
    eject_after: usize = number(0..=1000, 3);

    /// Time for which Tollgate ejects a server. Then it sends one trial request.
    eject_for: Duration = duration(MIN_TIMEOUT..=MAX_TIMEOUT, Duration::from_secs(5));

    /// Active health checks of the upstream servers.
    health_check: Option<Section<'s>> = subsection(&health_check::HealthCheckKeys::SECTION), default "no health checks";

    /// Maximum time for a connection to a server, including the TLS handshake.
    connect_timeout: Duration = duration(MIN_TIMEOUT..=MAX_TIMEOUT, Duration::from_secs(3));

    /// Maximum time between two reads of a response.
    read_timeout: Duration = duration(MIN_TIMEOUT..=MAX_TIMEOUT, Duration::from_secs(60));

    /// Maximum time between two writes of a request to the application, or of its response to the client.
    write_timeout: Duration = duration(MIN_TIMEOUT..=MAX_TIMEOUT, Duration::from_secs(60));

    /// Time after which Tollgate closes an idle connection to a server.
    idle_timeout: Duration = duration(MIN_TIMEOUT..=MAX_TIMEOUT, Duration::from_secs(60));

    /// Maximum time between two reads of a WebSocket, or of a response of type `text/event-stream`.
    tunnel_timeout: Duration = duration(MIN_TIMEOUT..=MAX_TIMEOUT, Duration::from_secs(3600));
}

/// Reads the upstream of a route.
pub(in crate::config) fn read(
    section: &Section<'_>,
    server: Option<&ServerSettings>,
    external: &ExternalInputs,
) -> Upstream {
    let keys = UpstreamKeys::read(section);
    let name_of = |host: &Host| match &keys.upstream_name.value {
        Some(name) => Ok(name.clone()),
        // The invalid name is reported. A missing name is not a second error.
        None if keys.upstream_name.is_refused() => Ok(host.as_str().into()),
        None => name(host.as_str()).and_then(not_an_address),
    };
    let servers = servers(&keys.upstream, &name_of, server);
    for server in servers.iter().filter(|server| server.address().is_none()) {
        external.note_name(keys.upstream.place(), server.host.clone(), server.port);
    }
    let tls = servers.first().is_some_and(|server| server.name.is_some());
    if servers.iter().any(|server| server.name.is_some() != tls) {
        keys.upstream.error("must not mix http and https: write two routes");
    }
    let needs_https = "applies only to https: write https:// URLs in upstream, or remove it";
    if !servers.is_empty() && !tls {
        if keys.upstream_name.is_written() {
            keys.upstream_name.error(needs_https);
        }
        if keys.upstream_ca.is_written() {
            keys.upstream_ca.error(needs_https);
        }
    }
    let read_authorities = || {
        let file = ca_file(&keys.upstream_ca, external).ok().flatten()?;
        Some(CaCertificates(file.certificates.iter().map(|certificate| certificate.to_vec()).collect()))
    };
    Upstream {
        _sealed: Sealed(()),
        authorities: if tls || servers.is_empty() { read_authorities() } else { None },
        servers,
        resolve: keys.resolve.value,
        balance: keys.balance.value,
        retries: keys.retries.value,
        eject_after: u32::try_from(keys.eject_after.value).unwrap_or(u32::MAX),
        eject_for: keys.eject_for.value,
        health_check: keys.health_check.value.and_then(|section| health_check::read(&section).ok()),
        connect_timeout: keys.connect_timeout.value,
        read_timeout: keys.read_timeout.value,
        write_timeout: keys.write_timeout.value,
        idle_timeout: keys.idle_timeout.value,
        tunnel_timeout: keys.tunnel_timeout.value,
    }
}

/// Returns the name that the certificate of the server at a host must have.
type NameOf<'f> = dyn Fn(&Host) -> Result<Arc<str>, String> + 'f;

/// Returns every server once.
fn servers(
    upstream: &Setting<'_, RawList>,
    name_of: &NameOf<'_>,
    server: Option<&ServerSettings>,
) -> Vec<ServerAddress> {
    let servers = upstream.each(|text| server_at(text, name_of, server));
    let example = upstream.example;
    if !upstream.is_written() {
        upstream.missing(format!("is missing: write upstream = {example}"));
    } else if servers.len() > MAX_SERVERS {
        upstream.error(format!("has {} servers: write at most {MAX_SERVERS} in one route", servers.len()));
    } else if upstream.is_empty_list() {
        upstream.error(format!("must not be empty: write upstream = {example}"));
    }
    let mut distinct: Vec<ServerAddress> = Vec::with_capacity(servers.len());
    for server in servers {
        let is_same =
            |other: &ServerAddress| (&other.host, other.port, &other.name) == (&server.host, server.port, &server.name);
        if !distinct.iter().any(is_same) {
            distinct.push(server);
        }
    }
    distinct
}

/// Parses the URL of a server.
fn server_at(text: &str, name_of: &NameOf<'_>, server: Option<&ServerSettings>) -> Result<ServerAddress, String> {
    if text.contains('@') {
        // Not quoted: the URL can contain a password.
        return Err("must not have a user or password: write \"http://host:port\"".into());
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
                format!("write \"{scheme}://{host}{port}\", since Tollgate forwards the path of the request")
            }
            None => "write it as \"http://127.0.0.1:3000\"".into(),
        };
        return Err(format!("invalid URL {}: {hint}", quote(text)));
    };
    // PITFALL: without a name, pingora does not verify the certificate.
    let name = if scheme == "https" { Some(name_of(&host)?) } else { None };
    let authority = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    let found = ServerAddress { _sealed: Sealed(()), host, port: port.unwrap_or(default_port), authority, name };
    // Every machine resolves this name to a loopback address (RFC 6761, 6.3). Other names are checked after their lookup.
    let is_local = found.host.as_str() == "localhost";
    let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let local = loopback.into_iter().filter(|_| is_local).map(|address| SocketAddr::new(address, found.port));
    if found.address().into_iter().chain(local).any(|address| server.is_some_and(|own| own.is_at(address))) {
        return Err(format!(
            "{} is a listen address of Tollgate (proxy loop): write your application's address",
            quote(text)
        ));
    }
    Ok(found)
}

/// Checks a name for certificates.
fn name(text: &str) -> Result<Arc<str>, String> {
    // PITFALL: pingora replaces "_" with "-" in the first label before it verifies the name (pingora-core 0.9.1,
    // src/connectors/tls/mod.rs, replace_leftmost_underscore).
    let host = Host::parse(text).filter(|host| !host.as_str().contains('_'));
    let name = host.as_ref().map(|host| host.as_str().trim_matches(['[', ']']));
    match name.filter(|name| ServerName::try_from(*name).is_ok()) {
        Some(name) => Ok(name.into()),
        None => Err(format!("invalid certificate name {}: write upstream_name = \"app.internal\"", quote(text))),
    }
}

/// Rejects the address in a URL as the name in a certificate: the operator must confirm it.
fn not_an_address(name: Arc<str>) -> Result<Arc<str>, String> {
    if name.parse::<IpAddr>().is_ok() {
        return Err(format!(
            "a URL with an IP address requires upstream_name: write the name in the certificate, such as upstream_name = \"app.internal\" or \"{name}\""
        ));
    }
    Ok(name)
}

const BALANCES: [(&str, LoadBalancing); 2] =
    [("round_robin", LoadBalancing::RoundRobin), ("least_connections", LoadBalancing::LeastConnections)];
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
const MIN_RESOLVE: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);

/// Each URL can have several addresses. The proxy uses at most [`Upstream::MAX_SERVERS`] addresses.
const MAX_SERVERS: usize = Upstream::MAX_SERVERS;
/// pingora makes at most 16 attempts (`max_retries`, which includes the first one).
const MAX_RETRIES: usize = 15;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::fixture::{REALM, ROUTE, SERVER, assert_error, check, with};
    use crate::config::{Errors, Mode, parse};

    fn upstream(keys: &str) -> Upstream {
        let config = check(&format!("{SERVER}{REALM}{}", with(ROUTE, keys))).unwrap();
        config.policy.routing.routes[0].upstream.clone()
    }

    #[test]
    fn bad_servers_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (
                r#"upstream = ["http://127.0.0.1:3000/api"]"#,
                r#"write "http://127.0.0.1:3000", since Tollgate forwards"#,
            ),
            (r#"upstream = ["https://app.internal/api"]"#, r#"write "https://app.internal", since"#),
            (r#"upstream = ["127.0.0.1:3000"]"#, r#"write it as "http://127.0.0.1:3000""#),
            (r#"upstream = ["http://127.0.0.1:0"]"#, "invalid URL"),
            (r#"upstream = ["http://u:hunter2@127.0.0.1"]"#, "must not have a user or password"),
            (r#"upstream = ["u:hunter2@127.0.0.1"]"#, "must not have a user or password"),
            (r#"upstream = ["postgres://u:hunter2@127.0.0.1"]"#, "must not have a user or password"),
            (r#"upstream = ["http://127.0.0.1:8080"]"#, "is a listen address of Tollgate"),
            (
                r#"upstream = ["http://[::1]:9080", "http://127.0.0.1:9080"]"#,
                r#"route[0].upstream[1]: "http://127.0.0.1:9080" is a listen address of Tollgate"#,
            ),
            (r#"upstream = ["http://localhost:8080"]"#, "is a listen address of Tollgate"),
            ("resolve = \"0s\"", "out of range"),
            ("upstream = []", "must not be empty"),
            (r#"upstream = ["https://127.0.0.1"]"#, "a URL with an IP address requires upstream_name"),
            (r#"upstream = ["https://[::1]:8443"]"#, r#"or "::1""#),
            (r#"upstream = ["https://my_app"]"#, "invalid certificate name"),
            (r#"upstream = ["https://localhost", "http://localhost"]"#, "must not mix http and https"),
            ("upstream = [\"https://127.0.0.1\"]\nupstream_name = \"\"", "invalid certificate name"),
            ("upstream = [\"https://127.0.0.1\"]\nupstream_name = \"*.a.example\"", "invalid certificate name"),
            ("upstream = [\"https://127.0.0.1\"]\nupstream_name = \"a.example:443\"", "invalid certificate name"),
            ("upstream_name = \"app.internal\"", "upstream_name: applies only to https"),
            ("upstream_ca = \"/nonexistent/ca.pem\"", "applies only to https"),
            (r#"balance = "random""#, r#""round_robin" or "least_connections""#),
            ("retries = 16", "out of range"),
            ("eject_for = \"0s\"", "out of range"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(ROUTE, keys)), expected);
        }
    }

    #[test]
    fn names_are_not_resolved_and_servers_are_unique() {
        let upstream = upstream(
            r#"upstream = ["http://no-such-host.invalid:3000", "http://127.0.0.1", "http://[::1]", "http://127.0.0.1:80"]"#,
        );
        let addresses: Vec<_> = upstream.servers.iter().map(ServerAddress::address).collect();
        assert_eq!(addresses, [None, Some("127.0.0.1:80".parse().unwrap()), Some("[::1]:80".parse().unwrap())]);
        assert_eq!(upstream.servers[0].authority, "no-such-host.invalid:3000");
    }

    #[test]
    fn with_tls_every_server_has_a_name() {
        let named = |keys: &str| {
            let upstream = upstream(keys);
            assert!(upstream.servers.iter().all(|server| server.name.is_some()));
            let server = &upstream.servers[0];
            (server.name.as_ref().unwrap().to_string(), server.port)
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
        let config = parse(&format!("{SERVER}{REALM}{}", with(ROUTE, keys)), &dir.join("t.toml"), Mode::Start)?;
        assert!(config.inputs.iter().any(|input| input.path() == dir.join("ca.pem")), "it is watched");
        Ok(config.policy.routing.routes[0].upstream.clone())
    }

    #[test]
    fn a_ca_file_is_read_or_rejected_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let problem = || with_authority(dir.path()).unwrap_err().to_string();
        assert!(problem().contains("upstream_ca: can't read") && problem().contains("it does not exist"));
        let malformed = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for (text, expected) in [
            ("", "contains no PEM certificate"),
            ("hello", "contains no PEM certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is not PEM: restore the file"),
            (malformed, "is malformed in certificate 1"),
        ] {
            fs::write(dir.path().join("ca.pem"), text).unwrap();
            assert!(problem().contains(expected), "{text}: {}", problem());
        }
        fs::write(dir.path().join("ca.pem"), format!("as text\n{AUTHORITY}")).unwrap();
        assert_eq!(with_authority(dir.path()).unwrap().authorities.as_ref().unwrap().0.len(), 1);
        fs::write(dir.path().join("ca.pem"), format!("{AUTHORITY}{malformed}")).unwrap();
        assert!(problem().contains("is malformed in certificate 2"));
    }

    /// A CA certificate without a key.
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
