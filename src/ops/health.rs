//! Active health checks of upstream servers, in the background: `[route.health_check]`.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use pingora::connectors::TransportConnector;
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::HttpSession;
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::config::{HealthCheck, Upstream};
use crate::proxy::{ResolvedPool, Snapshot, UpstreamServer, reason};

/// A task for each server that is checked.
#[derive(Default)]
pub(super) struct HealthChecker {
    tasks: Mutex<Vec<Task>>,
    /// The connector, with the certificate checks of requests. It reads the system's authorities when it is created, so
    /// it is created only if there is a check.
    connector: Arc<OnceLock<TransportConnector>>,
}

/// The checks of one server of one upstream.
struct Task {
    upstream: Upstream,
    server: Arc<UpstreamServer>,
    handle: AbortHandle,
}

impl HealthChecker {
    /// Checks the servers of this snapshot and stops the checks of others. Checks that stay are not interrupted.
    pub(super) fn update(&self, snapshot: &Snapshot) {
        let upstreams = snapshot.upstreams();
        self.retain(|task| upstreams.iter().any(|(pool, _)| *pool.upstream() == task.upstream));
        for (pool, _) in upstreams {
            self.follow_pool(pool);
        }
    }

    /// Checks the present servers of this upstream and stops the checks of its former ones.
    pub(super) fn follow_pool(&self, pool: &ResolvedPool) {
        let (upstream, now) = (pool.upstream(), pool.pool());
        let Some(check) = upstream.health_check.as_ref() else { return };
        let is_of = |task: &Task, server: &Arc<UpstreamServer>| Arc::ptr_eq(&task.server, server);
        self.retain(|task| task.upstream != *upstream || now.servers().iter().any(|server| is_of(task, server)));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        for server in now.servers() {
            if tasks.iter().any(|task| is_of(task, server)) {
                continue;
            }
            let rounds = HealthCheckTask {
                server: server.clone(),
                check: check.clone(),
                connector: self.connector.clone(),
                streak: Streak::default(),
            };
            let handle = tokio::spawn(rounds.run()).abort_handle();
            tasks.push(Task { upstream: upstream.clone(), server: server.clone(), handle });
        }
    }

    fn retain(&self, stays: impl Fn(&Task) -> bool) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| {
            let stays = stays(task);
            if !stays {
                task.handle.abort();
            }
            stays
        });
    }
}

/// The checks of one server.
struct HealthCheckTask {
    server: Arc<UpstreamServer>,
    check: HealthCheck,
    connector: Arc<OnceLock<TransportConnector>>,
    streak: Streak,
}

impl HealthCheckTask {
    async fn run(mut self) {
        loop {
            self.round().await;
            tokio::time::sleep(self.check.interval).await;
        }
    }

    async fn round(&mut self) {
        let server = &self.server;
        let connector = self.connector.get_or_init(|| TransportConnector::new(None));
        let asked = tokio::time::timeout(self.check.timeout, ask(connector, server, &self.check)).await;
        let result = asked.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.check.timeout)));
        let was_healthy = server.is_healthy();
        let is_healthy = self.streak.add(was_healthy, result.is_ok(), &self.check);
        server.set_healthy(is_healthy);
        match result {
            Err(error) if was_healthy && !is_healthy => {
                warn!(server = %server.address(), error, "server is unhealthy: its checks fail");
            }
            Ok(()) if !was_healthy && is_healthy => {
                info!(server = %server.address(), "server is healthy again: its checks succeed");
            }
            _ => {}
        }
    }
}

/// Consecutive results of one kind.
#[derive(Debug, Default)]
struct Streak {
    good: bool,
    /// 0: there was none yet.
    length: usize,
}

impl Streak {
    /// Counts a result and returns whether the server is healthy. The first result decides alone: a server starts as
    /// healthy, and one that is down from the start must be excluded soon.
    fn add(&mut self, was_healthy: bool, good: bool, check: &HealthCheck) -> bool {
        if self.length == 0 {
            *self = Self { good, length: 1 };
            return good;
        }
        self.length = if self.good == good { self.length.saturating_add(1) } else { 1 };
        self.good = good;
        let enough = if good { check.healthy_after } else { check.unhealthy_after };
        if self.length >= enough { good } else { was_healthy }
    }
}

/// Sends one check. The head of a response is enough; then the connection is closed.
async fn ask(connector: &TransportConnector, server: &UpstreamServer, check: &HealthCheck) -> Result<(), String> {
    let failed = |error: Box<pingora::Error>| reason(&error);
    let host = check.host.as_deref().unwrap_or_else(|| server.authority());
    let stream = connector.new_stream(server.peer()).await.map_err(failed)?;
    let mut session = HttpSession::new(stream);
    let mut request = RequestHeader::build("GET", check.path.as_bytes(), Some(4)).map_err(failed)?;
    for (name, value) in [
        (HOST, host),
        (USER_AGENT, concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
        (ACCEPT, "*/*"),
        (CONNECTION, "close"),
    ] {
        request.insert_header(name, value).map_err(failed)?;
    }
    session.write_request_header(Box::new(request)).await.map_err(failed)?;
    loop {
        session.read_response().await.map_err(failed)?;
        let status = session.get_status().map_or(0, |status| status.as_u16());
        match status {
            // Others follow, up to the answer itself.
            100 | 102..=199 => {}
            _ if check.accepts(status) => return Ok(()),
            _ => return Err(format!("it answers {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Mode, parse};

    fn check() -> HealthCheck {
        let text = "[server]\nlisten = [\"127.0.0.1:1\"]\n[store]\nurl = \"sqlite:///t.db\"\n\
                    [[realm]]\nname = \"a\"\nissuer = \"i\"\nrequire_key = false\n\
                    [[route]]\npath = \"/\"\nrealm = \"a\"\naccess = \"public\"\nupstream = [\"http://127.0.0.1:3000\"]\n\
                    [route.health_check]\npath = \"/\"\nhealthy_after = 2\nunhealthy_after = 3\n";
        let config = parse(text, Path::new("/nonexistent/t.toml"), Mode::Start).unwrap();
        config.policy.routing.routes[0].upstream.health_check.clone().unwrap()
    }

    #[test]
    fn it_takes_several_in_a_row_but_for_the_first() {
        for (results, states) in
            [("+-+--+---", "++++++++-"), ("-+++", "--++"), ("-+-+-++-", "------++"), ("+++---+-++", "+++++----+")]
        {
            let (check, mut streak, mut healthy) = (check(), Streak::default(), true);
            let told: String = results
                .chars()
                .map(|result| {
                    healthy = streak.add(healthy, result == '+', &check);
                    if healthy { '+' } else { '-' }
                })
                .collect();
            assert_eq!(told, states, "{results}");
        }
    }
}
