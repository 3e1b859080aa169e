//! Kafka and the processes, simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use processor_core::{
    FieldValue, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Relay, RelayOutputs, Task, TaskOutputs,
};

use super::model::{Key, Logged};
use super::random::Random;
use super::{Faults, by_user, identity, now, options, start};

pub(crate) struct World<'a> {
    sources: &'a [Vec<Logged>],
    random: Random,
    options: Arc<Options>,
    now_ms: i64,
    // What Kafka keeps.
    by_user: Vec<Vec<Vec<u8>>>,
    relay_commits: Vec<Option<(i64, String)>>,
    task_commits: Vec<Option<(i64, String)>>,
    snapshots: Vec<Option<Vec<u8>>>,
    partials: Vec<Vec<u8>>,
    pub(crate) dead_letters: BTreeSet<(u32, i64)>,
    pub(crate) late: BTreeSet<(u32, i64)>,
    // What a crash loses.
    relays: Vec<Relay>,
    sent: Vec<RelayOutputs>,
    pub(crate) tasks: Vec<Task>,
    outputs: Vec<TaskOutputs>,
}

impl<'a> World<'a> {
    pub(crate) fn new(sources: &'a [Vec<Logged>], mut random: Random) -> Self {
        let tasks = 1 + random.below(3) as usize;
        let mut world = Self {
            sources,
            random,
            options: options(sources.len() as u32),
            now_ms: 0,
            by_user: vec![Vec::new(); tasks],
            relay_commits: vec![None; sources.len()],
            task_commits: vec![None; tasks],
            snapshots: vec![None; tasks],
            partials: Vec::new(),
            dead_letters: BTreeSet::new(),
            late: BTreeSet::new(),
            relays: Vec::new(),
            sent: Vec::new(),
            tasks: Vec::new(),
            outputs: Vec::new(),
        };
        world.relays = (0..sources.len()).map(|source| world.relay(source)).collect();
        world.sent = sources.iter().map(|_| RelayOutputs::default()).collect();
        world.tasks = (0..tasks).map(|task| world.task(task)).collect();
        world.outputs = (0..tasks).map(|_| TaskOutputs::default()).collect();
        world
    }

    fn relay(&self, source: usize) -> Relay {
        let start = start(&self.relay_commits[source]);
        let tasks = self.by_user.len() as u32;
        Relay::new(Arc::clone(&self.options), 0, source as u32, tasks, &start, now(0)).unwrap()
    }

    fn task(&self, task: usize) -> Task {
        let start = start(&self.task_commits[task]);
        let identity = identity(task as u32, self.by_user.len() as u32);
        let starts = [start];
        if let Some(bytes) = &self.snapshots[task]
            && let Ok(task) = Task::restore(Arc::clone(&self.options), identity, bytes, &starts, now(0))
        {
            return task;
        }
        Task::new(Arc::clone(&self.options), identity, &starts, now(0)).unwrap()
    }

    pub(crate) fn run(&mut self, faults: Faults) {
        while (0..self.sources.len()).any(|source| !self.is_read(source)) {
            let source = self.random.below(self.sources.len() as u64) as usize;
            let task = self.random.below(self.tasks.len() as u64) as usize;
            match self.random.below(10) {
                // What is told of it has no bearing on anything but when the rest is decided.
                _ if self.is_rubbish(source) && self.random.chance(30) => {
                    self.relays[source].tick(now(self.now_ms + 60_000), true);
                }
                0..=2 => self.read_source(source, 20),
                3 | 4 => self.publish(source, faults != Faults::Repeats || self.random.clone().chance(60)),
                5 | 6 => self.read_by_user(task, 30),
                7 | 8 => self.seal(task),
                _ if faults == Faults::None => {}
                _ if self.random.chance(50) => {
                    self.sent[source] = RelayOutputs::default();
                    self.relays[source] = self.relay(source);
                }
                _ => {
                    self.outputs[task] = TaskOutputs::default();
                    self.tasks[task] = self.task(task);
                }
            }
        }
        (0..self.sources.len()).for_each(|source| self.publish(source, true));
        let ends: Vec<i64> = self.sources.iter().map(|log| log.len() as i64).collect();
        for task in 0..self.tasks.len() {
            self.read_by_user(task, usize::MAX);
            assert!(self.tasks[task].has_heard_of(std::slice::from_ref(&ends)), "it has read all there is");
            self.tasks[task].drain(&mut self.outputs[task]);
            self.seal(task);
        }
    }

