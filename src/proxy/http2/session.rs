//! One HTTP/2 stream: a session of pingora.
//!
//! TRAP: the HTTP/2 session of pingora (pingora-core 0.9.1, src/protocols/http/v2/server.rs) drops interim responses, waits for a
//! body without end, and keeps an answer of Tollgate's own until the client takes it. So this session replaces it. The crate h2
//! reads frames and enforces their limits, as it does for pingora.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream as Messages;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderMap, Response};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::body_buffer::FixedBuffer;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::date::get_cached_date;
use pingora::protocols::http::v2::write_body;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::{Digest, Stream};
use pingora::time::timeout;
use pingora::{Error, ErrorType, OrErr};

use crate::proxy::connection_state::ConnectionState;

/// Extension of a request with a `#` in its `:path`, which its URI does not show.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct HasFragment;

/// One stream of a connection.
pub(in crate::proxy) struct Http2Session {
    request: RequestHeader,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    /// `None` until the final answer.
    writer: Option<SendStream<Bytes>>,
    answered: Option<Box<ResponseHeader>>,
    /// The end of the response was sent.
    ended: bool,
    body_read: usize,
    body_sent: usize,
    kept: Option<FixedBuffer>,
    digest: Arc<Digest>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    drain_timeout: Option<Duration>,
}

impl Http2Session {
    /// Waits for the next request. This future also reads and writes all frames of the connection. `None`: the connection has
    /// ended.
    pub(in crate::proxy) async fn accept(
        connection: &mut Connection<Stream, Bytes>,
        state: &ConnectionState,
        digest: &Arc<Digest>,
    ) -> Option<Result<Self, h2::Error>> {
        let accepted = connection.accept().await?;
        Some(accepted.map(|(request, respond)| {
            let (mut request, body) = request.into_parts();
            if state.take_fragment(respond.stream_id().as_u32()) {
                request.extensions.insert(HasFragment);
            }
            Self {
                request: request.into(),
                body,
                respond,
                writer: None,
                answered: None,
                ended: false,
                body_read: 0,
                body_sent: 0,
                kept: None,
                digest: digest.clone(),
                read_timeout: None,
                write_timeout: None,
                drain_timeout: None,
            }
        }))
    }

    /// Sends REFUSED_STREAM: the request was not processed, and can be sent again (RFC 9113, 8.7).
    pub(in crate::proxy) fn refuse(mut self) {
        self.respond.send_reset(Reason::REFUSED_STREAM);
    }

    fn write_head(&mut self, mut header: Box<ResponseHeader>, end: bool) -> pingora::Result<()> {
        if self.answered.is_some() || self.ended {
            return Ok(());
        }
        if header.status.is_informational() {
            let interim = Response::from_parts(header.as_owned_parts(), ());
            return self.respond.send_informational(interim).or_err(ErrorType::WriteError, "an interim answer");
        }
        header.insert_header(DATE, get_cached_date())?;
        let response = Response::from_parts(header.as_owned_parts(), ());
        let writer =
            self.respond.send_response(response, end).or_err(ErrorType::WriteError, "the head of an answer")?;
        (self.writer, self.answered, self.ended) = (Some(writer), Some(header), end);
        Ok(())
    }

    /// Writes a piece of the body when the window of the client has room.
    async fn write_piece(&mut self, piece: Bytes, end: bool) -> pingora::Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        let length = piece.len();
        write_body(writer, piece, end, self.write_timeout).await?;
        self.body_sent += length;
        self.ended |= end;
        Ok(())
    }

    fn end(&mut self) -> pingora::Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        self.ended = true;
        writer.send_data(Bytes::new(), true).or_err(ErrorType::WriteError, "the end of an answer")
    }

    /// Waits until the client has reset the stream.
    async fn reset(&mut self) -> Box<Error> {
        let reason = match &mut self.writer {
            Some(writer) => poll_fn(|context| writer.poll_reset(context)).await,
            None => poll_fn(|context| self.respond.poll_reset(context)).await,
        };
        match reason {
            Ok(reason) => Error::explain(ErrorType::ConnectionClosed, format!("the stream was reset: {reason}")),
            Err(error) => Error::because(ErrorType::ConnectionClosed, "the connection has ended", error),
        }
    }
}

