//! Event time of one input partition: its watermark, and where a replay has to begin.

use std::collections::VecDeque;

use crate::jumps::{Jump, Jumps};
use crate::options::SECOND;

/// A watermark that has not begun.
pub(crate) const NOT_BEGUN: i64 = i64::MIN;

/// The event-time clock of one input partition.
///
/// `watermark = greatest accepted event time − out_of_orderness`, after the record is handled, and never back.
/// While the input is idle (caught up, and silent for `idle_after`) the wall clock moves it on at its own pace, in
/// whole seconds, so a quiet stream still closes its windows; and it takes over the frontier of the inputs that are
/// not idle. Where that has put it when the next record comes is noted as a [`Jump`], so that what is judged by it is
/// a function of the log and the jumps.
#[derive(Debug)]
pub(crate) struct InputClock {
    pub(crate) watermark: i64,
    pub(crate) jumps: Jumps,
    /// No later record will be judged by less than this; where not set otherwise, than its watermark.
    pub(crate) least: i64,
    greatest: i64,
    out_of_orderness: i64,
    /// From this event time on, the log's own watermark stands in another second.
    turn_at: i64,
    /// Wall clock of the last record, or of the assignment.
    last_activity: i64,
    /// The watermark when the input fell idle, and the wall clock then.
    idle_since: Option<(i64, i64)>,
}

impl InputClock {
    /// Starts where the log's own watermark is `watermark`, with these jumps ahead.
    pub(crate) fn new(out_of_orderness: i64, watermark: i64, jumps: &[Jump], now: i64) -> Self {
        let greatest =
            if watermark == NOT_BEGUN { NOT_BEGUN } else { watermark.saturating_add(out_of_orderness) };
        let mut clock = Self {
            watermark,
            jumps: Jumps::ahead(jumps),
            least: i64::MAX,
            greatest,
            out_of_orderness,
            turn_at: NOT_BEGUN,
            last_activity: now,
            idle_since: None,
        };
        clock.set_turn();
        clock
    }

    /// Goes on where a clock stood, with its jumps.
    pub(crate) fn resumed(
        out_of_orderness: i64,
        greatest: i64,
        watermark: i64,
        jumps: Jumps,
        now: i64,
    ) -> Self {
        let mut clock = Self { greatest, jumps, ..Self::new(out_of_orderness, watermark, &[], now) };
        clock.set_turn();
        clock
    }

    /// Stands where another one says: that of a record's source, for judging it.
    #[inline]
    pub(crate) fn stand(&mut self, watermark: i64, greatest: i64, least: i64) {
        (self.watermark, self.greatest, self.least) = (watermark, greatest, least);
    }

    /// The greatest event time; `i64::MIN` before the first.
    pub(crate) fn greatest(&self) -> i64 {
        self.greatest
    }

    /// Takes an accepted event's time.
    #[inline]
    pub(crate) fn observe(&mut self, time: i64) {
        if time > self.greatest {
            self.greatest = time;
            self.watermark = self.watermark.max(time - self.out_of_orderness);
        }
    }

    /// Whether the log's own watermark has come to another second: then [`InputClock::turned`] is due.
    #[inline]
    pub(crate) fn is_turn(&self) -> bool {
        self.greatest >= self.turn_at
    }

    /// The log's own watermark has come to another second.
    pub(crate) fn turned(&mut self) {
        self.set_turn();
        self.jumps.overtaken(self.own());
    }

    fn set_turn(&mut self) {
        let own = self.own();
        self.turn_at = if own == NOT_BEGUN {
            NOT_BEGUN + 1 // the first event
        } else {
            ((own.div_euclid(SECOND) + 1) * SECOND).saturating_add(self.out_of_orderness)
        };
    }

    /// The watermark as the log alone has it.
    pub(crate) fn own(&self) -> i64 {
        if self.greatest == NOT_BEGUN { NOT_BEGUN } else { self.greatest - self.out_of_orderness }
    }

    /// Records were read, whatever they were.
    pub(crate) fn active(&mut self, now: i64) {
        self.last_activity = now;
        self.idle_since = None;
    }

