//! Listening sockets, and their connections up to the first byte of HTTP.
//!
//! TRAP: the service of pingora binds within its task, retries an address in use 30 times, 1 s apart (pingora-core 0.9.1,
//! src/listeners/l4.rs, TCP_LISTENER_MAX_TRY), and then panics while the process goes on. Its shutdown always sleeps
//! `grace_period_seconds` (src/server/mod.rs). So sockets are bound before anything else starts, and connections are accepted
//! here; pingora gets them after the TLS handshake.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::listener::Listener;
use pingora::protocols::{ALPN, GetSocketDigest as _, IO, Stream};
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, warn};

use super::client_stream::{ClientStream, PREFACE};
use super::closing::Closing;
use super::connection_state::{ConnectionState, Phase};
use super::connections::{ConnectionPermit, Connections};
use super::{Gateway, ListenerPolicy, Redirect, SharedState, http2, tunnel};

/// Listening sockets, before connections are accepted.
#[derive(Debug)]
pub struct BoundListeners(Vec<std::net::TcpListener>);

impl BoundListeners {
    /// Takes listening sockets.
    #[must_use]
    pub const fn new(sockets: Vec<std::net::TcpListener>) -> Self {
        Self(sockets)
    }

    /// Returns the listen addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().filter_map(|socket| socket.local_addr().ok())
    }

    /// Serves clients.
    ///
    /// # Errors
    /// A socket that can't be listened on.
    pub fn serve_gate(self, state: &Arc<SharedState>) -> io::Result<RunningListeners> {
        let conf = ServerConf { threads: state.server.threads, ..ServerConf::default() };
        let mut options = HttpServerOptions::default();
        options.h2c = state.server.h2c;
        let connector = TransportConnector::new(Some(ConnectorOptions::from_server_conf(&conf)));
        let mut proxy = pingora::proxy::http_proxy(&Arc::new(conf), Gateway::new(state.clone(), connector));
        proxy.server_options = Some(options);
        self.serve(proxy, state.clone(), state.connections.clone(), state.server.tls)
    }

    /// Redirects clients from http to https at `port`.
    ///
    /// # Errors
    /// A socket that can't be listened on.
    pub fn serve_redirect(self, state: &Arc<SharedState>, port: u16) -> io::Result<RunningListeners> {
        self.serve(Redirect { port }, state.clone(), state.connections.clone(), false)
    }

    /// Serves connections with any app of pingora, on the current runtime.
    ///
    /// # Errors
    /// A socket that can't be listened on.
    pub fn serve<A: HttpServerApp + Send + Sync + 'static>(
        self,
        app: A,
        listener: Arc<dyn ListenerPolicy>,
        connections: Arc<Connections>,
        tls: bool,
    ) -> io::Result<RunningListeners> {
        let (stop, stopped) = watch::channel(false);
        let service = Arc::new(ConnectionService { app: Arc::new(app) });
        let acceptor =
            Arc::new(ConnectionAcceptor { service, listener, connections: connections.clone(), tls, stopped });
        let mut accepting = JoinSet::new();
        for socket in self.0 {
            socket.set_nonblocking(true)?;
            keep_alive(&socket)?;
            accepting.spawn(acceptor.clone().accept(TcpListener::from_std(socket)?.into()));
        }
        tokio::spawn(acceptor.close_idle());
        Ok(RunningListeners { stop, accepting, connections })
    }
}

/// Listening sockets, while connections are accepted and served.
#[derive(Debug)]
pub struct RunningListeners {
    stop: watch::Sender<bool>,
    accepting: JoinSet<()>,
    connections: Arc<Connections>,
}

impl RunningListeners {
    /// Stops accepting. Open connections can send one more request, which is answered with `Connection: close` or GOAWAY.
    pub async fn stop(&mut self) {
        let _ = self.stop.send(true);
        while self.accepting.join_next().await.is_some() {}
    }

