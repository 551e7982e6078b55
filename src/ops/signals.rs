//! The signals that the process handles.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{self, Failure};

/// SIGTERM and SIGINT: either of them stops Tollgate.
#[derive(Debug)]
pub(super) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Handles both signals from now on.
    ///
    /// # Errors
    /// The system refuses a signal handler.
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self { terminate: listen_for(SignalKind::terminate())?, interrupt: listen_for(SignalKind::interrupt())? })
    }

    /// Waits for the next of them. No signal is lost if the future is dropped.
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Handles signals of this kind from now on.
///
/// # Errors
/// The system refuses a signal handler.
pub(super) fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(exit::OS, format!("can't handle signals: {error}")))
}
