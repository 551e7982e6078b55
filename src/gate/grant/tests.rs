//! The credential that opens a route where several can: API keys, Basic, the cookie, and an application's own
//! Authorization header.

use crate::gate::fixture::Bench;
use crate::gate::*;
use crate::token::TokenError;

mod requirements;

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[store]
url = "sqlite://x.db"

[[realm]]
name = "main"
issuer = "https://gate.example"
cookie = "m"
origins = ["https://app.example"]
[[realm.key]]
id = "job"
secret = "0123456789abcdef-job"
[[realm.key]]
id = "other"
secret = "0123456789abcdef-other"
[[realm.key]]
id = "off"
secret = "0123456789abcdef-off"
disabled = true
[[realm.key]]
id = "old"
secret = "0123456789abcdef-old"
expires = 2020-01-01T00:00:00Z

[[realm]]
name = "keyless"
issuer = "https://keyless.example"
cookie = "k"

[[realm]]
name = "named"
issuer = "https://named.example"
cookie = "n"
key_query = "api-key"
key_header = "Api-Key"
require_key = true
[[realm.key]]
id = "one"
secret = "0123456789abcdef-one"
[realm.master_key]
sha256 = "0a8363b3bad871b85ae52da4cc33db4a62c245c48e67271274edf5f93037fb5c"

[[login]]
dialect = "project"
path = "/auth"
realm = "main"

[[route]]
path = "/user"
realm = "main"
access = "user"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/key"
realm = "main"
access = "key"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/both"
realm = "main"
access = ["user", "key"]
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/both-gate"
realm = "main"
access = ["user", "key"]
authorization = "gate"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/admin"
realm = "main"
access = ["key", "user"]
roles = ["admin"]
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/mfa"
realm = "main"
access = ["key", "user"]
require_mfa = true
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/basic"
realm = "main"
access = "key"
basic = true
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/basic-both"
realm = "main"
access = ["user", "key"]
basic = true
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/basic-gate"
realm = "main"
access = ["user", "key"]
basic = true
authorization = "gate"
forward_token = true
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/gate"
realm = "main"
access = "user"
authorization = "gate"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/app"
realm = "main"
access = "user"
authorization = "app"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/app-public"
realm = "main"
access = "public"
authorization = "app"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/public"
realm = "main"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/keyless"
realm = "keyless"
access = "public"
upstream = ["http://127.0.0.1:1"]
[[route]]
path = "/named"
realm = "named"
access = "public"
upstream = ["http://127.0.0.1:1"]
"#;

const KEY: (&str, &str) = ("x-api-key", "0123456789abcdef-job");
const OFF: (&str, &str) = ("x-api-key", "0123456789abcdef-off");
/// `job:0123456789abcdef-job`, and the same without a name, and under another one's.
const BASIC: (&str, &str) = ("authorization", "Basic am9iOjAxMjM0NTY3ODlhYmNkZWYtam9i");
const BASIC_NAMELESS: (&str, &str) = ("authorization", "basic OjAxMjM0NTY3ODlhYmNkZWYtam9i");
const BASIC_MISNAMED: (&str, &str) = ("authorization", "Basic b3RoZXI6MDEyMzQ1Njc4OWFiY2RlZi1qb2I=");
/// `off:0123456789abcdef-off`
const BASIC_OFF: (&str, &str) = ("authorization", "Basic b2ZmOjAxMjM0NTY3ODlhYmNkZWYtb2Zm");
/// `u:pw`
const BASIC_APPS: (&str, &str) = ("authorization", "Basic dTpwdw==");
const TOKEN_APPS: (&str, &str) = ("authorization", "Bearer glsa_0123");

/// Returns the user, the API key, and whether the Authorization header is forwarded.
type Passed = (Option<String>, Option<String>, bool);

fn passed(bench: &Bench, line: &str, headers: &[(&str, &str)]) -> Result<Passed, DenyReason> {
    match bench.ask(line, headers) {
        Decision::Grant(grant) => Ok((
            grant.principal().map(|principal| principal.claims().subject.clone()),
            grant.key().map(|key| key.id.to_owned()),
            grant.keeps_authorization(),
        )),
        Decision::Refusal(refusal) => Err(refusal.deny),
        other => panic!("{line}: {other:?}"),
    }
}

fn user() -> Result<Passed, DenyReason> {
    Ok((Some("u".into()), None, false))
}

