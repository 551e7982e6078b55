//! `[[realm.trusted_issuer]]`.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{ca_file, plain, realm};
use crate::config::outside::Outside;
use crate::config::policy::{MAX_LEEWAY, Policy};
use crate::config::reader::{Keys, Section};
use crate::config::spelling::{none_of, quote};
use crate::config::user_pool::UserPool;
use crate::token::{
    Algorithm, Audience, Issuer, Location, MAX_TRUSTED_TOKEN_BYTES, Mapping, Remote, Source, TrustedKeys, Type,
    check_url,
};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[realm.trusted_issuer]]",
    known: &[
        "issuer",
        "audience",
        "client_ids",
        "token_size",
        "algorithms",
        "types",
        "jwks_url",
        "jwks_file",
        "discovery",
        "insecure_http",
        "ca_file",
        "refresh",
        "max_stale",
        "timeout",
        "leeway",
        "required_claims",
        "claims",
        "roles_claims",
        "username_claim",
        "username_prefix",
        "email_claim",
    ],
    later: &[],
    parent: Some(&realm::KEYS),
};

/// What its issuers need to know of a realm.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    /// The issuer of its own tokens.
    pub(super) issuer: Option<&'a str>,
    /// Allowed clock skew of its own tokens.
    pub(super) leeway: Duration,
    /// Users of the store log in to it.
    pub(super) local_users: bool,
}

/// The trusted issuers of a realm, and the user pools of its logins,
/// each with the place of its login. Keys that `current` has from the same place are kept: a reload must not depend on an
/// issuer that answers.
pub(super) fn read<'p>(
    realm: &Section<'_>,
    own: Own<'_>,
    pools: impl Iterator<Item = (&'p str, &'p UserPool)>,
    outside: &Outside,
    current: Option<&Policy>,
) -> Vec<Issuer> {
    let mut issuers: Vec<Issuer> = Vec::new();
    let pools: Vec<_> = pools.collect();
    for section in realm.tables("trusted_issuer", &KEYS) {
        let name = section.required("issuer", "\"https://tenant.eu.auth0.com/\"", plain);
        if let Some(name) = &name {
            if own.issuer == Some(name) {
                section.error("issuer", "is the issuer of the realm itself: whose keys should verify its tokens?");
            }
            if issuers.iter().any(|other| *other.name == **name) {
                section.error("issuer", "is that of another [[realm.trusted_issuer]] of this realm: make them one");
            }
            if let Some((place, _)) = pools.iter().find(|(_, pool)| pool.issuer() == name) {
                section.error(
                    "issuer",
                    format!("is the user pool of {place}, which is trusted already: remove one of the two"),
                );
            }
        }
        let algorithms = algorithms(&section);
        let audience = audience(&section);
        let token_size = section.size("token_size", MAX_TRUSTED_TOKEN_BYTES as u64, DEFAULT_TOKEN_SIZE);
        let token_size = usize::try_from(token_size).unwrap_or(MAX_TRUSTED_TOKEN_BYTES);
        let types = types(&section);
        let leeway = section.duration("leeway", Duration::ZERO..=MAX_LEEWAY, own.leeway);
        let required = section.list("required_claims", plain);
        let exact =
            section.values("claims", "a table of claims with their exact values, such as { token_use = \"access\" }");
        let mapping = Mapping {
            username: claim(&section, "username_claim", "username"),
            username_prefix: section.optional("username_prefix", plain).unwrap_or_default(),
            email: claim(&section, "email_claim", "email"),
            roles: section.list("roles_claims", plain),
        };
        if own.local_users && mapping.username.is_some() && !section.has("username_prefix") {
            let message = "is missing, and users of the realm log in too: an application can't tell a username of this issuer from \
                           the same one of a local user: write a prefix such as \"corp:\", or username_claim = \"\"";
            section.warn("username_prefix", message);
        }
        let Some((name, source)) = name.clone().zip(source(&section, name.as_deref(), outside)) else { continue };
        let keys = keys(&name, &source, &algorithms, current);
        let written = ["jwks_url", "jwks_file"].into_iter().find(|key| section.has(key)).unwrap_or("discovery");
        outside.note_issuer(section.place(written), keys.clone());
        if let Source::File(path) = &source {
            let installed = outside.public_file(path).and_then(|text| {
                keys.install(&text, outside.now()).map_err(|error| format!("{} {error}", path.display()))
            });
            if let Err(problem) = installed {
                section.error("jwks_file", problem);
            }
        }
        let (name, leeway) = (name.into(), i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX));
        issuers.push(Issuer { name, audience, token_size, algorithms, types, leeway, required, exact, mapping, keys });
    }
    for (place, pool) in pools {
        if own.issuer == Some(pool.issuer()) {
            realm.error("issuer", format!("is that of the user pool of {place}: write a name of your own"));
        }
        // Other app clients of the same pool.
        let same = issuers.iter_mut().find(|other| *other.name == *pool.issuer());
        if let Some(Issuer { audience: Audience { clients, .. }, .. }) = same {
            if !clients.iter().any(|client| client == pool.client_id()) {
                clients.push(pool.client_id().into());
            }
            continue;
        }
        issuers.push(of_pool(pool, own.leeway, current));
    }
    issuers
}

