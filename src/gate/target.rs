//! The request target in the one form that every reader reads alike.
//!
//! A path that an app could read differently from us is refused, not rewritten: what was judged is then, byte for byte,
//! what is forwarded (`threats.md` R5, R8, R9). Routes are matched against the percent-decoded path, since `/%61dmin`
//! is `/admin` to every app (RFC 3986, 6.2.2.2).

use std::borrow::Cow;

use super::Deny;

/// A canonical target in origin form (RFC 9112, 3.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The path as it came, and as it is forwarded.
    pub(super) wire_path: &'a [u8],
    /// The path for matching: decoded, with a NUL for an encoded slash.
    pub(super) path: Cow<'a, str>,
    /// The paths that some apps read instead: those that take `;…` off its segments, or an encoded slash for a slash.
    pub(super) other_readings: Vec<String>,
    /// A slash is encoded in it: only for routes that opt in.
    pub(super) has_encoded_slash: bool,
    /// What follows the `?`, as it came.
    pub(super) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Reads the target of a request line or of `:path`.
    ///
    /// # Errors
    /// [`Deny::Target`] for a path that is not canonical or not in origin form, [`Deny::Query`] for a query with bytes
    /// that may not stand in one.
    pub(super) fn parse(raw: &'a [u8]) -> Result<Self, Deny> {
        let end = raw.iter().position(|byte| *byte == b'?');
        let (wire_path, query) = end.map_or((raw, None), |end| (&raw[..end], Some(&raw[end + 1..])));
        let path = std::str::from_utf8(wire_path).map_err(|_| Deny::Target)?;
        // Browsers never send a fragment; a proxy that cuts it off and an app that does not would part here.
        if !path.starts_with('/') || !path.bytes().all(|byte| is_printable(byte) && byte != b'\\' && byte != b'#') {
            return Err(Deny::Target);
        }
        // Any other byte of a query is the app's business: Latin-1 and JSON, too.
        if query.is_some_and(|query| !query.iter().all(|byte| is_visible(*byte) && *byte != b'#')) {
            return Err(Deny::Query);
        }
        let (decoded, has_encoded_slash) = decode(path)?;
        segments(&decoded)?;
        let other_readings = other_readings(&decoded, has_encoded_slash);
        other_readings.iter().try_for_each(|reading| segments(reading))?;
        Ok(Self { wire_path, path: decoded, other_readings, has_encoded_slash, query })
    }
}

/// No dot segments; no empty segment but the last, which a trailing slash makes.
fn segments(path: &str) -> Result<(), Deny> {
    // An app behind a route that lets encoded slashes pass may well read them as slashes.
    let mut rest = path[1..].split(['/', char::from(ENCODED_SLASH)]).peekable();
    while let Some(segment) = rest.next() {
        let empty = segment.is_empty() && rest.peek().is_some();
        if empty || segment == "." || segment == ".." {
            return Err(Deny::Target);
        }
    }
    Ok(())
}

/// Decodes every `%XX` of a path; `%2F` becomes [`ENCODED_SLASH`].
///
/// Refused: what is not two hex digits, controls, a dot (nobody has a reason to encode one), a back-slash, a percent
/// sign that begins another encoding, and bytes that are not UTF-8.
fn decode(path: &str) -> Result<(Cow<'_, str>, bool), Deny> {
    if !path.contains('%') {
        return Ok((Cow::Borrowed(path), false));
    }
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut has_encoded_slash = false;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            decoded.push(bytes[at]);
            at += 1;
            continue;
        }
        let byte = escape(bytes, at).ok_or(Deny::Target)?;
        at += 3;
        match byte {
            b'/' => {
                has_encoded_slash = true;
                decoded.push(ENCODED_SLASH);
            }
            0..=0x1f | 0x7f | b'.' | b'\\' => return Err(Deny::Target),
            byte => decoded.push(byte),
        }
    }
    // A percent sign that begins an escape was encoded twice: who decodes twice sees another path.
    let encoded_twice = decoded.windows(3).any(|bytes| bytes[0] == b'%' && escape(bytes, 0).is_some());
    let decoded = String::from_utf8(decoded).map_err(|_| Deny::Target)?;
    // U+0080 to U+009F are controls too.
    let control = decoded.chars().any(|char| char.is_control() && char != char::from(ENCODED_SLASH));
    if encoded_twice || control { Err(Deny::Target) } else { Ok((Cow::Owned(decoded), has_encoded_slash)) }
}

