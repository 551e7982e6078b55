//! Pingora with nothing added, to compare the gate with: forwards every request to one server.
//!
//! `bare LISTEN UPSTREAM THREADS`, as `bare 127.0.0.1:8080 127.0.0.1:9090 1`. Built with the flags and the allocator of
//! the gate. It keeps what pingora brings by default, and has the time-outs that anybody would set.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example for benchmarks: it starts, or it does not")]

use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bare {
    peer: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.peer.clone()))
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("bare LISTEN UPSTREAM THREADS");
    let (listen, upstream, threads) = (next(), next(), next());
    let mut peer = HttpPeer::new(upstream.parse::<SocketAddr>().expect("an address"), false, String::new());
    peer.options.connection_timeout = Some(Duration::from_secs(5));
    peer.options.read_timeout = Some(Duration::from_secs(60));
    peer.options.write_timeout = Some(Duration::from_secs(60));
    peer.options.idle_timeout = Some(Duration::from_secs(60));
    let conf = ServerConf {
        threads: threads.parse().expect("a number of threads"),
        upstream_keepalive_pool_size: 1024,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { peer });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
