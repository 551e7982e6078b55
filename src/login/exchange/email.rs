//! The email address of a body, which is base64 of it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value};

use crate::gate::DenyReason;
use crate::store::LoginName;

/// Reads it.
///
/// # Errors
/// [`DenyReason::EmailMissing`] if it is absent, empty or not a string; [`DenyReason::EmailInvalid`] if it is not base64 of UTF-8 of
/// an address.
pub(super) fn read(body: &Map<String, Value>) -> Result<LoginName, DenyReason> {
    let text =
        body.get("email").and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or(DenyReason::EmailMissing)?;
    // The padding is complete or absent; the decoder accepts both.
    if text.len() > MAX_TEXT_BYTES || (text.ends_with('=') && text.len() % 4 != 0) {
        return Err(DenyReason::EmailInvalid);
    }
    // The standard alphabet (RFC 4648, 4), padded in full or not at all; bits that no byte has must be zero. So there is one
    // text for one address, and one with padding.
    let base64 = if text.ends_with('=') { STANDARD } else { STANDARD_NO_PAD };
    let bytes = base64.decode(text).map_err(|_| DenyReason::EmailInvalid)?;
    let email = std::str::from_utf8(&bytes).map_err(|_| DenyReason::EmailInvalid)?;
    LoginName::email(email).ok_or(DenyReason::EmailInvalid)
}

/// For an address of 254 bytes.
const MAX_TEXT_BYTES: usize = 340;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn email(value: &Value) -> Result<String, DenyReason> {
        let mut body = Map::new();
        body.insert("email".into(), value.clone());
        read(&body).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn the_documented_one_and_what_else_is_one() {
        for text in ["dXNlckBleGFtcGxlLmNvbQ==", "dXNlckBleGFtcGxlLmNvbQ", "VVNFUkBFeGFtcGxlLkNvbQ=="] {
            assert_eq!(email(&text.into()).as_deref(), Ok("user@example.com"), "{text}");
        }
        assert_eq!(read(&Map::new()), Err(DenyReason::EmailMissing));
        for missing in [json!(""), json!(null), json!(1), json!(["dXNlckBleGFtcGxlLmNvbQ=="]), json!({}), json!(true)] {
            assert_eq!(email(&missing), Err(DenyReason::EmailMissing), "{missing}");
        }
        for invalid in [
            "user@example.com",
            "dXNlckBleGFtcGxlLmNvbQ=",
            "dXNlckBleGFtcGxlLmNvbR==",
            " dXNlckBleGFtcGxlLmNvbQ==",
            "dXNlckBleGFtcGxlLmNvbQ==\n",
            "dXNlckBl eGFtcGxlLmNvbQ==",
            "dXNl_-BleGFtcGxlLmNvbQ==",
            "dXNlcg==",
            "QGV4YW1wbGUuY29t",
            "/w==",
            "YUBiQGMuZGU=",
            "====",
            "é",
            &"A".repeat(341),
            &"A".repeat(60_000),
        ] {
            assert_eq!(email(&invalid.into()), Err(DenyReason::EmailInvalid), "{invalid}");
        }
    }
}
