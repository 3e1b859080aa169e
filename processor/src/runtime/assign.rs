//! From partitions to tasks and merges: what this member owns, and which worker has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use processor_core::{Relay, Task, TaskIdentity};

use super::RunError;
use super::found::{Found, Positions};
use super::layout::Layout;
use super::shared::{Shared, now};
use super::snapshots::{self, Plan};
use super::stage0::{RelaySlot, SourceId};
use super::stage1::{NO_END, TaskSlot};
use super::stage2::MergeSlot;
use super::topics::Topics;
use super::worker::{Command, Link};
use crate::kafka::{
    AssignedPartition, Assignments, Commit, Consumer, KafkaProblem, Prepared, Start, StartAt,
};

/// How long a rebalance waits for the workers: above what a transaction under way takes, below the group's patience
/// (5 min). Counted in steps, as a process that stood still has not waited.
const RELEASE_STEPS: usize = 120;
const RELEASE_STEP: Duration = Duration::from_secs(1);
/// How long reading end offsets may take.
const END_OFFSETS_TIMEOUT: Duration = Duration::from_secs(30);

/// The handler of the group's decisions.
pub(super) struct Coordinator {
    shared: Arc<Shared>,
    topics: Arc<Topics>,
    until_end: bool,
    /// What was found out for the assignment that is about to start.
    found: Mutex<Option<Found>>,
    positions: Mutex<Positions>,
    workers: OnceLock<Vec<Link>>,
    /// Where a bounded run ends, per re-keyed input and partition: those of its first assignment.
    source_ends: OnceLock<Arc<Vec<Vec<i64>>>>,
    owned: Mutex<Owned>,
}

#[derive(Default)]
struct Owned {
    partitions: BTreeSet<(String, i32)>,
    /// Whether the group has said what is ours.
    assigned: bool,
}

impl Coordinator {
    pub(super) fn new(shared: Arc<Shared>, topics: Arc<Topics>, until_end: bool) -> Self {
        let (workers, source_ends) = (OnceLock::new(), OnceLock::new());
        let (found, positions, owned) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { shared, topics, until_end, found, positions, workers, source_ends, owned }
    }

    /// To be called once, before the first poll.
    pub(super) fn set_workers(&self, workers: Vec<Link>) {
        assert!(self.workers.set(workers).is_ok(), "workers are set once");
    }

    fn workers(&self) -> &[Link] {
        self.workers.get().expect("workers are set before the first poll")
    }

    fn worker_of(&self, partition: i32) -> &Link {
        let workers = self.workers();
        &workers[partition as usize % workers.len()]
    }

