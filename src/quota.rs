//! Rate limits and concurrency limits.
//!
//! The limit ([`Quota`]) and the use ([`RateLimiter`]) are separate: a reload changes the limit and keeps the use. A meter
//! takes no lock. Pure: times are nanoseconds of a monotonic clock.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// A rate limit and a concurrency limit. The default is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub rate: Option<Rate>,
    pub concurrent: Option<NonZero<u32>>,
}

impl Quota {
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.rate.is_none() && self.concurrent.is_none()
    }
}

/// So many requests a second in the long run, and some at once on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds between two requests at the constant rate.
    interval: u64,
    burst: u32,
}

impl Rate {
    /// Allows `per_second` requests, and `burst` extra requests at once; without `burst`, the requests of one second.
    /// `None` for a rate outside of [`MIN_RATE`] to [`MAX_RATE`], or too large a burst.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of numbers within bounds")]
    pub fn new(per_second: f64, burst: Option<u32>) -> Option<Self> {
        if !(MIN_RATE..=MAX_RATE).contains(&per_second) {
            return None;
        }
        let burst = burst.unwrap_or_else(|| per_second.ceil() as u32);
        (burst <= MAX_BURST).then_some(Self { interval: (SECOND / per_second).round() as u64, burst })
    }

    /// The burst in nanoseconds.
    const fn tolerance(self) -> u64 {
        self.interval * self.burst as u64
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let per_second = SECOND / self.interval as f64;
        // The configured rate, except for rounding to nanoseconds.
        let rounded = (per_second * 1000.0).round() / 1000.0;
        write!(formatter, "{rounded} a second and {} at once on top", self.burst)
    }
}

#[derive(Debug, Default)]
pub struct RateLimiter {
    /// When the next request would be due if they came evenly (GCRA's theoretical arrival time).
    due: AtomicU64,
    in_flight: AtomicU32,
}

/// Why a request is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// The rate is exceeded; seconds until the next request is allowed.
    Rate(u32),
    Concurrent,
}

/// An allowed request. It is in flight until this value is dropped.
#[derive(Debug)]
pub struct InFlightPermit(Arc<RateLimiter>);

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl RateLimiter {
    /// Counts a request at `now`. A rejected request does not count, so a retry does not extend the wait.
    ///
    /// # Errors
    /// The limit is exceeded.
    pub fn try_acquire(self: &Arc<Self>, quota: &Quota, now: u64) -> Result<InFlightPermit, Exceeded> {
        // Counted without a limit, too: a reload can add one.
        let one_more = |count: u32| match quota.concurrent {
            Some(most) if count >= most.get() => None,
            _ => count.checked_add(1),
        };
        self.in_flight
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more)
            .map_err(|_| Exceeded::Concurrent)?;
        let permit = InFlightPermit(self.clone());
        if let Some(rate) = quota.rate {
            self.pass(rate, now)?;
        }
        Ok(permit)
    }

    /// Returns the number of requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The generic cell rate algorithm (ITU-T I.371, annex A), which needs one number for a bucket.
    fn pass(&self, rate: Rate, now: u64) -> Result<(), Exceeded> {
        let full = now.saturating_add(rate.tolerance()).saturating_add(rate.interval);
        let mut stored = self.due.load(Ordering::Relaxed);
        loop {
            // The state never exceeds the burst by more than one request. A larger value comes from a lower rate or
            // from before the clock was set back, and would block the client for longer than the present rate can.
            let due = stored.clamp(now, full);
            let wait = (due - now).saturating_sub(rate.tolerance());
            let next = if wait == 0 { due.saturating_add(rate.interval) } else { stored.min(full) };
            if wait > 0 && next == stored {
                return Err(Exceeded::Rate(seconds(wait)));
            }
            match self.due.compare_exchange_weak(stored, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if wait == 0 => return Ok(()),
                Ok(_) => return Err(Exceeded::Rate(seconds(wait))),
                Err(other) => stored = other,
            }
        }
    }
}

/// Whole seconds, after which nothing is left of these nanoseconds.
fn seconds(nanoseconds: u64) -> u32 {
    let wait = Duration::from_nanos(nanoseconds);
    let begun = u64::from(wait.subsec_nanos() > 0);
    u32::try_from(wait.as_secs() + begun).unwrap_or(u32::MAX).max(1)
}