/// The slashes are decoded before the parameters are taken off, or after, or one of both is not done at all.
fn other_readings(path: &str, has_encoded_slash: bool) -> Vec<String> {
    let mut readings = Vec::new();
    if path.contains(';') {
        readings.push(without_parameters(path));
    }
    if has_encoded_slash {
        let slashed = path.replace(char::from(ENCODED_SLASH), "/");
        if slashed.contains(';') {
            readings.push(without_parameters(&slashed));
        }
        readings.push(slashed);
    }
    readings
}

/// Each segment up to its first `;`, as servlet containers read it.
fn without_parameters(path: &str) -> String {
    let mut bare = String::with_capacity(path.len());
    for segment in path[1..].split('/') {
        bare.push('/');
        bare.push_str(segment.split(';').next().unwrap_or_default());
    }
    bare
}

/// The byte that the escape at `at` stands for.
pub(super) fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

/// Visible ASCII. RFC 3986 knows fewer characters, but nobody reads `|` or `{` in two ways.
const fn is_printable(byte: u8) -> bool {
    byte > 0x20 && byte < 0x7f
}

/// No space, and no control character in any encoding that ends lines as ASCII does.
const fn is_visible(byte: u8) -> bool {
    byte > 0x20 && byte != 0x7f
}

/// Stands for `%2F` in a decoded path. No route's path holds a control character.
const ENCODED_SLASH: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r08_what_two_readers_read_differently_is_refused() {
        for bad in [
            "",
            "*",
            "a",
            "http://h/a",
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/./a",
            "/../a",
            "/a/.",
            "/a/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/a/%2e%2e/b",
            "/a%2eb",
            "/a\\b",
            "/a%5cb",
            "/a%5Cb",
            "/..\\a",
            "/a%00",
            "/a%0a",
            "/a%0D",
            "/a%7f",
            "/a%1fb",
            "/%252e%252e/a",
            "/a%252fb",
            "/%25%32%65",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/%c0%ae",
            "/%c0%af",
            "/%ff",
            "/%ed%a0%80",
            "/a#b",
            "/#",
            "/a?b#c",
            "/a b",
            "/a\tb",
            "/é",
            "/a\u{0}b",
            "/a\u{7f}b",
            "/a?b\u{7f}",
            "/a?b c",
            "/..;/a",
            "/.;x/a",
            "/;/a",
            "/a/;x/b",
            "/%2e%2e;/a",
            "/a/..%3b/b",
            "/%C2%85",
        ] {
            assert!(Target::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Target::parse(b"/a\xff").is_err());
    }

    #[test]
    fn what_everybody_reads_alike_passes_and_is_forwarded_as_it_came() {
        for (wire, path) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a/"),
            ("/a.b/c..d/...", "/a.b/c..d/..."),
            ("/%61dmin", "/admin"),
            ("/caf%C3%A9", "/café"),
            ("/100%25", "/100%"),
            ("/100%25x", "/100%x"),
            ("/a%20b", "/a b"),
            ("/a%3Fb%23", "/a?b#"),
            ("/a:b@c,d|{e}[f]", "/a:b@c,d|{e}[f]"),
        ] {
            let target = Target::parse(wire.as_bytes()).unwrap();
            assert_eq!((target.wire_path, &*target.path), (wire.as_bytes(), path));
            assert_eq!((target.has_encoded_slash, target.other_readings), (false, vec![]));
        }
        let target = Target::parse(b"/a?b=c?d&e").unwrap();
        assert_eq!((target.wire_path, target.query), (&b"/a"[..], Some(&b"b=c?d&e"[..])));
        assert_eq!(Target::parse(b"/a?").unwrap().query, Some(&b""[..]));
        for query in [&b"q=%FC&%u00e9&100%"[..], "q=ü".as_bytes(), b"q=\xfc", b"q={\"a\":[1]}<>^`|"] {
            assert_eq!(Target::parse(&[b"/a?", query].concat()).unwrap().query, Some(query));
        }
    }

    #[test]
    fn what_depends_on_the_app_is_marked() {
        for bad in [
            "/..%2fa",
            "/a/%2e%2e%2f",
            "/a%2f..",
            "/a%2f%2fb",
            "/%2fa",
            "/a;%2f..;%2fb",
            "/a/b;%2f..",
            "/a/b%2f..;",
            "/a%2f;x%2fb",
        ] {
            assert!(Target::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let target = Target::parse(b"/a%2Fb").unwrap();
        assert!(target.has_encoded_slash);
        assert_eq!((&*target.path, target.other_readings), ("/a\0b", vec!["/a/b".into()]));
        let target = Target::parse(b"/admin;a=1/b%3bc").unwrap();
        assert_eq!(target.other_readings, ["/admin/b"]);
        let target = Target::parse(b"/a;x%2Fb/c").unwrap();
        assert_eq!(target.other_readings, ["/a/c", "/a/b/c", "/a;x/b/c"]);
    }
}
