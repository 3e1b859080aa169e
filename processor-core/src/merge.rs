//! Stage 2: one window is the sum of its tasks' partials.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Timestamp;

use crate::analytics::{Partial, PointMaker};
use crate::checkpoint::MergeCheckpoint;
use crate::clock::NOT_BEGUN;
use crate::options::Options;
use crate::parts::{last_of_log, of_unknown_log};
use crate::planted::{PlantedBug, is_planted};
use crate::point::{Point, Resolution};
use crate::wire::{Body, Freshness, Message, Position, WireError, decode_partial, encode_partial};

/// The state machine of one partition of the partials topic.
#[derive(Debug)]
pub struct Merge {
    options: Arc<Options>,
    origin: u64,
    windows: BTreeMap<(i64, Resolution), MergeWindow>,
    tasks: BTreeMap<u32, TaskProgress>,
    /// How many tasks there are; unknown (0) until one has said so.
    expected: u32,
    /// A task has spoken once it has done so from this offset on; `i64::MIN` where any word counts.
    heard_from: i64,
    /// Windows that start no later are left as they were written, microseconds.
    withheld_to: i64,
    /// Windows are closed as far as this watermark allows; what comes for them later is a repetition.
    closed_through: i64,
    next_offset: i64,
    replay_until: i64,
    /// The greatest that was committed or handed out: where a task is idle, others have gone on from there.
    frontier: i64,
    fresh: Vec<Freshness>,
    repeated: u64,
}

#[derive(Debug, Default)]
struct MergeWindow {
    /// By task and part of its log: parts add up.
    partials: BTreeMap<(u32, u64), Held>,
    changed: bool,
}

#[derive(Debug)]
struct Held {
    /// The message's offset: a replay has to begin there.
    offset: i64,
    /// The task's position when it sent it.
    position: Position,
    /// As it came: most are replaced before they are looked at.
    partial: Box<[u8]>,
}

#[derive(Debug, Clone, Copy)]
struct TaskProgress {
    watermark: i64,
    idle: bool,
    /// Offset of the message that said so.
    said_at: i64,
}

/// What the merge wants written.
#[derive(Debug, Default)]
pub struct MergeOutputs {
    /// Full values of every window that changed.
    pub points: Vec<Point>,
    /// Which records these points bring up to date.
    pub fresh: Vec<Freshness>,
}

/// A merge's size and position, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeReport {
    /// Windows not yet closed.
    pub open_windows: usize,
    /// The start of the oldest raw one.
    pub oldest_open: Option<Timestamp>,
    /// The task whose watermark is the least, with that watermark.
    pub waits_for: Option<(u32, Option<Timestamp>)>,
    /// The minimum watermark over all tasks.
    pub watermark: Option<Timestamp>,
    /// Partials of windows that were closed, or older than the one held: repetitions after a restart.
    pub repeated: u64,
}

/// How far a task is, as the merge knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeTask {
    /// The task's partition number.
    pub task: u32,
    /// `None`: it has no event yet.
    pub watermark: Option<Timestamp>,
    /// Whether it said that all its inputs are silent.
    pub idle: bool,
    /// Offset of its last progress message: another one when it was heard again.
    pub said_at: i64,
}

/// A window that can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenWindow {
    /// The watermark that every task has to reach: the end and the allowed lateness after it.
    pub closes_at: Timestamp,
    /// Inclusive.
    pub start: Timestamp,
    /// Exclusive.
    pub end: Timestamp,
}

impl Merge {
    /// Starts from a commit; the shell feeds messages from `checkpoint.replay_offset` on.
    #[must_use]
    pub fn new(options: Arc<Options>, origin: u64, checkpoint: &MergeCheckpoint) -> Self {
        Self {
            options,
            origin,
            windows: BTreeMap::new(),
            tasks: BTreeMap::new(),
            expected: 0,
            heard_from: i64::MIN,
            withheld_to: checkpoint.withheld_to,
            closed_through: checkpoint.closed_through,
            next_offset: checkpoint.replay_offset,
            replay_until: checkpoint.next_offset,
            frontier: checkpoint.frontier,
            fresh: Vec::new(),
            repeated: 0,
        }
    }

