//! Hosts, lengths and sizes.

use http::{HeaderMap, HeaderValue, Method};

use crate::gate::fixture::*;
use crate::gate::*;

#[test]
fn r10_r11_hosts() {
    let bench = Bench::new();
    for (host, expected) in [
        ("only.example", Ok(())),
        ("ONLY.example.:8443", Ok(())),
        ("other.example", Err(DenyReason::NotFound)),
        ("", Err(DenyReason::Host)),
        ("a b", Err(DenyReason::Host)),
        ("user@only.example", Err(DenyReason::Host)),
    ] {
        assert_eq!(bench.outcome("GET /hosted", &[("host", host)]).map(drop), expected, "{host}");
    }
    assert_eq!(bench.outcome("GET /hosted", &[("host", "only.example"), ("host", "x")]), Err(DenyReason::Host));
    let differs = |head: Head<'_>| -> DenyReason {
        let gate = bench.gate();
        let Decision::Refusal(refusal) = gate.decide(&head, NOW, &mut RequestPermits::default()) else {
            panic!("must be refused")
        };
        refusal.deny
    };
    let headers: HeaderMap = [(http::header::HOST, HeaderValue::from_static("a.example"))].into_iter().collect();
    let head = Head {
        method: &Method::GET,
        target: b"/public",
        authority: Some("b.example"),
        headers: &headers,
        size: 100,
        ambiguous_length: false,
        has_body: false,
        upgrade: false,
        peer: "192.0.2.7".parse().unwrap(),
        tls: true,
    };
    assert_eq!(differs(head), DenyReason::Host);
    assert_eq!(differs(Head { authority: None, headers: &HeaderMap::new(), ..head }), DenyReason::Host);
    assert_eq!(differs(Head { authority: None, ambiguous_length: true, ..head }), DenyReason::Framing);
    assert_eq!(differs(Head { authority: None, upgrade: true, has_body: true, ..head }), DenyReason::Upgrade);
}

#[test]
fn heads_and_bodies_have_a_largest_size() {
    let bench = Bench::with_limits("head_size = \"1KiB\"\nbody_size = \"1KiB\"");
    let sized = |line: &str, headers: &[(&str, &str)], size| match bench
        .ask_with(line, headers, |head| Head { size, ..head })
    {
        Decision::Grant(grant) => Ok(grant.body_size()),
        Decision::Refusal(refusal) => Err(refusal.deny),
        other => panic!("{other:?}"),
    };
    assert_eq!(sized("GET /public", &[], 1024), Ok(Some(1024)));
    assert_eq!(
        sized("GET /public//", &[("transfer-encoding", "x")], 1025),
        Err(DenyReason::HeadTooLarge),
        "before anything"
    );
    let length = |text: &'static str| [("content-length", text)];
    assert_eq!(sized("POST /public", &length("1024"), 100), Ok(Some(1024)));
    assert_eq!(sized("POST /public", &length("1025"), 100), Err(DenyReason::RequestTooLarge));
    assert_eq!(sized("POST /public", &length("999999999999999999"), 100), Err(DenyReason::RequestTooLarge));
    for other in ["010", "00", "+5", "", "0x5", "1000000000000000000", "99999999999999999999999"] {
        assert_eq!(sized("POST /public", &length(other), 100), Err(DenyReason::Framing), "{other}");
    }
    assert_eq!(
        sized("POST /open", &length("1025"), 100),
        Err(DenyReason::TokenMissing),
        "whoever may not pass learns no limit"
    );
}

#[test]
fn r14_r15_lengths_that_readers_disagree_about() {
    let bench = Bench::new();
    for (headers, fits) in [
        (&[("transfer-encoding", "chunked")][..], true),
        (&[("transfer-encoding", "CHUNKED")], true),
        (&[("transfer-encoding", "gzip")], false),
        (&[("transfer-encoding", "gzip, chunked")], false),
        (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false),
        (&[("content-length", "5")], true),
        (&[("content-length", "0")], true),
        (&[("content-length", "00")], false),
        (&[("content-length", "1a")], false),
        (&[("content-length", "5, 5")], false),
        (&[("content-length", "+5")], false),
        (&[("content-length", "5"), ("content-length", "5")], false),
    ] {
        let expected = if fits { Ok("/public".into()) } else { Err(DenyReason::Framing) };
        assert_eq!(bench.outcome("POST /public", headers), expected, "{headers:?}");
    }
}

#[test]
fn r11_a_host_may_be_named_twice_if_it_is_the_same() {
    let bench = Bench::new();
    let ask = |host: Option<&'static str>, authority| {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert("host", HeaderValue::from_static(host));
        }
        bench.judge_with("GET /hosted", &[], |gate, head| {
            let head = Head { authority, headers: &headers, ..*head };
            match gate.decide(&head, NOW, &mut RequestPermits::default()) {
                Decision::Grant(grant) => Ok(grant.authority().clone()),
                Decision::Refusal(refusal) => Err(refusal.deny),
                other => panic!("{other:?}"),
            }
        })
    };
    assert_eq!(ask(Some("only.example"), Some("only.example")).unwrap(), "only.example");
    assert_eq!(ask(None, Some("only.example")).unwrap(), "only.example");
    assert_eq!(ask(Some("only.example"), None).unwrap(), "only.example");
    for (host, authority) in
        [(Some("only.example"), Some("only.example:443")), (Some("a.example"), Some("only.example")), (None, None)]
    {
        assert_eq!(ask(host, authority), Err(DenyReason::Host), "{host:?} {authority:?}");
    }
}
