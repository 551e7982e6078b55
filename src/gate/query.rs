//! The query: split at `&` into members. Names are compared, and values belong to the application.
//!
//! A value that Tollgate does not read can be anything: Latin-1, a lone `%`, JSON. Only members that Tollgate reads are
//! decoded (application/x-www-form-urlencoded, WHATWG URL standard, section 5).

use std::borrow::Cow;

use super::DenyReason;
use super::target::escape;

/// The name and the value of each member, as they came, in order.
pub(super) fn members(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let split = query.split(|byte| *byte == b'&').filter(|member| !member.is_empty());
    split.map(|member| {
        let equals = member.iter().position(|byte| *byte == b'=').unwrap_or(member.len());
        (&member[..equals], member.get(equals + 1..).unwrap_or_default())
    })
}

/// Returns whether this spelling of a name decodes to `wanted`. A name that does not decode is not one that Tollgate
/// reads.
pub(super) fn is_named(name: &[u8], wanted: &str) -> bool {
    let mut wanted = wanted.bytes();
    let mut at = 0;
    while at < name.len() {
        let Some((byte, length)) = decode_one(name, at) else { return false };
        if wanted.next() != Some(byte) {
            return false;
        }
        at += length;
    }
    wanted.next().is_none()
}

/// Returns the one value of `name`, decoded, even if repeated.
///
/// # Errors
/// [`DenyReason::KeyConflict`] for two different values: readers disagree about which one counts. [`DenyReason::Query`] for a value
/// that can't be decoded.
pub(super) fn single_value<'a>(query: Option<&'a [u8]>, name: &str) -> Result<Option<Cow<'a, str>>, DenyReason> {
    let mut found: Option<Cow<'a, str>> = None;
    for (_, value) in members(query.unwrap_or_default()).filter(|(member, _)| is_named(member, name)) {
        let value = decode(value)?;
        if found.as_ref().is_some_and(|other| *other != value) {
            return Err(DenyReason::KeyConflict);
        }
        found = Some(value);
    }
    Ok(found)
}

/// Returns the members for a login, decoded, in order. Omits members whose name does not decode, because no login knows
/// them, and members that are not in `known` and whose value does not decode.
///
/// # Errors
/// [`DenyReason::Query`] for the value of a member of `known` that can't be decoded.
pub(super) fn of_login(query: Option<&[u8]>, known: &[&str]) -> Result<Vec<(String, String)>, DenyReason> {
    let mut decoded = Vec::new();
    for (name, value) in members(query.unwrap_or_default()) {
        let Ok(name) = decode(name) else { continue };
        match decode(value) {
            Ok(value) => decoded.push((name.into_owned(), value.into_owned())),
            Err(deny) if known.contains(&&*name) => return Err(deny),
            Err(_) => {}
        }
    }
    Ok(decoded)
}

/// Returns the query without the members for which `is_ours` is true, by raw name and value; the rest is unchanged,
/// byte for byte. `None` if nothing is left.
pub(super) fn without(query: &[u8], is_ours: impl Fn(&[u8], &[u8]) -> bool) -> Option<Cow<'_, [u8]>> {
    let is_theirs = |member: &[u8]| {
        let equals = member.iter().position(|byte| *byte == b'=').unwrap_or(member.len());
        is_ours(&member[..equals], member.get(equals + 1..).unwrap_or_default())
    };
    let split = || query.split(|byte| *byte == b'&');
    if !split().any(is_theirs) {
        return Some(query.into());
    }
    let kept: Vec<_> = split().filter(|member| !is_theirs(member)).collect();
    if kept.is_empty() { None } else { Some(kept.join(&b"&"[..]).into()) }
}

pub(super) fn decode(text: &[u8]) -> Result<Cow<'_, str>, DenyReason> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| DenyReason::Query);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let (byte, length) = decode_one(text, at).ok_or(DenyReason::Query)?;
        decoded.push(byte);
        at += length;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| DenyReason::Query)
}

