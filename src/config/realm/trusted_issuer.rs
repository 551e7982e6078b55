//! `[[realm.trusted_issuer]]`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::config::external::ExternalInputs;
use crate::config::pem::ca_file;
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::{none_of, quote};
use crate::config::realm::Realm;
use crate::config::schema::kind::{
    Raw, duration, flag, list, map, optional_duration, raw, required, size, text, word_list,
};
use crate::config::schema::{Setting, section};
use crate::config::values::plain;
use crate::token::MAX_LEEWAY;
use crate::token::{
    Algorithm, Audience, ClaimMapping, IssuerKeys, JwksLocation, KeySource, MAX_TRUSTED_TOKEN_BYTES, RemoteJwks,
    TokenType, TrustedIssuer, check_url,
};

section! {
    /// An external issuer of JWTs, such as Auth0, Amazon Cognito, Keycloak or Microsoft Entra ID. The routes of the realm accept
    /// its tokens, logins do not.
    TrustedIssuerKeys = "[[realm.trusted_issuer]]", Reloadable;

    /// Issuer (`iss`) of the tokens, compared byte for byte.
    issuer: Result<String, Reported> = required(text(plain, "\"https://tenant.eu.auth0.com/\""));

    /// Accepted audiences: `aud` of a token must contain one of them. Write `audience`, `client_ids` or both.
    audience: Vec<String> = list(plain, "[\"https://api.example.com\"]"), default "one of two is required";

    /// Accepted OAuth clients: `client_id`, `azp` or `cid` of a token must be one of them. Without `audience`, `aud` can have any
    /// value or be absent.
    client_ids: Vec<String> = list(plain, "[\"7Hq2example\"]"), default "one of two is required";

    /// Maximum length of a token. `head_size` of `[limits]` must be larger.
    token_size: u64 = size(MAX_TRUSTED_TOKEN_BYTES as u64, DEFAULT_TOKEN_SIZE);

    /// URL of the JWKS. Write exactly one of `jwks_url`, `jwks_file` and `discovery = true`. Tollgate fetches the keys in the
    /// background and keeps them after a reload.
    jwks_url: Raw = raw("\"https://tenant.eu.auth0.com/.well-known/jwks.json\""), default "one of three is required";

    /// File with the JWKS.
    jwks_file: Raw = raw("\"auth0.json\""), default "one of three is required";

    /// Whether the URL of the JWKS comes from `/.well-known/openid-configuration` of the issuer (OpenID Connect Discovery).
    discovery: bool = flag(false);

    /// Accepted signature algorithms: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`.
    algorithms: Vec<Algorithm> = list(algorithm, "[\"RS256\", \"ES256\"]"), default "[\"RS256\"]";

    /// Accepted values of `typ` in the header of a token. `"absent"`: no `typ`.
    types: Vec<TokenType> = word_list(&TYPES, "[\"JWT\", \"absent\"]"), default "[\"JWT\", \"at+jwt\"]";

    /// Whether Tollgate can fetch keys over http. An attacker on the network can then sign tokens.
    insecure_http: bool = flag(false);

    /// PEM file with CA certificates for the fetch.
    ca_file: Raw = raw("\"ca.pem\""), default "the CA certificates of the system";

    /// Age at which Tollgate fetches the keys again.
    refresh: Duration = duration(MIN_REFRESH..=MAX_REFRESH, DEFAULT_REFRESH);

    /// Maximum age of the keys if a fetch fails. Not shorter than `refresh`.
    max_stale: Option<Duration> = optional_duration(MIN_REFRESH..=MAX_STALE, DEFAULT_STALE), default "\"24h\"";

    /// Maximum time for a fetch.
    timeout: Duration = duration(TIMEOUTS, DEFAULT_TIMEOUT);

    /// Allowed clock skew for `exp` and `nbf`.
    leeway: Option<Duration> = optional_duration(Duration::ZERO..=MAX_LEEWAY, Duration::from_secs(5)), default "`leeway` of the realm";

    /// Claims that a token must have.
    required_claims: Vec<String> = list(plain, "[\"sub\"]"), default "[]";

    /// Claims that a token must have with exactly this value.
    claims: Vec<(String, Value)> = map(
        "a table of claims with their exact values, such as { token_use = \"access\" }",
        "{ token_use = \"access\", tenant = 7 }",
    ), default "{}";

    /// Claims with roles: strings of words separated by spaces, lists of strings, or objects, whose member names are the roles.
    /// If a token has no claim with the exact name, the name is a path: `"realm_access.roles"` (Keycloak).
    roles_claims: Vec<String> = list(plain, "[\"permissions\", \"realm_access.roles\"]"), default "[]";

    /// Claim with the value of `X-Auth-Username`. `""`: none.
    username_claim: Option<Option<String>> = text(claim, "\"username\""), default "\"username\"";

    /// Prefix of each username of this issuer in `X-Auth-Username`, so that it never equals the name of a local user.
    username_prefix: Option<String> = text(plain, "\"corp:\""), default "no prefix";

    /// Claim with the value of `X-Auth-Email`. `""`: none.
    email_claim: Option<Option<String>> = text(claim, "\"email\""), default "\"email\"";
}

