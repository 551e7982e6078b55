//! One request and its answer on a connection to an app, in HTTP/1.1.
//!
//! ☠ Pingora's own client drops trailers, takes Content-Length out beside Transfer-Encoding before anybody else sees it, and
//! reads the sizes of chunks as leniently as `httparse` (`pingora-core 0.9.1 src/protocols/http/v1/client.rs`, `body.rs`).

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::time::timeout;
use pingora::{Error, ErrorType};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::bound::{asks_to_bind, may_bind};
use super::head::{self, Head, HeadError};
use crate::proxy::response_framing::Length;

/// A connection to an app, for one request.
pub(in crate::proxy) struct Connection {
    stream: Stream,
    /// What came, and was not passed on yet.
    came: BytesMut,
    /// So much of that holds no end of a head.
    searched: usize,
    outgoing: VecDeque<Bytes>,
    /// Something was written that the stream may hold back.
    unflushed: bool,
    sending: Sending,
    /// What went wrong with sending: the app may have answered before it closed.
    broken: Option<Box<Error>>,
    method: Method,
    upgrade: bool,
    reading: Reading,
    interim: u8,
    /// Nothing makes it doubtful where the next answer begins.
    persistent: bool,
    /// The app takes it for one client's, or may.
    bound: bool,
}

/// What becomes of a connection.
pub(in crate::proxy) enum Afterwards {
    /// Another request may be sent over it, whoever sends it.
    Shared(Stream),
    /// Another request of the same client may.
    Bound(Stream),
    Closed(Stream),
}

