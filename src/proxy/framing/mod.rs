//! Where messages of HTTP/1 begin and end (RFC 9112, 6): requests of clients, and answers of apps.

pub(super) mod request;
pub(super) mod response;
