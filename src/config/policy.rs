//! What the gate enforces: realms, logins and routes, valid by construction.

use std::sync::Arc;

use bytes::Bytes;

use super::limits::Limits;
use super::log::Log;
use super::realm::Realm;
use super::route::RouteTable;
use super::tls::TlsSettings;
use crate::config::published_jwks::PublishedJwks;
use crate::config::sealed::Sealed;

/// One generation of everything hot. A request is judged by one of these from beginning to end. The default one has no
/// routes: it refuses everything.
#[derive(Debug, Default)]
pub struct Policy {
    pub log: Log,
    /// Every realm, in the order of the file.
    pub realms: Vec<Arc<Realm>>,
    pub routing: RouteTable,
    /// Every realm's cookie name: none of them is for any upstream.
    pub cookie_names: Vec<String>,
    pub(in crate::config) key_sets: PublishedJwks,
    /// What a client may take up.
    pub limits: Limits,
    /// How connections of clients are encrypted, if they are.
    pub tls: Option<Arc<TlsSettings>>,
    pub(in crate::config) _sealed: Sealed,
}

impl Policy {
    /// The realm of this name.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<&Arc<Realm>> {
        self.realms.iter().find(|realm| realm.name == name)
    }

    /// The key set that is published at this path, if one is: JSON.
    #[must_use]
    pub fn jwks_at(&self, path: &str) -> Option<&Bytes> {
        self.key_sets.at(path)
    }

    /// Whether a path in which every escape was decoded may be that of a key set to some reader, if it is not to this gate.
    #[must_use]
    pub fn key_set_may_be_meant(&self, path: &[u8]) -> bool {
        PublishedJwks::may_be_meant(path)
    }
}
