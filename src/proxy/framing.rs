//! Where requests of HTTP/1 begin and end, read as strictly as RFC 9112 writes it.
//!
//! ☠ Pingora repairs a request line that has spaces or control characters in its target, and reads the sizes of chunks as
//! leniently as `httparse`: a line without a digit is 0, and anything passes for an extension, line ends too. A proxy in
//! front of this one may read the same bytes as other requests, so what is not plain is refused. Pingora shows neither
//! line as it came: only its stream sees them.

/// How far a request has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// Empty lines may precede it (RFC 9112, 2.2).
    #[default]
    Start,
    /// In the request line, after so many spaces.
    Line { spaces: u8 },
    /// In a line of the head whose first bytes are so many of [`TRANSFER_ENCODING`].
    Field { matched: u8, chunked: bool },
    /// In a line that is only skipped.
    Rest { chunked: bool },
    /// After a carriage return with which a line of the head began.
    HeadEnd { chunked: bool },
    /// In a chunk's size, after so many digits.
    Size { digits: u8, size: u64 },
    /// In the extensions of a chunk that is so large.
    Extension { size: u64 },
    /// Before the line feed that ends the line of such a chunk.
    SizeEnd { size: u64 },
    /// In a chunk's data, of which so much is to come.
    Data { left: u64 },
    /// Before the line end that follows a chunk's data.
    DataEnd { returned: bool },
    /// At the beginning of a trailer, or of the empty line that ends the body.
    Trailer,
    /// In a trailer.
    InTrailer,
    /// Before the line feed of a trailer.
    TrailerEnd,
    /// Before the last line feed.
    LastEnd,
    /// Nothing more has to be looked at.
    Over,
}

/// What can be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    RequestLine,
    Chunk,
}

impl Framing {
    /// Reads on.
    ///
    /// # Errors
    /// The request must not be served.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() && *self != Self::Over {
            let read = self.step(bytes)?;
            bytes = &bytes[read..];
        }
        Ok(())
    }

    /// Reads one byte, or as many as mean nothing here. Returns how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let byte = bytes[0];
        let (next, read) = match *self {
            Self::Start if matches!(byte, b'\r' | b'\n') => (Self::Start, 1),
            Self::Start => (Self::Line { spaces: 0 }, 0),
            Self::Line { spaces } => {
                let word = bytes.iter().position(|byte| !is_of_target(*byte)).unwrap_or(bytes.len());
                match bytes.get(word) {
                    None => (*self, word),
                    Some(b' ') if spaces < 2 => (Self::Line { spaces: spaces + 1 }, word + 1),
                    // What follows a carriage return is the parser's business.
                    Some(b'\r' | b'\n') if spaces == 2 => (Self::Rest { chunked: false }, word),
                    Some(_) => return Err(Fault::RequestLine),
                }
            }
            Self::Field { matched: 0, chunked } if byte == b'\r' => (Self::HeadEnd { chunked }, 1),
            Self::Field { matched: 0, chunked } if byte == b'\n' => (Self::after_head(chunked), 1),
            Self::Field { matched, chunked } => match TRANSFER_ENCODING.get(usize::from(matched)) {
                Some(wanted) if byte.eq_ignore_ascii_case(wanted) => (Self::Field { matched: matched + 1, chunked }, 1),
                Some(_) => (Self::Rest { chunked }, 0),
                None => (Self::Rest { chunked: true }, 0),
            },
            Self::Rest { chunked } => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => (Self::Field { matched: 0, chunked }, end + 1),
                None => (*self, bytes.len()),
            },
            Self::HeadEnd { chunked } => (Self::after_head(chunked), 1),
            Self::Size { digits, size } => (Self::size(byte, digits, size)?, 1),
            Self::Extension { size } => match byte {
                b'\r' => (Self::SizeEnd { size }, 1),
                byte if is_of_line(byte) => (*self, 1),
                _ => return Err(Fault::Chunk),
            },
            Self::SizeEnd { .. } | Self::TrailerEnd | Self::LastEnd if byte != b'\n' => return Err(Fault::Chunk),
            Self::SizeEnd { size: 0 } | Self::TrailerEnd => (Self::Trailer, 1),
            Self::SizeEnd { size } => (Self::Data { left: size }, 1),
            Self::Data { left } => {
                let here = left.min(bytes.len() as u64);
                let left = left - here;
                // No more than there are bytes.
                let read = usize::try_from(here).unwrap_or(bytes.len());
                (if left == 0 { Self::DataEnd { returned: false } } else { Self::Data { left } }, read)
            }
            Self::DataEnd { returned: false } if byte == b'\r' => (Self::DataEnd { returned: true }, 1),
            Self::DataEnd { returned: true } if byte == b'\n' => (Self::Size { digits: 0, size: 0 }, 1),
            Self::DataEnd { .. } => return Err(Fault::Chunk),
            Self::Trailer if byte == b'\r' => (Self::LastEnd, 1),
            Self::Trailer | Self::InTrailer => match byte {
                b'\r' => (Self::TrailerEnd, 1),
                byte if is_of_line(byte) => (Self::InTrailer, 1),
                _ => return Err(Fault::Chunk),
            },
            Self::LastEnd | Self::Over => (Self::Over, 1),
        };
        *self = next;
        Ok(read)
    }

    const fn after_head(chunked: bool) -> Self {
        if chunked { Self::Size { digits: 0, size: 0 } } else { Self::Over }
    }

    /// Of a chunk: `1*HEXDIG [ chunk-ext ] CRLF` (RFC 9112, 7.1).
    fn size(byte: u8, digits: u8, size: u64) -> Result<Self, Fault> {
        match (char::from(byte).to_digit(16), byte) {
            (Some(digit), _) if digits < MAX_SIZE_DIGITS => {
                Ok(Self::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
            }
            (None, b'\r') if digits > 0 => Ok(Self::SizeEnd { size }),
            (None, b';' | b' ' | b'\t') if digits > 0 => Ok(Self::Extension { size }),
            _ => Err(Fault::Chunk),
        }
    }
}

