//! Sign-in for people: sessions, flows and accounts at providers.

use async_trait::async_trait;

use super::statements::{flows, provider_accounts, sign_ins};
use super::{Sqlite, transact};
use crate::store::{
    CheckedSignIn, Flow, FlowLimits, FlowStore, NewSignIn, NewTicket, ProviderAccount, ProviderAccountStore,
    ProviderLogout, Revocation, SecretHash, SignIn, SignInCheck, SignInStore, SignInsToEnd, StoreError, TicketUse,
    User,
};
use crate::token::TokenId;

#[async_trait]
impl SignInStore for Sqlite {
    async fn open_sign_in(&self, new: &NewSignIn, version: i64) -> Result<Vec<Revocation>, StoreError> {
        let mut transaction = self.begin().await?;
        let revoked = match sign_ins::open(&mut transaction, new, version).await? {
            sign_ins::Opening::Done => Vec::new(),
            sign_ins::Opening::Full => sign_ins::open_and_end_oldest(&mut transaction, new, version).await?,
        };
        transaction.commit().await?;
        Ok(revoked)
    }

    async fn check_sign_in(&self, check: &SignInCheck) -> Result<Option<CheckedSignIn>, StoreError> {
        if !check.touch {
            return sign_ins::check(&mut *self.readers.acquire().await?, check).await;
        }
        transact!(self, |transaction| sign_ins::check(transaction, check))
    }

    async fn sign_ins(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<SignIn>, StoreError> {
        sign_ins::of_user(&mut *self.readers.acquire().await?, realm, user_id, now).await
    }

    async fn end_sign_ins(&self, ended: SignInsToEnd) -> Result<Vec<Revocation>, StoreError> {
        transact!(self, |transaction| sign_ins::end(transaction, ended))
    }

    async fn provider_logout(&self, logout: &ProviderLogout) -> Result<Option<Vec<Revocation>>, StoreError> {
        transact!(self, |transaction| sign_ins::log_out(transaction, logout))
    }
}

#[async_trait]
impl FlowStore for Sqlite {
    async fn begin_flow(&self, flow: &Flow, limits: FlowLimits) -> Result<(), StoreError> {
        flow.refuse_long_target()?;
        transact!(self, |transaction| flows::begin(transaction, flow, limits))
    }

    async fn flow(&self, id: SecretHash, now: i64) -> Result<Option<Flow>, StoreError> {
        flows::select(&mut *self.readers.acquire().await?, id, now).await
    }

    async fn take_flow(&self, id: SecretHash, cookie: SecretHash, now: i64) -> Result<Option<Flow>, StoreError> {
        transact!(self, |transaction| flows::take(transaction, id, cookie, now))
    }

    async fn issue_ticket(&self, ticket: &NewTicket) -> Result<bool, StoreError> {
        transact!(self, |transaction| flows::issue(transaction, ticket))
    }

    async fn redeem_ticket(&self, presented: &TicketUse) -> Result<Option<(Flow, TokenId)>, StoreError> {
        transact!(self, |transaction| flows::redeem(transaction, presented))
    }
}

#[async_trait]
impl ProviderAccountStore for Sqlite {
    async fn link_account(&self, account: &ProviderAccount, by: Option<TokenId>) -> Result<(), StoreError> {
        transact!(self, |transaction| provider_accounts::link(transaction, account, by))
    }

    async fn create_linked_user(&self, user: &User, account: &ProviderAccount) -> Result<(), StoreError> {
        transact!(self, |transaction| provider_accounts::create_user(transaction, user, account))
    }

    async fn unlink_account(&self, account: &ProviderAccount, by: Option<TokenId>) -> Result<bool, StoreError> {
        transact!(self, |transaction| provider_accounts::unlink(transaction, account, by))
    }

    async fn user_of_account(&self, realm: &str, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        provider_accounts::of_account(&mut *self.readers.acquire().await?, realm, issuer, subject).await
    }

    async fn accounts(&self, realm: &str, user_id: &str) -> Result<Vec<ProviderAccount>, StoreError> {
        provider_accounts::of_user(&mut *self.readers.acquire().await?, realm, user_id).await
    }
}
