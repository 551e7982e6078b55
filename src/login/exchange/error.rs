//! Error responses as documented.

use http::StatusCode;
use serde_json::json;

use super::super::ErrorResponse;
use crate::gate::DenyReason;

/// The documentation of the API has no other messages and statuses.
pub(super) fn response(deny: DenyReason) -> ErrorResponse {
    ErrorResponse { status: status(deny), body: json!({"status": "error", "message": message(deny)}) }
}

fn message(deny: DenyReason) -> &'static str {
    match deny {
        DenyReason::EmailMissing
        | DenyReason::ContentType
        | DenyReason::Body
        | DenyReason::BodyTooLarge
        | DenyReason::BodyTimeout => "Email is required",
        DenyReason::EmailInvalid | DenyReason::EmailUnknown => "Username invalid",
        DenyReason::NoLicence => "User doesn't have any licence",
        DenyReason::NoProfile => "User doesn't have a profile",
        _ => match deny.response().status {
            // An invalid API key or origin is a missing permission, as an invalid token is.
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
    }
}

fn status(deny: DenyReason) -> StatusCode {
    match deny.response().status {
        status if status.is_server_error() => StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            StatusCode::BAD_REQUEST
        }
        status => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_the_api_does_not_document_becomes_one_that_it_documents() {
        for (deny, expected) in [
            (DenyReason::Store, 500),
            (DenyReason::Busy, 500),
            (DenyReason::PoolTimeout, 500),
            (DenyReason::Internal, 500),
            (DenyReason::BodyTooLarge, 400),
            (DenyReason::BodyTimeout, 400),
            (DenyReason::HeadTooLarge, 400),
            (DenyReason::EmailMissing, 400),
            (DenyReason::TokenMissing, 401),
            (DenyReason::NoLicence, 403),
            (DenyReason::RateLimited(1), 429),
        ] {
            assert_eq!(response(deny).status, expected, "{deny:?}");
        }
    }
}
