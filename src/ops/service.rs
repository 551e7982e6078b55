//! From a configuration to a running gate, and to its end.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use super::admin::Admin;
use super::epochs::Epochs;
use super::handover::{Executable, Handover, is_successor, tell_predecessor};
use super::health::HealthChecker;
use super::jwks::JwksFetcher;
use super::key_maintenance::KeyMaintenance;
use super::maintenance::Maintenance;
use super::reload::Reloader;
use super::resolve::Resolver;
use super::sockets::ListenSockets;
use super::status::Status;
use super::watch::FileWatcher;
use super::{logging, notify};
use crate::clock::now;
use crate::config::{self, Config, Mode};
use crate::exit::{self, Failure};
use crate::gate::{AddressLimiters, TokenCache};
use crate::log_output::LogWriter;
use crate::login::LoginServices;
use crate::login::allowance::Allowances;
use crate::login::password::HashPool;
use crate::login::throttle::Throttle;
use crate::proxy::{
    DefaultListenerPolicy, Exporter, RequestIds, RunningListeners, SharedState, Snapshot, Tunnels, Untrusted, audit,
};
use crate::store;

/// Whether the memory of the process may get into a file, or be read by other processes of the same user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dumps {
    /// No core dump, and no debugger.
    Never,
    /// As the system is set up.
    Allowed,
}

/// Runs the gate until SIGTERM or SIGINT. `ready` is called once it accepts connections, with the addresses.
///
/// # Errors
/// Anything that would leave a live process which serves nobody: a bad configuration, an address in use, a store that
/// can't be opened.
pub fn serve(path: &Path, dumps: Dumps, ready: impl FnOnce(&[SocketAddr])) -> Result<(), Failure> {
    // First, while there is one thread.
    let sockets = ListenSockets::from_environment()?;
    if dumps == Dumps::Never {
        leave_no_core();
    }
    let config = config::load(path, Mode::Serve)?;
    let no_thread = |error| Failure::new(exit::OS, format!("can't start threads: {error}"));
    let journal = logging::start().map_err(no_thread)?;
    logging::follow(config.policy.log(), &journal).map_err(|error| Failure::new(exit::CONFIG, error))?;
    logging::warnings(&config.warnings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.server.threads())
        .thread_name("tollgate")
        .enable_all()
        .build()
        .map_err(no_thread)?;
    let exporter = Exporter::start(runtime.handle()).map_err(|error| Failure::new(exit::CONFIG, error))?;
    let exporter = Arc::new(exporter);
    let ended = runtime.block_on(run(path, config, (sockets, journal.clone(), exporter.clone()), ready));
    exporter.finish(LAST_LINES);
    // What still runs was given its grace; a blocking call must not hold up the exit.
    runtime.shutdown_background();
    // Whoever does not read what is left must not hold it up either.
    journal.flush(LAST_LINES);
    ended
}

