//! How long to wait before trying again, and what of it to say.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// First wait after a failure; doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_BASE: Duration = Duration::from_millis(250);
/// Longest wait of our own choosing: InfluxDB is noticed to be back within this time.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Longest wait a server may ask for by `Retry-After`: a mistaken header must not stop the pipeline for a day.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// Wait between attempts while a setting is wrong: it may be cured on the server's side at any moment.
pub const HOLD_RETRY: Duration = Duration::from_secs(10);
/// At most one line per failing target in this time.
pub const LOG_EVERY: Duration = Duration::from_secs(30);

/// Exponential backoff with jitter: waits are spread over the upper half of `base * 2^n`, so that many writers do not
/// come back at the same moment.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    random: u64,
}

impl Backoff {
    /// A backoff whose jitter is a function of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { failures: 0, random: seed }
    }

    /// The next wait after one more failure; never above [`BACKOFF_MAX`].
    pub fn next_wait(&mut self) -> Duration {
        let full = BACKOFF_BASE.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        #[expect(clippy::cast_precision_loss, reason = "53 random bits are plenty")]
        let unit = (self.next_random() >> 11) as f64 / (1_u64 << 53) as f64;
        half + half.mul_f64(unit)
    }

    /// The next wait where the server may have asked for one.
    pub fn next_wait_asked(&mut self, retry_after: Option<Duration>) -> Duration {
        self.next_wait().max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }

    /// Starts over after a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// `SplitMix64`: jitter needs no more.
    const fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A seed that differs between processes.
#[must_use]
pub fn random_seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// When to stop, for every thread of a sink.
#[derive(Debug, Default)]
pub struct Stop {
    deadline: Mutex<Option<Instant>>,
    changed: Condvar,
}

impl Stop {
    /// Asks for an end: what is left may be written until `deadline`.
    pub fn at(&self, deadline: Instant) {
        *self.deadline.lock().expect("no holder panics") = Some(deadline);
        self.changed.notify_all();
    }

    /// The deadline once an end was asked for.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().expect("no holder panics")
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// Waits between attempts; a test takes its place to see the waits without spending them.
pub trait Pause: Send + Sync {
    /// Waits for `wait`; once an end is asked for, for [`BACKOFF_BASE`] at most and never past the deadline, so that
    /// what is left is tried again in the time there is.
    fn pause(&self, wait: Duration, stop: &Stop);
}

/// The wall clock's [`Pause`].
#[derive(Debug, Default, Clone, Copy)]
pub struct RealPause;

impl Pause for RealPause {
    fn pause(&self, wait: Duration, stop: &Stop) {
        let mut until = Instant::now() + wait;
        let mut is_ending = false;
        let mut end = stop.deadline.lock().expect("no holder panics");
        loop {
            let now = Instant::now();
            if let Some(deadline) = *end
                && !is_ending
            {
                is_ending = true;
                until = until.min(deadline).min(now + BACKOFF_BASE);
            }
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            end = stop.changed.wait_timeout(end, left).expect("no holder panics").0;
        }
    }
}

/// Says a lasting failure once, then every [`LOG_EVERY`], then that it is over.
#[derive(Debug, Default)]
pub struct FailureLog {
    since: Option<Instant>,
    said: Option<Instant>,
    unsaid: u64,
}

impl FailureLog {
    /// Notes a failure; the number of failures since the last line if one is due now.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        self.since.get_or_insert(now);
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < LOG_EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// Notes a success; how long the failure lasted if there was one.
    pub fn recovered(&mut self, now: Instant) -> Option<Duration> {
        let since = self.since?;
        *self = Self::default();
        Some(now.duration_since(since))
    }
}

#[cfg(test)]
mod tests;