    /// Tells a merge that has just been made how many tasks there are, and where the topic ended when they were assigned:
    /// no further window closes before each of them has spoken after that. Others may be assigned, by another count of
    /// partitions, than those whose messages are read again.
    #[must_use]
    pub fn among(mut self, tasks: u32, end: i64) -> Self {
        (self.expected, self.heard_from) = (tasks, end);
        self
    }

    /// Tells a merge that has just been made that messages before the first one it will read may be missing, as the
    /// topic was cut or the offset set by another tool: what starts no later than this (microseconds) keeps what was
    /// written of it. To be the greatest time of an event that any of those messages may have counted.
    #[must_use]
    pub fn withholding(mut self, to: i64) -> Self {
        self.withheld_to = self.withheld_to.max(to);
        self
    }

    /// Takes one message of the partials topic.
    ///
    /// # Errors
    /// If this build cannot read it: going on would lose numbers, so the shell stops. What is damaged within a window's
    /// values is found by [`Merge::emit`].
    pub fn message(&mut self, offset: i64, bytes: &[u8]) -> Result<(), WireError> {
        self.next_offset = offset + 1;
        let replayed = offset < self.replay_until;
        let (message, partial) = Message::decode(bytes)?;
        if message.origin != self.origin {
            return Ok(());
        }
        match message.body {
            Body::Window { resolution, start, position } => {
                let closed = self.is_closed(resolution, start, self.closed_through);
                if closed && !is_planted(PlantedBug::ClosedWindowOpens) {
                    self.repeated += 1;
                    return Ok(());
                }
                if start <= self.withheld_to {
                    return Ok(());
                }
                let window = self.windows.entry((start, resolution)).or_default();
                let (task, part) = (message.task, message.part);
                let of_unknown = of_unknown_log(part).and_then(|part| window.partials.remove(&(task, part)));
                if let Some(held) = of_unknown {
                    window.partials.entry((task, part)).or_insert(held);
                }
                let from_it_on = window.partials.range((task, part)..=(task, last_of_log(part)));
                let older = from_it_on.clone().any(|(_, held)| held.position > position);
                if older && !is_planted(PlantedBug::OlderPartialWins) {
                    self.repeated += 1;
                    return Ok(());
                }
                // Later parts are there where the log is counted anew, now further than they were.
                let later: Vec<_> = from_it_on.map(|(key, _)| *key).filter(|(_, of)| *of != part).collect();
                for key in &later {
                    window.partials.remove(key);
                }
                let held = window.partials.get(&(task, part));
                let partial = match held {
                    Some(held) if is_planted(PlantedBug::DoubledPartial) => {
                        encode_partial(&sum([&*held.partial, partial])?).into()
                    }
                    _ => partial.into(),
                };
                window.changed |= !replayed;
                window.partials.insert((task, part), Held { offset, position, partial });
            }
            Body::Progress(progress) => {
                if offset >= self.heard_from {
                    self.expected = self.expected.max(progress.tasks);
                }
                let task = self.tasks.entry(message.task).or_insert(TaskProgress {
                    watermark: NOT_BEGUN,
                    idle: progress.idle,
                    said_at: offset,
                });
                // What was said before the assignment may be of an earlier part of the log, which was further.
                let is_first = task.said_at < self.heard_from && offset >= self.heard_from;
                let before = if is_first { NOT_BEGUN } else { task.watermark };
                task.watermark = before.max(progress.watermark);
                task.said_at = offset;
                task.idle = progress.idle;
                if !replayed && progress.fresh.records > 0 {
                    self.fresh.push(progress.fresh);
                }
            }
        }
        Ok(())
    }

    /// Hands out the points of every changed window, then closes the windows that every task has passed.
    ///
    /// # Errors
    /// If this build cannot read the values of a window: going on would lose numbers, so the shell stops.
    pub fn emit(&mut self, out: &mut MergeOutputs) -> Result<(), WireError> {
        if self.is_replaying() {
            return Ok(());
        }
        for ((start, resolution), window) in self.windows.iter_mut().filter(|(_, window)| window.changed) {
            let sum = sum(window.partials.values().map(|held| &*held.partial))?;
            window.changed = false;
            sum.points(&mut PointMaker {
                resolution: *resolution,
                start: *start,
                default_currency: &self.options.default_currency,
                out: &mut out.points,
            });
        }
        out.fresh.append(&mut self.fresh);
        self.frontier = self.frontier().map_or(NOT_BEGUN, Timestamp::micros);
        let through = self.watermark();
        if through > self.closed_through {
            self.closed_through = through;
            let Self { windows, options, .. } = self;
            windows.retain(|(start, resolution), _| !is_closed(options, *resolution, *start, through));
        }
        Ok(())
    }

