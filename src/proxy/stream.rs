//! The bytes of one client, with an eye on how they come.
//!
//! ☠ Pingora bounds the wait for each read, but neither a head nor a body as a whole, so that a byte a minute holds a
//! connection for ever; and it takes heads of up to a megabyte. It has no place to say so but its stream, which this is.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::House;
use super::answer::bare;
use super::framing::{Fault, Framing};
use super::websocket::{self, Frames};
use crate::gate::Deny;

/// What the bytes of a connection are at the moment. The stream obeys it, and those who serve the requests set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Before it is known which protocol is spoken.
    Opening = 0,
    /// A request's head is to come, sooner or later; when it has begun, it has to end soon.
    Head = 1,
    /// A request's body is coming.
    Body = 2,
    /// Nothing is expected, or nothing that is bounded here.
    Served = 3,
    /// A WebSocket.
    Tunnel = 4,
}

/// What a connection's stream and those who serve its requests share.
#[derive(Debug, Default)]
pub(super) struct Visit {
    /// The phase, and above it a number that tells one request from the next.
    phase: AtomicU32,
    /// The code to say goodbye with; 0: none yet.
    goodbye: AtomicU32,
    /// The last read failed since a body came too slowly.
    body_was_slow: AtomicBool,
    /// Or since its chunks can be read in two ways.
    body_was_ambiguous: AtomicBool,
    /// Whoever waits for the client of a tunnel.
    waker: Mutex<Option<Waker>>,
    /// What ends the chunks of an answer with trailers, until it is written.
    last_chunk: Mutex<Option<Bytes>>,
    has_trailers: AtomicBool,
}

impl Visit {
    /// That of the HTTP/1 connection which this task serves, if it does.
    pub(super) fn current() -> Option<Arc<Self>> {
        VISIT.try_with(Clone::clone).ok()
    }

    /// Enters a phase of the connection that this task serves, if it serves one of HTTP/1.
    pub(super) fn enter(phase: Phase) {
        let _ = VISIT.try_with(|visit| visit.set(phase));
    }

    /// All of the request's body has come. What comes over a tunnel is none.
    pub(super) fn body_ended() {
        let _ = VISIT.try_with(|visit| {
            if visit.phase.load(Ordering::Relaxed) & 0xff == Phase::Body as u32 {
                visit.set(Phase::Served);
            }
        });
    }

    /// Why the connection that this task serves could not be read on, if it is for a body that may not come so.
    pub(super) fn body_fault() -> Option<Deny> {
        let fault = |visit: &Arc<Self>| {
            let slow = visit.body_was_slow.load(Ordering::Relaxed).then_some(Deny::BodyTimeout);
            slow.or_else(|| visit.body_was_ambiguous.load(Ordering::Relaxed).then_some(Deny::Framing))
        };
        VISIT.try_with(fault).ok().flatten()
    }

