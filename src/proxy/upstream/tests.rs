use std::path::Path;

use super::*;
use crate::config::{Host, Mode, Policy, Upstream, parse};
use crate::proxy::Snapshot;

fn policy(routes: &[&str]) -> Policy {
    let mut text = "[server]\nlisten = [\"127.0.0.1:1\"]\n[store]\nurl = \"sqlite:///t.db\"\n\
                    [[realm]]\nname = \"a\"\nissuer = \"i\"\nrequire_key = false\n"
        .to_owned();
    for (index, keys) in routes.iter().enumerate() {
        let head = format!("[[route]]\npath = \"/{index}\"\nrealm = \"a\"\naccess = \"public\"\n");
        text.push_str(&format!("{head}{keys}\n"));
    }
    parse(&text, Path::new("/nonexistent/t.toml"), Mode::Start).unwrap().policy
}

fn pool(servers: u16, keys: &str) -> Arc<ServerPool> {
    let urls: Vec<_> = (1..=servers).map(|port| format!("\"http://127.0.0.1:{}\"", 3000 + port)).collect();
    let policy = policy(&[&format!("upstream = [{}]\n{keys}", urls.join(","))]);
    ResolvedPool::new(&policy.routing.routes[0].upstream, &[].iter()).pool()
}

fn without(indices: &[usize]) -> TriedServers {
    let mut tried = TriedServers::default();
    indices.iter().for_each(|index| tried.add(*index));
    tried
}

fn pick(pool: &Arc<ServerPool>) -> Result<usize, NoServer> {
    pool.pick(TriedServers::default()).map(|chosen| chosen.index())
}

fn error(etype: ErrorType) -> Box<Error> {
    Error::new_up(etype)
}

#[test]
fn one_server_is_always_asked_once() {
    let pool = pool(1, "eject_after = 1");
    for _ in 0..10 {
        pool.failed_to_connect(0, &error(ErrorType::ConnectRefused));
        pool.failed_to_answer(0, &error(ErrorType::ReadTimedout));
    }
    assert_eq!(pick(&pool), Ok(0));
    assert_eq!(pool.pick(without(&[0])).unwrap_err(), NoServer::AllTried);
    let state = pool.servers()[0].state();
    assert_eq!((state.healthy, state.ejected, state.in_flight, state.failures), (true, false, 0, 20));
    pool.servers()[0].set_healthy(false);
    assert_eq!(pick(&pool), Err(NoServer::AllAway), "its checks say so, and no request is sent in vain");
}

#[test]
fn several_take_turns_and_those_that_are_away_are_passed_over() {
    let pool = pool(3, "eject_for = \"1h\"\neject_after = 2");
    let picks: Vec<_> = (0..6).map(|_| pick(&pool).unwrap()).collect();
    assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    pool.failed_to_connect(1, &error(ErrorType::ConnectRefused));
    assert!((0..3).any(|_| pick(&pool) == Ok(1)), "once is not enough");
    pool.failed_to_connect(1, &error(ErrorType::ConnectTimedout));
    assert!((0..6).all(|_| pick(&pool) != Ok(1)));
    assert!(pool.servers()[1].state().ejected);
    assert_eq!(pool.pick(without(&[0])).unwrap().index(), 2);
    assert_eq!(pool.pick(without(&[0, 2])).unwrap_err(), NoServer::AllTried);
    pool.servers()[2].set_healthy(false);
    assert!((0..6).all(|_| pick(&pool) == Ok(0)));
    for _ in 0..2 {
        pool.failed_to_connect(0, &error(ErrorType::ConnectRefused));
    }
    assert_eq!(pick(&pool), Err(NoServer::AllAway), "a server that can't be reached is of no use, be it the last");
    pool.servers()[2].set_healthy(true);
    assert_eq!(pick(&pool), Ok(2));
}

