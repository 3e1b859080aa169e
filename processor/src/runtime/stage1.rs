//! A worker's tasks and their epochs.

mod epochs;
mod slot;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use events::Timestamp;
use processor_core::{Delivery, EpochId, Headers, Record, TaskEpochs, TaskOutputs};

use super::RunError;
use super::publisher::{Publisher, RELAYS, TaskEpoch};
use super::shared::{Shared, now};
use super::snapshots::Frozen;
use super::stage0::{RelaySlot, Stage0};
use crate::kafka::{Commit, Consumer, PartitionEnd, PartitionProblem, Run};

use epochs::Aborts;
pub(super) use slot::{NO_END, TaskSlot};

/// Sealed epochs that no merge has dealt with. Beyond it nothing is read: at two epochs a second, 30 s of records are
/// read ahead of a sink that does not confirm.
const EPOCHS_IN_FLIGHT_MAX: usize = 60;
/// Dead letters and late records of an epoch; beyond it the epoch is sealed at once.
const OUTPUTS_MAX: usize = 20_000;
/// The part of what a worker may have unpublished that an epoch has at most, so that one grows while one is published.
const EPOCH_SHARE: usize = 3;
/// How often tasks are told the wall clock.
const TICK: Duration = Duration::from_millis(200);

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
    /// Bytes of the outputs.
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
        let before = out.lengths();
        if input == self.shared.core.inputs.len() {
            slot.task.relayed(now(), records, out).map_err(|(offset, error)| {
                let (topic, partition) = (run.topic(), run.partition());
                RunError::Output(format!("{topic} [{partition}] at offset {offset}: {error}"))
            })?;
        } else {
            slot.task.records(input, now(), records, out);
            // Only now, and only of those that are set aside: librdkafka parses headers when they are asked for.
            let aside =
                out.dead_letters[before.dead_letters..].iter_mut().map(|of| (of.offset, &mut of.headers));
            add_headers(run, aside);
            add_headers(run, out.late[before.late..].iter_mut().map(|of| (of.offset, &mut of.headers)));
        }
        let others = out.dead_letters.len() + out.late.len();
        self.open_bytes += out.bytes_since(before);
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
            slot.readings[input].ended(end.offset);
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
            let out = self.outputs.entry(slot.partition).or_default();
            let before = out.lengths();
            slot.task.emit(now, out);
            self.open_bytes += out.bytes_since(before);
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

    fn tick(&mut self) {
        // A partition is silent for certain only as far as Kafka has answered.
        let Some(ago) = self.shared.membership.answered_ago() else { return };
        let now = now().plus_micros(-i64::try_from(ago.as_micros()).unwrap_or(i64::MAX));
        let frontier = match self.shared.frontier.load(Ordering::Acquire) {
            i64::MIN => None,
            micros => Some(Timestamp::from_micros(micros)),
        };
        // What waits for a sink or for Kafka may be behind without that anybody has looked.
        let reads = self.may_read();
        let mut ended = self.stage0.tick(now, reads);
        for slot in self.tasks.values_mut() {
            for (at, topic) in self.shared.task_topics.iter().enumerate() {
                slot.look(&self.consumer, topic, at, self.ticked_at);
            }
            let topics = 0..self.shared.task_topics.len();
            let caught_up: Vec<bool> = topics.map(|at| reads && slot.is_caught_up(at)).collect();
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
            let before = out.lengths();
            slot.task.tick(now, &caught_up, frontier, out);
            self.open_bytes += out.bytes_since(before);
        }
        if ended {
            self.seal();
            self.publish_status();
        }
    }
}

/// Gives records of a run, told by their offsets in its order, the headers that they have there.
fn add_headers<'o>(run: &Run<'_>, aside: impl Iterator<Item = (i64, &'o mut Headers)>) {
    let mut messages = run.iter();
    for (offset, headers) in aside {
        let message = messages.find(|message| message.offset() == offset);
        *headers = message.expect("what is set aside was in the run").headers().collect();
    }
}

fn input_of(shared: &Shared, topic: &str) -> usize {
    let input = shared.task_topics.iter().position(|of| of == topic);
    input.expect("only configured topics are subscribed to")
}
