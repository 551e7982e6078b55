//! The admin listener: health, readiness and status, on an address of its own, so that nothing that a client sends to
//! the gate can reach them (`threats.md` R6).

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};

use super::status::Status;
use crate::clock::rfc3339;
use crate::proxy::State;

/// Answers on the admin address.
pub(super) struct Admin {
    pub(super) state: Arc<State>,
    pub(super) status: Arc<Status>,
    pub(super) config: PathBuf,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        }
        let mut response = match head.uri.path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.status.store_fails() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
            }
            "/readyz" => text(StatusCode::OK, "ready\n"),
            "/status" => {
                let body = format!("{:#}\n", self.status());
                answer(StatusCode::OK, "application/json", body.into_bytes())
            }
            _ => text(StatusCode::NOT_FOUND, "try /healthz, /readyz or /status\n"),
        };
        if head.method == Method::HEAD {
            response.body_mut().clear();
        }
        response
    }
}

impl Admin {
    fn status(&self) -> Value {
        let snapshot = self.state.snapshot.load();
        let realms: Vec<_> = snapshot.policy.realms().iter().map(|realm| realm.name()).collect();
        let reload = self
            .status
            .last_reload()
            .map(|reload| json!({"at": rfc3339(reload.at), "ok": reload.errors.is_empty(), "errors": reload.errors}));
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "config": self.config.display().to_string(),
            "generation": snapshot.generation,
            "loaded_at": rfc3339(snapshot.loaded_at),
            "last_reload": reload,
            "cold_changes": self.status.cold_changes(),
            "realms": realms,
            "revocations": self.state.desk.revocations.len(),
            "tunnels": self.state.tunnels.len(),
            "store": if self.status.store_fails() { "failing" } else { "ok" },
        })
    }
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
