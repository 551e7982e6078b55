//! The reloadable part of a configuration: realms, logins and routes, valid by construction.

use std::sync::Arc;

use bytes::Bytes;

use super::limits::Limits;
use super::log::Log;
use super::realm::Realm;
use super::route::RouteTable;
use super::tls::TlsSettings;
use crate::config::published_jwks::PublishedJwks;
use crate::config::sealed::Sealed;

/// One generation of the reloadable configuration. One request uses one policy from start to end. The default policy has no
/// routes: it denies every request.
#[derive(Debug, Default)]
pub struct Policy {
    pub log: Log,
    /// In the order of the file.
    pub realms: Vec<Arc<Realm>>,
    pub routing: RouteTable,
    /// The cookie names of all realms. No cookie with one of these names is forwarded.
    pub cookie_names: Vec<String>,
    pub(in crate::config) key_sets: PublishedJwks,
    pub limits: Limits,
    pub tls: Option<Arc<TlsSettings>>,
    pub(in crate::config) _sealed: Sealed,
}

impl Policy {
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<&Arc<Realm>> {
        self.realms.iter().find(|realm| realm.name == name)
    }

    /// Returns the JWKS that is published at this path.
    #[must_use]
    pub fn jwks_at(&self, path: &str) -> Option<&Bytes> {
        self.key_sets.at(path)
    }

    /// Returns whether another program could interpret this path, which is completely decoded, as that of a JWKS.
    #[must_use]
    pub fn key_set_may_be_meant(&self, path: &[u8]) -> bool {
        PublishedJwks::may_be_meant(path)
    }
}
