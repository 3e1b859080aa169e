//! What librdkafka calls on the polling thread: assignments, commits, statistics, errors.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::{Consumer, Member};
use crate::kafka::assignments::{AssignedPartition, Assignments, Prepared};
use crate::kafka::membership::Membership;
use crate::kafka::offsets::{Committed, committed, list_of_commits, sorted_names};
use crate::kafka::{KafkaProblem, batch, log};

/// How long one request for committed offsets may take, and how long they are tried in an assignment.
const COMMITTED_REQUEST: Duration = Duration::from_secs(10);
/// A transaction that a killed process left open makes its offsets unknown until Kafka ends it, 15 to 25 s later.
const COMMITTED_TRIES: Duration = Duration::from_secs(60);

/// librdkafka's callbacks, all on the polling thread.
pub(super) struct Context {
    pub(super) handler: Arc<dyn Assignments>,
    pub(super) membership: Arc<Membership>,
    /// Empty only while the consumer is made and once the last clone is gone.
    pub(super) member: OnceLock<Weak<Member>>,
    pub(super) brokers: String,
    /// Set where an assignment could not be started, and by [`Consumer::rejoin`]; [`Consumer::poll`] then joins anew.
    pub(super) rejoin: AtomicBool,
    /// Set by [`Consumer::leave`] and where an assignment cannot be started for now.
    pub(super) leave: AtomicBool,
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
            Prepared::Again(reason) => return self.again(client, reason),
            Prepared::Leave => {
                self.leave.store(true, Ordering::Relaxed);
                return start_nothing(client);
            }
        }
        let committed = match self.committed_in_time(client, names) {
            Ok(committed) => committed,
            Err(error) => return self.again(client, error.to_string()),
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
            match self.handler.assigned(consumer, &assigned) {
                Ok(starts) => starts,
                Err(error) => return self.again(client, error.to_string()),
            }
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

    /// Starts nothing, for this reason, and joins the group again.
    fn again(&self, client: &BaseConsumer<Self>, reason: String) -> KafkaResult<()> {
        self.handler.error(KafkaProblem::AssignmentNotStarted { reason });
        self.rejoin.store(true, Ordering::Relaxed);
        start_nothing(client)
    }

    /// Notes the generation, and lets the group confirm it by committing what is committed already: an assignment
    /// that was received long ago, before this process was stopped for a while, is not confirmed by being looked at.
    fn join(&self, client: &BaseConsumer<Self>, assigned: &[AssignedPartition]) {
        let Some(generation) = client.group_metadata() else { return };
        self.membership.joined(generation);
        let sent_at = Instant::now();
        let confirmed = match assigned.iter().find_map(AssignedPartition::commit) {
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
