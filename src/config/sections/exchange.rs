//! What `[[login]]` says of an exchange.

use super::{path, plain};
use crate::config::exchange::{Attribute, Exchange, Revision};
use crate::config::host::{Authority, Host};
use crate::config::policy::Realm;
use crate::config::reader::Section;
use crate::config::spelling::{none_of, quote};

/// Its keys beside those of every login.
pub(super) const KEYS: [&str; 11] = [
    "issuer",
    "allowed_clients",
    "required_permission",
    "required_attributes",
    "email_claim",
    "require_verified_email",
    "callback_url",
    "callback_path",
    "after_login",
    "redirect_urls",
    "answer",
];

/// What is in it. `realm`: none if it has errors of its own.
pub(super) fn read(section: &Section<'_>, realm: Option<&Realm>) -> Option<Exchange> {
    let allowed_clients = section.list("allowed_clients", plain);
    let required_permission = section.optional("required_permission", plain);
    if !section.has("allowed_clients") && !section.has("required_permission") {
        section.missing(
            "allowed_clients",
            "an access token that a client got for itself speaks for no user, and could log in as anybody: write allowed_clients = [\"…\"] with the ids of the clients that may, or required_permission = \"…\"",
        );
    }
    if section.is_empty_list("allowed_clients") {
        section.error("allowed_clients", "is empty: list the ids of the clients that may log users in");
    }
    let issuer = issuer(section, realm);
    let attributes = section.list("required_attributes", |text| match text {
        "licence" => Ok(Attribute::Licence),
        "profile" => Ok(Attribute::Profile),
        _ => Err(none_of(text, ["licence", "profile"].into_iter())),
    });
    let required_attributes = if section.has("required_attributes") { attributes } else { Attribute::ALL.to_vec() };
    let email_claim = section.optional("email_claim", plain).unwrap_or_else(|| "email".into());
    let require_verified_email = section.flag("require_verified_email", false);
    let callback_url = section.required("callback_url", "\"https://app.example.com/site/callback\"", callback_url);
    let callback_path = if section.has("callback_path") {
        section.optional("callback_path", path)
    } else {
        callback_url.as_deref().and_then(|url| match path(path_of(url)) {
            Ok(path) => Some(path),
            Err(error) => {
                section.error("callback_url", format!("its path {error}: write callback_path, where the gate sees it"));
                None
            }
        })
    };
    let after_login = section.optional("after_login", destination).unwrap_or_else(|| "/".into());
    let redirect_urls = section.list("redirect_urls", |text| absolute(text).map(str::to_owned));
    let answer = section.choice("answer", &[("33", Revision::First), ("2024", Revision::Of2024)], &[]);
    let callback_url = callback_url?;
    let callback_host = Host::parse_in_url(&callback_url)?;
    Some(Exchange {
        issuer: issuer?,
        allowed_clients,
        required_permission,
        required_attributes,
        email_claim,
        require_verified_email,
        callback_url,
        callback_host,
        callback_path: callback_path?,
        after_login,
        redirect_urls,
        answer: answer.unwrap_or(Revision::First),
    })
}

/// Whose tokens: who may open routes with its own users' tokens is not asked to speak for ours besides.
fn issuer(section: &Section<'_>, realm: Option<&Realm>) -> Option<String> {
    let written = section.optional("issuer", plain);
    let trusted: Vec<_> = realm?.tokens().trusted.iter().map(|issuer| &*issuer.name).collect();
    match (&written, &trusted[..]) {
        _ if section.has("issuer") && written.is_none() => {}
        (_, []) => section.missing_value(
            "realm",
            "it trusts no issuer whose tokens could be exchanged: write a [[realm.trusted_issuer]] in it",
        ),
        (Some(issuer), all) if all.contains(&issuer.as_str()) => return written,
        (Some(issuer), _) => {
            section.error(
                "issuer",
                format!("the realm does not trust {}: write a [[realm.trusted_issuer]]", quote(issuer)),
            );
        }
        (None, [only]) => return Some((*only).to_owned()),
        (None, _) => {
            section.missing("issuer", "the realm trusts several issuers: write the one whose tokens are exchanged");
        }
    }
    None
}

fn callback_url(text: &str) -> Result<String, String> {
    let url = absolute(text)?;
    if url.contains('?') {
        return Err(format!("{} has a query: the token is what it gets", quote(text)));
    }
    Ok(url.to_owned())
}

/// A path of the gate's own, or a whole URL (`threats.md` R34).
fn destination(text: &str) -> Result<String, String> {
    let own = text.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/'));
    if own && text.bytes().all(is_url_byte) && !text.contains('#') {
        return Ok(text.to_owned());
    }
    absolute(text).map(str::to_owned)
}

