//! What a client's stream and those who serve its requests tell each other.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::closing::Closing;
use super::raw_target::Hidden;
use crate::gate::DenyReason;

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
#[derive(Default)]
pub(super) struct ConnectionState {
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
    /// What of the target of the request that came last is hidden from pingora.
    hidden: Mutex<Option<Hidden>>,
    has_hidden: AtomicBool,
    /// The streams of HTTP/2 that begin with a `#` in their `:path` and were not served yet.
    fragments: Mutex<Vec<u32>>,
    has_fragments: AtomicBool,
    /// It is not known which do.
    lost_paths: AtomicBool,
    /// What is left to do with the connection, once nobody serves it any more.
    closing: Mutex<Option<Closing>>,
}

impl ConnectionState {
    /// That of the HTTP/1 connection which this task serves, if it does.
    pub(super) fn current() -> Option<Arc<Self>> {
        VISIT.try_with(Clone::clone).ok()
    }

    /// Enters a phase of the connection that this task serves, if it serves one of HTTP/1.
    pub(super) fn enter(phase: Phase) {
        let _ = VISIT.try_with(|connection| connection.set(phase));
    }

    /// All of the request's body has come. What comes over a tunnel is none.
    pub(super) fn body_ended() {
        let _ = VISIT.try_with(|connection| {
            if connection.phase.load(Ordering::Relaxed) & 0xff == Phase::Body as u32 {
                connection.set(Phase::Served);
            }
        });
    }

    /// Why the connection that this task serves could not be read on, if it is for a body that may not come so.
    pub(super) fn body_fault() -> Option<DenyReason> {
        let fault = |connection: &Arc<Self>| {
            let slow = connection.body_was_slow.load(Ordering::Relaxed).then_some(DenyReason::BodyTimeout);
            slow.or_else(|| connection.body_was_ambiguous.load(Ordering::Relaxed).then_some(DenyReason::Framing))
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
        let _ = VISIT.try_with(|connection| {
            *connection.last_chunk.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.freeze());
            connection.has_trailers.store(true, Ordering::Relaxed);
        });
    }

    /// What pingora does not show of the target of the request which this task serves.
    pub(super) fn take_hidden() -> Option<Hidden> {
        let take = |connection: &Arc<Self>| {
            if !connection.has_hidden.swap(false, Ordering::Relaxed) {
                return None;
            }
            connection.hidden.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        VISIT.try_with(take).ok().flatten()
    }

    /// Keeps what is hidden from pingora.
    pub(super) fn hide(&self, hidden: Hidden) {
        *self.hidden.lock().unwrap_or_else(PoisonError::into_inner) = Some(hidden);
        self.has_hidden.store(true, Ordering::Relaxed);
    }

    /// What is to be written in the place of these bytes.
    pub(super) fn replaced(&self, bytes: &[u8]) -> Option<Bytes> {
        if bytes != LAST_CHUNK || !self.has_trailers.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.last_chunk.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Serves the connection of this visit.
    pub(super) async fn serve<T>(self: Arc<Self>, serving: impl Future<Output = T>) -> T {
        VISIT.scope(self, serving).await
    }

    /// The phase, and a number that tells it from all before.
    pub(super) fn phase(&self) -> (Phase, u32) {
        let number = self.phase.load(Ordering::Relaxed);
        let phase = match number & 0xff {
            0 => Phase::Opening,
            1 => Phase::Head,
            2 => Phase::Body,
            4 => Phase::Tunnel,
            _ => Phase::Served,
        };
        (phase, number)
    }

    /// Whether it is time to say goodbye.
    pub(super) fn ends(&self) -> bool {
        self.goodbye.load(Ordering::Acquire) != 0
    }

    /// The body that is coming came too slowly, or can be read in two ways.
    pub(super) fn note_body_fault(&self, deny: DenyReason) {
        let fault = if deny == DenyReason::BodyTimeout { &self.body_was_slow } else { &self.body_was_ambiguous };
        fault.store(true, Ordering::Relaxed);
    }

    /// This stream of HTTP/2 begins with a `#` in its `:path`.
    pub(super) fn note_fragment(&self, stream: u32) {
        let mut fragments = self.fragments.lock().unwrap_or_else(PoisonError::into_inner);
        if fragments.len() == MOST_FRAGMENTS {
            self.lose_paths();
        } else {
            fragments.push(stream);
            self.has_fragments.store(true, Ordering::Release);
        }
    }

    /// Nothing is known of the streams that come.
    pub(super) fn lose_paths(&self) {
        self.lost_paths.store(true, Ordering::Release);
    }

    pub(super) fn has_lost_paths(&self) -> bool {
        self.lost_paths.load(Ordering::Acquire)
    }

    /// Whether this stream, the newest one that is served, begins with a `#` in its `:path`.
    pub(super) fn take_fragment(&self, stream: u32) -> bool {
        if !self.has_fragments.load(Ordering::Acquire) {
            return false;
        }
        let mut fragments = self.fragments.lock().unwrap_or_else(PoisonError::into_inner);
        let is_noted = fragments.contains(&stream);
        // Older ones were reset by h2, or are answered already.
        fragments.retain(|noted| *noted > stream);
        self.has_fragments.store(!fragments.is_empty(), Ordering::Release);
        is_noted
    }

    /// Leaves what is to be done with the connection.
    pub(super) fn close_with(&self, closing: Closing) {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner) = Some(closing);
    }

    /// What is left to do with the connection. Nothing, if its client has gone.
    pub(super) fn closing(&self) -> Option<Closing> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends a tunnel, with a word for the client as soon as one fits in.
    pub(super) fn request_close(&self, code: u16) {
        self.goodbye.store(code.into(), Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Only the task that serves the connection sets it.
    pub(super) fn set(&self, phase: Phase) {
        let number = (self.phase.load(Ordering::Relaxed) >> 8).wrapping_add(1);
        self.phase.store(number << 8 | phase as u32, Ordering::Relaxed);
    }

    /// The code to say goodbye with, if it is time; else wakes whoever waits for that.
    pub(super) fn goodbye(&self, waker: &Waker) -> Option<u16> {
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
    static VISIT: Arc<ConnectionState>;
}

/// More than a client may have open.
const MOST_FRAGMENTS: usize = 256;
/// As pingora writes it, in one piece.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
