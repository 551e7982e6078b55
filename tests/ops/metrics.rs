//! `/metrics`: what is counted, that a parser of Prometheus' own takes it, and that no client can blow it up.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::*;

/// The samples by name and labels, as Prometheus' own parser reads them.
struct Page(Vec<(String, BTreeMap<String, String>, f64)>);

fn scrape(gate: &Gate) -> Page {
    let answer = get("/metrics").send(gate.admin).expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let file = gate.dir.path().join("metrics");
    std::fs::write(&file, answer.text()).unwrap();
    let read = "import json, sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n\
                families = list(parse(open(sys.argv[1]).read()))\n\
                assert all(f.documentation and f.type in ('counter', 'gauge', 'histogram') for f in families)\n\
                print(json.dumps([[s.name, s.labels, s.value] for f in families for s in f.samples]))\n";
    let samples: Vec<(String, BTreeMap<String, String>, f64)> =
        serde_json::from_str(&python(read, &[file.to_str().unwrap()]).ok().stdout).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for (name, labels, _) in &samples {
        assert!(seen.insert((name, labels)), "twice: {name} {labels:?}");
    }
    Page(samples)
}

/// As [`scrape`], when so many requests have been counted: a client may have its answer before it is.
fn scrape_after(gate: &Gate, requests: usize) -> Page {
    let counted = || {
        let page = get("/metrics").send(gate.admin).expect(200).text();
        let counts = page.lines().filter_map(|line| line.strip_prefix("tollgate_request_duration_seconds_count"));
        counts.map(|count| count.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum::<usize>()
    };
    until_true(PATIENCE, &format!("{requests} requests are counted"), || counted() == requests);
    scrape(gate)
}

impl Page {
    /// The sum of the samples of this name that have these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |has: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| has.get(*label).map(String::as_str) == Some(*value))
        };
        let found: Vec<_> = self.0.iter().filter(|(other, has, _)| other == name && fits(has)).collect();
        assert!(!found.is_empty(), "there is no {name} {labels:?}");
        found.iter().map(|(_, _, value)| value).sum()
    }

    fn names(&self) -> std::collections::BTreeSet<&str> {
        self.0.iter().map(|(name, _, _)| name.as_str()).collect()
    }
}

