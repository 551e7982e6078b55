//! Framing of HTTP/1 requests, as strict as RFC 9112.
//!
//! TRAP: pingora repairs a request line with spaces or control characters in its target, and reads chunk sizes as `httparse`
//! does: a line without a digit is 0, and any bytes are an extension, line ends too (pingora-core 0.9.1,
//! src/protocols/http/v1/server.rs and body.rs). A proxy in front of Tollgate can read the same bytes as other requests, so
//! Tollgate refuses them. Pingora shows neither line as it came: only its stream sees them.
//!
//! The end of a request is found here too. Bytes after it reach pingora only when the request is answered, so each request of a
//! pipeline is read by the same rules. If pingora finds another end, it gets no more bytes, or takes bytes of the request for a
//! malformed one, and the connection ends. The bytes of one request are never served as two.

use super::{MAX_CHUNK_DIGITS, MAX_FIELDS};

/// The position in a request, and what its head says about its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::proxy) struct Framing {
    at: At,
    /// Number of field lines so far.
    fields: usize,
    chunked: bool,
    length: Length,
}

/// A position in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Empty lines may precede it (RFC 9112, 2.2).
    #[default]
    Start,
    /// After the carriage return of such a line.
    StartEnd,
    /// In the request line, after this number of spaces.
    Line {
        spaces: u8,
    },
    /// At the beginning of a line of the head.
    Field,
    /// In a field line that begins with this number of bytes of this name.
    Name {
        name: &'static [u8],
        matched: u8,
    },
    /// In the value of Content-Length. `read`: its number so far. `over`: only white space may follow.
    Length {
        read: Option<u64>,
        over: bool,
    },
    /// In a line that does not concern the framing.
    Rest,
    /// After a carriage return with which a line of the head began.
    HeadEnd,
    /// In a body of which this number of bytes is still to come.
    Body {
        left: u64,
    },
    /// In a chunk size, after this number of digits.
    Size {
        digits: usize,
        size: u64,
    },
    /// In the extensions of a chunk of this size.
    Extension {
        size: u64,
    },
    /// Before the line feed that ends the line of a chunk size.
    SizeEnd {
        size: u64,
    },
    /// In the data of a chunk, of which this number of bytes is still to come.
    Data {
        left: u64,
    },
    /// Before the line end that follows a chunk's data.
    DataEnd {
        returned: bool,
    },
    /// At the beginning of a trailer, or of the empty line that ends the body.
    Trailer,
    InTrailer,
    /// Before the line feed of a trailer.
    TrailerEnd,
    /// Before the last line feed.
    LastEnd,
    Over,
    /// In a request with an ambiguous length. Tollgate refuses it, and no later request is read.
    Unclear,
}

/// The value of Content-Length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Bytes(u64),
    /// Two fields, or an invalid number.
    Unclear,
}

/// Why the rest of a request is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum FramingError {
    RequestLine,
    /// More than [`MAX_FIELDS`].
    Fields,
    Chunk,
}

impl Framing {
    /// Reads on. Returns how many of the bytes belong to this request.
    ///
    /// # Errors
    /// The request must not be served.
    pub(in crate::proxy) fn read(&mut self, bytes: &[u8]) -> Result<usize, FramingError> {
        let mut read = 0;
        while read < bytes.len() && self.at != At::Over {
            read += self.step(&bytes[read..])?;
        }
        Ok(read)
    }

    /// Returns whether the whole request has come.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Returns how many of these bytes are empty lines before a request.
    pub(in crate::proxy) fn blank(&self, bytes: &[u8]) -> usize {
        if self.at != At::Start {
            return 0;
        }
        let mut blank = 0;
        loop {
            match &bytes[blank..] {
                [b'\n', ..] => blank += 1,
                [b'\r', b'\n', ..] => blank += 2,
                _ => return blank,
            }
        }
    }

