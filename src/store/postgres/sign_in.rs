//! Sign-in for people: sessions, flows and accounts at providers.
//!
//! A check of a session takes no lock, and a flow is locked by its own row only. So people who are signed in, and browsers
//! that begin to sign in, wait for no writer of revocations.

use async_trait::async_trait;
use sqlx::Connection as _;

use super::connection::{ANSWER_LIMIT, in_time};
use super::statements::{flows, provider_accounts, sign_ins};
use super::{BEGIN, BEGIN_ALONE, BEGIN_SHARED, Postgres};
use crate::store::{
    CheckedSignIn, Flow, FlowLimits, FlowStore, NewSignIn, NewTicket, ProviderAccount, ProviderAccountStore,
    ProviderLogout, Revocation, SecretHash, SignIn, SignInCheck, SignInStore, SignInsToEnd, StoreError, TicketUse,
    User,
};
use crate::token::TokenId;

#[async_trait]
impl SignInStore for Postgres {
    async fn open_sign_in(&self, new: &NewSignIn, version: i64) -> Result<Vec<Revocation>, StoreError> {
        match transact!(self, BEGIN_SHARED, |transaction| sign_ins::open(transaction, new, version))? {
            sign_ins::Opening::Done => Ok(Vec::new()),
            // Ending a session requires the exclusive lock, for which a holder of the shared lock can't wait.
            sign_ins::Opening::Full => {
                transact!(self, BEGIN_ALONE, |transaction| sign_ins::open_and_end_oldest(transaction, new, version))
            }
        }
    }

    async fn check_sign_in(&self, check: &SignInCheck) -> Result<Option<CheckedSignIn>, StoreError> {
        // One statement is a transaction of its own.
        read!(self, |connection| sign_ins::check(connection, check))
    }

    async fn sign_ins(&self, realm: &str, user_id: &str, now: i64) -> Result<Vec<SignIn>, StoreError> {
        read!(self, |connection| sign_ins::of_user(connection, realm, user_id, now))
    }

    async fn end_sign_ins(&self, ended: SignInsToEnd) -> Result<Vec<Revocation>, StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| sign_ins::end(transaction, ended))
    }

    async fn provider_logout(&self, logout: &ProviderLogout) -> Result<Option<Vec<Revocation>>, StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| sign_ins::log_out(transaction, logout))
    }
}

#[async_trait]
impl FlowStore for Postgres {
    async fn begin_flow(&self, flow: &Flow, limits: FlowLimits) -> Result<(), StoreError> {
        flow.refuse_long_target()?;
        transact!(self, BEGIN, |transaction| flows::begin(transaction, flow, limits))
    }

    async fn flow(&self, id: SecretHash, now: i64) -> Result<Option<Flow>, StoreError> {
        read!(self, |connection| flows::select(connection, id, now))
    }

    async fn take_flow(&self, id: SecretHash, cookie: SecretHash, now: i64) -> Result<Option<Flow>, StoreError> {
        transact!(self, BEGIN, |transaction| flows::take(transaction, id, cookie, now))
    }

    async fn issue_ticket(&self, ticket: &NewTicket) -> Result<bool, StoreError> {
        // Shared: its session must not end between the statement's checks.
        transact!(self, BEGIN_SHARED, |transaction| flows::issue(transaction, ticket))
    }

    async fn redeem_ticket(&self, presented: &TicketUse) -> Result<Option<(Flow, TokenId)>, StoreError> {
        transact!(self, BEGIN, |transaction| flows::redeem(transaction, presented))
    }
}

#[async_trait]
impl ProviderAccountStore for Postgres {
    async fn link_account(&self, account: &ProviderAccount, by: Option<TokenId>) -> Result<(), StoreError> {
        transact!(self, BEGIN_SHARED, |transaction| provider_accounts::link(transaction, account, by))
    }

    async fn create_linked_user(&self, user: &User, account: &ProviderAccount) -> Result<(), StoreError> {
        transact!(self, BEGIN_ALONE, |transaction| provider_accounts::create_user(transaction, user, account))
    }

    async fn unlink_account(&self, account: &ProviderAccount, by: Option<TokenId>) -> Result<bool, StoreError> {
        transact!(self, BEGIN_SHARED, |transaction| provider_accounts::unlink(transaction, account, by))
    }

    async fn user_of_account(&self, realm: &str, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        read!(self, |connection| provider_accounts::of_account(connection, realm, issuer, subject))
    }

    async fn accounts(&self, realm: &str, user_id: &str) -> Result<Vec<ProviderAccount>, StoreError> {
        read!(self, |connection| provider_accounts::of_user(connection, realm, user_id))
    }
}
