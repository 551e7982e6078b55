//! Metrics of requests.
//!
//! The counters are looked up once, when a policy comes into force, and a request then takes a few relaxed additions.
//! Labels are names of the configuration or fixed codes, never text of a client. An entry that stays through a reload
//! keeps its counters; a removed one is dropped with its counters.

mod histogram;
mod tally;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::config::{Host, Login, Policy, Route};
use crate::gate::RouteId;
pub use histogram::Histogram;
pub use tally::CodeCounters;

/// The counters of one generation.
#[derive(Debug)]
pub struct Metrics {
    /// In the order of the policy's routes.
    routes: Vec<Arc<RequestCounters>>,
    /// In the order of its logins.
    logins: Vec<Arc<RequestCounters>>,
    nowhere: Arc<RequestCounters>,
    outcomes: Vec<Arc<LoginCounters>>,
}

/// The requests to one place.
#[derive(Debug)]
pub struct RequestCounters {
    /// `route`, `login`, or `none` for requests that belong to neither.
    pub kind: &'static str,
    /// The realm, where there is one.
    pub realm: String,
    /// Host and path, and the methods.
    pub route: String,
    /// By outcome and reason.
    pub ends: CodeCounters<(RequestOutcome, &'static str)>,
    /// By the first digit of the response's status.
    pub statuses: [AtomicU64; 5],
    /// From the head of the request to the end of the answer.
    pub took: Histogram,
    /// From sending the request to the application to the head of its answer.
    pub upstream: Histogram,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Forwarded, and answered by the application.
    Forwarded,
    /// Answered by Tollgate: a login, a preflight, public keys.
    Answered,
    Denied,
    /// Allowed, but forwarding failed.
    Failed,
    /// The client left before there was an answer.
    Left,
}

/// The outcomes of logins to one realm, in one dialect.
#[derive(Debug)]
pub struct LoginCounters {
    pub realm: String,
    pub dialect: &'static str,
    /// By operation, outcome and reason.
    pub ends: CodeCounters<(&'static str, &'static str, &'static str)>,
    /// Accounts that were locked after too many wrong guesses.
    pub locks: AtomicU64,
}

impl Metrics {
    /// Creates the metrics for `policy`; entries that stay keep their counters of `before`.
    #[must_use]
    pub fn new(policy: &Policy, before: Option<&Self>) -> Self {
        // By name, because there can be many.
        let there = before.into_iter().flat_map(Self::requests);
        let there: HashMap<_, _> = there.map(|old| ((old.kind, old.realm.as_str(), old.route.as_str()), old)).collect();
        let requests = |kind, realm: &str, route: String| match there.get(&(kind, realm, route.as_str())) {
            Some(old) => Arc::clone(old),
            None => Arc::new(RequestCounters::new(kind, realm.to_owned(), route)),
        };
        let routing = &policy.routing;
        let routes = routing.routes.iter().map(|route| requests("route", &route.realm.name, label(route)));
        let logins = routing.logins.iter().map(|login| requests("login", &login.realm.name, login.path.to_owned()));
        let mut outcomes: Vec<Arc<LoginCounters>> = Vec::new();
        for (realm, dialect) in routing.logins.iter().flat_map(realms_of) {
            let same = |other: &&Arc<LoginCounters>| other.realm == realm && other.dialect == dialect;
            if outcomes.iter().any(|other| same(&other)) {
                continue;
            }
            let old = before.and_then(|before| before.outcomes.iter().find(same));
            outcomes.push(old.cloned().unwrap_or_else(|| Arc::new(LoginCounters::new(realm.to_owned(), dialect))));
        }
        Self {
            routes: routes.collect(),
            logins: logins.collect(),
            nowhere: requests("none", "", String::new()),
            outcomes,
        }
    }

    pub fn requests(&self) -> impl Iterator<Item = &Arc<RequestCounters>> {
        self.routes.iter().chain(&self.logins).chain([&self.nowhere])
    }

    #[must_use]
    pub fn outcomes(&self) -> &[Arc<LoginCounters>] {
        &self.outcomes
    }

    pub(super) fn at(&self, place: RouteId) -> &RequestCounters {
        let found = match place {
            RouteId::None => None,
            RouteId::Route(index) => self.routes.get(index),
            RouteId::Login(index) => self.logins.get(index),
        };
        found.unwrap_or(&self.nowhere)
    }

    /// Counts the outcome of a login.
    pub(super) fn login(&self, realm: &str, dialect: &str, end: (&'static str, &'static str, &'static str)) {
        let mut outcomes = self.outcomes.iter();
        if let Some(found) = outcomes.find(|outcomes| outcomes.realm == realm && outcomes.dialect == dialect) {
            found.ends.count(end);
        }
    }

    /// Counts locked accounts.
    pub(super) fn locked(&self, realm: &str, dialect: &str, accounts: usize) {
        let mut outcomes = self.outcomes.iter();
        if let Some(found) = outcomes.find(|outcomes| outcomes.realm == realm && outcomes.dialect == dialect) {
            found.locks.fetch_add(accounts as u64, Ordering::Relaxed);
        }
    }
}

impl RequestCounters {
    fn new(kind: &'static str, realm: String, route: String) -> Self {
        let usual = if kind == "route" { RequestOutcome::Forwarded } else { RequestOutcome::Answered };
        Self {
            kind,
            realm,
            route,
            ends: CodeCounters::new([(usual, "")]),
            statuses: Default::default(),
            took: Histogram::default(),
            upstream: Histogram::default(),
        }
    }

