//! Writes to the client, and gives up on a client that takes nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use pingora::protocols::IO;
use tokio::io::{AsyncWrite, BufWriter};
use tokio::time::{Instant, sleep_until};

use super::ClientStream;
use super::tunnel::CloseState;
use crate::proxy::connection_state::Phase;

impl<S: IO + 'static> ClientStream<S> {
    /// Writes, flushes or closes, and fails when the client has read nothing for `write_timeout`.
    ///
    /// TRAP: pingora has a time limit for the writes of a body, but not for flushing and closing (pingora-core 0.9.1,
    /// src/protocols/http/v1/server.rs).
    pub(super) fn unless_stalled<T>(
        &mut self,
        write: impl FnOnce(Pin<&mut BufWriter<S>>, &mut Context<'_>) -> Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let polled = write(Pin::new(self.stream()?), context);
        if let Poll::Ready(written) = &polled {
            self.is_broken |= written.is_err();
            self.stalled = None;
            return polled;
        }
        let listener = &self.listener;
        let timer =
            self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + listener.write_timeout())));
        ready!(timer.as_mut().poll(context));
        self.is_broken = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Sends what is in the buffer before a read waits.
    ///
    /// TRAP: pingora flushes an answer with a Content-Length only at its end (pingora-core 0.9.1,
    /// src/protocols/http/v1/server.rs). The first part of a small answer would wait in the buffer for the last.
    pub(super) fn flush_first(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.stream()?.buffer().is_empty() {
            return Ok(());
        }
        match self.unless_stalled(AsyncWrite::poll_flush, context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: IO + 'static> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let is_tunnel = this.phase() == Phase::Tunnel;
        if this.leaving != CloseState::Open && is_tunnel {
            // No data may follow a close frame (RFC 6455, 5.5.1).
            return Poll::Ready(Ok(bytes.len()));
        }
        if let Some(last_chunk) = this.connection.replaced(bytes) {
            this.last_chunk = last_chunk;
        }
        if !this.last_chunk.is_empty() {
            while !this.last_chunk.is_empty() {
                let left = this.last_chunk.clone();
                let written =
                    ready!(this.unless_stalled(|stream, context| stream.poll_write(context, &left), context))?;
                this.last_chunk.advance(written);
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(this.unless_stalled(|stream, context| stream.poll_write(context, bytes), context))?;
        if is_tunnel {
            if this.has_ended {
                this.last_word = Some(Instant::now());
            }
            let frames = this.frames.get_or_insert_default();
            frames.sent(&bytes[..written]);
            if frames.is_between() && this.connection.ends() {
                // The read of the same task has a close frame to send here.
                context.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().unless_stalled(AsyncWrite::poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.unless_stalled(AsyncWrite::poll_shutdown, context))?;
        this.is_shut = true;
        Poll::Ready(Ok(()))
    }
}
