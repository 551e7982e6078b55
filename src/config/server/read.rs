//! `[server]`.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZero;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use rustix::thread::{CapabilitySet, capabilities};

use crate::config::host::Host;
use crate::config::reader::Section;
use crate::config::reader::spelling::quote;
use crate::config::schema::kind::{
    RawList, choice, duration, flag, list, number, raw_list, required, size, subsection, text,
};
use crate::config::schema::{Setting, section};
use crate::config::sealed::Sealed;
use crate::config::server::{ForwardedFamily, Proxies, ServerSettings};
use crate::config::tls::read::TlsKeys;
use crate::config::values::host;

section! {
    /// The process. After a change of a restart-only key, Tollgate logs a warning and continues with the previous value.
    ServerKeys = "[server]", RestartOnly;

    /// Addresses for clients: IP addresses with ports. `"0.0.0.0:8080"` is every IPv4 address, `"[::]:8080"` every address.
    listen: RawList = required(raw_list("[\"127.0.0.1:8080\"]"));

    /// Address of the admin listener: `/healthz`, `/readyz`, `/status` and `/metrics`. It requires no login: do not expose it.
    /// `""`: no admin listener.
    admin: Option<Option<SocketAddr>> = text(admin, "\"127.0.0.1:9080\""), default "\"127.0.0.1:9080\"";

    /// Host names for the admin listener, in addition to its address and `localhost`. Another host name gets 421, which
    /// protects against DNS rebinding.
    admin_hosts: Vec<Host> = list(host, "[\"gate.internal\"]"), default "[]";

    /// Number of worker threads. `0`: one per CPU core.
    threads: usize = number(0..=MAX_THREADS, 0).example(8);

    /// Networks of the proxies in front of Tollgate. Tollgate uses the client address in their headers. A network that is too
    /// large lets clients forge their address, on which rate limits and login throttling depend.
    trusted_proxies: RawList = raw_list("[\"10.0.0.0/8\", \"192.0.2.7\"]"), default "[]";

    /// Headers of the trusted proxies. `"x-forwarded"`: `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    /// `"rfc7239"`: `Forwarded`. Tollgate ignores the other headers. The last value counts.
    forwarded: ForwardedFamily = choice(&FAMILIES, ForwardedFamily::XForwarded);

    /// Whether the application receives the host from the headers of a trusted proxy in `X-Forwarded-Host`, instead of the
    /// `Host` of the request. Requires a proxy that replaces this header.
    trust_forwarded_host: bool = flag(false);

    /// HTTP/2 without TLS, with prior knowledge. Not with `[server.tls]`.
    h2c: bool = flag(false);

    /// Maximum time for requests in flight after SIGTERM.
    shutdown_grace: Duration = duration(MIN_GRACE..=MAX_GRACE, DEFAULT_GRACE);

    /// Number of threads that hash passwords. Each needs 19 MiB during a hash. `0`: half of the CPU cores, at least one.
    hash_threads: usize = number(0..=MAX_THREADS, 0).example(4);

    /// Number of passwords that can wait for a hash thread. Realms have equal shares, and so have the client networks of a
    /// realm (an IPv4 address, or an IPv6 /56 prefix). If the queue is full, the newest password of the network with the most
    /// passwords gets 503 with `Retry-After`.
    hash_queue: usize = number(0..=MAX_QUEUE, DEFAULT_QUEUE);

    /// Size of the token cache: verified tokens in memory, so that Tollgate verifies each signature once. A token needs about
    /// 2 KiB. `"0"`: no cache.
    token_cache: u64 = size(MAX_TOKEN_CACHE, DEFAULT_TOKEN_CACHE);

    /// Whether group or others can have access to secret files and signing keys.
    insecure_key_files(Reloadable): bool = flag(false);

    /// Whether `trusted_proxies` can contain every address of IPv4 or IPv6.
    insecure_trust_everyone(Reloadable): bool = flag(false);

    /// TLS for clients.
    tls: Option<Section<'s>> = subsection(&TlsKeys::SECTION), default "no TLS";
}

