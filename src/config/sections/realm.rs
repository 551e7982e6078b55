//! `[[realm]]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::cognito::Pools;
use super::{Declared, Realms, api_key, cookie, login, plain, trusted_issuer, user_rules};
use crate::config::filesystem::can_create_directory;
use crate::config::keys_dir::KeysDir;
use crate::config::origin::{Origin, Origins};
use crate::config::outside::Outside;
use crate::config::policy::{MAX_LEEWAY, MAX_TTL, Policy, Realm};
use crate::config::reader::{Keys, Section};
use crate::config::spelling::quote;
use crate::token::{self, Algorithm};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[realm]]",
    known: &[
        "name",
        "issuer",
        "audience",
        "algorithm",
        "keys_dir",
        "rotate_every",
        "publish_ahead",
        "token_ttl",
        "leeway",
        "cookie",
        "same_site",
        "insecure_cookie",
        "partitioned",
        "require_key",
        "key_query",
        "key_header",
        "origins",
        "any_origin_credentials",
        "require_origin",
        "registration",
        "registrations_per_hour",
        "rename",
        "password_min",
        "key",
        "master_key",
        "trusted_issuer",
    ],
    later: &[],
    parent: None,
};

/// Every realm of the file.
///
/// `logins`: one that hands out ID tokens needs keys of their own for them. `pools`: the user pools of the
/// logins, which their realms trust.
pub(in crate::config) fn read_all(
    root: &Section<'_>,
    logins: &[Section<'_>],
    pools: &Pools,
    outside: &Outside,
    current: Option<&Policy>,
) -> Realms {
    let mut realms = Realms::default();
    let mut taken = Taken::default();
    for (number, mut section) in (0..).zip(root.tables("realm", &KEYS)) {
        let name = section.required("name", "\"examples\"", check_name);
        if let Some(name) = name {
            section.name(name);
        }
        let twice = realms.declared.iter().any(|other| Some(other.name.as_str()) == name);
        if twice {
            section.error("name", "is the name of a realm above too: write another");
        }
        // Without a name the rest is read all the same, for its errors.
        let realm = read(&section, number, (name, logins, pools), outside, current, &mut taken);
        match name {
            Some(name) if !twice => {
                let has_keys = section.has("key");
                realms.declared.push(Declared { name: name.into(), has_keys, realm: realm.map(Arc::new) });
            }
            _ => realms.misnamed = true,
        }
    }
    realms
}

/// What no two realms may share, issuer, audience and signing keys all three: the tokens of one would open the other. With
/// the path and line of the realm that has it.
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
    number: u32,
    (name, logins, pools): (Option<&str>, &[Section<'_>], &Pools),
    outside: &Outside,
    current: Option<&Policy>,
    taken: &mut Taken,
) -> Option<Realm> {
    let issuer = section.required("issuer", "\"https://gate.example.com\"", plain);
    let audience = section.optional("audience", plain);
    let leeway = section.duration("leeway", Duration::ZERO..=MAX_LEEWAY, DEFAULT_LEEWAY);
    let token_ttl = section.duration("token_ttl", Duration::from_secs(1)..=MAX_TTL, DEFAULT_TTL);
    whole_seconds(section, &[("leeway", leeway), ("token_ttl", token_ttl)]);
    let audience = audience.or_else(|| name.map(str::to_owned));
    let keys_dir = keys_dir(section, name, (issuer.as_ref(), audience.as_ref()), outside, taken)
        .and_then(|path| turns(section, path, token_ttl, outside));
    let report = |errors: Vec<String>| errors.into_iter().for_each(|error| section.error("keys_dir", error));
    let keys_dir =
        keys_dir.and_then(|dir| Some((outside.keys(&dir, section.place("keys_dir")).map_err(report).ok()?, dir)));
    // What systemd put there is all that there is. And who knows a shared secret can sign anything with it.
    let id_keys_dir = keys_dir.as_ref().map(|(_, dir)| dir);
    let id_tokens = login::have_id_tokens(logins);
    let id_keys_dir = id_keys_dir.filter(|dir| id_tokens && dir.writable && dir.algorithm != Algorithm::HS256);
    let id_keys_dir = id_keys_dir.map(|dir| KeysDir { path: dir.path.join(ID_KEYS), ..dir.clone() });
    let id_keys = id_keys_dir.as_ref().map(|dir| outside.keys(dir, section.place("keys_dir")).map_err(report).ok());
    let pools = name.into_iter().flat_map(|name| pools.of_realm(name));
    let local_users = name.is_some_and(|name| login::have_local_users(logins, name));
    let own = trusted_issuer::Own { issuer: issuer.as_deref(), leeway, local_users };
    let trusted = trusted_issuer::read(section, own, pools, outside, current);
    let cookie = cookie::read(section, name.unwrap_or("examples"));
    let require_key = section.flag("require_key", false);
    let api_keys = api_key::read(section, name.unwrap_or_default(), outside, current);
    if require_key && !section.has("key") {
        section.missing(
            "require_key",
            "every request needs an API key, and there is none: write a [[realm.key]] (tollgate key new), or require_key = false",
        );
    }
    let (key_query, key_header) = api_key::carriers(section);
    if require_key && key_query.is_none() && key_header.is_none() {
        section.error("require_key", "no request can carry a key, since key_query and key_header are both \"\": write one of them, or require_key = false");
    }
    let master_key = api_key::read_master(section, outside);
    if let Some(key) = master_key.and_then(|secret| api_keys.get(&secret)) {
        section.error("master_key", format!("is the secret of the API key \"{}\" too: make another", key.id));
    }
    let origins = origins(section);
    cookie::warn_of_plain_http(section, &cookie, issuer.as_deref(), &origins);
    let require_origin = section.flag("require_origin", false);
    let users = user_rules::read(section);
    let name = name?;
    let (keys, keys_dir) = keys_dir?;
    let leeway = leeway.as_secs().try_into().ok()?;
    Some(Realm {
        number,
        name: name.into(),
        tokens: token::Rules {
            issuer: issuer?,
            audience: audience?,
            leeway,
            keys,
            id_keys: id_keys.flatten(),
            trusted,
        },
        keys_dir,
        id_keys_dir,
        token_ttl,
        cookie,
        require_key,
        key_query,
        key_header,
        api_keys,
        master_key,
        origins,
        require_origin,
        users,
    })
}

fn check_name(text: &str) -> Result<&str, String> {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = text.len() <= MAX_NAME_BYTES
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().all(|byte| alphanumeric(byte) || matches!(byte, b'-' | b'_'));
    if valid {
        return Ok(text);
    }
    Err(format!(
        "{} is no name of a realm: write 1 to {MAX_NAME_BYTES} lower-case letters, digits, hyphens and underscores, a letter or digit first",
        quote(text)
    ))
}

/// Which algorithm its keys are of, and how they take turns.
fn turns(section: &Section<'_>, path: PathBuf, token_ttl: Duration, outside: &Outside) -> Option<KeysDir> {
    let algorithm = section.choice("algorithm", &ALGORITHMS, &[]).unwrap_or(Algorithm::HS256);
    let default = if algorithm == Algorithm::HS256 { SECRET_AHEAD } else { PUBLIC_AHEAD };
    let publish_ahead = section.duration("publish_ahead", Duration::ZERO..=MAX_AHEAD, default);
    let rotate_every = section.duration("rotate_every", MIN_ROTATION..=MAX_TTL, DEFAULT_ROTATION);
    let rotate_every = section.has("rotate_every").then_some(rotate_every);
    whole_seconds(section, &[("publish_ahead", publish_ahead), ("rotate_every", rotate_every.unwrap_or_default())]);
    let (readers, writable) = outside.access(&path);
    if rotate_every.is_some_and(|every| every <= publish_ahead) && !section.is_refused("publish_ahead") {
        section.error("rotate_every", "is not longer than publish_ahead: a key would be replaced before it signs");
    }
    if rotate_every.is_some() && !writable {
        section
            .error("rotate_every", "keys_dir is one of systemd's credentials, into which no key can be put: remove it");
    }
    if rotate_every.is_some()
        && writable
        && outside.rehearses()
        && let Err(problem) = can_create_directory(&path)
    {
        let message = format!("can't write the next signing key: {problem}: set keys_dir to a writable directory");
        section.warn("keys_dir", message);
    }
    let token_ttl = token_ttl.as_secs().try_into().ok()?;
    Some(KeysDir { path, readers, writable, algorithm, token_ttl, rotate_every, publish_ahead })
}

fn whole_seconds(section: &Section<'_>, durations: &[(&'static str, Duration)]) {
    for (key, duration) in durations {
        if duration.subsec_nanos() != 0 {
            section.error(key, "tokens count in whole seconds: write it with s, m, h or d");
        }
    }
}

