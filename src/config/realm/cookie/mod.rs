//! The cookie keys of `[[realm]]`.

pub(in crate::config) mod read;

/// The realm's cookie.
#[derive(Clone, Debug)]
pub struct CookieSpec {
    pub(in crate::config) name: String,
    pub(in crate::config) same_site: SameSite,
    pub(in crate::config) secure: bool,
    pub(in crate::config) partitioned: bool,
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

impl CookieSpec {
    /// Its name, compared case-sensitively.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its `SameSite`.
    #[must_use]
    pub const fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// Whether it is `Secure`: browsers take and send it over HTTPS only, and over HTTP on a loopback address.
    #[must_use]
    pub const fn secure(&self) -> bool {
        self.secure
    }

    /// Whether it is `Partitioned` (CHIPS).
    #[must_use]
    pub const fn partitioned(&self) -> bool {
        self.partitioned
    }
}
