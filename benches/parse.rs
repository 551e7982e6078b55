//! What it costs to take a request apart: cookies, the path and the query; small ones, large ones, and such as are made to
//! cost much.

use std::cell::LazyCell;

use criterion::Criterion;
use http::HeaderMap;
use tollgate::gate::{RemainingCookies, cookies};
use tollgate::token::Algorithm;

use crate::fixture::{Case, NOW, Place, Request, Size};
use crate::timing::Group;

pub(crate) fn cookies_of(criterion: &mut Criterion) {
    let place = LazyCell::new(|| Place::new(Algorithm::HS256, Size::SMALL));
    let mut group = Group::new(criterion, "cookies");
    type Text = fn(token: &str, own: &str) -> String;
    let texts: [(&str, Text); 7] = [
        ("none", |_, _| String::new()),
        ("the token", |token, own| format!("{own}={token}")),
        ("the token and two others", |token, own| {
            format!("_ga=GA1.1.1187239875.1799990000; {own}={token}; theme=dark")
        }),
        ("8 KiB and the token", |token, own| format!("{}{own}={token}", long("name=a value of some length; "))),
        ("8 KiB of separators", |_, _| long(";")),
        ("8 KiB without names", |_, _| long("=;")),
        ("8 KiB of the token's name", |_, own| long(&format!("{own}=;"))),
    ];
    for (name, text) in texts {
        let request = || {
            let (token, own) = (place.token(Case::KnownCookie, 0, NOW), &place.realm().cookie.name);
            let mut request = place.request(Case::NoToken, 0);
            request.set("cookie", &text(&token, own));
            request
        };
        // Three ways through them: to find one, to see what an app gets of them, and as a part of the whole judgement.
        group.measure(&format!("{name}: found"), || {
            let (headers, own) = (request().headers, &place.realm().cookie.name);
            move || cookies(&headers).filter(|(name, _)| *name == own.as_bytes()).count()
        });
        group.measure(&format!("{name}: taken out"), || {
            let (headers, names): (HeaderMap, _) = (request().headers, &place.policy.cookie_names);
            move || RemainingCookies::from_headers(&headers, names)
        });
        group.measure(&format!("{name}: judged"), || judged(&place, request()));
    }
}

/// As a part of the whole judgement, of a page that everybody may see.
pub(crate) fn targets(criterion: &mut Criterion) {
    let place = LazyCell::new(|| Place::new(Algorithm::HS256, Size::SMALL));
    let mut group = Group::new(criterion, "target");
    for (name, target) in [
        ("a path", PAGE.into()),
        ("a query", format!("{PAGE}?page=2&sort=date")),
        ("an escaped query", format!("{PAGE}?q=caf%C3%A9+au+lait&sort=%64ate")),
        ("a query of 8 KiB", format!("{PAGE}?{}", long("name=value&"))),
        ("a query of 8 KiB, escaped", format!("{PAGE}?q={}", long("%41"))),
        ("a query of 8 KiB of separators", format!("{PAGE}?{}", long("&"))),
        ("a query of 8 KiB of keys", format!("{PAGE}?{}", long("key=x&"))),
        ("a path of 8 KiB", format!("{PAGE}/{}", long("a"))),
        ("a path of 8 KiB, escaped", format!("{PAGE}/{}", long("%61"))),
        ("a path of 8 KiB of segments", format!("{PAGE}{}", long("/a"))),
        ("a path of 8 KiB of segments, to nowhere", long("/a")),
        ("a path of 8 KiB of parameters", format!("{PAGE}/a{}", long(";a"))),
        ("a path of 8 KiB of both", format!("{PAGE}{}", long("/a;"))),
    ] {
        group.measure(name, || judged(&place, Request { target: target.clone(), ..place.request(Case::Public, 0) }));
    }
}

fn judged(place: &Place, request: Request) -> impl FnMut() -> tollgate::gate::Decision + '_ {
    move || place.decide(&request)
}

/// Some 8 KiB of it, which is what most servers take for a head.
fn long(text: &str) -> String {
    text.repeat((8 << 10) / text.len())
}

/// A public one of the fixture's.
const PAGE: &str = "/pages/2/orders/0";
