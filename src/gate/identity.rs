//! Identity headers for applications, and the headers that clients are not allowed to send.

use std::fmt::{self, Write as _};

use bytes::BytesMut;
use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};

use super::credential::cookies;
use crate::token::Claims;

/// An identity as headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl IdentityHeaders {
    /// Returns the headers for a token's claims in a realm; `issuer` signed it, if not the realm. `None` if a claim is
    /// not a valid header value; the realm's own claims always are.
    #[must_use]
    pub fn from_claims(claims: &Claims, realm: &str, issuer: Option<&str>) -> Option<Self> {
        // Values are parts of one allocation for most, which have room in it.
        let (mut room, mut headers) = (BytesMut::with_capacity(ROOM), Vec::with_capacity(7));
        let mut add = |name: &HeaderName, value: fmt::Arguments<'_>| {
            room.write_fmt(value).ok()?;
            headers.push((name.clone(), HeaderValue::from_maybe_shared(room.split().freeze()).ok()?));
            Some(())
        };
        add(&X_AUTH_SUBJECT, format_args!("{}", claims.subject))?;
        if let Some(username) = &claims.username {
            add(&X_AUTH_USERNAME, format_args!("{username}"))?;
        }
        if let Some(email) = &claims.email {
            add(&X_AUTH_EMAIL, format_args!("{email}"))?;
        }
        if !claims.roles.is_empty() {
            add(&X_AUTH_ROLES, format_args!("{}", claims.roles.join(",")))?;
        }
        add(&X_AUTH_REALM, format_args!("{realm}"))?;
        add(&X_AUTH_TOKEN_ID, format_args!("{}", claims.public_id(issuer.is_none())))?;
        // Without it, an application could take another issuer's subject for a user of the realm.
        if let Some(issuer) = issuer {
            add(&X_AUTH_ISSUER, format_args!("{issuer}"))?;
        }
        Some(Self { headers })
    }

    /// Returns the headers for an API key without a token: only the realm is known.
    #[must_use]
    pub fn of_key(realm: &str) -> Option<Self> {
        Some(Self { headers: vec![(X_AUTH_REALM.clone(), HeaderValue::from_str(realm).ok()?)] })
    }

    /// Names and values, for the application.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

/// Returns whether a client's header of this name must not reach an application: an identity header, one that makes an
/// application see another path, or `Proxy`, which CGI turns into the proxy of the application's own requests; and
/// every name that an application can fold to one of these. CGI, WSGI and PHP map `-`, `_` and some other characters to
/// one (SECURITY.md R1), so every character except letters and digits counts as `-`.
///
/// `limits_methods`: the route allows some methods only, so headers that override the method are included.
#[must_use]
pub fn is_reserved(name: &str, limits_methods: bool) -> bool {
    // CGI's HTTP_PROXY (CVE-2016-5385). The name has no separator, so letter case is its only alias.
    if name.eq_ignore_ascii_case("proxy") {
        return true;
    }
    let bytes = name.as_bytes();
    if !matches!(bytes.first(), Some(b'x' | b'X' | b'f' | b'F')) || bytes.len() < SHORTEST {
        return false;
    }
    let mut folded = [0; LONGEST];
    let length = bytes.len().min(LONGEST);
    for (to, from) in folded.iter_mut().zip(&bytes[..length]) {
        *to = if from.is_ascii_alphanumeric() { from.to_ascii_lowercase() } else { b'-' };
    }
    let folded = &folded[..length];
    if folded.starts_with(b"x-forwarded-") {
        return true;
    }
    if bytes.len() > LONGEST {
        return false;
    }
    let is = |names: &[&str]| names.iter().any(|name| name.as_bytes() == folded);
    is(&RESERVED) || (limits_methods && is(&METHOD_OVERRIDES))
}

/// Returns whether an application could fold the header's name to this one, which is lower case with `-`, as in
/// [`is_reserved`].
#[must_use]
pub(super) fn folds_to(name: &str, wanted: &str) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == wanted.len() && name.bytes().zip(wanted.bytes()).all(|(one, other)| fold(one) == fold(other))
}

