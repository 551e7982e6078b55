//! Step 5 of docs/request-order.md: CORS preflights (Fetch standard, 3.2.2).

use http::Method;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};

use super::DenyReason;
use super::decide::Head;
use super::decision::{Decision, Preflight, RouteId};
use super::request_origin::RequestOrigin;
use crate::config::RouteMatch;

/// Returns the requested method of a preflight; `None` for any other request (SECURITY.md R50).
pub(super) fn requested_method(head: &Head<'_>) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// Returns the response. `found`: the login or route for the requested method. `place`: its entry.
pub(super) fn response(
    head: &Head<'_>,
    found: &RouteMatch,
    origin: RequestOrigin,
    place: RouteId,
) -> Result<Decision, DenyReason> {
    if matches!(found, RouteMatch::UnknownEndpoint(_)) {
        return Err(DenyReason::NotFound);
    }
    let cors = origin.cors.ok_or(DenyReason::OriginMissing)?;
    let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD).cloned().ok_or(DenyReason::OriginMissing)?;
    let headers = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    Ok(Decision::Preflight(Preflight { place, cors, method, headers }))
}

#[cfg(test)]
mod tests;