/// A user pool of Amazon Cognito, as its documentation describes its access tokens.
fn of_pool(pool: &UserPool, leeway: Duration, current: Option<&Policy>) -> Issuer {
    let (algorithms, source) = (vec![Algorithm::RS256], Source::Remote(pool.keys.clone()));
    let keys = keys(pool.issuer(), &source, &algorithms, current);
    Issuer {
        name: pool.issuer().into(),
        audience: Audience { any_of: Vec::new(), clients: vec![pool.client_id().into()] },
        token_size: DEFAULT_TOKEN_SIZE as usize,
        algorithms,
        // Cognito writes none; moto's does.
        types: vec![Type::Absent, Type::Jwt],
        leeway: i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX),
        required: Vec::new(),
        exact: vec![("token_use".into(), "access".into())],
        // An access token has no email but one that a trigger put there, and nobody says that it was verified.
        mapping: Mapping {
            username: Some("username".into()),
            username_prefix: String::new(),
            email: None,
            roles: vec!["cognito:groups".into()],
        },
        keys,
    }
}

/// Those that `current` has from there, or none yet. A file is read anew: what is wrong with the rest of the configuration
/// must leave the policy in force as it is.
fn keys(name: &str, source: &Source, algorithms: &[Algorithm], current: Option<&Policy>) -> Arc<TrustedKeys> {
    let fetched = current.filter(|_| matches!(source, Source::Remote(_)));
    let kept = fetched.and_then(|policy| policy.trusted_keys(name, source, algorithms));
    kept.unwrap_or_else(|| {
        let keys = TrustedKeys::new(source.clone(), algorithms.to_vec());
        // A longer `max_stale` is what one writes while the issuer is away: its keys must not be lost over it.
        if let Some(there) = fetched.and_then(|policy| policy.keys_from_there(name, source)) {
            keys.inherit(there);
        }
        Arc::new(keys)
    })
}

fn algorithms(section: &Section<'_>) -> Vec<Algorithm> {
    if section.is_empty_list("algorithms") {
        section.error("algorithms", "is empty: list those that this issuer signs with, such as [\"RS256\"]");
    }
    let listed = section.list("algorithms", |text| match Algorithm::from_name(text) {
        // Whoever can verify with it can sign with it.
        Some(Algorithm::HS256) => {
            Err("\"HS256\" is for the realm's own tokens only: let the issuer sign with a private key, such as RS256"
                .into())
        }
        Some(algorithm) => Ok(algorithm),
        None => Err(none_of(text, Algorithm::ALL.iter().skip(1).map(|algorithm| algorithm.name()))),
    });
    if section.has("algorithms") { listed } else { vec![Algorithm::RS256] }
}

fn audience(section: &Section<'_>) -> Audience {
    if !section.has("audience") && !section.has("client_ids") {
        section.missing(
            "audience",
            "write audience, of which the aud of a token must name one, or client_ids, of which its client_id, azp or cid must be one, or both",
        );
    }
    for key in ["audience", "client_ids"] {
        if section.is_empty_list(key) {
            section.error(key, "must not be empty: write at least one value");
        }
    }
    Audience { any_of: section.list("audience", plain), clients: section.list("client_ids", plain) }
}

fn types(section: &Section<'_>) -> Vec<Type> {
    if section.is_empty_list("types") {
        section.error("types", "is empty: list \"JWT\", \"at+jwt\", and \"absent\" for tokens without typ");
    }
    let listed = section.list("types", |text| match text {
        "JWT" => Ok(Type::Jwt),
        "at+jwt" => Ok(Type::AccessToken),
        "absent" => Ok(Type::Absent),
        _ => Err(none_of(text, ["JWT", "at+jwt", "absent"].into_iter())),
    });
    if section.has("types") { listed } else { vec![Type::Jwt, Type::AccessToken] }
}

/// The name of a claim; empty for none.
fn claim(section: &Section<'_>, key: &'static str, default: &str) -> Option<String> {
    let written = section.optional(key, |text| if text.is_empty() { Ok(None) } else { plain(text).map(Some) });
    written.unwrap_or_else(|| Some(default.to_owned()))
}

