//! The keys of an exchange login.

use crate::config::host::{Authority, Host};
use crate::config::login::exchange::{AnswerVersion, ExchangeLogin, RequiredAttribute};
use crate::config::reader::Section;
use crate::config::reader::report::Reported;
use crate::config::reader::spelling::quote;
use crate::config::realm::Realm;
use crate::config::schema::kind::{Raw, choice, flag, list, raw, text, word_list};
use crate::config::schema::{Setting, keys};
use crate::config::sealed::Sealed;
use crate::config::values::{path, plain};

keys! {
    /// A login that exchanges an access token of a trusted issuer for a URL.
    ExchangeKeys, Reloadable, when dialect = "exchange";

    /// Issuer of the exchanged tokens: one of the trusted issuers of the realm.
    issuer: Option<String> = text(plain, "\"https://tenant.eu.auth0.com/\""), default "the only trusted issuer";

    /// OAuth clients (claim `azp` or `client_id`) that are allowed to log users in. Write `allowed_clients`,
    /// `required_permission` or both; a token must satisfy each.
    allowed_clients: Vec<String> = list(plain, "[\"7Hq2example\"]"), default "one of two is required";

    /// Permission that `permissions` of a token must contain.
    required_permission: Option<String> = text(plain, "\"login:users\""), default "one of two is required";

    /// Members that the data of a user must have.
    required_attributes: Vec<RequiredAttribute> = word_list(&ATTRIBUTES, "[\"licence\"]"), default "[\"licence\", \"profile\"]";

    /// Claim with the email address in the token of a user. Such a token can only log in this user.
    email_claim: Option<String> = text(plain, "\"https://example.com/email\""), default "\"email\"";

    /// Whether `email_verified` of such a token must be `true`. Set it if anyone can sign up at the issuer with any address.
    require_verified_email: bool = flag(false);

    /// URL to which the response sends the browser. Tollgate adds a callback token to its query.
    callback_url: Raw = raw("\"https://app.example.com/site/callback\""), default "required";

    /// Path of `callback_url` at Tollgate, if a proxy changes it.
    callback_path: Option<String> = text(path, "\"/site/callback\""), default "the path of `callback_url`";

    /// Destination of the browser after the callback: a path or a URL.
    after_login: Option<String> = text(destination, "\"/\""), default "\"/\"";

    /// Allowed values of `redirect_url`: the destination of the browser if the callback token is invalid or expired.
    redirect_urls: Vec<String> = list(redirect_url, "[\"https://app.example.com/login-failed\"]"), default "[]";

    /// Revision of the API for the response. `"2024"` adds `token` and `expires_in`.
    answer: AnswerVersion = choice(&REVISIONS, AnswerVersion::First);
}

/// Reads the keys of an exchange login of this realm.
pub(in crate::config) fn read(
    section: &Section<'_>,
    keys: ExchangeKeys<'_>,
    realm: Result<&Realm, Reported>,
    realm_key: &Setting<'_, Raw>,
) -> Result<ExchangeLogin, Reported> {
    if !keys.allowed_clients.is_written() && !keys.required_permission.is_written() {
        keys.allowed_clients.missing(
            "a client-credentials token names no user, so its client could log in as any user: write allowed_clients = [\"…\"] with the ids of the allowed clients, or required_permission = \"…\"",
        );
    }
    if keys.allowed_clients.is_empty_list() {
        keys.allowed_clients.error("must not be empty: list the ids of the clients that are allowed to log users in");
    }
    let issuer = issuer(section, &keys.issuer, realm, realm_key);
    let callback_url = keys.callback_url.required(callback_url)?;
    let callback_path = if keys.callback_path.is_written() {
        keys.callback_path.value.clone().ok_or_else(|| section.reported())
    } else {
        path(path_of(&callback_url))
            .map_err(|error| keys.callback_url.error(format!("{error}: write callback_path, the path at Tollgate")))
    };
    let callback_host = Host::parse_in_url(&callback_url).ok_or_else(|| {
        keys.callback_url.error("has an invalid host: write it as \"https://app.example.com/site/callback\"")
    })?;
    Ok(ExchangeLogin {
        _sealed: Sealed(()),
        issuer: issuer?,
        allowed_clients: keys.allowed_clients.value,
        required_permission: keys.required_permission.value,
        required_attributes: keys.required_attributes.if_written().unwrap_or_else(|| RequiredAttribute::ALL.to_vec()),
        email_claim: keys.email_claim.value.unwrap_or_else(|| "email".into()),
        require_verified_email: keys.require_verified_email.value,
        callback_url,
        callback_host,
        callback_path: callback_path?,
        after_login: keys.after_login.value.unwrap_or_else(|| "/".into()),
        redirect_urls: keys.redirect_urls.value,
        answer: keys.answer.value,
    })
}

