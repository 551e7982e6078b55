//! What a request shows of itself: API key, bearer token, cookie. Read, not yet believed.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};

use super::Deny;
use super::query;
use crate::token::Reject;

/// The header that carries an API key.
pub(super) static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Where a token comes from. Without an Authorization header, and only then, the cookie is looked at (contract 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// `Authorization: Bearer …`
    Bearer(&'a str),
    /// The realm's cookie, which a browser sends by itself.
    Cookie(&'a str),
    /// Neither, or an Authorization header of another scheme.
    None,
}

impl<'a> Credential<'a> {
    /// The token itself.
    pub(super) const fn token(&self) -> Option<&'a str> {
        match *self {
            Self::Bearer(token) | Self::Cookie(token) => Some(token),
            Self::None => None,
        }
    }

    /// Finds the token in `headers`.
    ///
    /// # Errors
    /// [`Deny::CredentialConflict`] if there are two; [`Deny::Token`] if the one is not even text.
    pub(super) fn find(headers: &'a HeaderMap, cookie: &str) -> Result<Self, Deny> {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        if let Some(value) = authorizations.next() {
            if authorizations.next().is_some() {
                return Err(Deny::CredentialConflict);
            }
            let value = value.to_str().map_err(|_| Deny::Token(Reject::Malformed))?;
            return Ok(bearer(value).map_or(Self::None, Self::Bearer));
        }
        let mut values = cookies(headers).filter(|(name, _)| *name == cookie.as_bytes()).map(|(_, value)| value);
        let Some(first) = values.next() else { return Ok(Self::None) };
        if values.any(|other| other != first) {
            return Err(Deny::CredentialConflict);
        }
        let token = std::str::from_utf8(first).map_err(|_| Deny::Token(Reject::Malformed))?;
        Ok(Self::Cookie(token))
    }
}

/// The API key in the query or in `X-API-Key`; empty counts as absent.
///
/// # Errors
/// [`Deny::KeyConflict`] for two that differ, [`Deny::Query`] for one in the query that can't be decoded, and
/// [`Deny::Header`] for one in a header that is not visible ASCII.
pub(super) fn api_key<'a>(headers: &'a HeaderMap, query: Option<&'a [u8]>) -> Result<Option<Cow<'a, str>>, Deny> {
    let mut found = query::one_value(query, "key")?.filter(|key| !key.is_empty());
    for value in headers.get_all(&X_API_KEY) {
        let value = value.to_str().map_err(|_| Deny::Header)?;
        if value.is_empty() {
            continue;
        }
        if found.as_ref().is_some_and(|other| other != value) {
            return Err(Deny::KeyConflict);
        }
        found = Some(value.into());
    }
    Ok(found)
}

/// The cookie pairs of a request, from however many Cookie headers (HTTP/2 may split them: RFC 9113, 8.2.3). Bytes, since
/// other cookies are none of our business and need not be text.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
    })
}

/// What follows the scheme `Bearer`, written in any case (RFC 9110, 11.1). Between the two are spaces and nothing else (11.4):
/// a tab is part of what follows, and of no token.
#[must_use]
pub fn bearer(value: &str) -> Option<&str> {
    let value = value.trim_ascii();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn authorization_goes_before_the_cookie_even_when_it_is_no_use() {
        for (pairs, found) in [
            (&[("authorization", "Bearer x")][..], Credential::Bearer("x")),
            (&[("authorization", "bEARER  x ")], Credential::Bearer("x")),
            (&[("authorization", "Bearer \tx")], Credential::Bearer("\tx")),
            (&[("authorization", "Bearer\tx"), ("cookie", "t=c")], Credential::None),
            (&[("authorization", "Bearer"), ("cookie", "t=c")], Credential::Bearer("")),
            (&[("authorization", "Basic x"), ("cookie", "t=c")], Credential::None),
            (&[("authorization", "Bearerx"), ("cookie", "t=c")], Credential::None),
            (&[("authorization", ""), ("cookie", "t=c")], Credential::None),
            (&[("cookie", "a=b; t=c;d=e")], Credential::Cookie("c")),
            (&[("cookie", "a=b"), ("cookie", "t=c")], Credential::Cookie("c")),
            (&[("cookie", "t=c; t=c")], Credential::Cookie("c")),
            (&[("cookie", "T=c; tt=c; t")], Credential::None),
            (&[], Credential::None),
        ] {
            assert_eq!(Credential::find(&headers(pairs), "t"), Ok(found), "{pairs:?}");
        }
    }

    #[test]
    fn two_that_differ_are_neither() {
        for pairs in [
            &[("authorization", "Bearer x"), ("authorization", "Bearer x")][..],
            &[("cookie", "t=c; t=d")],
            &[("cookie", "t=c"), ("cookie", "t=")],
        ] {
            assert_eq!(Credential::find(&headers(pairs), "t"), Err(Deny::CredentialConflict), "{pairs:?}");
        }
        let mut binary = HeaderMap::new();
        binary.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert_eq!(Credential::find(&binary, "t"), Err(Deny::Token(Reject::Malformed)));
        let mut binary = HeaderMap::new();
        binary.insert(COOKIE, HeaderValue::from_bytes(b"other=\xff; t=c").unwrap());
        assert_eq!(Credential::find(&binary, "t"), Ok(Credential::Cookie("c")));
    }

    #[test]
    fn an_api_key_comes_once() {
        let key =
            |query: &str, pairs| api_key(&headers(pairs), Some(query.as_bytes())).map(|key| key.map(Cow::into_owned));
        assert_eq!(key("", &[]), Ok(None));
        assert_eq!(key("key=a", &[]), Ok(Some("a".into())));
        assert_eq!(key("", &[("x-api-key", "a")]), Ok(Some("a".into())));
        assert_eq!(key("key=a", &[("x-api-key", "a")]), Ok(Some("a".into())));
        assert_eq!(key("key=", &[("x-api-key", "")]), Ok(None));
        assert_eq!(key("key=%FC", &[]), Err(Deny::Query));
        assert_eq!(key("q=%FC&k%65y=a&100%", &[]), Ok(Some("a".into())));
        assert_eq!(key("key=a", &[("x-api-key", "b")]), Err(Deny::KeyConflict));
        assert_eq!(key("", &[("x-api-key", "a"), ("x-api-key", "b")]), Err(Deny::KeyConflict));
    }
}