/// Where its keys are.
fn source(section: &Section<'_>, issuer: Option<&str>, outside: &Outside) -> Option<Source> {
    let discovery = section.flag("discovery", false);
    let written: Vec<_> = ["jwks_url", "jwks_file"].into_iter().filter(|key| section.has(key)).collect();
    if section.is_refused("discovery") {
        return None;
    }
    if written.len() + usize::from(discovery) != 1 {
        section
            .missing("", "needs exactly one of jwks_url, jwks_file and discovery = true, which say where its keys are");
        return None;
    }
    let insecure_http = section.flag("insecure_http", false);
    let roots = roots(section, outside);
    let refresh = section.duration("refresh", MIN_REFRESH..=MAX_REFRESH, DEFAULT_REFRESH);
    let max_stale = section.duration("max_stale", MIN_REFRESH..=MAX_STALE, DEFAULT_STALE.max(refresh));
    if max_stale < refresh && !section.is_refused("refresh") {
        section
            .error("max_stale", "is shorter than refresh: its keys would count no more before they are fetched again");
    }
    let timeout = section.duration("timeout", TIMEOUTS, DEFAULT_TIMEOUT);
    let location = if discovery {
        // OpenID Connect Discovery 1.0, 4.1
        let url = format!("{}/.well-known/openid-configuration", issuer?.trim_end_matches('/'));
        match check_url(&url, insecure_http) {
            Ok(()) => Location::Discovery(url),
            Err(problem) => {
                section.error("issuer", format!("{} {problem}", quote(&url)));
                return None;
            }
        }
    } else if section.has("jwks_url") {
        Location::Jwks(section.optional("jwks_url", |text| {
            check_url(text, insecure_http)
                .map(|()| text.to_owned())
                .map_err(|problem| format!("{} {problem}", quote(text)))
        })?)
    } else {
        return section.optional("jwks_file", |path| outside.file(path)).map(Source::File);
    };
    Some(Source::Remote(Remote { location, insecure_http, roots, refresh, max_stale, timeout }))
}

/// Certificates to trust for what is fetched.
pub(super) fn roots(section: &Section<'_>, outside: &Outside) -> Option<Vec<u8>> {
    ca_file(section, "ca_file", outside).map(|file| file.text)
}

