//! The sections of the file, and their keys.

pub(super) mod api_key;
pub(super) mod cognito;
mod cookie;
mod exchange;
pub(super) mod file;
#[cfg(test)]
pub(super) mod fixture;
pub(super) mod health_check;
pub(super) mod limits;
pub(super) mod log;
pub(super) mod login;
pub(super) mod realm;
pub(super) mod route;
pub(super) mod server;
pub(super) mod store;
pub(super) mod tls;
pub(super) mod trusted_issuer;
mod upstream;
mod user_rules;

use std::sync::Arc;

use super::external::ExternalInputs;
use super::host::{Authority, Host};
use super::kind::Raw;
use super::pem::CaFile;
use super::policy::Realm;
use super::report::{Reported, SourceLocation};
use super::schema::Setting;
use super::spelling::{closest, quote};

/// The realms of the file.
#[derive(Default)]
pub(super) struct Realms {
    pub(super) declared: Vec<Declared>,
    /// A realm without a valid name: it can be the one that a login or a route names.
    pub(super) misnamed: Option<Reported>,
}

/// A realm of the file, valid or not.
pub(super) struct Declared {
    pub(super) name: String,
    /// Where its API keys are, valid or not, if it has any.
    pub(super) api_keys: Option<SourceLocation>,
    pub(super) realm: Result<Arc<Realm>, Reported>,
}

/// The realm that a login or a route names.
fn realm_of<'r>(name: &Setting<'_, Raw>, realms: &'r Realms) -> Result<&'r Declared, Reported> {
    let text = name.required(|text| Ok(text.to_owned()))?;
    if let Some(declared) = realms.declared.iter().find(|declared| declared.name == text) {
        return Ok(declared);
    }
    if let Some(reported) = realms.misnamed {
        return Err(reported);
    }
    Err(name.missing_value(match closest(&text, realms.declared.iter().map(|declared| declared.name.as_str())) {
        Some(meant) => format!("there is no realm {}: did you mean \"{meant}\"?", quote(&text)),
        None => format!("there is no realm {}: write [[realm]] with that name", quote(&text)),
    }))
}

/// The CA certificates in the file that a key names, if it is written.
fn ca_file(file: &Setting<'_, Raw>, external: &ExternalInputs) -> Result<Option<CaFile>, Reported> {
    let certificates = file.optional(|path| CaFile::read(path, external))?;
    for sentence in certificates.iter().flat_map(|certificates| certificates.expired(external.now())) {
        file.warn(sentence);
    }
    Ok(certificates)
}

/// The one host that something is for.
fn host(text: &str) -> Result<Host, String> {
    if text.contains('*') {
        return Err(format!(
            "invalid host {}: a pattern is not supported; write one host, or remove it to match every host",
            quote(text)
        ));
    }
    if let Some(Authority { host, port: Some(_) }) = Authority::parse(text) {
        return Err(format!("invalid host {}: it has a port; write \"{host}\"", quote(text)));
    }
    Host::parse(text).ok_or_else(|| format!("invalid host {}: write it as \"app.example.com\"", quote(text)))
}

/// A path in the one form in which the gate judges the paths of requests.
fn path(text: &str) -> Result<String, String> {
    let problem = if !text.starts_with('/') {
        "does not start with a slash"
    } else if text.contains("//") {
        "has an empty segment"
    } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        "has a dot segment"
    } else if text.len() > 1 && text.ends_with('/') {
        "ends with a slash: write it without, since a path includes everything below it"
    } else if text.contains(['?', '#']) {
        "has a query or a fragment: write the path only"
    } else if text.contains('*') {
        "has an asterisk: write it without, since a path includes everything below it"
    } else if !text.bytes().all(is_path_byte) {
        "has a character other than letters, digits, slashes and -._~!$&'()+,;=:@"
    } else {
        return Ok(text.into());
    };
    Err(format!("invalid path {}: it {problem}", quote(text)))
}

/// What RFC 3986 allows in a path without percent-encoding, less the asterisk, which looks like a pattern.
const fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'')
        || matches!(byte, b'(' | b')' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

/// A string that is sent as it is, in a token or a header.
fn plain(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{} must not have a control character", quote(text)));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_canonical() {
        for good in ["/", "/api/1/ce", "/a.b/..c/~x", "/A:@b"] {
            assert_eq!(path(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "api",
            "/a/",
            "//",
            "/a//b",
            "/./a",
            "/a/..",
            "/a?b",
            "/a#b",
            "/a*",
            "/a%2f",
            "/a b",
            "/é",
            "/a\\b",
            "/a\n",
            "/{id}",
            "http://a/b",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
