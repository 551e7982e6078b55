//! `[[login]]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::config::host::Host;
use crate::config::login::cognito::UserPool;
use crate::config::login::cognito::read::{CognitoKeys, UserPools};
use crate::config::login::exchange::read as exchange;
use crate::config::login::exchange::read::ExchangeKeys;
use crate::config::login::tenant::{MAX_ACCESS_TTL, ResponseShape, TenantLogin};
use crate::config::login::{Dialect, Login, ProjectLogin};
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::realm::declared::{Realms, realm_of};
use crate::config::realm::read::OfLogins;
use crate::config::realm::{MAX_TTL, Realm};
use crate::config::schema::kind::{Raw, choice, duration, map, raw, required, subsection, text, word};
use crate::config::schema::{Setting, keys, section};
use crate::config::sealed::Sealed;
use crate::config::values::{host, path, plain};

section! {
    /// A login API at a path, which Tollgate answers itself.
    LoginKeys = "[[login]]", Reloadable, with [TenantKeys, ExchangeKeys];

    /// API of the login. `"project"`: register, log in, log out, read, update and delete a user at one URL. `"tenant"`: log in
    /// with `UserName`, `TenantName` and `Password`, with challenges and refresh tokens, compatible with Amazon Cognito.
    /// `"exchange"`: exchange an access token of a trusted issuer for a URL that logs a browser in.
    dialect: Result<Kind, Reported> = required(word(&KINDS));

    /// Host of the login. At the callback of an exchange login, the host of `callback_url` also matches. A login with `host`
    /// applies before one without.
    host: Option<Host> = text(host, "\"login.example.com\""), default "every host";

    /// Path of the login. It matches as a whole; with `"tenant"` in any letter case. A route must not have the same path at the
    /// same host.
    path: Result<String, Reported> = required(text(path, "\"/api/1/ce/examples/auth\""));

    /// Realm of the users. With `"tenant"`, `TenantName` can name another realm, if the request satisfies the API key and origin
    /// settings of that realm, too.
    realm: Raw = required(raw("\"examples\", the name of a [[realm]]"));
}

keys! {
    /// A login with the API of Amazon Cognito.
    TenantKeys, Reloadable, when dialect = "tenant";

    /// Path at which a session ends.
    logout_path: Option<String> = text(path, "\"/Logout\""), default "`Logout` beside `path`";

    /// Aliases of realms for `TenantName`. The name of a realm is always valid.
    tenants: Vec<(String, Value)> = map("a table, as { \"Acme\" = \"acme\" }", "{ \"Acme Inc.\" = \"acme\" }"), default "{}";

    /// Layout of the response. `"nested"`: `{"cognitoToken": {"ChallengeParameters": {}, "AuthenticationResult": {…}}}`.
    /// `"flat"`: `{"cognitoToken": {…}, "user": {"OloID": …, "TenantID": …, "TenantName": …}}`.
    shape: ResponseShape = choice(&SHAPES, ResponseShape::Nested);

    /// `client_id` of access tokens and `aud` of ID tokens. With `backend = "cognito"`: the id of the app client, which is
    /// required.
    client_id: Option<String> = text(plain, "\"1example23456789\""), default "`audience` of the realm";

    /// Lifetime of access tokens and ID tokens, limited by `token_ttl` of the realm.
    access_ttl: Duration = duration(MIN_ACCESS..=MAX_ACCESS_TTL, DEFAULT_ACCESS);

    /// Time after a login in which its session can be refreshed. With `backend = "cognito"`: how long Tollgate remembers a
    /// logout.
    refresh_ttl: Duration = duration(MIN_REFRESH..=MAX_TTL, DEFAULT_REFRESH);

    /// Grace period for the reuse of a refresh token by a client that lost the response: it gets the same new token. A later
    /// reuse ends the session.
    refresh_grace: Duration = duration(Duration::ZERO..=MAX_GRACE, DEFAULT_GRACE);

    /// Source of the users. `"local"`: the users of the realm. `"cognito"`: the users of a user pool, which also issues the
    /// tokens.
    backend: Backend = choice(&BACKENDS, Backend::Local);

    /// The user pool, with `backend = "cognito"`.
    cognito: Option<Section<'s>> = subsection(&CognitoKeys::SECTION), default "no user pool";
}

