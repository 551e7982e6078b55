//! The cookie keys of `[[realm]]`.

pub(in crate::config) mod read;

use crate::config::sealed::Sealed;

/// The realm's cookie.
#[derive(Clone, Debug)]
pub struct CookieSpec {
    pub name: String,
    pub same_site: SameSite,
    /// Whether it is `Secure`: browsers take and send it over HTTPS only, and over HTTP on a loopback address.
    pub secure: bool,
    /// Whether it is `Partitioned` (CHIPS).
    pub partitioned: bool,
    pub(in crate::config) _sealed: Sealed,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent from every site.
    None,
    /// Sent from other sites with top-level navigation only.
    Lax,
    /// Never sent from other sites.
    Strict,
}
