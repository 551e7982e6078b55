//! Pingora with nothing added, to compare the gate with: forwards every request to one server.
//!
//! `bare LISTEN UPSTREAM THREADS`, as `bare 127.0.0.1:8080 127.0.0.1:9090 1`. Built with the flags and the allocator of
//! the gate. It keeps what pingora brings by default, and has the time-outs that anybody would set. Then, if wanted:
//!
//! - `--jwk FILE`: what people write first. Every request's token is decoded with this key, and the app told `sub`.
//! - `--h2c`: HTTP/2 without TLS. `--tls CERT KEY`: TLS, with HTTP/2 for those who offer it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an example for benchmarks: it starts, or it does not"
)]
#![allow(clippy::disallowed_methods, reason = "what anybody would write is what the gate is compared with")]

use std::net::SocketAddr;
use std::time::Duration;
use std::{env, fs};

use async_trait::async_trait;
use jsonwebtoken::{DecodingKey, Validation, jwk};
use pingora::apps::HttpServerOptions;
use pingora::http::RequestHeader;
use pingora::listeners::tls::TlsSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bare {
    peer: HttpPeer,
    key: Option<(DecodingKey, Validation)>,
}

#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = Option<Claims>;

    fn new_ctx(&self) -> Option<Claims> {
        None
    }

    async fn request_filter(&self, session: &mut Session, caller: &mut Option<Claims>) -> pingora::Result<bool> {
        let Some((key, validation)) = &self.key else { return Ok(false) };
        let header = session.req_header().headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let claims = token.and_then(|token| jsonwebtoken::decode::<Claims>(token, key, validation).ok());
        let Some(claims) = claims else {
            session.respond_error(401).await?;
            return Ok(true);
        };
        *caller = Some(claims.claims);
        Ok(false)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Option<Claims>) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.peer.clone()))
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        caller: &mut Option<Claims>,
    ) -> pingora::Result<()> {
        let Some(claims) = caller else { return Ok(()) };
        request.insert_header("X-Auth-Subject", &claims.sub)
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("bare LISTEN UPSTREAM THREADS");
    let (listen, upstream, threads) = (next(), next(), next());
    let (mut key, mut h2c, mut tls) = (None, false, None);
    while let Some(option) = arguments.next() {
        let mut file = || arguments.next().expect("a file");
        match option.as_str() {
            "--jwk" => key = Some(read_key(&file())),
            "--h2c" => h2c = true,
            "--tls" => tls = Some((file(), file())),
            other => panic!("no such option: {other}"),
        }
    }
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
    let mut service = http_proxy_service(&server.configuration, Bare { peer, key });
    if h2c {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        service.app_logic_mut().unwrap().server_options = Some(options);
    }
    if let Some((certificate, key)) = tls {
        let mut settings = TlsSettings::intermediate(&certificate, &key).expect("a certificate and its key");
        settings.enable_h2();
        service.add_tls_with_settings(&listen, None, settings);
    } else {
        service.add_tcp(&listen);
    }
    server.add_service(service);
    server.run_forever();
}

fn read_key(path: &str) -> (DecodingKey, Validation) {
    let text = fs::read_to_string(path).expect("a file");
    let jwk: jwk::Jwk = serde_json::from_str(&text).expect("a JSON Web Key");
    let algorithm = jwk.common.key_algorithm.expect("alg").to_string().parse().expect("an algorithm");
    let mut validation = Validation::new(algorithm);
    validation.validate_aud = false;
    (DecodingKey::from_jwk(&jwk).expect("a key to verify with"), validation)
}
