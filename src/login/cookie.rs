//! The cookie that carries a token.

use cookie::Cookie;
use cookie::time::Duration;
use http::{HeaderMap, HeaderValue};

use crate::config::{CookieSpec, Realm, SameSite};
use crate::gate;

/// `Set-Cookie` that hands out `token` for as long as it lives. `None` if the name or the token holds a byte that no
/// header may, which neither a checked configuration nor a JWT does.
pub(super) fn set(realm: &Realm, token: &str) -> Option<HeaderValue> {
    let seconds = i64::try_from(realm.token_ttl.as_secs()).unwrap_or(i64::MAX);
    header_value(&realm.cookie, token, Duration::seconds(seconds))
}

/// `Set-Cookie` that clears the cookie. A browser matches it only with the same attributes.
pub(super) fn clear(realm: &Realm) -> Option<HeaderValue> {
    header_value(&realm.cookie, "", Duration::ZERO)
}

/// Returns whether the request carries the realm's cookie, valid or not. Names are compared with letter case; browsers
/// ignore it for the prefix `__Secure-`.
pub(super) fn is_carried(realm: &Realm, headers: &HeaderMap) -> bool {
    let name = realm.cookie.name.as_bytes();
    gate::cookies(headers).any(|(carried, _)| carried == name)
}

fn header_value(spec: &CookieSpec, value: &str, max_age: Duration) -> Option<HeaderValue> {
    let same_site = match spec.same_site {
        SameSite::None => cookie::SameSite::None,
        SameSite::Lax => cookie::SameSite::Lax,
        SameSite::Strict => cookie::SameSite::Strict,
    };
    let mut cookie = Cookie::build((spec.name.as_str(), value))
        .path("/")
        .secure(spec.secure)
        .http_only(true)
        .same_site(same_site)
        .max_age(max_age);
    if spec.partitioned {
        cookie = cookie.partitioned(true);
    }
    let mut value = HeaderValue::try_from(cookie.build().to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    /// The cookie itself, and its attributes in alphabetical order.
    fn parts(value: &HeaderValue) -> (String, Vec<String>) {
        let mut parts = value.to_str().unwrap().split("; ").map(str::to_owned);
        let pair = parts.next().unwrap();
        let mut attributes: Vec<_> = parts.collect();
        attributes.sort();
        (pair, attributes)
    }

    #[test]
    fn attributes_are_those_of_the_contract_and_the_same_when_cleared() {
        for (same_site, partitioned, attributes) in [
            (SameSite::None, false, &["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=None", "Secure"][..]),
            (SameSite::Lax, false, &["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=Lax", "Secure"]),
            (
                SameSite::Strict,
                true,
                &["HttpOnly", "Max-Age=2592000", "Partitioned", "Path=/", "SameSite=Strict", "Secure"],
            ),
        ] {
            let realm = Realm::for_tests(true, same_site, partitioned);
            let (pair, found) = parts(&set(&realm, "a.b-_.c").unwrap());
            assert_eq!(pair, "__Host-examples=a.b-_.c");
            assert_eq!(found, attributes);
            let (pair, found) = parts(&clear(&realm).unwrap());
            assert_eq!(pair, "__Host-examples=");
            assert_eq!(found, attributes.iter().map(|text| text.replace("2592000", "0")).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_is_found_by_its_exact_name() {
        let realm = Realm::for_tests(true, SameSite::None, false);
        for (lines, carried) in [
            (&["__Host-examples=x"][..], true),
            (&["a=b; __Host-examples="], true),
            (&["a=b;__Host-examples=x;c=d"], true),
            (&["a=b", "__Host-examples=x"], true),
            (&[], false),
            (&["a=__Host-examples=x"], false),
            (&["__Host-examples"], false),
            (&["__Host-examples2=x"], false),
            (&["__host-examples=x"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            assert_eq!(is_carried(&realm, &headers), carried, "{lines:?}");
        }
    }
}
