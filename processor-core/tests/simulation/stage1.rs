//! A worker's tasks, their epochs, and the transaction they are published in, one call at a time.

use std::collections::{BTreeMap, VecDeque};

use events::Timestamp;
use processor_core::{
    Checkpoint, Delivery, EpochId, EpochPayload, Record, TaskEpochs, TaskIdentity, TaskOutputs, TaskStep,
};

use super::bugs::Bug;
use super::group::Membership;
use super::kafka::{Committed, KafkaError, Offsets, Origin, Output, Topic};
use super::oracle::Rule;
use super::task_slot::{TaskSlot, make};
use super::world::{ORIGIN, World};

/// Epochs in flight; beyond it nothing is read. Far fewer than the processor's, so that runs get there.
const EPOCHS_IN_FLIGHT_MAX: usize = 6;

/// A sealed epoch: outputs and offsets by task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Epoch {
    outputs: Vec<(u32, Output)>,
    offsets: Offsets,
}

impl EpochPayload for Epoch {
    fn forget(&mut self, task: u32) {
        self.outputs.retain(|(of, _)| *of != task);
        self.offsets.retain(|((_, of), _)| *of != task);
    }

    fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.offsets.is_empty()
    }
}

/// Where the publication of an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Begin,
    Produce,
    SendOffsets,
    Commit,
    /// The answer to the commit is lost: it may be committed, so it is not to be aborted.
    CommitAgain,
    Abort,
    /// A planted bug: the offsets are committed after the transaction.
    OffsetsApart,
}

impl Phase {
    fn may_abort(self) -> bool {
        matches!(self, Self::Produce | Self::SendOffsets | Self::Commit)
    }
}

struct Publication {
    id: EpochId,
    phase: Phase,
    outputs: VecDeque<Output>,
    partials: BTreeMap<u32, i64>,
}

pub(crate) struct Stage1 {
    transactional_id: u64,
    producer: Option<i32>,
    /// Partitions whose commit has yet to be read.
    starting: Vec<u32>,
    tasks: BTreeMap<u32, TaskSlot>,
    epochs: TaskEpochs<Epoch>,
    publication: Option<Publication>,
    /// At least once: offsets to be committed.
    commits: VecDeque<Offsets>,
    pub(crate) frontier: i64,
    /// When a commit was sent that the group took: a sign that this is still a member.
    pub(crate) confirmed_at: i64,
    /// When the transaction under way was begun.
    begun_at: i64,
    /// The group refused the offsets: nothing is published until it has said what is ours.
    refused: bool,
}

/// The process cannot go on.
pub(crate) struct Fatal;

impl Stage1 {
    pub(crate) fn new(delivery: Delivery, transactional_id: u64) -> Self {
        Self {
            transactional_id,
            producer: None,
            starting: Vec::new(),
            tasks: BTreeMap::new(),
            epochs: TaskEpochs::new(delivery),
            publication: None,
            commits: VecDeque::new(),
            frontier: i64::MIN,
            confirmed_at: i64::MIN,
            begun_at: 0,
            refused: false,
        }
    }

    /// The group has said what is ours.
    pub(crate) fn accepted(&mut self) {
        self.refused = false;
    }

    pub(crate) fn assign(&mut self, partition: u32) {
        self.starting.push(partition);
    }

    /// Starts a task from its commit, once no transaction holds that back.
    pub(crate) fn start(&mut self, world: &mut World<'_>, now: i64) {
        let Some(partition) = self.starting.pop() else { return };
        let Ok(committed) = world.kafka.fetch_offset((Topic::Input, partition)) else {
            return self.starting.push(partition);
        };
        let mut start = match committed {
            Some(of) => Checkpoint::parse(of.offset, &of.metadata),
            None => Checkpoint::beginning(),
        };
        match world.bug {
            Some(Bug::JumpNotReplayed) => start.jumps.clear(),
            Some(Bug::WatermarkBack) => start.watermark = start.replay.watermark,
            Some(Bug::MissedReplay) => start.replay.offset = start.next_offset,
            Some(Bug::ReplayNotSuppressed) => start.next_offset = start.replay.offset,
            _ => {}
        }
        let identity = TaskIdentity {
            partition,
            tasks: world.logs.len() as u32,
            merge_partitions: world.merges,
            origin: ORIGIN,
        };
        let task = make(world, identity, &mut start, Timestamp::from_micros(now));
        let log = &world.logs[partition as usize];
        let at = log.partition_point(|record| record.offset < task.read_from(0));
        let run = world.new_run();
        world.note(|| format!("run {run}: task {partition} from {start:?}"));
        let slot = TaskSlot::new(task, run, at, &start, now);
        self.tasks.insert(partition, slot);
    }

