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

/// How far the end of a WebSocket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseState {
    No,
    /// Its last frame is on its way.
    SaysGoodbye,
    /// The client may be sending still. ☠ To close now would send it a reset, which may overtake the goodbye.
    Lingers,
    Gone,
}

impl<S: IO + 'static> ClientStream<S> {
    /// Reads from a tunnel. The app hears of the client's end when it has had time for an answer to its last words.
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

    /// Says goodbye on a WebSocket, and waits until the client has left. Not ready: it is not time yet, or the client does
    /// not read.
    pub(super) fn send_close_frame(&mut self, code: u16, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.leaving == CloseState::No {
            // Within a frame the client would take it for data; whoever writes the rest wakes this again.
            if !self.frames.as_ref().is_some_and(|frames| frames.is_between()) {
                return Poll::Pending;
            }
            ready!(Pin::new(self.stream()?).poll_write(context, &websocket::close(code)))?;
            self.leaving = CloseState::SaysGoodbye;
        }
        if self.leaving == CloseState::SaysGoodbye {
            ready!(Pin::new(self.stream()?).poll_shutdown(context))?;
            self.is_shut = true;
            self.leaving = CloseState::Lingers;
            self.timer = None;
        }
        // ☠ Pingora would close without it, and whoever is just saying something would see a reset, and no goodbye.
        if self.leaving == CloseState::Lingers {
            ready!(self.until_client_ends(context));
            self.leaving = CloseState::Gone;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and forgets what the client of a tunnel still sends, for a while.
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

/// How long a client may go on sending that was told that its WebSocket ends.
pub(super) const TUNNEL_LINGERING: Duration = Duration::from_secs(2);
/// How long an app has for its last words to a client of a WebSocket that has closed its half: RFC 6455, 7.1.1.
pub(super) const TUNNEL_HALF_CLOSED: Duration = Duration::from_secs(5);
