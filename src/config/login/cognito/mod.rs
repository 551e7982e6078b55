//! `[login.cognito]`: a user pool of Amazon Cognito.

pub(in crate::config) mod read;

use std::fmt;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::config::sealed::Sealed;
use crate::token::RemoteJwks;

/// A user pool with one of its app clients.
pub struct UserPool {
    /// `iss` of its tokens.
    pub issuer: String,
    pub client_id: String,
    pub(in crate::config) client_secret: Option<Zeroizing<String>>,
    /// Without a trailing slash.
    pub(in crate::config) endpoint: String,
    /// Maximum time for one call.
    pub timeout: Duration,
    /// Source of its keys.
    pub(in crate::config) keys: RemoteJwks,
    pub client: Client,
    /// Limits the number of concurrent calls.
    pub calls: Semaphore,
    pub(in crate::config) _sealed: Sealed,
}

impl UserPool {
    #[must_use]
    pub fn client_secret(&self) -> Option<&str> {
        self.client_secret.as_ref().map(|secret| secret.as_str())
    }

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
