//! Kafka, the sink and the shell, simulated: what they keep survives a crash, what the tasks hold does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use events::Timestamp;
use processor_core::{
    Checkpoint, FieldValue, Merge, MergeCheckpoint, MergeOutputs, Options, Point, Record, SnapshotError,
    Task, TaskIdentity, TaskOutputs, TaskTotals,
};

use super::random::{Logged, Random};
use super::{Key, Numbers};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Faults {
    None,
    Crashes,
}

pub(crate) struct World<'a> {
    logs: &'a [Vec<Logged>],
    random: Random,
    options: Arc<Options>,
    now: i64,
    // What Kafka and the sink keep.
    partials: Vec<Vec<Vec<u8>>>,
    task_commits: Vec<Option<(i64, String)>>,
    merge_commits: Vec<Option<(i64, String)>>,
    sink: BTreeMap<Key, Point>,
    dead_letters: BTreeSet<(usize, i64)>,
    late: BTreeSet<(usize, i64)>,
    /// By task, the newest last.
    snapshots: Vec<Vec<Vec<u8>>>,
    // What a crash loses.
    tasks: Vec<Task>,
    positions: Vec<usize>,
    /// Where each task's replay ends.
    committed: Vec<usize>,
    merges: Vec<Merge>,
    merge_positions: Vec<usize>,
    epochs: Vec<Epoch>,
}

/// A task's commit, allowed once the merges have committed past its partials.
struct Epoch {
    task: usize,
    commit: (i64, String),
    partials: BTreeMap<usize, usize>,
}

/// Enough to crash at every kind of moment, few enough for the logs to be read to their ends.
const CRASHES_MAX: usize = 12;

impl<'a> World<'a> {
    pub(crate) fn new(logs: &'a [Vec<Logged>], mut random: Random) -> Self {
        let merges = 1 + random.below(3) as usize;
        let mut world = Self {
            logs,
            random,
            options: Arc::new(Options::default()),
            now: 1_755_720_000_000_000,
            partials: vec![Vec::new(); merges],
            task_commits: vec![None; logs.len()],
            merge_commits: vec![None; merges],
            sink: BTreeMap::new(),
            dead_letters: BTreeSet::new(),
            late: BTreeSet::new(),
            snapshots: vec![Vec::new(); logs.len()],
            tasks: Vec::new(),
            positions: Vec::new(),
            committed: Vec::new(),
            merges: Vec::new(),
            merge_positions: Vec::new(),
            epochs: Vec::new(),
        };
        world.restart();
        world
    }

    pub(crate) fn run(&mut self, faults: Faults) {
        let mut crashes = 0;
        while (0..self.logs.len()).any(|task| self.positions[task] < self.logs[task].len()) {
            self.now += self.random.below(700_000) as i64;
            let task = self.random.below(self.logs.len() as u64) as usize;
            let merge = self.random.below(self.merges.len() as u64) as usize;
            match self.random.below(if faults == Faults::None { 9 } else { 10 }) {
                0..=3 => self.read(task),
                4 | 5 => self.seal(task),
                6 => self.commit_tasks(),
                7 | 8 => {
                    // A crash after the write and before its commit.
                    let crash = crashes < CRASHES_MAX && faults == Faults::Crashes && self.random.chance(10);
                    crashes += usize::from(crash);
                    self.merge(merge, !crash);
                }
                _ if faults == Faults::Crashes && crashes < CRASHES_MAX && self.random.chance(20) => {
                    crashes += 1;
                    self.restart();
                }
                _ => {}
            }
        }
        // A restart just before the end must not matter either.
        if faults == Faults::Crashes && self.random.chance(50) {
            self.restart();
            while (0..self.logs.len()).any(|task| self.positions[task] < self.logs[task].len()) {
                (0..self.logs.len()).for_each(|task| self.read(task));
            }
        }
        for task in 0..self.tasks.len() {
            let mut out = TaskOutputs::default();
            self.tasks[task].drain(&mut out);
            self.deliver(task, out);
        }
        for merge in 0..self.merges.len() {
            while self.merge_positions[merge] < self.partials[merge].len() {
                self.merge(merge, true);
            }
            self.merge(merge, true);
        }
    }

