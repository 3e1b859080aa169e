use std::collections::BTreeMap;

use events::EventType;

use crate::analytics::first_click::{Campaign, Line};
use crate::options::SECOND;
use crate::planted::{PlantedBug, is_planted};

/// An event that keyed logic needs, in small integers: 48 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedEvent {
    pub(crate) time: i64,
    pub(crate) offset: i64,
    pub(crate) source: Source,
    pub(crate) kind: KeyedKind,
    pub(crate) user: u32,
    /// Of a checkout that names none, [`NO_PRODUCT`].
    pub(crate) product: u32,
}

impl KeyedEvent {
    /// In which order events are decided, whatever the order in which they came: by time; at the same instant causes
    /// before what they may explain; then by where they stand.
    pub(crate) fn order(&self) -> (i64, u8, Source, i64) {
        let kind = if is_planted(PlantedBug::TiesByArrival) { 0 } else { self.kind.cause_rank() };
        (self.time, kind, self.source, self.offset)
    }
}

/// The log that an event is of: input, then partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source(pub(crate) u32);

/// Bits of a partition in a [`Source`]: more than any topic has.
const PARTITION_BITS: u32 = 20;

impl Source {
    pub(crate) fn new(input: usize, partition: u32) -> Self {
        Self((input as u32) << PARTITION_BITS | partition & ((1 << PARTITION_BITS) - 1))
    }
}
/// No product's slot.
pub(crate) const NO_PRODUCT: u32 = u32::MAX;

/// What keyed logic does with it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyedKind {
    Click { campaign: Campaign },
    Checkout(Line),
}

impl KeyedKind {
    fn cause_rank(self) -> u8 {
        match self {
            Self::Click { .. } => EventType::ProductClick.cause_rank(),
            Self::Checkout(_) => EventType::Checkout.cause_rank(),
        }
    }
}

/// Holds events until the watermark has passed them, and releases them in [order](KeyedEvent::order).
///
/// Buckets of a second, sorted when released, so holding an event costs one push. Bounded by the events between the
/// watermark and the greatest event time.
#[derive(Debug, Default)]
pub(crate) struct ReorderBuffer {
    buckets: BTreeMap<i64, Vec<KeyedEvent>>,
    /// The bucket of the last push, kept out of the tree.
    open: (i64, Vec<KeyedEvent>),
    spare: Vec<Vec<KeyedEvent>>,
    len: usize,
}

/// Emptied buckets kept for reuse.
const SPARE_MAX: usize = 8;

impl ReorderBuffer {
    #[inline]
    pub(crate) fn push(&mut self, event: KeyedEvent) {
        let bucket = event.time.div_euclid(SECOND);
        self.len += 1;
        if bucket != self.open.0 {
            self.switch(bucket);
        }
        self.open.1.push(event);
    }

    fn switch(&mut self, bucket: i64) {
        let next = self.buckets.remove(&bucket).unwrap_or_else(|| self.spare.pop().unwrap_or_default());
        let (at, events) = std::mem::replace(&mut self.open, (bucket, next));
        if events.is_empty() {
            self.keep(events);
        } else {
            self.buckets.insert(at, events);
        }
    }

    /// The earliest second of an event that is held.
    pub(crate) fn first_second(&self) -> Option<i64> {
        let open = (!self.open.1.is_empty()).then_some(self.open.0);
        let first = self.buckets.first_key_value().map(|(at, _)| *at);
        first.into_iter().chain(open).min()
    }

    /// Releases every whole second before `watermark`, in order, a second at a time.
    pub(crate) fn release(&mut self, watermark: i64, mut to: impl FnMut(&[KeyedEvent])) {
        let until = watermark.div_euclid(SECOND);
        loop {
            let Some(next) = self.first_second().filter(|next| *next < until) else { return };
            let mut events = if self.open.0 == next && !self.open.1.is_empty() {
                std::mem::take(&mut self.open.1)
            } else {
                self.buckets.remove(&next).expect("the first key is in the tree")
            };
            if !is_planted(PlantedBug::FactsUnordered) {
                events.sort_unstable_by_key(KeyedEvent::order);
            }
            self.len -= events.len();
            to(&events);
            events.clear();
            self.keep(events);
        }
    }

