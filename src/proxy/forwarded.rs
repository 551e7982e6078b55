//! What an app gets of a request: nothing that only looks like an identity, and the real one (contract 4.4).

use std::mem;

use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderName, HeaderValue, InvalidHeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request, Version};
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr};

use super::answer::X_REQUEST_ID;
use super::trace::{self, Span};
use crate::config::Policy;
use crate::gate::{Grant, OtherCookies, is_reserved};

/// Takes out of Connection the names of headers that are rebuilt anyway: to name them has no effect (`threats.md` R3), and
/// pingora would refuse the request for some of them, and for more than nine names of any kind.
pub(super) fn tame_connection(request: &mut RequestHeader) -> pingora::Result<()> {
    let rebuilt = |option: &str| option.eq_ignore_ascii_case("host") || is_reserved(option, false);
    let values = request.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let (dropped, kept): (Vec<_>, Vec<_>) =
        values.flat_map(|value| value.split(',')).map(str::trim).partition(|option| rebuilt(option));
    if dropped.is_empty() {
        return Ok(());
    }
    let kept = kept.join(", ");
    request.insert_header(CONNECTION, kept)
}

/// What an app gets besides the client's headers and what its grant says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added<'a> {
    pub(super) request_id: &'a [u8],
    /// SHA-256 of the certificate that the client showed, in hex.
    pub(super) certificate: Option<&'a str>,
    pub(super) span: Option<&'a Span>,
}

/// What the app gets of a client's request that says nothing of its connection (`direct`).
pub(super) fn request(
    client: &RequestHeader,
    grant: &Grant,
    policy: &Policy,
    added: &Added<'_>,
) -> pingora::Result<RequestHeader> {
    let mut parts = client.as_owned_parts();
    parts.version = Version::HTTP_11;
    parts.headers.remove(CONNECTION);
    finish(parts, grant, policy, added)
}

/// Makes of a client's request what the app gets. ☠ Not in `request_filter`: pingora removes what the client's Connection
/// header names in between, and that may be a header of ours.
pub(super) fn rewrite(
    request: &mut RequestHeader,
    grant: &Grant,
    policy: &Policy,
    added: &Added<'_>,
) -> pingora::Result<()> {
    // Pingora's own header keeps a second map, with the names as the client wrote them, and every name that is added goes
    // through both, as text: a third of all that the gate cost. Without it names go out in lower case, as HAProxy sends
    // them and HTTP/2 has them.
    let taken = mem::replace(request, Request::new(()).into_parts().0.into());
    *request = finish(taken.into(), grant, policy, added)?;
    Ok(())
}

fn finish(mut parts: Parts, grant: &Grant, policy: &Policy, added: &Added<'_>) -> pingora::Result<RequestHeader> {
    let as_it_came = parts.uri.path_and_query().is_some_and(|target| target.as_str().as_bytes() == grant.target());
    headers(&mut parts.headers, grant, policy, added).or_err(ErrorType::InvalidHTTPHeader, "a header of ours")?;
    let mut request = RequestHeader::from(parts);
    if !as_it_came {
        request.set_raw_path(grant.target())?;
    }
    Ok(request)
}

fn headers(
    headers: &mut HeaderMap,
    grant: &Grant,
    policy: &Policy,
    added: &Added<'_>,
) -> Result<(), InvalidHeaderValue> {
    strip(headers, grant, policy.cookie_names());
    set(headers, grant, added)?;
    trace::pass_on(headers, added.span)
}

/// Takes out what is not for the app (contract 4.4).
fn strip(headers: &mut HeaderMap, grant: &Grant, cookie_names: &[String]) {
    let route = grant.route();
    let limits_methods = route.limits_methods();
    let reserved: Vec<_> = headers.keys().filter(|name| is_reserved(name.as_str(), limits_methods)).cloned().collect();
    for name in &reserved {
        headers.remove(name);
    }
    if !route.forwards_token() {
        headers.remove(AUTHORIZATION);
    }
    match OtherCookies::of(headers, cookie_names) {
        OtherCookies::Unchanged => {}
        OtherCookies::None => drop(headers.remove(COOKIE)),
        OtherCookies::Joined(cookies) => drop(headers.insert(COOKIE, cookies)),
    }
}

/// Sets what is (contract 4.4).
fn set(headers: &mut HeaderMap, grant: &Grant, added: &Added<'_>) -> Result<(), InvalidHeaderValue> {
    let identity = grant.identity().map_or(&[][..], |identity| identity.headers());
    // All at once, since to grow is to sort all of them in anew.
    headers.reserve(identity.len() + OTHERS);
    headers.insert(HOST, grant.authority().clone());
    for (name, value) in identity {
        headers.insert(name, value.clone());
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

/// The headers of a granted request as they would reach the app, hop-by-hop ones aside. `None` if they can't be written.
#[must_use]
pub fn preview(client: &HeaderMap, grant: &Grant, policy: &Policy) -> Option<HeaderMap> {
    let mut forwarded = client.clone();
    headers(&mut forwarded, grant, policy, &Added::default()).ok()?;
    Some(forwarded)
}

static X_AUTH_ASSERTION: HeaderName = HeaderName::from_static("x-auth-assertion");
static X_AUTH_CLIENT_CERT: HeaderName = HeaderName::from_static("x-auth-client-cert");
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// As many as are set whoever is calling, and those of tracing.
const OTHERS: usize = 9;
