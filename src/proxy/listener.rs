//! Sockets, and the connections that come in through them.
//!
//! ☠ Pingora's own service binds inside of its task, retries an address in use for half a minute, and panics there while
//! the process lives on; its server sleeps all of its grace, needed or not (`pingora.md` 1.7). So sockets are bound before
//! anything else starts, and connections are accepted here; pingora gets them when they are ready to speak HTTP.

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

/// Sockets that listen, though nobody accepts yet.
#[derive(Debug)]
pub struct BoundListeners(Vec<std::net::TcpListener>);

impl BoundListeners {
    /// Takes sockets that listen.
    #[must_use]
    pub const fn new(sockets: Vec<std::net::TcpListener>) -> Self {
        Self(sockets)
    }

    /// Where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().filter_map(|socket| socket.local_addr().ok())
    }

    /// Serves clients with the gate.
    ///
    /// # Errors
    /// A socket that can't be listened on.
    pub fn serve_gate(self, state: &Arc<SharedState>) -> io::Result<RunningListeners> {
        let conf = ServerConf { threads: state.server.threads(), ..ServerConf::default() };
        let mut options = HttpServerOptions::default();
        options.h2c = state.server.h2c();
        let connector = TransportConnector::new(Some(ConnectorOptions::from_server_conf(&conf)));
        let mut proxy = pingora::proxy::http_proxy(&Arc::new(conf), Gateway::new(state.clone(), connector));
        proxy.server_options = Some(options);
        self.serve(proxy, state.clone(), state.connections.clone(), state.server.tls())
    }

    /// Sends clients that speak no TLS to where it is spoken, which is `port`.
    ///
    /// # Errors
    /// A socket that can't be listened on.
    pub fn serve_redirect(self, state: &Arc<SharedState>, port: u16) -> io::Result<RunningListeners> {
        self.serve(Redirect { port }, state.clone(), state.connections.clone(), false)
    }

    /// Serves whoever comes with any app, on the current runtime.
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
        let door = Arc::new(ConnectionService { app: Arc::new(app) });
        let porch = Arc::new(ConnectionAcceptor { door, listener, connections: connections.clone(), tls, stopped });
        let mut accepting = JoinSet::new();
        for socket in self.0 {
            socket.set_nonblocking(true)?;
            keep_alive(&socket)?;
            accepting.spawn(porch.clone().accept(TcpListener::from_std(socket)?.into()));
        }
        tokio::spawn(porch.close());
        Ok(RunningListeners { stop, accepting, connections })
    }
}

/// Sockets whose connections are being served.
#[derive(Debug)]
pub struct RunningListeners {
    stop: watch::Sender<bool>,
    accepting: JoinSet<()>,
    connections: Arc<Connections>,
}

impl RunningListeners {
    /// Stops accepting, and tells the connections: who asks once more is answered, and told that it is the last answer.
    pub async fn stop(&mut self) {
        let _ = self.stop.send(true);
        while self.accepting.join_next().await.is_some() {}
    }

    /// Waits for the connections to end, until `deadline` at the latest. Returns how many did not.
    pub async fn finish(self, deadline: Instant) -> usize {
        let _ = timeout_at(deadline, self.connections.wait_until_below(1)).await;
        self.connections.open()
    }
}

/// Accepts connections, and makes them speak HTTP.
struct ConnectionAcceptor<A> {
    door: Arc<ConnectionService<A>>,
    listener: Arc<dyn ListenerPolicy>,
    connections: Arc<Connections>,
    tls: bool,
    stopped: ShutdownWatch,
}

