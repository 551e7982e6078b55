//! `[[route]]`.

use std::sync::Arc;

use http::Method;

use super::limits::MAX_BODY;
use super::{Declared, Realms, host, path, plain, realm_of, upstream};
use crate::config::limits::{Limits, some};
use crate::config::outside::Outside;
use crate::config::policy::Realm;
use crate::config::reader::{Keys, Section};
use crate::config::route::{Access, CorsBy, EncodedSlash, PathRules, Route};
use crate::config::server::Server;
use crate::config::spelling::quote;

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[route]]",
    known: &[
        "host",
        "path",
        "methods",
        "realm",
        "access",
        "roles",
        "require_mfa",
        "upstream",
        "upstream_name",
        "upstream_ca",
        "balance",
        "resolve",
        "retries",
        "eject_after",
        "eject_for",
        "health_check",
        "forward_token",
        "assertion",
        "path_rules",
        "encoded_slash",
        "cors",
        "body_size",
        "connect_timeout",
        "read_timeout",
        "write_timeout",
        "idle_timeout",
        "tunnel_timeout",
    ],
    later: &[],
    parent: None,
};

/// What is in the `index`th of them.
pub(in crate::config) fn read(
    section: &Section<'_>,
    index: usize,
    realms: &Realms,
    (server, limits): (Option<&Server>, &Limits),
    outside: &Outside,
) -> Option<Arc<Route>> {
    let host = section.optional("host", host);
    let path = section.required("path", "\"/api\"", path);
    let methods = section.has("methods").then(|| section.list("methods", method));
    if section.is_empty_list("methods") {
        section.error("methods", "is empty: list the methods, or remove it to take every one");
    }
    let realm = realm_of(section, realms);
    if !section.has("access") {
        section.missing("access", "is missing: write access = \"user\", \"key\" or \"public\"");
    }
    let access = section.choice("access", &ACCESS, &[]);
    // A route that lets nobody pass is a mistake, not a wish.
    if let Some(Declared { name, has_keys: false, .. }) = realm.filter(|_| access == Some(Access::Key)) {
        section.missing_value(
            "access",
            format!("nobody has a key: write a [[realm.key]] for \"{name}\" (tollgate key new)"),
        );
    }
    let roles = section.list("roles", role);
    if access.is_some_and(|access| access != Access::User) && !roles.is_empty() {
        section.error("roles", "only a user has roles: write access = \"user\", or remove roles");
    }
    let require_mfa = section.flag("require_mfa", false);
    if access.is_some_and(|access| access != Access::User) && require_mfa {
        section.error("require_mfa", "only a user has a second factor: write access = \"user\", or remove require_mfa");
    }
    let upstream = upstream::read(section, server, outside);
    let forward_token = section.flag("forward_token", false);
    let assertion = section.optional("assertion", plain).map(Arc::from);
    if let (Some(audience), Some(Some(realm))) = (&assertion, realm.map(|declared| &declared.realm)) {
        let rules = realm.tokens();
        if rules.audience == **audience {
            section.error("assertion", "is the audience of the realm's access tokens: an app must be able to tell the one from the other, so name the app");
        }
        if rules.is_symmetric() {
            section.error("assertion", format!("realm \"{}\" signs with HS256, which no app can check without being able to sign: write algorithm = \"ES256\" in the realm", realm.name()));
        }
    }
    let cors = cors(section, access, realm.and_then(|declared| declared.realm.as_deref()));
    let path_rules = section.choice("path_rules", &PATH_RULES, &[]).unwrap_or(PathRules::Auto);
    if path_rules == PathRules::Opaque && path.as_ref().is_some_and(|path| path.contains(';')) {
        section.error("path_rules", "some apps cut off what follows a ';', so that another route may be meant: write path_rules = \"strict\", or a path without it");
    }
    let slashes = [("reject", EncodedSlash::Reject), ("pass", EncodedSlash::Pass)];
    let encoded_slash = section.choice("encoded_slash", &slashes, &[]).unwrap_or(EncodedSlash::Reject);
    let body_size = section.size("body_size", MAX_BODY, limits.body_size().unwrap_or_default());
    Some(Arc::new(Route {
        index,
        host,
        path: path?,
        methods,
        realm: realm?.realm.clone()?,
        access: access?,
        roles,
        require_mfa,
        upstream,
        forward_token,
        assertion,
        path_rules,
        encoded_slash,
        cors,
        body_size: some(body_size),
    }))
}

