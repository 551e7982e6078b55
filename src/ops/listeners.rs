//! The three kinds of listeners: for clients, for the redirect to https, and for operators.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::admin::Admin;
use super::handover::is_successor;
use super::sockets::ListenSockets;
use crate::config::ServerSettings;
use crate::exit::{self, Failure};
use crate::proxy::{BoundListeners, DefaultListenerPolicy, RunningListeners, SharedState};

/// Sockets that listen, before connections are accepted.
pub(super) struct Listeners {
    clients: BoundListeners,
    redirect: BoundListeners,
    operators: BoundListeners,
}

/// The same while connections are accepted.
pub(super) struct ServingListeners {
    clients: RunningListeners,
    redirect: RunningListeners,
    operators: RunningListeners,
}

impl Listeners {
    /// Opens the sockets of the configuration, or takes those that were passed to this process.
    ///
    /// # Errors
    /// An address that can't be listened on, or a passed socket that the configuration does not name.
    pub(super) fn claim(sockets: &mut ListenSockets, server: &ServerSettings) -> Result<Self, Failure> {
        let listeners = Self {
            clients: sockets.claim(&server.listen, "server.listen")?,
            redirect: sockets.claim(&server.redirect, "server.tls.redirect")?,
            operators: sockets.claim(server.admin.as_slice(), "server.admin")?,
        };
        sockets.all_claimed(is_successor())?;
        Ok(listeners)
    }

    /// The addresses for clients.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.clients.addresses().collect()
    }

    /// Accepts connections.
    ///
    /// # Errors
    /// The system refuses a socket.
    pub(super) fn serve(self, state: &Arc<SharedState>, admin: Admin) -> Result<ServingListeners, Failure> {
        let tls_port = self.clients.addresses().next().map_or(443, |address| address.port());
        let serve = || -> io::Result<_> {
            Ok(ServingListeners {
                clients: self.clients.serve_gate(state)?,
                redirect: self.redirect.serve_redirect(state, tls_port)?,
                operators: self.operators.serve(admin, Arc::new(DefaultListenerPolicy), Arc::default(), false)?,
            })
        };
        serve().map_err(|error| Failure::new(exit::OS, format!("can't accept connections: {error}")))
    }
}

impl ServingListeners {
    /// Stops accepting, and waits for the requests in flight, at most for `shutdown_grace`. The admin listener stays open
    /// meanwhile, unless another process has taken the place of this one and serves it.
    pub(super) async fn stop(mut self, state: &SharedState, is_replaced: bool) {
        let grace = state.server.shutdown_grace;
        let deadline = Instant::now() + grace;
        info!(?grace, "stopping: no new connections, requests in flight may finish");
        tokio::join!(self.clients.stop(), self.redirect.stop());
        if is_replaced {
            self.operators.stop().await;
        }
        state.tunnels.close_all();
        // Clients and redirect share one count of connections.
        let left = self.clients.finish(deadline).await;
        if left > 0 {
            warn!(connections = left, "stopped before these had finished");
        }
        self.operators.stop().await;
    }
}
