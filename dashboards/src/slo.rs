//! The service level objective, and every limit that a panel draws and an alert rule tests.

use crate::influxql::{Bucket, Source};

/// The availability objective: the share of requests that do not end in a 5xx, over 30 days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slo {
    /// For example 0.99; above 0 and below 1.
    pub objective: f64,
    /// Divides the windows of the burn rules; 1 is real time, 60 shows in a minute what takes an hour.
    pub time_scale: u32,
}

impl Default for Slo {
    fn default() -> Self {
        Self { objective: 0.99, time_scale: 1 }
    }
}

/// A burn-rate rule: both windows must burn faster than `factor`.
///
/// The pairs are those of the SRE workbook's chapter "Alerting on SLOs": 14.4 spends 2 % of a 30-day budget in an
/// hour, 6 spends 5 % in six hours, 1 spends 10 % in three days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burn {
    /// How many times faster than the budget allows.
    pub factor: f64,
    /// The window that shows it matters, seconds.
    pub long_s: u32,
    /// The window that shows it still goes on, seconds.
    pub short_s: u32,
}

const HOUR_S: u32 = 3_600;

/// A burn window is never shorter than this, so that it holds a few raw windows.
const BURN_WINDOW_MIN_S: u32 = 30;

impl Slo {
    /// The part of the requests that may fail.
    #[must_use]
    pub fn budget(&self) -> f64 {
        // 1 - 0.999 is 0.0010000000000000009; twelve digits are more than an objective has.
        ((1.0 - self.objective) * 1e12).round() / 1e12
    }

    /// 1 h and 5 min at 14.4 times.
    #[must_use]
    pub fn fast(&self) -> Burn {
        self.burn(14.4, HOUR_S, HOUR_S / 12)
    }

    /// 6 h and 30 min at 6 times.
    #[must_use]
    pub fn mid(&self) -> Burn {
        self.burn(6.0, 6 * HOUR_S, HOUR_S / 2)
    }

    /// 3 d and 6 h at 1 time.
    #[must_use]
    pub fn slow(&self) -> Burn {
        self.burn(1.0, 72 * HOUR_S, 6 * HOUR_S)
    }

    fn burn(&self, factor: f64, long_s: u32, short_s: u32) -> Burn {
        let scaled = |seconds: u32| (seconds / self.time_scale).max(BURN_WINDOW_MIN_S);
        Burn { factor, long_s: scaled(long_s), short_s: scaled(short_s) }
    }

    /// How many times faster than allowed the budget is spent; 1 spends it in exactly 30 days.
    #[must_use]
    pub fn burn_rate(&self, http_all: &Source) -> String {
        format!("{} / {}", http_all.ratio("errors", "requests"), self.budget())
    }
}

/// The bucket for a window of this many seconds: raw up to an hour, which is few points, minutes above.
#[must_use]
pub const fn bucket_for(seconds: u32) -> Bucket {
    if seconds <= HOUR_S { Bucket::Raw } else { Bucket::Minute }
}

/// Requests in a short burn window below which one failure would page.
pub const BURN_REQUESTS_MIN: f64 = 300.0;
/// A route's share of 5xx.
pub const ROUTE_ERROR_RATIO: f64 = 0.05;
/// Requests of a route below which its ratio says nothing.
pub const ROUTE_REQUESTS_MIN: f64 = 50.0;
/// A route's 95th percentile, milliseconds.
pub const LATENCY_P95_MS: f64 = 800.0;
/// Traffic below this share of the last hour's mean is a drop.
pub const TRAFFIC_DROP_RATIO: f64 = 0.3;
/// Requests in the last hour below which a drop says nothing.
pub const TRAFFIC_REQUESTS_MIN: f64 = 1_000.0;
/// Event sent to queryable, 99th percentile, milliseconds.
pub const FRESHNESS_P99_MS: f64 = 10_000.0;
/// Rejected records among all.
pub const REJECTED_RATIO: f64 = 0.01;
/// Records too late for their window among all.
pub const LATE_RATIO: f64 = 0.1;
/// Records that repeat an event among all: a retry now and then is usual, a whole topic sent again is not.
pub const REPEATED_RATIO: f64 = 0.5;
/// Events that lack a field among all counted. Visitors who are not logged in have no user, so a shop may be far up by
/// nature; a field that is called otherwise than told is missing from every event.
pub const INCOMPLETE_RATIO: f64 = 0.9;
/// Events with a value of no use among all counted.
pub const UNUSABLE_RATIO: f64 = 0.05;
/// Records with a fault, in the time that a rule looks at, below which a share says nothing.
pub const FAULTY_RECORDS_MIN: u32 = 20;
/// Lag, as seconds of the current rate.
pub const LAG_S: f64 = 30.0;
/// Lag below which the rate says nothing, records.
pub const LAG_RECORDS_MIN: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_scale_down_but_keep_some_raw_windows() {
        let demo = Slo { objective: 0.999, time_scale: 60 };
        assert_eq!(demo.fast(), Burn { factor: 14.4, long_s: 60, short_s: 30 });
        assert_eq!(demo.slow(), Burn { factor: 1.0, long_s: 4_320, short_s: 360 });
        assert_eq!(Slo::default().fast(), Burn { factor: 14.4, long_s: 3_600, short_s: 300 });
    }

    #[test]
    fn the_budget_has_no_rounding_noise() {
        assert_eq!(Slo { objective: 0.999, time_scale: 1 }.budget().to_string(), "0.001");
    }
}