    /// Counts a finished request.
    pub(super) fn count(&self, end: RequestOutcome, reason: &'static str, status: Option<StatusCode>, took: Duration) {
        self.ends.count((end, reason));
        if let Some(class) = status.and_then(|status| self.statuses.get(usize::from(status.as_u16() / 100) - 1)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        self.took.observe(took);
    }
}

impl LoginCounters {
    fn new(realm: String, dialect: &'static str) -> Self {
        let login = if dialect == "exchange" { "exchange" } else { "login" };
        let expected = [("success", ""), ("failure", "credentials_invalid"), ("failure", "throttled")];
        let expected = expected.into_iter().filter(|(outcome, _)| login == "login" || *outcome == "success");
        Self {
            realm,
            dialect,
            ends: CodeCounters::new(expected.map(|(outcome, reason)| (login, outcome, reason))),
            locks: AtomicU64::new(0),
        }
    }
}

impl RequestOutcome {
    /// The name in metrics and the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}

/// `GET,POST app.example.com/api`: no two routes have the same.
#[must_use]
pub fn label(route: &Route) -> String {
    let methods =
        route.methods.as_deref().map(|methods| methods.iter().map(http::Method::as_str).collect::<Vec<_>>().join(","));
    let host = route.host.as_ref().map(Host::as_str).unwrap_or_default();
    match methods {
        Some(methods) => format!("{methods} {host}{}", route.path),
        None => format!("{host}{}", route.path),
    }
}

/// The realms into which a login logs in, each with the dialect.
fn realms_of(login: &Arc<Login>) -> Vec<(&str, &'static str)> {
    let mut realms = vec![login.realm.name.as_str()];
    realms.extend(login.named_realms.iter().map(|realm| realm.name.as_str()));
    realms.into_iter().map(|realm| (realm, login.dialect.name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mode, parse};

    const FILE: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"sqlite://x.db\"\n\
        [[realm]]\nname = \"a\"\nissuer = \"i\"\nrequire_key = false\n\
        [[realm]]\nname = \"b\"\nissuer = \"j\"\nrequire_key = false\n\
        [[login]]\ndialect = \"tenant\"\npath = \"/Login\"\nrealm = \"a\"\n\
        [[login]]\ndialect = \"project\"\npath = \"/a\"\nrealm = \"a\"\n";

    fn policy(routes: &[&str]) -> Policy {
        let route = |keys: &&str| {
            format!("[[route]]\nrealm = \"a\"\naccess = \"public\"\nupstream = [\"http://127.0.0.1:1\"]\n{keys}\n")
        };
        let text = format!("{FILE}{}", routes.iter().map(route).collect::<String>());
        parse(&text, std::path::Path::new("t.toml"), Mode::Start).unwrap().policy
    }

    #[test]
    fn what_stays_keeps_its_numbers_and_what_goes_is_gone() {
        let (get, post) = ("path = \"/x\"\nmethods = [\"GET\"]", "path = \"/x\"\nmethods = [\"POST\"]");
        let first = Metrics::new(&policy(&["path = \"/y\"\nhost = \"h.example\"", get, post]), None);
        let names: Vec<_> = first.requests().map(|requests| (requests.kind, requests.route.as_str())).collect();
        assert_eq!(
            names,
            [
                ("route", "h.example/y"),
                ("route", "GET /x"),
                ("route", "POST /x"),
                ("login", "/Login"),
                ("login", "/a"),
                ("none", "")
            ]
        );
        let count = |meters: &Metrics, place| {
            meters.at(place).count(RequestOutcome::Denied, "key_missing", Some(StatusCode::FORBIDDEN), Duration::ZERO);
        };
        let seen = |meters: &Metrics, place| meters.at(place).ends.counts().last();
        count(&first, RouteId::Route(2));
        count(&first, RouteId::None);
        first.login("b", "tenant", ("login", "success", ""));
        let second = Metrics::new(&policy(&[post, get]), Some(&first));
        count(&second, RouteId::Route(0));
        // Of a request from before the reload.
        count(&first, RouteId::Route(2));
        assert_eq!(seen(&second, RouteId::Route(0)), Some(((RequestOutcome::Denied, "key_missing"), 3)));
        assert_eq!(seen(&second, RouteId::Route(1)), Some(((RequestOutcome::Forwarded, ""), 0)));
        assert_eq!(seen(&second, RouteId::None), Some(((RequestOutcome::Denied, "key_missing"), 1)));
        assert_eq!(second.at(RouteId::Route(0)).statuses[3].load(Ordering::Relaxed), 3);
        let outcomes: Vec<_> = second
            .outcomes()
            .iter()
            .map(|outcomes| (outcomes.realm.as_str(), outcomes.dialect, outcomes.ends.counts().next().unwrap().1))
            .collect();
        assert_eq!(outcomes, [("a", "tenant", 0), ("b", "tenant", 1), ("a", "project", 0)]);
    }
}