#[test]
fn failures_count_in_a_row_only() {
    let pool = pool(2, "eject_for = \"1h\"\neject_after = 2");
    for _ in 0..5 {
        pool.failed_to_connect(0, &error(ErrorType::ConnectRefused));
        pool.connected(0);
        pool.failed_to_answer(1, &error(ErrorType::ReadTimedout));
        pool.answered(1);
    }
    assert!(pool.servers().iter().all(|server| !server.state().ejected && server.state().failures == 5));
    pool.failed_to_answer(1, &error(ErrorType::ReadTimedout));
    pool.connected(1);
    pool.failed_to_answer(1, &error(ErrorType::ReadTimedout));
    assert!(pool.servers()[1].state().ejected, "a connection is no answer");
    pool.connected(1);
    assert!(pool.servers()[1].state().ejected);
    pool.answered(1);
    assert!(!pool.servers()[1].state().ejected, "an answer to a request that was there before counts");
}

#[test]
fn requests_that_break_the_app_do_not_take_its_last_server() {
    let pool = pool(2, "eject_for = \"1h\"\neject_after = 2");
    for _ in 0..5 {
        pool.failed_to_answer(0, &error(ErrorType::ConnectionClosed));
        pool.failed_to_answer(1, &error(ErrorType::ConnectionClosed));
    }
    let ejected: Vec<_> = pool.servers().iter().map(|server| server.state().ejected).collect();
    assert_eq!(ejected, [true, false]);
    // A server on trial does not replace it.
    pool.servers()[0].eject(1);
    pool.failed_to_answer(1, &error(ErrorType::ConnectionClosed));
    assert!(!pool.servers()[1].state().ejected);
}

#[test]
fn one_that_has_rested_gets_a_single_request_to_show_how_it_is() {
    for balance in ["round_robin", "least_connections"] {
        let pool = pool(2, &format!("balance = \"{balance}\"\neject_for = \"1h\"\neject_after = 1"));
        pool.failed_to_connect(0, &error(ErrorType::ConnectRefused));
        // Its ejection has ended.
        pool.servers()[0].eject(1);
        let picks: Vec<_> = (0..6).map(|_| pick(&pool).unwrap()).collect();
        assert_eq!(picks.iter().filter(|index| **index == 0).count(), 1, "{balance}: {picks:?}");
        assert!(pool.servers()[0].state().ejected);
        pool.connected(0);
        assert!(!pool.servers()[0].state().ejected && (0..2).any(|_| pick(&pool) == Ok(0)));
    }
    let never = pool(2, "eject_after = 0");
    for _ in 0..1000 {
        never.failed_to_connect(0, &error(ErrorType::ConnectRefused));
    }
    assert!(!never.servers()[0].state().ejected);
}

#[test]
fn a_bad_server_is_the_first_of_no_more_than_its_share() {
    let pool = pool(2, "eject_after = 0");
    let mut first = [0, 0];
    for _ in 0..10 {
        let mut attempts = Attempts::default();
        attempts.choose(|| pool.clone()).unwrap();
        first[attempts.current.as_ref().unwrap().index()] += 1;
        if attempts.current.as_ref().unwrap().index() == 0 {
            assert!(attempts.not_connected(&error(ErrorType::ConnectRefused)));
            attempts.choose(|| pool.clone()).unwrap();
        }
    }
    assert_eq!(first, [5, 5]);
}

#[test]
fn least_connections_goes_by_the_requests_in_flight_and_then_in_turn() {
    let pool = pool(3, "balance = \"least_connections\"");
    let mut chosen: Vec<_> = (0..3).map(|_| pool.pick(TriedServers::default()).unwrap()).collect();
    let mut indices: Vec<_> = chosen.iter().map(InFlight::index).collect();
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2]);
    let free = chosen.remove(1).index();
    for _ in 0..5 {
        assert_eq!(pick(&pool), Ok(free), "the turn does not matter");
    }
    drop(chosen);
    assert!(pool.servers().iter().all(|server| server.state().in_flight == 0));
    let picks: Vec<_> = (0..6).map(|_| pick(&pool).unwrap()).collect();
    assert!((0..3).all(|index| picks.iter().filter(|pick| **pick == index).count() == 2), "{picks:?}");
}

