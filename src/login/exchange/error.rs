//! Refusals in the documented form.

use http::StatusCode;
use serde_json::{Value, json};

use crate::gate::DenyReason;

/// The body of a refusal.
#[must_use]
pub fn error(deny: DenyReason) -> Value {
    let message = match deny {
        DenyReason::EmailMissing
        | DenyReason::ContentType
        | DenyReason::Body
        | DenyReason::BodyTooLarge
        | DenyReason::BodyTimeout => "Email is required",
        DenyReason::EmailInvalid | DenyReason::EmailUnknown => "Username invalid",
        DenyReason::NoLicence => "User doesn't have any licence",
        DenyReason::NoProfile => "User doesn't have a profile",
        _ => match deny.response().status {
            // A wrong API key or origin is a missing permission, like a wrong token.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "Unauthorized or invalid token",
            _ if matches!(
                deny,
                DenyReason::KeyUnknown | DenyReason::KeyExpired | DenyReason::KeyDisabled | DenyReason::KeyConflict
            ) =>
            {
                "Unauthorized or invalid token"
            }
            _ => "Unknown error",
        },
    };
    json!({"status": "error", "message": message})
}