/// Reads the restart-only part of the section and of `[server.tls]`.
pub(in crate::config) fn read(keys: &ServerKeys<'_>, tls: Option<&TlsKeys<'_>>) -> ServerSettings {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let or_else = |number, otherwise| if number == 0 { otherwise } else { number };
    let listen = listen(&keys.listen);
    let redirect = tls.map_or_else(Vec::new, |tls| redirect(&tls.redirect, &listen));
    let default_admin = SocketAddr::from(([127, 0, 0, 1], DEFAULT_ADMIN_PORT));
    let admin = keys.admin.unwrap_or(Some(default_admin));
    if let Some(admin) = admin
        && listen.iter().chain(&redirect).any(|listen| overlap(listen, &admin))
    {
        keys.admin.error(format!("{admin} is also in server.listen: write a different port, or \"\" for none"));
    }
    if let Some(admin) = admin.filter(|admin| !admin.ip().to_canonical().is_loopback()) {
        keys.admin.warn(format!("{admin} is reachable from other machines and requires no login: write \"127.0.0.1:{}\", or block it in a firewall", admin.port()));
    }
    if *keys.h2c && keys.tls.is_written() {
        keys.h2c.error("can't be combined with [server.tls]: remove it. ALPN enables HTTP/2 over TLS");
    }
    ServerSettings {
        _sealed: Sealed(()),
        listen,
        admin,
        threads: or_else(keys.threads.value, cores),
        admin_hosts: keys.admin_hosts.value.clone(),
        proxies: proxies(keys),
        h2c: keys.h2c.value,
        tls: keys.tls.is_some(),
        redirect,
        shutdown_grace: keys.shutdown_grace.value,
        hash_threads: or_else(keys.hash_threads.value, (cores / 2).max(1)),
        hash_queue: keys.hash_queue.value,
        token_cache: keys.token_cache.value,
    }
}

fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

/// Warns of addresses on which this user or this machine probably can't listen.
pub(in crate::config) fn rehearse(keys: &ServerKeys<'_>, tls: Option<&TlsKeys<'_>>, server: &ServerSettings) {
    for message in server.listen.iter().filter_map(cannot_be_bound) {
        keys.listen.warn(message);
    }
    if let Some(tls) = tls {
        for message in server.redirect.iter().filter_map(cannot_be_bound) {
            tls.redirect.warn(message);
        }
    }
    if let Some(message) = server.admin.as_ref().and_then(cannot_be_bound) {
        keys.admin.warn(message);
    }
}

fn cannot_be_bound(address: &SocketAddr) -> Option<String> {
    if address.port() != 0 && address.port() < first_unprivileged_port() && !may_bind_privileged_ports() {
        return Some(format!(
            "{address}: this user is not allowed to listen on port {}: start it with tollgate.socket or CAP_NET_BIND_SERVICE, or choose a port from {} on",
            address.port(),
            first_unprivileged_port()
        ));
    }
    // A UDP socket on any port shows whether this machine has the address, and it occupies no port of a service.
    let bound = UdpSocket::bind((address.ip(), 0));
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable).then(|| {
        format!(
            "{address}: no interface of this machine has this address: write one that it has, or \"0.0.0.0:{}\"",
            address.port()
        )
    })
}

fn may_bind_privileged_ports() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_BIND_SERVICE))
}

/// ip(7), `ip_unprivileged_port_start`
fn first_unprivileged_port() -> u16 {
    let setting = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    setting.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

/// Returns whether a process can't listen on both addresses.
fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    if a.port() != b.port() || a.port() == 0 {
        return false;
    }
    // ipv6(7): `[::]` also accepts IPv4 connections, unless bindv6only is set.
    let everywhere = |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    let (a, b) = (a.ip(), b.ip());
    a.to_canonical() == b.to_canonical() || everywhere(a, b.to_canonical()) || everywhere(b, a.to_canonical())
}

