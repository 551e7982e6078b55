//! `[server]`.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZero;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use rustix::thread::{CapabilitySet, capabilities};

use super::host;
use crate::config::reader::{Keys, Section};
use crate::config::server::{ForwardedFamily, Proxies, Server};
use crate::config::spelling::quote;

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[server]",
    known: &[
        "listen",
        "admin",
        "admin_hosts",
        "threads",
        "trusted_proxies",
        "forwarded",
        "trust_forwarded_host",
        "h2c",
        "shutdown_grace",
        "hash_threads",
        "hash_queue",
        "token_cache",
        "insecure_key_files",
        "insecure_trust_everyone",
        "tls",
    ],
    later: &[],
    parent: None,
};

/// What is in it, and of what is in `[server.tls]` the cold part.
pub(in crate::config) fn read(section: &Section<'_>, tls: Option<&Section<'_>>) -> Server {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let or_else = |number, otherwise| if number == 0 { otherwise } else { number };
    let listen = listen(section);
    let redirect = tls.map_or_else(Vec::new, |tls| redirect(tls, &listen));
    let default_admin = SocketAddr::from(([127, 0, 0, 1], DEFAULT_ADMIN_PORT));
    let admin = section.optional("admin", |text| if text.is_empty() { Ok(None) } else { address(text).map(Some) });
    let admin = admin.unwrap_or(Some(default_admin));
    if let Some(admin) = admin
        && listen.iter().chain(&redirect).any(|listen| overlap(listen, &admin))
    {
        section.error("admin", format!("{admin} is in server.listen too: write another port, or \"\" for none"));
    }
    if let Some(admin) = admin.filter(|admin| !admin.ip().to_canonical().is_loopback()) {
        section.warn(
            "admin",
            format!("{admin} may be reached from other machines, and asks for no login: write \"127.0.0.1:{}\", or let a firewall keep others away", admin.port()),
        );
    }
    let h2c = section.flag("h2c", false);
    if h2c && tls.is_some() {
        section.error("h2c", "is HTTP/2 without TLS, and this listens with TLS: remove it, HTTP/2 is on there anyway");
    }
    Server {
        listen,
        admin,
        threads: or_else(section.number("threads", 0..=MAX_THREADS, 0), cores),
        admin_hosts: section.list("admin_hosts", host),
        proxies: proxies(section),
        h2c,
        tls: tls.is_some(),
        redirect,
        shutdown_grace: section.duration("shutdown_grace", MIN_GRACE..=MAX_GRACE, DEFAULT_GRACE),
        hash_threads: or_else(section.number("hash_threads", 0..=MAX_THREADS, 0), (cores / 2).max(1)),
        hash_queue: section.number("hash_queue", 0..=MAX_QUEUE, DEFAULT_QUEUE),
        token_cache: section.size("token_cache", MAX_TOKEN_CACHE, DEFAULT_TOKEN_CACHE),
    }
}

/// Whether the files that hold secrets may be readable for others.
pub(in crate::config) fn insecure_key_files(section: &Section<'_>) -> bool {
    section.flag("insecure_key_files", false)
}