/// Who answers preflights, and tells browsers which pages may read an answer.
fn cors(section: &Section<'_>, access: Option<Access>, realm: Option<&Realm>) -> CorsBy {
    let written = section.choice("cors", &[("gate", CorsBy::Gate), ("app", CorsBy::App)], &[]);
    let is_public = access == Some(Access::Public);
    if written == Some(CorsBy::App) && access.is_some() && !is_public {
        section.error(
            "cors",
            "a preflight carries no token, so that none would reach the app: write access = \"public\", or remove cors",
        );
    }
    written.unwrap_or_else(|| {
        // Where the realm says who may call, or a preflight would need a key that it can't carry, the gate answers.
        let says_nothing = |realm: &Realm| {
            realm.origins().is_open() && !realm.origins().any_with_credentials() && !realm.requires_key()
        };
        if is_public && realm.is_some_and(says_nothing) { CorsBy::App } else { CorsBy::Gate }
    })
}

fn method(text: &str) -> Result<Method, String> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ];
    // A method's case counts (RFC 9110, 9.1): "get" would never match.
    if let Some(meant) = known.iter().find(|known| known.as_str().eq_ignore_ascii_case(text) && *known != text) {
        return Err(format!("{} is not in capitals: write \"{meant}\"", quote(text)));
    }
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => Err("CONNECT is never forwarded: remove it".into()),
        Ok(method) => Ok(method),
        Err(_) => Err(format!("{} is no method: write it as \"GET\"", quote(text))),
    }
}

/// Roles are sent to the app in one header, with commas between.
fn role(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        return Ok(text.into());
    }
    Err(format!("{} is no role: write ASCII characters without spaces and commas", quote(text)))
}

const PATH_RULES: [(&str, PathRules); 3] =
    [("auto", PathRules::Auto), ("strict", PathRules::Strict), ("opaque", PathRules::Opaque)];
const ACCESS: [(&str, Access); 3] = [("user", Access::User), ("key", Access::Key), ("public", Access::Public)];

#[cfg(test)]
mod tests {
    use crate::config::CorsBy;
    use crate::config::sections::fixture::{REALM, ROUTE, SERVER, assert_error, check, with};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"realm = "b""#, r#"route[0].realm: there is no realm "b": did you mean "a"?"#),
            (r#"path = "/a/""#, "route[0].path: \"/a/\" ends with a slash"),
            (r#"host = "https://u:hunter2@h""#, "is no host"),
            (r#"host = "*.example.com""#, "is a pattern"),
            (r#"host = "a.example:80""#, r#"has a port: write "a.example""#),
            ("methods = []", "is empty"),
            (r#"methods = ["get"]"#, r#"write "GET""#),
            (r#"methods = ["CONNECT"]"#, "never forwarded"),
            (r#"methods = ["G T"]"#, "is no method"),
            ("access = \"public\"\nroles = [\"admin\"]", "only a user has roles"),
            (r#"access = "key""#, "nobody has a key"),
            (r#"access = "all""#, r#""user" or "key" or "public""#),
            (r#"roles = ["a,b"]"#, "is no role"),
            (r#"read_timeout = "0s""#, "out of range"),
            (r#"encoded_slash = "decode""#, r#""reject" or "pass""#),
            (r#"path_rules = "lax""#, r#""auto" or "strict" or "opaque""#),
            ("path_rules = \"opaque\"\npath = \"/a;b\"", "route[0].path_rules: some apps cut off"),
            (r#"cors = "both""#, r#""gate" or "app""#),
            (r#"cors = "app""#, "route[0].cors: a preflight carries no token"),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(ROUTE, keys)), expected);
        }
    }

    #[test]
    fn cors_is_the_apps_where_the_realm_says_nothing_of_it() {
        let cors = |realm: &str, route: &str| {
            let config = check(&format!("{SERVER}{}{}", with(REALM, realm), with(ROUTE, route))).unwrap();
            config.policy.routing().routes()[0].cors()
        };
        let key = "require_key = true\n[[realm.key]]\nid = \"a\"\nsecret = \"0123456789abcdef0123456789abcdef\"";
        for (realm, route, by) in [
            ("", "access = \"public\"", CorsBy::App),
            ("", "access = \"public\"\ncors = \"gate\"", CorsBy::Gate),
            ("", "access = \"user\"", CorsBy::Gate),
            (r#"origins = ["https://a.example"]"#, "access = \"public\"", CorsBy::Gate),
            (r#"origins = ["https://a.example"]"#, "access = \"public\"\ncors = \"app\"", CorsBy::App),
            ("any_origin_credentials = true", "access = \"public\"", CorsBy::Gate),
            (key, "access = \"public\"", CorsBy::Gate),
        ] {
            assert_eq!(cors(realm, route), by, "{realm} {route}");
        }
    }
}
