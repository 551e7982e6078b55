//! Idle connections to one server.
//!
//! The connection pool of pingora starts a task and a timer for each connection after each request, and asks the system for its
//! address (pingora-core 0.9.1, src/connectors/mod.rs). Here a connection is checked when it is taken, and one call closes all
//! that were idle for too long.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use pingora::protocols::Stream;
use tokio::io::{AsyncRead as _, ReadBuf};

/// The idle connections of one server.
#[derive(Default)]
pub(super) struct IdleConnections {
    /// The one that has waited longest comes first.
    parked: Mutex<VecDeque<(Instant, Stream)>>,
}

impl IdleConnections {
    /// Takes the open connection that was used last, so that surplus connections stay idle and expire.
    pub(super) fn take(&self) -> Option<Stream> {
        loop {
            let (_, mut stream) = self.parked().pop_back()?;
            if is_silent(&mut stream) {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection, up to [`MOST`].
    pub(super) fn put_back(&self, stream: Stream) {
        let mut parked = self.parked();
        if parked.len() < MOST {
            parked.push_back((Instant::now(), stream));
        }
    }

    /// Closes the connections that have waited for at least `patience`.
    pub(super) fn close_older_than(&self, patience: Duration) {
        let mut old = Vec::new();
        let mut parked = self.parked();
        while parked.front().is_some_and(|(since, _)| since.elapsed() >= patience) {
            old.extend(parked.pop_front());
        }
        // The lock is released first: closing takes longer than a request should wait.
        drop(parked);
        drop(old);
    }

    fn parked(&self) -> MutexGuard<'_, VecDeque<(Instant, Stream)>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for IdleConnections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Idle").field(&self.parked().len()).finish()
    }
}

/// Returns whether the connection is open, and no byte has come that belongs to no request.
pub(super) fn is_silent(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer).is_pending()
}

/// Maximum number of idle connections to a server.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let stream: pingora::protocols::l4::stream::Stream = ours.into();
        (Box::new(stream), listener.accept().await.unwrap().0)
    }

    /// Waits until data or the end of the other side has arrived, without reading it.
    async fn arrived(idle: &IdleConnections) {
        while is_silent(&mut idle.parked()[0].1) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_last_that_came_is_taken_first() {
        let idle = IdleConnections::default();
        let ((one, _app), (two, _other)) = (pair().await, pair().await);
        let ids = (one.id(), two.id());
        idle.put_back(one);
        idle.put_back(two);
        assert_eq!(idle.take().map(|stream| stream.id()), Some(ids.1));
        assert_eq!(idle.take().map(|stream| stream.id()), Some(ids.0));
        assert!(idle.take().is_none());
    }

    #[tokio::test]
    async fn one_that_is_closed_or_talks_is_not_taken() {
        let idle = IdleConnections::default();
        let (stream, app) = pair().await;
        idle.put_back(stream);
        drop(app);
        arrived(&idle).await;
        assert!(idle.take().is_none());
        let (stream, mut app) = pair().await;
        idle.put_back(stream);
        app.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        arrived(&idle).await;
        assert!(idle.take().is_none(), "an answer without a request");
    }

    #[tokio::test]
    async fn they_grow_old() {
        let idle = IdleConnections::default();
        let (stream, _app) = pair().await;
        idle.put_back(stream);
        idle.close_older_than(Duration::from_secs(60));
        assert_eq!(idle.parked().len(), 1);
        idle.close_older_than(Duration::ZERO);
        assert_eq!(idle.parked().len(), 0);
    }
}
