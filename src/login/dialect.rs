//! The interface of a login API. Each one is implemented in its folder.

use async_trait::async_trait;
use http::StatusCode;
use serde_json::Value;

use super::{LoginError, LoginRequest, LoginResponse, LoginServices};
use crate::config::{Dialect, Login};
use crate::gate::DenyReason;

/// A login API.
#[async_trait]
pub trait LoginDialect: Sync {
    /// Answers a request.
    ///
    /// # Errors
    /// The reason for the client. Then the store is unchanged, except that the reuse of a refresh token ends its session.
    async fn handle(&self, request: LoginRequest<'_>, services: &LoginServices) -> Result<LoginResponse, LoginError>;

    /// Returns the error response, or `None` if the API has problem details (RFC 9457).
    fn refuse(&self, _deny: DenyReason) -> Option<ErrorResponse> {
        None
    }
}

/// An error response in the format of an API.
#[derive(Debug)]
pub struct ErrorResponse {
    /// One that clients of the API know.
    pub status: StatusCode,
    /// The JSON body.
    pub body: Value,
}

/// Returns the API of a login.
#[must_use]
pub fn dialect(login: &Login) -> &dyn LoginDialect {
    match &login.dialect {
        Dialect::Project(project) => project,
        Dialect::Tenant(tenant) => &**tenant,
        Dialect::Exchange(exchange) => &**exchange,
    }
}
