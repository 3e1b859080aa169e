//! Lets ticks through at their pace.
//!
//! What is paced is the tick, at a frequency that never changes, and not the record: how many records a tick has is
//! arithmetic, so a rate that changes is as exact as a steady one.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// How much time may be made up for after a stall. At 1 % of ten seconds it keeps every ten seconds within 1 %.
const CATCH_UP: Duration = Duration::from_millis(100);

/// Says when the next tick is due.
#[derive(Debug)]
pub(crate) struct Pace<C: Clock + Clone = DefaultClock> {
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl<C: Clock + Clone> Pace<C> {
    /// One tick per `tick`, from now on.
    ///
    /// # Panics
    /// If `tick` is zero.
    pub(crate) fn new(tick: Duration, clock: C) -> Self {
        let burst = (CATCH_UP.as_micros() / tick.as_micros()).clamp(1, u128::from(u32::MAX));
        let burst = NonZeroU32::new(burst as u32).expect("at least 1");
        let quota = Quota::with_period(tick).expect("a tick is not zero").allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        // A limiter begins with a full burst, but nothing was missed yet.
        let _ = limiter.check_n(burst);
        Self { limiter, clock }
    }

    /// Takes the next tick if it is due.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub(crate) fn next(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    /// How many ticks get through until the clock says `until`, when the caller is away for `pause` after each.
    fn ticks(
        pace: &Pace<FakeRelativeClock>,
        clock: &FakeRelativeClock,
        lasts: Duration,
        pause: Duration,
    ) -> u32 {
        let mut ticks = 0;
        let mut left = lasts;
        while left > Duration::ZERO {
            let wait = match pace.next() {
                Ok(()) => {
                    ticks += 1;
                    pause
                }
                Err(wait) => wait,
            };
            clock.advance(wait.min(left));
            left -= wait.min(left);
        }
        ticks
    }

    #[test]
    fn ten_seconds_have_as_many_ticks_as_fit() {
        for tick_ms in [1, 5] {
            let clock = FakeRelativeClock::default();
            let pace = Pace::new(Duration::from_millis(tick_ms), clock.clone());
            for _ in 0..3 {
                let counted = ticks(&pace, &clock, Duration::from_secs(10), Duration::ZERO);
                assert!((10_000 / tick_ms as u32).abs_diff(counted) <= 1, "{counted} ticks of {tick_ms} ms");
            }
        }
    }

    #[test]
    fn a_caller_who_works_most_of_a_tick_still_gets_all_of_them() {
        let clock = FakeRelativeClock::default();
        let pace = Pace::new(Duration::from_millis(5), clock.clone());
        let counted = ticks(&pace, &clock, Duration::from_secs(10), Duration::from_micros(4_900));
        assert!(counted.abs_diff(2_000) <= 1, "{counted}");
    }

    #[test]
    fn a_long_stall_is_made_up_for_only_within_one_percent() {
        let clock = FakeRelativeClock::default();
        let pace = Pace::new(Duration::from_millis(5), clock.clone());
        clock.advance(Duration::from_secs(60));
        let counted = ticks(&pace, &clock, Duration::from_secs(10), Duration::ZERO);
        assert!(counted > 2_000 && counted <= 2_021, "{counted}");
    }
}
