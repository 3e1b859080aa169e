//! One member of the consumer group.

mod callbacks;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use super::assignments::Assignments;
use super::batch::{self, NativeQueue, QueueId, WorkerQueue};
use super::membership::Membership;
use super::offsets::{Commit, Committed, bounds, committed, list_of_commits};
use super::{ConsumerSettings, KafkaError, KafkaProblem, settings};
use callbacks::Context;

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

    /// The first offset of a partition whose record is of this time (milliseconds since the epoch) or later; `None` where
    /// there is none.
    ///
    /// # Errors
    /// [`KafkaError::Failed`].
    pub fn first_offset_since(
        &self,
        (topic, partition): &(String, i32),
        time_ms: i64,
        timeout: Duration,
    ) -> Result<Option<i64>, KafkaError> {
        let failed = |error: &_| KafkaError::from_client("looking for an offset by its time", error);
        let mut wanted = TopicPartitionList::new();
        let added = wanted.add_partition_offset(topic, *partition, Offset::Offset(time_ms));
        added.map_err(|error| failed(&error))?;
        let found = self.member.client.offsets_for_times(wanted, timeout).map_err(|error| failed(&error))?;
        Ok(
            match found.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset)
            {
                Some(Offset::Offset(offset)) => Some(offset),
                _ => None,
            },
        )
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

    /// Keeps the client to the end of the process, which is near: its own end waits for a Kafka that is away.
    pub fn leave_to_the_process(&self) {
        std::mem::forget(Arc::clone(&self.member));
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
