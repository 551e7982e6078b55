//! Framing of answers: read from the fields of the application, and written anew for the client.
//!
//! Fields of one connection are never copied (RFC 9110, 7.6.1; RFC 9112, 6). Client and app can use different versions
//! of HTTP, and an answer with an ambiguous length can be read as two answers. So the length is read here, as strictly
//! as that of a request, and the fields for the client are made from it.

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, DATE, EXPIRES, HOST, HeaderName, HeaderValue,
    LOCATION, PROXY_AUTHENTICATE, RETRY_AFTER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING,
    VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, StatusCode, Version};

use super::CONNECTION_HEADERS;

/// The length of an answer's body, as the application sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Length {
    /// No body, even if there is a Content-Length.
    Nothing,
    /// This number of bytes.
    Bytes(u64),
    /// Chunks (RFC 9112, 7.1).
    Chunks,
    /// All bytes until the application closes its connection.
    UntilClose,
}

/// Framing of an answer, and whether its connection can be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Framing {
    pub(in crate::proxy) length: Length,
    /// The one valid Content-Length, also of an answer without a body.
    declared: Option<u64>,
    /// The field Trailer.
    trailer: Option<HeaderValue>,
    /// The application keeps its connection open, and the end of the answer is certain.
    pub(in crate::proxy) persistent: bool,
}

/// Why the framing of an answer is ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Ambiguous(pub(in crate::proxy) &'static str);

/// Collects the fields of an answer: reads those of its framing, and keeps the others.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Fields {
    headers: HeaderMap,
    lengths: usize,
    length: Option<u64>,
    codings: usize,
    is_chunked: bool,
    closes: bool,
    keeps: bool,
    named: Vec<HeaderName>,
    trailer: Option<HeaderValue>,
    is_folded: bool,
}

impl Fields {
    /// Makes room for this number of fields.
    pub(in crate::proxy) fn with_capacity(capacity: usize) -> Self {
        Self { headers: HeaderMap::with_capacity(capacity), ..Self::default() }
    }

    /// Adds a field. `folded`: its value came in several lines (RFC 9112, 5.2).
    pub(in crate::proxy) fn add(&mut self, name: HeaderName, value: HeaderValue, folded: bool) {
        if name == CONTENT_LENGTH {
            self.lengths += 1;
            self.length = digits(value.as_bytes());
        } else if name == TRANSFER_ENCODING {
            self.codings += 1;
            self.is_chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
        } else if name == CONNECTION {
            self.connection(value.as_bytes());
        } else if name == TRAILER {
            self.trailer = Some(value);
            return;
        } else if !CONNECTION_HEADERS.contains(&name) {
            self.headers.append(name, value);
            return;
        }
        self.is_folded |= folded;
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps = true;
            } else if let Ok(name) = HeaderName::from_bytes(option) {
                self.named.push(name);
            }
        }
    }

    /// Returns the headers for the client, and the framing.
    ///
    /// # Errors
    /// The framing is ambiguous.
    pub(in crate::proxy) fn finish(
        mut self,
        status: StatusCode,
        version: Version,
        method: &Method,
    ) -> Result<(HeaderMap, Framing), Ambiguous> {
        for name in &self.named {
            self.headers.remove(name);
        }
        let is_final = !status.is_informational();
        // RFC 9112, 6.3: the first three rules.
        let has_body =
            is_final && method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if is_final {
            self.refuse_ambiguous(status, version)?;
        }
        let length = if !has_body {
            Length::Nothing
        } else if self.codings > 0 {
            Length::Chunks
        } else {
            self.length.map_or(Length::UntilClose, Length::Bytes)
        };
        // An application that announces a body where none is allowed may send one (RFC 9112, 6.1: no Transfer-Encoding
        // in 1xx and 204; RFC 9110, 8.6: no Content-Length). Its bytes would be read as the next answer.
        let may_send_more = !has_body
            && (self.codings > 0
                || (matches!(status, StatusCode::NO_CONTENT) || !is_final)
                    && self.lengths > 0
                    && self.length != Some(0));
        let keeps = if version == Version::HTTP_11 { !self.closes } else { self.keeps && !self.closes };
        let framing = Framing {
            length,
            declared: self.length,
            trailer: self.trailer,
            persistent: keeps && !may_send_more && length != Length::UntilClose,
        };
        Ok((self.headers, framing))
    }

    /// Refuses framing that other readers can read differently. In 204, Transfer-Encoding has no meaning.
    fn refuse_ambiguous(&self, status: StatusCode, version: Version) -> Result<(), Ambiguous> {
        let error = if self.is_folded {
            "a framing field over several lines"
        } else if self.lengths > 1 {
            "several Content-Length"
        } else if self.lengths == 1 && self.length.is_none() {
            "a Content-Length that is not a number"
        } else if self.codings == 0 || status == StatusCode::NO_CONTENT {
            return Ok(());
        } else if self.codings > 1 {
            "several Transfer-Encoding"
        } else if !self.is_chunked {
            "a Transfer-Encoding other than chunked"
        } else if version != Version::HTTP_11 {
            "Transfer-Encoding in HTTP/1.0"
        } else if self.lengths > 0 {
            "Content-Length beside Transfer-Encoding"
        } else {
            return Ok(());
        };
        Err(Ambiguous(error))
    }
}

