//! From a configuration to a running gate, and to its end.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::admin::Admin;
use super::jwks::Fetcher;
use super::keys::Keys;
use super::logging;
use super::reload::Reloader;
use super::status::Status;
use super::upkeep::Upkeep;
use super::watch::Watch;
use crate::clock::now;
use crate::config::{self, Config, Mode};
use crate::exit::{self, Failure};
use crate::gate::KnownTokens;
use crate::login::Desk;
use crate::login::password::Pool;
use crate::login::throttle::Throttle;
use crate::proxy::{Bound, RequestIds, Snapshot, State, Tunnels, bind};
use crate::store;

/// Runs the gate until SIGTERM or SIGINT. `ready` is called once it accepts connections, with the addresses.
///
/// # Errors
/// Anything that would leave a live process which serves nobody: a bad configuration, an address in use, a store that
/// can't be opened.
pub fn serve(path: &Path, ready: impl FnOnce(&[SocketAddr])) -> Result<(), Failure> {
    let config = config::load(path, Mode::Serve)?;
    logging::start(config.server.log(), config.server.log_format());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.server.threads())
        .thread_name("tollgate")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::OS, format!("can't start threads: {error}")))?;
    let ended = runtime.block_on(run(path, config, ready));
    // What still runs was given its grace; a blocking call must not hold up the exit.
    runtime.shutdown_background();
    ended
}

async fn run(path: &Path, mut config: Config, ready: impl FnOnce(&[SocketAddr])) -> Result<(), Failure> {
    // First of all, so that a signal during the start is not lost.
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;

    let clients = bind(config.server.listen()).map_err(in_use)?;
    let operators = config.server.admin().map(|address| bind(&[address]).map_err(in_use)).transpose()?;
    let store = store::open(config.store.as_str()).await?;

    let passwords = Pool::new(config.server.hash_threads(), config.server.hash_queue())
        .map_err(|error| Failure::new(exit::OS, format!("can't start threads: {error}")))?;

    let policy = std::mem::take(&mut config.policy);
    let state = Arc::new(State {
        snapshot: ArcSwap::from_pointee(Snapshot::new(policy, 1, now())),
        desk: Desk {
            store,
            passwords,
            throttle: Throttle::new(),
            revocations: Arc::default(),
            started_ms: jiff::Timestamp::now().as_millisecond(),
        },
        known: KnownTokens::new(config.server.token_cache()),
        server: config.server.clone(),
        tunnels: Arc::new(Tunnels::default()),
        request_ids: RequestIds::new(),
    });
    let status = Arc::new(Status::default());
    let fetcher = Arc::new(Fetcher::default());
    fetcher.follow(&state.snapshot.load().policy);
    let upkeep = Upkeep::begin(state.clone(), status.clone()).await?;
    let watch = Watch::start(&config.inputs)
        .map_err(|error| Failure::new(exit::OS, format!("{}: can't watch for changes: {error}", path.display())))?;
    let reloaded = Arc::new(Notify::new());
    let reloader = Reloader {
        path: path.to_owned(),
        state: state.clone(),
        status: status.clone(),
        fetcher: fetcher.clone(),
        started: config,
        watch,
        reloaded: reloaded.clone(),
    };

    // Each has a time-out, and a gate without an issuer's keys serves whoever does not need them.
    fetcher.first_attempts().await;

    let addresses: Vec<_> = clients.addresses().collect();
    let gate = clients.serve_gate(&state);
    let admin = operators.map(|bound: Bound| {
        let admin = Admin { state: state.clone(), status: status.clone(), config: path.to_owned() };
        bound.serve("admin", admin)
    });
    let reloading = tokio::spawn(reloader.run());
    tokio::spawn(upkeep.run());
    tokio::spawn(Upkeep::forget(state.clone()));
    tokio::spawn(Keys { state: state.clone(), reloaded, failing: HashSet::new() }.run());
    info!(version = env!("CARGO_PKG_VERSION"), listen = ?addresses, config = %path.display(), "ready");
    ready(&addresses);

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        // Ends only if no handler for SIGHUP could be installed, and a gate that can't reload is not what was asked for.
        ended = reloading => {
            let error = ended.map_or_else(|panic| panic.to_string(), |result| format!("{result:?}"));
            return Err(Failure::new(exit::OS, format!("reloading ended: {error}")));
        }
    }
    let grace = state.server.shutdown_grace();
    info!(grace = ?grace, "stopping: no new connections, requests in flight may finish");
    let finishing = async {
        let left = gate.finish(grace).await;
        if let Some(admin) = admin {
            admin.finish(std::time::Duration::ZERO).await;
        }
        left
    };
    tokio::select! {
        left = finishing => if left > 0 { warn!(requests = left, "stopped before these had finished") },
        // A second signal means now.
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    state.desk.store.close().await;
    info!("stopped");
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(exit::OS, format!("can't handle signals: {error}")))
}

fn in_use((address, error): (SocketAddr, io::Error)) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; stop it, or change server.listen or server.admin",
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has this address",
        _ => "change server.listen or server.admin",
    };
    Failure::new(exit::UNAVAILABLE, format!("can't listen on {address}: {error}; {advice}"))
}
