//! Accounts at OpenID Connect providers, and the users that they sign in.
//!
//! An account is identified by issuer and subject, never by an email address, which another person can get later. A user can
//! have several accounts, an account belongs to one user. Deleting a user deletes the links to its accounts.

use async_trait::async_trait;

use super::{StoreError, User};
use crate::token::TokenId;

/// Accounts at providers. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait ProviderAccountStore: Send + Sync {
    /// Links an account to its user. An account that the user already has stays, under the provider's present id. `by` is
    /// the session that requested the link, if any, as for [`update_user`](super::UserStore::update_user).
    ///
    /// # Errors
    /// [`StoreError::AccountTaken`] if the account belongs to another user; [`StoreError::VersionConflict`] if the user
    /// does not exist; [`StoreError::Revoked`] if `by` is revoked.
    async fn link_account(&self, account: &ProviderAccount, by: Option<TokenId>) -> Result<(), StoreError>;

    /// Adds a user together with its account, or neither. Names are checked as by
    /// [`register`](super::UserStore::register), since the person chose them at the provider. `account.user_id` must be
    /// `user.id`, in one realm.
    ///
    /// # Errors
    /// As of [`register`](super::UserStore::register); [`StoreError::AccountTaken`] if the account belongs to a user.
    async fn create_linked_user(&self, user: &User, account: &ProviderAccount) -> Result<(), StoreError>;

    /// Removes the link of an account to this user. Returns whether there was one. `by` as for
    /// [`ProviderAccountStore::link_account`].
    ///
    /// # Errors
    /// [`StoreError::Revoked`] if `by` is revoked.
    async fn unlink_account(&self, account: &ProviderAccount, by: Option<TokenId>) -> Result<bool, StoreError>;

    /// The user to whom an account belongs.
    ///
    /// # Errors
    /// The database failed.
    async fn user_of_account(&self, realm: &str, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;

    /// The accounts of a user, the first linked one first.
    ///
    /// # Errors
    /// The database failed.
    async fn accounts(&self, realm: &str, user_id: &str) -> Result<Vec<ProviderAccount>, StoreError>;
}

/// An account at a provider, and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderAccount {
    pub realm: String,
    pub user_id: String,
    /// The provider's id in the configuration.
    pub provider: String,
    /// `iss` of the ID token.
    pub issuer: String,
    /// `sub` of the ID token.
    pub subject: String,
    /// Unix milliseconds.
    pub linked_at: i64,
}
