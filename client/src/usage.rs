//! What work costs the machine: processor seconds and memory.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Whose processor time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The calling thread: parties share the process.
    Thread,
    /// The whole process, with the threads that encrypt and move frames.
    Process,
}

/// Processor seconds used so far.
pub(crate) fn cpu_seconds(scope: Scope) -> f64 {
    let clock = match scope {
        Scope::Thread => ClockId::ThreadCPUTime,
        Scope::Process => ClockId::ProcessCPUTime,
    };
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32).as_secs_f64()
}

/// Starts the account of [`peak_memory_bytes`] afresh, where the system (Linux) can do that.
pub(crate) fn forget_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").ok(); // elsewhere the account goes on
}

/// The most memory that this process has had resident, in bytes; 0 where the system does not tell.
pub(crate) fn peak_memory_bytes() -> u64 {
    // Unlike getrusage's figure it starts afresh when a program is loaded.
    status("VmHWM:")
}

/// What it has resident now; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    status("VmRSS:")
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    bytes_of(name, &status).unwrap_or(0)
}

/// A line like "VmHWM:   1234 kB" of Linux.
fn bytes_of(name: &str, status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_processor_time_and_memory() {
        let before = [Scope::Thread, Scope::Process].map(cpu_seconds);
        let sum = (0..20_000_000u64).fold(0, |a, b| std::hint::black_box(a ^ b));
        std::hint::black_box(sum);
        let after = [Scope::Thread, Scope::Process].map(cpu_seconds);
        assert!(before[0] < after[0] && before[1] < after[1]);
        assert_eq!(
            bytes_of("VmHWM:", "VmPeak:\t 9 kB\nVmHWM:\t   12 kB\n"),
            Some(12 << 10)
        );
        assert_eq!(bytes_of("VmHWM:", "VmHWM: many"), None);
        assert!(resident_bytes() <= peak_memory_bytes());
    }
}
