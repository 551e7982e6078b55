//! `[[login]]`: an API that Tollgate answers itself, as a list of endpoints.

pub(in crate::config) mod cognito;
pub(in crate::config) mod exchange;
pub(in crate::config) mod read;
pub(in crate::config) mod tenant;

use std::sync::Arc;

use http::Method;

use crate::config::host::Host;
use crate::config::login::exchange::ExchangeLogin;
use crate::config::login::tenant::TenantLogin;
use crate::config::realm::Realm;
use crate::config::sealed::Sealed;

/// A `[[login]]`: an API at a path, and the rules for requests to it.
#[derive(Debug)]
pub struct Login {
    /// Returns the position in the file, from 0.
    pub index: usize,
    /// The API and its settings.
    pub dialect: Dialect,
    /// Returns the host, or `None` for a login at every host.
    pub host: Option<Host>,
    /// The path of the first endpoint.
    pub path: String,
    /// Returns the realm of the users. Every request must satisfy the rules of this realm.
    pub realm: Arc<Realm>,
    endpoints: Vec<Endpoint>,
    /// Returns the realms that a request can name, each once.
    pub named_realms: Vec<Arc<Realm>>,
    pub(in crate::config) _sealed: Sealed,
}

/// The API of a login, with the settings that only this API has.
#[derive(Debug)]
pub enum Dialect {
    /// One URL, at which method and query select the operation (rested.dev, yawe.dev).
    Project(ProjectLogin),
    /// The API of Amazon Cognito with a tenant name (OLOID).
    Tenant(Box<TenantLogin>),
    /// An Auth0 access token for a URL that logs a browser in ("API Palace").
    Exchange(Box<ExchangeLogin>),
}

/// Settings of a project login: there are none.
#[derive(Debug)]
pub struct ProjectLogin;

/// One operation of a login API, and the rules for requests to it.
#[derive(Debug)]
pub struct Endpoint {
    /// In canonical form. Several endpoints can have one path and different methods.
    pub path: String,
    /// The allowed methods.
    pub methods: &'static [Method],
    /// If the realm has `require_key`, a request must have an API key.
    pub needs_key: bool,
    /// The master key of the realm, if it has one, replaces a token, and the rules for origins do not apply.
    pub master_key: bool,
    /// The realm's cookie is read as a token.
    pub cookie: bool,
    /// A browser opens the URL as a page: a request needs no Origin, and must not be a fetch of another page (W3C Fetch Metadata).
    pub navigation: bool,
    /// The tokens that are read.
    pub tokens: EndpointTokens,
    /// The query members that are read, apart from keys: their values must decode.
    pub query: &'static [&'static str],
    /// What the endpoint does. A dialect can find another operation in query and body.
    pub operation: LoginOperation,
    /// Another host of the endpoint, if the login names a host.
    pub(in crate::config) other_host: Option<Host>,
    pub(in crate::config) ignores_case: bool,
}

/// The tokens that an endpoint reads from a request.
#[derive(Debug)]
pub enum EndpointTokens {
    None,
    /// At most one, issued by the realm. The dialect decides whether it is required.
    Own,
    /// As [`Self::Own`], and in addition every valid token of the request: a logout ends the sessions of all.
    OwnAndAll,
    /// Each bearer token of one of the login's realms, valid or expired: a logout ends its session.
    Expired,
    /// One bearer token of this trusted issuer. It is required.
    TrustedIssuer(String),
}

/// What a request to a login does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginOperation {
    /// Reads a record.
    #[default]
    Read,
    /// Opens a session.
    Login,
    /// Opens a session with the response to a challenge.
    Challenge,
    /// Issues new tokens for a session.
    Refresh,
    /// Ends a session.
    Logout,
    /// Creates a user.
    Registration,
    /// Changes a record.
    Update,
    /// Deletes a user.
    Deletion,
    /// Exchanges a token of another issuer for a callback token.
    Exchange,
    /// Opens a session with a callback token, for a browser.
    Callback,
    /// Opens a session with a callback token, for an application.
    Redeem,
}

/// A login and one of its endpoints.
#[derive(Clone, Debug)]
pub struct LoginMatch {
    pub login: Arc<Login>,
    endpoint: usize,
    pub(in crate::config) _sealed: Sealed,
}

impl LoginMatch {
    /// Returns the login with its first endpoint, which every login has.
    pub(in crate::config) fn first(login: &Arc<Login>) -> Self {
        Self { _sealed: Sealed(()), login: login.clone(), endpoint: 0 }
    }

    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.login.endpoints[self.endpoint]
    }

    /// Returns the methods of all endpoints at the path of this one.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.login.endpoints_at(&self.endpoint().path).flat_map(|endpoint| endpoint.methods)
    }
}

impl LoginOperation {
    /// Returns the name in metrics and audit lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Login => "login",
            Self::Challenge => "challenge",
            Self::Refresh => "refresh",
            Self::Logout => "logout",
            Self::Registration => "registration",
            Self::Update => "update",
            Self::Deletion => "deletion",
            Self::Exchange => "exchange",
            Self::Callback => "callback",
            Self::Redeem => "redeem",
        }
    }

    /// Returns whether the operation does more than read.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

impl Dialect {
    /// Returns the value of the key `dialect`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Project(_) => "project",
            Self::Tenant(_) => "tenant",
            Self::Exchange(_) => "exchange",
        }
    }

    /// Returns the endpoints of a login at `path`. The first one is at this path.
    fn endpoints(&self, path: &str) -> Vec<Endpoint> {
        match self {
            Self::Project(login) => login.endpoints(path),
            Self::Tenant(login) => login.endpoints(path),
            Self::Exchange(login) => login.endpoints(path),
        }
    }
}

