//! Event time of one input partition: its watermark, and where a replay has to begin.

use std::collections::VecDeque;

use crate::jumps::{Jump, Jumps};
use crate::options::{HOUR, SECOND};
use crate::windows::Windows;

/// A watermark that has not begun.
pub(crate) const NOT_BEGUN: i64 = i64::MIN;

/// Where records never cease to come, some are always unread. A partition with an older one than this is behind.
const UNREAD_MAX: i64 = 2 * SECOND;

/// A refused record counts at Kafka's time of it where that is not further ahead of the stream's present than this:
/// windows are open so long, and a replay begins so much earlier.
const REFUSED_AHEAD_MAX: i64 = HOUR;

/// The event-time clock of one input partition.
///
/// `watermark = greatest accepted event time − out_of_orderness`, after the record is handled, and never back.
/// While the input is idle (read to its end, with nothing that counted for `idle_after`) the wall clock moves it on at
/// its own pace, in whole seconds, so a quiet stream still closes its windows; and it takes over the frontier of the
/// inputs that are not idle. Where that has put it when the next record comes is noted as a [`Jump`], so that what is
/// judged by it is a function of the log and the jumps. Records that do not count (refused, late, repeats) do not end
/// that: where nothing else comes, they hold back nobody.
#[derive(Debug)]
pub(crate) struct InputClock {
    pub(crate) watermark: i64,
    pub(crate) jumps: Jumps,
    /// No later record will be judged by less than this; where not set otherwise, than its watermark.
    pub(crate) least: i64,
    greatest: i64,
    /// The end of the greatest window in which a record counted that is no event, or a late one: which moment of it that
    /// was, a jump may have decided that no replay knows of.
    uncounted: i64,
    out_of_orderness: i64,
    /// From this event time on, the log's own watermark stands in another second.
    turn_at: i64,
    /// Wall clock of the last event that counted, or of the assignment.
    last_counted: i64,
    /// Wall clock of the last tick at which everything had been read.
    read_at: i64,
    /// What the watermark would be without the last jump, where another one says; see [`InputClock::stand`].
    without: Option<i64>,
    /// A record was judged otherwise for the last jump, since [`InputClock::stand`].
    pub(crate) jump_mattered: bool,
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
            uncounted: NOT_BEGUN,
            out_of_orderness,
            turn_at: NOT_BEGUN,
            last_counted: now,
            read_at: NOT_BEGUN,
            without: None,
            jump_mattered: false,
            idle_since: None,
        };
        clock.set_turn();
        clock
    }

    /// Goes on where a clock stood, with its jumps.
    pub(crate) fn resumed(
        out_of_orderness: i64,
        (greatest, uncounted): (i64, i64),
        watermark: i64,
        jumps: Jumps,
        now: i64,
    ) -> Self {
        let new = Self::new(out_of_orderness, watermark, &[], now);
        let mut clock = Self { greatest, uncounted, jumps, ..new };
        clock.set_turn();
        clock
    }

    /// Stands where another one says: that of a record's source, for judging it. `without`: where it would, had `by` not
    /// jumped the last time.
    #[inline]
    pub(crate) fn stand(&mut self, watermark: i64, greatest: i64, by: &Self) {
        self.without = Some(watermark.max(by.without_the_last_jump()));
        (self.watermark, self.greatest) = (watermark.max(by.watermark), greatest);
        self.least = by.watermark;
        (self.uncounted, self.jump_mattered) = (NOT_BEGUN, false);
    }

    /// The greatest event time; `i64::MIN` before the first.
    pub(crate) fn greatest(&self) -> i64 {
        self.greatest
    }

    /// The last moment of the greatest window in which a record counted that is no event, or a late one; `i64::MIN` before
    /// the first.
    pub(crate) fn uncounted(&self) -> i64 {
        self.uncounted
    }

    /// Nothing that was read counts later than this.
    pub(crate) fn reach(&self) -> i64 {
        self.greatest.max(self.uncounted)
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

    /// Events were read that counted.
    pub(crate) fn active(&mut self, now: i64) {
        self.last_counted = now;
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

    /// A record was judged otherwise than without the last jump: a replay needs it.
    pub(crate) fn judged(&mut self) {
        self.jumps.matters();
        self.jump_mattered = true;
    }

    /// Where the watermark would stand without the last jump. What is decided as it would be there needs no jump: so
    /// records that never count, however many, leave no more of them than there are windows.
    pub(crate) fn without_the_last_jump(&self) -> i64 {
        self.without.unwrap_or_else(|| self.own().max(self.jumps.before_last()))
    }

    /// The moment at which a late record counts: the stream's present.
    pub(crate) fn moment_of_late(&mut self, time: i64, windows: &Windows) -> i64 {
        let without = self.without_the_last_jump();
        let moment = self.present();
        if !windows.is_closed(time, without) || !windows.is_same(moment, self.greatest.max(without)) {
            self.judged();
        }
        self.uncounted = self.uncounted.max(windows.last_of(moment));
        moment
    }

    /// The moment at which a record counts that is no event: Kafka's time of it, if its window is open and not far ahead of
    /// the stream's present; else that. Where there is neither, with the others that had none.
    pub(crate) fn moment_of_refused(&mut self, kafka: Option<i64>, windows: &Windows) -> i64 {
        let at = |watermark: i64| {
            let present = self.greatest.max(watermark);
            match kafka {
                Some(time) if present == NOT_BEGUN && windows.has_room_for(time) => time,
                None | Some(_) if present == NOT_BEGUN => self.uncounted.max(0),
                Some(time)
                    if !windows.is_closed(time, watermark)
                        && time <= present.saturating_add(REFUSED_AHEAD_MAX) =>
                {
                    time
                }
                _ => present,
            }
        };
        let (moment, without) = (at(self.watermark), at(self.without_the_last_jump()));
        if !windows.is_same(moment, without) {
            self.judged();
        }
        self.uncounted = self.uncounted.max(windows.last_of(moment));
        moment
    }

    /// The wall clock moved on. `caught_up`: every record of the partition has been read.
    pub(crate) fn tick(&mut self, now: i64, caught_up: bool, idle_after: i64, frontier: i64) {
        // A clock that was set back would hold the input awake for as long.
        self.last_counted = self.last_counted.min(now);
        if !caught_up {
            if now.saturating_sub(self.read_at) >= UNREAD_MAX || now < self.read_at {
                self.idle_since = None;
            }
            return;
        }
        self.read_at = now;
        if now.saturating_sub(self.last_counted) < idle_after {
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

    /// Wall clock of the last event that counted, or of the assignment.
    pub(crate) fn last_counted(&self) -> i64 {
        self.last_counted
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
    points: VecDeque<Reached>,
    step: i64,
}

/// A replay point, and the greatest moment at which anything before it counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) point: ReplayPoint,
    pub(crate) reach: i64,
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
    /// `step`: microseconds between what points reach. What is before the first counts for nothing that is open.
    pub(crate) fn new(start: ReplayPoint, step: i64) -> Self {
        Self { points: VecDeque::from([Reached { point: start, reach: NOT_BEGUN }]), step }
    }

    /// Notes that the record at `offset` is read next, where this clock stands.
    #[inline]
    pub(crate) fn note(&mut self, offset: i64, clock: &InputClock) {
        let (last, reach) = (self.points.back().expect("there is always a first point").reach, clock.reach());
        if clock.watermark != NOT_BEGUN && (last == NOT_BEGUN || reach - last >= self.step) {
            self.points.push_back(Reached { point: ReplayPoint { offset, watermark: clock.own() }, reach });
        }
    }

    /// With these points, of which there is at least one.
    pub(crate) fn resumed(points: Vec<Reached>, step: i64) -> Self {
        Self { points: points.into(), step }
    }

    /// The points from the one on that [`ReplayPoints::replay_from`] would answer.
    pub(crate) fn needed(&self, needed_from: i64) -> Vec<Reached> {
        let mut needed = Self { points: self.points.clone(), step: self.step };
        needed.replay_from(needed_from);
        needed.points.into()
    }

    /// The latest point before which everything counts earlier than `needed_from`; earlier points are dropped.
    pub(crate) fn replay_from(&mut self, needed_from: i64) -> ReplayPoint {
        while self.points.get(1).is_some_and(|next| next.reach < needed_from) {
            self.points.pop_front();
        }
        self.points[0].point
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
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, &[], 0);
        for offset in 1..100 {
            clock.observe((offset + 5) * S);
            points.note(offset, &clock);
        }
        let from = points.replay_from(60 * S);
        assert!(from.watermark + 5 * S < 60 * S && from.watermark + 15 * S >= 60 * S, "{from:?}");
        assert_eq!(from.offset, from.watermark / S);
    }
}
