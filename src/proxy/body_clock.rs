//! The minimum rate of a request's body (`body_rate`), for HTTP/1 and HTTP/2.

use std::time::Duration;

use tokio::time::Instant;

/// Measures the rate of one body from its start.
///
/// Over HTTP/1, `client_stream` checks it whenever it waits for bytes. Over HTTP/2, a connection carries several bodies, and
/// `exchange` checks it at each piece.
#[derive(Debug, Default)]
pub(super) struct BodyClock {
    began: Option<Instant>,
}

impl BodyClock {
    /// Returns the time at which more than `read` bytes must have come, at `rate` bytes per second. The first call starts the
    /// clock.
    pub(super) fn deadline(&mut self, read: u64, rate: u64) -> Instant {
        *self.began.get_or_insert_with(Instant::now) + FIRST_BYTES.saturating_add(Duration::from_secs(read / rate))
    }
}

/// Time for the first bytes of a body, however few: as `RequestReadTimeout body=20` of Apache.
const FIRST_BYTES: Duration = Duration::from_secs(20);