/// Signing keys and passwords are in memory. The limit keeps the kernel from writing a file of it. It does not hold for a
/// program that gets core dumps through a pipe (core(5), `RLIMIT_CORE`), and does not keep other processes of the same user
/// from `/proc/PID/mem` and ptrace(2); `PR_SET_DUMPABLE` does both (prctl(2)). `/proc/self` stays readable for this process.
fn leave_no_core() {
    let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    // Neither can fail: a limit can always be lowered, and the value is one that prctl knows.
    let _ = setrlimit(Resource::Core, limit);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

async fn run(
    path: &Path,
    mut config: Config,
    (mut sockets, journal, exporter): (ListenSockets, Arc<LogWriter>, Arc<Exporter>),
    ready: impl FnOnce(&[SocketAddr]),
) -> Result<(), Failure> {
    // First of all, so that a signal during the start is not lost.
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    let mut replace = listen_for(SignalKind::user_defined2())?;
    // Whoever asks for a reload too soon must not end the gate, as this signal does by itself.
    let hangup = listen_for(SignalKind::hangup())?;
    let program =
        Executable::current().map_err(|error| Failure::new(exit::OS, format!("can't find this program: {error}")))?;

    let clients = sockets.claim(config.server.listen(), "server.listen")?;
    let redirected = sockets.claim(config.server.redirect(), "server.tls.redirect")?;
    let operators = sockets.claim(config.server.admin().as_slice(), "server.admin")?;
    sockets.all_claimed(is_successor())?;
    let store = store::open(&config.store).await?;

    let passwords = HashPool::new(config.server.hash_threads(), config.server.hash_queue())
        .map_err(|error| Failure::new(exit::OS, format!("can't start threads: {error}")))?;

    let policy = std::mem::take(&mut config.policy);
    let state = Arc::new(SharedState {
        snapshot: ArcSwap::from_pointee(Snapshot::new(policy, 1, now(), None)),
        services: LoginServices {
            store,
            passwords,
            throttle: Throttle::new(),
            allowances: Allowances::new(),
            revocations: Arc::default(),
            started_ms: jiff::Timestamp::now().as_millisecond(),
        },
        known: TokenCache::new(config.server.token_cache()),
        usage: AddressLimiters::new(),
        server: config.server.clone(),
        tunnels: Arc::new(Tunnels::default()),
        connections: Arc::default(),
        request_ids: RequestIds::new(),
        journal,
        exporter,
        untrusted: Untrusted::default(),
    });
    let status = Arc::new(Status::default());
    let fetcher = Arc::new(JwksFetcher::default());
    fetcher.update(&state.snapshot.load().policy);
    let resolver = Resolver::new(config.server.clone(), Arc::new(HealthChecker::default()));
    let epochs = Arc::new(Epochs::begin(state.services.store.clone(), state.snapshot.load_full()).await?);
    let upkeep = Maintenance::begin(state.clone(), status.clone(), epochs.clone()).await?;
    let watch = FileWatcher::start(&config.inputs)
        .map_err(|error| Failure::new(exit::OS, format!("{}: can't watch for changes: {error}", path.display())))?;
    let reloaded = Arc::new(Notify::new());
    let reloader = Reloader {
        path: path.to_owned(),
        state: state.clone(),
        status: status.clone(),
        fetcher: fetcher.clone(),
        epochs,
        resolver,
        started: config,
        watch,
        reloaded: reloaded.clone(),
    };

    // Each has a time-out, and a gate without an issuer's keys or an upstream's addresses serves the rest.
    let snapshot = state.snapshot.load_full();
    tokio::join!(fetcher.first_attempts(), reloader.resolver.follow(&snapshot, PATIENCE));

    let addresses: Vec<_> = clients.addresses().collect();
    let tls_port = addresses.first().map_or(443, SocketAddr::port);
    let admin = Admin { state: state.clone(), status: status.clone(), config: path.to_owned() };
    let listening = || -> std::io::Result<_> {
        let gate = clients.serve_gate(&state)?;
        let redirect = redirected.serve_redirect(&state, tls_port)?;
        Ok((gate, redirect, operators.serve(admin, Arc::new(DefaultListenerPolicy), Arc::default(), false)?))
    };
    let listening =
        listening().map_err(|error| Failure::new(exit::OS, format!("can't accept connections: {error}")))?;
    let reloading = tokio::spawn(reloader.run(hangup));
    tokio::spawn(upkeep.run());
    tokio::spawn(Maintenance::purge_expired(state.clone()));
    tokio::spawn(KeyMaintenance { state: state.clone(), reloaded, failing: HashSet::new() }.run());
    info!(version = env!("CARGO_PKG_VERSION"), listen = ?addresses, config = %path.display(), "ready");
    state.journal.audit(audit::event("start", "success", "").text("version", env!("CARGO_PKG_VERSION")));
    ready(&addresses);
    notify::ready(&state, &status);
    tokio::spawn(notify::send_watchdog(state.clone(), status.clone()));
    tell_predecessor();

    let mut reloading = std::pin::pin!(reloading);
    let mut is_replaced = false;
    while !is_replaced {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = replace.recv() => {
                let told = async {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                };
                match program.start_successor(sockets.claimed(), told).await {
                    Handover::Done(pid) => {
                        notify::handed_over(pid);
                        info!(pid, "handed over");
                        is_replaced = true;
                    }
                    Handover::Failed => {}
                    Handover::Stopped => break,
                }
            }
            // Ends only by a panic, and a gate that can't reload is not what was asked for.
            ended = &mut reloading => {
                let error = ended.err().map(|panic| panic.to_string()).unwrap_or_default();
                return Err(Failure::new(exit::OS, format!("reloading ended: {error}")));
            }
        }
    }
    if !is_replaced {
        notify::stopping();
    }
    // Else they would go on to listen, and nobody would come to accept.
    drop(sockets);
    let second = async {
        // Of one that was replaced, this is the first: systemd sends it to all processes of a service, also to one that is
        // finishing what it has begun.
        for _ in 0..=usize::from(is_replaced) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    };
    tokio::select! {
        () = stop(&state, listening, is_replaced) => {}
        // A second signal means now.
        () = second => {}
    }
    state.services.store.close().await;
    state.journal.audit(audit::event("stop", "success", ""));
    info!("stopped");
    Ok(())
}

/// How long a start waits for the names of its upstreams.
const PATIENCE: Duration = Duration::from_secs(2);
/// As long as a slow disk may need.
const LAST_LINES: Duration = Duration::from_secs(1);
/// Stops accepting, and waits for what is in flight, until the grace is over. Operators may look on meanwhile, unless there
/// is a successor, which tells them more.
async fn stop(
    state: &SharedState,
    (mut gate, mut redirect, mut admin): (RunningListeners, RunningListeners, RunningListeners),
    is_replaced: bool,
) {
    let grace = state.server.shutdown_grace();
    let deadline = Instant::now() + grace;
    info!(?grace, "stopping: no new connections, requests in flight may finish");
    tokio::join!(gate.stop(), redirect.stop());
    if is_replaced {
        admin.stop().await;
    }
    state.tunnels.close_all();
    // The one counts the connections of the other, too.
    let left = gate.finish(deadline).await;
    if left > 0 {
        warn!(connections = left, "stopped before these had finished");
    }
    admin.stop().await;
}

fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(exit::OS, format!("can't handle signals: {error}")))
}