fn listen(setting: &Setting<'_, RawList>) -> Vec<SocketAddr> {
    let seen = RefCell::new(Vec::<SocketAddr>::new());
    let listen = setting.each(|text| {
        let address = address(text)?;
        let mut seen = seen.borrow_mut();
        if let Some(other) = seen.iter().find(|other| overlap(other, &address)) {
            return Err(format!("\"{address}\" is part of \"{other}\", which is also listed: remove one of the two"));
        }
        seen.push(address);
        Ok(address)
    });
    let example = setting.example;
    if !setting.is_written() {
        setting.missing(format!("is missing: write listen = {example}"));
    } else if setting.is_empty_list() {
        setting.error(format!("must not be empty: write listen = {example}"));
    }
    listen
}

fn redirect(setting: &Setting<'_, RawList>, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    setting.each(|text| {
        let redirect = address(text)?;
        if listen.iter().any(|listen| overlap(listen, &redirect)) {
            return Err(format!("\"{redirect}\" is also in server.listen: write a different port"));
        }
        Ok(redirect)
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let text_and = quote(text);
        let port =
            text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).or_else(|| text.strip_prefix("localhost:"));
        match port.filter(|port| port.parse::<u16>().is_ok()) {
            Some(port) if text.starts_with("localhost") => {
                format!("invalid address {text_and}: a name is not supported; write \"127.0.0.1:{port}\"")
            }
            Some(port) => {
                format!("invalid address {text_and}: write \"0.0.0.0:{port}\" or \"[::]:{port}\" for every address")
            }
            None => {
                format!("invalid address {text_and}: write it as \"127.0.0.1:8080\" or \"[::1]:8080\"")
            }
        }
    })
}

fn proxies(keys: &ServerKeys<'_>) -> Proxies {
    let trusted = trusted_proxies(keys);
    let unused = "requires trusted_proxies: list your proxies, or remove it";
    if !keys.trusted_proxies.is_written() {
        if *keys.forwarded != ForwardedFamily::default() {
            keys.forwarded.error(unused);
        }
        if *keys.trust_forwarded_host {
            keys.trust_forwarded_host.error(unused);
        }
    }
    Proxies::new(trusted, keys.forwarded.value, keys.trust_forwarded_host.value)
}

fn trusted_proxies(keys: &ServerKeys<'_>) -> Vec<IpNet> {
    let trust_everyone = *keys.insecure_trust_everyone;
    let trusted = keys.trusted_proxies.each(|text| {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| {
                format!("invalid network {}: write it as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"", quote(text))
            })?,
        };
        if net.trunc() != net {
            return Err(format!("\"{net}\" has host bits after its prefix: write \"{}\"", net.trunc()));
        }
        // SECURITY.md R4: a trusted proxy sets the client address, and with it the key of login throttling.
        if net.prefix_len() == 0 && !trust_everyone {
            return Err(format!(
                "\"{net}\" contains every address, so any client can forge its own: list your proxies, \
                 or set insecure_trust_everyone = true in [server]"
            ));
        }
        Ok(as_compared(net))
    });
    let whole = trusted.iter().any(|net| net.prefix_len() == 0);
    if let Some(family) = everyone_of(&trusted).filter(|_| !trust_everyone && !whole) {
        keys.trusted_proxies.error(format!(
            "its networks together contain every address of {family}, so any client can forge its own: list your proxies, \
             or set insecure_trust_everyone = true in [server]"
        ));
    }
    trusted
}

/// Returns the network in canonical form: an IPv4 network that is mapped to IPv6 becomes an IPv4 network.
fn as_compared(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
}

/// Returns the IP version of which these networks contain every address that is routed on the internet.
fn everyone_of(trusted: &[IpNet]) -> Option<&'static str> {
    [("IPv4", "0.0.0.0/0", &NOT_ROUTED_V4[..]), ("IPv6", "::/0", &NOT_ROUTED_V6[..])].into_iter().find_map(
        |(family, everything, not_routed)| {
            let not_routed = not_routed.iter().filter_map(|net| net.parse::<IpNet>().ok());
            let all = IpNet::aggregate(&trusted.iter().copied().chain(not_routed).collect());
            all.iter().any(|net| net.to_string() == everything).then_some(family)
        },
    )
}

