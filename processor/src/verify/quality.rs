//! Counts of records without an event time, where the log alone does not say in which window they count.
//!
//! Rejected and late records count in the stream's present, which the wall clock moves after a pause. Each such record
//! then counts in one window of a span. Found counts are right if every record can be given a window of its span so that
//! all counts come out: giving a window the records whose span ends first finds such an assignment where there is one.

use std::collections::BTreeMap;

/// A record that counts in one of the windows from `from` to `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Floating {
    pub(super) reason: &'static str,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The records of one resolution that have no window yet. Windows are to be asked about in order.
#[derive(Debug)]
pub(super) struct Unplaced {
    size: i64,
    /// By reason: first and last window of each record.
    records: BTreeMap<&'static str, Vec<(i64, i64)>>,
}

impl Unplaced {
    pub(super) fn new(size: i64) -> Self {
        Self { size, records: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, record: &Floating) {
        let window = |time: i64| time.div_euclid(self.size) * self.size;
        let span = (window(record.from), window(record.to));
        self.records.entry(record.reason).or_default().push(span);
    }

    /// Gives the window up to `count` records that may count in it, and returns how many it got.
    pub(super) fn place(&mut self, reason: &str, window: i64, count: u64) -> u64 {
        let Some(records) = self.records.get_mut(reason) else { return 0 };
        let mut placed = 0;
        while placed < count {
            let fitting =
                records.iter().enumerate().filter(|(_, (from, to))| (*from..=*to).contains(&window));
            let Some((at, _)) = fitting.min_by_key(|(_, (_, to))| *to) else { break };
            records.swap_remove(at);
            placed += 1;
        }
        placed
    }

    /// Takes out the records whose span ends before `window`: reason, first and last window.
    pub(super) fn passed(&mut self, window: i64) -> Vec<(&'static str, i64, i64)> {
        let mut passed = Vec::new();
        for (reason, records) in &mut self.records {
            passed
                .extend(records.extract_if(.., |(_, to)| *to < window).map(|(from, to)| (*reason, from, to)));
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unplaced(spans: &[(i64, i64)]) -> Unplaced {
        let mut unplaced = Unplaced::new(10);
        spans.iter().for_each(|&(from, to)| unplaced.add(&Floating { reason: "late", from, to }));
        unplaced
    }

    #[test]
    fn a_record_goes_to_a_window_of_its_span_and_the_most_pressing_goes_first() {
        let mut records = unplaced(&[(5, 45), (12, 25)]);
        assert_eq!(records.place("late", 10, 1), 1);
        assert_eq!(records.place("late", 40, 1), 1);
        assert_eq!(records.place("late", 40, 1), 0);
    }

    #[test]
    fn a_record_that_no_window_counted_is_left_over() {
        let mut records = unplaced(&[(5, 45), (12, 25)]);
        assert_eq!(records.place("not_json", 20, 1), 0);
        assert_eq!(records.passed(20), []);
        assert_eq!(records.passed(30), [("late", 10, 20)]);
    }
}
