//! `[[login]]`: a path that the gate answers itself, and the shape of the API that it answers with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::exchange::ExchangeLogin;
use super::host::Host;
use super::policy::Realm;
use super::user_pool::UserPool;

/// A login API at a path.
#[derive(Debug)]
pub struct Login {
    pub(super) index: usize,
    pub(super) dialect: Dialect,
    pub(super) host: Option<Host>,
    pub(super) path: String,
    pub(super) realm: Arc<Realm>,
}

/// The shape of a login API.
#[derive(Debug)]
pub enum Dialect {
    /// One URL, told apart by method and query (rested.dev, yawe.dev).
    Project,
    /// A tenant login in front of Amazon Cognito (OLOID).
    Tenant(Box<TenantLogin>),
    /// An Auth0 access token for a URL that logs a browser in ("API Palace").
    Exchange(Box<ExchangeLogin>),
}

/// What a tenant login answers, and for whom.
#[derive(Debug)]
pub struct TenantLogin {
    pub(super) logout_path: String,
    /// By what `TenantName` may be.
    pub(super) realms: BTreeMap<String, Arc<Realm>>,
    pub(super) shape: ResponseShape,
    pub(super) client_id: Option<String>,
    pub(super) access_ttl: Duration,
    pub(super) refresh_ttl: Duration,
    pub(super) refresh_grace: Duration,
    /// Whose users log in, if they are not our own.
    pub(super) user_pool: Option<Arc<UserPool>>,
}

/// How the answer of a tenant login is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseShape {
    /// As Cognito does: `{"cognitoToken":{"ChallengeParameters":{},"AuthenticationResult":{…}}}`
    Nested,
    /// `{"cognitoToken":{…},"user":{…}}`
    Flat,
}

/// What is asked of a login API, as far as its path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginEndpoint {
    /// Tokens for a password, and whatever else the dialect has at its one path.
    Login,
    /// Tokens, or the next question, for the answer to a challenge.
    Challenge,
    /// New tokens for a refresh token.
    Refresh,
    /// The end of a session.
    Logout,
    /// A cookie for a callback token.
    Callback,
    /// An access token for a callback token.
    Redeem,
}

impl Dialect {
    /// As the configuration names it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Tenant(_) => "tenant",
            Self::Exchange(_) => "exchange",
        }
    }
}

impl Login {
    /// Its place in the file, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its dialect.
    #[must_use]
    pub const fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// The one host at which it answers, if it does not at every one.
    #[must_use]
    pub const fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whose users log in there, and whose rules every request to it has to keep.
    #[must_use]
    pub const fn realm(&self) -> &Arc<Realm> {
        &self.realm
    }

    /// Whether it can ask users of `realm` for a one-time code or a new password. A user pool asks its users itself.
    #[must_use]
    pub fn asks_users_of(&self, realm: &Realm) -> bool {
        match &self.dialect {
            Dialect::Tenant(tenant) if tenant.user_pool.is_none() => {
                tenant.realms.values().any(|other| other.index() == realm.index())
            }
            _ => false,
        }
    }

    /// What is asked at this path: one of a tenant login matches without regard to case, any other one whole.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> Option<LoginEndpoint> {
        let tenant = match &self.dialect {
            Dialect::Project => return (path == self.path).then_some(LoginEndpoint::Login),
            Dialect::Exchange(exchange) => return self.exchange_endpoint(exchange, path),
            Dialect::Tenant(tenant) => tenant,
        };
        if path.eq_ignore_ascii_case(&tenant.logout_path) {
            return Some(LoginEndpoint::Logout);
        }
        if path.eq_ignore_ascii_case(&self.path) {
            return Some(LoginEndpoint::Login);
        }
        let tail = self.tail(path)?;
        let is = |name: &str| tail.eq_ignore_ascii_case(name);
        if is(CHALLENGE) {
            Some(LoginEndpoint::Challenge)
        } else if is(REFRESH) {
            Some(LoginEndpoint::Refresh)
        } else {
            None
        }
    }

    /// The hosts at which it answers at this endpoint; `None` stands for every one. A callback is where its URL leads, too.
    pub(super) fn hosts(&self, endpoint: LoginEndpoint) -> impl Iterator<Item = Option<&Host>> {
        let callback = match (&self.dialect, endpoint) {
            (Dialect::Exchange(exchange), LoginEndpoint::Callback) if self.host.is_some() => {
                Some(&exchange.callback_host)
            }
            _ => None,
        };
        std::iter::once(self.host.as_ref()).chain(callback.map(Some))
    }

    /// Whether it answers some request to this host.
    pub(super) fn serves(&self, host: &Host) -> bool {
        // At its callback it answers wherever it does, and perhaps elsewhere.
        self.hosts(LoginEndpoint::Callback).any(|own| own.is_none_or(|own| own == host))
    }

    fn exchange_endpoint(&self, exchange: &ExchangeLogin, path: &str) -> Option<LoginEndpoint> {
        if path == self.path {
            return Some(LoginEndpoint::Login);
        }
        if path == exchange.callback_path() {
            return Some(LoginEndpoint::Callback);
        }
        (path.strip_prefix(self.path.trim_end_matches('/')) == Some(REDEEM)).then_some(LoginEndpoint::Redeem)
    }

    /// Whether this path is below its own.
    pub(super) fn contains_path(&self, path: &str) -> bool {
        self.tail(path).is_some_and(|tail| tail.starts_with('/'))
    }

    /// What comes after its path.
    fn tail<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (head, tail) = path.split_at_checked(self.path.trim_end_matches('/').len())?;
        head.eq_ignore_ascii_case(self.path.trim_end_matches('/')).then_some(tail)
    }

    /// Every path at which it answers.
    pub(super) fn paths(&self) -> Vec<String> {
        match &self.dialect {
            Dialect::Project => vec![self.path.clone()],
            Dialect::Exchange(exchange) => {
                let redeem = format!("{}{REDEEM}", self.path.trim_end_matches('/'));
                vec![self.path.clone(), exchange.callback_path().to_owned(), redeem]
            }
            Dialect::Tenant(tenant) => {
                let base = self.path.trim_end_matches('/');
                let below = [CHALLENGE, REFRESH].map(|name| format!("{base}{name}"));
                [self.path.clone(), tenant.logout_path.clone()].into_iter().chain(below).collect()
            }
        }
    }
}

