//! `[[route]]`.

use std::sync::Arc;

use http::Method;

use crate::config::external::ExternalInputs;
use crate::config::host::Host;
use crate::config::limits::read::MAX_BODY;
use crate::config::limits::{Limits, some};
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::realm::Realm;
use crate::config::realm::declared::{Declared, Realms, realm_of};
use crate::config::route::{Access, Authorization, CorsBy, EncodedSlash, PathRules, Route};
use crate::config::schema::kind::{Raw, choice, flag, list, optional_size, raw, required, text, word, words};
use crate::config::schema::section;
use crate::config::sealed::Sealed;
use crate::config::server::ServerSettings;
use crate::config::upstream::read::{self as upstream, UpstreamKeys};
use crate::config::values::{host, path, plain};

section! {
    /// A route forwards requests to an application. Tollgate forwards only requests that match a route: any other request gets
    /// 404. The most specific route applies: a route with `host` before a route without it, then the longest path.
    RouteKeys = "[[route]]", Reloadable, with [UpstreamKeys];

    /// Host that the route matches, such as `"app.example.com"`. A port is not allowed.
    host: Option<Host> = text(host, "\"app.example.com\""), default "every host";

    /// Path that the route matches, with everything below it. Paths match by whole segments: `"/api"` matches `/api/x` and
    /// not `/apix`.
    path: Result<String, Reported> = required(text(path, "\"/api\""));

    /// Methods that the route matches. `GET` includes `HEAD`.
    methods: Vec<Method> = list(method, "[\"GET\", \"POST\"]"), default "every method";

    /// Name of the realm. The tokens, API keys and origins of this realm apply.
    realm: Raw = required(raw("\"examples\", the name of a [[realm]]"));

    /// Required credential. `"user"`: a valid token. `"key"`: a valid API key. `["user", "key"]`: one of the two.
    /// `"public"`: none, but an API key if the realm has `require_key = true`. If an API key opened the route, the application
    /// receives the id of the key in `X-Auth-Key-Id`.
    access: Result<Vec<Access>, Reported> = words(&ACCESS, "\"user\", \"key\", [\"user\", \"key\"] or \"public\"");

    /// Whether a client can send an API key as the password of `Authorization: Basic`. The user name is the id of the key, or
    /// empty.
    basic: bool = flag(false);

    /// Owner of the `Authorization` header. `"auto"`: Tollgate, unless the request has the realm's cookie and the header is not
    /// a Bearer token with an issuer of the realm. `"gate"`: Tollgate, and it ignores the cookie if the header is there.
    /// `"app"`: the application.
    authorization: Authorization = choice(&AUTHORIZATION, Authorization::Auto);

    /// Roles of which the token of the user must have at least one. Tollgate does not check the roles of an API key.
    roles: Vec<String> = list(role, "[\"admin\"]"), default "[]";

    /// Whether the token of the user must prove a second factor (`amr` contains `mfa`). Tollgate does not check this for an
    /// API key.
    require_mfa: bool = flag(false);

    /// Whether the application receives the `Authorization` header in which Tollgate found the credential.
    forward_token: bool = flag(false);

    /// Audience (`aud`) of `X-Auth-Assertion`, a JWT with the contents of the identity headers. The realm signs it, and it
    /// expires after one minute. Requires a realm with an asymmetric `algorithm`.
    assertion: Option<String> = text(plain, "\"https://app.internal\""), default "no assertion";

    /// Required form of the path. `"strict"`: the canonical form; any other path gets 400. `"opaque"`: any path without dot
    /// segments and control characters, forwarded byte for byte; no other route or login can be below the route. `"auto"`:
    /// `"opaque"` for a route with `path = "/"` and every method that is alone on its host, else `"strict"`.
    path_rules: PathRules = choice(&PATH_RULES, PathRules::Auto);

    /// Treatment of `%2f` in a path under strict path rules. `"reject"`: 400. `"pass"`: forward it.
    encoded_slash: EncodedSlash = choice(&SLASHES, EncodedSlash::Reject);

    /// Component that answers CORS preflight requests and writes the CORS headers. `"gate"`: Tollgate, with the origins of the
    /// realm. `"app"`: the application; this requires `access = "public"`.
    cors: Option<CorsBy> = word(&CORS),
        default "`\"app\"` for a public route of a realm without `origins` and `require_key`, else `\"gate\"`";

    /// Maximum size of a request body. `"0"`: no limit. A larger body gets 413.
    body_size: Option<u64> = optional_size(MAX_BODY, "\"1MiB\""), default "`body_size` of `[limits]`";
}

