//! Makes the stream as untidy as a real one: out of order, too late, twice, or not valid at all.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use events::Timestamp;
use rand::{Rng, RngExt, rngs::Xoshiro256PlusPlus};

use crate::batch::{Batch, RecordKind};
use crate::invalid;
use crate::shoppers::{Effects, Shoppers, stream};

/// Which share of the records is out of order in which way; each 0 to 1, together at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disorder {
    /// Events held back in sending by up to four fifths of `out_of_orderness`: never behind a watermark.
    pub out_of_order: f64,
    /// Events stamped so far before their user's previous event that no window counts them any more.
    pub late: f64,
    /// Events sent again, byte for byte, a moment later.
    pub duplicates: f64,
    /// Records that must be rejected, one reason after the other.
    pub invalid: f64,
    /// How far event times may fall behind the greatest before they are behind the watermark.
    pub out_of_orderness: Duration,
    /// How long after the watermark a window's last event may come: the window's size plus the allowed lateness.
    pub closes_after: Duration,
}

impl Default for Disorder {
    fn default() -> Self {
        Self {
            out_of_order: 0.0,
            late: 0.0,
            duplicates: 0.0,
            invalid: 0.0,
            out_of_orderness: Duration::from_secs(5),
            closes_after: Duration::from_secs(70),
        }
    }
}

/// How far beyond closing late events lie, so that nobody can argue, whatever else delays the watermark.
const LATE_MARGIN: Duration = Duration::from_secs(120);

/// Late events differ by up to this much.
const LATE_SPREAD_MICROS: i64 = 120_000_000;

/// How many of the last events a duplicate may repeat.
const REPEATABLE: usize = 256;

/// An event that is sent later than it was made.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    release: Timestamp,
    /// Makes the order of those with the same release the order in which they were made.
    number: u64,
    late: bool,
    key: (usize, usize),
    value: Vec<u8>,
}

/// Shoppers' events on their way into batches, with disorder.
#[derive(Debug)]
pub(crate) struct Untidy {
    settings: Disorder,
    /// Upper bounds of 2^64 in the order: invalid, duplicates, late, out of order.
    bounds: [u64; 4],
    random: Xoshiro256PlusPlus,
    held: BinaryHeap<Reverse<Held>>,
    recent: VecDeque<(usize, usize, Vec<u8>)>,
    number: u64,
}

impl Untidy {
    pub(crate) fn new(settings: Disorder, seed: u64) -> Self {
        let mut sum = 0.0;
        let bounds =
            [settings.invalid, settings.duplicates, settings.late, settings.out_of_order].map(|share| {
                sum += share;
                (sum * 2_f64.powi(64)) as u64
            });
        Self {
            settings,
            bounds,
            random: stream(seed, 7),
            held: BinaryHeap::new(),
            recent: VecDeque::new(),
            number: 0,
        }
    }

    /// How many events are held back.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Adds exactly one record to `batch`: the one to be sent at `time`.
    pub(crate) fn write_next(
        &mut self,
        batch: &mut Batch,
        shoppers: &mut Shoppers,
        time: Timestamp,
        effects: &Effects,
    ) {
        if self.held.peek().is_some_and(|Reverse(held)| held.release <= time) {
            self.release(batch);
            return;
        }
        if self.bounds[3] == 0 {
            ordinary(batch, shoppers, time, effects);
            return;
        }
        loop {
            let draw = self.random.next_u64();
            let [invalid, duplicates, late, out_of_order] = self.bounds;
            if draw < invalid {
                self.write_invalid(batch, shoppers, time);
            } else if draw < duplicates && !self.recent.is_empty() {
                let at = self.random.random_range(0..self.recent.len());
                let (from, to, value) = &self.recent[at];
                batch.push(&value[*from..*to], value, RecordKind::Duplicate);
            } else if draw >= duplicates && draw < late {
                self.hold(shoppers, time, true, effects);
                continue;
            } else if draw >= late && draw < out_of_order {
                self.hold(shoppers, time, false, effects);
                continue;
            } else {
                ordinary(batch, shoppers, time, effects);
                self.remember(batch);
            }
            return;
        }
    }

    /// Adds the event that is held for the shortest; whether there was one.
    pub(crate) fn release(&mut self, batch: &mut Batch) -> bool {
        let Some(Reverse(held)) = self.held.pop() else { return false };
        let kind = if held.late { RecordKind::Late } else { RecordKind::OutOfOrder };
        batch.push(&held.value[held.key.0..held.key.1], &held.value, kind);
        true
    }

    fn hold(&mut self, shoppers: &mut Shoppers, time: Timestamp, late: bool, effects: &Effects) {
        let bound = micros(self.settings.out_of_orderness);
        let (backdate, delay) = if late {
            let closed = bound + micros(self.settings.closes_after) + micros(LATE_MARGIN);
            // Held for longer than any event out of order, so the user's previous event is sent before this one.
            (Some(closed + self.random.random_range(0..LATE_SPREAD_MICROS)), bound)
        } else {
            (None, self.random.random_range(0..=bound * 4 / 5))
        };
        let mut value = Vec::with_capacity(256);
        let written = shoppers.write_next(&mut value, time, backdate, effects);
        self.number += 1;
        self.held.push(Reverse(Held {
            release: time.plus_micros(if late && !written.backdated { 0 } else { delay }),
            number: self.number,
            late: written.backdated,
            key: (written.key.start, written.key.end),
            value,
        }));
    }

    fn write_invalid(&mut self, batch: &mut Batch, shoppers: &Shoppers, time: Timestamp) {
        let reason = invalid::REASONS[(self.number % invalid::REASONS.len() as u64) as usize];
        self.number += 1;
        let user = shoppers.any_user(self.random.next_u64());
        let text = str::from_utf8(user).expect("a UUID is ASCII");
        let mut value = Vec::new();
        invalid::write(&mut value, reason, text, self.number, time);
        batch.push(user, &value, RecordKind::Invalid(reason));
    }

    /// Keeps the batch's last record for a while, to be repeated.
    fn remember(&mut self, batch: &Batch) {
        if self.settings.duplicates == 0.0 {
            return;
        }
        let record = batch.get(batch.len() - 1).expect("one was just added");
        let mut value = if self.recent.len() < REPEATABLE {
            Vec::new()
        } else {
            self.recent.pop_front().expect("it is full").2
        };
        value.clear();
        value.extend_from_slice(record.value);
        let key = record.key.as_ptr() as usize - record.value.as_ptr() as usize;
        self.recent.push_back((key, key + record.key.len(), value));
    }
}

fn ordinary(batch: &mut Batch, shoppers: &mut Shoppers, time: Timestamp, effects: &Effects) {
    let start = batch.buffer().len();
    let written = shoppers.write_next(batch.buffer(), time, None, effects);
    batch.seal(start, written.key, RecordKind::Ordinary);
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 8)
}
