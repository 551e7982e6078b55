//! Forwards a granted request to an application, and the answer of the application to the client, over HTTP/1.1 and
//! HTTP/2 alike.
//!
//! TRAP: pingora's own forwarding (pingora-proxy 0.9.1, src/proxy_h1.rs) hides the fields of an answer as they came,
//! has one time-out from the first byte of an answer to the last, loses trailers, and can't keep a connection to an
//! application for one client. So only the client's side is pingora's: this module reads request bodies from its
//! session, and writes answers to it.

use std::task::{self, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;
use pingora::time::timeout;
use pingora::{Error, ErrorType};
use tokio::time::Instant;

use super::ListenerPolicy as _;
use super::connection_state::ConnectionState;
use super::context::RequestContext;
use super::framing::response::Framing;
use super::gateway::{Gateway, is_event_stream};
use super::upstream::{Afterwards, Connection, Event, Head};
use super::websocket;
use crate::config::Upstream;
use crate::gate::DenyReason;

impl Gateway {
    /// Forwards a granted request and its answer, in as many attempts as the upstream allows.
    pub(super) async fn forward(&self, session: &mut Session, context: &mut RequestContext) -> pingora::Result<()> {
        if context.has_body {
            session.as_mut().enable_retry_buffering();
        }
        loop {
            match self.attempt(session, context).await {
                Err(error) if error.retry() => {}
                done => return done,
            }
        }
    }

    async fn attempt(&self, session: &mut Session, context: &mut RequestContext) -> pingora::Result<()> {
        let (pool, index, own) = context.choose_server()?;
        let server = &pool.servers()[index];
        let (mut app, reused) = if let Some(stream) = own {
            (Connection::of_client(stream), true)
        } else if let Some(stream) = server.take_idle() {
            (Connection::new(stream), true)
        } else {
            // Boxed: a future is moved as a whole, also the part that a kept connection does not use.
            match Box::pin(self.connector.new_stream(server.peer())).await {
                Ok(stream) => {
                    context.connected();
                    (Connection::new(stream), false)
                }
                Err(error) => return Err(context.not_connected(error.into_up())),
            }
        };
        if let Err(error) = self.exchange(session, context, &mut app, pool.upstream()).await {
            return Err(context.attempt_failed(session, error, reused));
        }
        match app.finished() {
            Afterwards::Shared(stream) => server.park(stream),
            Afterwards::Bound(stream) if self.is_of_one_client(session) => context.bind(pool, index, stream),
            // TLS sends close_notify, which can wait for a full send buffer.
            Afterwards::Bound(mut stream) | Afterwards::Closed(mut stream) => {
                let _ = timeout(CLOSING, stream.shutdown()).await;
            }
        }
        Ok(())
    }

    /// Returns whether all requests on this connection come from one client: it is HTTP/1, and its address is not that of a
    /// trusted proxy.
    fn is_of_one_client(&self, session: &Session) -> bool {
        let address = session.client_addr().and_then(|address| address.as_inet());
        session.as_http1().is_some() && address.is_some_and(|address| !self.state.trusts(address.ip()))
    }

    /// Sends the request, and passes its answer on as it comes: one attempt.
    async fn exchange(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        app: &mut Connection,
        upstream: &Upstream,
    ) -> pingora::Result<()> {
        let has_body = !session.is_body_empty();
        let (request, sending) = context.forward(session, has_body)?;
        context.record.send();
        let write = upstream.write_timeout;
        let target = context.granted.as_ref().map_or(&b"/"[..], |(_, grant)| grant.target());
        let begun = app.begin((&request, target), sending, context.upgrade, write).await;
        begun.map_err(|error| error.into_up())?;
        drop(request);
        let mut state = Passing {
            client: session.req_header().version,
            read: upstream.read_timeout,
            silence: upstream.tunnel_timeout,
            is_tunnel: false,
            framing: None,
        };
        let mut client_done = session.is_body_done();
        // The part of the body that an earlier attempt has read.
        let kept = session.as_ref().get_retry_buffer();
        if client_done || kept.is_some() {
            self.send_piece(session, context, app, kept, client_done)?;
        }
        loop {
            let takes_more = !app.is_sending() && !app.is_broken();
            tokio::select! {
                biased;
                event = app.event(state.read, write), if !app.has_answered() || app.is_sending() => {
                    match event {
                        // The client has its whole answer: the rest of its body and the connection to the application
                        // are dropped.
                        Err(_) if app.has_answered() => break,
                        event => self.pass_on(session, context, app, &mut state, event).await?,
                    }
                    if state.is_tunnel && app.has_answered() {
                        break;
                    }
                    // On a tunnel, the end of the request's body is not the end of what the client sends.
                    client_done &= !state.is_tunnel;
                }
                // A client that has gone ends the request. One that closed its half, or sends later requests, does not
                // (`client_stream::reading`).
                came = session.read_body_or_idle(client_done), if client_done || takes_more => match came {
                    Ok(piece) => {
                        let ends = piece.is_none() || (!state.is_tunnel && session.is_body_done());
                        self.send_piece(session, context, app, piece, ends)?;
                        if ends && state.is_tunnel {
                            break;
                        }
                        client_done = ends;
                    }
                    Err(_) if app.has_answered() => break,
                    Err(error) => return Err(error.into_down()),
                },
            }
            if app.has_answered() && !app.is_sending() && (client_done || app.is_broken()) {
                break;
            }
        }
        if session.finish_body().await.is_err() {
            session.set_keepalive(None);
        }
        Ok(())
    }

    /// Hands a piece of the request's body to the application.
    fn send_piece(
        &self,
        session: &Session,
        context: &mut RequestContext,
        app: &mut Connection,
        piece: Option<Bytes>,
        ends: bool,
    ) -> pingora::Result<()> {
        if !context.upgrade {
            self.admit_piece(session, context, ends)?;
        }
        if ends {
            ConnectionState::body_ended();
        }
        // TRAP: HTTP/2 often ends a body with an empty DATA frame (RFC 9113, 6.1). An empty chunk would be the last
        // chunk, and the application would take the real last chunk for the start of another request.
        // `Connection::send` drops it.
        piece.map_or(Ok(()), |piece| app.send(piece))?;
        if ends { app.finish() } else { Ok(()) }
    }

    /// Fails if the body is too long, or over HTTP/2 too slow.
    fn admit_piece(&self, session: &Session, context: &mut RequestContext, ends: bool) -> pingora::Result<()> {
        let most = context.granted.as_ref().and_then(|(_, grant)| grant.body_size());
        // The count of the session: another attempt sends the kept part of the body again.
        let read = session.body_bytes_read() as u64;
        if most.is_some_and(|most| read > most) {
            context.denied = Some(DenyReason::RequestTooLarge);
            return Err(Error::new_down(ErrorType::HTTPStatus(413)));
        }
        // TRAP: over HTTP/2 no other code checks the rate. `ClientStream` sees the bytes of all streams of a
        // connection, and each piece of a body restarts the wait for the application's answer, so one byte now and then
        // would keep both open.
        if session.as_http1().is_none() && !ends {
            let rate = self.state.snapshot.load().policy.limits.body_rate();
            if rate.is_some_and(|rate| Instant::now() >= context.body_clock.deadline(read, rate)) {
                context.denied = Some(DenyReason::BodyTimeout);
                return Err(Error::new_down(ErrorType::HTTPStatus(408)));
            }
        }
        Ok(())
    }

    /// Writes an event of the answer to the client, together with the events that have already come.
    async fn pass_on(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        app: &mut Connection,
        state: &mut Passing,
        first: pingora::Result<Event>,
    ) -> pingora::Result<()> {
        let mut tasks = Vec::with_capacity(MOST_AT_ONCE);
        let mut last_chunk = None;
        let mut next = Some(first);
        while let Some(event) = next.take() {
            match event {
                Ok(Event::Sent) => {}
                Ok(Event::Head(head)) => {
                    if let Some(header) = self.answer_head(session, context, state, *head)? {
                        tasks.push(HttpTask::Header(header, app.has_answered() && !state.is_tunnel));
                    }
                }
                Ok(Event::Body(piece)) if state.is_tunnel => tasks.push(HttpTask::UpgradedBody(Some(piece), false)),
                Ok(Event::Body(piece)) => tasks.push(HttpTask::Body(Some(piece), app.has_answered())),
                Ok(Event::Trailers(trailers)) if state.carries_trailers() => match state.client {
                    Version::HTTP_2 => tasks.push(HttpTask::Trailer(Some(Box::new(trailers)))),
                    _ => last_chunk = Some(trailers),
                },
                Ok(Event::End | Event::Trailers(_)) => match tasks.last_mut() {
                    Some(HttpTask::Header(_, ends) | HttpTask::Body(_, ends) | HttpTask::UpgradedBody(_, ends)) => {
                        *ends = true;
                    }
                    _ if state.is_tunnel => tasks.push(HttpTask::UpgradedBody(None, true)),
                    _ => tasks.push(HttpTask::Done),
                },
                // After the events before the failure.
                Err(error) => tasks.push(HttpTask::Failed(error.into_up())),
            }
            let failed = matches!(tasks.last(), Some(HttpTask::Failed(_)));
            // Events that came together are written together.
            if !failed && tasks.len() < MOST_AT_ONCE && !app.has_answered() {
                let noted = app.poll_event(&mut task::Context::from_waker(Waker::noop()));
                next = if let Poll::Ready(event) = noted { Some(event) } else { None };
            }
        }
        if !tasks.is_empty() {
            session.write_response_tasks(tasks).await?;
        }
        if let Some(trailers) = last_chunk {
            ConnectionState::end_chunks_with(&trailers);
            session.finish_body().await.map_err(|error| error.into_down())?;
        }
        Ok(())
    }

    /// Makes the head of the answer for the client. `None`: a client of HTTP/1.0 gets no interim response.
    fn answer_head(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
        state: &mut Passing,
        head: Head,
    ) -> pingora::Result<Option<Box<ResponseHeader>>> {
        let Head { status, reason, mut headers, framing } = head;
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        self.note_answer(context, status, &mut headers);
        if status.is_informational() && !switches {
            // RFC 9110, 15.2: HTTP/1.0 has no interim responses.
            if state.client == Version::HTTP_10 {
                return Ok(None);
            }
        } else if switches {
            (state.is_tunnel, state.read) = (true, state.silence);
            websocket::set_upgrade(&mut headers);
        } else {
            if is_event_stream(&headers) {
                state.read = state.silence;
            }
            let method = &session.req_header().method;
            if framing.write(&mut headers, status, method, state.client) {
                session.set_keepalive(None);
            }
            state.framing = Some(framing);
        }
        let (mut parts, ()) = Response::new(()).into_parts();
        (parts.status, parts.headers) = (status, headers);
        // RFC 9110, 6.2: the version of Tollgate, not of the application.
        parts.version = Version::HTTP_11;
        let mut header = ResponseHeader::from(parts);
        if let Some(reason) = reason {
            header.set_reason_phrase(Some(&reason))?;
        }
        Ok(Some(Box::new(header)))
    }
}

/// State of an answer that is being passed on.
struct Passing {
    /// The HTTP version of the client.
    client: Version,
    /// Maximum time between two reads from the application.
    read: Duration,
    /// The same for a WebSocket or an event stream.
    silence: Duration,
    is_tunnel: bool,
    /// Framing of the answer, after its head has come.
    framing: Option<Framing>,
}

impl Passing {
    fn carries_trailers(&self) -> bool {
        self.framing.as_ref().is_some_and(|framing| framing.carries_trailers(self.client))
    }
}

/// Maximum number of events that are written together.
const MOST_AT_ONCE: usize = 4;
/// Time to close a connection to an application.
const CLOSING: Duration = Duration::from_secs(1);
