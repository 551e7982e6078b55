//! HTTP/2 without TLS, by prior knowledge, with the `h2` crate as the client.

use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, Request};

/// An answer over HTTP/2.
pub struct H2Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// The answers before it, 103 for one.
    pub interim: Vec<(u16, HeaderMap)>,
}

/// Sends one request; an `Err` is a refused connection or a reset stream.
pub fn h2c(to: SocketAddr, request: Request<()>, body: &[u8]) -> Result<H2Answer, h2::Error> {
    let pieces = [body];
    h2c_in_pieces(to, request, if body.is_empty() { &[] } else { &pieces })
}

/// The same with a body in so many frames, the last of which ends it.
pub fn h2c_in_pieces(to: SocketAddr, request: Request<()>, pieces: &[&[u8]]) -> Result<H2Answer, h2::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut pieces: Vec<_> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    runtime.block_on(async move {
        let exchange = tokio::time::timeout(super::PATIENCE, async move {
            let stream = tokio::net::TcpStream::connect(to).await.expect("connect to the gate");
            let (client, connection) = h2::client::handshake(stream).await?;
            let driver = tokio::spawn(connection);
            let mut client = client.ready().await?;
            let (mut answer, mut upload) = client.send_request(request, pieces.is_empty())?;
            let last = pieces.pop();
            for piece in pieces {
                upload.send_data(piece, false)?;
            }
            if let Some(last) = last {
                upload.send_data(last, true)?;
            }
            let mut interim = Vec::new();
            let answer = poll_fn(|context| {
                while let Poll::Ready(Some(Ok(came))) = answer.poll_informational(context) {
                    let (parts, ()) = came.into_parts();
                    interim.push((parts.status.as_u16(), parts.headers));
                }
                Pin::new(&mut answer).poll(context)
            });
            let (parts, mut stream) = answer.await?.into_parts();
            let mut received = Vec::new();
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                stream.flow_control().release_capacity(chunk.len())?;
                received.extend_from_slice(&chunk);
            }
            let trailers = stream.trailers().await?;
            driver.abort();
            Ok(H2Answer { status: parts.status.as_u16(), headers: parts.headers, body: received, trailers, interim })
        });
        exchange.await.expect("an answer over HTTP/2 in time")
    })
}
