//! Pingora's other requirements for a client's stream: forwarded to the inner one.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::AsyncWriteExt;

use super::ClientStream;

#[async_trait]
impl<S: IO + 'static> Shutdown for ClientStream<S> {
    async fn shutdown(&mut self) {
        // The client may have closed first.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

#[async_trait]
impl<S: IO + 'static> Peek for ClientStream<S> {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.stream()?.get_mut().try_peek(buffer).await
    }
}

impl<S: IO + 'static> UniqueID for ClientStream<S> {
    fn id(&self) -> UniqueIDType {
        self.inner().map_or(-1, UniqueID::id)
    }
}

impl<S: IO + 'static> Ssl for ClientStream<S> {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner()?.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner()?.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner()?.selected_alpn_proto()
    }
}

impl<S: IO + 'static> GetTimingDigest for ClientStream<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner().map(GetTimingDigest::get_timing_digest).unwrap_or_default()
    }
}

impl<S: IO + 'static> GetProxyDigest for ClientStream<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner()?.get_proxy_digest()
    }
}

impl<S: IO + 'static> GetSocketDigest for ClientStream<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner()?.get_socket_digest()
    }
}
