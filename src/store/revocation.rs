//! Revoked tokens, sessions and accounts, and how a process loads them into memory.

use super::{Store, StoreError};
use crate::token::{AccountId, Revocations, TokenId};

/// A token that is not accepted any more, or a session with all of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Increases with every revocation: [`Store::revocations_after`] the last known sequence returns the new ones.
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
