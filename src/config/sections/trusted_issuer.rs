//! `[[realm.trusted_issuer]]`.

use std::sync::Arc;
use std::time::Duration;

use super::{plain, realm};
use crate::config::outside::Outside;
use crate::config::policy::{MAX_LEEWAY, Policy};
use crate::config::reader::{Keys, Section};
use crate::config::spelling::quote;
use crate::token::{Algorithm, Audience, Issuer, Location, Mapping, Remote, Source, TrustedKeys, Type};

/// Its keys.
pub(in crate::config) const KEYS: Keys = Keys {
    header: "[[realm.trusted_issuer]]",
    known: &[
        "issuer",
        "audience",
        "client_ids",
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
        "email_claim",
    ],
    later: &[],
    parent: Some(&realm::KEYS),
};

/// The trusted issuers of a realm whose own tokens name `own` and may be off by `leeway`. Keys that `current` has from
/// the same place are kept: a reload must not depend on an issuer that answers.
pub(in crate::config) fn read(
    realm: &Section<'_>,
    own: Option<&str>,
    leeway: Duration,
    outside: &Outside,
    current: Option<&Policy>,
) -> Vec<Issuer> {
    let mut issuers: Vec<Issuer> = Vec::new();
    for section in realm.tables("trusted_issuer", &KEYS) {
        let name = section.required("issuer", "\"https://tenant.eu.auth0.com/\"", plain);
        if let Some(name) = &name {
            if own == Some(name) {
                section.error("issuer", "is the issuer of the realm itself: whose keys should verify its tokens?");
            }
            if issuers.iter().any(|other| *other.name == **name) {
                section.error("issuer", "is that of another [[realm.trusted_issuer]] of this realm: make them one");
            }
        }
        let algorithms = algorithms(&section);
        let audience = audience(&section);
        let types = types(&section);
        let leeway = section.duration("leeway", Duration::ZERO..=MAX_LEEWAY, leeway);
        let required = section.list("required_claims", plain);
        let exact = section.values("claims", "claims that must be exactly this, such as { token_use = \"access\" }");
        let mapping = Mapping {
            username: claim(&section, "username_claim", "username"),
            email: claim(&section, "email_claim", "email"),
            roles: section.list("roles_claims", plain),
        };
        let Some((name, source)) = name.clone().zip(source(&section, name.as_deref(), outside)) else { continue };
        // A file is read anew: what is wrong with the rest of the configuration must leave the policy in force as it is.
        let fetched = current.filter(|_| matches!(source, Source::Remote(_)));
        let kept = fetched.and_then(|policy| policy.trusted_keys(&name, &source, &algorithms));
        let keys = kept.unwrap_or_else(|| Arc::new(TrustedKeys::new(source.clone(), algorithms.clone())));
        if let Source::File(path) = &source {
            let installed = outside.public_file(path).and_then(|text| {
                keys.install(&text, outside.now()).map_err(|error| format!("{} {error}", path.display()))
            });
            if let Err(problem) = installed {
                section.error("jwks_file", problem);
            }
        }
        let (name, leeway) = (name.into(), i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX));
        issuers.push(Issuer { name, audience, algorithms, types, leeway, required, exact, mapping, keys });
    }
    issuers
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
        None => {
            let known: Vec<_> = Algorithm::ALL.iter().skip(1).map(|algorithm| algorithm.name()).collect();
            Err(format!("{} is none of the algorithms: write some of {}", quote(text), known.join(", ")))
        }
    });
    if section.has("algorithms") { listed } else { vec![Algorithm::RS256] }
}

fn audience(section: &Section<'_>) -> Audience {
    if section.has("audience") == section.has("client_ids") {
        section.missing(
            "audience",
            "write either audience, of which a token's aud must name one, or client_ids for tokens without aud, as Amazon Cognito's",
        );
    }
    for key in ["audience", "client_ids"] {
        if section.is_empty_list(key) {
            section.error(key, "is empty: tokens that are meant for anybody are meant for nobody");
        }
    }
    if section.has("client_ids") {
        Audience::Client(section.list("client_ids", plain))
    } else {
        Audience::AnyOf(section.list("audience", plain))
    }
}

fn types(section: &Section<'_>) -> Vec<Type> {
    if section.is_empty_list("types") {
        section.error("types", "is empty: list \"JWT\", \"at+jwt\", and \"absent\" for tokens without typ");
    }
    let listed = section.list("types", |text| match text {
        "JWT" => Ok(Type::Jwt),
        "at+jwt" => Ok(Type::AccessToken),
        "absent" => Ok(Type::Absent),
        _ => Err(format!("{} is none of the values: write \"JWT\", \"at+jwt\" or \"absent\"", quote(text))),
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
    if written.len() + usize::from(discovery) != 1 {
        section
            .missing("", "needs exactly one of jwks_url, jwks_file and discovery = true, which say where its keys are");
        return None;
    }
    let insecure_http = section.flag("insecure_http", false);
    let roots = section.optional("ca_file", |path| {
        let text = outside.public_file(&outside.file(path)?)?;
        if text.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
            Ok(text)
        } else {
            Err(format!("{} holds no certificate in PEM", quote(path)))
        }
    });
    let refresh = section.duration("refresh", MIN_REFRESH..=MAX_REFRESH, DEFAULT_REFRESH);
    let max_stale = section.duration("max_stale", MIN_REFRESH..=MAX_STALE, DEFAULT_STALE.max(refresh));
    if max_stale < refresh {
        section
            .error("max_stale", "is shorter than refresh: its keys would count no more before they are fetched again");
    }
    let timeout = section.duration("timeout", MIN_TIMEOUT..=MAX_TIMEOUT, DEFAULT_TIMEOUT);
    let location = if discovery {
        // OpenID Connect Discovery 1.0, 4.1
        let url = format!("{}/.well-known/openid-configuration", issuer?.trim_end_matches('/'));
        match check_url(&url, insecure_http) {
            Ok(()) => Location::Discovery(url),
            Err(problem) => {
                section.error("issuer", problem);
                return None;
            }
        }
    } else if section.has("jwks_url") {
        Location::Jwks(section.optional("jwks_url", |text| check_url(text, insecure_http).map(|()| text.to_owned()))?)
    } else {
        return section.optional("jwks_file", |path| outside.file(path)).map(Source::File);
    };
    Some(Source::Remote(Remote { location, insecure_http, roots, refresh, max_stale, timeout }))
}

/// Of where keys may be fetched from.
fn check_url(text: &str, insecure_http: bool) -> Result<(), String> {
    let shown = quote(text);
    let uri: http::Uri = text.parse().map_err(|_| format!("{shown} is no URL"))?;
    let plain =
        uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    match uri.scheme_str() {
        _ if !plain || text.contains('#') => {
            Err(format!("{shown} is no URL with a host, and without user and fragment"))
        }
        Some("https") => Ok(()),
        Some("http") if insecure_http => Ok(()),
        Some("http") => Err(format!(
            "{shown}: whoever is on the way could give us keys of their own: write https, or insecure_http = true"
        )),
        _ => Err(format!("{shown} is no https URL")),
    }
}

const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(86_400);
const DEFAULT_REFRESH: Duration = Duration::from_secs(600);
const MAX_STALE: Duration = Duration::from_secs(30 * 86_400);
const DEFAULT_STALE: Duration = Duration::from_secs(86_400);
const MIN_TIMEOUT: Duration = Duration::from_millis(100);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
