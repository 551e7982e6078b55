//! Requests to logins.

use crate::config::LoginOperation;
use crate::gate::fixture::*;
use crate::gate::*;
use crate::token::{Claims, TokenError, TokenId};

#[test]
fn logins_are_admitted_with_what_they_need() {
    let bench = Bench::new();
    let evil = ("origin", "https://evil.example");
    for (line, headers, deny) in [
        ("POST /auth", &[][..], DenyReason::KeyMissing),
        ("POST /auth?key=bad", &[evil], DenyReason::KeyUnknown),
        ("GET /auth/x", &[], DenyReason::KeyMissing),
        ("GET /auth/x?key=0123456789abcdef", &[], DenyReason::EndpointUnknown),
        ("POST /auth?key=0123456789abcdef", &[evil], DenyReason::OriginDenied),
        ("PATCH /auth?key=0123456789abcdef", &[], DenyReason::Method),
        ("POST /auth?key=0123456789abcdef&masterKey=master-secret", &[evil], DenyReason::OriginDenied),
        ("GET /auth?key=0123456789abcdef&masterKey=wrong", &[evil], DenyReason::OriginDenied),
        ("GET /auth?key=0123456789abcdef&masterKey=wrong", &[], DenyReason::MasterKeyUnknown),
    ] {
        assert_eq!(bench.outcome(line, headers), Err(deny), "{line}");
    }
    let admitted = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => *admitted,
        other => panic!("{line}: {other:?}"),
    };
    let master = admitted(&format!("GET /auth?{K}&masterKey=master-secret"), &[evil]);
    assert!(master.master);
    assert_eq!(master.token, Err(DenyReason::TokenMissing));

    let token = bench.token("main", &[]);
    let (bearer, cookie) = (format!("Bearer {token}"), format!("t={token}"));
    let put = format!("PUT /auth?{K}");
    assert!(admitted(&put, &[("cookie", &cookie)]).token.is_ok(), "its clients need not be browsers");
    assert_eq!(
        admitted(&put, &[("authorization", &format!("{bearer}x")), ("cookie", &cookie)]).token,
        Err(DenyReason::Token(TokenError::Signature))
    );
    assert!(admitted(&put, &[("authorization", "Bearer x"), ("cookie", &cookie)]).token.is_ok(), "an app's own header");
    let logout = format!("POST /auth?{K}&logout=true");
    let both = admitted(&logout, &[("authorization", &bearer), ("authorization", "Bearer x"), ("cookie", &cookie)]);
    assert_eq!((both.token, both.tokens.len()), (Err(DenyReason::CredentialConflict), 1));
    let cross = [("origin", "https://evil.example"), ("cookie", cookie.as_str())];
    let open = format!("o={}", bench.token("open", &[]));
    let elsewhere = admitted("POST /open/auth?logout=true", &[cross[0], ("cookie", &open)]);
    assert!(elsewhere.tokens.is_empty(), "not for another site");
}

#[test]
fn a_tenant_login_is_told_which_realms_would_let_the_request_in() {
    let bench = Bench::new();
    let admitted = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => *admitted,
        other => panic!("{line}: {other:?}"),
    };
    let realms = |line: &str, headers: &[(&str, &str)]| {
        admitted(line, headers).realms.iter().map(|realm| realm.name.to_owned()).collect::<Vec<_>>()
    };
    let listed = ("origin", "https://app.example");
    assert_eq!(realms("POST /login", &[]), ["open"], "one wants a key, one an origin");
    assert_eq!(realms(&format!("POST /login?{K}"), &[]), ["main", "open"]);
    assert_eq!(realms(&format!("POST /LOGIN/refresh?{K}"), &[listed]), ["main", "open", "strict"]);
    assert_eq!(realms("POST /login?key=0123456789abcdef-off", &[listed]), ["open", "strict"]);
    assert_eq!(
        realms(&format!("POST /login?{K}"), &[("origin", "https://evil.example")]),
        ["open", "strict"],
        "where no origin is listed, any may call"
    );
    for (line, endpoint) in [
        ("POST /Login", LoginOperation::Login),
        ("POST /Login/Challenge", LoginOperation::Challenge),
        ("POST /Login/Refresh", LoginOperation::Refresh),
        ("POST /logout", LoginOperation::Logout),
    ] {
        assert_eq!(admitted(line, &[]).endpoint().operation, endpoint, "{line}");
    }
    for (line, deny) in [
        ("GET /Login", DenyReason::Method),
        ("PUT /logout", DenyReason::Method),
        ("POST /Login/x", DenyReason::EndpointUnknown),
    ] {
        let Decision::Refusal(refusal) = bench.ask(line, &[]) else { panic!("{line}") };
        assert_eq!((refusal.deny, format_of(&refusal)), (deny, "tenant"), "{line}");
    }
    let Decision::Refusal(refusal) = bench.ask("POST /auth", &[]) else { panic!() };
    assert_eq!(format_of(&refusal), "problem");
}

