//! The bytes of one client, with an eye on how they come.
//!
//! ☠ Pingora bounds the wait for each read, but neither a head nor a body as a whole, so that a byte a minute holds a
//! connection for ever; and it takes heads of up to a megabyte. It has no place to say so but its stream, which this is.

mod reading;
mod time_limits;
mod transport;
mod tunnel;
mod writing;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use pingora::protocols::IO;
use tokio::io::{AsyncRead, BufWriter, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::ListenerPolicy;
use super::closing::close;
use super::connection_state::{ConnectionState, Phase};
use super::framing::request::Framing;
use super::http2::Paths;
use super::raw_target::RawTarget;
use super::websocket::Frames;
use crate::gate::DenyReason;
pub(super) use time_limits::body_time;
use tunnel::CloseState;

/// A client's stream.
pub(super) struct ClientStream<S: IO + 'static> {
    /// There until the end.
    stream: Option<BufWriter<S>>,
    connection: Arc<ConnectionState>,
    listener: Arc<dyn ListenerPolicy>,
    /// What the visit's phase was when it was last looked at; since then:
    seen: u32,
    /// so many bytes were read,
    read: u64,
    /// and this is when more should be there.
    timer: Option<Pin<Box<Sleep>>>,
    /// When the body that is coming began to.
    began: Option<Instant>,
    /// How far the request has come, in HTTP/1.
    framing: Framing,
    raw_target: RawTarget,
    /// The header blocks of HTTP/2.
    paths: Option<Box<Paths>>,
    /// What came after it: the next ones, which wait until it is answered.
    ahead: BytesMut,
    /// The client sends nothing more.
    has_ended: bool,
    /// Nothing reaches the client any more.
    is_broken: bool,
    /// It was told that nothing more comes.
    is_shut: bool,
    frames: Option<Box<Frames>>,
    /// What is left of a last chunk with trailers.
    last_chunk: Bytes,
    /// When something was written to a tunnel whose client sends nothing more.
    last_word: Option<Instant>,
    /// When a client that takes nothing has had its time.
    stalled: Option<Pin<Box<Sleep>>>,
    leaving: CloseState,
}

impl<S: IO + 'static> ClientStream<S> {
    pub(super) fn new(stream: S, connection: Arc<ConnectionState>, listener: Arc<dyn ListenerPolicy>) -> Self {
        Self {
            stream: Some(BufWriter::with_capacity(WRITE_BUFFER, stream)),
            connection,
            listener,
            seen: 0,
            read: 0,
            timer: None,
            began: None,
            framing: Framing::default(),
            raw_target: RawTarget::default(),
            paths: None,
            ahead: BytesMut::new(),
            has_ended: false,
            is_broken: false,
            is_shut: false,
            frames: None,
            last_chunk: Bytes::new(),
            last_word: None,
            stalled: None,
            leaving: CloseState::No,
        }
    }

    fn stream(&mut self) -> io::Result<&mut BufWriter<S>> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn inner(&self) -> Option<&S> {
        self.stream.as_ref().map(BufWriter::get_ref)
    }

    /// The phase; counts anew if it is another one than last time.
    fn phase(&mut self) -> Phase {
        let (phase, number) = self.connection.phase();
        if number != self.seen {
            (self.seen, self.read, self.timer, self.began) = (number, 0, None, None);
        }
        if phase == Phase::Head && self.read == 0 {
            self.framing = Framing::default();
            self.raw_target = RawTarget::default();
        }
        phase
    }
}

/// ☠ Pingora drops the stream where it is done with it, and nothing can be waited for in that: whoever serves the connection
/// does the rest ([`ConnectionState::closing`]).
impl<S: IO + 'static> Drop for ClientStream<S> {
    fn drop(&mut self) {
        let idle = self.phase() == Phase::Head && self.read == 0 && self.ahead.is_empty();
        let Some(stream) = self.stream.take().filter(|_| !self.is_broken) else { return };
        let lingers = !idle && !self.has_ended && self.leaving != CloseState::Gone;
        self.connection.close_with(Box::pin(close(stream, self.is_shut, lingers)));
    }
}

impl<S: IO + 'static> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let phase = this.phase();
        this.flush_first(context)?;
        match phase {
            Phase::Opening => {
                if this.read < PREFACE.len() as u64 {
                    let patience = this.listener.limits().head_timeout();
                    if this.overdue(|now| now + patience, context) {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
                let before = buffer.filled().len();
                ready!(this.receive(context, buffer))?;
                this.read += (buffer.filled().len() - before) as u64;
                this.paths.get_or_insert_default().follow(&buffer.filled()[before..], &this.connection);
                return Poll::Ready(Ok(()));
            }
            Phase::Head if this.read > 0 => {
                if let Some(deny) = this.head_fault(context) {
                    return Poll::Ready(Err(this.refuse(deny, context)));
                }
            }
            Phase::Body => {
                if this.body_is_slow(context) {
                    this.connection.note_body_fault(DenyReason::BodyTimeout);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            Phase::Tunnel => {
                if let Some(code) = this.connection.goodbye(context.waker()) {
                    let left = this.send_close_frame(code, context)?.is_ready();
                    if left || this.leaving != CloseState::No {
                        // The end of the client's bytes, for pingora: it closes the app's connection, and this one.
                        return if left { Poll::Ready(Ok(())) } else { Poll::Pending };
                    }
                }
                return this.receive_tunneled(context, buffer);
            }
            Phase::Head | Phase::Served => {}
        }
        if this.framing.is_over() {
            return this.watch(context, buffer);
        }
        let before = buffer.filled().len();
        let received = this.receive_request(phase, context, buffer);
        if phase == Phase::Head
            && let Some(hidden) = this.raw_target.hide(&mut buffer.filled_mut()[before..])
        {
            this.connection.hide(hidden);
        }
        received
    }
}

impl<S: IO + 'static> fmt::Debug for ClientStream<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// Head and body of a small answer leave in one piece.
const WRITE_BUFFER: usize = 2048;

/// What every connection of HTTP/2 begins with (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests;
