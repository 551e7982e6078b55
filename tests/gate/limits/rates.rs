//! Requests a second. The rates are so low that nothing refills while a test runs, but where that is what it shows.

use std::time::{Duration, Instant};

use super::*;

/// One in a quarter of an hour.
const HARDLY: &str = "0.001";

fn open() -> Request {
    get("/open/fixed").key()
}

#[test]
fn a_burst_passes_the_next_waits_and_what_retry_after_says_is_true() {
    let app = App::start();
    let gate = Conf::new(&app).limits("rate", "0.2").limits("burst", "2").start();
    for _ in 0..3 {
        gate.send(&open()).expect(200);
    }
    let refused = gate.send(&open()).refused(429, "rate_limited");
    let told = Instant::now();
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    assert_eq!(app.seen().len(), 3, "what is refused reaches nobody");
    // To ask again and again neither helps nor harms.
    until_true(Duration::from_secs(wait + 5), "one more is let in", || gate.send(&open()).status == 200);
    assert!(told.elapsed() + Duration::from_secs(2) >= Duration::from_secs(wait), "{:?} of {wait}", told.elapsed());
    gate.send(&open()).refused(429, "rate_limited");
}

#[test]
fn a_connection_survives_its_429_and_http2_has_the_same_limit() {
    let app = App::start();
    let gate = Conf::new(&app).server("h2c", "true").limits("rate", HARDLY).limits("burst", "0").start();
    let mut conn = gate.conn();
    conn.ask(&open()).expect(200);
    conn.ask(&open()).refused(429, "rate_limited");
    conn.ask(&open()).refused(429, "rate_limited");
    let request = http::Request::get(format!("http://{}/open/fixed", gate.addr)).header("x-api-key", KEY);
    let answer = h2c(gate.addr, request.body(()).unwrap(), b"").unwrap();
    assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap().len()), (429, 4));
}

#[test]
fn addresses_are_apart_and_a_forged_one_is_none() {
    let app = App::start();
    let gate = Conf::new(&app).limits("rate", HARDLY).limits("burst", "1").start();
    for _ in 0..2 {
        gate.send(&open()).expect(200);
    }
    gate.send(&open()).refused(429, "rate_limited");
    from_other(&gate, &open()).expect(200);
    for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
        let value = if name == "Forwarded" { "for=198.51.100.9" } else { "198.51.100.9" };
        gate.send(&open().header(name, value)).refused(429, "rate_limited");
    }
    from_other(&gate, &open()).expect(200);
    from_other(&gate, &open()).refused(429, "rate_limited");
}

#[test]
fn behind_a_trusted_proxy_its_clients_count_and_what_they_say_of_themselves_does_not() {
    let app = App::start();
    let conf = Conf::new(&app).server("trusted_proxies", "[\"127.0.0.1\"]");
    let gate = conf.limits("rate", HARDLY).limits("burst", "0").start();
    let of = |forwarded: &str| gate.send(&open().header("X-Forwarded-For", forwarded));
    of("198.51.100.1").expect(200);
    of("198.51.100.2").expect(200);
    of("198.51.100.1").refused(429, "rate_limited");
    of("203.0.113.5, 198.51.100.1").refused(429, "rate_limited");
    of("2001:db8::1").expect(200);
    of("2001:db8::ffff:2").refused(429, "rate_limited");
    of("2001:db8:0:1::1").expect(200);
}

#[test]
fn guesses_count_preflights_and_key_sets_do_not() {
    let app = App::start();
    let gate = Conf::new(&app).limits("rate", HARDLY).limits("burst", "3").start();
    for _ in 0..20 {
        let asks = request("OPTIONS", "/app/x").origin(ORIGIN).header("Access-Control-Request-Method", "GET");
        gate.send(&asks).expect(204);
        gate.send(&get("/.well-known/jwks.json")).expect(200);
        gate.send(&get("/app//x")).refused(400, "target_invalid");
    }
    gate.send(&get("/app/x").key().bearer("guess")).refused(401, "token_malformed");
    gate.send(&get("/app/x?key=guess")).refused(400, "key_unknown");
    gate.send(&get("/nowhere")).refused(404, "route_not_found");
    gate.try_log_in("nobody", PASSWORD).refused(401, "credentials_invalid");
    gate.send(&get("/app/x").key().bearer("guess")).refused(429, "rate_limited");
    gate.try_log_in("nobody", PASSWORD).refused(429, "rate_limited");
    app.saw_nothing();
}

#[test]
fn a_page_and_a_tenant_are_told_so_that_they_understand() {
    let app = App::start();
    let tenant = "[[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"examples\"";
    let gate = Conf::new(&app).limits("rate", HARDLY).limits("burst", "0").more(tenant).start();
    gate.send(&open()).expect(200);
    let refused = gate.send(&open().origin(ORIGIN)).refused(429, "rate_limited");
    assert_eq!(refused.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(refused.list("vary"), ["origin"]);
    let refused = gate.send(&post("/Login").key().json(&serde_json::json!({}))).expect(429);
    assert_eq!(refused.json()["__type"], "TooManyRequestsException");
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn a_keys_quota_is_its_own_whoever_sends_it() {
    let app = App::start();
    let gate = Conf::new(&app).realm_tables(&keys("rate = 0.001\nburst = 3")).start();
    let with = |key: &str| get("/keyed/fixed").header("X-API-Key", key);
    gate.send(&with(KEY)).expect(200);
    from_other(&gate, &with(KEY)).expect(200);
    gate.send(&get("/app/x").key().bearer("guess")).refused(401, "token_malformed");
    gate.try_log_in("nobody", PASSWORD).refused(401, "credentials_invalid");
    gate.send(&with(KEY)).refused(429, "rate_limited");
    from_other(&gate, &with(KEY)).refused(429, "rate_limited");
    gate.try_log_in("nobody", PASSWORD).refused(429, "rate_limited");
    for _ in 0..10 {
        gate.send(&with(APP_KEY)).expect(200);
    }
    gate.send(&with("guess")).refused(400, "key_unknown");
}

#[test]
fn a_reload_changes_limits_at_once_and_forgets_nothing() {
    let app = App::start();
    let base = Conf::new(&app).realm_tables(&keys("rate = 0.001\nburst = 0"));
    let gate = base.clone().limits("rate", HARDLY).limits("burst", "1").start();
    let keyless = get("/nowhere");
    gate.send(&open()).expect(200);
    gate.send(&keyless).expect(404);
    gate.send(&keyless).refused(429, "rate_limited");
    reload(&gate, &base.clone().limits("rate", HARDLY).limits("burst", "3"));
    gate.send(&keyless).expect(404);
    gate.send(&keyless).expect(404);
    gate.send(&keyless).refused(429, "rate_limited");
    // Without limits of the address, only the key's is left, which was used up before.
    reload(&gate, &base);
    gate.send(&keyless).expect(404);
    gate.send(&open()).refused(429, "rate_limited");
    reload(&gate, &base.clone().realm_tables(&keys("rate = 0.001\nburst = 1")));
    gate.send(&open()).expect(200);
    gate.send(&open()).refused(429, "rate_limited");
    reload(&gate, &base.clone().realm_tables(&keys("")));
    gate.send(&open()).expect(200);
    // A higher rate shortens the wait from a lower one.
    reload(&gate, &base.realm_tables(&keys("rate = 50\nburst = 1")));
    until_true(PATIENCE, "the new rate counts", || gate.send(&open()).status == 200);
}