impl Framing {
    /// Writes the framing for a client of this version into headers that have none. Returns whether the connection of the
    /// client must end with the answer.
    pub(in crate::proxy) fn write(
        &self,
        headers: &mut HeaderMap,
        status: StatusCode,
        method: &Method,
        client: Version,
    ) -> bool {
        match self.length {
            // RFC 9110, 8.6: the length that GET would have got. 204 and 1xx have none.
            Length::Nothing => {
                let may_say = method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
                if let Some(length) =
                    self.declared.filter(|_| may_say && !status.is_informational() && status != StatusCode::NO_CONTENT)
                {
                    headers.insert(CONTENT_LENGTH, length.into());
                }
                false
            }
            Length::Bytes(length) => {
                headers.insert(CONTENT_LENGTH, length.into());
                false
            }
            Length::Chunks | Length::UntilClose => {
                if let Some(trailer) = self.trailer.as_ref().filter(|_| self.carries_trailers(client)) {
                    headers.insert(TRAILER, trailer.clone());
                }
                match client {
                    Version::HTTP_2 => false,
                    Version::HTTP_11 => {
                        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                        false
                    }
                    // RFC 9112, 6.1: HTTP/1.0 has no chunks, so the end of the connection ends the answer.
                    _ => true,
                }
            }
        }
    }

    /// Returns whether a client of this version can get the trailers of the application.
    pub(in crate::proxy) fn carries_trailers(&self, client: Version) -> bool {
        self.length == Length::Chunks && matches!(client, Version::HTTP_11 | Version::HTTP_2)
    }
}

/// Returns whether a trailer of this name is passed on: not a field of framing, routing or authentication, nor one that a client
/// needs before the body (RFC 9110, 6.5.1).
pub(in crate::proxy) fn is_trailer(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 17] = [
        AGE,
        AUTHORIZATION,
        CACHE_CONTROL,
        CONNECTION,
        DATE,
        EXPIRES,
        HOST,
        LOCATION,
        PROXY_AUTHENTICATE,
        RETRY_AFTER,
        SET_COOKIE,
        STRICT_TRANSPORT_SECURITY,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        VARY,
        WWW_AUTHENTICATE,
    ];
    let text = name.as_str();
    !NEVER.contains(name)
        && !CONNECTION_HEADERS.contains(name)
        && !["access-control-", "content-"].iter().any(|beginning| text.starts_with(beginning))
}

/// RFC 9110, 8.6: digits, and nothing else.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests;
