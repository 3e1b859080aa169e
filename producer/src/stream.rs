//! The records of a run, tick by tick: profile, shoppers, incidents and disorder put together.

use std::time::Duration;

use events::Timestamp;

use crate::batch::Batch;
use crate::disorder::{Disorder, Untidy};
use crate::incidents::Incidents;
use crate::profile::Profile;
use crate::shoppers::{ShopperSettings, Shoppers};

/// Makes the records of one tick after the other. Pure, like the shoppers: time comes from the caller.
#[derive(Debug)]
pub struct Stream {
    shoppers: Shoppers,
    untidy: Untidy,
    profile: Profile,
    incidents: Incidents,
    tick: Duration,
    ticks: u64,
    /// The part of a record that earlier ticks were short of.
    owed: f64,
    last: Timestamp,
    rate_set: f64,
}

/// A tick at rates that need no more.
const TICK: Duration = Duration::from_millis(5);

/// A tick at high rates: its records still fit the processor's cache.
const TICK_FAST: Duration = Duration::from_millis(1);

/// From this many records per second on ticks are short.
const FAST: f64 = 100_000.0;

impl Stream {
    /// # Panics
    /// If there are no users or no products.
    #[must_use]
    pub fn new(
        shoppers: &ShopperSettings,
        disorder: Disorder,
        profile: Profile,
        incidents: Incidents,
    ) -> Self {
        Self {
            untidy: Untidy::new(disorder, shoppers.seed),
            shoppers: Shoppers::new(shoppers),
            tick: if profile.peak() < FAST { TICK } else { TICK_FAST },
            profile,
            incidents,
            ticks: 0,
            owed: 0.0,
            last: Timestamp::MIN,
            rate_set: 0.0,
        }
    }

    /// How much time one call of [`Stream::tick`] covers.
    #[must_use]
    pub const fn tick_length(&self) -> Duration {
        self.tick
    }

    /// How much time all ticks so far covered.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.tick.as_micros() as u64 * self.ticks)
    }

    /// Records per second asked for at this moment, incidents included.
    #[must_use]
    pub fn rate(&self, now: Timestamp) -> f64 {
        self.profile.rate(self.elapsed()) * self.incidents.effects(now).traffic
    }

    /// How many records would be missing if it ended now: events made, but held back to be out of order.
    #[must_use]
    pub fn held(&self) -> usize {
        self.untidy.held()
    }

    /// Adds the records of the tick that begins at `start` to `batch`, but at most `limit`.
    ///
    /// Of a run that ends after `limit` records, those that are held back are the last ones.
    pub fn tick(&mut self, start: Timestamp, limit: u64, batch: &mut Batch) {
        let effects = self.incidents.effects(start);
        let rate = self.profile.rate(self.elapsed()) * effects.traffic;
        if (rate - self.rate_set).abs() > 0.02 * self.rate_set {
            self.shoppers.set_rate(rate);
            self.rate_set = rate;
        }
        let due = self.owed + rate * self.tick.as_secs_f64();
        let count = due.floor();
        self.owed = due - count;
        self.ticks += 1;
        let count = count as u64;
        let step_nanos = self.tick.as_nanos() as u64 / count.max(1);
        for number in 0..count.min(limit) {
            if limit - number <= self.untidy.held() as u64 {
                self.untidy.release(batch);
                continue;
            }
            // Never before the last one, even if the caller's clock was set back.
            let time = start.plus_micros((number * step_nanos / 1_000) as i64).max(self.last);
            self.last = time;
            self.untidy.write_next(batch, &mut self.shoppers, time, &effects);
        }
    }

    /// Adds everything that is held back: the end of a run that is not counted.
    pub fn finish(&mut self, batch: &mut Batch) {
        while self.untidy.release(batch) {}
    }
}
