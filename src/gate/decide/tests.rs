//! The order of the steps, and the facts of a denial.

use crate::gate::fixture::*;
use crate::gate::*;
use crate::token::TokenError;

mod limits;

#[test]
fn the_order_of_the_checks() {
    let bench = Bench::new();
    let evil = ("origin", "https://evil.example");
    let bad_token = ("authorization", "Bearer x");
    for (line, headers, deny) in [
        ("GET /user//x?key=bad", &[evil, bad_token][..], DenyReason::Target),
        ("GET /nowhere?key=bad", &[evil, bad_token], DenyReason::NotFound),
        ("GET /user", &[evil, bad_token], DenyReason::KeyMissing),
        ("GET /user?key=bad", &[evil, bad_token], DenyReason::KeyUnknown),
        ("GET /user?key=0123456789abcdef-off", &[evil, bad_token], DenyReason::KeyDisabled),
        ("GET /user?key=0123456789abcdef-old", &[evil, bad_token], DenyReason::KeyExpired),
        ("GET /user?key=0123456789abcdef", &[evil, bad_token], DenyReason::OriginDenied),
        ("GET /user?key=0123456789abcdef", &[bad_token], DenyReason::Token(TokenError::Malformed)),
        ("GET /user?key=0123456789abcdef", &[], DenyReason::TokenMissing),
    ] {
        assert_eq!(bench.outcome(line, headers), Err(deny), "{line}");
    }
    let plain = bench.bearer("main", &["user"]);
    assert_eq!(bench.outcome(&format!("GET /admin?{K}"), &[("authorization", &plain)]), Err(DenyReason::RoleMissing));
    let admin = bench.bearer("main", &["user", "admin"]);
    assert_eq!(bench.outcome(&format!("GET /admin?{K}&a=1"), &[("authorization", &admin)]), Ok("/admin?a=1".into()));
}

#[test]
fn a_refusal_knows_where_it_was_and_how_it_is_written() {
    let bench = Bench::new();
    for (line, headers, form, place) in [
        ("GET /user", &[][..], "problem", RouteId::Route(0)),
        ("GET /nowhere", &[], "problem", RouteId::None),
        ("POST /auth", &[], "problem", RouteId::Login(0)),
        ("GET /auth/x", &[], "problem", RouteId::Login(0)),
        ("GET /Login", &[], "tenant", RouteId::Login(2)),
        ("POST /Login?a=\u{7f}", &[], "tenant", RouteId::None),
        ("POST /Login/x?a=%", &[], "tenant", RouteId::Login(2)),
        // Can't be judged, and gets the error format of the login all the same.
        ("POST /login/refresh", &[("host", "a b")], "tenant", RouteId::None),
        ("POST /Login#x", &[], "tenant", RouteId::None),
        ("GET /user", &[("host", "a b")], "problem", RouteId::None),
    ] {
        let refusal = refused(&bench, line, headers);
        assert_eq!((format_of(&refusal), refusal.place), (form, place), "{line} {headers:?}");
    }
}
