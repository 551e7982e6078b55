//! The admin listener: health, readiness, status and metrics, on an address of its own. Requests on the other listeners
//! can't reach it (SECURITY.md R6). It has no login, so it answers for its own names only: a page of another site could
//! point its host name at this address (DNS rebinding) and read the responses (R68).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};

use super::jwks::issuers;
use super::metrics;
use super::status::Status;
use crate::clock::{now, rfc3339};
use crate::config::{Authority, Host, Route};
use crate::proxy::SharedState;
use crate::token::PublicKeys;

/// Answers on the admin address.
pub(super) struct Admin {
    pub(super) state: Arc<SharedState>,
    pub(super) status: Arc<Status>,
    pub(super) config: PathBuf,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let server = &self.state.server;
        if !server.admin.is_none_or(|own| is_for(own, &server.admin_hosts, &head.headers)) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "host_unknown: this listener answers for its own address, for localhost and for admin_hosts in [server]\n",
            );
        }
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        let mut response = match head.uri.path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.status.store_fails() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
            }
            "/readyz" => match self.issuer_without_keys() {
                Some(problem) => text(StatusCode::SERVICE_UNAVAILABLE, &problem),
                None => text(StatusCode::OK, "ready\n"),
            },
            "/status" => {
                let body = format!("{:#}\n", self.status());
                answer(StatusCode::OK, "application/json", body.into_bytes())
            }
            "/metrics" => {
                let page = metrics::page(&self.state, &self.status);
                answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.into_bytes())
            }
            _ => text(StatusCode::NOT_FOUND, "try /healthz, /readyz, /status or /metrics\n"),
        };
        if head.method == Method::HEAD {
            response.body_mut().clear();
        }
        response
    }
}

impl Admin {
    /// Returns a trusted issuer without keys: requests with its tokens are refused.
    fn issuer_without_keys(&self) -> Option<String> {
        let snapshot = self.state.snapshot.load();
        let at = now();
        let (realm, issuer) = issuers(&snapshot.policy).find(|(_, issuer)| issuer.keys.current_at(at).is_none())?;
        Some(format!("realm {realm}: there are no keys of the trusted issuer {}\n", issuer.name))
    }

    fn status(&self) -> Value {
        let snapshot = self.state.snapshot.load();
        let realms: Vec<_> = snapshot.policy.realms.iter().map(|realm| realm.name.as_str()).collect();
        let reload = self
            .status
            .last_reload()
            .map(|reload| json!({"at": rfc3339(reload.at), "ok": reload.errors.is_empty(), "errors": reload.errors}));
        let at = now();
        let trusted: Vec<_> = issuers(&snapshot.policy)
            .map(|(realm, issuer)| {
                let (keys, fetched) = (issuer.keys.current_at(at), issuer.keys.last_fetch());
                json!({
                    "realm": realm,
                    "issuer": &*issuer.name,
                    "keys": keys.as_ref().map_or_else(Vec::new, |keys| keys.kids()),
                    "usable": keys.is_some(),
                    "unusable_keys": keys.as_ref().map_or_else(Vec::new, |keys| unusable(keys)),
                    "fetched_at": fetched.at.map(rfc3339),
                    "error": fetched.error,
                })
            })
            .collect();
        let upstreams = snapshot.upstreams().into_iter().map(|(pool, routes)| {
            let now = pool.pool();
            let servers = now.servers().iter().map(|server| {
                let state = server.state();
                json!({
                    "address": state.address.to_string(),
                    "healthy": state.healthy,
                    "ejected": state.ejected,
                    "in_flight": state.in_flight,
                    "failures": state.failures,
                })
            });
            let place = |route: &&Route| format!("{}{}", route.host.as_ref().map_or("", Host::as_str), route.path);
            let names = pool.names().into_iter().map(|name| {
                json!({
                    "name": name.host.as_str(),
                    "addresses": name.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "resolved_at": name.resolved_at.map(rfc3339),
                    "error": name.error,
                })
            });
            json!({
                "routes": routes.iter().map(place).collect::<Vec<_>>(),
                "names": names.collect::<Vec<_>>(),
                "servers": servers.collect::<Vec<_>>(),
            })
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "config": self.config.display().to_string(),
            "generation": snapshot.generation,
            "loaded_at": rfc3339(snapshot.loaded_at),
            "last_reload": reload,
            "cold_changes": self.status.cold_changes(),
            "certificate_expires_at": snapshot.policy.tls.as_ref().map(|tls| rfc3339(tls.expires_at)),
            "realms": realms,
            "revocations": self.state.services.revocations.len(),
            "tunnels": self.state.tunnels.len(),
            "issuers": trusted,
            "upstreams": upstreams.collect::<Vec<_>>(),
            "known_tokens": {"count": self.state.known.len(), "bytes": self.state.known.bytes()},
            "store": if self.status.store_fails() { "failing" } else { "ok" },
        })
    }
}