#[test]
fn requests_and_logins_are_counted_by_what_became_of_them() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    // Before there is a connection that could be used again: what fails on one of those is no fault of the server.
    gate.send(&get("/open/reset").key()).expect(502);
    gate.try_log_in("alice", "wrong").refused(401, "credentials_invalid");
    gate.try_log_in("nobody", "wrong").refused(401, "credentials_invalid");
    for _ in 0..3 {
        gate.visit(&token).expect(200);
    }
    gate.visit("x").refused(401, "token_malformed");
    gate.send(&get("/app/x")).refused(403, "key_missing");
    gate.send(&get("/nope")).refused(404, "route_not_found");
    gate.send(&get(auth("")).bearer(&token)).expect(200);
    let page = scrape_after(&gate, 12);
    let route = [("kind", "route"), ("realm", "examples"), ("route", "/app")];
    let of = |name, more: &[(&str, &str)]| page.sum(name, &[&route[..], more].concat());
    assert_eq!(of("tollgate_requests_total", &[("outcome", "forwarded"), ("reason", "")]), 3.0);
    assert_eq!(of("tollgate_requests_total", &[("outcome", "denied"), ("reason", "token_malformed")]), 1.0);
    assert_eq!(of("tollgate_requests_total", &[("outcome", "denied"), ("reason", "key_missing")]), 1.0);
    assert_eq!(of("tollgate_responses_total", &[("status", "2xx")]), 3.0);
    assert_eq!(of("tollgate_responses_total", &[("status", "4xx")]), 2.0);
    assert_eq!(of("tollgate_request_duration_seconds_count", &[]), 5.0);
    assert_eq!(page.sum("tollgate_upstream_response_seconds_count", &[("route", "/app")]), 3.0);
    let server = app.url().strip_prefix("http://").unwrap().to_owned();
    assert_eq!(page.sum("tollgate_upstream_up", &[("route", "/open"), ("server", &server)]), 1.0);
    assert_eq!(page.sum("tollgate_upstream_failures_total", &[("route", "/open"), ("server", &server)]), 1.0);
    let failed = [("route", "/open"), ("outcome", "failed"), ("reason", "upstream_failed")];
    assert_eq!(page.sum("tollgate_requests_total", &failed), 1.0);
    let nowhere = [("kind", "none"), ("route", ""), ("reason", "route_not_found")];
    // The start asks for nothing, but a probe of the harness connects without a word.
    assert_eq!(page.sum("tollgate_requests_total", &nowhere), 1.0);
    let login = |operation: &'static str, outcome: &'static str, reason: &'static str| {
        [
            ("realm", "examples"),
            ("dialect", "project"),
            ("operation", operation),
            ("outcome", outcome),
            ("reason", reason),
        ]
    };
    assert_eq!(page.sum("tollgate_logins_total", &login("login", "success", "")), 1.0);
    assert_eq!(page.sum("tollgate_logins_total", &login("login", "failure", "credentials_invalid")), 2.0);
    assert_eq!(
        page.sum("tollgate_logins_total", &login("login", "failure", "throttled")),
        0.0,
        "there before the first"
    );
    assert_eq!(page.sum("tollgate_logins_total", &login("registration", "success", "")), 1.0);
    assert_eq!(page.sum("tollgate_logins_total", &login("read", "success", "")), 1.0);
    assert_eq!(page.sum("tollgate_token_cache_misses_total", &[]), 2.0);
    assert_eq!(page.sum("tollgate_token_cache_hits_total", &[]), 2.0);
    assert_eq!(page.sum("tollgate_token_cache_entries", &[]), 1.0);
    assert_eq!(page.sum("tollgate_hash_threads", &[]), 2.0);
    // One registration and three logins.
    assert_eq!(page.sum("tollgate_hashes_total", &[]), 4.0);
    assert_eq!(page.sum("tollgate_store_up", &[]), 1.0);
    assert_eq!(page.sum("tollgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let now = now() as f64;
    assert!((page.sum("process_start_time_seconds", &[]) - now).abs() < 120.0);
    assert!(page.sum("process_resident_memory_bytes", &[]) > 1e6 && page.sum("process_open_fds", &[]) > 5.0);
    assert!(page.sum("process_max_fds", &[]) > 100.0 && page.sum("process_cpu_seconds_total", &[]) > 0.0);
}

#[test]
fn no_client_makes_the_page_longer() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let token = gate.user("alice");
    let round = |number: usize| {
        gate.send(&get(format!("/app/{number}?q={number}")).key().bearer(&token).host(&format!("h{number}.example")));
        gate.send(&get(format!("/nope/{number}")));
        gate.send(
            &request(&format!("X{number}"), "/app/x").key().bearer(&token).header("User-Agent", number.to_string()),
        );
        gate.visit(&format!("token{number}"));
        Conn::open_from("127.0.0.9".parse().unwrap(), gate.addr).ask(&get("/app/x").key().bearer(&token));
        gate.try_log_in(&format!("user{number}"), "wrong");
        let _ = gate.send(&get(format!("/open/x{number}")).key().header("traceparent", format!("{number}")));
        gate.send(&get(format!("/{number}\"}} evil 1")));
    };
    round(0);
    let before = scrape_after(&gate, 2 + 8).0.len();
    (1..10).for_each(round);
    assert_eq!(scrape_after(&gate, 2 + 10 * 8).0.len(), before);
    let page = get("/metrics").send(gate.admin).expect(200).text();
    for made_up in ["h1.example", "user1", "token1", "/app/1", "x1", "/nope", "evil", "alice", "127.0.0.9"] {
        assert!(!page.contains(made_up), "{made_up}: {page}");
    }
}

