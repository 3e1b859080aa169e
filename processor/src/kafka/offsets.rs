//! Lists of partitions and offsets, as librdkafka takes and gives them.

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaErrorCode;

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// The text committed with it; empty where there was none.
    pub metadata: String,
}

/// An offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The next offset to read after a restart.
    pub next_offset: i64,
    /// Text kept with the offset; brokers limit it to 4096 bytes by default (`offset.metadata.max.bytes`).
    pub metadata: String,
}

/// A list of offsets with their metadata.
///
/// # Errors
/// [`rdkafka::error::KafkaError::SetPartitionOffset`] for a negative offset.
pub(super) fn list_of_commits(offsets: &[Commit]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for commit in offsets {
        let mut element = list.add_partition(&commit.topic, commit.partition);
        element.set_offset(Offset::Offset(commit.next_offset))?;
        element.set_metadata(&commit.metadata);
    }
    Ok(list)
}

pub(super) fn sorted_names(list: &TopicPartitionList) -> Vec<(String, i32)> {
    let mut names: Vec<(String, i32)> =
        list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect();
    names.sort_unstable();
    names
}

fn list_of(partitions: &[(String, i32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

/// What the group has committed, in the order asked for.
pub(super) fn committed<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[(String, i32)],
    timeout: Duration,
) -> KafkaResult<Vec<Option<Committed>>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let list = client.committed_offsets(list_of(partitions), timeout)?;
    // The answer keeps the order of the question.
    list.elements()
        .iter()
        .map(|element| {
            element.error()?;
            Ok(match element.offset() {
                Offset::Offset(offset) => Some(Committed { offset, metadata: element.metadata().to_owned() }),
                _ => None,
            })
        })
        .collect()
}

/// The first (`Offset::Beginning`) or end offsets (`Offset::End`) of partitions, one request per leader.
pub(super) fn bounds<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: &[(String, i32)],
    of: Offset,
    timeout: Duration,
) -> KafkaResult<Vec<i64>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let mut question = list_of(partitions);
    question.set_all_offsets(of)?;
    let answer = client.offsets_for_times(question, timeout)?;
    partitions
        .iter()
        .map(|(topic, partition)| {
            let element = answer
                .find_partition(topic, *partition)
                .ok_or(rdkafka::error::KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
            element.error()?;
            match element.offset() {
                Offset::Offset(offset) => Ok(offset),
                _ => Err(rdkafka::error::KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition)),
            }
        })
        .collect()
}
