//! Revoked tokens, sessions and accounts, and how a process loads them into memory.

use async_trait::async_trait;

use super::{Store, StoreError};
use crate::token::{AccountId, Revocations, TokenId};

/// Revocations of tokens, sessions and accounts. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Returns the last second up to which all tokens of the account are refused, if there is one.
    ///
    /// # Errors
    /// The database failed.
    async fn cut_off_of(&self, account: AccountId) -> Result<Option<i64>, StoreError>;

    /// Ends one session. Revokes the token even if no session is known for it; if one is, its own expiry is used. An
    /// existing revocation that lasts as long stays unchanged.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke(&self, token: TokenId, ends: TokenExpiry) -> Result<Revocation, StoreError>;

    /// Revokes all tokens of the account issued up to and including the second `until`. Of two such revocations of one
    /// account the later one is kept, and the later expiry. Does not end sessions.
    ///
    /// # Errors
    /// The database failed.
    async fn revoke_subject(
        &self,
        account: AccountId,
        until: i64,
        expires_at: i64,
    ) -> Result<SubjectRevocation, StoreError>;

    /// Returns up to `limit` revocations that are in force at `now` with a sequence above `after`, in order.
    /// Revocations that appear later have a higher sequence than all that were ever returned.
    ///
    /// # Errors
    /// The database failed.
    async fn revocations_after(&self, after: i64, now: i64, limit: u32) -> Result<Vec<RevocationEntry>, StoreError>;
}

/// A token that is not accepted any more, or a session with all of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Increases with every revocation: [`RevocationStore::revocations_after`] the last known sequence returns the new ones.
    pub sequence: i64,
    pub token: TokenId,
    /// Unix seconds after which no one accepts the token anyway.
    pub expires_at: i64,
}

/// All tokens that an account, or a whole realm, was issued up to a second. They are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectRevocation {
    /// Shares the sequence of [`Revocation::sequence`].
    pub sequence: i64,
    pub account: AccountId,
    /// Unix seconds. Tokens issued in this second are the last ones that are refused.
    pub until: i64,
    /// Unix seconds after which no one accepts any of the tokens anyway.
    pub expires_at: i64,
}

/// A revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationEntry {
    /// One token or one session.
    Id(Revocation),
    /// All tokens of one account up to a second.
    Account(SubjectRevocation),
}

impl RevocationEntry {
    /// Increases with every revocation of either kind.
    #[must_use]
    pub const fn sequence(&self) -> i64 {
        match self {
            Self::Id(revocation) => revocation.sequence,
            Self::Account(cut_off) => cut_off.sequence,
        }
    }
}

/// When a token ends by itself, Unix seconds after which no one accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenExpiry {
    At(i64),
    /// Unknown, but not later. The value of the first revocation is more exact.
    AtMost(i64),
}

/// Loads the revocations after the sequence `after`, of all processes, into memory. Returns the last sequence.
///
/// # Errors
/// The database failed. Revocations that were read before are in memory.
pub async fn load_revocations(
    store: &dyn Store,
    revoked: &Revocations,
    mut after: i64,
    now: i64,
) -> Result<i64, StoreError> {
    loop {
        let page = store.revocations_after(after, now, PAGE).await?;
        let Some(last) = page.last() else { return Ok(after) };
        after = last.sequence();
        let mut cut_offs = Vec::new();
        revoked.extend(page.iter().filter_map(|revoked| match revoked {
            RevocationEntry::Id(revocation) => Some((revocation.token, revocation.expires_at)),
            RevocationEntry::Account(cut_off) => {
                cut_offs.push((cut_off.account, cut_off.until, cut_off.expires_at));
                None
            }
        }));
        revoked.revoke_subject(cut_offs);
    }
}

/// Revocations per page: a page takes some megabytes, and there can be a million revocations.
const PAGE: u32 = 50_000;
