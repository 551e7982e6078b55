//! Where an app's answer ends, and how a client is told: read from the app's fields, and written anew.
//!
//! The fields that concern one connection only are never copied (RFC 9110, 7.6.1; RFC 9112, 6). Client and app may each be
//! of another version of HTTP, and an answer whose length two readers could read in two ways would let one answer be taken
//! for two. So the length is read here, as strictly as the length of a request, and what the client gets is made of it.

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, DATE, EXPIRES, HOST, HeaderName, HeaderValue,
    LOCATION, PROXY_AUTHENTICATE, RETRY_AFTER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, StatusCode, Version};

/// How the body of an answer comes from the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Length {
    /// There is none, whatever the fields say.
    Nothing,
    /// This many bytes.
    Bytes(u64),
    /// Chunks (RFC 9112, 7.1).
    Chunks,
    /// All that comes until the app closes its connection.
    UntilClose,
}

/// What an app's answer says of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Framing {
    pub(in crate::proxy) length: Length,
    /// The one valid Content-Length, also where there is no body.
    declared: Option<u64>,
    /// The names of trailers that are announced.
    trailer: Option<HeaderValue>,
    /// The app keeps its connection, and nothing of the answer makes it doubtful where the next one begins.
    pub(in crate::proxy) persistent: bool,
}

/// Why an answer can be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Ambiguous(pub(in crate::proxy) &'static str);

/// The fields of an answer as they come: what concerns its framing is read, and all else is kept.
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
    /// For this many fields.
    pub(in crate::proxy) fn with_capacity(capacity: usize) -> Self {
        Self { headers: HeaderMap::with_capacity(capacity), ..Self::default() }
    }

    /// One more field. `folded`: its value came over several lines (RFC 9112, 5.2).
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
        } else if !is_hop_by_hop(&name) {
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

    /// The headers that may be passed on, and the framing.
    ///
    /// # Errors
    /// The answer can be read in two ways.
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
        // An app that says more of a body than there may be perhaps sends one (RFC 9112, 6.1: no Transfer-Encoding in 1xx and
        // 204; RFC 9110, 8.6: no Content-Length). It would be taken for the next answer.
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

    /// Refuses what other readers may read otherwise. In 204 a Transfer-Encoding has no meaning to anybody.
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
    /// Writes the one framing that a client of this version gets, into headers that have none. Returns whether its connection
    /// must end with the answer.
    pub(in crate::proxy) fn write(
        &self,
        headers: &mut HeaderMap,
        status: StatusCode,
        method: &Method,
        client: Version,
    ) -> bool {
        match self.length {
            // RFC 9110, 8.6: what GET would have got. 204 and 1xx have none.
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
                    // RFC 9112, 6.1: no chunks, so that only the end of the connection can end the answer.
                    _ => true,
                }
            }
        }
    }

    /// Whether trailers of the app's can be passed on to a client of this version.
    pub(in crate::proxy) fn carries_trailers(&self, client: Version) -> bool {
        self.length == Length::Chunks && matches!(client, Version::HTTP_11 | Version::HTTP_2)
    }
}

/// Whether a trailer of this name may be passed on: nothing that says where a message ends, where it goes or who sent it, and
/// nothing that a client should have known before the body (RFC 9110, 6.5.1).
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
        && !is_hop_by_hop(name)
        && !["access-control-", "content-"].iter().any(|beginning| text.starts_with(beginning))
}

/// Whether a field of this name concerns one connection only, besides those that are read here.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == UPGRADE || *name == TE || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
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