    /// The last chunk, which pingora writes next on the connection that this task serves, has these trailers behind it.
    ///
    /// ☠ Pingora writes none to clients of HTTP/1 (`pingora-core 0.9.1 src/protocols/http/v1/server.rs`).
    pub(super) fn end_chunks_with(trailers: &HeaderMap) {
        let mut bytes = BytesMut::from(&LAST_CHUNK[..LAST_CHUNK.len() - 2]);
        for (name, value) in trailers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        let _ = VISIT.try_with(|visit| {
            *visit.last_chunk.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.freeze());
            visit.has_trailers.store(true, Ordering::Relaxed);
        });
    }

    /// What is to be written in the place of these bytes.
    fn replaced(&self, bytes: &[u8]) -> Option<Bytes> {
        if bytes != LAST_CHUNK || !self.has_trailers.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.last_chunk.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Serves the connection of this visit.
    pub(super) async fn serve<T>(self: Arc<Self>, serving: impl Future<Output = T>) -> T {
        VISIT.scope(self, serving).await
    }

    /// Ends a tunnel, with a word for the client as soon as one fits in.
    pub(super) fn say_goodbye(&self, code: u16) {
        self.goodbye.store(code.into(), Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Only the task that serves the connection sets it.
    fn set(&self, phase: Phase) {
        let number = (self.phase.load(Ordering::Relaxed) >> 8).wrapping_add(1);
        self.phase.store(number << 8 | phase as u32, Ordering::Relaxed);
    }

    fn goodbye(&self, waker: &Waker) -> Option<u16> {
        let mut slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
        drop(slot);
        match self.goodbye.load(Ordering::Acquire) {
            0 => None,
            code => u16::try_from(code).ok(),
        }
    }
}

tokio::task_local! {
    static VISIT: Arc<Visit>;
}

/// A client's stream.
pub(super) struct Guarded<S> {
    stream: BufWriter<S>,
    visit: Arc<Visit>,
    house: Arc<dyn House>,
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
    frames: Option<Box<Frames>>,
    /// What is left of a last chunk with trailers.
    last_chunk: Bytes,
    /// When a client that takes nothing has had its time.
    stalled: Option<Pin<Box<Sleep>>>,
    leaving: Leaving,
}

/// How far the end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// A WebSocket's last frame is on its way.
    SaysGoodbye,
    /// The client may be sending still. ☠ To close now would send it a reset, which may overtake the answer.
    Lingers,
    Gone,
}

impl<S: IO> Guarded<S> {
    pub(super) fn new(stream: S, visit: Arc<Visit>, house: Arc<dyn House>) -> Self {
        Self {
            stream: BufWriter::with_capacity(WRITE_BUFFER, stream),
            visit,
            house,
            seen: 0,
            read: 0,
            timer: None,
            began: None,
            framing: Framing::Over,
            frames: None,
            last_chunk: Bytes::new(),
            stalled: None,
            leaving: Leaving::No,
        }
    }

    /// The phase; counts anew if it is another one than last time.
    fn phase(&mut self) -> Phase {
        let now = self.visit.phase.load(Ordering::Relaxed);
        if now != self.seen {
            (self.seen, self.read, self.timer, self.began) = (now, 0, None, None);
        }
        match now & 0xff {
            0 => Phase::Opening,
            1 => {
                if self.read == 0 {
                    self.framing = Framing::default();
                }
                Phase::Head
            }
            2 => Phase::Body,
            4 => Phase::Tunnel,
            _ => Phase::Served,
        }
    }

    /// Whether this client has had its time. The timer is made only when somebody has to be waited for: most heads come
    /// in one piece.
    fn overdue(&mut self, at: impl FnOnce(Instant) -> Instant, context: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at(Instant::now()))));
        timer.as_mut().poll(context).is_ready()
    }

    /// Why no more is read of this head.
    fn head_fault(&mut self, context: &mut Context<'_>) -> Option<Deny> {
        let limits = self.house.limits();
        // Whatever else comes: a complete head would not be read on.
        if self.read >= limits.head_size() {
            return Some(Deny::HeadTooLarge);
        }
        self.overdue(|now| now + limits.head_timeout(), context).then_some(Deny::HeadTimeout)
    }

    /// Whether this body comes more slowly than bodies may.
    fn body_is_slow(&mut self, context: &mut Context<'_>) -> bool {
        let Some(rate) = self.house.limits().body_rate() else { return false };
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
        let polled = write(Pin::new(&mut self.stream), context);
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let house = &self.house;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + house.write_timeout())));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Refuses what is no request yet.
    fn refuse(&mut self, deny: Deny, context: &mut Context<'_>) -> io::Error {
        self.house.refused(deny);
        // It fits into the buffer, since nothing else is in there between two requests.
        let written = Pin::new(&mut self.stream).poll_write(context, &bare(deny));
        if written.is_ready() {
            let _ = Pin::new(&mut self.stream).poll_flush(context);
        }
        self.linger_later();
        io::Error::new(io::ErrorKind::TimedOut, deny.row().reason)
    }

    /// Refuses a request that can be read in two ways.
    fn refuse_fault(&mut self, phase: Phase, fault: Fault, context: &mut Context<'_>) -> io::Error {
        if phase == Phase::Head {
            return self.refuse(if fault == Fault::Chunk { Deny::Framing } else { Deny::Target }, context);
        }
        // Whoever serves the request answers it.
        self.visit.body_was_ambiguous.store(true, Ordering::Relaxed);
        self.linger_later();
        io::ErrorKind::InvalidData.into()
    }

    /// Says goodbye on a WebSocket, and waits until the client has left. Not ready: it is not time yet, or the client does
    /// not read.
    fn farewell(&mut self, code: u16, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.leaving == Leaving::No {
            // Within a frame the client would take it for data; whoever writes the rest wakes this again.
            if !self.frames.as_ref().is_some_and(|frames| frames.is_between()) {
                return Poll::Pending;
            }
            ready!(Pin::new(&mut self.stream).poll_write(context, &websocket::close(code)))?;
            self.leaving = Leaving::SaysGoodbye;
        }
        if self.leaving == Leaving::SaysGoodbye {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.linger_later();
        }
        // ☠ Pingora would close without it, and whoever is just saying something would see a reset, and no goodbye.
        if self.leaving == Leaving::Lingers {
            ready!(self.linger(context));
            self.leaving = Leaving::Gone;
        }
        Poll::Ready(Ok(()))
    }

    /// Has the end of this connection linger, for a time that begins with it.
    fn linger_later(&mut self) {
        self.leaving = Leaving::Lingers;
        self.timer = None;
    }

    /// Reads and forgets what the client still sends, for a while.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; 4096];
        loop {
            if self.overdue(|now| now + LINGERING, context) {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut scrap);
            match ready!(Pin::new(self.stream.get_mut()).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: IO> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let phase = this.phase();
        match phase {
            Phase::Opening => {
                if this.read < PREFACE.len() as u64 {
                    let patience = this.house.limits().head_timeout();
                    if this.overdue(|now| now + patience, context) {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
            }
            Phase::Head if this.read > 0 => {
                if let Some(deny) = this.head_fault(context) {
                    return Poll::Ready(Err(this.refuse(deny, context)));
                }
            }
            Phase::Body => {
                if this.body_is_slow(context) {
                    this.visit.body_was_slow.store(true, Ordering::Relaxed);
                    this.linger_later();
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            Phase::Tunnel => {
                if let Some(code) = this.visit.goodbye(context.waker()) {
                    let left = this.farewell(code, context)?.is_ready();
                    if left || this.leaving != Leaving::No {
                        // The end of the client's bytes, for pingora: it closes the app's connection, and this one.
                        return if left { Poll::Ready(Ok(())) } else { Poll::Pending };
                    }
                }
            }
            Phase::Head | Phase::Served => {}
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let came = &buffer.filled()[before..];
        this.read += came.len() as u64;
        if matches!(phase, Phase::Head | Phase::Body | Phase::Served)
            && let Err(fault) = this.framing.read(came)
        {
            buffer.set_filled(before);
            return Poll::Ready(Err(this.refuse_fault(phase, fault, context)));
        }
        polled
    }
}

impl<S: IO> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.leaving != Leaving::No && this.phase() == Phase::Tunnel {
            // Nothing may follow a goodbye (RFC 6455, 5.5.1).
            return Poll::Ready(Ok(bytes.len()));
        }
        if let Some(last_chunk) = this.visit.replaced(bytes) {
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
        if this.phase() == Phase::Tunnel {
            let frames = this.frames.get_or_insert_default();
            frames.sent(&bytes[..written]);
            if frames.is_between() && this.visit.goodbye.load(Ordering::Acquire) != 0 {
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
        let unread_body = this.phase() == Phase::Body;
        ready!(this.unless_stalled(AsyncWrite::poll_shutdown, context))?;
        if this.leaving == Leaving::No {
            if unread_body {
                this.linger_later();
            } else {
                this.leaving = Leaving::Gone;
            }
        }
        if this.leaving == Leaving::Lingers {
            ready!(this.linger(context));
            this.leaving = Leaving::Gone;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guarded").field("visit", &self.visit).finish_non_exhaustive()
    }
}

#[async_trait]
impl<S: IO> Shutdown for Guarded<S> {
    async fn shutdown(&mut self) {
        // The client may have gone first.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

#[async_trait]
impl<S: IO> Peek for Guarded<S> {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.stream.get_mut().try_peek(buffer).await
    }
}

impl<S: IO> UniqueID for Guarded<S> {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().id()
    }
}

impl<S: IO> Ssl for Guarded<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ref().get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ref().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.get_ref().selected_alpn_proto()
    }
}

impl<S: IO> GetTimingDigest for Guarded<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_ref().get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for Guarded<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_ref().get_proxy_digest()
    }
}

impl<S: IO> GetSocketDigest for Guarded<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_ref().get_socket_digest()
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
/// As long as it takes a client that was refused to read why.
const LINGERING: Duration = Duration::from_secs(2);
/// As pingora writes it, in one piece.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// What every connection of HTTP/2 begins with (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use rustls::ServerConfig;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::*;
    use crate::config::Limits;

    struct Nowhere;

    impl House for Nowhere {
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
    fn connected(phase: Phase) -> (Guarded<UnixStream>, Arc<Visit>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let visit = Arc::new(Visit::default());
        visit.set(phase);
        (Guarded::new(ours, visit.clone(), Arc::new(Nowhere)), visit, theirs)
    }

    /// Reads what there is, and waits for more. The clock goes on by itself when nobody has anything else to do.
    async fn read(stream: &mut Guarded<UnixStream>) -> (usize, io::ErrorKind) {
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
        let (mut stream, visit, mut client) = connected(Phase::Head);
        let start = Instant::now();
        assert!(tokio::time::timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err(), "idle is not slow");
        client.write_all(b"GET /").await.unwrap();
        let begun = Instant::now();
        assert_eq!(read(&mut stream).await, (5, io::ErrorKind::TimedOut));
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?} of {:?}", start.elapsed());
        assert_eq!(stream.leaving, Leaving::Lingers);
        let mut said = [0; 12];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 408");
        // The next request has a time of its own.
        let (mut stream, _, mut client) = connected(Phase::Head);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 18]).await.unwrap();
        visit.set(Phase::Served);
        stream.visit.set(Phase::Served);
        stream.visit.set(Phase::Head);
        assert!(tokio::time::timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_to_keep_its_rate() {
        // Twenty seconds, and two more for a thousand bytes.
        let (mut stream, visit, mut client) = connected(Phase::Body);
        client.write_all(&[0; 1000]).await.unwrap();
        let start = Instant::now();
        assert_eq!(read(&mut stream).await, (1000, io::ErrorKind::TimedOut));
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(22) && took < Duration::from_secs(23), "{took:?}");
        assert!(visit.body_was_slow.load(Ordering::Relaxed));
        // One that has ended is not waited for: the app may take its time.
        let (mut stream, visit, mut client) = connected(Phase::Body);
        client.write_all(&[0; 1000]).await.unwrap();
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        visit.serve(async { Visit::body_ended() }).await;
        assert!(tokio::time::timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
        // And of a tunnel nothing has to come.
        let (mut stream, visit, _client) = connected(Phase::Tunnel);
        visit.clone().serve(async { Visit::body_ended() }).await;
        assert_eq!(visit.phase.load(Ordering::Relaxed) & 0xff, Phase::Tunnel as u32);
        assert!(tokio::time::timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_given_up() {
        let (mut stream, _, client) = connected(Phase::Served);
        // More than the socket holds, and what is left in our own buffer.
        while tokio::time::timeout(Duration::from_secs(1), async {
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
        assert!(tokio::time::timeout(Duration::from_secs(3600), read(&mut stream)).await.is_err());
    }

    #[tokio::test]
    async fn whoever_is_refused_can_read_why() {
        let (mut stream, _, mut client) = connected(Phase::Head);
        let limit = usize::try_from(Limits::default().head_size()).unwrap();
        let sending = tokio::spawn(async move {
            let _ = client.write_all(&vec![b'x'; 4 * limit]).await;
            let mut said = Vec::new();
            client.read_to_end(&mut said).await.unwrap();
            String::from_utf8(said).unwrap()
        });
        let (count, error) = read(&mut stream).await;
        assert!(count >= limit && error == io::ErrorKind::TimedOut, "{count} {error}");
        Shutdown::shutdown(&mut stream).await;
        drop(stream);
        assert!(sending.await.unwrap().starts_with("HTTP/1.1 431 "));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_talks_on_a_websocket_hears_the_goodbye() {
        let (mut stream, visit, mut client) = connected(Phase::Tunnel);
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        client.read_exact(&mut [0; 36]).await.unwrap();
        visit.say_goodbye(websocket::GOING_AWAY);
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
        let (mut stream, visit, mut client) = connected(Phase::Tunnel);
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
        visit.say_goodbye(websocket::GOING_AWAY);
        let start = Instant::now();
        assert_eq!(read(&mut stream).await, (0, io::ErrorKind::UnexpectedEof));
        assert!(start.elapsed() >= LINGERING && start.elapsed() < LINGERING * 2, "{:?}", start.elapsed());
        client.write_all(b"\x81\x80mask").await.unwrap();
    }
}
