//! From partitions to tasks and merges: what this member owns, and which worker has it.

mod begin;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::RunError;
use super::found::{Found, Positions};
use super::report;
use super::shared::{Shared, now};
use super::topics::Topics;
use super::worker::{Command, Link};
use crate::kafka::{AssignedPartition, Assignments, Consumer, KafkaError, KafkaProblem, Prepared, Start};
use crate::shutdown::Shutdown;

/// How long a rebalance waits for the workers while Kafka answers: above what a transaction under way takes, below the
/// group's patience (5 min). Counted in steps, as a process that stood still has not waited.
const RELEASE_STEPS: u32 = 120;
const RELEASE_STEP: Duration = Duration::from_secs(1);
/// After how many steps, again and again, Kafka is asked whether it answers, and how long it may take before it counts as
/// away.
const PROBE_STEPS: u32 = 10;
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The handler of the group's decisions.
pub(super) struct Coordinator {
    shared: Arc<Shared>,
    topics: Arc<Topics>,
    until_end: bool,
    shutdown: Shutdown,
    shutdown_deadline: Duration,
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
    pub(super) fn new(
        shared: Arc<Shared>,
        topics: Arc<Topics>,
        until_end: bool,
        shutdown: Shutdown,
        shutdown_deadline: Duration,
    ) -> Self {
        let (workers, source_ends) = (OnceLock::new(), OnceLock::new());
        let (found, positions, owned) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self {
            shared,
            topics,
            until_end,
            shutdown,
            shutdown_deadline,
            found,
            positions,
            workers,
            source_ends,
            owned,
        }
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

    /// Waits until every worker has let go. A transaction under way ends before, so it waits for a Kafka that is away.
    fn await_release(&self, consumer: &Consumer, released: &mpsc::Receiver<()>) -> Result<(), RunError> {
        let (mut steps, mut away_at, mut working) = (0, 0, self.workers().len());
        while working > 0 {
            match released.recv_timeout(RELEASE_STEP) {
                Ok(()) => working -= 1,
                Err(mpsc::RecvTimeoutError::Disconnected) => break, // the rest has failed, and said why
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    steps += 1;
                    if steps % PROBE_STEPS == 0 && self.is_kafka_away(consumer) {
                        away_at = steps;
                    }
                    report::publish(&self.shared); // nobody else does meanwhile
                }
            }
            if self.shutdown.is_triggered() && RELEASE_STEP * steps > self.shutdown_deadline {
                let why = "a transaction under way waits for Kafka".to_owned();
                return Err(RunError::NotDrained(self.shutdown_deadline, why));
            }
            if steps - away_at > RELEASE_STEPS {
                let problem = format!("a worker did not let go of its partitions within {RELEASE_STEPS} s");
                return Err(RunError::Output(problem));
            }
        }
        Ok(())
    }

    fn is_kafka_away(&self, consumer: &Consumer) -> bool {
        let answer = consumer.partition_count(&self.shared.partials_topic, PROBE_TIMEOUT);
        answer.is_err_and(|error| error.is_retryable())
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

    fn assigned(
        &self,
        consumer: &Consumer,
        partitions: &[AssignedPartition],
    ) -> Result<Vec<Start>, KafkaError> {
        let shared = &self.shared;
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        let found = found.expect("an assignment is prepared before it starts");
        let mut plans = self.plans(&found, partitions);
        let restored = self.restore(&found.layout, &mut plans);
        self.commit_beginnings(consumer, partitions, &plans)?;
        shared.set_layout(found.layout.clone());
        let started = self.begin(consumer, &found.layout, plans, restored);
        let offsets = started.unwrap_or_else(|error| {
            shared.fail(error);
            BTreeMap::new()
        });
        let starts = partitions.iter().map(|of| self.start(consumer, &found, of, &offsets)).collect();
        let mut owned = self.owned();
        owned.assigned = true;
        owned.partitions.extend(partitions.iter().map(|of| (of.topic.clone(), of.partition)));
        shared.board.update(|status| {
            status.kafka_ready = true;
            status.kafka_problem = None;
            status.standby = false;
        });
        Ok(starts)
    }

    fn revoked(&self, consumer: &Consumer, partitions: &[(String, i32)], lost: bool) {
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
        if let Err(error) = self.await_release(consumer, &wait) {
            self.shared.fail(error);
            return;
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
        self.shared.client_problem(&problem);
    }
}