    /// Waits for the connections to end, until `deadline` at the latest. Returns how many are still open.
    pub async fn finish(self, deadline: Instant) -> usize {
        let _ = timeout_at(deadline, self.connections.wait_until_below(1)).await;
        self.connections.open()
    }
}

/// Accepts connections and does the TLS handshake.
struct ConnectionAcceptor<A> {
    service: Arc<ConnectionService<A>>,
    listener: Arc<dyn ListenerPolicy>,
    connections: Arc<Connections>,
    tls: bool,
    stopped: ShutdownWatch,
}

impl<A: HttpServerApp + Send + Sync + 'static> ConnectionAcceptor<A> {
    async fn accept(self: Arc<Self>, listener: Listener) {
        let mut stopped = self.stopped.clone();
        let mut reported = None::<Instant>;
        loop {
            let next = async {
                // At the limit, new connections wait in the queue of the socket.
                let most = self.listener.limits().connections().unwrap_or(*DEFAULT_MAX_CONNECTIONS);
                if timeout(FULL, self.connections.wait_until_below(most)).await.is_err() {
                    return None;
                }
                Some(listener.accept().await)
            };
            let accepted = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                accepted = next => accepted,
            };
            let quiet = reported.is_some_and(|reported| reported.elapsed() < LOG_INTERVAL);
            match accepted {
                Some(Ok(stream)) => self.clone().handle(stream),
                // The client has gone while it waited in the queue.
                Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Some(Err(error)) => {
                    if !quiet {
                        warn!(error = %error, "can't accept a connection; raise the limit of open files if that is it");
                        reported = Some(Instant::now());
                    }
                    // EMFILE stays until a connection ends, and would be reported without a pause.
                    sleep(ACCEPT_PAUSE).await;
                }
                None => {
                    if !quiet {
                        warn!(
                            open = self.connections.open(),
                            "connection limit reached: new connections wait in the listen queue"
                        );
                        reported = Some(Instant::now());
                    }
                }
            }
        }
    }

    fn handle(self: Arc<Self>, mut stream: pingora::protocols::l4::stream::Stream) {
        let digest = stream.get_socket_digest();
        let peer = digest.as_ref().and_then(|digest| digest.peer_addr()?.as_inet()).map(SocketAddr::ip);
        // The system has no address of a client that has already gone.
        let Some(peer) = peer else { return };
        let Some(permit) = self.acquire_permit(peer) else { return };
        let _ = stream.set_nodelay();
        tokio::spawn(async move {
            if !self.tls {
                return self.serve_stream(stream, &permit).await;
            }
            let Some(config) = self.listener.tls() else { return };
            let patience = self.listener.limits().head_timeout;
            match timeout(patience, Acceptor::from_server_config(config).tls_handshake(stream)).await {
                Ok(Ok(stream)) => self.serve_stream(stream, &permit).await,
                // Debug level: scanners cause these all the time.
                Ok(Err(error)) => debug!(client = %peer, error = error.etype().as_str(), "no TLS handshake"),
                Err(_) => debug!(client = %peer, "a TLS handshake took too long"),
            }
        });
    }

    fn acquire_permit(&self, peer: IpAddr) -> Option<ConnectionPermit> {
        let most = self.listener.limits().connections_per_address();
        self.connections.try_acquire(peer, most, self.listener.trusts(peer))
    }

    async fn serve_stream<S: IO + 'static>(&self, stream: S, permit: &ConnectionPermit) {
        let connection = Arc::new(ConnectionState::default());
        let mut stream: Stream = Box::new(ClientStream::new(stream, connection.clone(), self.listener.clone()));
        let mut speaks_http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        // TRAP: with h2c, pingora waits without a time-out for as many bytes as the preface of HTTP/2 has (pingora-core
        // 0.9.1, src/applications/mod.rs), and a request of HTTP/1 can be shorter. So the bytes are peeked here, with a
        // time-out, and more of them only while they match the preface.
        if !self.tls && self.service.app.server_options().is_some_and(|options| options.h2c) {
            let mut opening = [0; PREFACE.len()];
            let mut patience = FIRST_BYTES_TIMEOUT;
            for come in [1, 3, PREFACE.len()] {
                let peeked = timeout(patience, stream.try_peek(&mut opening[..come])).await;
                if !matches!(peeked, Ok(Ok(_))) {
                    return;
                }
                speaks_http2 = PREFACE.starts_with(&opening[..come]);
                if !speaks_http2 {
                    break;
                }
                patience = self.listener.limits().head_timeout;
            }
        }
        if speaks_http2 {
            // Boxed, so that the future of an HTTP/1 connection is not as large.
            Box::pin(http2::serve(&self.service, stream, &connection, permit, &self.listener, &self.stopped)).await;
        } else {
            connection.clone().serve(self.service.serve_http1(stream, &self.stopped)).await;
        }
        if let Some(closing) = connection.closing() {
            // Boxed, so that the future of every connection is not as large.
            Box::pin(self.finish_closing(closing)).await;
        }
    }

    /// Waits until the client has closed its half too: at most [`IDLE_CLOSE_DELAY`] when Tollgate stops.
    async fn finish_closing(&self, closing: Closing) {
        let mut stopped = self.stopped.clone();
        let hurry = async {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            sleep(IDLE_CLOSE_DELAY).await;
        };
        tokio::select! {
            () = closing => {}
            () = hurry => {}
        }
    }

    /// Closes idle connections after Tollgate has stopped.
    async fn close_idle(self: Arc<Self>) {
        let mut stopped = self.stopped.clone();
        let _ = stopped.wait_for(|stopped| *stopped).await;
        // A request can be on its way on a connection that was idle when Tollgate stopped.
        let _ = timeout(IDLE_CLOSE_DELAY, self.connections.wait_until_below(1)).await;
        self.service.app.http_cleanup().await;
    }
}