impl<A: HttpServerApp + Send + Sync + 'static> ConnectionAcceptor<A> {
    async fn accept(self: Arc<Self>, listener: Listener) {
        let mut stopped = self.stopped.clone();
        let mut told = None::<Instant>;
        loop {
            let next = async {
                // Whoever is too many waits in the queue of the socket, and is not refused.
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
            let quiet = told.is_some_and(|told| told.elapsed() < LOG_INTERVAL);
            match accepted {
                Some(Ok(stream)) => self.clone().handle(stream),
                // The client was gone before its turn came: it is the next one's.
                Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Some(Err(error)) => {
                    if !quiet {
                        warn!(error = %error, "can't accept a connection; raise the limit of open files if that is it");
                        told = Some(Instant::now());
                    }
                    // EMFILE stays until somebody leaves, and would be told without a pause.
                    sleep(ACCEPT_PAUSE).await;
                }
                None => {
                    if !quiet {
                        warn!(open = self.connections.open(), "as many connections as may be: others have to wait");
                        told = Some(Instant::now());
                    }
                }
            }
        }
    }

    fn handle(self: Arc<Self>, mut stream: pingora::protocols::l4::stream::Stream) {
        let digest = stream.get_socket_digest();
        let peer = digest.as_ref().and_then(|digest| digest.peer_addr()?.as_inet()).map(SocketAddr::ip);
        // An address that the system can't tell: the client has left already.
        let Some(peer) = peer else { return };
        let Some(permit) = self.acquire_permit(peer) else { return };
        let _ = stream.set_nodelay();
        tokio::spawn(async move {
            if !self.tls {
                return self.serve_stream(stream, &permit).await;
            }
            let Some(config) = self.listener.tls() else { return };
            let patience = self.listener.limits().head_timeout();
            match timeout(patience, Acceptor::from_server_config(config).tls_handshake(stream)).await {
                Ok(Ok(stream)) => self.serve_stream(stream, &permit).await,
                // What scanners do all day; none of it is worth an operator's time.
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
        // ☠ With h2c on, pingora waits without a time-out for as many bytes as the preface of HTTP/2 has, to tell it from
        // HTTP/1, of which a whole request may be shorter. We wait first, and for more only if what came is how the preface
        // begins, and no method: it is put back, and whoever speaks finds it at once.
        if !self.tls && self.door.app.server_options().is_some_and(|options| options.h2c) {
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
                patience = self.listener.limits().head_timeout();
            }
        }
        if speaks_http2 {
            // In a box, since those of HTTP/1 would have room for it.
            Box::pin(http2::serve(&self.door, stream, &connection, permit, &self.listener, &self.stopped)).await;
        } else {
            connection.clone().serve(self.door.serve_http1(stream, &self.stopped)).await;
        }
        if let Some(closing) = connection.closing() {
            // In a box, since every connection would have room for it.
            Box::pin(self.see_off(closing)).await;
        }
    }

    /// Waits until a client whose connection ends has ended it too. When the gate stops, not for long.
    async fn see_off(&self, closing: Closing) {
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

    /// Ends the connections that nobody speaks on any more, once the gate stops.
    async fn close(self: Arc<Self>) {
        let mut stopped = self.stopped.clone();
        let _ = stopped.wait_for(|stopped| *stopped).await;
        // A request may be on its way on a connection that was idle when the gate stopped: it would be lost.
        let _ = timeout(IDLE_CLOSE_DELAY, self.connections.wait_until_below(1)).await;
        self.door.app.http_cleanup().await;
    }
}

/// Stands before an app: says where a request begins, and cuts tunnels.
pub(super) struct ConnectionService<A> {
    app: Arc<A>,
}

impl<A: HttpServerApp + Send + Sync + 'static> ConnectionService<A> {
    /// Serves one request after the other, as pingora's `ServerApp` does: that one boxes each of them once more, and
    /// moves its ten kilobytes.
    async fn serve_http1(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let mut session = ServerSession::new_http1(stream);
        // Only for the first head: see `early_request_filter`.
        session.set_keepalive((!*shutdown.borrow()).then_some(FIRST_BYTES_TIMEOUT.as_secs()));
        while let Some(reused) = self.serve(session, shutdown).await {
            let (stream, settings) = reused.consume();
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
        }
    }

    /// Serves one request.
    pub(super) async fn serve(&self, session: ServerSession, shutdown: &ShutdownWatch) -> Option<ReusedHttpStream> {
        ConnectionState::enter(Phase::Head);
        tunnel::serve(self.app.process_new_http(session, shutdown)).await
    }
}

/// Has the system look whether clients are there, on the connections that come in through this socket (Linux's inherit it):
/// one that is gone without a word, or closed its half and then went, would hold an app that has nothing to say.
fn keep_alive(socket: &std::net::TcpListener) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    Ok(sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?)
}

/// How many connections there may be where the file gives no limit: a request that is forwarded takes two files.
pub(super) static DEFAULT_MAX_CONNECTIONS: LazyLock<usize> = LazyLock::new(|| {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 2).unwrap_or(usize::MAX).max(1)
});

/// As long as pingora waits for the head of the first request of an HTTP/1 connection.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// How long idle connections stay open after the gate has stopped.
const IDLE_CLOSE_DELAY: Duration = Duration::from_secs(1);
/// How long it takes until the limit of connections is looked at again, as a reload may have raised it.
const FULL: Duration = Duration::from_secs(1);
/// A client that does not answer for two minutes is gone.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two lines of the log about one trouble.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
