//! What an assignment finds: offsets that are kept, what is closed, and so where everything begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use processor_core::{Beginning, Checkpoint, FoundInput, Merge, MergeCheckpoint, Notice, begin};

use super::layout::Layout;
use super::shared::{Shared, now};
use super::snapshots::WithoutReplay;
use crate::kafka::{AssignedPartition, Consumer, KafkaError};
use crate::status::PositionStatus;

/// How long one question may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How often it is asked where the bounds of partitions are that have just been made: their leaders take a moment.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// What is known when an assignment starts.
pub(super) struct Found {
    pub(super) layout: Layout,
    /// First and end offset of each assigned partition.
    bounds: BTreeMap<(String, i32), (i64, i64)>,
    /// Of compacted topics: from where on each assigned partition is as it was written.
    intact_from: BTreeMap<(String, i32), i64>,
    /// As far as any merge has closed windows; `i64::MIN` where none has.
    closed_through: i64,
    /// The greatest watermark that any task has committed; `i64::MIN` where none has.
    watermark: i64,
}

impl Found {
    /// Asks Kafka.
    pub(super) fn ask(
        consumer: &Consumer,
        shared: &Shared,
        layout: Layout,
        partitions: &[(String, i32)],
    ) -> Result<Self, KafkaError> {
        let mut tries = 0;
        let (first, ends) = loop {
            let first = consumer.query_first_offsets(partitions, ATTEMPT);
            match first.and_then(|first| Ok((first, consumer.query_end_offsets(partitions, ATTEMPT)?))) {
                Ok(bounds) => break bounds,
                Err(error) if tries == TRIES => return Err(error),
                Err(error) => tracing::debug!(%error, "the bounds of an assignment are not known yet"),
            }
            tries += 1;
            std::thread::sleep(PAUSE);
            for topic in partitions.iter().map(|(topic, _)| topic).collect::<BTreeSet<_>>() {
                consumer.partition_count(topic, ATTEMPT)?;
            }
        };
        let merges = (0..layout.merges as i32).map(|at| (shared.partials_topic.clone(), at));
        let tasks = |topic: &String| {
            let topic = topic.clone();
            (0..layout.tasks as i32).map(move |at| (topic.clone(), at))
        };
        let all: Vec<_> = merges.chain(shared.task_topics.iter().flat_map(tasks)).collect();
        let committed = consumer.committed(&all, ATTEMPT)?;
        let (of_merges, of_tasks) = committed.split_at(layout.merges as usize);
        let closed = of_merges
            .iter()
            .flatten()
            .map(|of| MergeCheckpoint::parse(of.offset, &of.metadata).closed_through);
        let watermark =
            of_tasks.iter().flatten().map(|of| Checkpoint::parse(of.offset, &of.metadata).watermark);
        Ok(Self {
            intact_from: intact_from(consumer, shared, partitions, &ends)?,
            bounds: partitions.iter().cloned().zip(first.into_iter().zip(ends)).collect(),
            closed_through: closed.max().unwrap_or(i64::MIN),
            watermark: watermark.max().unwrap_or(i64::MIN),
            layout,
        })
    }

    fn bounds(&self, topic: &str, partition: i32) -> (i64, i64) {
        self.bounds.get(&(topic.to_owned(), partition)).copied().unwrap_or((0, 0))
    }

    /// What is found of an assigned partition.
    pub(super) fn input(&self, of: &AssignedPartition) -> FoundInput {
        let (first, end) = self.bounds(&of.topic, of.partition);
        let committed = of.committed.as_ref().map(|of| (of.offset, of.metadata.clone()));
        let intact_from = self.intact_from(&of.topic, of.partition, first);
        FoundInput { committed, topic: self.layout.topic_id(&of.topic), first, intact_from, end }
    }

    fn intact_from(&self, topic: &str, partition: i32, first: i64) -> i64 {
        self.intact_from.get(&(topic.to_owned(), partition)).map_or(first, |from| first.max(*from))
    }

    /// Where a task begins, whose inputs are these topics' partitions of one number; and where it does if a compacted log
    /// among them cannot be read again, where that is another place.
    pub(super) fn task(
        &self,
        topics: &[String],
        partition: i32,
        inputs: &[Option<&AssignedPartition>],
    ) -> (Beginning, Option<WithoutReplay>) {
        let input = |(input, topic): (&Option<&AssignedPartition>, &String)| match input {
            Some(assigned) => self.input(assigned),
            None => {
                let (first, end) = self.bounds(topic, partition);
                let intact_from = self.intact_from(topic, partition, first);
                FoundInput { committed: None, topic: self.layout.topic_id(topic), first, intact_from, end }
            }
        };
        let found: Vec<FoundInput> = inputs.iter().zip(topics).map(input).collect();
        let begun = begin(&found, self.closed_through);
        let as_written = found.iter().map(|of| FoundInput { intact_from: of.first, ..of.clone() });
        let with_replay = begin(&as_written.collect::<Vec<_>>(), self.closed_through);
        if begun == with_replay {
            return (begun, None);
        }
        let intact_from = found.iter().map(|of| of.intact_from).collect();
        (with_replay, Some(WithoutReplay { begun, intact_from }))
    }