#[test]
fn a_connection_that_can_t_be_had_sends_the_request_elsewhere() {
    let four = pool(4, "retries = 2");
    let mut attempts = Attempts::default();
    let refused = error(ErrorType::ConnectRefused);
    for again in [true, true, false] {
        attempts.choose(|| four.clone()).unwrap();
        assert_eq!(attempts.not_connected(&refused), again);
    }
    assert_eq!(four.servers().iter().map(|server| server.state().failures).sum::<u64>(), 3);
    let mut attempts = Attempts::default();
    attempts.choose(|| four.clone()).unwrap();
    assert!(!attempts.not_connected(&error(ErrorType::InternalError)), "no descriptors: not a fault of the server");
    let two = pool(2, "");
    let mut attempts = Attempts::default();
    for again in [true, false] {
        attempts.choose(|| two.clone()).unwrap();
        assert_eq!(attempts.not_connected(&refused), again, "every server once");
    }
    assert_eq!(attempts.choose(|| two.clone()).unwrap_err(), DenyReason::UpstreamFailed);
}

const fn sent(method: &Method) -> RetryContext<'_> {
    RetryContext { method, body_is_kept: true, answer_begun: false, on_reused_connection: false }
}

#[test]
fn what_was_sent_is_sent_again_only_if_that_is_safe() {
    let get = sent(&Method::GET);
    let closed = error(ErrorType::ConnectionClosed);
    let again = |pool: &Arc<ServerPool>, error: &Error, sent: &RetryContext<'_>| {
        let mut attempts = Attempts::default();
        attempts.choose(|| pool.clone()).unwrap();
        attempts.attempt_failed(error, sent)
    };
    let two = || pool(2, "");
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE] {
        assert!(again(&two(), &closed, &sent(&method)), "{method}");
    }
    for method in [Method::POST, Method::PATCH, Method::from_bytes(b"PURGE").unwrap()] {
        assert!(!again(&two(), &closed, &sent(&method)), "{method}");
    }
    for kind in [ErrorType::ReadError, ErrorType::WriteError] {
        assert!(again(&two(), &error(kind), &get));
    }
    for kind in [ErrorType::ReadTimedout, ErrorType::WriteTimedout, ErrorType::InvalidHTTPHeader] {
        assert!(!again(&two(), &error(kind), &get));
    }
    let client = Error::new_down(ErrorType::ReadError);
    assert!(!again(&two(), &client, &get));
    assert!(!again(&two(), &closed, &RetryContext { body_is_kept: false, ..sent(&Method::PUT) }));
    assert!(!again(&two(), &closed, &RetryContext { answer_begun: true, ..sent(&Method::GET) }));
    assert!(!again(&pool(2, "retries = 0"), &closed, &get));
    assert!(!again(&pool(1, ""), &closed, &get), "the only server has had it");
    let reused = RetryContext { on_reused_connection: true, ..sent(&Method::GET) };
    let one = pool(1, "");
    assert!(again(&one, &closed, &reused), "it closed an idle connection");
    assert_eq!(one.servers()[0].state().failures, 0);
    assert!(!again(&one, &closed, &RetryContext { on_reused_connection: true, ..sent(&Method::POST) }));
    assert!(!again(&one, &error(ErrorType::ReadTimedout), &reused));
    assert_eq!(one.servers()[0].state().failures, 1);

    let mut attempts = Attempts::default();
    attempts.choose(two).unwrap();
    attempts.answered();
    assert!(!attempts.attempt_failed(&closed, &get));
}

#[test]
fn equal_upstreams_are_one_also_after_a_reload() {
    let one = "upstream = [\"http://127.0.0.1:3000\"]\n";
    let other = "upstream = [\"http://127.0.0.1:3000\"]\nread_timeout = \"1s\"\n";
    let first = Snapshot::new(policy(&[one, other, one]), 1, 0, None);
    let upstreams = first.upstreams();
    let paths = |routes: &[&crate::config::Route]| routes.iter().map(|route| route.path.to_owned()).collect::<Vec<_>>();
    assert_eq!(upstreams.len(), 2);
    assert_eq!((paths(&upstreams[0].1), paths(&upstreams[1].1)), (vec!["/0".into(), "/2".into()], vec!["/1".into()]));
    upstreams[0].0.pool().servers()[0].set_healthy(false);
    let second = Snapshot::new(policy(&[other, one, one]), 2, 0, Some(&first));
    assert!(Arc::ptr_eq(second.upstreams()[1].0, upstreams[0].0));
    assert!(!second.upstreams()[1].0.pool().servers()[0].is_healthy());
    let checked = format!("{one}[route.health_check]\npath = \"/\"\n");
    let third = Snapshot::new(policy(&[&checked]), 3, 0, Some(&second));
    assert!(third.upstreams()[0].0.pool().servers()[0].is_healthy(), "another one, of which nothing is known");
}

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