#[async_trait]
impl Session for Http2Session {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> pingora::Result<Option<Bytes>> {
        let next = self.body.data();
        // After the head of the response, client and application may have agreed that the client sends at any time.
        let came = match self.read_timeout.filter(|_| self.answered.is_none()) {
            Some(patience) => match timeout(patience, next).await {
                Ok(came) => came,
                Err(_) => return Err(Error::explain(ErrorType::ReadTimedout, "reading a body")),
            },
            None => next.await,
        };
        let Some(piece) = came.transpose().or_err(ErrorType::ReadError, "reading a body")? else { return Ok(None) };
        self.body_read += piece.len();
        if let Some(kept) = &mut self.kept {
            kept.write_to_buffer(&piece);
        }
        // Opens the client's window again by the received bytes. It can't fail: so many have arrived.
        let _ = self.body.flow_control().release_capacity(piece.len());
        Ok(Some(piece))
    }

    async fn drain_request_body(&mut self) -> pingora::Result<()> {
        let limit = self.drain_timeout.unwrap_or(DRAIN_TIMEOUT);
        let drained = timeout(limit, async {
            while self.read_body_bytes().await?.is_some() {}
            Ok(())
        });
        drained.await.unwrap_or_else(|_| Err(Error::explain(ErrorType::ReadTimedout, "draining a body")))
    }

    async fn write_response_header(&mut self, header: Box<ResponseHeader>, end: bool) -> pingora::Result<()> {
        self.write_head(header, end).map_err(|error| error.into_down())
    }

    async fn write_response_header_ref(&mut self, header: &ResponseHeader, end: bool) -> pingora::Result<()> {
        self.write_head(Box::new(header.clone()), end).map_err(|error| error.into_down())
    }

    /// Writes the body of an answer of Tollgate's own. The body is small, so h2 gets all of it at once, and the request ends before
    /// the client has taken it (SECURITY.md R58).
    async fn write_body(&mut self, body: Bytes, end: bool) -> pingora::Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        self.body_sent += body.len();
        self.ended = end;
        let sent = writer.send_data(body, end).or_err(ErrorType::WriteError, "while answering");
        sent.map_err(|error| error.into_down())
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> pingora::Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.ended) else { return Ok(()) };
        self.ended = true;
        writer.send_trailers(trailers).or_err(ErrorType::WriteError, "the trailers of an answer")
    }

    /// Writes events of an application's answer.
    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> pingora::Result<bool> {
        let down = |error: Box<Error>| error.into_down();
        let mut ends = false;
        for task in tasks {
            ends |= match task {
                HttpTask::Header(header, end) => {
                    self.write_head(header, end).map_err(down)?;
                    end
                }
                HttpTask::Body(Some(piece), end) if !piece.is_empty() => {
                    self.write_piece(piece, end).await.map_err(down)?;
                    end
                }
                HttpTask::Body(_, end) => end,
                HttpTask::Trailer(Some(trailers)) => {
                    self.write_trailers(*trailers).await.map_err(down)?;
                    true
                }
                HttpTask::Trailer(None) | HttpTask::Done => true,
                HttpTask::UpgradedBody(..) => {
                    return Err(Error::explain(ErrorType::InternalError, "a tunnel in a stream of HTTP/2"));
                }
                HttpTask::Failed(error) => return Err(error),
            };
        }
        if ends {
            self.end().map_err(down)?;
        }
        Ok(ends)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_timeout = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain_timeout
    }

    /// Without the query, which can hold an API key.
    fn request_summary(&self) -> String {
        format!("{} over HTTP/2", self.request.method)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.answered.as_deref()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        if !self.ended {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    fn is_body_done(&mut self) -> bool {
        self.is_body_empty() || self.body.is_end_stream()
    }

    async fn finish(&mut self) -> pingora::Result<()> {
        self.end()
    }

    fn is_body_empty(&mut self) -> bool {
        let says_none = || self.request.headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() == b"0");
        self.body_read == 0 && (self.body.is_end_stream() || says_none())
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> pingora::Result<Option<Bytes>> {
        if no_body_expected || self.is_body_done() { Err(self.reset().await) } else { self.read_body_bytes().await }
    }

    fn body_bytes_sent(&self) -> usize {
        self.body_sent
    }

    fn body_bytes_read(&self) -> usize {
        self.body_read
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Arc::get_mut(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    /// Only pingora's own filters call this.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        Bytes::new()
    }

    fn enable_retry_buffering(&mut self) {
        self.kept.get_or_insert_with(|| FixedBuffer::new(KEPT));
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.kept.as_ref().is_some_and(FixedBuffer::is_truncated)
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.kept.as_ref().filter(|kept| !kept.is_truncated())?.get_buffer()
    }

    async fn finish_custom(&mut self) -> pingora::Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Messages<Item = pingora::Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn Messages<Item = pingora::Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> pingora::Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> pingora::Result<()> {
        Ok(())
    }
}

/// Maximum part of a body that is kept for another attempt: as in pingora.
const KEPT: usize = 64 << 10;
/// Time for which a body without a reader is read, unless pingora sets a limit.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