fn keys_dir(
    section: &Section<'_>,
    name: Option<&str>,
    (issuer, audience): (Option<&String>, Option<&String>),
    outside: &Outside,
    taken: &mut Taken,
) -> Option<PathBuf> {
    let dir = if section.has("keys_dir") {
        section.optional("keys_dir", |text| outside.file(text))?
    } else {
        outside.base().join("keys").join(name?)
    };
    // Two spellings of one directory are one.
    let identity = dir.canonicalize().unwrap_or_else(|_| dir.clone());
    let signer = Signer { dir: identity, issuer: issuer.cloned(), audience: audience.cloned() };
    if let Some((_, other, line)) = taken.keys_dirs.iter().find(|(other, ..)| *other == signer) {
        section.error(
            "keys_dir",
            format!(
                "is the directory of {other} (line {line}) too, which has the same issuer and audience: tokens of one would open the other"
            ),
        );
        return None;
    }
    taken.keys_dirs.push((signer, section.path().into(), section.line()));
    Some(dir)
}

fn origins(section: &Section<'_>) -> Origins {
    let listed = section.list("origins", |text| match text {
        "null" => Ok(None),
        // R48
        "*" => {
            Err("\"*\" would let every site call with its visitor's login: list the origins, or leave the list empty \
                    to let any site call without"
                .into())
        }
        _ => Origin::parse(text).map(Some).ok_or_else(|| not_an_origin(text)),
    });
    let any_with_credentials = section.flag("any_origin_credentials", false);
    if any_with_credentials && section.has("origins") && !section.is_empty_list("origins") {
        section.error("any_origin_credentials", "excludes origins: remove one of the two");
    }
    let null = listed.contains(&None);
    if null {
        section.warn(
            "origins",
            "\"null\" is the origin of a sandboxed frame, which any site can make: it may call with its visitor's cookie. Remove it; \
             forms of the gate's own pages with Referrer-Policy: no-referrer count without it",
        );
    }
    Origins { listed: listed.into_iter().flatten().collect(), null, any_with_credentials }
}

