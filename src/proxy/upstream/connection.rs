//! One request and its answer on a connection to an application, in HTTP/1.1.
//!
//! TRAP: the HTTP/1 client of pingora drops trailers, removes Content-Length next to Transfer-Encoding, so that a
//! caller does not see both, and accepts malformed chunk sizes as `httparse` does (pingora-core 0.9.1,
//! src/protocols/http/v1/client.rs and body.rs). So requests are written and answers are read here; `reading` has the
//! answers.

mod reading;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::time::timeout;
use pingora::{Error, ErrorType};
use tokio::io::AsyncWrite as _;

use super::bound::may_bind;
use super::head::Head;
use reading::Reading;

/// A connection to an application, for one request.
pub(in crate::proxy) struct Connection {
    stream: Stream,
    /// Bytes of the application that were not passed on yet.
    came: BytesMut,
    /// Number of those bytes that were already searched for the end of a head.
    searched: usize,
    outgoing: VecDeque<Bytes>,
    /// Bytes were written and not flushed.
    unflushed: bool,
    sending: Sending,
    /// The error of a failed write. The application can have answered before it closed.
    broken: Option<Box<Error>>,
    method: Method,
    upgrade: bool,
    reading: Reading,
    interim: u8,
    /// The connection can carry another request.
    persistent: bool,
    /// The application may have authenticated one client on this connection (`bound`).
    bound: bool,
}

/// What to do with a connection after its request.
pub(in crate::proxy) enum Afterwards {
    /// Keep it for requests of any client.
    Shared(Stream),
    /// Keep it for requests of the same client.
    Bound(Stream),
    /// Close it.
    Closed(Stream),
}

/// The framing of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Sending {
    /// This number of bytes is still to be sent.
    Bytes(u64),
    Chunks,
    /// Bytes of another protocol.
    Tunnel,
    /// The whole body was passed to [`Connection::send`].
    Done,
    /// A write has failed.
    Broken,
}

/// An event on the connection.
#[derive(Debug)]
pub(in crate::proxy) enum Event {
    /// All pieces of the request were sent, or a write has failed.
    Sent,
    Head(Box<Head>),
    Body(Bytes),
    /// The trailers after the last chunk, which end the answer.
    Trailers(HeaderMap),
    /// The end of an answer that the event before it did not show.
    End,
}

impl Connection {
    pub(in crate::proxy) fn new(stream: Stream) -> Self {
        Self {
            stream,
            came: BytesMut::new(),
            searched: 0,
            outgoing: VecDeque::new(),
            unflushed: false,
            sending: Sending::Done,
            broken: None,
            method: Method::GET,
            upgrade: false,
            reading: Reading::Head,
            interim: 0,
            persistent: true,
            bound: false,
        }
    }

    /// A connection on which the application may have authenticated one client (`bound`).
    pub(in crate::proxy) fn of_client(stream: Stream) -> Self {
        Self { bound: true, ..Self::new(stream) }
    }

