//! Connections, HTTP and TLS between clients, Tollgate and applications.

mod clients;
mod connections;
pub mod forwarding;
mod framing;
mod hop_by_hop;
mod http2;
mod ntlm;
mod responses;
mod slow_clients;
mod tls;
mod traces;
mod upstream;