    /// The record at `offset` comes next. Where the watermark, or that of the task, stands further than the log and
    /// the jumps say, notes a jump; returns whether it did.
    pub(crate) fn wake(&mut self, offset: i64, task_watermark: i64) -> bool {
        let watermark = self.watermark.max(task_watermark);
        if watermark <= self.own().max(self.jumps.reached()) {
            return false;
        }
        self.watermark = watermark;
        self.jumps.note(Jump { offset, watermark });
        true
    }

    /// Applies the jumps of a replay that are due before the record at `offset`; returns whether there were any.
    pub(crate) fn replay_jumps(&mut self, offset: i64) -> bool {
        let Some(reached) = self.jumps.apply(offset) else { return false };
        self.watermark = self.watermark.max(reached);
        true
    }

    /// The replay is over: the watermark stands where it was committed.
    pub(crate) fn end_replay(&mut self, committed_watermark: i64) {
        self.replay_jumps(i64::MAX); // their records are gone from the log
        self.watermark = self.watermark.max(committed_watermark);
    }

    /// A record was judged by the watermark: if a jump is in force, a replay needs it.
    pub(crate) fn judged(&mut self) {
        if self.watermark > self.own() {
            self.jumps.matters();
        }
    }

    /// The wall clock moved on. `caught_up`: every record of the partition has been read.
    pub(crate) fn tick(&mut self, now: i64, caught_up: bool, idle_after: i64, frontier: i64) {
        if !caught_up {
            self.idle_since = None;
            self.last_activity = now;
            return;
        }
        if now.saturating_sub(self.last_activity) < idle_after {
            return;
        }
        let (watermark, since) = *self.idle_since.get_or_insert((self.watermark, now));
        // Whole seconds, as noting them takes a third of the bytes.
        let whole = |watermark: i64| watermark - watermark.rem_euclid(SECOND);
        if watermark != NOT_BEGUN {
            self.watermark = self.watermark.max(whole(watermark.saturating_add(now.saturating_sub(since))));
        }
        if frontier != NOT_BEGUN {
            self.watermark = self.watermark.max(whole(frontier));
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle_since.is_some()
    }

    /// Wall clock since when the input is idle.
    pub(crate) fn idle_since(&self) -> Option<i64> {
        self.idle_since.map(|(_, since)| since)
    }

    /// Wall clock of the last record, or of the last tick before everything had been read.
    pub(crate) fn last_activity(&self) -> i64 {
        self.last_activity
    }

    /// The greatest event time, or where the watermark implies one.
    pub(crate) fn present(&self) -> i64 {
        self.greatest.max(self.watermark)
    }
}

/// Watermark checkpoints along the log, so that a replay can start late enough to be quick and early enough to see
/// every event that open state depends on.
#[derive(Debug)]
pub(crate) struct ReplayPoints {
    points: VecDeque<ReplayPoint>,
    step: i64,
}

/// Reading from `offset` with the log's own watermark at `watermark`, and the jumps, repeats what was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayPoint {
    /// First offset to read.
    pub offset: i64,
    /// The watermark before that record as the log has it, jumps left out; `i64::MIN` where it had not begun.
    pub watermark: i64,
}

impl ReplayPoints {
    /// `step`: microseconds of watermark between points.
    pub(crate) fn new(start: ReplayPoint, step: i64) -> Self {
        Self { points: VecDeque::from([start]), step }
    }

    /// Notes that the record at `offset` is read next, with the log's own watermark at `watermark`.
    pub(crate) fn note(&mut self, offset: i64, watermark: i64) {
        let last = self.points.back().expect("there is always a first point").watermark;
        if watermark != NOT_BEGUN && (last == NOT_BEGUN || watermark - last >= self.step) {
            self.points.push_back(ReplayPoint { offset, watermark });
        }
    }

    /// With these points, of which there is at least one.
    pub(crate) fn resumed(points: Vec<ReplayPoint>, step: i64) -> Self {
        Self { points: points.into(), step }
    }

    /// The points from the one on that [`ReplayPoints::replay_from`] would answer.
    pub(crate) fn needed(&self, needed_from: i64, out_of_orderness: i64) -> Vec<ReplayPoint> {
        let mut needed = Self { points: self.points.clone(), step: self.step };
        needed.replay_from(needed_from, out_of_orderness);
        needed.points.into()
    }

