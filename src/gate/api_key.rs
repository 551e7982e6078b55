//! API keys: their place in a request, their validity, and their removal before forwarding.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::DenyReason;
use super::credential::has_cookie;
use super::deny::KeyFault;
use super::identity::folds_to;
use super::query;
use crate::config::{ApiKey, Authorization, Realm, RouteMatch};

/// A valid API key of the realm.
pub(super) struct Carried {
    pub(super) key: Arc<ApiKey>,
    /// It came as `Authorization: Basic`, which browsers send by themselves, like a cookie.
    pub(super) by_basic: bool,
}

/// The requirements for an API key.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Without a key it does not pass.
    pub(super) needed: bool,
    /// The key may come as `Authorization: Basic`.
    pub(super) takes_basic: bool,
    /// The Authorization header is Tollgate's: Basic credentials without a key are not the application's.
    pub(super) authorization_is_ours: bool,
}

impl Wanted {
    pub(super) fn of(found: &RouteMatch, headers: &HeaderMap) -> Self {
        let needed = found.requires_key();
        let RouteMatch::Route(route) = found else { return Self { needed, ..Self::default() } };
        let authorization_is_ours = match route.authorization {
            Authorization::Gate => true,
            Authorization::App => false,
            Authorization::Auto => route.basic && !has_cookie(headers, &route.realm.cookie.name),
        };
        Self { needed, takes_basic: route.basic, authorization_is_ours }
    }
}

/// Returns the valid API key of a request. Where none is required, a value that is not a key of the realm is the
/// application's own. An expired or disabled key of the realm is an error.
///
/// # Errors
/// The reasons that begin with `key_`, and where a key is required [`DenyReason::Query`] or [`DenyReason::Header`] for a malformed
/// value.
pub(super) fn find(
    realm: &Realm,
    headers: &HeaderMap,
    query: Option<&[u8]>,
    wanted: Wanted,
    now: i64,
) -> Result<Option<Carried>, DenyReason> {
    if !realm.has_api_keys() {
        return if wanted.needed { Err(DenyReason::KeyMissing) } else { Ok(None) };
    }
    let basic = if wanted.takes_basic { basic(headers) } else { None };
    let by_basic = basic.map_or(Ok(None), |value| of_basic(realm, value, wanted.authorization_is_ours, now))?;
    let plain = if wanted.needed { the_one(realm, headers, query)? } else { the_known(realm, headers, query)? };
    if let Some(fault) = plain.and_then(|key| fault(key, now)) {
        return Err(fault.into());
    }
    match (by_basic, plain) {
        (Some(one), Some(other)) if one.secret != other.secret => Err(DenyReason::KeyConflict),
        (Some(key), _) => Ok(Some(Carried { key: key.clone(), by_basic: true })),
        (None, Some(key)) => Ok(Some(Carried { key: key.clone(), by_basic: false })),
        (None, None) if wanted.needed && wanted.takes_basic => Err(DenyReason::Basic(KeyFault::Missing)),
        (None, None) if wanted.needed => Err(DenyReason::KeyMissing),
        (None, None) => Ok(None),
    }
}

/// Returns whether the header of this name carries an API key and must be removed: under any name that an application
/// can fold to it (R1). Where a key is `needed`, every such header is removed.
pub(super) fn is_carried_by(realm: &Realm, name: &HeaderName, headers: &HeaderMap, needed: bool) -> bool {
    let is_named = realm.key_header().is_some_and(|header| folds_to(name.as_str(), header.as_str()));
    is_named && (needed || headers.get_all(name).iter().any(|value| key_of(realm, value).is_some()))
}

/// Returns the query without the members that carry an API key; `None` if nothing is left. Where a key is `needed`,
/// every member of that name is removed.
pub(super) fn query_without<'a>(realm: &Realm, query: &'a [u8], needed: bool) -> Option<Cow<'a, [u8]>> {
    let Some(wanted) = realm.key_query() else { return Some(query.into()) };
    query::without(query, |name, value| {
        query::is_named(name, wanted)
            && (needed || query::decode(value).is_ok_and(|value| realm.api_key(&value).is_some()))
    })
}

/// Returns the required key: every value must be the same valid key. Empty values count as absent.
fn the_one<'r>(
    realm: &'r Realm,
    headers: &HeaderMap,
    query: Option<&[u8]>,
) -> Result<Option<&'r Arc<ApiKey>>, DenyReason> {
    let of_query = realm.key_query().map_or(Ok(None), |name| query::single_value(query, name))?;
    let mut found = of_query.filter(|key| !key.is_empty());
    for value in realm.key_header().into_iter().flat_map(|name| headers.get_all(name)) {
        let value = value.to_str().map_err(|_| DenyReason::Header)?;
        if value.is_empty() {
            continue;
        }
        if found.as_ref().is_some_and(|other| other != value) {
            return Err(DenyReason::KeyConflict);
        }
        found = Some(value.into());
    }
    found.map(|secret| realm.api_key(&secret).ok_or(DenyReason::KeyUnknown)).transpose()
}

