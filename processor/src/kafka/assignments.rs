//! Who decides what happens to partitions, and what can be decided.

use rdkafka::topic_partition_list::Offset;

use super::batch::QueueId;
use super::offsets::{Commit, Committed};
use super::{Consumer, KafkaError, KafkaProblem};

/// Decides what happens to partitions. Every method is called on the polling thread, inside [`Consumer::poll`] or
/// [`Consumer::close`], while the group waits: bound what they do.
///
/// A handler must not keep a [`Consumer`] (each method is given one): it would keep itself alive.
pub trait Assignments: Send + Sync {
    /// An assignment has come. Finds out what [`Assignments::assigned`] has to know, and decides whether it starts.
    fn prepare(&self, consumer: &Consumer, partitions: &[(String, i32)]) -> Prepared {
        let _ = (consumer, partitions);
        Prepared::Start
    }

    /// Every partition is another member's: there are more members than partitions.
    fn standby(&self) {}

    /// This member now owns `partitions`, in order of topic and partition. Returns where to start each of them, in
    /// the same order, and which worker reads it. Records flow once it has returned, so the workers have to know by
    /// then what is theirs: send them word, [`Consumer::wake`] them, wait for their answer.
    ///
    /// # Errors
    /// Nothing of it starts; it is given back and the group joined again.
    fn assigned(
        &self,
        consumer: &Consumer,
        partitions: &[AssignedPartition],
    ) -> Result<Vec<Start>, KafkaError>;

    /// This member loses `partitions`. Their records have stopped: a worker gets nothing more of them once the
    /// batch it may be taking right now is done. Returns when the workers have let go.
    ///
    /// The handler may [`Consumer::commit_sync`] in it, except when `lost`: then another member may own the
    /// partitions already, and the group refuses the commit. librdkafka's mock cluster may refuse it also otherwise
    /// (`RebalanceInProgress`), where a real Kafka takes it.
    fn revoked(&self, consumer: &Consumer, partitions: &[(String, i32)], lost: bool);

    /// Offsets passed to [`Consumer::commit`] have arrived: topic, partition, next offset.
    fn committed(&self, offsets: &[(String, i32, i64)]) {
        let _ = offsets;
    }

    /// What is fetched and not consumed, about every two seconds: topic, partition, and the bytes in the queue that it
    /// was forwarded to, the other partitions' of that queue included.
    fn prefetched(&self, partitions: &[(String, i32, u64)]) {
        let _ = partitions;
    }

    /// Something happened outside of any call; see [`KafkaProblem::is_fatal`].
    fn error(&self, problem: KafkaProblem);
}

/// What becomes of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// It starts.
    Start,
    /// It is given back and the group joined again, for this reason.
    Again(String),
    /// It is given back; the group is left until [`Consumer::join`].
    Leave,
}

/// A partition with what its group committed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// `None`: nothing committed yet.
    pub committed: Option<Committed>,
}

impl AssignedPartition {
    /// What is committed, to be committed again.
    #[must_use]
    pub fn commit(&self) -> Option<Commit> {
        let Committed { offset, metadata } = self.committed.clone()?;
        Some(Commit { topic: self.topic.clone(), partition: self.partition, next_offset: offset, metadata })
    }
}

/// Where a partition starts and who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The first record.
    pub at: StartAt,
    /// The reader.
    pub queue: QueueId,
}

/// The first record to read of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// The committed offset, or the beginning where there is none.
    Committed,
    /// The earliest record kept.
    Beginning,
    /// Only records that come from now on.
    End,
    /// This offset. Where it is gone, nothing is read, and the worker is told ([`super::PartitionProblem::is_gone`]).
    Offset(i64),
}

impl Start {
    pub(super) fn offset(self, partition: &AssignedPartition) -> Offset {
        match self.at {
            StartAt::Beginning => Offset::Beginning,
            StartAt::End => Offset::End,
            StartAt::Offset(offset) => Offset::Offset(offset),
            StartAt::Committed => partition
                .committed
                .as_ref()
                .map_or(Offset::Beginning, |committed| Offset::Offset(committed.offset)),
        }
    }
}
