//! Every denial, and the table with its status, reason code, sentence and headers.

use http::StatusCode;

use crate::token::TokenError;

/// The reason of a denial, as far as the client is told. Details for the log are not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// The request's framing is ambiguous (RFC 9112, 6.3).
    Framing,
    /// No host, an invalid one, or two that differ (RFC 9112, 3.2; RFC 9113, 8.3.1).
    Host,
    /// The target has more than one reading.
    Target,
    /// A member of the query that Tollgate reads can't be decoded, or the query has a forbidden byte.
    Query,
    /// The request line and the headers are too long.
    HeadTooLarge,
    /// A header that Tollgate or the proxy reads is malformed.
    Header,
    /// A WebSocket upgrade with a body.
    Upgrade,
    /// No login and no route for this method and path.
    NotFound,
    /// No route names this host.
    WrongHost,
    /// No API key where one is needed.
    KeyMissing,
    /// Not an API key of the realm.
    KeyUnknown,
    /// An API key that has expired.
    KeyExpired,
    /// An API key that is switched off.
    KeyDisabled,
    /// Two API keys that differ.
    KeyConflict,
    /// No valid API key where Basic credentials are accepted, which a client sends only after a 401 (RFC 7617, 2).
    Basic(KeyFault),
    /// A path below a login's, which has no such endpoint.
    EndpointUnknown,
    /// The origin is not allowed.
    OriginDenied,
    /// No origin where one is needed.
    OriginMissing,
    /// Two Authorization headers, or two cookies of the realm that differ.
    CredentialConflict,
    TokenMissing,
    /// An invalid token.
    Token(TokenError),
    /// The user of the token is deleted or disabled.
    UserGone,
    /// Not the realm's master key.
    MasterKeyUnknown,
    /// The token carries none of the route's roles.
    RoleMissing,
    /// The token has no second factor.
    MfaRequired,
    /// A login endpoint has no operation of this method.
    Method,
    /// 405, where the public keys are
    KeySetMethod,
    /// 405: `login=true` or `logout=true`, which only POST has.
    FlagMethod,
    /// A query flag with a value other than `true`, or given twice, or two that exclude each other.
    Flag,
    /// Not `application/json`.
    ContentType,
    /// Not a JSON object, or a duplicate member.
    Body,
    /// Longer than a login's body may be.
    BodyTooLarge,
    /// The request line and the headers took too long to come.
    HeadTimeout,
    /// Longer than the body of a request may be here.
    RequestTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// `username` or `email` is missing, both are there, or one is not a string.
    LoginName,
    /// `password` is missing, empty or not a string.
    Password,
    /// A new password with too few characters.
    PasswordTooShort,
    /// A new password with too many characters.
    PasswordTooLong,
    /// A new password from the list of common passwords.
    PasswordCommon,
    /// A new password that is a name of its user or of the realm.
    PasswordIsName,
    /// Another name, which only the operator gives.
    RenameForbidden,
    /// A rename of a user with too many reserved names.
    NamesHeld,
    /// A username or email that can't be registered.
    NameInvalid,
    /// A username or email that is another user's.
    UserExists,
    /// No `uniqueId` where one is needed, or none that exists.
    RecordUnknown,
    NotOwner,
    /// `strategy=replace` with a member of another type than the record's.
    TypeMismatch,
    /// An unknown `strategy`.
    Strategy,
    /// The realm's users are made by its operator.
    RegistrationClosed,
    /// Wrong password, unknown user, or disabled user: one answer.
    Credentials,
    /// The password is correct, and this login API does not support the required second factor or new password.
    ChallengeRequired,
    /// A member of the body is missing, or has the wrong type: the requirement as a sentence.
    Parameter(&'static str),
    /// An unknown challenge.
    Challenge,
    /// A challenge's session that has ended or never began.
    Session,
    /// A wrong code.
    Code,
    /// A code that was used before.
    CodeUsed,
    /// A new password that is the old one.
    NewPassword,
    /// A new password that the user pool does not take.
    NewPasswordRefused,
    /// An invalid refresh token.
    RefreshToken,
    /// A refresh token that was used before.
    RefreshReused,
    /// The client of the token is not allowed to log users in.
    ExchangeForbidden,
    /// No email address where one is needed.
    EmailMissing,
    /// Not the base64 of an email address.
    EmailInvalid,
    /// The user of this address does not exist, or the token is not allowed to log the user in.
    EmailUnknown,
    /// A user without a licence.
    NoLicence,
    /// A user without a profile.
    NoProfile,
    /// A redirect that is not on the list.
    RedirectUnknown,
    /// The callback token is invalid or used.
    CallbackToken,
    /// Too many failures; seconds to wait.
    Throttled(u32),
    /// More requests of an address or an API key than are allowed; seconds until the next one is.
    RateLimited(u32),
    /// More of them at once than are allowed.
    ConcurrencyLimited,
    /// Every hashing thread is busy and the queue is full.
    Busy,
    Store,
    /// The user pool is unreachable, or its response is invalid.
    PoolFailed,
    /// The user pool of the login did not answer in time.
    PoolTimeout,
    /// No upstream server is reachable, or the server closed the connection early.
    UpstreamFailed,
    /// The upstream's answer can be read in two ways (RFC 9112, 6.3).
    UpstreamFraming,
    /// No server of the upstream is available.
    UpstreamUnavailable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// A fault of Tollgate.
    Internal,
}

