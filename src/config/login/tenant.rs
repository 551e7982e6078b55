//! Tenant logins, with the API of Amazon Cognito.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::login::cognito::UserPool;
use crate::config::login::{Endpoint, EndpointTokens, LoginOperation};
use crate::config::realm::Realm;
use crate::config::sealed::Sealed;

/// Settings of a tenant login.
#[derive(Debug)]
pub struct TenantLogin {
    pub(in crate::config) logout_path: String,
    /// By `TenantName`.
    pub(in crate::config) realms: BTreeMap<String, Arc<Realm>>,
    /// Layout of the response.
    pub shape: ResponseShape,
    pub(in crate::config) client_id: Option<String>,
    pub(in crate::config) access_ttl: Duration,
    /// Time after a login in which its session can be refreshed.
    pub refresh_ttl: Duration,
    /// Grace period for the reuse of a refresh token by a client that lost the response.
    pub refresh_grace: Duration,
    /// The source of the users, if they are not in the store.
    pub user_pool: Option<Arc<UserPool>>,
    pub(in crate::config) _sealed: Sealed,
}

/// Layout of the response of a tenant login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseShape {
    /// As Cognito does: `{"cognitoToken":{"ChallengeParameters":{},"AuthenticationResult":{…}}}`
    Nested,
    /// `{"cognitoToken":{…},"user":{…}}`
    Flat,
}

impl TenantLogin {
    /// The paths match in any letter case.
    pub(in crate::config) fn endpoints(&self, path: &str) -> Vec<Endpoint> {
        let base = path.trim_end_matches('/');
        let at = |path: String, operation| Endpoint { ignores_case: true, ..Endpoint::post(path, operation) };
        let logout = at(self.logout_path.clone(), LoginOperation::Logout);
        vec![
            at(path.to_owned(), LoginOperation::Login),
            Endpoint { tokens: EndpointTokens::Expired, ..logout },
            at(format!("{base}{CHALLENGE}"), LoginOperation::Challenge),
            at(format!("{base}{REFRESH}"), LoginOperation::Refresh),
        ]
    }

    /// Returns the realm of a `TenantName`.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<&Arc<Realm>> {
        self.realms.get(name)
    }

    /// Returns the realms of all `TenantName`s, each once.
    #[must_use]
    pub fn realms(&self) -> Vec<Arc<Realm>> {
        let mut realms: Vec<_> = self.realms.values().cloned().collect();
        realms.sort_by_key(|realm| realm.index);
        realms.dedup_by_key(|realm| realm.index);
        realms
    }

    /// Returns the name of a realm in responses: its first alias in `tenants`, or its own name.
    #[must_use]
    pub fn name_of<'a>(&'a self, realm: &'a Realm) -> &'a str {
        let names = self.realms.iter().filter(|(name, of)| of.index == realm.index && **name != realm.name);
        names.map(|(name, _)| name.as_str()).min().unwrap_or_else(|| &realm.name)
    }

    /// Returns `client_id` of access tokens and `aud` of ID tokens for the users of `realm`.
    #[must_use]
    pub fn client_id<'a>(&'a self, realm: &'a Realm) -> &'a str {
        self.client_id.as_deref().unwrap_or(&realm.tokens.audience)
    }

    /// Returns the lifetime of access tokens and ID tokens, limited by `token_ttl` of the realm.
    #[must_use]
    pub fn access_ttl(&self, realm: &Realm) -> Duration {
        self.access_ttl.min(realm.token_ttl)
    }
}

/// Maximum of `access_ttl`. A token of a session expires at most this long after its last refresh, with any policy.
pub const MAX_ACCESS_TTL: Duration = Duration::from_secs(86_400);

const CHALLENGE: &str = "/Challenge";
const REFRESH: &str = "/Refresh";

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::config::SameSite;
    use crate::config::login::{Dialect, Login};

    fn login(path: &str, logout_path: &str) -> Arc<Login> {
        let tenant = TenantLogin {
            _sealed: Sealed(()),
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
        Arc::new(Login::new(0, Dialect::Tenant(Box::new(tenant)), None, path.into(), realm))
    }

    fn operation(login: &Arc<Login>, path: &str) -> Option<LoginOperation> {
        login.endpoint(path, &Method::POST).map(|found| found.endpoint().operation)
    }

    #[test]
    fn a_tenant_login_has_four_paths_in_any_case() {
        let login = login("/api/Login", "/api/Logout");
        for (path, endpoint) in [
            ("/api/Login", Some(LoginOperation::Login)),
            ("/API/login", Some(LoginOperation::Login)),
            ("/api/login/CHALLENGE", Some(LoginOperation::Challenge)),
            ("/api/Login/Refresh", Some(LoginOperation::Refresh)),
            ("/api/logout", Some(LoginOperation::Logout)),
            ("/api/Login/", None),
            ("/api/Login/Refresh/", None),
            ("/api/LoginRefresh", None),
            ("/api/Login2", None),
            ("/Login", None),
            ("/api/\u{212a}", None),
            ("/api/Log\u{131}n", None),
            ("", None),
        ] {
            assert_eq!(operation(&login, path), endpoint, "{path}");
        }
        assert!(
            login.contains_path("/api/login/x")
                && !login.contains_path("/api/loginx")
                && !login.contains_path("/api/login")
        );
    }

    #[test]
    fn a_tenant_login_at_the_root_has_four_paths() {
        let login = login("/", "/Logout");
        let found: Vec<_> = ["/", "/challenge", "/Refresh", "/logout", "/x"].map(|path| operation(&login, path)).into();
        assert_eq!(
            found,
            [
                Some(LoginOperation::Login),
                Some(LoginOperation::Challenge),
                Some(LoginOperation::Refresh),
                Some(LoginOperation::Logout),
                None
            ]
        );
    }
}
