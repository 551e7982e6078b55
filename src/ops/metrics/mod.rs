//! `/metrics`: counters and the present state.
//!
//! Labels are names from the configuration and fixed codes: the operator decides the number of time series, and clients
//! do not.

mod exposition;
mod process;

use std::sync::atomic::Ordering;

use exposition::{Exposition, Family};

use super::jwks::issuers;
use super::status::Status;
use crate::clock::now;
use crate::log_output::LogStream;
use crate::proxy::metrics::{RequestCounters, label};
use crate::proxy::{ServerState, SharedState, Snapshot};

/// The page as it is now.
pub(super) fn page(state: &SharedState, status: &Status) -> String {
    let snapshot = state.snapshot.load();
    let mut page = Exposition::default();
    let build =
        [("version", env!("CARGO_PKG_VERSION")), ("otlp", if cfg!(feature = "otlp") { "true" } else { "false" })];
    page.gauge("tollgate_build_info", "The program, as it was built; always 1.").sample(&build, 1);
    requests(&mut page, &snapshot);
    upstreams(&mut page, &snapshot);
    logins(&mut page, &snapshot, state);
    tokens(&mut page, &snapshot, state);
    configuration(&mut page, &snapshot, status);
    connections(&mut page, state);
    lines(&mut page, state);
    page.gauge("tollgate_store_up", "Whether the store answered last (1) or failed (0).")
        .sample(&[], u8::from(!status.store_fails()));
    process::add(&mut page);
    page.finish()
}

fn requests(page: &mut Exposition, snapshot: &Snapshot) {
    let all: Vec<_> = snapshot.meters.requests().collect();
    let mut family =
        page.counter("tollgate_requests_total", "Requests that are over, by what became of them, and why.");
    for requests in &all {
        for ((end, reason), count) in requests.ends.counts() {
            let mut labels = place(requests).to_vec();
            labels.extend([("outcome", end.name()), ("reason", reason)]);
            family.sample(&labels, count);
        }
    }
    let mut family = page.counter("tollgate_responses_total", "Answers, by the class of their status.");
    for requests in &all {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(&requests.statuses) {
            let mut labels = place(requests).to_vec();
            labels.push(("status", class));
            family.sample(&labels, count.load(Ordering::Relaxed));
        }
    }
    let help = "From the head of a request to the end of its answer.";
    let mut family = page.histogram("tollgate_request_duration_seconds", help);
    for requests in &all {
        family.samples(&place(requests), &requests.took);
    }
    let help = "From sending a request to the app to the head of its answer.";
    let mut family = page.histogram("tollgate_upstream_response_seconds", help);
    for requests in all.iter().filter(|requests| requests.kind == "route") {
        family.samples(&place(requests)[1..], &requests.upstream);
    }
}

/// Every server of every route. A server of several routes has a series for each of them.
fn upstreams(page: &mut Exposition, snapshot: &Snapshot) {
    let upstreams = snapshot.upstreams();
    let servers: Vec<_> = upstreams
        .iter()
        .flat_map(|(pool, routes)| routes.iter().map(|route| (*pool, *route)))
        .flat_map(|(pool, route)| {
            let states: Vec<_> = pool.pool().servers().iter().map(|server| server.state()).collect();
            states.into_iter().map(move |state| (route, state))
        })
        .map(|(route, state)| (route.realm.name.as_str(), label(route), state.address.to_string(), state))
        .collect();
    let add = |mut family: Family<'_>, value: fn(&ServerState) -> u64| {
        for (realm, route, server, state) in &servers {
            family.sample(&[("realm", realm), ("route", route), ("server", server)], value(state));
        }
    };
    let help = "Whether a server behind a route gets requests (1), or is found unhealthy or ejected (0).";
    add(page.gauge("tollgate_upstream_up", help), |state| u64::from(state.healthy && !state.ejected));
    let help = "Requests that a server is busy with.";
    add(page.gauge("tollgate_upstream_in_flight", help), |state| state.in_flight as u64);
    let help = "Attempts that a server failed.";
    add(page.counter("tollgate_upstream_failures_total", help), |state| state.failures);
    let help = "Whether the last look-up of the name of an upstream found addresses (1) or not (0).";
    let mut family = page.gauge("tollgate_upstream_name_resolves", help);
    let mut told = Vec::new();
    for name in upstreams.iter().flat_map(|(pool, _)| pool.names()) {
        // Upstreams that differ in a time-out have the same names.
        if !told.contains(&(name.host.clone(), name.port)) {
            let port = name.port.to_string();
            family.sample(&[("name", name.host.as_str()), ("port", &port)], u8::from(name.error.is_none()));
            told.push((name.host, name.port));
        }
    }
}