    /// The commit that holds once everything handed out so far is durable.
    #[must_use]
    pub fn checkpoint(&self) -> MergeCheckpoint {
        let held = self.windows.values().flat_map(|window| window.partials.values().map(|held| held.offset));
        let next_offset = self.next_offset.max(self.replay_until);
        MergeCheckpoint {
            next_offset,
            replay_offset: held.min().unwrap_or(next_offset).min(next_offset),
            closed_through: self.closed_through,
            frontier: self.frontier().map_or(NOT_BEGUN, Timestamp::micros),
            withheld_to: self.withheld_to,
        }
    }

    /// The minimum watermark over the tasks that are not idle; where all are, the greatest. `None` before every
    /// task has reported. Idle tasks take it over, so that none holds the others back; so it stays where a task wakes up
    /// that has not, and is behind.
    #[must_use]
    pub fn frontier(&self) -> Option<Timestamp> {
        let frontier = if self.all_reported() {
            let active = self.present().filter(|task| !task.idle).map(|task| task.watermark).min();
            active.or(self.present().map(|task| task.watermark).max()).unwrap_or(NOT_BEGUN)
        } else {
            NOT_BEGUN
        };
        let frontier = frontier.max(self.frontier);
        (frontier != NOT_BEGUN).then(|| Timestamp::from_micros(frontier))
    }

    /// Whether messages are still being read that were dealt with before a restart.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.next_offset < self.replay_until
    }

    /// Every message before `offset` has been read: the markers of transactions take offsets, too.
    pub fn read_to(&mut self, offset: i64) {
        self.next_offset = self.next_offset.max(offset);
        self.end_replay();
    }

    /// The replay is over although its last offsets were not seen: they are gone from the log.
    fn end_replay(&mut self) {
        self.replay_until = self.replay_until.min(self.next_offset);
    }

    /// The next offset to read.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Size and position.
    #[must_use]
    pub fn report(&self) -> MergeReport {
        let timestamp = |micros: i64| (micros != NOT_BEGUN).then(|| Timestamp::from_micros(micros));
        let waits_for = if self.all_reported() {
            let present = self.tasks.range(..self.expected);
            present.min_by_key(|(_, task)| task.watermark).map(|(at, task)| (*at, task.watermark))
        } else {
            self.unheard().next().map(|task| (task, NOT_BEGUN))
        };
        MergeReport {
            open_windows: self.windows.len(),
            oldest_open: self
                .windows
                .keys()
                .find(|(_, resolution)| *resolution == Resolution::Raw)
                .map(|(start, _)| Timestamp::from_micros(*start)),
            waits_for: waits_for.map(|(task, watermark)| (task, timestamp(watermark))),
            watermark: timestamp(self.watermark()),
            repeated: self.repeated,
        }
    }

    /// How far each task is that has reported, in their order.
    pub fn tasks(&self) -> impl Iterator<Item = MergeTask> {
        let heard = self.tasks.iter().filter(|(_, task)| self.has_spoken(task));
        heard.map(|(task, progress)| MergeTask {
            task: *task,
            watermark: (progress.watermark != NOT_BEGUN).then(|| Timestamp::from_micros(progress.watermark)),
            idle: progress.idle,
            said_at: progress.said_at,
        })
    }

    /// Tasks that have not reported, in their order; empty while it is not known how many there are.
    pub fn unheard(&self) -> impl Iterator<Item = u32> {
        (0..self.expected).filter(|task| !self.tasks.get(task).is_some_and(|task| self.has_spoken(task)))
    }

    /// The windows that can still change, by start.
    pub fn open_windows(&self) -> impl Iterator<Item = OpenWindow> {
        self.windows.keys().map(|(start, resolution)| {
            let end = start + self.options.size_of(*resolution);
            OpenWindow {
                closes_at: Timestamp::from_micros(end + self.options.allowed_lateness),
                start: Timestamp::from_micros(*start),
                end: Timestamp::from_micros(end),
            }
        })
    }

    fn all_reported(&self) -> bool {
        self.expected > 0 && self.unheard().next().is_none()
    }

    fn has_spoken(&self, task: &TaskProgress) -> bool {
        task.said_at >= self.heard_from
    }

    /// Those that there are: a topic that was made again may have fewer partitions than before.
    fn present(&self) -> impl Iterator<Item = &TaskProgress> {
        self.tasks.range(..self.expected).map(|(_, task)| task)
    }

    fn watermark(&self) -> i64 {
        if !self.all_reported() {
            return NOT_BEGUN;
        }
        self.present().map(|task| task.watermark).min().unwrap_or(NOT_BEGUN)
    }

    fn is_closed(&self, resolution: Resolution, start: i64, watermark: i64) -> bool {
        is_closed(&self.options, resolution, start, watermark)
    }
}