    /// Loses what was in memory and starts from the commits, and from snapshots where there are any, or not.
    fn restart(&mut self) {
        if self.random.chance(30) {
            self.snapshots.iter_mut().for_each(Vec::clear);
        }
        self.epochs.clear();
        let identity = |task: usize| TaskIdentity {
            partition: task as u32,
            tasks: self.logs.len() as u32,
            merge_partitions: self.partials.len() as u32,
            origin: 7,
        };
        let now = Timestamp::from_micros(self.now);
        let committed =
            |commit: &Option<(i64, String)>| commit.as_ref().map_or(0, |(next, _)| *next as usize);
        self.committed = self.task_commits.iter().map(committed).collect();
        (self.tasks, self.positions) = self
            .task_commits
            .iter()
            .enumerate()
            .map(|(task, commit)| {
                let start = match commit {
                    Some((offset, metadata)) => Checkpoint::parse(*offset, metadata),
                    None => Checkpoint::beginning(),
                };
                let made = restored(&self.snapshots[task], &self.options, identity(task), &start, now);
                let made = made.unwrap_or_else(|| {
                    let made = Task::new(Arc::clone(&self.options), identity(task), &[start], now);
                    made.expect("the options are valid")
                });
                let from = made.read_from(0) as usize;
                (made, from)
            })
            .unzip();
        (self.merges, self.merge_positions) = self
            .merge_commits
            .iter()
            .map(|commit| {
                let (offset, metadata) = commit.clone().unwrap_or((0, String::new()));
                let start = MergeCheckpoint::parse(offset, &metadata);
                (Merge::new(Arc::clone(&self.options), 7, &start), start.replay_offset as usize)
            })
            .unzip();
    }

    fn read(&mut self, task: usize) {
        let log = &self.logs[task];
        let from = self.positions[task];
        // What was committed is read again without the silences there were.
        let silence =
            |at: usize| log.get(at).and_then(|of| of.silence_to).filter(|_| at >= self.committed[task]);
        if let Some(to) = silence(from).filter(|to| self.watermark(task) < *to) {
            self.silence(task, to);
            return;
        }
        let until = (from + 1 + self.random.below(40) as usize).min(log.len());
        let until = (from + 1..until).find(|at| silence(*at).is_some()).unwrap_or(until);
        self.positions[task] = until;
        let records = (from..until).map(|at| Record {
            offset: at as i64,
            timestamp_ms: log[at].timestamp_ms,
            key: None,
            value: Some(&log[at].value),
        });
        let mut out = TaskOutputs::default();
        self.tasks[task].records(0, Timestamp::from_micros(self.now), records, &mut out);
        self.deliver(task, out);
    }

    /// Everything is read and nothing comes: the wall clock and the frontier move the watermark, at last to `to`.
    fn silence(&mut self, task: usize, to: i64) {
        let mut out = TaskOutputs::default();
        let mut tick = |world: &mut Self, caught_up: bool, frontier: Option<i64>| {
            let frontier = frontier.map(Timestamp::from_micros);
            world.tasks[task].tick(Timestamp::from_micros(world.now), &[caught_up], frontier, &mut out);
        };
        tick(self, false, None);
        self.now += 10_000_000 + self.random.below(5_000_000) as i64;
        match self.random.below(3) {
            0 => {
                tick(self, true, None);
                let left = to.saturating_sub(self.watermark(task)).clamp(1, 4_000_000_000);
                self.now += self.random.below(left as u64) as i64;
                tick(self, true, None);
            }
            1 => {
                let earlier = to - self.random.below(600_000_000) as i64;
                tick(self, true, Some(earlier));
            }
            _ => tick(self, true, Some(to)),
        }
        self.deliver(task, out);
        if self.random.chance(30) {
            self.seal(task);
        }
    }

    fn watermark(&self, task: usize) -> i64 {
        self.tasks[task].report().watermark.map_or(i64::MIN, Timestamp::micros)
    }

    fn seal(&mut self, task: usize) {
        let now = Timestamp::from_micros(self.now);
        let mut out = TaskOutputs::default();
        self.tasks[task].tick(now, &[false], None, &mut out);
        self.tasks[task].emit(now, &mut out);
        self.deliver(task, out);
        if self.random.chance(20) {
            let snapshot = self.tasks[task].snapshot().map(|snapshot| snapshot.encode());
            self.snapshots[task].extend(snapshot);
        }
        let checkpoint = &self.tasks[task].checkpoints()[0];
        let partials = self.partials.iter().map(Vec::len).enumerate().collect();
        self.epochs.push(Epoch { task, commit: (checkpoint.next_offset, checkpoint.metadata()), partials });
    }

