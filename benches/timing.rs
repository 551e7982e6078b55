//! How the benches measure: the allocations first, which are exact, then the time, which is not.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use mimalloc::MiMalloc;
use tollgate_counting::{Asked, Counting, during};

/// The program's own, and a nanosecond for the count.
#[global_allocator]
static ALLOCATOR: Counting<MiMalloc> = Counting(MiMalloc);

/// What one of a hundred may take.
pub(crate) fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .sample_size(20)
        .without_plots()
}

/// Benchmarks whose names begin alike.
pub(crate) struct Group<'c> {
    name: String,
    group: BenchmarkGroup<'c, WallTime>,
}

impl<'c> Group<'c> {
    pub(crate) fn new(criterion: &'c mut Criterion, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { group: criterion.benchmark_group(&name), name }
    }

    /// Makes something to do, if it is wanted, prints what it asks the allocator for, and measures how long it takes. What it
    /// comes to is let go of in that time, too.
    pub(crate) fn measure<T, W: FnMut() -> T>(&mut self, name: &str, make: impl Fn() -> W) {
        let mut made = None;
        // Criterion calls this for each sample.
        self.group.bench_function(name, |bencher| {
            let work = made.get_or_insert_with(|| {
                let mut work = make();
                drop(work());
                let (start, mut times, mut asked) = (Instant::now(), 0, Asked::default());
                while times < COUNTED && start.elapsed() < Duration::from_millis(100) {
                    asked = asked + during(|| drop(black_box(work()))).1;
                    times += 1;
                }
                let each = |number: u64| (number as f64 / f64::from(times) * 10.0).round() / 10.0;
                eprintln!("{}/{name}: {} allocations, {} bytes", self.name, each(asked.times), each(asked.bytes));
                work
            });
            bencher.iter(work);
        });
    }
}

const COUNTED: u32 = 512;
