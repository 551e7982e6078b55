//! The origin of a request, and its effect on CORS (Fetch standard) and on the cookie.

use http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::DenyReason;
use crate::config::{Origin, Realm};

/// The origin of a request, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestOrigin {
    /// The CORS headers of the response; none if the request has no origin.
    pub(super) cors: Option<Cors>,
    site: OriginClass,
}

/// `Access-Control-Allow-Origin`, and whether credentials are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// The allowed origin: the caller's own, never `*`.
    pub origin: HeaderValue,
    /// `Access-Control-Allow-Credentials: true`.
    pub credentials: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OriginClass {
    /// The origin is listed, or the request's own.
    Allowed,
    /// The realm lists no origins: any origin is allowed, without credentials.
    Foreign,
    /// No Origin; Sec-Fetch-Site says same-origin.
    Own,
    /// No Origin; Sec-Fetch-Site says same-site, or that the user navigated, directly or by a link of another site.
    Other,
    /// No Origin; Sec-Fetch-Site says cross-site, and the request is embedded in a page of another site, or a prefetch.
    Embedding,
    /// Neither: not a browser, or an old one.
    Unknown,
}

impl std::fmt::Display for RequestOrigin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = self.cors.as_ref().and_then(|cors| cors.origin.to_str().ok()).unwrap_or("none");
        let site = match self.site {
            OriginClass::Allowed => "allowed, with credentials",
            OriginClass::Foreign => "one of any, which call without credentials",
            OriginClass::Own => "the request's own, as Sec-Fetch-Site says",
            OriginClass::Other => "another one, as Sec-Fetch-Site says",
            OriginClass::Embedding => {
                "another site's page, which does not go there but fetches it, as Sec-Fetch-Site says"
            }
            OriginClass::Unknown => "no browser says where it comes from",
        };
        write!(formatter, "{origin}: {site}")
    }
}

impl RequestOrigin {
    /// Reads `Origin` and `Sec-Fetch-Site`. `own` is the origin of the request's own target.
    ///
    /// # Errors
    /// [`DenyReason::OriginDenied`] and [`DenyReason::OriginMissing`] by the realm's rules.
    pub(super) fn classify(realm: &Realm, headers: &HeaderMap, own: impl Fn() -> Origin) -> Result<Self, DenyReason> {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(value) = values.next() else {
            return if realm.require_origin {
                Err(DenyReason::OriginMissing)
            } else {
                Ok(Self::without_origin(headers))
            };
        };
        if values.next().is_some() {
            return Err(DenyReason::OriginDenied);
        }
        let origins = &realm.origins;
        let text = value.to_str().map_err(|_| DenyReason::OriginDenied)?;
        if text == "null" {
            let null = || HeaderValue::from_static("null");
            return match Self::without_origin(headers) {
                _ if origins.allows_null => Ok(Self::with_origin(null(), OriginClass::Allowed, true)),
                // A form of a page with Referrer-Policy: no-referrer (Fetch standard, 3.2): no page can write Sec-Fetch-Site.
                own if own.site == OriginClass::Own => Ok(own),
                _ if origins.allows_any() => Ok(Self::with_origin(null(), OriginClass::Foreign, false)),
                _ => Err(DenyReason::OriginDenied),
            };
        }
        // The usual case: byte for byte as listed.
        if origins.contains_text(text) {
            return Ok(Self::with_origin(value.clone(), OriginClass::Allowed, true));
        }
        let origin = Origin::parse(text).ok_or(DenyReason::OriginDenied)?;
        let echoed = HeaderValue::from_str(origin.as_str()).map_err(|_| DenyReason::OriginDenied)?;
        if origins.contains(&origin) {
            return Ok(Self::with_origin(echoed, OriginClass::Allowed, true));
        }
        // Listing https://h means that h is served over TLS: then http://h is not this site, whatever the last hop was.
        let downgraded = origin.secured().is_some_and(|secured| origins.contains(&secured));
        if !downgraded && own() == origin {
            return Ok(Self::with_origin(echoed, OriginClass::Allowed, true));
        }
        if origins.allows_any() {
            let credentials = origins.any_with_credentials;
            let site = if credentials { OriginClass::Allowed } else { OriginClass::Foreign };
            return Ok(Self::with_origin(echoed, site, credentials));
        }
        Err(DenyReason::OriginDenied)
    }

