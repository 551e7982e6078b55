//! Session epochs: when another one begins, all sessions of a realm end.

use super::StoreError;
use crate::config::Realm;
use crate::token::{AccountId, KeyError, Seal, TokenId};

/// Names a session epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochId(pub u128);

/// What a realm's sessions hang on, beside the signing keys. When another one begins, no session of before can be refreshed
/// any more, and no login that was begun before can be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Whose sessions.
    pub realm: String,
    /// Random.
    pub id: EpochId,
    /// Marks what stands between two steps of a login.
    pub seal: Seal,
    /// The realm's issuer and audience ([`crate::token::TokenSettings::everyone`]).
    pub issued_for: AccountId,
    /// The ids of its signing keys, sorted, as a gate found them when it looked last.
    pub keys: Vec<String>,
    /// When it began, Unix seconds.
    pub since: i64,
}

/// What became of a realm's epoch when a gate looked at its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// It goes on.
    Same,
    /// It goes on, with keys that came or went.
    OtherKeys,
    /// The realm had none.
    First,
    /// Another one began, since issuer or audience is another one.
    IssuerChanged,
    /// Another one began, since none of the signing keys is there that there were.
    KeysGone,
}

impl Epoch {
    /// One that could begin for this realm at `now` (Unix seconds).
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn next(realm: &Realm, now: i64) -> Result<Self, KeyError> {
        let mut keys: Vec<_> = realm.tokens().keys.keys().iter().map(|key| key.kid().to_owned()).collect();
        keys.sort_unstable();
        Ok(Self {
            realm: realm.name().to_owned(),
            id: EpochId(TokenId::random().0),
            seal: Seal::random()?,
            issued_for: realm.tokens().everyone(),
            keys,
            since: now,
        })
    }

    /// Whether it is to begin, or `present` goes on.
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

    /// What begins in every realm once its database was put back: these, and of the realms that only the database knows,
    /// which have one `present`, the next one.
    pub(super) fn all_again(next: &[Self], present: Vec<Self>) -> Result<Vec<Self>, StoreError> {
        let mut all = next.to_vec();
        for present in present {
            let of_before = next.iter().find(|next| next.realm == present.realm);
            // Tokens of an issuer that the realm does not have any more count nowhere.
            if of_before.is_none() {
                let seal = Seal::random().map_err(|error| StoreError::Failed(error.to_string()))?;
                all.push(Self { id: EpochId(TokenId::random().0), seal, ..present });
            }
        }
        Ok(all)
    }
}
