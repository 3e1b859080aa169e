//! CPU time of this process.

use rustix::time::{ClockId, clock_gettime};

/// User and system seconds of all threads so far.
pub(crate) fn cpu_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}
