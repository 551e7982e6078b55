//! A pool that is not there, hangs, or is something else.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::fake::*;
use super::*;

#[test]
fn a_pool_that_hangs_is_504_in_time_and_others_are_served_meanwhile() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "timeout = \"500ms\"");
    let start = Instant::now();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| refused(log_in(&gate, "alice", "Acme", PASSWORD), 504, "InternalErrorException"));
        gate.visit(&access(&json!({}))).expect(200);
        waiting.join().unwrap();
    });
    refused(refresh(&gate, "refresh.1"), 504, "InternalErrorException");
    let token = access(&json!({}));
    let out = post("/Logout").key().bearer(&token).json(&json!({"RefreshToken": "refresh.1"}));
    refused(gate.send(&out), 504, "InternalErrorException");
    gate.visit(&token).refused(401, "token_revoked");
    assert!(start.elapsed() >= Duration::from_millis(1500) && start.elapsed() < Duration::from_secs(6));
    let calls: Vec<_> = pool.calls().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(calls, ["InitiateAuth", "InitiateAuth", "RevokeToken"], "each once");
}

#[test]
fn one_that_accepts_and_says_nothing_is_504_from_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App::start();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let conf = Conf::new(&app).more(&section(POOL, CLIENT, &endpoint, "", "timeout = \"300ms\""));
    let gate = conf.start_unready();
    refused(log_in(&gate, "alice", "Acme", PASSWORD), 504, "InternalErrorException");
    // There are no keys to tell what this is.
    refused(gate.send(&post("/Logout").key().bearer(&access(&json!({})))), 503, "InternalErrorException");
    gate.send(&post("/Logout").key()).expect(200);
    drop(listener);
    refused(log_in(&gate, "alice", "Acme", PASSWORD), 502, "InternalErrorException");
}

#[test]
fn one_that_speaks_nonsense_is_502_and_none_of_it_gets_through() {
    let (app, pool) = (App::start(), Fake::start());
    let gate = pool.gate(&app, "", "");
    let bait = Issuer::start();
    let good = good().to_string();
    let page = format!("<html>{TELLTALE}</html>");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("html", http("200 OK", "Content-Type: text/html\r\n", &page)),
        ("503", http("503 Service Unavailable", "Content-Type: text/html\r\n", &page)),
        ("garbage", format!("{TELLTALE}\r\n\r\n").into_bytes()),
        ("nothing", Vec::new()),
        ("empty", http("200 OK", "", "")),
        ("list", http("200 OK", "", format!("[\"{TELLTALE}\"]"))),
        ("twice", http("200 OK", "", format!("{{\"a\":\"{TELLTALE}\",\"a\":1}}"))),
        ("201", http("201 Created", "", &good)),
        ("500", http("500 Error", "", &good)),
        ("cut", http("200 OK", "", &good[..good.len() - 1])),
        ("broken off", format!("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{good}").into_bytes()),
        ("huge", http("200 OK", "", format!("{good}{}", " ".repeat(64 << 10)))),
        (
            "said to be huge",
            format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", "x".repeat(1 << 18)).into_bytes(),
        ),
        ("redirect", http("302 Found", &format!("Location: {}\r\n", bait.url("/bait")), "")),
        ("moved", http("308 Permanent Redirect", &format!("Location: {}\r\n", bait.url("/bait")), "")),
    ];
    for (name, bytes) in cases {
        pool.will_answer(bytes.clone());
        // Of one that promises more than it sends, the end is the time-out's or the connection's.
        let answer = log_in(&gate, "alice", "Acme", PASSWORD);
        let status = if name == "broken off" { answer.status } else { 502 };
        assert!(matches!(status, 502 | 504), "{name}: {status}");
        let answer = refused(answer, status, "InternalErrorException");
        assert!(!format!("{:?}{}", answer.headers, answer.text()).contains(TELLTALE), "{name}");
    }
    assert_eq!(bait.fetched("/bait"), 0);
    assert_eq!(pool.calls().len(), 15, "each was asked once");
    pool.will_answer(http("200 OK", "", format!("{good}{}", " ".repeat((64 << 10) - good.len()))));
    tokens(log_in(&gate, "alice", "Acme", PASSWORD));
    assert!(!gate.stderr().contains(PASSWORD));
}

#[test]
fn without_the_pool_s_keys_a_login_is_503_and_they_are_fetched() {
    let (app, pool) = (App::start(), Fake::start());
    pool.has_keys(&[]);
    let conf = Conf::new(&app).more(&section(POOL, CLIENT, &pool.url(), "", ""));
    let gate = conf.start_unready();
    pool.will_say(&good());
    let answer = refused(log_in(&gate, "alice", "Acme", PASSWORD), 503, "InternalErrorException");
    assert_eq!(answer.header("retry-after"), Some("5"));
    pool.has_keys(&[Signer::new("RS256", "other").jwk()]);
    until_true(PATIENCE, "it has the other key", || gate.status()["issuers"][0]["keys"] == json!(["other"]));
}

#[test]
fn a_key_that_the_pool_is_new_to_is_fetched_before_its_token_is_judged() {
    let (app, pool) = (App::start(), Fake::start());
    pool.has_keys(&[Signer::new("RS256", "old").jwk()]);
    let gate = pool.gate(&app, "", "");
    pool.reset_keys();
    pool.will_say(&good());
    gate.visit(&tokens(log_in(&gate, "alice", "Acme", PASSWORD)).access).expect(200);
}

#[test]
fn a_reload_changes_the_pool_and_keeps_what_was_logged_out() {
    let (app, one, two) = (App::start(), Fake::start(), Fake::start());
    let gate = one.gate(&app, "", "");
    one.will_say(&good());
    let first = tokens(log_in(&gate, "alice", "Acme", PASSWORD));
    gate.send(&post("/Logout").key().bearer(&first.access)).expect(200);
    let before = gate.generation();
    gate.edit_by_rename(&Conf::new(&app).more(&section(POOL, CLIENT, &two.url(), "", "")));
    until_true(PATIENCE, "the new policy is in force", || gate.generation() > before);
    two.will_say(&result(&access(&json!({"origin_jti": "family-2"})), &id(&json!({})), Some("refresh.2")));
    let second = until(PATIENCE, "its keys are there", || {
        let answer = log_in(&gate, "alice", "Acme", PASSWORD);
        if answer.status != 200 {
            two.will_say(&result(&access(&json!({"origin_jti": "family-2"})), &id(&json!({})), Some("refresh.2")));
        }
        (answer.status == 200).then_some(answer)
    });
    gate.visit(&tokens(second).access).expect(200);
    gate.visit(&first.access).refused(401, "token_revoked");
    assert_eq!(one.calls().len(), 1);
}
