//! The cookie of a `[[realm]]`.

pub(in crate::config) mod read;

use crate::config::sealed::Sealed;

#[derive(Clone, Debug)]
pub struct CookieSpec {
    pub name: String,
    pub same_site: SameSite,
    /// `Secure`: browsers accept and send it only over HTTPS, or over HTTP to a loopback address.
    pub secure: bool,
    /// `Partitioned` (CHIPS).
    pub partitioned: bool,
    pub(in crate::config) _sealed: Sealed,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Sent with requests from every site.
    None,
    /// Sent with requests from other sites only for top-level navigation.
    Lax,
    /// Not sent with requests from other sites.
    Strict,
}
