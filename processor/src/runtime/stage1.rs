//! A worker's tasks and their epochs.

mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{
    Checkpoint, Delivery, EpochId, Record, Task, TaskEpochs, TaskOutputs, TaskStep, TaskTotals,
};

use super::RunError;
use super::publisher::{Published, Publisher, RELAYS, TaskEpoch};
use super::shared::{Shared, now};
use super::snapshots::{self, Frozen};
use super::stage0::{RelaySlot, Stage0};
use super::watch::Pace;
use crate::kafka::{Commit, Consumer, PartitionEnd, PartitionProblem, Run};

/// Sealed epochs that no merge has dealt with. Beyond it nothing is read: at two epochs a second, 30 s of records are
/// read ahead of a sink that does not confirm.
const EPOCHS_IN_FLIGHT_MAX: usize = 60;
/// Epochs that wait for their transaction, one of them under way. Beyond it the open one grows instead.
const EPOCHS_UNPUBLISHED_MAX: usize = 2;
/// Dead letters and late records of an epoch; beyond it the epoch is sealed at once.
const OUTPUTS_MAX: usize = 20_000;
/// The part of what a worker may have unpublished that an epoch has at most, so that one grows while one is published.
const EPOCH_SHARE: usize = 3;
/// How often tasks are told the wall clock.
const TICK: Duration = Duration::from_millis(200);
/// Aborts of one epoch in a row after which the process ends: what Kafka refuses so often it refuses for good.
const ABORTS_MAX: u32 = 20;
/// The pause after the first abort; doubled up to [`ABORT_PAUSE_MAX`].
const ABORT_PAUSE: Duration = Duration::from_millis(100);
const ABORT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a rebalance waits for the transactions of what was read.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A task with what the shell knows of it.
pub(super) struct TaskSlot {
    partition: i32,
    task: Task,
    /// Where a bounded run ends, per input; empty otherwise.
    ends: Vec<i64>,
    /// The same per input that is re-keyed and its partitions.
    source_ends: Arc<Vec<Vec<i64>>>,
    ended: bool,
    starts: Vec<Checkpoint>,
    /// Per input, where its partition ended when everything of it had been read.
    partition_ends: Vec<Option<i64>>,
    published: TaskTotals,
    /// Windows withheld that are published.
    withheld: u64,
    pace: Pace,
    /// What it was last seen doing, and since when.
    state: (&'static str, i64),
}

impl TaskSlot {
    pub(super) fn new(
        partition: i32,
        task: Task,
        starts: Vec<Checkpoint>,
        ends: Vec<i64>,
        source_ends: Arc<Vec<Vec<i64>>>,
    ) -> Self {
        let partition_ends = vec![None; starts.len()];
        Self {
            partition,
            task,
            ends,
            source_ends,
            ended: false,
            starts,
            partition_ends,
            published: TaskTotals::default(),
            withheld: 0,
            pace: Pace::default(),
            state: ("", 0),
        }
    }

    /// For a bounded run: whether everything up to its end has been read of an input.
    fn has_reached_end(&self, input: usize) -> bool {
        match self.ends[input] {
            NO_END => self.task.has_heard_of(&self.source_ends),
            end => end == 0 || self.task.next_offset(input) >= end,
        }
    }