/// A request in some 17 minutes.
pub const MIN_RATE: f64 = 0.001;
/// Far more than one machine answers.
pub const MAX_RATE: f64 = 1_000_000.0;
pub const MAX_BURST: u32 = 1_000_000;
/// In nanoseconds.
const SECOND: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    /// The moment at which the tests begin.
    const T: u64 = 3_600_000 * MS;

    fn rate(per_second: f64, burst: u32) -> Quota {
        Quota { rate: Rate::new(per_second, Some(burst)), concurrent: None }
    }

    fn at_once(most: u32) -> Quota {
        Quota { rate: None, concurrent: NonZero::new(most) }
    }

    /// Returns how many of a thousand requests at `now` are allowed.
    fn admitted(meter: &Arc<RateLimiter>, quota: &Quota, now: u64) -> usize {
        (0..1000).filter(|_| meter.try_acquire(quota, now).is_ok()).count()
    }

    #[test]
    fn a_burst_and_then_one_an_interval_to_the_nanosecond() {
        let (meter, quota) = (Arc::new(RateLimiter::default()), rate(10.0, 4));
        assert_eq!(admitted(&meter, &quota, T), 5, "the one that is due, and the burst on top");
        assert_eq!(admitted(&meter, &quota, T + 100 * MS - 1), 0);
        assert_eq!(admitted(&meter, &quota, T + 100 * MS), 1);
        assert_eq!(admitted(&meter, &quota, T + 199 * MS), 0);
        assert_eq!(admitted(&meter, &quota, T + 400 * MS), 3, "what was not used is saved");
        assert_eq!(admitted(&meter, &quota, T + 3_600_000 * MS), 5, "up to the burst, and no more");
        // Even traffic at the rate is always allowed, and no traffic above it.
        let (meter, quota) = (Arc::new(RateLimiter::default()), rate(3.0, 0));
        let let_in = (0..3000).filter(|tick| meter.try_acquire(&quota, T + tick * MS).is_ok()).count();
        assert_eq!(let_in, 9, "3 a second for 3 seconds");
    }

    #[test]
    fn the_wait_is_the_whole_second_after_which_it_is_over() {
        for (per_second, burst, wait) in [(10.0, 4, 1), (1.0, 0, 1), (0.5, 0, 2), (0.4, 3, 3), (0.001, 0, 1000)] {
            let (meter, quota) = (Arc::new(RateLimiter::default()), rate(per_second, burst));
            assert_eq!(admitted(&meter, &quota, T), usize::try_from(burst + 1).unwrap());
            let Err(Exceeded::Rate(seconds)) = meter.try_acquire(&quota, T) else { panic!("{per_second}") };
            assert_eq!(seconds, wait, "{per_second}");
            assert!(meter.try_acquire(&quota, T + u64::from(seconds) * 1000 * MS).is_ok(), "{per_second}");
        }
        let (meter, quota) = (Arc::new(RateLimiter::default()), rate(0.5, 0));
        meter.try_acquire(&quota, T).unwrap();
        assert_eq!(meter.try_acquire(&quota, T + 999 * MS).unwrap_err(), Exceeded::Rate(2), "1.001 s");
        assert_eq!(meter.try_acquire(&quota, T + 1000 * MS).unwrap_err(), Exceeded::Rate(1));
    }

    #[test]
    fn refused_requests_cost_nobody_anything() {
        let (meter, quota) = (Arc::new(RateLimiter::default()), rate(1.0, 0));
        assert_eq!(admitted(&meter, &quota, T), 1);
        for tick in 1..1000 {
            assert_eq!(admitted(&meter, &quota, T + tick * MS), 0);
        }
        assert_eq!(admitted(&meter, &quota, T + 1000 * MS), 1, "however often it was asked in between");
        // A request that is rejected for one limit does not count for the other.
        let both = Quota { concurrent: NonZero::new(1), ..rate(1.0, 1) };
        let meter = Arc::new(RateLimiter::default());
        let held = meter.try_acquire(&both, T).unwrap();
        assert_eq!(meter.try_acquire(&both, T).unwrap_err(), Exceeded::Concurrent);
        drop(held);
        drop(meter.try_acquire(&both, T).unwrap());
        assert_eq!(meter.try_acquire(&both, T).unwrap_err(), Exceeded::Rate(1));
        assert_eq!(meter.in_flight(), 0);
    }

    #[test]
    fn a_clock_that_goes_back_shuts_nobody_out_for_longer_than_a_full_bucket() {
        let (meter, quota) = (Arc::new(RateLimiter::default()), rate(1.0, 4));
        assert_eq!(admitted(&meter, &quota, T), 5);
        assert_eq!(meter.try_acquire(&quota, 1000).unwrap_err(), Exceeded::Rate(1));
        assert_eq!(admitted(&meter, &quota, 1000 + 999 * MS), 0);
        assert_eq!(admitted(&meter, &quota, 1000 + 1000 * MS), 1);
        assert_eq!(admitted(&meter, &quota, T + 1000 * MS), 5, "an hour is an hour, whichever way the clock took");
    }

    #[test]
    fn no_number_overflows() {
        let slowest = rate(MIN_RATE, MAX_BURST);
        let fastest = rate(MAX_RATE, MAX_BURST);
        for quota in [slowest, fastest, rate(MAX_RATE, 0)] {
            for now in [0, 1, T, u64::MAX - 1, u64::MAX] {
                let meter = Arc::new(RateLimiter::default());
                assert!(meter.try_acquire(&quota, now).is_ok(), "{quota:?} {now}");
                for later in [0, T, u64::MAX] {
                    let _ = meter.try_acquire(&quota, later);
                }
            }
        }
        assert_eq!(seconds(u64::MAX), u32::MAX, "584 years");
        for bad in [0.0, -1.0, 0.000_999, 1_000_000.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Rate::new(bad, None), None, "{bad}");
        }
        assert_eq!(Rate::new(1.0, Some(MAX_BURST + 1)), None);
    }

    #[test]
    fn without_a_burst_it_is_what_a_second_brings() {
        for (per_second, let_in) in [(10.0, 11), (0.5, 2), (2.5, 4)] {
            let quota = Quota { rate: Rate::new(per_second, None), concurrent: None };
            assert_eq!(admitted(&Arc::new(RateLimiter::default()), &quota, T), let_in, "{per_second}");
        }
    }

    #[test]
    fn a_rate_is_told_as_it_was_written() {
        for (per_second, told) in [(10.0, "10"), (0.5, "0.5"), (3.0, "3"), (0.001, "0.001"), (1_000_000.0, "1000000")] {
            let rate = Rate::new(per_second, Some(7)).unwrap();
            assert_eq!(rate.to_string(), format!("{told} a second and 7 at once on top"));
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_permit_is_gone() {
        let (meter, two) = (Arc::new(RateLimiter::default()), at_once(2));
        let (first, second) = (meter.try_acquire(&two, T).unwrap(), meter.try_acquire(&two, T).unwrap());
        assert_eq!(meter.try_acquire(&two, T).unwrap_err(), Exceeded::Concurrent);
        drop(first);
        let third = meter.try_acquire(&two, T).unwrap();
        assert_eq!(meter.try_acquire(&at_once(3), T).map(drop), Ok(()), "more are allowed by now");
        assert_eq!(meter.try_acquire(&at_once(1), T).unwrap_err(), Exceeded::Concurrent, "or fewer");
        drop((second, third));
        assert_eq!(meter.in_flight(), 0);
        // A new limit counts the requests from before it.
        let early = meter.try_acquire(&Quota::default(), T).unwrap();
        assert_eq!(meter.try_acquire(&at_once(1), T).unwrap_err(), Exceeded::Concurrent);
        drop(early);
        assert!(meter.try_acquire(&at_once(1), T).is_ok());
    }

    #[test]
    fn another_rate_counts_at_once_and_keeps_what_was_used() {
        let meter = Arc::new(RateLimiter::default());
        assert_eq!(admitted(&meter, &rate(0.001, 9), T), 10, "10,000 seconds ahead");
        assert_eq!(admitted(&meter, &rate(10.0, 9), T), 0, "a full bucket is one of the new size");
        assert_eq!(admitted(&meter, &rate(10.0, 9), T + 99 * MS), 0);
        assert_eq!(admitted(&meter, &rate(10.0, 9), T + 100 * MS), 1);
        let meter = Arc::new(RateLimiter::default());
        assert_eq!(admitted(&meter, &rate(1.0, 1), T), 2);
        assert_eq!(admitted(&meter, &rate(1.0, 4), T), 3, "a larger burst is there at once, less what was used");
    }

    #[test]
    fn a_thousand_threads_get_no_more_than_one() {
        let (meter, quota) = (Arc::new(RateLimiter::default()), rate(1.0, 99));
        let let_in: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| admitted(&meter, &quota, T))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((let_in, meter.in_flight()), (100, 0));
    }
}