/// Returns what the logins require of a realm. Without its name: what they require of every realm.
pub(in crate::config) fn of_realm<'p>(
    sections: &[Section<'_>],
    pools: &'p UserPools,
    name: Option<&str>,
) -> OfLogins<'p> {
    let mut local = sections.iter().filter(|section| !is_over_pool(section));
    OfLogins {
        // Users of any realm log in through a tenant login.
        id_tokens: local.clone().any(is_tenant),
        local_users: name
            .is_some_and(|name| local.any(|section| is_tenant(section) || section.text("realm") == Some(name))),
        pools: name.into_iter().flat_map(|name| pools.of_realm(name)).collect(),
    }
}

/// Returns whether the users of a login are those of a user pool.
pub(in crate::config) fn is_over_pool(section: &Section<'_>) -> bool {
    is_tenant(section) && section.text("backend") == Some("cognito")
}

fn is_tenant(section: &Section<'_>) -> bool {
    section.text("dialect") == Some("tenant")
}

/// Reads the login at position `index` of the file, with its user pool.
pub(in crate::config) fn read(
    section: &Section<'_>,
    index: usize,
    user_pool: Option<&Arc<UserPool>>,
    realms: &Realms,
) -> Result<Arc<Login>, Reported> {
    let keys = LoginKeys::read(section);
    let realm = realm_of(&keys.realm, realms);
    let checked = realm.and_then(|declared| declared.realm.clone());
    let path = keys.path.value;
    let kind = keys.dialect.value;
    let tenant_keys = TenantKeys::read(section);
    let exchange_keys = ExchangeKeys::read(section);
    let dialect = match kind? {
        Kind::Project => Ok(Dialect::Project(ProjectLogin)),
        Kind::Tenant => {
            let path = path.as_deref().map_err(|reported| *reported);
            let own = checked.as_ref().map_err(|reported| *reported);
            tenant(section, tenant_keys, user_pool, path, own, realms).map(|tenant| Dialect::Tenant(Box::new(tenant)))
        }
        Kind::Exchange => {
            exchange::read(section, exchange_keys, checked.as_deref().map_err(|reported| *reported), &keys.realm)
                .map(|exchange| Dialect::Exchange(Box::new(exchange)))
        }
    };
    Ok(Arc::new(Login::new(index, dialect?, keys.host.value, path?, checked?)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Kind {
    Project,
    Tenant,
    Exchange,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Backend {
    Local,
    Cognito,
}

fn tenant(
    section: &Section<'_>,
    keys: TenantKeys<'_>,
    user_pool: Option<&Arc<UserPool>>,
    path: Result<&str, Reported>,
    own: Result<&Arc<Realm>, Reported>,
    realms: &Realms,
) -> Result<TenantLogin, Reported> {
    let over_pool = is_over_pool(section);
    if over_pool {
        for setting in [&keys.access_ttl, &keys.refresh_grace].into_iter().filter(|setting| setting.is_written()) {
            setting.error("applies only to backend = \"local\": remove it and set the lifetime in the app client");
        }
    } else if keys.cognito.is_written() && !keys.backend.is_refused() {
        keys.cognito.error("applies only to backend = \"cognito\": write that, or remove the section");
    }
    let client_id = match user_pool {
        Some(pool) => Some(pool.client_id.to_owned()),
        None => keys.client_id.value,
    };
    for setting in [&keys.access_ttl, &keys.refresh_ttl] {
        if setting.subsec_nanos() != 0 {
            setting.error("must be a whole number of seconds, as times in tokens are: write it with s, m, h or d");
        }
    }
    let mut by_name = by_tenant_name(&keys.tenants, realms);
    if over_pool {
        let own = own?;
        let is_own = |realm: &Realm| realm.index == own.index;
        for (alias, _) in by_name.iter().filter(|(name, realm)| !is_own(realm) && **name != realm.name) {
            keys.tenants.error(format!(
                "{} names another realm, but a Cognito login serves only its own realm: remove it",
                quote(alias)
            ));
        }
        by_name.retain(|_, realm| is_own(realm));
    }
    let path = path?;
    // Clients expect /Logout beside /Login.
    let default_path = || format!("{}/Logout", path.rsplit_once('/').map_or("", |(dir, _)| dir));
    Ok(TenantLogin {
        _sealed: Sealed(()),
        logout_path: keys.logout_path.value.unwrap_or_else(default_path),
        realms: by_name,
        shape: keys.shape.value,
        client_id,
        access_ttl: keys.access_ttl.value,
        refresh_ttl: keys.refresh_ttl.value,
        refresh_grace: keys.refresh_grace.value,
        user_pool: user_pool.cloned(),
    })
}

/// Returns every realm by its name and by its aliases in `tenants`.
fn by_tenant_name(tenants: &Setting<'_, Vec<(String, Value)>>, realms: &Realms) -> BTreeMap<String, Arc<Realm>> {
    let declared = realms.declared.iter();
    let mut by_name: BTreeMap<_, _> =
        declared.filter_map(|declared| Some((declared.name.clone(), declared.realm.clone().ok()?))).collect();
    for (alias, name) in &tenants.value {
        let Some(name) = name.as_str() else {
            tenants.error(format!("{} must be the name of a realm, in double quotes", quote(alias)));
            continue;
        };
        let Some(declared) = realms.declared.iter().find(|declared| declared.name == name) else {
            if realms.misnamed.is_none() {
                tenants.error(format!("there is no realm {}: write [[realm]] with that name", quote(name)));
            }
            continue;
        };
        if alias != name && realms.declared.iter().any(|other| other.name == *alias) {
            tenants.error(format!("{} is the name of a realm: remove it", quote(alias)));
            continue;
        }
        if let Ok(realm) = &declared.realm {
            by_name.insert(alias.clone(), realm.clone());
        }
    }
    by_name
}

const KINDS: [(&str, Kind); 3] = [("project", Kind::Project), ("tenant", Kind::Tenant), ("exchange", Kind::Exchange)];
const BACKENDS: [(&str, Backend); 2] = [("local", Backend::Local), ("cognito", Backend::Cognito)];
const SHAPES: [(&str, ResponseShape); 2] = [("nested", ResponseShape::Nested), ("flat", ResponseShape::Flat)];
/// The limits and defaults of Amazon Cognito, except the minimums, which are for tests.
const MIN_ACCESS: Duration = Duration::from_secs(1);
const DEFAULT_ACCESS: Duration = Duration::from_secs(3600);
const MIN_REFRESH: Duration = Duration::from_secs(1);
const DEFAULT_REFRESH: Duration = Duration::from_secs(30 * 86_400);
const MAX_GRACE: Duration = Duration::from_secs(60);
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::{LOGIN, REALM, SERVER, assert_error, check, with};

    const TENANT: &str = "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"a\"\n";

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"dialect = "oauth""#, r#"must be "project" or "tenant" or "exchange" (found "oauth")"#),
            (r#"path = "login""#, "does not start with a slash"),
            (r#"realm = "examples""#, r#"there is no realm "examples": write [[realm]] with that name"#),
            ("tenants = {}", "login[0].tenants: applies only to dialect = \"tenant\": remove it"),
            ("backend = \"local\"", "login[0].backend: applies only to dialect = \"tenant\": remove it"),
            ("after_login = \"/\"", "login[0].after_login: applies only to dialect = \"exchange\": remove it"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(LOGIN, keys)), expected);
        }
        let no_dialect = LOGIN.replace("dialect = \"project\"\n", "");
        assert_error(
            &format!("{SERVER}{REALM}{no_dialect}"),
            "write dialect = \"project\", \"tenant\" or \"exchange\"",
        );
    }

    #[test]
    fn bad_values_of_a_tenant_login() {
        for (keys, expected) in [
            (r#"shape = "round""#, r#"must be "nested" or "flat""#),
            (r#"access_ttl = "25h""#, r#"from "1s" to "1d""#),
            (r#"access_ttl = "1500ms""#, "whole number of seconds"),
            (r#"refresh_grace = "2m""#, r#"from "0s" to "1m""#),
            (r#"refresh_ttl = "0s""#, "login[0].refresh_ttl"),
            (r#"tenants = "acme""#, "a table"),
            (r#"tenants = { Acme = "acme" }"#, r#"there is no realm "acme""#),
            (r#"tenants = { Acme = 1 }"#, r#""Acme" must be the name of a realm"#),
            (r#"logout_path = "Logout""#, "does not start with a slash"),
            (r#"logout_path = "/login""#, "login[0].logout_path: "),
            (r#"logout_path = "/login/REFRESH""#, "login[0].logout_path: "),
            (r#"client_id = """#, "must not be empty"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(TENANT, keys)), expected);
        }
        let two = format!("{SERVER}{REALM}{}", with(REALM, "name = \"b\""));
        assert_error(
            &format!("{two}{}", with(TENANT, r#"tenants = { b = "a" }"#)),
            "is the name of a realm: remove it",
        );
    }

    #[test]
    fn a_tenant_is_a_realm_by_its_name_or_an_alias() {
        let realms = format!("{SERVER}{REALM}{}", with(REALM, "name = \"b\"\nalgorithm = \"ES256\""));
        let config = check(&format!("{realms}{}", with(TENANT, r#"tenants = { "Acme Inc" = "b", b = "b" }"#))).unwrap();
        let login = &config.policy.routing.logins[0];
        let Dialect::Tenant(tenant) = &login.dialect else { panic!("{login:?}") };
        let of = |name: &str| tenant.realm(name).map(|realm| realm.name.as_str());
        assert_eq!(
            [of("a"), of("b"), of("Acme Inc"), of("acme inc"), of("")],
            [Some("a"), Some("b"), Some("b"), None, None]
        );
        assert_eq!(tenant.realms().len(), 2);
        let realm = config.policy.realm("b").unwrap();
        assert_eq!((tenant.client_id(realm), tenant.access_ttl(realm)), ("b", Duration::from_secs(3600)));
        assert_eq!((tenant.shape, tenant.refresh_grace), (ResponseShape::Nested, Duration::from_secs(10)));
        let paths: Vec<_> = login.endpoints().iter().map(|endpoint| endpoint.path.as_str()).collect();
        assert_eq!(paths, ["/Login", "/Logout", "/Login/Challenge", "/Login/Refresh"]);
        let has_id_keys = |name: &str| config.policy.realm(name).unwrap().tokens.id_keys.is_some();
        assert!(has_id_keys("b") && !has_id_keys("a"), "a secret that is shared is no key to tell tokens apart");
        let config =
            check(&format!("{}{LOGIN}", with(REALM, "algorithm = \"ES256\"")).replacen("", SERVER, 1)).unwrap();
        assert!(config.policy.realm("a").unwrap().tokens.id_keys.is_none(), "nobody hands out ID tokens");
    }

    #[test]
    fn two_logins_can_not_have_the_same_path() {
        for other in [
            "dialect = \"project\"\npath = \"/login\"",
            "dialect = \"project\"\npath = \"/LOGOUT\"",
            "dialect = \"tenant\"\npath = \"/login/refresh\"\nlogout_path = \"/x\"",
            "dialect = \"tenant\"\npath = \"/x\"",
        ] {
            let other = format!("[[login]]\nrealm = \"a\"\n{other}\n");
            assert_error(&format!("{SERVER}{REALM}{TENANT}{other}"), "login[1].path: duplicates the path of login[0]");
            assert_error(&format!("{SERVER}{REALM}{other}{TENANT}"), "login[1].path: duplicates the path of login[0]");
        }
        check(&format!(
            "{SERVER}{REALM}{TENANT}[[login]]\nrealm = \"a\"\ndialect = \"project\"\npath = \"/Login/x\"\n"
        ))
        .unwrap();
    }
}
