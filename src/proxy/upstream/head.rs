//! Reads the head of an answer, and its trailers.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::proxy::framing::response::{Ambiguous, Fields, Framing, is_trailer};
use crate::proxy::framing::{MAX_CHUNK_DIGITS, MAX_FIELDS};

/// The head of an answer, without the fields of its connection.
#[derive(Debug)]
pub(in crate::proxy) struct Head {
    pub(in crate::proxy) status: StatusCode,
    /// The reason phrase, if it is not the usual one of the status.
    pub(in crate::proxy) reason: Option<String>,
    pub(in crate::proxy) headers: HeaderMap,
    pub(in crate::proxy) framing: Framing,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    /// Not HTTP/1.
    Malformed,
    Ambiguous(Ambiguous),
}

/// Returns the end of the head at the start of these bytes: after the first empty line. The first `searched` bytes hold no end.
pub(super) fn end(bytes: &[u8], searched: usize) -> Option<usize> {
    // The end can have begun in the searched bytes.
    let from = searched.saturating_sub(2);
    let line_ends = bytes[from..].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    line_ends.map(|(at, _)| from + at + 1).find_map(|at| match bytes[at..] {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}

/// Reads a complete head.
pub(super) fn read(raw: &Bytes, method: &Method) -> Result<Head, HeadError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let mut parser = httparse::ParserConfig::default();
    // RFC 9112, 5.1 and 5.2: a proxy removes white space after a name, and joins the lines of a folded value.
    parser.allow_spaces_after_header_name_in_responses(true);
    parser.allow_obsolete_multiline_headers_in_responses(true);
    match parser.parse_response_with_uninit_headers(&mut response, raw, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == raw.len() => {}
        _ => return Err(HeadError::Malformed),
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(HeadError::Malformed)?;
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut collected = Fields::with_capacity(response.headers.len() + ADDED);
    for field in response.headers.iter() {
        let (name, value, folded) = read_field(raw, field).ok_or(HeadError::Malformed)?;
        collected.add(name, value, folded);
    }
    let (headers, framing) = collected.finish(status, version, method).map_err(HeadError::Ambiguous)?;
    let reason = response.reason.filter(|reason| !reason.is_empty() && Some(*reason) != status.canonical_reason());
    Ok(Head { status, reason: reason.map(str::to_owned), headers, framing })
}

/// Reads complete trailers, and keeps those that are passed on. `None`: malformed.
pub(super) fn trailers(raw: &Bytes) -> Option<HeaderMap> {
    let ends_lines = raw.iter().zip(raw.iter().skip(1)).all(|(before, byte)| *byte != b'\n' || *before == b'\r');
    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    match httparse::parse_headers(raw, &mut fields) {
        Ok(httparse::Status::Complete((length, fields))) if ends_lines && length == raw.len() => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let (name, value, _) = read_field(raw, field)?;
                if is_trailer(&name) {
                    trailers.append(name, value);
                }
            }
            Some(trailers)
        }
        _ => None,
    }
}

/// Reads the size of a chunk from its first line, without the line end: `1*HEXDIG [ chunk-ext ]` (RFC 9112, 7.1). `None`:
/// malformed.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let count = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(count);
    // Applications often send spaces at the end, which no RFC allows.
    let is_extension = matches!(rest.trim_ascii_start().first(), None | Some(b';'));
    let is_text = rest.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    if !(1..=MAX_CHUNK_DIGITS).contains(&count) || !is_extension || !is_text {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Returns name and value, and whether the value came in several lines.
fn read_field(raw: &Bytes, field: &httparse::Header<'_>) -> Option<(HeaderName, HeaderValue, bool)> {
    let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
    let value = field.value.trim_ascii();
    // TRAP: httparse trims line ends at both ends of a value (httparse 1.10.1, src/lib.rs), so a folded value can look like one
    // line.
    let folded = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) && is_folded(raw, field.name);
    let value = if value.contains(&b'\n') {
        let lines: Vec<_> = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
        Bytes::from(lines.join(&b' '))
    } else {
        raw.slice_ref(value)
    };
    Some((name, HeaderValue::from_maybe_shared(value).ok()?, folded))
}

