//! Lines that wait for one bucket, each point once.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use events::Timestamp;
use hashbrown::HashTable;

/// A point's line with what it takes to know its point again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Line protocol without the newline.
    pub(super) bytes: Vec<u8>,
    /// How much of `bytes` names the series.
    pub(super) series_len: usize,
    /// The point's time: with the series, its identity.
    pub(super) time: Timestamp,
    /// Whether another instance may write this point, too, so that only a confirmed member may.
    pub(super) shared: bool,
}

impl Line {
    fn series(&self) -> &[u8] {
        &self.bytes[..self.series_len]
    }

    /// Bytes in a request, with the newline.
    #[must_use]
    pub(super) fn len_in_request(&self) -> usize {
        self.bytes.len() + 1
    }
}

/// A line taken from the queue, to be written or put back.
#[derive(Debug)]
pub(super) struct Taken {
    /// The line.
    pub line: Line,
    /// The oldest batch that waits for this point.
    oldest: u64,
}

/// Lines in the order their points were first submitted. A newer line of a waiting point takes the older one's place,
/// so the queue is never longer than the number of distinct points, however long InfluxDB is away.
///
/// Batches are numbered in the order they come. Since a replaced line keeps its place and its number, the first line
/// is always the one the oldest unfinished batch waits for: [`PointQueue::finished_before`] needs no search.
#[derive(Debug, Default)]
pub(super) struct PointQueue {
    /// `None` where the line moved to the front; skipped.
    slots: VecDeque<Option<Taken>>,
    /// Number of `slots[0]`; a slot keeps its number while others come and go.
    first: u64,
    /// Slot numbers by point.
    index: HashTable<u64>,
    hasher: RandomState,
    bytes: usize,
    next_batch: u64,
}

/// Added to a slot number so that putting lines back at the front cannot pass zero.
const FIRST_SLOT: u64 = 1 << 62;
/// Empty slots tolerated beyond one per line, so that short queues are not compacted over and over.
const COMPACT_SLACK: usize = 1024;

impl PointQueue {
    /// An empty queue.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { first: FIRST_SLOT, ..Self::default() }
    }

    /// Adds a batch's lines and returns its number.
    pub(super) fn push(&mut self, lines: impl IntoIterator<Item = Line>) -> u64 {
        let batch = self.next_batch;
        self.next_batch += 1;
        for line in lines {
            self.push_line(line, batch);
        }
        batch
    }

    fn push_line(&mut self, line: Line, batch: u64) {
        self.bytes += line.len_in_request();
        if let Some(slot) = self.find(&line) {
            let waiting = self.slot_mut(slot);
            let older = std::mem::replace(&mut waiting.line, line);
            self.bytes -= older.len_in_request();
            return;
        }
        let slot = self.first + self.slots.len() as u64;
        self.slots.push_back(Some(Taken { line, oldest: batch }));
        self.insert_index(slot);
    }

    /// Takes lines from the front: at most `lines_max`, and no more than fit in `bytes_max`, but at least one.
    pub(super) fn take(&mut self, lines_max: usize, bytes_max: usize) -> Vec<Taken> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < lines_max {
            match self.slots.front() {
                None => break,
                Some(None) => {}
                Some(Some(next)) => {
                    let len = next.line.len_in_request();
                    if !taken.is_empty() && bytes + len > bytes_max {
                        break;
                    }
                    bytes += len;
                    self.remove_index(self.first);
                }
            }
            self.first += 1;
            taken.extend(self.slots.pop_front().expect("the front was seen"));
        }
        self.bytes -= bytes;
        taken
    }

    /// Puts lines back that could not be written, in front and in their order. Where a newer line of the point has
    /// come meanwhile, that one takes the place and the older one is dropped.
    pub(super) fn put_back(&mut self, taken: Vec<Taken>) {
        for mut older in taken.into_iter().rev() {
            if let Some(slot) = self.find(&older.line) {
                self.remove_index(slot);
                let place = usize::try_from(slot - self.first).expect("fits: it is an index");
                let newer = self.slots[place].take().expect("an indexed slot is full");
                older.line = newer.line;
            } else {
                self.bytes += older.line.len_in_request();
            }
            self.first -= 1;
            let slot = self.first;
            self.slots.push_front(Some(older));
            self.insert_index(slot);
        }
        if self.slots.len() > 2 * self.len() + COMPACT_SLACK {
            self.compact();
        }
    }

    /// Drops every line; batches keep counting, so those before are finished.
    pub(super) fn clear(&mut self) {
        let next_batch = self.next_batch;
        *self = Self { next_batch, ..Self::new() };
    }

    /// Drops the slots that lines moved away from: one retry after the other would add to them.
    fn compact(&mut self) {
        self.slots.retain(Option::is_some);
        self.index.clear();
        self.first = FIRST_SLOT;
        for place in 0..self.slots.len() as u64 {
            self.insert_index(FIRST_SLOT + place);
        }
    }

    /// Every batch with a smaller number is finished, provided that nothing taken is still to be put back.
    #[must_use]
    pub(super) fn finished_before(&self) -> u64 {
        self.slots.iter().flatten().next().map_or(self.next_batch, |line| line.oldest)
    }

    /// Waiting points.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes of the waiting lines, newlines included.
    #[must_use]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn hash(&self, line: &Line) -> u64 {
        self.hasher.hash_one((line.series(), line.time))
    }

    fn find(&self, line: &Line) -> Option<u64> {
        let is_same = |slot: &u64| {
            let other = &self.slot(*slot).line;
            other.time == line.time && other.series() == line.series()
        };
        self.index.find(self.hash(line), is_same).copied()
    }

    fn insert_index(&mut self, slot: u64) {
        let hash = self.hash(&self.slot(slot).line);
        let Self { slots, first, index, hasher, .. } = self;
        index.insert_unique(hash, slot, |slot| {
            let line = &full(slots, *first, *slot).line;
            hasher.hash_one((line.series(), line.time))
        });
    }

    fn remove_index(&mut self, slot: u64) {
        let hash = self.hash(&self.slot(slot).line);
        let entry = self.index.find_entry(hash, |other| *other == slot).expect("a full slot is indexed");
        entry.remove();
    }

    fn slot(&self, slot: u64) -> &Taken {
        full(&self.slots, self.first, slot)
    }

    fn slot_mut(&mut self, slot: u64) -> &mut Taken {
        let place = usize::try_from(slot - self.first).expect("fits: it is an index");
        self.slots[place].as_mut().expect("an indexed slot is full")
    }
}

fn full(slots: &VecDeque<Option<Taken>>, first: u64, slot: u64) -> &Taken {
    let place = usize::try_from(slot - first).expect("fits: it is an index");
    slots[place].as_ref().expect("an indexed slot is full")
}

#[cfg(test)]
mod tests;