    /// The latest point before which every event time is earlier than `needed_from`; earlier points are dropped.
    pub(crate) fn replay_from(&mut self, needed_from: i64, out_of_orderness: i64) -> ReplayPoint {
        while self.points.get(1).is_some_and(|next| next.watermark + out_of_orderness < needed_from) {
            self.points.pop_front();
        }
        self.points[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    #[test]
    fn the_watermark_trails_the_greatest_time_and_never_moves_back() {
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, &[], 0);
        clock.observe(100 * S);
        clock.observe(50 * S);
        assert_eq!(clock.watermark, 95 * S);
    }

    #[test]
    fn a_silent_input_that_is_behind_is_not_idle() {
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, &[], 0);
        clock.observe(100 * S);
        clock.tick(1_000 * S, false, 10 * S, NOT_BEGUN);
        assert!(!clock.is_idle());
        assert_eq!(clock.watermark, 95 * S);
    }

    #[test]
    fn a_quiet_input_moves_on_at_the_pace_of_the_wall_clock() {
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, &[], 0);
        clock.observe(100 * S);
        clock.active(1_000 * S);
        clock.tick(1_009 * S, true, 10 * S, NOT_BEGUN);
        assert!(!clock.is_idle());
        clock.tick(1_010 * S, true, 10 * S, NOT_BEGUN);
        assert_eq!((clock.is_idle(), clock.watermark), (true, 95 * S));
        clock.tick(1_030 * S, true, 10 * S, NOT_BEGUN);
        assert_eq!(clock.watermark, 115 * S);
        clock.active(1_031 * S);
        assert_eq!((clock.is_idle(), clock.watermark), (false, 115 * S));
    }

    #[test]
    fn an_idle_input_without_any_event_takes_over_the_frontier() {
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, &[], 0);
        clock.tick(10 * S, true, 10 * S, NOT_BEGUN);
        assert_eq!(clock.watermark, NOT_BEGUN);
        clock.tick(11 * S, true, 10 * S, 77 * S);
        assert_eq!(clock.watermark, 77 * S);
    }

    #[test]
    fn what_the_wall_clock_decided_is_noted_when_the_input_wakes_up() {
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, &[], 0);
        assert!(!clock.wake(0, NOT_BEGUN));
        clock.observe(100 * S);
        assert!(!clock.wake(1, 95 * S), "the log says as much");
        clock.tick(10 * S, true, 10 * S, NOT_BEGUN);
        clock.tick(30 * S + 7, true, 10 * S, NOT_BEGUN);
        assert!(clock.wake(1, NOT_BEGUN));
        assert!(!clock.wake(2, NOT_BEGUN), "once is enough");
        let from = ReplayPoint { offset: 0, watermark: NOT_BEGUN };
        assert_eq!(clock.jumps.since(from), [Jump { offset: 1, watermark: 115 * S }]);

        let mut replayed = InputClock::new(5 * S, NOT_BEGUN, &clock.jumps.since(from), 0);
        replayed.observe(100 * S);
        assert!(!replayed.replay_jumps(0) && replayed.watermark == 95 * S);
        assert!(replayed.replay_jumps(1) && replayed.watermark == 115 * S);
    }

    #[test]
    fn an_input_is_judged_by_no_less_than_its_task() {
        let mut clock = InputClock::new(5 * S, 50 * S, &[], 0);
        assert!(clock.wake(7, 80 * S));
        assert_eq!(clock.watermark, 80 * S);
        assert!(!clock.wake(8, 80 * S));
    }

    #[test]
    fn a_replay_starts_at_the_latest_point_that_misses_nothing() {
        let mut points = ReplayPoints::new(ReplayPoint { offset: 0, watermark: NOT_BEGUN }, 10 * S);
        for offset in 1..100 {
            points.note(offset, offset * S);
        }
        let from = points.replay_from(60 * S, 5 * S);
        assert!(from.watermark + 5 * S < 60 * S && from.watermark + 15 * S >= 60 * S, "{from:?}");
        assert_eq!(from.offset, from.watermark / S);
    }
}
