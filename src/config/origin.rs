//! Web origins (RFC 6454), and the list of allowed origins of a realm.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;

use foldhash::fast::RandomState;

use super::host::Authority;
use crate::config::sealed::Sealed;

/// `scheme://host[:port]`. For `http` and `https` in lower case and without the default port. For other schemes, as apps and
/// browser extensions have, unchanged: their canonical form is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(Box<str>);

impl Origin {
    /// Parses an origin as a browser serializes it. Any text after the port makes it invalid, even a slash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => "https",
            _ if scheme.eq_ignore_ascii_case("http") => "http",
            // A file has no host.
            _ => return (is_scheme(scheme) && rest.bytes().all(is_host_byte)).then(|| Self(text.into())),
        };
        // To a browser, a name with a trailing dot is a different origin, and the browser sends the dot (R48: exact match).
        if rest.ends_with('.') || rest.contains(".:") {
            return None;
        }
        Some(Self::new(scheme, &Authority::parse(rest)?))
    }

    /// Makes the origin of `authority` with `scheme`, which is `http` or `https`.
    #[must_use]
    pub fn new(scheme: &str, authority: &Authority) -> Self {
        let default = if scheme == "https" { 443 } else { 80 };
        let host = &authority.host;
        Self(match authority.port {
            Some(port) if port != default => format!("{scheme}://{host}:{port}").into(),
            _ => format!("{scheme}://{host}").into(),
        })
    }

    /// Returns the text that a browser sends.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the `https` origin of an `http` origin with the default port.
    #[must_use]
    pub fn secured(&self) -> Option<Self> {
        let host = self.0.strip_prefix("http://")?;
        Some(Self(format!("https://{host}").into()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for Origin {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Origins that are allowed to call a realm from a browser (docs/credentials.md, Origins).
#[derive(Clone, Debug, Default)]
pub struct Origins {
    pub(super) listed: HashSet<Origin, RandomState>,
    /// The list contains `"null"`.
    pub allows_null: bool,
    /// `any_origin_credentials`: with an empty list, requests with credentials are allowed from any origin.
    pub any_with_credentials: bool,
    pub(in crate::config) _sealed: Sealed,
}

impl Origins {
    /// Returns true for an empty list: every origin is allowed.
    #[must_use]
    pub fn allows_any(&self) -> bool {
        self.listed.is_empty() && !self.allows_null
    }

    #[must_use]
    pub fn contains(&self, origin: &Origin) -> bool {
        self.listed.contains(origin)
    }

    /// Returns whether the list contains this text exactly. Another spelling must be parsed first.
    #[must_use]
    pub fn contains_text(&self, text: &str) -> bool {
        self.listed.contains(text)
    }
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Characters of host and port in any scheme (RFC 3986, 3.2.2), except the asterisk, which looks like a pattern, and the comma,
/// which looks like a list.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')'
        )
        || matches!(byte, b'+' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_every_spelling() {
        for (text, canonical) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.com:443", "https://app.example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("ionic://localhost:8080", "ionic://localhost:8080"),
            ("tauri://localhost", "tauri://localhost"),
            ("Chrome-Extension://AbcDef", "Chrome-Extension://AbcDef"),
            (
                "moz-extension://0c1a2b3c-1111-2222-3333-444455556666",
                "moz-extension://0c1a2b3c-1111-2222-3333-444455556666",
            ),
            ("app://obsidian.md", "app://obsidian.md"),
            ("file://", "file://"),
            ("ftp://a.example:21", "ftp://a.example:21"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), canonical);
        }
    }

    #[test]
    fn invalid_origins() {
        for bad in [
            "",
            "null",
            "*",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://a.example/x",
            "https://a.example.",
            "https://a.example.:8443",
            "https://user@a.example",
            "https://a.example:443:443",
            "ftp://user@a.example",
            "capacitor://localhost/",
            "capacitor://local host",
            "capacitor://*",
            "capacitor://localhost, https://a.example",
            "file:///",
            "://a.example",
            "1a://b",
            "blob:https://a.example",
            "data:x",
            "a b://c",
            "https://a.example ",
            "https://*.example",
            "https:/a.example",
            "https://a.example, https://b.example",
            "https://a.example?x",
            "https://a.example.",
            "https://a.example.:8443",
            "https://a.example#x",
        ] {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
    }
}
