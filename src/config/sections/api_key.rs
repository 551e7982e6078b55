//! `[[realm.key]]` and `[realm.master_key]`.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::header::{HeaderName, HeaderValue};

use super::{limits, realm};
use crate::config::outside::Outside;
use crate::config::policy::{ApiKey, Policy, Sha256};
use crate::config::reader::{Keys, Section};
use crate::config::spelling::quote;

/// The keys of an API key.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[realm.key]]",
    known: &["id", "secret", "sha256", "secret_file", "expires", "disabled", "rate", "burst", "concurrent"],
    later: &[],
    parent: Some(&realm::KEYS),
};

/// The keys of a master key.
pub(in crate::config) const MASTER_KEYS: Keys =
    Keys { header: "[realm.master_key]", known: &["sha256", "sha256_file"], later: &[], parent: Some(&realm::KEYS) };

/// The API keys of the realm of this name. Those that `current` has, too, go on with what was used of them.
pub(in crate::config) fn read(
    realm: &Section<'_>,
    name: &str,
    outside: &Outside,
    current: Option<&Policy>,
) -> HashMap<Sha256, Arc<ApiKey>, RandomState> {
    let mut keys: HashMap<Sha256, Arc<ApiKey>, RandomState> = HashMap::default();
    let mut ids = HashSet::new();
    let meters = current.map(|current| current.meters(name)).unwrap_or_default();
    for section in realm.tables("key", &KEYS) {
        let id = section.required("id", "\"web\"", id);
        let secret = secret(&section, outside);
        let (expires_at, disabled) = (section.timestamp("expires"), section.flag("disabled", false));
        let quota = limits::quota(&section);
        if let Some(id) = id.filter(|id| !ids.insert(*id)) {
            section.error("id", format!("\"{id}\" is the id of another key of this realm: write another"));
        }
        let Some((written_as, secret)) = secret else { continue };
        let meter = id.and_then(|id| meters.get(id)).map(|meter| Arc::clone(meter)).unwrap_or_default();
        // An id can stand in a header, unless it is a bad one, which was reported.
        let header = id.and_then(|id| HeaderValue::from_str(id).ok()).unwrap_or(HeaderValue::from_static(""));
        let key = ApiKey { id: id.unwrap_or_default().into(), header, secret, expires_at, disabled, quota, meter };
        if let Some(other) = keys.get(&secret) {
            section.error(
                written_as,
                format!("is the secret of the key \"{}\" too: make another with tollgate key new", other.id),
            );
        }
        keys.insert(secret, Arc::new(key));
    }
    keys
}

/// Where a request to the realm may carry a key: the member of the query, and the header. `""` turns one off.
pub(in crate::config) fn carriers(realm: &Section<'_>) -> (Option<String>, Option<HeaderName>) {
    let query = realm.optional("key_query", |name| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if name.len() > MAX_QUERY_BYTES || !name.bytes().all(plain) {
            return Err(format!("invalid name of a query member {}: write letters, digits and -._~ only", quote(name)));
        }
        if READ_BY_LOGINS.contains(&name) {
            return Err(format!("{} is read by logins: write another name, such as \"key\"", quote(name)));
        }
        Ok(name)
    });
    let header = realm.optional("key_header", |name| match name {
        "" => Ok(None),
        _ => header_name(name).map(Some),
    });
    let query = query.unwrap_or(DEFAULT_QUERY);
    let query = if query.is_empty() { None } else { Some(query.to_owned()) };
    (query, header.unwrap_or_else(|| Some(HeaderName::from_static(DEFAULT_HEADER))))
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("invalid name of a header {}: write it as \"X-API-Key\"", quote(name)))?;
    if parsed == http::header::AUTHORIZATION {
        return Err(
            "Authorization carries tokens: write basic = true in a route that takes API keys as Authorization: Basic"
                .into(),
        );
    }
    // As apps fold names (R1), so that no spelling of one of these is taken.
    let folded: String =
        parsed.as_str().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    if OTHERS.contains(&&*folded) || OTHERS_BEGIN.iter().any(|prefix| folded.starts_with(prefix)) {
        return Err(format!(
            "the header {} has another meaning: write another name, such as \"X-API-Key\"",
            quote(name)
        ));
    }
    Ok(parsed)
}