#[test]
fn counters_stay_through_a_reload_and_go_with_their_route() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let visit = |path: &str| gate.send(&get(path).key()).expect(200);
    let forwarded =
        |page: &Page, route: &str| page.sum("tollgate_requests_total", &[("route", route), ("outcome", "forwarded")]);
    let with = gate.conf().add_route("/one", "public", "").add_route("/two", "public", "");
    gate.edit_by_rename(&with);
    until_true(PATIENCE, "the routes", || gate.send(&get("/two").key()).status == 200);
    (0..3).for_each(|_| drop(visit("/one")));
    gate.edit_by_rename(&gate.conf().add_route("/one", "public", ""));
    until_true(PATIENCE, "the route is gone", || gate.send(&get("/two").key()).status == 404);
    visit("/one");
    until_true(PATIENCE, "the fourth is counted", || forwarded(&scrape(&gate), "/one") == 4.0);
    let page = scrape(&gate);
    assert!(!get("/metrics").send(gate.admin).expect(200).text().contains("/two"));
    assert_eq!(page.sum("tollgate_reloads_total", &[("outcome", "success")]), 2.0);
    assert_eq!((page.sum("tollgate_reload_success", &[]), page.sum("tollgate_policy_generation", &[])), (1.0, 3.0));
    gate.rename_over("nonsense");
    until_true(PATIENCE, "the failure", || gate.status()["last_reload"]["ok"] == false);
    gate.edit_by_rename(&gate.conf().add_route("/one", "public", "").server("threads", "2"));
    until_true(PATIENCE, "the cold change", || gate.status()["cold_changes"] == json!(["server.threads"]));
    let page = scrape(&gate);
    assert_eq!(page.sum("tollgate_reloads_total", &[("outcome", "failure")]), 1.0);
    assert_eq!(page.sum("tollgate_cold_changes", &[]), 1.0);
    assert_eq!(forwarded(&page, "/one"), 4.0);
}

#[test]
fn keys_of_issuers_and_a_store_that_fails_are_seen() {
    let app = App::start();
    let issuer = "[[realm.trusted_issuer]]\nissuer = \"https://idp.example/\"\naudience = [\"a\"]\n\
                  jwks_url = \"http://127.0.0.1:9/jwks\"\ninsecure_http = true\n";
    let gate = Conf::new(&app).add_realm_tables(issuer).start_unready();
    let page = scrape(&gate);
    let labels = [("realm", "examples"), ("issuer", "https://idp.example/")];
    assert_eq!(page.sum("tollgate_jwks_usable", &labels), 0.0);
    assert!(page.sum("tollgate_jwks_fetches_total", &[&labels[..], &[("outcome", "failure")]].concat()) >= 1.0);
    assert!(!page.names().contains("tollgate_jwks_age_seconds"), "never fetched");
}

#[test]
fn the_dashboard_and_the_alerts_name_only_what_there_is() {
    let app = App::start();
    let gate = Conf::new(&app).start();
    let page = get("/metrics").send(gate.admin).expect(200).text();
    let families: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let exists = |name: &str| {
        families.iter().any(|(family, kind)| {
            let rest = name.strip_prefix(family);
            rest == Some("") || *kind == "histogram" && matches!(rest, Some("_bucket" | "_sum" | "_count"))
        })
    };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let yaml = "import json, sys, yaml\nprint(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let alerts = python(yaml, &[root.join("contrib/prometheus-alerts.yml").to_str().unwrap()]).ok().stdout;
    let alerts: Value = serde_json::from_str(&alerts).unwrap();
    let dashboard = std::fs::read_to_string(root.join("contrib/grafana-dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() >= 11);
    for rule in rules {
        assert!(rule["expr"].is_string() && rule["annotations"]["summary"].is_string(), "{rule}");
    }
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let exprs: Vec<_> = rules.iter().chain(targets).map(|has| has["expr"].as_str().unwrap()).collect();
    assert!(exprs.len() > 30);
    let mut named = 0;
    for expr in exprs {
        let words = expr.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
        for word in words.filter(|word| word.starts_with("tollgate_") || word.starts_with("process_")) {
            assert!(exists(word), "{word} in {expr}");
            named += 1;
        }
        // Label values that are fixed codes.
        for (label, codes) in [("outcome", OUTCOMES), ("kind", &["route", "login", "none"][..])] {
            for (_, rest) in expr.match_indices(&format!("{label}=")).map(|(at, found)| expr.split_at(at + found.len()))
            {
                let value = rest.trim_start_matches('~').trim_start_matches('"').split('"').next().unwrap();
                assert!(value.split('|').all(|code| codes.contains(&code)), "{value} in {expr}");
            }
        }
    }
    assert!(named > 40, "{named}");
}

const OUTCOMES: &[&str] =
    &["forwarded", "answered", "denied", "failed", "left", "success", "challenge", "failure", "error"];
