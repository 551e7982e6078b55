//! `[[route]]`.

use std::sync::Arc;

use http::Method;

use super::limits::MAX_BODY;
use super::{Declared, Realms, host, path, plain, realm_of, upstream};
use crate::config::limits::{Limits, some};
use crate::config::outside::Outside;
use crate::config::policy::Realm;
use crate::config::reader::{Keys, Section};
use crate::config::route::{Access, Authorization, CorsBy, EncodedSlash, PathRules, Route};
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
        "basic",
        "authorization",
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
        section.missing("access", "is missing: write access = \"user\", \"key\", [\"user\", \"key\"] or \"public\"");
    }
    let access = access(section);
    // A route that lets nobody pass is a mistake, not a wish.
    if let Some(Declared { name, has_keys: false, .. }) = realm.filter(|_| access.is_some_and(Access::takes_key)) {
        section.missing_value(
            "access",
            format!("nobody has a key: write a [[realm.key]] for \"{name}\" (tollgate key new)"),
        );
    }
    let (authorization, basic) = authorization(section, access, realm);
    let roles = section.list("roles", role);
    if access.is_some_and(|access| !access.takes_user()) && !roles.is_empty() {
        section.error("roles", "only a user has roles: write access = \"user\", or remove roles");
    }
    let require_mfa = section.flag("require_mfa", false);
    if access.is_some_and(|access| !access.takes_user()) && require_mfa {
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
        authorization,
        basic,
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

/// What of it is enough to pass.
fn access(section: &Section<'_>) -> Option<Access> {
    let words = section.choices("access", &ACCESS)?;
    let has = |word| words.contains(&word);
    match (has(Access::User), has(Access::Key), has(Access::Public)) {
        (true, true, false) => Some(Access::UserOrKey),
        (true, false, false) => Some(Access::User),
        (false, true, false) => Some(Access::Key),
        (false, false, true) => Some(Access::Public),
        (false, false, false) => {
            section.error("access", "is empty: write \"user\", \"key\" or \"public\"");
            None
        }
        (_, _, true) => {
            section.error("access", "\"public\" lets everyone pass, whatever else is listed: write access = \"public\", or remove it from the list");
            None
        }
    }
}

/// Whose the Authorization header is, and whether it may be an API key.
fn authorization(section: &Section<'_>, access: Option<Access>, realm: Option<&Declared>) -> (Authorization, bool) {
    let words = [("auto", Authorization::Auto), ("gate", Authorization::Gate), ("app", Authorization::App)];
    let whose = section.choice("authorization", &words, &[]).unwrap_or_default();
    let basic = section.flag("basic", false);
    let (Some(access), Some(Some(realm))) = (access, realm.map(|declared| &declared.realm)) else {
        return (whose, basic);
    };
    if basic && whose == Authorization::App {
        section.error("basic", "takes the Authorization header for an API key, and authorization = \"app\" leaves it to the app: remove one of the two");
    }
    if basic && !access.takes_key() && !realm.requires_key() {
        section.error("basic", "the password of Basic credentials is an API key, and this route takes none: write access = \"key\" or [\"user\", \"key\"], or remove basic");
    }
    if access.takes_key()
        && !basic
        && realm.has_api_keys()
        && realm.key_query().is_none()
        && realm.key_header().is_none()
    {
        section.error("access", "no request can carry a key, since the realm's key_query and key_header are both \"\": write one of them, or basic = true here");
    }
    if access == Access::UserOrKey && realm.requires_key() {
        section.warn("access", "every request of the realm has an API key, so that no user is ever needed here: write access = \"user\" for both, or require_key = false in the realm");
    }
    (whose, basic)
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
    use crate::config::sections::fixture::{REALM, ROUTE, SERVER, assert_error, check, warnings, with};
    use crate::config::{Access, Authorization, CorsBy};

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
            (r#"access = ["user", "all"]"#, "route[0].access[1]: must be \"user\""),
            ("access = []", "route[0].access: is empty"),
            (r#"access = ["user", "user"]"#, "listed twice"),
            (r#"access = ["user", "public"]"#, "lets everyone pass"),
            (r#"access = ["user", "key"]"#, "nobody has a key"),
            (r#"authorization = "none""#, r#""auto" or "gate" or "app""#),
            ("basic = true", "this route takes none"),
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
        let realm = |keys: &str| {
            with(REALM, &format!("{keys}\n[[realm.key]]\nid = \"web\"\nsecret = \"hunter2hunter2hunter2\"\n"))
        };
        for (keys, route, expected) in [
            ("", "access = \"key\"\nbasic = true\nauthorization = \"app\"", "leaves it to the app"),
            ("key_query = \"\"\nkey_header = \"\"", "access = \"key\"", "or basic = true here"),
            ("", "access = \"key\"\nroles = [\"a\"]", "only a user has roles"),
            ("", "access = \"key\"\nrequire_mfa = true", "only a user has a second factor"),
        ] {
            assert_error(&format!("{SERVER}{}{}", realm(keys), with(ROUTE, route)), expected);
        }
    }

    #[test]
    fn one_word_or_a_list_of_which_each_is_enough() {
        let keyed = format!("{REALM}[[realm.key]]\nid = \"web\"\nsecret = \"hunter2hunter2hunter2\"\n");
        for (keys, access, basic, authorization) in [
            ("access = \"user\"", Access::User, false, Authorization::Auto),
            ("access = [\"user\"]\nauthorization = \"app\"", Access::User, false, Authorization::App),
            (
                "access = [\"key\", \"user\"]\nroles = [\"a\"]\nrequire_mfa = true",
                Access::UserOrKey,
                false,
                Authorization::Auto,
            ),
            ("access = [\"public\"]\nauthorization = \"gate\"", Access::Public, false, Authorization::Gate),
            ("access = \"key\"\nbasic = true", Access::Key, true, Authorization::Auto),
        ] {
            let config = check(&format!("{SERVER}{keyed}{}", with(ROUTE, keys))).unwrap();
            let route = &config.policy.routing().routes()[0];
            assert_eq!(
                (route.access(), route.takes_basic(), route.authorization()),
                (access, basic, authorization),
                "{keys}"
            );
        }
        let off = keyed.replacen("require_key = false", "key_query = \"\"\nkey_header = \"\"", 1);
        assert!(check(&format!("{SERVER}{off}{}", with(ROUTE, "access = \"key\"\nbasic = true"))).is_ok());
        let both = keyed.replacen("require_key = false", "require_key = true", 1);
        let found = warnings(&format!("{SERVER}{both}{}", with(ROUTE, "access = [\"user\", \"key\"]")));
        assert!(found.len() == 1 && found[0].contains("no user is ever needed here"), "{found:?}");
        assert!(warnings(&format!("{SERVER}{both}{}", with(ROUTE, "access = \"user\"\nbasic = true"))).is_empty());
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
