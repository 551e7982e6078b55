//! Session epochs: when another one begins, all sessions of a realm end.

use async_trait::async_trait;

use super::StoreError;
use crate::config::Realm;
use crate::token::{AccountId, KeyError, Seal, TokenId};

/// Session epochs. The rules of [`Store`](super::Store) hold.
#[async_trait]
pub trait EpochStore: Send + Sync {
    /// Every realm's epoch, in the order of their names.
    ///
    /// # Errors
    /// The database failed.
    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError>;

    /// The epoch of this realm.
    ///
    /// # Errors
    /// The database failed.
    async fn epoch(&self, realm: &str) -> Result<Option<Epoch>, StoreError>;

    /// Begins `next` if its realm has no epoch, or one with another issuer or audience, or one without a key that is
    /// left. Of concurrent calls, one begins an epoch.
    ///
    /// # Errors
    /// The database failed.
    async fn follow_epoch(&self, next: &Epoch) -> Result<Followed, StoreError>;

    /// Begins `next`, whatever there is.
    ///
    /// # Errors
    /// The database failed.
    async fn begin_epoch(&self, next: &Epoch) -> Result<(), StoreError>;

    /// Begins `next` and ends all sessions of its realm: all tokens issued up to and including the second `until` are
    /// refused, and later tokens of sessions from before. The revocations can be deleted after `expires_at`. Processes
    /// that poll revocations load these.
    ///
    /// # Errors
    /// The database failed.
    async fn end_realm(&self, next: &Epoch, until: i64, expires_at: i64) -> Result<(), StoreError>;

    /// The same for every realm that has an epoch and for those of `next`, after the database was restored. A process
    /// that has loaded later sequences than the restored database has loads these entries as well.
    ///
    /// # Errors
    /// The database failed. Some realms may be done.
    async fn restored(&self, next: &[Epoch], until: i64, expires_at: i64) -> Result<(), StoreError>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochId(pub u128);

/// A session epoch of a realm. When a new epoch begins, sessions from before can't be refreshed, and logins from before
/// can't be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    pub realm: String,
    pub id: EpochId,
    /// The secret for marks on tokens between two steps of a login.
    pub seal: Seal,
    /// A hash of the realm's issuer and audience ([`crate::token::TokenSettings::everyone`]).
    pub issued_for: AccountId,
    /// The ids of its signing keys, sorted, as a process found them when it looked last.
    pub keys: Vec<String>,
    /// When it began, Unix seconds.
    pub since: i64,
}

/// The result of comparing a realm's epoch with its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    Same,
    /// The epoch stays, with added or removed keys.
    OtherKeys,
    First,
    /// Another one began, since issuer or audience is another one.
    IssuerChanged,
    /// Another one began, since none of the signing keys is there that there were.
    KeysGone,
}

impl Epoch {
    /// Returns a new epoch for this realm at `now` (Unix seconds).
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn next(realm: &Realm, now: i64) -> Result<Self, KeyError> {
        let mut keys: Vec<_> = realm.tokens.keys.keys().iter().map(|key| key.kid().to_owned()).collect();
        keys.sort_unstable();
        Ok(Self {
            realm: realm.name.to_owned(),
            id: EpochId(TokenId::random().0),
            seal: Seal::random()?,
            issued_for: realm.tokens.everyone(),
            keys,
            since: now,
        })
    }

    /// Decides whether this epoch begins or `present` stays.
    #[must_use]
    pub fn follows(&self, present: Option<&Self>) -> Followed {
        match present {
            None => Followed::First,
            Some(present) if present.issued_for != self.issued_for => Followed::IssuerChanged,
            Some(present) if present.keys == self.keys => Followed::Same,
            Some(present) if present.keys.iter().any(|key| self.keys.contains(key)) => Followed::OtherKeys,
            Some(_) => Followed::KeysGone,
        }
    }

    /// Returns the epochs that begin after the database was restored: these, and for each realm that only the database
    /// has the epoch after `present`.
    pub(super) fn all_again(next: &[Self], present: Vec<Self>) -> Result<Vec<Self>, StoreError> {
        let mut all = next.to_vec();
        for present in present {
            let of_before = next.iter().find(|next| next.realm == present.realm);
            // Tokens of an issuer that the realm no longer has are refused everywhere.
            if of_before.is_none() {
                let seal = Seal::random().map_err(|error| StoreError::Failed(error.to_string()))?;
                all.push(Self { id: EpochId(TokenId::random().0), seal, ..present });
            }
        }
        Ok(all)
    }
}
