//! Any text as a configuration file: it is a policy that can judge, or errors that name their place and no secret.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use tollgate::config::{self, Mode, Policy};
use tollgate::gate::{AddressLimiters, Authorizer, Decision, Head, RequestPermits, TokenCache};
use tollgate::token::Revocations;
use toml::{Table, Value};

const NOW: i64 = 1_800_000_000;
const FILE: &str = "/nonexistent/fuzz.toml";

/// Whether it is a policy.
pub fn check(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    // New RSA keys take seconds, and files of this machine are none of the fuzzer's business.
    if ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "\\u", "\\U", "/etc", "/proc", "/root", "/home", "/work"]
        .iter()
        .any(|word| text.contains(word))
    {
        return false;
    }
    let parsed = config::parse(text, Path::new(FILE), Mode::Start);
    match parsed {
        Ok(config) => {
            assert!(text.parse::<Table>().is_ok(), "what is taken is TOML");
            assert!(!config.policy.realms.is_empty());
            assert!(!config.policy.routing.logins.is_empty() || !config.policy.routing.routes.is_empty());
            judges(&config.policy);
            let again = config::parse(text, Path::new(FILE), Mode::Start).expect("it was one a moment ago");
            assert!(config.cold_changes(&again).is_empty());
            true
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            let lines = text.split('\n').count().max(1);
            let told = errors.to_string();
            for error in &errors {
                assert!(error.line.is_some_and(|line| (1..=lines).contains(&line)), "{error}");
                assert!(!error.message.is_empty() && !error.to_string().contains('\n'), "{error:?}");
                assert!(error.to_string().starts_with(FILE), "{error}");
                assert!(!error.to_string().contains(|char: char| char.is_control()), "{error:?}");
            }
            for secret in secrets(text) {
                assert!(!told.contains(&secret), "{told}");
            }
            false
        }
    }
}

/// It takes requests, and forwards none but where a route says so.
fn judges(policy: &Policy) {
    let (revoked, known, usage) = (Revocations::new(), TokenCache::new(0), AddressLimiters::new());
    let gate = Authorizer {
        policy,
        revoked: &revoked,
        proxies: &config::NO_PROXIES,
        known: &known,
        usage: &usage,
        uptime: Duration::ZERO,
        generation: 1,
        may_wait: true,
        trace: None,
    };
    let paths: BTreeSet<_> = policy.routing.routes.iter().map(|route| route.path.to_owned()).collect();
    let hosts = policy.routing.routes.iter().filter_map(|route| route.host.as_ref()).map(ToString::to_string);
    let hosts: BTreeSet<_> = hosts.chain(["gate.example".to_owned()]).take(8).collect();
    let paths: Vec<_> = paths.into_iter().chain(["/".into(), "/.well-known/jwks.json".into()]).take(8).collect();
    for (host, path) in hosts.iter().flat_map(|host| paths.iter().map(move |path| (host, path))) {
        let mut headers = HeaderMap::new();
        let Ok(value) = HeaderValue::from_str(host) else { continue };
        headers.insert("host", value);
        headers.insert("authorization", HeaderValue::from_static("Bearer a.b.c"));
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let head = Head {
                method: &method,
                target: path.as_bytes(),
                authority: None,
                headers: &headers,
                size: 100,
                ambiguous_length: false,
                has_body: false,
                upgrade: false,
                peer: [192, 0, 2, 7].into(),
                tls: false,
            };
            if let Decision::Grant(grant) = gate.decide(&head, NOW, &mut RequestPermits::default()) {
                assert!(grant.principal().is_none() && grant.route().access == config::Access::Public, "{path}");
                assert!(grant.route().roles.is_empty() && !grant.route().realm.require_key);
            }
        }
    }
}

/// What is written where a secret belongs, and nowhere else.
fn secrets(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<Table>() else {
        // What can't be read as a whole is quoted nowhere, whatever it is: the seeds call their secrets so.
        let only = text.lines().filter(|line| line.contains("hunter2")).all(|line| {
            let key = line.split('=').next().unwrap_or_default().trim();
            !key.contains("hunter2") && ["secret", "client_secret"].contains(&key)
        });
        return if only { vec!["hunter2".into()] } else { Vec::new() };
    };
    let mut found = Vec::new();
    collect(&Value::Table(table), "", &mut found);
    // One that stands elsewhere too may be told from there.
    found.retain(|secret| secret.len() >= 6 && text.matches(secret.as_str()).count() == 1);
    found
}

fn collect(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| collect(value, key, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        Value::String(text) if matches!(key, "secret" | "client_secret") => found.push(text.clone()),
        Value::String(text) if key == "url" => {
            let password = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
            let password = password.and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password.to_owned());
            found.extend(password);
        }
        _ => {}
    }
}