/// The Cookie header without the cookies of these names. The rest is unchanged, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemainingCookies {
    /// There is one header, and it has none of them.
    Unchanged,
    None,
    /// The rest, joined to one header with "; " (HTTP/2 can split it, HTTP/1.1 must not: RFC 9113, 8.2.3).
    Joined(HeaderValue),
}

impl RemainingCookies {
    /// Removes the cookies `names` from `headers`.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, names: &[String]) -> Self {
        let ours = |name: &[u8]| names.iter().any(|own| own.as_bytes() == name);
        let mut values = headers.get_all(COOKIE).iter();
        let Some(_) = values.next() else { return Self::Unchanged };
        let split = values.next().is_some();
        if !split && !cookies(headers).any(|(name, _)| ours(name)) {
            return Self::Unchanged;
        }
        let mut kept = Vec::new();
        for line in headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes) {
            let mut rest = without_pairs(line, ours);
            if rest.iter().all(|byte| matches!(byte, b';' | b' ' | b'\t')) {
                continue;
            }
            if kept.is_empty() {
                kept = rest;
            } else {
                kept.extend_from_slice(b"; ");
                kept.append(&mut rest);
            }
        }
        if kept.is_empty() {
            return Self::None;
        }
        // Parts of valid values make a valid value; if not, no cookie at all is the safe result.
        HeaderValue::from_bytes(&kept).map_or(Self::None, Self::Joined)
    }
}

/// Returns the line without the pairs whose names are `ours`, each with one separator: the one before it, or after the
/// first pair. White space and empty pairs can have a meaning for an application, so every other byte stays.
fn without_pairs(line: &[u8], ours: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(line.len());
    let mut is_first = true;
    for pair in line.split(|byte| *byte == b';') {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        if ours(name.trim_ascii()) {
            continue;
        }
        if is_first {
            // After removed pairs, the separator's space would begin the line.
            kept.extend_from_slice(pair.trim_ascii_start());
        } else {
            kept.push(b';');
            kept.extend_from_slice(pair);
        }
        is_first = false;
    }
    kept
}

static X_AUTH_SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
static X_AUTH_USERNAME: HeaderName = HeaderName::from_static("x-auth-username");
static X_AUTH_EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
static X_AUTH_ROLES: HeaderName = HeaderName::from_static("x-auth-roles");
static X_AUTH_REALM: HeaderName = HeaderName::from_static("x-auth-realm");
static X_AUTH_ISSUER: HeaderName = HeaderName::from_static("x-auth-issuer");
static X_AUTH_TOKEN_ID: HeaderName = HeaderName::from_static("x-auth-token-id");

