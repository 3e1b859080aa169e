//! Whether everything of a partition has been read.

use std::time::{Duration, Instant};

/// Where records never cease to come, Kafka tells of no end, and some are always on their way. What a fetch told of the
/// end counts for so long.
const FRESH: Duration = Duration::from_secs(2);

/// What is known of a partition's end.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Where the partition ended when everything of it had been read.
    end: Option<i64>,
    /// A later end that a fetch told of, and when that was seen.
    mark: Option<(i64, Instant)>,
    caught_up: bool,
}

impl Reading {
    /// Kafka says that everything before `offset` was handed out, and nothing is there.
    pub(super) fn ended(&mut self, offset: i64) {
        self.end = Some(offset);
    }

    /// Looks again. `latest` is the end as of the last fetch (a record that waits in a queue of ours, or an open
    /// transaction, is before it), `next_offset` the next record to be dealt with.
    ///
    /// Either nothing came after the end that was told, or all that was there a moment ago has been dealt with. A partition
    /// that is not fetched, be it as its records are not taken from the queue, has no new end and so does not pass.
    pub(super) fn look(&mut self, next_offset: i64, latest: Option<i64>, now: Instant) {
        let Some(latest) = latest else {
            self.caught_up = false;
            return;
        };
        if self.end.is_some_and(|end| next_offset <= end && latest <= end) {
            (self.mark, self.caught_up) = (None, true);
            return;
        }
        self.caught_up = match self.mark {
            Some((end, seen)) if next_offset >= end => now.duration_since(seen) < FRESH,
            _ => false,
        };
        match self.mark {
            Some((end, _)) if next_offset < end || latest <= end => {}
            _ => self.mark = Some((latest, now)),
        }
    }

    /// What the last look said.
    pub(super) fn is_caught_up(&self) -> bool {
        self.caught_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(reading: &mut Reading, at: Instant, looks: &[(u64, i64, i64)]) -> Vec<bool> {
        let look = |(ms, next, latest): &(u64, i64, i64)| {
            reading.look(*next, Some(*latest), at + Duration::from_millis(*ms));
            reading.is_caught_up()
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_partition_is_read_to_its_end_until_a_fetch_sees_a_later_one() {
        let (mut reading, at) = (Reading::default(), Instant::now());
        assert_eq!(looks(&mut reading, at, &[(0, 10, 10)]), [false], "nobody has said that it ends there");
        reading.ended(10);
        let silent = [(200, 10, 10), (60_000, 10, 10), (60_200, 10, 11), (60_400, 11, 11)];
        assert_eq!(looks(&mut reading, at, &silent), [true, true, false, true]);
    }

    #[test]
    fn records_that_never_cease_to_come_do_not_hide_that_they_are_read() {
        let (mut reading, at) = (Reading::default(), Instant::now());
        // A thousand a second, of which some hundred are always under way.
        let busy: Vec<_> =
            (0..50_u64).map(|turn| (turn * 200, turn as i64 * 200, turn as i64 * 200 + 150)).collect();
        assert_eq!(looks(&mut reading, at, &busy)[1..], [true; 49]);
    }

    #[test]
    fn a_backlog_or_a_partition_that_is_not_fetched_is_not_caught_up() {
        let (mut reading, at) = (Reading::default(), Instant::now());
        let behind: Vec<_> =
            (0..30).map(|turn| (turn as u64 * 200, turn * 200, turn * 200 + 5_000)).collect();
        assert!(!looks(&mut reading, at, &behind).contains(&true));
        let (mut reading, at) = (Reading::default(), Instant::now());
        let not_fetched = [(0, 10, 20), (200, 20, 20), (1_900, 20, 20), (2_100, 20, 20), (9_000, 20, 20)];
        assert_eq!(looks(&mut reading, at, &not_fetched), [false, true, true, false, false]);
    }
}
