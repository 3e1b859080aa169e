//! What became of the transactions, for people.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::shared::now;
use crate::status::{ErrorLine, TRANSACTION_BUCKETS_S, TransactionStatus};

/// Durations kept for the percentiles: a minute of two workers' transactions, or of fewer seconds with more.
const RECENT_MAX: usize = 256;
/// How old they may be.
const RECENT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    committed: u64,
    aborted: u64,
    last_abort: Option<ErrorLine>,
    seconds: f64,
    /// Per bucket, not added up.
    buckets: [u64; TRANSACTION_BUCKETS_S.len()],
    recent: VecDeque<(Instant, Duration)>,
}

impl Ledger {
    /// A transaction took this long from its beginning to its commit.
    pub(super) fn committed(&self, took: Duration) {
        let mut entries = self.entries();
        let seconds = took.as_secs_f64();
        entries.committed += 1;
        entries.seconds += seconds;
        let bucket = TRANSACTION_BUCKETS_S.iter().position(|most| seconds <= *most);
        entries.buckets[bucket.expect("the last bucket is for all")] += 1;
        if entries.recent.len() == RECENT_MAX {
            entries.recent.pop_front();
        }
        entries.recent.push_back((Instant::now(), took));
    }

    /// One left no trace.
    pub(super) fn aborted(&self, reason: &str) {
        let mut entries = self.entries();
        entries.aborted += 1;
        entries.last_abort = Some(ErrorLine::new(now().millis(), reason.to_owned()));
    }

    pub(super) fn status(&self) -> TransactionStatus {
        let entries = self.entries();
        let recent = entries.recent.iter().filter(|(at, _)| at.elapsed() < RECENT);
        let mut recent: Vec<f64> = recent.map(|(_, took)| took.as_secs_f64() * 1_000.0).collect();
        recent.sort_unstable_by(f64::total_cmp);
        let rank = |q: f64| {
            let at = (q * recent.len() as f64).ceil() as usize;
            recent.get(at.saturating_sub(1)).copied()
        };
        TransactionStatus {
            committed: entries.committed,
            aborted: entries.aborted,
            last_abort: entries.last_abort.clone(),
            p50_ms: rank(0.50),
            p99_ms: rank(0.99),
            seconds: entries.seconds,
            buckets: entries.buckets,
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_counted_by_outcome_and_duration() {
        let ledger = Ledger::default();
        assert_eq!((ledger.status().p50_ms, ledger.status().last_abort), (None, None));
        for millis in [4, 5, 6, 400_000] {
            ledger.committed(Duration::from_millis(millis));
        }
        ledger.aborted("the first");
        ledger.aborted("the broker said no");
        let status = ledger.status();
        assert_eq!((status.committed, status.aborted), (4, 2));
        assert_eq!(status.last_abort.unwrap().text, "the broker said no");
        assert_eq!((status.buckets[0], status.buckets[1]), (2, 1), "a bound belongs to its bucket");
        assert_eq!(status.buckets.last(), Some(&1));
        assert_eq!((status.p50_ms, status.p99_ms), (Some(5.0), Some(400_000.0)));
    }

    #[test]
    fn the_percentiles_are_of_a_bounded_number() {
        let ledger = Ledger::default();
        ledger.committed(Duration::from_secs(9));
        (0..RECENT_MAX).for_each(|_| ledger.committed(Duration::from_millis(5)));
        assert_eq!(ledger.status().p99_ms, Some(5.0));
    }
}