/// Bytes. Microsoft Entra ID puts up to 200 group ids into a token, Keycloak the roles of all clients: 10 to 30 KB.
const DEFAULT_TOKEN_SIZE: u64 = 32 << 10;
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(86_400);
pub(super) const DEFAULT_REFRESH: Duration = Duration::from_secs(600);
const MAX_STALE: Duration = Duration::from_secs(30 * 86_400);
pub(super) const DEFAULT_STALE: Duration = Duration::from_secs(86_400);
pub(super) const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check, with};
    use crate::config::{Config, Mode, load, parse};

    const ISSUER: &str = "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"api\"]\n\
                          jwks_url = \"https://idp.example/jwks\"\n";
    const JWKS: &str =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn text(keys: &str) -> String {
        format!("{SERVER}{REALM}{}{LOGIN}", with(ISSUER, keys))
    }

    fn issuer(config: &Config) -> &Issuer {
        &config.policy.realm("a").unwrap().tokens().trusted[0]
    }

    #[test]
    fn defaults() {
        let config = check(&text("")).unwrap();
        let issuer = issuer(&config);
        assert_eq!((&*issuer.name, issuer.leeway), ("https://idp.example/", 5));
        assert_eq!(issuer.audience, Audience { any_of: vec!["api".into()], clients: Vec::new() });
        assert_eq!(issuer.algorithms, [Algorithm::RS256]);
        assert_eq!(issuer.types, [Type::Jwt, Type::AccessToken]);
        assert!(issuer.required.is_empty() && issuer.exact.is_empty() && issuer.mapping.roles.is_empty());
        assert_eq!(
            (issuer.mapping.username.as_deref(), issuer.mapping.email.as_deref()),
            (Some("username"), Some("email"))
        );
        let Source::Remote(remote) = issuer.keys.source() else { panic!() };
        assert_eq!(remote.location, Location::Jwks("https://idp.example/jwks".into()));
        assert!(!remote.insecure_http && remote.roots.is_none());
        assert_eq!(
            (remote.refresh, remote.max_stale, remote.timeout),
            (DEFAULT_REFRESH, DEFAULT_STALE, DEFAULT_TIMEOUT)
        );
    }

    #[test]
    fn what_else_can_be_said() {
        let keys = "algorithms = [\"PS256\", \"EdDSA\"]\ntypes = [\"absent\"]\nleeway = \"0s\"\nusername_claim = \"\"\n\
                    claims = { token_use = \"access\", n = 7, b = false }\nrequired_claims = [\"x\"]\nroles_claims = [\"scope\"]";
        let config = check(&text(keys)).unwrap();
        let issuer = issuer(&config);
        assert_eq!(issuer.algorithms, [Algorithm::PS256, Algorithm::EdDSA]);
        assert_eq!((&issuer.types[..], issuer.leeway, &issuer.mapping.username), (&[Type::Absent][..], 0, &None));
        let mut exact = issuer.exact.clone();
        exact.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(exact, [("b".into(), false.into()), ("n".into(), 7.into()), ("token_use".into(), "access".into())]);
        let found = check(&text("").replace("jwks_url = \"https://idp.example/jwks\"", "discovery = true")).unwrap();
        let Source::Remote(remote) = self::issuer(&found).keys.source() else { panic!() };
        assert_eq!(remote.location, Location::Discovery("https://idp.example/.well-known/openid-configuration".into()));
    }

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            ("issuer = \"https://a.example\"", "trusted_issuer[0].issuer: is the issuer of the realm itself"),
            ("audience = []", "audience: must not be empty"),
            ("client_ids = []", "client_ids: must not be empty"),
            ("token_size = \"65KiB\"", "token_size: "),
            ("username_prefix = \"\"", "username_prefix: is empty"),
            ("algorithms = []", "algorithms: is empty"),
            ("algorithms = [\"HS256\"]", "for the realm's own tokens only"),
            ("algorithms = [\"none\"]", "must be \"ES256\" or "),
            ("types = [\"jwt\"]", "(found \"jwt\"): did you mean \"JWT\"?"),
            ("types = []", "types: is empty"),
            ("jwks_file = \"x\"", "exactly one of jwks_url, jwks_file and discovery"),
            ("discovery = true", "exactly one of jwks_url, jwks_file and discovery"),
            ("jwks_url = \"http://idp.example/jwks\"", "write https, or insecure_http = true"),
            ("jwks_url = \"https://u:p@idp.example/jwks\"", "no user and no fragment"),
            ("jwks_url = \"idp.example/jwks\"", "jwks_url"),
            ("jwks_url = \"file:///etc/passwd\"", "jwks_url"),
            ("ca_file = \"/dev/null\"", "not a regular file"),
            ("refresh = \"2d\"", "out of range"),
            ("refresh = \"1h\"\nmax_stale = \"5m\"", "is shorter than refresh"),
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
        assert_error(&twice, "is that of another [[realm.trusted_issuer]]");
        let plain = text("")
            .replace("jwks_url = \"https://idp.example/jwks\"", "discovery = true")
            .replace("https://idp", "http://idp");
        assert_error(&plain, "issuer: \"http://idp.example/.well-known/openid-configuration\" lets whoever");
    }

    #[test]
    fn a_file_of_keys_is_read_with_the_configuration_and_only_if_all_of_it_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let (file, jwks) = (dir.path().join("t.toml"), dir.path().join("idp.json"));
        let good = text("algorithms = [\"EdDSA\"]")
            .replace("jwks_url = \"https://idp.example/jwks\"", "jwks_file = \"idp.json\"");
        fs::write(&file, &good).unwrap();
        let missing = load(&file, Mode::Check).unwrap_err().to_string();
        assert!(missing.contains("jwks_file: can't read") && missing.contains("does not exist"), "{missing}");
        fs::write(&jwks, "<html>").unwrap();
        assert!(load(&file, Mode::Check).unwrap_err().to_string().contains("idp.json is no JSON object"));
        fs::write(&jwks, JWKS).unwrap();
        let config = load(&file, Mode::Check).unwrap();
        assert_eq!(issuer(&config).keys.at(0).unwrap().kids(), ["a"]);
        assert!(config.inputs.iter().any(|input| input.path() == jwks), "so that a change is seen");
        fs::write(&jwks, JWKS.replace("\"a\"", "\"b\"")).unwrap();
        fs::write(&file, format!("{good}nonsense = 1\n")).unwrap();
        load(&file, Mode::Reload(&config.policy)).unwrap_err();
        assert_eq!(issuer(&config).keys.at(0).unwrap().kids(), ["a"], "the policy in force is as it was");
    }

    #[test]
    fn usernames_that_may_be_those_of_local_users_are_a_warning() {
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
    fn keys_that_were_fetched_outlive_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let parse = |text: &str, mode: Mode<'_>| parse(text, &file, mode).unwrap().policy;
        let keys = |policy: &Policy| policy.realm("a").unwrap().tokens().trusted[0].keys.clone();
        // A reload requires the signing key that a start writes.
        let first = parse(&text(""), Mode::Serve);
        let kept = |text: &str| Arc::ptr_eq(&keys(&parse(text, Mode::Reload(&first))), &keys(&first));
        assert!(kept(&text("")) && kept(&text("audience = [\"other\"]")));
        assert!(!kept(&text("algorithms = [\"PS256\"]")));
        assert!(!kept(&text("jwks_url = \"https://idp.example/other\"")));
        assert!(!kept(&text("issuer = \"https://other.example/\"")));
    }
}
