//! Parsers for values that several sections have.

use super::host::{Authority, Host};
use super::reader::spelling::quote;

/// Parses one host, without a port and without a pattern.
pub(in crate::config) fn host(text: &str) -> Result<Host, String> {
    if text.contains('*') {
        return Err(format!(
            "invalid host {}: a pattern is not supported; write one host, or remove it to match every host",
            quote(text)
        ));
    }
    if let Some(Authority { host, port: Some(_) }) = Authority::parse(text) {
        return Err(format!("invalid host {}: it has a port; write \"{host}\"", quote(text)));
    }
    Host::parse(text).ok_or_else(|| format!("invalid host {}: write it as \"app.example.com\"", quote(text)))
}

/// Parses a path in canonical form: the gate compares request paths in the same form.
pub(in crate::config) fn path(text: &str) -> Result<String, String> {
    let problem = if !text.starts_with('/') {
        "does not start with a slash"
    } else if text.contains("//") {
        "has an empty segment"
    } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        "has a dot segment"
    } else if text.len() > 1 && text.ends_with('/') {
        "ends with a slash: write it without, since a path includes everything below it"
    } else if text.contains(['?', '#']) {
        "has a query or a fragment: write the path only"
    } else if text.contains('*') {
        "has an asterisk: write it without, since a path includes everything below it"
    } else if !text.bytes().all(is_path_byte) {
        "has a character other than letters, digits, slashes and -._~!$&'()+,;=:@"
    } else {
        return Ok(text.into());
    };
    Err(format!("invalid path {}: it {problem}", quote(text)))
}

/// Characters that RFC 3986 allows in a path without percent-encoding, except the asterisk, which looks like a pattern.
const fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'')
        || matches!(byte, b'(' | b')' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

/// Parses a string that goes unchanged into a token or a header.
pub(in crate::config) fn plain(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{} must not have a control character", quote(text)));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_canonical() {
        for good in ["/", "/api/1/ce", "/a.b/..c/~x", "/A:@b"] {
            assert_eq!(path(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "api",
            "/a/",
            "//",
            "/a//b",
            "/./a",
            "/a/..",
            "/a?b",
            "/a#b",
            "/a*",
            "/a%2f",
            "/a b",
            "/é",
            "/a\\b",
            "/a\n",
            "/{id}",
            "http://a/b",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
