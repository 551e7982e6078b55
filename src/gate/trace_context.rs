//! W3C Trace Context of a client's request.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// A valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent<'a> {
    text: &'a str,
}

impl<'a> TraceParent<'a> {
    /// Returns the one of a request. Two headers count as none (Trace Context, 3.2).
    #[must_use]
    pub fn from_headers(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        Self::parse(value.to_str().ok()?)
    }

    /// Trace Context, 3.2.2, and 4.4 for later versions, whose first four fields are the same.
    fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let longer = bytes.len() > LENGTH;
        if bytes.len() < LENGTH || [2, 35, 52].iter().any(|at| bytes[*at] != b'-') {
            return None;
        }
        if longer && (text.starts_with("00") || bytes[LENGTH] != b'-') {
            return None;
        }
        let parent = Self { text: text.get(..LENGTH)? };
        let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let all_hex = [parent.version(), parent.trace_id(), parent.span_id(), parent.flags()].into_iter().all(is_hex);
        let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        let valid = all_hex && parent.version() != "ff" && !is_zero(parent.trace_id()) && !is_zero(parent.span_id());
        valid.then_some(parent)
    }

    fn version(&self) -> &'a str {
        &self.text[..2]
    }

    /// 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> &'a str {
        &self.text[3..35]
    }

    /// The sender's span id: 16 lower-case hex digits.
    #[must_use]
    pub fn span_id(&self) -> &'a str {
        &self.text[36..52]
    }

    fn flags(&self) -> &'a str {
        &self.text[53..LENGTH]
    }

    /// Returns whether the sender records the trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(self.flags(), 16).is_ok_and(|flags| flags & 1 == 1)
    }
}

/// Returns whether `tracestate` is a valid list (Trace Context, 3.3). It can be split into several headers.
#[must_use]
pub fn is_trace_state(headers: &HeaderMap) -> bool {
    let values = headers.get_all(&TRACESTATE).iter();
    let Ok(texts) = values.map(HeaderValue::to_str).collect::<Result<Vec<_>, _>>() else { return false };
    let members: Vec<_> = texts.iter().flat_map(|text| text.split(',')).map(str::trim).collect();
    let is_member = |member: &&str| {
        member.split_once('=').is_some_and(|(key, value)| {
            let is_key = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
            };
            !key.is_empty() && key.len() <= 256 && key.bytes().all(is_key) && value.len() <= 256 && !value.contains('=')
        })
    };
    // Empty members are allowed.
    let members: Vec<_> = members.into_iter().filter(|member| !member.is_empty()).collect();
    members.len() <= MAX_MEMBERS && members.iter().all(is_member)
}

/// The header of the trace's ids.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header of vendor data.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-<32>-<16>-<2>`
const LENGTH: usize = 55;
const MAX_MEMBERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_parent_is_as_the_recommendation_wants_it_or_none() {
        let parent = TraceParent::parse(GOOD).unwrap();
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((parent.span_id(), parent.is_sampled()), ("00f067aa0ba902b7", true));
        for (changed, valid) in [
            (GOOD.replace("-01", "-00"), true),
            (GOOD.replace("-01", "-ff"), true),
            (GOOD.replacen("00-", "cc-", 1), true),
            (format!("{}-what-comes", GOOD.replacen("00-", "cc-", 1)), true),
            (format!("{}.what", GOOD.replacen("00-", "cc-", 1)), false),
            (format!("{GOOD}-x"), false),
            (GOOD.replacen("00-", "ff-", 1), false),
            (GOOD.to_uppercase(), false),
            (GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), false),
            (GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)), false),
            (GOOD.replace('-', "_"), false),
            (GOOD.replace("-01", "-0g"), false),
            (GOOD[..54].to_owned(), false),
            (format!(" {GOOD}"), false),
            (format!("00-{}", "é".repeat(30)), false),
            (String::new(), false),
        ] {
            assert_eq!(TraceParent::parse(&changed).is_some(), valid, "{changed}");
        }
        for (flags, sampled) in [("-00", false), ("-02", false), ("-03", true)] {
            assert_eq!(TraceParent::parse(&GOOD.replace("-01", flags)).unwrap().is_sampled(), sampled, "{flags}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(TraceParent::from_headers(&headers), None);
        headers.append(&TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(TraceParent::from_headers(&headers), Some(parent));
        headers.append(&TRACEPARENT, HeaderValue::from_static(GOOD));
        assert_eq!(TraceParent::from_headers(&headers), None, "never two");
    }

    #[test]
    fn a_state_is_a_list_of_members() {
        let many = vec!["a=1"; 33].join(",");
        for (values, valid) in [
            (&[][..], true),
            (&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], true),
            (&["a=1, ,", "b@c=2"], true),
            (&["a"], false),
            (&["=a"], false),
            (&["A=1"], false),
            (&["a=1=2"], false),
            (&[many.as_str()], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&TRACESTATE, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(is_trace_state(&headers), valid, "{values:?}");
        }
    }
}
