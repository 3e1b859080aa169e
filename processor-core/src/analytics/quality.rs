//! Records that were not counted, and events that were not counted in everything, by reason.
//!
//! A record that is no event has no event time, and a late one's window is closed. Both are counted in the window
//! of the stream's present, the greatest event time seen so far. All else is counted in the event's own window.

use events::Reason;
use serde::{Deserialize, Serialize};

use super::{PointMaker, Span, integer};
use crate::schema;
use crate::snapshot::codec::{Reader, Writer};
use crate::tables::{AllRanks, AllSlots, Tables};

/// Why a record was not counted, or an event not in everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uncounted {
    Rejected(Reason),
    Duplicate,
    Late,
    /// An analytic lacked a field of it.
    Incomplete,
    /// A field's value was of no use.
    Unusable,
    /// The line of its order was there before.
    RepeatedCheckout,
}

const REASONS: usize = Reason::ALL.len();
/// Those that no [`Reason`] names.
const OTHERS: [&str; 5] = ["duplicate", "late", "incomplete", "unusable", "repeated_checkout"];

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    counts: [u64; REASONS + OTHERS.len()],
}

/// The same as the window: it has no names to translate.
pub(crate) type Partial<'a> = Window;

impl Window {
    pub(crate) fn count(&mut self, why: Uncounted) {
        self.counts[match why {
            Uncounted::Rejected(reason) => reason as usize,
            Uncounted::Duplicate => REASONS,
            Uncounted::Late => REASONS + 1,
            Uncounted::Incomplete => REASONS + 2,
            Uncounted::Unusable => REASONS + 3,
            Uncounted::RepeatedCheckout => REASONS + 4,
        }] += 1;
    }

    pub(crate) fn fold(&mut self, part: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&part.counts) {
            *sum += count;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn partial(&self, _: &Tables, _: Span) -> Partial<'_> {
        self.clone()
    }

    pub(crate) fn absorb(&mut self, other: &mut Self) {
        self.fold(other);
    }

    /// There is nothing to do: it has no names.
    pub(crate) fn settle(&mut self) {}

    pub(crate) fn bytes(&self) -> usize {
        0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    pub(crate) fn save(&self, writer: &mut Writer, _: &AllRanks) {
        self.counts.iter().for_each(|count| writer.number(*count));
    }

    pub(crate) fn load(reader: &mut Reader<'_>, _: &AllSlots) -> Option<Self> {
        let mut window = Self::default();
        for count in &mut window.counts {
            *count = reader.number()?;
        }
        Some(window)
    }

    pub(crate) fn points(&self, points: &mut PointMaker<'_>) {
        for (at, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            points.push(&schema::QUALITY, vec![reason_name(at).into()], vec![integer(count)]);
        }
    }
}

fn reason_name(at: usize) -> &'static str {
    match at.checked_sub(REASONS) {
        Some(other) => OTHERS[other],
        None => Reason::ALL[at].name(),
    }
}
