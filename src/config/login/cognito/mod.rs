//! `[login.cognito]`: a user pool of Amazon Cognito that answers for a login.

pub(in crate::config) mod read;

use std::fmt;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::sealed::Sealed;
use crate::token::RemoteJwks;

/// A user pool, as one of its app clients sees it, and the connections to it.
pub struct UserPool {
    /// `iss` of its tokens.
    pub issuer: String,
    pub client_id: String,
    pub(in crate::config) client_secret: Option<Zeroizing<String>>,
    /// Without a slash at its end.
    pub(in crate::config) endpoint: String,
    /// For one call as a whole.
    pub timeout: Duration,
    /// Where its keys are.
    pub(in crate::config) keys: RemoteJwks,
    pub client: Client,
    /// One permit for each call that may be under way.
    pub calls: Semaphore,
    pub(in crate::config) _sealed: Sealed,
}

impl UserPool {
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
