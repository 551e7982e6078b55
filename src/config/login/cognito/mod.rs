//! `[login.cognito]`: a user pool of Amazon Cognito that answers for a login.

pub(in crate::config) mod read;

use std::fmt;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::token::RemoteJwks;

/// A user pool, as one of its app clients sees it, and the connections to it.
pub struct UserPool {
    /// `iss` of its tokens.
    pub(in crate::config) issuer: String,
    pub(in crate::config) client_id: String,
    pub(in crate::config) client_secret: Option<Zeroizing<String>>,
    /// Without a slash at its end.
    pub(in crate::config) endpoint: String,
    pub(in crate::config) timeout: Duration,
    /// Where its keys are.
    pub(in crate::config) keys: RemoteJwks,
    pub(in crate::config) client: Client,
    pub(in crate::config) calls: Semaphore,
}

impl UserPool {
    /// `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The app client.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The app client's secret, if it has one.
    #[must_use]
    pub fn client_secret(&self) -> Option<&str> {
        self.client_secret.as_ref().map(|secret| secret.as_str())
    }

    /// Where calls go.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/", self.endpoint)
    }

    /// For one call as a whole.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What calls go through.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// One permit for each call that may be under way.
    #[must_use]
    pub const fn calls(&self) -> &Semaphore {
        &self.calls
    }
}

/// Without the secret.
impl fmt::Debug for UserPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UserPool")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("endpoint", &self.endpoint)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
