//! Pingora's hooks, in the order in which a request meets them.

use std::any::Any;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use pingora::connectors::TransportConnector;
use pingora::http::RequestHeader;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use tracing::warn;

use super::connection_state::{ConnectionState, Phase};
use super::context::RequestContext;
use super::http2::HasFragment;
use super::judge::{self, Arrival, BackgroundFetch, Protocol};
use super::record::FinishedRequest;
use super::tunnel::TunnelCredentials;
use super::upstream::reason;
use super::{SharedState, Snapshot, answer, audit, login};
use crate::clock::monotonic_now;
use crate::config::CorsBy;
use crate::gate::{AdmittedLogin, Authorizer, Decision, Denial, DenyReason, RouteId, wire};
use crate::login::{LoginError, LoginEventRecorder};

/// Tollgate in pingora's interface.
pub struct Gateway {
    pub(super) state: Arc<SharedState>,
    /// Makes connections to applications; pingora's own is never used.
    pub(super) connector: TransportConnector,
}

impl Gateway {
    /// Creates it with this state.
    #[must_use]
    pub const fn new(state: Arc<SharedState>, connector: TransportConnector) -> Self {
        Self { state, connector }
    }

    async fn decide(&self, session: &Session, snapshot: &Snapshot, context: &mut RequestContext) -> Decision {
        let header = session.req_header();
        let raw = session.as_http1().map(pingora::protocols::http::v1::server::HttpSession::get_headers_raw_bytes);
        let authority = header.uri.authority().map(http::uri::Authority::as_str);
        // Pingora and h2 show only that the target had a fragment.
        let fragment = header.extensions.get::<HasFragment>().map(|_| [header.raw_path(), b"#"].concat());
        let protocol = match &raw {
            Some(raw) => {
                let hidden = context.hidden.as_ref().zip(wire::target(raw));
                let target = hidden.map(|(hidden, target)| hidden.restore(target));
                Protocol::Http1 { raw, target, authority }
            }
            None => {
                let path = fragment.as_deref().unwrap_or_else(|| header.raw_path());
                Protocol::Http2 { path, scheme: header.uri.scheme_str().unwrap_or_default(), authority }
            }
        };
        let arrival = Arrival {
            method: &header.method,
            headers: &header.headers,
            protocol,
            has_body: context.has_body,
            upgrade: context.upgrade,
            peer: session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip),
            tls: session.digest().is_some_and(|digest| digest.ssl_digest.is_some()),
        };
        let (proxies, at) = (&self.state.server.proxies, monotonic_now(context.record.began));
        if let Some(peer) = arrival.peer {
            self.state.untrusted.notice(peer, &header.headers, proxies, at);
        }
        let authorizer = Authorizer {
            policy: &snapshot.policy,
            revoked: &self.state.services.revocations,
            proxies,
            known: &self.state.known,
            usage: &self.state.usage,
            uptime: at,
            generation: snapshot.generation,
            may_wait: true,
            trace: None,
        };
        judge::decide(authorizer, &arrival, &mut context.permits, &mut BackgroundFetch).await
    }

    /// Answers a request to a login.
    async fn log_in(
        &self,
        session: &mut Session,
        snapshot: &Snapshot,
        context: &mut RequestContext,
        admitted: Box<AdmittedLogin>,
    ) -> pingora::Result<()> {
        let (login, client) = (admitted.login.login.clone(), admitted.client.address);
        let place = RouteId::Login(login.index);
        (context.record.place, context.record.client) = (place, Some(client));
        let event = LoginEventRecorder::default();
        let answered = login::answer(session, &self.state, &admitted, &event).await;
        let noted = event.into_noted();
        let refused = answered.as_ref().err().map(|error| error.deny).or(noted.refused);
        let audit = audit::LoginAudit {
            realm: &login.realm.name,
            dialect: login.dialect.name(),
            client,
            request_id: context.request_id.as_str(),
            noted: &noted,
            refused,
        };
        audit.write(&self.state);
        audit.count(&snapshot.meters);
        let AdmittedLogin { login: at, cors, .. } = *admitted;
        match answered {
            Ok(response) => {
                let about = answer::ResponseContext {
                    request_id: context.request_id.as_str(),
                    in_realm: true,
                    cors: cors.as_ref(),
                };
                answer::login(session, response, &about).await
            }
            Err(LoginError { deny, set_cookie }) => {
                let realm = Some(login.realm.clone());
                let denial = Denial { place, realm, cors, set_cookie, login: Some(at), ..Denial::new(deny) };
                self.refuse(session, context, &denial).await
            }
        }
    }

    /// Adds Tollgate's headers to a response, and registers the tunnel that it opens.
    pub(super) fn note_answer(&self, context: &mut RequestContext, status: StatusCode, headers: &mut HeaderMap) {
        context.attempts.answered();
        context.record.answered();
        let is_websocket = status == StatusCode::SWITCHING_PROTOCOLS;
        let Some((_, grant)) = context.granted.as_ref().filter(|_| is_websocket || !status.is_informational()) else {
            return;
        };
        if grant.route().cors == CorsBy::Gate {
            answer::add_cors(headers, true, grant.cors());
        }
        // Responses without an expected end.
        if is_websocket || is_event_stream(headers) {
            if is_websocket {
                ConnectionState::enter(Phase::Tunnel);
            }
            let connection = if is_websocket { ConnectionState::current() } else { None };
            self.state.tunnels.open(TunnelCredentials::from_grant(grant), connection.as_ref());
        }
    }

    async fn refuse(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        refusal: &Denial,
    ) -> pingora::Result<()> {
        (context.denied, context.record.place) = (Some(refusal.deny), refusal.place);
        answer::refusal(session, refusal, context.request_id.as_str()).await
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new(self.state.request_ids.next())
    }

    /// No modules: pingora's default one compresses, which is the application's task.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn persist_connection_context(&self, _: &Session, context: &RequestContext) -> Option<Box<dyn Any + Send + Sync>> {
        let bound = mem::take(&mut *context.bound.lock().unwrap_or_else(PoisonError::into_inner));
        if bound.is_empty() { None } else { Some(Box::new(bound)) }
    }

    fn on_connection_reuse(&self, _: &mut Session, context: &mut RequestContext, kept: Box<dyn Any + Send + Sync>) {
        if let Ok(bound) = kept.downcast() {
            context.bound = Mutex::new(*bound);
        }
    }

    async fn early_request_filter(&self, session: &mut Session, context: &mut RequestContext) -> pingora::Result<()> {
        context.hidden = ConnectionState::take_hidden();
        if let Some(hidden) = &context.hidden {
            let target = session.as_http1().map(|session| hidden.restore(session.req_header().raw_path()));
            context.record.target = target.map(|target| String::from_utf8_lossy(&target).into_owned());
        }
        context.has_body = wire::has_body(&session.req_header().headers);
        context.upgrade = is_websocket(session.req_header());
        ConnectionState::enter(if context.has_body { Phase::Body } else { Phase::Served });
        // For Tollgate's own responses. A route has its own timeout.
        session.set_write_timeout(Some(ANSWER_TIMEOUT));
        // An HTTP/2 preface, and not a request (RFC 9113, 3.4).
        if session.req_header().method.as_str() == "PRI" {
            session.set_keepalive(None);
        }
        // TRAP: after the first request of a connection pingora waits for the next one without a timeout. The condition
        // matters: setting it always would revive a connection that pingora is about to close, for example after CL+TE.
        if session.get_keepalive().is_some() {
            let keepalive = self.state.snapshot.load().policy.limits.keepalive;
            session.set_keepalive(Some(keepalive.as_secs()));
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, context: &mut RequestContext) -> pingora::Result<bool> {
        let snapshot = self.state.snapshot.load_full();
        context.record.snapshot = Some(snapshot.clone());
        context.record.begin_span(&self.state.exporter, session.req_header(), &snapshot);
        // For the body.
        session.set_read_timeout(Some(snapshot.policy.limits.body_timeout));
        match self.decide(session, &snapshot, context).await {
            Decision::Grant(grant) => {
                context.record.granted(&grant);
                // TRAP: there is no default. A client that stops reading would hold a connection to the application
                // without end.
                session.set_write_timeout(Some(grant.route().upstream.write_timeout));
                if context.upgrade {
                    // TRAP: the timeout for the client's next byte applies to idle WebSockets too.
                    let silence = grant.route().upstream.tunnel_timeout;
                    session.set_read_timeout(Some(silence));
                }
                context.granted = Some((snapshot, grant));
                self.forward(session, context).await?;
            }
            // In a box, so that the future of every other request stays small.
            Decision::Login(admitted) => Box::pin(self.log_in(session, &snapshot, context, admitted)).await?,
            Decision::Preflight(asked) => {
                context.record.place = asked.place;
                answer::preflight(session, asked, context.request_id.as_str()).await?;
            }
            Decision::Jwks(keys) => {
                answer::key_set(session, keys, context.request_id.as_str()).await?;
            }
            Decision::Refusal(refusal) => {
                audit::denied(&self.state, session, &refusal, context.request_id.as_str());
                context.record.principal.clone_from(&refusal.principal);
                context.record.key.clone_from(&refusal.key);
                self.refuse(session, context, &refusal).await?;
            }
            // Only a decision with `may_wait` returns it.
            Decision::Wait(_) => self.refuse(session, context, &Denial::new(DenyReason::Internal)).await?,
        }
        Ok(true)
    }

    /// Not called: `request_filter` answers every request.
    async fn upstream_peer(&self, _: &mut Session, _: &mut RequestContext) -> pingora::Result<Box<HttpPeer>> {
        Err(Error::new(ErrorType::InternalError))
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut RequestContext) -> FailToProxy {
        let deny = context.denied.unwrap_or_else(|| upstream_failure(error));
        let body_fault = ConnectionState::body_fault();
        // The application waits for the rest of the body. A client that does not read is a different case.
        let no_answer = deny == DenyReason::UpstreamTimeout && *error.etype() == ErrorType::ReadTimedout;
        let waits_for_client = no_answer && !session.is_body_done();
        let deny = body_fault.unwrap_or(if waits_for_client { DenyReason::BodyTimeout } else { deny });
        let client_left = *error.esource() == ErrorSource::Downstream && is_disconnect(error) && body_fault.is_none();
        context.record.left = client_left;
        // Faults of the client are for the access log.
        if !client_left && deny.response().status.is_server_error() {
            warn!(
                request = context.request_id.as_str(),
                client = context.record.client.map(tracing::field::display),
                reason = deny.response().reason,
                server = context.attempts.server().map(tracing::field::display),
                error = reason(error),
                "forwarding failed"
            );
        }
        let mut error_code = 0;
        if !client_left && session.response_written().is_none() {
            error_code = deny.response().status.as_u16();
            let (realm, cors) = context
                .granted
                .as_ref()
                .map_or((None, None), |(_, grant)| (Some(grant.route().realm.clone()), grant.cors().cloned()));
            // TRAP: pingora closes the connection after this response (`pingora-proxy 0.9.1 src/lib.rs`, `finish`).
            // Without `Connection: close`, the client's next request crosses the close and is lost.
            session.set_keepalive(None);
            // The client may have left.
            let place = context.record.place;
            let _ = self.refuse(session, context, &Denial { place, realm, cors, ..Denial::new(deny) }).await;
        }
        context.denied = Some(deny);
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// `fail_to_proxy` has logged everything.
    fn suppress_error_log(&self, _: &Session, _: &RequestContext, _: &Error) -> bool {
        true
    }

    /// TRAP: pingora's own summary contains the query, and so the API key.
    fn request_summary(&self, _: &Session, context: &RequestContext) -> String {
        format!("request {}", context.request_id.as_str())
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, context: &mut RequestContext) {
        let granted = context.granted.as_ref();
        let ended = FinishedRequest {
            request_id: context.request_id.as_str(),
            granted: granted.is_some(),
            denied: context.denied,
            server: context.attempts.server(),
        };
        context.record.end(&self.state, session, &ended);
    }
}

/// Time limit for a client to read a response of Tollgate's own.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Maps a failed attempt to a denial (docs/request-order.md, Forwarding).
fn upstream_failure(error: &Error) -> DenyReason {
    use ErrorType::{ConnectTimedout, Custom, ReadTimedout, TLSHandshakeTimedout, WriteTimedout};
    match (error.esource(), error.etype()) {
        (ErrorSource::Upstream, ConnectTimedout | ReadTimedout | WriteTimedout | TLSHandshakeTimedout) => {
            DenyReason::UpstreamTimeout
        }
        (ErrorSource::Upstream, Custom(_)) => DenyReason::UpstreamFraming,
        (ErrorSource::Upstream, _) => DenyReason::UpstreamFailed,
        (ErrorSource::Downstream, ReadTimedout) => DenyReason::BodyTimeout,
        (ErrorSource::Downstream, _) => DenyReason::Header,
        (ErrorSource::Internal | ErrorSource::Unset, _) => DenyReason::Internal,
    }
}

const fn is_disconnect(error: &Error) -> bool {
    matches!(error.etype, ErrorType::WriteError | ErrorType::ReadError | ErrorType::ConnectionClosed)
}

/// Returns whether it asks for WebSocket, the only upgrade that is forwarded. Other upgrades are removed, and the
/// request goes on: curl asks for h2c by default.
fn is_websocket(request: &RequestHeader) -> bool {
    request.version == http::Version::HTTP_11 && wire::asks_for_websocket(&request.headers)
}

/// Returns whether the response is an event stream.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    const KIND: &[u8] = b"text/event-stream";
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.as_bytes().get(..KIND.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
}
