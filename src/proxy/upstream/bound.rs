//! Connections to applications that belong to one client's connection.
//!
//! NTLM and Negotiate authenticate a connection, and not each request on it (RFC 4559, 6). Such a connection is kept
//! for the client's connection on which it was authenticated, and ends with it. Requests of other clients on it would
//! be taken for requests of that client.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use pingora::protocols::Stream;

use super::idle::is_silent;
use super::pool::ServerPool;
use super::resolved::ResolvedPool;
use crate::config::Sha256;
use crate::gate::{Grant, Principal};

/// The bound connections of one client connection.
#[derive(Default)]
pub(in crate::proxy) struct BoundConnections(Vec<Kept>);

/// One of them, and the index of its server.
pub(in crate::proxy) struct BoundConnection {
    pub(in crate::proxy) pool: Arc<ServerPool>,
    pub(in crate::proxy) index: usize,
    pub(in crate::proxy) stream: Stream,
}

struct Kept {
    upstream: Arc<ResolvedPool>,
    caller: Caller,
    connection: BoundConnection,
}

/// The identity of the request. One connection can carry requests of several users, after a logout and a login.
struct Caller {
    realm: String,
    principal: Option<Arc<Principal>>,
    key: Option<Sha256>,
}

impl BoundConnections {
    /// Takes the connection to this upstream, if it is still open. A connection of another identity is closed.
    pub(in crate::proxy) fn take(&mut self, upstream: &Arc<ResolvedPool>, grant: &Grant) -> Option<BoundConnection> {
        let at = self.0.iter().position(|kept| Arc::ptr_eq(&kept.upstream, upstream))?;
        let Kept { caller, mut connection, .. } = self.0.remove(at);
        (caller.is(grant) && is_silent(&mut connection.stream)).then_some(connection)
    }

    /// Keeps a connection. There is one per upstream, and the oldest is closed if there are too many.
    pub(in crate::proxy) fn put(&mut self, upstream: &Arc<ResolvedPool>, connection: BoundConnection, grant: &Grant) {
        self.0.retain(|kept| !Arc::ptr_eq(&kept.upstream, upstream));
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(Kept { upstream: upstream.clone(), caller: Caller::from_grant(grant), connection });
    }

    pub(in crate::proxy) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for BoundConnections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("BoundConnections").field(&self.0.len()).finish()
    }
}

impl Caller {
    fn from_grant(grant: &Grant) -> Self {
        let realm = grant.route().realm.name.to_owned();
        Self { realm, principal: grant.principal().cloned(), key: grant.key().map(|key| key.secret) }
    }

    fn is(&self, grant: &Grant) -> bool {
        let name =
            |principal: &Arc<Principal>| (principal.issuer().map(str::to_owned), principal.claims().subject.clone());
        self.realm == grant.route().realm.name
            && self.key == grant.key().map(|key| key.secret)
            && self.principal.as_ref().map(name) == grant.principal().map(name)
    }
}

/// Returns whether a response with these headers asks to authenticate the connection.
pub(in crate::proxy) fn asks_to_bind(headers: &HeaderMap) -> bool {
    let values = [WWW_AUTHENTICATE, PROXY_AUTHENTICATE].map(|name| headers.get_all(name).into_iter());
    // A comma separates challenges, and the parameters of one (RFC 9110, 11.6.1): a parameter that looks like a
    // challenge costs only a connection.
    values.into_iter().flatten().any(|value| value.as_bytes().split(|byte| *byte == b',').any(is_of_connection))
}

/// Returns whether a request with these headers may authenticate its connection, even if the application does not ask.
pub(in crate::proxy) fn may_bind(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).into_iter().any(|value| is_of_connection(value.as_bytes()))
}

/// Returns whether a challenge or a response to one is of a scheme that authenticates connections.
fn is_of_connection(text: &[u8]) -> bool {
    let scheme = text.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    [&b"ntlm"[..], b"negotiate"].iter().any(|other| scheme.eq_ignore_ascii_case(other))
}

/// A client's connection leads to a few applications at most.
const MOST: usize = 4;

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn r57_schemes_of_connections_are_known() {
        for values in [
            &["NTLM"][..],
            &["ntlm TlRMTVNTUAACAAAA"],
            &["Negotiate"],
            &["NEGOTIATE oYG2MIGz"],
            &["Basic realm=\"a\", NTLM"],
            &["Basic realm=\"a\"", "Negotiate", "NTLM"],
            &["Bearer", "Basic realm=x,negotiate , Digest a=b"],
        ] {
            for name in [WWW_AUTHENTICATE, PROXY_AUTHENTICATE] {
                assert!(asks_to_bind(&headers(&name, values)), "{values:?}");
            }
        }
        for values in [&["Basic realm=\"NTLM\""][..], &["Bearer", "Digest nonce=x"], &["NTLMv2"], &[""], &[]] {
            assert!(!asks_to_bind(&headers(&WWW_AUTHENTICATE, values)), "{values:?}");
        }
        assert!(!asks_to_bind(&headers(&AUTHORIZATION, &["NTLM"])));
        assert!(may_bind(&headers(&AUTHORIZATION, &["NTLM TlRMTVNTUAABAAAA"])));
        assert!(!may_bind(&headers(&AUTHORIZATION, &["Bearer NTLM"])));
    }
}
