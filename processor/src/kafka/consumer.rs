//! One member of the consumer group.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::batch::{self, NativeQueue, QueueId, WorkerQueue};
use super::membership::Membership;
use super::offsets::{Commit, Committed, bounds, committed, list_of_commits, sorted_names};
use super::{ConsumerSettings, KafkaError, KafkaProblem, log, settings};

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
    fn assigned(&self, consumer: &Consumer, partitions: &[AssignedPartition]) -> Vec<Start>;

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

/// A group member. Clones are the same member; see the module text for who calls what.
///
/// [`Consumer::close`] leaves the group in order. Dropping the last clone without it leaves the group too, but
/// without asking the handler: what was not committed is read again by the next owner.
#[derive(Clone)]
pub struct Consumer {
    member: Arc<Member>,
}

struct Member {
    // Before `client`: queues must not outlive their client.
    queues: Mutex<Vec<Arc<NativeQueue>>>,
    client: BaseConsumer<Context>,
    topics: Vec<String>,
    brokers: String,
    /// Out of the group until it is to be joined.
    away: AtomicBool,
}

/// How long one request for committed offsets may take, and how long they are tried in an assignment.
const COMMITTED_REQUEST: Duration = Duration::from_secs(10);
/// A transaction that a killed process left open makes its offsets unknown until Kafka ends it, 15 to 25 s later.
const COMMITTED_TRIES: Duration = Duration::from_secs(60);

impl Consumer {
    /// Joins the group for `topics`. Nothing happens before the first [`Consumer::poll`]; Kafka may be away.
    ///
    /// # Errors
    /// [`KafkaError::ReservedProperty`], [`KafkaError::Settings`].
    pub fn new(
        settings: &ConsumerSettings,
        topics: &[String],
        handler: Arc<dyn Assignments>,
        membership: Arc<Membership>,
    ) -> Result<Self, KafkaError> {
        let context = Context {
            handler,
            membership,
            member: OnceLock::new(),
            brokers: settings.client.brokers.clone(),
            rejoin: AtomicBool::new(false),
            leave: AtomicBool::new(false),
        };
        let client: BaseConsumer<Context> = settings::create(&settings.to_config()?, context)?;
        let member = Arc::new(Member {
            queues: Mutex::new(Vec::new()),
            client,
            topics: topics.to_vec(),
            brokers: settings.client.brokers.clone(),
            away: AtomicBool::new(false),
        });
        let set = member.client.context().member.set(Arc::downgrade(&member));
        assert!(set.is_ok(), "a context has one member");
        member.subscribe()?;
        Ok(Self { member })
    }

    /// Serves the group for up to `timeout`: rebalances, commit outcomes, errors, all to the handler.
    ///
    /// For the coordinator thread only. To be called often (every 100 ms): a rebalance waits for it.
    pub fn poll(&self, timeout: Duration) {
        let member = &*self.member;
        if let Some(Ok(_)) = member.client.poll(timeout) {
            // Every partition is forwarded to a worker before it is assigned, so none is read here.
            tracing::error!("a record arrived outside the worker queues and was not processed");
            member.client.context().handler.error(KafkaProblem::Fatal {
                code: RDKafkaErrorCode::Inconsistent,
                reason: "a record arrived outside the worker queues".to_owned(),
            });
        }
        let context = member.client.context();
        if context.leave.swap(false, Ordering::Relaxed) && !member.away.swap(true, Ordering::Relaxed) {
            member.client.unsubscribe();
        }
        if context.rejoin.swap(false, Ordering::Relaxed) && !self.is_away() {
            member.client.unsubscribe();
            member.subscribe_or_end();
        }
    }

    /// Leaves the group with the next [`Consumer::poll`]: partitions are revoked, and nothing is read until
    /// [`Consumer::join`].
    pub fn leave(&self) {
        self.member.client.context().leave.store(true, Ordering::Relaxed);
    }

