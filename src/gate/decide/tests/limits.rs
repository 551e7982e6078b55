//! Limits of addresses and API keys.

use crate::config;
use crate::gate::fixture::*;
use crate::gate::*;

#[test]
fn what_counts_against_an_address_and_what_does_not() {
    let token = Bench::new().bearer("main", &[]);
    let asks = ("access-control-request-method", "GET");
    let origin = ("origin", "https://app.example");
    for (line, headers, refused) in [
        (format!("GET /user?{K}"), &[("authorization", token.as_str())][..], 7),
        (format!("GET /user?{K}"), &[("authorization", "Bearer bad")], 7),
        (format!("GET /user?{K}"), &[("origin", "https://evil.example")], 7),
        ("GET /user?key=guess".into(), &[], 7),
        ("GET /nowhere".into(), &[], 7),
        ("GET /public".into(), &[], 7),
        (format!("POST /auth?{K}"), &[], 7),
        ("POST /Login".into(), &[], 7),
        ("POST /Login/nothing".into(), &[], 7),
        (format!("OPTIONS /user?{K}"), &[origin], 7),
        ("OPTIONS /user".into(), &[origin, asks], 0),
        ("GET /.well-known/jwks.json".into(), &[], 0),
        ("GET /user//x".into(), &[], 0),
        ("GET /user?a=%".into(), &[], 7),
        ("GET /user?a=\u{7f}".into(), &[], 0),
    ] {
        let bench = Bench::with_limits("rate = 0.001\nburst = 2");
        assert_eq!(bench.refused_of_ten(&line, headers), refused, "{line} {headers:?}");
    }
}

#[test]
fn who_sends_too_much_is_told_in_the_form_that_is_expected() {
    let bench = Bench::with_limits("rate = 0.001\nburst = 0");
    bench.once("GET /public", &[]);
    let refused = |line: &str, headers: &[(&str, &str)]| match bench.once(line, headers).0 {
        Decision::Refusal(refusal) => refusal,
        other => panic!("{line}: {other:?}"),
    };
    let refusal = refused("GET /user", &[("origin", "https://app.example")]);
    assert_eq!((refusal.deny, format_of(&refusal)), (DenyReason::RateLimited(1000), "problem"), "before the key");
    assert_eq!(refusal.realm.unwrap().name, "main");
    assert_eq!(refusal.cors.unwrap().origin, "https://app.example");
    assert_eq!(format_of(&refused("POST /Login", &[])), "tenant");
    assert_eq!(refused("POST /nowhere", &[]).deny, DenyReason::RateLimited(1000));
    // A client behind an untrusted proxy can't choose its address.
    assert_eq!(refused("GET /public", &[("x-forwarded-for", "192.0.2.99")]).deny, DenyReason::RateLimited(1000));
}

#[test]
fn a_trusted_proxys_clients_are_apart() {
    let bench = Bench::with_limits("rate = 0.001\nburst = 0");
    let trusted =
        config::Proxies::new(vec!["192.0.2.0/24".parse().unwrap()], config::ForwardedFamily::XForwarded, false);
    let ask = |forwarded: &str| {
        bench.judge_with("GET /public", &[("x-forwarded-for", forwarded)], |gate, head| {
            let gate = Authorizer { proxies: &trusted, ..gate };
            matches!(gate.decide(head, NOW, &mut RequestPermits::default()), Decision::Grant(_))
        })
    };
    assert!(ask("198.51.100.1") && ask("198.51.100.2"));
    assert!(!ask("198.51.100.1"));
    assert!(!ask("6.6.6.6, 198.51.100.1"), "what stands left of it was said by the client itself");
}

#[test]
fn as_many_at_once_as_live() {
    let bench = Bench::with_limits("concurrent = 2");
    let (first, second) = (bench.once("GET /public", &[]), bench.once("GET /nowhere", &[]));
    let (third, _) = bench.once("GET /public", &[]);
    assert!(matches!(third, Decision::Refusal(Denial { deny: DenyReason::ConcurrencyLimited, .. })), "{third:?}");
    drop(second);
    assert!(matches!(bench.once("GET /public", &[]).0, Decision::Grant(_)));
    drop(first);
}

#[test]
fn a_keys_quota_is_the_keys_own_and_only_good_ones_count() {
    let text = CONFIG
        .replacen("secret = \"0123456789abcdef\"", "secret = \"0123456789abcdef\"\nrate = 0.001\nburst = 1", 1)
        .replacen(
            "[realm.master_key]",
            "[[realm.key]]\nid = \"other\"\nsecret = \"0123456789abcdef-other\"\n[realm.master_key]",
            1,
        );
    let bench = Bench::of(&text);
    let bad = [("authorization", "Bearer bad")];
    assert_eq!(bench.refused_of_ten("GET /user?key=0123456789abcdef-off", &[]), 0);
    assert_eq!(bench.refused_of_ten("GET /user?key=guess", &[]), 0);
    assert_eq!(bench.refused_of_ten(&format!("GET /user?{K}"), &bad), 8, "whatever comes of the request");
    assert_eq!(bench.refused_of_ten(&format!("POST /auth?{K}"), &[]), 10, "at logins too");
    assert_eq!(bench.refused_of_ten("GET /user?key=0123456789abcdef-other", &bad), 0);
}