/// The master key of a realm.
pub(in crate::config) fn read_master(realm: &Section<'_>, outside: &Outside) -> Option<Sha256> {
    let section = realm.table("master_key", &MASTER_KEYS)?;
    match exactly_one(&section, ["sha256", "sha256_file"])? {
        "sha256" => section.optional("sha256", hash),
        _ => section.optional("sha256_file", |path| {
            hash(&outside.secret(path)?).map_err(|problem| format!("{}: its text {problem}", quote(path)))
        }),
    }
}

fn id(text: &str) -> Result<&str, String> {
    if ApiKey::is_id(text) {
        return Ok(text);
    }
    Err(format!("{} is no id: write 1 to 64 letters, digits, dots, hyphens and underscores", quote(text)))
}

/// The hash of the key's secret, and the key of the file that it came from.
fn secret(section: &Section<'_>, outside: &Outside) -> Option<(&'static str, Sha256)> {
    let written_as = exactly_one(section, ["secret", "sha256", "secret_file"])?;
    let is_weak = Cell::new(false);
    let plain_secret = |text: &str| {
        is_weak.set(text.len() < STRONG_SECRET_BYTES);
        plain_secret(text)
    };
    let secret = match written_as {
        "secret" => section.optional("secret", plain_secret),
        "sha256" => section.optional("sha256", hash),
        _ => section.optional("secret_file", |path| {
            plain_secret(&outside.secret(path)?).map_err(|problem| format!("{}: its text {problem}", quote(path)))
        }),
    }?;
    if is_weak.get() {
        section.warn(
            written_as,
            format!("is shorter than {STRONG_SECRET_BYTES} characters, so an attacker can guess it: make one with tollgate key new"),
        );
    }
    Some((written_as, secret))
}

fn exactly_one<const N: usize>(section: &Section<'_>, keys: [&'static str; N]) -> Option<&'static str> {
    let mut written = keys.into_iter().filter(|key| section.has(key));
    let Some(first) = written.next() else {
        section.missing("", format!("has no secret: write one of {}", keys.join(", ")));
        return None;
    };
    if let Some(second) = written.next() {
        section.error(second, format!("excludes {first}: write only one of {}", keys.join(", ")));
    }
    Some(first)
}

/// Never quoted, not even in part.
fn plain_secret(text: &str) -> Result<Sha256, String> {
    if text.len() < MIN_SECRET_BYTES {
        return Err(format!("is shorter than {MIN_SECRET_BYTES} characters: make one with tollgate key new"));
    }
    if text.starts_with("${") {
        return Err("is the path of a file: write it in secret_file".into());
    }
    // What a header carries as it is (RFC 9110, 5.5); a space at either end would be cut off.
    let sendable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text;
    if !sendable {
        return Err("has a character that a header can't carry: make one with tollgate key new".into());
    }
    Ok(Sha256::of(text))
}

/// Not quoted either: a secret may be written here by mistake.
fn hash(text: &str) -> Result<Sha256, String> {
    let hash =
        Sha256::from_hex(text).ok_or("is not a SHA-256 hash, 64 hexadecimal digits: make one with tollgate key new")?;
    // What a script writes whose variable was not set.
    if hash == Sha256::of("") || hash == Sha256::of("\n") {
        return Err("is the hash of an empty secret: make one with tollgate key new".into());
    }
    Ok(hash)
}

const DEFAULT_QUERY: &str = "key";
const DEFAULT_HEADER: &str = "x-api-key";
const MAX_QUERY_BYTES: usize = 64;
/// Members of the query that mean something at a login (README, Logins and Exchange login).
const READ_BY_LOGINS: [&str; 9] =
    ["masterKey", "login", "logout", "dataOnly", "noATCookie", "uniqueId", "strategy", "token", "redirect_url"];
/// Headers that frame a message, or that browsers, proxies and the gate write.
const OTHERS: [&str; 28] = [
    "accept",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "max-forwards",
    "origin",
    "pragma",
    "proxy",
    "range",
    "referer",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-requested-with",
    "x-rewrite-url",
];
const OTHERS_BEGIN: [&str; 10] =
    ["accept-", "access-control-", "cache-", "content-", "http2-", "if-", "proxy-", "sec-", "x-auth-", "x-forwarded-"];