fn sum<'a>(partials: impl IntoIterator<Item = &'a [u8]>) -> Result<Partial<'a>, WireError> {
    let mut sum = Partial::default();
    for partial in partials {
        sum.absorb(&mut decode_partial(partial)?);
    }
    sum.settle();
    Ok(sum)
}

fn is_closed(options: &Options, resolution: Resolution, start: i64, watermark: i64) -> bool {
    start + options.size_of(resolution) + options.allowed_lateness <= watermark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::WindowState;
    use crate::analytics::quality::Uncounted;
    use crate::tables::Tables;
    use crate::wire::Progress;

    const START: i64 = 1_755_727_800_000_000;

    fn message(task: u32, body: Body, partial: &[u8]) -> Vec<u8> {
        Message { part: 0, origin: 7, task, body }.encode(partial)
    }

    #[test]
    fn the_frontier_stays_where_a_task_wakes_up_behind_it() {
        let options = Arc::new(Options::default());
        let mut merge = Merge::new(options, 7, &MergeCheckpoint::parse(0, ""));
        let mut said = |offset, task, seconds: i64, idle| {
            let watermark = START + seconds * 1_000_000;
            let progress = Progress { tasks: 2, watermark, idle, fresh: Freshness::default() };
            merge.message(offset, &message(task, Body::Progress(progress), &[])).unwrap();
            merge.emit(&mut MergeOutputs::default()).unwrap();
            merge.checkpoint().frontier
        };
        assert_eq!(said(0, 0, 60, true), NOT_BEGUN);
        assert_eq!(said(1, 1, 10, true), START + 60_000_000, "all are idle: the greatest");
        assert_eq!(said(2, 1, 11, false), START + 60_000_000);
        assert_eq!(said(3, 1, 70, false), START + 70_000_000);
    }

    #[test]
    fn what_is_damaged_within_a_windows_values_stops_the_merge_and_writes_nothing() {
        let options = Arc::new(Options::default());
        let tables = Tables::new(&options);
        let mut state = WindowState::default();
        state.quality.count(Uncounted::Late);
        let span = crate::analytics::Span { start: START, end: START + 10_000_000 };
        let partial = encode_partial(&state.partial(&tables, span));
        let position = Position { offsets: 1, watermark: START };
        let window = || Body::Window { resolution: Resolution::Raw, start: START, position };
        let progress = Progress { tasks: 1, watermark: START, idle: false, fresh: Freshness::default() };

        for (length, expected) in [(partial.len(), Ok(())), (partial.len() - 1, Err(WireError::Damaged))] {
            let mut merge = Merge::new(Arc::clone(&options), 7, &MergeCheckpoint::parse(0, ""));
            merge.message(0, &message(0, window(), &partial[..length])).unwrap();
            merge.message(1, &message(0, Body::Progress(progress), &[])).unwrap();
            let mut out = MergeOutputs::default();
            assert_eq!(merge.emit(&mut out), expected);
            assert_eq!(out.points.len(), usize::from(expected.is_ok()), "{:?}", out.points);
        }
    }
}