/// Warns of addresses that this user or this machine can hardly listen on.
pub(in crate::config) fn rehearse(section: &Section<'_>, tls: Option<&Section<'_>>, server: &Server) {
    let keys = [(Some(section), "listen", &*server.listen), (tls, "redirect", &*server.redirect)];
    let keys = keys.into_iter().chain([(Some(section), "admin", server.admin.as_slice())]);
    for (section, key, addresses) in keys {
        for address in addresses {
            if let (Some(section), Some(message)) = (section, cannot_be_bound(address)) {
                section.warn(key, message);
            }
        }
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
    // A UDP socket on any port: it shows whether there is such an address, and takes nothing from anybody.
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

/// Whether not both addresses can be listened on.
fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    if a.port() != b.port() || a.port() == 0 {
        return false;
    }
    // ipv6(7): `[::]` takes IPv4 connections too, unless bindv6only says otherwise.
    let everywhere = |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    let (a, b) = (a.ip(), b.ip());
    a.to_canonical() == b.to_canonical() || everywhere(a, b.to_canonical()) || everywhere(b, a.to_canonical())
}

fn listen(section: &Section<'_>) -> Vec<SocketAddr> {
    const EXAMPLE: &str = "[\"127.0.0.1:8080\"]";
    let seen = RefCell::new(Vec::<SocketAddr>::new());
    let listen = section.list("listen", |text| {
        let address = address(text)?;
        let mut seen = seen.borrow_mut();
        if let Some(other) = seen.iter().find(|other| overlap(other, &address)) {
            return Err(format!("\"{address}\" is a part of \"{other}\", which is listed too: remove one of the two"));
        }
        seen.push(address);
        Ok(address)
    });
    if !section.has("listen") {
        section.missing("listen", format!("is missing: write listen = {EXAMPLE}"));
    } else if section.is_empty_list("listen") {
        section.error("listen", format!("is empty: write listen = {EXAMPLE}"));
    }
    listen
}

fn redirect(tls: &Section<'_>, listen: &[SocketAddr]) -> Vec<SocketAddr> {
    tls.list("redirect", |text| {
        let redirect = address(text)?;
        if listen.iter().any(|listen| overlap(listen, &redirect)) {
            return Err(format!("\"{redirect}\" is in server.listen too: write another port"));
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
            Some(port) if text.starts_with("localhost") => format!("{text_and} is a name: write \"127.0.0.1:{port}\""),
            Some(port) => {
                format!("{text_and} has no address: write \"0.0.0.0:{port}\" or \"[::]:{port}\" for every one")
            }
            None => {
                format!("{text_and} is no IP address with a port: write it as \"127.0.0.1:8080\" or \"[::1]:8080\"")
            }
        }
    })
}

fn proxies(section: &Section<'_>) -> Proxies {
    let families = [("x-forwarded", ForwardedFamily::XForwarded), ("rfc7239", ForwardedFamily::Rfc7239)];
    let family = section.choice("forwarded", &families, &[]).unwrap_or_default();
    let host = section.flag("trust_forwarded_host", false);
    let trusted = trusted_proxies(section);
    for (key, written) in [("forwarded", family != ForwardedFamily::default()), ("trust_forwarded_host", host)] {
        if written && !section.has("trusted_proxies") {
            section.error(key, "nobody is believed: list your proxies in trusted_proxies, or remove it");
        }
    }
    Proxies::new(trusted, family, host)
}

fn trusted_proxies(section: &Section<'_>) -> Vec<IpNet> {
    let trust_everyone = section.flag("insecure_trust_everyone", false);
    let trusted = section.list("trusted_proxies", |text| {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| {
                format!("{} is no network: write it as \"10.0.0.0/8\", \"192.0.2.7\" or \"fd00::/8\"", quote(text))
            })?,
        };
        if net.trunc() != net {
            return Err(format!("\"{net}\" has bits set to the right of its mask: write \"{}\"", net.trunc()));
        }
        // R4: whoever is trusted names the client's address, and with it whom to throttle.
        if net.prefix_len() == 0 && !trust_everyone {
            return Err(format!(
                "\"{net}\" is everyone, so that each client can forge its address: list your proxies, \
                 or set insecure_trust_everyone = true in [server]"
            ));
        }
        Ok(as_compared(net))
    });
    let whole = trusted.iter().any(|net| net.prefix_len() == 0);
    if let Some(family) = everyone_of(&trusted).filter(|_| !trust_everyone && !whole) {
        section.error(
            "trusted_proxies",
            format!(
                "its networks together are every address of {family}, so that each client can forge its address: list your \
                 proxies, or set insecure_trust_everyone = true in [server]"
            ),
        );
    }
    trusted
}

/// The network as addresses are compared with it: one of IPv4 that is mapped to IPv6 is one of IPv4.
fn as_compared(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
}

/// The version of IP of which these networks have every address that the internet routes.
fn everyone_of(trusted: &[IpNet]) -> Option<&'static str> {
    [("IPv4", "0.0.0.0/0", &NOT_ROUTED_V4[..]), ("IPv6", "::/0", &NOT_ROUTED_V6[..])].into_iter().find_map(
        |(family, everything, not_routed)| {
            let not_routed = not_routed.iter().filter_map(|net| net.parse::<IpNet>().ok());
            let all = IpNet::aggregate(&trusted.iter().copied().chain(not_routed).collect());
            all.iter().any(|net| net.to_string() == everything).then_some(family)
        },
    )
}

