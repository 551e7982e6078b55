//! The request target, in a form with one reading.
//!
//! A path that an application could read differently is refused if another reading could lead to another rule. It is
//! never rewritten: the judged path is forwarded byte for byte (SECURITY.md R5, R8, R9). Routes are matched against the
//! percent-decoded path, because `/%61dmin` is `/admin` to every application (RFC 3986, 6.2.2.2).
//!
//! A path that is not canonical passes only where no reading of it can lead to another rule (R59): see
//! [`RouteTable::find_opaque`](crate::config::RouteTable::find_opaque).

use std::borrow::Cow;

use super::DenyReason;

/// A target in origin form (RFC 9112, 3.2.1). In no reading of its path is there a dot segment or a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The path as it came, and as it is forwarded.
    pub(super) wire_path: &'a [u8],
    /// The text after the `?`, unchanged.
    pub(super) query: Option<&'a [u8]>,
    pub(super) path: Path<'a>,
}

/// The readings of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Path<'a> {
    /// One reading, or a known set of readings.
    Canonical(Canonical<'a>),
    /// An unknown set of readings. Holds the path with every escape decoded repeatedly, until none is left.
    Other(Vec<u8>),
}

/// A path in the one form that readers read alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Canonical<'a> {
    /// For matching: decoded, with a NUL for an encoded slash.
    pub(super) path: Cow<'a, str>,
    /// The paths that some applications read instead: those that take `;…` off its segments, or an encoded slash for a
    /// slash.
    pub(super) other_readings: Vec<String>,
    /// Something is encoded in it.
    pub(super) has_escape: bool,
    /// A slash is: only for routes that opt in.
    pub(super) has_encoded_slash: bool,
}

impl<'a> Target<'a> {
    /// Parses the target of a request line or `:path`.
    ///
    /// # Errors
    /// [`DenyReason::Target`] for a path that no rule allows, or that is not in origin form, [`DenyReason::Query`] for a query with
    /// forbidden bytes.
    pub(super) fn parse(raw: &'a [u8]) -> Result<Self, DenyReason> {
        let end = raw.iter().position(|byte| *byte == b'?');
        let (wire_path, query) = end.map_or((raw, None), |end| (&raw[..end], Some(&raw[end + 1..])));
        // Browsers never send a fragment; a proxy that cuts it off and an application that does not would disagree.
        // Clients encode quotation marks and angle brackets in a path, and some proxies encode them again.
        let stands_in_paths = |byte: &u8| is_visible(*byte) && !matches!(byte, b'\\' | b'#' | b'"' | b'<' | b'>');
        if wire_path.first() != Some(&b'/') || !wire_path.iter().all(stands_in_paths) {
            return Err(DenyReason::Target);
        }
        // Any other byte of a query is the application's business: Latin-1 and JSON, too.
        if query.is_some_and(|query| !query.iter().all(|byte| is_visible(*byte) && *byte != b'#')) {
            return Err(DenyReason::Query);
        }
        let path = match Canonical::read(wire_path) {
            Some(canonical) => Path::Canonical(canonical),
            None => Path::Other(innermost(wire_path)?),
        };
        Ok(Self { wire_path, query, path })
    }

    /// The path in its canonical form, if that is how it came.
    pub(super) const fn canonical(&self) -> Option<&Canonical<'a>> {
        match &self.path {
            Path::Canonical(canonical) => Some(canonical),
            Path::Other(_) => None,
        }
    }
}

impl<'a> Canonical<'a> {
    /// Returns `None` for a path with readings that are not foreseen here.
    fn read(wire: &'a [u8]) -> Option<Self> {
        let path = std::str::from_utf8(wire).ok().filter(|path| path.is_ascii())?;
        let (path, has_encoded_slash) = decode(path)?;
        if !is_plain(&path) {
            return None;
        }
        let other_readings = other_readings(&path, has_encoded_slash)?;
        Some(Self { has_escape: matches!(path, Cow::Owned(_)), path, other_readings, has_encoded_slash })
    }
}

/// No dot segments, also not between encoded slashes, which an application may well read as slashes; no empty segment
/// but the last, which a trailing slash makes, and those beside an encoded slash.
fn is_plain(path: &str) -> bool {
    !path.as_bytes().windows(2).any(|pair| pair == b"//") && has_no_dots(path)
}