fn by_key() -> Result<Passed, DenyReason> {
    Ok((None, Some("job".into()), false))
}

#[test]
fn any_of_a_list_is_enough() {
    let bench = Bench::of(CONFIG);
    let (bearer, cookie) = (bench.bearer("main", &[]), format!("m={}", bench.token("main", &[])));
    let (bearer, cookie) = (("authorization", bearer.as_str()), ("cookie", cookie.as_str()));
    let forged = format!("{}x", bearer.1);
    let forged = ("authorization", forged.as_str());
    let missing = Err(DenyReason::TokenMissing);
    for (line, headers, expected) in [
        ("GET /both", &[bearer][..], user()),
        ("GET /both", &[cookie], user()),
        ("GET /both", &[KEY], by_key()),
        ("GET /both?key=0123456789abcdef-job", &[], by_key()),
        ("GET /both", &[], missing.clone()),
        // Both are valid: the user passes, as without the key.
        ("GET /both", &[bearer, KEY], user()),
        ("GET /both", &[cookie, KEY], user()),
        // A value that is not a key is the application's, and opens nothing.
        ("GET /both?key=wc_order_1", &[cookie], user()),
        ("GET /both?key=wc_order_1", &[], missing.clone()),
        ("GET /both", &[("x-api-key", "guess")], missing),
        // An expired key is not the application's.
        ("GET /both", &[cookie, OFF], Err(DenyReason::KeyDisabled)),
        ("GET /both?key=0123456789abcdef-old", &[bearer], Err(DenyReason::KeyExpired)),
        // So was a token that names the realm, and no other.
        ("GET /both", &[forged, KEY], Err(DenyReason::Token(TokenError::Signature))),
        ("GET /both", &[bearer, forged, KEY], Err(DenyReason::CredentialConflict)),
        ("GET /both", &[TOKEN_APPS, KEY], by_key()),
        ("GET /both", &[BASIC_APPS, KEY], by_key()),
        ("GET /both-gate", &[TOKEN_APPS, KEY], Err(DenyReason::Token(TokenError::Malformed))),
        // A cookie comes by itself: a stale or a planted one keeps no key out.
        ("GET /both", &[("cookie", "m=stale"), KEY], by_key()),
        ("GET /both", &[("cookie", "m=stale; m=other"), KEY], by_key()),
        ("GET /both", &[("cookie", "m=stale")], Err(DenyReason::Token(TokenError::Malformed))),
        ("GET /both", &[("cookie", "m=stale; m=other")], Err(DenyReason::CredentialConflict)),
        ("POST /both", &[cookie, KEY], by_key()),
        ("POST /both", &[cookie], Err(DenyReason::OriginMissing)),
        // Two keys.
        ("GET /both?key=0123456789abcdef-other", &[KEY], Err(DenyReason::KeyConflict)),
        ("GET /both?key=0123456789abcdef-job&key=a&key=b", &[], by_key()),
    ] {
        assert_eq!(passed(&bench, line, headers), expected, "{line} {headers:?}");
    }
    let Decision::Refusal(refusal) = bench.ask("GET /both", &[]) else { panic!() };
    assert!(refusal.detail().contains("or an API key"), "{}", refusal.detail());
    let Decision::Grant(grant) = bench.ask("GET /both", &[KEY]) else { panic!() };
    let names: Vec<_> = grant.identity().unwrap().headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["x-auth-realm"]);
}

#[test]
fn roles_and_a_second_factor_are_asked_of_users_and_a_key_is_enough_without() {
    let bench = Bench::of(CONFIG);
    let (plain, admin) = (bench.bearer("main", &["user"]), bench.bearer("main", &["admin"]));
    let (plain, admin) = (("authorization", plain.as_str()), ("authorization", admin.as_str()));
    for (line, headers, expected) in [
        ("GET /admin", &[admin][..], user()),
        ("GET /admin", &[plain], Err(DenyReason::RoleMissing)),
        ("GET /admin", &[KEY], by_key()),
        ("GET /admin", &[admin, KEY], user()),
        // The application must not take a user without the role for one that has it.
        ("GET /admin", &[plain, KEY], by_key()),
        ("GET /mfa", &[plain], Err(DenyReason::MfaRequired)),
        ("GET /mfa", &[plain, KEY], by_key()),
        ("GET /mfa", &[KEY], by_key()),
    ] {
        assert_eq!(passed(&bench, line, headers), expected, "{line} {headers:?}");
    }
}

