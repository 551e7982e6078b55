//! A token taken apart (RFC 7515, 7.1), before anything in it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Reject;
use crate::json;

/// Header and payload, as they were signed by whoever it was.
pub(super) struct Parts<'t> {
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
    /// What the signature is for.
    pub(super) signed: &'t str,
    /// Base64url, not decoded yet.
    pub(super) signature: &'t str,
}

impl<'t> Parts<'t> {
    /// Splits `token`, and reads its JSON.
    pub(super) fn of(token: &'t str) -> Result<Self, Reject> {
        // R23: sizes before anything is split, decoded or allocated.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Reject::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Reject::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Reject::Malformed)?;
        if header.len() > MAX_HEADER_BYTES || payload.contains('.') {
            return Err(Reject::Malformed);
        }
        Ok(Self { header: decode(header)?, payload: decode(payload)?, signed, signature })
    }

    /// `iss`: whose token this claims to be.
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
    pub(super) fn subject(&self) -> Result<&str, Reject> {
        self.text("sub").filter(|subject| !subject.is_empty()).ok_or(Reject::Claims)
    }

    /// A claim that is a time and must be there, in Unix seconds.
    pub(super) fn time(&self, name: &str) -> Result<i64, Reject> {
        self.optional_time(name)?.ok_or(Reject::Claims)
    }

    /// A claim that is a time if it is there, in Unix seconds. R21: what is no time is not the same as none.
    pub(super) fn optional_time(&self, name: &str) -> Result<Option<i64>, Reject> {
        let Some(value) = self.payload.get(name) else { return Ok(None) };
        seconds(value).map(Some).ok_or(Reject::Claims)
    }
}

/// A whole number of seconds in a year that has four digits; nothing else is a time.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().filter(|seconds| (0..=LAST_SECOND_OF_9999).contains(seconds))
}

/// Base64url without padding and without stray bits, of one JSON object that names no member twice.
fn decode(part: &str) -> Result<Map<String, Value>, Reject> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Reject::Malformed)?;
    json::object(&bytes).map_err(|_| Reject::Malformed)
}

pub(super) const MAX_TOKEN_BYTES: usize = 8 << 10;
const MAX_HEADER_BYTES: usize = 1 << 10;
const LAST_SECOND_OF_9999: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn size(token: &str) -> Result<(), Reject> {
        Parts::of(token).map(drop)
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
            assert_eq!(size(&of(&short, longer)), Err(Reject::Malformed), "{longer}");
        }
        let (longest, longer) = (object(768), object(769));
        assert_eq!((longest.len(), longer.len()), (MAX_HEADER_BYTES, MAX_HEADER_BYTES + 2));
        assert_eq!(size(&of(&longest, 3000)), Ok(()));
        assert_eq!(size(&of(&longer, 3000)), Err(Reject::Malformed));
        assert_eq!(size(&format!("{short}.{short}.{short}.A")), Err(Reject::Malformed), "four parts");
    }

    #[test]
    fn r21_a_time_is_a_whole_second_of_a_year_with_four_digits() {
        for (value, read) in [
            (Value::from(0), Some(0)),
            (Value::from(LAST_SECOND_OF_9999), Some(LAST_SECOND_OF_9999)),
            (Value::from(LAST_SECOND_OF_9999 + 1), None),
            (Value::from(-1), None),
            (Value::from(1.5), None),
            (Value::from("1"), None),
        ] {
            assert_eq!(seconds(&value), read, "{value}");
        }
    }
}