    fn owned(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether partitions of the partials topic are owned by others, so that their commits have to be asked for.
    pub(super) fn foreign_merges(&self) -> Vec<i32> {
        let owned = self.owned();
        (0..self.shared.layout().merges as i32)
            .filter(|at| !owned.partitions.contains(&(self.shared.partials_topic.clone(), *at)))
            .collect()
    }

    /// Lets go of everything as when the group has given it to others: the member has come to its end.
    pub(super) fn lose_everything(&self, consumer: &Consumer) {
        let partitions: Vec<_> = self.owned().partitions.iter().cloned().collect();
        self.shared.membership.left();
        self.revoked(consumer, &partitions, true);
    }

    /// Tells every worker to read nothing new and to write what it has.
    pub(super) fn drain(&self) {
        self.workers().iter().for_each(|worker| worker.send(Command::Drain));
    }

    /// Whether every worker has nothing under way after [`Coordinator::drain`].
    pub(super) fn is_drained(&self) -> bool {
        self.workers().iter().all(|worker| worker.drained.load(Ordering::Acquire))
    }

    /// For a bounded run: whether every owned task and relay has reached its end and all of it is committed.
    pub(super) fn reached_the_end(&self) -> bool {
        let owned = self.owned();
        let inputs = owned.partitions.iter().filter(|(topic, _)| *topic != self.shared.partials_topic);
        // A task per partition number, a relay per partition.
        let mut relays = 0;
        let mut tasks = BTreeSet::new();
        for (topic, partition) in inputs {
            if self.shared.is_of_tasks(topic) {
                tasks.insert(*partition);
            } else {
                relays += 1;
            }
        }
        let ended: usize = self.workers().iter().map(|worker| worker.ended.load(Ordering::Acquire)).sum();
        owned.assigned && ended == tasks.len() + relays
    }

    /// What a task begins with: who it is, and where its inputs begin.
    fn plan(&self, found: &Found, partition: i32, inputs: &[Option<&AssignedPartition>]) -> Plan {
        let shared = &self.shared;
        let identity = TaskIdentity {
            partition: partition as u32,
            tasks: found.layout.tasks,
            merge_partitions: found.layout.merges,
            origin: shared.origin,
        };
        let begun = found.task(&shared.task_topics, partition, inputs);
        for (input, notice) in &begun.notices {
            self.say((&shared.task_topics[*input], partition), *notice);
        }
        Plan { identity, starts: begun.starts }
    }

    fn say(&self, of: (&str, i32), notice: processor_core::Notice) {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        if positions.note(&mut self.shared.reports().positions, of, notice) {
            self.shared.problem(format!("{} [{}]: {notice}", of.0, of.1));
        }
    }

    /// Makes tasks, from their snapshots where there are any, and gives them to their workers. Gives the offset at which
    /// each input is read from.
    fn begin(
        &self,
        consumer: &Consumer,
        layout: &Layout,
        plans: BTreeMap<i32, Plan>,
    ) -> Result<BTreeMap<i32, Vec<i64>>, RunError> {
        let shared = &self.shared;
        let mut restored = snapshots::restore(shared, layout, &plans);
        let mut offsets = BTreeMap::new();
        let source_ends = self.source_ends(consumer)?;
        for (partition, Plan { identity, starts }) in plans {
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

    fn relay(
        &self,
        found: &Found,
        id: SourceId,
        partition: &AssignedPartition,
        end: Option<i64>,
    ) -> Result<RelaySlot, RunError> {
        let (start, notice) = processor_core::begin_relay(&found.input(partition));
        let AssignedPartition { topic, partition, .. } = partition;
        if let Some(notice) = notice {
            self.say((topic, *partition), notice);
        }
        let Layout { core, tasks, .. } = &found.layout;
        let relay = Relay::new(Arc::clone(core), id.0, id.1 as u32, *tasks, &start, now())?;
        tracing::info!(partition, topic, next = start.next_offset, "relay assigned");
        Ok(RelaySlot::new(id, relay, start, end))
    }
}

impl Assignments for Coordinator {
    fn prepare(&self, consumer: &Consumer, partitions: &[(String, i32)]) -> Prepared {
        let layout = match self.topics.find(consumer, &self.shared) {
            Ok(layout) => layout,
            Err(prepared) => return prepared,
        };
        match Found::ask(consumer, &self.shared, layout, partitions) {
            Ok(found) => {
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                Prepared::Start
            }
            Err(error) => Prepared::Again(error.to_string()),
        }
    }

    fn standby(&self) {
        tracing::info!("there are more instances than partitions: this one stands by, until another ends");
        self.owned().assigned = true;
        self.shared.board.update(|status| {
            status.kafka_ready = true;
            status.kafka_problem = None;
            status.standby = true;
        });
    }

    fn assigned(&self, consumer: &Consumer, partitions: &[AssignedPartition]) -> Vec<Start> {
        let shared = &self.shared;
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = found.expect("an assignment is prepared before it starts");
        shared.set_layout(found.layout.clone());
        let mut tasks: BTreeMap<i32, Vec<Option<&AssignedPartition>>> = BTreeMap::new();
        let mut starts = Vec::with_capacity(partitions.len());
        let source_ends = match self.source_ends(consumer) {
            Ok(ends) => ends,
            Err(error) => {
                shared.fail(error.into());
                Arc::default()
            }
        };
        for partition in partitions {
            let worker = self.worker_of(partition.partition);
            if partition.topic == shared.partials_topic {
                let (merge, checkpoint) = found.merge(shared, partition);
                let at = StartAt::Offset(merge.next_offset());
                tracing::info!(
                    partition = partition.partition,
                    committed = checkpoint.next_offset,
                    replay_from = merge.next_offset(),
                    "merge assigned"
                );
                let start = partition.committed.as_ref().map(|committed| Commit {
                    topic: partition.topic.clone(),
                    partition: partition.partition,
                    next_offset: committed.offset,
                    metadata: committed.metadata.clone(),
                });
                worker.send(Command::AssignMerge(Box::new(MergeSlot::new(
                    partition.partition,
                    merge,
                    start,
                ))));
                starts.push(Start { at, queue: worker.merge_queue });
                continue;
            }
            if let Some(input) = shared.unkeyed_input(&partition.topic) {
                let ends = source_ends.get(input).filter(|_| self.until_end);
                // A partition that was added since the start ends before its first record.
                let end = ends.map(|ends| ends.get(partition.partition as usize).copied().unwrap_or(0));
                let mut at = StartAt::Beginning;
                match self.relay(&found, (input, partition.partition), partition, end) {
                    Ok(slot) => {
                        at = StartAt::Offset(slot.next_offset());
                        worker.send(Command::AssignRelay(Box::new(slot)));
                    }
                    Err(error) => shared.fail(error),
                }
                starts.push(Start { at, queue: worker.task_queue });
                continue;
            }
            let input = shared.task_topics.iter().position(|topic| *topic == partition.topic);
            let input = input.expect("only configured topics are subscribed to");
            tasks.entry(partition.partition).or_insert_with(|| vec![None; shared.task_topics.len()])[input] =
                Some(partition);
            // Told below, where it is decided.
            starts.push(Start { at: StartAt::Beginning, queue: worker.task_queue });
        }
        let plans = tasks
            .iter()
            .map(|(partition, inputs)| (*partition, self.plan(&found, *partition, inputs)))
            .collect();
        match self.begin(consumer, &found.layout, plans) {
            Ok(offsets) => {
                for (partition, start) in partitions.iter().zip(&mut starts) {
                    let input = shared.task_topics.iter().position(|topic| *topic == partition.topic);
                    if let (Some(input), Some(offsets)) = (input, offsets.get(&partition.partition)) {
                        start.at = StartAt::Offset(offsets[input]);
                    }
                }
            }
            Err(error) => {
                shared.fail(error);
                return starts;
            }
        }
        let mut owned = self.owned();
        owned.assigned = true;
        owned.partitions.extend(partitions.iter().map(|of| (of.topic.clone(), of.partition)));
        shared.board.update(|status| {
            status.kafka_ready = true;
            status.kafka_problem = None;
            status.standby = false;
        });
        starts
    }

    fn revoked(&self, _: &Consumer, partitions: &[(String, i32)], lost: bool) {
        tracing::info!(?partitions, lost, "partitions revoked");
        let is_merge = |of: &&(String, i32)| of.0 == self.shared.partials_topic;
        let merges: Vec<i32> = partitions.iter().filter(is_merge).map(|of| of.1).collect();
        let is_task = |of: &&(String, i32)| self.shared.is_of_tasks(&of.0);
        let tasks: BTreeSet<i32> = partitions.iter().filter(is_task).map(|of| of.1).collect();
        let (done, wait) = mpsc::channel();
        for worker in self.workers() {
            worker.send(Command::Revoke {
                tasks: tasks.iter().copied().collect(),
                merges: merges.clone(),
                lost,
                done: done.clone(),
            });
        }
        drop(done);
        let (mut steps, mut working) = (0, self.workers().len());
        while working > 0 {
            match wait.recv_timeout(RELEASE_STEP) {
                Ok(()) => working -= 1,
                Err(mpsc::RecvTimeoutError::Disconnected) => break, // the rest has failed, and said why
                Err(mpsc::RecvTimeoutError::Timeout) => steps += 1,
            }
            if steps > RELEASE_STEPS {
                let problem = format!("a worker did not let go of its partitions within {RELEASE_STEPS} s");
                self.shared.fail(RunError::Output(problem));
                return;
            }
        }
        self.shared.sink.forget();
        let mut owned = self.owned();
        owned.partitions.retain(|of| !partitions.contains(of));
        owned.assigned = false; // until the group has said what is ours now, be it nothing
    }

    fn committed(&self, offsets: &[(String, i32, i64)]) {
        let now_ms = now().millis();
        self.shared.committed_at_ms.store(now_ms, Ordering::Release);
        let mut reports = self.shared.reports();
        for (topic, partition, next_offset) in offsets {
            if *topic == self.shared.partials_topic {
                self.shared.confirm_merge(*partition, *next_offset);
            } else {
                reports.task_committed_at.insert(*partition, now_ms);
            }
            reports.committed.insert((topic.clone(), *partition), *next_offset);
        }
    }

    fn prefetched(&self, partitions: &[(String, i32, u64)]) {
        // Each partition tells the bytes of the whole queue that it shares with its worker's others.
        let workers = self.workers().len();
        let mut queues: BTreeMap<(bool, usize), u64> = BTreeMap::new();
        for (topic, partition, bytes) in partitions {
            let queue = (*topic == self.shared.partials_topic, *partition as usize % workers);
            let most = queues.entry(queue).or_default();
            *most = (*most).max(*bytes);
        }
        self.shared.prefetched.store(queues.values().sum(), Ordering::Relaxed);
    }

    fn error(&self, problem: KafkaProblem) {
        if problem.is_fatal() {
            self.shared.fail(RunError::KafkaClient(problem));
            return;
        }
        if matches!(problem, KafkaProblem::AllBrokersDown { .. }) {
            self.shared.board.update(|status| status.kafka_problem = Some(problem.to_string()));
        }
        self.shared.error(&problem);
    }
}

impl Coordinator {
    /// Where a bounded run ends, per input; empty otherwise.
    fn end_offsets(&self, consumer: &Consumer, partition: i32) -> Result<Vec<i64>, crate::kafka::KafkaError> {
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
    fn source_ends(&self, consumer: &Consumer) -> Result<Arc<Vec<Vec<i64>>>, crate::kafka::KafkaError> {
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
