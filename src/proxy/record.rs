//! Facts about a request for the metrics, the access log and its trace span, which are written when it ends.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use tracing::Level;

use super::metrics::RequestOutcome;
use super::trace::{Exporter, Span, SpanAttributes};
use super::{SharedState, Snapshot, redact};
use crate::clock::now_ms;
use crate::config::{AccessLog, ApiKey};
use crate::gate::{ClientInfo, DenyReason, Grant, Principal, RouteId, TraceParent};
use crate::log_output::LogLine;

/// Facts about a request so far.
#[derive(Debug)]
pub(super) struct RequestRecord {
    pub(super) began: Instant,
    /// The policy that the request was judged by.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) place: RouteId,
    /// The address of the client, from trusted proxies or the connection.
    pub(super) client: Option<IpAddr>,
    /// The user, or the subject of the token.
    pub(super) principal: Option<Arc<Principal>>,
    /// The API key that the grant needed, or that came with a refused request.
    pub(super) key: Option<Arc<ApiKey>>,
    /// The client closed the connection before the end.
    pub(super) left: bool,
    pub(super) span: Option<Span>,
    /// The target as it came, if pingora does not show it.
    pub(super) target: Option<String>,
    sent: Option<Instant>,
    waited: Option<Duration>,
}

/// The end of a request.
pub(super) struct FinishedRequest<'a> {
    pub(super) request_id: &'a str,
    pub(super) granted: bool,
    pub(super) denied: Option<DenyReason>,
    /// The server that was tried last.
    pub(super) server: Option<SocketAddr>,
}

impl RequestRecord {
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            snapshot: None,
            place: RouteId::None,
            client: None,
            principal: None,
            key: None,
            left: false,
            span: None,
            target: None,
            sent: None,
            waited: None,
        }
    }

    /// Begins a span, if the request is to be traced.
    pub(super) fn begin_span(&mut self, exporter: &Exporter, request: &RequestHeader, snapshot: &Snapshot) {
        self.span = exporter.begin(&request.headers, &request.method, snapshot.policy.log.trace_ratio);
    }

    pub(super) fn granted(&mut self, grant: &Grant) {
        self.place = RouteId::Route(grant.route().index);
        self.client = Some(grant.client().address);
        self.principal = grant.principal().cloned();
        self.key = grant.key().cloned();
    }

    /// Notes that the request is sent to an application: one attempt.
    pub(super) fn send(&mut self) {
        self.sent = Some(Instant::now());
    }

    /// Notes that the head of an answer has come.
    pub(super) fn answered(&mut self) {
        // After 100 Continue or another interim response there is a second head: the first one ends the wait.
        if self.waited.is_none() {
            self.waited = self.sent.map(|sent| sent.elapsed());
        }
    }

    /// Counts the request, ends its span and writes its line of the access log.
    pub(super) fn end(&mut self, state: &SharedState, session: &Session, ended: &FinishedRequest<'_>) {
        let took = self.began.elapsed();
        let status = session.response_written().map(|response| response.status);
        let end = match (self.left, ended.denied, ended.granted) {
            (true, _, _) => RequestOutcome::Left,
            (false, Some(_), true) => RequestOutcome::Failed,
            (false, Some(_), false) => RequestOutcome::Denied,
            (false, None, true) => RequestOutcome::Forwarded,
            (false, None, false) => RequestOutcome::Answered,
        };
        let reason = ended.denied.filter(|_| !self.left).map_or("", |deny| deny.response().reason);
        // A request can fail before it is judged.
        let current;
        let snapshot = if let Some(snapshot) = &self.snapshot {
            snapshot
        } else {
            current = state.snapshot.load_full();
            &current
        };
        let requests = snapshot.meters.at(self.place);
        if let Some(waited) = self.waited {
            requests.upstream.observe(waited);
        }
        requests.count(end, reason, status, took);
        let wanted = match snapshot.policy.log.access {
            AccessLog::Off => false,
            AccessLog::Denied => matches!(end, RequestOutcome::Denied | RequestOutcome::Failed),
            AccessLog::All => true,
        };
        if !wanted && self.span.is_none() {
            return;
        }
        let header = session.req_header();
        let host = header.uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| header.headers.get(http::header::HOST)?.to_str().ok()).unwrap_or_default();
        let target = self.target.as_deref().or_else(|| header.uri.path_and_query().map(PathAndQuery::as_str));
        let target = target.unwrap_or_default();
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut trace_id = TraceParent::from_headers(&header.headers).map(|parent| parent.trace_id().to_owned());
        if let Some(span) = self.span.take() {
            trace_id = Some(span.trace_id());
            span.end(SpanAttributes {
                method: &header.method,
                path: cut(path, MAX_PATH),
                version: header.version,
                host: cut(host, 255),
                client: self.client.or_else(|| client(state, session)).map(|client| client.to_string()),
                request_id: ended.request_id,
                requests,
                end,
                reason,
                status,
                server: ended.server.map(|server| server.to_string()),
            });
        }
        if !wanted {
            return;
        }
        let mut line = LogLine::new(state.journal.form(), Level::INFO, now_ms(), "access");
        line.text("request_id", ended.request_id);
        if let Some(client) = self.client.or_else(|| client(state, session)) {
            line.text("client", &client.to_string());
        }
        line.text("method", cut(header.method.as_str(), 32));
        line.text("host", cut(host, 255));
        line.text("path", cut(path, MAX_PATH));
        if let Some(query) = query {
            line.text("query", cut(&redact::query(query), MAX_PATH));
        }
        line.text("protocol", if header.version == http::Version::HTTP_2 { "HTTP/2" } else { version(header.version) });
        if let Some(status) = status {
            line.plain("status", status.as_u16());
        }
        line.text("outcome", end.name());
        if !reason.is_empty() {
            line.text("reason", reason);
        }
        line.plain("bytes", session.body_bytes_sent());
        line.plain("seconds", format_args!("{:.6}", took.as_secs_f64()));
        if let Some(server) = ended.server {
            line.text("upstream", &server.to_string());
        }
        if let Some(waited) = self.waited {
            line.plain("upstream_seconds", format_args!("{:.6}", waited.as_secs_f64()));
        }
        if !requests.realm.is_empty() {
            line.text("realm", &requests.realm);
            line.text("route", &requests.route);
        }
        if let Some(principal) = &self.principal {
            line.text("subject", cut(&principal.claims().subject, 256));
        }
        if let Some(key) = &self.key {
            line.text("key", &key.id);
        }
        if let Some(trace_id) = &trace_id {
            line.text("trace_id", trace_id);
        }
        state.journal.log(line);
    }
}

/// Returns the address of the client, from trusted proxies or the connection.
pub(super) fn client(state: &SharedState, session: &Session) -> Option<IpAddr> {
    let peer = session.client_addr()?.as_inet()?.ip();
    Some(ClientInfo::from_request(peer, false, &session.req_header().headers, &state.server.proxies).address)
}

const fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

/// Cuts a text at a character boundary to at most this number of bytes.
fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// Maximum length of a path or query in a log line, in bytes.
const MAX_PATH: usize = 2048;
