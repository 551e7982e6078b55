//! The credentials of a request: bearer token, cookie. Parsed, not yet verified.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use super::DenyReason;
use crate::config::{Authorization, Realm};
use crate::token::TokenError;

/// The source of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// `Authorization: Bearer …`
    Bearer(&'a str),
    /// The realm's cookie, which a browser sends by itself.
    Cookie(&'a str),
    /// Neither, or an Authorization header of another scheme.
    None,
}

/// The reason that no token can be read from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unclear {
    Authorizations,
    /// Two different cookies of the realm. Another site may have planted one of them (R51).
    Cookies,
    /// The token is not text.
    NoText,
}

/// The token of a request, and the owner of its Authorization header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    pub(super) credential: Result<Credential<'a>, Unclear>,
    /// The Authorization header is the application's, which gets it as it came.
    pub(super) authorization_is_apps: bool,
}

impl From<Unclear> for DenyReason {
    fn from(unclear: Unclear) -> Self {
        match unclear {
            Unclear::Authorizations | Unclear::Cookies => Self::CredentialConflict,
            Unclear::NoText => Self::Token(TokenError::Malformed),
        }
    }
}

impl<'a> Credential<'a> {
    pub(super) const fn token(&self) -> Option<&'a str> {
        match *self {
            Self::Bearer(token) | Self::Cookie(token) => Some(token),
            Self::None => None,
        }
    }
}

impl<'a> Shown<'a> {
    /// Finds the token in `headers`. `owner`: the setting of the route. `is_key`: the Authorization header is an API
    /// key for Tollgate.
    ///
    /// R53: an application can have an Authorization header of its own while Tollgate identifies the user by the
    /// cookie. A token that names an issuer of the realm is never taken for such a header: otherwise a forged token, or
    /// another user's, would reach an application beside the identity of a different user.
    pub(super) fn find(headers: &'a HeaderMap, realm: &Realm, owner: Authorization, is_key: bool) -> Self {
        let cookie = &realm.cookie.name;
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = authorizations.next() else { return Self::by_cookie(headers, cookie) };
        if is_key {
            // The header is the key. The cookie beside it can identify the user.
            return match owner {
                Authorization::Gate => Self::new(Ok(Credential::None)),
                Authorization::Auto | Authorization::App => Self::by_cookie(headers, cookie),
            };
        }
        let is_apps = match owner {
            Authorization::Gate => false,
            Authorization::App => true,
            Authorization::Auto => has_cookie(headers, cookie) && !names_issuer(headers, realm),
        };
        if is_apps {
            return Self { authorization_is_apps: true, ..Self::by_cookie(headers, cookie) };
        }
        if authorizations.next().is_some() {
            return Self::new(Err(Unclear::Authorizations));
        }
        let credential = value.to_str().map_err(|_| Unclear::NoText);
        let credential = credential.map(|value| bearer(value).map_or(Credential::None, Credential::Bearer));
        Self::new(credential)
    }

    fn by_cookie(headers: &'a HeaderMap, cookie: &str) -> Self {
        let mut values = cookies(headers).filter(|(name, _)| *name == cookie.as_bytes()).map(|(_, value)| value);
        let Some(first) = values.next() else { return Self::new(Ok(Credential::None)) };
        if values.any(|other| other != first) {
            return Self::new(Err(Unclear::Cookies));
        }
        Self::new(std::str::from_utf8(first).map(Credential::Cookie).map_err(|_| Unclear::NoText))
    }

    const fn new(credential: Result<Credential<'a>, Unclear>) -> Self {
        Self { credential, authorization_is_apps: false }
    }
}

/// Returns whether a request has a cookie of this name, valid or not.
pub(super) fn has_cookie(headers: &HeaderMap, cookie: &str) -> bool {
    cookies(headers).any(|(name, _)| name == cookie.as_bytes())
}

/// Returns whether an Authorization header has a token that names the realm or a trusted issuer, true or not: such a
/// token is meant for Tollgate. Read as leniently as any application can.
pub(super) fn names_issuer(headers: &HeaderMap, realm: &Realm) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        let Some((scheme, token)) = value.split_at_checked(BEARER.len()) else { return false };
        scheme.eq_ignore_ascii_case(BEARER) && realm.tokens.are_named_by(token.trim_ascii())
    })
}

/// The cookie pairs of a request, from all Cookie headers (HTTP/2 can split them: RFC 9113, 8.2.3). Bytes, because
/// other cookies need not be text.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
    })
}

