//! What the exceptions of a user pool mean to a client: the one table.

use crate::gate::Deny;

/// What was asked, which decides what a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Login,
    Challenge,
    Refresh,
    Revoke,
}

/// The answer to a client whose call the pool refused with this exception. What we don't know is not the client's fault.
pub(super) fn fold(step: Step, kind: &str) -> Deny {
    match (kind, step) {
        ("TooManyRequestsException" | "LimitExceededException" | "TooManyFailedAttemptsException", _) => {
            Deny::Throttled(RETRY_AFTER)
        }
        // One exception for a wrong password, a disabled user, too many attempts and an expired session, and others
        // that are thrown before the password is looked at: whoever tells them apart tells whom there is (R31).
        (
            "NotAuthorizedException"
            | "UserNotFoundException"
            | "UserNotConfirmedException"
            | "PasswordResetRequiredException",
            _,
        ) => refusal(step),
        // A user name that can't be one is nobody's.
        ("InvalidParameterException", Step::Login) => Deny::Credentials,
        ("InvalidParameterException", Step::Challenge | Step::Refresh) => Deny::Parameter(PARAMETER),
        ("CodeMismatchException", Step::Challenge) => Deny::Code,
        ("ExpiredCodeException", Step::Challenge) => Deny::CodeUsed,
        ("InvalidPasswordException" | "PasswordHistoryPolicyViolationException", Step::Challenge) => {
            Deny::NewPasswordRefused
        }
        // Of a session that is another challenge's.
        ("SoftwareTokenMFANotFoundException" | "MFAMethodNotFoundException", Step::Challenge) => Deny::Session,
        ("AliasExistsException", Step::Challenge) => Deny::UserExists,
        ("RefreshTokenReuseException", Step::Refresh) => Deny::RefreshReused,
        _ => Deny::PoolFailed,
    }
}

/// Whether the pool says that there is nothing to revoke.
pub(super) fn is_no_token(kind: &str) -> bool {
    matches!(kind, "NotAuthorizedException" | "InvalidParameterException" | "UnsupportedTokenTypeException")
}

const fn refusal(step: Step) -> Deny {
    match step {
        Step::Login => Deny::Credentials,
        Step::Challenge => Deny::Session,
        Step::Refresh => Deny::RefreshToken,
        Step::Revoke => Deny::PoolFailed,
    }
}

/// In seconds. Cognito does not say how long to wait: its quotas are by the second, its lock-outs begin with one.
const RETRY_AFTER: u32 = 5;
const PARAMETER: &str = "The user pool does not take a member of this body.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_of_the_service_model_has_its_meaning() {
        use Step::{Challenge, Login, Refresh, Revoke};
        let parameter = Deny::Parameter(PARAMETER);
        for kind in ["NotAuthorized", "UserNotFound", "UserNotConfirmed", "PasswordResetRequired"] {
            let kind = format!("{kind}Exception");
            assert_eq!(
                [Login, Challenge, Refresh].map(|step| fold(step, &kind)),
                [Deny::Credentials, Deny::Session, Deny::RefreshToken]
            );
        }
        for (kind, [login, challenge, refresh]) in [
            ("InvalidParameter", [Deny::Credentials, parameter, parameter]),
            ("CodeMismatch", [Deny::PoolFailed, Deny::Code, Deny::PoolFailed]),
            ("ExpiredCode", [Deny::PoolFailed, Deny::CodeUsed, Deny::PoolFailed]),
            ("InvalidPassword", [Deny::PoolFailed, Deny::NewPasswordRefused, Deny::PoolFailed]),
            ("PasswordHistoryPolicyViolation", [Deny::PoolFailed, Deny::NewPasswordRefused, Deny::PoolFailed]),
            ("SoftwareTokenMFANotFound", [Deny::PoolFailed, Deny::Session, Deny::PoolFailed]),
            ("MFAMethodNotFound", [Deny::PoolFailed, Deny::Session, Deny::PoolFailed]),
            ("AliasExists", [Deny::PoolFailed, Deny::UserExists, Deny::PoolFailed]),
            ("RefreshTokenReuse", [Deny::PoolFailed, Deny::PoolFailed, Deny::RefreshReused]),
            ("TooManyRequests", [Deny::Throttled(5); 3]),
            ("LimitExceeded", [Deny::Throttled(5); 3]),
            ("TooManyFailedAttempts", [Deny::Throttled(5); 3]),
        ] {
            let kind = format!("{kind}Exception");
            assert_eq!(
                [Login, Challenge, Refresh].map(|step| fold(step, &kind)),
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
                assert_eq!(fold(step, kind), Deny::PoolFailed, "{kind}");
            }
            assert!(!is_no_token(kind));
        }
    }
}
