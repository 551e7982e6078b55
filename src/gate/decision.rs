//! What the judgement comes to.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::DenyReason;
use super::api_key;
use super::client::ClientInfo;
use super::identity::IdentityHeaders;
use super::request_origin::Cors;
use super::token_cache::Principal;
use crate::config::{ApiKey, Dialect, Login, LoginEndpoint, Realm, Route};
use crate::token::{Claims, IssuerKeys, VerifiedToken};

/// To what of its policy a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteId {
    /// To none, or that is not known.
    #[default]
    None,
    /// The route of this index.
    Route(usize),
    /// The login of this index, or what is below it.
    Login(usize),
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It is forwarded.
    Grant(Box<Grant>),
    /// The gate answers it, from its body.
    Login(Box<AdmittedLogin>),
    /// The gate answers the browser's question.
    Preflight(Preflight),
    /// The gate answers it with the public keys of its tokens, a key set (RFC 7517, 5).
    Jwks(Bytes),
    /// It is refused.
    Refusal(Denial),
    /// Its token may have been signed with a key that these don't know yet: it is to be judged again, with
    /// [`Authorizer::may_wait`](super::Authorizer::may_wait) off, once they were fetched.
    Wait(Arc<IssuerKeys>),
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

/// Whom a granted request speaks for.
#[derive(Debug)]
pub(super) enum RequestIdentity {
    /// Nobody in particular.
    Anonymous,
    /// Whoever has an API key.
    ApiKey(IdentityHeaders),
    /// The user of a token.
    Principal(Arc<Principal>),
}

impl Grant {
    /// Where it goes.
    #[must_use]
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Path and query for the app: the path that was judged, the query without the gate's members.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// `Host` for the app: the one that was judged.
    #[must_use]
    pub const fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Who sent it.
    #[must_use]
    pub const fn client(&self) -> &ClientInfo {
        &self.client
    }

    /// Whom it speaks for, as headers.
    #[must_use]
    pub fn identity(&self) -> Option<&IdentityHeaders> {
        match &self.who {
            RequestIdentity::Anonymous => None,
            RequestIdentity::ApiKey(identity) => Some(identity),
            RequestIdentity::Principal(speaker) => Some(speaker.identity()),
        }
    }

    /// Whose token it was granted for, which a tunnel must not outlive.
    #[must_use]
    pub const fn speaker(&self) -> Option<&Arc<Principal>> {
        match &self.who {
            RequestIdentity::Principal(speaker) => Some(speaker),
            RequestIdentity::Anonymous | RequestIdentity::ApiKey(_) => None,
        }
    }

    /// The API key without which it would not have been granted: a tunnel must not outlive that either.
    #[must_use]
    pub const fn key(&self) -> Option<&Arc<ApiKey>> {
        self.key.as_ref()
    }

    /// Whether the app gets the Authorization header: it is the app's own, or the route hands on what the gate judged.
    #[must_use]
    pub fn keeps_authorization(&self) -> bool {
        self.authorization_is_apps || self.route.forwards_token()
    }

    /// Whether the client's header of this name carries an API key, and so is not for the app.
    #[must_use]
    pub fn has_key_in(&self, name: &HeaderName, headers: &HeaderMap) -> bool {
        api_key::is_carried_by(self.route.realm(), name, headers, self.key_needed)
    }

    /// `X-Auth-Assertion`, where the route wants it.
    #[must_use]
    pub const fn assertion(&self) -> Option<&HeaderValue> {
        self.assertion.as_ref()
    }

    /// The largest body in bytes that it may have, if there is a limit.
    #[must_use]
    pub fn body_size(&self) -> Option<u64> {
        self.route.body_size()
    }

    /// For the answer's headers.
    #[must_use]
    pub const fn cors(&self) -> Option<&Cors> {
        self.cors.as_ref()
    }
}

/// A request to a login path, good but for its body.
#[derive(Debug)]
pub struct AdmittedLogin {
    /// Which login.
    pub login: Arc<Login>,
    /// What is asked of it.
    pub endpoint: LoginEndpoint,
    /// Of a tenant login, the realms whose rules for API keys and origins the request keeps: to the others it may not log
    /// in, whatever it says.
    pub realms: Vec<Arc<Realm>>,
    /// The query's members that could be decoded.
    pub query: Vec<(String, String)>,
    /// The realm's master key came, where one counts.
    pub master: bool,
    /// What the request's token says, if the realm signed it, or why none counts.
    pub token: Result<Claims, DenyReason>,
    /// Every token that logout may end: those that came, and may speak. Other issuers' are among them.
    pub tokens: Vec<VerifiedToken>,
    /// Who sent it.
    pub client: ClientInfo,
    /// For the answer's headers.
    pub cors: Option<Cors>,
}

