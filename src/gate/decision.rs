//! The result of a decision.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::DenyReason;
use super::api_key;
use super::client::ClientInfo;
use super::identity::IdentityHeaders;
use super::request_origin::Cors;
use super::token_cache::Principal;
use crate::config::{ApiKey, Endpoint, LoginMatch, Realm, Route};
use crate::token::{Claims, IssuerKeys, VerifiedToken};

/// The entry of the policy for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteId {
    /// None, or unknown.
    #[default]
    None,
    /// The route of this index.
    Route(usize),
    /// The login of this index, or a path below it.
    Login(usize),
}

/// A decision.
#[derive(Debug)]
pub enum Decision {
    Grant(Box<Grant>),
    /// Tollgate answers it, from its body.
    Login(Box<AdmittedLogin>),
    /// Tollgate answers the browser's question.
    Preflight(Preflight),
    /// Tollgate answers it with the public keys of its tokens, a key set (RFC 7517, 5).
    Jwks(Bytes),
    Refusal(Denial),
    /// Something must be loaded first. Then decide again, with [`Authorizer::may_wait`](super::Authorizer::may_wait) off.
    Wait(Pending),
}

/// Something that a decision needs and that is not in memory.
#[derive(Debug)]
pub enum Pending {
    /// Keys of an issuer: a key that they lack may have signed the token.
    Keys(Arc<IssuerKeys>),
}

/// A request that may pass. Only [`Authorizer::decide`](super::Authorizer::decide) makes one.
#[derive(Debug)]
pub struct Grant {
    pub(super) route: Arc<Route>,
    pub(super) target: Vec<u8>,
    pub(super) authority: HeaderValue,
    pub(super) client: ClientInfo,
    pub(super) who: RequestIdentity,
    pub(super) key: Option<Arc<ApiKey>>,
    pub(super) key_needed: bool,
    pub(super) authorization_is_apps: bool,
    pub(super) assertion: Option<HeaderValue>,
    pub(super) cors: Option<Cors>,
}

/// The identity of a granted request.
#[derive(Debug)]
pub(super) enum RequestIdentity {
    Anonymous,
    /// An API key.
    ApiKey(IdentityHeaders),
    /// The user of a token.
    Principal(Arc<Principal>),
}

impl Grant {
    #[must_use]
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Path and query for the application: the judged path, and the query without Tollgate's members.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// `Host` for the application: the judged one.
    #[must_use]
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    #[must_use]
    pub const fn client(&self) -> &ClientInfo {
        &self.client
    }

    /// The identity as headers.
    #[must_use]
    pub fn identity(&self) -> Option<&IdentityHeaders> {
        match &self.who {
            RequestIdentity::Anonymous => None,
            RequestIdentity::ApiKey(identity) => Some(identity),
            RequestIdentity::Principal(principal) => Some(principal.identity()),
        }
    }

    /// The principal. A tunnel must not outlive its token.
    #[must_use]
    pub const fn principal(&self) -> Option<&Arc<Principal>> {
        match &self.who {
            RequestIdentity::Principal(principal) => Some(principal),
            RequestIdentity::Anonymous | RequestIdentity::ApiKey(_) => None,
        }
    }

    /// The API key without which it would not have been granted: a tunnel must not outlive that either.
    #[must_use]
    pub const fn key(&self) -> Option<&Arc<ApiKey>> {
        self.key.as_ref()
    }

    /// Returns whether the application gets the Authorization header: it is the application's own, or the route has
    /// `forward_token`.
    #[must_use]
    pub fn keeps_authorization(&self) -> bool {
        self.authorization_is_apps || self.route.forward_token
    }

    /// Returns whether the client's header of this name carries an API key and must be removed.
    #[must_use]
    pub fn has_key_in(&self, name: &HeaderName, headers: &HeaderMap) -> bool {
        api_key::is_carried_by(&self.route.realm, name, headers, self.key_needed)
    }

    /// `X-Auth-Assertion`, where the route wants it.
    #[must_use]
    pub const fn assertion(&self) -> Option<&HeaderValue> {
        self.assertion.as_ref()
    }

