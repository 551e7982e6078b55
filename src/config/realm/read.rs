//! `[[realm]]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::external::ExternalInputs;
use crate::config::origin::{Origin, Origins};
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::realm::api_key::read as api_key;
use crate::config::realm::api_key::read::{ApiKeyKeys, KeyCarrierKeys, MasterKeyKeys};
use crate::config::realm::cookie::read as cookie;
use crate::config::realm::cookie::read::CookieKeys;
use crate::config::realm::declared::{Declared, Realms};
use crate::config::realm::trusted_issuer;
use crate::config::realm::trusted_issuer::{TrustedIssuerKeys, TrustedPool};
use crate::config::realm::user_rules::read as user_rules;
use crate::config::realm::user_rules::read::UserKeys;
use crate::config::realm::{MAX_TTL, Realm};
use crate::config::schema::kind::{
    Raw, choice, duration, flag, list, optional_duration, raw, required, subsection, subsections, text,
};
use crate::config::schema::{Setting, section};
use crate::config::sealed::Sealed;
use crate::config::values::plain;
use crate::filesystem::can_create_directory;
use crate::keystore::keys_dir::KeysDir;
use crate::token::MAX_LEEWAY;
use crate::token::{self, Algorithm};

section! {
    /// A realm: a set of users, API keys, origins and token settings. The file needs at least one.
    RealmKeys = "[[realm]]", Reloadable, with [CookieKeys, KeyCarrierKeys, UserKeys];

    /// Name of the realm: 1 to 63 lower-case letters, digits, hyphens and underscores. The users belong to this name. The
    /// application receives it in `X-Auth-Realm`.
    name: Result<String, Reported> = required(text(check_name, "\"examples\""));

    /// Issuer (`iss`) of the tokens, usually the URL of your site. A change ends every session.
    issuer: Result<String, Reported> = required(text(plain, "\"https://gate.example.com\""));

    /// Audience (`aud`) of the tokens. A change ends every session.
    audience: Option<String> = text(plain, "\"examples\""), default "the name of the realm";

    /// Signature algorithm of new tokens. For all except `HS256`, Tollgate publishes the public keys at
    /// `/.well-known/jwks.json`. Tokens with the previous algorithm stay valid.
    algorithm: Algorithm = choice(&ALGORITHMS, Algorithm::HS256);

    /// Directory of the signing keys, with one file `<kid>.jwk` each. Tollgate creates the first key of the algorithm. The
    /// active key signs, all keys verify, and Tollgate removes a key when its last token has expired.
    keys_dir: Raw = raw("\"/var/lib/tollgate/keys/examples\""), default "`\"keys/<name>\"` beside the configuration file";

    /// Interval of the automatic rotation of the signing key. It must be longer than `publish_ahead`.
    rotate_every: Option<Duration> = optional_duration(MIN_ROTATION..=MAX_TTL, DEFAULT_ROTATION), default "no rotation";

    /// Time between the publication of a new signing key and its activation. In this time, other instances that share
    /// `keys_dir`, and verifiers with a cached JWKS, load the key.
    publish_ahead: Option<Duration> = optional_duration(Duration::ZERO..=MAX_AHEAD, PUBLIC_AHEAD),
        default "`\"10m\"`; with HS256 `\"10s\"`";

    /// Lifetime of a token from a login.
    token_ttl: Duration = duration(Duration::from_secs(1)..=MAX_TTL, DEFAULT_TTL);

    /// Allowed clock skew for `exp` and `nbf` (RFC 7519, 4.1.4 and 4.1.5).
    leeway: Duration = duration(Duration::ZERO..=MAX_LEEWAY, DEFAULT_LEEWAY);

    /// Origins with credentialed CORS requests, such as `"https://app.example.com"`. An origin must match exactly. `"null"` is
    /// allowed only if it is listed. Empty: pages of any origin, but without cookies.
    origins: Vec<Option<Origin>> = list(origin, "[\"https://app.example.com\", \"http://localhost:5173\"]"), default "[]";

    /// With empty `origins`: whether pages of any origin can send requests with cookies. Any site that a user visits can then
    /// act as that user.
    any_origin_credentials: bool = flag(false);

    /// Whether Tollgate rejects requests without `Origin`. Programs other than browsers usually send none.
    require_origin: bool = flag(false);

    /// API keys.
    key: Vec<Section<'s>> = subsections(&ApiKeyKeys::SECTION), default "no API keys";

    /// Master key.
    master_key: Option<Section<'s>> = subsection(&MasterKeyKeys::SECTION), default "no master key";

    /// External issuers of tokens.
    trusted_issuer: Vec<Section<'s>> = subsections(&TrustedIssuerKeys::SECTION), default "no trusted issuers";
}

