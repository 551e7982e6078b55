//! The requests that the gate answers itself: a request with its body in, a response out.

pub mod password;
pub mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use crate::config::Realm;

/// A request to a login path that the guard let through: its target is canonical, its API key good, its origin allowed.
#[derive(Debug)]
pub struct Request<'a> {
    /// The realm, of the policy that judged the request.
    pub realm: &'a Arc<Realm>,
    /// GET, HEAD, POST, PUT or DELETE.
    pub method: &'a Method,
    /// The query's members, percent-decoded, in order, `key` and `masterKey` too.
    pub query: &'a [(String, String)],
    /// As they came.
    pub headers: &'a HeaderMap,
    /// At most 64 KiB; empty if there was none.
    pub body: Bytes,
    /// Whom to throttle: the client's address, as far as it is believed.
    pub client: IpAddr,
    /// The master key was sent, and is the realm's.
    pub master: bool,
    /// What the request's token says, or why there is none that counts.
    pub token: Result<crate::token::Claims, crate::gate::Deny>,
    /// Every token that it carries, for logout.
    pub tokens: Vec<String>,
    /// Unix seconds.
    pub now: i64,
}

/// The answer, without CORS headers, `Content-Length` and `Vary`, which the proxy adds to every answer alike.
pub type Answer = Response<Bytes>;
