//! A worker's tasks and their epochs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{Checkpoint, Record, Task, TaskOutputs, TaskTotals};

use super::RunError;
use super::shared::{Shared, now};
use crate::kafka::{Commit, Consumer, EpochAcks, KafkaError, Outbox as _, OutboxRecord, Run};
use crate::status::TaskStatus;

/// Sealed epochs that may wait for their commit. Beyond it nothing is read: at two epochs a second, 30 s of records
/// are read ahead of a sink that does not confirm, and would be read again after a crash.
const EPOCHS_IN_FLIGHT_MAX: usize = 60;
/// Dead letters and late records of an epoch; beyond it the epoch is sealed at once.
const OUTPUTS_MAX: usize = 20_000;
/// How often tasks are told the wall clock.
const TICK: Duration = Duration::from_millis(200);

/// A task with what the shell knows of it.
pub(super) struct TaskSlot {
    partition: i32,
    task: Task,
    /// Where a bounded run ends, per input; empty otherwise.
    ends: Vec<i64>,
    ended: bool,
    starts: Vec<Checkpoint>,
    published: TaskTotals,
}

impl TaskSlot {
    pub(super) fn new(partition: i32, task: Task, starts: Vec<Checkpoint>, ends: Vec<i64>) -> Self {
        Self { partition, task, ends, ended: false, starts, published: TaskTotals::default() }
    }
}

/// What a sealed epoch waits for.
struct Epoch {
    acks: Arc<EpochAcks>,
    answered: Arc<AtomicBool>,
    /// Partials partition to the last offset this epoch wrote there; known once answered.
    partials: Option<BTreeMap<i32, i64>>,
    commits: Vec<Commit>,
}

/// The tasks of a worker.
pub(super) struct Stage1 {
    shared: Arc<Shared>,
    consumer: Consumer,
    tasks: BTreeMap<i32, TaskSlot>,
    /// Filled by the tasks until the epoch is sealed, per task.
    outputs: BTreeMap<i32, TaskOutputs>,
    epochs: VecDeque<Epoch>,
    sealed_at: Instant,
    ticked_at: Instant,
    /// What was committed last, per topic and partition.
    committed: BTreeMap<(String, i32), Commit>,
}

impl Stage1 {
    pub(super) fn new(shared: Arc<Shared>, consumer: Consumer) -> Self {
        Self {
            shared,
            consumer,
            tasks: BTreeMap::new(),
            outputs: BTreeMap::new(),
            epochs: VecDeque::new(),
            sealed_at: Instant::now(),
            ticked_at: Instant::now(),
            committed: BTreeMap::new(),
        }
    }

    pub(super) fn assign(&mut self, slot: TaskSlot) {
        self.tasks.insert(slot.partition, slot);
    }

    /// Forgets tasks: what they have not committed is the next owner's to repeat.
    pub(super) fn revoke(&mut self, partitions: &[i32]) {
        self.publish();
        for partition in partitions {
            self.tasks.remove(partition);
            self.outputs.remove(partition);
            self.committed.retain(|(_, of), _| of != partition);
            for epoch in &mut self.epochs {
                epoch.commits.retain(|commit| commit.partition != *partition);
            }
        }
        let mut reports = self.shared.reports();
        for partition in partitions {
            reports.tasks.remove(partition);
            reports.overflowed.remove(partition);
        }
    }

    /// Whether records may be read: not while too much waits for a commit.
    pub(super) fn may_read(&self) -> bool {
        self.epochs.len() < EPOCHS_IN_FLIGHT_MAX
    }

    pub(super) fn in_flight(&self) -> usize {
        self.epochs.len()
    }

    /// For a bounded run: how many tasks have reached their end with everything committed.
    pub(super) fn ended_tasks(&self) -> usize {
        if self.epochs.is_empty() { self.tasks.values().filter(|slot| slot.ended).count() } else { 0 }
    }

    /// Takes successive records of one partition.
    pub(super) fn records(&mut self, run: &Run<'_>) -> Result<(), RunError> {
        let Some(slot) = self.tasks.get_mut(&run.partition()) else {
            // Assignments are taken before a batch is looked at, so these are records of a partition that was revoked.
            tracing::debug!(
                partition = run.partition(),
                records = run.len(),
                "records of a revoked partition"
            );
            return Ok(());
        };
        let input = self.shared.core.inputs.iter().position(|input| input.topic == run.topic());
        let input = input.expect("only configured topics are subscribed to");
        let end = slot.ends.get(input).copied().unwrap_or(i64::MAX);
        let records = run.iter().take_while(|message| message.offset() < end).map(|message| Record {
            offset: message.offset(),
            timestamp_ms: message.timestamp_ms().unwrap_or(0),
            key: message.key(),
            value: message.payload(),
        });
        let out = self.outputs.entry(slot.partition).or_default();
        slot.task.records(input, now(), records, out);
        if out.dead_letters.len() + out.late.len() > OUTPUTS_MAX {
            self.seal()?;
        }
        Ok(())
    }