    /// Whether every record of an input's partition has been read: nothing came after its end was told, and the last
    /// fetch saw no later end (a record that waits in a queue of ours, or an open transaction, is later).
    fn is_caught_up(&self, consumer: &Consumer, topic: &str, input: usize) -> bool {
        self.partition_ends[input].is_some_and(|end| {
            self.task.next_offset(input) <= end
                && consumer.end_offset(topic, self.partition).is_some_and(|latest| latest <= end)
        })
    }
}

/// The by-user topic has no end offset of the start: it ends where what relays have sent on does.
pub(super) const NO_END: i64 = i64::MAX;

/// Aborted transactions in a row.
#[derive(Default)]
struct Aborts {
    count: u32,
    again_at: Option<Instant>,
}

/// The tasks of a worker.
pub(super) struct Stage1 {
    /// The worker's number.
    at: usize,
    shared: Arc<Shared>,
    consumer: Consumer,
    publisher: Publisher,
    stage0: Stage0,
    tasks: BTreeMap<i32, TaskSlot>,
    /// Filled by the tasks until the epoch is sealed, per task.
    outputs: BTreeMap<i32, TaskOutputs>,
    /// Bytes of the outputs, as of the last records.
    open_bytes: usize,
    epochs: TaskEpochs<TaskEpoch>,
    aborts: Aborts,
    /// The group refused our offsets: nothing is published until it has said what is ours.
    membership_lost: bool,
    sealed_at: Instant,
    ticked_at: Instant,
    last_sealed: Option<EpochId>,
    /// States to be written once their epoch is committed; one per task.
    frozen: Vec<(EpochId, Frozen)>,
    /// What was handed to an epoch last, per topic and partition.
    committed: BTreeMap<(String, i32), Commit>,
}

impl Stage1 {
    pub(super) fn new(at: usize, shared: Arc<Shared>, consumer: Consumer, publisher: Publisher) -> Self {
        Self {
            at,
            epochs: TaskEpochs::new(shared.delivery),
            stage0: Stage0::new(Arc::clone(&shared), consumer.clone()),
            shared,
            consumer,
            publisher,
            tasks: BTreeMap::new(),
            outputs: BTreeMap::new(),
            open_bytes: 0,
            aborts: Aborts::default(),
            membership_lost: false,
            sealed_at: Instant::now(),
            ticked_at: Instant::now(),
            committed: BTreeMap::new(),
            last_sealed: None,
            frozen: Vec::new(),
        }
    }

    pub(super) fn assign(&mut self, slot: TaskSlot) {
        self.membership_lost = false;
        self.tasks.insert(slot.partition, slot);
    }

    pub(super) fn assign_relay(&mut self, slot: RelaySlot) {
        self.membership_lost = false;
        self.stage0.assign(slot);
    }

    /// Forgets tasks and every relay: what they have not committed is the next owner's to repeat. Exactly once, what was read is
    /// published before, unless the partitions are `lost` already.
    pub(super) fn revoke(&mut self, partitions: &[i32], lost: bool) -> Result<(), RunError> {
        self.publish_status();
        if self.shared.delivery == Delivery::ExactlyOnce {
            self.settle(lost)?;
            if self.epochs.unpublished() == 0 {
                // All of it is committed; at least once, it would lie ahead of the commit and be of no use.
                self.freeze_last(partitions);
            }
            self.frozen.clear();
        }
        if let Some(snapshots) = &self.shared.snapshots {
            snapshots.forget(partitions);
        }
        for partition in partitions {
            self.tasks.remove(partition);
            self.outputs.remove(partition);
            self.committed.retain(|(_, of), _| of != partition);
            self.epochs.forget(*partition as u32);
        }
        self.stage0.revoke();
        self.epochs.forget(RELAYS);
        self.membership_lost = false;
        let mut reports = self.shared.reports();
        reports.relays.clear();
        for partition in partitions {
            reports.tasks.remove(partition);
            reports.task_committed_at.remove(partition);
        }
        Ok(())
    }

    /// Waits until no transaction is under way, with what was read in it where that still may be published.
    fn settle(&mut self, lost: bool) -> Result<(), RunError> {
        if !lost && !self.membership_lost {
            self.emit_all(); // the log may be gone, with the topic: then nobody can count it again
            self.seal();
        }
        let started = Instant::now();
        loop {
            if lost {
                self.membership_lost = true; // publishes nothing more
            }
            self.turn_epochs()?;
            let waiting =
                if self.membership_lost { self.epochs.publishing() } else { self.epochs.unpublished() };
            // A transaction under way has to be decided: its records and offsets cannot be taken back here.
            if waiting == 0 || (started.elapsed() > SETTLE_TIMEOUT && self.epochs.publishing() == 0) {
                return Ok(());
            }
            if let Some(answer) = self.publisher.answer(Duration::from_millis(100)) {
                self.take_answer(answer)?;
            }
        }
    }

    /// Whether records may be read: not while too much waits to be published or merged.
    pub(super) fn may_read(&self) -> bool {
        self.may_go_on() && self.unpublished_bytes() < self.shared.memory.unpublished
    }

    fn may_go_on(&self) -> bool {
        self.epochs.in_flight() < EPOCHS_IN_FLIGHT_MAX && !self.membership_lost && self.stage0.may_read()
    }

