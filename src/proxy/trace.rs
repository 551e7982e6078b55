//! The trace that a request is part of, towards the app.

use pingora::http::RequestHeader;

use crate::gate::{TRACEPARENT, TRACESTATE, TraceParent, is_trace_state};

/// Passes on what the client says of the trace, if it says it as it must be; else it says nothing (Trace Context, 4.3).
pub(super) fn pass_on(request: &mut RequestHeader) {
    if TraceParent::of(&request.headers).is_none() {
        request.remove_header(&TRACEPARENT);
        request.remove_header(&TRACESTATE);
    } else if !is_trace_state(&request.headers) {
        request.remove_header(&TRACESTATE);
    }
}