/// Networks of which no client on the internet has an address (RFC 6890): to leave them out makes no difference.
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
/// All but 2000::/3 (RFC 4291, 2.4).
const NOT_ROUTED_V6: [&str; 3] = ["::/3", "4000::/2", "8000::/1"];
const DEFAULT_ADMIN_PORT: u16 = 9080;
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
const MIN_GRACE: Duration = Duration::from_secs(1);
const MAX_GRACE: Duration = Duration::from_secs(24 * 3600);
/// Some thirty thousand tokens.
const DEFAULT_TOKEN_CACHE: u64 = 64 << 20;
const MAX_TOKEN_CACHE: u64 = 64 << 30;
const DEFAULT_QUEUE: usize = 64;
const MAX_QUEUE: usize = 65_536;
const MAX_THREADS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check, with};
    use crate::config::server::covers;
    use crate::config::{Mode, parse};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"listen = [":8080"]"#, r#"write "0.0.0.0:8080""#),
            (r#"listen = ["localhost:8080"]"#, r#"write "127.0.0.1:8080""#),
            (r#"listen = ["8080"]"#, "no IP address with a port"),
            ("listen = []", "is empty"),
            (r#"listen = ["0.0.0.0:9080"]"#, "server.admin: 127.0.0.1:9080 is in server.listen too"),
            (r#"trusted_proxies = ["0.0.0.0/0"]"#, "insecure_trust_everyone"),
            (r#"trusted_proxies = ["::/0"]"#, "insecure_trust_everyone"),
            (r#"trusted_proxies = ["10.0.0.1/8"]"#, r#"write "10.0.0.0/8""#),
            (r#"trusted_proxies = ["proxy"]"#, "is no network"),
            (r#"forwarded = "both""#, r#"must be "x-forwarded" or "rfc7239""#),
            (r#"forwarded = "rfc7239""#, "list your proxies in trusted_proxies"),
            ("trust_forwarded_host = true", "list your proxies in trusted_proxies"),
            (r#"admin_hosts = ["gate.internal:9080"]"#, r#"has a port: write "gate.internal""#),
            (r#"admin_hosts = ["http://gate.internal"]"#, "is no host"),
            (r#"shutdown_grace = "2d""#, r#"from "1s" to "1d""#),
        ] {
            assert_error(&format!("{}{REALM}{LOGIN}", with(SERVER, keys)), expected);
        }
    }

    #[test]
    fn networks_and_switches() {
        let keys = "trusted_proxies = [\"0.0.0.0/0\", \"192.0.2.1\"]\ninsecure_trust_everyone = true\nadmin = \"\"\nthreads = 3";
        let config = check(&format!("{}{REALM}{LOGIN}", with(SERVER, keys))).unwrap();
        let proxies: Vec<_> = config.server.proxies().networks().iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["0.0.0.0/0", "192.0.2.1/32"]);
        assert_eq!((config.server.admin(), config.server.threads()), (None, 3));
        assert_eq!(
            (config.server.proxies().family(), config.server.proxies().tell_host()),
            (ForwardedFamily::XForwarded, false)
        );
        let keys = "trusted_proxies = [\"::ffff:192.0.2.0/120\"]\nforwarded = \"rfc7239\"\ntrust_forwarded_host = true\nadmin_hosts = [\"Gate.internal.\"]";
        let server = check(&format!("{}{REALM}{LOGIN}", with(SERVER, keys))).unwrap().server;
        let proxies = server.proxies();
        assert!(proxies.trusts("192.0.2.9".parse().unwrap()) && !proxies.trusts("192.0.3.9".parse().unwrap()));
        assert_eq!((proxies.family(), proxies.tell_host()), (ForwardedFamily::Rfc7239, true));
        assert_eq!(server.admin_hosts(), [crate::config::Host::parse("gate.internal").unwrap()]);
    }

    #[test]
    fn r04_networks_that_are_everyone_together() {
        for (networks, family) in [
            (&["0.0.0.0/1", "128.0.0.0/1"][..], Some("IPv4")),
            (&["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"], Some("IPv4")),
            (&["128.0.0.0/1", "10.0.0.0/8", "0.0.0.0/1", "fd00::/8"], Some("IPv4")),
            // All but private addresses, and all but multicast.
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
                errors.contains("server.trusted_proxies: its networks together are every"),
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
            "server.listen[1]: \"192.0.2.1:80\" is a part of \"0.0.0.0:80\"",
        );
    }

    #[test]
    fn addresses_that_are_hardly_bound_are_warnings_of_a_rehearsal() {
        let warnings = |keys: &str, mode: Mode<'_>| {
            let text = format!("{}{REALM}{LOGIN}", with(SERVER, keys));
            let dir = tempfile::tempdir().unwrap();
            let text = text.replace("/var/lib", dir.path().to_str().unwrap());
            let config = parse(&text, &dir.path().join("t.toml"), mode).unwrap();
            config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let foreign = r#"listen = ["192.0.2.1:8080"]"#;
        assert!(warnings(foreign, Mode::Rehearse)[0].contains("warning: server.listen: 192.0.2.1:8080: no interface"));
        assert!(warnings(foreign, Mode::Check).is_empty());
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
