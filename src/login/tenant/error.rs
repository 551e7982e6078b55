//! Refusals in Cognito's form.

use http::StatusCode;
use serde_json::{Value, json};

use crate::gate::Deny;

/// The body of a refusal: `__type` names the exception that Cognito would throw, which is what its clients go by.
#[must_use]
pub fn error(deny: Deny) -> Value {
    let row = deny.row();
    let kind = match deny {
        Deny::Code => "CodeMismatchException",
        Deny::CodeUsed => "ExpiredCodeException",
        Deny::NewPassword
        | Deny::NewPasswordRefused
        | Deny::PasswordTooShort
        | Deny::PasswordTooLong
        | Deny::PasswordCommon
        | Deny::PasswordIsName => "InvalidPasswordException",
        Deny::RefreshReused => "RefreshTokenReuseException",
        Deny::EndpointUnknown => "UnknownOperationException",
        _ => match row.status {
            StatusCode::UNAUTHORIZED => "NotAuthorizedException",
            StatusCode::FORBIDDEN => "ForbiddenException",
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequestsException",
            status if status.is_server_error() => "InternalErrorException",
            _ => "InvalidParameterException",
        },
    };
    let message = match deny {
        // To the letter: clients compare it.
        Deny::Credentials => "Incorrect username or password.",
        _ => row.detail,
    };
    json!({"__type": kind, "message": message})
}