/// Reads the route at position `index` of the file.
pub(in crate::config) fn read(
    section: &Section<'_>,
    index: usize,
    realms: &Realms,
    (server, limits): (Option<&ServerSettings>, &Limits),
    external: &ExternalInputs,
) -> Result<Arc<Route>, Reported> {
    let keys = RouteKeys::read(section);
    let methods = keys.methods.is_written().then(|| keys.methods.value.clone());
    if keys.methods.is_empty_list() {
        keys.methods.error("must not be empty: list the methods, or remove it to match every method");
    }
    let realm = realm_of(&keys.realm, realms);
    let checked = realm.and_then(|declared| declared.realm.clone());
    let access = access(&keys);
    // No request could pass such a route.
    if let (Ok(Declared { name, api_keys: None, .. }), Ok(true)) = (realm, access.map(Access::takes_key)) {
        keys.access.missing_value(format!(
            "\"key\" requires an API key in realm \"{name}\": write a [[realm.key]] (tollgate key new)"
        ));
    }
    if let (Ok(access), Ok(realm)) = (access, &checked) {
        check_authorization(&keys, access, realm);
    }
    if access.is_ok_and(|access| !access.takes_user()) {
        if !keys.roles.is_empty() {
            keys.roles.error("requires access = \"user\": write it, or remove roles");
        }
        if *keys.require_mfa {
            keys.require_mfa.error("requires access = \"user\": write it, or remove require_mfa");
        }
    }
    if let (Some(audience), Ok(realm)) = (&keys.assertion.value, &checked) {
        let rules = &realm.tokens;
        if rules.audience == **audience {
            keys.assertion
                .error("must differ from the audience of the realm's access tokens: write a name for the application");
        }
        if rules.is_symmetric() {
            keys.assertion.error(format!(
                "requires an asymmetric algorithm, but realm \"{}\" signs with HS256: write algorithm = \"ES256\" in the realm",
                realm.name
            ));
        }
    }
    let cors = cors(&keys, access, checked.as_deref().ok());
    if *keys.path_rules == PathRules::Opaque && keys.path.as_ref().is_ok_and(|path| path.contains(';')) {
        keys.path_rules.error("can't be \"opaque\" for a path with \";\", since some applications ignore what follows it: write path_rules = \"strict\", or a path without \";\"");
    }
    let upstream = upstream::read(section, server, external);
    Ok(Arc::new(Route {
        _sealed: Sealed(()),
        upstream,
        index,
        host: keys.host.value,
        path: keys.path.value?,
        methods,
        realm: checked?,
        access: access?,
        authorization: keys.authorization.value,
        basic: keys.basic.value,
        roles: keys.roles.value,
        require_mfa: keys.require_mfa.value,
        forward_token: keys.forward_token.value,
        assertion: keys.assertion.value.map(Arc::from),
        path_rules: keys.path_rules.value,
        encoded_slash: keys.encoded_slash.value,
        cors,
        body_size: some(keys.body_size.value.or_else(|| limits.body_size()).unwrap_or_default()),
    }))
}

fn access(keys: &RouteKeys<'_>) -> Result<Access, Reported> {
    let words = keys.access.value.as_ref().map_err(|reported| *reported)?;
    let has = |word| words.contains(&word);
    match (has(Access::User), has(Access::Key), has(Access::Public)) {
        (true, true, false) => Ok(Access::UserOrKey),
        (true, false, false) => Ok(Access::User),
        (false, true, false) => Ok(Access::Key),
        (false, false, true) => Ok(Access::Public),
        (false, false, false) => Err(keys.access.error("must not be empty: write \"user\", \"key\" or \"public\"")),
        (_, _, true) => Err(keys.access.error(
            "\"public\" can't be combined with another value: write access = \"public\", or remove it from the list",
        )),
    }
}

