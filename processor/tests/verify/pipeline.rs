//! Tasks and merges as the shell drives them, with what they leave behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use events::Timestamp;
use processor::verify::{Field, Position, Recorded, Stored};
use processor_core::{Checkpoint, FieldValue, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Task};
use processor_core::{TaskIdentity, TaskOutputs};

use super::random::{Log, Random};
use super::settings;

/// By resolution, measurement, time and tags.
pub(crate) type Points = BTreeMap<(usize, &'static str, i64, Vec<String>), Stored>;

/// A record in a dead-letter or late topic.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    pub(crate) position: Position,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) written_ms: i64,
}

pub(crate) struct Pipeline {
    pub(crate) points: Points,
    pub(crate) rejected: Vec<Copy>,
    pub(crate) late: Vec<Copy>,
    /// By log: what was committed of its watermark.
    pub(crate) committed: Vec<Recorded>,
    tasks: Vec<Task>,
    merges: Vec<Merge>,
    messages: i64,
    now_ms: i64,
    knows_jumps: bool,
}

/// Partitions of the partials topic.
const MERGES: usize = 2;
/// How often tasks are told the wall clock; less often in a long pause.
const TICK_MS: i64 = 5_000;
const SLOW_TICK_MS: i64 = 120_000;

impl Pipeline {
    fn new(logs: &[Log]) -> Self {
        let options: Arc<Options> = Arc::new(settings(logs).options());
        let tasks = logs.iter().map(|log| log.partition + 1).max().unwrap_or(0);
        let start = |task: i32| {
            let identity = TaskIdentity {
                partition: task as u32,
                tasks: tasks as u32,
                merge_partitions: MERGES as u32,
                origin: 7,
            };
            let starts: Vec<Checkpoint> = options.inputs.iter().map(|_| Checkpoint::parse(0, "")).collect();
            Task::new(Arc::clone(&options), identity, &starts, Timestamp::from_millis(0)).unwrap()
        };
        Self {
            points: Points::new(),
            rejected: Vec::new(),
            late: Vec::new(),
            committed: Vec::new(),
            tasks: (0..tasks).map(start).collect(),
            merges: (0..MERGES)
                .map(|_| Merge::new(Arc::clone(&options), 7, &MergeCheckpoint::parse(0, "")))
                .collect(),
            messages: 0,
            now_ms: 0,
            knows_jumps: true,
        }
    }

    /// Everything is there from the start, and read in batches of any size and order of partitions; then it is drained,
    /// as `run --until-end` does.
    pub(crate) fn backfill(logs: &[Log], random: &mut Random) -> Self {
        let mut pipeline = Self::new(logs);
        let mut next = vec![0; logs.len()];
        while (0..logs.len()).any(|log| next[log] < logs[log].records.len()) {
            let log = random.below(logs.len() as u64) as usize;
            let until = (next[log] + 1 + random.below(60) as usize).min(logs[log].records.len());
            pipeline.read(&logs[log], next[log], until);
            next[log] = until;
            if random.chance(10) {
                pipeline.now_ms += 1_100;
                pipeline.emit();
            }
        }
        for task in 0..pipeline.tasks.len() {
            let mut out = TaskOutputs::default();
            pipeline.tasks[task].drain(&mut out);
            pipeline.deliver(task, out);
        }
        pipeline.merge();
        pipeline.commit(logs);
        pipeline
    }

    /// Records are read at the moment of their timestamps, and the clock ticks between them.
    pub(crate) fn live(logs: &[Log], knows_jumps: bool) -> Self {
        let mut pipeline = Self { knows_jumps, ..Self::new(logs) };
        let mut arrivals: Vec<(i64, usize, usize)> = Vec::new();
        for (log, of) in logs.iter().enumerate() {
            arrivals.extend(of.records.iter().enumerate().map(|(at, record)| (record.timestamp_ms, log, at)));
        }
        arrivals.sort_unstable();
        pipeline.now_ms = arrivals.first().map_or(0, |first| first.0);
        for (arrives, log, at) in arrivals {
            while pipeline.now_ms + TICK_MS <= arrives {
                let left = arrives - pipeline.now_ms;
                pipeline.now_ms += if left > 3 * SLOW_TICK_MS { SLOW_TICK_MS } else { TICK_MS };
                pipeline.tick(logs);
            }
            pipeline.read(&logs[log], at, at + 1);
        }
        for _ in 0..20 {
            pipeline.now_ms += TICK_MS;
            pipeline.tick(logs);
        }
        pipeline.commit(logs);
        pipeline
    }