    /// Whether the group was left.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.member.away.load(Ordering::Relaxed)
    }

    /// Joins the group again after [`Consumer::leave`]. Polling thread only.
    pub fn join(&self) {
        self.member.client.context().leave.store(false, Ordering::Relaxed);
        if self.member.away.swap(false, Ordering::Relaxed) {
            self.member.subscribe_or_end();
        }
    }

    /// A new queue for a worker thread.
    pub fn worker_queue(&self) -> WorkerQueue {
        let native = Arc::new(NativeQueue::new(self.member.client.client()));
        let mut queues = self.member.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.push(Arc::clone(&native));
        WorkerQueue::new(QueueId(queues.len() - 1), native, self.clone())
    }

    /// Leaves the group and joins it again with the next [`Consumer::poll`]: partitions are revoked and assigned anew, so
    /// that everything starts from what is committed.
    pub fn rejoin(&self) {
        self.member.client.context().rejoin.store(true, Ordering::Relaxed);
    }

    /// Makes a worker's [`WorkerQueue::consume`] return at once, so that it looks at its commands.
    pub fn wake(&self, queue: QueueId) {
        self.member.queue(queue).wake();
    }

    /// Sends offsets to the group and returns at once; the outcome goes to the handler by [`Consumer::poll`].
    ///
    /// # Errors
    /// [`KafkaError::Failed`] where librdkafka does not take the request.
    pub fn commit(&self, offsets: &[Commit]) -> Result<(), KafkaError> {
        self.commit_with(offsets, CommitMode::Async)
    }

    /// Sends offsets to the group and waits for the answer: at shutdown and when partitions are revoked.
    ///
    /// # Errors
    /// [`KafkaError::Failed`], also for a single partition.
    pub fn commit_sync(&self, offsets: &[Commit]) -> Result<(), KafkaError> {
        self.commit_with(offsets, CommitMode::Sync)
    }

    fn commit_with(&self, offsets: &[Commit], mode: CommitMode) -> Result<(), KafkaError> {
        let failed = |error| KafkaError::from_client("committing offsets", &error);
        if offsets.is_empty() {
            return Ok(());
        }
        let list = list_of_commits(offsets).map_err(failed)?;
        match mode {
            CommitMode::Async => {
                let membership = &self.member.client.context().membership;
                membership.commit_sent();
                batch::commit_to_poll(self.member.client.client(), &list).map_err(|code| {
                    membership.commit_answered(false);
                    failed(rdkafka::error::KafkaError::ConsumerCommit(code))
                })?;
            }
            CommitMode::Sync => self.member.client.commit(&list, mode).map_err(failed)?,
        }
        match list.elements().iter().find_map(|element| element.error().err()) {
            Some(error) => Err(failed(error)),
            None => Ok(()),
        }
    }

    /// What the group has committed for `partitions`, in their order, whoever owns them.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn committed(
        &self,
        partitions: &[(String, i32)],
        timeout: Duration,
    ) -> Result<Vec<Option<Committed>>, KafkaError> {
        committed(&self.member.client, partitions, timeout)
            .map_err(|error| KafkaError::from_client("reading committed offsets", &error))
    }

    /// The end offset of an assigned partition as of its last fetch; asks nobody. `None`: not fetched yet.
    pub fn end_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        batch::cached_end_offset(self.member.client.client(), topic, partition)
    }

    /// The first offsets kept of `partitions`, in their order, asked from the brokers.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn query_first_offsets(
        &self,
        partitions: &[(String, i32)],
        timeout: Duration,
    ) -> Result<Vec<i64>, KafkaError> {
        bounds(&self.member.client, partitions, Offset::Beginning, timeout)
            .map_err(|error| KafkaError::from_client("reading first offsets", &error))
    }

    /// The end offsets of `partitions`, in their order, asked from the brokers: the offset after the last record
    /// that a reader of committed transactions gets.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn query_end_offsets(
        &self,
        partitions: &[(String, i32)],
        timeout: Duration,
    ) -> Result<Vec<i64>, KafkaError> {
        bounds(&self.member.client, partitions, Offset::End, timeout)
            .map_err(|error| KafkaError::from_client("reading end offsets", &error))
    }

    /// Number of partitions of a topic; asks a broker, so that this client knows new ones from then on.
    ///
    /// # Errors
    /// [`KafkaError::UnknownTopic`], [`KafkaError::Unreachable`], [`KafkaError::Failed`].
    pub fn partition_count(&self, topic: &str, timeout: Duration) -> Result<i32, KafkaError> {
        super::admin::partition_count(self.member.client.client(), &self.member.brokers, topic, timeout)
    }

    /// Leaves the group: the handler's [`Assignments::revoked`] is called for what is owned. Polling thread only.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`] when the group did not let go within `timeout`; [`KafkaError::Failed`].
    pub fn close(&self, timeout: Duration) -> Result<(), KafkaError> {
        let deadline = Instant::now() + timeout;
        let client = &self.member.client;
        client.close_queue().map_err(|error| KafkaError::from_client("leaving the group", &error))?;
        while !client.closed() {
            if Instant::now() > deadline {
                return Err(KafkaError::Unreachable {
                    brokers: self.member.brokers.clone(),
                    doing: "leaving the group",
                    waited: timeout,
                });
            }
            // What comes is served by the context.
            let _ = client.poll(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("topics", &self.member.topics).finish_non_exhaustive()
    }
}

impl Member {
    fn subscribe(&self) -> Result<(), KafkaError> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        self.client.subscribe(&topics).map_err(|error| KafkaError::from_client("subscribing", &error))
    }

    fn subscribe_or_end(&self) {
        if let Err(error) = self.subscribe() {
            let problem = KafkaProblem::Fatal { code: RDKafkaErrorCode::State, reason: error.to_string() };
            self.client.context().handler.error(problem);
        }
    }

    fn queue(&self, id: QueueId) -> Arc<NativeQueue> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.get(id.0).expect("a queue id comes from a queue of this consumer"))
    }
}