fn not_an_origin(text: &str) -> String {
    let meant = text.split_once("://").and_then(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next()?;
        Origin::parse(&format!("{scheme}://{authority}"))
    });
    let origin = meant.as_ref().map_or("https://app.example.com", Origin::as_str);
    format!("{} is no origin: write it as \"{origin}\", with nothing after the host and port", quote(text))
}

/// Those that we sign with.
const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("HS256", Algorithm::HS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
    ("RS256", Algorithm::RS256),
];
/// Longer than the key set may stay in caches (`max-age`), so that who verifies has the key before a token needs it.
const PUBLIC_AHEAD: Duration = Duration::from_secs(600);
/// Only other gates that share the directory have to learn of a secret.
const SECRET_AHEAD: Duration = Duration::from_secs(10);
const MAX_AHEAD: Duration = Duration::from_secs(30 * 86_400);
/// It is looked after once a minute.
const MIN_ROTATION: Duration = Duration::from_secs(60);
/// Only for the error's example: without the key there is no rotation.
const DEFAULT_ROTATION: Duration = Duration::from_secs(90 * 86_400);
const DEFAULT_LEEWAY: Duration = Duration::from_secs(5);
const DEFAULT_TTL: Duration = Duration::from_secs(30 * 86_400);
/// Below `keys_dir`, where the keys that sign ID tokens are.
const ID_KEYS: &str = "id";
const MAX_NAME_BYTES: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check, warnings, with};

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            (r#"algorithm = "HS512""#, r#"must be "HS256" or "ES256" or "EdDSA" or "RS256" (found "HS512")"#),
            (r#"algorithm = "none""#, "realm.a.algorithm: "),
            (r#"rotate_every = "59s""#, r#"from "1m""#),
            (r#"rotate_every = "60500ms""#, "whole seconds"),
            (r#"publish_ahead = "31d""#, r#"to "30d""#),
            ("rotate_every = \"1h\"\npublish_ahead = \"1h\"", "realm.a.rotate_every: is not longer than publish_ahead"),
            (r#"issuer = """#, "realm.a.issuer: is empty"),
            (r#"issuer = "a\nb""#, "control character"),
            (r#"leeway = "6m""#, r#"from "0s" to "5m""#),
            (r#"leeway = "500ms""#, "whole seconds"),
            (r#"token_ttl = "1ms""#, "out of range"),
            ("require_key = true", "there is none: write a [[realm.key]]"),
            (r#"origins = ["*"]"#, "every site"),
            (r#"origins = ["https://app.example.com/"]"#, r#"write it as "https://app.example.com""#),
            (r#"origins = ["app.example.com"]"#, "is no origin"),
            (r#"origins = ["capacitor://localhost/"]"#, r#"write it as "capacitor://localhost""#),
            (r#"origins = ["chrome-extension://*"]"#, "is no origin"),
            (r#"origins = ["https://u:hunter2@a.example"]"#, "is no origin"),
            ("origins = [\"https://a.example\"]\nany_origin_credentials = true", "excludes origins"),
            (r#"keys_dir = "/dev/null""#, "/dev/null is not a directory"),
            (r#"keys_dir = "${HOME}/keys""#, "only ${CREDENTIALS_DIRECTORY}"),
        ] {
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), expected);
        }
    }

    #[test]
    fn what_follows_from_a_bad_value_is_not_told() {
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
        // Below the header of another section, and so missing in its own.
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
    fn keys_of_a_kind_that_is_published_are_published_ahead() {
        let dir = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            config.policy.realms()[0].keys_dir().clone()
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
    fn a_bad_name_is_told_once_and_not_again_where_it_is_used() {
        for bad in ["", "A", "-a", "a b", "é", &"a".repeat(64)] {
            let text = format!("{SERVER}{REALM}{LOGIN}").replace("\"a\"", &format!("\"{bad}\""));
            assert_error(&text, "t.toml:6:8: realm[0].name: ");
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, &format!("name = \"{bad}\""))), "realm[0].name: ");
        }
        assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, "name = 1")), "realm[0].name: must be a string");
        let third = with(REALM, "name = \"examples\"\ncookie = \"e\"");
        let second = with(REALM, "name = \"B\"\ncookie = \"b\"");
        assert_error(&format!("{SERVER}{REALM}{third}{second}{LOGIN}"), "\"B\" is no name of a realm");
        for good in ["a", "0", "a-b_c", &"a".repeat(63)] {
            let text = format!("{SERVER}{REALM}{LOGIN}").replace("\"a\"", &format!("\"{good}\""));
            assert!(check(&text).is_ok(), "{good}");
        }
    }

    #[test]
    fn origins_and_credentials() {
        let origins = |keys: &str| {
            let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, keys))).unwrap();
            config.policy.realms()[0].origins().clone()
        };
        let listed = origins(r#"origins = ["HTTPS://A.example:443", "null"]"#);
        assert!(listed.lists(&Origin::parse("https://a.example").unwrap()) && listed.lists_null() && !listed.is_open());
        assert!(!origins(r#"origins = ["https://a.example"]"#).lists_null());
        let apps = origins(r#"origins = ["capacitor://localhost", "chrome-extension://abc", "app://a:1"]"#);
        assert!(apps.lists_as_written("capacitor://localhost") && apps.lists_as_written("app://a:1"));
        assert!(!apps.lists_as_written("capacitor://localhost:1") && !apps.lists_as_written("Capacitor://localhost"));
        for (keys, warned) in
            [(r#"origins = ["null"]"#, true), (r#"origins = ["https://a.example"]"#, false), ("", false)]
        {
            let found = warnings(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)));
            assert_eq!(found.iter().any(|warning| warning.contains("realm.a.origins: \"null\"")), warned, "{found:?}");
        }
        assert!(origins("any_origin_credentials = true").any_with_credentials());
        assert!(origins("origins = []\nany_origin_credentials = true").is_open());
    }
}