    /// Of the outputs that Kafka does not have.
    fn unpublished_bytes(&self) -> usize {
        self.open_bytes + self.epochs.payloads().map(|epoch| epoch.bytes).sum::<usize>()
    }

    /// Why not.
    pub(super) fn pause(&self) -> Option<&'static str> {
        if self.membership_lost {
            return Some("waiting for the group to say which partitions are ours");
        }
        if self.may_go_on() && !self.may_read() {
            return Some("waiting until kafka has what was made of what was read");
        }
        (!self.may_read()).then_some("waiting until the sink confirms what was read")
    }

    pub(super) fn in_flight(&self) -> usize {
        self.epochs.in_flight()
    }

    /// For a bounded run: how many tasks and relays have reached their end with everything committed.
    pub(super) fn ended(&self) -> usize {
        if self.epochs.in_flight() > 0 {
            return 0;
        }
        self.tasks.values().filter(|slot| slot.ended).count() + self.stage0.ended()
    }

    /// Takes successive records of one partition.
    pub(super) fn records(&mut self, run: &Run<'_>) -> Result<(), RunError> {
        if let Some(input) = self.shared.unkeyed_input(run.topic()) {
            self.stage0.records(input, run);
            if self.stage0.is_full() {
                self.emit();
                self.seal();
            }
            return Ok(());
        }
        let Some(slot) = self.tasks.get_mut(&run.partition()) else {
            // Assignments are taken before a batch is looked at, so these are records of a partition that was revoked.
            tracing::debug!(
                partition = run.partition(),
                records = run.len(),
                "records of a revoked partition"
            );
            return Ok(());
        };
        let input = input_of(&self.shared, run.topic());
        let end = slot.ends.get(input).copied().unwrap_or(i64::MAX);
        let records = run.iter().take_while(|message| message.offset() < end).map(|message| Record {
            offset: message.offset(),
            timestamp_ms: message.timestamp_ms().unwrap_or(0),
            key: message.key(),
            value: message.payload(),
        });
        let out = self.outputs.entry(slot.partition).or_default();
        if input == self.shared.core.inputs.len() {
            slot.task.relayed(now(), records, out).map_err(|(offset, error)| {
                let (topic, partition) = (run.topic(), run.partition());
                RunError::Output(format!("{topic} [{partition}] at offset {offset}: {error}"))
            })?;
        } else {
            slot.task.records(input, now(), records, out);
        }
        let others = out.dead_letters.len() + out.late.len();
        self.open_bytes = self.outputs.values().map(TaskOutputs::bytes).sum();
        if others > OUTPUTS_MAX || self.open_bytes > self.shared.memory.unpublished / EPOCH_SHARE {
            self.seal();
        }
        Ok(())
    }

    /// Something is wrong with a partition of either stage.
    pub(super) fn problem(&self, problem: &PartitionProblem) {
        self.shared.error(problem);
        if problem.is_gone() {
            // What was read is committed on the way out; the next assignment finds out where to go on.
            self.consumer.rejoin();
        }
    }

    /// Notes that everything of a partition has been read.
    pub(super) fn end(&mut self, end: &PartitionEnd<'_>) {
        if let Some(input) = self.shared.unkeyed_input(end.topic) {
            return self.stage0.end(input, end);
        }
        let input = input_of(&self.shared, end.topic);
        if let Some(slot) = self.tasks.get_mut(&end.partition) {
            slot.partition_ends[input] = Some(end.offset);
            let stop = slot.ends.get(input).copied().unwrap_or(i64::MAX);
            slot.task.read_to(input, end.offset.min(stop));
        }
    }

    /// Does what the wall clock asks for.
    pub(super) fn turn(&mut self, draining: bool) -> Result<(), RunError> {
        while let Some(answer) = self.publisher.answer(Duration::ZERO) {
            self.take_answer(answer)?;
        }
        self.turn_epochs()?;
        if self.ticked_at.elapsed() >= TICK {
            self.ticked_at = Instant::now();
            self.tick();
        }
        if !draining && self.sealed_at.elapsed() >= self.shared.epoch_interval && self.may_seal() {
            if self.shared.membership.wants_answer() {
                self.stage0.say_again();
                self.committed.clear(); // the same offsets again: an answer of the group is what is wanted
            }
            self.emit();
            self.seal();
            self.turn_epochs()?;
            self.publish_status(); // only now: an epoch that is just sealed goes on at once
        }
        Ok(())
    }