impl Endpoint {
    /// Makes an endpoint for a POST that has all its input in the body.
    pub(in crate::config) fn post(path: String, operation: LoginOperation) -> Self {
        Self {
            path,
            methods: POST,
            needs_key: true,
            master_key: false,
            cookie: false,
            navigation: false,
            tokens: EndpointTokens::None,
            query: &[],
            operation,
            other_host: None,
            ignores_case: false,
        }
    }

    /// Makes an endpoint for a GET by which a browser opens a page, also at `host`.
    pub(in crate::config) fn page(path: String, host: Host, operation: LoginOperation) -> Self {
        Self { methods: GET, needs_key: false, navigation: true, other_host: Some(host), ..Self::post(path, operation) }
    }

    fn has_path(&self, path: &str) -> bool {
        if self.ignores_case { self.path.eq_ignore_ascii_case(path) } else { self.path == path }
    }

    /// Returns whether the method is allowed.
    #[must_use]
    pub fn allows_method(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }
}

impl Login {
    pub(crate) fn new(index: usize, dialect: Dialect, host: Option<Host>, path: String, realm: Arc<Realm>) -> Self {
        let endpoints = dialect.endpoints(&path);
        let named_realms = match &dialect {
            Dialect::Tenant(tenant) => tenant.realms(),
            Dialect::Project(_) | Dialect::Exchange(_) => Vec::new(),
        };
        Self { _sealed: Sealed(()), index, dialect, host, path, realm, endpoints, named_realms }
    }

    /// Returns the settings of a tenant login in which a request can name `realm`.
    #[must_use]
    pub fn tenant_of(&self, realm: &Realm) -> Option<&TenantLogin> {
        let Dialect::Tenant(tenant) = &self.dialect else { return None };
        self.named_realms.iter().any(|other| other.index == realm.index).then_some(tenant)
    }

    /// Returns whether the login can ask users of `realm` for a one-time code or a new password. A user pool asks its users itself.
    #[must_use]
    pub fn asks_users_of(&self, realm: &Realm) -> bool {
        self.tenant_of(realm).is_some_and(|tenant| tenant.user_pool.is_none())
    }

    /// Returns the endpoint of `path` and `method`. If none at this path allows the method, returns the first one of the path.
    #[must_use]
    pub fn endpoint(self: &Arc<Self>, path: &str, method: &Method) -> Option<LoginMatch> {
        let mut at_path = self.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.has_path(path));
        let (first, endpoint) = at_path.next()?;
        let found = if endpoint.allows_method(method) {
            first
        } else {
            at_path.find(|(_, other)| other.allows_method(method)).map_or(first, |(index, _)| index)
        };
        Some(LoginMatch { _sealed: Sealed(()), login: self.clone(), endpoint: found })
    }

    pub(in crate::config) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Returns the endpoints of a path, for all methods.
    pub(in crate::config) fn endpoints_at(&self, path: &str) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |endpoint| endpoint.has_path(path))
    }

    /// Returns whether the path of the login is the only one.
    pub(in crate::config) fn has_one_path(&self) -> bool {
        self.endpoints.iter().all(|endpoint| endpoint.path == self.path)
    }

    /// Returns the hosts of an endpoint; `None` is every host.
    pub(in crate::config) fn hosts<'a>(&'a self, endpoint: &'a Endpoint) -> impl Iterator<Item = Option<&'a Host>> {
        let other = endpoint.other_host.as_ref().filter(|_| self.host.is_some());
        std::iter::once(self.host.as_ref()).chain(other.map(Some))
    }

    /// Returns whether the login answers requests to this host.
    pub(in crate::config) fn serves(&self, host: &Host) -> bool {
        let mut hosts = self.endpoints.iter().flat_map(|endpoint| self.hosts(endpoint));
        hosts.any(|own| own.is_none_or(|own| own == host))
    }

    /// Returns whether the path is below the path of the login.
    pub(in crate::config) fn contains_path(&self, path: &str) -> bool {
        let base = self.path.trim_end_matches('/');
        let split = path.split_at_checked(base.len());
        split.is_some_and(|(head, tail)| head.eq_ignore_ascii_case(base) && tail.starts_with('/'))
    }
}

impl ProjectLogin {
    /// All operations have one URL. The query of a POST selects login, logout or registration.
    #[allow(clippy::unused_self, reason = "as the other dialects")]
    fn endpoints(&self, path: &str) -> Vec<Endpoint> {
        let at = |methods, operation| Endpoint {
            methods,
            master_key: true,
            cookie: true,
            tokens: EndpointTokens::Own,
            query: &["login", "logout", "dataOnly", "noATCookie", "uniqueId", "strategy"],
            ..Endpoint::post(path.to_owned(), operation)
        };
        let post = Endpoint { master_key: false, tokens: EndpointTokens::OwnAndAll, ..at(POST, LoginOperation::Login) };
        vec![
            at(READ, LoginOperation::Read),
            post,
            at(PUT, LoginOperation::Update),
            at(DELETE, LoginOperation::Deletion),
        ]
    }
}

const GET: &[Method] = &[Method::GET];
const READ: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const PUT: &[Method] = &[Method::PUT];
const DELETE: &[Method] = &[Method::DELETE];