/// How the body of a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Sending {
    /// This many more bytes.
    Bytes(u64),
    Chunks,
    /// What another protocol says.
    Tunnel,
    /// All of it was handed over.
    Done,
    /// The app takes no more.
    Broken,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Head,
    /// This many bytes.
    Bytes(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

/// What happened on the connection.
#[derive(Debug)]
pub(in crate::proxy) enum Event {
    /// All that was handed over is sent, or the app takes no more.
    Sent,
    Head(Box<Head>),
    Body(Bytes),
    /// Behind the body's last chunk.
    Trailers(HeaderMap),
    /// The end of the answer, where nothing else told it.
    End,
}

impl Connection {
    pub(in crate::proxy) fn new(stream: Stream) -> Self {
        Self {
            stream,
            came: BytesMut::new(),
            searched: 0,
            outgoing: VecDeque::new(),
            unflushed: false,
            sending: Sending::Done,
            broken: None,
            method: Method::GET,
            upgrade: false,
            reading: Reading::Head,
            interim: 0,
            persistent: true,
            bound: false,
        }
    }

    /// One that the app takes for one client's (`bound`).
    pub(in crate::proxy) fn of_client(stream: Stream) -> Self {
        Self { bound: true, ..Self::new(stream) }
    }

    /// Sends the head of a request with this target, whose body comes as `sending` says. `upgrade`: it asks for another
    /// protocol.
    pub(in crate::proxy) async fn begin(
        &mut self,
        (request, target): (&RequestHeader, &[u8]),
        sending: Sending,
        upgrade: bool,
        patience: Duration,
    ) -> pingora::Result<()> {
        let head = http_req_header_to_wire(request)
            .ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "a request that can't be written"))?;
        let head = with_target(head.freeze(), request, target);
        (self.sending, self.upgrade) = (sending, upgrade);
        self.bound |= may_bind(&request.headers);
        self.method.clone_from(&request.method);
        self.outgoing.push_back(head);
        match timeout(patience, poll_fn(|context| self.poll_send(context))).await {
            Ok(sent) => sent,
            Err(_) => Err(Error::explain(ErrorType::WriteTimedout, "sending the head of a request")),
        }
    }

    /// Hands a piece of the request's body over.
    pub(in crate::proxy) fn send(&mut self, piece: Bytes) -> pingora::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        match &mut self.sending {
            Sending::Bytes(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or_else(too_long)?;
                self.outgoing.push_back(piece);
            }
            Sending::Chunks => {
                self.outgoing.push_back(format!("{:x}\r\n", piece.len()).into());
                self.outgoing.extend([piece, Bytes::from_static(b"\r\n")]);
            }
            Sending::Tunnel => self.outgoing.push_back(piece),
            Sending::Broken => {}
            Sending::Done => return Err(too_long()),
        }
        Ok(())
    }

    /// All of the request's body was handed over.
    pub(in crate::proxy) fn finish(&mut self) -> pingora::Result<()> {
        match self.sending {
            Sending::Bytes(left) if left > 0 => {
                return Err(Error::explain(ErrorType::InternalError, "a body that is shorter than announced"));
            }
            Sending::Chunks => self.outgoing.push_back(Bytes::from_static(b"0\r\n\r\n")),
            Sending::Broken => return Ok(()),
            Sending::Bytes(_) | Sending::Tunnel | Sending::Done => {}
        }
        self.sending = Sending::Done;
        Ok(())
    }

    /// Something is on its way to the app.
    pub(in crate::proxy) fn is_sending(&self) -> bool {
        self.unflushed || !self.outgoing.is_empty()
    }

    /// The app takes no more of the request's body.
    pub(in crate::proxy) fn is_broken(&self) -> bool {
        self.sending == Sending::Broken
    }

    /// The answer has ended.
    pub(in crate::proxy) fn has_answered(&self) -> bool {
        self.reading == Reading::Done
    }

    /// Waits for what happens next; `read` for the app's next bytes, or `write` until it has taken those that are on the way.
    pub(in crate::proxy) async fn event(&mut self, read: Duration, write: Duration) -> pingora::Result<Event> {
        let (patience, overdue) =
            if self.is_sending() { (write, ErrorType::WriteTimedout) } else { (read, ErrorType::ReadTimedout) };
        match timeout(patience, poll_fn(|context| self.poll_event(context))).await {
            Ok(event) => event,
            Err(_) => Err(Error::new(overdue)),
        }
    }

    /// What happens next. There is nothing more once the answer has ended and all was sent.
    pub(in crate::proxy) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<pingora::Result<Event>> {
        if self.is_sending() {
            match self.poll_send(context) {
                Poll::Ready(sent) => {
                    if let Err(error) = sent {
                        self.outgoing.clear();
                        (self.unflushed, self.sending, self.broken) = (false, Sending::Broken, Some(error));
                    }
                    return Poll::Ready(Ok(Event::Sent));
                }
                Poll::Pending => {}
            }
        }
        // Nobody would wait for the rest of the request to be sent if there was always an end to be told of.
        if self.has_answered() {
            return Poll::Pending;
        }
        let event = ready!(self.poll_read(context));
        Poll::Ready(event.map_err(|error| self.broken.take().unwrap_or(error)))
    }

    /// What becomes of the connection.
    pub(in crate::proxy) fn finished(self) -> Afterwards {
        let is_whole = self.reading == Reading::Done && self.sending == Sending::Done && !self.is_sending();
        // Bytes behind the answer are an answer that nobody asked for.
        if !is_whole || !self.persistent || !self.came.is_empty() {
            Afterwards::Closed(self.stream)
        } else if self.bound {
            Afterwards::Bound(self.stream)
        } else {
            Afterwards::Shared(self.stream)
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<pingora::Result<()>> {
        let failed = |error| Error::because(ErrorType::WriteError, "sending a request", error);
        while let Some(piece) = self.outgoing.front_mut() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, piece)).map_err(failed)?;
            if written == 0 {
                return Poll::Ready(Err(failed(io::ErrorKind::WriteZero.into())));
            }
            self.unflushed = true;
            piece.advance(written);
            if piece.is_empty() {
                self.outgoing.pop_front();
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context)).map_err(failed)?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<pingora::Result<Event>> {
        loop {
            if let Some(event) = self.take_event()? {
                return Poll::Ready(Ok(event));
            }
            let room = match self.reading {
                Reading::Bytes(left) | Reading::ChunkData(left) => usize::try_from(left).unwrap_or(usize::MAX),
                _ => 0,
            };
            if self.came.capacity() - self.came.len() < LEAST_ROOM {
                self.came.reserve(room.clamp(USUAL_ROOM, MOST_ROOM));
            }
            match ready!(pin!(self.stream.read_buf(&mut self.came)).poll(context)) {
                Ok(0) if self.reading == Reading::UntilClose => {
                    self.reading = Reading::Done;
                    return Poll::Ready(Ok(Event::End));
                }
                Ok(0) => {
                    return Poll::Ready(Err(Error::explain(
                        ErrorType::ConnectionClosed,
                        "before the end of an answer",
                    )));
                }
                Ok(_) => {}
                Err(error) => {
                    return Poll::Ready(Err(Error::because(ErrorType::ReadError, "reading an answer", error)));
                }
            }
        }
    }

    /// What the bytes that came are, if they are enough for anything.
    fn take_event(&mut self) -> pingora::Result<Option<Event>> {
        loop {
            match self.reading {
                Reading::Head => return self.take_head(),
                Reading::UntilClose | Reading::Bytes(_) | Reading::ChunkData(_) if self.came.is_empty() => {
                    return Ok(None);
                }
                Reading::UntilClose => return Ok(Some(Event::Body(self.came.split().freeze()))),
                Reading::Done => return Ok(Some(Event::End)),
                Reading::Bytes(left) => {
                    let (piece, left) = self.take_bytes(left);
                    self.reading = if left == 0 { Reading::Done } else { Reading::Bytes(left) };
                    return Ok(Some(Event::Body(piece)));
                }
                Reading::ChunkData(left) => {
                    let (piece, left) = self.take_bytes(left);
                    self.reading = if left == 0 { Reading::ChunkEnd } else { Reading::ChunkData(left) };
                    return Ok(Some(Event::Body(piece)));
                }
                Reading::ChunkEnd => {
                    match *self.came {
                        [] | [b'\r'] => return Ok(None),
                        [b'\r', b'\n', ..] => self.came.advance(2),
                        _ => return Err(malformed("a chunk that is longer than it says")),
                    }
                    self.reading = Reading::ChunkSize;
                }
                Reading::ChunkSize => {
                    let Some(end) = self.came.iter().position(|byte| *byte == b'\n') else {
                        return if self.came.len() > LONGEST_LINE { Err(malformed(CHUNK)) } else { Ok(None) };
                    };
                    let line = self.came.split_to(end + 1);
                    let size = line.strip_suffix(b"\r\n").and_then(head::chunk_size);
                    self.reading = match size.ok_or_else(|| malformed(CHUNK))? {
                        0 => Reading::Trailers,
                        size => Reading::ChunkData(size),
                    };
                    self.searched = 0;
                }
                Reading::Trailers => return self.take_trailers(),
            }
        }
    }

    fn take_bytes(&mut self, left: u64) -> (Bytes, u64) {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.came.len());
        (self.came.split_to(here).freeze(), left - here as u64)
    }

    fn take_head(&mut self) -> pingora::Result<Option<Event>> {
        let Some(end) = head::end(&self.came, self.searched) else {
            self.searched = self.came.len();
            let too_long = self.searched > LONGEST_HEAD;
            return if too_long {
                Err(Error::explain(ErrorType::InvalidHTTPHeader, "a head without an end"))
            } else {
                Ok(None)
            };
        };
        self.searched = 0;
        let head = head::read(&self.came.split_to(end).freeze(), &self.method).map_err(|error| match error {
            HeadError::Malformed => Error::explain(ErrorType::InvalidHTTPHeader, "an answer that is no HTTP/1"),
            HeadError::Ambiguous(ambiguous) => malformed(ambiguous.0),
        })?;
        self.persistent &= head.framing.persistent;
        self.bound |= asks_to_bind(&head.headers);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            if !self.upgrade {
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, "nobody asked for another protocol"));
            }
            (self.reading, self.sending, self.persistent) = (Reading::UntilClose, Sending::Tunnel, false);
        } else if head.status.is_informational() {
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, "too many interim answers"));
            }
        } else {
            self.reading = match head.framing.length {
                Length::Nothing | Length::Bytes(0) => Reading::Done,
                Length::Bytes(length) => Reading::Bytes(length),
                Length::Chunks => Reading::ChunkSize,
                Length::UntilClose => Reading::UntilClose,
            };
        }
        Ok(Some(Event::Head(Box::new(head))))
    }

    fn take_trailers(&mut self) -> pingora::Result<Option<Event>> {
        let end = match *self.came {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => {
                self.came.advance(2);
                self.reading = Reading::Done;
                return Ok(Some(Event::End));
            }
            _ => head::end(&self.came, self.searched),
        };
        let Some(end) = end else {
            self.searched = self.came.len();
            return if self.searched > LONGEST_TRAILERS { Err(malformed(TRAILERS)) } else { Ok(None) };
        };
        let trailers = head::trailers(&self.came.split_to(end).freeze()).ok_or_else(|| malformed(TRAILERS))?;
        self.reading = Reading::Done;
        Ok(Some(if trailers.is_empty() { Event::End } else { Event::Trailers(trailers) }))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Connection");
        debug.field("sending", &self.sending).field("reading", &self.reading).finish_non_exhaustive()
    }
}

