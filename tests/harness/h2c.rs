//! HTTP/2 without TLS, by prior knowledge, with the `h2` crate as the client.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};

/// An answer over HTTP/2.
pub struct H2Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Sends one request; an `Err` is a refused connection or a reset stream.
pub fn h2c(to: SocketAddr, request: Request<()>, body: &[u8]) -> Result<H2Answer, h2::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let body = Bytes::copy_from_slice(body);
    runtime.block_on(async move {
        let exchange = tokio::time::timeout(super::PATIENCE, async move {
            let stream = tokio::net::TcpStream::connect(to).await.expect("connect to the gate");
            let (client, connection) = h2::client::handshake(stream).await?;
            let driver = tokio::spawn(connection);
            let mut client = client.ready().await?;
            let (answer, mut upload) = client.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                upload.send_data(body, true)?;
            }
            let (parts, mut stream) = answer.await?.into_parts();
            let mut received = Vec::new();
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                stream.flow_control().release_capacity(chunk.len())?;
                received.extend_from_slice(&chunk);
            }
            driver.abort();
            Ok(H2Answer { status: parts.status.as_u16(), headers: parts.headers, body: received })
        });
        exchange.await.expect("an answer over HTTP/2 in time")
    })
}