/// Requirements of the file's logins for a realm.
pub(in crate::config) struct OfLogins<'p> {
    /// A login issues ID tokens: it needs keys for them.
    pub(in crate::config) id_tokens: bool,
    /// Users of the store log in to the realm.
    pub(in crate::config) local_users: bool,
    /// The user pools of its logins.
    pub(in crate::config) pools: Vec<TrustedPool<'p>>,
}

/// Reads all realms of the file.
///
/// `logins` returns what the logins require of the realm with a name. `current`: the realms in force. Their fetched keys
/// and usage counters continue.
pub(in crate::config) fn read_all<'p>(
    sections: Vec<Section<'_>>,
    logins: impl Fn(Option<&str>) -> OfLogins<'p>,
    external: &ExternalInputs,
    current: &[Arc<Realm>],
) -> Realms {
    let mut realms = Realms::default();
    let mut taken = Taken::default();
    for (number, mut section) in (0..).zip(sections) {
        if let Some(name) = section.text("name").filter(|name| check_name(name).is_ok()) {
            section.name(name);
        }
        let keys = RealmKeys::read(&section);
        let name = keys.name.value.clone();
        let twice = realms.declared.iter().any(|other| name.as_ref() == Ok(&other.name));
        if twice {
            keys.name.error("duplicates the name of another realm: write a different name");
        }
        let api_keys = keys.key.is_written().then(|| keys.key.place());
        // A realm without a valid name is read only for its errors.
        let realm = read(&section, &keys, number, logins(name.as_deref().ok()), external, current, &mut taken);
        match name {
            Ok(name) if !twice => realms.declared.push(Declared { name, api_keys, realm: realm.map(Arc::new) }),
            Ok(_) => realms.misnamed = Some(section.reported()),
            Err(reported) => realms.misnamed = Some(reported),
        }
    }
    realms
}

/// Directories of signing keys that are in use, with the path and line of the realm. If issuer and audience are equal, too,
/// then each of two realms accepts the tokens of the other.
#[derive(Default)]
struct Taken {
    keys_dirs: Vec<(Signer, String, usize)>,
}

#[derive(PartialEq, Eq)]
struct Signer {
    dir: PathBuf,
    issuer: Option<String>,
    audience: Option<String>,
}

fn read(
    section: &Section<'_>,
    keys: &RealmKeys<'_>,
    number: u32,
    logins: OfLogins<'_>,
    external: &ExternalInputs,
    current: &[Arc<Realm>],
    taken: &mut Taken,
) -> Result<Realm, Reported> {
    let name = keys.name.value.as_deref().ok();
    let issuer = keys.issuer.value.as_deref().ok();
    whole_seconds(&keys.leeway, *keys.leeway);
    whole_seconds(&keys.token_ttl, *keys.token_ttl);
    let audience = keys.audience.value.clone().or_else(|| name.map(str::to_owned));
    let keys_dir =
        keys_dir(section, keys, audience.as_ref(), external, taken).and_then(|path| rotation(keys, path, external));
    let report = |errors: Vec<String>| {
        errors.into_iter().for_each(|error| {
            keys.keys_dir.error(error);
        });
        section.reported()
    };
    let keys_dir = keys_dir.and_then(|dir| Ok((external.keys(&dir, keys.keys_dir.place()).map_err(report)?, dir)));
    // A systemd credential can't be extended. A client that knows a shared secret can sign anything with it.
    let id_keys_dir = keys_dir.as_ref().ok().map(|(_, dir)| dir);
    let id_keys_dir = id_keys_dir.filter(|dir| logins.id_tokens && dir.writable && dir.algorithm != Algorithm::HS256);
    let id_keys_dir = id_keys_dir.map(|dir| KeysDir { path: dir.path.join(ID_KEYS), ..dir.clone() });
    let id_keys = id_keys_dir.as_ref().map(|dir| external.keys(dir, keys.keys_dir.place()).map_err(report)).transpose();
    let own = trusted_issuer::Own { issuer: &keys.issuer, leeway: *keys.leeway, local_users: logins.local_users };
    let trusted = trusted_issuer::read(&keys.trusted_issuer, own, logins.pools, external, current);
    let cookie = cookie::read(section, name.unwrap_or("examples"));
    let api_keys = api_key::read(&keys.key, name.unwrap_or_default(), external, current);
    let carriers = KeyCarrierKeys::read(section);
    let require_key = *carriers.require_key;
    if require_key && !section.has("key") {
        carriers.require_key.missing(
            "require_key is true, but the realm has no API key: write a [[realm.key]] (tollgate key new), or require_key = false",
        );
    }
    let (key_query, key_header) = api_key::carriers(&carriers);
    if require_key && key_query.is_none() && key_header.is_none() {
        carriers.require_key.error("no request can carry an API key, since key_query and key_header are \"\": write one of them, or require_key = false");
    }
    let master_key = keys.master_key.as_ref().map(|section| api_key::read_master(section, external)).transpose();
    if let Some(key) = master_key.ok().flatten().and_then(|secret| api_keys.get(&secret)) {
        keys.master_key.error(format!("duplicates the secret of API key \"{}\": create a different one", key.id));
    }
    let origins = origins(keys);
    cookie::warn_of_plain_http(&cookie, &keys.issuer, (&keys.origins, &origins));
    let users = user_rules::read(section);
    let name = keys.name.value.clone()?;
    let issuer = issuer.map(str::to_owned).ok_or_else(|| section.reported())?;
    let (signing_keys, keys_dir) = keys_dir?;
    Ok(Realm {
        _sealed: Sealed(()),
        index: number,
        tokens: token::TokenSettings {
            issuer,
            audience: audience.unwrap_or_else(|| name.clone()),
            leeway: keys.leeway.as_secs().try_into().unwrap_or(i64::MAX),
            keys: signing_keys,
            id_keys: id_keys?,
            trusted,
        },
        name,
        keys_dir,
        id_keys_dir,
        token_ttl: keys.token_ttl.value,
        cookie,
        require_key,
        key_query,
        key_header,
        api_keys,
        master_key: master_key?,
        origins,
        require_origin: keys.require_origin.value,
        users,
    })
}