    /// The largest body in bytes that it may have, if there is a limit.
    #[must_use]
    pub fn body_size(&self) -> Option<u64> {
        self.route.body_size
    }

    /// The CORS headers of the response.
    #[must_use]
    pub const fn cors(&self) -> Option<&Cors> {
        self.cors.as_ref()
    }
}

/// A request to a login that a dialect may answer. Its body is not read yet.
#[derive(Debug)]
pub struct AdmittedLogin {
    /// The login and the endpoint.
    pub login: LoginMatch,
    /// The realms of [`Login::named_realms`](crate::config::Login::named_realms) with rules for API keys and origins that the
    /// request meets. It must not log in to another one.
    pub realms: Vec<Arc<Realm>>,
    /// The members of the query, decoded, in order, `key` and `masterKey` too.
    pub query: Vec<(String, String)>,
    /// The request has the realm's master key. A wrong one is denied.
    pub master: bool,
    /// The claims of the token that the realm issued, verified and not revoked, or the reason why there are none.
    pub token: Result<Claims, DenyReason>,
    /// The verified tokens that [`EndpointTokens`](crate::config::EndpointTokens) asks for. Trusted issuers can have issued them.
    pub tokens: Vec<VerifiedToken>,
    /// The client.
    pub client: ClientInfo,
    /// For the headers of the response.
    pub cors: Option<Cors>,
}

impl AdmittedLogin {
    /// The realm of the login.
    #[must_use]
    pub fn realm(&self) -> &Arc<Realm> {
        &self.login.login.realm
    }

    /// The endpoint of the login.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.login.endpoint()
    }
}

/// The answer to a CORS preflight (Fetch standard, 3.2.2).
#[derive(Debug)]
pub struct Preflight {
    /// The entry for the requested method.
    pub place: RouteId,
    pub cors: Cors,
    /// The requested method.
    pub method: HeaderValue,
    /// The requested headers.
    pub headers: Option<HeaderValue>,
}

/// A denied request, with the facts for its response.
#[derive(Debug)]
pub struct Denial {
    pub deny: DenyReason,
    /// The entry of the policy, if known.
    pub place: RouteId,
    /// The realm, if known.
    pub realm: Option<Arc<Realm>>,
    /// The principal, if the token was valid but not sufficient.
    pub principal: Option<Arc<Principal>>,
    /// The valid API key of the request.
    pub key: Option<Arc<ApiKey>>,
    /// An API key would have been sufficient.
    pub takes_key: bool,
    /// Basic credentials are accepted, so a 401 asks for them.
    pub takes_basic: bool,
    /// The CORS headers of the response.
    pub cors: Option<Cors>,
    /// `Set-Cookie` to go with it, from a login.
    pub set_cookie: Option<HeaderValue>,
    /// The endpoint of a login, if the request was for one: its API has error responses of its own.
    pub login: Option<LoginMatch>,
}

impl Denial {
    /// Creates a denial with this reason, without further facts.
    #[must_use]
    pub const fn new(deny: DenyReason) -> Self {
        Self {
            deny,
            place: RouteId::None,
            realm: None,
            principal: None,
            key: None,
            takes_key: false,
            takes_basic: false,
            cors: None,
            set_cookie: None,
            login: None,
        }
    }

    /// One sentence for the developer of the client.
    #[must_use]
    pub fn detail(&self) -> Cow<'static, str> {
        let of_table = self.deny.response().detail;
        match (self.deny, &self.realm) {
            (DenyReason::KeyMissing, Some(realm)) => {
                let query = realm.key_query().map(|name| format!("as the query parameter {name}"));
                let header = realm.key_header().map(|name| format!("as the header {name}"));
                let ways: Vec<_> = query.into_iter().chain(header).collect();
                if ways.is_empty() {
                    return of_table.into();
                }
                format!("An API key is needed: send it {}.", ways.join(", or ")).into()
            }
            (DenyReason::TokenMissing, _) if self.takes_key => {
                "An access token or an API key is needed: log in first, or send a key.".into()
            }
            _ => of_table.into(),
        }
    }
}
