//! The order of an epoch's effects: what may be published, what may be committed, and when.
//!
//! An epoch is a slice of the log: what its records led to, and the offsets after them. Loss and repetition are decided
//! by the order in which the two become durable, so that order is decided here, without IO: the shell tells what has
//! happened and does what it is told next. The simulation drives the same code.

use std::collections::{BTreeMap, VecDeque};

/// What a crash may do to what tasks publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// An epoch's outputs and offsets become visible together, in one transaction, or not at all.
    ExactlyOnce,
    /// Outputs first, offsets once everything derived from them is durable: a crash repeats outputs.
    AtLeastOnce,
}

/// Names an epoch of one [`TaskEpochs`] or [`MergeEpochs`]; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochId(u64);

impl EpochId {
    /// 0 is the first since the start of the process.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What an epoch carries: outputs and offsets, by task.
pub trait EpochPayload {
    /// Drops what belongs to a task that was given away: its next owner repeats it.
    fn forget(&mut self, task: u32);

    /// Whether nothing is left.
    fn is_empty(&self) -> bool;
}

/// What is to be done next with a task epoch.
#[derive(Debug, PartialEq, Eq)]
pub enum TaskStep<P> {
    /// Make the epoch's outputs durable, then call [`TaskEpochs::published`]; exactly once: outputs and offsets in one
    /// transaction, and no other epoch is published meanwhile. The payload stays in [`TaskEpochs::payload_mut`].
    Publish(EpochId),
    /// At least once: commit this payload's offsets.
    Commit(P),
}

/// The epochs of a worker's tasks, in their order.
///
/// Exactly once: sealed → [`TaskStep::Publish`] → published, which commits it; it counts as in flight until the merges
/// have dealt with its partials, so that a sink that is away holds back reading. At least once: sealed → published →
/// passed by the merges, whose commits mean that the sinks have confirmed → [`TaskStep::Commit`].
#[derive(Debug)]
pub struct TaskEpochs<P> {
    delivery: Delivery,
    next: u64,
    epochs: VecDeque<TaskEpoch<P>>,
    /// Partition of the partials topic to the next offset its merge has committed.
    merged: BTreeMap<u32, i64>,
}

#[derive(Debug)]
struct TaskEpoch<P> {
    id: EpochId,
    payload: P,
    stage: Stage,
}

/// How far a task epoch in flight has come, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochStage {
    /// Nothing is added to it any more.
    Sealed,
    /// Its outputs, and exactly once its offsets, are on their way to Kafka.
    Publishing,
    /// They are there; the merges have not dealt with its partials.
    Published,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Sealed,
    Publishing,
    /// With the last offset it wrote to each partition of the partials topic.
    Published(BTreeMap<u32, i64>),
}

impl<P: EpochPayload> TaskEpochs<P> {
    /// No epoch yet.
    #[must_use]
    pub fn new(delivery: Delivery) -> Self {
        Self { delivery, next: 0, epochs: VecDeque::new(), merged: BTreeMap::new() }
    }

    /// Ends an epoch: nothing is added to it any more.
    pub fn seal(&mut self, payload: P) -> EpochId {
        let id = EpochId(self.next);
        self.next += 1;
        self.epochs.push_back(TaskEpoch { id, payload, stage: Stage::Sealed });
        id
    }

    /// What is to be done next; `None` until something happens.
    #[expect(clippy::should_implement_trait, reason = "what it gives depends on what is told in between")]
    pub fn next(&mut self) -> Option<TaskStep<P>> {
        while let Some(TaskEpoch { stage: Stage::Published(partials), .. }) = self.epochs.front() {
            if !partials
                .iter()
                .all(|(partition, last)| self.merged.get(partition).is_some_and(|next| next > last))
            {
                break;
            }
            let epoch = self.epochs.pop_front().expect("it is at the front");
            if self.delivery == Delivery::AtLeastOnce {
                return Some(TaskStep::Commit(epoch.payload));
            }
        }
        let one_at_a_time = self.delivery == Delivery::ExactlyOnce;
        let waiting = self.epochs.iter_mut().find(|epoch| match epoch.stage {
            Stage::Published(_) => false,
            Stage::Publishing => one_at_a_time,
            Stage::Sealed => true,
        })?;
        if waiting.stage == Stage::Publishing {
            return None;
        }
        waiting.stage = Stage::Publishing;
        Some(TaskStep::Publish(waiting.id))
    }

    /// What an epoch carries, while it is in flight.
    pub fn payload_mut(&mut self, id: EpochId) -> Option<&mut P> {
        self.find(id).map(|epoch| &mut epoch.payload)
    }

    /// What the epochs in flight carry.
    pub fn payloads(&self) -> impl Iterator<Item = &P> {
        self.epochs.iter().map(|epoch| &epoch.payload)
    }