/// Returns the byte at `at`, and the length of its encoding.
fn decode_one(text: &[u8], at: usize) -> Option<(u8, usize)> {
    match text[at] {
        b'%' => Some((escape(text, at)?, 3)),
        b'+' => Some((b' ', 1)),
        byte => Some((byte, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_as_they_came_in_order() {
        let of = |query: &'static str| members(query.as_bytes()).collect::<Vec<_>>();
        assert_eq!(of(""), []);
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"c", b"x%20y+z=%"), (b"", b"d")];
        assert_eq!(of("a=1&b&&c=x%20y+z=%&=d"), expected);
    }

    #[test]
    fn known_members_of_a_login_must_decode_and_others_need_not() {
        const KNOWN: &[&str] = &["login", "uniqueId"];
        let of = |query: &[u8]| of_login(Some(query), KNOWN);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of_login(None, KNOWN), Ok(vec![]));
        assert_eq!(of(b"lo%67in=true&b+c=x%20y"), Ok(vec![pair("login", "true"), pair("b c", "x y")]));
        assert_eq!(of(b"q=%FC&%FC=1&\xff=1&r=\xff&login=true"), Ok(vec![pair("login", "true")]));
        for name in KNOWN {
            for value in ["%", "%4", "%zz", "%ff", "%c0%af"] {
                assert_eq!(of(format!("{name}={value}").as_bytes()), Err(DenyReason::Query), "{name}={value}");
            }
        }
        assert_eq!(of(b"unique%49d=\xff"), Err(DenyReason::Query));
    }

    #[test]
    fn a_repeated_member_must_not_differ() {
        let of =
            |query: &'static str| single_value(Some(query.as_bytes()), "key").map(|value| value.map(Cow::into_owned));
        assert_eq!(single_value(None, "key"), Ok(None));
        assert_eq!(of("a=1&b=%"), Ok(None));
        assert_eq!(of("key="), Ok(Some(String::new())));
        assert_eq!(of("key=x&key=x&%FC=1"), Ok(Some("x".into())));
        assert_eq!(of("key=x+y&key=x%20y"), Ok(Some("x y".into())));
        assert_eq!(of("key=x&k%65y=y"), Err(DenyReason::KeyConflict));
        assert_eq!(of("key=x&key="), Err(DenyReason::KeyConflict));
        assert_eq!(of("key=%FC"), Err(DenyReason::Query));
        assert_eq!(of("key=x&key=%"), Err(DenyReason::Query));
    }

    #[test]
    fn members_are_cut_out_under_every_spelling_and_the_rest_stays_byte_for_byte() {
        for (query, kept) in [
            ("", Some("")),
            ("a=1", Some("a=1")),
            ("key=x", None),
            ("a=1&key=x&b=%2f", Some("a=1&b=%2f")),
            ("k%65y=x&masterKey=y&%6Bey&Key=z", Some("masterKey=y&Key=z")),
            ("key&a", Some("a")),
            ("keys=1&a&&b", Some("keys=1&a&&b")),
            ("q=%FC&key=%FC&100%&r=%u00e9&{\"a\":1}", Some("q=%FC&100%&r=%u00e9&{\"a\":1}")),
            ("key%=1&key%6=1&%zzkey=1&ke%79%=1", Some("key%=1&key%6=1&%zzkey=1&ke%79%=1")),
            ("a;key=1&?key=2", Some("a;key=1&?key=2")),
        ] {
            let left = without(query.as_bytes(), |name, _| is_named(name, "key"));
            assert_eq!(left.as_deref(), kept.map(str::as_bytes), "{query}");
        }
        let left = without(b"a=\xff&key=1&\xfe", |name, _| is_named(name, "key"));
        assert_eq!(left.as_deref(), Some(&b"a=\xff&\xfe"[..]));
        let left = without(b"key=1&key=2=3&key", |_, value| value == b"2=3");
        assert_eq!(left.as_deref(), Some(&b"key=1&key"[..]));
    }
}
