//! Filters of the templates.

#![allow(unreachable_pub, clippy::unused_self, reason = "what the macro `filter_fn` generates")]

use std::fmt::Display;

use askama::Values;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Replaces `{name}` in a text by a value.
#[askama::filter_fn]
pub(super) fn fill<V: Display>(text: &str, _: &dyn Values, name: &str, value: V) -> askama::Result<String> {
    Ok(super::texts::fill(text, name, &value.to_string()))
}

/// Percent-encodes the value of a query parameter.
#[askama::filter_fn]
pub(super) fn query_value(text: &str, _: &dyn Values) -> askama::Result<String> {
    Ok(utf8_percent_encode(text, ENCODED).to_string())
}

/// All but the unreserved characters (RFC 3986, 2.3) and the slash, which a query can contain (3.4).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