/// Checks that some request can carry the credential which the route requires.
fn check_authorization(keys: &RouteKeys<'_>, access: Access, realm: &Realm) {
    let basic = *keys.basic;
    if basic && *keys.authorization == Authorization::App {
        keys.basic.error("can't be combined with authorization = \"app\": remove one of the two");
    }
    if basic && !access.takes_key() && !realm.require_key {
        keys.basic.error(
            "requires a route that accepts API keys: write access = \"key\" or [\"user\", \"key\"], or remove basic",
        );
    }
    let no_carrier = realm.key_query().is_none() && realm.key_header().is_none();
    if access.takes_key() && !basic && realm.has_api_keys() && no_carrier {
        keys.access.error("no request can carry an API key, since key_query and key_header of the realm are \"\": write one of them, or basic = true in the route");
    }
    if access == Access::UserOrKey && realm.require_key {
        keys.access.warn("every request of the realm has an API key, so the route never requires a user: write access = \"user\" to require both, or require_key = false in the realm");
    }
}

fn cors(keys: &RouteKeys<'_>, access: Result<Access, Reported>, realm: Option<&Realm>) -> CorsBy {
    if *keys.cors == Some(CorsBy::App) && access.is_ok_and(|access| access != Access::Public) {
        keys.cors.error(
            "\"app\" requires access = \"public\", since a preflight request has no token: write it, or remove cors",
        );
    }
    keys.cors.unwrap_or_else(|| {
        // If the realm restricts the callers, or a preflight request would need an API key that it can't carry, Tollgate answers.
        let is_unrestricted =
            |realm: &Realm| realm.origins.allows_any() && !realm.origins.any_with_credentials && !realm.require_key;
        if access == Ok(Access::Public) && realm.is_some_and(is_unrestricted) { CorsBy::App } else { CorsBy::Gate }
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
    // Methods are case-sensitive (RFC 9110, 9.1): "get" would never match.
    if let Some(meant) = known.iter().find(|known| known.as_str().eq_ignore_ascii_case(text) && *known != text) {
        return Err(format!("invalid method {}: write it in upper case: \"{meant}\"", quote(text)));
    }
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => Err("CONNECT is not supported: remove it".into()),
        Ok(method) => Ok(method),
        Err(_) => Err(format!("invalid method {}: write it as \"GET\"", quote(text))),
    }
}

/// The application receives all roles in one header, separated by commas.
fn role(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
        return Ok(text.into());
    }
    Err(format!("invalid role {}: write ASCII characters without spaces and commas", quote(text)))
}

const AUTHORIZATION: [(&str, Authorization); 3] =
    [("auto", Authorization::Auto), ("gate", Authorization::Gate), ("app", Authorization::App)];
const SLASHES: [(&str, EncodedSlash); 2] = [("reject", EncodedSlash::Reject), ("pass", EncodedSlash::Pass)];
const CORS: [(&str, CorsBy); 2] = [("gate", CorsBy::Gate), ("app", CorsBy::App)];
const PATH_RULES: [(&str, PathRules); 3] =
    [("auto", PathRules::Auto), ("strict", PathRules::Strict), ("opaque", PathRules::Opaque)];
const ACCESS: [(&str, Access); 3] = [("user", Access::User), ("key", Access::Key), ("public", Access::Public)];

