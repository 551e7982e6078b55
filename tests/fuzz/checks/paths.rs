//! Any bytes as a target, at hosts with one rule and with several: wherever the request goes, no reading of its path leads
//! elsewhere (SECURITY.md R8, R59).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method};
use tollgate::config::{self, Host, Mode, NO_PROXIES, PathRules, Policy, RouteMatch};
use tollgate::gate::{Authorizer, Decision, Head, RequestPermits};

use super::fixture::{NOW, SETUP};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let mut text = String::from(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n[[realm]]\nname = \"r\"\nissuer = \"i\"\nrequire_key = false\n",
    );
    for (host, path, more) in [
        ("solo", "/", ""),
        ("two", "/", ""),
        ("two", "/a", ""),
        ("opaque", "/a", "path_rules = \"opaque\""),
        ("opaque", "/b", ""),
        ("opaque", "/", ""),
        ("pass", "/", "encoded_slash = \"pass\""),
        ("pass", "/a", "encoded_slash = \"pass\""),
        ("pass", "/a/b", "encoded_slash = \"pass\""),
        ("login", "/", "encoded_slash = \"pass\""),
    ] {
        text.push_str(&format!(
            "[[route]]\nhost = \"{host}.example\"\npath = \"{path}\"\nrealm = \"r\"\naccess = \"public\"\nupstream = [\"http://127.0.0.1:1\"]\n{more}\n"
        ));
    }
    text.push_str("[[login]]\ndialect = \"tenant\"\nhost = \"login.example\"\npath = \"/a\"\nlogout_path = \"/b\"\nrealm = \"r\"\n");
    config::parse(&text, Path::new("/nonexistent/paths.toml"), Mode::Start).expect("a policy").policy
});

/// Whether an application gets it that decides about a part of its host only.
pub fn check(data: &[u8]) -> bool {
    let mut granted = false;
    for name in ["solo", "two", "opaque", "pass", "login"] {
        let host = format!("{name}.example");
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(&host).expect("a host"))]);
        let host = Host::parse(&host).expect("a host");
        let head = Head {
            method: &Method::GET,
            target: data,
            authority: None,
            headers: &headers,
            size: data.len(),
            ambiguous_length: false,
            has_body: false,
            upgrade: false,
            peer: [192, 0, 2, 7].into(),
            tls: true,
        };
        let gate = Authorizer {
            policy: &POLICY,
            revoked: &SETUP.revoked,
            proxies: &NO_PROXIES,
            known: &SETUP.unknown,
            usage: &SETUP.usage,
            uptime: Duration::ZERO,
            generation: 1,
            may_wait: false,
            trace: None,
        };
        let path = data.split(|byte| *byte == b'?').next().unwrap_or_default();
        match gate.decide(&head, NOW, &mut RequestPermits::default()) {
            Decision::Grant(grant) => {
                assert_eq!(grant.target(), data, "byte for byte");
                let (route, rules) = (grant.route(), POLICY.routing.path_rules(&host, grant.route()).0);
                for reading in readings(path, rules == PathRules::Opaque) {
                    let text = String::from_utf8_lossy(&reading);
                    match POLICY.routing.find(&host, &text, &Method::GET) {
                        Ok(RouteMatch::Route(other)) if other.index == route.index => {}
                        other => panic!("{name}: {} is {text} to some, and {other:?}", path.escape_ascii()),
                    }
                }
                let key_set = readings(path, false).into_iter().find(|reading| is_key_set(reading));
                assert!(key_set.is_none(), "{name}: {} is a key set to some", path.escape_ascii());
                granted |= name != "solo";
            }
            // What Tollgate answers itself is at its path in the one form that all readers read alike.
            Decision::Jwks(_) => {
                assert!(readings(path, false).iter().all(|reading| is_key_set(reading)), "{}", path.escape_ascii());
            }
            Decision::Login(_) => assert!(!path.windows(2).any(|pair| pair == b"//")),
            Decision::Refusal(_) => {}
            Decision::Preflight(_) | Decision::Wait(_) => panic!("a GET without a token"),
        }
    }
    granted
}

