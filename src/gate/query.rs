//! The query: its members decoded, and what of it is forwarded.

use std::borrow::Cow;

use super::Deny;
use super::target::escape;

/// Name and value, decoded.
pub(super) type Member<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The members of a query (application/x-www-form-urlencoded), decoded, in order.
///
/// # Errors
/// [`Deny::Query`] if an escape is not two hex digits, or the decoded bytes are not UTF-8.
pub(super) fn members(query: &str) -> Result<Vec<Member<'_>>, Deny> {
    let split = query.split('&').filter(|member| !member.is_empty());
    split
        .map(|member| {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// The one value of `name`, however often it is repeated.
///
/// # Errors
/// [`Deny::KeyConflict`] if it is given twice with different values: which one counts is what readers disagree about.
pub(super) fn one_value<'a>(members: &'a [Member<'_>], name: &str) -> Result<Option<&'a str>, Deny> {
    let mut values = members.iter().filter(|(member, _)| member == name).map(|(_, value)| &**value);
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(Deny::KeyConflict);
    }
    Ok(Some(first))
}

/// The query without the members that are the gate's, byte for byte as it came otherwise; `None` if nothing is left.
pub(super) fn forwarded(query: &str) -> Option<Cow<'_, str>> {
    let ours = |member: &str| {
        let name = member.split('=').next().unwrap_or_default();
        decode(name).is_ok_and(|name| OURS.contains(&&*name))
    };
    if !query.split('&').any(ours) {
        return Some(query.into());
    }
    let kept: Vec<_> = query.split('&').filter(|member| !ours(member)).collect();
    if kept.is_empty() { None } else { Some(kept.join("&").into()) }
}

fn decode(text: &str) -> Result<Cow<'_, str>, Deny> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(text.into());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                decoded.push(escape(bytes, at).ok_or(Deny::Query)?);
                at += 2;
            }
            b'+' => decoded.push(b' '),
            byte => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Deny::Query)
}

/// Members that are secrets of the gate's clients: they reach no app and no app's log (contract 4.4).
const OURS: [&str; 2] = ["key", "masterKey"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_decoded_in_order() {
        let of = |query| members(query).unwrap();
        assert_eq!(of(""), []);
        assert_eq!(
            of("a=1&b&&c=x%20y+z%2B"),
            [("a".into(), "1".into()), ("b".into(), "".into()), ("c".into(), "x y z+".into())]
        );
        for bad in ["a=%", "a=%4", "%zz=1", "a=%ff", "a=%c0%af"] {
            assert_eq!(members(bad), Err(Deny::Query), "{bad}");
        }
    }

    #[test]
    fn a_repeated_member_must_not_differ() {
        let of = |query| one_value(&members(query).unwrap(), "key").map(|value| value.map(str::to_owned));
        assert_eq!(of("a=1"), Ok(None));
        assert_eq!(of("key="), Ok(Some(String::new())));
        assert_eq!(of("key=x&key=x"), Ok(Some("x".into())));
        assert_eq!(of("key=x&k%65y=y"), Err(Deny::KeyConflict));
        assert_eq!(of("key=x&key="), Err(Deny::KeyConflict));
    }

    #[test]
    fn our_members_are_cut_out_under_every_spelling() {
        for (query, kept) in [
            ("", Some("")),
            ("a=1", Some("a=1")),
            ("key=x", None),
            ("a=1&key=x&b=%2f", Some("a=1&b=%2f")),
            ("k%65y=x&masterKey=y&%6DasterKey&Key=z", Some("Key=z")),
            ("key&a", Some("a")),
            ("keys=1&a&&b", Some("keys=1&a&&b")),
        ] {
            assert_eq!(forwarded(query).as_deref(), kept, "{query}");
        }
    }
}
