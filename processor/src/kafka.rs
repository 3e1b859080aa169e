//! Kafka: the consumer group and its per-worker queues, the producing side, topics, dead letters.
//!
//! One [`Consumer`] is one group member. A coordinator thread polls it (membership, rebalances, errors); worker
//! threads read records in batches from a [`WorkerQueue`] of their own, into which librdkafka forwards the
//! partitions the [`Assignments`] handler gave them. No record passes through a channel or an async runtime.
//!
//! There are two ways out. A [`Transactor`] makes an epoch's records and offsets visible together; [`KafkaOutbox`] sends
//! records that [`EpochAcks`] counts until all are acknowledged, and offsets are committed apart. [`Membership`] is what
//! the group has confirmed of this process. [`admin`] makes and inspects topics, [`dlq`] serves `processor dlq`, [`tail`] follows one topic,
//! [`scan`] reads in bulk what a group has committed.
//!
//! Left out on purpose: offsets are never committed by librdkafka on its own, and nothing here reads a payload.

pub mod admin;
mod assignments;
mod batch;
pub mod cleanup;
mod consumer;
mod describe;
pub mod dlq;
mod error;
pub(crate) mod letter;
mod log;
mod members;
mod membership;
mod offsets;
mod patience;
mod producer;
mod question;
mod room;
pub mod scan;
mod settings;
pub mod tail;
mod transaction;

pub use assignments::{AssignedPartition, Assignments, Prepared, Start, StartAt};
pub use batch::{Batch, Headers, Item, Message, PartitionEnd, QueueId, Run, WorkerQueue};
pub use consumer::Consumer;
pub use describe::TopicNow;
pub(crate) use error::IN_PROPERTIES;
pub use error::{KafkaError, KafkaProblem, PartitionProblem};
pub use membership::Membership;
pub use offsets::{Commit, Committed};
pub use producer::{DeliveryError, EpochAcks, Header, KafkaOutbox, OutboxRecord, Produced};
pub(crate) use room::Room;
pub use settings::{ClientSettings, ConsumerSettings, ProducerSettings};
pub(crate) use settings::{SESSION_TIMEOUT, SESSION_TIMEOUT_MIN, copy_bytes};
pub use transaction::{Transaction, TransactionEnd, TransactionError, Transactor};
