//! The request for an application: without headers that a client could forge, and with the identity that Tollgate found
//! (README, What the application gets).

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, InvalidHeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, Version};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OrErr};

use super::answer::X_REQUEST_ID;
use super::framing::CONNECTION_HEADERS;
use super::trace::{self, Span};
use super::upstream::Sending;
use super::websocket;
use crate::config::Policy;
use crate::gate::{Grant, RemainingCookies, is_reserved};

/// Headers for the application that come neither from the client nor from the grant.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AddedHeaders<'a> {
    pub(super) request_id: &'a [u8],
    /// SHA-256 of the client certificate, in hex.
    pub(super) certificate: Option<&'a str>,
    pub(super) span: Option<&'a Span>,
}

/// The kind of body that follows the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Some,
    /// The bytes of a WebSocket.
    Tunnel,
}

/// Makes the head for the application, in HTTP/1.1, and the framing of its body.
///
/// Header names are sent in lower case, as HAProxy and HTTP/2 do.
pub(super) fn request(
    client: &RequestHeader,
    body: Body,
    grant: &Grant,
    policy: &Policy,
    added: &AddedHeaders<'_>,
) -> pingora::Result<(RequestHeader, Sending)> {
    let mut parts = client.as_owned_parts();
    remove_hop_by_hop(&mut parts.headers, client.version, body)?;
    let sending = frame(&mut parts.headers, body);
    if client.version == Version::HTTP_10 {
        // A client of HTTP/1.0 can't get 100 Continue (RFC 9110, 10.1.1).
        parts.headers.remove(EXPECT);
    }
    parts.version = Version::HTTP_11;
    Ok((finish(parts, grant, policy, added)?, sending))
}

/// Removes the headers of the client's connection (RFC 9110, 7.6.1), and sets those of the application's connection.
fn remove_hop_by_hop(headers: &mut HeaderMap, version: Version, body: Body) -> pingora::Result<()> {
    for name in named_by_connection(headers)? {
        headers.remove(name);
    }
    // Trailers of an answer are not passed on to HTTP/1.0.
    let takes_trailers = version != Version::HTTP_10 && lists_trailers(headers);
    for name in CONNECTION_HEADERS.iter().chain(&REMOVED) {
        headers.remove(name);
    }
    if body == Body::Tunnel {
        websocket::set_upgrade(headers);
    } else if takes_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("TE"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Returns the headers that the client's Connection names. Headers that are set anew are left out, so that naming them has no
/// effect (SECURITY.md R3).
///
/// # Errors
/// It names an invalid header, or more than [`MOST_NAMED`].
fn named_by_connection(headers: &HeaderMap) -> pingora::Result<Vec<HeaderName>> {
    let malformed = || Error::explain(ErrorType::InvalidHTTPHeader, "a malformed Connection header").into_down();
    let mut names = Vec::new();
    let values = headers.get_all(CONNECTION).into_iter();
    let options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    for option in options.filter(|option| !option.is_empty()) {
        if option.eq_ignore_ascii_case(b"keep-alive") || option.eq_ignore_ascii_case(b"close") {
            continue;
        }
        let text = std::str::from_utf8(option).map_err(|_| malformed())?;
        if text.eq_ignore_ascii_case("host") || is_reserved(text, false) {
            continue;
        }
        let is_token = option.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte));
        if !is_token || names.len() == MOST_NAMED {
            return Err(malformed());
        }
        names.push(HeaderName::from_bytes(option).map_err(|_| malformed())?);
    }
    Ok(names)
}

fn lists_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(TE).into_iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Writes the framing of the body. Tollgate has refused a Content-Length that is not one plain number.
fn frame(headers: &mut HeaderMap, body: Body) -> Sending {
    let length: Option<u64> = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    headers.remove(CONTENT_LENGTH);
    match (length, body) {
        (Some(length), Body::None | Body::Some) => {
            headers.insert(CONTENT_LENGTH, length.into());
            Sending::Bytes(length)
        }
        (None, Body::Some) => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            Sending::Chunks
        }
        (None, Body::None) | (_, Body::Tunnel) => Sending::Done,
    }
}

