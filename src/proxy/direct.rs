//! The short way to an app and back, for what most requests are: GET or HEAD over HTTP/1.1 or HTTP/2, without a body.
//!
//! Pingora forwards with two halves that talk through channels, since bodies and WebSockets go both ways at once. It copies
//! the head of a request, takes out of the copy what is hop by hop, and asks a dozen hooks on the way: a third of all that
//! a request costs. Where nothing but an answer is to come, a loop will do. Connections, reading, framing and writing are
//! pingora's here too, and so is all that is counted, logged and tried again; a request that says anything about its
//! connection that is not plain takes the long way.

use std::pin::pin;
use std::task::{self, Poll, Waker};

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER};
use http::header::{HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::context::Context;
use super::forwarded;
use super::gateway::Gateway;

/// Whether this request asks for nothing but an answer.
pub(super) fn is_plain(session: &Session, context: &Context) -> bool {
    let request = session.req_header();
    let has_ended = match session.as_http2() {
        // Here nothing has to announce a body.
        Some(stream) => stream.is_body_empty(),
        None => session.as_http1().is_some() && request.version == Version::HTTP_11,
    };
    has_ended
        && matches!(request.method, Method::GET | Method::HEAD)
        && !context.announces_more()
        && request.headers.iter().all(|(name, value)| {
            if *name == CONNECTION {
                // Which is for us, and pingora has read it.
                let value = value.as_bytes();
                return value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close");
            }
            !concerns_connection(name)
        })
}

/// Whether what a header of this name says is for the next hop only, or about a body.
fn concerns_connection(name: &HeaderName) -> bool {
    const STANDARD: [HeaderName; 8] =
        [CONTENT_LENGTH, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    STANDARD.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

impl Gateway {
    /// Forwards a request that [`is_plain`], and its answer.
    pub(super) async fn go_directly(&self, session: &mut Session, context: &mut Context) -> pingora::Result<()> {
        loop {
            match self.attempt(session, context).await {
                Err(error) if error.retry() => {}
                done => return done,
            }
        }
    }

    async fn attempt(&self, session: &mut Session, context: &mut Context) -> pingora::Result<()> {
        let (pool, index) = context.choose_server()?;
        let server = &pool.servers()[index];
        let peer = server.peer();
        let idle = server.take_idle();
        let reused = idle.is_some();
        let mut app = match idle {
            Some(stream) => HttpSession::new_with_options(stream, peer),
            // In a box, since a future is moved as a whole, whether all of it is used or not.
            None => match Box::pin(self.connector.get_http_session(peer)).await {
                Ok((app, _)) => {
                    context.connected();
                    app
                }
                Err(error) => return Err(context.not_connected(error.into_up())),
            },
        };
        if let Err(error) = self.exchange(session, context, &mut app, peer).await {
            return Err(context.broke_off(session, error, reused));
        }
        app.respect_keepalive();
        if let Some(stream) = app.reuse().await {
            server.park(stream);
        }
        Ok(())
    }

    /// Sends the request, and passes its answer on as it comes.
    async fn exchange(
        &self,
        session: &mut Session,
        context: &mut Context,
        app: &mut HttpSession,
        peer: &HttpPeer,
    ) -> pingora::Result<()> {
        (app.read_timeout, app.write_timeout) = (peer.options.read_timeout, peer.options.write_timeout);
        let request = context.forward(session, session.req_header(), forwarded::request)?;
        app.write_request_header(Box::new(request)).await.map_err(|error| error.into_up())?;
        let mut says_more = false;
        loop {
            let mut tasks = Vec::with_capacity(MOST_AT_ONCE);
            tasks.push(tokio::select! {
                biased;
                task = app.read_response_task() => task_of(task),
                // Who left waits for no answer.
                left = session.read_body_or_idle(true), if !says_more => {
                    let error = left.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed));
                    if error.etype != MORE_CAME {
                        return Err(error.into_down());
                    }
                    // Other requests, which are read by nobody now: whoever sent them sees the end of the connection after
                    // this answer, and sends them again (RFC 9112, 9.3.2).
                    says_more = true;
                    session.set_keepalive(None);
                    continue;
                }
            });
            // What has come with it leaves with it.
            while tasks.len() < MOST_AT_ONCE && !tasks.last().is_some_and(HttpTask::is_end) {
                let next = pin!(app.read_response_task()).poll(&mut task::Context::from_waker(Waker::noop()));
                let Poll::Ready(task) = next else { break };
                tasks.push(task_of(task));
            }
            for task in &mut tasks {
                if let HttpTask::Header(head, is_end) = task {
                    frame(head, *is_end, session.req_header())?;
                    self.pass_on(head, context)?;
                }
            }
            if session.write_response_tasks(tasks).await? {
                break;
            }
        }
        if session.finish_body().await.is_err() {
            session.set_keepalive(None);
        }
        Ok(())
    }
}

/// As pingora has it from its other half: what failed comes after what came before it.
fn task_of(task: pingora::Result<HttpTask>) -> HttpTask {
    task.unwrap_or_else(|error| HttpTask::Failed(error.into_up()))
}

/// Has an answer of HTTP/1.1 say where it ends, as pingora does (`h1_response_filter`), which takes it out for HTTP/2.
fn frame(head: &mut ResponseHeader, is_end: bool, request: &RequestHeader) -> pingora::Result<()> {
    let has_body = request.method != Method::HEAD
        && !head.status.is_informational()
        && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let says_where = head.headers.contains_key(CONTENT_LENGTH) || head.headers.contains_key(TRANSFER_ENCODING);
    if has_body && !is_end && !says_where {
        head.set_version(Version::HTTP_11);
        head.insert_header("Transfer-Encoding", "chunked")?;
    }
    Ok(())
}

/// What pingora calls it when there is more than a request (`HttpSession::read_body_or_idle`).
const MORE_CAME: ErrorType = ErrorType::ConnectError;
/// Pieces of an answer, as pingora's channels hold.
const MOST_AT_ONCE: usize = 4;