/// `https` and whatever else; `http` for who tries it on one machine.
fn absolute(text: &str) -> Result<&str, String> {
    let wrong = |why: &str| Err(format!("{} {why}", quote(text)));
    let Some((scheme, rest)) = text.split_once("://") else { return wrong("is no URL: write it with https://") };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let Some(authority) = Authority::parse(&rest[..end]) else { return wrong("names no host, or more than a host") };
    if !text.bytes().all(is_url_byte) || text.contains('#') {
        return wrong("has a fragment, or a character that must be percent-encoded");
    }
    match scheme {
        "https" => Ok(text),
        "http" if matches!(authority.host.as_str(), "localhost" | "127.0.0.1" | "[::1]") => Ok(text),
        _ => wrong("is no https URL: a token in it would be for everybody on the way"),
    }
}

/// What RFC 3986 lets stand in a URL.
const fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+')
        || matches!(byte, b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?' | b'[' | b']')
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

#[cfg(test)]
mod tests {
    use crate::config::sections::fixture::{REALM, SERVER, assert_error, check, with};
    use crate::config::{Dialect, Endpoint};

    const ISSUER: &str = "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"api\"]\n\
                          jwks_url = \"https://idp.example/jwks\"\n";
    const LOGIN: &str = "[[login]]\ndialect = \"exchange\"\npath = \"/api/login\"\nrealm = \"a\"\n\
                         allowed_clients = [\"backend\"]\ncallback_url = \"https://app.example/site/callback\"\n";

    #[test]
    fn bad_values_name_the_key_and_the_remedy() {
        for (keys, expected) in [
            ("allowed_clients = []", "login[0].allowed_clients: is empty"),
            (
                r#"required_attributes = ["license"]"#,
                r#"must be "licence" or "profile" (found "license"): did you mean "licence"?"#,
            ),
            (r#"callback_url = "/site/callback""#, "is no URL"),
            (r#"callback_url = "http://app.example/cb""#, "is no https URL"),
            (r#"callback_url = "https://app.example/cb#x""#, "fragment"),
            (r#"callback_url = "https://app.example/cb?x=1""#, "has a query"),
            (r#"callback_url = "https://u:hunter2@app.example/cb""#, "names no host, or more"),
            (r#"callback_url = "https://app.example/a//b""#, "write callback_path"),
            (r#"callback_path = "cb""#, "does not start with a slash"),
            (r#"callback_path = "/api/login""#, "login[0].callback_path: "),
            (r#"after_login = "//evil.example""#, "is no URL"),
            (r#"after_login = "/\\evil.example""#, "is no URL"),
            (r#"after_login = "javascript:alert(1)""#, "is no URL"),
            (r#"redirect_urls = ["https://*.example"]"#, "names no host"),
            (r#"redirect_urls = ["/failed"]"#, "is no URL"),
            (r#"answer = "34""#, r#"must be "33" or "2024""#),
            (r#"email_claim = """#, "is empty"),
            (r#"issuer = "https://idp.example""#, "the realm does not trust \"https://idp.example\""),
            ("tenants = {}", "is a key of dialect = \"tenant\""),
        ] {
            assert_error(&format!("{SERVER}{REALM}{ISSUER}{}", with(LOGIN, keys)), expected);
        }
        let anybody = LOGIN.replace("allowed_clients = [\"backend\"]\n", "");
        assert_error(&format!("{SERVER}{REALM}{ISSUER}{anybody}"), "could log in as anybody");
        assert_error(&format!("{SERVER}{REALM}{LOGIN}"), "it trusts no issuer");
        let other = ISSUER.replace("idp.", "other.");
        assert_error(&format!("{SERVER}{REALM}{ISSUER}{other}{LOGIN}"), "login[0].issuer: the realm trusts several");
        check(&format!("{SERVER}{REALM}{ISSUER}{other}{}", with(LOGIN, "issuer = \"https://other.example/\"")))
            .unwrap();
        let permission = anybody.replace("callback_url", "required_permission = \"login\"\ncallback_url");
        check(&format!("{SERVER}{REALM}{ISSUER}{permission}")).unwrap();
    }

    #[test]
    fn defaults_and_what_else_can_be_said() {
        let exchange = |keys: &str| {
            let config = check(&format!("{SERVER}{REALM}{ISSUER}{}", with(LOGIN, keys))).unwrap();
            format!("{:?}", config.policy.routing().logins()[0].dialect())
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
        let login = &config.policy.routing().logins()[0];
        assert!(matches!(login.dialect(), Dialect::Exchange(_)));
        for (path, endpoint) in [
            ("/api/login", Some(Endpoint::Login)),
            ("/site/callback", Some(Endpoint::Callback)),
            ("/api/login/redeem", Some(Endpoint::Redeem)),
            ("/API/login", None),
            ("/site/callback/", None),
            ("/api/login/redeem/x", None),
        ] {
            assert_eq!(login.endpoint(path), endpoint, "{path}");
        }
    }
}