    fn is_read(&self, source: usize) -> bool {
        self.relays[source].progress().next_offset == self.sources[source].len() as i64
    }

    /// Whether nothing of it counts.
    fn is_rubbish(&self, source: usize) -> bool {
        self.sources[source].iter().all(|record| record.event.is_none())
    }

    fn read_source(&mut self, source: usize, max: u64) {
        let from = self.relays[source].progress().next_offset;
        let count = 1 + self.random.below(max);
        let log = &self.sources[source];
        let records = (from..(from + count).min(log.len() as i64)).map(|offset| {
            let Logged { timestamp_ms, value, .. } = &log[offset as usize];
            Record { offset, timestamp_ms: *timestamp_ms, key: Some(b"unkeyed"), value: Some(value) }
        });
        self.relays[source].records(now(0), records, &mut self.sent[source]);
    }

    /// What the relay has sent on becomes visible, and its offset, unless it dies in between.
    fn publish(&mut self, source: usize, commit: bool) {
        let mut sent = std::mem::take(&mut self.sent[source]);
        let rekeyed = self.options.rekeyed.as_ref().unwrap();
        sent.tell(rekeyed, self.by_user.len() as u32, &[self.relays[source].progress()]);
        for record in sent.iter() {
            self.by_user[record.partition as usize].push(record.value.to_vec());
        }
        if commit {
            let checkpoint = self.relays[source].checkpoint();
            self.relay_commits[source] = Some((checkpoint.next_offset, checkpoint.metadata()));
        } else {
            self.relays[source] = self.relay(source);
        }
    }

    fn read_by_user(&mut self, task: usize, max: usize) {
        let from = self.tasks[task].next_offset(0) as usize;
        let until = from.saturating_add(max).min(self.by_user[task].len());
        let log = &self.by_user[task];
        let records = (from..until).map(|offset| by_user(offset as i64, &log[offset]));
        self.tasks[task].relayed(now(0), records, &mut self.outputs[task]).expect("relays wrote it");
    }

    fn seal(&mut self, task: usize) {
        self.now_ms += self.random.below(2_000);
        let out = &mut self.outputs[task];
        self.tasks[task].tick(now(self.now_ms), &[false], None, out);
        self.tasks[task].emit(now(self.now_ms), out);
        let out = std::mem::take(out);
        self.partials.extend(out.partials.into_iter().map(|partial| partial.value));
        self.dead_letters.extend(out.dead_letters.iter().map(|letter| (letter.partition, letter.offset)));
        self.late.extend(out.late.iter().map(|late| (late.partition, late.offset)));
        let checkpoint = &self.tasks[task].checkpoints()[0];
        let commit = (checkpoint.next_offset, checkpoint.metadata());
        assert!(self.task_commits[task].as_ref().is_none_or(|(offset, _)| *offset <= commit.0));
        self.task_commits[task] = Some(commit);
        if self.random.chance(20) {
            self.snapshots[task] = self.tasks[task].snapshot().map(|snapshot| snapshot.encode());
        }
    }

    pub(crate) fn numbers(&self) -> BTreeMap<Key, i64> {
        let mut merge = Merge::new(Arc::clone(&self.options), 7, &MergeCheckpoint::parse(0, ""));
        for (offset, value) in (0..).zip(&self.partials) {
            merge.message(offset, value).unwrap();
        }
        let mut out = MergeOutputs::default();
        merge.emit(&mut out).unwrap();
        let mut numbers = BTreeMap::new();
        for point in out.points {
            let size = [10, 60, 3_600][point.resolution as usize];
            let names = point.measurement.fields.iter().map(|(name, _)| *name);
            let wanted: &[&str] = match point.measurement.name {
                "http_all" => &["requests", "users"],
                "first_click" => &["checkouts", "attributed", "revenue_cents"],
                _ => continue,
            };
            for (name, field) in names.zip(&point.fields).filter(|(name, _)| wanted.contains(name)) {
                if let FieldValue::Integer(value @ 1..) = field {
                    numbers.insert((name.to_owned(), size, point.time.secs()), *value);
                }
            }
        }
        numbers
    }
}
