//! What the log tells of an input partition's watermark.
//!
//! The wall clock moves the watermark of a partition that is quiet, and the log does not say when. So there are two: the
//! watermark is at least `low`, which follows from the records, and at most `high`, which allows for every pause that
//! the records' timestamps show. Where the two are equal, everything about the next record is decided.

use super::rules::{HOUR, NEVER, Rules, SECOND};

/// Before every event.
pub(super) const NOT_BEGUN: i64 = i64::MIN;

/// Kafka timestamps are whole milliseconds and clocks differ a little, so a pause may look this much shorter.
const PAUSE_SLACK: i64 = SECOND;

/// Within this time the others have heard that a re-keyed source is not idle any more.
const TOLD_WITHIN: i64 = 30 * SECOND;

/// A record that is read longer after its timestamp than this comes from a backlog, not from a partition that was read
/// to its end.
const DELAY_MAX: i64 = HOUR;

/// What a commit says of the watermark: exact from `offset` on, where `jumps` are known.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The watermark as committed, after everything read: none before it was greater.
    pub committed: Option<i64>,
    /// An offset, and the watermark right before its record by the log alone.
    pub at: Option<(i64, i64)>,
    /// From there on, the offsets before which the wall clock moved the watermark, and where to; in order.
    pub jumps: Vec<(i64, i64)>,
    /// Whether those are all that mattered: then nothing from `at` on is unknown.
    pub complete: bool,
}

#[derive(Debug)]
pub(super) struct Watermark {
    pub(super) low: i64,
    pub(super) high: i64,
    greatest: i64,
    /// The greatest moment of a record that is no event, or a late one.
    uncounted: i64,
    /// Timestamp of the record in hand, or the last before it that has one.
    now: i64,
    /// Greatest timestamp of an event that counted so far, and the greatest watermark there may have been then: what does
    /// not count leaves a partition idle.
    arrived: i64,
    high_then: i64,
    recorded: Recorded,
    /// Of a source that is re-keyed, which is also judged by where the others are while they take it for idle.
    rekeyed: bool,
    /// Timestamp of the record that ended the last pause, or came in it.
    woke: i64,
    /// Whether `recorded.at` was passed, and how many of its jumps.
    pinned: bool,
    jumped: usize,
}

impl Watermark {
    /// `high`: what the watermark may be before the first record; [`NOT_BEGUN`] where that is the log's first.
    pub(super) fn new(high: i64, mut recorded: Recorded, rekeyed: bool) -> Self {
        if rekeyed {
            recorded.committed = None; // what the others had come to may be further
        }
        let high = high.min(recorded.committed.unwrap_or(i64::MAX));
        Self {
            low: NOT_BEGUN,
            high,
            greatest: NOT_BEGUN,
            uncounted: NOT_BEGUN,
            now: NOT_BEGUN,
            arrived: NOT_BEGUN,
            high_then: high,
            recorded,
            rekeyed,
            woke: NOT_BEGUN,
            pinned: false,
            jumped: 0,
        }
    }

    /// A record is read next. `lead`: how far a clock was seen to run ahead, which the others may be by. Without a
    /// timestamp nobody can tell how long a pause there was before it.
    pub(super) fn arrives(&mut self, offset: i64, timestamp: Option<i64>, lead: i64, rules: &Rules) {
        let unknown = timestamp.is_none();
        self.now = timestamp.unwrap_or(self.now);
        let timestamp = self.now;
        let others = timestamp.saturating_add(lead - rules.out_of_orderness);
        let known = self.recorded.complete && self.recorded.at.is_some_and(|(at, _)| offset >= at);
        if known {
            self.exactly(offset);
        } else if unknown {
            self.may_be(NEVER);
        } else if self.arrived == NOT_BEGUN {
            // How long the partition was empty before, nobody knows.
            self.woke = timestamp;
            self.may_be(others);
        } else if timestamp - self.arrived + PAUSE_SLACK >= rules.idle_after {
            let by_pace = match self.high_then {
                NOT_BEGUN => NOT_BEGUN,
                high => high + timestamp - self.arrived - rules.idle_after,
            };
            self.woke = timestamp;
            self.may_be(by_pace.max(others));
        } else if self.rekeyed && timestamp.saturating_sub(self.woke) <= TOLD_WITHIN {
            self.may_be(others);
        }
    }

