//! What the gate enforces: realms, logins and routes, valid by construction.

use std::sync::Arc;

use bytes::Bytes;

use super::limits::Limits;
use super::log::Log;
use super::realm::Realm;
use super::route::RouteTable;
use super::tls::TlsSettings;
use crate::config::published_jwks::PublishedJwks;

/// One generation of everything hot. A request is judged by one of these from beginning to end. The default one has no
/// routes: it refuses everything.
#[derive(Debug, Default)]
pub struct Policy {
    pub(in crate::config) log: Log,
    pub(in crate::config) realms: Vec<Arc<Realm>>,
    pub(in crate::config) routing: RouteTable,
    /// Every realm's cookie name: none of them is for any upstream.
    pub(in crate::config) cookie_names: Vec<String>,
    pub(in crate::config) key_sets: PublishedJwks,
    pub(in crate::config) limits: Limits,
    pub(in crate::config) tls: Option<Arc<TlsSettings>>,
}

impl Policy {
    /// What is written down.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// Every realm, in the order of the file.
    #[must_use]
    pub fn realms(&self) -> &[Arc<Realm>] {
        &self.realms
    }

    /// The realm of this name.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<&Arc<Realm>> {
        self.realms.iter().find(|realm| realm.name == name)
    }

    /// Who answers where.
    #[must_use]
    pub const fn routing(&self) -> &RouteTable {
        &self.routing
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

    /// What a client may take up.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How connections of clients are encrypted, if they are.
    #[must_use]
    pub const fn tls(&self) -> Option<&Arc<TlsSettings>> {
        self.tls.as_ref()
    }

    /// The cookie names of all realms.
    #[must_use]
    pub fn cookie_names(&self) -> &[String] {
        &self.cookie_names
    }
}
