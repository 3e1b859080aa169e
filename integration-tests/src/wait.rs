use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits up to 150 s for `check` to give a value.
///
/// `check` returns `Err` with what it saw instead, which is printed should the time run out.
///
/// # Panics
/// If it has not happened by then.
pub fn eventually<T>(what: &str, check: impl FnMut() -> Result<T, String>) -> T {
    eventually_within(Duration::from_secs(150), what, check)
}

/// [`eventually`] with a deadline of one's own.
///
/// # Panics
/// If it has not happened by then.
pub fn eventually_within<T>(
    timeout: Duration,
    what: &str,
    mut check: impl FnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(seen) if started.elapsed() >= timeout => {
                panic!("gave up after {timeout:?} waiting for: {what}; last seen: {seen}")
            }
            Err(_) => std::thread::sleep(POLL_INTERVAL),
        }
    }
}