fn has_no_dots(path: &str) -> bool {
    !path.as_bytes().split(|byte| matches!(*byte, b'/' | ENCODED_SLASH)).any(is_dots)
}

/// Returns whether a segment is a dot segment, or becomes one in an application that cuts off an encoded `?` or `#`,
/// parameters, or white space.
fn is_dots(segment: &[u8]) -> bool {
    let is_end = |byte: &u8| matches!(byte, b';' | b'?' | b'#' | 0..=0x1f | 0x7f);
    segment.starts_with(b".")
        && matches!(segment.split(is_end).next().unwrap_or_default().trim_ascii_end(), b"." | b"..")
}

/// Decodes every `%XX` of a path; `%2F` becomes [`ENCODED_SLASH`].
///
/// Returns `None` for an invalid escape, a control character, an encoded dot (no client needs to encode one), a
/// backslash, a percent sign that begins another escape, and bytes that are not UTF-8.
fn decode(path: &str) -> Option<(Cow<'_, str>, bool)> {
    if !path.as_bytes().contains(&b'%') {
        return Some((Cow::Borrowed(path), false));
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
        let byte = escape(bytes, at)?;
        at += 3;
        match byte {
            b'/' => {
                has_encoded_slash = true;
                decoded.push(ENCODED_SLASH);
            }
            0..=0x1f | 0x7f | b'.' | b'\\' => return None,
            byte => decoded.push(byte),
        }
    }
    // A percent sign that begins an escape was encoded twice: an application that decodes twice sees another path.
    let encoded_twice = decoded.windows(3).any(|bytes| bytes[0] == b'%' && escape(bytes, 0).is_some());
    let decoded = String::from_utf8(decoded).ok()?;
    // U+0080 to U+009F are controls too.
    let control = decoded.chars().any(|char| char.is_control() && char != char::from(ENCODED_SLASH));
    if encoded_twice || control { None } else { Some((Cow::Owned(decoded), has_encoded_slash)) }
}

