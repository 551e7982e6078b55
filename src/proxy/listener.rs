//! Sockets that are bound before anything else starts, and the connections that come in through them.
//!
//! ☠ Pingora binds inside of its service, retries an address in use for half a minute, then panics there while the
//! process lives on (`pingora.md` 1.7). So we bind, and hand it the descriptors.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Gateway, State, tunnel};

/// Sockets that listen, though nobody accepts yet.
#[derive(Debug)]
pub struct Bound(Vec<(SocketAddr, TcpListener)>);

/// Binds all of `addresses`.
///
/// # Errors
/// The first address that can't be bound, and why.
pub fn bind(addresses: &[SocketAddr]) -> Result<Bound, (SocketAddr, io::Error)> {
    let bind = |address: &SocketAddr| {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    };
    addresses
        .iter()
        .map(|address| bind(address).map_err(|error| (*address, error)))
        .collect::<Result<_, _>>()
        .map(Bound)
}

impl Bound {
    /// Where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|(address, _)| *address)
    }

    /// Serves clients with the gate.
    #[must_use]
    pub fn serve_gate(self, state: &Arc<State>) -> Listening {
        let conf = ServerConf {
            threads: state.server.threads(),
            upstream_keepalive_pool_size: UPSTREAM_POOL_SIZE,
            ..ServerConf::default()
        };
        let mut options = HttpServerOptions::default();
        options.h2c = state.server.h2c();
        options.h2_idle_timeout = Some(H2_IDLE_TIMEOUT);
        let mut proxy = pingora::proxy::http_proxy(&Arc::new(conf), Gateway::new(state.clone()));
        proxy.server_options = Some(options);
        self.serve("gate", proxy)
    }

    /// Serves clients with any app, on the current runtime.
    #[must_use]
    pub fn serve<A: HttpServerApp + Send + Sync + 'static>(self, name: &str, app: A) -> Listening {
        self.serve_within(FIRST_BYTES_TIMEOUT, name, app)
    }

    fn serve_within<A: HttpServerApp + Send + Sync + 'static>(
        self,
        first_bytes: Duration,
        name: &str,
        app: A,
    ) -> Listening {
        let live = Arc::new(Live::default());
        let door = Arc::new(Door { app: Arc::new(app), live: live.clone() });
        let mut service = Service::new(name.to_owned(), Porch { door, first_bytes });
        let mut fds = Fds::new();
        for (address, listener) in self.0 {
            let address = address.to_string();
            service.add_tcp(&address);
            fds.add(address, listener.into_raw_fd());
        }
        let (stop, stopped) = watch::channel(false);
        let fds: ListenFds = Arc::new(fds.into());
        let accepting = tokio::spawn(async move { service.start_service(Some(fds), stopped, 1).await });
        Listening { stop, accepting, live }
    }
}

/// Sockets whose connections are being served.
#[derive(Debug)]
pub struct Listening {
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    live: Arc<Live>,
}

impl Listening {
    /// Stops accepting, closes idle connections, and waits for the requests in flight, for `grace` at most. Returns how
    /// many it did not wait for.
    pub async fn finish(self, grace: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + grace;
        let _ = self.stop.send(true);
        let drained = async {
            let _ = self.accepting.await;
            self.live.drained().await;
        };
        let _ = tokio::time::timeout_at(deadline, drained).await;
        self.live.requests.load(Ordering::Acquire)
    }
}

/// The requests that are being served.
#[derive(Debug, Default)]
struct Live {
    requests: AtomicUsize,
    last_left: Notify,
}

impl Live {
    async fn drained(&self) {
        loop {
            let left = self.last_left.notified();
            if self.requests.load(Ordering::Acquire) == 0 {
                return;
            }
            left.await;
        }
    }
}

/// Leaves when it is dropped, however its request ended.
struct Present<'a>(&'a Live);

impl<'a> Present<'a> {
    fn enter(live: &'a Live) -> Self {
        live.requests.fetch_add(1, Ordering::AcqRel);
        Self(live)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.last_left.notify_waiters();
        }
    }
}

/// Stands before an app: counts what is in flight, and cuts tunnels.
struct Door<A> {
    app: Arc<A>,
    live: Arc<Live>,
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> HttpServerApp for Door<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // A connection that waits for its next request counts as well; pingora closes those at once when it stops.
        let _present = Present::enter(&self.live);
        tunnel::serve(self.app.process_new_http(session, shutdown)).await
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.app.server_options()
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.app.h2_options()
    }

    async fn http_cleanup(&self) {
        self.app.http_cleanup().await;
    }
}

/// Stands before the door: shows out who connects and says nothing.
struct Porch<A> {
    door: Arc<Door<A>>,
    first_bytes: Duration,
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Porch<A> {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // ☠ With h2c on, pingora waits without a time-out for as many bytes as the preface of HTTP/2 has, to tell it from
        // HTTP/1. We wait first: what has come is put back, and pingora finds it at once.
        if self.door.server_options().is_some_and(|options| options.h2c) {
            let mut preface = [0; H2_PREFACE_BYTES];
            tokio::time::timeout(self.first_bytes, stream.try_peek(&mut preface)).await.ok()?.ok()?;
        }
        self.door.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        self.door.cleanup().await;
    }
}

/// Idle connections to upstreams, all together. Pingora's 128 would thrash with a few hundred clients.
const UPSTREAM_POOL_SIZE: usize = 1024;
const H2_IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// As long as pingora waits for the head of the first request of an HTTP/1 connection.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n` (RFC 9113, 3.4)
const H2_PREFACE_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    struct Nobody(HttpServerOptions);

    #[async_trait]
    impl HttpServerApp for Nobody {
        async fn process_new_http(
            self: &Arc<Self>,
            mut session: ServerSession,
            _: &ShutdownWatch,
        ) -> Option<ReusedHttpStream> {
            session.read_request().await.ok()?;
            #[allow(clippy::disallowed_methods, reason = "that it closes the connection is what the test wants")]
            session.respond_error(404).await.ok()?;
            None
        }

        fn server_options(&self) -> Option<&HttpServerOptions> {
            Some(&self.0)
        }
    }

    #[tokio::test]
    async fn with_h2c_too_nobody_stays_who_says_nothing() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        let bound = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = bound.addresses().next().unwrap();
        let _listening = bound.serve_within(Duration::from_millis(300), "test", Nobody(options));
        let head = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
        for (sent, answered) in [("", false), ("PRI * HTTP/2.0\r\n", false), (head, true)] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await;
            assert!(read.is_ok(), "{sent:?} keeps a connection");
            assert_eq!(answer.starts_with("HTTP/1.1 404"), answered, "{sent:?}: {answer}");
        }
    }
}