#[test]
fn basic_credentials_are_an_api_key_where_the_route_says_so() {
    let bench = Bench::of(CONFIG);
    let cookie = format!("m={}", bench.token("main", &[]));
    let cookie = ("cookie", cookie.as_str());
    let fault = |fault| Err(DenyReason::Basic(fault));
    for (line, headers, expected) in [
        ("GET /basic", &[BASIC][..], by_key()),
        ("GET /basic", &[BASIC_NAMELESS], by_key()),
        ("GET /basic", &[KEY], by_key()),
        ("GET /basic", &[BASIC, KEY], by_key()),
        ("GET /basic", &[], fault(KeyFault::Missing)),
        ("GET /basic", &[BASIC_MISNAMED], fault(KeyFault::Unknown)),
        ("GET /basic", &[BASIC_APPS], fault(KeyFault::Unknown)),
        ("GET /basic", &[BASIC_OFF], fault(KeyFault::Disabled)),
        ("GET /basic", &[("authorization", "Basic ?")], fault(KeyFault::Unknown)),
        ("GET /basic", &[("authorization", "Basic")], fault(KeyFault::Missing)),
        ("GET /basic", &[BASIC, BASIC], fault(KeyFault::Missing)),
        ("GET /basic?key=0123456789abcdef-other", &[BASIC], Err(DenyReason::KeyConflict)),
        ("GET /basic", &[("x-api-key", "guess")], Err(DenyReason::KeyUnknown)),
        // Where the route does not enable it, it is no credential.
        ("GET /key", &[BASIC], Err(DenyReason::KeyMissing)),
        ("GET /both", &[BASIC], Err(DenyReason::TokenMissing)),
        ("GET /user", &[BASIC], Err(DenyReason::TokenMissing)),
        ("GET /basic-both", &[BASIC], by_key()),
        ("GET /basic-both", &[BASIC_APPS], fault(KeyFault::Unknown)),
        ("GET /basic-both", &[], Err(DenyReason::TokenMissing)),
        // Beside the cookie, a value that is not a key is the application's, and a key never is.
        ("GET /basic-both", &[BASIC_APPS, cookie], Ok((Some("u".into()), None, true))),
        ("GET /basic-both", &[BASIC, cookie], user()),
        ("GET /basic-both", &[BASIC_MISNAMED, cookie], fault(KeyFault::Unknown)),
        ("GET /basic-both", &[BASIC_OFF, cookie], fault(KeyFault::Disabled)),
        ("GET /basic-both", &[BASIC, ("cookie", "m=stale")], by_key()),
        ("GET /basic-gate", &[BASIC, cookie], Ok((None, Some("job".into()), true))),
        ("GET /basic-gate", &[BASIC_APPS, cookie], fault(KeyFault::Unknown)),
    ] {
        assert_eq!(passed(&bench, line, headers), expected, "{line} {headers:?}");
    }
    let Decision::Refusal(refusal) = bench.ask("GET /basic-both", &[]) else { panic!() };
    assert!(refusal.takes_basic);
}

#[test]
fn r49_basic_credentials_come_by_themselves_too() {
    let bench = Bench::of(CONFIG);
    let evil = [("origin", "https://evil.example"), BASIC];
    let cross = ("sec-fetch-site", "cross-site");
    for (line, headers, expected) in [
        ("POST /basic", &[BASIC][..], by_key()),
        ("POST /basic", &[BASIC, ("origin", "https://app.example")], by_key()),
        ("POST /basic", &[BASIC, ("sec-fetch-site", "same-origin")], by_key()),
        ("POST /basic", &evil, Err(DenyReason::OriginDenied)),
        ("POST /basic", &[BASIC, cross], Err(DenyReason::OriginDenied)),
        ("GET /basic", &[BASIC, cross], Err(DenyReason::Basic(KeyFault::Missing))),
        ("GET /basic-both", &[BASIC, cross], Err(DenyReason::TokenMissing)),
        ("GET /basic", &[BASIC, ("upgrade", "websocket"), cross], Err(DenyReason::OriginDenied)),
        ("POST /basic", &[KEY, cross], by_key()),
    ] {
        assert_eq!(passed(&bench, line, headers), expected, "{line} {headers:?}");
    }
}