    /// What every task and merge is past.
    pub(crate) fn closed_through(&self) -> i64 {
        let merged = self.merges.iter().map(|merge| merge.checkpoint().closed_through).min().unwrap();
        self.committed.iter().filter_map(|of| of.committed).fold(merged, i64::min)
    }

    fn read(&mut self, log: &Log, from: usize, until: usize) {
        let records = log.records[from..until].iter().zip(from..).map(|(record, offset)| Record {
            offset: offset as i64,
            timestamp_ms: record.timestamp_ms,
            key: None,
            value: Some(&record.value),
        });
        let mut out = TaskOutputs::default();
        let (task, now) = (log.partition as usize, Timestamp::from_millis(self.now_ms));
        self.tasks[task].records(usize::from(log.input), now, records, &mut out);
        self.deliver(task, out);
    }

    fn tick(&mut self, logs: &[Log]) {
        let inputs = settings(logs).inputs.len();
        let frontier = self.merges.iter().filter_map(Merge::frontier).max();
        for task in 0..self.tasks.len() {
            let mut out = TaskOutputs::default();
            let now = Timestamp::from_millis(self.now_ms);
            self.tasks[task].tick(now, &vec![true; inputs], frontier, &mut out);
            self.deliver(task, out);
        }
        self.emit();
    }

    fn emit(&mut self) {
        for task in 0..self.tasks.len() {
            let mut out = TaskOutputs::default();
            self.tasks[task].emit(Timestamp::from_millis(self.now_ms), &mut out);
            self.deliver(task, out);
        }
        self.merge();
    }

    fn deliver(&mut self, task: usize, out: TaskOutputs) {
        for partial in out.partials {
            self.messages += 1;
            self.merges[partial.partition as usize].message(self.messages, &partial.value).unwrap();
        }
        let copy = |input: usize, offset: i64, reason: &str, detail: String, value: Option<Vec<u8>>| Copy {
            position: (input as u16, task as i32, offset),
            reason: reason.to_owned(),
            detail,
            value,
            written_ms: self.now_ms,
        };
        let rejected = out.dead_letters.into_iter();
        self.rejected
            .extend(rejected.map(|of| copy(of.input, of.offset, of.reason.name(), of.detail, of.value)));
        self.late
            .extend(out.late.into_iter().map(|of| copy(of.input, of.offset, "late", of.detail, of.value)));
    }

    fn merge(&mut self) {
        for merge in &mut self.merges {
            let mut out = MergeOutputs::default();
            merge.emit(&mut out).unwrap();
            for point in out.points {
                let stored = Stored {
                    time: point.time.micros(),
                    tags: point.tags.iter().map(|tag| tag.to_string()).collect(),
                    fields: point.fields.iter().map(|value| Some(field(value))).collect(),
                };
                let key =
                    (point.resolution as usize, point.measurement.name, stored.time, stored.tags.clone());
                self.points.insert(key, stored);
            }
        }
    }

    fn commit(&mut self, logs: &[Log]) {
        for log in logs {
            let checkpoint = &self.tasks[log.partition as usize].checkpoints()[usize::from(log.input)];
            let checkpoint = Checkpoint::parse(checkpoint.next_offset, &checkpoint.metadata());
            // What an older version wrote says less.
            let complete = self.knows_jumps;
            self.committed.push(Recorded {
                committed: (checkpoint.watermark != i64::MIN).then_some(checkpoint.watermark),
                at: complete.then_some((checkpoint.replay.offset, checkpoint.replay.watermark)),
                jumps: checkpoint.jumps.iter().map(|jump| (jump.offset, jump.watermark)).collect(),
                complete,
            });
        }
    }
}

fn field(value: &FieldValue) -> Field {
    match value {
        FieldValue::Integer(value) => Field::Integer(*value),
        FieldValue::Float(value) => Field::Float(*value),
        FieldValue::Text(value) => Field::Text(value.to_string()),
    }
}
