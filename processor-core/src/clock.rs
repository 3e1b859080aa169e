//! Event time of one input partition: its watermark, and where a replay has to begin.

use std::collections::VecDeque;

/// A watermark that has not begun.
pub(crate) const NOT_BEGUN: i64 = i64::MIN;

/// The event-time clock of one input partition.
///
/// `watermark = greatest accepted event time − out_of_orderness`, after the record is handled, and never back.
/// While the input is idle (caught up, and silent for `idle_after`) the wall clock moves it on at its own pace, so a
/// quiet stream still closes its windows; and it takes over the frontier of the inputs that are not idle.
#[derive(Debug)]
pub(crate) struct InputClock {
    pub(crate) watermark: i64,
    greatest: i64,
    out_of_orderness: i64,
    /// Wall clock of the last record, or of the assignment.
    last_activity: i64,
    /// The watermark when the input fell idle, and the wall clock then.
    idle_since: Option<(i64, i64)>,
}

impl InputClock {
    pub(crate) fn new(out_of_orderness: i64, watermark: i64, now: i64) -> Self {
        let greatest =
            if watermark == NOT_BEGUN { NOT_BEGUN } else { watermark.saturating_add(out_of_orderness) };
        Self { watermark, greatest, out_of_orderness, last_activity: now, idle_since: None }
    }

    /// Takes an accepted event's time.
    #[inline]
    pub(crate) fn observe(&mut self, time: i64) {
        if time > self.greatest {
            self.greatest = time;
            self.watermark = self.watermark.max(time - self.out_of_orderness);
        }
    }

    /// Records were read, whatever they were.
    pub(crate) fn active(&mut self, now: i64) {
        self.last_activity = now;
        self.idle_since = None;
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
        if watermark != NOT_BEGUN {
            self.watermark = self.watermark.max(watermark.saturating_add(now.saturating_sub(since)));
        }
        self.watermark = self.watermark.max(frontier);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle_since.is_some()
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

/// Reading from `offset` with the watermark at `watermark` repeats what was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayPoint {
    /// First offset to read.
    pub offset: i64,
    /// The input's watermark before that record; `i64::MIN` where it had not begun.
    pub watermark: i64,
}

impl ReplayPoints {
    /// `step`: microseconds of watermark between points.
    pub(crate) fn new(start: ReplayPoint, step: i64) -> Self {
        Self { points: VecDeque::from([start]), step }
    }

    /// Notes that the record at `offset` is read next, with the watermark at `watermark`.
    #[inline]
    pub(crate) fn note(&mut self, offset: i64, watermark: i64) {
        let last = self.points.back().expect("there is always a first point").watermark;
        if watermark != NOT_BEGUN && (last == NOT_BEGUN || watermark - last >= self.step) {
            self.points.push_back(ReplayPoint { offset, watermark });
        }
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
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, 0);
        clock.observe(100 * S);
        clock.observe(50 * S);
        assert_eq!(clock.watermark, 95 * S);
    }

    #[test]
    fn a_silent_input_that_is_behind_is_not_idle() {
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, 0);
        clock.observe(100 * S);
        clock.tick(1_000 * S, false, 10 * S, NOT_BEGUN);
        assert!(!clock.is_idle());
        assert_eq!(clock.watermark, 95 * S);
    }

    #[test]
    fn a_quiet_input_moves_on_at_the_pace_of_the_wall_clock() {
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, 0);
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
        let mut clock = InputClock::new(5 * S, NOT_BEGUN, 0);
        clock.tick(10 * S, true, 10 * S, NOT_BEGUN);
        assert_eq!(clock.watermark, NOT_BEGUN);
        clock.tick(11 * S, true, 10 * S, 77 * S);
        assert_eq!(clock.watermark, 77 * S);
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
