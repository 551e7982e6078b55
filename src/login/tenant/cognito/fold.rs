//! The mapping of a user pool's exceptions to refusals.

use crate::gate::DenyReason;

/// The step of the login. It decides the meaning of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CognitoStep {
    Login,
    Challenge,
    Refresh,
    Revoke,
}

/// Returns the refusal for an exception. An unknown exception is not the client's fault.
pub(super) fn map_exception(step: CognitoStep, kind: &str) -> DenyReason {
    match (kind, step) {
        ("TooManyRequestsException" | "LimitExceededException" | "TooManyFailedAttemptsException", _) => {
            DenyReason::Throttled(RETRY_AFTER)
        }
        // One exception covers a wrong password, a disabled user, too many attempts and an expired session, and others
        // are thrown before the password is checked: different responses would reveal which users exist (R31).
        (
            "NotAuthorizedException"
            | "UserNotFoundException"
            | "UserNotConfirmedException"
            | "PasswordResetRequiredException",
            _,
        ) => refusal(step),
        // An invalid user name belongs to no user.
        ("InvalidParameterException", CognitoStep::Login) => DenyReason::Credentials,
        ("InvalidParameterException", CognitoStep::Challenge | CognitoStep::Refresh) => {
            DenyReason::Parameter(PARAMETER)
        }
        ("CodeMismatchException", CognitoStep::Challenge) => DenyReason::Code,
        ("ExpiredCodeException", CognitoStep::Challenge) => DenyReason::CodeUsed,
        ("InvalidPasswordException" | "PasswordHistoryPolicyViolationException", CognitoStep::Challenge) => {
            DenyReason::NewPasswordRefused
        }
        // The session is of another challenge.
        ("SoftwareTokenMFANotFoundException" | "MFAMethodNotFoundException", CognitoStep::Challenge) => {
            DenyReason::Session
        }
        ("AliasExistsException", CognitoStep::Challenge) => DenyReason::UserExists,
        ("RefreshTokenReuseException", CognitoStep::Refresh) => DenyReason::RefreshReused,
        _ => DenyReason::PoolFailed,
    }
}

/// Returns whether the pool has nothing to revoke.
pub(super) fn is_no_token(kind: &str) -> bool {
    matches!(kind, "NotAuthorizedException" | "InvalidParameterException" | "UnsupportedTokenTypeException")
}

const fn refusal(step: CognitoStep) -> DenyReason {
    match step {
        CognitoStep::Login => DenyReason::Credentials,
        CognitoStep::Challenge => DenyReason::Session,
        CognitoStep::Refresh => DenyReason::RefreshToken,
        CognitoStep::Revoke => DenyReason::PoolFailed,
    }
}

/// In seconds. Cognito gives no time: its quotas are per second, and its lock-outs begin with one second.
const RETRY_AFTER: u32 = 5;
const PARAMETER: &str = "The user pool does not take a member of this body.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_of_the_service_model_has_its_meaning() {
        use CognitoStep::{Challenge, Login, Refresh, Revoke};
        let parameter = DenyReason::Parameter(PARAMETER);
        for kind in ["NotAuthorized", "UserNotFound", "UserNotConfirmed", "PasswordResetRequired"] {
            let kind = format!("{kind}Exception");
            assert_eq!(
                [Login, Challenge, Refresh].map(|step| map_exception(step, &kind)),
                [DenyReason::Credentials, DenyReason::Session, DenyReason::RefreshToken]
            );
        }
        for (kind, [login, challenge, refresh]) in [
            ("InvalidParameter", [DenyReason::Credentials, parameter, parameter]),
            ("CodeMismatch", [DenyReason::PoolFailed, DenyReason::Code, DenyReason::PoolFailed]),
            ("ExpiredCode", [DenyReason::PoolFailed, DenyReason::CodeUsed, DenyReason::PoolFailed]),
            ("InvalidPassword", [DenyReason::PoolFailed, DenyReason::NewPasswordRefused, DenyReason::PoolFailed]),
            (
                "PasswordHistoryPolicyViolation",
                [DenyReason::PoolFailed, DenyReason::NewPasswordRefused, DenyReason::PoolFailed],
            ),
            ("SoftwareTokenMFANotFound", [DenyReason::PoolFailed, DenyReason::Session, DenyReason::PoolFailed]),
            ("MFAMethodNotFound", [DenyReason::PoolFailed, DenyReason::Session, DenyReason::PoolFailed]),
            ("AliasExists", [DenyReason::PoolFailed, DenyReason::UserExists, DenyReason::PoolFailed]),
            ("RefreshTokenReuse", [DenyReason::PoolFailed, DenyReason::PoolFailed, DenyReason::RefreshReused]),
            ("TooManyRequests", [DenyReason::Throttled(5); 3]),
            ("LimitExceeded", [DenyReason::Throttled(5); 3]),
            ("TooManyFailedAttempts", [DenyReason::Throttled(5); 3]),
        ] {
            let kind = format!("{kind}Exception");
            assert_eq!(
                [Login, Challenge, Refresh].map(|step| map_exception(step, &kind)),
                [login, challenge, refresh],
                "{kind}"
            );
        }
        for kind in [
            "ForbiddenException",
            "InternalErrorException",
            "InvalidEmailRoleAccessPolicyException",
            "InvalidLambdaResponseException",
            "InvalidSmsRoleAccessPolicyException",
            "InvalidSmsRoleTrustRelationshipException",
            "InvalidUserPoolConfigurationException",
            "OperationNotEnabledException",
            "ResourceNotFoundException",
            "UnauthorizedException",
            "UnexpectedLambdaException",
            "UnsupportedOperationException",
            "UserLambdaValidationException",
            "notauthorizedexception",
            "",
        ] {
            for step in [Login, Challenge, Refresh, Revoke] {
                assert_eq!(map_exception(step, kind), DenyReason::PoolFailed, "{kind}");
            }
            assert!(!is_no_token(kind));
        }
    }
}