#[test]
fn a_tenant_logout_is_told_every_session_that_it_ends_and_no_cookie() {
    let bench = Bench::new();
    let (main, open) = (bench.bearer("main", &[]), bench.bearer("open", &[]));
    let cookie = format!("o={}", bench.token("open", &[]));
    let ended = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => admitted.tokens.len(),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(ended("POST /logout", &[("authorization", &open), ("authorization", "Bearer x")]), 1);
    assert_eq!(ended("POST /logout", &[("authorization", &main)]), 0, "its realm does not let the request in");
    assert_eq!(ended(&format!("POST /logout?{K}"), &[("authorization", &main), ("authorization", &open)]), 2);
    assert_eq!(ended("POST /logout", &[("cookie", &cookie)]), 0);
    assert_eq!(ended("POST /login", &[("authorization", &open)]), 0, "nobody logs out there");
    let head = |path: &str| format!("POST {path}");
    let many: Vec<_> = std::iter::repeat_n(("authorization", open.as_str()), 100).collect();
    assert!(ended(&head("/logout"), &many) <= 4, "a signature each");
}

#[test]
fn logout_ends_what_looks_like_a_token_up_to_a_number() {
    let bench = Bench::new();
    let tokens = |headers: &[(&str, &str)]| match bench.ask("POST /open/auth?logout=true", headers) {
        Decision::Login(admitted) => admitted.tokens.len(),
        other => panic!("{other:?}"),
    };
    let rules = &bench.policy.realm("open").unwrap().tokens;
    let claims = rules.verify(&bench.token("open", &[]), NOW).unwrap().claims;
    let minted: Vec<_> = (0..6)
        .map(|id| format!("Bearer {}", rules.mint(&Claims { token_id: TokenId(id), ..claims.clone() }).unwrap()))
        .collect();
    assert_eq!(tokens(&minted.iter().map(|text| shown(text)).collect::<Vec<_>>()), 4);
    assert_eq!(tokens(&[shown(&minted[0]), shown(&minted[0]), shown(&minted[1])]), 2, "each once");
    let cookie = format!("a=b; o={}; t=x", minted[2].trim_start_matches("Bearer "));
    assert_eq!(tokens(&[("cookie", &cookie)]), 1);
    assert_eq!(tokens(&[("cookie", &cookie.replace("o=", "O="))]), 0, "another name");
    assert_eq!(tokens(&[("cookie", &cookie), ("sec-fetch-site", "cross-site")]), 0);
    // A value that is not a token displaces none, and only a limited number of candidates is checked.
    let mut planted = vec![shown("Bearer x"); 40];
    planted.push(shown(&minted[3]));
    assert_eq!(tokens(&planted), 1);
    let mut forged = vec![shown("Bearer a.b.c"); 31];
    forged.push(shown(&minted[3]));
    assert_eq!(tokens(&forged), 1);
    forged.insert(0, shown("Bearer a.b.c"));
    assert_eq!(tokens(&forged), 0);
}

