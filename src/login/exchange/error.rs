//! Refusals in the documented form, of which there are no others.

use http::StatusCode;
use serde_json::{Value, json};

use crate::gate::Deny;

/// The body of a refusal.
#[must_use]
pub fn error(deny: Deny) -> Value {
    let message = match deny {
        Deny::EmailMissing | Deny::ContentType | Deny::Body | Deny::BodyTooLarge | Deny::BodyTimeout => {
            "Email is required"
        }
        Deny::EmailInvalid | Deny::EmailUnknown => "Username invalid",
        Deny::NoLicence => "User doesn't have any licence",
        Deny::NoProfile => "User doesn't have a profile",
        _ => match deny.row().status {
            // An API key or an origin that will not do is the caller's lack of a right as much as the wrong token.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "Unauthorized or invalid token",
            _ if matches!(deny, Deny::KeyUnknown | Deny::KeyExpired | Deny::KeyDisabled | Deny::KeyConflict) => {
                "Unauthorized or invalid token"
            }
            _ => "Unknown error",
        },
    };
    json!({"status": "error", "message": message})
}