fn servers_of(pool: &ResolvedPool) -> Vec<String> {
    pool.pool().servers().iter().map(|server| server.address().to_string()).collect()
}

#[test]
fn a_name_has_the_addresses_that_were_found_last() {
    let policy = policy(&["upstream = [\"http://app.test:1\", \"http://127.0.0.1:2\"]"]);
    let pool = ResolvedPool::new(&policy.routing.routes[0].upstream, &[].iter());
    let host = Host::parse("app.test").unwrap();
    assert_eq!(servers_of(&pool), ["127.0.0.1:2"], "the address needs no resolver");
    assert_eq!(pool.install(&host, 1, Err("away".into()), 5), Change::Error);
    assert_eq!(pool.install(&host, 1, Err("away".into()), 6), Change::None, "it is no news");
    let found = addresses(&["10.0.0.2:1", "10.0.0.1:1", "10.0.0.2:1"]);
    assert_eq!(pool.install(&host, 1, Ok(found), 7), Change::Addresses);
    assert_eq!(servers_of(&pool), ["10.0.0.1:1", "10.0.0.2:1", "127.0.0.1:2"]);
    let first = pool.pool().servers()[0].clone();
    assert_eq!(pool.install(&host, 1, Ok(addresses(&["10.0.0.2:1", "10.0.0.1:1"])), 8), Change::None);
    assert_eq!(pool.install(&host, 1, Err("away".into()), 9), Change::Error);
    assert_eq!(servers_of(&pool).len(), 3, "the last known addresses stay in use");
    assert_eq!(pool.install(&host, 1, Ok(addresses(&["10.0.0.3:1", "10.0.0.1:1"])), 10), Change::Addresses);
    assert_eq!(servers_of(&pool), ["10.0.0.1:1", "10.0.0.3:1", "127.0.0.1:2"]);
    assert!(Arc::ptr_eq(&first, &pool.pool().servers()[0]), "what is known of a server is kept");
    let name = &pool.names()[0];
    assert_eq!((name.resolved_at, name.error.as_ref()), (Some(10), None));
    let many: Vec<_> = (0..200).map(|port| SocketAddr::from(([10, 0, 0, 9], 1000 + port))).collect();
    pool.install(&host, 1, Ok(many), 11);
    assert_eq!(servers_of(&pool).len(), Upstream::MAX_SERVERS);
}

#[test]
fn a_reload_takes_over_what_is_known_of_a_name() {
    let one = "upstream = [\"http://app.test:1\"]";
    let first = Snapshot::new(policy(&[one]), 1, 0, None);
    let host = Host::parse("app.test").unwrap();
    first.upstreams()[0].0.install(&host, 1, Ok(addresses(&["10.0.0.1:1"])), 5);
    let second = Snapshot::new(policy(&[&format!("{one}\nread_timeout = \"5s\""), one]), 2, 0, Some(&first));
    let upstreams = second.upstreams();
    assert_eq!(servers_of(upstreams[0].0), ["10.0.0.1:1"], "whatever else the route says now");
    assert!(Arc::ptr_eq(upstreams[1].0, first.upstreams()[0].0));
}

#[test]
fn an_attempt_keeps_to_the_servers_that_it_began_with() {
    let policy = policy(&["upstream = [\"http://app.test:1\"]"]);
    let pool = ResolvedPool::new(&policy.routing.routes[0].upstream, &[].iter());
    let host = Host::parse("app.test").unwrap();
    assert_eq!(Attempts::default().choose(|| pool.pool()).unwrap_err(), DenyReason::UpstreamUnavailable);
    pool.install(&host, 1, Ok(addresses(&["10.0.0.1:1", "10.0.0.2:1"])), 5);
    let mut attempts = Attempts::default();
    let (before, _) = attempts.choose(|| pool.pool()).unwrap();
    assert!(attempts.not_connected(&error(ErrorType::ConnectRefused)));
    pool.install(&host, 1, Ok(addresses(&["10.0.0.3:1"])), 6);
    let (after, _) = attempts.choose(|| pool.pool()).unwrap();
    assert!(Arc::ptr_eq(&before, &after));
}