/// Identity headers, and headers that some applications take for the path.
const RESERVED: [&str; 15] = [
    "x-auth-subject",
    "x-auth-username",
    "x-auth-email",
    "x-auth-roles",
    "x-auth-realm",
    "x-auth-token-id",
    "x-auth-issuer",
    "x-auth-assertion",
    "x-auth-client-cert",
    "x-request-id",
    "x-auth-key-id",
    "x-real-ip",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
];
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
/// Two ids of 32 letters each, and names of people and roles.
const ROOM: usize = 192;
/// `forwarded`, `x-real-ip`
const SHORTEST: usize = 9;
/// `x-http-method-override`
const LONGEST: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenId;

    #[test]
    fn r01_every_alias_is_reserved() {
        for name in RESERVED.iter().chain(&["x-forwarded-for", "x-forwarded-proto", "x-forwarded-prefix"]) {
            for separator in ["-", "_", ".", "~", "!", "|"] {
                for alias in [name.replace('-', separator), name.replace('-', separator).to_uppercase()] {
                    assert!(is_reserved(&alias, false), "{alias}");
                }
                assert!(is_reserved(&name.replacen('-', separator, 1), false), "{name}, mixed");
            }
        }
        for name in METHOD_OVERRIDES {
            assert!(is_reserved(name, true) && !is_reserved(name, false), "{name}");
        }
    }

    #[test]
    fn r55_proxy_is_reserved() {
        for name in ["proxy", "Proxy", "PROXY"] {
            assert!(is_reserved(name, false), "{name}");
        }
    }

    #[test]
    fn r01_a_key_header_has_aliases_too() {
        for alias in ["x-api-key", "X-API-Key", "x_api_key", "x.api~key"] {
            assert!(folds_to(alias, "x-api-key"), "{alias}");
            assert!(!is_reserved(alias, true), "{alias}: whose it is depends on the realm");
        }
        assert!(folds_to("X-Api-Key", "x_api_key"), "whatever the file calls it");
        for other in ["x-api-keys", "xapikey", "x-api-kez", ""] {
            assert!(!folds_to(other, "x-api-key"), "{other}");
        }
    }

    #[test]
    fn an_apps_own_headers_are_not() {
        for name in [
            "prox",
            "proxy-x",
            "x-proxy",
            "x-auth-token",
            "x-auth-subjects",
            "xauthsubject",
            "x-auth-subject2",
            "x-requested-with",
            "accept",
            "x",
            "x-auth",
            "from",
            "x-request-id-2",
            "forwarded-for",
            "authorization",
            "x-csrf-token",
        ] {
            assert!(!is_reserved(name, true), "{name}");
        }
    }

    #[test]
    fn our_cookies_are_taken_out_and_the_others_stay_as_they_are() {
        let names = ["t".to_owned(), "u".to_owned()];
        let rest = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(COOKIE, HeaderValue::from_static(value));
            }
            RemainingCookies::from_headers(&headers, &names)
        };
        let joined = |text| RemainingCookies::Joined(HeaderValue::from_static(text));
        assert_eq!(rest(&[]), RemainingCookies::Unchanged);
        assert_eq!(rest(&["a=b;  T=d ;x"]), RemainingCookies::Unchanged);
        assert_eq!(rest(&["t=1"]), RemainingCookies::None);
        assert_eq!(rest(&["a=\"b c\"; t=1;d=e=f; ;x"]), joined("a=\"b c\";d=e=f; ;x"));
        assert_eq!(rest(&["t =1; t=2; u=3; a=b"]), joined("a=b"));
        assert_eq!(rest(&["t=1;  a=b ;u=2;c= d;t=3"]), joined("a=b ;c= d"));
        assert_eq!(rest(&["a=1;;t=2;;b=2;"]), joined("a=1;;;b=2;"));
        assert_eq!(rest(&["t=1; ;", "u=2"]), RemainingCookies::None);
        assert_eq!(rest(&["a=b", "c=d"]), joined("a=b; c=d"));
        assert_eq!(rest(&["a=b;  c", "t=d", "", "e=\t;f"]), joined("a=b;  c; e=\t;f"));
        let mut binary = HeaderMap::new();
        binary.insert(COOKIE, HeaderValue::from_bytes(b"a=\xff\xfe; t=1; b=\xe4 \xa0").unwrap());
        let kept = HeaderValue::from_bytes(b"a=\xff\xfe; b=\xe4 \xa0").unwrap();
        assert_eq!(RemainingCookies::from_headers(&binary, &names), RemainingCookies::Joined(kept));
    }

    #[test]
    fn an_identity_is_what_the_claims_say() {
        let claims = Claims {
            token_id: TokenId(10),
            subject: "s".into(),
            username: Some("Zoë".into()),
            email: None,
            roles: vec!["a".into(), "b".into()],
            session: None,
            mfa: false,
            issued_at: 0,
            expires_at: 0,
        };
        let identity = IdentityHeaders::from_claims(&claims, "r", None).unwrap();
        let text: Vec<_> = identity.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(
            text,
            [
                ("x-auth-subject", &b"s"[..]),
                ("x-auth-username", "Zoë".as_bytes()),
                ("x-auth-roles", b"a,b"),
                ("x-auth-realm", b"r"),
                ("x-auth-token-id", b"0000000000000000000000000000000a"),
            ]
        );
        let forged = Claims { username: Some("a\r\nX-Evil: 1".into()), ..claims };
        assert_eq!(IdentityHeaders::from_claims(&forged, "r", None), None);
    }
}