/// The settings of a realm that matter to its trusted issuers.
#[derive(Clone, Copy)]
pub(in crate::config) struct Own<'k, 's> {
    /// The issuer of the realm's own tokens.
    pub(in crate::config) issuer: &'k Setting<'s, Result<String, Reported>>,
    /// Allowed clock skew of the realm's own tokens.
    pub(in crate::config) leeway: Duration,
    /// Users of the store log in to the realm.
    pub(in crate::config) local_users: bool,
}

/// The user pool of a login. Its realm trusts the tokens without a section.
#[derive(Clone, Copy)]
pub(in crate::config) struct TrustedPool<'p> {
    /// Path of the login in the file, and its line.
    pub(in crate::config) place: &'p str,
    pub(in crate::config) issuer: &'p str,
    pub(in crate::config) client_id: &'p str,
    pub(in crate::config) keys: &'p RemoteJwks,
}

/// Reads the trusted issuers of a realm, and adds the user pools of its logins, each with the place of its login. Keys that
/// `current` has from the same source are kept: a reload must not depend on an issuer.
pub(in crate::config) fn read(
    sections: &[Section<'_>],
    own: Own<'_, '_>,
    pools: Vec<TrustedPool<'_>>,
    external: &ExternalInputs,
    current: &[Arc<Realm>],
) -> Vec<TrustedIssuer> {
    let mut issuers: Vec<TrustedIssuer> = Vec::new();
    for section in sections {
        let settings = TrustedIssuerKeys::read(section);
        check_issuer(&settings.issuer, own, &issuers, &pools);
        if let Ok(issuer) = issuer(section, settings, own, external, current) {
            issuers.push(issuer);
        }
    }
    for pool in pools {
        if own.issuer.as_deref() == Ok(pool.issuer) {
            own.issuer
                .error(format!("duplicates the issuer of the user pool of {}: write a different name", pool.place));
        }
        // Other app clients of the same pool.
        let same = issuers.iter_mut().find(|other| *other.name == *pool.issuer);
        if let Some(TrustedIssuer { audience: Audience { clients, .. }, .. }) = same {
            if !clients.iter().any(|client| client == pool.client_id) {
                clients.push(pool.client_id.into());
            }
            continue;
        }
        issuers.push(of_pool(pool, own.leeway, current));
    }
    issuers
}

fn check_issuer(
    name: &Setting<'_, Result<String, Reported>>,
    own: Own<'_, '_>,
    issuers: &[TrustedIssuer],
    pools: &[TrustedPool<'_>],
) {
    let Ok(text) = &name.value else { return };
    if own.issuer.as_ref() == Ok(text) {
        name.error("must differ from the realm's own issuer: write the iss of the external provider");
    }
    if issuers.iter().any(|other| *other.name == **text) {
        name.error("duplicates another [[realm.trusted_issuer]] of the realm: merge the two");
    }
    if let Some(pool) = pools.iter().find(|pool| pool.issuer == text) {
        name.error(format!(
            "is the user pool of {}, which the realm already trusts: remove one of the two",
            pool.place
        ));
    }
}

fn issuer(
    section: &Section<'_>,
    settings: TrustedIssuerKeys<'_>,
    own: Own<'_, '_>,
    external: &ExternalInputs,
    current: &[Arc<Realm>],
) -> Result<TrustedIssuer, Reported> {
    check_lists(&settings);
    if own.local_users && settings.username_claim.value != Some(None) && !settings.username_prefix.is_written() {
        settings.username_prefix.warn(
            "is missing, and users of the realm log in too: an application can't tell a username of this issuer from \
             the same one of a local user: write a prefix such as \"corp:\", or username_claim = \"\"",
        );
    }
    let source = source(section, &settings, external);
    let name = settings.issuer.value?;
    let source = source?;
    let algorithms = settings.algorithms.if_written().unwrap_or_else(|| vec![Algorithm::RS256]);
    let keys = keys(&name, &source, &algorithms, current);
    let place = match &source {
        KeySource::File(_) => &settings.jwks_file,
        KeySource::Remote(_) => &settings.jwks_url,
    };
    external.note_issuer(if *settings.discovery { settings.discovery.place() } else { place.place() }, keys.clone());
    if let KeySource::File(path) = &source {
        let installed = external.public_file(path).and_then(|text| {
            keys.install(&text, external.now()).map_err(|error| format!("{} {error}", path.display()))
        });
        if let Err(problem) = installed {
            settings.jwks_file.error(problem);
        }
    }
    let or_default = |claim: Option<Option<String>>, default: &str| claim.unwrap_or_else(|| Some(default.to_owned()));
    Ok(TrustedIssuer {
        name: name.into(),
        audience: Audience { any_of: settings.audience.value, clients: settings.client_ids.value },
        token_size: usize::try_from(settings.token_size.value).unwrap_or(MAX_TRUSTED_TOKEN_BYTES),
        algorithms,
        types: settings.types.if_written().unwrap_or_else(|| vec![TokenType::Jwt, TokenType::AccessToken]),
        leeway: i64::try_from(settings.leeway.unwrap_or(own.leeway).as_secs()).unwrap_or(i64::MAX),
        required: settings.required_claims.value,
        exact: settings.claims.value,
        mapping: ClaimMapping {
            username: or_default(settings.username_claim.value, "username"),
            username_prefix: settings.username_prefix.value.unwrap_or_default(),
            email: or_default(settings.email_claim.value, "email"),
            roles: settings.roles_claims.value,
        },
        keys,
    })
}

/// Returns the trusted issuer for a user pool of Amazon Cognito, with the access tokens of its documentation.
fn of_pool(pool: TrustedPool<'_>, leeway: Duration, current: &[Arc<Realm>]) -> TrustedIssuer {
    let (algorithms, source) = (vec![Algorithm::RS256], KeySource::Remote(pool.keys.clone()));
    let keys = keys(pool.issuer, &source, &algorithms, current);
    TrustedIssuer {
        name: pool.issuer.into(),
        audience: Audience { any_of: Vec::new(), clients: vec![pool.client_id.into()] },
        token_size: DEFAULT_TOKEN_SIZE as usize,
        algorithms,
        // Cognito writes no `typ`; moto does.
        types: vec![TokenType::Absent, TokenType::Jwt],
        leeway: i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX),
        required: Vec::new(),
        exact: vec![("token_use".into(), "access".into())],
        // An access token has an email address only from a trigger, and nothing says that it is verified.
        mapping: ClaimMapping {
            username: Some("username".into()),
            username_prefix: String::new(),
            email: None,
            roles: vec!["cognito:groups".into()],
        },
        keys,
    }
}

/// Returns the keys that a realm in force has from this source, or new ones. A file is read again, so that a rejected
/// configuration does not change the policy in force.
fn keys(name: &str, source: &KeySource, algorithms: &[Algorithm], current: &[Arc<Realm>]) -> Arc<IssuerKeys> {
    let is_remote = matches!(source, KeySource::Remote(_));
    let mut in_force = current.iter().filter(|_| is_remote).flat_map(|realm| &realm.tokens.trusted);
    let same_name = |issuer: &&TrustedIssuer| *issuer.name == *name;
    let kept = in_force.clone().find(|issuer| same_name(issuer) && issuer.keys.matches(source, algorithms));
    if let Some(issuer) = kept {
        return issuer.keys.clone();
    }
    let keys = IssuerKeys::new(source.clone(), algorithms.to_vec());
    // Fetched in another way, or read for other algorithms. An operator sets a longer `max_stale` while the issuer is
    // unavailable: that must not remove its keys.
    if let Some(issuer) = in_force.find(|issuer| same_name(issuer) && issuer.keys.source().is_same_place(source)) {
        keys.copy_from(&issuer.keys);
    }
    Arc::new(keys)
}

fn check_lists(settings: &TrustedIssuerKeys<'_>) {
    if settings.algorithms.is_empty_list() {
        settings.algorithms.error("must not be empty: list the algorithms of the issuer, such as [\"RS256\"]");
    }
    if settings.types.is_empty_list() {
        settings.types.error("must not be empty: list \"JWT\", \"at+jwt\", and \"absent\" for tokens without typ");
    }
    if !settings.audience.is_written() && !settings.client_ids.is_written() {
        settings.audience.missing(
            "is missing: write audience, of which aud of a token must contain one, or client_ids, of which client_id, azp or cid must be one, or both",
        );
    }
    for list in [&settings.audience, &settings.client_ids].into_iter().filter(|list| list.is_empty_list()) {
        list.error("must not be empty: write at least one value");
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match Algorithm::from_name(text) {
        // Each verifier can also sign.
        Some(Algorithm::HS256) => Err(
            "\"HS256\" is only for the realm's own tokens: use an issuer that signs with a private key, such as RS256"
                .into(),
        ),
        Some(algorithm) => Ok(algorithm),
        None => Err(none_of(text, Algorithm::ALL.iter().skip(1).map(|algorithm| algorithm.name()))),
    }
}

fn claim(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Ok(None) } else { plain(text).map(Some) }
}

/// Returns the source of the issuer's keys.
fn source(
    section: &Section<'_>,
    settings: &TrustedIssuerKeys<'_>,
    external: &ExternalInputs,
) -> Result<KeySource, Reported> {
    let discovery = *settings.discovery;
    if settings.discovery.is_refused() {
        return Err(section.reported());
    }
    let written = [&settings.jwks_url, &settings.jwks_file].into_iter().filter(|setting| setting.is_written()).count();
    if written + usize::from(discovery) != 1 {
        return Err(section.missing("", "requires exactly one of jwks_url, jwks_file and discovery = true"));
    }
    let insecure_http = *settings.insecure_http;
    let roots = roots(&settings.ca_file, external);
    let refresh = *settings.refresh;
    let max_stale = settings.max_stale.unwrap_or(DEFAULT_STALE.max(refresh));
    if max_stale < refresh && !settings.refresh.is_refused() {
        settings.max_stale.error("must not be shorter than refresh, or keys expire before the next fetch");
    }
    let location = if discovery {
        // OpenID Connect Discovery 1.0, 4.1
        let issuer = settings.issuer.value.as_deref().map_err(|reported| *reported)?;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        match check_url(&url, insecure_http) {
            Ok(()) => JwksLocation::Discovery(url),
            Err(problem) => return Err(settings.issuer.error(format!("{} {problem}", quote(&url)))),
        }
    } else if settings.jwks_url.is_written() {
        JwksLocation::Jwks(settings.jwks_url.required(|text| {
            check_url(text, insecure_http)
                .map(|()| text.to_owned())
                .map_err(|problem| format!("{} {problem}", quote(text)))
        })?)
    } else {
        return settings.jwks_file.required(|path| external.file(path)).map(KeySource::File);
    };
    let timeout = *settings.timeout;
    Ok(KeySource::Remote(RemoteJwks { location, insecure_http, roots: roots?, refresh, max_stale, timeout }))
}

/// Reads the CA certificates for a fetch.
pub(in crate::config) fn roots(
    file: &Setting<'_, Raw>,
    external: &ExternalInputs,
) -> Result<Option<Vec<u8>>, Reported> {
    Ok(ca_file(file, external)?.map(|file| file.text))
}

const TYPES: [(&str, TokenType); 3] =
    [("JWT", TokenType::Jwt), ("at+jwt", TokenType::AccessToken), ("absent", TokenType::Absent)];
/// Bytes. Microsoft Entra ID writes up to 200 group ids into a token, Keycloak the roles of all clients: 10 to 30 KB.
const DEFAULT_TOKEN_SIZE: u64 = 32 << 10;
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(86_400);
pub(in crate::config) const DEFAULT_REFRESH: Duration = Duration::from_secs(600);
const MAX_STALE: Duration = Duration::from_secs(30 * 86_400);
pub(in crate::config) const DEFAULT_STALE: Duration = Duration::from_secs(86_400);
pub(in crate::config) const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
pub(in crate::config) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::fixture::{LOGIN, REALM, SERVER, assert_error, check, serve, with};
    use crate::config::{Config, Mode, Policy, load, parse};

    const ISSUER: &str = "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"api\"]\n\
                          jwks_url = \"https://idp.example/jwks\"\n";
    const JWKS: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn text(keys: &str) -> String {
        format!("{SERVER}{REALM}{}{LOGIN}", with(ISSUER, keys))
    }

    fn issuer(config: &Config) -> &TrustedIssuer {
        &config.policy.realm("a").unwrap().tokens.trusted[0]
    }

    #[test]
    fn defaults() {
        let config = check(&text("")).unwrap();
        let issuer = issuer(&config);
        assert_eq!((&*issuer.name, issuer.leeway), ("https://idp.example/", 5));
        assert_eq!(issuer.audience, Audience { any_of: vec!["api".into()], clients: Vec::new() });
        assert_eq!(issuer.algorithms, [Algorithm::RS256]);
        assert_eq!(issuer.types, [TokenType::Jwt, TokenType::AccessToken]);
        assert!(issuer.required.is_empty() && issuer.exact.is_empty() && issuer.mapping.roles.is_empty());
        assert_eq!(
            (issuer.mapping.username.as_deref(), issuer.mapping.email.as_deref()),
            (Some("username"), Some("email"))
        );
        let KeySource::Remote(remote) = issuer.keys.source() else { panic!() };
        assert_eq!(remote.location, JwksLocation::Jwks("https://idp.example/jwks".into()));
        assert!(!remote.insecure_http && remote.roots.is_none());
        assert_eq!(
            (remote.refresh, remote.max_stale, remote.timeout),
            (DEFAULT_REFRESH, DEFAULT_STALE, DEFAULT_TIMEOUT)
        );
    }

    #[test]
    fn other_values() {
        let keys = "algorithms = [\"PS256\", \"EdDSA\"]\ntypes = [\"absent\"]\nleeway = \"0s\"\nusername_claim = \"\"\n\
                    claims = { token_use = \"access\", n = 7, b = false }\nrequired_claims = [\"x\"]\nroles_claims = [\"scope\"]";
        let config = check(&text(keys)).unwrap();
        let issuer = issuer(&config);
        assert_eq!(issuer.algorithms, [Algorithm::PS256, Algorithm::EdDSA]);
        assert_eq!((&issuer.types[..], issuer.leeway, &issuer.mapping.username), (&[TokenType::Absent][..], 0, &None));
        let mut exact = issuer.exact.clone();
        exact.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(exact, [("b".into(), false.into()), ("n".into(), 7.into()), ("token_use".into(), "access".into())]);
        let found = check(&text("").replace("jwks_url = \"https://idp.example/jwks\"", "discovery = true")).unwrap();
        let KeySource::Remote(remote) = self::issuer(&found).keys.source() else { panic!() };
        assert_eq!(
            remote.location,
            JwksLocation::Discovery("https://idp.example/.well-known/openid-configuration".into())
        );
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            ("issuer = \"https://a.example\"", "trusted_issuer[0].issuer: must differ from the realm's own issuer"),
            ("audience = []", "audience: must not be empty"),
            ("client_ids = []", "client_ids: must not be empty"),
            ("token_size = \"65KiB\"", "token_size: "),
            ("username_prefix = \"\"", "username_prefix: must not be empty"),
            ("algorithms = []", "algorithms: must not be empty"),
            ("algorithms = [\"HS256\"]", "only for the realm's own tokens"),
            ("algorithms = [\"none\"]", "must be \"ES256\" or "),
            ("types = [\"jwt\"]", "(found \"jwt\"): did you mean \"JWT\"?"),
            ("types = []", "types: must not be empty"),
            ("jwks_file = \"x\"", "exactly one of jwks_url, jwks_file and discovery"),
            ("discovery = true", "exactly one of jwks_url, jwks_file and discovery"),
            ("jwks_url = \"http://idp.example/jwks\"", "write https, or insecure_http = true"),
            ("jwks_url = \"https://u:p@idp.example/jwks\"", "no user and no fragment"),
            ("jwks_url = \"idp.example/jwks\"", "jwks_url"),
            ("jwks_url = \"file:///etc/passwd\"", "jwks_url"),
            ("ca_file = \"/dev/null\"", "not a regular file"),
            ("refresh = \"2d\"", "out of range"),
            ("refresh = \"1h\"\nmax_stale = \"5m\"", "must not be shorter than refresh"),
            ("refresh = \"1hour\"\nmax_stale = \"5m\"", "refresh: invalid duration"),
            ("discovery = \"true\"", "discovery: must be true or false"),
            ("leeway = \"6m\"", "out of range"),
            ("claims = { a = 1.5 }", "trusted_issuer[0].claims.a: must be a string"),
            ("claims = []", "claims: must be a table of claims"),
            ("aud = \"x\"", "aud: unknown key"),
        ] {
            assert_error(&text(keys), expected);
        }
        assert_error(&text("audience = []").replace("audience = []\n", ""), "write audience, of which");
        let twice = format!("{SERVER}{REALM}{ISSUER}{ISSUER}{LOGIN}");
        assert_error(&twice, "duplicates another [[realm.trusted_issuer]]");
        let plain = text("")
            .replace("jwks_url = \"https://idp.example/jwks\"", "discovery = true")
            .replace("https://idp", "http://idp");
        assert_error(&plain, "issuer: \"http://idp.example/.well-known/openid-configuration\" must use https");
    }

    #[test]
    fn a_jwks_file_is_read_with_the_configuration_if_all_of_it_is_valid() {
        let dir = tempfile::tempdir().unwrap();
        let (file, jwks) = (dir.path().join("t.toml"), dir.path().join("idp.json"));
        let good = text("algorithms = [\"EdDSA\"]")
            .replace("jwks_url = \"https://idp.example/jwks\"", "jwks_file = \"idp.json\"");
        fs::write(&file, &good).unwrap();
        let missing = load(&file, Mode::Start).unwrap_err().to_string();
        assert!(missing.contains("jwks_file: can't read") && missing.contains("does not exist"), "{missing}");
        fs::write(&jwks, "<html>").unwrap();
        assert!(load(&file, Mode::Start).unwrap_err().to_string().contains("idp.json must be one JSON object"));
        fs::write(&jwks, JWKS).unwrap();
        let config = load(&file, Mode::Start).unwrap();
        assert_eq!(issuer(&config).keys.current_at(0).unwrap().kids(), ["a"]);
        assert!(config.inputs.iter().any(|input| input.path() == jwks), "so that a change is seen");
        fs::write(&jwks, JWKS.replace("\"a\"", "\"b\"")).unwrap();
        fs::write(&file, format!("{good}nonsense = 1\n")).unwrap();
        load(&file, Mode::Reload(&config.policy)).unwrap_err();
        assert_eq!(issuer(&config).keys.current_at(0).unwrap().kids(), ["a"], "the policy in force is as it was");
    }

    #[test]
    fn a_warning_about_usernames_that_can_equal_those_of_local_users() {
        let warnings = |keys: &str, more: &str| {
            let config = check(&format!("{}{more}", text(keys))).unwrap();
            let of_prefix = config.warnings.iter().filter(|warning| warning.to_string().contains("username_prefix"));
            of_prefix.count()
        };
        assert_eq!(warnings("", ""), 1);
        assert_eq!(warnings("username_prefix = \"corp:\"", ""), 0);
        assert_eq!(warnings("username_claim = \"\"", ""), 0);
    }

    #[test]
    fn fetched_keys_survive_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let parse = |text: &str, mode: Mode<'_>| parse(text, &file, mode).unwrap().policy;
        let keys = |policy: &Policy| policy.realm("a").unwrap().tokens.trusted[0].keys.clone();
        // A reload requires the signing key that a start writes.
        let first = serve(&text(""), &file).policy;
        let kept = |text: &str| Arc::ptr_eq(&keys(&parse(text, Mode::Reload(&first))), &keys(&first));
        assert!(kept(&text("")) && kept(&text("audience = [\"other\"]")));
        assert!(!kept(&text("algorithms = [\"PS256\"]")));
        assert!(!kept(&text("jwks_url = \"https://idp.example/other\"")));
        assert!(!kept(&text("issuer = \"https://other.example/\"")));
    }
}
