//! Epochs of a worker: sealed, published, committed or repeated, and the states kept with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use processor_core::{Delivery, EpochId, TaskOutputs, TaskStep};

use super::super::RunError;
use super::super::publisher::{Published, TaskEpoch};
use super::super::shared::now;
use super::super::snapshots::{self, Frozen};
use super::{EPOCHS_IN_FLIGHT_MAX, Stage1};
use crate::kafka::Commit;

/// Epochs that wait for their transaction, one of them under way. Beyond it the open one grows instead.
const EPOCHS_UNPUBLISHED_MAX: usize = 2;
/// Aborts of one epoch in a row after which the process ends: what Kafka refuses so often it refuses for good.
const ABORTS_MAX: u32 = 20;
/// The pause after the first abort; doubled up to [`ABORT_PAUSE_MAX`].
const ABORT_PAUSE: Duration = Duration::from_millis(100);
const ABORT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a rebalance waits for the transactions of what was read.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Aborted transactions in a row.
#[derive(Default)]
pub(super) struct Aborts {
    count: u32,
    again_at: Option<Instant>,
}

impl Stage1 {
    /// Waits until no transaction is under way, with what was read in it where that still may be published.
    pub(super) fn settle(&mut self, lost: bool) -> Result<(), RunError> {
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

    /// Freezes the states whose turn it is, as they are at the offsets that are about to be committed. Those of a bounded
    /// run that is over have decided what a later run will decide otherwise.
    fn freeze(&mut self) -> Vec<Frozen> {
        let Self { tasks, shared, frozen, .. } = self;
        let waits = |partition| frozen.iter().any(|(_, frozen)| frozen.partition == partition);
        let turn = tasks.values_mut().filter(|slot| !slot.ended && !waits(slot.partition));
        turn.filter_map(|slot| snapshots::freeze(shared, slot.partition, &mut slot.task, false)).collect()
    }

    /// The same for tasks that are about to leave, whether it is their turn or not.
    pub(super) fn freeze_last(&mut self, partitions: &[i32]) {
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

    pub(super) fn may_seal(&self) -> bool {
        let room = match self.shared.delivery {
            Delivery::ExactlyOnce => EPOCHS_UNPUBLISHED_MAX,
            Delivery::AtLeastOnce => EPOCHS_IN_FLIGHT_MAX,
        };
        self.may_go_on() && self.epochs.unpublished() < room
    }

    /// Ends the epoch: its outputs and the offsets after them go on together.
    pub(super) fn seal(&mut self) {
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
    pub(super) fn turn_epochs(&mut self) -> Result<(), RunError> {
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

    pub(super) fn take_answer(&mut self, (id, published): (EpochId, Published)) -> Result<(), RunError> {
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
            Published::TooLarge { topic } => {
                self.shared.topic_refused(&topic);
                if self.shared.room.batch() < self.shared.outbox.batch_bytes() {
                    let text = format!("kafka topic `{topic}` takes no batches as large as before");
                    return Err(RunError::Output(text));
                }
                self.epochs.aborted(id);
                self.membership_lost = true;
                self.consumer.rejoin(); // from what is committed, with letters that fit
                Ok(())
            }
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