/// What other readers may read otherwise (`DenyReason::UpstreamFraming`).
fn malformed(what: &'static str) -> Box<Error> {
    Error::new(ErrorType::Custom(what))
}

/// The head of a request with this target in the place of its own. Pingora's holds no other bytes than a URI of `http` does, and
/// the gate lets more through (see `raw_target`), so it goes by what was judged.
fn with_target(head: Bytes, request: &RequestHeader, target: &[u8]) -> Bytes {
    let own = request.raw_path();
    if own == target {
        return head;
    }
    let start = request.method.as_str().len() + " ".len();
    let (before, after) = (&head[..start], &head[start + own.len()..]);
    [before, target, after].concat().into()
}

fn too_long() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "a body that is longer than announced")
}

const CHUNK: &str = "a malformed size of a chunk";
const TRAILERS: &str = "malformed trailers";
/// When less is left, there is a new buffer.
const LEAST_ROOM: usize = 2 << 10;
/// Most heads, and many an answer.
const USUAL_ROOM: usize = 8 << 10;
/// A piece of a body, as pingora reads it.
const MOST_ROOM: usize = 64 << 10;
/// As pingora reads of a request.
const LONGEST_HEAD: usize = 1 << 20;
/// With all its extensions.
const LONGEST_LINE: usize = 8 << 10;
const LONGEST_TRAILERS: usize = 64 << 10;
/// Answers before the answer: no app has a reason for more.
const MOST_INTERIM: u8 = 32;

