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
    /// Reads from the client, who may have ended.
    pub(super) fn receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match ready!(Pin::new(self.stream()?.get_mut()).poll_read(context, buffer)) {
            Ok(()) => self.has_ended = buffer.filled().len() == before,
            // TLS of a client that ends with its TCP only. Where a request ends is not told by that.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.has_ended = true,
            Err(error) => {
                self.is_broken = true;
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads a request, and no further than to its end.
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
            // Empty lines are left out: one would begin a request that need not come (RFC 9112, 2.2).
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

    /// Reads after a request, while it is being served. The client may say that this was all, or send others already, which
    /// wait. ☠ Pingora takes either for the end of the one that is being served (`HttpSession::read_body_or_idle`), though it
    /// is none (RFC 9112, 9.3.2 and 9.6), and has no place to say that the client went away after that; so it hears neither.
    pub(super) fn watch(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && !self.has_ended {
            let before = buffer.filled().len();
            ready!(self.receive(context, buffer))?;
            self.ahead.extend_from_slice(&buffer.filled()[before..]);
            buffer.set_filled(before);
        }
        self.until_reset(context)
    }

    /// Waits for the end of a connection on which nothing is read. ☠ Once its client has closed its half, a reset is no event
    /// of the socket that reading would tell.
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

    /// Refuses what is no request yet.
    pub(super) fn refuse(&mut self, deny: DenyReason, context: &mut Context<'_>) -> io::Error {
        self.listener.refused(deny);
        // It fits into the buffer, since nothing else is in there between two requests.
        if let Ok(stream) = self.stream()
            && Pin::new(&mut *stream).poll_write(context, &raw_error(deny)).is_ready()
        {
            let _ = Pin::new(stream).poll_flush(context);
        }
        io::Error::new(io::ErrorKind::TimedOut, deny.response().reason)
    }

    /// Refuses a request that can be read in two ways.
    fn refuse_fault(&mut self, phase: Phase, fault: FramingError, context: &mut Context<'_>) -> io::Error {
        if phase == Phase::Head {
            let deny = match fault {
                FramingError::RequestLine => DenyReason::Target,
                FramingError::Fields => DenyReason::HeadTooLarge,
                FramingError::Chunk => DenyReason::Framing,
            };
            return self.refuse(deny, context);
        }
        // Whoever serves the request answers it.
        self.connection.note_body_fault(DenyReason::Framing);
        io::ErrorKind::InvalidData.into()
    }
}

/// How often a client that says nothing more is looked at, to see whether it is there.
const WATCH: Duration = Duration::from_secs(1);
/// TCP_CLOSE in Linux's include/net/tcp_states.h: a connection that is no more.
const TCP_CLOSED: u8 = 7;
