//! A token taken apart (RFC 7515, 7.1), before anything in it is believed.

use std::borrow::Cow;
use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::TokenError;
use crate::json::{self, Members, Value};

/// Header and payload of a token. Nothing is verified.
pub(super) struct UnverifiedToken<'t> {
    pub(super) header: Members<'t>,
    pub(super) payload: Members<'t>,
    /// The signed bytes.
    pub(super) signed: &'t str,
    /// Base64url, not decoded yet.
    pub(super) signature: &'t str,
}

impl<'t> UnverifiedToken<'t> {
    /// Splits `token`, which the realm itself may have signed, and reads its JSON, which is put into `room`.
    pub(super) fn parse(token: &'t str, room: &'t mut Vec<u8>) -> Result<Self, TokenError> {
        Self::up_to(MAX_TOKEN_BYTES, token, room)
    }

    /// Splits a `token` of at most `size` bytes, which another issuer may have signed.
    pub(super) fn up_to(size: usize, token: &'t str, room: &'t mut Vec<u8>) -> Result<Self, TokenError> {
        // R23: sizes before anything is split, decoded or allocated.
        if token.len() > size {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        if header.len() > MAX_HEADER_BYTES || payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        // More than the decoded text takes.
        room.reserve_exact(signed.len());
        decode(header, room)?;
        let end = room.len();
        decode(payload, room)?;
        let (header, payload) = room.split_at(end);
        Ok(Self { header: object(header)?, payload: object(payload)?, signed, signature })
    }

    /// Returns `iss`, unverified.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.payload.get("iss").and_then(Value::as_str)
    }

    /// A member of the header that is a string.
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// A claim that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.payload.get(name).and_then(Value::as_str)
    }

    /// `sub`, which is never empty.
    pub(super) fn subject(&self) -> Result<&str, TokenError> {
        self.text("sub").filter(|subject| !subject.is_empty()).ok_or(TokenError::Claims)
    }

    /// A claim that is a time and must be there, in Unix seconds.
    pub(super) fn time(&self, name: &str, fraction: Fraction) -> Result<i64, TokenError> {
        self.optional_time(name, fraction)?.ok_or(TokenError::Claims)
    }

    /// Returns an optional time claim in Unix seconds. R21: an invalid time is not the same as none.
    pub(super) fn optional_time(&self, name: &str, fraction: Fraction) -> Result<Option<i64>, TokenError> {
        self.payload.get(name).map(|value| numeric_date(value, fraction).ok_or(TokenError::Claims)).transpose()
    }
}

/// The handling of a fraction of a second (RFC 7519, 2: a NumericDate can have one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fraction {
    /// A fraction is an error: the realm's own tokens have none.
    Refused,
    /// The second in which it lies. For an end, which must not come later.
    Down,
    /// The next second. For a beginning, which must not come earlier.
    Up,
}

/// A JSON number as a time.
fn numeric_date(value: &Value<'_>, fraction: Fraction) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return seconds(Some(whole));
    }
    let number = value.as_f64().filter(|number| (0.0..LAST_SECOND_OF_9999 as f64).contains(number))?;
    // Exact: below 2^53.
    match fraction {
        Fraction::Refused => None,
        Fraction::Down => Some(number.floor() as i64),
        Fraction::Up => Some(number.ceil() as i64),
    }
}

/// Returns whether the payload of a possible token names an issuer for which `is_known` is true. It reads as leniently
/// as any application can: with or without padding, in either alphabet of base64, with duplicate members, and as far as
/// it is JSON at all.
pub(super) fn names_issuer(token: &[u8], is_known: impl Fn(&str) -> bool) -> bool {
    let Some(payload) = token.split(|byte| *byte == b'.').nth(1) else { return false };
    let standard = payload.iter().any(|byte| matches!(byte, b'+' | b'/'));
    let engine = if standard { &GENEROUS_STANDARD } else { &GENEROUS_URL_SAFE };
    let Ok(payload) = engine.decode(payload) else { return false };
    let mut named = false;
    // An error means that the rest is not JSON. The part before it was read.
    let _ = serde_json::Deserializer::from_slice(&payload).deserialize_map(Issuers { is_known, named: &mut named });
    named
}

/// Visits each `iss` of an object.
struct Issuers<'n, K> {
    is_known: K,
    named: &'n mut bool,
}

impl<'de, K: Fn(&str) -> bool> Visitor<'de> for Issuers<'_, K> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name != "iss" {
                map.next_value::<IgnoredAny>()?;
            } else if let serde_json::Value::String(issuer) = map.next_value()? {
                *self.named |= (self.is_known)(&issuer);
            }
        }
        Ok(())
    }
}

/// A whole number of seconds in a year that has four digits; no other number is a time.
pub(super) fn seconds(number: Option<i64>) -> Option<i64> {
    number.filter(|seconds| (0..=LAST_SECOND_OF_9999).contains(seconds))
}

/// Base64url without padding and without stray bits.
fn decode(part: &str, room: &mut Vec<u8>) -> Result<(), TokenError> {
    URL_SAFE_NO_PAD.decode_vec(part, room).map_err(|_| TokenError::Malformed)
}