/// Passes requests to an application of pingora: sets the phase of the connection, and can end tunnels.
pub(super) struct ConnectionService<A> {
    app: Arc<A>,
}

impl<A: HttpServerApp + Send + Sync + 'static> ConnectionService<A> {
    /// Serves the requests of an HTTP/1 connection one by one, as the `ServerApp` of pingora does (pingora-core 0.9.1,
    /// src/applications/mod.rs), without boxing the future of each request and moving its 10 kB.
    async fn serve_http1(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let mut session = ServerSession::new_http1(stream);
        // For the first head only: `early_request_filter` sets it for later ones.
        session.set_keepalive((!*shutdown.borrow()).then_some(FIRST_BYTES_TIMEOUT.as_secs()));
        while let Some(reused) = self.serve(session, shutdown).await {
            let (stream, settings) = reused.consume();
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
        }
    }

    pub(super) async fn serve(&self, session: ServerSession, shutdown: &ShutdownWatch) -> Option<ReusedHttpStream> {
        ConnectionState::enter(Phase::Head);
        tunnel::serve(self.app.process_new_http(session, shutdown)).await
    }
}

/// Turns on TCP keep-alive for the connections of this socket, which inherit it on Linux. Without it, a client that has gone
/// without closing its connection would keep an event stream or WebSocket open.
fn keep_alive(socket: &std::net::TcpListener) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    Ok(sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?)
}

/// Maximum number of connections without a configured limit: a forwarded request takes two file descriptors.
pub(super) static DEFAULT_MAX_CONNECTIONS: LazyLock<usize> = LazyLock::new(|| {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 2).unwrap_or(usize::MAX).max(1)
});

/// Time for the first byte: the read_timeout of pingora for the first head (pingora-core 0.9.1, src/protocols/http/v1/server.rs).
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for which idle connections stay open after Tollgate has stopped.
const IDLE_CLOSE_DELAY: Duration = Duration::from_secs(1);
/// Interval at which the limit of connections is read again, since a reload can raise it.
const FULL: Duration = Duration::from_secs(1);
/// 60 s, and 4 probes 15 s apart: a client that does not answer for two minutes has gone.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Minimum interval of log lines about one problem.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