    /// Reads one byte, or several that do not change the position. Returns how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, FramingError> {
        let byte = bytes[0];
        let (next, read) = match self.at {
            At::Start | At::StartEnd if byte == b'\n' => (At::Start, 1),
            At::Start if byte == b'\r' => (At::StartEnd, 1),
            At::StartEnd => return Err(FramingError::RequestLine),
            At::Start => (At::Line { spaces: 0 }, 0),
            At::Line { spaces } => {
                let word = bytes.iter().position(|byte| !is_of_target(*byte)).unwrap_or(bytes.len());
                match bytes.get(word) {
                    None => (self.at, word),
                    Some(b' ') if spaces < 2 => (At::Line { spaces: spaces + 1 }, word + 1),
                    // The parser of pingora checks what follows a carriage return.
                    Some(b'\r' | b'\n') if spaces == 2 => (At::Rest, word),
                    Some(_) => return Err(FramingError::RequestLine),
                }
            }
            At::Field => (self.field(byte)?, 1),
            At::Name { name, matched } => match name.get(usize::from(matched)) {
                Some(wanted) if !byte.eq_ignore_ascii_case(wanted) => (At::Rest, 0),
                // The colon, after all of the name.
                Some(b':') => (self.named(name), 1),
                _ => (At::Name { name, matched: matched + 1 }, 1),
            },
            At::Length { read, over } => (self.digit(byte, read, over), usize::from(byte != b'\n')),
            At::Rest => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => (At::Field, end + 1),
                None => (At::Rest, bytes.len()),
            },
            At::HeadEnd => (self.after_head(), 1),
            At::Body { left } => {
                let (left, read) = take(left, bytes);
                (if left == 0 { At::Over } else { At::Body { left } }, read)
            }
            At::Size { digits, size } => (size_digit(byte, digits, size)?, 1),
            At::Extension { size } => match byte {
                b'\r' => (At::SizeEnd { size }, 1),
                byte if is_of_line(byte) => (self.at, 1),
                _ => return Err(FramingError::Chunk),
            },
            At::SizeEnd { .. } | At::TrailerEnd | At::LastEnd if byte != b'\n' => return Err(FramingError::Chunk),
            At::SizeEnd { size: 0 } | At::TrailerEnd => (At::Trailer, 1),
            At::SizeEnd { size } => (At::Data { left: size }, 1),
            At::Data { left } => {
                let (left, read) = take(left, bytes);
                (if left == 0 { At::DataEnd { returned: false } } else { At::Data { left } }, read)
            }
            At::DataEnd { returned: false } if byte == b'\r' => (At::DataEnd { returned: true }, 1),
            At::DataEnd { returned: true } if byte == b'\n' => (At::Size { digits: 0, size: 0 }, 1),
            At::DataEnd { .. } => return Err(FramingError::Chunk),
            At::Trailer if byte == b'\r' => (At::LastEnd, 1),
            At::Trailer | At::InTrailer => match byte {
                b'\r' => (At::TrailerEnd, 1),
                byte if is_of_line(byte) => (At::InTrailer, 1),
                _ => return Err(FramingError::Chunk),
            },
            At::LastEnd => (At::Over, 1),
            At::Over => (At::Over, 0),
            At::Unclear => (At::Unclear, bytes.len()),
        };
        self.at = next;
        Ok(read)
    }

    /// Returns the position after the first byte of a field line, or of the empty line.
    fn field(&mut self, byte: u8) -> Result<At, FramingError> {
        let name = match byte {
            b'\r' => return Ok(At::HeadEnd),
            b'\n' => return Ok(self.after_head()),
            b't' | b'T' => Some(TRANSFER_ENCODING),
            b'c' | b'C' => Some(CONTENT_LENGTH),
            _ => None,
        };
        if self.fields == MAX_FIELDS {
            return Err(FramingError::Fields);
        }
        self.fields += 1;
        Ok(name.map_or(At::Rest, |name| At::Name { name, matched: 1 }))
    }

    /// Returns the position after the colon of Transfer-Encoding or Content-Length.
    fn named(&mut self, name: &[u8]) -> At {
        if name == TRANSFER_ENCODING {
            self.chunked = true;
            return At::Rest;
        }
        At::Length { read: None, over: false }
    }

    /// Returns the position after a byte of the value of Content-Length.
    fn digit(&mut self, byte: u8, read: Option<u64>, over: bool) -> At {
        let sum = || read.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(byte - b'0'));
        match (byte, read) {
            (b'0'..=b'9', _) if !over => match sum() {
                Some(sum) => At::Length { read: Some(sum), over: false },
                None => self.unclear(),
            },
            (b' ' | b'\t', _) => At::Length { read, over: read.is_some() },
            // The parser of pingora checks what follows a carriage return.
            (b'\r' | b'\n', Some(length)) if self.length == Length::Absent => {
                self.length = Length::Bytes(length);
                At::Rest
            }
            _ => self.unclear(),
        }
    }

    const fn unclear(&mut self) -> At {
        self.length = Length::Unclear;
        At::Rest
    }

    /// Returns the position after the empty line that ends the head. Transfer-Encoding overrides Content-Length (RFC
    /// 9112, 6.3); Tollgate refuses a request with both.
    const fn after_head(&self) -> At {
        match self.length {
            _ if self.chunked => At::Size { digits: 0, size: 0 },
            Length::Absent | Length::Bytes(0) => At::Over,
            Length::Bytes(left) => At::Body { left },
            Length::Unclear => At::Unclear,
        }
    }
}

/// Returns how much of `left` bytes is still to come after these, and how many of these belong to them.
fn take(left: u64, bytes: &[u8]) -> (u64, usize) {
    let here = left.min(bytes.len() as u64);
    // The conversion can't fail: `here` is at most the number of bytes.
    (left - here, usize::try_from(here).unwrap_or(bytes.len()))
}

/// Returns the position after a byte of a chunk size: `1*HEXDIG [ chunk-ext ] CRLF` (RFC 9112, 7.1).
fn size_digit(byte: u8, digits: usize, size: u64) -> Result<At, FramingError> {
    match (char::from(byte).to_digit(16), byte) {
        (Some(digit), _) if digits < MAX_CHUNK_DIGITS => {
            Ok(At::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
        }
        (None, b'\r') if digits > 0 => Ok(At::SizeEnd { size }),
        (None, b';' | b' ' | b'\t') if digits > 0 => Ok(At::Extension { size }),
        _ => Err(FramingError::Chunk),
    }
}

/// Returns whether a method, a target or a version may contain this byte. Tollgate checks targets further.
const fn is_of_target(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | 0x7f)
}

/// Returns whether a chunk extension or a trailer may contain this byte.
const fn is_of_line(byte: u8) -> bool {
    !matches!(byte, 0..=8 | 10..=31 | 0x7f)
}

const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";
const CONTENT_LENGTH: &[u8] = b"content-length:";

#[cfg(test)]
mod tests;
