//! How long a call of Kafka's client may hang.

use std::time::{Duration, Instant};

/// How often Kafka is asked whether it answers at all, while a call hangs.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// A call may take as long as Kafka is away, and the deadline's length while Kafka answers: what hangs then would hang for
/// good.
pub(super) struct Patience {
    began_at: Instant,
    deadline: Duration,
    asked_at: Instant,
    /// Since when it has answered each time.
    answers_since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(now: Instant, deadline: Duration) -> Self {
        Self { began_at: now, deadline, asked_at: now, answers_since: None }
    }

    /// Whether the deadline has passed, wherever Kafka was meanwhile.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.began_at) > self.deadline
    }

    /// Whether to ask Kafka anything, and [`tell`](Self::tell) whether it answered.
    pub(super) fn wants_to_know(&self, now: Instant) -> bool {
        now.duration_since(self.asked_at) >= ASK_EVERY
    }

    /// Takes whether Kafka answers. For how long the call has hung although it did, once that is longer than the deadline.
    pub(super) fn tell(&mut self, now: Instant, answers: bool) -> Option<Duration> {
        self.asked_at = now;
        if !answers {
            self.answers_since = None;
            return None;
        }
        let hung = now.duration_since(*self.answers_since.get_or_insert(now));
        (hung > self.deadline).then_some(hung)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    /// When patience is lost with a Kafka that answers at the seconds for which this is true; asked each second.
    fn lost_at(answers: impl Fn(u64) -> bool) -> Option<u64> {
        let start = Instant::now();
        let mut patience = Patience::new(start, DEADLINE);
        (0..1_000).find(|second| {
            let now = start + Duration::from_secs(*second);
            patience.wants_to_know(now) && patience.tell(now, answers(*second)).is_some()
        })
    }

    #[test]
    fn a_kafka_that_answers_all_the_while_has_the_deadline() {
        assert_eq!(lost_at(|_| true), Some(70)); // asked at 5, and longer than 60 after that
    }

    #[test]
    fn a_kafka_that_is_away_is_waited_for_and_has_the_whole_deadline_once_it_is_back() {
        assert_eq!(lost_at(|_| false), None);
        for back in [58, 61, 600] {
            let lost = lost_at(|second| second >= back).expect("it hangs in the end");
            assert!((back + 60..=back + 70).contains(&lost), "back at {back}, lost at {lost}");
        }
        assert_eq!(lost_at(|second| second % 50 > 10), None, "a Kafka that comes and goes");
    }
}
