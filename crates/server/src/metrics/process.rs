//! The process's own numbers, from `/proc/self`. What cannot be read is left as it was.

use std::fs;

use locum_model::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// Linux counts processor time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// The usual `process_*` series.
#[derive(Debug)]
pub(super) struct Process {
    cpu_seconds: Counter<f64, AtomicU64>,
    resident_bytes: Gauge,
    open_fds: Gauge,
}

impl Process {
    pub(super) fn new(registry: &mut Registry, started: Timestamp) -> Self {
        let process = Self {
            cpu_seconds: Counter::default(),
            resident_bytes: Gauge::default(),
            open_fds: Gauge::default(),
        };
        let start: Gauge<f64, AtomicU64> = Gauge::default();
        start.set(f64::from(u32::try_from(started.as_seconds()).unwrap_or(0)));
        registry.register("process_start_time_seconds", "When the process started, Unix time", start);
        let cpu = process.cpu_seconds.clone();
        registry.register("process_cpu_seconds", "Processor time, user and system", cpu);
        let resident = process.resident_bytes.clone();
        registry.register("process_resident_memory_bytes", "Memory in use", resident);
        registry.register("process_open_fds", "Open file descriptors", process.open_fds.clone());
        process
    }

    pub(super) fn refresh(&self) {
        if let Some(used) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            let counted = self.cpu_seconds.get();
            // A counter only grows; another thread may have been faster.
            self.cpu_seconds.inc_by((used - counted).max(0.0));
        }
        if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes)
        {
            self.resident_bytes.set(bytes);
        }
        if let Ok(fds) = fs::read_dir("/proc/self/fd") {
            self.open_fds.set(i64::try_from(fds.count()).unwrap_or(i64::MAX));
        }
    }
}

/// Fields 14 and 15 of proc(5) `stat`; the name in field 2 may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
    Some((f64::from(ticks(11)?) + f64::from(ticks(12)?)) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_proc_text() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 100 0 0 0 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
