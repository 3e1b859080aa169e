//! How many records of which kind.

use events::Reason;

use crate::batch::{Batch, RecordKind};

/// Records by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Events, sent when they happened.
    pub ordinary: u64,
    /// Events sent after younger ones.
    pub out_of_order: u64,
    /// Events that no window counts any more.
    pub late: u64,
    /// Repeats of events.
    pub duplicates: u64,
    invalid: [u64; Reason::ALL.len()],
}

impl Tally {
    /// Adds the records of `batch`.
    pub fn count(&mut self, batch: &Batch) {
        for record in batch.iter() {
            match record.kind {
                RecordKind::Ordinary => self.ordinary += 1,
                RecordKind::OutOfOrder => self.out_of_order += 1,
                RecordKind::Late => self.late += 1,
                RecordKind::Duplicate => self.duplicates += 1,
                RecordKind::Invalid(reason) => self.invalid[reason as usize] += 1,
            }
        }
    }

    /// Records that must be rejected for `reason`.
    #[must_use]
    pub const fn invalid(&self, reason: Reason) -> u64 {
        self.invalid[reason as usize]
    }

    /// Records that must be rejected.
    #[must_use]
    pub fn invalid_total(&self) -> u64 {
        self.invalid.iter().sum()
    }

    /// All records.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ordinary + self.out_of_order + self.late + self.duplicates + self.invalid_total()
    }
}