/// Returns the issuer of the exchanged tokens. A client of another issuer must not log users in.
fn issuer(
    section: &Section<'_>,
    setting: &Setting<'_, Option<String>>,
    realm: Result<&Realm, Reported>,
    realm_key: &Setting<'_, Raw>,
) -> Result<String, Reported> {
    let trusted: Vec<_> = realm?.tokens.trusted.iter().map(|issuer| &*issuer.name).collect();
    if setting.is_refused() {
        return Err(section.reported());
    }
    match (&setting.value, &trusted[..]) {
        (_, []) => Err(realm_key.missing_value(
            "the realm trusts no issuer whose tokens could be exchanged: write a [[realm.trusted_issuer]] in it",
        )),
        (Some(issuer), all) if all.contains(&issuer.as_str()) => Ok(issuer.clone()),
        (Some(issuer), _) => {
            Err(setting.error(format!("the realm does not trust {}: write a [[realm.trusted_issuer]]", quote(issuer))))
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(setting.missing("is missing, and the realm trusts several issuers: write issuer = \"…\"")),
    }
}

fn callback_url(text: &str) -> Result<String, String> {
    let url = absolute(text)?;
    if url.contains('?') {
        return Err(format!(
            "{} must not have a query: Tollgate adds one with the token; write it without",
            quote(text)
        ));
    }
    Ok(url.to_owned())
}

/// Checks a path at Tollgate, or a URL (SECURITY.md R34).
fn destination(text: &str) -> Result<String, String> {
    let own = text.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/'));
    if own && text.bytes().all(is_url_byte) && !text.contains('#') {
        return Ok(text.to_owned());
    }
    absolute(text).map(str::to_owned)
}

/// Checks a URL with `https`, or with `http` on this machine.
fn absolute(text: &str) -> Result<&str, String> {
    let wrong = |why: &str| Err(format!("{} {why}", quote(text)));
    let Some((scheme, rest)) = text.split_once("://") else { return wrong("is not a URL: write it with https://") };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let Some(authority) = Authority::parse(&rest[..end]) else {
        return wrong("must have a host, and no user or password");
    };
    if !text.bytes().all(is_url_byte) || text.contains('#') {
        return wrong("must not have a fragment, or a character that must be percent-encoded");
    }
    match scheme {
        "https" => Ok(text),
        "http" if matches!(authority.host.as_str(), "localhost" | "127.0.0.1" | "[::1]") => Ok(text),
        _ => wrong("must use https: over http, others on the network can read the token"),
    }
}

/// Characters of a URL (RFC 3986).
const fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+')
        || matches!(byte, b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?' | b'[' | b']')
}

fn redirect_url(text: &str) -> Result<String, String> {
    absolute(text).map(str::to_owned)
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

const ATTRIBUTES: [(&str, RequiredAttribute); 2] =
    [("licence", RequiredAttribute::Licence), ("profile", RequiredAttribute::Profile)];
const REVISIONS: [(&str, AnswerVersion); 2] = [("33", AnswerVersion::First), ("2024", AnswerVersion::Of2024)];

#[cfg(test)]
mod tests {
    use crate::config::fixture::{REALM, SERVER, assert_error, check, with};
    use crate::config::{Dialect, LoginOperation};

    const ISSUER: &str = "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"api\"]\n\
                          jwks_url = \"https://idp.example/jwks\"\n";
    const LOGIN: &str = "[[login]]\ndialect = \"exchange\"\npath = \"/api/login\"\nrealm = \"a\"\n\
                         allowed_clients = [\"backend\"]\ncallback_url = \"https://app.example/site/callback\"\n";

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            ("allowed_clients = []", "login[0].allowed_clients: must not be empty"),
            (
                r#"required_attributes = ["license"]"#,
                r#"must be "licence" or "profile" (found "license"): did you mean "licence"?"#,
            ),
            (r#"callback_url = "/site/callback""#, "is not a URL"),
            (r#"callback_url = "http://app.example/cb""#, "must use https"),
            (r#"callback_url = "https://app.example/cb#x""#, "fragment"),
            (r#"callback_url = "https://app.example/cb?x=1""#, "must not have a query"),
            (r#"callback_url = "https://u:hunter2@app.example/cb""#, "must have a host"),
            (r#"callback_url = "https://app.example/a//b""#, "write callback_path"),
            (r#"callback_path = "cb""#, "does not start with a slash"),
            (r#"callback_path = "/api/login""#, "login[0].callback_path: "),
            (r#"after_login = "//evil.example""#, "is not a URL"),
            (r#"after_login = "/\\evil.example""#, "is not a URL"),
            (r#"after_login = "javascript:alert(1)""#, "is not a URL"),
            (r#"redirect_urls = ["https://*.example"]"#, "must have a host"),
            (r#"redirect_urls = ["/failed"]"#, "is not a URL"),
            (r#"answer = "34""#, r#"must be "33" or "2024""#),
            (r#"email_claim = """#, "must not be empty"),
            (r#"issuer = "https://idp.example""#, "the realm does not trust \"https://idp.example\""),
            ("tenants = {}", "applies only to dialect = \"tenant\""),
        ] {
            assert_error(&format!("{SERVER}{REALM}{ISSUER}{}", with(LOGIN, keys)), expected);
        }
        let anybody = LOGIN.replace("allowed_clients = [\"backend\"]\n", "");
        assert_error(&format!("{SERVER}{REALM}{ISSUER}{anybody}"), "could log in as any user");
        assert_error(&format!("{SERVER}{REALM}{LOGIN}"), "the realm trusts no issuer");
        let other = ISSUER.replace("idp.", "other.");
        assert_error(
            &format!("{SERVER}{REALM}{ISSUER}{other}{LOGIN}"),
            "login[0].issuer: is missing, and the realm trusts several",
        );
        check(&format!("{SERVER}{REALM}{ISSUER}{other}{}", with(LOGIN, "issuer = \"https://other.example/\"")))
            .unwrap();
        let permission = anybody.replace("callback_url", "required_permission = \"login\"\ncallback_url");
        check(&format!("{SERVER}{REALM}{ISSUER}{permission}")).unwrap();
    }

    #[test]
    fn defaults_and_other_values() {
        let exchange = |keys: &str| {
            let config = check(&format!("{SERVER}{REALM}{ISSUER}{}", with(LOGIN, keys))).unwrap();
            format!("{:?}", config.policy.routing.logins[0].dialect)
        };
        let defaults = exchange("");
        for part in [
            "required_attributes: [Licence, Profile]",
            "email_claim: \"email\"",
            "callback_path: \"/site/callback\"",
            "after_login: \"/\"",
            "redirect_urls: []",
            "answer: First",
        ] {
            assert!(defaults.contains(part), "{part}: {defaults}");
        }
        let other = exchange(
            "required_attributes = []\ncallback_url = \"http://localhost:8080/x\"\ncallback_path = \"/gate/cb\"\n\
             after_login = \"https://app.example/?a=b\"\nanswer = \"2024\"",
        );
        for part in
            ["required_attributes: []", "callback_path: \"/gate/cb\"", "answer: Of2024", "https://app.example/?a=b"]
        {
            assert!(other.contains(part), "{part}: {other}");
        }
        let config = check(&format!("{SERVER}{REALM}{ISSUER}{LOGIN}")).unwrap();
        let login = &config.policy.routing.logins[0];
        assert!(matches!(login.dialect, Dialect::Exchange(_)));
        for (path, endpoint) in [
            ("/api/login", Some(LoginOperation::Exchange)),
            ("/site/callback", Some(LoginOperation::Callback)),
            ("/api/login/redeem", Some(LoginOperation::Redeem)),
            ("/API/login", None),
            ("/site/callback/", None),
            ("/api/login/redeem/x", None),
        ] {
            let found = login.endpoint(path, &http::Method::POST).map(|found| found.endpoint().operation);
            assert_eq!(found, endpoint, "{path}");
        }
    }
}
