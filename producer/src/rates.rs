//! Compares the rate that was asked for with the one reached.

use std::collections::VecDeque;
use std::time::Duration;

/// How long apart reports are.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The promise is kept or broken over this many reports: ten seconds.
const REPORTS: usize = 10;

/// The share of the asked rate that must be reached.
const KEPT: f64 = 0.99;

/// The rates of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    seen: Duration,
    /// Records that should have been sent until `seen`.
    asked: f64,
    last: Point,
    history: VecDeque<Point>,
    warned: Option<Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Point {
    at: Duration,
    asked: f64,
    sent: u64,
}

impl Rates {
    /// Takes note that `rate` was asked for since the last call.
    pub(crate) fn advance(&mut self, elapsed: Duration, rate: f64) {
        self.asked += rate * elapsed.saturating_sub(self.seen).as_secs_f64();
        self.seen = elapsed;
    }

    pub(crate) fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.last.at + REPORT_EVERY
    }

    /// Closes a second in which `sent` rose to this; gives the rate reached in it.
    pub(crate) fn report(&mut self, elapsed: Duration, sent: u64) -> f64 {
        let achieved = (sent - self.last.sent) as f64 / (elapsed - self.last.at).as_secs_f64();
        self.history.push_back(self.last);
        if self.history.len() > REPORTS {
            self.history.pop_front();
        }
        self.last = Point { at: elapsed, asked: self.asked, sent };
        achieved
    }

    /// If less than 99 % of what was asked for was sent in the last ten seconds: records per second asked and
    /// reached. Says so once in ten seconds.
    pub(crate) fn shortfall(&mut self) -> Option<(f64, f64)> {
        let first = self.history.front().filter(|_| self.history.len() == REPORTS)?;
        let over = (self.last.at - first.at).as_secs_f64();
        let (asked, reached) =
            ((self.last.asked - first.asked) / over, (self.last.sent - first.sent) as f64 / over);
        // Whole records: at one per second, ten seconds may well have nine.
        let short = reached < asked * KEPT && (asked - reached) * over > 1.0;
        if !short || self.warned.is_some_and(|at| self.last.at < at + REPORT_EVERY * REPORTS as u32) {
            return None;
        }
        self.warned = Some(self.last.at);
        Some((asked, reached))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reports of `seconds` seconds at 1000/s asked and `sent_per_second` sent.
    fn shortfalls(seconds: u64, sent_per_second: u64) -> Vec<(u64, (f64, f64))> {
        let mut rates = Rates::default();
        let mut found = Vec::new();
        for second in 1..=seconds {
            let elapsed = Duration::from_secs(second);
            rates.advance(elapsed, 1_000.0);
            assert!(rates.is_due(elapsed));
            assert!((rates.report(elapsed, second * sent_per_second) - sent_per_second as f64).abs() < 1e-6);
            found.extend(rates.shortfall().map(|short| (second, short)));
        }
        found
    }

    #[test]
    fn a_rate_within_one_percent_is_kept() {
        assert_eq!(shortfalls(60, 991), []);
    }

    #[test]
    fn a_missed_rate_is_reported_once_in_ten_seconds() {
        assert_eq!(shortfalls(30, 900), [10, 20, 30].map(|second| (second, (1_000.0, 900.0))));
    }
}
