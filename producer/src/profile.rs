//! How the rate changes over time.

use std::f64::consts::TAU;
use std::time::Duration;

/// The shape of the traffic; each is a function of the time since the start, see [`Profile::rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Shape {
    /// The rate, always.
    #[default]
    Steady,
    /// From a tenth of the rate to the rate within one period; then the rate.
    Ramp,
    /// Up to half more and half less in each period, like day and night; the rate is its mean.
    Sine,
    /// The rate, and four times the rate during the last tenth of each period.
    Burst,
}

/// How many times the rate a burst is.
const BURST_FACTOR: f64 = 4.0;

/// A rate as a function of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// The shape.
    pub shape: Shape,
    /// Records per second; positive.
    pub rate: f64,
    /// How long one round of the shape takes.
    pub period: Duration,
}

impl Profile {
    /// The same rate all the time.
    #[must_use]
    pub const fn steady(rate: f64) -> Self {
        Self { shape: Shape::Steady, rate, period: Duration::from_secs(60) }
    }

    /// Records per second at `elapsed` after the start.
    #[must_use]
    pub fn rate(&self, elapsed: Duration) -> f64 {
        let rounds = elapsed.as_secs_f64() / self.period.as_secs_f64();
        let factor = match self.shape {
            Shape::Steady => 1.0,
            Shape::Ramp => 0.1 + 0.9 * rounds.min(1.0),
            Shape::Sine => 1.0 + 0.5 * (TAU * rounds).sin(),
            Shape::Burst if rounds.fract() >= 0.9 => BURST_FACTOR,
            Shape::Burst => 1.0,
        };
        self.rate * factor
    }

    /// The greatest rate it ever asks for.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.rate
            * match self.shape {
                Shape::Steady | Shape::Ramp => 1.0,
                Shape::Sine => 1.5,
                Shape::Burst => BURST_FACTOR,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(shape: Shape) -> Profile {
        Profile { shape, rate: 1_000.0, period: Duration::from_secs(100) }
    }

    fn rates(shape: Shape, seconds: &[u64]) -> Vec<i64> {
        seconds.iter().map(|s| profile(shape).rate(Duration::from_secs(*s)).round() as i64).collect()
    }

    #[test]
    fn steady_never_changes() {
        assert_eq!(rates(Shape::Steady, &[0, 1, 99, 100_000]), [1_000; 4]);
    }

    #[test]
    fn a_ramp_rises_for_one_period_and_stays() {
        assert_eq!(rates(Shape::Ramp, &[0, 50, 100, 250]), [100, 550, 1_000, 1_000]);
    }

    #[test]
    fn a_sine_goes_half_up_and_half_down_around_the_rate() {
        assert_eq!(rates(Shape::Sine, &[0, 25, 50, 75, 100]), [1_000, 1_500, 1_000, 500, 1_000]);
    }

    #[test]
    fn a_burst_is_the_last_tenth_of_each_period() {
        assert_eq!(
            rates(Shape::Burst, &[0, 89, 90, 99, 100, 195]),
            [1_000, 1_000, 4_000, 4_000, 1_000, 4_000]
        );
    }

    #[test]
    fn no_shape_exceeds_its_peak() {
        for shape in [Shape::Steady, Shape::Ramp, Shape::Sine, Shape::Burst] {
            let profile = profile(shape);
            for second in 0..300 {
                assert!(profile.rate(Duration::from_secs(second)) <= profile.peak());
            }
        }
    }
}