    /// A merge, and what it was committed with.
    pub(super) fn merge(&self, shared: &Shared, of: &AssignedPartition) -> (Merge, MergeCheckpoint) {
        let (first, end) = self.bounds(&of.topic, of.partition);
        let ours = of.committed.as_ref().filter(|of| MergeCheckpoint::is_ours(&of.metadata));
        let committed = of.committed.as_ref().map(|of| MergeCheckpoint::parse(of.offset, &of.metadata));
        let mut checkpoint = committed.unwrap_or_else(|| MergeCheckpoint::parse(first, ""));
        // Cut, made again, or set by another tool: what it would begin with may be missing.
        let mut is_whole = match ours {
            Some(_) => checkpoint.replay_offset >= first,
            None => of.committed.is_none() && first == 0,
        };
        if checkpoint.next_offset > end {
            checkpoint.next_offset = first;
            is_whole = false;
        }
        checkpoint.next_offset = checkpoint.next_offset.max(first);
        checkpoint.replay_offset = checkpoint.replay_offset.clamp(first, checkpoint.next_offset);
        let merge = Merge::new(Arc::clone(&shared.core), shared.origin, &checkpoint);
        let merge = merge.among(self.layout.tasks, end);
        if is_whole {
            return (merge, checkpoint);
        }
        shared.problem(format!(
            "{} [{}]: partials before offset {} are not there any more or were skipped: windows that have begun by now \
             keep what was written of them",
            of.topic, of.partition, checkpoint.replay_offset
        ));
        // Everybody has stopped and committed, so nothing was published of later events.
        (merge.withholding(self.watermark.saturating_add(shared.core.out_of_orderness)), checkpoint)
    }
}

/// Of the partitions of compacted topics: the first record that is younger than the topic's lag, as compaction leaves those
/// alone, or the end.
fn intact_from(
    consumer: &Consumer,
    shared: &Shared,
    partitions: &[(String, i32)],
    ends: &[i64],
) -> Result<BTreeMap<(String, i32), i64>, KafkaError> {
    let mut intact_from = BTreeMap::new();
    for (of, end) in partitions.iter().zip(ends) {
        let Some(lag) = shared.compacted.get(&of.0) else { continue };
        let lag_ms = i64::try_from(lag.as_millis()).unwrap_or(i64::MAX);
        let since = now().millis().saturating_sub(lag_ms).max(0);
        let from = if lag.is_zero() { None } else { consumer.first_offset_since(of, since, ATTEMPT)? };
        intact_from.insert(of.clone(), from.unwrap_or(*end));
    }
    Ok(intact_from)
}

/// What was said of positions: a thing is said and counted once, though every assignment finds it until something is
/// committed.
#[derive(Default)]
pub(super) struct Positions {
    said: BTreeMap<(String, i32), Notice>,
}

impl Positions {
    /// Whether it is new.
    pub(super) fn note(
        &mut self,
        counts: &mut PositionStatus,
        (topic, partition): (&str, i32),
        notice: Notice,
    ) -> bool {
        if self.said.insert((topic.to_owned(), partition), notice) == Some(notice) {
            return false;
        }
        match notice {
            Notice::MadeAgain { .. } => counts.made_again += 1,
            Notice::Skipped { records, .. } => counts.skipped_records += records,
            Notice::ReplayGone { .. } | Notice::Compacted { .. } => counts.replays_gone += 1,
            Notice::Shortened { .. } => counts.shortened += 1,
            Notice::Moved { .. } => counts.moved += 1,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_assignment_finds_is_counted_once() {
        let (mut positions, mut counts) = (Positions::default(), PositionStatus::default());
        let skipped = Notice::Skipped { records: 15, committed: 60, first: 75 };
        assert!(positions.note(&mut counts, ("clicks", 0), skipped));
        assert!(!positions.note(&mut counts, ("clicks", 0), skipped));
        assert!(positions.note(&mut counts, ("clicks", 1), skipped));
        assert_eq!(counts.skipped_records, 30);
    }
}
