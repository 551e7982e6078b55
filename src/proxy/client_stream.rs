//! The bytes of one client, with an eye on how they come.
//!
//! ☠ Pingora bounds the wait for each read, but neither a head nor a body as a whole, so that a byte a minute holds a
//! connection for ever; and it takes heads of up to a megabyte. It has no place to say so but its stream, which this is.

mod transport;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use pingora::protocols::{GetSocketDigest, IO};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::ListenerPolicy;
use super::answer::raw_error;
use super::closing::close;
use super::connection_state::{ConnectionState, Phase};
use super::framing::{Framing, FramingError};
use super::http2_path::Paths;
use super::raw_target::RawTarget;
use super::websocket::{self, Frames};
use crate::gate::DenyReason;

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

/// How far the end of a WebSocket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseState {
    No,
    /// Its last frame is on its way.
    SaysGoodbye,
    /// The client may be sending still. ☠ To close now would send it a reset, which may overtake the goodbye.
    Lingers,
    Gone,
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

    /// Whether this client has had its time. The timer is made only when somebody has to be waited for: most heads come
    /// in one piece.
    fn overdue(&mut self, at: impl FnOnce(Instant) -> Instant, context: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at(Instant::now()))));
        timer.as_mut().poll(context).is_ready()
    }

    /// Why no more is read of this head.
    fn head_fault(&mut self, context: &mut Context<'_>) -> Option<DenyReason> {
        let limits = self.listener.limits();
        // Whatever else comes: a complete head would not be read on.
        if self.read >= limits.head_size() {
            return Some(DenyReason::HeadTooLarge);
        }
        self.overdue(|now| now + limits.head_timeout(), context).then_some(DenyReason::HeadTimeout)
    }

    /// Whether this body comes more slowly than bodies may.
    fn body_is_slow(&mut self, context: &mut Context<'_>) -> bool {
        let Some(rate) = self.listener.limits().body_rate() else { return false };
        let began = *self.began.get_or_insert_with(Instant::now);
        loop {
            let due = began + body_time(self.read, rate);
            if !self.overdue(|_| due, context) {
                return false;
            }
            if Instant::now() >= due {
                return true;
            }
            // More has come since the timer was set.
            self.timer = None;
        }
    }

    /// Gives up on a client that takes nothing of what is for it. ☠ Pingora bounds the writes of a granted request's body,
    /// but neither flushing nor closing, nor anything of an answer of ours.
    fn unless_stalled<T>(
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

    /// Has what was written go out before anything is waited for. ☠ Pingora flushes an answer that has a length at its end
    /// only, since it has no buffer below; so a small one would wait for all of it, whatever that takes the app.
    fn flush_first(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.stream()?.buffer().is_empty() {
            return Ok(());
        }
        match self.unless_stalled(AsyncWrite::poll_flush, context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    /// Refuses what is no request yet.
    fn refuse(&mut self, deny: DenyReason, context: &mut Context<'_>) -> io::Error {
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

    /// Reads from the client, who may have ended.
    fn receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
    fn receive_request(
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
    fn watch(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
    fn until_reset(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// Reads from a tunnel. The app hears of the client's end when it has had time for an answer to its last words.
    fn receive_tunneled(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
    fn send_close_frame(&mut self, code: u16, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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

impl<S: IO + 'static> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let is_tunnel = this.phase() == Phase::Tunnel;
        if this.leaving != CloseState::No && is_tunnel {
            // Nothing may follow a goodbye (RFC 6455, 5.5.1).
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
                // Whoever reads is in the same task, and has something to say here.
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

impl<S: IO + 'static> fmt::Debug for ClientStream<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// How long a body may take to its first `read` bytes, at so many a second.
pub(super) const fn body_time(read: u64, rate: u64) -> Duration {
    BODY_START.saturating_add(Duration::from_secs(read / rate))
}

/// Head and body of a small answer leave in one piece.
const WRITE_BUFFER: usize = 2048;
/// For the first of a body's bytes, however few: as Apache's `RequestReadTimeout body=20`.
const BODY_START: Duration = Duration::from_secs(20);
/// How long a client may go on sending that was told that its WebSocket ends.
const TUNNEL_LINGERING: Duration = Duration::from_secs(2);
/// How often a client that says nothing more is looked at, to see whether it is there.
const WATCH: Duration = Duration::from_secs(1);
/// How long an app has for its last words to a client of a WebSocket that has closed its half: RFC 6455, 7.1.1.
const TUNNEL_HALF_CLOSED: Duration = Duration::from_secs(5);
/// TCP_CLOSE in Linux's include/net/tcp_states.h: a connection that is no more.
const TCP_CLOSED: u8 = 7;
/// What every connection of HTTP/2 begins with (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use rustls::ServerConfig;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::time::timeout;

    use super::super::closing::{LINGERING, LINGERING_SILENCE};
    use super::*;
    use crate::config::Limits;

    struct Nowhere;

    impl ListenerPolicy for Nowhere {
        fn limits(&self) -> Limits {
            Limits::default()
        }

        fn tls(&self) -> Option<Arc<ServerConfig>> {
            None
        }

        fn trusts(&self, _: IpAddr) -> bool {
            false
        }

        fn write_timeout(&self) -> Duration {
            Duration::from_secs(60)
        }
    }

    /// A stream whose visit is in this phase, and who is at its other end.
    fn connected(phase: Phase) -> (ClientStream<UnixStream>, Arc<ConnectionState>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let connection = Arc::new(ConnectionState::default());
        connection.set(phase);
        (ClientStream::new(ours, connection.clone(), Arc::new(Nowhere)), connection, theirs)
    }

    /// A stream whose client uploads.
    async fn uploading() -> (ClientStream<UnixStream>, Arc<ConnectionState>, UnixStream) {
        let (mut stream, connection, mut client) = connected(Phase::Head);
        let head = b"POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n";
        client.write_all(head).await.unwrap();
        stream.read_exact(&mut [0; 44]).await.unwrap();
        connection.set(Phase::Body);
        (stream, connection, client)
    }

    /// Reads what there is, and waits for more. The clock goes on by itself when nobody has anything else to do.
    async fn read(stream: &mut ClientStream<UnixStream>) -> (usize, io::ErrorKind) {
        let mut bytes = [0; 1 << 16];
        let mut count = 0;
        let error = loop {
            match stream.read(&mut bytes).await {
                Ok(0) => break io::ErrorKind::UnexpectedEof,
                Ok(some) => count += some,
                Err(error) => break error.kind(),
            }
        };
        (count, error)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_from_the_first_byte_on() {
        let (mut stream, connection, mut client) = connected(Phase::Head);
        let start = Instant::now();
        assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err(), "idle is not slow");
        client.write_all(b"GET /").await.unwrap();
        let begun = Instant::now();
        assert_eq!(read(&mut stream).await, (5, io::ErrorKind::TimedOut));
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?} of {:?}", start.elapsed());
        let mut said = [0; 12];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 408");
        // The next request has a time of its own.
        let (mut stream, _, mut client) = connected(Phase::Head);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 18]).await.unwrap();
        connection.set(Phase::Served);
        stream.connection.set(Phase::Served);
        stream.connection.set(Phase::Head);
        assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_to_keep_its_rate() {
        // Twenty seconds, and two more for a thousand bytes.
        let (mut stream, connection, mut client) = uploading().await;
        client.write_all(&[0; 1000]).await.unwrap();
        let start = Instant::now();
        assert_eq!(read(&mut stream).await, (1000, io::ErrorKind::TimedOut));
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(22) && took < Duration::from_secs(23), "{took:?}");
        assert_eq!(
            connection.clone().serve(async { ConnectionState::body_fault() }).await,
            Some(DenyReason::BodyTimeout)
        );
        // One that has ended is not waited for: the app may take its time.
        let (mut stream, connection, mut client) = uploading().await;
        client.write_all(&[0; 1000]).await.unwrap();
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        connection.serve(async { ConnectionState::body_ended() }).await;
        assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
        // And of a tunnel nothing has to come.
        let (mut stream, connection, _client) = connected(Phase::Tunnel);
        connection.clone().serve(async { ConnectionState::body_ended() }).await;
        assert_eq!(connection.phase().0, Phase::Tunnel);
        assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_given_up() {
        let (mut stream, _, client) = connected(Phase::Served);
        // More than the socket holds, and what is left in our own buffer.
        while timeout(Duration::from_secs(1), async {
            stream.write_all(&[0; 100]).await.unwrap();
            stream.flush().await.unwrap();
        })
        .await
        .is_ok()
        {}
        assert_eq!(stream.flush().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let start = Instant::now();
        assert_eq!(AsyncWriteExt::shutdown(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < Duration::from_secs(61));
        drop(client);
        // Who takes a little now and then is only slow.
        let (mut stream, _, mut client) = connected(Phase::Served);
        let reading = tokio::spawn(async move {
            let mut bytes = vec![0; 1 << 20];
            while client.read(&mut bytes).await.unwrap() > 0 {
                tokio::time::sleep(Duration::from_secs(50)).await;
            }
        });
        stream.write_all(&[0; 1 << 21]).await.unwrap();
        AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        drop(stream);
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_preface_has_to_come() {
        let (mut stream, _, mut client) = connected(Phase::Opening);
        client.write_all(b"PRI * HTTP").await.unwrap();
        assert_eq!(read(&mut stream).await, (10, io::ErrorKind::TimedOut));
        let (mut stream, _, mut client) = connected(Phase::Opening);
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        assert!(timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
    }

    #[tokio::test]
    async fn whoever_is_refused_can_read_why() {
        let (mut stream, connection, mut client) = connected(Phase::Head);
        let limit = usize::try_from(Limits::default().head_size()).unwrap();
        let sending = tokio::spawn(async move {
            let _ = client.write_all(&vec![b'x'; 4 * limit]).await;
            let mut said = Vec::new();
            client.read_to_end(&mut said).await.unwrap();
            String::from_utf8(said).unwrap()
        });
        let (count, error) = read(&mut stream).await;
        assert!(count >= limit && error == io::ErrorKind::TimedOut, "{count} {error}");
        drop(stream);
        connection.closing().unwrap().await;
        assert!(sending.await.unwrap().starts_with("HTTP/1.1 431 "));
    }

    /// What comes of this within an hour, in one piece; nothing if it is waited for.
    async fn part(stream: &mut ClientStream<UnixStream>) -> Option<String> {
        let mut bytes = [0; 4096];
        let read = timeout(Duration::from_secs(3600), stream.read(&mut bytes)).await.ok()?;
        Some(String::from_utf8(bytes[..read.unwrap()].to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_read_one_by_one() {
        let (mut stream, connection, mut client) = connected(Phase::Head);
        let requests = ["POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "GET /b HTTP/1.1\r\n\r\n"];
        client.write_all(format!("{0}\r\n\r\n{1}{1}", requests[0], requests[1]).as_bytes()).await.unwrap();
        for request in [requests[0], requests[1], requests[1]] {
            connection.set(Phase::Head);
            assert_eq!(part(&mut stream).await.as_deref(), Some(request));
            connection.set(Phase::Served);
            assert_eq!(part(&mut stream).await, None, "what follows waits");
        }
        // What comes while one is served is the next one's too.
        let reading = tokio::spawn(async move { (timeout(Duration::from_secs(9), read(&mut stream)).await, stream) });
        tokio::task::yield_now().await;
        client.write_all(requests[1].as_bytes()).await.unwrap();
        let (waited, mut stream) = reading.await.unwrap();
        assert!(waited.is_err());
        connection.set(Phase::Head);
        let mut came = String::new();
        while came.len() < requests[1].len() {
            came += &part(&mut stream).await.unwrap();
        }
        assert_eq!(came, requests[1]);
        // Faults are found in each of them.
        client.write_all(b"GET / HTTP/1.1\r\n\r\nGET <> HTTP/1.1\r\n\r\n").await.unwrap();
        connection.set(Phase::Served);
        connection.set(Phase::Head);
        assert!(part(&mut stream).await.is_some());
        connection.set(Phase::Served);
        connection.set(Phase::Head);
        assert_eq!(read(&mut stream).await.1, io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_half_is_no_end_of_a_request() {
        let (mut stream, connection, mut client) = connected(Phase::Head);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        AsyncWriteExt::shutdown(&mut client).await.unwrap();
        assert_eq!(part(&mut stream).await.map(|head| head.len()), Some(18));
        connection.set(Phase::Served);
        assert_eq!(part(&mut stream).await, None);
        stream.write_all(b"answer").await.unwrap();
        connection.set(Phase::Head);
        assert_eq!(part(&mut stream).await.as_deref(), Some(""), "no other request comes");
        drop(stream);
        connection.closing().unwrap().await;
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "answer");
        // Within a body it is one.
        let (mut stream, connection, mut client) = connected(Phase::Head);
        client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
        AsyncWriteExt::shutdown(&mut client).await.unwrap();
        assert!(part(&mut stream).await.is_some());
        connection.set(Phase::Body);
        assert_eq!(part(&mut stream).await.as_deref(), Some(""));
        // Of a tunnel it is one after a while, which begins anew with what the app says.
        let (mut stream, _, mut client) = connected(Phase::Tunnel);
        AsyncWriteExt::shutdown(&mut client).await.unwrap();
        let start = Instant::now();
        assert!(timeout(TUNNEL_HALF_CLOSED / 2, read(&mut stream)).await.is_err());
        stream.write_all(b"more").await.unwrap();
        assert_eq!(part(&mut stream).await.as_deref(), Some(""));
        assert!(start.elapsed() > TUNNEL_HALF_CLOSED && start.elapsed() < TUNNEL_HALF_CLOSED * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_goes_out_before_anything_is_waited_for() {
        let (mut stream, connection, mut client) = connected(Phase::Head);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(part(&mut stream).await.is_some());
        connection.set(Phase::Served);
        stream.write_all(b"the head of an answer").await.unwrap();
        let mut said = [0; 21];
        assert!(timeout(Duration::from_secs(1), client.read_exact(&mut said)).await.is_err(), "not at once");
        assert_eq!(part(&mut stream).await, None);
        client.read_exact(&mut said).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_connection_lingers() {
        let served = async || {
            let (mut stream, connection, mut client) = connected(Phase::Head);
            client.write_all(b"POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\nabc").await.unwrap();
            assert!(part(&mut stream).await.is_some());
            connection.set(Phase::Body);
            stream.write_all(b"answer").await.unwrap();
            drop(stream);
            (connection.closing().unwrap(), client)
        };
        // For as long as the client goes on,
        let (closing, mut client) = served().await;
        let start = Instant::now();
        let sending = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(3)).await;
                client.write_all(&[0; 100_000]).await.unwrap();
            }
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            assert_eq!(said, "answer");
        });
        closing.await;
        sending.await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(15));
        // but not if it is silent, nor for ever.
        let (closing, _client) = served().await;
        let start = Instant::now();
        closing.await;
        assert!(start.elapsed() >= LINGERING_SILENCE && start.elapsed() < LINGERING_SILENCE * 2);
        let (closing, mut client) = served().await;
        let start = Instant::now();
        let sending = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        closing.await;
        assert!(start.elapsed() >= LINGERING && start.elapsed() < LINGERING * 2);
        sending.await.unwrap();
        // Nobody waits for a client that is idle, or gone.
        let (stream, connection, _client) = connected(Phase::Head);
        drop(stream);
        let start = Instant::now();
        connection.closing().unwrap().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_talks_on_a_websocket_hears_the_goodbye() {
        let (mut stream, connection, mut client) = connected(Phase::Tunnel);
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        client.read_exact(&mut [0; 36]).await.unwrap();
        connection.request_close(websocket::GOING_AWAY);
        let talking = tokio::spawn(async move {
            let mut heard = Vec::new();
            for _ in 0..10 {
                client.write_all(b"\x81\x80mask").await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            client.read_to_end(&mut heard).await.unwrap();
            heard
        });
        let start = Instant::now();
        assert_eq!(read(&mut stream).await, (0, io::ErrorKind::UnexpectedEof), "the app hears nothing any more");
        assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
        stream.write_all(b"\x81\x01x").await.unwrap();
        drop(stream);
        assert_eq!(talking.await.unwrap(), websocket::close(websocket::GOING_AWAY));

        // One who does not leave is left.
        let (mut stream, connection, mut client) = connected(Phase::Tunnel);
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
        connection.request_close(websocket::GOING_AWAY);
        let start = Instant::now();
        assert_eq!(read(&mut stream).await, (0, io::ErrorKind::UnexpectedEof));
        let took = start.elapsed();
        assert!(took >= TUNNEL_LINGERING && took < TUNNEL_LINGERING * 2, "{took:?}");
        client.write_all(b"\x81\x80mask").await.unwrap();
    }
}
