//! SECURITY.md R32 and R42 at the tenant login: failures count by account, in every spelling and at every login.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::*;

fn from(gate: &Gate, last: u8, request: &Request) -> Response {
    Conn::open_from(Ipv4Addr::new(127, 0, 5, last), gate.addr).ask(request)
}

/// A login of the project dialect, by `username` or `email`.
fn project(kind: &str, name: &str, password: &str) -> Request {
    let mut body = json!({"password": password});
    body[kind] = name.into();
    post(auth("login=true&noATCookie=true")).json(&body)
}

#[test]
fn r32_every_spelling_counts_for_one_account_at_both_logins() {
    let (_app, gate) = gate();
    gate.add_user("alice", &["--email", "alice@example.com"]);
    let wrong = "wrong";
    let attempts = [
        log_in_at(TENANT, "alice", wrong),
        log_in_at("examples", "ALICE@example.COM", wrong),
        project("username", "\u{ff41}lice", wrong),
        project("email", "Alice@Example.com", wrong),
        log_in_at(TENANT, "aLiCe", wrong),
    ];
    for (at, request) in attempts.iter().enumerate() {
        assert_eq!(from(&gate, u8::try_from(at).unwrap() + 1, request).status, 401, "{at}");
    }
    for request in [log_in("alice"), log_in_at("examples", "alice@example.com", PASSWORD)] {
        assert!((1..=2).contains(&throttled(from(&gate, 50, &request))));
    }
    for request in [project("username", "alice", PASSWORD), project("email", "alice@example.com", PASSWORD)] {
        from(&gate, 51, &request).refused(429, "throttled");
    }
    assert_eq!(from(&gate, 52, &log_in("bob")).status, 401, "others do not wait");
    until_true(PATIENCE, "the wait is over", || from(&gate, 53, &log_in("alice")).status == 200);
    // A success forgets the failures.
    for round in 0..5 {
        let answer = from(&gate, 60 + round, &log_in_at(TENANT, "alice", wrong));
        refused(answer, 401, "NotAuthorizedException");
    }
}

/// What these attempts are told, each from an address of its own.
fn trace(gate: &Gate, base: u8, attempts: &[Request]) -> Vec<(u16, bool)> {
    let each = attempts.iter().zip(base..);
    each.map(|(request, last)| {
        let answer = from(gate, last, request);
        (answer.status, answer.header("retry-after").is_some())
    })
    .collect()
}

#[test]
fn r32_known_and_unknown_names_wait_alike() {
    let (_app, gate) = gate();
    gate.register("known");
    let attempts = |tenant: &str, name: &str| vec![log_in_at(tenant, name, "wrong"); 8];
    let known = trace(&gate, 1, &attempts(TENANT, "known"));
    assert_eq!(known.iter().filter(|(status, _)| *status == 401).count(), 5, "{known:?}");
    assert_eq!(trace(&gate, 20, &attempts(TENANT, "unknown")), known);
    assert_eq!(trace(&gate, 40, &attempts("Nobody Inc", "known")), known);
}

/// An existing user waits at every login and under every name of the tenant, so an unknown one has to wait there as
/// well: otherwise the difference reveals it.
#[test]
fn r32_whichever_login_and_tenant_name_says_nothing_of_who_is_there() {
    let (_app, gate) = gate();
    let alias = |name: &str| log_in_at(TENANT, name, "wrong");
    let own = |name: &str| log_in_at("examples", name, "wrong");
    let by_name = |name: &str| project("username", name, "wrong");
    let by_email = |name: &str| project("email", name, "wrong");
    type Way<'a> = (&'a dyn Fn(&str) -> Request, &'a dyn Fn(&str) -> Request);
    let ways: [(&str, bool, Way<'_>); 9] = [
        ("alias, then name", false, (&alias, &own)),
        ("name, then alias", false, (&own, &alias)),
        ("tenant, then project", false, (&alias, &by_name)),
        ("project, then tenant", false, (&by_name, &alias)),
        ("tenant by email, then project", true, (&alias, &by_email)),
        ("project, then tenant by email", true, (&by_email, &own)),
        ("tenant by email, then project by username", true, (&alias, &by_name)),
        ("project by username, then tenant by email", true, (&by_name, &alias)),
        ("project by username, then by email", true, (&by_name, &by_email)),
    ];
    for (number, (what, is_email, (first, second))) in (0_u8..).zip(ways) {
        let there = format!("known{number}");
        gate.add_user(&there, &["--email", &format!("{there}@example.com")]);
        let told = [there, format!("other{number}")].map(|name| {
            let name = if is_email { format!("{name}@example.com") } else { name };
            let mut attempts = vec![first(&name); 5];
            attempts.push(second(&name));
            trace(&gate, number * 12 + if name.starts_with('k') { 1 } else { 7 }, &attempts)
        });
        assert_eq!(told[0], told[1], "{what}");
    }
}

/// All of a user's names wait together; a login with one of them ends the wait for all.
#[test]
fn r32_a_success_forgets_the_failures_of_every_name() {
    let (_app, gate) = gate();
    gate.add_user("alice", &["--email", "alice@example.com"]);
    let mut last = 0;
    let mut fail = |request: Request| {
        last += 1;
        from(&gate, last, &request).expect(401);
    };
    for _ in 0..3 {
        for _ in 0..2 {
            fail(log_in_at(TENANT, "alice", "wrong"));
            fail(project("email", "alice@example.com", "wrong"));
        }
        gate.tokens("alice@example.com");
        for _ in 0..2 {
            fail(log_in_at("examples", "alice@example.com", "wrong"));
            fail(project("username", "alice", "wrong"));
        }
        gate.log_in("alice");
    }
}

#[test]
fn r32_failures_count_per_address_too() {
    let (_app, gate) = gate();
    gate.register("alice");
    let told: Vec<_> =
        (0..52).map(|round| from(&gate, 1, &log_in_at(TENANT, &format!("name{round}"), "wrong")).status).collect();
    assert_eq!(told.iter().position(|status| *status == 429), Some(50), "fifty are free: {told:?}");
    throttled(from(&gate, 1, &log_in("alice")));
    Tokens::of(from(&gate, 2, &log_in("alice")));
    // Unknown tenants count for the address as well.
    let told: Vec<_> =
        (0..52).map(|round| from(&gate, 3, &log_in_at(&format!("tenant{round}"), "alice", "wrong")).status).collect();
    assert_eq!(told.iter().position(|status| *status == 429), Some(50), "{told:?}");
}

#[test]
fn r42_a_flood_is_told_503_in_cognitos_form() {
    let app = App::start();
    let gate = conf(&app, "").server("hash_threads", "1").server("hash_queue", "1").start();
    gate.register("alice");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..24_u8)
            .map(|number| {
                let gate = &gate;
                scope.spawn(move || from(gate, number + 1, &log_in_at(TENANT, &format!("user{number}"), "wrong")))
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (busy, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 503);
    assert!(!busy.is_empty() && !others.is_empty());
    for answer in busy {
        assert_eq!(answer.header("retry-after"), Some("1"));
        let body: Value = refused(answer, 503, "InternalErrorException").json();
        assert!(!body["message"].as_str().unwrap().is_empty());
    }
    until_true(PATIENCE, "the flood is over", || from(&gate, 99, &log_in("alice")).status == 200);
}