fn unusable(keys: &PublicKeys) -> Vec<Value> {
    keys.unusable().iter().map(|key| json!({"kid": key.kid, "reason": key.reason})).collect()
}

/// Returns whether the Host of a request is the listener at `own` or one of these names. A request without Host, such as a health
/// check over HTTP/1.0, does not come from a browser.
fn is_for(own: SocketAddr, names: &[Host], headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let Some(host) = host else { return true };
    let Some(Authority { host, .. }) = host.to_str().ok().and_then(Authority::parse).filter(|_| more.is_none()) else {
        return false;
    };
    if host.as_str() == "localhost" || names.contains(&host) {
        return true;
    }
    let Some(address) = host.address() else { return false };
    let (own, address) = (own.ip().to_canonical(), address.to_canonical());
    // An attacker can't rebind an address. A listener on the unspecified address has addresses that Tollgate does not know.
    own.is_unspecified() || own == address || (own.is_loopback() && address.is_loopback())
}

fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    answer(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn r68_only_names_of_its_own() {
        let names = [Host::parse("gate.internal").unwrap()];
        let answers = |own: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
            }
            is_for(own.parse().unwrap(), &names, &headers)
        };
        for own in ["127.0.0.1:9080", "192.0.2.1:9080", "0.0.0.0:9080", "[::]:9080", "[::1]:9080"] {
            for host in ["localhost", "LOCALHOST:9080", "localhost.", "gate.internal", "Gate.Internal.:1"] {
                assert!(answers(own, &[host]), "{own} {host}");
            }
            assert!(answers(own, &[]), "HTTP/1.0");
            for host in [
                "evil.example",
                "127.0.0.1.evil.example",
                "localhost.evil.example",
                "x.localhost",
                "internal",
                "",
                "a b",
                "127.0.0.1@evil.example",
                "gate.internal.evil.example",
                "127.0.0.1:x",
                "0x7f.1",
            ] {
                assert!(!answers(own, &[host]), "{own} {host}");
            }
            assert!(!answers(own, &["localhost", "evil.example"]) && !answers(own, &["localhost", "localhost"]));
        }
        for (own, host, expected) in [
            ("127.0.0.1:9080", "127.0.0.1:9080", true),
            ("127.0.0.1:9080", "127.0.0.2", true),
            ("127.0.0.1:9080", "[::1]:9080", true),
            ("127.0.0.1:9080", "[::ffff:127.0.0.1]", true),
            ("127.0.0.1:9080", "192.0.2.1", false),
            ("192.0.2.1:9080", "192.0.2.1:80", true),
            ("192.0.2.1:9080", "127.0.0.1", false),
            ("0.0.0.0:9080", "192.0.2.1:9080", true),
            ("[::]:9080", "[2001:db8::1]:9080", true),
            ("[2001:db8::1]:9080", "[2001:DB8:0::1]", true),
            ("[2001:db8::1]:9080", "[2001:db8::2]", false),
        ] {
            assert_eq!(answers(own, &[host]), expected, "{own} {host}");
        }
    }
}
