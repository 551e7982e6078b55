//! The sections of the file, and what each key may be.

pub(super) mod api_key;
pub(super) mod cognito;
mod cookie;
mod exchange;
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

use super::host::{Authority, Host};
use super::outside::Outside;
use super::pem::CaFile;
use super::policy::Realm;
use super::reader::{Keys, Section, WHOLE_FILE};
use super::spelling::{closest, quote};

/// The file as a whole.
pub(super) const FILE: Keys = Keys {
    header: WHOLE_FILE,
    known: &["server", "log", "store", "limits", "realm", "login", "route"],
    later: &[],
    parent: None,
};

/// The realms of the file.
#[derive(Default)]
pub(super) struct Realms {
    pub(super) declared: Vec<Declared>,
    /// One of them has no name, or a bad one: it may be the one that a login or a route names.
    pub(super) misnamed: bool,
}

/// A realm that the file names, whether or not it could be read.
pub(super) struct Declared {
    pub(super) name: String,
    /// It has API keys, good or bad ones.
    pub(super) has_keys: bool,
    pub(super) realm: Option<Arc<Realm>>,
}

/// `realm` of a login or a route. `None` was reported, here or where a realm has a bad name.
fn realm_of<'r>(section: &Section<'_>, realms: &'r Realms) -> Option<&'r Declared> {
    let name = section.required("realm", "\"…\", the name of a [[realm]]", Ok)?;
    if let Some(declared) = realms.declared.iter().find(|declared| declared.name == name) {
        return Some(declared);
    }
    if realms.misnamed {
        return None;
    }
    let message = match closest(name, realms.declared.iter().map(|declared| declared.name.as_str())) {
        Some(meant) => format!("there is no realm {}: did you mean \"{meant}\"?", quote(name)),
        None => format!("there is no realm {}: write [[realm]] with that name", quote(name)),
    };
    section.missing_value("realm", message);
    None
}

/// The CA certificates in the file that `key` names.
fn ca_file(section: &Section<'_>, key: &'static str, outside: &Outside) -> Option<CaFile> {
    let file = section.optional(key, |path| CaFile::read(path, outside))?;
    for sentence in file.expired(outside.now()) {
        section.warn(key, sentence);
    }
    Some(file)
}

/// The one host that something is for.
fn host(text: &str) -> Result<Host, String> {
    if text.contains('*') {
        return Err(format!("{} is a pattern: write one host, or leave it out for every one", quote(text)));
    }
    if let Some(Authority { host, port: Some(_) }) = Authority::parse(text) {
        return Err(format!("{} has a port: write \"{host}\"", quote(text)));
    }
    Host::parse(text).ok_or_else(|| format!("{} is no host: write it as \"app.example.com\"", quote(text)))
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
        "ends with a slash: write it without, it matches whole segments and everything below"
    } else if text.contains(['?', '#']) {
        "has a query or a fragment: write the path only"
    } else if text.contains('*') {
        "has an asterisk: write the path without, it matches everything below anyway"
    } else if !text.bytes().all(is_path_byte) {
        "has a character other than letters, digits, slashes and -._~!$&'()+,;=:@"
    } else {
        return Ok(text.into());
    };
    Err(format!("{} {problem}", quote(text)))
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
        return Err("is empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{} has a control character", quote(text)));
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
