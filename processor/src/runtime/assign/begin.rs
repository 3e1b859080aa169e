//! How tasks, merges and relays begin, and how they come to their workers.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use processor_core::{Delivery, Notice, Relay, Task, TaskIdentity};

use super::Coordinator;
use crate::kafka::letter::RECORD_OVERHEAD;
use crate::kafka::{AssignedPartition, Commit, Consumer, KafkaError, Start, StartAt};
use crate::runtime::RunError;
use crate::runtime::found::Found;
use crate::runtime::layout::Layout;
use crate::runtime::shared::now;
use crate::runtime::snapshots::{self, Plan, Restored, WithoutReplay};
use crate::runtime::stage0::{RelaySlot, SourceId};
use crate::runtime::stage1::{NO_END, TaskSlot};
use crate::runtime::stage2::MergeSlot;
use crate::runtime::worker::Command;

/// How long reading end offsets may take.
const END_OFFSETS_TIMEOUT: Duration = Duration::from_secs(30);

impl Coordinator {
    /// What a task begins with: who it is, and where its inputs begin.
    fn plan(&self, found: &Found, partition: i32, inputs: &[Option<&AssignedPartition>]) -> Plan {
        let shared = &self.shared;
        let identity = TaskIdentity {
            partition: partition as u32,
            tasks: found.layout.tasks,
            merge_partitions: found.layout.merges,
            origin: shared.origin,
        };
        let (begun, without_replay) = found.task(&shared.task_topics, partition, inputs);
        self.say_all(partition, &begun.notices);
        Plan { identity, starts: begun.starts, without_replay }
    }

    fn say_all(&self, partition: i32, notices: &[(usize, Notice)]) {
        for (input, notice) in notices {
            self.say((&self.shared.task_topics[*input], partition), *notice);
        }
    }

    /// The tasks that have snapshots; plans of tasks that would read again what compaction may have taken records from
    /// become those without a replay.
    pub(super) fn restore(
        &self,
        layout: &Layout,
        plans: &mut BTreeMap<i32, Plan>,
    ) -> BTreeMap<i32, Restored> {
        let mut restored = snapshots::restore(&self.shared, layout, plans);
        for (partition, plan) in plans {
            let Some(WithoutReplay { begun, intact_from }) = plan.without_replay.take() else { continue };
            let from = |input: usize| match restored.get(partition) {
                Some(restored) => restored.task.read_from(input),
                None => plan.starts[input].replay.offset,
            };
            let is_intact = |(input, intact_from): (usize, &i64)| {
                from(input) >= plan.starts[input].next_offset.min(*intact_from)
            };
            if !intact_from.iter().enumerate().all(is_intact) {
                restored.remove(partition);
                self.say_all(*partition, &begun.notices);
                plan.starts = begun.starts;
            }
        }
        restored
    }

    fn say(&self, of: (&str, i32), notice: Notice) {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        if positions.note(&mut self.shared.reports().positions, of, notice) {
            self.shared.problem(format!("{} [{}]: {notice}", of.0, of.1));
        }
    }

    /// Of every task among them, by its number.
    pub(super) fn plans(&self, found: &Found, partitions: &[AssignedPartition]) -> BTreeMap<i32, Plan> {
        let mut tasks: BTreeMap<i32, Vec<Option<&AssignedPartition>>> = BTreeMap::new();
        for of in partitions {
            let Some(input) = self.task_input(&of.topic) else { continue };
            tasks.entry(of.partition).or_insert_with(|| vec![None; self.shared.task_topics.len()])[input] =
                Some(of);
        }
        let plan = |(partition, inputs): (i32, Vec<_>)| (partition, self.plan(found, partition, &inputs));
        tasks.into_iter().map(plan).collect()
    }

    /// Commits where tasks begin, where that is not what is committed already. At least once, what a task makes of its log is
    /// seen, and closes windows, before its first offset is committed: had it died by then and nothing told where it began,
    /// its successor would take its own windows for closed.
    pub(super) fn commit_beginnings(
        &self,
        consumer: &Consumer,
        partitions: &[AssignedPartition],
        plans: &BTreeMap<i32, Plan>,
    ) -> Result<(), KafkaError> {
        if self.shared.delivery == Delivery::ExactlyOnce {
            return Ok(()); // its first outputs come with its first offsets
        }
        let begun = partitions.iter().filter_map(|of| {
            let start = &plans.get(&of.partition)?.starts[self.task_input(&of.topic)?];
            let begun = Commit {
                topic: of.topic.clone(),
                partition: of.partition,
                next_offset: start.next_offset,
                metadata: start.metadata(),
            };
            (of.commit().as_ref() != Some(&begun)).then_some(begun)
        });
        consumer.commit_sync(&begun.collect::<Vec<_>>())
    }

    /// Which input of its task a topic is; `None` for those of relays and merges.
    fn task_input(&self, topic: &str) -> Option<usize> {
        self.shared.task_topics.iter().position(|of| of == topic)
    }

