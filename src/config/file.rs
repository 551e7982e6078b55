//! The sections of the file.

use crate::config::limits::read::LimitKeys;
use crate::config::log::read::LogKeys;
use crate::config::login::read::LoginKeys;
use crate::config::reader::{Section, WHOLE_FILE};
use crate::config::realm::read::RealmKeys;
use crate::config::route::read::RouteKeys;
use crate::config::schema::kind::{required, subsection, subsections};
use crate::config::schema::{SectionDoc, section};
use crate::config::server::read::ServerKeys;
use crate::config::store::read::StoreKeys;

section! {
    /// The configuration file of Tollgate: TOML 1.0. Relative paths begin at its directory.
    FileKeys = WHOLE_FILE, Reloadable;

    /// The process: listeners, threads and proxies in front.
    server (RestartOnly): Option<Section<'s>> = required(subsection(&ServerKeys::SECTION));

    /// The log and the audit log.
    log: Option<Section<'s>> = subsection(&LogKeys::SECTION), default "the defaults of its keys";

    /// The database.
    store (RestartOnly): Option<Section<'s>> = required(subsection(&StoreKeys::SECTION));

    /// Limits for clients.
    limits: Option<Section<'s>> = subsection(&LimitKeys::SECTION), default "the defaults of its keys";

    /// Realms.
    realm: Vec<Section<'s>> = required(subsections(&RealmKeys::SECTION));

    /// Logins. The file needs at least one login or route.
    login: Vec<Section<'s>> = subsections(&LoginKeys::SECTION), default "no logins";

    /// Routes. The file needs at least one login or route.
    route: Vec<Section<'s>> = subsections(&RouteKeys::SECTION), default "no routes";
}

/// Returns the headers of the sections that have a key with this name.
pub(super) fn owners(name: &str) -> Vec<&'static str> {
    let sections = reference();
    let has_key = |section: &&SectionDoc| section.keys.iter().any(|key| key.name == name);
    sections.iter().filter(has_key).map(|section| section.header).filter(|header| !header.is_empty()).collect()
}

/// Describes every section and key of the configuration file: the whole file first, then each section after the one that
/// contains it.
#[must_use]
pub fn reference() -> Vec<SectionDoc> {
    vec![
        FileKeys::section_doc(),
        ServerKeys::section_doc(),
        crate::config::tls::read::TlsKeys::section_doc(),
        crate::config::tls::read::CertificateKeys::section_doc(),
        LogKeys::section_doc(),
        StoreKeys::section_doc(),
        LimitKeys::section_doc(),
        RealmKeys::section_doc(),
        crate::config::realm::api_key::read::ApiKeyKeys::section_doc(),
        crate::config::realm::api_key::read::MasterKeyKeys::section_doc(),
        crate::config::realm::trusted_issuer::TrustedIssuerKeys::section_doc(),
        LoginKeys::section_doc(),
        crate::config::login::cognito::read::CognitoKeys::section_doc(),
        RouteKeys::section_doc(),
        crate::config::upstream::health_check::HealthCheckKeys::section_doc(),
    ]
}