    /// Does what the wall clock asks for.
    pub(super) fn turn(&mut self, draining: bool) -> Result<(), RunError> {
        self.complete()?;
        if self.ticked_at.elapsed() >= TICK {
            self.ticked_at = Instant::now();
            self.tick()?;
        }
        if !draining && self.sealed_at.elapsed() >= self.shared.epoch_interval && self.may_read() {
            let now = now();
            for slot in self.tasks.values_mut().filter(|slot| !slot.ended) {
                slot.task.emit(now, self.outputs.entry(slot.partition).or_default());
            }
            self.seal()?;
        }
        Ok(())
    }

    /// Writes out what the tasks have, as nothing more will be read.
    pub(super) fn drain(&mut self) -> Result<(), RunError> {
        let now = now();
        for slot in self.tasks.values_mut() {
            slot.task.emit(now.plus_micros(3_600_000_000), self.outputs.entry(slot.partition).or_default());
        }
        self.seal()
    }

    fn tick(&mut self) -> Result<(), RunError> {
        let now = now();
        let frontier = match self.shared.frontier.load(Ordering::Acquire) {
            i64::MIN => None,
            micros => Some(Timestamp::from_micros(micros)),
        };
        let mut ended = false;
        for slot in self.tasks.values_mut() {
            let inputs = &self.shared.core.inputs;
            let caught_up: Vec<bool> = (0..inputs.len())
                .map(|at| {
                    let end = self.consumer.end_offset(&inputs[at].topic, slot.partition);
                    end.is_some_and(|end| slot.task.next_offset(at) >= end)
                })
                .collect();
            let out = self.outputs.entry(slot.partition).or_default();
            if !slot.ended && !slot.ends.is_empty() {
                let reached = |at: usize| slot.task.next_offset(at) >= slot.ends[at] || slot.ends[at] == 0;
                if (0..slot.ends.len()).all(reached) {
                    tracing::info!(partition = slot.partition, "read to the end offset of the start");
                    slot.task.drain(out);
                    slot.ended = true;
                    ended = true;
                }
                continue; // a bounded run is about the log alone
            }
            slot.task.tick(now, &caught_up, frontier, out);
        }
        if ended { self.seal() } else { Ok(()) }
    }

