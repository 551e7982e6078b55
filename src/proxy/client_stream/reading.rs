//! Reads requests one by one, and watches the connection while a request is served.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use pingora::protocols::{GetSocketDigest, IO};
use tokio::io::{AsyncWrite, ReadBuf};

use super::ClientStream;
use crate::gate::DenyReason;
use crate::proxy::answer::raw_error;
use crate::proxy::connection_state::Phase;
use crate::proxy::framing::request::FramingError;

impl<S: IO + 'static> ClientStream<S> {
    /// Reads from the client, unless it has closed its half.
    pub(super) fn receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match ready!(Pin::new(self.stream()?.get_mut()).poll_read(context, buffer)) {
            Ok(()) => self.has_ended = buffer.filled().len() == before,
            // A TLS client that closes TCP without close_notify. The framing decides where a request ends, not this.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.has_ended = true,
            Err(error) => {
                self.is_broken = true;
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads a request up to its end, and no further.
    pub(super) fn receive_request(
        &mut self,
        phase: Phase,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while buffer.remaining() > 0 {
            if !self.ahead.is_empty() {
                let blank = self.framing.blank(&self.ahead);
                self.ahead.advance(blank);
                let here = self.ahead.len().min(buffer.remaining());
                let count = match self.framing.read(&self.ahead[..here]) {
                    Ok(count) => count,
                    Err(fault) => return Poll::Ready(Err(self.refuse_fault(phase, fault, context))),
                };
                buffer.put_slice(&self.ahead.split_to(count));
                self.read += count as u64;
                if self.ahead.is_empty() {
                    self.ahead = BytesMut::new();
                }
                if count > 0 {
                    break;
                }
                continue;
            }
            let before = buffer.filled().len();
            ready!(self.receive(context, buffer))?;
            let came = &mut buffer.filled_mut()[before..];
            if came.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // Empty lines before a request are dropped (RFC 9112, 2.2): pingora would take one for the start of a request.
            let blank = self.framing.blank(came);
            came.copy_within(blank.., 0);
            let came = &came[..came.len() - blank];
            let count = match self.framing.read(came) {
                Ok(count) => count,
                Err(fault) => {
                    buffer.set_filled(before);
                    return Poll::Ready(Err(self.refuse_fault(phase, fault, context)));
                }
            };
            self.ahead.extend_from_slice(&came[count..]);
            buffer.set_filled(before + count);
            self.read += count as u64;
            if count > 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads after a request, while the request is being served. The client can close its half, or send later requests, which
    /// wait. Neither ends the request that is being served (RFC 9112, 9.3.2 and 9.6).
    ///
    /// TRAP: pingora takes either for the end of it (pingora-core 0.9.1, src/protocols/http/v1/server.rs,
    /// `HttpSession::read_body_or_idle`), and after that does not see that the client has gone. So it gets neither.
    pub(super) fn watch(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && !self.has_ended {
            let before = buffer.filled().len();
            ready!(self.receive(context, buffer))?;
            self.ahead.extend_from_slice(&buffer.filled()[before..]);
            buffer.set_filled(before);
        }
        self.until_reset(context)
    }

    /// Waits for the end of a connection on which nothing is read.
    ///
    /// TRAP: after the client has closed its half, a read does not report a reset (Linux, tcp(7)), so the state is polled.
    pub(super) fn until_reset(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.overdue(|now| now + WATCH, context) {
            self.timer = None;
            let socket = self.inner().and_then(GetSocketDigest::get_socket_digest);
            if socket.and_then(|socket| socket.tcp_info()).is_some_and(|info| info.tcpi_state == TCP_CLOSED) {
                self.is_broken = true;
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Pending
    }

    /// Refuses a head that is not complete.
    pub(super) fn refuse(&mut self, deny: DenyReason, context: &mut Context<'_>) -> io::Error {
        self.listener.refused(deny);
        // The answer fits into the buffer, which is empty between two requests.
        if let Ok(stream) = self.stream()
            && Pin::new(&mut *stream).poll_write(context, &raw_error(deny)).is_ready()
        {
            let _ = Pin::new(stream).poll_flush(context);
        }
        io::Error::new(io::ErrorKind::TimedOut, deny.response().reason)
    }

    /// Refuses a request with ambiguous framing.
    fn refuse_fault(&mut self, phase: Phase, fault: FramingError, context: &mut Context<'_>) -> io::Error {
        if phase == Phase::Head {
            let deny = match fault {
                FramingError::RequestLine => DenyReason::Target,
                FramingError::Fields => DenyReason::HeadTooLarge,
                FramingError::Chunk => DenyReason::Framing,
            };
            return self.refuse(deny, context);
        }
        // The task that serves the request answers it.
        self.connection.note_body_fault(DenyReason::Framing);
        io::ErrorKind::InvalidData.into()
    }
}

/// Interval between two looks at the connection of a client that has closed its half.
const WATCH: Duration = Duration::from_secs(1);
/// TCP_CLOSE in Linux, include/net/tcp_states.h: the connection has ended.
const TCP_CLOSED: u8 = 7;