#[test]
fn r53_an_apps_own_authorization_header_beside_the_cookie() {
    let bench = Bench::of(CONFIG);
    let (bearer, cookie) = (bench.bearer("main", &[]), format!("m={}", bench.token("main", &[])));
    let (bearer, cookie) = (("authorization", bearer.as_str()), ("cookie", cookie.as_str()));
    let forged = format!("{}x", bearer.1);
    let forged = ("authorization", forged.as_str());
    let elsewhere = bench.bearer("keyless", &[]);
    let elsewhere = ("authorization", elsewhere.as_str());
    let (stale, apps) = (("cookie", "m=stale"), Ok((Some("u".to_owned()), None, true)));
    let bad = |reject| Err(DenyReason::Token(reject));
    for (line, headers, expected) in [
        ("GET /user", &[TOKEN_APPS, cookie][..], apps.clone()),
        ("GET /user", &[BASIC_APPS, cookie], apps.clone()),
        ("GET /user", &[("authorization", "Token abc"), cookie], apps.clone()),
        ("GET /user", &[("authorization", ""), cookie], apps.clone()),
        ("GET /user", &[elsewhere, cookie], apps.clone()),
        ("GET /user", &[BASIC_APPS, TOKEN_APPS, cookie], apps.clone()),
        // A token that names the realm is Tollgate's, and must be valid.
        ("GET /user", &[bearer, cookie], user()),
        ("GET /user", &[bearer, stale], user()),
        ("GET /user", &[forged, cookie], bad(TokenError::Signature)),
        ("GET /user", &[forged, TOKEN_APPS, cookie], Err(DenyReason::CredentialConflict)),
        ("GET /user", &[TOKEN_APPS, bearer, cookie], Err(DenyReason::CredentialConflict)),
        // The cookie decides, then.
        ("GET /user", &[TOKEN_APPS, stale], bad(TokenError::Malformed)),
        ("POST /user", &[TOKEN_APPS, cookie], Err(DenyReason::OriginMissing)),
        // Without a cookie, the header is Tollgate's.
        ("GET /user", &[TOKEN_APPS], bad(TokenError::Malformed)),
        ("GET /user", &[BASIC_APPS], Err(DenyReason::TokenMissing)),
        ("GET /user", &[elsewhere], bad(TokenError::Issuer)),
        ("GET /user", &[bearer, bearer], Err(DenyReason::CredentialConflict)),
        ("GET /gate", &[TOKEN_APPS, cookie], bad(TokenError::Malformed)),
        ("GET /gate", &[BASIC_APPS, cookie], Err(DenyReason::TokenMissing)),
        ("GET /gate", &[cookie], user()),
        ("GET /gate", &[bearer, stale], user()),
        ("GET /app", &[TOKEN_APPS, cookie], apps.clone()),
        ("GET /app", &[forged, cookie], apps.clone()),
        ("GET /app", &[bearer, bearer, cookie], apps.clone()),
        ("GET /app", &[bearer], Err(DenyReason::TokenMissing)),
        ("GET /app-public", &[forged], Ok((None, None, true))),
        ("GET /public", &[TOKEN_APPS], Ok((None, None, false))),
        ("GET /public", &[TOKEN_APPS, cookie], apps),
        ("GET /public", &[forged, cookie], Ok((None, None, false))),
        ("GET /public", &[bearer, bearer], Err(DenyReason::CredentialConflict)),
    ] {
        assert_eq!(passed(&bench, line, headers), expected, "{line} {headers:?}");
    }
}

#[test]
fn r51_two_cookies_of_the_realm_lock_nobody_out_where_no_user_is_needed() {
    let bench = Bench::of(CONFIG);
    let token = bench.token("main", &[]);
    let planted = format!("m=planted; m={token}");
    let planted = ("cookie", planted.as_str());
    assert_eq!(passed(&bench, "GET /user", &[planted]), Err(DenyReason::CredentialConflict));
    assert_eq!(passed(&bench, "GET /public", &[planted]), Ok((None, None, false)));
    assert_eq!(passed(&bench, "GET /key", &[planted, KEY]), by_key());
    let bearer = format!("Bearer {token}");
    assert_eq!(passed(&bench, "GET /user", &[planted, ("authorization", &bearer)]), user(), "it is not looked at");
    for line in ["POST /auth?login=true", "POST /auth?logout=true", "POST /auth"] {
        let Decision::Login(admitted) = bench.ask(line, &[planted]) else { panic!("{line}") };
        assert!(admitted.token.is_err(), "{line}");
    }
    let Decision::Login(admitted) = bench.ask("GET /auth", &[planted]) else { panic!() };
    assert_eq!(admitted.token, Err(DenyReason::CredentialConflict), "who is it?");
    let same = format!("m={token}; m={token}");
    assert_eq!(passed(&bench, "GET /user", &[("cookie", &same)]), user());
}

