//! A token taken apart (RFC 7515, 7.1), before anything in it is believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Reject;
use crate::json::{self, Members, Value};

/// Header and payload, as they were signed by whoever it was.
pub(super) struct Parts<'t> {
    pub(super) header: Members<'t>,
    pub(super) payload: Members<'t>,
    /// What the signature is for.
    pub(super) signed: &'t str,
    /// Base64url, not decoded yet.
    pub(super) signature: &'t str,
}

impl<'t> Parts<'t> {
    /// Splits `token`, and reads its JSON, which is put into `room`.
    pub(super) fn of(token: &'t str, room: &'t mut Vec<u8>) -> Result<Self, Reject> {
        // R23: sizes before anything is split, decoded or allocated.
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Reject::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Reject::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Reject::Malformed)?;
        if header.len() > MAX_HEADER_BYTES || payload.contains('.') {
            return Err(Reject::Malformed);
        }
        // More than what is decoded takes.
        room.reserve_exact(signed.len());
        decode(header, room)?;
        let end = room.len();
        decode(payload, room)?;
        let (header, payload) = room.split_at(end);
        Ok(Self { header: object(header)?, payload: object(payload)?, signed, signature })
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
        seconds(value.as_i64()).map(Some).ok_or(Reject::Claims)
    }
}

/// A whole number of seconds in a year that has four digits; nothing else is a time.
pub(super) fn seconds(number: Option<i64>) -> Option<i64> {
    number.filter(|seconds| (0..=LAST_SECOND_OF_9999).contains(seconds))
}

/// Base64url without padding and without stray bits.
fn decode(part: &str, room: &mut Vec<u8>) -> Result<(), Reject> {
    URL_SAFE_NO_PAD.decode_vec(part, room).map_err(|_| Reject::Malformed)
}

/// One JSON object that names no member twice.
fn object(text: &[u8]) -> Result<Members<'_>, Reject> {
    json::members(text).map_err(|_| Reject::Malformed)
}

pub(super) const MAX_TOKEN_BYTES: usize = 8 << 10;
const MAX_HEADER_BYTES: usize = 1 << 10;
const LAST_SECOND_OF_9999: i64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn size(token: &str) -> Result<(), Reject> {
        Parts::of(token, &mut Vec::new()).map(drop)
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
            ("0", Some(0)),
            ("253402300799", Some(LAST_SECOND_OF_9999)),
            ("253402300800", None),
            ("-1", None),
            ("1.5", None),
            ("\"1\"", None),
        ] {
            let text = format!("{{\"exp\":{value}}}");
            let payload = json::members(text.as_bytes()).unwrap();
            assert_eq!(seconds(payload.get("exp").unwrap().as_i64()), read, "{value}");
        }
    }
}