const MIN_SECRET_BYTES: usize = 8;
/// 128 bits, if each is drawn from 256 values; `tollgate key new` draws 256 bits.
const STRONG_SECRET_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::sections::fixture::{LOGIN, REALM, SERVER, assert_error, check, warnings, with};
    use crate::config::{Mode, parse};

    const GOOD: &str = "secret = \"hunter2hunter2hunter2\"";

    fn hash_of(secret: &str) -> String {
        Sha256::of(secret).to_hex()
    }

    #[test]
    fn keys_are_found_by_their_secret() {
        let (app, master) = (hash_of("another-secret-0"), hash_of("master").to_uppercase());
        let keys = format!(
            "require_key = true\n[[realm.key]]\nid = \"web\"\nsecret = \"0123456789abcdef\"\nexpires = 1970-01-01T00:01:40Z\n\
             [[realm.key]]\nid = \"app\"\nsha256 = \"{app}\"\ndisabled = true\n[realm.master_key]\nsha256 = \"{master}\"\n"
        );
        let config = check(&format!("{SERVER}{}{LOGIN}", with(REALM, &keys))).unwrap();
        let realm = config.policy.realm("a").unwrap();
        let web = realm.api_key("0123456789abcdef").unwrap();
        assert_eq!((web.id(), web.expires_at(), web.expired(99), web.expired(100)), ("web", Some(100), false, true));
        assert!(realm.api_key("another-secret-0").unwrap().disabled());
        assert!(realm.api_key("web").is_none() && realm.api_key("").is_none());
        assert!(realm.is_master_key("master") && !realm.is_master_key("0123456789abcdef"));
        let ids: Vec<_> = realm.api_keys().iter().map(|key| key.id()).collect();
        assert_eq!(ids, ["app", "web"]);
        assert!(realm.requires_key() && realm.has_api_keys());
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn a_short_secret_is_a_warning() {
        let text =
            |keys: &str| format!("{SERVER}{}{LOGIN}", with(REALM, &format!("[[realm.key]]\nid = \"web\"\n{keys}\n")));
        let found = warnings(&text("secret = \"hunter2-1234567\""));
        assert_eq!(found.len(), 1, "{found:?}");
        let start = "11: realm.a.key[0].secret: is shorter than 16 characters, so ";
        assert!(found[0].starts_with(start) && found[0].ends_with(": make one with tollgate key new"), "{found:?}");
        assert!(warnings(&text("secret = \"hunter2-12345678\"")).is_empty());
    }

    #[test]
    fn where_a_key_is_carried_is_configured() {
        let carriers = |keys: &str| {
            let text = with(REALM, &format!("{keys}\n[[realm.key]]\nid = \"web\"\n{GOOD}\n"));
            let config = check(&format!("{SERVER}{text}{LOGIN}")).unwrap();
            let realm = &config.policy.realms()[0];
            (realm.key_query().map(str::to_owned), realm.key_header().map(|name| name.as_str().to_owned()))
        };
        let some = |query: &str, header: &str| (Some(query.to_owned()), Some(header.to_owned()));
        assert_eq!(carriers(""), some("key", "x-api-key"));
        assert_eq!(carriers("key_query = \"api_key\"\nkey_header = \"ApiKey\""), some("api_key", "apikey"));
        assert_eq!(carriers("key_query = \"\"\nkey_header = \"\""), (None, None));
        let config = check(&format!("{SERVER}{REALM}{LOGIN}")).unwrap();
        let without_keys = &config.policy.realms()[0];
        assert!(!without_keys.requires_key());
        assert_eq!((without_keys.key_query(), without_keys.key_header()), (None, None), "there is nothing to look for");
        for (keys, expected) in [
            (r#"key_query = "a b""#, "invalid name of a query member \"a b\""),
            (r#"key_query = "masterKey""#, "is read by logins"),
            (r#"key_header = "a b""#, "invalid name of a header"),
            (r#"key_header = "Authorization""#, "basic = true"),
            (r#"key_header = "Cookie""#, "has another meaning"),
            (r#"key_header = "X_Auth_Subject""#, "has another meaning"),
            (r#"key_header = "Sec-Fetch-Site""#, "has another meaning"),
            (r#"key_header = 1"#, "must be a string"),
        ] {
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), expected);
        }
        let off =
            format!("require_key = true\nkey_query = \"\"\nkey_header = \"\"\n[[realm.key]]\nid = \"web\"\n{GOOD}\n");
        assert_error(
            &format!("{SERVER}{}{LOGIN}", with(REALM, &off)),
            "realm.a.require_key: no request can carry a key",
        );
    }

    #[test]
    fn what_was_used_of_a_key_outlives_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let read = |keys: &str, mode: Mode<'_>| {
            parse(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), &file, mode).unwrap().policy
        };
        let meter = |policy: &Policy, id: &str| {
            let keys = policy.realm("a").unwrap().api_keys();
            keys.into_iter().find(|key| key.id() == id).unwrap().meter().clone()
        };
        let key = |id: &str, rest: &str| format!("[[realm.key]]\nid = \"{id}\"\n{rest}\n");
        let old = read(&key("web", GOOD), Mode::Serve);
        let renewed = "secret = \"another-secret-0\"\nrate = 1";
        let new = read(&format!("{}{}", key("app", GOOD), key("web", renewed)), Mode::Reload(&old));
        assert!(Arc::ptr_eq(&meter(&old, "web"), &meter(&new, "web")), "with a new secret and a new limit, too");
        assert!(!Arc::ptr_eq(&meter(&old, "web"), &meter(&new, "app")), "whichever key has its secret now");
        assert!(!Arc::ptr_eq(&meter(&old, "web"), &meter(&read(&key("web", GOOD), Mode::Serve), "web")));
    }

    #[test]
    fn bad_keys_name_the_key_and_the_remedy_and_never_the_secret() {
        let second = |keys: &str| format!("{GOOD}\n[[realm.key]]\n{keys}");
        for (keys, expected) in [
            (r#"secret = "hunter2""#.into(), "realm.a.key[0].secret: is shorter than 8"),
            (r#"secret = "${CREDENTIALS_DIRECTORY}/web""#.into(), "write it in secret_file"),
            (r#"secret = "${API_KEY_OF_THE_WEB_APP}""#.into(), "variables are not expanded"),
            (r#"secret = " hunter2hunter2hunter2""#.into(), "can't carry"),
            (r#"secret = "hunter2\nhunter2hunter2""#.into(), "can't carry"),
            (r#"secret = "hunter2hunter2hunter2é""#.into(), "can't carry"),
            ("secret = 2222222222222222".into(), "must be a string in double quotes (found a whole number)"),
            (r#"sha256 = "hunter2hunter2hunter2""#.into(), "not a SHA-256 hash"),
            (format!("sha256 = \"{}\"", hash_of("")), "empty secret"),
            (String::new(), "has no secret"),
            (format!("{GOOD}\nsecret_file = \"x\""), "excludes secret"),
            (r#"secret_file = "gone""#.into(), "/nonexistent/gone: it does not exist"),
            (format!("{GOOD}\nexpires = \"2027-01-01T00:00:00Z\""), "without quotes"),
            (format!("{GOOD}\nexpires = 2027-01-01T00:00:00"), "with a UTC offset"),
            (format!("{GOOD}\norigins = []"), "belongs to [[realm]] but follows [[realm.key]]"),
            (second("id = \"web\"\nsecret = \"hunter3hunter3hunter3\""), "the id of another"),
            (second(&format!("id = \"app\"\n{GOOD}")), "realm.a.key[1].secret: is the secret of the key \"web\" too"),
            (second("id = \"a b\"\nsecret = \"hunter3hunter3hunter3\""), "is no id"),
            (second("secret = \"hunter3hunter3hunter3\""), "realm.a.key[1].id: is missing"),
            (
                format!("{GOOD}\n[realm.master_key]\nsha256 = \"{}\"", hash_of("hunter2hunter2hunter2")),
                "is the secret of the API key \"web\" too",
            ),
        ] {
            let text = with(REALM, &format!("[[realm.key]]\nid = \"web\"\n{keys}\n"));
            assert_error(&format!("{SERVER}{text}{LOGIN}"), expected);
        }
        for (keys, expected) in [
            ("", "realm.a.master_key: has no secret: write one of sha256, sha256_file"),
            (r#"sha256 = "hunter2""#, "realm.a.master_key.sha256: is not a SHA-256 hash"),
            (r#"sha256_file = "gone""#, "it does not exist"),
        ] {
            let text = with(REALM, &format!("[realm.master_key]\n{keys}\n"));
            assert_error(&format!("{SERVER}{text}{LOGIN}"), expected);
        }
    }
}