    /// The epoch's outputs are durable (exactly once: its transaction is committed); `partials` is the last offset it
    /// wrote to each partition of the partials topic.
    pub fn published(&mut self, id: EpochId, partials: BTreeMap<u32, i64>) {
        if let Some(epoch) = self.find(id) {
            epoch.stage = Stage::Published(partials);
        }
    }

    /// The epoch's transaction was aborted and left no trace: it is to be published again.
    pub fn aborted(&mut self, id: EpochId) {
        if let Some(epoch) = self.find(id) {
            epoch.stage = Stage::Sealed;
        }
    }

    /// The merge of a partition of the partials topic has committed `next_offset`.
    pub fn merged(&mut self, partition: u32, next_offset: i64) {
        let known = self.merged.entry(partition).or_insert(next_offset);
        *known = (*known).max(next_offset);
    }

    /// A task was given away: drops its share of every epoch, of which nothing will be published or committed then.
    ///
    /// Exactly once, an epoch that is being published must be decided first: its share is in a transaction.
    pub fn forget(&mut self, task: u32) {
        self.epochs.iter_mut().for_each(|epoch| epoch.payload.forget(task));
        self.epochs.retain(|epoch| epoch.stage == Stage::Publishing || !epoch.payload.is_empty());
    }

    /// Epochs whose records would be read again, or whose partials no merge has dealt with.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.epochs.len()
    }

    /// The number of the epoch that records go to now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.next
    }

    /// The first epoch in flight: what holds back all that follow.
    #[must_use]
    pub fn oldest(&self) -> Option<(EpochId, EpochStage, &P)> {
        let TaskEpoch { id, payload, stage } = self.epochs.front()?;
        let stage = match stage {
            Stage::Sealed => EpochStage::Sealed,
            Stage::Publishing => EpochStage::Publishing,
            Stage::Published(_) => EpochStage::Published,
        };
        Some((*id, stage, payload))
    }

    /// Epochs that are not published yet.
    #[must_use]
    pub fn unpublished(&self) -> usize {
        self.epochs.iter().filter(|epoch| !matches!(epoch.stage, Stage::Published(_))).count()
    }

    /// Epochs whose publication has begun and is not decided.
    #[must_use]
    pub fn publishing(&self) -> usize {
        self.epochs.iter().filter(|epoch| epoch.stage == Stage::Publishing).count()
    }

    fn find(&mut self, id: EpochId) -> Option<&mut TaskEpoch<P>> {
        self.epochs.iter_mut().find(|epoch| epoch.id == id)
    }
}

/// The epochs of a worker's merges: points are written first, then the offsets they were made from are committed.
///
/// The commit needs no transaction: points are keyed by what they are about, so writing them again changes nothing, and
/// the group refuses the commit of a member that lost the partition.
#[derive(Debug)]
pub struct MergeEpochs<C> {
    next: u64,
    epochs: VecDeque<MergeEpoch<C>>,
}

#[derive(Debug)]
struct MergeEpoch<C> {
    id: EpochId,
    commit: C,
    durable: bool,
}

impl<C> Default for MergeEpochs<C> {
    fn default() -> Self {
        Self { next: 0, epochs: VecDeque::new() }
    }
}

impl<C: EpochPayload> MergeEpochs<C> {
    /// Ends an epoch whose points were handed to the sinks.
    pub fn seal(&mut self, commit: C) -> EpochId {
        let id = EpochId(self.next);
        self.next += 1;
        self.epochs.push_back(MergeEpoch { id, commit, durable: false });
        id
    }

    /// Every sink has the epoch's points.
    pub fn durable(&mut self, id: EpochId) {
        if let Some(epoch) = self.epochs.iter_mut().find(|epoch| epoch.id == id) {
            epoch.durable = true;
        }
    }

    /// What may be committed next: in order, as an offset says that everything before it is durable.
    #[expect(clippy::should_implement_trait, reason = "what it gives depends on what is told in between")]
    pub fn next(&mut self) -> Option<C> {
        if !self.epochs.front()?.durable {
            return None;
        }
        self.epochs.pop_front().map(|epoch| epoch.commit)
    }

    /// A merge was given away: its offsets are its next owner's to commit.
    pub fn forget(&mut self, partition: u32) {
        self.epochs.iter_mut().for_each(|epoch| epoch.commit.forget(partition));
        self.epochs.retain(|epoch| !epoch.commit.is_empty());
    }

    /// Epochs whose points are not durable, or whose offsets are not committed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.epochs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Offsets(Vec<(u32, i64)>);