/// One JSON object without duplicate members.
fn object(text: &[u8]) -> Result<Members<'_>, TokenError> {
    json::members(text).map_err(|_| TokenError::Malformed)
}

/// For the realm's own tokens.
const GENEROUS: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const GENEROUS_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, GENEROUS);
const GENEROUS_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, GENEROUS);
pub(super) const MAX_TOKEN_BYTES: usize = 8 << 10;
const MAX_HEADER_BYTES: usize = 1 << 10;
const LAST_SECOND_OF_9999: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn size(token: &str) -> Result<(), TokenError> {
        UnverifiedToken::parse(token, &mut Vec::new()).map(drop)
    }

    #[test]
    fn r23_a_token_and_its_header_are_as_long_as_they_may_be_and_no_longer() {
        let object = |length: usize| {
            let text = format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
            URL_SAFE_NO_PAD.encode(text)
        };
        let of = |header: &str, length: usize| {
            let start = format!("{header}.{}.", object(300));
            format!("{start}{}", "A".repeat(length - start.len()))
        };
        let short = object(30);
        assert_eq!(size(&of(&short, MAX_TOKEN_BYTES)), Ok(()));
        for longer in [MAX_TOKEN_BYTES + 1, 2 * MAX_TOKEN_BYTES] {
            assert_eq!(size(&of(&short, longer)), Err(TokenError::TooLong), "{longer}");
        }
        let (longest, longer) = (object(768), object(769));
        assert_eq!((longest.len(), longer.len()), (MAX_HEADER_BYTES, MAX_HEADER_BYTES + 2));
        assert_eq!(size(&of(&longest, 3000)), Ok(()));
        assert_eq!(size(&of(&longer, 3000)), Err(TokenError::Malformed));
        assert_eq!(size(&format!("{short}.{short}.{short}.A")), Err(TokenError::Malformed), "four parts");
    }

    #[test]
    fn r53_an_issuer_is_named_however_it_is_written() {
        let names = |payload: &str| {
            let token = format!("e30.{}.x", URL_SAFE_NO_PAD.encode(payload));
            names_issuer(token.as_bytes(), |issuer| issuer == "ours")
        };
        for payload in [
            r#"{"iss":"ours"}"#,
            r#"{"sub":"x","iss":"ours"}"#,
            r#"{"iss":"ours","iss":"other"}"#,
            r#"{"iss":"other","iss":"ours"}"#,
            r#"{"\u0069ss":"\u006furs"}"#,
            r#"{"iss":"ours","a":"#,
            r#" {"a":[{"iss":1}],"iss":"ours"} x"#,
        ] {
            assert!(names(payload), "{payload}");
        }
        for payload in [
            "",
            "{}",
            "[]",
            r#"{"iss":"ours2"}"#,
            r#"{"a":{"iss":"ours"}}"#,
            r#"{"iss":["ours"]}"#,
            r#"["iss","ours"]"#,
            "ours",
        ] {
            assert!(!names(payload), "{payload}");
        }
        for token in [
            "e30.eyJpc3MiOiJvdXJzIn0.x",
            "e30.eyJpc3MiOiJvdXJzIn0=.x",
            ".eyJpc3MiOiJvdXJzIn0",
            "a.eyJpc3MiOiJvdXJzIn0.b.c.d",
        ] {
            assert!(names_issuer(token.as_bytes(), |issuer| issuer == "ours"), "{token}");
        }
        for token in ["", "eyJpc3MiOiJvdXJzIn0", "e30.?.x", "glsa_0123", "eyJpc3MiOiJvdXJzIn0.e30.x"] {
            assert!(!names_issuer(token.as_bytes(), |issuer| issuer == "ours"), "{token}");
        }
    }

    #[test]
    fn r21_a_time_is_a_second_of_a_year_with_four_digits() {
        const LAST: i64 = LAST_SECOND_OF_9999;
        for (value, refused, down, up) in [
            ("0", Some(0), Some(0), Some(0)),
            ("253402300799", Some(LAST), Some(LAST), Some(LAST)),
            ("253402300800", None, None, None),
            ("253402300799.5", None, None, None),
            ("-1", None, None, None),
            ("-0.5", None, None, None),
            ("1.5", None, Some(1), Some(2)),
            ("1.0", None, Some(1), Some(1)),
            ("1e3", None, Some(1000), Some(1000)),
            ("1e300", None, None, None),
            ("18446744073709551615", None, None, None),
            ("\"1\"", None, None, None),
            ("[1]", None, None, None),
            ("null", None, None, None),
            ("true", None, None, None),
        ] {
            let text = format!("{{\"exp\":{value}}}");
            let payload = json::members(text.as_bytes()).unwrap();
            let read = [Fraction::Refused, Fraction::Down, Fraction::Up]
                .map(|fraction| numeric_date(payload.get("exp").unwrap(), fraction));
            assert_eq!(read, [refused, down, up], "{value}");
        }
    }
}
