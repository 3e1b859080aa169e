//! What the operating system says of this process.

use std::fs;

/// Resident memory in bytes; 0 where `/proc` is not there.
pub(super) fn rss_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// User and system time of all threads, seconds; 0 where `/proc` is not there.
pub(super) fn cpu_seconds() -> f64 {
    /// `USER_HZ`, which Linux fixes at 100 for every architecture's `/proc`.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; the fields after it do not.
    let Some((_, fields)) = stat.rsplit_once(") ") else { return 0.0 };
    let field =
        |at: usize| fields.split(' ').nth(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / TICKS_PER_SECOND
}

/// The host's name; containers have one each.
pub(super) fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}
