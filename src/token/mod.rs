//! Access tokens, without I/O and without a clock: keys, minting, verification, and the set of revoked tokens.
//!
//! A token is a JWS in compact form (RFC 7515) with the claims of RFC 7519. The key decides the algorithm, never the
//! token; `iss`, `aud`, `exp`, `nbf`, `sub`, `jti`, `typ` and `kid` are all mandatory; header members that the realm
//! does not write are refused.

mod algorithm;
mod assertion;
mod callback;
mod challenge;
mod error;
mod issuer;
mod jwks;
mod keys;
mod mint;
mod parts;
mod revocation;
mod seal;
mod signer;
mod signing_key;
mod trusted_keys;
mod verified_token;
mod verify;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::digest;

pub use algorithm::Algorithm;
pub use callback::CallbackToken;
pub use challenge::ChallengeToken;
pub use error::TokenError;
pub use issuer::{Audience, ClaimMapping, TokenType, TrustedIssuer};
pub use jwks::{JwksError, MAX_JWKS_BYTES, PublicKeys, UnusableKey};
pub use keys::{SigningKeys, signing, verification_end};
pub use revocation::Revocations;
pub use seal::{Seal, Sealed};
pub use signing_key::{KeyError, SigningKey};
pub use trusted_keys::{IssuerKeys, JwksLocation, KeySource, LastFetch, RemoteJwks, check_url};
pub use verified_token::{SigningIssuer, VerifiedToken};
pub use verify::{MAX_TRUSTED_TOKEN_BYTES, decode_unverified};

/// Maximum of a realm's `leeway`: when this time has passed since the `exp` of a token, the token is invalid under every later
/// policy too, and its revocation can be deleted.
pub const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// The token settings of a realm: for minting and for verification.
#[derive(Debug)]
pub struct TokenSettings {
    /// `iss`, compared byte for byte.
    pub issuer: String,
    /// `aud`, compared byte for byte.
    pub audience: String,
    /// Seconds by which `exp` and `nbf` may be missed, for clocks that differ.
    pub leeway: i64,
    /// They sign in turn, and every one verifies.
    pub keys: SigningKeys,
    /// The same for ID tokens, if they have keys of their own. None of these verifies an access token.
    pub id_keys: Option<SigningKeys>,
    /// The trusted issuers. No two have the same name, and none has the name `issuer`.
    pub trusted: Vec<TrustedIssuer>,
}

/// The claims of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `jti`: names this one token, and the session that it is.
    pub token_id: TokenId,
    /// `sub`: the user's id.
    pub subject: String,
    /// `username`: as of the login.
    pub username: Option<String>,
    /// `email`: as of the login.
    pub email: Option<String>,
    /// `roles`: as of the login.
    pub roles: Vec<String>,
    /// `sid`: the session that this token is one of several of. Without it, the token is the session.
    pub session: Option<TokenId>,
    /// `amr` (RFC 8176) says that the login proved more than one factor.
    pub mfa: bool,
    /// `iat` and `nbf`, Unix seconds.
    pub issued_at: i64,
    /// `exp`, Unix seconds.
    pub expires_at: i64,
}

impl TokenSettings {
    /// Returns the account that stands for all users of this realm.
    #[must_use]
    pub fn everyone(&self) -> AccountId {
        AccountId(fingerprint(&["realm", &self.issuer, &self.audience]))
    }
}

impl Claims {
    /// Returns the revocation keys of this token of `issuer` in the realm of `everyone`.
    #[must_use]
    pub fn revocation_keys(&self, issuer: &str, everyone: AccountId) -> RevocationKeys {
        let account = AccountId::new(issuer, &self.subject);
        RevocationKeys { token: self.token_id, session: self.session, account, everyone, issued_at: self.issued_at }
    }

    /// The session that this token is, or is one of several of.
    #[must_use]
    pub fn session_id(&self) -> TokenId {
        self.session.unwrap_or(self.token_id)
    }

    /// Returns the id that applications and operators see, so that a revocation of this id ends everything: for a token
    /// of the realm (`own`) the session, whose refresh tokens would give the next token; for a token of another issuer
    /// the token itself, because nothing else is known of its session.
    #[must_use]
    pub fn public_id(&self, own: bool) -> TokenId {
        if own { self.session_id() } else { self.token_id }
    }
}

/// The keys by which a token can be revoked: alone, with its session, or with all tokens of its user or of the realm
/// from before some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationKeys {
    pub token: TokenId,
    /// The session id, if it differs from the token id.
    pub session: Option<TokenId>,
    pub account: AccountId,
    /// All users of the realm that accepts the token.
    pub everyone: AccountId,
    /// Unix seconds.
    pub issued_at: i64,
}

/// One user of one issuer, or all users of a realm, as 128 bits of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u128);

impl AccountId {
    /// Returns the account of the user `subject` of `issuer`.
    #[must_use]
    pub fn new(issuer: &str, subject: &str) -> Self {
        Self(fingerprint(&["account", issuer, subject]))
    }
}

/// Returns 128 bits of SHA-256 over these parts with their lengths: different parts never give the same input
/// (SECURITY.md R28).
fn fingerprint(parts: &[&str]) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let digest = context.finish();
    digest.as_ref().iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

/// 128 random bits that name a token. Written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub u128);

impl TokenId {
    /// A new one, from the system's random source.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u128())
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for TokenId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let canonical = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(());
        }
        u128::from_str_radix(text, 16).map(Self).map_err(drop)
    }
}

#[cfg(test)]
mod tests;