/// Returns the key among the values. All other values are the application's.
fn the_known<'r>(
    realm: &'r Realm,
    headers: &HeaderMap,
    query: Option<&[u8]>,
) -> Result<Option<&'r Arc<ApiKey>>, DenyReason> {
    let members = realm.key_query().into_iter().flat_map(|wanted| {
        let members = query::members(query.unwrap_or_default());
        members.filter(move |(name, _)| query::is_named(name, wanted)).map(|(_, value)| value)
    });
    let of_query = members.filter_map(|value| realm.api_key(&query::decode(value).ok()?));
    let values = realm.key_header().into_iter().flat_map(|name| headers.get_all(name));
    let mut known = of_query.chain(values.filter_map(|value| key_of(realm, value)));
    let Some(first) = known.next() else { return Ok(None) };
    if known.any(|other| other.secret != first.secret) { Err(DenyReason::KeyConflict) } else { Ok(Some(first)) }
}

fn key_of<'r>(realm: &'r Realm, value: &HeaderValue) -> Option<&'r Arc<ApiKey>> {
    value.to_str().ok().filter(|value| !value.is_empty()).and_then(|value| realm.api_key(value))
}

/// The key that is the password (RFC 7617, 2), under its own id or no name.
fn of_basic<'r>(
    realm: &'r Realm,
    value: &HeaderValue,
    is_ours: bool,
    now: i64,
) -> Result<Option<&'r Arc<ApiKey>>, DenyReason> {
    let pair = credentials(value);
    let pair = pair.as_ref().and_then(|pair| pair.split_once(':'));
    let Some((id, key)) = pair.and_then(|(id, password)| Some((id, realm.api_key(password)?))) else {
        return if is_ours { Err(DenyReason::Basic(KeyFault::Unknown)) } else { Ok(None) };
    };
    // It is a key of the realm under any name, so it is never forwarded to the application.
    if !id.is_empty() && id != key.id {
        return Err(DenyReason::Basic(KeyFault::Unknown));
    }
    fault(key, now).map_or(Ok(Some(key)), |fault| Err(DenyReason::Basic(fault)))
}

/// The Basic credentials among the Authorization headers, if there is one header and it is of that scheme.
fn basic(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|value| encoded(value).is_some())?;
    if values.next().is_some() { None } else { Some(value) }
}

fn credentials(value: &HeaderValue) -> Option<String> {
    String::from_utf8(BASE64.decode(encoded(value)?).ok()?).ok()
}

/// Returns the text after the scheme, which matches in any letter case (RFC 9110, 11.1 and 11.4).
fn encoded(value: &HeaderValue) -> Option<&str> {
    let (scheme, encoded) = value.to_str().ok()?.trim_ascii().split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| encoded.trim_start_matches(' '))
}

fn fault(key: &ApiKey, now: i64) -> Option<KeyFault> {
    match key {
        key if key.disabled => Some(KeyFault::Disabled),
        key if key.expired(now) => Some(KeyFault::Expired),
        _ => None,
    }
}

impl From<KeyFault> for DenyReason {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Missing => Self::KeyMissing,
            KeyFault::Unknown => Self::KeyUnknown,
            KeyFault::Expired => Self::KeyExpired,
            KeyFault::Disabled => Self::KeyDisabled,
        }
    }
}

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_one_header_of_that_scheme() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            basic(&headers).map(|value| credentials(value).unwrap_or_else(|| "?".into()))
        };
        for (values, found) in [
            (&["Basic d2ViOnNlY3JldA=="][..], Some("web:secret")),
            (&["bAsIc   d2ViOnNlY3JldA"], Some("web:secret")),
            (&["Basic OnNlY3JldA=="], Some(":secret")),
            (&["Basic d2Vi"], Some("web")),
            (&["Basic ?"], Some("?")),
            (&["Basic gICA"], Some("?")),
            (&["Basic"], None),
            (&["Basic\td2Vi"], None),
            (&["Basicd2Vi"], None),
            (&["Bearer d2Vi"], None),
            (&["Basic d2Vi", "Basic d2Vi"], None),
            (&[], None),
        ] {
            assert_eq!(of(values).as_deref(), found, "{values:?}");
        }
    }
}
