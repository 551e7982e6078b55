//! Process metrics from the kernel, with the names of the Prometheus client libraries.

use std::fs;
use std::sync::OnceLock;

use super::exposition::Exposition;

/// Adds what `/proc` provides, and omits the rest.
pub(super) fn add(page: &mut Exposition) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program name is in parentheses and can contain any character.
    let fields: Vec<_> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    // proc_pid_stat(5) counts from 1, and the first two fields are removed.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        page.counter("process_cpu_seconds_total", "CPU time that the process took.")
            .sample(&[], seconds(user + system));
    }
    if let (Some(ticks), Some(boot)) = (field(22), boot_time()) {
        page.gauge("process_start_time_seconds", "When the process began, in Unix seconds.")
            .sample(&[], format_args!("{:.2}", boot + seconds(ticks)));
    }
    if let Some(pages) = field(24) {
        page.gauge("process_resident_memory_bytes", "Memory that the process has.")
            .sample(&[], pages * rustix::param::page_size() as u64);
    }
    if let Some(bytes) = field(23) {
        page.gauge("process_virtual_memory_bytes", "Addresses that the process has.").sample(&[], bytes);
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is the open directory itself.
        page.gauge("process_open_fds", "Files and sockets that the process has open.")
            .sample(&[], entries.count().saturating_sub(1));
    }
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        page.gauge("process_max_fds", "Files and sockets that the process may have open.").sample(&[], limit);
    }
    if let Some(threads) = field(20) {
        page.gauge("process_threads", "Threads of the process.").sample(&[], threads);
    }
}

#[allow(clippy::cast_precision_loss, reason = "a metric is a float")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn boot_time() -> Option<f64> {
    static BOOT: OnceLock<Option<f64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    })
}
