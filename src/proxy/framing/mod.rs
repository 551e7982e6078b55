//! Framing of HTTP/1 messages (RFC 9112, 6): requests of clients, and answers of applications.
//!
//! Both are refused if their framing is ambiguous. They are read in two ways, since the bytes are in different hands:
//!
//! - `request` follows the bytes while pingora reads them, and holds back what comes after the request. It refuses
//!   everything that another proxy could read differently.
//! - `response` reads the fields of a complete head, which `upstream::head` has parsed, and writes the fields for the
//!   client. It accepts some malformed lines that applications often send (white space after a chunk size).

pub(super) mod request;
pub(super) mod response;

use http::header::{HeaderName, TE, UPGRADE};

/// Headers of one connection (RFC 9110, 7.6.1) besides Connection and those of the framing.
pub(super) static CONNECTION_HEADERS: [HeaderName; 5] = [
    UPGRADE,
    TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Maximum number of fields in a head. The same as MAX_HEADERS of pingora, which answers more of them with a 400 of its own
/// (pingora-core 0.9.1, src/protocols/http/v1/common.rs).
pub(super) const MAX_FIELDS: usize = 256;
/// Maximum number of digits of a chunk size, so that it is below 2^60.
pub(super) const MAX_CHUNK_DIGITS: usize = 15;
