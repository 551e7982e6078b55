//! The request target, in a form with one reading.
//!
//! A path that an application could read differently is refused if another reading could lead to another rule. It is
//! never rewritten: the judged path is forwarded byte for byte (SECURITY.md R5, R8, R9). Routes are matched against the
//! percent-decoded path, because `/%61dmin` is `/admin` to every application (RFC 3986, 6.2.2.2).
//!
//! A path that is not canonical passes only where no reading of it can lead to another rule (R59): see
//! [`RouteTable::find_opaque`](crate::config::RouteTable::find_opaque).

mod readings;

use std::borrow::Cow;

pub(super) use self::readings::innermost;
use self::readings::other_readings;
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
mod tests;