    /// How far an event's time lies ahead of when its record was written, as far as that is known.
    pub(super) fn ahead(&self, time: i64) -> i64 {
        if self.now == NOT_BEGUN { 0 } else { time - self.now }
    }

    /// Where the commit says all there is to know.
    fn exactly(&mut self, offset: i64) {
        let (at, watermark) = self.recorded.at.expect("asked before");
        if at == offset || !self.pinned {
            self.low = self.low.max(watermark);
        }
        self.pinned = true;
        while let Some((_, watermark)) = self.recorded.jumps.get(self.jumped).filter(|(at, _)| *at <= offset)
        {
            self.low = self.low.max(*watermark);
            self.jumped += 1;
        }
        self.high = self.low;
    }

    /// The watermark may have got this far.
    fn may_be(&mut self, watermark: i64) {
        let bound = self.recorded.committed.unwrap_or(i64::MAX);
        self.high = self.high.max(watermark.min(bound)).max(self.low);
    }

    /// The watermark was at least this.
    pub(super) fn was(&mut self, watermark: i64) {
        self.low = self.low.max(watermark);
        self.high = self.high.max(self.low);
    }

    /// The watermark was below this.
    pub(super) fn was_below(&mut self, watermark: i64) {
        self.high = self.high.min(watermark - 1).max(self.low);
    }

    /// Whether the watermark can have been this: as the pauses in the timestamps allow, or as the record was read so
    /// long after its timestamp that its partition may have passed for idle meanwhile.
    pub(super) fn allows(&self, watermark: i64, timestamp: Option<i64>, read: i64, rules: &Rules) -> bool {
        // Without a timestamp any delay is possible.
        let delay = timestamp.map_or(rules.idle_after, |timestamp| read - timestamp);
        let delayed = delay >= rules.idle_after
            && delay <= DELAY_MAX
            && watermark <= rules.latest(Some(read)).saturating_sub(rules.out_of_orderness);
        let committed = self.recorded.committed.unwrap_or(i64::MAX);
        watermark <= self.high || (delayed && watermark <= committed)
    }

    /// The stream's present: the greatest event time, or the watermark where that is further; at least and at most.
    pub(super) fn present(&self) -> (i64, i64) {
        (self.greatest.max(self.low), self.greatest.max(self.high))
    }

    /// Where a record counts that is no event, at least and at most: at Kafka's time of it, while the window there is open
    /// and it lies no more than an hour ahead of the present; else in the present.
    pub(super) fn refused(&mut self, kafka: Option<i64>, rules: &Rules) -> (i64, i64) {
        let (from, to) = self.present();
        let nowhere = if self.rekeyed { 0 } else { self.uncounted.max(0) };
        let (first, last) = match kafka {
            _ if (from, to) == (NOT_BEGUN, NOT_BEGUN) => {
                let at = kafka.unwrap_or(nowhere);
                (at, at)
            }
            // An empty partition takes over whatever time the others have.
            _ if from == NOT_BEGUN => (0, to.max(kafka.unwrap_or(nowhere))),
            Some(kafka) if rules.closes(kafka) > self.high && kafka <= from + HOUR => (kafka, kafka),
            Some(kafka) if rules.closes(kafka) > self.low && kafka <= to + HOUR => {
                (from.min(kafka), to.max(kafka))
            }
            _ => (from, to),
        };
        self.uncounted = self.uncounted.max(last);
        (first, last)
    }

    /// An event was counted; or it may have been but for its relay, which cannot know, and which it kept awake if it moved
    /// the watermark.
    pub(super) fn counted(&mut self, time: i64, surely: bool, rules: &Rules) {
        let moved = time > self.greatest;
        self.greatest = self.greatest.max(time);
        self.was(self.greatest - rules.out_of_orderness);
        if surely || moved {
            self.arrived = self.arrived.max(self.now);
            self.high_then = self.high;
        }
    }