#[cfg(test)]
mod tests {
    use http::Version;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::*;

    /// What is read of an answer: its statuses, its body, its trailers; or what went wrong. And whether another may follow.
    type Read = (String, bool);

    /// Reads an answer to a request of this method that comes in pieces of so many bytes, and then the connection's end.
    async fn read(method: &Method, answer: &[u8], size: usize) -> Read {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let answer = answer.to_vec();
        let request_length = format!("{method} / HTTP/1.1\r\n\r\n").len();
        let app = tokio::spawn(async move {
            // What is not read makes the end of the connection a reset.
            theirs.read_exact(&mut vec![0; request_length]).await.unwrap();
            for piece in answer.chunks(size) {
                // The other end may have closed, since it has read enough.
                if theirs.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::new(Box::new(ours));
        let mut request = RequestHeader::build(method.clone(), b"/", None).unwrap();
        request.set_version(Version::HTTP_11);
        let patience = Duration::from_secs(60);
        connection.begin((&request, request.raw_path()), Sending::Done, false, patience).await.unwrap();
        let mut all = String::new();
        while !connection.has_answered() {
            match connection.event(patience, patience).await {
                Ok(Event::Sent) => {}
                Ok(Event::Head(head)) => all += &format!("{} ", head.status.as_u16()),
                Ok(Event::Body(piece)) => all += std::str::from_utf8(&piece).unwrap(),
                Ok(Event::Trailers(trailers)) => all += &format!(" and {} trailers", trailers.len()),
                Ok(Event::End) => all += ".",
                Err(error) => {
                    all += &format!(" {}", error.etype().as_str());
                    break;
                }
            }
        }
        // Of what follows it, nothing may have come yet.
        let ended = connection.has_answered();
        app.abort();
        (all, ended)
    }

    #[tokio::test]
    async fn an_answer_is_the_same_however_it_comes() {
        let get = Method::GET;
        for (method, answer, expected) in [
            (&get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ("200 hello", true)),
            (&get, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ("200 ", true)),
            (&Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ("200 ", true)),
            (&get, "HTTP/1.1 200 OK\r\n\r\nhello", ("200 hello.", true)),
            (&get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ("200 .", true)),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n02;a=\"b\"\r\nlo\r\n00\r\n\r\n",
                ("200 hello.", true),
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n",
                ("200 hello and 2 trailers", true),
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSet-Cookie: a\r\n\r\n",
                ("200 hello.", true),
            ),
            (
                &get,
                "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                ("103 100 204 ", true),
            ),
            (&get, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", ("200 hello ConnectionClosed", false)),
            (&get, "HTTP/1.1 200 OK\r\nContent-Le", (" ConnectionClosed", false)),
            (&get, "HTTP/1.1 103 Early Hints\r\n\r\n", ("103  ConnectionClosed", false)),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
                ("200 hello ConnectionClosed", false),
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
                ("200 hello a chunk that is longer than it says", false),
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5 5\r\n\r\n",
                ("200 hello a malformed size of a chunk", false),
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
                ("200  a malformed size of a chunk", false),
            ),
            (
                &get,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA b\r\n\r\n",
                ("200  malformed trailers", false),
            ),
            (&get, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", (" a Content-Length that is not a number", false)),
        ] {
            for size in [1, 2, 3, 7, 1000] {
                let (read, ended) = read(method, answer.as_bytes(), size).await;
                assert_eq!((read.as_str(), ended), expected, "{size}: {answer:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_body_is_sent_as_its_head_says() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection::new(Box::new(ours));
        let mut request = RequestHeader::build(Method::POST, b"/", None).unwrap();
        request.set_version(Version::HTTP_11);
        let patience = Duration::from_secs(60);
        for (sending, pieces, expected) in [
            (Sending::Bytes(5), &["hel", "", "lo"][..], "hello"),
            (Sending::Chunks, &["hel", "", "lo"], "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
            (Sending::Chunks, &[], "0\r\n\r\n"),
            (Sending::Done, &[], ""),
        ] {
            connection.begin((&request, request.raw_path()), sending, false, patience).await.unwrap();
            for piece in pieces {
                connection.send(Bytes::from_static(piece.as_bytes())).unwrap();
            }
            connection.finish().unwrap();
            while connection.is_sending() {
                assert!(matches!(connection.event(patience, patience).await, Ok(Event::Sent)));
            }
            let mut sent = vec![0; "POST / HTTP/1.1\r\n\r\n".len() + expected.len()];
            theirs.read_exact(&mut sent).await.unwrap();
            assert_eq!(String::from_utf8(sent).unwrap(), format!("POST / HTTP/1.1\r\n\r\n{expected}"));
        }
        // One that is longer or shorter than it says would be another request, or a part of the next.
        connection.begin((&request, request.raw_path()), Sending::Bytes(5), false, patience).await.unwrap();
        assert!(connection.send(Bytes::from_static(b"hello!")).is_err());
        assert!(connection.finish().is_err());
        assert!(matches!(connection.finished(), Afterwards::Closed(_)));
    }
}
