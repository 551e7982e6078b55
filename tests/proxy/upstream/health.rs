//! Active checks.

use std::net::TcpListener;
use std::time::Instant;

use super::*;

/// Two applications whose `health` is checked constantly. `keys`: of the section.
fn checked(keys: &str) -> (App, App, Gate) {
    let (one, two) = (App::start(), App::start());
    let gate = conf(&[&one, &two], keys).start();
    (one, two, gate)
}

fn conf(apps: &[&App], keys: &str) -> Conf {
    let urls: Vec<_> = apps.iter().map(|app| format!("\"{}\"", app.url())).collect();
    Conf::with_upstream(&format!("[{}]", urls.join(","))).routes(&format!(
        "[[route]]\npath = \"/open\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [{}]\n\
         [route.health_check]\npath = \"/up/health\"\n{keys}\n",
        urls.join(",")
    ))
}

fn until_healthy(gate: &Gate, app: &App, healthy: bool) {
    let what = format!("/status says healthy: {healthy}");
    until_true(PATIENCE, &what, || server(gate, app)["healthy"] == healthy);
}

fn checks(app: &App) -> usize {
    app.seen().len() - asked(app)
}

#[test]
fn an_unhealthy_server_gets_no_requests_until_it_is_well_again() {
    let (one, two, gate) = checked("interval = \"50ms\"\n");
    until_true(PATIENCE, "both are checked", || checks(&one) > 0 && checks(&two) > 0);
    for (status, healthy) in [(500, false), (302, true), (404, false), (204, true)] {
        one.set_health(status);
        until_healthy(&gate, &one, healthy);
        one.forget();
        two.forget();
        for _ in 0..10 {
            gate.send(&get("/open/x").key()).expect(200);
        }
        assert_eq!((asked(&one), asked(&two)), if healthy { (5, 5) } else { (0, 10) }, "{status}");
    }
    assert_eq!(server(&gate, &one)["failures"], 0, "checks are not requests");
    let log = gate.stderr();
    assert!(log.contains("it answers 500") && log.contains("healthy again"), "{log}");
}

#[test]
fn what_is_asked_for() {
    let (one, _two, gate) = checked("interval = \"50ms\"\nstatus = [\"418\"]\nhost = \"app.internal\"\n");
    until_healthy(&gate, &one, false);
    one.set_health(418);
    until_healthy(&gate, &one, true);
    let seen = one.seen();
    assert_eq!(seen[0].line(), "GET /up/health HTTP/1.1");
    assert_eq!(seen[0].header("host").as_deref(), Some("app.internal"));
    assert!(seen[0].header("user-agent").unwrap().starts_with("tollgate/"));
    assert!(seen[0].headers().iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("x-")));
    let (plain, _other, gate) = checked("interval = \"50ms\"\n");
    until_true(PATIENCE, "it is checked", || checks(&plain) > 0);
    assert_eq!(plain.seen()[0].header("host"), Some(plain.addr.to_string()), "its own, not a client's");
    drop(gate);
}

#[test]
fn nobody_healthy_is_503_and_over_as_soon_as_somebody_is() {
    let (one, two, gate) = checked("interval = \"50ms\"\n");
    one.set_health(503);
    two.set_health(503);
    until_healthy(&gate, &one, false);
    until_healthy(&gate, &two, false);
    let answer = gate.send(&get("/open/x").key()).refused(503, "upstream_unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(asked(&one) + asked(&two), 0);
    one.set_health(200);
    until_healthy(&gate, &one, true);
    gate.send(&get("/open/x").key()).expect(200);
}

#[test]
fn one_that_is_gone_or_hangs_is_unhealthy_also_if_it_is_the_only_one() {
    let port = free_port();
    let app = App::on(TcpListener::bind(("127.0.0.1", port)).unwrap());
    let gate = conf(&[&app], "interval = \"50ms\"\n").start();
    gate.send(&get("/open/x").key()).expect(200);
    drop(app);
    until_true(PATIENCE, "it is unhealthy", || gate.status()["upstreams"][0]["servers"][0]["healthy"] == false);
    gate.send(&get("/open/x").key()).refused(503, "upstream_unavailable");
    gate.says("ConnectRefused");
    let back = App::on(TcpListener::bind(("127.0.0.1", port)).unwrap());
    until_healthy(&gate, &back, true);
    gate.send(&get("/open/x").key()).expect(200);
    let hanging = App::start();
    let started = Instant::now();
    let routes = format!(
        "[[route]]\npath = \"/open\"\nrealm = \"examples\"\naccess = \"public\"\nupstream = [\"{}\"]\n\
         [route.health_check]\npath = \"/hang\"\ninterval = \"1h\"\ntimeout = \"100ms\"\n",
        hanging.url()
    );
    let gate = Conf::new(&hanging).routes(&routes).start();
    until_healthy(&gate, &hanging, false);
    assert!(started.elapsed() < SOON, "the first one decides, though the next is in an hour");
}

#[test]
fn reloads_neither_forget_nor_multiply_the_checks() {
    let (one, two) = (App::start(), App::start());
    one.set_health(500);
    let conf = conf(&[&one, &two], "interval = \"1h\"\n");
    let gate = conf.clone().start();
    until_healthy(&gate, &one, false);
    until_true(PATIENCE, "the other is checked, too", || checks(&two) == 1);
    one.set_health(200);
    for round in 0..20 {
        reload(&gate, &conf.clone().realm("origins", &format!("[\"https://{round}.example.com\"]")));
        gate.send(&get("/open/x").key()).expect(200);
    }
    assert_eq!((checks(&one), checks(&two), asked(&one)), (1, 1, 0));
    assert_eq!(server(&gate, &one)["healthy"], false);
    // What was changed begins anew.
    reload(&gate, &self::conf(&[&one, &two], "interval = \"2h\"\n"));
    until_true(PATIENCE, "both are checked again", || checks(&one) == 2 && checks(&two) == 2);
    until_healthy(&gate, &one, true);
}

#[test]
fn the_checks_of_a_route_that_is_gone_end() {
    let (one, two, gate) = checked("interval = \"50ms\"\n");
    until_true(PATIENCE, "it is checked again and again", || checks(&one) > 3);
    let without = Conf::with_upstream(&format!("[\"{}\", \"{}\"]", one.url(), two.url()));
    reload(&gate, &without);
    // One may be on its way.
    let (before, end) = (checks(&one), Instant::now() + Duration::from_millis(500));
    while Instant::now() < end {
        gate.send(&get("/open/x").key()).expect(200);
    }
    assert!(checks(&one) <= before + 1, "{} and {before}", checks(&one));
}
