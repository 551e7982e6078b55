//! The trace of a request: what the application gets, and, with the feature `otlp`, a collector.

#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(not(feature = "otlp"))]
pub use off::Exporter;
#[cfg(not(feature = "otlp"))]
pub(super) use off::Span;
#[cfg(feature = "otlp")]
pub use otlp::Exporter;
#[cfg(feature = "otlp")]
pub(super) use otlp::Span;

use http::header::{HeaderMap, HeaderValue, InvalidHeaderValue};
use http::{Method, StatusCode, Version};

use super::metrics::{RequestCounters, RequestOutcome};
use crate::gate::{TRACEPARENT, TRACESTATE, TraceParent, is_trace_state};

/// The data of a span of a finished request.
#[cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only a collector reads them"))]
pub(super) struct SpanAttributes<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) version: Version,
    pub(super) host: &'a str,
    pub(super) client: Option<String>,
    pub(super) request_id: &'a str,
    pub(super) requests: &'a RequestCounters,
    pub(super) end: RequestOutcome,
    pub(super) reason: &'static str,
    pub(super) status: Option<StatusCode>,
    pub(super) server: Option<String>,
}

/// Passes on the trace headers of the client, if they are valid (Trace Context, 4.3). A span of Tollgate replaces the parent.
pub(super) fn pass_on(headers: &mut HeaderMap, span: Option<&Span>) -> Result<(), InvalidHeaderValue> {
    let valid = TraceParent::from_headers(headers).is_some();
    if !valid {
        headers.remove(&TRACEPARENT);
    }
    if !valid || !is_trace_state(headers) {
        headers.remove(&TRACESTATE);
    }
    if let Some(span) = span {
        headers.insert(&TRACEPARENT, HeaderValue::try_from(span.parent())?);
    }
    Ok(())
}