    /// Makes tasks, from their snapshots where there were any, and gives them to their workers. Gives the offset at which
    /// each input is read from.
    pub(super) fn begin(
        &self,
        consumer: &Consumer,
        layout: &Layout,
        plans: BTreeMap<i32, Plan>,
        mut restored: BTreeMap<i32, Restored>,
    ) -> Result<BTreeMap<i32, Vec<i64>>, RunError> {
        let shared = &self.shared;
        let mut offsets = BTreeMap::new();
        let source_ends = self.source_ends(consumer)?;
        for (partition, Plan { identity, starts, .. }) in plans {
            let ends = self.end_offsets(consumer, partition)?;
            let task = match restored.remove(&partition) {
                Some(restored) => restored.task,
                None => Task::new(Arc::clone(&layout.core), identity, &starts, now())?,
            };
            offsets.insert(partition, (0..starts.len()).map(|input| task.read_from(input)).collect());
            for (input, start) in starts.iter().enumerate() {
                tracing::info!(
                    partition,
                    topic = %shared.task_topics[input],
                    next = start.next_offset,
                    replay_from = task.read_from(input),
                    "task assigned"
                );
            }
            let slot = TaskSlot::new(partition, task, starts, ends, Arc::clone(&source_ends));
            self.worker_of(partition).send(Command::AssignTask(Box::new(slot)));
        }
        Ok(offsets)
    }

    /// Where a partition is read from and by whom; a merge or relay is made of it and given to its worker. `offsets`: of the
    /// tasks, by input; empty where they could not be made.
    pub(super) fn start(
        &self,
        consumer: &Consumer,
        found: &Found,
        of: &AssignedPartition,
        offsets: &BTreeMap<i32, Vec<i64>>,
    ) -> Start {
        let worker = self.worker_of(of.partition);
        if of.topic == self.shared.partials_topic {
            let merge = self.merge(found, of);
            let at = StartAt::Offset(merge.next_offset());
            worker.send(Command::AssignMerge(Box::new(merge)));
            return Start { at, queue: worker.merge_queue };
        }
        let mut at = StartAt::Beginning;
        if let Some(input) = self.shared.unkeyed_input(&of.topic) {
            match self.relay(consumer, found, (input, of.partition), of) {
                Ok(slot) => {
                    at = StartAt::Offset(slot.next_offset());
                    worker.send(Command::AssignRelay(Box::new(slot)));
                }
                Err(error) => self.shared.fail(error),
            }
        } else if let Some(offsets) = offsets.get(&of.partition) {
            let input = self.task_input(&of.topic).expect("only configured topics are subscribed to");
            at = StartAt::Offset(offsets[input]);
        }
        Start { at, queue: worker.task_queue }
    }

    fn merge(&self, found: &Found, of: &AssignedPartition) -> MergeSlot {
        let (merge, checkpoint) = found.merge(&self.shared, of);
        let (partition, committed) = (of.partition, checkpoint.next_offset);
        tracing::info!(partition, committed, replay_from = merge.next_offset(), "merge assigned");
        MergeSlot::new(partition, merge, of.commit())
    }

    fn relay(
        &self,
        consumer: &Consumer,
        found: &Found,
        id: SourceId,
        partition: &AssignedPartition,
    ) -> Result<RelaySlot, RunError> {
        let source_ends = self.source_ends(consumer)?;
        let ends = source_ends.get(id.0).filter(|_| self.until_end);
        // A partition that was added since the start ends before its first record.
        let end = ends.map(|ends| ends.get(id.1 as usize).copied().unwrap_or(0));
        let (start, notice) = processor_core::begin_relay(&found.input(partition));
        let AssignedPartition { topic, partition, .. } = partition;
        if let Some(notice) = notice {
            self.say((topic, *partition), notice);
        }
        let Layout { core, tasks, .. } = &found.layout;
        let by_user = core.rekeyed.as_ref().map_or("", |rekeyed| &rekeyed.topic);
        let room = self.shared.room.of(by_user).saturating_sub(RECORD_OVERHEAD);
        let relay = Relay::new(Arc::clone(core), id.0, id.1 as u32, *tasks, &start, now())?.within(room);
        tracing::info!(partition, topic, next = start.next_offset, "relay assigned");
        Ok(RelaySlot::new(id, relay, start, end))
    }

    /// Where a bounded run ends, per input; empty otherwise.
    fn end_offsets(&self, consumer: &Consumer, partition: i32) -> Result<Vec<i64>, KafkaError> {
        if !self.until_end {
            return Ok(Vec::new());
        }
        let of: Vec<_> =
            self.shared.core.inputs.iter().map(|input| (input.topic.clone(), partition)).collect();
        let mut ends = consumer.query_end_offsets(&of, END_OFFSETS_TIMEOUT)?;
        ends.extend(self.shared.core.rekeyed.iter().map(|_| NO_END));
        Ok(ends)
    }

    /// Where a bounded run ends, per re-keyed input and partition; empty otherwise.
    fn source_ends(&self, consumer: &Consumer) -> Result<Arc<Vec<Vec<i64>>>, KafkaError> {
        if !self.until_end {
            return Ok(Arc::default());
        }
        if let Some(ends) = self.source_ends.get() {
            return Ok(Arc::clone(ends));
        }
        let layout = self.shared.layout();
        let ends = layout.sources().map(|(input, partitions)| {
            let of: Vec<_> = (0..partitions as i32).map(|at| (input.topic.clone(), at)).collect();
            consumer.query_end_offsets(&of, END_OFFSETS_TIMEOUT)
        });
        let ends = Arc::new(ends.collect::<Result<Vec<_>, _>>()?);
        Ok(Arc::clone(self.source_ends.get_or_init(|| ends)))
    }
}