    /// Ends the epoch: hands out its outputs, and remembers what to commit once they are durable.
    fn seal(&mut self) -> Result<(), RunError> {
        self.sealed_at = Instant::now();
        let commits: Vec<Commit> = self.commits();
        let outputs = std::mem::take(&mut self.outputs);
        if outputs.values().all(TaskOutputs::is_empty) && commits.is_empty() {
            return Ok(());
        }
        let answered = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&answered);
        let acks = EpochAcks::new(move || flag.store(true, Ordering::Release));
        for (partition, outputs) in &outputs {
            self.produce(&acks, *partition, outputs)?;
        }
        acks.seal();
        self.shared.epochs.fetch_add(1, Ordering::Relaxed);
        self.epochs.push_back(Epoch { acks, answered, partials: None, commits });
        self.publish();
        Ok(())
    }

    /// The checkpoints that differ from what was handed to a commit last.
    fn commits(&mut self) -> Vec<Commit> {
        let mut commits = Vec::new();
        for slot in self.tasks.values_mut() {
            for (input, checkpoint) in self.shared.core.inputs.iter().zip(slot.task.checkpoints()) {
                let commit = Commit {
                    topic: input.topic.clone(),
                    partition: slot.partition,
                    next_offset: checkpoint.next_offset,
                    metadata: checkpoint.metadata(),
                };
                let key = (commit.topic.clone(), commit.partition);
                let nothing_read = commit.next_offset == 0;
                if !nothing_read && self.committed.get(&key) != Some(&commit) {
                    self.committed.insert(key, commit.clone());
                    commits.push(commit);
                }
            }
        }
        commits
    }

    fn produce(&self, acks: &Arc<EpochAcks>, partition: i32, outputs: &TaskOutputs) -> Result<(), RunError> {
        for partial in &outputs.partials {
            self.send(
                acks,
                &OutboxRecord {
                    topic: &self.shared.partials_topic,
                    partition: Some(partial.partition as i32),
                    payload: Some(&partial.value),
                    ..OutboxRecord::default()
                },
            )?;
        }
        let number = partition.to_string();
        for letter in &outputs.dead_letters {
            let source = Source { input: letter.input, partition: &number, offset: letter.offset };
            let bytes = (letter.key.as_deref(), letter.value.as_deref());
            self.copy(acks, ".dlq", &source, (letter.reason.name(), &letter.detail), bytes)?;
        }
        for late in &outputs.late {
            let source = Source { input: late.input, partition: &number, offset: late.offset };
            self.copy(
                acks,
                ".late",
                &source,
                ("late", &late.detail),
                (late.key.as_deref(), late.value.as_deref()),
            )?;
        }
        Ok(())
    }

    /// Sends the original bytes of a record to a topic beside its own.
    fn copy(
        &self,
        acks: &Arc<EpochAcks>,
        suffix: &str,
        source: &Source<'_>,
        (reason, detail): (&str, &str),
        (key, payload): (Option<&[u8]>, Option<&[u8]>),
    ) -> Result<(), RunError> {
        let input = &self.shared.core.inputs[source.input].topic;
        let topic = format!("{input}{suffix}");
        let offset = source.offset.to_string();
        let headers = [
            ("reason", reason.as_bytes()),
            ("detail", detail.as_bytes()),
            ("topic", input.as_bytes()),
            ("partition", source.partition.as_bytes()),
            ("offset", offset.as_bytes()),
        ];
        self.send(
            acks,
            &OutboxRecord { topic: &topic, key, payload, headers: &headers, ..Default::default() },
        )
    }

    fn send(&self, acks: &Arc<EpochAcks>, record: &OutboxRecord<'_>) -> Result<(), RunError> {
        loop {
            match self.shared.outbox.send(acks, record) {
                Ok(()) => return Ok(()),
                // The same call may be made again: Kafka does not take records for now, and nothing else is read.
                Err(error @ KafkaError::Backpressure { .. }) => self.shared.problem(error.to_string()),
                Err(error) => return Err(RunError::Output(error.to_string())),
            }
        }
    }

    /// Commits the epochs whose outputs are durable, in order.
    fn complete(&mut self) -> Result<(), RunError> {
        while let Some(epoch) = self.epochs.front_mut() {
            if !epoch.answered.load(Ordering::Acquire) {
                return Ok(());
            }
            if epoch.partials.is_none() {
                let produced = epoch.acks.result().map_err(|error| RunError::Output(error.to_string()))?;
                let partials = produced.into_iter().filter(|of| of.topic == self.shared.partials_topic);
                epoch.partials = Some(partials.map(|of| (of.partition, of.offset)).collect());
            }
            if !epoch.partials.as_ref().is_some_and(|partials| self.shared.merges_passed(partials)) {
                return Ok(());
            }
            let epoch = self.epochs.pop_front().expect("it is at the front");
            if let Err(error) = self.shared.outbox.commit(&self.consumer, &epoch.commits) {
                // A rebalance may be under way; a later commit covers this one, and a lost one repeats work.
                self.shared.problem(error.to_string());
            }
        }
        Ok(())
    }

    /// Tells the status how far the tasks are.
    pub(super) fn publish(&mut self) {
        let mut reports = self.shared.reports();
        for slot in self.tasks.values_mut() {
            let totals = slot.task.totals();
            add_difference(&mut reports.totals, &totals, &slot.published);
            slot.published = totals;
            let report = slot.task.report();
            let inputs = &self.shared.core.inputs;
            let position: i64 = (0..inputs.len()).map(|at| slot.task.next_offset(at)).sum();
            let end: i64 = inputs
                .iter()
                .enumerate()
                .map(|(at, input)| {
                    let end = self.consumer.end_offset(&input.topic, slot.partition);
                    end.unwrap_or_else(|| slot.task.next_offset(at))
                })
                .sum();
            let committed = inputs
                .iter()
                .zip(&slot.starts)
                .map(|(input, start)| {
                    let known = reports.committed.get(&(input.topic.clone(), slot.partition));
                    known.copied().unwrap_or(start.next_offset)
                })
                .sum();
            let state = if report.replay_left > 0 {
                "replaying"
            } else if report.idle {
                "idle"
            } else {
                "running"
            };
            reports.routes = reports.routes.max(report.routes as u64);
            reports.overflowed.insert(slot.partition, report.overflowed);
            reports.tasks.insert(
                slot.partition,
                TaskStatus {
                    partition: slot.partition,
                    state: state.to_owned(),
                    position,
                    end,
                    committed,
                    lag: (end - position).max(0),
                    watermark_ms: report.watermark.map(Timestamp::millis),
                    open_windows: report.open_windows as u64,
                    users: report.users as u64,
                    clicks: report.clicks as u64,
                    dedup_ids: report.dedup_ids as u64,
                    state_bytes: report.state_bytes as u64,
                    replay_left: report.replay_left,
                },
            );
        }
    }
}

/// Where a copied record comes from.
struct Source<'a> {
    input: usize,
    partition: &'a str,
    offset: i64,
}

fn add_difference(sum: &mut TaskTotals, now: &TaskTotals, before: &TaskTotals) {
    sum.consumed += now.consumed - before.consumed;
    sum.counted += now.counted - before.counted;
    sum.duplicates += now.duplicates - before.duplicates;
    sum.late += now.late - before.late;
    sum.rejected += now.rejected - before.rejected;
    sum.behind_watermark += now.behind_watermark - before.behind_watermark;
    sum.repeated_checkouts += now.repeated_checkouts - before.repeated_checkouts;
    sum.clicks_dropped += now.clicks_dropped - before.clicks_dropped;
    for (sum, (now, before)) in
        sum.rejected_by_reason.iter_mut().zip(now.rejected_by_reason.iter().zip(&before.rejected_by_reason))
    {
        *sum += now - before;
    }
}