/// The fault of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    Missing,
    /// Not a key of the realm.
    Unknown,
    Expired,
    Disabled,
}

/// The response to a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenyResponse {
    pub status: StatusCode,
    /// The stable reason code, listed in docs/errors.md.
    pub reason: &'static str,
    /// One sentence for the developer of the client.
    pub detail: &'static str,
}

impl DenyReason {
    /// The response for the client.
    #[must_use]
    #[rustfmt::skip] // One row a line, whatever its width.
    pub const fn response(self) -> DenyResponse {
        let (status, reason, detail) = match self {
            Self::Framing => (400, "framing_invalid", "The request's length is ambiguous: it takes either Content-Length or Transfer-Encoding: chunked, once."),
            Self::Host => (400, "host_invalid", "The request names no host, an invalid one, or two that differ."),
            Self::Target => (400, "target_invalid", "The path must be in its canonical form: no dot segments, empty segments, back-slashes, encoded slashes or control characters."),
            Self::Query => (400, "query_invalid", "A member of the query that this gateway reads is not percent-encoded UTF-8, or the query has a control character or a fragment."),
            Self::HeadTooLarge => (431, "head_too_large", "The request line and the headers are too long altogether."),
            Self::Header => (400, "header_invalid", "A header of the request is malformed."),
            Self::Upgrade => (400, "upgrade_invalid", "A WebSocket upgrade must not have a body."),
            Self::NotFound => (404, "route_not_found", "Nothing is served at this path with this method."),
            Self::WrongHost => (421, "host_unknown", "This gateway does not serve the host that the request names."),
            Self::KeyMissing => (403, "key_missing", "An API key is needed: send it as the query parameter key, or as the header X-API-Key."),
            Self::KeyUnknown => (400, "key_unknown", "The API key is not valid."),
            Self::KeyExpired => (400, "key_expired", "The API key has expired."),
            Self::KeyDisabled => (400, "key_disabled", "The API key is disabled."),
            Self::KeyConflict => (400, "key_conflict", "The request carries two API keys that differ."),
            Self::Basic(KeyFault::Missing) => (401, "key_missing", "An API key is needed: send it as the password of Basic credentials, or as other requests carry it."),
            Self::Basic(KeyFault::Unknown) => (401, "key_unknown", "The password of the Basic credentials is not an API key, or another one's than the user name says."),
            Self::Basic(KeyFault::Expired) => (401, "key_expired", "The API key in the Basic credentials has expired."),
            Self::Basic(KeyFault::Disabled) => (401, "key_disabled", "The API key in the Basic credentials is disabled."),
            Self::EndpointUnknown => (400, "endpoint_unknown", "There is no such endpoint."),
            Self::OriginDenied => (403, "origin_denied", "This origin is not allowed to call this API."),
            Self::OriginMissing => (403, "origin_missing", "The request needs an Origin header that is allowed. A client that is not a browser sends its token as Authorization: Bearer instead of the cookie."),
            Self::CredentialConflict => (400, "credential_conflict", "The request carries two credentials of one kind."),
            Self::TokenMissing => (401, "token_missing", "An access token is needed: log in first."),
            // Not the client's fault, and a new login does not help.
            Self::Token(TokenError::NoKeys) => (503, TokenError::NoKeys.code(), TokenError::NoKeys.detail()),
            Self::Token(reject) => (401, reject.code(), reject.detail()),
            Self::UserGone => (401, "user_gone", "The user of this access token does not exist any more."),
            Self::MasterKeyUnknown => (401, "master_key_unknown", "The master key is not valid."),
            Self::RoleMissing => (403, "role_missing", "The access token carries none of the roles that this path needs."),
            Self::MfaRequired => (403, "mfa_required", "This path needs a login with a second factor."),
            Self::Method => (405, "method_not_allowed", "This endpoint has no operation of this method."),
            Self::KeySetMethod => (405, "method_not_allowed", "The key set can only be read, with GET or HEAD."),
            Self::FlagMethod => (405, "method_not_allowed", "login=true and logout=true are operations of POST only."),
            Self::Flag => (400, "flag_invalid", "A query flag counts only once and only with the value true, and login excludes logout."),
            Self::ContentType => (400, "content_type", "The Content-Type must be application/json."),
            Self::Body => (400, "body_invalid", "The body must be one JSON object without duplicate members."),
            Self::HeadTimeout => (408, "head_timeout", "The request line and the headers did not arrive in time."),
            Self::BodyTooLarge => (413, "body_too_large", "The body of a login request is limited to 64 KiB."),
            Self::RequestTooLarge => (413, "body_too_large", "The body of the request is longer than is allowed here."),
            Self::BodyTimeout => (408, "body_timeout", "The body did not arrive in time."),
            Self::LoginName => (400, "login_name", "The body needs either username or email, as a non-empty string, and not both."),
            Self::Password => (400, "password_missing", "The body needs password, as a non-empty string."),
            Self::PasswordTooShort => (400, "password_too_short", "The password is too short: it must have at least 8 characters, or as many more as this realm demands."),
            Self::PasswordTooLong => (400, "password_too_long", "The password is too long: it must have at most 256 characters."),
            Self::PasswordCommon => (400, "password_common", "The password is one of the most common ones: choose another."),
            Self::PasswordIsName => (400, "password_is_name", "The password is a name of the user or of the realm: choose another."),
            Self::RenameForbidden => (403, "rename_forbidden", "The username and email of a user of this realm are changed by its operator only: send them as they are, or not at all with strategy=merge."),
            Self::NamesHeld => (403, "names_held", "This user has given up several names that are still reserved: they are free when the sessions that began under them have ended."),
            Self::NameInvalid => (400, "name_invalid", "This is not a username or email that can be registered."),
            Self::UserExists => (400, "user_exists", "A user of this name exists already."),
            Self::RecordUnknown => (400, "record_unknown", "The query needs uniqueId, the id of a record that exists."),
            Self::NotOwner => (403, "not_owner", "Only its owner may change a record."),
            Self::TypeMismatch => (400, "type_mismatch", "strategy=replace keeps the type of every member."),
            Self::Strategy => (400, "strategy_invalid", "strategy is force, merge or replace."),
            Self::RegistrationClosed => (403, "registration_closed", "Users of this realm are made by its operator."),
            Self::Credentials => (401, "credentials_invalid", "The username, email or password is wrong."),
            Self::ChallengeRequired => (403, "challenge_required", "This user must enter a code or set a new password. This login API does not support that: use another login."),
            Self::Parameter(sentence) => (400, "parameter_invalid", sentence),
            Self::Challenge => (400, "challenge_unknown", "There is no challenge of this name: answer the one that the login named."),
            Self::Session => (401, "session_invalid", "Invalid session for the user: log in again."),
            Self::Code => (400, "code_mismatch", "Invalid code received for user."),
            Self::CodeUsed => (400, "code_used", "Your software token has already been used once: wait for the next code."),
            Self::NewPassword => (400, "password_policy", "The new password must be another one than before."),
            Self::NewPasswordRefused => (400, "password_policy", "The new password does not keep the rules for passwords."),
            Self::RefreshToken => (401, "refresh_token_invalid", "Invalid Refresh Token."),
            Self::RefreshReused => (401, "refresh_token_reused", "The refresh token was used before: its session has ended, log in again."),
            Self::ExchangeForbidden => (401, "exchange_forbidden", "The client of this access token is not allowed to log users in."),
            Self::EmailMissing => (400, "email_missing", "The body needs email, as a non-empty string."),
            Self::EmailInvalid => (400, "email_invalid", "email must be the base64 of an email address."),
            Self::EmailUnknown => (403, "email_unknown", "The user does not exist, or this access token is not allowed to log the user in."),
            Self::NoLicence => (403, "licence_missing", "The user has no licence."),
            Self::NoProfile => (403, "profile_missing", "The user has no profile."),
            Self::RedirectUnknown => (400, "redirect_unknown", "redirect_url is not one of those that are allowed."),
            Self::CallbackToken => (401, "callback_token", "The callback token is invalid, expired or already used."),
            Self::Throttled(_) => (429, "throttled", "Too many failed attempts: wait for the number of seconds in Retry-After."),
            Self::RateLimited(_) => (429, "rate_limited", "Too many requests: wait for the number of seconds in Retry-After."),
            Self::ConcurrencyLimited => (429, "concurrency_limited", "Too many requests at once: wait for one of them to end."),
            Self::Busy => (503, "busy", "Too many logins at once: try again."),
            Self::Store => (503, "store_unavailable", "The user store does not answer: try again."),
            Self::PoolFailed => (502, "pool_failed", "The user pool behind this login can't be asked: try again later."),
            Self::PoolTimeout => (504, "pool_timeout", "The user pool behind this login did not answer in time."),
            Self::UpstreamFailed => (502, "upstream_failed", "The application is unreachable, or it closed the connection early."),
            Self::UpstreamFraming => (502, "upstream_framing", "The length of the answer from the application behind this gateway is ambiguous."),
            Self::UpstreamUnavailable => (503, "upstream_unavailable", "No server of the application behind this gateway is available: try again."),
            Self::UpstreamTimeout => (504, "upstream_timeout", "The application behind this gateway did not answer in time."),
            Self::Internal => (500, "internal", "A fault of this gateway."),
        };
        DenyResponse { status: status_code(status), reason, detail }
    }
}

/// The table holds valid codes only, which the test below shows; a `const` can't use `?` or `unwrap_or`.
const fn status_code(code: u16) -> StatusCode {
    match StatusCode::from_u16(code) {
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_a_documented_answer() {
        let rows = [
            DenyReason::Framing,
            DenyReason::Token(TokenError::Expired),
            DenyReason::Throttled(3),
            DenyReason::Internal,
        ]
        .map(DenyReason::response);
        assert_eq!(rows.map(|row| row.status.as_u16()), [400, 401, 429, 500]);
    }
}
