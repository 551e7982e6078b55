//! A histogram of durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Durations, by the smallest bound that they do not exceed.
#[derive(Debug, Default)]
pub struct Histogram {
    /// The last one is for those that exceed every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Microseconds, which last for half a million years.
    sum: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|(bound, _)| micros <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// Each bound in seconds, `+Inf` last, with how many did not exceed it.
    #[must_use]
    pub fn cumulative(&self) -> Vec<(&'static str, u64)> {
        let names = BOUNDS.iter().map(|(_, name)| *name).chain(["+Inf"]);
        let mut total = 0;
        let counts = self.buckets.iter().map(|bucket| {
            total += bucket.load(Ordering::Relaxed);
            total
        });
        names.zip(counts).collect()
    }

    /// Seconds in total.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a metric is a float")]
    pub fn sum(&self) -> f64 {
        self.sum.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// Microseconds, and the same in seconds: from the overhead of a process to the timeouts of an application.
const BOUNDS: [(u64, &str); 14] = [
    (500, "0.0005"),
    (1000, "0.001"),
    (2500, "0.0025"),
    (5000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
    (60_000_000, "60"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_every_class_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let counts = histogram.cumulative();
        assert_eq!(counts[..2], [("0.0005", 2), ("0.001", 3)]);
        assert_eq!(counts[12..], [("10", 3), ("60", 4), ("+Inf", 5)]);
        assert!((histogram.sum() - 120.001_002).abs() < 1e-9);
        for (micros, name) in BOUNDS {
            assert_eq!(name.parse::<f64>().map(|seconds| (seconds * 1e6).round()), Ok(micros as f64));
        }
    }
}