/// librdkafka's callbacks, all on the polling thread.
struct Context {
    handler: Arc<dyn Assignments>,
    membership: Arc<Membership>,
    /// Empty only while the consumer is made and once the last clone is gone.
    member: OnceLock<Weak<Member>>,
    brokers: String,
    /// Set where an assignment could not be started, and by [`Consumer::rejoin`]; [`Consumer::poll`] then joins anew.
    rejoin: AtomicBool,
    /// Set by [`Consumer::leave`] and where an assignment cannot be started for now.
    leave: AtomicBool,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log::line(level, facility, text);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        let partitions = statistics.topics.into_iter().flat_map(|(name, topic)| {
            // -1 is librdkafka's place for what has no partition.
            let real = topic.partitions.into_iter().filter(|(partition, _)| *partition >= 0);
            real.map(move |(partition, of)| (name.clone(), partition, of.fetchq_size))
        });
        self.handler.prefetched(&partitions.collect::<Vec<_>>());
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.handler.error(KafkaProblem::classify(code, reason, &self.brokers));
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        client: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        // Without a member the consumer is being dropped: nobody is left to ask.
        let member = self.member.get().and_then(Weak::upgrade).map(|member| Consumer { member });
        let names = sorted_names(partitions);
        let done = match (event, member) {
            (RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, Some(member)) => {
                self.start(&member, &names)
            }
            (_, Some(member)) => {
                if !names.is_empty() {
                    let lost = client.assignment_lost();
                    if lost {
                        self.membership.left();
                    }
                    self.handler.revoked(&member, &names, lost);
                }
                self.membership.left();
                client.unassign()
            }
            (_, None) => client.unassign(),
        };
        if let Err(error) = done {
            // Happens while the consumer is closing, or after a fatal error that is reported by itself.
            tracing::warn!(%error, "a rebalance could not be answered");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let elements = offsets.elements();
        self.membership
            .commit_answered(result.is_ok() && elements.iter().all(|element| element.error().is_ok()));
        let failed =
            result.err().into_iter().chain(elements.iter().filter_map(|element| element.error().err()));
        let code = failed
            .filter_map(|error| error.rdkafka_error_code())
            .find(|&code| code != RDKafkaErrorCode::NoOffset);
        if let Some(code) = code {
            self.handler.error(KafkaProblem::CommitFailed { code, partitions: elements.len() });
            return;
        }
        let done: Vec<(String, i32, i64)> = elements
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((element.topic().to_owned(), element.partition(), offset)),
                _ => None,
            })
            .collect();
        self.handler.committed(&done);
    }
}