/// Networks without addresses of clients on the internet (RFC 6890). `trusted_proxies` without them can still contain every
/// client.
const NOT_ROUTED_V4: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// All except 2000::/3 (RFC 4291, 2.4).
const NOT_ROUTED_V6: [&str; 3] = ["::/3", "4000::/2", "8000::/1"];
const FAMILIES: [(&str, ForwardedFamily); 2] =
    [("x-forwarded", ForwardedFamily::XForwarded), ("rfc7239", ForwardedFamily::Rfc7239)];
const DEFAULT_ADMIN_PORT: u16 = 9080;
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
const MIN_GRACE: Duration = Duration::from_secs(1);
const MAX_GRACE: Duration = Duration::from_secs(24 * 3600);
/// Bytes. Enough for about 30,000 tokens.
const DEFAULT_TOKEN_CACHE: u64 = 64 << 20;
const MAX_TOKEN_CACHE: u64 = 64 << 30;
const DEFAULT_QUEUE: usize = 64;
const MAX_QUEUE: usize = 65_536;
const MAX_THREADS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::{LOGIN, REALM, SERVER, assert_error, check, with};
    use crate::config::server::covers;
    use crate::config::{Mode, parse};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"listen = [":8080"]"#, r#"write "0.0.0.0:8080""#),
            (r#"listen = ["localhost:8080"]"#, r#"write "127.0.0.1:8080""#),
            (r#"listen = ["8080"]"#, "invalid address"),
            ("listen = []", "must not be empty"),
            (r#"listen = ["0.0.0.0:9080"]"#, "server.admin: 127.0.0.1:9080 is also in server.listen"),
            (r#"trusted_proxies = ["0.0.0.0/0"]"#, "insecure_trust_everyone"),
            (r#"trusted_proxies = ["::/0"]"#, "insecure_trust_everyone"),
            (r#"trusted_proxies = ["10.0.0.1/8"]"#, r#"write "10.0.0.0/8""#),
            (r#"trusted_proxies = ["proxy"]"#, "invalid network"),
            (r#"forwarded = "both""#, r#"must be "x-forwarded" or "rfc7239""#),
            (r#"forwarded = "rfc7239""#, "requires trusted_proxies"),
            ("trust_forwarded_host = true", "requires trusted_proxies"),
            (r#"admin_hosts = ["gate.internal:9080"]"#, r#"it has a port; write "gate.internal""#),
            (r#"admin_hosts = ["http://gate.internal"]"#, "invalid host"),
            (r#"shutdown_grace = "2d""#, r#"from "1s" to "1d""#),
        ] {
            assert_error(&format!("{}{REALM}{LOGIN}", with(SERVER, keys)), expected);
        }
    }

    #[test]
    fn networks_and_switches() {
        let keys = "trusted_proxies = [\"0.0.0.0/0\", \"192.0.2.1\"]\ninsecure_trust_everyone = true\nadmin = \"\"\nthreads = 3";
        let config = check(&format!("{}{REALM}{LOGIN}", with(SERVER, keys))).unwrap();
        let proxies: Vec<_> = config.server.proxies.networks.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["0.0.0.0/0", "192.0.2.1/32"]);
        assert_eq!((config.server.admin, config.server.threads), (None, 3));
        assert_eq!(
            (config.server.proxies.family, config.server.proxies.trust_forwarded_host),
            (ForwardedFamily::XForwarded, false)
        );
        let keys = "trusted_proxies = [\"::ffff:192.0.2.0/120\"]\nforwarded = \"rfc7239\"\ntrust_forwarded_host = true\nadmin_hosts = [\"Gate.internal.\"]";
        let server = check(&format!("{}{REALM}{LOGIN}", with(SERVER, keys))).unwrap().server;
        let proxies = server.proxies;
        assert!(proxies.trusts("192.0.2.9".parse().unwrap()) && !proxies.trusts("192.0.3.9".parse().unwrap()));
        assert_eq!((proxies.family, proxies.trust_forwarded_host), (ForwardedFamily::Rfc7239, true));
        assert_eq!(server.admin_hosts, [Host::parse("gate.internal").unwrap()]);
    }

    #[test]
    fn r04_networks_that_together_contain_every_address() {
        for (networks, family) in [
            (&["0.0.0.0/1", "128.0.0.0/1"][..], Some("IPv4")),
            (&["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"], Some("IPv4")),
            (&["128.0.0.0/1", "10.0.0.0/8", "0.0.0.0/1", "fd00::/8"], Some("IPv4")),
            // All except private addresses, and all except multicast.
            (&["0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/3"], Some("IPv4")),
            (&["::ffff:0.0.0.0/97", "::ffff:128.0.0.0/97"], Some("IPv4")),
            (&["::ffff:0.0.0.0/97", "128.0.0.0/1"], Some("IPv4")),
            (&["::/1", "8000::/1"], Some("IPv6")),
            (&["2000::/3"], Some("IPv6")),
            (&["2000::/4", "3000::/4"], Some("IPv6")),
            (&["0.0.0.0/1", "128.0.0.0/2"], None),
            (&["2000::/4", "::/1"], Some("IPv6")),
            (&["2000::/4", "fc00::/7"], None),
            (&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"], None),
        ] {
            let list = format!("trusted_proxies = {networks:?}");
            let config = |keys: &str| check(&format!("{}{REALM}{LOGIN}", with(SERVER, keys)));
            let errors = config(&list).map_or_else(|errors| errors.to_string(), |_| String::new());
            assert_eq!(
                errors.contains("server.trusted_proxies: its networks together contain every"),
                family.is_some(),
                "{list}: {errors}"
            );
            assert!(family.is_none_or(|family| errors.contains(family)), "{errors}");
            config(&format!("{list}\ninsecure_trust_everyone = true")).unwrap();
        }
    }

    #[test]
    fn an_admin_listener_for_other_machines_is_a_warning() {
        let warnings = |keys: &str| {
            let config = check(&format!("{}{REALM}{LOGIN}", with(SERVER, keys))).unwrap();
            config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for admin in ["0.0.0.0:9080", "[::]:9080", "192.0.2.1:9080"] {
            let warnings = warnings(&format!("admin = \"{admin}\""));
            assert!(warnings.len() == 1 && warnings[0].contains("server.admin: "), "{warnings:?}");
        }
        for admin in ["", "127.0.0.1:9080", "127.0.0.2:9080", "[::1]:9080"] {
            assert!(warnings(&format!("admin = \"{admin}\"")).is_empty(), "{admin}");
        }
    }

    #[test]
    fn addresses_that_exclude_each_other() {
        for (a, b, expected) in [
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", "192.0.2.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "192.0.2.1:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::]:80", "[::1]:80", true),
            ("0.0.0.0:0", "0.0.0.0:0", false),
        ] {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (expected, expected), "{a} {b}");
        }
        assert_error(
            &format!("{}{REALM}{LOGIN}", with(SERVER, r#"listen = ["0.0.0.0:80", "192.0.2.1:80"]"#)),
            "server.listen[1]: \"192.0.2.1:80\" is part of \"0.0.0.0:80\"",
        );
    }

    #[test]
    fn a_check_warns_of_addresses_that_can_probably_not_be_bound() {
        let warnings = |keys: &str, mode: Mode<'_>| {
            let text = format!("{}{REALM}{LOGIN}", with(SERVER, keys));
            let dir = tempfile::tempdir().unwrap();
            let text = text.replace("/var/lib", dir.path().to_str().unwrap());
            let config = parse(&text, &dir.path().join("t.toml"), mode).unwrap();
            config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let foreign = r#"listen = ["192.0.2.1:8080"]"#;
        assert!(warnings(foreign, Mode::Rehearse)[0].contains("warning: server.listen: 192.0.2.1:8080: no interface"));
        assert!(warnings(foreign, Mode::Start).is_empty());
        assert!(warnings("", Mode::Rehearse).is_empty());
        let privileged = warnings(r#"listen = ["127.0.0.1:7"]"#, Mode::Rehearse);
        assert_eq!(privileged.len(), usize::from(!may_bind_privileged_ports()), "{privileged:?}");
    }

    #[test]
    fn own_addresses_in_every_spelling() {
        for (own, address, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("0.0.0.0:80", "192.0.2.1:80", false),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(covers(&own.parse().unwrap(), &address.parse().unwrap()), expected, "{own} {address}");
        }
    }
}
