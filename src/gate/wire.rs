//! Parts of a raw HTTP/1 request head that a parser does not show, and the size of an HTTP/2 head.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method};

/// Returns the target of the request line. A parser cuts the fragment off, which must be refused.
#[must_use]
pub fn target(head: &[u8]) -> Option<&[u8]> {
    // Empty lines before the request line are to be ignored (RFC 9112, 2.2).
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let line = head[start..].split(|byte| *byte == b'\n').next()?;
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    let (_method, target, _version) = (words.next()?, words.next()?, words.next()?);
    words.next().is_none().then_some(target)
}

/// Returns whether there is a Content-Length header. Pingora removes it beside Transfer-Encoding before any filter runs
/// (`pingora-core 0.9.1 src/protocols/http/v1/server.rs`), so only the raw bytes show both (RFC 9112, 6.1).
#[must_use]
pub fn names_content_length(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    })
}

/// Returns whether the names of headers are valid (RFC 9110, 5.6.2). `http` accepts one more character, which never
/// occurs over HTTP/1.
#[must_use]
pub fn names_are_tokens(headers: &HeaderMap) -> bool {
    headers.keys().all(|name| !name.as_str().contains('"'))
}

/// Returns whether the headers announce a body.
#[must_use]
pub fn has_body(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
        || headers.contains_key(TRANSFER_ENCODING)
}

/// Returns whether these headers of an HTTP/1.1 request ask for an upgrade to WebSocket.
#[must_use]
pub fn asks_for_websocket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Returns the size of an HTTP/2 head as for `SETTINGS_MAX_HEADER_LIST_SIZE` (RFC 9113, 6.5.2): the bytes of names and
/// values, and 32 per field.
#[must_use]
pub fn field_list_size(
    method: &Method,
    scheme: &str,
    authority: Option<&str>,
    path: &[u8],
    headers: &HeaderMap,
) -> usize {
    let field = |name: &str, value: &[u8]| name.len() + value.len() + FIELD_OVERHEAD;
    let pseudo = field(":method", method.as_str().as_bytes())
        + field(":scheme", scheme.as_bytes())
        + field(":path", path)
        + authority.map_or(0, |authority| field(":authority", authority.as_bytes()));
    headers.iter().fold(pseudo, |sum, (name, value)| sum + field(name.as_str(), value.as_bytes()))
}

const FIELD_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_field_counts_its_name_its_value_and_32() {
        let size = |authority, headers: &HeaderMap| field_list_size(&Method::GET, "https", authority, b"/", headers);
        let mut headers = HeaderMap::new();
        assert_eq!(size(None, &headers), (7 + 3 + 32) + (7 + 5 + 32) + (5 + 1 + 32));
        assert_eq!(size(Some("h"), &headers) - size(None, &headers), 10 + 1 + 32);
        let empty = size(None, &headers);
        headers.append("cookie", HeaderValue::from_static("a=b"));
        headers.append("cookie", HeaderValue::from_static("c"));
        assert_eq!(size(None, &headers) - empty, (6 + 3 + 32) + (6 + 1 + 32));
    }

    #[test]
    fn names_are_of_the_characters_that_a_token_has() {
        // Whatever else `http` may come to take.
        for byte in 0..=u8::MAX {
            let Ok(name) = http::HeaderName::from_lowercase(&[byte]) else { continue };
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(""))]);
            assert_eq!(names_are_tokens(&headers), is_token, "{:?}", char::from(byte));
        }
        let quoted = http::HeaderName::from_lowercase(b"x\"").unwrap();
        assert!(!names_are_tokens(&HeaderMap::from_iter([(quoted, HeaderValue::from_static(""))])));
    }

    #[test]
    fn the_target_is_what_stands_between_two_spaces() {
        assert_eq!(target(b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"), Some(&b"/a#b"[..]));
        assert_eq!(target(b"\r\n\r\nGET / HTTP/1.1\n\n"), Some(&b"/"[..]));
        assert_eq!(target(b"GET /a b HTTP/1.1\r\n\r\n"), None);
        assert_eq!(target(b"GET /\r\n\r\n"), None);
        assert_eq!(target(b""), None);
    }

    #[test]
    fn content_length_is_found_in_any_case() {
        assert!(names_content_length(b"GET / HTTP/1.1\r\ncOntent-length: 1\r\n\r\n"));
        assert!(names_content_length(b"GET / HTTP/1.1\nA: b\nContent-Length:1\n\n"));
        assert!(!names_content_length(
            b"GET /content-length HTTP/1.1\r\nX-Content-Length: 1\r\nA: Content-Length: 1\r\n\r\n"
        ));
    }

    #[test]
    fn a_body_is_announced_by_a_length_that_is_not_0_or_by_chunks() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
        };
        for (pairs, announced) in [
            (&[][..], false),
            (&[("content-length", "0")], false),
            (&[("content-length", "1")], true),
            (&[("content-length", "00")], true),
            (&[("transfer-encoding", "chunked")], true),
            (&[("transfer-encoding", "chunked"), ("content-length", "0")], true),
        ] {
            assert_eq!(has_body(&headers(pairs)), announced, "{pairs:?}");
        }
        assert!(asks_for_websocket(&headers(&[("upgrade", "WebSocket")])));
        assert!(!asks_for_websocket(&headers(&[("upgrade", "h2c")])));
        assert!(!asks_for_websocket(&headers(&[("connection", "upgrade")])));
    }
}
