//! The keys of a `[[route]]` that are about the servers behind it.

use std::net::SocketAddr;
use std::time::Duration;

use super::server::covers;
use crate::config::host::Authority;
use crate::config::outside::Outside;
use crate::config::reader::Section;
use crate::config::server::Server;
use crate::config::spelling::quote;
use crate::config::upstream::Upstream;

/// Those of a route.
pub(super) fn read(section: &Section<'_>, server: Option<&Server>, outside: &Outside) -> Upstream {
    const EXAMPLE: &str = "[\"http://127.0.0.1:3000\"]";
    let servers = section.list("upstream", |text| servers(text, server, outside)).concat();
    if !section.has("upstream") {
        section.missing("upstream", format!("is missing: write upstream = {EXAMPLE}"));
    } else if servers.len() > MAX_SERVERS {
        let message =
            format!("leads to {} addresses, and {MAX_SERVERS} is the most that one route can have", servers.len());
        section.error("upstream", message);
    } else if section.is_empty_list("upstream") {
        section.error("upstream", format!("is empty: write upstream = {EXAMPLE}"));
    }
    let mut distinct = Vec::with_capacity(servers.len());
    for address in servers {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let timeout = |key, default| section.duration(key, MIN_TIMEOUT..=MAX_TIMEOUT, default);
    Upstream {
        servers: distinct,
        connect_timeout: timeout("connect_timeout", Duration::from_secs(3)),
        read_timeout: timeout("read_timeout", Duration::from_secs(60)),
        write_timeout: timeout("write_timeout", Duration::from_secs(60)),
        idle_timeout: timeout("idle_timeout", Duration::from_secs(60)),
        tunnel_timeout: timeout("tunnel_timeout", Duration::from_secs(3600)),
    }
}

/// Every address of one URL.
fn servers(text: &str, server: Option<&Server>, outside: &Outside) -> Result<Vec<SocketAddr>, String> {
    if text.contains('@') {
        // Not quoted: there may be a password in it.
        return Err("has a user or password, which is not supported: write \"http://host:port\"".into());
    }
    if text.starts_with("https://") {
        return Err("TLS to an upstream is not supported by this version: write an http:// URL".into());
    }
    let rest = text.strip_prefix("http://");
    let authority = rest.and_then(Authority::parse);
    let Some(Authority { host, port }) = authority.filter(|authority| authority.port != Some(0)) else {
        let hint = match rest.and_then(|rest| Authority::parse(rest.split(['/', '?', '#']).next()?)) {
            Some(Authority { host, port }) => {
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("write \"http://{host}{port}\", since the request's own path is forwarded")
            }
            None => "write it as \"http://127.0.0.1:3000\"".into(),
        };
        return Err(format!("{} is no URL of a server: {hint}", quote(text)));
    };
    let addresses = outside.resolve(&host, port.unwrap_or(80))?;
    let mut own = server.into_iter().flat_map(|server| server.listen.iter().chain(&server.admin));
    if own.any(|own| addresses.iter().any(|address| covers(own, address))) {
        return Err(format!(
            "{} is Tollgate itself, so requests would go round in circles: write your app's address",
            quote(text)
        ));
    }
    Ok(addresses)
}

const MIN_TIMEOUT: Duration = Duration::from_millis(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 86_400);

/// As many as the proxy has bits for, to remember which of them a request has tried.
const MAX_SERVERS: usize = 64;

#[cfg(test)]
mod tests {
    use crate::config::sections::fixture::{REALM, ROUTE, SERVER, assert_error, check, with};

    #[test]
    fn bad_servers_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (
                r#"upstream = ["https://127.0.0.1"]"#,
                "route[0].upstream[0]: TLS to an upstream is not supported by this version: write an http:// URL",
            ),
            (
                r#"upstream = ["http://127.0.0.1:3000/api"]"#,
                r#"write "http://127.0.0.1:3000", since the request's own"#,
            ),
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
            (r#"upstream = ["http://no-such-host.invalid"]"#, "can't resolve no-such-host.invalid"),
            ("upstream = []", "is empty"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(ROUTE, keys)), expected);
        }
    }

    #[test]
    fn a_name_becomes_each_of_its_addresses_once() {
        let keys = r#"upstream = ["http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]"]"#;
        let config = check(&format!("{SERVER}{REALM}{}", with(ROUTE, keys))).unwrap();
        let servers = config.policy.routing().routes()[0].upstream().servers();
        let count = |address: &str| servers.iter().filter(|server| server.to_string() == address).count();
        assert_eq!((count("127.0.0.1:3000"), count("[::1]:80")), (1, 1), "{servers:?}");
    }
}
