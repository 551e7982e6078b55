//! Reads the answer of an application: head, body, chunks and trailers.

use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use pingora::{Error, ErrorType};
use tokio::io::AsyncReadExt as _;

use super::{Connection, Event, Sending};
use crate::proxy::framing::response::Length;
use crate::proxy::upstream::bound::asks_to_bind;
use crate::proxy::upstream::head::{self, HeadError};

/// The part of an answer that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Head,
    /// A body of which this number of bytes is still to come.
    Bytes(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

impl Connection {
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<pingora::Result<Event>> {
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

    /// Takes the next event from the bytes that have come, if they are enough for one.
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
            HeadError::Malformed => Error::explain(ErrorType::InvalidHTTPHeader, "a response that is not HTTP/1"),
            HeadError::Ambiguous(ambiguous) => malformed(ambiguous.0),
        })?;
        self.persistent &= head.framing.persistent;
        self.bound |= asks_to_bind(&head.headers);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            if !self.upgrade {
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, "an upgrade that was not requested"));
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

/// The error of an answer with ambiguous framing (`DenyReason::UpstreamFraming`).
fn malformed(what: &'static str) -> Box<Error> {
    Error::new(ErrorType::Custom(what))
}

const CHUNK: &str = "a malformed size of a chunk";
const TRAILERS: &str = "malformed trailers";
/// With less room than this, the buffer is replaced.
const LEAST_ROOM: usize = 2 << 10;
/// Size of a buffer: most heads, and many whole answers.
const USUAL_ROOM: usize = 8 << 10;
/// Size of a buffer for a long body.
const MOST_ROOM: usize = 64 << 10;
/// The same as MAX_HEADER_SIZE of pingora for requests (pingora-core 0.9.1, src/protocols/http/v1/common.rs).
const LONGEST_HEAD: usize = 1 << 20;
/// The line of a chunk size, with its extensions.
const LONGEST_LINE: usize = 8 << 10;
const LONGEST_TRAILERS: usize = 64 << 10;
/// Maximum number of interim responses before an answer.
const MOST_INTERIM: u8 = 32;
