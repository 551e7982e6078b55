//! What the judgement comes to.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::Deny;
use super::api_key;
use super::caller::Cors;
use super::client::Client;
use super::identity::Identity;
use super::known::Speaker;
use crate::config::{ApiKey, Dialect, Endpoint, Login, Realm, Route};
use crate::token::{Accepted, Claims, TrustedKeys};

/// To what of its policy a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// To none, or that is not known.
    #[default]
    Nowhere,
    /// The route of this index.
    Route(usize),
    /// The login of this index, or what is below it.
    Login(usize),
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It is forwarded.
    Grant(Box<Grant>),
    /// The gate answers it, from its body.
    Login(Box<Admitted>),
    /// The gate answers the browser's question.
    Preflight(Preflight),
    /// The gate answers it with the public keys of its tokens, a key set (RFC 7517, 5).
    KeySet(Bytes),
    /// It is refused.
    Refusal(Refusal),
    /// Its token may have been signed with a key that these don't know yet: it is to be judged again, with
    /// [`Gate::may_wait`](super::Gate::may_wait) off, once they were fetched.
    Wait(Arc<TrustedKeys>),
}

/// A request that may pass. Only [`Gate::decide`](super::Gate::decide) makes one.
#[derive(Debug)]
pub struct Grant {
    pub(super) route: Arc<Route>,
    pub(super) target: Vec<u8>,
    pub(super) authority: HeaderValue,
    pub(super) client: Client,
    pub(super) who: Who,
    pub(super) key: Option<Arc<ApiKey>>,
    pub(super) key_needed: bool,
    pub(super) authorization_is_apps: bool,
    pub(super) assertion: Option<HeaderValue>,
    pub(super) cors: Option<Cors>,
}

/// Whom a granted request speaks for.
#[derive(Debug)]
pub(super) enum Who {
    /// Nobody in particular.
    Anyone,
    /// Whoever has an API key.
    Keyed(Identity),
    /// The user of a token.
    User(Arc<Speaker>),
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
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Whom it speaks for, as headers.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        match &self.who {
            Who::Anyone => None,
            Who::Keyed(identity) => Some(identity),
            Who::User(speaker) => Some(speaker.identity()),
        }
    }

    /// Whose token it was granted for, which a tunnel must not outlive.
    #[must_use]
    pub const fn speaker(&self) -> Option<&Arc<Speaker>> {
        match &self.who {
            Who::User(speaker) => Some(speaker),
            Who::Anyone | Who::Keyed(_) => None,
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
pub struct Admitted {
    /// Which login.
    pub login: Arc<Login>,
    /// What is asked of it.
    pub endpoint: Endpoint,
    /// Of a tenant login, the realms whose rules for API keys and origins the request keeps: to the others it may not log
    /// in, whatever it says.
    pub realms: Vec<Arc<Realm>>,
    /// The query's members that could be decoded.
    pub query: Vec<(String, String)>,
    /// The realm's master key came, where one counts.
    pub master: bool,
    /// What the request's token says, if the realm signed it, or why none counts.
    pub token: Result<Claims, Deny>,
    /// Every token that logout may end: those that came, and may speak. Other issuers' are among them.
    pub tokens: Vec<Accepted>,
    /// Who sent it.
    pub client: Client,
    /// For the answer's headers.
    pub cors: Option<Cors>,
}

/// The answer to a CORS preflight (Fetch standard, 3.2.2).
#[derive(Debug)]
pub struct Preflight {
    /// Where the request that it asks about would go.
    pub place: Place,
    /// The allowed origin.
    pub cors: Cors,
    /// The method that was asked about.
    pub method: HeaderValue,
    /// The headers that were asked about.
    pub headers: Option<HeaderValue>,
}

/// A request that may not pass, and what its answer needs.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub deny: Deny,
    /// Where it wanted to go, once that was known.
    pub place: Place,
    /// Whose path it was, once that was known.
    pub realm: Option<Arc<Realm>>,
    /// Whose token it carried, if that was good, but not enough.
    pub speaker: Option<Arc<Speaker>>,
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
    pub form: Form,
}

/// How a refusal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Problem details (RFC 9457) with a stable reason code.
    Problem,
    /// As Amazon Cognito does: `{"__type":"…Exception","message":"…"}`.
    Cognito,
    /// As API Palace does: `{"status":"error","message":"…"}`.
    Exchange,
    /// The same, to a browser at the callback.
    Callback,
}

impl Form {
    /// Of the answers of this login at this endpoint.
    #[must_use]
    pub const fn of(login: &Login, endpoint: Endpoint) -> Self {
        match login.dialect() {
            Dialect::Project => Self::Problem,
            Dialect::Tenant(_) => Self::Cognito,
            Dialect::Exchange(_) if matches!(endpoint, Endpoint::Callback) => Self::Callback,
            Dialect::Exchange(_) => Self::Exchange,
        }
    }
}

impl Refusal {
    /// For this reason, with nothing known about whose path it was.
    #[must_use]
    pub const fn of(deny: Deny) -> Self {
        Self {
            deny,
            place: Place::Nowhere,
            realm: None,
            speaker: None,
            key: None,
            takes_key: false,
            takes_basic: false,
            cors: None,
            set_cookie: None,
            form: Form::Problem,
        }
    }

    /// One sentence for whoever wrote the client.
    #[must_use]
    pub fn detail(&self) -> Cow<'static, str> {
        match (self.deny, &self.realm) {
            (Deny::KeyMissing, Some(realm)) => {
                let query = realm.key_query().map(|name| format!("as the query parameter {name}"));
                let header = realm.key_header().map(|name| format!("as the header {name}"));
                let ways: Vec<_> = query.into_iter().chain(header).collect();
                if ways.is_empty() {
                    return self.deny.row().detail.into();
                }
                format!("An API key is needed: send it {}.", ways.join(", or ")).into()
            }
            (Deny::TokenMissing, _) if self.takes_key => {
                "An access token or an API key is needed: log in first, or send a key.".into()
            }
            (deny, _) => deny.row().detail.into(),
        }
    }

    /// The status that the client is told.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match (self.form, self.deny.row().status) {
            // The documentation of that one knows no others.
            (Form::Exchange | Form::Callback, status) if status.is_server_error() => StatusCode::INTERNAL_SERVER_ERROR,
            (
                Form::Exchange | Form::Callback,
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
        let status = |deny, form| Refusal { form, ..Refusal::of(deny) }.status().as_u16();
        for (deny, status_of, exchange) in [
            (Deny::Store, 503, 500),
            (Deny::Busy, 503, 500),
            (Deny::PoolTimeout, 504, 500),
            (Deny::Internal, 500, 500),
            (Deny::BodyTooLarge, 413, 400),
            (Deny::BodyTimeout, 408, 400),
            (Deny::HeadTooLarge, 431, 400),
            (Deny::EmailMissing, 400, 400),
            (Deny::TokenMissing, 401, 401),
            (Deny::NoLicence, 403, 403),
            (Deny::RateLimited(1), 429, 429),
        ] {
            for form in [Form::Problem, Form::Cognito] {
                assert_eq!(status(deny, form), status_of, "{deny:?} {form:?}");
            }
            for form in [Form::Exchange, Form::Callback] {
                assert_eq!(status(deny, form), exchange, "{deny:?} {form:?}");
            }
        }
    }
}
