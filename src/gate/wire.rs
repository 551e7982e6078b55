//! Reading the head of an HTTP/1 request as it came, for what a parser no longer shows.

/// The target of the request line. A parser cuts a fragment off, and we want to refuse it.
#[must_use]
pub fn target(head: &[u8]) -> Option<&[u8]> {
    // Empty lines before the request line are to be ignored (RFC 9112, 2.2).
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let line = head[start..].split(|byte| *byte == b'\n').next()?;
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    let (_method, target, _version) = (words.next()?, words.next()?, words.next()?);
    words.next().is_none().then_some(target)
}

/// Whether a Content-Length header came. Pingora removes it when Transfer-Encoding came too, before any filter runs
/// (`protocols/http/v1/server.rs`), so a request with both can be told only from its bytes (RFC 9112, 6.1).
#[must_use]
pub fn names_content_length(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"content-length")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
