//! One request and its answer on a connection to an app, in HTTP/1.1.
//!
//! ☠ Pingora's own client drops trailers, takes Content-Length out beside Transfer-Encoding before anybody else sees it, and
//! reads the sizes of chunks as leniently as `httparse` (`pingora-core 0.9.1 src/protocols/http/v1/client.rs`, `body.rs`).

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

/// A connection to an app, for one request.
pub(in crate::proxy) struct Connection {
    stream: Stream,
    /// What came, and was not passed on yet.
    came: BytesMut,
    /// So much of that holds no end of a head.
    searched: usize,
    outgoing: VecDeque<Bytes>,
    /// Something was written that the stream may hold back.
    unflushed: bool,
    sending: Sending,
    /// What went wrong with sending: the app may have answered before it closed.
    broken: Option<Box<Error>>,
    method: Method,
    upgrade: bool,
    reading: Reading,
    interim: u8,
    /// Nothing makes it doubtful where the next answer begins.
    persistent: bool,
    /// The app takes it for one client's, or may.
    bound: bool,
}

/// What becomes of a connection.
pub(in crate::proxy) enum Afterwards {
    /// Another request may be sent over it, whoever sends it.
    Shared(Stream),
    /// Another request of the same client may.
    Bound(Stream),
    Closed(Stream),
}

/// How the body of a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Sending {
    /// This many more bytes.
    Bytes(u64),
    Chunks,
    /// What another protocol says.
    Tunnel,
    /// All of it was handed over.
    Done,
    /// The app takes no more.
    Broken,
}

/// What happened on the connection.
#[derive(Debug)]
pub(in crate::proxy) enum Event {
    /// All that was handed over is sent, or the app takes no more.
    Sent,
    Head(Box<Head>),
    Body(Bytes),
    /// Behind the body's last chunk.
    Trailers(HeaderMap),
    /// The end of the answer, where nothing else told it.
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

    /// One that the app takes for one client's (`bound`).
    pub(in crate::proxy) fn of_client(stream: Stream) -> Self {
        Self { bound: true, ..Self::new(stream) }
    }

    /// Sends the head of a request with this target, whose body comes as `sending` says. `upgrade`: it asks for another
    /// protocol.
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

    /// Hands a piece of the request's body over.
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

    /// All of the request's body was handed over.
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

    /// Something is on its way to the app.
    pub(in crate::proxy) fn is_sending(&self) -> bool {
        self.unflushed || !self.outgoing.is_empty()
    }

    /// The app takes no more of the request's body.
    pub(in crate::proxy) fn is_broken(&self) -> bool {
        self.sending == Sending::Broken
    }

    /// The answer has ended.
    pub(in crate::proxy) fn has_answered(&self) -> bool {
        self.reading == Reading::Done
    }

    /// Waits for what happens next; `read` for the app's next bytes, or `write` until it has taken those that are on the way.
    pub(in crate::proxy) async fn event(&mut self, read: Duration, write: Duration) -> pingora::Result<Event> {
        let (patience, overdue) =
            if self.is_sending() { (write, ErrorType::WriteTimedout) } else { (read, ErrorType::ReadTimedout) };
        match timeout(patience, poll_fn(|context| self.poll_event(context))).await {
            Ok(event) => event,
            Err(_) => Err(Error::new(overdue)),
        }
    }

    /// What happens next. There is nothing more once the answer has ended and all was sent.
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
        // Nobody would wait for the rest of the request to be sent if there was always an end to be told of.
        if self.has_answered() {
            return Poll::Pending;
        }
        let event = ready!(self.poll_read(context));
        Poll::Ready(event.map_err(|error| self.broken.take().unwrap_or(error)))
    }

    /// What becomes of the connection.
    pub(in crate::proxy) fn finished(self) -> Afterwards {
        let is_whole = self.reading == Reading::Done && self.sending == Sending::Done && !self.is_sending();
        // Bytes behind the answer are an answer that nobody asked for.
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

/// The head of a request with this target in the place of its own. Pingora's holds no other bytes than a URI of `http` does, and
/// the gate lets more through (see `raw_target`), so it goes by what was judged.
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
