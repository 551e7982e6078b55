//! The error response for a denied request. Its format is chosen here, from the route or login and from the reason.

use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use pingora::http::ResponseHeader;
use serde_json::{Value, json};

use crate::config::LoginMatch;
use crate::gate::{Denial, DenyReason, DenyResponse};
use crate::login::{ErrorResponse, dialect};
use crate::token::TokenError;

/// Returns the head and the body of the error response.
pub(super) fn response(denial: &Denial) -> pingora::Result<(ResponseHeader, Value)> {
    let row = denial.deny.response();
    let (content_type, ErrorResponse { status, body }) = match of_dialect(denial) {
        Some(response) => ("application/json", response),
        None => {
            ("application/problem+json", ErrorResponse { status: row.status, body: problem(&row, &denial.detail()) })
        }
    };
    let mut header = ResponseHeader::build_no_case(status, Some(12))?;
    header.insert_header(CONTENT_TYPE, content_type)?;
    header.insert_header(CACHE_CONTROL, "no-store")?;
    if row.status == StatusCode::UNAUTHORIZED {
        header.insert_header(WWW_AUTHENTICATE, challenge(denial))?;
        if denial.takes_basic {
            header.append_header(WWW_AUTHENTICATE, format!("Basic realm=\"{}\"", realm_name(denial)))?;
        }
    }
    if let Some(cookie) = &denial.set_cookie {
        header.insert_header(SET_COOKIE, cookie.clone())?;
    }
    match denial.deny {
        DenyReason::Throttled(seconds) | DenyReason::RateLimited(seconds) => {
            header.insert_header(RETRY_AFTER, seconds.to_string())?;
        }
        DenyReason::ConcurrencyLimited | DenyReason::Busy | DenyReason::Store | DenyReason::UpstreamUnavailable => {
            header.insert_header(RETRY_AFTER, "1")?;
        }
        // The pause of the fetcher between two attempts.
        DenyReason::Token(TokenError::NoKeys) => header.insert_header(RETRY_AFTER, "5")?,
        DenyReason::Method => {
            if let Some(login) = &denial.login {
                header.insert_header(ALLOW, allowed_methods(login))?;
            }
        }
        DenyReason::FlagMethod => header.insert_header(ALLOW, "POST, OPTIONS")?,
        DenyReason::KeySetMethod => header.insert_header(ALLOW, "GET, HEAD")?,
        _ => {}
    }
    Ok((header, body))
}

/// Returns the status of the error response.
#[must_use]
pub fn status(denial: &Denial) -> StatusCode {
    of_dialect(denial).map_or_else(|| denial.deny.response().status, |response| response.status)
}

/// RFC 9457.
pub(super) fn problem(row: &DenyResponse, detail: &str) -> Value {
    json!({
        "type": "about:blank",
        "title": row.status.canonical_reason().unwrap_or_default(),
        "status": row.status.as_u16(),
        "detail": detail,
        "reason": row.reason,
    })
}

fn of_dialect(denial: &Denial) -> Option<ErrorResponse> {
    dialect(&denial.login.as_ref()?.login).refuse(denial.deny)
}

/// The methods at the path, and OPTIONS: preflights are answered.
fn allowed_methods(login: &LoginMatch) -> String {
    let methods = login.methods().map(http::Method::as_str).chain(["OPTIONS"]);
    methods.collect::<Vec<_>>().join(", ")
}

/// RFC 6750, 3: an error code only if a token was sent.
fn challenge(denial: &Denial) -> String {
    let realm = realm_name(denial);
    match denial.deny {
        DenyReason::Token(_) | DenyReason::UserGone => format!("Bearer realm=\"{realm}\", error=\"invalid_token\""),
        _ => format!("Bearer realm=\"{realm}\""),
    }
}

fn realm_name(denial: &Denial) -> &str {
    denial.realm.as_ref().map_or("tollgate", |realm| &realm.name)
}
