//! `[[realm.key]]` and `[realm.master_key]`.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::header::{HeaderName, HeaderValue};

use crate::config::external::ExternalInputs;
use crate::config::limits::read::{self as limits, MAX_CONNECTIONS};
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::realm::Realm;
use crate::config::realm::api_key::{ApiKey, Sha256};
use crate::config::schema::kind::{Raw, decimal, flag, optional_number, raw, required, text, timestamp};
use crate::config::schema::{Setting, keys, section};
use crate::config::sealed::Sealed;
use crate::quota::{MAX_BURST, MAX_RATE, MIN_RATE, RateLimiter};

section! {
    /// An API key. `tollgate key new` prints a section with a new secret. A realm can have several keys, so that a key can be
    /// replaced without an outage.
    ApiKeyKeys = "[[realm.key]]", Reloadable;

    /// Name of the key, for people: 1 to 64 letters, digits, dots, hyphens and underscores.
    id: Result<String, Reported> = required(text(id, "\"web\""));

    /// The secret: at least 8 characters. Write exactly one of `secret`, `sha256` and `secret_file`.
    secret: Raw = raw("\"…\""), default "one of three is required";

    /// SHA-256 of the secret: 64 hexadecimal digits.
    sha256: Raw = raw("\"de0de4246d78530d2a7b25a83102b9627935703ceb765f21c80d68b1f4500215\""), default "one of three is required";

    /// File with the secret. Only its owner can have access to it.
    secret_file: Raw = raw("\"secrets/web\""), default "one of three is required";

    /// Time from which Tollgate rejects the key: a date-time with a UTC offset.
    expires: Option<i64> = timestamp("2027-01-01T00:00:00Z"), default "never";

    /// Whether Tollgate rejects the key.
    disabled: bool = flag(false);

    /// Rate limit of the key over all clients, in requests per second.
    rate: Option<f64> = decimal(MIN_RATE..=MAX_RATE, "100"), default "no limit";

    /// Number of requests above `rate` that can come at once, after a time with fewer requests.
    burst: Option<usize> = optional_number(0..=MAX_BURST as usize, "200"), default "the requests of one second";

    /// Maximum number of concurrent requests with the key.
    concurrent: Option<usize> = optional_number(1..=MAX_CONNECTIONS, "100"), default "no limit";
}

section! {
    /// A secret that replaces the token of any user for reading, updating and deleting users at a login. It is for your own
    /// servers only.
    MasterKeyKeys = "[realm.master_key]", Reloadable;

    /// SHA-256 of the secret: 64 hexadecimal digits. Write exactly one of `sha256` and `sha256_file`.
    sha256: Raw = raw("\"06b2799ed28622da833ba860f6216563b216fd4932894db7aee69e875278785d\""), default "one of two is required";

    /// File with the SHA-256 of the secret.
    sha256_file: Raw = raw("\"secrets/master.sha256\""), default "one of two is required";
}

keys! {
    /// The places for an API key in a request.
    KeyCarrierKeys, Reloadable;

    /// Whether every request requires an API key, also at logins and on public routes. A browser shows its API key to its user:
    /// such a key identifies an application, not a user.
    require_key: bool = flag(false);

    /// Query parameter that carries an API key. `""`: none. A realm without `[[realm.key]]` does not read it.
    key_query: Option<String> = text(query_name, "\"key\""), default "\"key\"";

    /// Header that carries an API key. `""`: none. A realm without `[[realm.key]]` does not read it.
    key_header: Option<Option<HeaderName>> = text(optional_header_name, "\"X-API-Key\""), default "\"X-API-Key\"";
}

