//! Connects Tollgate to pingora: accepts connections, has each request judged, and carries out the decision.
//!
//! # The way of a request
//!
//! 1. `listener` accepts a connection and does the TLS handshake. All bytes of the client go through a `client_stream`,
//!    which enforces time limits and the framing of HTTP/1 requests (`framing::request`) before pingora reads them.
//! 2. Over HTTP/1, `listener` passes one request after the other to pingora. Over HTTP/2, `http2` passes each stream to
//!    a task of its own, as a `http2::session`. From here on there is one way for both.
//! 3. Pingora calls the hooks of `gateway`: `early_request_filter`, `request_filter`, after an error `fail_to_proxy`,
//!    and at the end `logging`. `request_filter` asks [`crate::gate`] for a decision and carries it out. It answers
//!    every request, so pingora's own forwarding (`upstream_peer` and later hooks) is never reached.
//!
//! | Decision | What is done | Where |
//! |---|---|---|
//! | `Grant` | forward the request to an application, and its answer to the client | `exchange` |
//! | `Login` | read the body, and have [`crate::login`] answer | `login`, `answer` |
//! | `Preflight`, `Jwks`, `Refusal` | write an answer of Tollgate | `answer`, `refusal` |
//! | `Wait` | wait for the keys of an issuer, and judge the request once more | `judge` |
//!
//! Three kinds of requests do not take this way:
//!
//! - A head that is too slow, too large or has ambiguous framing never becomes a request: `client_stream` answers in
//!   plain bytes (`answer::raw_error`), since pingora has no session yet.
//! - On the listener of `server.tls.redirect`, `redirect` answers.
//! - On the admin listener, `ops` answers. It shares steps 1 and 2, with the limits of [`DefaultListenerPolicy`].
//!
//! # Answers of applications
//!
//! One engine serves all clients. `upstream::Connection` sends the request in HTTP/1.1 and reads the answer,
//! `framing::response` finds its end and writes the framing for the client, and `exchange` moves body, answer and
//! trailers in both directions within the time limits. It writes to a session, which is pingora's over HTTP/1, and
//! `http2::session` over HTTP/2. Only the following depends on the version of the client:
//!
//! - The end of an answer without a length (`framing::response`): over HTTP/1.1 the last chunk, over HTTP/1.0 the end
//!   of the connection, over HTTP/2 END_STREAM.
//! - Trailers (`exchange::pass_on`): over HTTP/1.1 they are added to the last chunk below pingora, which writes none;
//!   HTTP/1.0 has none; over HTTP/2 they are a HEADERS frame.
//! - The minimum rate of a body (`body_clock`): over HTTP/1 `client_stream` measures it, since one connection has one
//!   body; over HTTP/2 `exchange` measures it at each piece.
//! - Interim responses (`exchange::answer_head`): HTTP/1.0 has none.
//! - WebSockets (`client_stream`, `tunnel`): over HTTP/1.1 only, a tunnel that ends with a close frame.
//! - Connections to applications that one client has authenticated (`upstream::bound`): over HTTP/1 they are kept for
//!   the client's connection, over HTTP/2 they are closed.
//! - An answer of Tollgate to a client that does not read: over HTTP/1 `write_timeout` in `client_stream`, over HTTP/2
//!   the same in `http2`.

mod answer;
pub mod audit;
mod body_clock;
mod client_stream;
mod closing;
mod connection_state;
mod connections;
mod context;
mod exchange;
mod forwarded;
mod framing;
mod gateway;
mod http2;
pub mod judge;
mod listener;
mod login;
pub mod metrics;
mod raw_target;
mod record;
mod redact;
mod redirect;
mod refusal;
mod request_id;
mod snapshot;
mod state;
mod trace;
mod tunnel;
mod untrusted;
mod upstream;
mod websocket;

pub use connections::Connections;
pub use forwarded::preview_headers;
pub use gateway::Gateway;
pub use listener::{BoundListeners, RunningListeners};
use redirect::Redirect;
pub use refusal::status as refusal_status;
use request_id::RequestId;
pub use request_id::RequestIds;
pub use snapshot::Snapshot;
pub use state::{DefaultListenerPolicy, ListenerPolicy, SharedState};
pub use trace::Exporter;
pub use tunnel::Tunnels;
pub use untrusted::Untrusted;
pub use upstream::{Change, ResolvedName, ResolvedPool, ServerPool, ServerState, UpstreamServer, reason};
