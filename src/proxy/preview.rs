//! What an app would get of a request, without one that is forwarded.

use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

use super::gateway::{set, strip};
use crate::config::Policy;
use crate::gate::Grant;

/// The headers of a granted request as they would reach the app, hop-by-hop ones aside. `None` if they can't be written.
#[must_use]
pub fn preview(method: &Method, headers: &HeaderMap, grant: &Grant, policy: &Policy) -> Option<HeaderMap> {
    let mut request = RequestHeader::build(method.clone(), grant.target().as_bytes(), Some(headers.len())).ok()?;
    for (name, value) in headers {
        request.append_header(name.clone(), value.clone()).ok()?;
    }
    strip(&mut request, grant, policy.cookie_names()).ok()?;
    set(&mut request, grant, "").ok()?;
    Some(request.headers.clone())
}
