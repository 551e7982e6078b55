//! Wrong guesses at the password or code of an account.

use async_trait::async_trait;

use super::{NetworkId, StoreError};

/// Wrong guesses at accounts, and the networks from which accounts have signed in. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait GuessStore: Send + Sync {
    /// The wrong guesses at an account from this network. `user_id` need not be a user's.
    ///
    /// # Errors
    /// The database failed.
    async fn guesses(&self, realm: &str, user_id: &str, network: NetworkId) -> Result<Guesses, StoreError>;

    /// Counts a wrong guess at an account. Returns the number of guesses in a row. An id without a user has a count
    /// too, so that the time does not reveal whether a user exists. The caller uses a small number of such ids, or ids
    /// by [`super::LoginName::pool_account`], of which [`super::Store::purge_expired`] deletes old ones.
    ///
    /// # Errors
    /// The database failed.
    async fn count_guess(
        &self,
        realm: &str,
        user_id: &str,
        network: NetworkId,
        guess: Guess,
        now_ms: i64,
    ) -> Result<u32, StoreError>;

    /// Notes that an account signed in from this network, and forgets the wrong guesses that counted there. Of the networks
    /// of an account, the 10 that were used last are kept.
    ///
    /// # Errors
    /// The database failed.
    async fn signed_in(&self, realm: &str, user_id: &str, network: NetworkId, now_ms: i64) -> Result<(), StoreError>;

    /// Forgets the wrong guesses at a user, from wherever they came. The networks stay.
    ///
    /// # Errors
    /// The database failed.
    async fn reset_guesses(&self, realm: &str, user_id: &str, now_ms: i64) -> Result<(), StoreError>;

    /// Returns the ids of the realm's users with so many consecutive wrong guesses, at the password or at codes, from
    /// networks from which they have not logged in.
    ///
    /// # Errors
    /// The database failed.
    async fn guessed_at(&self, realm: &str, times: u32) -> Result<Vec<String>, StoreError>;

    /// Returns whether any account has logged in from this network.
    ///
    /// # Errors
    /// The database failed.
    async fn is_known(&self, network: NetworkId) -> Result<bool, StoreError>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    Password,
    /// A code of the second factor.
    Code,
}

/// Wrong guesses at an account in a row, at the network from which the next one comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// The account has logged in from this network. Then the counts are those of this network, otherwise those of all
    /// networks from which it has not.
    pub known: bool,
    /// A guess at the password.
    pub passwords: u32,
    /// At the codes of the second factor.
    pub codes: u32,
    /// When the account last signed in from this network, Unix milliseconds; 0 if it has not.
    pub used_at: i64,
    /// When the operator reset the counts, in Unix milliseconds; 0: never, or for an account of a user pool: there was
    /// a wrong guess since.
    pub reset_at: i64,
}