fn is_key_set(path: &[u8]) -> bool {
    POLICY.jwks_at(&String::from_utf8_lossy(path)).is_some()
}

/// What applications may make of a path: each step that some reader takes, in any order and again and again. `all`: of
/// the odd ones, too, which no strict rule knows of.
fn readings(path: &[u8], all: bool) -> BTreeSet<Vec<u8>> {
    type Step = fn(&[u8]) -> Vec<u8>;
    const USUAL: [Step; 6] = [decoded, slashed, merged, bare, resolved, local];
    const ODD: [Step; 4] = [old, cut_at_nul, cut_at_query, trimmed];
    // A reader that decodes nothing knows no escapes: it is told from one that does by the second half.
    let first = (path.to_vec(), !path.contains(&b'%'));
    let mut found = BTreeSet::from([first.clone()]);
    let mut new = vec![first];
    while let Some((reading, was_decoded)) = new.pop() {
        for (at, step) in USUAL.iter().chain(ODD.iter().filter(|_| all)).enumerate() {
            let next = (step(&reading), was_decoded || at == 0);
            if found.len() < MOST && next.0.starts_with(b"/") && found.insert(next.clone()) {
                new.push(next);
            }
        }
    }
    found.into_iter().filter(|(_, was_decoded)| *was_decoded).map(|(reading, _)| reading).collect()
}

/// Every escape decoded, once.
fn decoded(path: &[u8]) -> Vec<u8> {
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let digits =
            path.get(at + 1..at + 3).filter(|digits| path[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(path[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    decoded
}

/// Back-slashes as slashes.
fn slashed(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

/// One slash for several.
fn merged(path: &[u8]) -> Vec<u8> {
    let mut merged: Vec<u8> = Vec::new();
    path.iter().for_each(|byte| {
        if *byte != b'/' || merged.last() != Some(byte) {
            merged.push(*byte);
        }
    });
    merged
}

/// Without parameters.
fn bare(path: &[u8]) -> Vec<u8> {
    let segments: Vec<_> = path
        .split(|byte| *byte == b'/')
        .map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default())
        .collect();
    segments.join(&b'/')
}

/// RFC 3986, 5.2.4.
fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        match segment {
            b".." => drop(kept.pop()),
            b"." => {}
            segment => kept.push(segment),
        }
    }
    [b"/", &kept.join(&b'/')[..]].concat()
}

/// What stands between the first two slashes is a host (RFC 3986, 4.2).
fn local(path: &[u8]) -> Vec<u8> {
    let Some(rest) = path.strip_prefix(b"//") else { return path.to_vec() };
    rest.iter().position(|byte| *byte == b'/').map_or_else(|| b"/".to_vec(), |at| rest[at..].to_vec())
}

/// As older decoders have it: `%u002e`, and more bytes of UTF-8 than a character needs.
fn old(path: &[u8]) -> Vec<u8> {
    let (mut read, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let (length, byte) = match path[at..] {
            [b'%', b'u', b'0', b'0', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (6, decoded(&[b'%', high, low])[0])
            }
            [first @ 0xc0..=0xc1, last @ 0x80..=0xbf, ..] => (2, ((first & 1) << 6) | (last & 0x3f)),
            [0xe0, second @ 0x80..=0x81, last @ 0x80..=0xbf, ..] => (3, ((second & 1) << 6) | (last & 0x3f)),
            [byte, ..] => (1, byte),
            [] => break,
        };
        read.push(byte);
        at += length;
    }
    read
}

fn cut_at_nul(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn cut_at_query(path: &[u8]) -> Vec<u8> {
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default().to_vec()
}

/// Without the white space at the end of a segment.
fn trimmed(path: &[u8]) -> Vec<u8> {
    let segments: Vec<_> = path.split(|byte| *byte == b'/').map(<[u8]>::trim_ascii_end).collect();
    segments.join(&b'/')
}

/// Of one path.
const MOST: usize = 500;
