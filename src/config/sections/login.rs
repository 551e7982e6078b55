//! `[[login]]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Realms, exchange, host, path, plain, realm_of};
use crate::config::login::{Dialect, Login, MAX_ACCESS_TTL, Shape, Tenant};
use crate::config::policy::{MAX_TTL, Realm};
use crate::config::reader::{Keys, Section};
use crate::config::spelling::quote;
use crate::config::user_pool::UserPool;

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[login]]",
    known: &[
        "dialect",
        "host",
        "path",
        "realm",
        "logout_path",
        "tenants",
        "shape",
        "client_id",
        "access_ttl",
        "refresh_ttl",
        "refresh_grace",
        "backend",
        "cognito",
        "issuer",
        "allowed_clients",
        "required_permission",
        "required_attributes",
        "email_claim",
        "require_verified_email",
        "callback_url",
        "callback_path",
        "after_login",
        "redirect_urls",
        "answer",
    ],
    later: &[],
    parent: None,
};

/// Whether one of these hands out ID tokens of ours, to users of whichever realm.
pub(in crate::config) fn have_id_tokens(sections: &[Section<'_>]) -> bool {
    sections.iter().any(|section| section.optional("dialect", Ok) == Some("tenant") && !is_over_pool(section))
}

/// Whether users of the store log in to the realm `name` through one of these. A tenant login is for every realm.
pub(in crate::config) fn have_local_users(sections: &[Section<'_>], name: &str) -> bool {
    sections.iter().any(|section| {
        let is_tenant = section.optional("dialect", Ok) == Some("tenant");
        !is_over_pool(section) && (is_tenant || section.optional("realm", Ok) == Some(name))
    })
}

/// Whether its users are those of a user pool.
pub(in crate::config) fn is_over_pool(section: &Section<'_>) -> bool {
    section.optional("dialect", Ok) == Some("tenant") && section.optional("backend", Ok) == Some("cognito")
}

/// What is in it, but for its user pool, which was read before.
pub(in crate::config) fn read(
    section: &Section<'_>,
    index: usize,
    user_pool: Option<&Arc<UserPool>>,
    realms: &Realms,
) -> Option<Arc<Login>> {
    if !section.has("dialect") {
        section.missing("dialect", "is missing: write dialect = \"project\", \"tenant\" or \"exchange\"");
    }
    let kind = section.choice("dialect", &KINDS, &[]);
    let host = section.optional("host", host);
    let path = section.required("path", "\"/api/1/ce/examples/auth\"", path);
    let realm = realm_of(section, realms);
    for (other, dialect, keys) in
        [(Kind::Tenant, "tenant", &TENANT_KEYS[..]), (Kind::Exchange, "exchange", &exchange::KEYS)]
    {
        for key in keys.iter().filter(|key| kind.is_some_and(|kind| kind != other) && section.has(key)) {
            section.error(key, format!("is a key of dialect = \"{dialect}\": remove it"));
        }
    }
    let dialect = match kind? {
        Kind::Project => Some(Dialect::Project),
        Kind::Tenant => {
            let own = realm.and_then(|declared| declared.realm.as_ref());
            tenant(section, user_pool, path.as_deref(), own, realms).map(|tenant| Dialect::Tenant(Box::new(tenant)))
        }
        Kind::Exchange => {
            let realm = realm.and_then(|declared| declared.realm.as_deref());
            exchange::read(section, realm).map(|exchange| Dialect::Exchange(Box::new(exchange)))
        }
    };
    Some(Arc::new(Login { index, dialect: dialect?, host, path: path?, realm: realm?.realm.clone()? }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Project,
    Tenant,
    Exchange,
}

fn tenant(
    section: &Section<'_>,
    user_pool: Option<&Arc<UserPool>>,
    path: Option<&str>,
    own: Option<&Arc<Realm>>,
    realms: &Realms,
) -> Option<Tenant> {
    let local = section.choice("backend", &[("local", true), ("cognito", false)], &[]);
    let over_pool = is_over_pool(section);
    if over_pool {
        for key in ["access_ttl", "refresh_grace"].into_iter().filter(|key| section.has(key)) {
            section.error(key, "is for backend = \"local\": remove it, the app client of the user pool says so");
        }
    } else if section.has("cognito") && (local == Some(true) || !section.has("backend")) {
        section.error("cognito", "is for backend = \"cognito\": write that, or remove the section");
    }
    let logout_path = section.optional("logout_path", super::path);
    let shape = section.choice("shape", &[("nested", Shape::Nested), ("flat", Shape::Flat)], &[]);
    let client_id = match user_pool {
        Some(pool) => Some(pool.client_id().to_owned()),
        // Of a pool that could not be read, everything was told.
        None if over_pool => None,
        None => section.optional("client_id", plain),
    };
    let access_ttl = section.duration("access_ttl", MIN_ACCESS..=MAX_ACCESS_TTL, DEFAULT_ACCESS);
    let refresh_ttl = section.duration("refresh_ttl", MIN_REFRESH..=MAX_TTL, DEFAULT_REFRESH);
    let refresh_grace = section.duration("refresh_grace", Duration::ZERO..=MAX_GRACE, DEFAULT_GRACE);
    for (key, duration) in [("access_ttl", access_ttl), ("refresh_ttl", refresh_ttl)] {
        if duration.subsec_nanos() != 0 {
            section.error(key, "tokens count in whole seconds: write it with s, m, h or d");
        }
    }
    let mut by_name = by_tenant_name(section, realms);
    if over_pool {
        let own = own?;
        let is_own = |realm: &Realm| realm.number() == own.number();
        for (alias, _) in by_name.iter().filter(|(name, realm)| !is_own(realm) && *name != realm.name()) {
            section.error(
                "tenants",
                format!("{} is of another realm than the login, and its users are not in the user pool", quote(alias)),
            );
        }
        by_name.retain(|_, realm| is_own(realm));
    }
    let path = path?;
    // Beside the login, since clients know it as /Logout beside /Login.
    let logout_path =
        logout_path.unwrap_or_else(|| format!("{}/Logout", path.rsplit_once('/').map_or("", |(dir, _)| dir)));
    Some(Tenant {
        logout_path,
        realms: by_name,
        shape: shape.unwrap_or(Shape::Nested),
        client_id,
        access_ttl,
        refresh_ttl,
        refresh_grace,
        user_pool: user_pool.cloned(),
    })
}

/// Every realm by its name, and by the names that `tenants` gives it.
fn by_tenant_name(section: &Section<'_>, realms: &Realms) -> BTreeMap<String, Arc<Realm>> {
    let declared = realms.declared.iter();
    let mut by_name: BTreeMap<_, _> =
        declared.filter_map(|declared| Some((declared.name.clone(), declared.realm.clone()?))).collect();
    for (alias, name) in section.values("tenants", "a table, as { \"Acme\" = \"acme\" }") {
        let Some(name) = name.as_str() else {
            section.error("tenants", format!("{} must be the name of a realm, in double quotes", quote(&alias)));
            continue;
        };
        let Some(declared) = realms.declared.iter().find(|declared| declared.name == name) else {
            if !realms.misnamed {
                section.error("tenants", format!("there is no realm {}: write [[realm]] with that name", quote(name)));
            }
            continue;
        };
        if alias != name && realms.declared.iter().any(|other| other.name == alias) {
            section.error("tenants", format!("{} is the name of a realm itself: remove it", quote(&alias)));
            continue;
        }
        if let Some(realm) = &declared.realm {
            by_name.insert(alias, realm.clone());
        }
    }
    by_name
}

const KINDS: [(&str, Kind); 3] = [("project", Kind::Project), ("tenant", Kind::Tenant), ("exchange", Kind::Exchange)];
const TENANT_KEYS: [&str; 9] = [
    "logout_path",
    "tenants",
    "shape",
    "client_id",
    "access_ttl",
    "refresh_ttl",
    "refresh_grace",
    "backend",
    "cognito",
];
/// Cognito's bounds and defaults, but for the lower ones, which only tests need.
const MIN_ACCESS: Duration = Duration::from_secs(1);
const DEFAULT_ACCESS: Duration = Duration::from_secs(3600);
const MIN_REFRESH: Duration = Duration::from_secs(1);
const DEFAULT_REFRESH: Duration = Duration::from_secs(30 * 86_400);
const MAX_GRACE: Duration = Duration::from_secs(60);
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check, with};

    const TENANT: &str = "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"a\"\n";

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"dialect = "oauth""#, r#"must be "project" or "tenant" or "exchange" (found "oauth")"#),
            (r#"path = "login""#, "does not start with a slash"),
            (r#"realm = "examples""#, r#"there is no realm "examples": write [[realm]] with that name"#),
            ("tenants = {}", "login[0].tenants: is a key of dialect = \"tenant\": remove it"),
            ("backend = \"local\"", "login[0].backend: is a key of dialect = \"tenant\": remove it"),
            ("after_login = \"/\"", "login[0].after_login: is a key of dialect = \"exchange\": remove it"),
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
            (r#"access_ttl = "1500ms""#, "whole seconds"),
            (r#"refresh_grace = "2m""#, r#"from "0s" to "1m""#),
            (r#"refresh_ttl = "0s""#, "login[0].refresh_ttl"),
            (r#"tenants = "acme""#, "a table"),
            (r#"tenants = { Acme = "acme" }"#, r#"there is no realm "acme""#),
            (r#"tenants = { Acme = 1 }"#, r#""Acme" must be the name of a realm"#),
            (r#"logout_path = "Logout""#, "does not start with a slash"),
            (r#"logout_path = "/login""#, "login[0].logout_path: "),
            (r#"logout_path = "/login/REFRESH""#, "login[0].logout_path: "),
            (r#"client_id = """#, "is empty"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(TENANT, keys)), expected);
        }
        let two = format!("{SERVER}{REALM}{}", with(REALM, "name = \"b\""));
        assert_error(&format!("{two}{}", with(TENANT, r#"tenants = { b = "a" }"#)), "is the name of a realm itself");
    }

    #[test]
    fn a_tenant_is_a_realm_by_its_name_or_another() {
        let realms = format!("{SERVER}{REALM}{}", with(REALM, "name = \"b\"\nalgorithm = \"ES256\""));
        let config = check(&format!("{realms}{}", with(TENANT, r#"tenants = { "Acme Inc" = "b", b = "b" }"#))).unwrap();
        let login = &config.policy.routing().logins()[0];
        let Dialect::Tenant(tenant) = login.dialect() else { panic!("{login:?}") };
        let of = |name: &str| tenant.realm(name).map(|realm| realm.name());
        assert_eq!(
            [of("a"), of("b"), of("Acme Inc"), of("acme inc"), of("")],
            [Some("a"), Some("b"), Some("b"), None, None]
        );
        assert_eq!(tenant.realms().len(), 2);
        let realm = config.policy.realm("b").unwrap();
        assert_eq!((tenant.client_id(realm), tenant.access_ttl(realm)), ("b", Duration::from_secs(3600)));
        assert_eq!((tenant.shape(), tenant.refresh_grace()), (Shape::Nested, Duration::from_secs(10)));
        assert_eq!(login.paths(), ["/Login", "/Logout", "/Login/Challenge", "/Login/Refresh"]);
        let has_id_keys = |name: &str| config.policy.realm(name).unwrap().tokens().id_keys.is_some();
        assert!(has_id_keys("b") && !has_id_keys("a"), "a secret that is shared is no key to tell tokens apart");
        let config =
            check(&format!("{}{LOGIN}", with(REALM, "algorithm = \"ES256\"")).replacen("", SERVER, 1)).unwrap();
        assert!(config.policy.realm("a").unwrap().tokens().id_keys.is_none(), "nobody hands out ID tokens");
    }

    #[test]
    fn no_two_logins_answer_at_one_path() {
        for other in [
            "dialect = \"project\"\npath = \"/login\"",
            "dialect = \"project\"\npath = \"/LOGOUT\"",
            "dialect = \"tenant\"\npath = \"/login/refresh\"\nlogout_path = \"/x\"",
            "dialect = \"tenant\"\npath = \"/x\"",
        ] {
            let other = format!("[[login]]\nrealm = \"a\"\n{other}\n");
            assert_error(&format!("{SERVER}{REALM}{TENANT}{other}"), "login[1].path: is the path of login[0]");
            assert_error(&format!("{SERVER}{REALM}{other}{TENANT}"), "login[1].path: is the path of login[0]");
        }
        check(&format!(
            "{SERVER}{REALM}{TENANT}[[login]]\nrealm = \"a\"\ndialect = \"project\"\npath = \"/Login/x\"\n"
        ))
        .unwrap();
    }
}
