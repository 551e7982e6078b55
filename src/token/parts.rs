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
