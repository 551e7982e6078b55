//! What all login APIs have in common: JSON in, JSON out.

use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value};

use super::{Answer, Request};
use crate::gate::Deny;
use crate::json;

/// The body of a request that must have a JSON one.
pub(super) fn object(request: &Request<'_>) -> Result<Map<String, Value>, Deny> {
    let mut types = request.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else { return Err(Deny::ContentType) };
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(Deny::ContentType);
    }
    json::object(&request.body).map_err(|_| Deny::Body)
}

/// An answer that no cache may keep.
pub(super) fn ok(body: &Value) -> Answer {
    let mut answer = Answer::new(Bytes::from(body.to_string()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
