//! Tasks and merges as the shell drives them, with what they leave behind.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use events::Timestamp;
use processor::verify::{Field, Position, Recorded, Stored};
use processor_core::{
    Checkpoint, FieldValue, Merge, MergeCheckpoint, MergeOutputs, Options, Record, Relay, RelayOutputs, Task,
    TaskIdentity, TaskOutputs,
};

use super::random::{Log, Random};
use super::settings;

/// Resolution, measurement, time and tags.
pub(crate) type Key = (usize, &'static str, i64, Vec<String>);
pub(crate) type Points = BTreeMap<Key, Stored>;

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
    options: Arc<Options>,
    tasks: Vec<Task>,
    /// By log; none where it is keyed.
    relays: Vec<Option<Relay>>,
    /// Records so far, by partition of the by-user topic.
    by_user: Vec<i64>,
    /// The number in the settings, by the core's: keyed inputs come first.
    inputs: Vec<u16>,
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
        let settings = settings(logs);
        let mut options = settings.options();
        let (keyed, unkeyed): (Vec<u16>, Vec<u16>) =
            (0..settings.inputs.len() as u16).partition(|at| settings.inputs[usize::from(*at)].keyed);
        if let Some(rekeyed) = &mut options.rekeyed {
            let partitions = |input: &u16| logs.iter().filter(|log| log.input == *input).count() as u32;
            rekeyed.partitions = unkeyed.iter().map(partitions).collect();
        }
        let options = Arc::new(options);
        let of_keyed = logs.iter().filter(|log| !log.rekeyed).map(|log| log.partition + 1).max();
        let tasks = of_keyed.unwrap_or_else(|| logs.iter().map(|log| log.partition + 1).max().unwrap_or(0));
        let start = |task: i32| {
            let identity = TaskIdentity {
                partition: task as u32,
                tasks: tasks as u32,
                merge_partitions: MERGES as u32,
                origin: 7,
            };
            let inputs = options.inputs.iter().map(drop).chain(options.rekeyed.iter().map(drop));
            let starts: Vec<Checkpoint> = inputs.map(|()| Checkpoint::parse(0, "")).collect();
            Task::new(Arc::clone(&options), identity, &starts, Timestamp::from_millis(0)).unwrap()
        };
        let relay = |log: &Log| {
            let at = unkeyed.iter().position(|input| *input == log.input)?;
            let (start, now) = (Checkpoint::parse(0, ""), Timestamp::from_millis(0));
            let (partition, tasks) = (log.partition as u32, tasks as u32);
            Some(Relay::new(Arc::clone(&options), at, partition, tasks, &start, now).unwrap())
        };
        Self {
            points: Points::new(),
            rejected: Vec::new(),
            late: Vec::new(),
            committed: Vec::new(),
            relays: logs.iter().map(relay).collect(),
            by_user: vec![0; tasks as usize],
            inputs: keyed.into_iter().chain(unkeyed.iter().copied()).collect(),
            tasks: (0..tasks).map(start).collect(),
            merges: (0..MERGES)
                .map(|_| Merge::new(Arc::clone(&options), 7, &MergeCheckpoint::parse(0, "")))
                .collect(),
            options: Arc::clone(&options),
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
            pipeline.read(&logs[log], log, next[log]..until);
            next[log] = until;
            if random.chance(10) {
                pipeline.now_ms += 1_100;
                pipeline.emit();
            }
        }
        for task in 0..pipeline.tasks.len() {
            let mut out = TaskOutputs::default();
            pipeline.tasks[task].drain(&mut out);
            pipeline.deliver(out);
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
            arrivals.extend(of.records.iter().enumerate().map(|(at, record)| (record.arrives_ms, log, at)));
        }
        arrivals.sort_unstable();
        pipeline.now_ms = arrivals.first().map_or(0, |first| first.0);
        for (arrives, log, at) in arrivals {
            while pipeline.now_ms + TICK_MS <= arrives {
                let left = arrives - pipeline.now_ms;
                pipeline.now_ms += if left > 3 * SLOW_TICK_MS { SLOW_TICK_MS } else { TICK_MS };
                pipeline.tick();
            }
            pipeline.read(&logs[log], log, at..at + 1);
        }
        for _ in 0..20 {
            pipeline.now_ms += TICK_MS;
            pipeline.tick();
        }
        pipeline.commit(logs);
        pipeline
    }

    /// What every task and merge is past.
    pub(crate) fn closed_through(&self) -> i64 {
        let merged = self.merges.iter().map(|merge| merge.checkpoint().closed_through).min().unwrap();
        let tasks = self.tasks.iter().filter_map(|task| task.report().watermark);
        tasks.fold(merged, |closed, watermark| closed.min(watermark.micros()))
    }

    /// How many there are.
    pub(crate) fn tasks(&self) -> u32 {
        self.tasks.len() as u32
    }

    fn read(&mut self, log: &Log, at: usize, offsets: Range<usize>) {
        let records = log.records[offsets.clone()].iter().zip(offsets).map(|(record, offset)| Record {
            offset: offset as i64,
            timestamp_ms: record.timestamp_ms,
            key: None,
            value: Some(&record.value),
        });
        let now = Timestamp::from_millis(self.now_ms);
        if let Some(relay) = &mut self.relays[at] {
            let mut sent = RelayOutputs::default();
            relay.records(now, records, &mut sent);
            return self.send(sent);
        }
        let mut out = TaskOutputs::default();
        let (task, input) = (log.partition as usize, self.input(log));
        self.tasks[task].records(input, now, records, &mut out);
        self.deliver(out);
    }

    /// The core's number of a log's input.
    fn input(&self, log: &Log) -> usize {
        self.inputs.iter().position(|input| *input == log.input).unwrap()
    }

    /// To the by-user topic, whose tasks read it at once, with how far all relays are.
    fn send(&mut self, mut sent: RelayOutputs) {
        let Some(rekeyed) = &self.options.rekeyed else { return };
        let progress: Vec<_> = self.relays.iter().flatten().map(Relay::progress).collect();
        sent.tell(rekeyed, self.tasks.len() as u32, &progress);
        let now = Timestamp::from_millis(self.now_ms);
        for record in sent.iter() {
            let task = record.partition as usize;
            let of = Record {
                offset: self.by_user[task],
                timestamp_ms: self.now_ms,
                key: None,
                value: Some(record.value),
            };
            self.by_user[task] += 1;
            let mut out = TaskOutputs::default();
            self.tasks[task].relayed(now, [of], &mut out).unwrap();
            self.deliver(out);
        }
    }

    fn tick(&mut self) {
        let now = Timestamp::from_millis(self.now_ms);
        self.relays.iter_mut().flatten().for_each(|relay| relay.tick(now, true));
        self.send(RelayOutputs::default());
        let inputs = self.options.inputs.len() + usize::from(self.options.rekeyed.is_some());
        let frontier = self.merges.iter().filter_map(Merge::frontier).max();
        for task in 0..self.tasks.len() {
            let mut out = TaskOutputs::default();
            self.tasks[task].tick(now, &vec![true; inputs], frontier, &mut out);
            self.deliver(out);
        }
        self.emit();
    }

    fn emit(&mut self) {
        for task in 0..self.tasks.len() {
            let mut out = TaskOutputs::default();
            self.tasks[task].emit(Timestamp::from_millis(self.now_ms), &mut out);
            self.deliver(out);
        }
        self.merge();
    }

    fn deliver(&mut self, out: TaskOutputs) {
        for partial in out.partials {
            self.messages += 1;
            self.merges[partial.partition as usize].message(self.messages, &partial.value).unwrap();
        }
        let copy = |(input, partition, offset): (usize, u32, i64), reason: &str, detail, value| Copy {
            position: (self.inputs[input], partition as i32, offset),
            reason: reason.to_owned(),
            detail,
            value,
            written_ms: self.now_ms,
        };
        self.rejected.extend(
            out.dead_letters
                .into_iter()
                .map(|of| copy((of.input, of.partition, of.offset), of.reason.name(), of.detail, of.value)),
        );
        let late = out.late.into_iter();
        self.late
            .extend(late.map(|of| copy((of.input, of.partition, of.offset), "late", of.detail, of.value)));
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
        for (at, log) in logs.iter().enumerate() {
            let input = self.input(log);
            let checkpoint = match &self.relays[at] {
                Some(relay) => relay.checkpoint(),
                None => self.tasks[log.partition as usize].checkpoints().swap_remove(input),
            };
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