    /// What is held, in no particular order.
    pub(crate) fn held(&self) -> Vec<KeyedEvent> {
        self.buckets.values().chain([&self.open.1]).flatten().copied().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn keep(&mut self, events: Vec<KeyedEvent>) {
        if self.spare.len() < SPARE_MAX && events.capacity() > 0 {
            self.spare.push(events);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(time: i64, offset: i64) -> KeyedEvent {
        let kind = KeyedKind::Click { campaign: Campaign::NONE };
        let source = Source::new(0, 0);
        KeyedEvent { time, offset, source, kind, user: 0, product: 0 }
    }

    #[test]
    fn at_the_same_instant_causes_come_first_then_inputs_partitions_and_offsets() {
        let click = KeyedKind::Click { campaign: Campaign::NONE };
        let checkout = KeyedKind::Checkout(Line { amount_cents: 0, currency: 0, is_first: true });
        let ordered = [
            (0, click, Source::new(9, 9), 9),
            (1, click, Source::new(0, 0), 5),
            (1, click, Source::new(0, 0), 7),
            (1, click, Source::new(0, 1), 2),
            (1, click, Source::new(1, 0), 1),
            (1, checkout, Source::new(0, 0), 3),
            (1, checkout, Source::new(1, 0), 0),
            (2, click, Source::new(0, 0), 0),
        ];
        let place = |event: &KeyedEvent| (event.time, event.source, event.offset);
        for first in 0..ordered.len() {
            for backwards in [false, true] {
                let mut buffer = ReorderBuffer::default();
                let mut arrivals = [&ordered[first..], &ordered[..first]].concat();
                if backwards {
                    arrivals.reverse();
                }
                for (time, kind, source, offset) in arrivals {
                    buffer.push(KeyedEvent { kind, source, ..event(time, offset) });
                }
                let mut out = Vec::new();
                buffer.release(i64::MAX, |events| out.extend(events.iter().map(place)));
                let expected: Vec<_> =
                    ordered.iter().map(|(time, _, source, offset)| (*time, *source, *offset)).collect();
                assert_eq!(out, expected, "from {first} on, backwards: {backwards}");
            }
        }
    }

    #[test]
    fn what_waits_stays_small() {
        assert_eq!(size_of::<KeyedEvent>(), 48);
    }

    #[test]
    fn nothing_at_or_after_the_watermark_is_released() {
        let mut buffer = ReorderBuffer::default();
        buffer.push(event(10 * SECOND, 1));
        buffer.push(event(9 * SECOND + 5, 2));
        let mut out = Vec::new();
        buffer.release(10 * SECOND, |events| out.extend(events.iter().map(|event| event.offset)));
        assert_eq!((out, buffer.len()), (vec![2], 1));
    }

    proptest! {
        #[test]
        fn release_equals_sorting(times in prop::collection::vec(0i64..20_000_000, 0..300), cut in 0i64..25_000_000) {
            let mut buffer = ReorderBuffer::default();
            for (offset, &time) in (0..).zip(&times) {
                buffer.push(event(time, offset));
            }
            let mut out = Vec::new();
            let mut take = |events: &[KeyedEvent]| out.extend(events.iter().map(|event| (event.time, event.offset)));
            buffer.release(cut, &mut take);
            buffer.release(i64::MAX, &mut take);
            let mut expected: Vec<_> = times.into_iter().zip(0..).collect();
            expected.sort_unstable();
            prop_assert_eq!(out, expected);
            prop_assert_eq!(buffer.len(), 0);
        }
    }
}