    impl EpochPayload for Offsets {
        fn forget(&mut self, task: u32) {
            self.0.retain(|(of, _)| *of != task);
        }

        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }
    }

    fn offsets(offset: i64) -> Offsets {
        Offsets(vec![(0, offset), (1, offset)])
    }

    #[test]
    fn exactly_once_publishes_one_epoch_at_a_time_and_commits_nothing_apart() {
        let mut epochs = TaskEpochs::new(Delivery::ExactlyOnce);
        let (first, second) = (epochs.seal(offsets(1)), epochs.seal(offsets(2)));
        assert_eq!(epochs.next(), Some(TaskStep::Publish(first)));
        assert_eq!(epochs.next(), None);
        epochs.published(first, BTreeMap::from([(0, 10)]));
        assert_eq!(epochs.next(), Some(TaskStep::Publish(second)));
        assert_eq!(epochs.in_flight(), 2, "its partials are not merged yet");
        epochs.merged(0, 11);
        assert_eq!((epochs.next(), epochs.in_flight()), (None, 1));
    }

    #[test]
    fn the_oldest_epoch_tells_what_the_others_wait_for() {
        let mut epochs = TaskEpochs::new(Delivery::ExactlyOnce);
        assert_eq!((epochs.oldest(), epochs.open()), (None, 0));
        let (first, _) = (epochs.seal(offsets(1)), epochs.seal(offsets(2)));
        assert_eq!((epochs.oldest(), epochs.open()), (Some((first, EpochStage::Sealed, &offsets(1))), 2));
        epochs.next();
        assert_eq!(epochs.oldest().map(|(_, stage, _)| stage), Some(EpochStage::Publishing));
        epochs.published(first, BTreeMap::from([(0, 10)]));
        assert_eq!(epochs.oldest().map(|(_, stage, _)| stage), Some(EpochStage::Published));
        epochs.merged(0, 11);
        epochs.next();
        assert_eq!(epochs.oldest().map(|(id, ..)| id.number()), Some(1));
    }

    #[test]
    fn an_aborted_epoch_is_published_again_before_later_ones() {
        let mut epochs = TaskEpochs::new(Delivery::ExactlyOnce);
        let (first, _) = (epochs.seal(offsets(1)), epochs.seal(offsets(2)));
        assert_eq!(epochs.next(), Some(TaskStep::Publish(first)));
        epochs.aborted(first);
        assert_eq!(epochs.next(), Some(TaskStep::Publish(first)));
    }

    #[test]
    fn at_least_once_commits_in_order_once_the_merges_have_passed() {
        let mut epochs = TaskEpochs::new(Delivery::AtLeastOnce);
        let (first, second) = (epochs.seal(offsets(1)), epochs.seal(offsets(2)));
        assert_eq!(epochs.next(), Some(TaskStep::Publish(first)));
        assert_eq!(epochs.next(), Some(TaskStep::Publish(second)));
        epochs.published(second, BTreeMap::from([(0, 20)]));
        epochs.merged(0, 21);
        assert_eq!(epochs.next(), None, "the first is not even published");
        epochs.published(first, BTreeMap::from([(0, 10), (1, 7)]));
        epochs.merged(1, 7);
        assert_eq!(epochs.next(), None, "the merge of partition 1 has not passed offset 7");
        epochs.merged(1, 8);
        assert_eq!(epochs.next(), Some(TaskStep::Commit(offsets(1))));
        assert_eq!(epochs.next(), Some(TaskStep::Commit(offsets(2))));
        assert_eq!(epochs.in_flight(), 0);
    }

    #[test]
    fn a_task_that_was_given_away_is_not_committed() {
        let mut epochs = TaskEpochs::new(Delivery::AtLeastOnce);
        let id = epochs.seal(offsets(1));
        assert_eq!(epochs.next(), Some(TaskStep::Publish(id)));
        epochs.forget(0);
        epochs.published(id, BTreeMap::new());
        assert_eq!(epochs.next(), Some(TaskStep::Commit(Offsets(vec![(1, 1)]))));
    }

    #[test]
    fn epochs_of_which_nothing_is_left_are_gone() {
        let mut epochs = TaskEpochs::new(Delivery::ExactlyOnce);
        let publishing = epochs.seal(offsets(1));
        epochs.seal(offsets(2));
        assert_eq!(epochs.next(), Some(TaskStep::Publish(publishing)));
        epochs.forget(0);
        assert_eq!(epochs.in_flight(), 2);
        epochs.forget(1);
        assert_eq!(
            (epochs.in_flight(), epochs.publishing()),
            (1, 1),
            "only a transaction under way is waited for"
        );
    }

    #[test]
    fn merges_commit_in_order_and_only_what_is_durable() {
        let mut epochs = MergeEpochs::default();
        let (first, second) = (epochs.seal(offsets(1)), epochs.seal(offsets(2)));
        epochs.durable(second);
        assert_eq!(epochs.next(), None);
        epochs.durable(first);
        epochs.forget(1);
        assert_eq!(epochs.next(), Some(Offsets(vec![(0, 1)])));
        assert_eq!(epochs.next(), Some(Offsets(vec![(0, 2)])));
        assert_eq!(epochs.next(), None);
    }
}
