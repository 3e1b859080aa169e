//! How often a client that came to its end is replaced before the process ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Now and then it is a pause of the process or a Kafka that was killed; as often as this within [`SPAN`] it is another
/// processor of the same name.
const MAX: usize = 5;
const SPAN: Duration = Duration::from_secs(600);

/// When a client was replaced lately.
#[derive(Debug, Default)]
pub(super) struct Renewals(VecDeque<Instant>);

impl Renewals {
    /// Notes an end at `now`; whether the client is to be replaced once more.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| now.duration_since(*at) > SPAN) {
            self.0.pop_front();
        }
        self.0.len() < MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_ends_again_and_again_is_given_up_and_one_that_ends_rarely_is_not() {
        let start = Instant::now();
        let mut often = Renewals::default();
        let allowed = (0..MAX as u32).map(|at| often.allows(start + SPAN / 10 * at)).collect::<Vec<_>>();
        assert_eq!(allowed, [true, true, true, true, false]);
        let mut rarely = Renewals::default();
        assert!((0..100).all(|at| rarely.allows(start + SPAN / 3 * at)));
    }
}
