//! Common to all login APIs: JSON bodies.

use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::{Map, Value};

use super::{LoginRequest, LoginResponse};
use crate::gate::DenyReason;
use crate::json;

/// The body of a request that must have a JSON one.
pub(super) fn object(request: &LoginRequest<'_>) -> Result<Map<String, Value>, DenyReason> {
    let mut types = request.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else { return Err(DenyReason::ContentType) };
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(DenyReason::ContentType);
    }
    json::object(&request.body).map_err(|_| DenyReason::Body)
}

/// An answer that no cache may keep.
pub(super) fn ok(body: &Value) -> LoginResponse {
    let mut answer = LoginResponse::new(Bytes::from(body.to_string()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