    /// A late record counted in the present, at most there.
    pub(super) fn was_late(&mut self, at: i64) {
        self.uncounted = self.uncounted.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rules;
    use super::*;

    fn begun(recorded: Recorded) -> Watermark {
        let mut watermark = Watermark::new(NOT_BEGUN, recorded, false);
        watermark.arrives(0, Some(1_000 * SECOND), 0, &rules());
        watermark.counted(1_000 * SECOND, true, &rules());
        watermark
    }

    #[test]
    fn without_a_pause_the_log_decides_alone() {
        let mut watermark = begun(Recorded::default());
        watermark.arrives(1, Some(1_008 * SECOND), 0, &rules());
        watermark.counted(990 * SECOND, true, &rules());
        assert_eq!((watermark.low, watermark.high), (995 * SECOND, 995 * SECOND));
        assert_eq!(watermark.present(), (1_000 * SECOND, 1_000 * SECOND));
    }

    #[test]
    fn records_that_do_not_count_end_no_pause() {
        let mut watermark = begun(Recorded::default());
        for second in 1_001..1_100 {
            watermark.arrives(second, Some(second * SECOND), 0, &rules());
        }
        assert_eq!((watermark.low, watermark.high), (995 * SECOND, 1_094 * SECOND), "as far as the others");
        watermark.arrives(1_100, Some(1_100 * SECOND), -1_000 * SECOND, &rules());
        assert_eq!(watermark.high, 1_094 * SECOND, "not faster than the clock");
    }

    #[test]
    fn a_refused_record_counts_at_kafkas_time_of_it_or_in_the_present() {
        let mut watermark = begun(Recorded::default());
        let mut at = |second: i64| watermark.refused(Some(second * SECOND), &rules());
        let exactly = |second: i64| (second * SECOND, second * SECOND);
        assert_eq!(at(1_030), exactly(1_030));
        assert_eq!(at(940), exactly(940));
        assert_eq!(at(900), exactly(1_000), "its window is closed");
        assert_eq!(at(4_600), exactly(4_600));
        assert_eq!(at(4_601), exactly(1_000), "too far ahead");
        assert_eq!(watermark.refused(None, &rules()), exactly(1_000));
    }

    #[test]
    fn after_a_pause_it_may_have_moved_as_far_as_the_clock_and_the_commit_allow() {
        let mut watermark = begun(Recorded::default());
        watermark.arrives(1, Some(1_100 * SECOND), 0, &rules());
        assert_eq!((watermark.low, watermark.high), (995 * SECOND, 1_095 * SECOND));
        let mut watermark = begun(Recorded { committed: Some(1_050 * SECOND), ..Recorded::default() });
        watermark.arrives(1, Some(1_100 * SECOND), 0, &rules());
        assert_eq!(watermark.high, 1_050 * SECOND);
        watermark.was_below(1_020 * SECOND);
        assert_eq!(watermark.high, 1_020 * SECOND - 1);
        watermark.was(1_010 * SECOND);
        assert_eq!(watermark.low, 1_010 * SECOND);
    }

    #[test]
    fn a_commit_that_knows_its_jumps_leaves_no_doubt_from_its_offset_on() {
        let recorded = Recorded {
            committed: None,
            at: Some((1, 995 * SECOND)),
            jumps: vec![(1, 1_042 * SECOND)],
            complete: true,
        };
        let mut watermark = begun(recorded);
        watermark.arrives(1, Some(1_100 * SECOND), 0, &rules());
        assert_eq!((watermark.low, watermark.high), (1_042 * SECOND, 1_042 * SECOND));
        watermark.arrives(2, Some(1_200 * SECOND), 0, &rules());
        assert_eq!((watermark.low, watermark.high), (1_042 * SECOND, 1_042 * SECOND));
    }
}