fn check_name(text: &str) -> Result<String, String> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = text.len() <= MAX_NAME_BYTES
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().all(|byte| alphanumeric(byte) || matches!(byte, b'-' | b'_'));
    if valid {
        return Ok(text.into());
    }
    Err(format!(
        "invalid realm name {}: write 1 to {MAX_NAME_BYTES} lower-case letters, digits, hyphens and underscores, starting with a letter or digit",
        quote(text)
    ))
}

/// Reads the algorithm and the rotation of the signing keys.
fn rotation(keys: &RealmKeys<'_>, path: PathBuf, external: &ExternalInputs) -> Result<KeysDir, Reported> {
    let algorithm = *keys.algorithm;
    let default = if algorithm == Algorithm::HS256 { SECRET_AHEAD } else { PUBLIC_AHEAD };
    let publish_ahead = keys.publish_ahead.unwrap_or(default);
    let rotate_every = *keys.rotate_every;
    whole_seconds(&keys.publish_ahead, publish_ahead);
    whole_seconds(&keys.rotate_every, rotate_every.unwrap_or_default());
    let (readers, writable) = external.access(&path);
    if rotate_every.is_some_and(|every| every <= publish_ahead) && !keys.publish_ahead.is_refused() {
        keys.rotate_every.error("must be longer than publish_ahead, or a key is replaced before it becomes active");
    }
    if rotate_every.is_some() && !writable {
        keys.rotate_every.error("requires a writable keys_dir, but this one is a systemd credential: remove it");
    }
    if rotate_every.is_some()
        && writable
        && external.rehearses()
        && let Err(problem) = can_create_directory(&path)
    {
        keys.keys_dir
            .warn(format!("can't write the next signing key: {problem}: set keys_dir to a writable directory"));
    }
    let token_ttl = keys.token_ttl.as_secs().try_into().unwrap_or(i64::MAX);
    Ok(KeysDir { path, readers, writable, algorithm, token_ttl, rotate_every, publish_ahead })
}

fn whole_seconds<T>(setting: &Setting<'_, T>, duration: Duration) {
    if duration.subsec_nanos() != 0 {
        setting.error("must be a whole number of seconds, as times in tokens are: write it with s, m, h or d");
    }
}

fn keys_dir(
    section: &Section<'_>,
    keys: &RealmKeys<'_>,
    audience: Option<&String>,
    external: &ExternalInputs,
    taken: &mut Taken,
) -> Result<PathBuf, Reported> {
    let dir = match keys.keys_dir.optional(|text| external.file(text))? {
        Some(dir) => dir,
        None => external.base().join("keys").join(keys.name.value.as_deref().map_err(|reported| *reported)?),
    };
    // Different spellings of a directory are equal.
    let identity = dir.canonicalize().unwrap_or_else(|_| dir.clone());
    let issuer = keys.issuer.value.clone().ok();
    let signer = Signer { dir: identity, issuer, audience: audience.cloned() };
    if let Some((_, other, line)) = taken.keys_dirs.iter().find(|(other, ..)| *other == signer) {
        return Err(keys.keys_dir.error(format!(
            "is shared with {other} (line {line}), and issuer and audience are equal, so each realm accepts tokens of the other: change one of the three"
        )));
    }
    taken.keys_dirs.push((signer, section.path().into(), section.line()));
    Ok(dir)
}

