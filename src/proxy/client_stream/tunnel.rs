//! Reads of a tunnel, and the close frame of a WebSocket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora::protocols::IO;
use tokio::io::{AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::ClientStream;
use crate::proxy::websocket;

/// State of the closing handshake of a WebSocket (RFC 6455, 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseState {
    /// No close frame was sent.
    Open,
    /// The close frame is in the buffer, or on its way.
    Closing,
    /// The close frame was sent, and the client can still be sending. To close the connection now would send a reset, which
    /// can overtake the close frame.
    Lingering,
    /// The client has ended, or had its time.
    Closed,
}

impl<S: IO + 'static> ClientStream<S> {
    /// Reads from a tunnel. The application sees the end of the client's half after [`TUNNEL_HALF_CLOSED`]: until then
    /// it can answer the last frame.
    pub(super) fn receive_tunneled(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if !self.has_ended {
            ready!(self.receive(context, buffer))?;
            if !self.has_ended {
                return Poll::Ready(Ok(()));
            }
        }
        let last_word = *self.last_word.get_or_insert_with(Instant::now);
        if last_word.elapsed() >= TUNNEL_HALF_CLOSED {
            return Poll::Ready(Ok(()));
        }
        self.until_reset(context)
    }

    /// Sends a close frame with this code, and waits until the client has ended. Pending: a frame of the application is
    /// not complete yet, or the client does not read.
    pub(super) fn send_close_frame(&mut self, code: u16, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.leaving == CloseState::Open {
            // Within a frame, the client would take it for data. `poll_write` wakes this task when the frame is complete.
            if !self.frames.as_ref().is_some_and(|frames| frames.is_between()) {
                return Poll::Pending;
            }
            ready!(Pin::new(self.stream()?).poll_write(context, &websocket::close(code)))?;
            self.leaving = CloseState::Closing;
        }
        if self.leaving == CloseState::Closing {
            ready!(Pin::new(self.stream()?).poll_shutdown(context))?;
            self.is_shut = true;
            self.leaving = CloseState::Lingering;
            self.timer = None;
        }
        // Without this, pingora closes the connection, and a client that is sending sees a reset instead of the close frame.
        if self.leaving == CloseState::Lingering {
            ready!(self.until_client_ends(context));
            self.leaving = CloseState::Closed;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and drops what the client of a tunnel still sends, for at most [`TUNNEL_LINGERING`].
    fn until_client_ends(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; 4096];
        while !self.has_ended {
            if self.overdue(|now| now + TUNNEL_LINGERING, context) {
                return Poll::Ready(());
            }
            if ready!(self.receive(context, &mut ReadBuf::new(&mut scrap))).is_err() {
                break;
            }
        }
        Poll::Ready(())
    }
}

/// Time for a client to end after the close frame.
pub(super) const TUNNEL_LINGERING: Duration = Duration::from_secs(2);
/// Time for an application to answer a client of a WebSocket that has closed its half (RFC 6455, 7.1.1).
pub(super) const TUNNEL_HALF_CLOSED: Duration = Duration::from_secs(5);
