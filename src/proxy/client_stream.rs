//! The byte stream of one client, below pingora's session.
//!
//! TRAP: pingora limits the time of each read, but not of a whole head or body, so one byte a minute keeps a connection open
//! without end. It reads heads of up to 1 MiB (pingora-core 0.9.1, src/protocols/http/v1/server.rs; MAX_HEADER_SIZE in
//! common.rs). It has no hook for either limit, so the stream enforces both.
//!
//! What the stream does follows the phase of its connection ([`ConnectionState`]):
//!
//! - `time_limits`: the time and size of a head, and the minimum rate of a body.
//! - `reading`: one request at a time, read by [`Framing`]; later requests of a pipeline wait. During an answer it watches
//!   for a client that is gone.
//! - `tunnel`: a WebSocket, and the close frame at its end.
//! - `writing`: a client that does not read, and trailers in HTTP/1.
//! - `transport`: traits that pass a call to the stream below.

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
use super::body_clock::BodyClock;
use super::closing::close;
use super::connection_state::{ConnectionState, Phase};
use super::framing::request::Framing;
use super::http2::Paths;
use super::raw_target::RawTarget;
use super::websocket::Frames;
use crate::gate::DenyReason;
use tunnel::CloseState;

/// The stream of a client, as pingora reads and writes it.
pub(super) struct ClientStream<S: IO + 'static> {
    /// `None` only while the value is dropped.
    stream: Option<BufWriter<S>>,
    connection: Arc<ConnectionState>,
    listener: Arc<dyn ListenerPolicy>,
    /// The number of the phase at the last look.
    seen: u32,
    /// Bytes that were read in this phase.
    read: u64,
    /// Expires when more bytes must have come in this phase.
    timer: Option<Pin<Box<Sleep>>>,
    body_clock: BodyClock,
    /// Position in the HTTP/1 request.
    framing: Framing,
    raw_target: RawTarget,
    /// Position in the header blocks of HTTP/2.
    paths: Option<Box<Paths>>,
    /// Bytes of later requests, which wait until this one is answered.
    ahead: BytesMut,
    /// The client has closed its half of the connection.
    has_ended: bool,
    /// A write to the client has failed, or a read of its connection.
    is_broken: bool,
    /// Tollgate has closed its half of the connection.
    is_shut: bool,
    frames: Option<Box<Frames>>,
    /// The rest of a last chunk with trailers that is still to be written.
    last_chunk: Bytes,
    /// Time of the last write to a tunnel after the client closed its half.
    last_word: Option<Instant>,
    /// Expires when a client that does not read must have read something.
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
            body_clock: BodyClock::default(),
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
            leaving: CloseState::Open,
        }
    }

    fn stream(&mut self) -> io::Result<&mut BufWriter<S>> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn inner(&self) -> Option<&S> {
        self.stream.as_ref().map(BufWriter::get_ref)
    }

    /// Returns the phase, and resets the counters of the phase before it.
    fn phase(&mut self) -> Phase {
        let (phase, number) = self.connection.phase();
        if number != self.seen {
            (self.seen, self.read, self.timer, self.body_clock) = (number, 0, None, BodyClock::default());
        }
        if phase == Phase::Head && self.read == 0 {
            self.framing = Framing::default();
            self.raw_target = RawTarget::default();
        }
        phase
    }
}

/// TRAP: pingora closes a connection by dropping its stream (pingora-core 0.9.1, src/protocols/http/v1/server.rs), and `drop`
/// can't wait. The task that serves the connection does the rest ([`ConnectionState::closing`]).
impl<S: IO + 'static> Drop for ClientStream<S> {
    fn drop(&mut self) {
        let idle = self.phase() == Phase::Head && self.read == 0 && self.ahead.is_empty();
        let Some(stream) = self.stream.take().filter(|_| !self.is_broken) else { return };
        let lingers = !idle && !self.has_ended && self.leaving != CloseState::Closed;
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
                    let patience = this.listener.limits().head_timeout;
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
                if let Some(code) = this.connection.close_code(context.waker()) {
                    let left = this.send_close_frame(code, context)?.is_ready();
                    if left || this.leaving != CloseState::Open {
                        // Pingora takes this for the end of the client's bytes, and closes both connections.
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
        formatter.debug_struct("ClientStream").finish_non_exhaustive()
    }
}

/// Head and body of a small answer are sent in one piece.
const WRITE_BUFFER: usize = 2048;

/// The HTTP/2 connection preface (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests;