/// The answer to a CORS preflight (Fetch standard, 3.2.2).
#[derive(Debug)]
pub struct Preflight {
    /// Where the request that it asks about would go.
    pub place: RouteId,
    /// The allowed origin.
    pub cors: Cors,
    /// The method that was asked about.
    pub method: HeaderValue,
    /// The headers that were asked about.
    pub headers: Option<HeaderValue>,
}

/// A request that may not pass, and what its answer needs.
#[derive(Debug)]
pub struct Denial {
    /// Why.
    pub deny: DenyReason,
    /// Where it wanted to go, once that was known.
    pub place: RouteId,
    /// Whose path it was, once that was known.
    pub realm: Option<Arc<Realm>>,
    /// Whose token it carried, if that was good, but not enough.
    pub speaker: Option<Arc<Principal>>,
    /// The good API key that came with it.
    pub key: Option<Arc<ApiKey>>,
    /// Where an API key would have been enough, too.
    pub takes_key: bool,
    /// Where it could have come as Basic credentials, for which a 401 asks.
    pub takes_basic: bool,
    /// For the answer's headers.
    pub cors: Option<Cors>,
    /// `Set-Cookie` to go with it, from a login.
    pub set_cookie: Option<HeaderValue>,
    /// How the client expects to be told.
    pub form: ErrorFormat,
}

/// How a refusal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorFormat {
    /// Problem details (RFC 9457) with a stable reason code.
    Problem,
    /// As Amazon Cognito does: `{"__type":"…Exception","message":"…"}`.
    Cognito,
    /// As API Palace does: `{"status":"error","message":"…"}`.
    Exchange,
    /// The same, to a browser at the callback.
    Callback,
}

impl ErrorFormat {
    /// Of the answers of this login at this endpoint.
    #[must_use]
    pub const fn for_endpoint(login: &Login, endpoint: LoginEndpoint) -> Self {
        match login.dialect() {
            Dialect::Project => Self::Problem,
            Dialect::Tenant(_) => Self::Cognito,
            Dialect::Exchange(_) if matches!(endpoint, LoginEndpoint::Callback) => Self::Callback,
            Dialect::Exchange(_) => Self::Exchange,
        }
    }
}

impl Denial {
    /// For this reason, with nothing known about whose path it was.
    #[must_use]
    pub const fn new(deny: DenyReason) -> Self {
        Self {
            deny,
            place: RouteId::None,
            realm: None,
            speaker: None,
            key: None,
            takes_key: false,
            takes_basic: false,
            cors: None,
            set_cookie: None,
            form: ErrorFormat::Problem,
        }
    }

    /// One sentence for whoever wrote the client.
    #[must_use]
    pub fn detail(&self) -> Cow<'static, str> {
        match (self.deny, &self.realm) {
            (DenyReason::KeyMissing, Some(realm)) => {
                let query = realm.key_query().map(|name| format!("as the query parameter {name}"));
                let header = realm.key_header().map(|name| format!("as the header {name}"));
                let ways: Vec<_> = query.into_iter().chain(header).collect();
                if ways.is_empty() {
                    return self.deny.response().detail.into();
                }
                format!("An API key is needed: send it {}.", ways.join(", or ")).into()
            }
            (DenyReason::TokenMissing, _) if self.takes_key => {
                "An access token or an API key is needed: log in first, or send a key.".into()
            }
            (deny, _) => deny.response().detail.into(),
        }
    }

    /// The status that the client is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match (self.form, self.deny.response().status) {
            // The documentation of that one knows no others.
            (ErrorFormat::Exchange | ErrorFormat::Callback, status) if status.is_server_error() => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            (
                ErrorFormat::Exchange | ErrorFormat::Callback,
                StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ) => StatusCode::BAD_REQUEST,
            (_, status) => status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_knows_no_other_status_is_told_one_that_it_knows() {
        let status = |deny, form| Denial { form, ..Denial::new(deny) }.status().as_u16();
        for (deny, status_of, exchange) in [
            (DenyReason::Store, 503, 500),
            (DenyReason::Busy, 503, 500),
            (DenyReason::PoolTimeout, 504, 500),
            (DenyReason::Internal, 500, 500),
            (DenyReason::BodyTooLarge, 413, 400),
            (DenyReason::BodyTimeout, 408, 400),
            (DenyReason::HeadTooLarge, 431, 400),
            (DenyReason::EmailMissing, 400, 400),
            (DenyReason::TokenMissing, 401, 401),
            (DenyReason::NoLicence, 403, 403),
            (DenyReason::RateLimited(1), 429, 429),
        ] {
            for form in [ErrorFormat::Problem, ErrorFormat::Cognito] {
                assert_eq!(status(deny, form), status_of, "{deny:?} {form:?}");
            }
            for form in [ErrorFormat::Exchange, ErrorFormat::Callback] {
                assert_eq!(status(deny, form), exchange, "{deny:?} {form:?}");
            }
        }
    }
}