/// What may stand in a method, a target or a version; what a target may hold of it is for the gate to say.
const fn is_of_target(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | b'"' | b'<' | b'>' | 0x7f)
}

/// What may stand in a line.
const fn is_of_line(byte: u8) -> bool {
    !matches!(byte, 0..=8 | 10..=31 | 0x7f)
}

const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";
/// No chunk is of 2^60 bytes or more.
const MAX_SIZE_DIGITS: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    /// How far `bytes` lead, however they come.
    fn read(bytes: &[u8]) -> Result<Framing, Fault> {
        let mut whole = Framing::default();
        let outcome = whole.read(bytes).map(|()| whole);
        for size in [1, 2, 7] {
            let mut pieces = Framing::default();
            let in_pieces = bytes.chunks(size).try_for_each(|piece| pieces.read(piece)).map(|()| pieces);
            assert_eq!(in_pieces, outcome, "{size}: {}", bytes.escape_ascii());
        }
        outcome
    }

    #[test]
    fn a_request_line_has_two_spaces_and_nothing_that_is_repaired() {
        for plain in
            ["GET / HTTP/1.1\r\n\r\n", "\r\n\r\nGET /a?b%20c HTTP/1.1\r\nA: b\r\n\r\n", "GET /\u{e4} HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(read(plain.as_bytes()), Ok(Framing::Over), "{plain}");
        }
        for other in [
            "GET /a b HTTP/1.1\r\n",
            "GET  / HTTP/1.1\r\n",
            "GET /  HTTP/1.1\r\n",
            "GET / HTTP/1.1 \r\n",
            " GET / HTTP/1.1\r\n",
            "GET\t/ HTTP/1.1\r\n",
            "GET /\0 HTTP/1.1\r\n",
            "GET /\x0b HTTP/1.1\r\n",
            "GET /\x7f HTTP/1.1\r\n",
            "GET /<a> HTTP/1.1\r\n",
            "GET /\" HTTP/1.1\r\n",
            "GET /\r\n",
            "GET /\r/ HTTP/1.1\r\n",
        ] {
            assert_eq!(read(other.as_bytes()), Err(Fault::RequestLine), "{other:?}");
        }
    }

    #[test]
    fn nothing_is_looked_at_after_a_head_without_chunks() {
        for head in ["Content-Length: 3\r\n", "X-Transfer-Encoding: chunked\r\n", "Transfer-Encodings: chunked\r\n", ""]
        {
            assert_eq!(read(format!("POST / HTTP/1.1\r\n{head}\r\nno chunk").as_bytes()), Ok(Framing::Over), "{head}");
        }
        assert_eq!(read(b"GET / HTTP/1.1\nA: b\n\nx"), Ok(Framing::Over), "line feeds alone are the parser's business");
    }

    #[test]
    fn chunks_are_as_the_rfc_has_them() {
        let body = |chunks: &str| {
            ["Transfer-Encoding: chunked", "A: b\r\ntRANSFER-eNCODING:x", "Transfer-Encoding:\r\nA: b"]
                .map(|fields| read(format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{chunks}").as_bytes()))
        };
        for plain in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00005;a=b;c=\"d e\"\r\nhello\r\n0;last\r\nA: b\r\nC: d\r\n\r\n",
            "5 ;a\r\n\r\n\0\r\n\r\n0\r\n\r\nGET <anything>",
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        ] {
            assert_eq!(body(plain), [Ok(Framing::Over); 3], "{plain:?}");
        }
        assert_eq!(body("fffffffffffffff\r\nx")[0], Ok(Framing::Data { left: (1 << 60) - 2 }));
        for other in [
            "\r\nhello",
            ";a\r\n",
            " 5\r\n",
            "+5\r\n",
            "0x5\r\n",
            "5\nhello",
            "5\rhello",
            "5;a\nhello",
            "5;\0\r\n",
            "5;a\rb\r\n",
            "5x\r\n",
            "1000000000000000\r\n",
            "5\r\nhelloworld",
            "5\r\nhello\n",
            "5\r\nhello\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\n\rx",
            "0\r\n\n",
            "0\r\nA\0\r\n\r\n",
        ] {
            assert_eq!(body(other), [Err(Fault::Chunk); 3], "{other:?}");
        }
    }
}
