//! Kafka: the consumer group and its per-worker queues, the producing side, topics, dead letters.
//!
//! One [`Consumer`] is one group member. A coordinator thread polls it (membership, rebalances, errors); worker
//! threads read records in batches from a [`WorkerQueue`] of their own, into which librdkafka forwards the
//! partitions the [`Assignments`] handler gave them. No record passes through a channel or an async runtime.
//!
//! [`KafkaOutbox`] is the way out: what an epoch produces is counted by [`EpochAcks`] until every record of it is
//! acknowledged. [`admin`] makes and inspects topics, [`dlq`] serves `processor dlq`, [`tail`] follows one topic.
//!
//! Left out on purpose: offsets are never committed by librdkafka on its own, and nothing here reads a payload.

pub mod admin;
mod batch;
mod consumer;
pub mod dlq;
mod error;
mod log;
mod producer;
mod settings;
pub mod tail;

pub use batch::{Batch, Headers, Item, Message, QueueId, Run, WorkerQueue};
pub use consumer::{AssignedPartition, Assignments, Commit, Committed, Consumer, Start, StartAt};
pub use error::{KafkaError, KafkaProblem, PartitionProblem};
pub use producer::{DeliveryError, EpochAcks, KafkaOutbox, Outbox, OutboxRecord, Produced};
pub use settings::{ClientSettings, ConsumerSettings, ProducerSettings};
