//! State that a client's stream and the task that serves its requests share.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::closing::Closing;
use super::raw_target::Hidden;
use crate::gate::DenyReason;

/// What the next bytes of a connection are. The task that serves the requests sets the phase, and the stream reads by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The protocol is not known yet.
    Opening = 0,
    /// The head of a request. A head that has begun must end within `head_timeout`.
    Head = 1,
    /// The body of a request.
    Body = 2,
    /// No bytes are expected, or none with a limit in the stream.
    Served = 3,
    Tunnel = 4,
}

/// State of one connection.
#[derive(Default)]
pub(super) struct ConnectionState {
    /// The phase in the low 8 bits, and above them a number that goes up with every change.
    phase: AtomicU32,
    /// The code of the close frame; 0: none yet.
    close_code: AtomicU32,
    /// The last read failed because the body was too slow.
    body_was_slow: AtomicBool,
    /// The last read failed because the chunks of the body were ambiguous.
    body_was_ambiguous: AtomicBool,
    /// Wakes the task that reads from a tunnel.
    waker: Mutex<Option<Waker>>,
    /// The last chunk with trailers, until it is written.
    last_chunk: Mutex<Option<Bytes>>,
    has_trailers: AtomicBool,
    /// The bytes of the last target that are hidden from pingora.
    hidden: Mutex<Option<Hidden>>,
    has_hidden: AtomicBool,
    /// The HTTP/2 streams with a `#` in their `:path` that were not served yet.
    fragments: Mutex<Vec<u32>>,
    has_fragments: AtomicBool,
    /// A header block could not be followed, so the fragments are not known.
    lost_paths: AtomicBool,
    /// The rest of the work on the connection, after its last request.
    closing: Mutex<Option<Closing>>,
}

impl ConnectionState {
    /// Returns the state of the HTTP/1 connection that this task serves. `None` in other tasks, such as those of HTTP/2 streams.
    pub(super) fn current() -> Option<Arc<Self>> {
        CONNECTION.try_with(Clone::clone).ok()
    }

    /// Enters a phase of the HTTP/1 connection that this task serves. No effect in other tasks.
    pub(super) fn enter(phase: Phase) {
        let _ = CONNECTION.try_with(|connection| connection.set(phase));
    }

    /// Ends the phase of the body. No effect on a tunnel.
    pub(super) fn body_ended() {
        let _ = CONNECTION.try_with(|connection| {
            if connection.phase.load(Ordering::Relaxed) & 0xff == Phase::Body as u32 {
                connection.set(Phase::Served);
            }
        });
    }

    /// Returns why the stream refused to read on, if the body was too slow or ambiguous.
    pub(super) fn body_fault() -> Option<DenyReason> {
        let fault = |connection: &Arc<Self>| {
            let slow = connection.body_was_slow.load(Ordering::Relaxed).then_some(DenyReason::BodyTimeout);
            slow.or_else(|| connection.body_was_ambiguous.load(Ordering::Relaxed).then_some(DenyReason::Framing))
        };
        CONNECTION.try_with(fault).ok().flatten()
    }

    /// Adds trailers to the last chunk, which pingora writes next on the connection that this task serves.
    ///
    /// TRAP: pingora writes no trailers to a client of HTTP/1 (pingora-core 0.9.1, src/protocols/http/v1/server.rs).
    pub(super) fn end_chunks_with(trailers: &HeaderMap) {
        let mut bytes = BytesMut::from(&LAST_CHUNK[..LAST_CHUNK.len() - 2]);
        for (name, value) in trailers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        let _ = CONNECTION.try_with(|connection| {
            *connection.last_chunk.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes.freeze());
            connection.has_trailers.store(true, Ordering::Relaxed);
        });
    }

    /// Takes the bytes of the target that pingora does not show, of the request that this task serves.
    pub(super) fn take_hidden() -> Option<Hidden> {
        let take = |connection: &Arc<Self>| {
            if !connection.has_hidden.swap(false, Ordering::Relaxed) {
                return None;
            }
            connection.hidden.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        CONNECTION.try_with(take).ok().flatten()
    }

    /// Keeps the bytes that are hidden from pingora.
    pub(super) fn hide(&self, hidden: Hidden) {
        *self.hidden.lock().unwrap_or_else(PoisonError::into_inner) = Some(hidden);
        self.has_hidden.store(true, Ordering::Relaxed);
    }

    /// Returns the last chunk with trailers, if pingora writes its own last chunk.
    pub(super) fn replaced(&self, bytes: &[u8]) -> Option<Bytes> {
        if bytes != LAST_CHUNK || !self.has_trailers.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.last_chunk.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs the task that serves this connection.
    pub(super) async fn serve<T>(self: Arc<Self>, serving: impl Future<Output = T>) -> T {
        CONNECTION.scope(self, serving).await
    }

    /// Returns the phase, and a number that differs from that of every earlier phase.
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

    /// Returns whether a close frame is to be sent.
    pub(super) fn ends(&self) -> bool {
        self.close_code.load(Ordering::Acquire) != 0
    }

    /// Notes that the body is too slow, or ambiguous.
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

    /// Nothing is known of later streams.
    pub(super) fn lose_paths(&self) {
        self.lost_paths.store(true, Ordering::Release);
    }

    pub(super) fn has_lost_paths(&self) -> bool {
        self.lost_paths.load(Ordering::Acquire)
    }

    /// Returns whether this stream, the newest one, begins with a `#` in its `:path`.
    pub(super) fn take_fragment(&self, stream: u32) -> bool {
        if !self.has_fragments.load(Ordering::Acquire) {
            return false;
        }
        let mut fragments = self.fragments.lock().unwrap_or_else(PoisonError::into_inner);
        let is_noted = fragments.contains(&stream);
        // h2 has reset older ones, or they were answered.
        fragments.retain(|noted| *noted > stream);
        self.has_fragments.store(!fragments.is_empty(), Ordering::Release);
        is_noted
    }

    /// Sets the rest of the work on the connection.
    pub(super) fn close_with(&self, closing: Closing) {
        *self.closing.lock().unwrap_or_else(PoisonError::into_inner) = Some(closing);
    }

    /// Takes the rest of the work on the connection. `None` if its client has gone.
    pub(super) fn closing(&self) -> Option<Closing> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends a tunnel with a close frame, as soon as the application's current frame is complete.
    pub(super) fn request_close(&self, code: u16) {
        self.close_code.store(code.into(), Ordering::Release);
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Sets the phase. Only the task that serves the connection may call this.
    pub(super) fn set(&self, phase: Phase) {
        let number = (self.phase.load(Ordering::Relaxed) >> 8).wrapping_add(1);
        self.phase.store(number << 8 | phase as u32, Ordering::Relaxed);
    }

    /// Returns the code of the close frame, if one is to be sent. Otherwise `waker` is woken when it is.
    pub(super) fn close_code(&self, waker: &Waker) -> Option<u16> {
        let mut slot = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
        drop(slot);
        match self.close_code.load(Ordering::Acquire) {
            0 => None,
            code => u16::try_from(code).ok(),
        }
    }
}

tokio::task_local! {
    static CONNECTION: Arc<ConnectionState>;
}

/// More than a client can have open.
const MOST_FRAGMENTS: usize = 256;
/// The last chunk, as pingora writes it in one piece.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
