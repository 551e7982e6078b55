//! Refusals in Cognito's form.

use http::StatusCode;
use serde_json::{Value, json};

use crate::gate::DenyReason;

/// Returns the body of a refusal: `__type` is the exception of Cognito, which clients evaluate.
#[must_use]
pub fn error(deny: DenyReason) -> Value {
    let row = deny.response();
    let kind = match deny {
        DenyReason::Code => "CodeMismatchException",
        DenyReason::CodeUsed => "ExpiredCodeException",
        DenyReason::NewPassword
        | DenyReason::NewPasswordRefused
        | DenyReason::PasswordTooShort
        | DenyReason::PasswordTooLong
        | DenyReason::PasswordCommon
        | DenyReason::PasswordIsName => "InvalidPasswordException",
        DenyReason::RefreshReused => "RefreshTokenReuseException",
        DenyReason::EndpointUnknown => "UnknownOperationException",
        _ => match row.status {
            StatusCode::UNAUTHORIZED => "NotAuthorizedException",
            StatusCode::FORBIDDEN => "ForbiddenException",
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequestsException",
            status if status.is_server_error() => "InternalErrorException",
            _ => "InvalidParameterException",
        },
    };
    let message = match deny {
        // Verbatim: clients compare it.
        DenyReason::Credentials => "Incorrect username or password.",
        _ => row.detail,
    };
    json!({"__type": kind, "message": message})
}
