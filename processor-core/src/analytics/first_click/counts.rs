use std::collections::BTreeMap;

use crate::options::SECOND;

/// How many clicks are kept over all users, by the second they are of: what tells which are the oldest.
///
/// Exact for what is in reach: a click that is dropped as it is out of reach is counted until its second is, too.
#[derive(Debug)]
pub(crate) struct ClickCounts {
    by_second: BTreeMap<i64, usize>,
    len: usize,
    max: usize,
    /// Dropped although a checkout could have credited them.
    dropped: u64,
}

/// The share that is dropped at once when there are too many: finding them is a look at every user.
const DROPPED_SHARE: usize = 8;

impl ClickCounts {
    pub(crate) fn new(max: usize) -> Self {
        Self { by_second: BTreeMap::new(), len: 0, max, dropped: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.max
    }

    pub(crate) fn add(&mut self, time: i64) {
        let second = time.div_euclid(SECOND);
        match self.by_second.last_entry() {
            // As nearly always: clicks are decided second by second.
            Some(mut last) if *last.key() == second => *last.get_mut() += 1,
            _ => *self.by_second.entry(second).or_default() += 1,
        }
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, time: i64) {
        if let Some(count) = self.by_second.get_mut(&time.div_euclid(SECOND)).filter(|count| **count > 0) {
            *count -= 1;
            self.len -= 1;
        }
    }

    /// Tells that no click before `from` is asked for any more.
    pub(crate) fn expire_before(&mut self, from: i64) {
        while let Some(first) = self.by_second.first_entry().filter(|first| *first.key() * SECOND < from) {
            self.len -= first.remove();
        }
    }

    /// Where there are too many, the time before which every click has to be dropped.
    pub(crate) fn make_room(&mut self) -> Option<i64> {
        if !self.is_full() {
            return None;
        }
        let keep = self.max - self.max.div_ceil(DROPPED_SHARE);
        let mut floor = None;
        while self.len > keep {
            let (second, count) = self.by_second.pop_first()?;
            self.len -= count;
            self.dropped += count as u64;
            floor = Some((second + 1) * SECOND);
        }
        floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_seconds_make_room_and_what_is_out_of_reach_takes_none() {
        let mut counts = ClickCounts::new(8);
        (0..8).for_each(|second| counts.add(second * SECOND + 5));
        counts.expire_before(2 * SECOND + 5); // the second of a click that may be in reach goes with those before
        assert_eq!((counts.len(), counts.make_room()), (5, None));
        (8..11).for_each(|second| counts.add(second * SECOND));
        assert_eq!((counts.make_room(), counts.len(), counts.dropped()), (Some(4 * SECOND), 7, 1));
        counts.remove(0); // gone already
        counts.remove(10 * SECOND);
        assert_eq!(counts.len(), 6);
    }

    #[test]
    fn a_second_that_has_them_all_goes_whole() {
        let mut counts = ClickCounts::new(3);
        (0..3).for_each(|_| counts.add(7));
        assert_eq!((counts.make_room(), counts.len()), (Some(SECOND), 0));
    }
}