fn origin(text: &str) -> Result<Option<Origin>, String> {
    match text {
        "null" => Ok(None),
        // SECURITY.md R48
        "*" => {
            Err("\"*\" would allow credentialed requests from every site: list the origins, or leave the list empty \
                    to allow requests without cookies from every site"
                .into())
        }
        _ => Origin::parse(text).map(Some).ok_or_else(|| not_an_origin(text)),
    }
}

fn origins(keys: &RealmKeys<'_>) -> Origins {
    let any_with_credentials = *keys.any_origin_credentials;
    if any_with_credentials && keys.origins.is_written() && !keys.origins.is_empty_list() {
        keys.any_origin_credentials.error("can't be combined with origins: remove one of the two");
    }
    let null = keys.origins.contains(&None);
    if null {
        keys.origins.warn(
            "\"null\" is the origin of a sandboxed frame, which any site can create: it could send requests with the cookie of its visitor. \
             Remove it; forms of Tollgate's own pages with Referrer-Policy: no-referrer do not need it",
        );
    }
    Origins {
        listed: keys.origins.iter().flatten().cloned().collect(),
        allows_null: null,
        any_with_credentials,
        _sealed: Sealed(()),
    }
}

fn not_an_origin(text: &str) -> String {
    let meant = text.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next()?;
        Origin::parse(&format!("{scheme}://{authority}"))
    });
    let origin = meant.as_ref().map_or("https://app.example.com", Origin::as_str);
    format!("invalid origin {}: write it as \"{origin}\", without anything after host and port", quote(text))
}

