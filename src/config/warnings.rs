//! Warnings about a key that has no effect, or rejects every request, because of other sections.

use std::sync::Arc;

use super::realm::Realm;
use crate::config::login::{Dialect, Login};
use crate::config::reader::{ErrorCollector, Section};
use crate::config::realm::declared::Realms;
use crate::config::route::{Route, RouteTable};

/// Adds the warnings of a file without errors. `routes`: the sections of the routes, in the order of `routing`.
pub(super) fn between_sections(
    report: &ErrorCollector<'_>,
    routes: &[Section<'_>],
    realms: &Realms,
    routing: &RouteTable,
) {
    for (section, route) in routes.iter().zip(&routing.routes) {
        warn_of_roles(section, route, &routing.logins);
        warn_of_mfa(section, route, &routing.logins);
    }
    for declared in &realms.declared {
        if let (Some(place), Ok(realm)) = (&declared.api_keys, &declared.realm)
            && !requires_keys(realm, &routing.routes)
        {
            let message = format!(
                "no route of realm \"{}\" requires an API key: write access = \"key\" in a [[route]], or require_key = true in the realm, or remove the keys",
                realm.name
            );
            report.warn(place.clone(), message);
        }
    }
}

/// The roles of a user come from the store, or from a claim of a trusted issuer. Without a login and without an issuer,
/// `tollgate token mint` creates the tokens of the users in the store.
fn warn_of_roles(section: &Section<'_>, route: &Route, logins: &[Arc<Login>]) {
    let realm = &route.realm;
    let issuers = &realm.tokens.trusted;
    let from_issuers = issuers.is_empty() || issuers.iter().any(|issuer| !issuer.mapping.roles.is_empty());
    if route.roles.is_empty() || from_issuers || logins.iter().any(|login| has_local_users(login, realm)) {
        return;
    }
    section.warn(
        "roles",
        format!(
            "no user of realm \"{}\" can have a role, since none of its trusted issuers has roles_claims: write roles_claims in a [[realm.trusted_issuer]], or remove roles",
            realm.name
        ),
    );
}

/// The token of a trusted issuer can name a second factor in `amr`.
fn warn_of_mfa(section: &Section<'_>, route: &Route, logins: &[Arc<Login>]) {
    let realm = &route.realm;
    if route.require_mfa && realm.tokens.trusted.is_empty() && !logins.iter().any(|login| login.asks_users_of(realm)) {
        section.warn(
            "require_mfa",
            format!(
                "no login of realm \"{}\" can ask for a code, so Tollgate rejects every user: add a [[login]] with dialect = \"tenant\", or remove require_mfa",
                realm.name
            ),
        );
    }
}

fn requires_keys(realm: &Realm, routes: &[Arc<Route>]) -> bool {
    let takes_key = |route: &Arc<Route>| route.realm.index == realm.index && route.access.takes_key();
    realm.require_key || routes.iter().any(takes_key)
}

/// Returns whether `login` is for users of the store in `realm`.
fn has_local_users(login: &Login, realm: &Realm) -> bool {
    match login.dialect {
        Dialect::Tenant(_) => login.asks_users_of(realm),
        Dialect::Project(_) | Dialect::Exchange(_) => login.realm.index == realm.index,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::fixture::{LOGIN, REALM, ROUTE, SERVER, warnings, with};

    const ISSUER: &str =
        "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"a\"]\ndiscovery = true\n";
    const KEY: &str = "[[realm.key]]\nid = \"web\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n";
    const TENANT: &str = "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"a\"\n";

    fn warned(realm: &str, login: &str, route: &str, key: &str) -> bool {
        let found = warnings(&format!("{SERVER}{REALM}{realm}{login}{}", with(ROUTE, route)));
        found.iter().any(|warning| warning.contains(key))
    }

    #[test]
    fn a_warning_about_roles_that_no_user_has() {
        let with_roles = format!("{ISSUER}roles_claims = [\"groups\"]\n");
        for (realm, login, expected) in [
            (ISSUER, "", true),
            (&*with_roles, "", false),
            (ISSUER, LOGIN, false),
            (ISSUER, TENANT, false),
            ("", LOGIN, false),
            ("", "", false),
        ] {
            let found = warned(realm, login, "roles = [\"admin\"]", ": route[0].roles: no user of realm \"a\"");
            assert_eq!(found, expected, "{realm} {login}");
            assert!(!warned(realm, login, "", "route[0].roles"));
        }
    }

    #[test]
    fn a_warning_about_a_second_factor_that_no_login_asks_for() {
        for (realm, login, expected) in
            [("", LOGIN, true), ("", "", true), ("", TENANT, false), (ISSUER, LOGIN, false), (ISSUER, "", false)]
        {
            let found = warned(realm, login, "require_mfa = true", ": route[0].require_mfa: no login of realm");
            assert_eq!(found, expected, "{realm} {login}");
            assert!(!warned(realm, login, "", "require_mfa"));
        }
    }

    #[test]
    fn a_warning_about_api_keys_that_no_route_requires() {
        for (realm, route, expected) in [
            (KEY, "", true),
            (KEY, "access = \"public\"", true),
            (KEY, "access = \"key\"", false),
            (KEY, "access = [\"user\", \"key\"]", false),
            ("", "", false),
        ] {
            let found = warned(realm, LOGIN, route, "realm.a.key: no route of realm");
            assert_eq!(found, expected, "{realm} {route}");
        }
        let required = REALM.replace("require_key = false", "require_key = true");
        assert!(warnings(&format!("{SERVER}{required}{KEY}{LOGIN}{ROUTE}")).is_empty());
    }

    #[test]
    fn a_warning_about_an_expired_api_key() {
        for (expires, expected) in [("2020-01-01T00:00:00Z", true), ("2999-01-01T00:00:00Z", false)] {
            let realm = format!("{KEY}expires = {expires}\n");
            let found = warned(&realm, LOGIN, "access = \"key\"", "realm.a.key[0].expires: is in the past");
            assert_eq!(found, expected, "{expires}");
        }
    }
}
