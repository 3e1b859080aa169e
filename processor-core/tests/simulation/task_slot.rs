//! One task as a worker keeps it.

use std::sync::Arc;

use events::Timestamp;
use processor_core::{Checkpoint, Task, TaskIdentity, TaskOutputs};

use super::bugs::Bug;
use super::kafka::{Committed, Origin, Output, Topic};
use super::oracle::Rule;
use super::world::World;

/// A task of a worker, with what it has handed out since the last epoch.
pub(super) struct TaskSlot {
    pub(super) task: Task,
    /// Names this run of the task: assigned until lost.
    pub(super) run: u64,
    pub(super) handed_out: u64,
    pub(super) outputs: Vec<Output>,
    /// The next record to read, as an index of the log.
    pub(super) at: usize,
    /// The first offset that was not committed before.
    pub(super) live_from: i64,
    pub(super) sealed: Option<Committed>,
    pub(super) watermark: i64,
    pub(super) ended: bool,
    /// The wall clock is so much further for it, as it has lived through stretches in which nothing counts.
    ahead: i64,
    /// How many events counted, and its wall clock then.
    counted: (u64, i64),
}

impl TaskSlot {
    pub(super) fn new(task: Task, run: u64, at: usize, start: &Checkpoint, now: i64) -> Self {
        Self {
            task,
            run,
            handed_out: 0,
            outputs: Vec::new(),
            at,
            live_from: start.next_offset,
            sealed: None,
            watermark: start.watermark,
            ended: false,
            ahead: 0,
            counted: (0, now),
        }
    }

    /// Its wall clock.
    pub(super) fn now(&self, now: i64) -> Timestamp {
        Timestamp::from_micros(now + self.ahead)
    }

    pub(super) fn wait(&mut self, ms: i64) {
        self.ahead += ms * 1_000;
    }

    /// Records were read.
    pub(super) fn has_read(&mut self, now: i64) {
        let counted = self.task.totals().counted;
        if counted > self.counted.0 {
            self.counted = (counted, now + self.ahead);
        }
    }

    /// There was a stretch in which records came and none counted. If it was long enough, the frontier moves the task.
    pub(super) fn after_stretch(&mut self, partition: u32, to: i64, world: &mut World<'_>, now: i64) -> bool {
        let now = self.now(now);
        self.counted.1 = self.counted.1.min(now.micros()); // a clock may be set back
        if now.micros() - self.counted.1 < 10_000_000 {
            return false;
        }
        let begun = now.micros();
        let mut out = TaskOutputs::default();
        let now = self.unread_for_long(now, &mut out);
        self.task.tick(now, &[true], Some(Timestamp::from_micros(to)), &mut out);
        let now = self.unread_for_long(now, &mut out); // the record after the stretch
        self.ahead += now.micros() - begun;
        assert!(self.task_watermark() <= to, "a stretch went further than its log says");
        self.collect(partition, out, world);
        if self.task_watermark() < to {
            let what = || format!("task {partition}: nothing counted for 10 s, and it does not come to {to}");
            world.fail(Rule::Held, what);
        }
        true
    }

    pub(super) fn snapshot(&mut self, partition: u32, world: &mut World<'_>) {
        let Some(snapshot) = self.task.snapshot() else { return };
        let offset = snapshot.offsets()[0];
        let World { store, random, now, .. } = world;
        store.put(partition, offset, snapshot.encode(), *now, random);
        world.note(|| format!("task {partition}: snapshot at {offset}"));
    }

    pub(super) fn task_watermark(&self) -> i64 {
        self.task.report().watermark.map_or(i64::MIN, Timestamp::micros)
    }

    /// Everything is read and nothing comes: the wall clock and the frontier move the watermark, at last to `to`.
    pub(super) fn silence(&mut self, partition: u32, to: i64, world: &mut World<'_>, now: i64) {
        let mut out = TaskOutputs::default();
        let now = self.unread_for_long(self.now(now), &mut out).micros();
        let mut tick = |now: i64, caught_up: bool, frontier: Option<i64>| {
            let frontier = frontier.map(Timestamp::from_micros);
            self.task.tick(Timestamp::from_micros(now), &[caught_up], frontier, &mut out);
            self.task.report().watermark.map_or(i64::MIN, Timestamp::micros)
        };
        let silent = now + 10_000_000 + world.random.below(5_000_000) as i64;
        match world.random.below(3) {
            0 => {
                let watermark = tick(silent, true, None);
                let left = to.saturating_sub(watermark).clamp(1, 4_000_000_000);
                tick(silent + world.random.below(left as u64) as i64, true, None);
            }
            1 => {
                tick(silent, true, Some(to - world.random.below(600_000_000) as i64));
            }
            _ => {
                tick(silent, true, Some(to));
            }
        }
        assert!(self.task_watermark() <= to, "a silence went further than its log says");
        self.collect(partition, out, world);
        let run = self.run;
        world.note(|| format!("run {run}: task {partition} was silent, to reach {to}"));
    }

    /// Something is unread for long, which ends an earlier silence: the next one moves the watermark from where it stands.
    /// Returns the wall clock after it.
    fn unread_for_long(&mut self, now: Timestamp, out: &mut TaskOutputs) -> Timestamp {
        let later = now.plus_micros(2_000_000);
        for now in [now, later] {
            self.task.tick(now, &[false], None, out);
        }
        later
    }

    pub(super) fn collect(&mut self, partition: u32, out: TaskOutputs, world: &mut World<'_>) {
        let totals = self.task.totals();
        if totals.consumed != totals.counted + totals.duplicates + totals.late + totals.rejected {
            world.fail(Rule::Conservation, || format!("task {partition}: {totals:?}"));
        }
        let run = self.run;
        let mut push = |to, value, source| {
            let origin = Origin { run, handed_out: self.handed_out };
            self.handed_out += 1;
            self.outputs.push(Output { to, value, source, origin });
        };
        for partial in out.partials {
            push((Topic::Partials, partial.partition), partial.value, None);
        }
        for letter in out.dead_letters {
            push((Topic::DeadLetters, partition), Vec::new(), Some(letter.offset));
        }
        for late in out.late {
            push((Topic::Late, partition), Vec::new(), Some(late.offset));
        }
    }
}

/// Makes a task from the newest snapshot that fits, or else from its commit alone.
pub(super) fn make(
    world: &mut World<'_>,
    identity: TaskIdentity,
    start: &mut Checkpoint,
    now: Timestamp,
) -> Task {
    let ahead = world.bug == Some(Bug::SnapshotAhead);
    let newest = if ahead { i64::MAX } else { start.next_offset };
    let options = || Arc::clone(&world.options);
    let mut refused = None;
    if let Some((offset, bytes)) = world.store.newest(identity.partition, newest) {
        if ahead {
            start.next_offset = start.next_offset.max(offset);
        }
        match Task::restore(options(), identity, bytes, std::slice::from_ref(start), now) {
            Ok(task) => {
                world.note(|| format!("task {}: from the snapshot at {offset}", identity.partition));
                return task;
            }
            Err(error) => refused = Some(error),
        }
    }
    let task = Task::new(options(), identity, std::slice::from_ref(start), now);
    if let Some(error) = refused {
        world.note(|| format!("task {}: {error}", identity.partition));
    }
    task.expect("the options are valid")
}
