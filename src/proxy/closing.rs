//! Closes the connection of a client so that the last answer arrives.

use std::pin::Pin;
use std::time::Duration;

use pingora::protocols::IO;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use tokio::time::timeout;

/// The rest of the work on a connection after its last request.
pub(super) type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Flushes, closes Tollgate's half, and reads for a while, until the client has ended too.
///
/// TRAP: closing a socket with unread bytes sends a reset, which can overtake the answer (RFC 9112, 9.6), and pingora closes as
/// soon as it has written (pingora-core 0.9.1, src/protocols/http/v1/server.rs).
pub(super) async fn close<S: IO>(mut stream: BufWriter<S>, is_shut: bool, lingers: bool) {
    if !is_shut && !matches!(timeout(LAST_FLUSH, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    if !lingers {
        return;
    }
    let lingering = async {
        let mut scrap = vec![0; 16 << 10];
        let mut left = LINGERING_BYTES;
        while let Ok(Ok(count @ 1..)) = timeout(LINGERING_SILENCE, stream.get_mut().read(&mut scrap)).await {
            left = left.saturating_sub(count);
            if left == 0 {
                break;
            }
        }
    };
    // A client that does not end by then gets a reset.
    let _ = timeout(LINGERING, lingering).await;
}

/// Maximum time and number of bytes for which a client can send after its last answer, and maximum time between two reads: as
/// `lingering_time` and `lingering_timeout` of nginx.
pub(super) const LINGERING: Duration = Duration::from_secs(30);
pub(super) const LINGERING_SILENCE: Duration = Duration::from_secs(5);
pub(super) const LINGERING_BYTES: usize = 1 << 30;
/// Time to flush the rest of an incomplete answer.
const LAST_FLUSH: Duration = Duration::from_secs(5);