#[test]
fn an_exchange_takes_the_tokens_of_its_one_issuer() {
    let bench = Bench::of(EXCHANGE);
    let (good, other) =
        (foreign(&bench, "https://idp.example/", true), foreign(&bench, "https://other.example/", true));
    let (origin, line) = (("origin", "https://app.example"), format!("POST /api/login?{K}"));
    let tokens = |line: &str, headers: &[(&str, &str)]| match bench.ask(line, headers) {
        Decision::Login(admitted) => Ok((admitted.endpoint().operation, admitted.tokens.len())),
        Decision::Refusal(refusal) => Err(refusal.deny),
        other => panic!("{line}: {other:?}"),
    };
    let own = bench.bearer("x", &[]);
    assert_eq!(tokens(&line, &[origin, shown(&good)]), Ok((LoginOperation::Exchange, 1)));
    // Not a navigation, and prefetches.
    assert_eq!(tokens(&line, &[origin, shown(&good), ("sec-fetch-mode", "cors")]), Ok((LoginOperation::Exchange, 1)));
    assert_eq!(tokens(&line, &[origin, shown(&good), ("sec-purpose", "prefetch")]), Ok((LoginOperation::Exchange, 1)));
    for (headers, deny) in [
        (&[origin][..], DenyReason::TokenMissing),
        (&[origin, shown("Basic x")], DenyReason::TokenMissing),
        (&[origin, shown(&good), shown(&good)], DenyReason::TokenMissing),
        (&[origin, shown(&other)], DenyReason::Token(TokenError::Issuer)),
        (&[origin, shown(&own)], DenyReason::Token(TokenError::Issuer)),
        (&[shown(&good)], DenyReason::OriginMissing),
    ] {
        assert_eq!(tokens(&line, headers), Err(deny), "{headers:?}");
    }
    assert_eq!(format_of(&refused(&bench, &line, &[origin])), "exchange");
    assert_eq!(tokens(&line.replace("POST", "GET"), &[origin, shown(&good)]), Err(DenyReason::Method));
    assert_eq!(tokens("POST /api/login", &[origin, shown(&good)]), Err(DenyReason::KeyMissing));
    assert_eq!(tokens(&format!("POST /api/login/redeem?{K}"), &[origin]), Ok((LoginOperation::Redeem, 0)));
    let claims = bench.policy.realm("x").unwrap().tokens.verify(&good[7..], NOW).unwrap().claims;
    bench.revoked.extend([(claims.token_id, NOW + 60)]);
    assert_eq!(tokens(&line, &[origin, shown(&good)]), Err(DenyReason::Token(TokenError::Revoked)));
}

#[test]
fn a_callback_is_gone_to_by_a_browser_that_brings_nothing() {
    let bench = Bench::of(EXCHANGE);
    let line = "GET /callback?token=x";
    assert_eq!(bench.outcome(line, &[]), Ok("login".into()), "no key, no origin");
    assert_eq!(bench.outcome(&format!("{line}&{K}"), &[]), Ok("login".into()));
    assert_eq!(bench.outcome(&format!("{line}&key=bad"), &[]), Ok("login".into()), "none is needed there");
    assert_eq!(bench.outcome(line, &[("sec-fetch-mode", "navigate")]), Ok("login".into()));
    for (line, headers, deny) in [
        (line, &[("sec-fetch-mode", "no-cors")][..], DenyReason::OriginDenied),
        (line, &[("sec-fetch-mode", "navigate"), ("sec-purpose", "prefetch")], DenyReason::OriginDenied),
        (line, &[("origin", "https://evil.example")], DenyReason::OriginDenied),
        ("HEAD /callback?token=x", &[], DenyReason::Method),
        ("POST /callback?token=x", &[], DenyReason::Method),
    ] {
        let Decision::Refusal(refusal) = bench.ask(line, headers) else { panic!("{line} {headers:?}") };
        assert_eq!((refusal.deny, format_of(&refusal)), (deny, "exchange"), "{line} {headers:?}");
    }
}