fn finish(
    mut parts: Parts,
    grant: &Grant,
    policy: &Policy,
    added: &AddedHeaders<'_>,
) -> pingora::Result<RequestHeader> {
    headers(&mut parts.headers, grant, policy, added).or_err(ErrorType::InvalidHTTPHeader, "a header of the gate")?;
    Ok(RequestHeader::from(parts))
}

fn headers(
    headers: &mut HeaderMap,
    grant: &Grant,
    policy: &Policy,
    added: &AddedHeaders<'_>,
) -> Result<(), InvalidHeaderValue> {
    strip(headers, grant, &policy.cookie_names);
    set(headers, grant, added)?;
    trace::pass_on(headers, added.span)
}

/// Removes what is not for the application: reserved headers, credentials of Tollgate and cookies of realms.
fn strip(headers: &mut HeaderMap, grant: &Grant, cookie_names: &[String]) {
    let route = grant.route();
    let limits_methods = route.restricts_methods();
    let is_ours = |name: &&HeaderName| is_reserved(name.as_str(), limits_methods) || grant.has_key_in(name, headers);
    let ours: Vec<_> = headers.keys().filter(is_ours).cloned().collect();
    for name in &ours {
        headers.remove(name);
    }
    if !grant.keeps_authorization() {
        headers.remove(AUTHORIZATION);
    }
    match RemainingCookies::from_headers(headers, cookie_names) {
        RemainingCookies::Unchanged => {}
        RemainingCookies::None => drop(headers.remove(COOKIE)),
        RemainingCookies::Joined(cookies) => drop(headers.insert(COOKIE, cookies)),
    }
}

/// Sets the headers of Tollgate.
fn set(headers: &mut HeaderMap, grant: &Grant, added: &AddedHeaders<'_>) -> Result<(), InvalidHeaderValue> {
    let identity = grant.identity().map_or(&[][..], |identity| identity.headers());
    // At once, since each growth of the map rehashes all headers.
    headers.reserve(identity.len() + OTHERS);
    headers.insert(HOST, grant.authority().clone());
    for (name, value) in identity {
        headers.insert(name, value.clone());
    }
    if let Some(key) = grant.key() {
        headers.insert(&X_AUTH_KEY_ID, key.header.clone());
    }
    if let Some(assertion) = grant.assertion() {
        headers.insert(&X_AUTH_ASSERTION, assertion.clone());
    }
    if let Some(certificate) = added.certificate {
        headers.insert(&X_AUTH_CLIENT_CERT, HeaderValue::from_str(certificate)?);
    }
    let client = grant.client();
    headers.insert(&X_REQUEST_ID, HeaderValue::from_bytes(added.request_id)?);
    headers.insert(&X_FORWARDED_FOR, HeaderValue::from_str(&client.forwarded_for)?);
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(if client.secure { "https" } else { "http" }));
    let host = client.forwarded_host.as_ref().unwrap_or_else(|| grant.authority());
    headers.insert(&X_FORWARDED_HOST, host.clone());
    Ok(())
}

/// Returns the headers of a granted request as they would reach the application, without those of its connection.
/// `None`: a header can't be written.
#[must_use]
pub fn preview_headers(client: &HeaderMap, grant: &Grant, policy: &Policy) -> Option<HeaderMap> {
    let mut forwarded = client.clone();
    headers(&mut forwarded, grant, policy, &AddedHeaders::default()).ok()?;
    Some(forwarded)
}

static X_AUTH_KEY_ID: HeaderName = HeaderName::from_static("x-auth-key-id");
static X_AUTH_ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");
static X_AUTH_CLIENT_CERT: HeaderName = HeaderName::from_static("x-auth-client-cert");
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Number of headers that are set for every request, and of those of tracing.
const OTHERS: usize = 10;
/// Further headers of a request that belong to its connection.
static REMOVED: [HeaderName; 5] = [CONNECTION, TRAILER, TRANSFER_ENCODING, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION];
/// The same limit as in pingora (pingora-proxy 0.9.1, src/proxy_common.rs).
const MOST_NAMED: usize = 9;