impl Context {
    /// Answers an assignment: asks the handler, forwards every partition to its worker, then lets records flow.
    fn start(&self, consumer: &Consumer, names: &[(String, i32)]) -> KafkaResult<()> {
        let client = &consumer.member.client;
        match self.handler.prepare(consumer, names) {
            Prepared::Start => {}
            Prepared::Again(reason) => {
                self.handler.error(KafkaProblem::AssignmentNotStarted { reason });
                self.rejoin.store(true, Ordering::Relaxed);
                return start_nothing(client);
            }
            Prepared::Leave => {
                self.leave.store(true, Ordering::Relaxed);
                return start_nothing(client);
            }
        }
        let committed = match self.committed_in_time(client, names) {
            Ok(committed) => committed,
            Err(error) => {
                self.handler.error(KafkaProblem::AssignmentNotStarted { reason: error.to_string() });
                self.rejoin.store(true, Ordering::Relaxed);
                return start_nothing(client);
            }
        };
        let assigned: Vec<AssignedPartition> = names
            .iter()
            .zip(&committed)
            .map(|((topic, partition), committed)| AssignedPartition {
                topic: topic.clone(),
                partition: *partition,
                committed: committed.clone(),
            })
            .collect();
        self.join(client, &assigned);
        let starts = if assigned.is_empty() {
            self.handler.standby();
            Vec::new()
        } else {
            self.handler.assigned(consumer, &assigned)
        };
        assert_eq!(starts.len(), assigned.len(), "a handler answers for every partition");

        let mut list = TopicPartitionList::with_capacity(assigned.len());
        for (partition, start) in assigned.iter().zip(&starts) {
            let target = consumer.member.queue(start.queue);
            batch::forward_partition(client.client(), &partition.topic, partition.partition, &target)
                .expect("librdkafka assigned this partition, so it knows its topic");
            list.add_partition_offset(&partition.topic, partition.partition, start.offset(partition))?;
        }
        client.assign(&list)
    }

    /// Notes the generation, and lets the group confirm it by committing what is committed already: an assignment
    /// that was received long ago, before this process was stopped for a while, is not confirmed by being looked at.
    fn join(&self, client: &BaseConsumer<Self>, assigned: &[AssignedPartition]) {
        let Some(generation) = client.group_metadata() else { return };
        self.membership.joined(generation);
        let sent_at = Instant::now();
        let known = assigned.iter().find_map(|of| {
            let committed = of.committed.as_ref()?;
            let Committed { offset, metadata } = committed.clone();
            Some(Commit { topic: of.topic.clone(), partition: of.partition, next_offset: offset, metadata })
        });
        let confirmed = match known {
            Some(commit) => {
                list_of_commits(&[commit]).and_then(|list| client.commit(&list, CommitMode::Sync))
            }
            None => Ok(()), // a group without any commit: nobody could have written anything yet
        };
        match confirmed {
            Ok(()) => self.membership.confirm(sent_at),
            Err(error) => tracing::debug!(%error, "the group did not confirm the assignment yet"),
        }
    }

    /// The committed offsets, tried again while Kafka is away, within a bound that the group endures.
    fn committed_in_time(
        &self,
        client: &BaseConsumer<Self>,
        partitions: &[(String, i32)],
    ) -> KafkaResult<Vec<Option<Committed>>> {
        let deadline = Instant::now() + COMMITTED_TRIES;
        loop {
            let error = match committed(client, partitions, COMMITTED_REQUEST) {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            let closing = error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerDestroy);
            if closing || Instant::now() > deadline || client.assignment_lost() {
                return Err(error);
            }
            tracing::warn!(%error, "reading the committed offsets of an assignment failed, trying again");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Takes an assignment without reading any of it, before the group is left. To refuse it (`unassign`) would leave
/// librdkafka waiting for an answer for good.
fn start_nothing(client: &BaseConsumer<Context>) -> KafkaResult<()> {
    client.assign(&TopicPartitionList::new())
}

impl Start {
    fn offset(self, partition: &AssignedPartition) -> Offset {
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
