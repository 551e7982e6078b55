//! The frame boundaries of a WebSocket in the direction of the client: only there another frame can be inserted (RFC
//! 6455, 5.4).

use http::HeaderMap;
use http::header::{CONNECTION, HeaderValue, UPGRADE};

/// Sets the headers that ask for a WebSocket, or accept one (RFC 6455, 4.1 and 4.2.2).
pub(super) fn set_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Follows the bytes of an answer 101 and of the frames behind it.
#[derive(Debug, Default)]
pub(super) struct Frames {
    state: State,
}

#[derive(Debug)]
enum State {
    /// In the head of the response, after this many bytes of the empty line.
    Answer(usize),
    /// In the head of a frame: its bytes so far.
    Head([u8; MAX_HEAD], usize),
    /// This many bytes of a frame are to come.
    Rest(u64),
}

impl Default for State {
    fn default() -> Self {
        Self::Answer(0)
    }
}

impl Frames {
    /// Reads sent bytes.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            match &mut self.state {
                State::Answer(seen) => {
                    *seen = match (*seen, *first) {
                        (seen, byte) if byte == END[seen] => seen + 1,
                        (_, b'\r') => 1,
                        _ => 0,
                    };
                    if *seen == END.len() {
                        self.state = State::Head([0; MAX_HEAD], 0);
                    }
                    bytes = rest;
                }
                State::Head(head, length) => {
                    head[*length] = *first;
                    *length += 1;
                    if let Some(payload) = payload(&head[..*length]) {
                        self.state = State::rest(payload);
                    }
                    bytes = rest;
                }
                State::Rest(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[here..];
                    self.state = State::rest(*left - here as u64);
                }
            }
        }
    }

    /// Returns whether a frame can begin here.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self.state, State::Head(_, 0))
    }
}

impl State {
    const fn rest(left: u64) -> Self {
        if left == 0 { Self::Head([0; MAX_HEAD], 0) } else { Self::Rest(left) }
    }
}

/// Returns the length after the head of a frame, if the head is complete (RFC 6455, 5.2).
fn payload(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let length = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
        127 => u64::from_be_bytes(head.get(2..10)?.try_into().ok()?),
        short => u64::from(short),
    };
    // The masking key, which a server does not send, precedes the masked data.
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    Some(length.saturating_add(mask))
}

/// Returns a close frame with this code (RFC 6455, 7.4.1).
pub(super) const fn close(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x88, 2, high, low]
}

pub(super) const GOING_AWAY: u16 = 1001;
/// The credentials of the tunnel are no longer valid.
pub(super) const POLICY: u16 = 1008;
/// Two bytes, and eight more for a long length. A masking key counts as data.
const MAX_HEAD: usize = 10;
const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the offsets at which a frame can begin.
    fn between(bytes: &[u8], piece: usize) -> Vec<usize> {
        let mut frames = Frames::default();
        let mut places = Vec::new();
        for (index, part) in bytes.chunks(piece).enumerate() {
            frames.sent(part);
            if frames.is_between() {
                places.push(index * piece + part.len());
            }
        }
        places
    }

    #[test]
    fn frames_end_where_they_say() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\r\n\r\n";
        let mut bytes = answer.to_vec();
        let mut ends = vec![bytes.len()];
        for (head, length) in [
            (vec![0x81, 0], 0),
            (vec![0x81, 5], 5),
            (vec![0x82, 126, 1, 0], 256),
            (vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
            (vec![0x01, 0x83, 9, 9, 9, 9], 3),
            (vec![0x88, 2], 2),
        ] {
            bytes.extend(head);
            bytes.extend(std::iter::repeat_n(0x81, length));
            ends.push(bytes.len());
        }
        assert_eq!(between(&bytes, 1), ends);
        for piece in [2, 7, 4096] {
            let seen = between(&bytes, piece);
            let expected: Vec<_> = ends.iter().copied().filter(|end| end % piece == 0 || *end == bytes.len()).collect();
            assert_eq!(seen, expected, "{piece}");
        }
    }

    #[test]
    fn a_length_without_an_end_overflows_nothing() {
        let mut frames = Frames::default();
        frames.sent(b"\r\n\r\n\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff");
        frames.sent(&[0; 1000]);
        assert!(!frames.is_between());
        assert_eq!(close(GOING_AWAY), [0x88, 2, 3, 233]);
    }
}