#[test]
fn a_query_and_headers_are_the_apps_but_for_good_keys() {
    let bench = Bench::of(CONFIG);
    let target = |line: &str, headers: &[(&str, &str)]| bench.outcome(line, headers);
    for path in [
        "/keyless?action=rp&key=AbC123&login=al",
        "/keyless?key=colour",
        "/keyless?masterKey=1",
        "/keyless?key=0123456789abcdef-job",
        "/public?key=wc_order_1&x",
        "/public?key=a&key=b",
        "/public?key=%FC&key=%",
        "/public?masterKey=1&key=",
        "/public?k%65y=x",
    ] {
        assert_eq!(target(&format!("GET {path}"), &[]), Ok(path.to_owned()), "{path}");
    }
    for (path, left) in [
        ("/public?key=0123456789abcdef-job", "/public"),
        ("/public?a&k%65y=0123456789abcdef%2Djob&key=b", "/public?a&key=b"),
        ("/key?key=0123456789abcdef-job&masterKey=1", "/key?masterKey=1"),
        ("/named?key=a&api-key=0123456789abcdef-one&api%2Dkey=0123456789abcdef-one&b", "/named?key=a&b"),
    ] {
        assert_eq!(target(&format!("GET {path}"), &[]), Ok(left.to_owned()), "{path}");
    }
    assert_eq!(target("GET /public?key=0123456789abcdef-off", &[]), Err(DenyReason::KeyDisabled));
    assert_eq!(target("GET /public?key=0123456789abcdef-other", &[KEY]), Err(DenyReason::KeyConflict));
    for (line, deny) in [
        ("GET /key?key=guess", DenyReason::KeyUnknown),
        ("GET /key?key=0123456789abcdef-job&key=x", DenyReason::KeyConflict),
        ("GET /key?key=a&key=b", DenyReason::KeyConflict),
        ("GET /key?key=%FC", DenyReason::Query),
        ("GET /named?key=0123456789abcdef-one", DenyReason::KeyMissing),
        ("GET /named?api-key=0123456789abcdef-job", DenyReason::KeyUnknown),
    ] {
        assert_eq!(target(line, &[]), Err(deny), "{line}");
    }
    assert_eq!(target("GET /named", &[("x-api-key", "0123456789abcdef-one")]), Err(DenyReason::KeyMissing));
    let named = ("api-key", "0123456789abcdef-one");
    assert_eq!(target("GET /named", &[named]), Ok("/named".into()));
    let Decision::Refusal(refusal) = bench.ask("GET /named", &[]) else { panic!() };
    assert_eq!(
        refusal.detail(),
        "An API key is needed: send it as the query parameter api-key, or as the header api-key."
    );

    let has_key_in = |line: &str, headers: &[(&str, &str)], name: &'static str| {
        let Decision::Grant(grant) = bench.ask(line, headers) else { panic!("{line}") };
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        grant.has_key_in(&http::HeaderName::from_static(name), &headers)
    };
    let apps = ("x-api-key", "the app's");
    assert!(!has_key_in("GET /keyless", &[KEY], "x-api-key"));
    assert!(!has_key_in("GET /public", &[apps], "x-api-key"));
    assert!(has_key_in("GET /public", &[KEY], "x-api-key"));
    assert!(has_key_in("GET /public", &[("x_api_key", KEY.1)], "x_api_key"), "nor under a name that is folded to it");
    assert!(has_key_in("GET /key", &[KEY, ("x.api.key", "x")], "x.api.key"), "where one is needed, whatever it is");
    assert!(has_key_in("GET /named", &[named, ("api_key", "x")], "api_key"));
    assert!(!has_key_in("GET /named", &[named, apps], "x-api-key"));
}