    pub(crate) fn may_read(&self) -> bool {
        self.epochs.in_flight() < EPOCHS_IN_FLIGHT_MAX && !self.refused
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.epochs.in_flight() == 0 && self.commits.is_empty() && self.publication.is_none()
    }

    /// Whether a transaction is under way: a rebalance waits until it is decided.
    pub(crate) fn is_deciding(&self) -> bool {
        self.publication.as_ref().is_some_and(|of| of.phase != Phase::Begin)
    }

    /// Whether everything sealed is published, or cannot be.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_deciding() && (self.refused || self.epochs.unpublished() == 0 && self.commits.is_empty())
    }

    /// What it waits for, for people.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} tasks, {} ended, {} starting, {} epochs in flight, {} unpublished, {} commits, {:?}, refused: {}",
            self.tasks.len(),
            self.ended(),
            self.starting.len(),
            self.epochs.in_flight(),
            self.epochs.unpublished(),
            self.commits.len(),
            self.publication.as_ref().map(|of| of.phase),
            self.refused,
        )
    }

    pub(crate) fn owned(&self) -> usize {
        self.tasks.len() + self.starting.len()
    }

    pub(crate) fn ended(&self) -> usize {
        self.tasks.values().filter(|slot| slot.ended).count()
    }

    /// Forgets every task: what was not committed is the next owners' to repeat.
    pub(crate) fn forget(&mut self, world: &World<'_>) {
        if let Some(publication) = self.publication.take() {
            self.epochs.aborted(publication.id);
        }
        self.refused = false;
        self.starting.clear();
        let tasks = std::mem::take(&mut self.tasks);
        if world.bug == Some(Bug::RevokedEpochPublished) {
            return;
        }
        tasks.keys().for_each(|task| self.epochs.forget(*task));
        self.commits.clear();
    }

    /// The partitions are lost: an open transaction is not to be committed any more.
    pub(crate) fn lose(&mut self) {
        self.refused = true;
        if let Some(publication) = &mut self.publication
            && publication.phase.may_abort()
        {
            publication.phase = Phase::Abort;
        }
    }

    pub(crate) fn read(&mut self, world: &mut World<'_>, now: i64) {
        let max = 1 + world.random.below(40) as usize;
        let Some((partition, slot)) = pick(&mut self.tasks, world) else { return };
        let log = &world.logs[partition as usize];
        // What was committed is read again without the silences there were.
        let live_from = slot.live_from;
        let silence =
            |at: usize| log.get(at).filter(|of| of.offset >= live_from).and_then(|of| of.silence_to);
        if let Some(to) = silence(slot.at).filter(|to| slot.task_watermark() < *to) {
            let stretch = log[slot.at].awaited && slot.after_stretch(partition, to, world, now);
            if !stretch {
                slot.silence(partition, to, world, now);
            }
            return;
        }
        let apart = |at: usize| log.get(at).filter(|of| of.offset >= live_from).map_or(0, |of| of.apart_ms);
        let until = (slot.at + max).min(log.len());
        let begins = |at: &usize| silence(*at).is_some() || apart(*at) > 0;
        let until = (slot.at + 1..until).find(begins).unwrap_or(until);
        slot.wait(apart(slot.at));
        let records = log[slot.at..until].iter().map(|record| Record {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: None,
            value: Some(&record.value),
        });
        let from = slot.at;
        slot.at = until;
        let mut out = TaskOutputs::default();
        slot.task.records(0, slot.now(now), records, &mut out);
        slot.has_read(now);
        if until == log.len()
            && let Some(last) = log.last()
        {
            slot.task.read_to(0, last.offset + 2); // a marker ends it
        }
        slot.collect(partition, out, world);
        let run = slot.run;
        world.note(|| format!("run {run}: task {partition} read {}", until - from));
    }

    /// The wall clock moves on, and what is due is sent on. `later`: as if so much time had passed.
    pub(crate) fn tick(&mut self, world: &mut World<'_>, now: i64, later: i64) {
        let frontier = (self.frontier != i64::MIN).then(|| Timestamp::from_micros(self.frontier));
        for (partition, slot) in &mut self.tasks {
            if slot.ended {
                continue;
            }
            let mut out = TaskOutputs::default();
            slot.task.tick(slot.now(now), &[false], frontier, &mut out);
            slot.task.emit(slot.now(now + later), &mut out);
            slot.collect(*partition, out, world);
        }
    }

    /// The log is over: a task that has read it all decides what waits for the watermark.
    pub(crate) fn end(&mut self, world: &mut World<'_>) {
        for (partition, slot) in &mut self.tasks {
            if !slot.ended && slot.at >= world.logs[*partition as usize].len() {
                let mut out = TaskOutputs::default();
                slot.task.drain(&mut out);
                slot.collect(*partition, out, world);
                slot.ended = true;
            }
        }
    }

    pub(crate) fn seal(&mut self, world: &mut World<'_>) {
        let mut epoch = Epoch::default();
        for (partition, slot) in &mut self.tasks {
            epoch.outputs.extend(std::mem::take(&mut slot.outputs).into_iter().map(|of| (*partition, of)));
            let checkpoint = &slot.task.checkpoints()[0];
            if checkpoint.watermark < slot.watermark {
                world.fail(Rule::Watermark, || format!("task {partition}: it went back to {checkpoint:?}"));
            }
            slot.watermark = checkpoint.watermark;
            let committed = Committed {
                offset: checkpoint.next_offset,
                metadata: checkpoint.metadata(),
                origin: Origin { run: slot.run, handed_out: slot.handed_out },
            };
            if world.snapshots && world.fault(15) {
                slot.snapshot(*partition, world);
            }
            if committed.offset > 0 && slot.sealed.as_ref() != Some(&committed) {
                slot.sealed = Some(committed.clone());
                epoch.offsets.push(((Topic::Input, *partition), committed));
            }
        }
        if !epoch.is_empty() {
            self.epochs.seal(epoch);
        }
    }

    /// A merge's commit was seen.
    pub(crate) fn merged(&mut self, partition: u32, next_offset: i64) {
        self.epochs.merged(partition, next_offset);
    }

    /// Makes the next call that the epochs ask for.
    pub(crate) fn publish(&mut self, world: &mut World<'_>, by: Membership) -> Result<(), Fatal> {
        if let Some(offsets) = self.commits.front() {
            if world.fault(10) {
                return Ok(());
            }
            let committed = world.kafka.commit_offsets(by, offsets.clone(), world.now);
            world.note(|| format!("commit of tasks by {by:?}: {committed:?}"));
            if committed.is_ok() && world.fault(10) {
                return Ok(()); // the answer is lost; the same commit again changes nothing
            }
            self.commits.pop_front();
            if committed.is_ok() {
                self.confirmed_at = world.now;
            }
            return Ok(());
        }
        if self.publication.is_none() {
            if self.refused {
                return Ok(());
            }
            match self.epochs.next() {
                None => return Ok(()),
                Some(TaskStep::Commit(epoch)) => {
                    return {
                        self.commits.push_back(epoch.offsets);
                        Ok(())
                    };
                }
                Some(TaskStep::Publish(id)) => {
                    let epoch = self.epochs.payload_mut(id).expect("it is in flight");
                    let outputs: VecDeque<_> = epoch.outputs.iter().map(|(_, of)| of.clone()).collect();
                    if world.bug == Some(Bug::CommitBeforeWrite) {
                        let _ = world.kafka.commit_offsets(by, epoch.offsets.clone(), world.now);
                    }
                    let nothing = epoch.is_empty();
                    self.publication =
                        Some(Publication { id, phase: Phase::Begin, outputs, partials: BTreeMap::new() });
                    if nothing {
                        self.published();
                    }
                    return Ok(());
                }
            }
        }
        match world.delivery {
            Delivery::ExactlyOnce => self.transact(world, by),
            Delivery::AtLeastOnce => {
                let publication = self.publication.as_mut().expect("it was just looked at");
                publication.phase = Phase::Produce;
                for _ in 0..=publication.some(world) {
                    let Some(output) = publication.outputs.pop_front() else {
                        self.published();
                        break;
                    };
                    let to = output.to;
                    let offset = world.kafka.produce(output);
                    publication.note(to, offset);
                }
                Ok(())
            }
        }
    }

    fn published(&mut self) {
        let Publication { id, partials, .. } = self.publication.take().expect("it was being published");
        self.epochs.published(id, partials);
    }

    fn transact(&mut self, world: &mut World<'_>, by: Membership) -> Result<(), Fatal> {
        let id = self.transactional_id;
        let Some(producer) = self.producer else {
            self.producer = world.kafka.init_producer(id).ok();
            return Ok(());
        };
        let publication = self.publication.as_mut().expect("an epoch is being published");
        // A call that fails without an effect, and may be made again.
        if world.fault(8) {
            return Ok(());
        }
        // One that only leaves the transaction to be aborted.
        if publication.phase.may_abort() && world.fault(3) {
            publication.phase = Phase::Abort;
        }
        let offsets = self.epochs.payload_mut(publication.id).expect("it is in flight").offsets.clone();
        let nothing = offsets.is_empty();
        let apart = world.bug == Some(Bug::OffsetsOutsideTransaction);
        let phase = publication.phase;
        let done = match phase {
            Phase::Begin => {
                self.begun_at = world.now;
                world.kafka.begin(id, producer, world.now).map(|()| Phase::Produce)
            }
            Phase::Produce => {
                let mut done = Ok(Phase::Produce);
                for _ in 0..=publication.some(world) {
                    let Some(output) = publication.outputs.pop_front() else {
                        done = Ok(if apart { Phase::Commit } else { Phase::SendOffsets });
                        break;
                    };
                    let to = output.to;
                    match world.kafka.produce_in_transaction(id, producer, output) {
                        Ok(offset) => publication.note(to, offset),
                        Err(error) => done = Err(error),
                    }
                }
                done
            }
            Phase::SendOffsets => world.kafka.send_offsets(id, producer, by, offsets).map(|()| Phase::Commit),
            Phase::Commit | Phase::CommitAgain => world.kafka.commit(id, producer).map(|()| Phase::Begin),
            Phase::Abort => world.kafka.abort(id, producer).map(|()| Phase::Begin),
            Phase::OffsetsApart => world.kafka.commit_offsets(by, offsets, world.now).map(|()| Phase::Begin),
        };
        let epoch = publication.id;
        world.note(|| format!("producer {id}: {phase:?} of {epoch:?} by {by:?}: {done:?}"));
        match (phase, done) {
            // The answer is lost: the call is made again.
            (Phase::SendOffsets, Ok(_)) if world.fault(5) => {}
            (Phase::Commit, Ok(_)) if world.fault(5) => publication.phase = Phase::CommitAgain,
            (Phase::Commit | Phase::CommitAgain, Ok(_)) if apart => publication.phase = Phase::OffsetsApart,
            (Phase::Commit | Phase::CommitAgain | Phase::OffsetsApart, Ok(_)) => {
                if !nothing {
                    self.confirmed_at = self.begun_at;
                }
                self.published();
            }
            (Phase::Abort, Ok(_)) => {
                self.epochs.aborted(epoch);
                self.publication = None;
            }
            (_, Ok(next)) => publication.phase = next,
            (_, Err(KafkaError::Retriable)) => {}
            (Phase::OffsetsApart, Err(_)) => self.published(),
            // The offsets are no longer this member's to commit; the group will say so.
            (_, Err(KafkaError::Group(_))) => {
                publication.phase = Phase::Abort;
                self.refused = true;
            }
            (_, Err(KafkaError::Fenced)) => return Err(Fatal),
        }
        Ok(())
    }
}

impl Publication {
    /// How many records to write before something else may happen: an epoch takes a few such steps.
    fn some(&self, world: &mut World<'_>) -> u64 {
        world.random.below(20 + self.outputs.len() as u64)
    }

    fn note(&mut self, (topic, partition): (Topic, u32), offset: i64) {
        if topic == Topic::Partials {
            self.partials.insert(partition, offset);
        }
    }
}

fn pick<'a, T>(of: &'a mut BTreeMap<u32, T>, world: &mut World<'_>) -> Option<(u32, &'a mut T)> {
    if of.is_empty() {
        return None;
    }
    let at = world.random.below(of.len() as u64) as usize;
    of.iter_mut().nth(at).map(|(partition, slot)| (*partition, slot))
}
