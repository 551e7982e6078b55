//! Flows: sign-ins that have begun and are not done, and the tickets with which a portal hands them to another host.
//!
//! A flow begins when a browser without a session navigates to a host. It remembers the way back for a quarter of an hour,
//! and is bound to the flow cookie of the browser at that host. No one has proven anything at this point, so the
//! number of flows is limited: of a cookie and of a realm, the latest are kept. Both limits are exact among calls that
//! follow each other; the cost of the realm's limit grows with it.
//!
//! A request to an OpenID Connect provider is a flow as well, with [`Flow::provider`]: its id is the `state`. If the person
//! came to the portal from another host, [`Flow::parent`] is the flow of that host.
//!
//! A ticket says that the person of a portal's session may continue a flow. Its use ends the flow: of concurrent calls one
//! succeeds. A flow has one ticket, the latest. When the portal's session ends, its tickets end.
//!
//! The store gets no cookie, ticket or id of a flow, only their [`SecretHash`].

use async_trait::async_trait;

use super::{SecretHash, StoreError};
use crate::token::TokenId;

/// Flows and tickets. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait FlowStore: Send + Sync {
    /// Stores a flow, and deletes the oldest ones beyond the limits.
    ///
    /// # Errors
    /// The target is longer than [`MAX_TARGET`] bytes, or the database failed.
    async fn begin_flow(&self, flow: &Flow, limits: FlowLimits) -> Result<(), StoreError>;

    /// The flow of this id, if it has not expired at `now` (Unix seconds).
    ///
    /// # Errors
    /// The database failed.
    async fn flow(&self, id: SecretHash, now: i64) -> Result<Option<Flow>, StoreError>;

    /// Ends the flow of this id and returns it, if it is bound to this cookie and has not expired at `now` (Unix
    /// seconds). Of concurrent calls one gets the flow.
    ///
    /// # Errors
    /// The database failed.
    async fn take_flow(&self, id: SecretHash, cookie: SecretHash, now: i64) -> Result<Option<Flow>, StoreError>;

    /// Stores a ticket in place of an earlier one of its flow. Returns whether the flow has not expired and the session
    /// has not ended, in one realm.
    ///
    /// # Errors
    /// The database failed.
    async fn issue_ticket(&self, ticket: &NewTicket) -> Result<bool, StoreError>;

    /// Uses a ticket. Returns its flow, which ends, and the portal's session. `None` if there is no such ticket, it has
    /// expired, or its flow is of another cookie, host or realm; then ticket and flow stay as they are.
    ///
    /// # Errors
    /// The database failed.
    async fn redeem_ticket(&self, presented: &TicketUse) -> Result<Option<(Flow, TokenId)>, StoreError>;
}

/// A sign-in that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Of its random id.
    pub id: SecretHash,
    /// Of the flow cookie of the browser at `host`.
    pub cookie: SecretHash,
    pub realm: String,
    pub host: String,
    /// The path and query at `host` to which the browser returns.
    pub target: String,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix seconds from which it is invalid.
    pub expires_at: i64,
    /// The number of flows before it that this navigation began.
    pub tries: u32,
    /// The id of the flow that continues after this one.
    pub parent: Option<SecretHash>,
    /// Set if it is a request to a provider.
    pub provider: Option<ProviderRequest>,
}

impl Flow {
    /// Refuses a flow that the caller had to refuse.
    pub(super) fn refuse_long_target(&self) -> Result<(), StoreError> {
        if self.target.len() <= MAX_TARGET {
            return Ok(());
        }
        Err(StoreError::Failed(format!("the target of a sign-in has more than {MAX_TARGET} bytes")))
    }
}

/// A request to an OpenID Connect provider. Its `state` is the id of its flow.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderRequest {
    /// The provider's id in the configuration.
    pub provider: String,
    /// Of the `nonce`.
    pub nonce: SecretHash,
    /// The code verifier of PKCE (RFC 7636). The caller encrypts it.
    pub sealed_verifier: Vec<u8>,
}

impl std::fmt::Debug for ProviderRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ProviderRequest").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// Maximum numbers of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowLimits {
    /// With one flow cookie.
    pub per_cookie: u32,
    /// Of one realm.
    pub per_realm: u32,
}

/// A ticket of a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTicket {
    pub ticket: SecretHash,
    /// The id of the flow that it continues.
    pub flow: SecretHash,
    /// The sign-in session at the portal.
    pub session: TokenId,
    /// Unix seconds.
    pub now: i64,
    /// Unix seconds from which it is invalid.
    pub expires_at: i64,
}

/// A ticket that a browser presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketUse<'a> {
    pub ticket: SecretHash,
    /// Of the flow cookie that came with it.
    pub cookie: SecretHash,
    pub realm: &'a str,
    /// The host of the request.
    pub host: &'a str,
    /// Unix seconds.
    pub now: i64,
}

/// Maximum length of [`Flow::target`] in bytes: flows of strangers are stored.
pub const MAX_TARGET: usize = 4096;