/// Reads the API keys of the realm with this name. The usage counters of a key in `current` continue.
pub(in crate::config) fn read(
    sections: &[Section<'_>],
    name: &str,
    external: &ExternalInputs,
    current: &[Arc<Realm>],
) -> HashMap<Sha256, Arc<ApiKey>, RandomState> {
    let mut api_keys: HashMap<Sha256, Arc<ApiKey>, RandomState> = HashMap::default();
    let mut ids = HashSet::new();
    let in_force = current.iter().filter(|realm| realm.name == name).flat_map(|realm| realm.api_keys.values());
    let meters: HashMap<&str, &Arc<RateLimiter>> = in_force.map(|key| (&*key.id, &key.limiter)).collect();
    for section in sections {
        let keys = ApiKeyKeys::read(section);
        let secret = secret(section, &keys, external);
        let quota = limits::quota(&keys.rate, &keys.burst, *keys.concurrent);
        let id = keys.id.as_deref().unwrap_or_default();
        if !id.is_empty() && !ids.insert(id.to_owned()) {
            keys.id.error(format!("duplicates the id \"{id}\" of another key of the realm: write a different id"));
        }
        if keys.expires.value.is_some_and(|at| at <= external.now()) {
            keys.expires.warn("is in the past, so Tollgate rejects the key: write a later time, or remove the key");
        }
        let Ok((written_as, secret)) = secret else { continue };
        let key = ApiKey {
            _sealed: Sealed(()),
            // A valid id is a valid header value. An invalid id was reported.
            header: HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("")),
            id: id.into(),
            secret,
            expires_at: keys.expires.value,
            disabled: keys.disabled.value,
            quota,
            limiter: meters.get(id).map(|meter| Arc::clone(meter)).unwrap_or_default(),
        };
        if let Some(other) = api_keys.get(&secret) {
            written_as.error(format!(
                "duplicates the secret of key \"{}\": create a different one with tollgate key new",
                other.id
            ));
        }
        api_keys.insert(secret, Arc::new(key));
    }
    api_keys
}

/// Returns the query parameter and the header for API keys.
pub(in crate::config) fn carriers(keys: &KeyCarrierKeys<'_>) -> (Option<String>, Option<HeaderName>) {
    let query = keys.key_query.as_deref().unwrap_or(DEFAULT_QUERY);
    let query = if query.is_empty() { None } else { Some(query.to_owned()) };
    (query, keys.key_header.value.clone().unwrap_or_else(|| Some(HeaderName::from_static(DEFAULT_HEADER))))
}

fn query_name(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    if name.len() > MAX_QUERY_BYTES || !name.bytes().all(plain) {
        return Err(format!("invalid name of a query parameter {}: write letters, digits and -._~ only", quote(name)));
    }
    if READ_BY_LOGINS.contains(&name) {
        return Err(format!("{} is a parameter of logins: write a different name, such as \"key\"", quote(name)));
    }
    Ok(name.to_owned())
}

fn optional_header_name(name: &str) -> Result<Option<HeaderName>, String> {
    if name.is_empty() { Ok(None) } else { header_name(name).map(Some) }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("invalid header name {}: write it as \"X-API-Key\"", quote(name)))?;
    if parsed == http::header::AUTHORIZATION {
        return Err(
            "Authorization carries tokens: write basic = true in a route that takes API keys as Authorization: Basic"
                .into(),
        );
    }
    // Applications treat other characters as a hyphen (SECURITY.md R1), so Tollgate rejects every such spelling.
    let folded: String =
        parsed.as_str().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    if OTHERS.contains(&&*folded) || OTHERS_BEGIN.iter().any(|prefix| folded.starts_with(prefix)) {
        return Err(format!(
            "the header {} has a different purpose: write a different name, such as \"X-API-Key\"",
            quote(name)
        ));
    }
    Ok(parsed)
}

/// Reads the master key of a realm.
pub(in crate::config) fn read_master(section: &Section<'_>, external: &ExternalInputs) -> Result<Sha256, Reported> {
    let keys = MasterKeyKeys::read(section);
    let (_, hash) = secret_of(
        section,
        &[(&keys.sha256, &|text| hash(text)), (&keys.sha256_file, &|path| in_file(path, external, hash))],
    )?;
    Ok(hash)
}

fn id(text: &str) -> Result<String, String> {
    if ApiKey::is_valid_id(text) {
        return Ok(text.into());
    }
    Err(format!("invalid id {}: write 1 to 64 letters, digits, dots, hyphens and underscores", quote(text)))
}

