//! Error responses in the format of Amazon Cognito.

use http::StatusCode;
use serde_json::json;

use super::super::ErrorResponse;
use crate::gate::DenyReason;

/// `__type` names the exception of Cognito, by which its clients tell errors apart.
pub(super) fn response(deny: DenyReason) -> ErrorResponse {
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
        // Clients compare this text.
        DenyReason::Credentials => "Incorrect username or password.",
        _ => row.detail,
    };
    ErrorResponse { status: row.status, body: json!({"__type": kind, "message": message}) }
}