fn place(requests: &RequestCounters) -> [(&'static str, &str); 3] {
    [("kind", requests.kind), ("realm", &requests.realm), ("route", &requests.route)]
}

fn logins(page: &mut Exposition, snapshot: &Snapshot, state: &SharedState) {
    let help = "What was asked of logins, and what came of it.";
    let mut family = page.counter("tollgate_logins_total", help);
    for outcomes in snapshot.meters.outcomes() {
        for ((operation, outcome, reason), count) in outcomes.ends.counts() {
            let labels = [
                ("realm", outcomes.realm.as_str()),
                ("dialect", outcomes.dialect),
                ("operation", operation),
                ("outcome", outcome),
                ("reason", reason),
            ];
            family.sample(&labels, count);
        }
    }
    let help = "Accounts that were locked after 100 wrong guesses in a row.";
    let mut family = page.counter("tollgate_account_locks_total", help);
    for outcomes in snapshot.meters.outcomes().iter().filter(|outcomes| outcomes.dialect != "exchange") {
        let labels = [("realm", outcomes.realm.as_str()), ("dialect", outcomes.dialect)];
        family.sample(&labels, outcomes.locks.load(Ordering::Relaxed));
    }
    let (pool, load) = (&state.services.passwords, state.services.passwords.load());
    page.gauge("tollgate_hash_threads", "Threads that hash passwords.").sample(&[], pool.threads());
    page.gauge("tollgate_hash_busy", "Threads that do.").sample(&[], load.busy());
    page.gauge("tollgate_hash_queue_length", "Logins that wait for such a thread.").sample(&[], load.waiting());
    page.gauge("tollgate_hash_queue_limit", "Logins that may wait.").sample(&[], state.server.hash_queue);
    page.counter("tollgate_hashes_total", "Passwords that were hashed.").sample(&[], load.done());
    page.counter("tollgate_hash_rejected_total", "Logins that found the queue full.").sample(&[], load.rejected());
}

fn tokens(page: &mut Exposition, snapshot: &Snapshot, state: &SharedState) {
    let known = &state.known;
    page.gauge("tollgate_token_cache_entries", "Verified tokens that are remembered.").sample(&[], known.len());
    page.gauge("tollgate_token_cache_bytes", "Memory that they take.").sample(&[], known.bytes());
    page.gauge("tollgate_token_cache_limit_bytes", "Memory that they may take.").sample(&[], state.server.token_cache);
    page.counter("tollgate_token_cache_hits_total", "Tokens that were known.").sample(&[], known.hits());
    page.counter("tollgate_token_cache_misses_total", "Tokens that were not.").sample(&[], known.misses());
    page.counter("tollgate_token_cache_evictions_total", "Tokens that were forgotten to make room.")
        .sample(&[], known.evictions());
    page.gauge("tollgate_revocations", "Revocations in memory.").sample(&[], state.services.revocations.len());
    page.gauge("tollgate_tunnels_open", "WebSockets and event streams that are open for a token.")
        .sample(&[], state.tunnels.len());
    let at = now();
    let all: Vec<_> = issuers(&snapshot.policy).collect();
    let mut family = page.gauge("tollgate_jwks_usable", "Whether there are keys of a trusted issuer that count.");
    for (realm, issuer) in &all {
        family.sample(&[("realm", realm), ("issuer", &issuer.name)], u8::from(issuer.keys.current_at(at).is_some()));
    }
    let mut family = page.gauge(
        "tollgate_jwks_unusable_keys",
        "Number of keys in the key set of a trusted issuer that can't be used; /status names them.",
    );
    for (realm, issuer) in &all {
        let unusable = issuer.keys.current_at(at).map_or(0, |keys| keys.unusable().len());
        family.sample(&[("realm", realm), ("issuer", &issuer.name)], unusable);
    }
    let mut family =
        page.gauge("tollgate_jwks_age_seconds", "Since when the keys of a trusted issuer were fetched last.");
    for (realm, issuer) in &all {
        if let Some(fetched) = issuer.keys.last_fetch().at {
            family.sample(&[("realm", realm), ("issuer", &issuer.name)], at.saturating_sub(fetched).max(0));
        }
    }
    let mut family = page.counter("tollgate_jwks_fetches_total", "Fetches of the keys of a trusted issuer.");
    for (realm, issuer) in &all {
        let (succeeded, failed) = issuer.keys.fetches();
        for (outcome, count) in [("success", succeeded), ("failure", failed)] {
            family.sample(&[("realm", realm), ("issuer", &issuer.name), ("outcome", outcome)], count);
        }
    }
}

fn configuration(page: &mut Exposition, snapshot: &Snapshot, status: &Status) {
    let (succeeded, failed) = status.reloads();
    page.counter("tollgate_reloads_total", "Reloads of the configuration.")
        .sample(&[("outcome", "success")], succeeded)
        .sample(&[("outcome", "failure")], failed);
    page.gauge("tollgate_reload_success", "Whether the last reload succeeded, or there was none (1), or failed (0).")
        .sample(&[], u8::from(!status.reload_failed()));
    page.gauge(
        "tollgate_policy_loaded_timestamp_seconds",
        "When the policy in force came into force, in Unix seconds.",
    )
    .sample(&[], snapshot.loaded_at);
    page.gauge("tollgate_policy_generation", "How many policies have been in force.").sample(&[], snapshot.generation);
    let mut family = page.gauge(
        "tollgate_certificate_expiry_seconds",
        "When the first of the certificates of [server.tls] expires, in Unix seconds.",
    );
    if let Some(tls) = snapshot.policy.tls.as_ref() {
        family.sample(&[], tls.expires_at);
    }
    page.gauge("tollgate_cold_changes", "Changed keys that require a restart.")
        .sample(&[], status.cold_changes().len());
}

fn connections(page: &mut Exposition, state: &SharedState) {
    let connections = &state.connections;
    page.gauge("tollgate_connections_open", "Connections of clients.").sample(&[], connections.open());
    page.gauge("tollgate_connections_limit", "How many there may be.").sample(&[], state.max_connections());
    page.counter("tollgate_connections_accepted_total", "Connections that were accepted.")
        .sample(&[], connections.accepted());
    page.counter("tollgate_connections_refused_total", "Connections that were closed: too many of one address.")
        .sample(&[], connections.refused());
}

fn lines(page: &mut Exposition, state: &SharedState) {
    let mut family = page.counter("tollgate_log_lines_total", "Lines that were written.");
    for stream in LogStream::ALL {
        family.sample(&[("stream", stream.name())], state.journal.counts(stream).written());
    }
    let help = "Log lines that were lost: the reader was too slow, or a write failed.";
    let mut family = page.counter("tollgate_log_lines_dropped_total", help);
    for stream in LogStream::ALL {
        family.sample(&[("stream", stream.name())], state.journal.counts(stream).dropped());
    }
    let help = "Lines of the log that were not written: too many of one kind about one client network in a minute.";
    page.counter("tollgate_log_lines_limited_total", help).sample(&[], state.journal.limited());
    let audit = state.journal.counts(LogStream::Audit);
    page.counter("tollgate_audit_rotations_total", "Rotations of the audit file.").sample(&[], audit.rotations());
    let help = "Rotations of the audit file that failed: it grows beyond log.audit_size.";
    page.counter("tollgate_audit_rotation_failures_total", help).sample(&[], audit.rotation_failures());
    let mut family = page.gauge("tollgate_log_failing", "Whether the last write failed.");
    for stream in LogStream::ALL {
        family.sample(&[("stream", stream.name())], u8::from(state.journal.counts(stream).is_failing()));
    }
}
