//! Starts Tollgate from a configuration, waits for its end, and stops it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::info;

use super::admin::Admin;
use super::epochs::Epochs;
use super::handover::{Executable, Handover, tell_predecessor};
use super::health::HealthChecker;
use super::jwks::JwksFetcher;
use super::key_maintenance::KeyMaintenance;
use super::listeners::Listeners;
use super::maintenance::Maintenance;
use super::reload::Reloader;
use super::resolve::Resolver;
use super::signals::{StopSignal, listen_for};
use super::sockets::ListenSockets;
use super::status::Status;
use super::watch::FileWatcher;
use super::{logging, notify, prepare};
use crate::clock::now;
use crate::config::{Config, Mode};
use crate::exit::{self, Failure};
use crate::gate::{AddressLimiters, TokenCache};
use crate::log_output::LogWriter;
use crate::login::LoginServices;
use crate::login::allowance::Allowances;
use crate::login::password::HashPool;
use crate::login::throttle::Throttle;
use crate::proxy::{Exporter, RequestIds, SharedState, Snapshot, Tunnels, Untrusted, audit};
use crate::store;

/// Whether the memory of the process can be written to a core dump or read by other processes of the same user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dumps {
    /// No core dump, and no debugger.
    Never,
    /// The settings of the system apply.
    Allowed,
}

/// Runs Tollgate until SIGTERM or SIGINT. `ready` is called once it accepts connections, with the addresses.
///
/// # Errors
/// Anything without which the process could not serve: an invalid configuration, an address in use, a store that can't
/// be opened.
pub fn serve(path: &Path, dumps: Dumps, ready: impl FnOnce(&[SocketAddr])) -> Result<(), Failure> {
    // First, while the process has one thread.
    let sockets = ListenSockets::from_environment()?;
    if dumps == Dumps::Never {
        leave_no_core();
    }
    let config = prepare::load(path, Mode::Start)?;
    let no_thread = |error| Failure::new(exit::OS, format!("can't start threads: {error}"));
    let journal = logging::start().map_err(no_thread)?;
    logging::follow(&config.policy.log, &journal).map_err(|error| Failure::new(exit::CONFIG, error))?;
    logging::warnings(&config.warnings);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.server.threads)
        .thread_name("tollgate")
        .enable_all()
        .build()
        .map_err(no_thread)?;
    let exporter = Exporter::start(runtime.handle()).map_err(|error| Failure::new(exit::CONFIG, error))?;
    let exporter = Arc::new(exporter);
    let ended = runtime.block_on(run(path, config, (sockets, journal.clone(), exporter.clone()), ready));
    exporter.finish(LAST_LINES);
    // The remaining tasks had their grace period; a blocking call must not delay the exit.
    runtime.shutdown_background();
    // A reader that does not read the last lines must not delay the exit.
    journal.flush(LAST_LINES);
    ended
}

