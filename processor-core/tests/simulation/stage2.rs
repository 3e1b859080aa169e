//! A worker's merges and their epochs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use events::Timestamp;
use processor_core::{EpochId, EpochPayload, Merge, MergeCheckpoint, MergeEpochs, MergeOutputs};

use super::bugs::Bug;
use super::group::Membership;
use super::influx::Batch;
use super::kafka::{Committed, Offsets, Origin, Topic};
use super::oracle::Rule;
use super::world::{ORIGIN, World};

const EPOCHS_IN_FLIGHT_MAX: usize = 4;

struct MergeSlot {
    merge: Merge,
    run: u64,
    /// The next offset to read.
    at: i64,
    sealed: Option<(i64, String)>,
}

struct Commit(Offsets);

impl EpochPayload for Commit {
    fn forget(&mut self, partition: u32) {
        self.0.retain(|((_, of), _)| *of != partition);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Default)]
pub(crate) struct Stage2 {
    starting: Vec<u32>,
    merges: BTreeMap<u32, MergeSlot>,
    epochs: MergeEpochs<Commit>,
    /// To be committed: their points are durable.
    commits: Option<Offsets>,
}

impl Stage2 {
    pub(crate) fn assign(&mut self, partition: u32) {
        self.starting.push(partition);
    }

    pub(crate) fn start(&mut self, world: &mut World<'_>) {
        let Some(partition) = self.starting.pop() else { return };
        let Ok(committed) = world.kafka.fetch_offset((Topic::Partials, partition)) else {
            return self.starting.push(partition);
        };
        let start = match committed {
            Some(of) => MergeCheckpoint::parse(of.offset, &of.metadata),
            None => MergeCheckpoint::parse(0, ""),
        };
        let run = world.new_run();
        world.note(|| format!("run {run}: merge {partition} from {start:?}"));
        let merge = Merge::new(Arc::clone(&world.options), ORIGIN, &start);
        self.merges.insert(partition, MergeSlot { merge, run, at: start.replay_offset, sealed: None });
    }

    pub(crate) fn forget(&mut self) {
        self.starting.clear();
        let merges = std::mem::take(&mut self.merges);
        merges.keys().for_each(|merge| self.epochs.forget(*merge));
        self.commits = None;
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.epochs.in_flight() == 0 && self.commits.is_none()
    }

    /// Whether everything that can be seen of the partials was read and dealt with.
    pub(crate) fn is_done(&self, world: &World<'_>) -> bool {
        let read = |(of, slot): (&u32, &MergeSlot)| slot.at >= world.kafka.stable_end((Topic::Partials, *of));
        self.starting.is_empty() && self.is_idle() && self.merges.iter().all(read)
    }

    pub(crate) fn owned(&self) -> usize {
        self.merges.len() + self.starting.len()
    }

    pub(crate) fn frontier(&self) -> i64 {
        let of = self.merges.values().filter_map(|slot| slot.merge.frontier());
        of.map(Timestamp::micros).max().unwrap_or(i64::MIN)
    }

    pub(crate) fn read(&mut self, world: &mut World<'_>) {
        let max = 1 + world.random.below(40) as usize;
        if self.merges.is_empty() || self.epochs.in_flight() >= EPOCHS_IN_FLIGHT_MAX {
            return;
        }
        let at = world.random.below(self.merges.len() as u64) as usize;
        let (partition, slot) = self.merges.iter_mut().nth(at).expect("it is less than their number");
        let committed_only = world.bug != Some(Bug::ReadUncommitted);
        let (records, next) = world.kafka.read((Topic::Partials, *partition), slot.at, max, committed_only);
        let mut unseen = None;
        for (offset, output) in &records {
            slot.merge.message(*offset, &output.value).expect("this build wrote the message");
            if !world.kafka.record((Topic::Partials, *partition), *offset).1 {
                unseen = Some(*offset);
            }
        }
        let (read, run) = (records.len(), slot.run);
        if let Some(offset) = unseen {
            world.fail(Rule::Uncommitted, || format!("merge {partition} took the partial at {offset}"));
        }
        slot.at = next;
        if next >= world.kafka.stable_end((Topic::Partials, *partition)) {
            slot.merge.read_to(next);
        }
        world.note(|| format!("run {run}: merge {partition} read {read}, to {next}"));
    }

    /// Hands out the points of what changed and seals an epoch for their offsets.
    pub(crate) fn seal(&mut self, world: &mut World<'_>) -> Option<(EpochId, Rc<Batch>)> {
        if self.epochs.in_flight() >= EPOCHS_IN_FLIGHT_MAX {
            return None;
        }
        let mut out = MergeOutputs::default();
        let mut offsets = Vec::new();
        let mut of = Vec::new();
        for (partition, slot) in &mut self.merges {
            let before = out.points.len();
            slot.merge.emit(&mut out).unwrap();
            if slot.merge.is_replaying() {
                continue;
            }
            let checkpoint = slot.merge.checkpoint();
            if out.points.len() > before {
                of.push((slot.run, checkpoint.next_offset));
            }
            let sealed = (checkpoint.next_offset, checkpoint.metadata());
            if sealed.0 > 0 && slot.sealed.as_ref() != Some(&sealed) {
                let origin = Origin { run: slot.run, handed_out: 0 };
                let committed = Committed { offset: sealed.0, metadata: sealed.1.clone(), origin };
                offsets.push(((Topic::Partials, *partition), committed));
                slot.sealed = Some(sealed);
            }
        }
        if out.points.is_empty() && offsets.is_empty() {
            return None;
        }
        let id = self.epochs.seal(Commit(offsets));
        if out.points.is_empty() {
            self.epochs.durable(id);
            return None;
        }
        let batch = Rc::new(Batch { id: world.new_run(), points: out.points, of });
        world.oracle.handed_out(&batch);
        if world.bug == Some(Bug::MergeCommitsBeforeAck) {
            self.epochs.durable(id);
        }
        Some((id, batch))
    }

    pub(crate) fn durable(&mut self, id: EpochId) {
        self.epochs.durable(id);
    }

    /// Commits what is durable, or says again what was committed last, for the lease; whether Kafka answered that it
    /// took it.
    pub(crate) fn commit(&mut self, world: &mut World<'_>, by: Membership) -> bool {
        // Of epochs that were given away nothing is left.
        while self.commits.is_none()
            && let Some(Commit(offsets)) = self.epochs.next()
        {
            self.commits = (!offsets.is_empty()).then_some(offsets);
        }
        let again = || {
            let origin = Origin { run: 0, handed_out: 0 };
            let none = Committed { offset: 0, metadata: String::new(), origin };
            let of = self.merges.keys().map(|at| (Topic::Partials, *at));
            let of =
                of.filter_map(|of| Some((of, world.kafka.fetch_offset(of).ok()?.unwrap_or(&none).clone())));
            of.collect::<Offsets>()
        };
        let offsets = self.commits.clone().unwrap_or_else(again);
        if offsets.is_empty() || world.fault(10) {
            return false;
        }
        let committed = world.kafka.commit_offsets(by, offsets, world.now);
        world.note(|| format!("commit of merges by {by:?}: {committed:?}"));
        if committed.is_ok() && world.fault(10) {
            return false; // the answer is lost; the same commit again changes nothing
        }
        self.commits = None;
        committed.is_ok()
    }
}