    /// Sends the head of a request with this target. `sending` is the framing of its body. `upgrade`: the request asks for
    /// a WebSocket.
    pub(in crate::proxy) async fn begin(
        &mut self,
        (request, target): (&RequestHeader, &[u8]),
        sending: Sending,
        upgrade: bool,
        patience: Duration,
    ) -> pingora::Result<()> {
        let head = http_req_header_to_wire(request)
            .ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "a request that can't be written"))?;
        let head = with_target(head.freeze(), request, target);
        (self.sending, self.upgrade) = (sending, upgrade);
        self.bound |= may_bind(&request.headers);
        self.method.clone_from(&request.method);
        self.outgoing.push_back(head);
        match timeout(patience, poll_fn(|context| self.poll_send(context))).await {
            Ok(sent) => sent,
            Err(_) => Err(Error::explain(ErrorType::WriteTimedout, "sending the head of a request")),
        }
    }

    /// Queues a piece of the request's body. Drops an empty one: as a chunk it would end the body.
    pub(in crate::proxy) fn send(&mut self, piece: Bytes) -> pingora::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        match &mut self.sending {
            Sending::Bytes(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or_else(too_long)?;
                self.outgoing.push_back(piece);
            }
            Sending::Chunks => {
                self.outgoing.push_back(format!("{:x}\r\n", piece.len()).into());
                self.outgoing.extend([piece, Bytes::from_static(b"\r\n")]);
            }
            Sending::Tunnel => self.outgoing.push_back(piece),
            Sending::Broken => {}
            Sending::Done => return Err(too_long()),
        }
        Ok(())
    }

    /// Ends the request's body.
    pub(in crate::proxy) fn finish(&mut self) -> pingora::Result<()> {
        match self.sending {
            Sending::Bytes(left) if left > 0 => {
                return Err(Error::explain(ErrorType::InternalError, "a body that is shorter than announced"));
            }
            Sending::Chunks => self.outgoing.push_back(Bytes::from_static(b"0\r\n\r\n")),
            Sending::Broken => return Ok(()),
            Sending::Bytes(_) | Sending::Tunnel | Sending::Done => {}
        }
        self.sending = Sending::Done;
        Ok(())
    }

    /// Returns whether pieces of the request are still to be sent.
    pub(in crate::proxy) fn is_sending(&self) -> bool {
        self.unflushed || !self.outgoing.is_empty()
    }

    /// Returns whether a write to the application has failed.
    pub(in crate::proxy) fn is_broken(&self) -> bool {
        self.sending == Sending::Broken
    }

    /// Returns whether the answer has ended.
    pub(in crate::proxy) fn has_answered(&self) -> bool {
        self.reading == Reading::Done
    }

    /// Waits for the next event: at most `write` while pieces of the request are to be sent, otherwise at most `read`.
    pub(in crate::proxy) async fn event(&mut self, read: Duration, write: Duration) -> pingora::Result<Event> {
        let (patience, overdue) =
            if self.is_sending() { (write, ErrorType::WriteTimedout) } else { (read, ErrorType::ReadTimedout) };
        match timeout(patience, poll_fn(|context| self.poll_event(context))).await {
            Ok(event) => event,
            Err(_) => Err(Error::new(overdue)),
        }
    }

    /// Polls for the next event. There is none after the answer has ended and the request was sent.
    pub(in crate::proxy) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<pingora::Result<Event>> {
        if self.is_sending() {
            match self.poll_send(context) {
                Poll::Ready(sent) => {
                    if let Err(error) = sent {
                        self.outgoing.clear();
                        (self.unflushed, self.sending, self.broken) = (false, Sending::Broken, Some(error));
                    }
                    return Poll::Ready(Ok(Event::Sent));
                }
                Poll::Pending => {}
            }
        }
        // An end that is always ready would keep the caller from waiting until the rest of the request is sent.
        if self.has_answered() {
            return Poll::Pending;
        }
        let event = ready!(self.poll_read(context));
        Poll::Ready(event.map_err(|error| self.broken.take().unwrap_or(error)))
    }

    /// Returns what to do with the connection.
    pub(in crate::proxy) fn finished(self) -> Afterwards {
        let is_whole = self.reading == Reading::Done && self.sending == Sending::Done && !self.is_sending();
        // Bytes after the answer belong to no request.
        if !is_whole || !self.persistent || !self.came.is_empty() {
            Afterwards::Closed(self.stream)
        } else if self.bound {
            Afterwards::Bound(self.stream)
        } else {
            Afterwards::Shared(self.stream)
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<pingora::Result<()>> {
        let failed = |error| Error::because(ErrorType::WriteError, "sending a request", error);
        while let Some(piece) = self.outgoing.front_mut() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, piece)).map_err(failed)?;
            if written == 0 {
                return Poll::Ready(Err(failed(io::ErrorKind::WriteZero.into())));
            }
            self.unflushed = true;
            piece.advance(written);
            if piece.is_empty() {
                self.outgoing.pop_front();
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context)).map_err(failed)?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Connection");
        debug.field("sending", &self.sending).field("reading", &self.reading).finish_non_exhaustive()
    }
}

/// Replaces the target in the head of a request. The header type of pingora holds only what `http::Uri` accepts, and
/// Tollgate admits more (`raw_target`), so the target that was judged is written.
fn with_target(head: Bytes, request: &RequestHeader, target: &[u8]) -> Bytes {
    let own = request.raw_path();
    if own == target {
        return head;
    }
    let start = request.method.as_str().len() + " ".len();
    let (before, after) = (&head[..start], &head[start + own.len()..]);
    [before, target, after].concat().into()
}

fn too_long() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "a body that is longer than announced")
}

#[cfg(test)]
mod tests;