    /// Live values, where they are due.
    fn emit(&mut self) {
        let now = now();
        for slot in self.tasks.values_mut().filter(|slot| !slot.ended) {
            slot.task.emit(now, self.outputs.entry(slot.partition).or_default());
        }
    }

    /// The values of every open window as they are, due or not.
    fn emit_all(&mut self) {
        for slot in self.tasks.values_mut() {
            slot.task.emit_all(self.outputs.entry(slot.partition).or_default());
        }
    }

    /// Writes out what the tasks have, as nothing more will be read.
    pub(super) fn drain(&mut self) {
        self.emit_all();
        self.seal();
        self.publish_status();
        let all: Vec<i32> = self.tasks.keys().copied().collect();
        self.freeze_last(&all);
    }

    /// Freezes the states whose turn it is, as they are at the offsets that are about to be committed. Those of a bounded
    /// run that is over have decided what a later run will decide otherwise.
    fn freeze(&mut self) -> Vec<Frozen> {
        let Self { tasks, shared, frozen, .. } = self;
        let waits = |partition| frozen.iter().any(|(_, frozen)| frozen.partition == partition);
        let turn = tasks.values_mut().filter(|slot| !slot.ended && !waits(slot.partition));
        turn.filter_map(|slot| snapshots::freeze(shared, slot.partition, &mut slot.task, false)).collect()
    }

    /// The same for tasks that are about to leave, whether it is their turn or not.
    fn freeze_last(&mut self, partitions: &[i32]) {
        let Self { tasks, shared, .. } = self;
        let leaving = tasks.values_mut().filter(|slot| !slot.ended && partitions.contains(&slot.partition));
        let states: Vec<_> = leaving
            .filter_map(|slot| snapshots::freeze(shared, slot.partition, &mut slot.task, true))
            .collect();
        let last = self.last_sealed;
        states.into_iter().for_each(|state| self.keep(last, state));
    }

    /// Writes a state once its epoch is committed: what is never committed never happened, and what the wall clock
    /// decides the next time may be something else. (At least once, the commit comes much later and is not waited for.)
    fn keep(&mut self, epoch: Option<EpochId>, state: Frozen) {
        match epoch {
            Some(id) if self.shared.delivery == Delivery::ExactlyOnce && self.epochs.unpublished() > 0 => {
                self.frozen.push((id, state));
            }
            _ => state.submit(&self.shared),
        }
    }

    fn tick(&mut self) {
        // A partition is silent for certain only as far as Kafka has answered.
        let Some(ago) = self.shared.membership.answered_ago() else { return };
        let now = now().plus_micros(-i64::try_from(ago.as_micros()).unwrap_or(i64::MAX));
        let frontier = match self.shared.frontier.load(Ordering::Acquire) {
            i64::MIN => None,
            micros => Some(Timestamp::from_micros(micros)),
        };
        let mut ended = self.stage0.tick(now);
        for slot in self.tasks.values_mut() {
            let topics = self.shared.task_topics.iter().enumerate();
            let caught_up: Vec<bool> =
                topics.map(|(at, topic)| slot.is_caught_up(&self.consumer, topic, at)).collect();
            let out = self.outputs.entry(slot.partition).or_default();
            if !slot.ended && !slot.ends.is_empty() {
                if (0..slot.ends.len()).all(|at| slot.has_reached_end(at)) {
                    tracing::info!(partition = slot.partition, "read to the end offset of the start");
                    slot.task.drain(out);
                    slot.ended = true;
                    ended = true;
                }
                continue; // a bounded run is about the log alone
            }
            slot.task.tick(now, &caught_up, frontier, out);
        }
        if ended {
            self.seal();
            self.publish_status();
        }
    }

    fn may_seal(&self) -> bool {
        let room = match self.shared.delivery {
            Delivery::ExactlyOnce => EPOCHS_UNPUBLISHED_MAX,
            Delivery::AtLeastOnce => EPOCHS_IN_FLIGHT_MAX,
        };
        self.may_go_on() && self.epochs.unpublished() < room
    }

