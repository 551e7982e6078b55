//! The paths that applications read in a path with several readings.

use super::{ENCODED_SLASH, escape, has_no_dots, is_dots, is_plain};
use crate::gate::DenyReason;

/// Returns the readings in which slashes are decoded before or after the parameters are removed, or only one of both is
/// done; in which several slashes are one; and in which the text between the first two slashes is a host (RFC 3986,
/// 4.2). `None` if one of them is not plain.
pub(super) fn other_readings(path: &str, has_encoded_slash: bool) -> Option<Vec<String>> {
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
pub(in crate::gate) fn innermost(path: &[u8]) -> Result<Vec<u8>, DenyReason> {
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
