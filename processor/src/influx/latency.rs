use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

/// How many writes the percentile looks at: at two a second and bucket, the last minute and more.
const RECENT: usize = 512;

/// Durations of the latest successful writes.
#[derive(Debug, Default)]
pub(super) struct RecentLatencies(Mutex<VecDeque<Duration>>);

impl RecentLatencies {
    pub(super) fn add(&self, duration: Duration) {
        let mut recent = self.0.lock().expect("no holder panics");
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(duration);
    }

    /// The 99th percentile (nearest rank) in milliseconds; 0 before the first write.
    pub(super) fn p99_ms(&self) -> f64 {
        let mut sorted: Vec<_> = self.0.lock().expect("no holder panics").iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * 99).div_ceil(100);
        let p99 = rank.checked_sub(1).map_or(Duration::ZERO, |place| sorted[place]);
        p99.as_secs_f64() * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p99_is_the_nearest_rank_of_the_recent_writes() {
        let latencies = RecentLatencies::default();
        assert_eq!(latencies.p99_ms(), 0.0);
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.p99_ms(), 99.0);
        for _ in 0..RECENT {
            latencies.add(Duration::from_millis(7));
        }
        assert_eq!(latencies.p99_ms(), 7.0);
    }
}