const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("HS256", Algorithm::HS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
    ("RS256", Algorithm::RS256),
];
/// Longer than the `max-age` of the JWKS, so that every verifier has the key before a token needs it.
const PUBLIC_AHEAD: Duration = Duration::from_secs(600);
/// Nothing is published: only other instances that share the directory load the key.
const SECRET_AHEAD: Duration = Duration::from_secs(10);
const MAX_AHEAD: Duration = Duration::from_secs(30 * 86_400);
/// Tollgate maintains the keys once per minute.
const MIN_ROTATION: Duration = Duration::from_secs(60);
/// Example for messages and documentation: without the key there is no rotation.
const DEFAULT_ROTATION: Duration = Duration::from_secs(90 * 86_400);
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);
const DEFAULT_TTL: Duration = Duration::from_secs(30 * 86_400);
/// Subdirectory of `keys_dir` for the keys of ID tokens.
const ID_KEYS: &str = "id";
const MAX_NAME_BYTES: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::{LOGIN, REALM, SERVER, assert_error, check, warnings, with};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"algorithm = "HS512""#, r#"must be "HS256" or "ES256" or "EdDSA" or "RS256" (found "HS512")"#),
            (r#"algorithm = "none""#, "realm.a.algorithm: "),
            (r#"rotate_every = "59s""#, r#"from "1m""#),
            (r#"rotate_every = "60500ms""#, "whole number of seconds"),
            (r#"publish_ahead = "31d""#, r#"to "30d""#),
            (
                "rotate_every = \"1h\"\npublish_ahead = \"1h\"",
                "realm.a.rotate_every: must be longer than publish_ahead",
            ),
            (r#"issuer = """#, "realm.a.issuer: must not be empty"),
            (r#"issuer = "a\nb""#, "control character"),
            (r#"leeway = "6m""#, r#"from "0s" to "5m""#),
            (r#"leeway = "500ms""#, "whole number of seconds"),
            (r#"token_ttl = "1ms""#, "out of range"),
            ("require_key = true", "has no API key: write a [[realm.key]]"),
            (r#"origins = ["*"]"#, "every site"),
            (r#"origins = ["https://app.example.com/"]"#, r#"write it as "https://app.example.com""#),
            (r#"origins = ["app.example.com"]"#, "invalid origin"),
            (r#"origins = ["capacitor://localhost/"]"#, r#"write it as "capacitor://localhost""#),
            (r#"origins = ["chrome-extension://*"]"#, "invalid origin"),
            (r#"origins = ["https://u:hunter2@a.example"]"#, "invalid origin"),
            ("origins = [\"https://a.example\"]\nany_origin_credentials = true", "can't be combined with origins"),
            (r#"keys_dir = "/dev/null""#, "/dev/null is not a directory"),
            (r#"keys_dir = "${HOME}/keys""#, "only ${CREDENTIALS_DIRECTORY}"),
        ] {
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), expected);
        }
    }

    #[test]
    fn errors_that_follow_from_an_invalid_value_are_suppressed() {
        for (keys, expected) in [
            (r#"require_key = "false""#, "realm.a.require_key: must be true or false"),
            (
                "algorithm = \"ES256\"\npublish_ahead = \"x\"\nrotate_every = \"5m\"",
                "realm.a.publish_ahead: invalid duration",
            ),
            ("rotate_every = \"5mm\"", "realm.a.rotate_every: invalid duration"),
        ] {
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), expected);
        }
        let misspelt = format!("{SERVER}{REALM}{LOGIN}").replace("issuer =", "isuser =");
        assert_error(&misspelt, "realm[0].isuser: unknown key: did you mean issuer?");
        // Below the header of another section, so that it is missing in its own.
        let misplaced = with(
            &REALM.replace("issuer = \"https://a.example\"\n", ""),
            &format!("[[realm.key]]\nid = \"web\"\nsecret = \"{}\"\nissuer = \"https://a.example\"", "x".repeat(32)),
        );
        assert_error(
            &format!("{SERVER}{misplaced}{LOGIN}"),
            "realm.a.key[0].issuer: belongs to [[realm]] but follows [[realm.key]]",
        );
    }

    #[test]
    fn the_default_of_publish_ahead_depends_on_the_algorithm() {
        let dir = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            config.policy.realms[0].keys_dir.clone()
        };
        let ten = Duration::from_secs(10);
        for (keys, ahead) in
            [("", ten), ("algorithm = \"EdDSA\"", ten * 60), ("publish_ahead = \"0s\"", Duration::ZERO)]
        {
            assert_eq!((dir(keys).publish_ahead, dir(keys).rotate_every), (ahead, None), "{keys}");
        }
        assert_eq!(dir("rotate_every = \"90d\"").rotate_every, Some(Duration::from_secs(90 * 86_400)));
    }

    #[test]
    fn an_invalid_name_is_reported_once_and_not_where_it_is_used() {
        for bad in ["", "A", "-a", "a b", "é", &"a".repeat(64)] {
            let text = format!("{SERVER}{REALM}{LOGIN}").replace("\"a\"", &format!("\"{bad}\""));
            assert_error(&text, "t.toml:6:8: realm[0].name: ");
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, &format!("name = \"{bad}\""))), "realm[0].name: ");
        }
        assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, "name = 1")), "realm[0].name: must be a string");
        let third = with(REALM, "name = \"examples\"\ncookie = \"e\"");
        let second = with(REALM, "name = \"B\"\ncookie = \"b\"");
        assert_error(&format!("{SERVER}{REALM}{third}{second}{LOGIN}"), "invalid realm name \"B\"");
        for good in ["a", "0", "a-b_c", &"a".repeat(63)] {
            let text = format!("{SERVER}{REALM}{LOGIN}").replace("\"a\"", &format!("\"{good}\""));
            assert!(check(&text).is_ok(), "{good}");
        }
    }

    #[test]
    fn origins_and_credentials() {
        let origins = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            config.policy.realms[0].origins.clone()
        };
        let listed = origins(r#"origins = ["HTTPS://A.example:443", "null"]"#);
        assert!(
            listed.contains(&Origin::parse("https://a.example").unwrap()) && listed.allows_null && !listed.allows_any()
        );
        assert!(!origins(r#"origins = ["https://a.example"]"#).allows_null);
        let apps = origins(r#"origins = ["capacitor://localhost", "chrome-extension://abc", "app://a:1"]"#);
        assert!(apps.contains_text("capacitor://localhost") && apps.contains_text("app://a:1"));
        assert!(!apps.contains_text("capacitor://localhost:1") && !apps.contains_text("Capacitor://localhost"));
        for (keys, warned) in
            [(r#"origins = ["null"]"#, true), (r#"origins = ["https://a.example"]"#, false), ("", false)]
        {
            let found = warnings(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)));
            assert_eq!(found.iter().any(|warning| warning.contains("realm.a.origins: \"null\"")), warned, "{found:?}");
        }
        assert!(origins("any_origin_credentials = true").any_with_credentials);
        assert!(origins("origins = []\nany_origin_credentials = true").allows_any());
    }
}