/// Returns the readings in which slashes are decoded before or after the parameters are removed, or only one of both is
/// done; in which several slashes are one; and in which the text between the first two slashes is a host (RFC 3986,
/// 4.2). `None` if one of them is not plain.
fn other_readings(path: &str, has_encoded_slash: bool) -> Option<Vec<String>> {
    let mut readings = Vec::new();
    let mut slashed = Vec::new();
    let decoded = |path: &str| path.replace(char::from(ENCODED_SLASH), "/");
    if path.as_bytes().contains(&b';') {
        let bare = without_parameters(path);
        // A segment of parameters alone is an empty one, also beside an encoded slash.
        if !is_plain(&bare) || path.split(char::from(ENCODED_SLASH)).skip(1).any(|part| part.starts_with(';')) {
            return None;
        }
        if has_encoded_slash {
            slashed.extend([without_parameters(&decoded(path)), decoded(&bare)]);
        }
        readings.push(bare);
    }
    if has_encoded_slash {
        slashed.push(decoded(path));
    }
    for reading in slashed {
        let mut rest = Some(reading);
        while let Some(reading) = rest.take() {
            rest = reading.strip_prefix("//").map(|rest| rest.find('/').map_or("/", |at| &rest[at..]).to_owned());
            for reading in [merged(&reading), reading] {
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
        }
    }
    readings.iter().all(|reading| has_no_dots(reading)).then_some(readings)
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

/// With one slash for several.
fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for char in path.chars() {
        if char != '/' || !merged.ends_with('/') {
            merged.push(char);
        }
    }
    merged
}

/// Returns a path with every escape decoded repeatedly, and backslashes as slashes: the reading of the most lenient
/// application. A dot segment in any other reading is one in this reading: with less decoding, or with cutting and
/// merging before decoding, the two dots are between two of the same slashes, or before a character at which a segment
/// can be cut.
///
/// # Errors
/// [`DenyReason::Target`] for a control character, and for a dot segment in any reading.
pub(super) fn innermost(path: &[u8]) -> Result<Vec<u8>, DenyReason> {
    if has_controls(path) {
        return Err(DenyReason::Target);
    }
    let mut read = Vec::with_capacity(path.len());
    for byte in path {
        read.push(*byte);
        // A decoded byte can be the last character of another escape.
        while let Some((length, byte)) = last_escape(&read) {
            read.truncate(read.len() - length);
            read.push(byte);
        }
    }
    read.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    if read.split(|byte| *byte == b'/').any(is_dots) { Err(DenyReason::Target) } else { Ok(read) }
}

/// Returns whether a path contains a control character, raw or encoded once. In bytes that are not text, only ASCII
/// ones count.
fn has_controls(path: &[u8]) -> bool {
    let (mut decoded, mut at) = (Vec::with_capacity(path.len()), 0);
    while at < path.len() {
        let escaped = if path[at] == b'%' { escape(path, at) } else { None };
        decoded.push(escaped.unwrap_or(path[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded.iter().any(u8::is_ascii_control)
        || std::str::from_utf8(&decoded).is_ok_and(|text| text.chars().any(char::is_control))
}

/// Returns the length and value of the escape at the end of these bytes: `%XX`; `%uXXXX` of an ASCII character; or an
/// overlong UTF-8 sequence, which older decoders accept (RFC 3629, 10).
fn last_escape(bytes: &[u8]) -> Option<(usize, u8)> {
    match *bytes {
        [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            Some((3, escape(&[b'%', high, low], 0)?))
        }
        [.., b'%', b'u' | b'U', b'0', b'0', high, low] => {
            Some((6, escape(&[b'%', high, low], 0).filter(u8::is_ascii)?))
        }
        [.., 0xfc, 0x80, 0x80, 0x80, second @ 0x80..=0x81, last @ 0x80..=0xbf] => Some((6, overlong(second, last))),
        [.., 0xf8, 0x80, 0x80, second @ 0x80..=0x81, last @ 0x80..=0xbf] => Some((5, overlong(second, last))),
        [.., 0xf0, 0x80, second @ 0x80..=0x81, last @ 0x80..=0xbf] => Some((4, overlong(second, last))),
        [.., 0xe0, second @ 0x80..=0x81, last @ 0x80..=0xbf] => Some((3, overlong(second, last))),
        [.., first @ 0xc0..=0xc1, last @ 0x80..=0xbf] => Some((2, overlong(first, last))),
        _ => None,
    }
}

/// The low bits of the last two bytes of UTF-8.
const fn overlong(second: u8, last: u8) -> u8 {
    ((second & 1) << 6) | (last & 0x3f)
}

/// Returns the byte of the escape at `at`.
pub(super) fn escape(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

/// No space, and no control character of ASCII.
const fn is_visible(byte: u8) -> bool {
    byte > 0x20 && byte != 0x7f
}

/// Stands for `%2F` in a decoded path. The path of a route contains no control character.
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
            "/a\\b",
            "/..\\a",
            "/a%00",
            "/a%0a",
            "/a%0D",
            "/a%7f",
            "/a%1fb",
            "/%252e%252e/a",
            "/%25%32%65",
            "/%c0%ae",
            "/a#b",
            "/a\"b",
            "/<a>",
            "/#",
            "/a?b#c",
            "/a b",
            "/a\tb",
            "/a\u{0}b",
            "/a\u{7f}b",
            "/a?b\u{7f}",
            "/a?b c",
            "/..;/a",
            "/.;x/a",
            "/%2e%2e;/a",
            "/a/..%3b/b",
            "/a/..%3fb",
            "/a/.%23",
            "/a/..%20/b",
            "/%C2%85",
        ] {
            assert!(Target::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn r59_what_is_read_differently_is_told_from_what_is_not() {
        for other in [
            "//",
            "//a",
            "/a//b",
            "/a//",
            "/a%2eb",
            "/a%5cb",
            "/a%5Cb",
            "/a%252fb",
            "/a%2520b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/%c0%af",
            "/%ff",
            "/%ed%a0%80",
            "/caf\u{e9}",
            "/;/a",
            "/a/;x/b",
            "/a/..b//%2e%2ec/...",
            "/%u00e9",
        ] {
            let target = Target::parse(other.as_bytes()).unwrap();
            assert!(matches!(target.path, Path::Other(_)), "{other}");
            assert_eq!(target.wire_path, other.as_bytes());
        }
        assert!(matches!(Target::parse(b"/a\xff").unwrap().path, Path::Other(_)));
    }

    #[test]
    fn r59_dot_segments_are_found_in_every_reading() {
        // Up to the next slash, and up to a sign at which a segment may be cut off.
        const WHOLE: [&str; 17] = [
            "..",
            ".",
            "%2e%2e",
            "%2E.",
            ".%2e",
            "%252e%252e",
            "%25%32%65.",
            "%%32e%%32e",
            "%c0%ae.",
            "%c0%ae%c0%ae",
            "%e0%80%ae.",
            "%f0%80%80%ae.",
            "%f8%80%80%80%ae.",
            "%fc%80%80%80%80%ae.",
            "%u002e%u002e",
            "%25u002e.",
            ".%u00%32e",
        ];
        const CUT: [&str; 10] = [";", ";a=b", "%3b", "%253bx", "%2500", "%250a", "%3f", "%253fx", "%23", "%20"];
        const SLASHES: [&str; 13] = [
            "/",
            "//",
            "%2f",
            "%2F",
            "%5c",
            "%5C",
            "%252f",
            "%255c",
            "%25%35%63",
            "%c0%af",
            "%c1%9c",
            "%u002f",
            "%u005c",
        ];
        let is_refused = |target: &str| {
            assert_eq!(innermost(target.as_bytes()), Err(DenyReason::Target), "{target}");
            // Strict rules know of no escapes of Unicode, which are plain text to them once the percent sign is decoded.
            assert!(target.contains("%25u") || Target::parse(target.as_bytes()).is_err(), "{target}");
        };
        for dots in WHOLE {
            for before in SLASHES {
                for after in SLASHES {
                    is_refused(&format!("/a{before}{dots}{after}b"));
                    is_refused(&format!("//{before}{dots}{after}"));
                }
                is_refused(&format!("/a//b{before}{dots}"));
                for cut in CUT {
                    is_refused(&format!("/a//b{before}{dots}{cut}"));
                    is_refused(&format!("/a//b{before}{dots}{cut}/c"));
                }
            }
        }
    }

    #[test]
    fn a_path_of_escapes_of_escapes_takes_no_time() {
        let path = format!("/%{}2f", "25".repeat(30_000));
        let target = Target::parse(path.as_bytes()).unwrap();
        assert_eq!(target.path, Path::Other(b"//".to_vec()));
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
            assert_eq!(target.wire_path, wire.as_bytes());
            let canonical = target.canonical().unwrap();
            assert_eq!(canonical.path, path);
            assert_eq!((canonical.has_encoded_slash, &*canonical.other_readings), (false, &[][..]));
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
        for bad in
            ["/..%2fa", "/a/%2e%2e%2f", "/a%2f..", "/%2f../a", "/%2f/./a", "/a;%2f..;%2fb", "/a/b;%2f..", "/a/b%2f..;"]
        {
            assert!(Target::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for (wire, path, has_encoded_slash, readings) in [
            ("/a%2Fb", "/a\0b", true, &["/a/b"][..]),
            ("/a/%2f/b", "/a/\0/b", true, &["/a/b", "/a///b"]),
            ("/a/%2f", "/a/\0", true, &["/a/", "/a//"]),
            ("/%2fa/b", "/\0a/b", true, &["/a/b", "//a/b", "/b"]),
            ("/%2Fa", "/\0a", true, &["/a", "//a", "/"]),
            ("/%2fx%2f%2fa/b", "/\0x\0\0a/b", true, &["/x/a/b", "//x//a/b", "/a/b", "//a/b", "/b"]),
            ("/a%2f%2fb", "/a\0\0b", true, &["/a/b", "/a//b"]),
            ("/https:%2F%2Fb/c", "/https:\0\0b/c", true, &["/https:/b/c", "/https://b/c"]),
            ("/admin;a=1/b%3bc", "/admin;a=1/b;c", false, &["/admin/b"]),
            ("/a;x%2Fb/c", "/a;x\0b/c", true, &["/a/c", "/a/b/c", "/a;x/b/c"]),
            ("/a%2fb;x/c", "/a\0b;x/c", true, &["/a\0b/c", "/a/b/c", "/a/b;x/c"]),
        ] {
            let target = Target::parse(wire.as_bytes()).unwrap();
            let canonical = target.canonical().unwrap_or_else(|| panic!("{wire}"));
            assert_eq!((&*canonical.path, canonical.has_encoded_slash), (path, has_encoded_slash), "{wire}");
            assert_eq!(canonical.other_readings, readings, "{wire}");
        }
        // Some cut the segments off first, and then there is an empty one.
        for other in ["/;%2fa/b", "/a%2f;x%2fb", "/%2f%3b%23/x/b"] {
            assert_eq!(Target::parse(other.as_bytes()).unwrap().canonical(), None, "{other}");
        }
    }
}
