//! Wall-clock time and its text form. Pure modules get the time as a parameter.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Returns the Unix time in seconds. A clock before 1970 returns 1970, at which every token is invalid.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(i64::MAX)
}

/// Returns the time from the first call in this process to `at`. The clock is monotonic: setting the system time does
/// not change it.
#[must_use]
pub fn monotonic_now(at: Instant) -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    at.saturating_duration_since(*START)
}

/// Unix seconds as RFC 3339, in UTC; as a number, if no year of four digits has them.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Returns the Unix time in milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Unix milliseconds as RFC 3339, in UTC, with all three digits of them.
#[must_use]
pub fn rfc3339_ms(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| milliseconds.to_string(), |time| format!("{time:.3}"))
}