/// Returns the hash of the secret, and the setting that contains it.
fn secret<'k, 's>(
    section: &Section<'_>,
    keys: &'k ApiKeyKeys<'s>,
    external: &ExternalInputs,
) -> Result<(&'k Setting<'s, Raw>, Sha256), Reported> {
    let is_weak = Cell::new(false);
    let plain_secret = |text: &str| {
        is_weak.set(text.len() < STRONG_SECRET_BYTES);
        plain_secret(text)
    };
    let (written_as, secret) = secret_of(
        section,
        &[
            (&keys.secret, &plain_secret),
            (&keys.sha256, &|text| hash(text)),
            (&keys.secret_file, &|path| in_file(path, external, plain_secret)),
        ],
    )?;
    if is_weak.get() {
        written_as.warn(format!(
            "is shorter than {STRONG_SECRET_BYTES} characters, so an attacker can guess it: make one with tollgate key new"
        ));
    }
    Ok((written_as, secret))
}

/// A setting that can contain the secret, and its parser.
type Form<'k, 's, 'f> = (&'k Setting<'s, Raw>, &'f dyn Fn(&str) -> Result<Sha256, String>);

/// Reads the secret, which must be in exactly one of several settings. Also returns the setting.
fn secret_of<'k, 's>(
    section: &Section<'_>,
    forms: &[Form<'k, 's, '_>],
) -> Result<(&'k Setting<'s, Raw>, Sha256), Reported> {
    let names = || forms.iter().map(|(setting, _)| setting.key()).collect::<Vec<_>>().join(", ");
    let mut written = forms.iter().filter(|(setting, _)| setting.is_written());
    let Some((first, parse)) = written.next() else {
        return Err(section.missing("", format!("has no secret: write one of {}", names())));
    };
    if let Some((second, _)) = written.next() {
        second.error(format!("can't be combined with {}: write only one of {}", first.key(), names()));
    }
    Ok((first, first.required(parse)?))
}

fn in_file(
    path: &str,
    external: &ExternalInputs,
    parse: impl Fn(&str) -> Result<Sha256, String>,
) -> Result<Sha256, String> {
    parse(&external.secret(path)?).map_err(|problem| format!("{}: its text {problem}", quote(path)))
}

/// No message quotes the secret, not even in part.
fn plain_secret(text: &str) -> Result<Sha256, String> {
    if text.len() < MIN_SECRET_BYTES {
        return Err(format!("is shorter than {MIN_SECRET_BYTES} characters: make one with tollgate key new"));
    }
    if text.starts_with("${") {
        return Err("looks like the path of a file: write it in secret_file".into());
    }
    // A header carries these characters unchanged (RFC 9110, 5.5), except spaces at the ends.
    let sendable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text;
    if !sendable {
        return Err("must have only characters that a header can carry: make one with tollgate key new".into());
    }
    Ok(Sha256::new(text))
}

/// No message quotes the hash: it can be a secret that is here by mistake.
fn hash(text: &str) -> Result<Sha256, String> {
    let hash = Sha256::from_hex(text)
        .ok_or("must be a SHA-256 hash with 64 hexadecimal digits: make one with tollgate key new")?;
    // The hash of an empty text: a script with an unset variable writes it.
    if hash == Sha256::new("") || hash == Sha256::new("\n") {
        return Err("is the hash of an empty secret: make one with tollgate key new".into());
    }
    Ok(hash)
}

const DEFAULT_QUERY: &str = "key";
const DEFAULT_HEADER: &str = "x-api-key";
const MAX_QUERY_BYTES: usize = 64;
/// Query parameters of logins (docs/logins.md).
const READ_BY_LOGINS: [&str; 9] =
    ["masterKey", "login", "logout", "dataOnly", "noATCookie", "uniqueId", "strategy", "token", "redirect_url"];
/// Headers for message framing, and headers that browsers, proxies and Tollgate write.
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
/// 128 bits if each byte is random. `tollgate key new` uses 256 bits.
const STRONG_SECRET_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::fixture::{LOGIN, REALM, ROUTE, SERVER, assert_error, check, serve, warnings, with};
    use crate::config::{Mode, Policy, parse};

    const GOOD: &str = "secret = \"hunter2hunter2hunter2\"";

    fn hash_of(secret: &str) -> String {
        Sha256::new(secret).to_hex()
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
        assert_eq!(
            (web.id.as_str(), web.expires_at, web.expired(99), web.expired(100)),
            ("web", Some(100), false, true)
        );
        assert!(realm.api_key("another-secret-0").unwrap().disabled);
        assert!(realm.api_key("web").is_none() && realm.api_key("").is_none());
        assert!(realm.is_master_key("master") && !realm.is_master_key("0123456789abcdef"));
        let ids: Vec<_> = realm.api_keys().iter().map(|key| key.id.as_str()).collect();
        assert_eq!(ids, ["app", "web"]);
        assert!(realm.require_key && realm.has_api_keys());
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn a_short_secret_is_a_warning() {
        let text = |keys: &str| {
            format!("{SERVER}{REALM}[[realm.key]]\nid = \"web\"\n{keys}\n{}", with(ROUTE, "access = \"key\""))
        };
        let found = warnings(&text("secret = \"hunter2-1234567\""));
        assert_eq!(found.len(), 1, "{found:?}");
        let start = "11: realm.a.key[0].secret: is shorter than 16 characters, so ";
        assert!(found[0].starts_with(start) && found[0].ends_with(": make one with tollgate key new"), "{found:?}");
        assert!(warnings(&text("secret = \"hunter2-12345678\"")).is_empty());
    }

    #[test]
    fn the_query_parameter_and_the_header_are_configurable() {
        let carriers = |keys: &str| {
            let text = with(REALM, &format!("{keys}\n[[realm.key]]\nid = \"web\"\n{GOOD}\n"));
            let config = check(&format!("{SERVER}{text}{LOGIN}")).unwrap();
            let realm = &config.policy.realms[0];
            (realm.key_query().map(str::to_owned), realm.key_header().map(|name| name.as_str().to_owned()))
        };
        let some = |query: &str, header: &str| (Some(query.to_owned()), Some(header.to_owned()));
        assert_eq!(carriers(""), some("key", "x-api-key"));
        assert_eq!(carriers("key_query = \"api_key\"\nkey_header = \"ApiKey\""), some("api_key", "apikey"));
        assert_eq!(carriers("key_query = \"\"\nkey_header = \"\""), (None, None));
        let config = check(&format!("{SERVER}{REALM}{LOGIN}")).unwrap();
        let without_keys = &config.policy.realms[0];
        assert!(!without_keys.require_key);
        assert_eq!((without_keys.key_query(), without_keys.key_header()), (None, None), "there is nothing to look for");
        for (keys, expected) in [
            (r#"key_query = "a b""#, "invalid name of a query parameter \"a b\""),
            (r#"key_query = "masterKey""#, "is a parameter of logins"),
            (r#"key_header = "a b""#, "invalid header name"),
            (r#"key_header = "Authorization""#, "basic = true"),
            (r#"key_header = "Cookie""#, "has a different purpose"),
            (r#"key_header = "X_Auth_Subject""#, "has a different purpose"),
            (r#"key_header = "Sec-Fetch-Site""#, "has a different purpose"),
            (r#"key_header = 1"#, "must be a string"),
        ] {
            assert_error(&format!("{SERVER}{}{LOGIN}", with(REALM, keys)), expected);
        }
        let off =
            format!("require_key = true\nkey_query = \"\"\nkey_header = \"\"\n[[realm.key]]\nid = \"web\"\n{GOOD}\n");
        assert_error(
            &format!("{SERVER}{}{LOGIN}", with(REALM, &off)),
            "realm.a.require_key: no request can carry an API key",
        );
    }

    #[test]
    fn the_usage_of_a_key_survives_a_reload() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("t.toml");
        let text = |keys: &str| format!("{SERVER}{}{LOGIN}", with(REALM, keys));
        let reload = |keys: &str, current: &Policy| parse(&text(keys), &file, Mode::Reload(current)).unwrap().policy;
        let start = |keys: &str| serve(&text(keys), &file).policy;
        let meter = |policy: &Policy, id: &str| {
            let keys = policy.realm("a").unwrap().api_keys();
            keys.into_iter().find(|key| key.id == id).unwrap().limiter.clone()
        };
        let key = |id: &str, rest: &str| format!("[[realm.key]]\nid = \"{id}\"\n{rest}\n");
        let old = start(&key("web", GOOD));
        let renewed = "secret = \"another-secret-0\"\nrate = 1";
        let new = reload(&format!("{}{}", key("app", GOOD), key("web", renewed)), &old);
        assert!(Arc::ptr_eq(&meter(&old, "web"), &meter(&new, "web")), "with a new secret and a new limit, too");
        assert!(!Arc::ptr_eq(&meter(&old, "web"), &meter(&new, "app")), "whichever key has its secret now");
        assert!(!Arc::ptr_eq(&meter(&old, "web"), &meter(&start(&key("web", GOOD)), "web")));
    }

    #[test]
    fn bad_keys_name_the_key_and_the_remedy_and_never_the_secret() {
        let second = |keys: &str| format!("{GOOD}\n[[realm.key]]\n{keys}");
        for (keys, expected) in [
            (r#"secret = "hunter2""#.into(), "realm.a.key[0].secret: is shorter than 8"),
            (r#"secret = "${CREDENTIALS_DIRECTORY}/web""#.into(), "write it in secret_file"),
            (r#"secret = "${API_KEY_OF_THE_WEB_APP}""#.into(), "variables are not expanded"),
            (r#"secret = " hunter2hunter2hunter2""#.into(), "a header can carry"),
            (r#"secret = "hunter2\nhunter2hunter2""#.into(), "a header can carry"),
            (r#"secret = "hunter2hunter2hunter2é""#.into(), "a header can carry"),
            ("secret = 2222222222222222".into(), "must be a string in double quotes (found a whole number)"),
            (r#"sha256 = "hunter2hunter2hunter2""#.into(), "must be a SHA-256 hash"),
            (format!("sha256 = \"{}\"", hash_of("")), "empty secret"),
            (String::new(), "has no secret"),
            (format!("{GOOD}\nsecret_file = \"x\""), "can't be combined with secret"),
            (r#"secret_file = "gone""#.into(), "/nonexistent/gone: it does not exist"),
            (format!("{GOOD}\nexpires = \"2027-01-01T00:00:00Z\""), "without quotes"),
            (format!("{GOOD}\nexpires = 2027-01-01T00:00:00"), "with a UTC offset"),
            (format!("{GOOD}\norigins = []"), "belongs to [[realm]] but follows [[realm.key]]"),
            (second("id = \"web\"\nsecret = \"hunter3hunter3hunter3\""), "of another key"),
            (second(&format!("id = \"app\"\n{GOOD}")), "realm.a.key[1].secret: duplicates the secret of key \"web\""),
            (second("id = \"a b\"\nsecret = \"hunter3hunter3hunter3\""), "invalid id"),
            (second("secret = \"hunter3hunter3hunter3\""), "realm.a.key[1].id: is missing"),
            (
                format!("{GOOD}\n[realm.master_key]\nsha256 = \"{}\"", hash_of("hunter2hunter2hunter2")),
                "duplicates the secret of API key \"web\"",
            ),
        ] {
            let text = with(REALM, &format!("[[realm.key]]\nid = \"web\"\n{keys}\n"));
            assert_error(&format!("{SERVER}{text}{LOGIN}"), expected);
        }
        for (keys, expected) in [
            ("", "realm.a.master_key: has no secret: write one of sha256, sha256_file"),
            (r#"sha256 = "hunter2""#, "realm.a.master_key.sha256: must be a SHA-256 hash"),
            (r#"sha256_file = "gone""#, "it does not exist"),
        ] {
            let text = with(REALM, &format!("[realm.master_key]\n{keys}\n"));
            assert_error(&format!("{SERVER}{text}{LOGIN}"), expected);
        }
    }
}