/// Signing keys and passwords are in memory. The limit keeps the kernel from writing a file of it. It does not hold for a
/// program that gets core dumps through a pipe (core(5), `RLIMIT_CORE`), and does not keep other processes of the same user
/// from `/proc/PID/mem` and ptrace(2); `PR_SET_DUMPABLE` does both (prctl(2)). `/proc/self` stays readable for this process.
fn leave_no_core() {
    let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    // Neither can fail: a limit can always be lowered, and prctl knows the value.
    let _ = setrlimit(Resource::Core, limit);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

async fn run(
    path: &Path,
    mut config: Config,
    (mut sockets, journal, exporter): (ListenSockets, Arc<LogWriter>, Arc<Exporter>),
    ready: impl FnOnce(&[SocketAddr]),
) -> Result<(), Failure> {
    // Before anything else, so that a signal during the start is not lost.
    let mut stop = StopSignal::listen()?;
    let mut replace = listen_for(SignalKind::user_defined2())?;
    // The default action of SIGHUP ends the process: a reload that is asked for during the start must not.
    let hangup = listen_for(SignalKind::hangup())?;
    let program =
        Executable::current().map_err(|error| Failure::new(exit::OS, format!("can't find this program: {error}")))?;

    let listeners = Listeners::claim(&mut sockets, &config.server)?;
    let state = open_state(&mut config, journal, exporter).await?;
    let status = Arc::new(Status::default());
    let (reloader, maintenance) = load(path, config, &state, &status).await?;
    let reloaded = reloader.reloaded.clone();

    let addresses = listeners.addresses();
    let admin = Admin { state: state.clone(), status: status.clone(), config: path.to_owned() };
    let listeners = listeners.serve(&state, admin)?;
    let reloading = tokio::spawn(reloader.run(hangup));
    tokio::spawn(maintenance.run());
    tokio::spawn(Maintenance::purge_expired(state.clone()));
    tokio::spawn(KeyMaintenance { state: state.clone(), reloaded, failing: HashSet::new() }.run());
    info!(version = env!("CARGO_PKG_VERSION"), listen = ?addresses, config = %path.display(), "ready");
    state.journal.audit(audit::event("start", "success", "").text("version", env!("CARGO_PKG_VERSION")));
    ready(&addresses);
    notify::ready(&state, &status);
    tokio::spawn(notify::send_watchdog(state.clone(), status.clone()));
    tell_predecessor();

    let is_replaced = wait_for_end(&mut stop, &mut replace, (&program, &sockets), reloading).await?;
    if !is_replaced {
        notify::stopping();
    }
    // Otherwise the sockets stay open: connections are made, and no process accepts them.
    drop(sockets);
    tokio::select! {
        () = listeners.stop(&state, is_replaced) => {}
        // A second signal ends the process at once.
        () = another_signal(&mut stop, is_replaced) => {}
    }
    state.services.store.close().await;
    state.journal.audit(audit::event("stop", "success", ""));
    info!("stopped");
    Ok(())
}

/// Opens the store and starts the threads that hash. Takes the policy out of `config`.
async fn open_state(
    config: &mut Config,
    journal: Arc<LogWriter>,
    exporter: Arc<Exporter>,
) -> Result<Arc<SharedState>, Failure> {
    let store = store::open(&config.store).await?;
    let passwords = HashPool::new(config.server.hash_threads, config.server.hash_queue)
        .map_err(|error| Failure::new(exit::OS, format!("can't start threads: {error}")))?;
    let policy = std::mem::take(&mut config.policy);
    Ok(Arc::new(SharedState {
        snapshot: ArcSwap::from_pointee(Snapshot::new(policy, 1, now(), None)),
        services: LoginServices {
            store,
            passwords,
            throttle: Throttle::new(),
            allowances: Allowances::new(),
            revocations: Arc::default(),
            started_ms: jiff::Timestamp::now().as_millisecond(),
        },
        known: TokenCache::new(config.server.token_cache),
        usage: AddressLimiters::new(),
        server: config.server.clone(),
        tunnels: Arc::new(Tunnels::default()),
        connections: Arc::default(),
        request_ids: RequestIds::new(),
        journal,
        exporter,
        untrusted: Untrusted::default(),
    }))
}

/// Loads what the first policy needs: session epochs, revocations, the keys of issuers and the addresses of upstreams.
/// Returns what keeps all of that current.
async fn load(
    path: &Path,
    config: Config,
    state: &Arc<SharedState>,
    status: &Arc<Status>,
) -> Result<(Reloader, Maintenance), Failure> {
    let fetcher = Arc::new(JwksFetcher::default());
    fetcher.update(&state.snapshot.load().policy);
    let resolver = Resolver::new(config.server.clone(), Arc::new(HealthChecker::default()));
    let epochs = Arc::new(Epochs::begin(state.services.store.clone(), state.snapshot.load_full()).await?);
    let maintenance = Maintenance::begin(state.clone(), status.clone(), epochs.clone()).await?;
    let watch = FileWatcher::start(&config.inputs)
        .map_err(|error| Failure::new(exit::OS, format!("{}: can't watch for changes: {error}", path.display())))?;
    let reloader = Reloader {
        path: path.to_owned(),
        state: state.clone(),
        status: status.clone(),
        fetcher,
        epochs,
        resolver,
        started: config,
        watch,
        reloaded: Arc::new(Notify::new()),
    };
    // Each has a time limit, and a process without an issuer's keys or an upstream's addresses serves the rest.
    let snapshot = state.snapshot.load_full();
    tokio::join!(reloader.fetcher.first_attempts(), reloader.resolver.begin(&snapshot));
    Ok((reloader, maintenance))
}

/// Waits until Tollgate is to stop. Returns whether another process has taken its place.
///
/// # Errors
/// The task that reloads the configuration has ended, which only a panic can do.
async fn wait_for_end(
    stop: &mut StopSignal,
    replace: &mut Signal,
    (program, sockets): (&Executable, &ListenSockets),
    mut reloading: JoinHandle<()>,
) -> Result<bool, Failure> {
    loop {
        tokio::select! {
            () = stop.received() => return Ok(false),
            _ = replace.recv() => match program.start_successor(sockets.claimed(), stop.received()).await {
                Handover::Done(pid) => {
                    notify::handed_over(pid);
                    info!(pid, "handed over");
                    return Ok(true);
                }
                Handover::Failed => {}
                Handover::Stopped => return Ok(false),
            },
            ended = &mut reloading => {
                let error = ended.err().map(|panic| panic.to_string()).unwrap_or_default();
                return Err(Failure::new(exit::OS, format!("reloading ended: {error}")));
            }
        }
    }
}

/// Waits for another signal while Tollgate stops. If Tollgate was replaced, the first one does not count: systemd sends
/// it to all processes of a service, and so to the one that finishes its requests.
async fn another_signal(stop: &mut StopSignal, is_replaced: bool) {
    for _ in 0..=usize::from(is_replaced) {
        stop.received().await;
    }
}

/// Time for the last log lines and spans: as long as a slow disk may need.
const LAST_LINES: Duration = Duration::from_secs(1);
