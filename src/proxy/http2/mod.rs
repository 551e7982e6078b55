//! HTTP/2 connections: limits of open streams, and the end of idle connections.
//!
//! TRAP: the loop of pingora (pingora-core 0.9.1, src/protocols/http/v2/server.rs, `accept_downstream_sessions`) closes a
//! connection only while no stream is being served, and does not check whether a client takes its answers. A client with a
//! window of 0 that goes on sending requests would keep all of their memory (SECURITY.md R58). The crate h2 reads frames and
//! enforces their limits, as it does for pingora.

mod path;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::ListenerPolicy;
use super::connection_state::ConnectionState;
use super::connections::{ConnectionPermit, OpenStream};
use super::listener::ConnectionService;
use crate::gate::DenyReason;
pub(super) use path::Paths;
pub(super) use session::HasFragment;
use session::Http2Session;

/// Serves an HTTP/2 connection until it ends.
pub(super) async fn serve<A: HttpServerApp + Send + Sync + 'static>(
    service: &Arc<ConnectionService<A>>,
    stream: Stream,
    state: &ConnectionState,
    permit: &ConnectionPermit,
    listener: &Arc<dyn ListenerPolicy>,
    stopped: &ShutdownWatch,
) {
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let Ok(mut connection) = handshake(stream, Some(options())).await else { return };
    let served = Arc::new(Served::default());
    let mut stop = stopped.clone();
    let mut is_last = false;
    let mut was_used = false;
    let mut idle_since = Instant::now();
    let mut due = idle_since + UNTAKEN;
    loop {
        let patience = if is_last { LAST_WORDS } else { UNTAKEN.min(listener.limits().keepalive) };
        let is_idle = served.is_idle();
        let accepted = tokio::select! {
            biased;
            _ = stop.changed(), if !is_last => {
                connection.graceful_shutdown();
                (is_last, due) = (true, Instant::now() + LAST_WORDS);
                continue;
            }
            // This future also reads and writes the frames of the connection.
            accepted = Http2Session::accept(&mut connection, state, &digest) => accepted,
            () = served.until_idle(), if !is_idle => {
                idle_since = Instant::now();
                due = idle_since + patience;
                continue;
            }
            () = sleep_until(due), if is_idle => {
                // A stream that is not being served waits for its client to take the rest of an answer.
                let is_waiting = connection.has_streams() || !was_used;
                let limit = if is_waiting { UNTAKEN } else { listener.limits().keepalive };
                if !is_last && idle_since.elapsed() < limit {
                    due = idle_since + limit;
                    continue;
                }
                if is_last {
                    return;
                }
                // A request that is on its way is still answered; GOAWAY refuses later ones.
                connection.graceful_shutdown();
                (is_last, due) = (true, Instant::now() + LAST_WORDS);
                continue;
            }
        };
        match accepted {
            // Its path may differ from the one that h2 shows.
            Some(Ok(session)) if state.has_lost_paths() => {
                session.refuse();
                connection.abrupt_shutdown(Reason::PROTOCOL_ERROR);
            }
            Some(Ok(session)) => {
                let Some(open) = permit.open_stream(listener.limits().streams_per_address()) else {
                    listener.refused(DenyReason::ConcurrencyLimited);
                    session.refuse();
                    continue;
                };
                let stream = served.begin(open);
                // The stream can end before the next look.
                (was_used, idle_since) = (true, Instant::now());
                due = idle_since + patience;
                let (service, stopped) = (service.clone(), stopped.clone());
                tokio::spawn(async move {
                    let _stream = stream;
                    service.serve(ServerSession::new_custom(Box::new(session)), &stopped).await;
                });
            }
            None => return,
            Some(Err(error)) => {
                debug!(error = %error, "a connection of HTTP/2 ended");
                return;
            }
        }
    }
}

/// Limits of heads, and of answers that wait for the client.
fn options() -> H2Options {
    let mut options = default_h2_options();
    options.max_header_list_size(MAX_HEADER_LIST);
    options.max_send_buffer_size(MAX_SEND_BUFFER);
    options
}

/// The streams of one connection that are being served.
#[derive(Debug, Default)]
struct Served {
    streams: AtomicUsize,
    idle: Notify,
}

impl Served {
    fn begin(self: &Arc<Self>, open: OpenStream) -> ServedStream {
        self.streams.fetch_add(1, Ordering::AcqRel);
        ServedStream { of: self.clone(), _open: open }
    }

    fn is_idle(&self) -> bool {
        self.streams.load(Ordering::Acquire) == 0
    }

    async fn until_idle(&self) {
        while !self.is_idle() {
            self.idle.notified().await;
        }
    }
}

/// One stream, until it is dropped.
#[derive(Debug)]
struct ServedStream {
    of: Arc<Served>,
    _open: OpenStream,
}

impl Drop for ServedStream {
    fn drop(&mut self) {
        if self.of.streams.fetch_sub(1, Ordering::AcqRel) == 1 {
            // `notify_one` keeps a permit if no task waits yet.
            self.of.idle.notify_one();
        }
    }
}

/// Maximum size of a head: names, values and 32 bytes per field, before HPACK (RFC 9113, 6.5.2). The client gets it in SETTINGS.
/// A larger head is answered with 431, and one of four times the size ends the connection.
const MAX_HEADER_LIST: u32 = 32 << 10;
/// Maximum number of bytes of an answer that are kept per stream until the client takes them.
const MAX_SEND_BUFFER: usize = 32 << 10;
/// Time for a client to take an answer of Tollgate's own while no other stream is served, and time for the first request of a
/// connection.
const UNTAKEN: Duration = Duration::from_secs(20);
/// Time for requests that are on their way when GOAWAY is sent.
const LAST_WORDS: Duration = Duration::from_secs(1);