    /// Replaces a refusal where the application decides which pages can read its responses: the request is treated like
    /// any other origin, for which the cookie does not count.
    pub(super) const fn left_to_the_app(deny: DenyReason) -> Result<Self, DenyReason> {
        match deny {
            DenyReason::OriginDenied => Ok(Self { cors: None, site: OriginClass::Foreign }),
            deny => Err(deny),
        }
    }

    /// Returns whether the cookie counts for this request. Browsers attach it to requests of every page (CSRF, and
    /// cross-site WebSocket hijacking: SECURITY.md R47 to R49; images and scripts whose size or text reveals who is
    /// logged in: R52). `changes`: the method is not safe, or it is an upgrade.
    ///
    /// # Errors
    /// [`DenyReason::OriginDenied`] or [`DenyReason::OriginMissing`] where the cookie would change something for another site.
    pub(super) const fn allows_cookie(&self, changes: bool) -> Result<bool, DenyReason> {
        match (self.site, changes) {
            (OriginClass::Allowed | OriginClass::Own, _) | (OriginClass::Other | OriginClass::Unknown, false) => {
                Ok(true)
            }
            (OriginClass::Foreign | OriginClass::Embedding, false) => Ok(false),
            (OriginClass::Foreign | OriginClass::Other | OriginClass::Embedding, true) => Err(DenyReason::OriginDenied),
            (OriginClass::Unknown, true) => Err(DenyReason::OriginMissing),
        }
    }

    /// Like [`Self::allows_cookie`], for the login API: its clients need not be browsers (rested.dev accepts requests
    /// without Origin), and a page can't send PUT, DELETE or JSON to another site without a preflight.
    pub(super) const fn allows_cookie_at_login(&self) -> Result<bool, DenyReason> {
        match self.site {
            OriginClass::Unknown => Ok(true),
            _ => self.allows_cookie(true),
        }
    }

    /// Like [`Self::allows_cookie`], for `Authorization: Basic`: a browser repeats it by itself, and programs send it
    /// without an origin.
    pub(super) const fn allows_basic(&self, changes: bool) -> Result<bool, DenyReason> {
        match self.site {
            OriginClass::Unknown => Ok(true),
            _ => self.allows_cookie(changes),
        }
    }

    fn with_origin(origin: HeaderValue, site: OriginClass, credentials: bool) -> Self {
        Self { cors: Some(Cors { origin, credentials }), site }
    }

    fn without_origin(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(&SEC_FETCH_SITE).iter().map(HeaderValue::as_bytes);
        let site = match (values.next(), values.next()) {
            (None, _) => OriginClass::Unknown,
            (Some(b"same-origin"), None) => OriginClass::Own,
            (Some(b"same-site" | b"none"), None) => OriginClass::Other,
            // "cross-site", and values that browsers do not send.
            _ if navigates(headers) => OriginClass::Other,
            _ => OriginClass::Embedding,
        };
        Self { cors: None, site }
    }
}

/// Returns whether it is a top-level navigation and not a prefetch (W3C Fetch Metadata, 2; `Sec-Purpose` of the HTML
/// standard, and its predecessors).
fn navigates(headers: &HeaderMap) -> bool {
    let is = |name: &HeaderName, wanted: &[u8]| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value.as_bytes() == wanted) && values.next().is_none()
    };
    let beforehand = [&SEC_PURPOSE, &PURPOSE, &X_MOZ].into_iter().any(|name| headers.contains_key(name));
    is(&SEC_FETCH_MODE, b"navigate") && is(&SEC_FETCH_DEST, b"document") && !beforehand
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
static PURPOSE: HeaderName = HeaderName::from_static("purpose");
static X_MOZ: HeaderName = HeaderName::from_static("x-moz");

#[cfg(test)]
mod tests;