    fn deliver(&mut self, task: usize, out: TaskOutputs) {
        for partial in out.partials {
            self.partials[partial.partition as usize].push(partial.value);
        }
        self.dead_letters.extend(out.dead_letters.iter().map(|letter| (task, letter.offset)));
        self.late.extend(out.late.iter().map(|late| (task, late.offset)));
    }

    fn commit_tasks(&mut self) {
        let merged: Vec<usize> = self
            .merge_commits
            .iter()
            .map(|commit| commit.as_ref().map_or(0, |(next, _)| *next as usize))
            .collect();
        let durable = |epoch: &Epoch| epoch.partials.iter().all(|(merge, end)| merged[*merge] >= *end);
        for epoch in self.epochs.extract_if(.., |epoch| durable(epoch)) {
            let commit = &mut self.task_commits[epoch.task];
            if commit.as_ref().is_none_or(|(offset, _)| *offset <= epoch.commit.0) {
                *commit = Some(epoch.commit);
            }
        }
    }

    /// Reads some partials, writes the points, and commits, unless a crash comes in between.
    fn merge(&mut self, merge: usize, commit: bool) {
        let from = self.merge_positions[merge];
        let until = (from + 1 + self.random.below(30) as usize).min(self.partials[merge].len());
        for offset in from..until {
            self.merges[merge]
                .message(offset as i64, &self.partials[merge][offset])
                .expect("this build wrote the message");
        }
        self.merge_positions[merge] = until;
        let mut out = MergeOutputs::default();
        self.merges[merge].emit(&mut out);
        for point in out.points {
            let tags = point.tags.iter().map(|tag| tag.to_string()).collect();
            let key = (point.resolution as u8, point.measurement.name, tags, point.time.secs());
            self.sink.insert(key, point);
        }
        if commit && !self.merges[merge].is_replaying() {
            let checkpoint = self.merges[merge].checkpoint();
            self.merge_commits[merge] = Some((checkpoint.next_offset, checkpoint.metadata()));
        } else if !commit {
            self.restart();
        }
    }

    /// What the sink holds, without points that only say "nothing", and with the fields that are exact.
    pub(crate) fn numbers(&self) -> Numbers {
        let mut numbers = Numbers::new();
        for (key, point) in &self.sink {
            let fields: BTreeMap<&'static str, FieldValue> = point
                .measurement
                .fields
                .iter()
                .map(|(name, _)| *name)
                .zip(point.fields.iter().cloned())
                .filter(|(name, _)| {
                    !matches!(*name, "p50_ms" | "p95_ms" | "p99_ms" | "lag_p50_s" | "lag_p95_s")
                })
                .collect();
            let number = |name| match fields.get(name) {
                Some(FieldValue::Integer(value)) => *value,
                _ => 0,
            };
            let says_something = match point.measurement.name {
                "http" | "http_status" => number("requests") > 0,
                "http_all" => number("requests") + number("users") > 0,
                "first_click" => number("checkouts") > 0,
                _ => true,
            };
            if says_something {
                numbers.insert(key.clone(), fields);
            }
        }
        numbers
    }

    pub(crate) fn dead_letters(&self) -> BTreeSet<(usize, i64)> {
        self.dead_letters.clone()
    }

    pub(crate) fn late(&self) -> BTreeSet<(usize, i64)> {
        self.late.clone()
    }

    pub(crate) fn totals(&self) -> TaskTotals {
        let mut sum = TaskTotals::default();
        for totals in self.tasks.iter().map(Task::totals) {
            sum.consumed += totals.consumed;
            sum.counted += totals.counted;
            sum.duplicates += totals.duplicates;
            sum.late += totals.late;
            sum.rejected += totals.rejected;
        }
        sum
    }
}

/// From the newest snapshot that is not past the commit.
fn restored(
    snapshots: &[Vec<u8>],
    options: &Arc<Options>,
    identity: TaskIdentity,
    start: &Checkpoint,
    now: Timestamp,
) -> Option<Task> {
    for bytes in snapshots.iter().rev() {
        match Task::restore(Arc::clone(options), identity, bytes, std::slice::from_ref(start), now) {
            Ok(task) => return Some(task),
            Err(SnapshotError::AheadOfCommit { .. }) => {}
            Err(SnapshotError::TooOld { .. }) => return None,
            Err(error) => panic!("{error}"),
        }
    }
    None
}
