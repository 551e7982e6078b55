//! `[server.tls] redirect`: from http to https.

use async_trait::async_trait;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, LOCATION};
use http::{Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::connection_state::{ConnectionState, Phase};
use crate::config::Authority;

/// Answers every request with the same address, over https.
pub(super) struct Redirect {
    pub(super) port: u16,
}

#[async_trait]
impl ServeHttp for Redirect {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        ConnectionState::enter(Phase::Served);
        let head = session.req_header();
        let mut hosts = head.headers.get_all(HOST).iter();
        let host =
            hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| Authority::parse(host.to_str().ok()?));
        let path = std::str::from_utf8(head.raw_path()).ok().filter(|path| path.starts_with('/'));
        let location = host.zip(path).and_then(|(authority, path)| {
            let port = if self.port == 443 { String::new() } else { format!(":{}", self.port) };
            HeaderValue::try_from(format!("https://{}{port}{path}", authority.host)).ok()
        });
        let mut response = Response::new(Vec::new());
        match location {
            // RFC 9110, 15.4.9: with its method and body.
            Some(location) => {
                *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
                response.headers_mut().insert(LOCATION, location);
            }
            None => *response.status_mut() = StatusCode::BAD_REQUEST,
        }
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        session.set_keepalive(None);
        response
    }
}