#[cfg(test)]
mod tests {
    use crate::config::fixture::{REALM, ROUTE, SERVER, assert_error, check, warnings, with};
    use crate::config::{Access, Authorization, CorsBy};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"realm = "b""#, r#"route[0].realm: there is no realm "b": did you mean "a"?"#),
            (r#"path = "/a/""#, "route[0].path: invalid path \"/a/\": it ends with a slash"),
            (r#"host = "https://u:hunter2@h""#, "invalid host"),
            (r#"host = "*.example.com""#, "pattern"),
            (r#"host = "a.example:80""#, r#"it has a port; write "a.example""#),
            ("methods = []", "must not be empty"),
            (r#"methods = ["get"]"#, r#"upper case: "GET""#),
            (r#"methods = ["CONNECT"]"#, "CONNECT is not supported"),
            (r#"methods = ["G T"]"#, "invalid method"),
            ("access = \"public\"\nroles = [\"admin\"]", "requires access = \"user\": write it, or remove roles"),
            (r#"access = "key""#, "requires an API key in realm \"a\""),
            (r#"access = "all""#, r#""user" or "key" or "public""#),
            (r#"access = ["user", "all"]"#, "route[0].access[1]: must be \"user\""),
            ("access = []", "route[0].access: must not be empty"),
            (r#"access = ["user", "user"]"#, "listed twice"),
            (r#"access = ["user", "public"]"#, "can't be combined"),
            (r#"access = ["user", "key"]"#, "requires an API key in realm \"a\""),
            (r#"authorization = "none""#, r#""auto" or "gate" or "app""#),
            ("basic = true", "requires a route that accepts API keys"),
            (r#"roles = ["a,b"]"#, "invalid role"),
            (r#"read_timeout = "0s""#, "out of range"),
            (r#"encoded_slash = "decode""#, r#""reject" or "pass""#),
            (r#"path_rules = "lax""#, r#""auto" or "strict" or "opaque""#),
            ("path_rules = \"opaque\"\npath = \"/a;b\"", "route[0].path_rules: can't be \"opaque\" for a path with"),
            (r#"cors = "both""#, r#""gate" or "app""#),
            (r#"cors = "app""#, "route[0].cors: \"app\" requires access = \"public\""),
        ] {
            assert_error(&format!("{SERVER}{REALM}{}", with(ROUTE, keys)), expected);
        }
        let realm = |keys: &str| {
            with(REALM, &format!("{keys}\n[[realm.key]]\nid = \"web\"\nsecret = \"hunter2hunter2hunter2\"\n"))
        };
        for (keys, route, expected) in [
            ("", "access = \"key\"\nbasic = true\nauthorization = \"app\"", "can't be combined with authorization"),
            ("key_query = \"\"\nkey_header = \"\"", "access = \"key\"", "or basic = true in the route"),
            ("", "access = \"key\"\nroles = [\"a\"]", "requires access = \"user\": write it, or remove roles"),
            ("", "access = \"key\"\nrequire_mfa = true", "remove require_mfa"),
        ] {
            assert_error(&format!("{SERVER}{}{}", realm(keys), with(ROUTE, route)), expected);
        }
    }

    #[test]
    fn access_is_one_word_or_a_list_of_alternatives() {
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
            let route = &config.policy.routing.routes[0];
            assert_eq!((route.access, route.basic, route.authorization), (access, basic, authorization), "{keys}");
        }
        let off = keyed.replacen("require_key = false", "key_query = \"\"\nkey_header = \"\"", 1);
        assert!(check(&format!("{SERVER}{off}{}", with(ROUTE, "access = \"key\"\nbasic = true"))).is_ok());
        let both = keyed.replacen("require_key = false", "require_key = true", 1);
        let found = warnings(&format!("{SERVER}{both}{}", with(ROUTE, "access = [\"user\", \"key\"]")));
        assert!(found.len() == 1 && found[0].contains("never requires a user"), "{found:?}");
        assert!(warnings(&format!("{SERVER}{both}{}", with(ROUTE, "access = \"user\"\nbasic = true"))).is_empty());
    }

    #[test]
    fn cors_defaults_to_the_application_if_the_realm_restricts_nothing() {
        let cors = |realm: &str, route: &str| {
            let config = check(&format!("{SERVER}{}{}", with(REALM, realm), with(ROUTE, route))).unwrap();
            config.policy.routing.routes[0].cors
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
