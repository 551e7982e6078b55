//! Access tokens, without I/O and without a clock: keys, minting, verification, and the set of revoked tokens.
//!
//! A token is a JWS in compact form (RFC 7515) with the claims of RFC 7519. The key decides the algorithm, never the
//! token; `iss`, `aud`, `exp`, `nbf`, `sub`, `jti`, `typ` and `kid` are all mandatory; anything that we do not put into
//! a token is refused in one.

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

/// What a realm puts into the tokens that it signs, and demands of those that it is shown.
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
    /// Whose tokens are accepted beside its own; no two of one name, and none of `issuer`'s.
    pub trusted: Vec<TrustedIssuer>,
}

/// Whom a token speaks for, as its claims say.
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
    /// Everybody whom a token speaks for in this realm, as one account.
    #[must_use]
    pub fn everyone(&self) -> AccountId {
        AccountId(fingerprint(&["realm", &self.issuer, &self.audience]))
    }
}

impl Claims {
    /// By what this token of `issuer` may be revoked in the realm of `everyone`.
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

    /// What apps and operators know it by, so that to revoke that ends all of it: a token of our own (`own`) by its session,
    /// whose refresh tokens would bring the next one; another issuer's by itself, since of its session we know only this.
    #[must_use]
    pub fn public_id(&self, own: bool) -> TokenId {
        if own { self.session_id() } else { self.token_id }
    }
}

/// By what a token may be revoked: alone, with its session, or with all that its user, or everybody in the realm, was issued
/// before some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevocationKeys {
    /// Its own id.
    pub token: TokenId,
    /// That of its session, if it is not its own.
    pub session: Option<TokenId>,
    /// Whom it speaks for.
    pub account: AccountId,
    /// Everybody in the realm that accepts it.
    pub everyone: AccountId,
    /// Unix seconds.
    pub issued_at: i64,
}

/// One user of one issuer, or everybody in a realm, as 128 bits of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u128);

impl AccountId {
    /// The user whom `issuer` calls `subject`.
    #[must_use]
    pub fn new(issuer: &str, subject: &str) -> Self {
        Self(fingerprint(&["account", issuer, subject]))
    }
}

/// 128 bits of SHA-256 over these parts, each after its length: no other parts run together to the same
/// (`threats.md` R28).
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