impl TenantLogin {
    /// The realm that a `TenantName` means.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<&Arc<Realm>> {
        self.realms.get(name)
    }

    /// Every realm that some `TenantName` means, each once.
    #[must_use]
    pub fn realms(&self) -> Vec<&Arc<Realm>> {
        let mut realms: Vec<_> = self.realms.values().collect();
        realms.sort_by_key(|realm| realm.index());
        realms.dedup_by_key(|realm| realm.index());
        realms
    }

    /// What a realm is called in answers: the first of its names in `tenants`, or its own.
    #[must_use]
    pub fn name_of<'a>(&'a self, realm: &'a Realm) -> &'a str {
        let names = self.realms.iter().filter(|(name, of)| of.index() == realm.index() && *name != realm.name());
        names.map(|(name, _)| name.as_str()).min().unwrap_or_else(|| realm.name())
    }

    /// The user pool that answers for it, if its users are not our own.
    #[must_use]
    pub fn user_pool(&self) -> Option<&UserPool> {
        self.user_pool.as_deref()
    }

    /// How answers are laid out.
    #[must_use]
    pub const fn shape(&self) -> ResponseShape {
        self.shape
    }

    /// `client_id` of access tokens and `aud` of ID tokens for the users of `realm`.
    #[must_use]
    pub fn client_id<'a>(&'a self, realm: &'a Realm) -> &'a str {
        self.client_id.as_deref().unwrap_or(&realm.tokens().audience)
    }

    /// How long an access token or ID token lives: no longer than any token of the realm may.
    #[must_use]
    pub fn access_ttl(&self, realm: &Realm) -> Duration {
        self.access_ttl.min(realm.token_ttl())
    }

    /// For how long a session can be refreshed.
    #[must_use]
    pub const fn refresh_ttl(&self) -> Duration {
        self.refresh_ttl
    }

    /// For how long a refresh token that was used may come again, from a client that lost the answer.
    #[must_use]
    pub const fn refresh_grace(&self) -> Duration {
        self.refresh_grace
    }
}

/// The most that `access_ttl` can be: no token of a session outlives its last refresh by more, under whichever policy.
pub const MAX_ACCESS_TTL: Duration = Duration::from_secs(86_400);

const CHALLENGE: &str = "/Challenge";
const REDEEM: &str = "/redeem";
const REFRESH: &str = "/Refresh";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SameSite;

    fn login(path: &str, logout_path: &str) -> Login {
        let tenant = TenantLogin {
            logout_path: logout_path.into(),
            realms: BTreeMap::new(),
            shape: ResponseShape::Nested,
            client_id: None,
            access_ttl: Duration::from_secs(3600),
            refresh_ttl: Duration::from_secs(3600),
            refresh_grace: Duration::ZERO,
            user_pool: None,
        };
        let realm = Arc::new(Realm::for_tests(false, SameSite::None, false));
        Login { index: 0, dialect: Dialect::Tenant(Box::new(tenant)), host: None, path: path.into(), realm }
    }

    #[test]
    fn a_tenant_login_has_four_paths_in_any_case() {
        let login = login("/api/Login", "/api/Logout");
        for (path, endpoint) in [
            ("/api/Login", Some(LoginEndpoint::Login)),
            ("/API/login", Some(LoginEndpoint::Login)),
            ("/api/login/CHALLENGE", Some(LoginEndpoint::Challenge)),
            ("/api/Login/Refresh", Some(LoginEndpoint::Refresh)),
            ("/api/logout", Some(LoginEndpoint::Logout)),
            ("/api/Login/", None),
            ("/api/Login/Refresh/", None),
            ("/api/LoginRefresh", None),
            ("/api/Login2", None),
            ("/Login", None),
            ("/api/\u{212a}", None),
            ("/api/Log\u{131}n", None),
            ("", None),
        ] {
            assert_eq!(login.endpoint(path), endpoint, "{path}");
        }
        assert!(
            login.contains_path("/api/login/x")
                && !login.contains_path("/api/loginx")
                && !login.contains_path("/api/login")
        );
        for path in login.paths() {
            assert!(login.endpoint(&path).is_some(), "{path}");
        }
    }

    #[test]
    fn one_at_the_root_has_them_too() {
        let login = login("/", "/Logout");
        let found: Vec<_> = ["/", "/challenge", "/Refresh", "/logout", "/x"].map(|path| login.endpoint(path)).into();
        assert_eq!(
            found,
            [
                Some(LoginEndpoint::Login),
                Some(LoginEndpoint::Challenge),
                Some(LoginEndpoint::Refresh),
                Some(LoginEndpoint::Logout),
                None
            ]
        );
    }
}
