//! The end of a connection, so that the last answer arrives.

use std::pin::Pin;
use std::time::Duration;

use pingora::protocols::IO;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use tokio::time::timeout;

/// What is left to do with a connection that nobody serves any more.
pub(super) type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Sends what is left, says that nothing more comes, and reads on for a while, until the client has ended too. ☠ To close a
/// socket from which not all was read, or to which more is coming, sends a reset, which may overtake the answer (RFC 9112,
/// 9.6); and pingora closes whenever it is done.
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
    // Whoever does not end by then is cut off.
    let _ = timeout(LINGERING, lingering).await;
}

/// How long and for how many bytes a client may go on sending after its last answer, and how long it may be silent: as
/// nginx's `lingering_time` and `lingering_timeout`.
pub(super) const LINGERING: Duration = Duration::from_secs(30);
pub(super) const LINGERING_SILENCE: Duration = Duration::from_secs(5);
pub(super) const LINGERING_BYTES: usize = 1 << 30;
/// For what is left of an answer that broke off.
const LAST_FLUSH: Duration = Duration::from_secs(5);