/// Returns whether the field of this name, a slice of `raw`, continues in another line.
fn is_folded(raw: &Bytes, name: &str) -> bool {
    let start = (name.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
    let mut lines = raw.get(start..).unwrap_or_default().split(|byte| *byte == b'\n');
    lines.nth(1).is_none_or(|next| matches!(next.first(), Some(b' ' | b'\t')))
}

const MOST_TRAILERS: usize = 64;
/// Number of headers that Tollgate adds: CORS, framing, the date and the request id.
const ADDED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::framing::response::Length;

    fn read(text: &str) -> Result<Head, HeadError> {
        super::read(&Bytes::copy_from_slice(text.as_bytes()), &Method::GET)
    }

    #[test]
    fn a_head_ends_with_its_first_empty_line() {
        for (bytes, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\nbody\r\n\r\n", Some(19)),
            ("HTTP/1.1 200 OK\n\nbody", Some(17)),
            ("a\r\n\nb", Some(4)),
            ("a\n\r\nb", Some(4)),
            ("a\r\nb\r\n", None),
            ("a\r\n\r", None),
            ("", None),
        ] {
            assert_eq!(end(bytes.as_bytes(), 0), expected, "{bytes:?}");
            // However it comes.
            let found = (1..=bytes.len()).find_map(|come| end(&bytes.as_bytes()[..come], come - 1));
            assert_eq!(found, expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_head_is_read_as_the_rfc_has_it() {
        let head =
            read("HTTP/1.0 404 Gone Fishing\r\nX-One :  a\r\nX-Two: b\r\n \t c\r\nContent-Length: 5\r\n\r\n").unwrap();
        assert_eq!((head.status, head.reason.as_deref()), (StatusCode::NOT_FOUND, Some("Gone Fishing")));
        assert_eq!((head.headers["x-one"].as_bytes(), head.headers["x-two"].as_bytes()), (&b"a"[..], &b"b c"[..]));
        assert_eq!(head.framing.length, Length::Bytes(5));
        assert_eq!(read("HTTP/1.1 200\r\n\r\n").unwrap().reason, None);
        assert_eq!(read("HTTP/1.1 200 OK\nA: b\n\n").unwrap().headers["a"], "b", "line feeds alone");
        for folded in [
            "Transfer-Encoding:\r\n chunked",
            "Content-Length: 5\r\n\t",
            "Connection: x,\r\n close",
            "Content-Length: 1\r\n 2",
        ] {
            let head = read(&format!("HTTP/1.1 200 OK\r\nA: b\r\n{folded}\r\nC: d\r\n\r\n"));
            assert!(matches!(head, Err(HeadError::Ambiguous(_))), "{folded:?}");
        }
        for other in [
            "220 mail.example.com ESMTP\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(read(other).err(), Some(HeadError::Malformed), "{other:?}");
        }
    }

    #[test]
    fn the_size_of_a_chunk_is_hexadecimal() {
        for (line, size) in [("0", 0), ("5", 5), ("00aF", 175), ("5;a=b;c=\"d\"", 5), ("5 ", 5), ("5\t;a", 5)] {
            assert_eq!(chunk_size(line.as_bytes()), Some(size), "{line:?}");
        }
        assert_eq!(chunk_size(b"fffffffffffffff"), Some((1 << 60) - 1));
        for line in ["5 5", "5\t5;", "", ";a", " 5", "+5", "-5", "0x5", "5x", "5\r", "5;\0", "1000000000000000", "g"] {
            assert_eq!(chunk_size(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn trailers_are_fields_with_ends_of_lines() {
        let read = |text: &str| trailers(&Bytes::copy_from_slice(text.as_bytes()));
        let kept = read("X-Sum: 5\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\nx-sum: 6\r\n\r\n").unwrap();
        assert_eq!((kept.len(), kept.get_all("x-sum").iter().count()), (2, 2));
        for other in ["X-Sum: 5\n\r\n", "X-Sum: 5\r\n\n", "X Sum: 5\r\n\r\n", "no colon\r\n\r\n", "A: \0\r\n\r\n"] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }
}
