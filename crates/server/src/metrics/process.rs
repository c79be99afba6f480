//! The process as its operating system sees it, under the names every Prometheus client uses.

use procfs::process::{LimitValue, Process as Proc};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::declare::Declarations;

/// What `/proc` tells. Where it tells nothing (another operating system), zeros.
#[derive(Debug, Default)]
pub(super) struct Process {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    open_fds: usize,
    max_fds: u64,
    threads: i64,
    start_time_seconds: f64,
}

impl Process {
    pub(super) fn read() -> Self {
        Self::try_read().unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^52")]
    fn try_read() -> Result<Self, procfs::ProcError> {
        let process = Proc::myself()?;
        let stat = process.stat()?;
        let ticks_per_second = procfs::ticks_per_second() as f64;
        let boot = procfs::boot_time_secs()?;
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks_per_second,
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            open_fds: process.fd_count()?,
            max_fds: match process.limits()?.max_open_files.soft_limit {
                LimitValue::Value(limit) => limit,
                LimitValue::Unlimited => u64::MAX,
            },
            threads: stat.num_threads,
            start_time_seconds: boot as f64 + stat.starttime as f64 / ticks_per_second,
        })
    }

    pub(super) fn declare(&self, declare: &mut Declarations) {
        declare.metric(
            "process_cpu_seconds_total",
            "Processor time used, in user and kernel mode",
            ConstCounter::new(self.cpu_seconds),
        );
        declare.metric(
            "process_resident_memory_bytes",
            "Memory held in RAM",
            ConstGauge::new(self.resident_bytes),
        );
        declare.metric(
            "process_virtual_memory_bytes",
            "Memory addressed",
            ConstGauge::new(self.virtual_bytes),
        );
        declare.metric(
            "process_open_fds",
            "File descriptors open",
            ConstGauge::new(self.open_fds),
        );
        declare.metric(
            "process_max_fds",
            "File descriptors allowed",
            ConstGauge::new(self.max_fds),
        );
        declare.metric("process_threads", "Threads", ConstGauge::new(self.threads));
        declare.metric(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970",
            ConstGauge::new(self.start_time_seconds),
        );
    }
}
