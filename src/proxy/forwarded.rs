//! What an app gets of a request: nothing that only looks like an identity, and the real one (contract 4.4).

use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

use super::trace;
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

/// Takes out what is not for the app (contract 4.4). ☠ Here and not in `request_filter`: pingora removes what the
/// client's Connection header names in between, and that may be a header of ours.
pub(super) fn strip(request: &mut RequestHeader, grant: &Grant, cookie_names: &[String]) -> pingora::Result<()> {
    let route = grant.route();
    let limits_methods = route.limits_methods();
    let reserved: Vec<_> =
        request.headers.keys().filter(|name| is_reserved(name.as_str(), limits_methods)).cloned().collect();
    for name in &reserved {
        request.remove_header(name);
    }
    if !route.forwards_token() {
        request.remove_header(&AUTHORIZATION);
    }
    match OtherCookies::of(&request.headers, cookie_names) {
        OtherCookies::Unchanged => {}
        OtherCookies::None => drop(request.remove_header(&COOKIE)),
        OtherCookies::Joined(cookies) => request.insert_header(COOKIE, cookies)?,
    }
    Ok(())
}

/// Sets what is (contract 4.4).
pub(super) fn set(request: &mut RequestHeader, grant: &Grant, request_id: &str) -> pingora::Result<()> {
    if request.raw_path() != grant.target().as_bytes() {
        request.set_raw_path(grant.target().as_bytes())?;
    }
    request.insert_header(HOST, grant.authority().clone())?;
    for (name, value) in grant.identity().map_or(&[][..], |identity| identity.headers()) {
        request.insert_header(name.clone(), value.clone())?;
    }
    if let Some(assertion) = grant.assertion() {
        request.insert_header("X-Auth-Assertion", assertion.clone())?;
    }
    let client = grant.client();
    request.insert_header("X-Request-Id", request_id)?;
    request.insert_header("X-Forwarded-For", client.forwarded_for.as_str())?;
    request.insert_header("X-Forwarded-Proto", if client.secure { "https" } else { "http" })?;
    let host = client.forwarded_host.as_ref().unwrap_or_else(|| grant.authority());
    request.insert_header("X-Forwarded-Host", host.clone())?;
    Ok(())
}

/// The headers of a granted request as they would reach the app, hop-by-hop ones aside. `None` if they can't be written.
#[must_use]
pub fn preview(method: &Method, headers: &HeaderMap, grant: &Grant, policy: &Policy) -> Option<HeaderMap> {
    let mut request = RequestHeader::build(method.clone(), grant.target().as_bytes(), Some(headers.len())).ok()?;
    for (name, value) in headers {
        request.append_header(name.clone(), value.clone()).ok()?;
    }
    strip(&mut request, grant, policy.cookie_names()).ok()?;
    set(&mut request, grant, "").ok()?;
    trace::pass_on(&mut request, None).ok()?;
    Some(request.headers.clone())
}
