//! Why a token is refused: a reason for the log and the client.

/// The reason that a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Longer than a token of its issuer may be.
    TooLong,
    /// Not three parts of base64url, not JSON objects, or with header members that the realm never writes.
    Malformed,
    /// Not an access token (`typ`).
    Type,
    /// Signed by a key that its issuer does not have.
    Key,
    /// The algorithm is not that of the key, or its issuer is not allowed to use it.
    Algorithm,
    /// There are no keys of its issuer: fetches failed, or the last success is too old.
    NoKeys,
    /// The signature does not fit.
    Signature,
    /// A claim is missing, has the wrong type, or has a wrong value.
    Claims,
    /// It requires a proof of possession (`cnf`), which Tollgate does not support.
    Bound,
    /// The issuer is not trusted.
    Issuer,
    Audience,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    NotYetValid,
    /// Logged out, or its user was disabled or deleted, or has a new password.
    Revoked,
}

impl TokenError {
    /// The stable reason code that a client sees, listed in docs/errors.md.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Type => "token_type",
            Self::Key => "token_key_unknown",
            Self::Algorithm => "token_algorithm",
            Self::NoKeys => "issuer_keys_unavailable",
            Self::Signature => "token_signature",
            Self::Claims => "token_claims",
            Self::Bound => "token_bound",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Revoked => "token_revoked",
        }
    }

    /// Returns one sentence for the client. It repeats nothing that the token did not say.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "The access token is longer than this gateway accepts from its issuer.",
            Self::Malformed => "The access token is not a JWT that this gateway accepts.",
            Self::Type => "The token is not an access token.",
            Self::Key => "The access token was signed with a key that this gateway does not know.",
            Self::Algorithm => "The access token was signed with an algorithm that does not go with its key.",
            Self::NoKeys => "The keys of the token's issuer are temporarily unavailable: try again.",
            Self::Signature => "The signature of the access token is invalid.",
            Self::Claims => "The access token lacks a claim, or has one of the wrong type or value.",
            Self::Bound => "The access token needs a proof of possession, which this gateway does not check.",
            Self::Issuer => "The access token comes from an issuer that is not trusted here.",
            Self::Audience => "The audience of the access token does not match.",
            Self::Expired => "The access token has expired: log in again.",
            Self::NotYetValid => "The access token is not valid yet.",
            Self::Revoked => "The access token was revoked: log in again.",
        }
    }
}
