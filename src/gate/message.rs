//! Step 2 of docs/request-order.md: the message and its target.

use http::header::{self, HeaderMap, HeaderValue};

use super::DenyReason;
use super::decide::Head;
use super::target::Target;
use crate::config::Authority;

/// The parsed head of a request that is framed in one way and names one host and one target.
pub(super) struct Message<'a> {
    pub(super) authority: Authority,
    /// `Host` for the application: as received.
    pub(super) host: HeaderValue,
    pub(super) target: Target<'a>,
}

impl<'a> Message<'a> {
    /// `head_size`: the largest head in bytes.
    pub(super) fn parse(head: &Head<'a>, head_size: u64) -> Result<Self, DenyReason> {
        if head.size as u64 > head_size {
            return Err(DenyReason::HeadTooLarge);
        }
        if head.ambiguous_length || !is_plainly_chunked(head.headers) || !has_plain_length(head.headers) {
            return Err(DenyReason::Framing);
        }
        if head.upgrade && head.has_body {
            return Err(DenyReason::Upgrade);
        }
        let (authority, host) = authority(head)?;
        let target = Target::parse(head.target)?;
        Ok(Self { authority, host, target })
    }
}

/// Returns whether there is no Transfer-Encoding, or exactly one `chunked` (SECURITY.md R14). Legitimate clients send
/// no other, and readers disagree about what is left of it after the first hop.
fn is_plainly_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = values.next().is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    chunked && values.next().is_none()
}

/// Returns whether there is no Content-Length, or exactly one plain number (SECURITY.md R15). Pingora reads `5, 5` and
/// two equal headers as 5, as RFC 9112 allows, and forwards them unchanged: not every application reads them so. Nor
/// does every application read `010` as 10, or a number beyond 63 bits.
fn has_plain_length(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let plain = values.next().is_none_or(|value| match value.as_bytes() {
        b"0" => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < MAX_LENGTH_DIGITS && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    });
    plain && values.next().is_none()
}

/// Returns the host and port, and the value of `Host` (RFC 9110, 7.2).
pub(super) fn authority(head: &Head<'_>) -> Result<(Authority, HeaderValue), DenyReason> {
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let field = hosts.next();
    let host = field.map(|value| value.to_str().map_err(|_| DenyReason::Host)).transpose()?;
    let text = match (host, head.authority) {
        (Some(host), Some(authority)) if host != authority => return Err(DenyReason::Host),
        (Some(text), _) | (None, Some(text)) if hosts.next().is_none() => text,
        _ => return Err(DenyReason::Host),
    };
    let authority = Authority::parse(text).ok_or(DenyReason::Host)?;
    let value =
        field.map_or_else(|| HeaderValue::from_str(text).map_err(|_| DenyReason::Host), |field| Ok(field.clone()))?;
    Ok((authority, value))
}

/// All numbers with so many digits fit into 63 bits.
const MAX_LENGTH_DIGITS: usize = 18;

#[cfg(test)]
mod tests;
