//! The time of day, and how it is written. What is pure is told the time instead.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Now, in Unix seconds. A clock before 1970 counts as 1970, which fails every token.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(i64::MAX)
}

/// How long before `at` this process asked for the first time: by a clock that nobody sets, and that only goes on.
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

/// Now, in Unix milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Unix milliseconds as RFC 3339, in UTC, with all three digits of them.
#[must_use]
pub fn rfc3339_ms(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| milliseconds.to_string(), |time| format!("{time:.3}"))
}