    /// Ends the epoch: its outputs and the offsets after them go on together.
    fn seal(&mut self) {
        self.sealed_at = Instant::now();
        let commits: Vec<Commit> = self.commits();
        let states = self.freeze();
        let outputs = std::mem::take(&mut self.outputs);
        self.open_bytes = 0;
        let relayed = self.stage0.seal();
        if outputs.values().all(TaskOutputs::is_empty) && commits.is_empty() && relayed.is_none() {
            let last = self.last_sealed;
            states.into_iter().for_each(|state| self.keep(last, state));
            return;
        }
        let outputs = outputs.into_iter().filter(|(_, outputs)| !outputs.is_empty());
        let outputs: BTreeMap<i32, _> =
            outputs.map(|(partition, outputs)| (partition, Arc::new(outputs))).collect();
        let bytes = outputs.values().map(|outputs| outputs.bytes()).sum();
        let id = self.epochs.seal(TaskEpoch { outputs, commits, relayed, sealed_ms: now().millis(), bytes });
        self.last_sealed = Some(id);
        states.into_iter().for_each(|state| self.keep(Some(id), state));
        self.shared.epochs.fetch_add(1, Ordering::Relaxed);
    }

    /// The checkpoints that differ from what was handed to an epoch last.
    fn commits(&mut self) -> Vec<Commit> {
        let mut commits = Vec::new();
        for slot in self.tasks.values_mut() {
            for (topic, checkpoint) in self.shared.task_topics.iter().zip(slot.task.checkpoints()) {
                let commit = Commit {
                    topic: topic.clone(),
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

    /// Publishes and commits what may be.
    fn turn_epochs(&mut self) -> Result<(), RunError> {
        if self.membership_lost || self.aborts.again_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        for (partition, next_offset) in self.shared.merged() {
            self.epochs.merged(partition as u32, next_offset);
        }
        while let Some(step) = self.epochs.next() {
            match step {
                TaskStep::Publish(id) => {
                    let epoch = self.epochs.payload_mut(id).expect("what is to be published is in flight");
                    self.publisher.publish(id, epoch)?;
                }
                TaskStep::Commit(epoch) => {
                    if let Err(error) = self.consumer.commit(&epoch.offsets()) {
                        // A rebalance may be under way; a later commit covers this one, and a lost one repeats work.
                        self.shared.error(&error);
                    }
                }
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, (id, published): (EpochId, Published)) -> Result<(), RunError> {
        match published {
            Published::Done(partials) => {
                self.aborts = Aborts::default();
                if let Some(epoch) = self.epochs.payload_mut(id) {
                    // Only the offsets may still have to be committed.
                    epoch.outputs = BTreeMap::new();
                    epoch.bytes = 0;
                    if let Some(relayed) = &mut epoch.relayed {
                        self.stage0.published(relayed);
                        relayed.records = Arc::default();
                    }
                }
                self.epochs.published(id, partials);
                for (_, state) in self.frozen.extract_if(.., |(epoch, _)| *epoch <= id) {
                    state.submit(&self.shared);
                }
                Ok(())
            }
            Published::Failed(error) => Err(error),
            Published::Aborted { reason, membership_lost } => {
                self.shared.transactions.aborted(&reason);
                self.epochs.aborted(id);
                if membership_lost {
                    tracing::warn!(reason, "the group gave our partitions away; waiting for it to say so");
                    self.membership_lost = true;
                    return Ok(());
                }
                self.aborts.count += 1;
                if self.aborts.count >= ABORTS_MAX {
                    let text =
                        format!("{ABORTS_MAX} transactions in a row were aborted, the last as {reason}");
                    return Err(RunError::Output(text));
                }
                let pause = (ABORT_PAUSE * 2_u32.pow(self.aborts.count.min(8))).min(ABORT_PAUSE_MAX);
                self.aborts.again_at = Some(Instant::now() + pause);
                self.shared.problem(format!("a transaction was aborted and is repeated: {reason}"));
                Ok(())
            }
        }
    }
}

fn input_of(shared: &Shared, topic: &str) -> usize {
    let input = shared.task_topics.iter().position(|of| of == topic);
    input.expect("only configured topics are subscribed to")
}
