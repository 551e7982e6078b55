//! Writing the answers that Tollgate gives itself, and the headers that it adds to every answer.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_LENGTH,
    CONTENT_TYPE, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::response::Parts;
use http::{HeaderMap, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::refusal;
use crate::gate::{Cors, Denial, DenyReason, Preflight};
use crate::login::LoginResponse;

/// Facts about the request for its response.
pub(super) struct ResponseContext<'a> {
    pub(super) request_id: &'a str,
    /// The path belongs to a realm: the response depends on the origin.
    pub(super) in_realm: bool,
    pub(super) cors: Option<&'a Cors>,
}

/// Answers a login.
pub(super) async fn login(
    session: &mut Session,
    answer: LoginResponse,
    context: &ResponseContext<'_>,
) -> pingora::Result<()> {
    let (parts, body) = answer.into_parts();
    let mut header = ResponseHeader::build_no_case(parts.status, Some(parts.headers.len() + 8))?;
    for (name, value) in &parts.headers {
        header.append_header(name.clone(), value.clone())?;
    }
    write(session, header, body, context).await
}

/// Refuses a request.
pub(super) async fn refusal(session: &mut Session, denial: &Denial, request_id: &str) -> pingora::Result<()> {
    let (header, body) = refusal::response(denial)?;
    let context = ResponseContext { request_id, in_realm: denial.realm.is_some(), cors: denial.cors.as_ref() };
    write(session, header, Bytes::from(body.to_string()), &context).await
}

/// Returns the raw HTTP/1 response to bytes that are not a request.
pub(super) fn raw_error(deny: DenyReason) -> Vec<u8> {
    let row = deny.response();
    let (status, title) = (row.status.as_u16(), row.status.canonical_reason().unwrap_or_default());
    let body = refusal::problem(&row, row.detail).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {title}\r\nContent-Type: application/problem+json\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(super) async fn preflight(session: &mut Session, asked: Preflight, request_id: &str) -> pingora::Result<()> {
    let mut header = ResponseHeader::build_no_case(StatusCode::NO_CONTENT, Some(10))?;
    header.insert_header(ACCESS_CONTROL_ALLOW_METHODS, asked.method)?;
    let names = asked.headers.unwrap_or_else(|| HeaderValue::from_static(USUAL_HEADERS));
    header.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, names)?;
    header.insert_header(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE)?;
    let context = ResponseContext { request_id, in_realm: true, cors: Some(&asked.cors) };
    write(session, header, Bytes::new(), &context).await
}

/// Answers with a JWKS, for every origin.
pub(super) async fn key_set(session: &mut Session, keys: Bytes, request_id: &str) -> pingora::Result<()> {
    let mut header = ResponseHeader::build_no_case(StatusCode::OK, Some(8))?;
    // RFC 7517 has application/jwk-set+json, but clients expect this one.
    header.insert_header(CONTENT_TYPE, "application/json")?;
    header.insert_header(CACHE_CONTROL, KEY_SET_CACHING)?;
    header.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")?;
    write(session, header, keys, &ResponseContext { request_id, in_realm: false, cors: None }).await
}

/// Adds the CORS headers, replacing the application's.
pub(super) fn add_cors(headers: &mut HeaderMap, in_realm: bool, cors: Option<&Cors>) {
    if let Some(cors) = cors {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, cors.origin.clone());
        if cors.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        } else {
            headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        }
        if !lists(headers, &ACCESS_CONTROL_EXPOSE_HEADERS, &["authorization"]) {
            headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Authorization"));
        }
    }
    if in_realm && !lists(headers, &VARY, &["origin", "*"]) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

/// TRAP: not pingora's `respond_error`, which always closes the connection. Content-Length is always set: without it an
/// HTTP/1 response ends with its connection.
async fn write(
    session: &mut Session,
    header: ResponseHeader,
    body: Bytes,
    context: &ResponseContext<'_>,
) -> pingora::Result<()> {
    let mut parts = Parts::from(header);
    parts.headers.reserve(ADDED);
    add_cors(&mut parts.headers, context.in_realm, context.cors);
    let mut header = ResponseHeader::from(parts);
    header.insert_header(X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    header.insert_header(X_REQUEST_ID.clone(), context.request_id)?;
    // RFC 9110, 8.6: 204 has no Content-Length.
    if header.status != StatusCode::NO_CONTENT {
        header.insert_header(CONTENT_LENGTH, body.len())?;
    }
    // TRAP: HTTP/2 would send the body of a response to HEAD.
    let ends = body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(header), ends).await?;
    if !ends {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// Returns whether a header of this name lists one of these elements.
fn lists(headers: &HeaderMap, name: &HeaderName, elements: &[&str]) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut listed = values.flat_map(|value| value.split(',')).map(str::trim);
    listed.any(|listed| elements.iter().any(|element| listed.eq_ignore_ascii_case(element)))
}

/// The headers by [`add_cors`], at most, and by `write`.
const ADDED: usize = 8;
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Less than the default of `publish_ahead`, so that a verifier with this cache time knows a key before it becomes
/// active.
const KEY_SET_CACHING: &str = "public, max-age=300";
const USUAL_HEADERS: &str = "Authorization, Content-Type, X-API-Key";
/// Seconds. Longer ones are cut by browsers, and an origin that was taken off the list should not be believed for long.
const PREFLIGHT_MAX_AGE: &str = "600";
