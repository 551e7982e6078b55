//! Revoked tokens, sessions and accounts, and how a process loads them into memory.

use super::{Store, StoreError};
use crate::token::{AccountId, Revocations, TokenId};

/// A token that is not accepted any more, or a session with all of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Goes up with every revocation: [`Store::revocations_after`] the last one seen brings the new ones.
    pub sequence: i64,
    /// The token's id.
    pub token: TokenId,
    /// Unix seconds after which no one accepts the token anyway.
    pub expires_at: i64,
}

/// All tokens that an account was issued until some second, or everybody in a realm: none of them is accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectRevocation {
    /// As [`Revocation::sequence`], and of the same one.
    pub sequence: i64,
    /// Whose tokens.
    pub account: AccountId,
    /// Unix seconds: what was issued in this second is the last that is refused.
    pub until: i64,
    /// Unix seconds after which no one accepts any of the tokens anyway.
    pub expires_at: i64,
}

/// What is not accepted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationEntry {
    /// One token, or one session.
    Id(Revocation),
    /// What one account was issued until some second.
    Account(SubjectRevocation),
}

impl RevocationEntry {
    /// Goes up with every revocation of either kind.
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
    /// Then.
    At(i64),
    /// Nobody knows, but not later. What was known when it was revoked first is the better word.
    AtMost(i64),
}

/// Brings into memory what was revoked after the sequence `after`, by whichever process. Returns the last sequence.
///
/// # Errors
/// The database failed; what was read by then is in memory.
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

/// As many revocations at once as cost some megabytes, since there may be a million.
const PAGE: u32 = 50_000;