/// Returns the text after the scheme `Bearer`, in any letter case (RFC 9110, 11.1). Only spaces separate them (11.4): a
/// tab is part of the text, and of no valid token.
#[must_use]
pub fn bearer(value: &str) -> Option<&str> {
    let value = value.trim_ascii();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

const BEARER: &[u8] = b"bearer";

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::SameSite;
    use crate::token::{Claims, TokenId};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn realm() -> Realm {
        Realm::for_tests(true, SameSite::Lax, false)
    }

    const C: (&str, &str) = ("cookie", "__Host-examples=c");

    #[test]
    fn the_token_and_whose_the_authorization_header_is() {
        use Authorization::{App, Auto, Gate};
        let realm = realm();
        let basic = ("authorization", "Basic x");
        for (owner, pairs, credential, is_apps) in [
            (Auto, &[("authorization", "Bearer x")][..], Credential::Bearer("x"), false),
            (Auto, &[("authorization", "bEARER  x ")], Credential::Bearer("x"), false),
            (Auto, &[("authorization", "Bearer \tx")], Credential::Bearer("\tx"), false),
            (Auto, &[("authorization", "Bearer\tx")], Credential::None, false),
            (Auto, &[("authorization", "Bearer")], Credential::Bearer(""), false),
            (Auto, &[basic], Credential::None, false),
            (Auto, &[("authorization", "Bearer x"), C], Credential::Cookie("c"), true),
            (Auto, &[basic, C], Credential::Cookie("c"), true),
            (Auto, &[("authorization", ""), C], Credential::Cookie("c"), true),
            (Auto, &[basic, basic, C], Credential::Cookie("c"), true),
            (Gate, &[("authorization", "Bearer x"), C], Credential::Bearer("x"), false),
            (Gate, &[basic, C], Credential::None, false),
            (Gate, &[("authorization", ""), C], Credential::None, false),
            (Gate, &[C], Credential::Cookie("c"), false),
            (App, &[("authorization", "Bearer x"), C], Credential::Cookie("c"), true),
            (App, &[("authorization", "Bearer x")], Credential::None, true),
            (App, &[basic, basic], Credential::None, true),
            (App, &[C], Credential::Cookie("c"), false),
            (Auto, &[("cookie", "a=b; __Host-examples=c;d=e")], Credential::Cookie("c"), false),
            (Auto, &[("cookie", "a=b"), C], Credential::Cookie("c"), false),
            (Auto, &[C, C], Credential::Cookie("c"), false),
            (Auto, &[("cookie", "__host-examples=c; x__Host-examples=c; __Host-examples")], Credential::None, false),
            (Auto, &[], Credential::None, false),
        ] {
            let shown = Shown::find(&headers(pairs), &realm, owner, false).told();
            assert_eq!(shown, (Ok(credential.told()), is_apps), "{owner:?} {pairs:?}");
        }
    }

    #[test]
    fn two_that_differ_are_neither() {
        let realm = realm();
        let find = |headers: &HeaderMap| Shown::find(headers, &realm, Authorization::Auto, false).told().0;
        let bearer = ("authorization", "Bearer x");
        assert_eq!(find(&headers(&[bearer, bearer])), Err(Unclear::Authorizations));
        assert_eq!(find(&headers(&[("cookie", "__Host-examples=c; __Host-examples=d")])), Err(Unclear::Cookies));
        assert_eq!(find(&headers(&[C, ("cookie", "__Host-examples=")])), Err(Unclear::Cookies));
        let mut binary = HeaderMap::new();
        binary.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
        assert_eq!(find(&binary), Err(Unclear::NoText));
        let mut binary = HeaderMap::new();
        binary.insert(COOKIE, HeaderValue::from_bytes(b"other=\xff; __Host-examples=c").unwrap());
        assert_eq!(find(&binary), Ok("cookie c".into()));
    }

    #[test]
    fn r53_a_token_that_names_the_realms_issuer_is_never_the_apps() {
        let realm = realm();
        let claims = Claims {
            token_id: TokenId(1),
            subject: "u".into(),
            username: None,
            email: None,
            roles: Vec::new(),
            session: None,
            mfa: false,
            issued_at: 0,
            expires_at: 10,
        };
        let token = realm.tokens.mint(&claims).unwrap();
        let (head, forged) = (format!("Bearer {token}"), format!("Bearer {token}x"));
        for value in [head.as_str(), forged.as_str()] {
            let sent = headers(&[("authorization", value), C]);
            let shown = Shown::find(&sent, &realm, Authorization::Auto, false);
            assert!(names_issuer(&sent, &realm));
            assert!(matches!(shown.credential, Ok(Credential::Bearer(_))) && !shown.authorization_is_apps);
            let twice = headers(&[("authorization", value), ("authorization", "Basic x"), C]);
            let twice = Shown::find(&twice, &realm, Authorization::Auto, false);
            assert_eq!(twice.credential, Err(Unclear::Authorizations));
        }
        let tab = headers(&[("authorization", &format!("Bearer\t{token}")), C]);
        let tab = Shown::find(&tab, &realm, Authorization::Auto, false);
        assert_eq!((tab.credential, tab.authorization_is_apps), (Ok(Credential::None), false));
    }

    #[test]
    fn an_api_key_in_the_header_leaves_the_cookie_to_say_who_it_is() {
        let realm = realm();
        let headers = headers(&[("authorization", "Basic x"), C]);
        let find = |owner| Shown::find(&headers, &realm, owner, true);
        assert_eq!(find(Authorization::Auto).credential, Ok(Credential::Cookie("c")));
        assert_eq!(find(Authorization::Gate).credential, Ok(Credential::None));
        assert!(!find(Authorization::Auto).authorization_is_apps, "a secret of the gate's");
    }

    impl Shown<'_> {
        fn told(&self) -> (Result<String, Unclear>, bool) {
            (self.credential.map(|credential| credential.told()), self.authorization_is_apps)
        }
    }

    impl Credential<'_> {
        fn told(self) -> String {
            match self {
                Self::Bearer(token) => format!("bearer {token}"),
                Self::Cookie(token) => format!("cookie {token}"),
                Self::None => "none".into(),
            }
        }
    }
}
